"""What redrives and replays may write, and which plan it is held against: see sql/reruns.sql."""

from django.db import migrations

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0002_rules"), ("audit", "0012_reruns"), ("ingest", "0016_reruns")]

    operations = [migrations.RunSQL(sql_text("reruns"), migrations.RunSQL.noop)]
