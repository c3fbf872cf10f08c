"""Errors of the API: RFC 9457 problem documents with a stable `code`, made from named errors in one place."""

from __future__ import annotations

import logging
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
from console.problems import (
    MEDIA_TYPE,
    BadRequest,
    PermissionUnknown,
    TooLarge,
    Unauthenticated,
    ValueRefused,
    problem_body,
    request_id,
    status_of,
)
from ingest.core.errors import ContractErrors, NotFound, PassgateError, PermissionRefused
from ingest.core.pointer import escape
from ingest.db import DatabaseGone

log = logging.getLogger(__name__)

RETRY_SECONDS = 5
MAX_BODY = 1_048_576
"""Bytes of a request body; the largest useful one names 10,000 quarantine items."""


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
    """One problem document as an answer."""
    body = problem_body(status, code, title, detail=detail, retry=retry, errors=errors, request=request, extra=extra)
    headers = {"Cache-Control": "no-store"}
    if status == 503:
        headers["Retry-After"] = str(RETRY_SECONDS)
    return Response(body, status=status, headers=headers, content_type=MEDIA_TYPE)


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
