"""What a refused or broken request is answered with: named errors, their HTTP statuses, RFC 9457 documents.

The API makes answers of them (console/api/problems.py), pages show their words (console/pages/frame/problems.py).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from console.safe_text import pieces
from ingest.admit.http import NoOpenRun
from ingest.behind import LedgerBehind
from ingest.core.errors import (
    BrokerError,
    ContractErrors,
    GateError,
    NotFound,
    PassgateError,
    PermissionRefused,
    RecordError,
    SettingsError,
)
from ingest.db import DatabaseGone

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "X-Request-Id"
_OUR_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


class BadRequest(PassgateError):
    """The request itself is wrong: `errors` says where (a JSON Pointer into the body, or `?name` for a parameter)."""

    code = "request_invalid"
    what = "the request is not valid"

    def __init__(self, *errors: tuple[str, str], expected: str = "", found: str = "", next_step: str = "") -> None:
        self.errors = errors
        super().__init__(expected=expected, found=found, next_step=next_step)


class TooLarge(BadRequest):
    code = "request_too_large"
    what = "the request body is too large"


class ValueRefused(BadRequest):
    """A value that no column holds: PostgreSQL refused it, so nothing was done with it."""

    code = "value_refused"
    what = "a value of the request cannot be stored or compared"


class Unauthenticated(PassgateError):
    code = "not_signed_in"
    what = "the caller is not known"


class OutOfScope(PermissionRefused):
    """The person may do this, but not with this token."""

    code = "out_of_scope"
    what = "the token may not do this"


class PermissionUnknown(PassgateError):
    """The permission could not be looked up, which is a no for now."""

    code = "permission_unknown"
    what = "permissions could not be looked up, so everything is refused"
    retry = True


# The first that fits counts; every other named error is a refusal of what was asked: 409.
_STATUS: tuple[tuple[type[PassgateError], int], ...] = (
    (TooLarge, 413),
    (BadRequest, 400),
    (Unauthenticated, 401),
    (PermissionRefused, 403),
    (PermissionUnknown, 503),
    (NotFound, 404),
    (ContractErrors, 422),
    (RecordError, 422),
    (DatabaseGone, 503),
    (NoOpenRun, 503),
    (LedgerBehind, 503),
    (BrokerError, 503),
    (GateError, 503),
    (SettingsError, 500),
)


# Where the area of an error says less than its code.
_STATUS_OF_CODE = {
    "run_name_invalid": 400,
    "idempotency_key_reused": 422,
    "media_type_unsupported": 415,
    "too_many_events": 413,
    "length_required": 411,
}

MOST_WORDS = 1_000
"""Characters of any text in a problem. What was sent may stand in it, and comes back no longer than this."""

MOST_ERRORS = 50
"""Faults that are named one by one."""


def status_of(error: PassgateError) -> int:
    """The HTTP status that a named error is answered with."""
    own = _STATUS_OF_CODE.get(error.code)
    return own or next((status for kind, status in _STATUS if isinstance(error, kind)), 409)


def request_id(request: Any) -> str:
    """The caller's own id where it is a plain one, else a new one; the same for the whole request."""
    plain: Any = getattr(request, "_request", request)
    if plain is None:
        return uuid.uuid4().hex
    known: str | None = getattr(plain, "passgate_request_id", None)
    if known is None:
        sent = plain.headers.get(REQUEST_ID, "")
        known = sent if _OUR_ID.fullmatch(sent) else uuid.uuid4().hex
        plain.passgate_request_id = known
    return known


def problem_body(
    status: int,
    code: str,
    title: str,
    *,
    detail: str = "",
    retry: bool = False,
    errors: Sequence[tuple[str, str]] = (),
    request: Any = None,
    extra: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """One problem document. `type` is stable like `code`; members without a value are left out."""
    body: dict[str, Any] = {
        "type": f"urn:passgate:problem:{code}",
        "title": title,
        "status": status,
        "code": code,
        "retry": retry,
        "request_id": request_id(request),
    }
    if detail:
        body["detail"] = detail
    if errors:
        body["errors"] = [{"pointer": pointer, "detail": said} for pointer, said in errors[:MOST_ERRORS]]
    body.update(extra or {})
    found: dict[str, Any] = _plain(body)
    return found


def _plain(value: Any) -> Any:
    """Text that is bounded, prints, and can be stored: NUL and half a surrogate pair stand as their codes."""
    if isinstance(value, str):
        return "".join(piece.text for piece in pieces(value, MOST_WORDS, lines=True))
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value
