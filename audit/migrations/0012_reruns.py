"""Reruns: the plan behind each, their verdicts, and questions about their gates (sql/reruns.sql)."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0011_odd_verdicts"), ("ingest", "0016_reruns")]

    operations = [
        migrations.CreateModel(
            name="Rerun",
            fields=[
                (
                    "win",
                    models.OneToOneField(
                        db_column="win",
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="ingest.window",
                    ),
                ),
                ("plan", models.BigIntegerField()),
                ("kind", models.TextField()),
                ("requested_by", models.TextField()),
                ("approved_by", models.TextField()),
                ("reason", models.TextField()),
                ("opened_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "rerun",
                "constraints": [models.UniqueConstraint(fields=["plan"], name="rerun_of_one_plan")],
            },
        ),
        migrations.AddField("gatedecision", "rerun", models.IntegerField(null=True)),
        migrations.RunSQL(sql_text("reruns"), migrations.RunSQL.noop),
    ]
