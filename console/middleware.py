"""What every request goes through before its view, whichever face it asks: its body whole, or a refusal."""

from __future__ import annotations

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from console.bodies import check_charset, put_stream, read_form
from console.pages.frame.problems import problem
from console.problems import BadRequest, status_of

SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
API = "/api/"


class BodyMiddleware:
    """Puts a stream under every request that acts which cannot end early unnoticed.

    A page's form is read here, before anything looks at it: Django's check of the CSRF token takes a form that cannot
    be read for one without a token. The API reads when it knows who asks; what is wrong is kept until then.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        is_api = request.path_info.startswith(API)
        try:
            check_charset(request)
            if request.method not in SAFE:
                put_stream(request)
                if not is_api:
                    read_form(request)
        except BadRequest as error:
            # Never the one that was asked for. The public setter would decode the query by that one first.
            request._encoding = "utf-8"  # type: ignore[attr-defined]
            if not is_api:
                return problem(request, status_of(error))
            request.passgate_refused = error  # type: ignore[attr-defined]  # Endpoint.initial raises it
        return self._get_response(request)
