"""Every route with the act it needs: a new one, or a changed permission, shows here."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from django.urls import URLPattern

from stack.place import PROJECT

if TYPE_CHECKING:
    from tests.api.caller import Caller

Call = Callable[..., "Caller"]

ROUTES = {
    "GET attempts/": "look",
    "GET attempts/{attempt}": "look",
    "POST attempts/{attempt}/reconcile": "reconcile",
    "GET gate/{stream}": "gate",
    "GET gate/{stream}/{run}": "gate",
    "GET gate/{stream}/{run}/windows/{window}": "gate",
    "GET gate/{stream}/{run}/windows/{window}/reruns/{rerun}": "gate",
    "GET me": "look",
    "GET plans/": "look",
    "POST plans/": "plan",
    "POST plans/preview": "plan",
    "GET plans/{plan}": "look",
    "GET plans/{plan}/items/": "look",
    "POST plans/{plan}/approve": "approve",
    "POST plans/{plan}/decline": "approve",
    "POST plans/{plan}/pause": "steer",
    "POST plans/{plan}/resume": "steer",
    "POST plans/{plan}/cancel": "steer",
    "GET quarantine/": "look",
    "POST quarantine/resolve": "resolve",
    "GET quarantine/{item}": "look",
    "POST quarantine/{item}/resolve": "resolve",
    "GET receipts/": "look",
    "GET receipts/{source}/{offset}": "look",
    "GET schema": "look",
    "GET streams/": "look",
    "GET streams/{stream}": "look",
    "POST streams/{stream}/events": "send",
    "GET streams/{stream}/runs/": "look",
    "GET streams/{stream}/runs/{run}": "look",
    "PUT streams/{stream}/runs/{run}": "open",
    "GET streams/{stream}/runs/{run}/anchors": "look",
    "GET streams/{stream}/runs/{run}/checks": "look",
    "POST streams/{stream}/runs/{run}/close": "close",
    "GET streams/{stream}/runs/{run}/receipts/": "look",
    "POST streams/{stream}/runs/{run}/cut": "cut",
    "POST streams/{stream}/runs/{run}/seal": "cut",
    "GET streams/{stream}/runs/{run}/totals": "look",
    "PUT streams/{stream}/runs/{run}/totals": "totals",
    "GET streams/{stream}/runs/{run}/verdicts/": "look",
    "GET streams/{stream}/runs/{run}/verdicts/{number}": "look",
    "GET streams/{stream}/runs/{run}/windows/": "look",
    "GET streams/{stream}/sources/": "look",
}
VALUES = {
    "stream": "nope",
    "run": "nope",
    "window": "1",
    "rerun": "1",
    "number": "1",
    "item": "1",
    "attempt": "1",
    "plan": "1",
    "source": "1",
    "offset": "1",
}


def patterns() -> Iterator[tuple[str, Any]]:
    from console.api.urls import urlpatterns

    for pattern in urlpatterns:
        assert isinstance(pattern, URLPattern)
        if pattern.name != "unknown":
            yield re.sub(r"<\w+:(\w+)>", r"{\1}", str(pattern.pattern)), pattern.callback.view_class  # type: ignore[attr-defined]


def test_the_list_is_whole(live: object) -> None:
    found = {f"{method} {path}": act.value for path, view in patterns() for method, act in view.acts.items()}
    assert found == ROUTES


def test_a_view_answers_exactly_the_methods_it_names(live: object) -> None:
    for path, view in patterns():
        handlers = {method.upper() for method in ("get", "put", "post", "patch", "delete") if hasattr(view, method)}
        assert handlers == set(view.acts), path


def test_every_post_honours_the_idempotency_key(live: object) -> None:
    for path, view in patterns():
        if "POST" in view.acts:
            assert getattr(view.post, "honours_idempotency_key", False), path


@pytest.mark.parametrize("route", ROUTES)
def test_nobody_is_let_in(call: Call, route: str) -> None:
    method, path = route.split(" ")
    answer = call()(method, path.format(**VALUES))
    assert (answer.status_code, answer.json()["code"]) == (401, "not_signed_in")
    assert answer.headers["WWW-Authenticate"] == "Token"


@pytest.mark.parametrize("role", ["none", "viewer", "operator", "approver", "auditor", "data engineer"])
def test_a_role_may_do_what_people_says(call: Call, role: str) -> None:
    """Whoever may, gets beyond the permission: to a 404, a 400 or a 200. Whoever may not, never does."""
    from console.permissions import ALLOWED, Act, Role

    somebody = call(role)
    for route, act in ROUTES.items():
        method, path = route.split(" ")
        answer = somebody(method, path.format(**VALUES))
        allowed = role != "none" and Role(role) in ALLOWED[Act(act)]
        assert (answer.status_code != 403) == allowed, (role, route, answer.status_code)
        if not allowed:
            assert answer.json()["code"] == "permission_denied"


def test_a_refused_act_is_written_down_and_looking_is_no_act(call: Call) -> None:
    from ingest.models import AuditLog

    viewer, nobody = call("viewer"), call("none")
    viewer.post("streams/nope/runs/r/cut")
    nobody.get("streams/")
    nobody.get("gate/nope/r")
    rows = AuditLog.objects.filter(actor=viewer.name).values_list("act", "subject", "refused")
    assert list(rows) == [("api.cut", "/api/v1/streams/nope/runs/r/cut", True)]
    assert [row.act for row in AuditLog.objects.filter(actor=nobody.name)] == ["api.gate"]


def test_a_method_that_is_not_there(call: Call) -> None:
    ana = call("operator")
    for method, path in (
        ("PUT", "streams/"),
        ("POST", "me"),
        ("DELETE", "streams/nope"),
        ("PATCH", "me"),
        ("OPTIONS", "me"),
    ):
        answer = ana(method, path)
        assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), (method, path)


def test_permissions_that_cannot_be_looked_up_are_a_no(call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    def gone(user: object) -> None:
        raise OperationalError("gone")

    ana = call("operator")
    monkeypatch.setattr("console.permissions.roles_of", gone)
    answer = ana.get("streams/")
    assert (answer.status_code, answer.json()["code"], answer.json()["retry"]) == (503, "permission_unknown", True)
    assert answer.headers["Retry-After"]


def test_the_documentation_lists_every_route_with_its_act() -> None:
    text = (PROJECT / "docs" / "api.md").read_text()
    listed = dict(re.findall(r"^\| `(\w+ [^`]+)` \| (\w+) \|", text, re.MULTILINE))
    assert listed == ROUTES
