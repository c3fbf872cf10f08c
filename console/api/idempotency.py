"""`Idempotency-Key`: an act asked for twice under one key is done once, and its answer is given again.

409 while the first is running, 422 when the key comes with another request. What may change by waiting (5xx, and
refusals that say `retry`) is not kept: the same key may be sent again. A first one that never ended (its process died)
counts as running for ABANDONED; the acts themselves are refused by the database when they are done a second time.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from console.api.endpoint import Endpoint
from console.api.problems import as_problem
from console.models import IdempotencyKey
from console.problems import MEDIA_TYPE, BadRequest
from ingest.core.errors import PassgateError

HEADER = "Idempotency-Key"
REPLAYED = "Idempotency-Replayed"
KEPT = timedelta(hours=24)
ABANDONED = timedelta(minutes=2)
SWEPT = 200
"""Old keys that one act deletes on its way, so that the table stays bounded without a job of its own."""

_KEY = re.compile(r"[!-~]{1,255}")
_KEPT_HEADERS = ("Location",)

V = TypeVar("V", bound=Endpoint)
P = ParamSpec("P")
Handler = Callable[Concatenate[V, Request, P], Response]


class KeyRunning(PassgateError):
    code = "idempotency_key_running"
    what = "the first request with this Idempotency-Key is still running"
    retry = True


class KeyReused(PassgateError):
    code = "idempotency_key_reused"
    what = "this Idempotency-Key was sent with another request"


def once(handler: Handler[V, P]) -> Handler[V, P]:
    """A POST handler that honours the key, where one is sent."""

    @functools.wraps(handler)
    def answered(self: V, request: Request, *args: P.args, **kwargs: P.kwargs) -> Response:
        key = request.headers.get(HEADER)
        if key is None:
            return handler(self, request, *args, **kwargs)
        row, kept = _begin(request, key)
        if kept is not None:
            return kept
        try:
            answer = handler(self, request, *args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the answer to it is what the key stands for
            answer = as_problem(error, {"request": request})
        _end(row, answer)
        return answer

    answered.honours_idempotency_key = True  # type: ignore[attr-defined]
    return cast("Handler[V, P]", answered)


def _begin(request: Request, key: str) -> tuple[IdempotencyKey, Response | None]:
    """This request's row to work under, or the answer that an earlier one left."""
    if not _KEY.fullmatch(key):
        raise BadRequest((HEADER, "1 to 255 visible ASCII characters are expected"))
    digest = digest_of(request)
    _sweep()
    try:
        with transaction.atomic():
            return IdempotencyKey.objects.create(user_id=_asker(request), key=key, request_digest=digest), None
    except IntegrityError:
        return _earlier(request, key, digest)


def _earlier(request: Request, key: str, digest: bytes) -> tuple[IdempotencyKey, Response | None]:
    row = IdempotencyKey.objects.filter(user_id=_asker(request), key=key).first()
    if row is None:  # swept, or given back, since our insert was refused
        raise KeyRunning(next_step="send it again")
    if bytes(row.request_digest) != digest:
        raise KeyReused(expected="the same method, path and body", next_step="use a new key for a new request")
    if row.status is not None:
        return row, _replayed(row)
    if not _take_over(row):
        raise KeyRunning(next_step="wait for its answer, then send it again")
    return row, None


def _take_over(row: IdempotencyKey) -> bool:
    """Compare-and-set: of two that find a row abandoned, one goes on."""
    abandoned = IdempotencyKey.objects.filter(pk=row.pk, status=None, started_at__lt=Now() - ABANDONED)
    return abandoned.update(started_at=Now()) == 1


def _replayed(row: IdempotencyKey) -> Response:
    kind = MEDIA_TYPE if (row.status or 0) >= 400 else None
    return Response(row.body, status=row.status, headers={**row.headers, REPLAYED: "true"}, content_type=kind)


def _end(row: IdempotencyKey, answer: Response) -> None:
    mine = IdempotencyKey.objects.filter(pk=row.pk, status=None)
    if answer.status_code >= 500 or (answer.status_code >= 400 and answer.data.get("retry")):
        mine.delete()
        return
    headers = {name: answer[name] for name in _KEPT_HEADERS if name in answer}
    mine.update(status=answer.status_code, headers=headers, body=json.loads(JSONRenderer().render(answer.data)))


def _sweep() -> None:
    """SKIP LOCKED: two that sweep at once take different rows, and neither waits."""
    with transaction.atomic():
        old = IdempotencyKey.objects.filter(started_at__lt=Now() - KEPT).select_for_update(skip_locked=True)
        IdempotencyKey.objects.filter(pk__in=list(old.values_list("pk", flat=True)[:SWEPT])).delete()


def digest_of(request: Request) -> bytes:
    """SHA-256 over method, path and body; the body by its meaning: white space makes no other request."""
    said: Any = [request.method, request.get_full_path(), request.data]
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=_digested).encode()).digest()


def _digested(raw: bytes) -> str:
    """Bytes of a body that was only cut and not read."""
    return hashlib.sha256(raw).hexdigest()


def _asker(request: Request) -> int:
    """Keys are of a person: another's same key is another key."""
    assert request.user.pk is not None
    return int(request.user.pk)
