"""Verdicts of reruns name what was gone from the inbox: see sql/gone.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0018_pins"), ("ingest", "0021_gone")]

    operations = [migrations.RunSQL(sql_text("gone"), migrations.RunSQL.noop)]
