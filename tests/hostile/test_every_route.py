"""Every route, page and API, with hostile values in its path, query, form and body: a 4xx with a reason, never a 5xx.

What is asked is read off the routes and the views themselves, so that a new one is walked without being named here.
"""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote_from_bytes

import pytest
from django.test import Client
from django.urls import URLPattern, get_resolver

from tests.flow.world import Flow

# As bytes, as they stand in a URL or a form.
VALUES = [
    *("²", "1²", "١", "⑦", "9" * 18, "9" * 19, "9" * 20, "9" * 5_000, str(2**31 - 1), str(2**31), str(2**63 - 1),
      str(2**63), "-1", "-0", "+1", "1.0", "1e9", "0x1", "007", "1_000", "", " ", "\n", "\0", "a\0b", "\x1b[31m", "é",
      "e\u0301", "\u202eabc", "\ufeff", "'", '"', "<script>", "{{ 7 }}", "../../etc", "~", "~" + "a" * 16, "a/b", "//",
      "x" * 3_000, "[" * 3_000, "[]", "null", '["\\ud800"]', 'id:["\\ud800"]', f"id:[{2**70}]", f"[{2**70}]",
      "id:²", "id:-²", "offset:²", "offset:" + "9" * 30, "source:²/²", "source:x/" + "9" * 20,
      "a/b#²", "a/b#" + "9" * 30, "a/b@²", "a/²@5", "²@5",
      "a/99999999999@5", "99999999999@5", "a@" + "9" * 30, "99999999999-LATE", "²-LATE",
      "1-LATE", "1/²", "²/1", "99999999999/1", "9" * 64, "f" * 64, "2147483648/5", "a/b/c#1"),
]  # fmt: skip
FEW = [
    "²",
    "9" * 19,
    "9" * 20,
    str(2**63 - 1),
    "\0",
    "a/b#²",
    "²@5",
    '["\\ud800"]',
    "id:²",
    "99999999999-LATE",
    "x" * 3_000,
]
"""What found something once, for the pages that cost most."""

RAW = [
    *(value.encode() for value in VALUES),
    b"\xff",
    b"\xed\xa0\x80",
    b"\xf0\x9f",
    b"\xc0\xaf",
    b"%",
    b"%zz",
    b"%u0000",
]
SOME = [*(value.encode() for value in FEW), b"\xed\xa0\x80"]
CHARSETS = ("utf-7", "unicode_escape", "raw_unicode_escape", "utf-16", "nonsense")
MEMBERS = ("totals", "window", "contract", "pins", "reason", "resolution", "items", "run")
INNER: tuple[Any, ...] = (
    *(None, True, -1, 2**63, 10**400, 1.5, "", "²", "\0", "\ud800", "x" * 200_000, [], [1], [2**63], ["²"], [[]], {}),
    *({"x": 1}, {"x": 2**64}, {"\0": 1}, {"\ud800": 1}, {"x" * 200_000: 1}, {"x": "\0"}, {"version": 2**31}),
    *({"version": "²"}, {"digest": "\0"}, {"x": "a/b#²"}, {"x": "a/b#" + "9" * 30}),
)
REASONS = ("a\0b", "\udfff", "x" * 3_000)
DOCUMENTS = [
    *(b"", b"{}", b"[]", b"null", b"1", b'"x"', b'{"\\u0000": 1}', b'{"\\ud800": 1}', b'{"a": "\\ud800"}', b"\xff"),
    *(json.dumps({name: value}).encode() for name in MEMBERS for value in INNER),
    *(json.dumps({"resolution": "DISCARDED", "reason": reason, "items": [1]}).encode() for reason in REASONS),
]
NAMES = re.compile(
    r"""GET\.get\("(\w+)"|GET\[?"?(\w*)"|number_in\(request, "(\w+)"|(?:POST|given)\.get(?:list)?\("(\w+)\""""
)


@dataclass(frozen=True)
class Route:
    """A route: `parts` are its text and its parameters in turn, `names` what its view may read from a query or form."""

    text: str
    parts: tuple[str, ...]
    names: tuple[str, ...]
    acts: bool
    is_api: bool
    view: Any

    def url(self, **values: str) -> str:
        return "/" + "".join(values[part] if at % 2 else part for at, part in enumerate(self.parts))

    @property
    def parameters(self) -> tuple[str, ...]:
        return self.parts[1::2]


def routes() -> list[Route]:
    return list(_walk(get_resolver().url_patterns, ""))


def _walk(patterns: Any, before: str) -> Iterator[Route]:
    for pattern in patterns:
        text = before + str(pattern.pattern)
        if not isinstance(pattern, URLPattern):
            yield from _walk(pattern.url_patterns, text)
        elif pattern.name != "unknown":
            yield _route(text, pattern.callback)


def _route(text: str, view: Any) -> Route:
    parts = tuple(re.split(r"<\w+:(\w+)>", text))
    api = getattr(view, "view_class", None)
    if text.startswith("api/"):
        return Route(text, parts, tuple(sorted(api.filters)), bool({"POST", "PUT"} & set(api.acts)), True, api)
    source = inspect.getsource(sys.modules[inspect.unwrap(view).__module__ if api is None else api.__module__])
    names = {name for found in NAMES.findall(source) for name in found if name}
    return Route(text, parts, tuple(sorted(names)), True, False, view)


@pytest.fixture(scope="module")
def known(stack: object, django_db_blocker: Any) -> dict[str, str]:
    """Values that lead somewhere, for the parameters that are not the hostile one."""
    from ingest.models import Attempt, QuarantineItem
    from tests.pages.scene import busy, leave_unknown, redriven_again, waiting_plan

    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
        flow = Flow()
        busy(flow, events=10)
        leave_unknown(flow)
        item = QuarantineItem.objects.filter(win__run__stream__name=flow.name).latest("pk")
        attempt = Attempt.objects.latest("pk").pk
        redriven_again(flow, item.pk)
        return {
            "stream": flow.name, "run": "r1", "window": "1", "rerun": "1", "number": str(item.pk), "item": str(item.pk),
            "attempt": str(attempt), "source": str(item.source_id), "offset": str(item.offset),
            "key": f"{item.run_id}-LATE", "plan": str(waiting_plan(Flow())),
        }  # fmt: skip


@pytest.fixture(scope="module")
def client(stack: object, django_db_blocker: Any) -> Client:
    """A person in every role, who does not see our exceptions but what a browser gets."""
    from console.permissions import Role
    from tests.api.caller import person

    with django_db_blocker.unblock():
        made = Client(raise_request_exception=False)
        made.force_login(person(*(role.value for role in Role)))
        return made


def judge(answer: Any, asked: object) -> None:
    assert answer.status_code < 500, (asked, answer.status_code, answer.content[:300])
    if answer.status_code >= 400:
        assert len(answer.content) < 120_000, (asked, len(answer.content))
        if str(asked[1]).startswith("/api/"):  # type: ignore[index]
            assert answer.headers["Content-Type"] == "application/problem+json", asked
            assert answer.json()["code"], asked


PAGES = [route for route in routes() if not route.is_api]
API = [route for route in routes() if route.is_api]


@pytest.mark.parametrize("route", [*PAGES, *API], ids=lambda route: route.text or "now")
def test_hostile_paths(live: object, client: Client, known: dict[str, str], route: Route) -> None:
    for name in route.parameters:
        for value in RAW if "receipts" in route.text else SOME:
            path = route.url(**{**known, name: quote_from_bytes(value, safe="")})
            for method in ("GET", "POST", "PUT") if route.is_api else ("GET",):
                judge(client.generic(method, path, b"", "application/json"), (method, path))


@pytest.mark.parametrize("route", [*PAGES, *API], ids=lambda route: route.text or "now")
def test_hostile_queries(live: object, client: Client, known: dict[str, str], route: Route) -> None:
    path = route.url(**known)
    for name in route.names:
        for value in RAW if route.is_api or route.text == "find" else SOME:
            judge(client.get(f"{path}?{name}={quote_from_bytes(value, safe='')}"), ("GET", path, name, value))
    for charset in CHARSETS:
        for query in ("q=%5Cud800&run=%5Cud800&stream=%5Cud800", "q=+2AA-&run=+2AA-&stream=+2AA-&after=1"):
            kind = f"application/x-www-form-urlencoded; charset={charset}"
            judge(client.generic("GET", path, QUERY_STRING=query, CONTENT_TYPE=kind), ("GET", path, charset))


@pytest.mark.parametrize(
    "route", [route for route in PAGES if "sign-out" not in route.text], ids=lambda route: route.text or "now"
)
def test_hostile_forms(live: object, client: Client, known: dict[str, str], route: Route) -> None:
    path = route.url(**known)
    kind = "application/x-www-form-urlencoded"
    for name in {*route.names, "reason", "username"} - {"next"}:
        for value in SOME:
            body = f"{name}={quote_from_bytes(value, safe='')}".encode()
            judge(client.generic("POST", path, body, kind), ("POST", path, name, value))
    for charset in CHARSETS:
        judge(client.generic("POST", path, b"reason=+2AA-", f"{kind}; charset={charset}"), ("POST", path, charset))
    part = b'--x\r\nContent-Disposition: form-data; name="reason"\r\n\r\n\xed\xa0\x80\0\r\n--x--\r\n'
    for body, how in ((part, "multipart/form-data; boundary=x"), (part[:-9], "multipart/form-data; boundary=x"),
                      (part, "multipart/form-data"), (b"a&" * 5_000, kind)):  # fmt: skip
        judge(client.generic("POST", path, body, how), ("POST", path, how))


@pytest.mark.parametrize("route", [route for route in API if route.acts], ids=lambda route: route.text)
def test_hostile_documents(live: object, client: Client, known: dict[str, str], route: Route) -> None:
    """With an Idempotency-Key the answer is stored, too."""
    method = "POST" if hasattr(route.view, "post") else "PUT"
    path = route.url(**known)
    for at, document in enumerate(DOCUMENTS):
        headers = {"Idempotency-Key": f"{path}{at}"} if at % 2 else {}
        judge(
            client.generic(method, path, document, "application/json", headers=headers), (method, path, document[:80])
        )
    path = route.url(**{**known, "stream": "a%00b", "run": "%ED%A0%80", "item": "1"})
    for document in DOCUMENTS[:10]:
        headers = {"Idempotency-Key": f"{path}{document!r}".replace(" ", "")}
        judge(client.generic(method, path, document, "application/json", headers=headers), (method, path, document))
