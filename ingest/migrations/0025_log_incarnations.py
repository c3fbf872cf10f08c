"""A partition's log may go on as another one under the same topic id: a source each (sql/log_incarnations.sql)."""

from django.db import migrations, models
from django.db.models import Q

from ingest.migrations.sql import sql_text

_BACK = """
DROP TRIGGER retirement_of_a_cut_log ON retirement; DROP FUNCTION retirement_of_a_cut_log();
DROP TRIGGER source_follows_log ON source; DROP FUNCTION source_follows_log(); DROP FUNCTION log_kept_to(bigint);
"""
_KEYS = ["cluster_id", "topic_id", "partition", "stream", "role"]


class Migration(migrations.Migration):
    dependencies = [("ingest", "0024_approvals")]

    operations = [
        migrations.AddField("source", "incarnation", models.IntegerField(db_default=1)),
        migrations.RemoveConstraint("source", "source_incarnation_unique"),
        migrations.AddConstraint(
            "source", models.UniqueConstraint(fields=[*_KEYS, "incarnation"], name="source_incarnation_unique")
        ),
        migrations.AddField("retirement", "kept_to", models.BigIntegerField(null=True)),
        migrations.AddConstraint(
            "retirement",
            models.CheckConstraint(condition=Q(kept_to__isnull=True) | Q(kept_to__gte=0), name="retirement_kept_to"),
        ),
        migrations.RunSQL(sql_text("log_incarnations"), _BACK),
    ]
