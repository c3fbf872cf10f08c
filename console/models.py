"""What the API remembers besides the ledger: keys of acts that were already asked for, what a token may do, and how
often somebody was refused."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
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


class Refusal(models.Model):
    """How often a person was refused an act: `seen` in all, of which the audit log tells of the first `told`.

    `held` is how many the newest row speaks for besides itself. One row a person and act, so the table stays small.
    """

    actor = models.TextField()
    act = models.TextField()
    written_at = models.DateTimeField(db_default=Now())
    seen = models.BigIntegerField()
    told = models.BigIntegerField()
    held = models.BigIntegerField()

    class Meta:
        db_table = "refusal"
        constraints = [
            models.UniqueConstraint(fields=["actor", "act"], name="refusal_unique"),
            models.CheckConstraint(condition=Q(told__lte=F("seen")), name="refusal_told_was_seen"),
        ]


class TokenScope(models.Model):
    """What an API token is called and which acts it may do, of those its person may do. Empty: all of them."""

    token = models.OneToOneField("knox.AuthToken", models.CASCADE, primary_key=True, related_name="scope")
    name = models.TextField()
    acts = ArrayField(models.TextField(), default=list)
    created_by = models.TextField()

    class Meta:
        db_table = "token_scope"
