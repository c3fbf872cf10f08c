"""Gaps of what a plan was to read again and its origin's log has no more: see sql/gone.sql."""

from django.db import migrations

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0020_pins_at_cut")]

    operations = [migrations.RunSQL(sql_text("gone"), migrations.RunSQL.noop)]
