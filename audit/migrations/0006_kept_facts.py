"""What a window's facts were when somebody last counted them, shared by all processes that show them."""

from django.db import migrations, models

GRANTS = """
GRANT SELECT, INSERT, UPDATE, DELETE ON kept_facts TO passgate_app;
GRANT SELECT ON kept_facts TO passgate_auditor;
-- a cache: what is lost with a crash is counted again, and it is written every few seconds
ALTER TABLE kept_facts SET UNLOGGED;
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_verdicts"), ("ingest", "0006_publishing_writes_less")]

    operations = [
        migrations.CreateModel(
            name="KeptFacts",
            fields=[
                (
                    "win",
                    models.OneToOneField(
                        db_column="win", on_delete=models.PROTECT, primary_key=True, serialize=False, to="ingest.window"
                    ),
                ),
                ("shape", models.TextField()),
                ("fingerprint", models.TextField()),
                ("facts", models.BinaryField()),
                ("counted_at", models.DateTimeField()),
                ("took", models.FloatField()),
            ],
            options={"db_table": "kept_facts"},
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
