"""Keys of acts that were already asked for, and the scopes of tokens; both age, so the app role may delete them."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

GRANTS = """
GRANT SELECT, INSERT, DELETE ON idempotency_key, token_scope TO passgate_app;
GRANT UPDATE (status, headers, body, started_at) ON idempotency_key TO passgate_app;
GRANT USAGE ON ALL SEQUENCES IN SCHEMA public TO passgate_app;
GRANT SELECT ON token_scope TO passgate_auditor;
"""


class Migration(migrations.Migration):
    dependencies = [
        ("console", "0001_rights"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        migrations.swappable_dependency("knox.AuthToken"),
        # grants name the roles whose presence this migration checks
        ("ingest", "0002_rules"),
    ]

    operations = [
        migrations.CreateModel(
            name="IdempotencyKey",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("key", models.TextField()),
                ("request_digest", models.BinaryField()),
                ("started_at", models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ("status", models.SmallIntegerField(null=True)),
                ("headers", models.JSONField(default=dict)),
                ("body", models.JSONField(null=True)),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "db_table": "idempotency_key",
                "indexes": [models.Index(fields=["started_at"], name="idempotency_key_age")],
                "constraints": [
                    models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique"),
                    models.CheckConstraint(
                        condition=models.Q(("body__isnull", True), ("status__isnull", True))
                        | models.Q(("status__isnull", False)),
                        name="idempotency_key_answer_has_status",
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TokenScope",
            fields=[
                (
                    "token",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="scope",
                        serialize=False,
                        to="knox.authtoken",
                    ),
                ),
                ("name", models.TextField()),
                (
                    "acts",
                    django.contrib.postgres.fields.ArrayField(base_field=models.TextField(), default=list, size=None),
                ),
                ("created_by", models.TextField()),
            ],
            options={"db_table": "token_scope"},
        ),
        migrations.RunSQL(GRANTS, migrations.RunSQL.noop),
    ]
