"""API tokens: shown once, stored as a digest, named, expiring, and limited to acts where one wants that."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import QuerySet
from django.db.models.functions import Now
from knox.models import AuthToken

from console.models import TokenScope
from console.permissions import Act
from ingest.auditlog import record_act
from ingest.core.errors import NotFound, PassgateError
from ingest.db import retry_transaction, write

LONGEST = timedelta(days=400)


class TokenRefused(PassgateError):
    """A token without a name, an end, or with an act that nobody knows."""

    code = "token_refused"
    what = "the token cannot be made"


@dataclass(frozen=True)
class IssuedToken:
    """`secret` is the token itself: it is nowhere else."""

    name: str
    user: str
    acts: tuple[str, ...]
    expires_at: datetime
    secret: str


def issue(user: Any, name: str, expires: timedelta, acts: Collection[str], actor: str) -> IssuedToken:
    """A new token of `user`; `acts` empty: whatever the user's roles allow. Raises TokenRefused."""
    if not name.strip():
        raise TokenRefused(expected="a name", found="none", next_step="say what the token is for")
    if not timedelta(0) < expires <= LONGEST:
        raise TokenRefused(expected=f"an end within {LONGEST.days} days", found=str(expires))
    unknown = sorted(set(acts) - {act.value for act in Act})
    if unknown:
        raise TokenRefused(expected=f"acts among {', '.join(act.value for act in Act)}", found=unknown[0])
    wanted = sorted(set(acts))
    return retry_transaction(lambda: _issue(user, name, expires, wanted, actor))


def _issue(user: Any, name: str, expires: timedelta, wanted: list[str], actor: str) -> IssuedToken:
    with write() as cur:
        AuthToken.objects.filter(user=user, expiry__lt=Now()).delete()  # what is over is of no use to anybody
        token, secret = AuthToken.objects.create(user, expiry=expires)
        TokenScope.objects.create(token=token, name=name.strip(), acts=wanted, created_by=actor)
        detail = {"name": name.strip(), "acts": wanted, "expires_at": token.expiry.isoformat(), "key": token.token_key}
        record_act(cur, actor, "token.create", f"user:{user.get_username()}", detail=detail)
    return IssuedToken(name.strip(), user.get_username(), tuple(wanted), token.expiry, secret)


def listed(user: Any | None = None) -> QuerySet[Any]:
    """Tokens with their scope, the newest first; of one user, or all."""
    tokens = AuthToken.objects.select_related("user", "scope").order_by("-created")
    return tokens.filter(user=user) if user is not None else tokens  # type: ignore[no-any-return]


def revoke(key: str, actor: str) -> int:
    """Ends the tokens with this key; returns how many. Raises NotFound."""
    return retry_transaction(lambda: _revoke(key, actor))


def _revoke(key: str, actor: str) -> int:
    with write() as cur:
        tokens = list(AuthToken.objects.select_related("user").filter(token_key=key.replace("\0", "\ufffd")))
        if not tokens:
            raise NotFound(expected=f"token {key}", found="none", next_step="passgate token list")
        for token in tokens:
            token.delete()
        record_act(cur, actor, "token.revoke", f"user:{tokens[0].user.get_username()}", detail={"key": key})
    return len(tokens)
