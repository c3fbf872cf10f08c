"""Errors of the API: RFC 9457 problem documents with a stable `code`, made from named errors in one place."""

from __future__ import annotations

import logging
import re
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from django.core.exceptions import PermissionDenied, RequestDataTooBig
from django.db import DataError, InterfaceError, OperationalError
from django.http import Http404, HttpRequest
from rest_framework import exceptions as drf
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import set_rollback

from console.permissions import Answer
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
from ingest.core.pointer import escape
from ingest.db import DatabaseGone

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
REQUEST_ID = "X-Request-Id"
RETRY_SECONDS = 5
MAX_BODY = 1_048_576
"""Bytes of a request body; the largest useful one names 10,000 quarantine items."""

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
    "run_id_invalid": 400,
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


def request_id(request: Request | HttpRequest | None) -> str:
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


def problem(
    status: int,
    code: str,
    title: str,
    *,
    detail: str = "",
    retry: bool = False,
    errors: Sequence[tuple[str, str]] = (),
    request: Request | HttpRequest | None = None,
    extra: Mapping[str, Any] | None = None,
) -> Response:
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
    body = _plain(body)
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


def _plain(value: Any) -> Any:
    """Text that is bounded, prints, and can be stored: NUL and half a surrogate pair stand as their codes."""
    if isinstance(value, str):
        return "".join(piece.text for piece in pieces(value, MOST_WORDS, lines=True))
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    return [_plain(inner) for inner in value] if isinstance(value, list) else value


def as_problem(exc: Exception, context: Mapping[str, Any]) -> Response:
    """DRF's exception handler: whatever is raised in a view comes out as a problem document, and nothing else does."""
    set_rollback()
    request: Request | None = context.get("request")
    answer = _response(exc, request)
    if answer.status_code >= 500:
        log.error("api request failed", exc_info=exc, extra={"request_id": request_id(request)})
    return answer


def _response(exc: Exception, request: Request | None) -> Response:
    if isinstance(exc, PassgateError):
        return _named(exc, request)
    if isinstance(exc, Http404):
        return _named(NotFound(), request)
    if isinstance(exc, RequestDataTooBig):
        return _named(TooLarge(expected=f"at most {MAX_BODY} bytes"), request)
    if isinstance(exc, PermissionDenied):
        return problem(403, "permission_denied", "not permitted", detail=str(exc), request=request)
    if isinstance(exc, drf.APIException):
        return _of_framework(exc, request)
    if isinstance(exc, OperationalError | InterfaceError):
        return _named(DatabaseGone(), request)
    if isinstance(exc, DataError | psycopg.DataError):
        return _named(ValueRefused(), request)
    title = "something of ours broke"
    detail = "nothing was changed by it, as far as the answer goes; the log names the cause under the request id"
    return problem(500, "internal_error", title, detail=detail, request=request)


def _named(error: PassgateError, request: Request | None) -> Response:
    parts = {"expected": error.expected, "found": error.found, "next": error.next_step}
    answer = problem(
        status_of(error),
        error.code,
        error.what,
        detail=str(error),
        retry=error.retry,
        errors=_places(error),
        request=request,
        extra={name: text for name, text in parts.items() if text},
    )
    if answer.status_code == 401:
        answer["WWW-Authenticate"] = "Token"
    return answer


def _places(error: PassgateError) -> list[tuple[str, str]]:
    if isinstance(error, BadRequest):
        return list(error.errors)
    if isinstance(error, ContractErrors):
        return [("/" + fault.key.replace(".", "/"), str(fault)) for fault in error.errors]
    return []


_FRAMEWORK_CODES = {
    401: "not_signed_in",
    403: "permission_denied",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "request_too_large",
    415: "media_type_unsupported",
    429: "too_many_requests",
}


def _of_framework(exc: drf.APIException, request: Request | None) -> Response:
    if isinstance(exc, drf.ValidationError):
        return _named(BadRequest(*pointers(exc.detail)), request)
    code = _FRAMEWORK_CODES.get(exc.status_code, "request_invalid")
    answer = problem(exc.status_code, code, str(exc.default_detail), detail=str(exc.detail), request=request)
    if isinstance(exc, drf.NotAuthenticated | drf.AuthenticationFailed):
        answer.status_code = answer.data["status"] = 401
        answer.data["code"], answer.data["type"] = "not_signed_in", "urn:passgate:problem:not_signed_in"
        answer["WWW-Authenticate"] = "Token"
    return answer


def pointers(detail: Any, at: str = "") -> list[tuple[str, str]]:
    """DRF's nested error detail as (JSON Pointer, sentence) pairs."""
    if isinstance(detail, Mapping):
        return [
            pair
            for name, inner in detail.items()
            for pair in pointers(inner, at if name == "non_field_errors" else f"{at}/{escape(str(name))}")
        ]
    if isinstance(detail, list):
        nested = any(isinstance(inner, Mapping | list) for inner in detail)
        return [
            pair for n, inner in enumerate(detail) for pair in pointers(inner, f"{at}/{n}" if nested else at) if inner
        ]
    return [(at, str(detail))]


def refusal(answer: Answer) -> PassgateError:
    """A no of console.permissions as the error the API raises."""
    if answer.code == "not_signed_in":
        return Unauthenticated(next_step="send Authorization: Token …, or sign in")
    if answer.code == "permission_unknown":
        return PermissionUnknown()
    return PermissionRefused(found=answer.reason)
