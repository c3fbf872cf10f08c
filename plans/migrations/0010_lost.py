"""Only plans of two people say that an attempt is lost with its bus: see sql/lost.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0009_gone"), ("ingest", "0022_lost"), ("audit", "0020_lost")]

    operations = [migrations.RunSQL(sql_text("lost"), migrations.RunSQL.noop)]
