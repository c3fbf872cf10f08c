"""Worker processes, so that one that died stands on a page and not in a log alone."""

from django.db import migrations, models
from django.db.models import Q
from django.db.models.functions import Now

GRANTS = """
GRANT SELECT, INSERT, DELETE ON worker_process TO passgate_app;  -- they age
GRANT UPDATE (ended_at, gone_at) ON worker_process TO passgate_app;
GRANT USAGE ON SEQUENCE worker_process_id_seq TO passgate_app;
GRANT SELECT ON worker_process TO passgate_auditor;
"""


class Migration(migrations.Migration):
    dependencies = [("ingest", "0012_bus_copies")]

    operations = [
        migrations.CreateModel(
            name="WorkerProcess",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("owner", models.TextField(unique=True)),
                ("node", models.TextField()),
                ("started_at", models.DateTimeField(db_default=Now())),
                ("ended_at", models.DateTimeField(null=True)),
                ("gone_at", models.DateTimeField(null=True)),
            ],
            options={
                "db_table": "worker_process",
                "indexes": [
                    models.Index(fields=["gone_at"], condition=Q(gone_at__isnull=False), name="worker_process_gone"),
                    models.Index(
                        fields=["owner"],
                        condition=Q(ended_at__isnull=True, gone_at__isnull=True),
                        name="worker_process_there",
                    ),
                ],
            },
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
