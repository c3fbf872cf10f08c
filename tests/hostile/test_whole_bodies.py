"""The same as tests/hostile/test_cut_bodies.py says of the real server, asked of the application alone."""

from __future__ import annotations

import gzip
import json
from datetime import timedelta
from io import BytesIO
from typing import Any

import pytest

from console.bodies import MOST_MEMBERS, BodyCut, BodyUnreadable, PromisedBody, unpacked
from console.problems import TooLarge
from tests.flow.world import Flow, thing
from tests.hostile.sent import JSON


@pytest.fixture
def flow(live: object) -> Flow:
    made = Flow(contract=JSON)
    made.open()
    return made


def post(path: str, body: bytes, length: int, **more: str) -> tuple[int, Any]:
    """(status, document): a request that says `length` and sends `body`."""
    from console.tokens import issue
    from console.wsgi import application
    from tests.api.caller import person

    secret = issue(person("operator", "data engineer"), "test", timedelta(hours=1), (), "test").secret
    environ = {
        "REQUEST_METHOD": "POST", "PATH_INFO": f"/api/v1/{path}", "SERVER_NAME": "127.0.0.1", "SERVER_PORT": "80",
        "QUERY_STRING": "", "wsgi.url_scheme": "http", "wsgi.input": BytesIO(body), "CONTENT_LENGTH": str(length),
        "CONTENT_TYPE": "application/json", "HTTP_AUTHORIZATION": f"Token {secret}", **more,
    }  # fmt: skip
    started: list[str] = []
    answer = b"".join(application(environ, lambda status, headers: started.append(status)))  # type: ignore[arg-type, func-returns-value]
    return int(started[0].split(" ")[0]), json.loads(answer)


def test_a_body_shorter_than_declared_does_nothing(flow: Flow) -> None:
    from ingest.models import Window

    body = json.dumps({"totals": {"thing": 1}}).encode()
    for sent in (b"", body[:10]):
        status, document = post(f"streams/{flow.name}/runs/r1/cut", sent, len(body))
        assert (status, document["code"]) == (400, "body_cut")
    line = thing(1)
    kind = {"CONTENT_TYPE": "application/x-ndjson"}
    assert post(f"streams/{flow.name}/events", line[:-4], len(line), **kind)[1]["code"] == "body_cut"
    assert flow.receipts() == []
    assert Window.objects.get(run__stream__name=flow.name).state == "OPEN"


def test_the_second_member_of_a_gzip_body_is_admitted(flow: Flow) -> None:
    body = gzip.compress(thing("a") + b"\n") + gzip.compress(thing("b") + b"\n")
    how = {"CONTENT_TYPE": "application/x-ndjson", "HTTP_CONTENT_ENCODING": "gzip"}
    status, document = post(f"streams/{flow.name}/events", body, len(body), **how)
    assert (status, [result["decision"] for result in document["results"]]) == (200, ["ADMITTED", "ADMITTED"])


@pytest.mark.parametrize("size", [1, 3, 1_000, -1])
def test_what_is_promised_comes_or_nothing_does(size: int) -> None:
    whole = PromisedBody(BytesIO(b"0123456789"), 8)
    assert b"".join(iter(lambda: whole.read(size), b"")) == b"01234567"
    short = PromisedBody(BytesIO(b"0123"), 8)
    with pytest.raises(BodyCut):
        b"".join(iter(lambda: short.read(size), b""))


def test_a_server_that_hands_out_less_at_a_time_is_asked_again() -> None:
    class Drips(BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            return super().read(min(size or 0, 3))

    assert PromisedBody(Drips(b"0123456789"), 10).read() == b"0123456789"


@pytest.mark.parametrize("step", [1, 20, 65_536, 100_000])
def test_members_are_joined_wherever_they_end(step: int) -> None:
    parts = [b"a" * step, b"", b"b" * 7, b"c" * step]
    assert unpacked(b"".join(gzip.compress(part) for part in parts), 300_000) == b"".join(parts)


def test_what_comes_out_of_gzip_is_bounded() -> None:
    many = gzip.compress(b"") * (MOST_MEMBERS + 1)
    bombs = gzip.compress(b" " * 600) * 2
    for raw in (many, bombs, gzip.compress(b" " * 50_000_000)):
        with pytest.raises(TooLarge):
            unpacked(raw, 1_000)
    assert unpacked(gzip.compress(b" " * 1_000), 1_000) == b" " * 1_000
    for raw in (
        b"",
        gzip.compress(b"x")[:-1],
        gzip.compress(b"x") + b"\0",
        gzip.compress(b"x") + gzip.compress(b"y")[:5],
    ):
        with pytest.raises(BodyUnreadable):
            unpacked(raw, 1_000)
