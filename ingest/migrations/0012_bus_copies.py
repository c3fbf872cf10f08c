"""Copies on the bus, by the window whose events they are: a verdict names them (sql/bus_copies.sql)."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Q

from ingest.migrations.sql import sql_text

_UNDO = """
DROP TRIGGER bus_batch_copies_told ON bus_batch;
DROP TRIGGER bus_copies_told ON bus_copies;
DROP FUNCTION bus_batch_copies_told();
DROP FUNCTION bus_copies_told();
DROP FUNCTION copies_are_told(bigint);
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0011_gaps_and_log")]

    operations = [
        migrations.CreateModel(
            name="BusCopies",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("bus_batch", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="ingest.busbatch")),
                (
                    "win",
                    models.ForeignKey(db_column="win", on_delete=django.db.models.deletion.PROTECT, to="ingest.window"),
                ),
                ("copies", models.IntegerField()),
                ("first_offset", models.BigIntegerField()),
            ],
            options={
                "db_table": "bus_copies",
                "constraints": [
                    models.UniqueConstraint(fields=["bus_batch", "win"], name="bus_copies_once"),
                    models.CheckConstraint(condition=Q(copies__gt=0), name="bus_copies_some"),
                ],
            },
        ),
        migrations.RunSQL(sql_text("bus_copies"), _UNDO),
    ]
