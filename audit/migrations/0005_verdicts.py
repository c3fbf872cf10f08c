"""Ties a verdict to its body, its window and the age of its facts, and what was built on it: see sql/verdicts.sql."""

import django.db.models.deletion
from django.db import migrations, models

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_gate_is_a_lease"), ("ingest", "0008_items")]

    operations = [
        migrations.AddField("verdict", "measured_at", models.DateTimeField(null=True)),
        migrations.AddField("verdict", "valid_until", models.DateTimeField(null=True)),
        migrations.CreateModel(
            name="Judging",
            fields=[
                (
                    "win",
                    models.OneToOneField(
                        db_column="win",
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ingest.window",
                    ),
                ),
            ],
            options={"db_table": "judging"},
        ),
        migrations.RunSQL(sql_text("verdicts"), migrations.RunSQL.noop),
    ]
