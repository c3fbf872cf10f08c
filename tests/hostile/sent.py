"""Sends the whole table through the real flow, and remembers where everything went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from django.conf import settings
from rest_framework.test import APIClient

from console.tokens import issue
from ingest.core.reason import Decision, Reason
from tests.api.caller import person
from tests.flow.world import CLOUDEVENTS, Flow
from tests.hostile.table import CASES, Case, Fate, thing
from tests.hostile.wire import Raw, produce

JSON = """
contract = 1
stream = "{name}"
[inbox.kafka]
topic = "{name}.inbox"
format = "json"
[inbox.http]
enabled = true
[bus]
topic = "{name}.bus"
partitions = 2
[run]
from = ["header:pg-run", "/run"]
[class]
from = "/type"
[event.thing]
match = "thing"
id = ["/id"]
[close]
discard_max = 1000
"""
_FAR = str(2**63 - 1)


@dataclass(frozen=True)
class Place:
    """Where a case went: source and offset of its record, and the offset of the good event behind it."""

    source: int
    offset: int
    good: int


@dataclass
class Door:
    """One door: a stream for plain JSON and one for CloudEvents, and where each case went by its id."""

    json: Flow
    cloud: Flow
    places: dict[str, Place] = field(default_factory=dict)
    history: list[Any] = field(default_factory=list)
    """What the ledger said of the earlier, closed run before anything hostile came."""

    def flow(self, case: Case) -> Flow:
        return self.cloud if case.cloudevents else self.json


def send_everything() -> dict[str, Door]:
    doors = {name: Door(_flow(JSON), _flow(CLOUDEVENTS)) for name in ("kafka", "http")}
    for door in doors.values():
        _earlier_run(door)
        door.cloud.open("r1")
    _send_to_kafka(doors["kafka"], [case for case in CASES if isinstance(case.kafka, Fate)])
    _send_to_http(doors["http"], [case for case in CASES if isinstance(case.door, Fate)])
    for door in doors.values():
        for flow in (door.json, door.cloud):
            _work(door, flow)
    return doors


def _work(door: Door, flow: Flow) -> None:
    for _ in range(10):
        flow.work(seconds=60.0)
        if _done(door, flow):
            return
    raise AssertionError(f"{flow.name} does not get to its end: {flow.attempts()}")


def _done(door: Door, flow: Flow) -> bool:
    """Every good event has come out at the other end, and with it all that was sent before."""
    last = max(place.good for case in CASES if (place := door.places.get(case.id)) and door.flow(case) is flow)
    decided = flow.decisions("r1")
    offsets = [offset for _, offset, _, _ in flow.receipts("r1")]
    return last in offsets and flow.count("effect") >= decided.count("ADMITTED")


def _flow(contract: str) -> Flow:
    flow = Flow(contract=contract)
    # A broker refuses times in the future unless told otherwise, and deletes by what producers say the time is.
    for name, value in (("message.timestamp.after.max.ms", _FAR), ("retention.ms", "-1")):
        flow.admin.set_topic(flow.inbox, name, value)
    return flow


def _earlier_run(door: Door) -> None:
    """r0 holds one event and is closed with a PASS; r1 is open."""
    flow = door.json
    flow.open("r0")
    flow.produce([thing("earlier")])
    flow.work_until(lambda: flow.count("effect") == 1, seconds=60.0)
    flow.cut("r0")
    flow.work_until(lambda: str(flow.judge("r0").verdict.state) == "PASS", seconds=60.0)
    flow.open("r1")
    door.history = history(flow)


def history(flow: Flow) -> list[Any]:
    """Everything that is written about r0."""
    return [
        tuple(row)
        for table in (
            'SELECT t.* FROM receipt t JOIN batch b ON b.id = t.batch_id WHERE b.run_id = r.id ORDER BY t."offset"',
            "SELECT b.* FROM batch b WHERE b.run_id = r.id",
            "SELECT e.* FROM event e WHERE e.run_id = r.id",
            "SELECT v.* FROM verdict v WHERE v.run_id = r.id",
            "SELECT w.id, w.state, w.revision FROM run_window w WHERE w.run_id = r.id",
        )
        for row in flow.rows(
            f"SELECT x.* FROM stream s JOIN run r ON r.stream_id = s.id AND r.name = 'r0', LATERAL ({table}) x"
            " WHERE s.name = %(name)s"
        )
    ]


def good(case: Case) -> bytes:
    """The event behind a case."""
    if case.cloudevents:
        return b'{"specversion":"1.0","type":"t","source":"/good","id":"%d"}' % CASES.index(case)
    return thing(f"good {CASES.index(case)}")


# ---- Kafka


def _send_to_kafka(door: Door, cases: Sequence[Case]) -> None:
    sources = {flow.name: flow.sources("inbox")[0] for flow in (door.json, door.cloud)}
    for case in cases:
        flow = door.flow(case)
        envelope = [(b"content-type", b"application/cloudevents+json")] if case.cloudevents else []
        before = [Raw(value, b"k", envelope) for value in case.before]
        record = Raw(
            case.value, case.key, [(b"content-type", case.kind.encode()), *case.headers] if envelope else case.headers
        )
        after = Raw(good(case), b"k", envelope)
        at = _produce(flow, [*before, record, after], case) + len(before)
        door.places[case.id] = Place(sources[flow.name], at, at + 1)


def _produce(flow: Flow, records: Sequence[Raw], case: Case) -> int:
    more = {} if case.timestamp is None else {"timestamp": case.timestamp}
    return produce(settings.KAFKA_BOOTSTRAP_SERVERS, flow.inbox, records, case.packed, **more)


# ---- HTTP


def client_for(role: str) -> APIClient:
    client = APIClient()
    secret = issue(person(role), "hostile", timedelta(hours=1), (), "test").secret
    client.credentials(HTTP_AUTHORIZATION=f"Token {secret}")
    return client


def _send_to_http(door: Door, cases: Sequence[Case]) -> None:
    """A request each: what precedes it, the case, and the good event. Lines, or alone where it would not be a line."""
    client = client_for("data engineer")
    for case in cases:
        results = [result for body, kind in _requests(case) for result in _post(client, door.flow(case), body, kind)]
        *before, mine, after = results
        assert [result["decision"] for result in before] == ["ADMITTED"] * len(case.before), case.id
        source, offset = map(int, mine["receipt"].split("/")[-2:])
        door.places[case.id] = Place(source, offset, int(after["receipt"].split("/")[-1]))
        assert isinstance(case.door, Fate)
        assert mine["decision"] == case.door.decision.name, f"{case.id}: {mine}"
        assert mine["reason"] == case.door.reason.name, f"{case.id}: {mine}"


def _requests(case: Case) -> list[tuple[bytes, str]]:
    assert case.value is not None
    if case.cloudevents:
        return [(value, case.kind) for value in (*case.before, case.value, good(case))]
    if b"\n" in case.value or not case.value.strip() or case.value.endswith(b"\r"):
        assert not case.value.startswith(b"["), "an array would be cut into its elements"
        return [(value, "application/json") for value in (*case.before, case.value, good(case))]
    return [(b"\n".join((*case.before, case.value, good(case))), "application/x-ndjson")]


def _post(client: APIClient, flow: Flow, body: bytes, kind: str) -> list[dict[str, Any]]:
    answer = client.post(f"/api/v1/streams/{flow.name}/events", data=body, content_type=kind)
    assert answer.status_code == 200, answer.data
    results: list[dict[str, Any]] = answer.data["results"]
    return results


def fate(flow: Flow, place: Place) -> Fate:
    """What the receipt says."""
    row = flow.rows(
        'SELECT * FROM receipt WHERE source_id = %(s)s AND "offset" = %(o)s', s=place.source, o=place.offset
    )[0]
    return Fate(Decision(row.decision), Reason(row.reason), row.flags)
