"""One word for each thing (docs/glossary.md).

A run is CUT and no longer SEALED, for to seal is to sign a verdict. It has a `name`; `run_id` is its key everywhere.
"""

from django.db import migrations, models

from ingest.migrations.sql import sql_text

# Columns are renamed in place, those of partitions with their table's: nothing is rewritten but one word of a state.
_COLUMNS = """
ALTER TABLE run RENAME COLUMN sealed_at TO cut_at;
ALTER TABLE run RENAME COLUMN run_id TO name;
ALTER TABLE run RENAME CONSTRAINT run_id_unique TO run_name_unique;
ALTER TABLE batch RENAME COLUMN run_number TO run_id;
ALTER TABLE event RENAME COLUMN run_number TO run_id;
ALTER TABLE quarantine_item RENAME COLUMN run_number TO run_id;
ALTER TABLE effect RENAME COLUMN run_number TO run_id;
"""

_STATE = """
ALTER TABLE run DISABLE TRIGGER run_transition;
UPDATE run SET state = 'CUT' WHERE state = 'SEALED';
ALTER TABLE run ENABLE TRIGGER run_transition;
"""

_MISMATCH = models.UniqueConstraint(
    fields=["run_id", "identity", "payload_digest"],
    condition=models.Q(reason=50),
    name="quarantine_mismatch_unique",
)


class Migration(migrations.Migration):
    dependencies = [("ingest", "0013_worker_processes")]

    operations = [
        # by hand, for Django would make the constraints and indexes of full tables anew
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(_COLUMNS)],
            [
                migrations.RemoveConstraint("run", "run_id_unique"),
                migrations.RemoveConstraint("quarantineitem", "quarantine_mismatch_unique"),
                migrations.RenameField("run", "sealed_at", "cut_at"),
                migrations.RenameField("run", "run_id", "name"),
                migrations.RenameField("batch", "run_number", "run_id"),
                migrations.RenameField("event", "run_number", "run_id"),
                migrations.AlterField(
                    "event",
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "identity", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.RenameField("quarantineitem", "run_number", "run_id"),
                migrations.RenameField("effect", "run_number", "run_id"),
                migrations.AlterField(
                    "effect",
                    "pk",
                    models.CompositePrimaryKey(
                        "run_id", "identity", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                migrations.AddConstraint(
                    "run", models.UniqueConstraint(fields=["stream", "name"], name="run_name_unique")
                ),
                migrations.AddConstraint("quarantineitem", _MISMATCH),
            ],
        ),
        migrations.AlterField(
            "run",
            "state",
            models.TextField(
                choices=[
                    ("OPEN", "admits events"),
                    ("CUT", "its last window has its cut, and waits for a verdict"),
                    ("CLOSED", "cut, and every window has a verdict"),
                ],
                db_default="OPEN",
            ),
        ),
        migrations.RunSQL(_STATE),
        migrations.RunSQL(sql_text("words")),
    ]
