"""A gate's decision names the `run` beside its `stream`; and `run_id` is a run's key (docs/glossary.md)."""

from django.db import migrations, models

from audit.migrations.sql import sql_text

_COLUMN = "ALTER TABLE gate_decision RENAME COLUMN run_id TO run"  # its index follows


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_failed_verdicts"), ("ingest", "0014_words")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(_COLUMN)],
            [
                migrations.RemoveIndex("gatedecision", "gate_decision_run"),
                migrations.RenameField("gatedecision", "run_id", "run"),
                migrations.AddIndex(
                    "gatedecision", models.Index(fields=["stream", "run", "-at"], name="gate_decision_run")
                ),
            ],
        ),
        migrations.RunSQL(sql_text("words")),
    ]
