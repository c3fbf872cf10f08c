"""Contexts that are pinned when a window is cut: which window of theirs that is, see sql/pins.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0017_order"), ("ingest", "0020_pins_at_cut")]

    operations = [migrations.RunSQL(sql_text("pins"), migrations.RunSQL.noop)]
