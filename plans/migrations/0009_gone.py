"""What a replay passes over because it is gone: see sql/gone.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0008_order"), ("ingest", "0021_gone"), ("audit", "0019_gone")]

    operations = [migrations.RunSQL(sql_text("gone"), migrations.RunSQL.noop)]
