"""Reruns of windows by plans (sql/reruns.sql): they have numbers of their own, and stand outside of the chain."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import Q

from ingest.migrations.sql import sql_text

_PROTECT = django.db.models.deletion.PROTECT


class Migration(migrations.Migration):
    dependencies = [("ingest", "0015_windows")]

    operations = [
        migrations.RemoveConstraint("window", "window_number_unique"),
        migrations.RemoveConstraint("window", "window_one_open"),
        migrations.AlterField(
            "window",
            "reruns",
            models.ForeignKey(db_column="reruns", null=True, on_delete=_PROTECT, related_name="+", to="ingest.window"),
        ),
        migrations.AddField("window", "rerun", models.IntegerField(null=True)),
        migrations.AddField("window", "by_plan", models.BooleanField(db_default=False)),
        migrations.AddField(
            "run",
            "supersedes",
            models.ForeignKey(
                db_column="supersedes", null=True, on_delete=_PROTECT, related_name="+", to="ingest.window"
            ),
        ),
        migrations.CreateModel(
            name="Origin",
            fields=[
                (
                    "source",
                    models.OneToOneField(
                        on_delete=_PROTECT, primary_key=True, related_name="+", serialize=False, to="ingest.source"
                    ),
                ),
                ("origin_source", models.ForeignKey(on_delete=_PROTECT, related_name="+", to="ingest.source")),
                ("start_offset", models.BigIntegerField()),
                ("end_offset", models.BigIntegerField()),
            ],
            options={
                "db_table": "origin",
                "constraints": [
                    models.CheckConstraint(condition=Q(start_offset__lt=models.F("end_offset")), name="origin_ordered"),
                ],
            },
        ),
        migrations.AddConstraint(
            "window",
            models.UniqueConstraint(fields=["run", "number"], condition=Q(reruns=None), name="window_number_unique"),
        ),
        migrations.AddConstraint(
            "window", models.UniqueConstraint(fields=["reruns", "rerun"], name="window_rerun_unique")
        ),
        migrations.AddConstraint(
            "window",
            models.CheckConstraint(
                condition=Q(reruns=None, rerun=None) | Q(reruns__isnull=False, rerun__gte=1, by_plan=True),
                name="window_rerun_numbered",
            ),
        ),
        migrations.AddConstraint(
            "window",
            models.UniqueConstraint(fields=["run"], condition=Q(state="OPEN", reruns=None), name="window_one_open"),
        ),
        migrations.CreateModel(
            name="RerunEnd",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "win", "source", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("win", models.ForeignKey(db_column="win", on_delete=_PROTECT, to="ingest.window")),
                ("source", models.ForeignKey(on_delete=_PROTECT, to="ingest.source")),
                ("end_offset", models.BigIntegerField()),
            ],
            options={"db_table": "rerun_end"},
        ),
        migrations.CreateModel(
            name="Redrive",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "source", "offset", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("source", models.ForeignKey(on_delete=_PROTECT, to="ingest.source")),
                ("offset", models.BigIntegerField()),
                ("item", models.ForeignKey(on_delete=_PROTECT, to="ingest.quarantineitem")),
                ("plan", models.BigIntegerField()),
                ("decision", models.SmallIntegerField()),
                ("reason", models.SmallIntegerField()),
                ("detail", models.TextField(null=True)),
                ("corrected_by", models.TextField(null=True)),
                ("redriven_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "redrive",
                "indexes": [models.Index(fields=["item"], name="redrive_item")],
                "constraints": [models.UniqueConstraint(fields=["plan", "item"], name="redrive_once_a_plan")],
            },
        ),
        migrations.AlterField(
            "quarantineitem",
            "resolution",
            models.TextField(
                choices=[
                    ("DISCARDED", "set aside for good"),
                    ("ACCEPTED_FIRST", "the first payload stands"),
                    ("REDRIVEN", "a plan sent it through admission again, and it is an event now"),
                ],
                null=True,
            ),
        ),
        migrations.RunSQL(sql_text("reruns"), migrations.RunSQL.noop),
    ]
