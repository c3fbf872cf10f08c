"""How often somebody was refused, so that the audit log's chain is not taken for each of a thousand in a second."""

import django.db.models.functions.datetime
from django.db import migrations, models

GRANTS = """
GRANT SELECT, INSERT ON refusal TO passgate_app;
GRANT UPDATE (written_at, seen, told, held) ON refusal TO passgate_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO passgate_app;
GRANT SELECT ON refusal TO passgate_auditor;
"""


class Migration(migrations.Migration):
    dependencies = [("console", "0002_idempotency")]

    operations = [
        migrations.CreateModel(
            name="Refusal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("actor", models.TextField()),
                ("act", models.TextField()),
                ("written_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("seen", models.BigIntegerField()),
                ("told", models.BigIntegerField()),
                ("held", models.BigIntegerField()),
            ],
            options={
                "db_table": "refusal",
                "constraints": [
                    models.UniqueConstraint(fields=["actor", "act"], name="refusal_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("told__lte", models.F("seen"))), name="refusal_told_was_seen"
                    ),
                ],
            },
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
