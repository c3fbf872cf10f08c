"""Answers of the gate may age: see sql/retention.sql."""

from django.db import migrations

from audit.migrations.sql import sql_text

_UNDO = """
DROP FUNCTION forget_gate_decisions(interval, integer);
DROP TRIGGER append_only ON gate_decision;
SELECT guard_append_only('gate_decision'::regclass);
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_kept_facts"), ("ingest", "0010_retention")]

    operations = [migrations.RunSQL(sql_text("retention"), _UNDO)]
