"""Logs that are gone for good are written down once: lanes rest, attempts to them are over (sql/retirement.sql)."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

from ingest.migrations.sql import sql_text

_BACK = """
DROP TRIGGER control_total_stands ON control_total; DROP FUNCTION control_total_stands();
DROP TRIGGER attempt_is_over ON attempt; DROP FUNCTION attempt_is_over();
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0008_items")]

    operations = [
        migrations.CreateModel(
            name="Retirement",
            fields=[
                (
                    "source",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ingest.source",
                    ),
                ),
                ("retired_at", models.DateTimeField(db_default=Now())),
                ("why", models.TextField()),
            ],
            options={"db_table": "retirement"},
        ),
        migrations.AddField("attempt", "over_at", models.DateTimeField(null=True)),
        migrations.RemoveConstraint("attempt", "attempt_one_unsettled"),
        migrations.AddConstraint(
            "attempt",
            models.UniqueConstraint(
                fields=["transactional_id"],
                condition=Q(state__in=["PREPARED", "UNKNOWN", "UNDECIDABLE"], over_at__isnull=True),
                name="attempt_one_unsettled",
            ),
        ),
        migrations.RunSQL(sql_text("retirement"), _BACK),
    ]
