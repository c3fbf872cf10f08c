"""One CloudEvent, one form: in binary mode its attributes are part of it, at both doors; the mode changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from rest_framework.test import APIClient

from console.tokens import issue
from ingest.core.reason import Flag, Reason
from tests.api.caller import person
from tests.audit.test_fsck import cheat
from tests.flow.world import CLOUDEVENTS, Flow

MakeFlow = Callable[..., Flow]
STRUCTURED: list[tuple[str, str | bytes | None]] = [("content-type", "application/cloudevents+json")]
DATA = b'{"amount": 1.50, "to": "M\xc3\xbcller"}'
Headers = list[tuple[str, str | bytes | None]]


def binary(**changed: str) -> Headers:
    """A record's headers in binary mode."""
    said = {
        "specversion": "1.0", "id": "7", "source": "/orders", "type": "paid", "subject": "Müller",
        "time": "2013-01-01T10:00:00Z", "traceparent": "00-1", **changed,
    }  # fmt: skip
    return [("content-type", "application/json"), *((f"ce_{name}", text.encode()) for name, text in said.items())]


def structured(**changed: Any) -> bytes:
    """The same event in structured mode, written another way."""
    said = {
        "data": json.loads(DATA), "traceparent": "00-1", "time": "2013-01-01T10:00:00Z", "subject": "Müller",
        "type": "paid", "source": "/orders", "id": "7", "specversion": "1.0", "dataschema": None, **changed,
    }  # fmt: skip
    return json.dumps(said, indent=1).encode()


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    return make_flow(contract=CLOUDEVENTS)


@pytest.fixture
def client(live: object) -> APIClient:
    made = APIClient()
    secret = issue(person("data engineer"), "door", timedelta(hours=1), (), "test").secret
    made.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return made


def became(flow: Flow) -> list[tuple[str, str, bool]]:
    """(decision, reason, whether it is a re-serialisation) of each receipt."""
    rows = flow.rows(
        "SELECT t.decision, t.reason, t.flags FROM receipt t JOIN source c ON c.id = t.source_id"
        ' JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY t.source_id, t."offset"'
    )
    names = {1: "ADMITTED", 2: "DUPLICATE", 3: "QUARANTINED"}
    return [(names[row.decision], Reason(row.reason).name, bool(row.flags & Flag.RESERIALISED)) for row in rows]


ADMITTED = ("ADMITTED", "NONE", False)
SAME = ("DUPLICATE", "NONE", False)
REWRITTEN = ("DUPLICATE", "NONE", True)
OTHER = ("QUARANTINED", "PAYLOAD_MISMATCH", False)


@pytest.mark.parametrize("together", [True, False], ids=["in one batch", "in batches of their own"])
def test_attributes_are_part_of_a_binary_event(flow: Flow, together: bool) -> None:
    flow.open()
    sent: list[tuple[bytes, Headers, tuple[str, str, bool]]] = [
        (DATA, binary(), ADMITTED),
        (DATA, binary(), SAME),
        (DATA, list(reversed(binary())), SAME),
        (DATA, [*binary(), ("x-trace", b"other")], SAME),
        (DATA, binary(subject="Meier"), OTHER),
        (DATA, binary(time="2013-01-01T10:00:01Z"), OTHER),
        (DATA, binary(traceparent="00-2"), OTHER),
        (DATA, binary(more="x"), OTHER),
        (DATA, binary()[1:], REWRITTEN),
        (b'{"to":"M\\u00fcller","amount":1.5}', binary(), REWRITTEN),
        (b'{"amount": 2, "to": "M\xc3\xbcller"}', binary(), OTHER),
    ]
    for value, headers, _ in sent:
        flow.produce([value], headers=headers)
        if not together:
            flow.work("admission")
    flow.work()
    assert became(flow) == [fate for _, _, fate in sent]


def test_an_event_is_compared_with_what_was_erased_as_with_what_nobody_knows(flow: Flow) -> None:
    """Its first bytes are gone: that another form of it says the same cannot be shown, and is not said."""
    flow.open()
    flow.produce([DATA], headers=binary())
    flow.work("admission")
    payload = "UPDATE event SET payload = %s WHERE source_id = ANY(%s)"
    with cheat(flow) as connection:
        connection.execute(payload, (None, flow.sources()))
        flow.produce([structured()], headers=STRUCTURED)
        flow.work("admission")
        connection.execute(payload, (DATA, flow.sources()))
    assert became(flow) == [ADMITTED, OTHER]
    (row,) = flow.rows('SELECT flags FROM receipt WHERE "offset" = 1 AND source_id = ANY(%(s)s)', s=flow.sources())
    assert row.flags & Flag.FIRST_ERASED


def test_the_mode_makes_no_other_event(flow: Flow) -> None:
    flow.open()
    flow.produce([DATA], headers=binary())
    flow.produce([structured(), structured(subject="Meier")], headers=STRUCTURED)
    flow.produce([structured(id="8"), structured(id="8", datacontenttype="application/json")], headers=STRUCTURED)
    flow.produce([DATA], headers=binary(id="8"))
    flow.produce([DATA], headers=binary(id="8", time="2013-01-01T10:00:00.1Z"))
    flow.work()
    assert became(flow) == [ADMITTED, REWRITTEN, OTHER, ADMITTED, REWRITTEN, REWRITTEN, OTHER]


def test_a_binary_event_goes_all_the_way_to_a_pass(flow: Flow) -> None:
    """Its digest is recomputed from the bus, by the lane, by reconciling and by whoever reads it again."""
    flow.open()
    flow.produce([DATA], headers=binary())
    flow.produce([structured(id="8")], headers=STRUCTURED)
    flow.work_until(lambda: flow.count("effect") == 2)
    flow.cut()
    flow.work()
    verdict = flow.judge().verdict
    assert str(verdict.state) == "PASS", verdict
    flow.check()


def post(client: APIClient, flow: Flow, body: bytes, kind: str, **headers: str) -> Any:
    answer = client.post(f"/api/v1/streams/{flow.name}/events", data=body, content_type=kind, **headers)
    assert answer.status_code == 200, answer.data
    return [(r["decision"], r["reason"], "RESERIALISED" in r["flags"]) for r in answer.data["results"]]


def over_http(**changed: str) -> dict[str, str]:
    """The same attributes as HTTP headers, percent-encoded as the HTTP binding asks."""
    said = {
        "specversion": "1.0", "id": "7", "source": "/orders", "type": "paid", "subject": "M%C3%BCller",
        "time": "2013-01-01T10:00:00Z", "traceparent": "00-1", **changed,
    }  # fmt: skip
    return {f"HTTP_CE_{name.upper()}": text for name, text in said.items()}


def test_binary_mode_over_http_is_the_same_event(flow: Flow, client: APIClient) -> None:
    flow.open()
    json_kind = "application/json"
    assert post(client, flow, DATA, json_kind, **over_http()) == [ADMITTED]
    assert post(client, flow, DATA, json_kind, **over_http()) == [SAME]
    assert post(client, flow, DATA, json_kind, **over_http(subject="Meier")) == [OTHER]
    assert post(client, flow, DATA, json_kind, **over_http(subject='"M%C3%BCller"')) == [SAME]
    assert post(client, flow, structured(), "application/cloudevents+json") == [REWRITTEN]
    flow.produce([DATA], headers=binary())
    flow.work("admission")
    assert became(flow).count(SAME) == 3
    assert post(client, flow, DATA, "application/vnd.order+json", **over_http(id="9")) == [ADMITTED]
    kept = flow.rows(
        "SELECT e.headers FROM event e JOIN run r ON r.id = e.run_id JOIN stream s ON s.id = r.stream_id"
        ' WHERE s.name = %(name)s ORDER BY e."offset" LIMIT 1'
    )
    assert b"ce_traceparent" in bytes(kept[0].headers)
    assert post(client, flow, b"[1]", json_kind, **over_http(id="10")) == [("QUARANTINED", "NOT_OBJECT", False)]
    assert post(client, flow, b"x", "text/plain", **over_http(id="11")) == [("QUARANTINED", "CONTENT_TYPE", False)]


def test_an_array_without_attributes_stays_an_array_and_other_media_stay_refused(flow: Flow, client: APIClient) -> None:
    flow.open()
    assert len(post(client, flow, b"[{},{}]", "application/json")) == 2
    answer = client.post(f"/api/v1/streams/{flow.name}/events", data=b"x", content_type="text/plain")
    assert (answer.status_code, answer.data["code"]) == (415, "media_type_unsupported")


def test_a_mismatch_in_an_attribute_is_found_again_by_fsck(flow: Flow) -> None:
    flow.open()
    flow.produce([DATA], headers=binary())
    flow.produce([DATA], headers=binary(subject="Meier"))
    flow.work()
    assert became(flow) == [ADMITTED, OTHER]
    flow.check()
