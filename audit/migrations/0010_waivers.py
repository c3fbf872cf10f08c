"""What approved plans waive, and what a verdict and a gate may lean on: see sql/waivers.sql."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import F, Q

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0009_words"), ("ingest", "0014_words")]

    operations = [
        migrations.CreateModel(
            name="Waiver",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "win",
                    models.ForeignKey(db_column="win", on_delete=django.db.models.deletion.PROTECT, to="ingest.window"),
                ),
                ("check_name", models.TextField()),
                ("facts", models.JSONField()),
                ("until", models.DateTimeField()),
                ("plan", models.BigIntegerField()),
                ("requested_by", models.TextField()),
                ("approved_by", models.TextField()),
                ("reason", models.TextField()),
                ("waived_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "waiver",
                "indexes": [models.Index(fields=["win"], name="waiver_win")],
                "constraints": [
                    models.UniqueConstraint(fields=["plan"], name="waiver_of_one_plan"),
                    models.CheckConstraint(
                        condition=Q(check_name__in=["DEGRADED", "EXPECTED", "NOT_EMPTY", "QUARANTINE"]),
                        name="waiver_check_may_be_waived",
                    ),
                    models.CheckConstraint(condition=Q(until__gt=F("waived_at")), name="waiver_ends_later"),
                ],
            },
        ),
        migrations.RunSQL(sql_text("waivers"), migrations.RunSQL.noop),
    ]
