"""What the API remembers besides the ledger: keys of acts that were already asked for, and what a token may do."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now


class IdempotencyKey(models.Model):
    """One act that a caller named by a key. `status` is null while it runs; then the answer is kept and given again.

    Rows older than `console.api.idempotency.KEPT` are deleted: a key is a guard against sending again, not a record.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, models.CASCADE, related_name="+")
    key = models.TextField()
    request_digest = models.BinaryField()
    started_at = models.DateTimeField(db_default=Now())
    status = models.SmallIntegerField(null=True)
    headers = models.JSONField(default=dict)
    body = models.JSONField(null=True)

    class Meta:
        db_table = "idempotency_key"
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], name="idempotency_key_unique"),
            models.CheckConstraint(
                condition=Q(status__isnull=True, body__isnull=True) | Q(status__isnull=False),
                name="idempotency_key_answer_has_status",
            ),
        ]
        indexes = [models.Index(fields=["started_at"], name="idempotency_key_age")]


class TokenScope(models.Model):
    """What an API token is called and which acts it may do, of those its person may do. Empty: all of them."""

    token = models.OneToOneField("knox.AuthToken", models.CASCADE, primary_key=True, related_name="scope")
    name = models.TextField()
    acts = ArrayField(models.TextField(), default=list)
    created_by = models.TextField()

    class Meta:
        db_table = "token_scope"
