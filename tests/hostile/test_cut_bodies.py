"""Nothing acts on a body that it did not read whole: on the real server, by raw sockets.

A body in chunks is read to its end; one that ends before its end, by length or by chunk, does nothing at all.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING

import pytest

from tests.api.test_routes import ROUTES, VALUES
from tests.flow.world import Flow, thing
from tests.hostile import raw_http
from tests.hostile.sent import JSON

if TYPE_CHECKING:
    from django.contrib.auth.models import User

ACTS = sorted(route for route in ROUTES if route.startswith(("POST ", "PUT ")))
DOOR = "POST streams/{stream}/events"
NOTHING_TO_SAY = (400, "request_invalid")


@pytest.fixture
def flow(live: object) -> Flow:
    made = Flow(contract=JSON)
    made.open()
    return made


def person() -> User:
    from tests.api.caller import person

    return person("operator", "data engineer", "approver")


@pytest.fixture
def headers(live: object) -> dict[str, object]:
    """Of a person who may do all that is asked here."""
    from datetime import timedelta

    from console.tokens import issue

    secret = issue(person(), "test", timedelta(hours=1), (), "test").secret
    return {"Authorization": f"Token {secret}", "Content-Type": "application/json"}


def place(route: str, **values: str) -> tuple[str, str]:
    method, path = route.split(" ")
    return method, "/api/v1/" + path.format(**{**VALUES, **values})


# ---- every act of the API -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ACTS)
def test_no_act_believes_half_a_body(web: str, headers: Mapping[str, object], route: str) -> None:
    method, path = place(route)
    for sent in (b"", b"{", b"{}", b'{"reason": "as'):
        answer = raw_http.cut(web, method, path, headers, sent, of=40)
        assert (answer.status, answer.code) == (400, "body_cut"), (route, sent, answer.body)


@pytest.mark.parametrize("route", ACTS)
def test_no_act_believes_chunks_without_an_end(web: str, headers: Mapping[str, object], route: str) -> None:
    method, path = place(route)
    for parts in ((), (b"{}",), (b'{"reason": ', b'"as')):
        answer = raw_http.in_chunks(web, method, path, headers, parts, end=False)
        assert (answer.status, answer.code) == (400, "body_cut"), (route, parts, answer.body)
    framed = {**headers, "Transfer-Encoding": "chunked"}
    for broken in (
        b"zz\r\n{}\r\n0\r\n\r\n",
        b"5\r\n{}\r\n0\r\n\r\n",
        b"2\r\n{}0\r\n\r\n",
        b"2\r\n{}\r\n0\r\nno trailer\r\n\r\n",
    ):
        answer = raw_http.exchange(web, method, path, framed, broken)
        assert (answer.status, answer.code) == (400, "body_cut"), (route, broken, answer.body)


@pytest.mark.parametrize("route", sorted(set(ACTS) - {DOOR}))
def test_what_stands_in_chunks_is_read(web: str, headers: Mapping[str, object], route: str) -> None:
    """What no shape knows is refused by name, so it was read."""
    method, path = place(route)
    answer = raw_http.in_chunks(web, method, path, headers, [b'{"non', b'sense": 1}'])
    assert (answer.status, answer.code) == NOTHING_TO_SAY, answer.body
    assert "/nonsense" in [error["pointer"] for error in answer.json()["errors"]]


@pytest.mark.parametrize("route", sorted(set(ACTS) - {DOOR}))
def test_garbage_in_chunks_is_refused(web: str, headers: Mapping[str, object], route: str) -> None:
    method, path = place(route)
    for garbage in (b"garbage", b" ", b"\xff"):
        answer = raw_http.in_chunks(web, method, path, headers, [garbage])
        assert (answer.status, answer.code) == NOTHING_TO_SAY, (garbage, answer.body)


@pytest.mark.parametrize(
    "route", ["POST quarantine/resolve", "POST quarantine/{item}/resolve", "PUT streams/{stream}/runs/{run}/totals"]
)
def test_where_a_body_is_required_none_is_an_error(web: str, headers: Mapping[str, object], route: str) -> None:
    method, path = place(route)
    for more, body in (({}, b""), ({"Content-Length": 0}, b""), ({"Transfer-Encoding": "chunked"}, raw_http.chunked())):
        answer = raw_http.exchange(web, method, path, {**headers, **more}, body)
        assert (answer.status, answer.code) == NOTHING_TO_SAY, answer.body
        assert "a body is expected" in answer.json()["errors"][0]["detail"]


# ---- what must not have happened ------------------------------------------------------------------------------------


def test_totals_in_chunks_are_declared(web: str, flow: Flow, headers: Mapping[str, object]) -> None:
    method, path = place("POST streams/{stream}/runs/{run}/cut", stream=flow.name, run="r1")
    answer = raw_http.in_chunks(web, method, path, headers, [b'{"totals": {"th', b'ing": 100}}'])
    assert answer.status == 200, answer.body
    told = raw_http.exchange(web, "GET", path.replace("/cut", "/totals"), headers)
    assert [(row["event_class"], row["declared"]) for row in told.json()["totals"]] == [("thing", 100)]


def test_half_a_cut_cuts_nothing(web: str, flow: Flow, headers: Mapping[str, object]) -> None:
    method, path = place("POST streams/{stream}/runs/{run}/cut", stream=flow.name, run="r1")
    for sent in (b"", b'{"totals": {"thing"'):
        assert raw_http.cut(web, method, path, headers, sent, of=30).code == "body_cut"
    assert raw_http.in_chunks(web, method, path, headers, [b"{}"], end=False).code == "body_cut"
    run = raw_http.exchange(web, "GET", path.removesuffix("/cut"), headers).json()
    assert [window["state"] for window in run["windows"]] == ["OPEN"]


def test_half_a_line_is_no_record(web: str, flow: Flow, headers: Mapping[str, object]) -> None:
    method, path = place(DOOR, stream=flow.name)
    lines = {**headers, "Content-Type": "application/x-ndjson"}
    whole = thing(1) + b"\n" + thing(2)
    assert raw_http.cut(web, method, path, lines, whole[:-5], of=len(whole)).code == "body_cut"
    assert raw_http.in_chunks(web, method, path, lines, [whole[:20], whole[20:-5]], end=False).code == "body_cut"
    assert flow.receipts() == []
    answer = raw_http.in_chunks(web, method, path, lines, [whole[:20], whole[20:]])
    assert [result["decision"] for result in answer.json()["results"]] == ["ADMITTED", "ADMITTED"]


def test_chunks_above_the_limit_are_not_kept(web: str, flow: Flow, headers: Mapping[str, object]) -> None:
    method, path = place(DOOR, stream=flow.name)
    answer = raw_http.in_chunks(web, method, path, headers, [b" " * 65_536] * 130)
    assert (answer.status, answer.code) == (413, "request_too_large")
    method, path = place("POST streams/{stream}/runs/{run}/cut", stream=flow.name, run="r1")
    answer = raw_http.in_chunks(web, method, path, headers, [b" " * 65_536] * 20)
    assert (answer.status, answer.code) == (413, "request_too_large")


def test_every_member_of_a_gzip_body_is_admitted(web: str, flow: Flow, headers: Mapping[str, object]) -> None:
    """`cat a.gz b.gz` is a gzip file (RFC 1952, 2.2)."""
    method, path = place(DOOR, stream=flow.name)
    packed = {**headers, "Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}
    first, second = gzip.compress(thing("a") + b"\n"), gzip.compress(thing("b") + b"\n")
    body = first + second
    answer = raw_http.exchange(web, method, path, {**packed, "Content-Length": len(body)}, body)
    assert [result["decision"] for result in answer.json()["results"]] == ["ADMITTED", "ADMITTED"]
    for behind in (b"garbage", b"\x1f\x8b", second[:-1], b"\0\0"):
        body = gzip.compress(thing("c") + b"\n") + behind
        answer = raw_http.exchange(web, method, path, {**packed, "Content-Length": len(body)}, body)
        assert (answer.status, answer.code) == (400, "body_unreadable"), (behind, answer.body)
    assert len(flow.receipts()) == 2


@pytest.mark.parametrize("route", sorted(set(ACTS) - {DOOR}))
def test_a_packed_body_is_unpacked_or_refused(web: str, headers: Mapping[str, object], route: str) -> None:
    method, path = place(route)
    body = gzip.compress(b'{"nonsense": 1}')
    packed = {**headers, "Content-Encoding": "gzip", "Content-Length": len(body)}
    answer = raw_http.exchange(web, method, path, packed, body)
    assert (answer.status, answer.code) == NOTHING_TO_SAY
    assert "/nonsense" in [error["pointer"] for error in answer.json()["errors"]]
    bomb = gzip.compress(b" " * 20_000_000)
    answer = raw_http.exchange(web, method, path, {**packed, "Content-Length": len(bomb)}, bomb)
    assert (answer.status, answer.code) == (413, "request_too_large")
    plain = {**headers, "Content-Encoding": "br", "Content-Length": 2}
    assert raw_http.exchange(web, method, path, plain, b"{}").status == 415


# ---- forms ----------------------------------------------------------------------------------------------------------


def signed_in() -> tuple[dict[str, object], str]:
    """The headers of a browser that is signed in, and the token its forms carry."""
    from django.test import Client

    client = Client()
    client.force_login(person())
    client.get("/me/")
    token = "t" * 32
    cookies = f"sessionid={client.cookies['sessionid'].value}; csrftoken={token}"
    return {"Cookie": cookies, "Content-Type": "application/x-www-form-urlencoded"}, token


def window_states(flow: Flow) -> list[str]:
    from ingest.models import Window

    return list(Window.objects.filter(run__stream__name=flow.name).values_list("state", flat=True))


def test_a_form_cut_short_does_nothing(web: str, flow: Flow) -> None:
    browser, token = signed_in()
    path = f"/runs/{flow.name}/r1/cut"
    form = f"csrfmiddlewaretoken={token}&more=abcdef".encode()
    answer = raw_http.cut(web, "POST", path, browser, form[:-3], of=len(form))
    assert answer.status == 400, answer.body[:300]
    answer = raw_http.in_chunks(web, "POST", path, browser, [form[:-3]], end=False)
    assert answer.status == 400
    assert window_states(flow) == ["OPEN"]
    answer = raw_http.in_chunks(web, "POST", path, browser, [form[:9], form[9:]])
    assert answer.status == 302, answer.body[:300]
    assert window_states(flow) != ["OPEN"]


def test_a_form_is_bounded(web: str, live: object) -> None:
    """The sign-in form shows the name again: what comes back is not as long as whatever was sent."""
    browser, token = signed_in()
    browser = {"Content-Type": browser["Content-Type"], "Cookie": f"csrftoken={token}"}
    form = f"csrfmiddlewaretoken={token}&password=x&username={'n' * 2_000_000}".encode()
    for answer in (
        raw_http.exchange(web, "POST", "/sign-in/", {**browser, "Content-Length": len(form)}, form),
        raw_http.in_chunks(web, "POST", "/sign-in/", browser, [form]),
    ):
        assert answer.status == 413
        assert len(answer.body) < 20_000
    form = f"csrfmiddlewaretoken={token}&password=x&username={'n' * 30_000}".encode()
    answer = raw_http.exchange(web, "POST", "/sign-in/", {**browser, "Content-Length": len(form)}, form)
    assert len(answer.body) < 20_000


def test_a_form_that_is_packed_or_in_another_charset_is_refused(web: str, live: object) -> None:
    browser, token = signed_in()
    form = f"csrfmiddlewaretoken={token}&theme=dark".encode()
    long = {**browser, "Content-Length": len(form)}
    assert raw_http.exchange(web, "POST", "/me/theme", long, form).status == 302
    assert raw_http.exchange(web, "POST", "/me/theme", {**long, "Content-Encoding": "gzip"}, form).status == 415
    other = {**long, "Content-Type": "application/x-www-form-urlencoded; charset=utf-7"}
    assert raw_http.exchange(web, "POST", "/me/theme", other, form).status == 415


CHARSETS = ("utf-7", "unicode_escape", "hex", "base64_codec", "utf-16", "nonsense", "utf-8\"; x*=nonsense'en'%41")


@pytest.mark.parametrize("charset", CHARSETS)
def test_nothing_is_decoded_by_a_charset_that_the_client_names(web: str, live: object, charset: str) -> None:
    """Nor is the query, which no body's charset has to do with: \\ud800 stays what it is."""
    browser, _ = signed_in()
    for path in ("/find?q=%5Cud800&+2AA-", "/api/v1/me?%5Cud800=1"):
        for kind in ("application/json", "application/x-www-form-urlencoded"):
            answer = raw_http.exchange(web, "GET", path, {**browser, "Content-Type": f"{kind}; charset={charset}"})
            assert answer.status == 415, (path, kind, answer.body[:200])


def test_a_server_that_cannot_tell_the_end_asks_for_the_length(live: object) -> None:
    """Where `wsgi.input` has no end of its own, reading on would wait for a client that sends nothing more."""
    from io import BytesIO

    from console.wsgi import application

    started: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": "/api/v1/streams/a/runs/b/cut", "SERVER_NAME": "127.0.0.1",
        "SERVER_PORT": "80", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(b'{"a": 1}'), "QUERY_STRING": "",
        "HTTP_TRANSFER_ENCODING": "chunked", "CONTENT_TYPE": "application/json",
    }  # fmt: skip
    body = b"".join(application(environ, lambda status, headers: started.append(status)))  # type: ignore[arg-type, func-returns-value]
    assert started[0].startswith("411")
    assert json.loads(body)["code"] == "length_required"
