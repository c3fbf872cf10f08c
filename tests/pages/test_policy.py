"""The kept policy is django-csp's own, on every answer, and never a different one than a view asked for."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from csp.constants import HEADER, NONCE, SELF
from csp.decorators import csp_exempt, csp_replace, csp_update
from csp.exceptions import CSPNonceError
from csp.middleware import CSPMiddleware
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings

from console.csp import PolicyMiddleware

View = Callable[[HttpRequest], HttpResponse]


def plain(request: HttpRequest) -> HttpResponse:
    return HttpResponse("", status=404)


def with_nonce(request: HttpRequest) -> HttpResponse:
    return HttpResponse(str(request.csp_nonce))  # type: ignore[attr-defined]


def with_own(request: HttpRequest) -> HttpResponse:
    return HttpResponse("", headers={HEADER: "sandbox"})


def words(policy: str | None) -> set[str] | None:
    return None if policy is None else set(policy.split("; "))


@pytest.mark.parametrize("debug", [False, True])
@pytest.mark.parametrize(
    "view",
    [
        plain,
        with_own,
        csp_exempt()(plain),
        csp_update({"img-src": "data:"})(plain),
        csp_replace({"img-src": SELF})(plain),
    ],
)
def test_an_answer_has_the_policy_that_django_csp_gives_it(view: View, debug: bool) -> None:
    request = RequestFactory().get("/")
    with override_settings(DEBUG=debug):
        theirs, ours = (kind(view)(request) for kind in (CSPMiddleware, PolicyMiddleware))
    assert words(ours.headers.get(HEADER)) == words(theirs.headers.get(HEADER))


def test_a_nonce_is_in_the_policy_of_its_own_answer_only() -> None:
    view = csp_update({"script-src": [NONCE]})(with_nonce)
    first, second = (PolicyMiddleware(view)(RequestFactory().get("/")) for _ in range(2))
    assert f"'nonce-{first.content.decode()}'" in first.headers[HEADER]
    assert f"'nonce-{second.content.decode()}'" in second.headers[HEADER]
    assert first.content != second.content
    assert "nonce" not in PolicyMiddleware(plain)(RequestFactory().get("/")).headers[HEADER]


def test_a_nonce_asked_for_too_late_is_an_error() -> None:
    request = RequestFactory().get("/")
    PolicyMiddleware(plain)(request)
    with pytest.raises(CSPNonceError):
        str(request.csp_nonce)  # type: ignore[attr-defined]
