"""Approvals as rows, and plans that need several: see sql/approvals.sql."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Q

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0011_mended"), ("ingest", "0024_approvals")]

    operations = [
        migrations.CreateModel(
            name="PlanApproval",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "plan", "ordinal", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("ordinal", models.SmallIntegerField()),
                ("who", models.TextField()),
                ("person", models.TextField()),
                ("digest", models.BinaryField()),
                ("why", models.TextField(db_default="")),
                ("at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("plan", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="plans.plan")),
            ],
            options={
                "db_table": "plan_approval",
                "constraints": [
                    models.UniqueConstraint(fields=["plan", "person"], name="plan_approval_once"),
                    models.CheckConstraint(
                        condition=Q(who__regex=r"\S", person__regex=r"\S"), name="plan_approval_names_person"
                    ),
                ],
            },
        ),
        migrations.RunSQL(sql_text("approvals"), migrations.RunSQL.noop),
    ]
