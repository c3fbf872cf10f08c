"""A rerun covers a window whose bus was created again, once nothing of it is bound to the old one: see sql/lost.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0019_gone"), ("ingest", "0022_lost")]

    operations = [migrations.RunSQL(sql_text("lost"), migrations.RunSQL.noop)]
