"""Effects that plans wrote again, where they had gone missing: see sql/mended.sql."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from ingest.migrations.sql import sql_text

_PROTECT = django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    dependencies = [("ingest", "0022_lost")]

    operations = [
        migrations.CreateModel(
            name="MendedEffect",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source", "offset", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("source", models.ForeignKey(on_delete=_PROTECT, to="ingest.source")),
                ("offset", models.BigIntegerField()),
                ("run_id", models.IntegerField()),
                ("win", models.ForeignKey(db_column="win", on_delete=_PROTECT, to="ingest.window")),
                ("identity", models.BinaryField()),
                ("effect", models.BooleanField()),
                ("mended_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={"db_table": "mended_effect"},
        ),
        migrations.RunSQL(sql_text("mended"), migrations.RunSQL.noop),
    ]
