"""What a basis takes in by a plan, and re-checks that a plan ends: see sql/basis.sql and sql/recheck_end.sql."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from audit.migrations.sql import sql_text


class Migration(migrations.Migration):
    dependencies = [("audit", "0013_decide"), ("ingest", "0016_reruns")]

    operations = [
        migrations.AddField("basis", "plan", models.BigIntegerField(null=True)),
        migrations.RunSQL(sql_text("basis"), migrations.RunSQL.noop),
        migrations.CreateModel(
            name="RecheckEnd",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "stream",
                    models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, to="ingest.stream"),
                ),
                ("role", models.TextField()),
                ("topic", models.TextField()),
                ("cluster_id", models.TextField()),
                ("topic_id", models.TextField()),
                (
                    "last_win",
                    models.ForeignKey(
                        db_column="last_win",
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        to="ingest.window",
                    ),
                ),
                ("plan", models.BigIntegerField()),
                ("requested_by", models.TextField()),
                ("approved_by", models.TextField()),
                ("reason", models.TextField()),
                ("ended_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
            ],
            options={
                "db_table": "recheck_end",
                "constraints": [
                    models.UniqueConstraint(fields=["plan"], name="recheck_end_of_one_plan"),
                    models.CheckConstraint(condition=models.Q(role="inbox"), name="recheck_end_of_an_inbox"),
                ],
            },
        ),
        migrations.RunSQL(sql_text("recheck_end"), migrations.RunSQL.noop),
    ]
