"""Attempts whose bus was created again, and places by the attempt that they are of: see sql/lost.sql."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models
from django.db.models import F, Q

from ingest.migrations.sql import sql_text

_KEY = """
ALTER TABLE place DROP CONSTRAINT place_pkey, ADD CONSTRAINT place_pkey PRIMARY KEY (source_id, "offset", attempt_id);
"""

_STATES = [
    ("PREPARED", "written before begin_transaction()"),
    ("UNKNOWN", "nobody knows what landed"),
    ("ACKED", "every event has its place on the bus"),
    ("ABSENT", "none landed; its batches were queued again"),
    ("PARTIAL", "what landed has a place, the rest was queued again"),
    ("UNDECIDABLE", "the scan cannot answer; a plan decides"),
    ("NOT_SENT", "produce() itself refused; nothing left this process"),
    ("LOST", "its bus was created again, two people said so, and its batches were queued again"),
]


class Migration(migrations.Migration):
    dependencies = [("ingest", "0021_gone")]

    operations = [
        # by hand, for Django changes no key of several columns
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(_KEY)],
            [
                migrations.AlterField(
                    "place",
                    "pk",
                    models.CompositePrimaryKey(
                        "source_id",
                        "offset",
                        "attempt_id",
                        blank=True,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
            ],
        ),
        migrations.AlterField("attempt", "state", models.TextField(choices=_STATES, db_default="PREPARED")),
        migrations.CreateModel(
            name="AttemptLoss",
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
                ("cluster_id", models.TextField()),
                ("topic", models.TextField()),
                ("topic_id", models.TextField()),
                ("found_topic_id", models.TextField()),
                ("seen_at", models.DateTimeField()),
                ("measured_at", models.DateTimeField()),
                ("requested_by", models.TextField()),
                ("approved_by", models.TextField()),
                ("reason", models.TextField()),
                ("lost_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "attempt_loss",
                "constraints": [
                    models.CheckConstraint(
                        condition=~Q(found_topic_id=F("topic_id")), name="attempt_loss_of_another_topic"
                    ),
                    models.CheckConstraint(condition=Q(measured_at__gt=F("seen_at")), name="attempt_loss_seen_twice"),
                ],
            },
        ),
        migrations.RunSQL(sql_text("lost"), migrations.RunSQL.noop),
    ]
