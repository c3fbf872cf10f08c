"""Records that one person may have read or published again alone: see sql/free.sql."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import F, Q

from plans.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("plans", "0006_adopt"), ("ingest", "0019_free_records")]

    operations = [
        migrations.RemoveConstraint("plan", "plan_four_eyes"),
        migrations.AddField(
            "plan",
            "free_by",
            models.ForeignKey(
                db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, to="ingest.contract"
            ),
        ),
        migrations.AddField("plan", "free_records", models.BigIntegerField(null=True)),
        migrations.AddIndex(
            "plan",
            models.Index(
                fields=["stream", "approved_person", "approved_at"],
                condition=Q(free_records__isnull=False),
                name="plan_free_of_day",
            ),
        ),
        migrations.AddConstraint(
            "plan",
            models.CheckConstraint(
                condition=Q(approved_person__isnull=True)
                | ~Q(approved_person=F("requested_person"))
                | Q(free_records__isnull=False, kind__in=["replay", "redrive", "republish"]),
                name="plan_four_eyes",
            ),
        ),
        migrations.AddConstraint(
            "plan",
            models.CheckConstraint(
                condition=Q(free_records=None, free_by=None)
                | Q(free_records__gte=0, free_by__isnull=False, approved_person__isnull=False)
                & Q(approved_person=F("requested_person")),
                name="plan_free_is_alone",
            ),
        ),
        migrations.RunSQL(sql_text("free"), migrations.RunSQL.noop),
    ]
