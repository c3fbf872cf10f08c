"""What was decided of attempts that no scan can answer, and contracts that let nothing be published again by itself:
see sql/decide.sql."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Q

from ingest.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("ingest", "0016_reruns")]

    operations = [
        migrations.AddField("contract", "republish_by_plan", models.BooleanField(db_default=False)),
        migrations.CreateModel(
            name="AttemptDecision",
            fields=[
                (
                    "attempt",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="ingest.attempt",
                    ),
                ),
                ("plan", models.BigIntegerField()),
                ("outcome", models.TextField()),
                ("offsets", django.contrib.postgres.fields.ArrayField(models.BigIntegerField(), size=None)),
                ("bus_sources", django.contrib.postgres.fields.ArrayField(models.IntegerField(), size=None)),
                ("bus_offsets", django.contrib.postgres.fields.ArrayField(models.BigIntegerField(), size=None)),
                ("absent", models.IntegerField()),
                ("requested_by", models.TextField()),
                ("approved_by", models.TextField()),
                ("reason", models.TextField()),
                ("decided_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("scan", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="ingest.scan")),
            ],
            options={
                "db_table": "attempt_decision",
                "constraints": [
                    models.UniqueConstraint(fields=["plan"], name="attempt_decision_of_one_plan"),
                    models.CheckConstraint(
                        condition=Q(outcome="ACKED", absent=0)
                        | Q(outcome="PARTIAL", absent__gt=0, offsets__len__gt=0)
                        | Q(outcome="ABSENT", absent__gt=0, offsets__len=0),
                        name="attempt_decision_outcome",
                    ),
                ],
            },
        ),
        migrations.RunSQL(sql_text("decide"), migrations.RunSQL.noop),
    ]
