"""The HTTP door on real parts: S24, the same event through both doors, bodies that cannot be read, and its windows."""

from __future__ import annotations

import contextlib
import gzip
import json
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from rest_framework.test import APIClient

from audit.core.snapshot import BASIS
from console.api import events
from console.api.events import MOST_EVENTS
from console.tokens import issue
from ingest.admit import TooManyDisputed
from ingest.admit import http as door
from ingest.admit.http import DoorRecord, receive
from ingest.core.batching import weight
from ingest.core.errors import LeaseError
from ingest.db import DatabaseGone, write
from ingest.lanes import lease as leases
from tests.api.caller import person
from tests.audit.test_fsck import cheat
from tests.flow.world import CLOUDEVENTS, CONTRACT, Flow, thing
from tests.patience import until

MakeFlow = Callable[..., Flow]
GZIP = {"HTTP_CONTENT_ENCODING": "gzip"}
OPEN_DOOR = CONTRACT + "\n[inbox.http]\nenabled = true\n"


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    return make_flow(contract=OPEN_DOOR)


@pytest.fixture
def client(live: object) -> APIClient:
    return signed_in("data engineer")


def signed_in(role: str) -> APIClient:
    made = APIClient()
    made.credentials(HTTP_AUTHORIZATION=f"Token {issue(person(role), 'door', timedelta(hours=1), (), 'test').secret}")
    return made


def post(client: APIClient, flow: Flow, body: bytes, kind: str = "application/json", **headers: Any) -> Any:
    return client.post(f"/api/v1/streams/{flow.name}/events", data=body, content_type=kind, **headers)


def decisions(answer: Any) -> list[str]:
    assert answer.status_code == 200, answer.data
    return [result["decision"] for result in answer.data["results"]]


def array(*events: bytes) -> bytes:
    return b"[" + b",".join(events) + b"]"


def test_decisions_and_receipts_come_back_in_the_order_sent(flow: Flow, client: APIClient) -> None:
    flow.open()
    answer = post(client, flow, array(thing(1), thing(2), thing(1), thing(2, other=True)))
    assert decisions(answer) == ["ADMITTED", "ADMITTED", "DUPLICATE", "QUARANTINED"]
    results = answer.data["results"]
    assert results[3]["reason"] == "PAYLOAD_MISMATCH"
    assert results[3]["first"] == results[1]["receipt"]
    for result in results:
        shown = APIClient()
        shown.credentials(**client._credentials)
        assert shown.get(result["receipt"]).data["decision"] == result["decision"]


def test_a_line_that_is_no_event_gets_a_receipt_and_the_others_are_admitted(flow: Flow, client: APIClient) -> None:
    flow.open()
    lines = b"\n".join([thing(1), b'{"type":"thing","id":NaN}', b"", b"\xff", thing(2)])
    answer = post(client, flow, lines, "application/x-ndjson")
    assert decisions(answer) == ["ADMITTED", "QUARANTINED", "QUARANTINED", "ADMITTED"]


def test_the_whole_flow_from_the_door_to_a_pass(flow: Flow, client: APIClient) -> None:
    """A door's source belongs to the basis, its offsets to the window, and the next run starts where it was cut."""
    flow.open("r1")
    post(client, flow, array(*(thing(n) for n in range(100))))
    flow.produce([thing(n) for n in range(90, 110)])
    flow.work()
    flow.cut("r1")
    flow.work()
    stored = flow.judge("r1")
    assert str(stored.verdict.state) == "PASS", stored.sentence
    assert post(client, flow, array(thing(1))).status_code == 503  # no run is open: its admission stands still
    flow.open("r2")
    assert decisions(post(client, flow, array(thing(1)))) == ["ADMITTED"]
    assert flow.count("effect") == 110


def test_s24_no_2xx_when_the_database_is_gone(flow: Flow, client: APIClient, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    post(client, flow, array(thing(1)))

    def gone(*_: object, **__: object) -> None:
        raise door_gone()

    monkeypatch.setattr(door.AdmissionTransaction, "write_all", gone)
    answer = post(client, flow, array(thing(2)))
    assert answer.status_code == 503
    assert answer["Retry-After"]
    monkeypatch.undo()
    assert decisions(post(client, flow, array(thing(2)))) == ["ADMITTED"]


def door_gone() -> Exception:
    return DatabaseGone(found="the connection ended")


def test_both_doors_at_once_admit_an_event_once(flow: Flow, client: APIClient) -> None:
    """The unique index settles the race; whoever loses does its transaction again and finds a duplicate."""
    flow.open()
    events = [thing(n) for n in range(400)]
    flow.produce(events)
    worker = threading.Thread(target=lambda: flow.work("admission"))
    worker.start()
    sent = [decisions(post(client, flow, array(*events[n : n + 50]))) for n in range(0, 400, 50)]
    worker.join()
    every = flow.decisions()
    assert (every.count("ADMITTED"), every.count("DUPLICATE")) == (400, 400)
    assert sum(len(part) for part in sent) == 400


def test_threads_share_one_door_and_its_offsets_are_dense(flow: Flow) -> None:
    flow.open()

    def send(start: int) -> None:
        for n in range(start, start + 10):
            receive(flow.name, [DoorRecord(0, None, None, thing(n), None)])
        connection.close()

    threads = [threading.Thread(target=send, args=(n * 10,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    rows = flow.rows(
        'SELECT t."offset" FROM receipt t JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id'
        " WHERE s.name = %(name)s AND c.kind = 'door' ORDER BY 1"
    )
    assert [row.offset for row in rows] == list(range(60))


class Waiting:
    """The first request stands still in its transaction while the others come; then it goes on."""

    def __init__(self, flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
        self._flow = flow
        self._in, self._go = threading.Event(), threading.Event()
        self._write_all = write_all = door.AdmissionTransaction.write_all
        self.fails: Callable[[list[bytes]], Exception | None] = lambda values: None

        def held(admission: Any, cur: Any, batch: int) -> Any:
            if not self._in.is_set():
                self._in.set()
                assert self._go.wait(30)
            error = self.fails([record.value for record in admission.poll.records])
            if error is not None:
                raise error
            return write_all(admission, cur, batch)

        monkeypatch.setattr(door.AdmissionTransaction, "write_all", held)

    def send(self, *requests: list[bytes]) -> list[Future[Any]]:
        """What came of each, and the receipts that another connection saw as soon as it was answered."""
        with ThreadPoolExecutor(len(requests)) as pool:
            futures = []
            for number, values in enumerate(requests):
                futures.append(pool.submit(self._request, values))
                if number == 0:
                    assert self._in.wait(30)
                self._until_waiting(number)
            self._go.set()
        return futures

    def _request(self, values: list[bytes]) -> Any:
        try:
            received = receive(self._flow.name, [DoorRecord(0, None, None, value, None) for value in values])
            offsets = [outcome.offset for outcome in received.outcomes]
            with connection.cursor() as cur:
                cur.execute(
                    'SELECT count(*) FROM receipt WHERE source_id = %s AND "offset" = ANY(%s)',
                    [received.source, offsets],
                )
                return received, cur.fetchone()[0]
        finally:
            connection.close()

    def _until_waiting(self, number: int) -> None:
        until(lambda: sum(len(held.commits._waiting) for held in door._doors.values()) == number)


BATCHES = (
    "SELECT b.records, b.from_offset, b.to_offset FROM batch b JOIN source c ON c.id = b.source_id"
    " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY b.from_offset"
)


def test_requests_that_wait_for_one_another_are_one_batch(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each has its own outcomes, in its order, and is answered when all of them are durable."""
    flow.open()
    waiting = Waiting(flow, monkeypatch)
    futures = waiting.send(
        [thing(0)], [thing(1), thing(0)], [thing(2), thing(1), b"no event"], [thing(2, other=True), thing(3)]
    )
    answers = [future.result() for future in futures]
    found = [[(o.offset, o.decision.name) for o in received.outcomes] for received, _ in answers]
    assert found == [
        [(0, "ADMITTED")],
        [(1, "ADMITTED"), (2, "DUPLICATE")],
        [(3, "ADMITTED"), (4, "DUPLICATE"), (5, "QUARANTINED")],
        [(6, "QUARANTINED"), (7, "ADMITTED")],
    ]
    assert [seen for _, seen in answers] == [1, 2, 3, 2]
    assert [(row.from_offset, row.to_offset) for row in flow.rows(BATCHES)] == [(0, 1), (1, 8)]


FEW_A_BATCH = OPEN_DOOR.replace("[limits]", "[limits]\nbatch_records = 3")


def test_a_batch_of_requests_is_no_larger_than_one_of_records(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(contract=FEW_A_BATCH)
    flow.open()
    waiting = Waiting(flow, monkeypatch)
    large = [thing(f"large-{n}") for n in range(5)]
    futures = waiting.send([thing(0)], [thing(1), thing(2)], [thing(3)], [thing(4)], large, [thing(5)])
    assert all(seen == len(received.outcomes) for received, seen in (future.result() for future in futures))
    assert [row.records for row in flow.rows(BATCHES)] == [1, 3, 1, 5, 1]


def test_one_requests_trouble_is_not_that_of_those_beside_it(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    waiting = Waiting(flow, monkeypatch)
    waiting.fails = lambda values: TooManyDisputed(found="much") if thing(2) in values else None
    futures = waiting.send([thing(0)], [thing(1)], [thing(2)], [thing(3)])
    with pytest.raises(door.TooManyEvents):
        futures[2].result()
    assert [futures[n].result()[1] for n in (0, 1, 3)] == [1, 1, 1]
    assert flow.decisions() == ["ADMITTED"] * 3


def test_s24_no_request_of_a_group_is_answered_when_its_commit_was_not(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database is gone: all of them hear it, once, and sending them again admits what is not there yet."""
    flow.open()
    waiting = Waiting(flow, monkeypatch)
    asked: list[int] = []

    def gone(values: list[bytes]) -> Exception | None:
        asked.append(len(values))
        return door_gone() if len(values) > 1 else None

    waiting.fails = gone
    futures = waiting.send([thing(0)], [thing(1)], [thing(2)], [thing(3)])
    for future in futures[1:]:
        with pytest.raises(DatabaseGone):
            future.result()
    assert asked == [1, 3]
    assert flow.decisions() == ["ADMITTED"]
    waiting.fails = lambda values: None
    sent = receive(flow.name, [DoorRecord(0, None, None, thing(n), None) for n in range(4)])
    assert [o.decision.name for o in sent.outcomes] == ["DUPLICATE", "ADMITTED", "ADMITTED", "ADMITTED"]


def test_a_group_whose_door_is_lost_is_sent_again_by_each(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was written under what no longer holds: each request looks for its door and window again."""
    flow.open()
    lost: list[int] = []
    take_offsets = door._take_offsets

    def loses_once(cur: Any, lease: Any, binding: Any, records: int, turn: bool) -> Any:
        if records > 1 and not lost:
            lost.append(records)
            return None
        return take_offsets(cur, lease, binding, records, turn)

    monkeypatch.setattr(door, "_take_offsets", loses_once)
    futures = Waiting(flow, monkeypatch).send([thing(0)], [thing(1)], [thing(2)], [thing(3)])
    assert [future.result()[1] for future in futures] == [1, 1, 1, 1]
    assert lost == [3]
    assert flow.decisions() == ["ADMITTED"] * 4


def test_a_door_that_another_process_took_is_given_up(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle for longer than its lease: the process takes another door, and nothing is written under the old fence."""
    flow.open()
    first = receive(flow.name, [DoorRecord(0, None, None, thing(1), None)])
    with write() as cur:
        cur.execute("UPDATE position SET until = clock_timestamp() WHERE source_id = %s", (first.source,))
    with monkeypatch.context() as other:
        other.setattr(leases, "owner", lambda: "another:1:abc")
        assert leases.take("admission", first.source) is not None
    second = receive(flow.name, [DoorRecord(0, None, None, thing(2), None)])
    assert second.source != first.source
    with write() as cur:
        cur.execute("UPDATE position SET until = clock_timestamp() WHERE source_id = %s", (first.source,))


@pytest.mark.parametrize(
    ("body", "kind", "headers", "status", "code"),
    [
        (b"[1,", "application/json", {}, 400, "body_unreadable"),
        (b"[" * 100_000, "application/json", {}, 400, "body_unreadable"),
        (b"not an array", "application/cloudevents-batch+json", {}, 400, "body_unreadable"),
        (b"{}", "text/plain", {}, 415, "media_type_unsupported"),
        (b"[]", "application/json; charset=utf-7", {}, 415, "media_type_unsupported"),
        (b"[]", "application/json", {"HTTP_CONTENT_ENCODING": "br"}, 415, "media_type_unsupported"),
        (b"nonsense", "application/json", GZIP, 400, "body_unreadable"),
        (gzip.compress(b"[]", mtime=0)[:-4], "application/json", GZIP, 400, "body_unreadable"),
        (gzip.compress(b" " * 50_000_000, mtime=0), "application/json", GZIP, 413, "request_too_large"),
        (b" " * (8 * 1024 * 1024 + 1), "application/json", {}, 413, "request_too_large"),
        (array(*(thing(n) for n in range(1001))), "application/json", {}, 413, "too_many_events"),
    ],
    ids=lambda value: value[:20] if isinstance(value, bytes | str) else None,
)  # fmt: skip
def test_a_body_that_cannot_be_read_is_a_4xx_and_leaves_nothing(
    flow: Flow, client: APIClient, body: bytes, kind: str, headers: dict[str, Any], status: int, code: str
) -> None:
    flow.open()
    answer = post(client, flow, body, kind, **headers)
    assert (answer.status_code, answer.data["code"]) == (status, code)
    assert flow.receipts() == []


def test_gzip_and_cloudevents(make_flow: MakeFlow, client: APIClient) -> None:
    flow = make_flow(contract=CLOUDEVENTS)
    flow.open()
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {"a": 1}}
    batch = json.dumps([event, event, {**event, "id": "2"}]).encode()
    packed = gzip.compress(batch)
    answer = post(client, flow, packed, "application/cloudevents-batch+json", HTTP_CONTENT_ENCODING="gzip")
    assert decisions(answer) == ["ADMITTED", "DUPLICATE", "ADMITTED"]
    assert decisions(post(client, flow, json.dumps(event).encode(), "application/cloudevents+json")) == ["DUPLICATE"]


def test_a_stream_without_a_door_says_so(make_flow: MakeFlow, client: APIClient) -> None:
    flow = make_flow()
    flow.open()
    answer = post(client, flow, array(thing(1)))
    assert (answer.status_code, answer.data["code"]) == (409, "door_closed")


def test_the_same_key_gives_the_same_answer_again(flow: Flow, client: APIClient) -> None:
    flow.open()
    first = post(client, flow, array(thing(1)), HTTP_IDEMPOTENCY_KEY="k1")
    again = post(client, flow, array(thing(1)), HTTP_IDEMPOTENCY_KEY="k1")
    assert decisions(first) == decisions(again) == ["ADMITTED"]
    assert post(client, flow, array(thing(2)), HTTP_IDEMPOTENCY_KEY="k1").status_code == 422


def test_a_viewer_may_not_send(flow: Flow) -> None:
    flow.open()
    assert post(signed_in("viewer"), flow, array(thing(1))).status_code == 403


def test_after_a_lost_race_the_door_takes_turns_for_a_while(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two that bring the same events at once would do everything twice; what is admitted is the same either way."""
    flow.open()
    held: list[int] = []
    turns = {0: 1.0}  # of a run long ended
    monkeypatch.setattr(door, "_turns_until", turns)
    write_all = door.AdmissionTransaction.write_all

    def loses_once(self: Any, cur: Any, batch: int) -> Any:
        held.append(cur.execute(_TURNS_HELD).fetchone().n)
        if len(held) == 2:
            raise psycopg.errors.UniqueViolation("another was first")
        return write_all(self, cur, batch)

    monkeypatch.setattr(door.AdmissionTransaction, "write_all", loses_once)
    sent = [receive(flow.name, [DoorRecord(0, None, None, thing(n), None)]) for n in range(3)]
    assert held == [0, 0, 1, 1]  # the second request is admitted at its second try
    assert [r.outcomes[0].offset for r in sent] == [0, 1, 2]
    assert len(turns) == 1 and 0 not in turns  # what is over is forgotten at the next lost race
    turns.update(dict.fromkeys(turns, 1.0))  # long ago
    receive(flow.name, [DoorRecord(0, None, None, thing(3), None)])
    assert held[-1] == 0


def test_a_door_does_not_wait_long_for_one_that_stands_still(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A web process frozen in its turn: the others go on without turns, for as long as turns would have been taken."""
    flow.open()
    receive(flow.name, [DoorRecord(0, None, None, thing(0), None)])
    (run,) = flow.rows("SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")
    turns = {run.id: time.monotonic() + 60}
    monkeypatch.setattr(door, "_turns_until", turns)
    monkeypatch.setattr(door, "_left_until", {})
    monkeypatch.setattr(door, "TURN_SECONDS", 0.2)
    timeouts: list[str] = []
    write_all = door.AdmissionTransaction.write_all

    def looking(self: Any, cur: Any, batch: int) -> Any:
        timeouts.append(cur.execute("SHOW lock_timeout").fetchone().lock_timeout)
        return write_all(self, cur, batch)

    monkeypatch.setattr(door.AdmissionTransaction, "write_all", looking)
    frozen = connection.copy()
    with contextlib.closing(frozen):
        frozen.set_autocommit(False)
        frozen.cursor().execute("SELECT door_turn(%s)", (run.id,))
        began = time.monotonic()
        receive(flow.name, [DoorRecord(0, None, None, thing(1), None)])
        assert 0.2 <= time.monotonic() - began < 10
        monkeypatch.setattr(door, "TURN_SECONDS", 3600.0)  # nobody waits for it any more
        turns[run.id] = time.monotonic() + 60
        receive(flow.name, [DoorRecord(0, None, None, thing(2), None)])
    monkeypatch.setattr(door, "_left_until", {run.id: 1.0})  # long ago
    receive(flow.name, [DoorRecord(0, None, None, thing(3), None)])  # in its turn: nobody holds it now
    assert timeouts == ["0", "0", "0"], "the wait for a turn alone is bounded"
    assert flow.decisions() == ["ADMITTED"] * 4


#: The turn is the lock of the stream's row; an unlocked row names no transaction of now.
_TURNS_HELD = "SELECT count(*) AS n FROM stream WHERE xmax = pg_current_xact_id()::xid"


def test_a_request_asks_no_more_for_many_events_than_for_few(
    flow: Flow, client: APIClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Statements and reversed paths are counted, not time: neither grows with the events of a request."""
    flow.open()
    post(client, flow, array(thing("first")))
    asked: list[str] = []
    execute, copy = psycopg.Cursor.execute, psycopg.Cursor.copy

    def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        asked.append(str(query)[:80])
        return execute(self, query, *args, **more)

    def copied(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        asked.append(str(query)[:80])
        return copy(self, query, *args, **more)

    monkeypatch.setattr(psycopg.Cursor, "execute", counted)
    monkeypatch.setattr(psycopg.Cursor, "copy", copied)
    reversed_: list[Any] = []
    monkeypatch.setattr(events, "reverse", lambda *args, **more: reversed_.append(args) or "0")
    counts = []
    for name, number in (("few", 2), ("many", 500)):
        asked.clear()
        assert (
            decisions(post(client, flow, array(*(thing(f"{name}-{n}") for n in range(number)))))
            == ["ADMITTED"] * number
        )
        counts.append(len(asked))
    assert counts[0] == counts[1] <= 20, asked
    assert reversed_ == []


@pytest.mark.parametrize(
    ("body", "lines"),
    [
        (b"a\nb\n", [b"a", b"b"]),
        (b"a\r\nb\r", [b"a", b"b"]),
        (b"a\r\r\n\r\n \n\nb", [b"a\r", b"b"]),
        (b"\n" * (MOST_EVENTS + 1) + b"a\r\nb\r", [b"a", b"b"]),
    ],
)
def test_lines_are_cut_the_same_however_many_are_empty(body: bytes, lines: list[bytes]) -> None:
    assert events.LineEvents().cut(body) == lines


# ---- bounds ---------------------------------------------------------------------------------------------------------


def sent(flow: Flow, *values: bytes | None) -> list[str]:
    return [o.decision.name for o in receive(flow.name, [DoorRecord(0, None, None, v, None) for v in values]).outcomes]


def test_a_request_may_bring_just_so_many_events_and_bytes(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(contract=OPEN_DOOR.replace("[limits]", "[limits]\nhttp_events = 2"))
    flow.open()
    assert sent(flow, thing(1), thing(2)) == ["ADMITTED"] * 2
    with pytest.raises(door.TooManyEvents, match="at most 2 events"):
        sent(flow, thing(3), thing(4), thing(5))
    monkeypatch.setattr(door, "BATCH_BYTES", len(thing(3)) * 2)
    assert sent(flow, thing(3), thing(4)) == ["ADMITTED"] * 2
    with pytest.raises(door.TooManyEvents, match="bytes of events"):
        sent(flow, thing(5), thing("x6"))
    assert len(flow.receipts()) == 4


def test_an_event_without_a_value_is_set_aside(flow: Flow) -> None:
    flow.open()
    assert sent(flow, None) == ["QUARANTINED"]


def test_a_request_without_events_changes_nothing(flow: Flow) -> None:
    flow.open()
    assert sent(flow, thing(1)) == ["ADMITTED"]
    before = flow.rows("SELECT * FROM position WHERE source_id = ANY(%(s)s) ORDER BY 1, 2", s=flow.sources())
    assert sent(flow) == []
    assert flow.rows("SELECT * FROM position WHERE source_id = ANY(%(s)s) ORDER BY 1, 2", s=flow.sources()) == before


def test_requests_that_wait_make_no_batch_of_more_bytes_than_one_of_records(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    monkeypatch.setattr(door, "BATCH_BYTES", 2 * weight(DoorRecord(0, None, None, thing(1), None)))
    futures = Waiting(flow, monkeypatch).send(*([thing(n)] for n in range(6)))
    assert [future.result()[1] for future in futures] == [1] * 6
    assert [row.records for row in flow.rows(BATCHES)] == [1, 2, 2, 1]


def test_what_disputes_more_than_one_transaction_compares_is_sent_in_parts(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    assert sent(flow, thing(1), thing(2)) == ["ADMITTED"] * 2
    again = [json.dumps({"id": n, "type": "thing"}).encode() for n in (1, 2)]
    monkeypatch.setattr("ingest.admit.lane.DISPUTED_BYTES", len(thing(1)) + len(thing(2)) - 1)
    with pytest.raises(door.TooManyEvents) as refused:
        sent(flow, *again)
    assert "in parts" in str(refused.value)
    assert len(flow.receipts()) == 2
    monkeypatch.setattr("ingest.admit.lane.DISPUTED_BYTES", len(thing(1)) + len(thing(2)))
    assert sent(flow, *again) == ["DUPLICATE"] * 2
    monkeypatch.setattr("ingest.admit.lane.DISPUTED_BYTES", 1)
    assert sent(flow, again[0]) == ["DUPLICATE"]


def test_a_callers_own_transaction_takes_nobody_elses_events_with_it(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One request is under way; the caller's and another's wait for it. The caller's is taken back."""
    flow.open()
    inside = threading.Event()

    def slow(name: str) -> None:
        if name == "door.before_commit" and not inside.is_set():
            inside.set()
            time.sleep(1.5)

    monkeypatch.setattr(door, "failpoint", slow)

    def another(id_: str, after: float) -> list[str]:
        try:
            time.sleep(after)
            return sent(flow, thing(id_))
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(another, "first", 0.0)
        assert inside.wait(30)
        later = pool.submit(another, "later", 0.7)
        with contextlib.suppress(ZeroDivisionError), transaction.atomic():
            assert sent(flow, thing("mine")) == ["ADMITTED"]
            raise ZeroDivisionError
        assert first.result() == later.result() == ["ADMITTED"]
    assert len(flow.receipts()) == 2
    assert sent(flow, thing("first"), thing("later"), thing("mine")) == ["DUPLICATE", "DUPLICATE", "ADMITTED"]


def test_a_cut_takes_its_doors_into_the_basis(flow: Flow) -> None:
    win = flow.open().win
    assert sent(flow, thing(1)) == ["ADMITTED"]
    flow.cut()
    rows = flow.rows("SELECT why, facts FROM basis WHERE win = %(win)s ORDER BY generation", win=win)
    assert [row.why for row in rows] == ["the window opened", "doors were bound"]
    assert [source["label"] for source in rows[-1].facts["inbox"]] == ["inbox/0", "door/0"]


def test_a_run_is_cut_with_its_door_though_its_basis_cannot_be_read(flow: Flow) -> None:
    """A later version wrote it in another shape: there is nothing to take the door into, and that blocks, later."""
    win = flow.open().win
    assert sent(flow, thing(1)) == ["ADMITTED"]
    shape = "UPDATE basis SET facts = jsonb_set(facts, '{schema}', to_jsonb(%s::text)) WHERE win = %s"
    with cheat(flow) as superuser:
        superuser.execute(shape, ("passgate.basis/9", win))
        try:
            cut = flow.cut()
        finally:
            superuser.execute(shape, (BASIS, win))
    assert cut.cuts == {"inbox/0": 0, "door/0": 1}


# ---- which door -----------------------------------------------------------------------------------------------------


def test_a_process_takes_a_door_that_is_free_before_it_makes_one(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    first = receive(flow.name, [DoorRecord(0, None, None, thing(1), None)])
    with write() as cur:
        cur.execute("UPDATE position SET until = clock_timestamp() WHERE source_id = %s", (first.source,))
    monkeypatch.setattr(leases, "owner", lambda: "another:1:abc")
    assert receive(flow.name, [DoorRecord(0, None, None, thing(2), None)]).source == first.source


def test_a_stream_has_only_so_many_doors(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    monkeypatch.setattr(door, "MOST_DOORS", 1)
    assert sent(flow, thing(1)) == ["ADMITTED"]
    monkeypatch.setattr(leases, "owner", lambda: "another:1:abc")
    with pytest.raises(LeaseError, match="at most 1 doors"):
        sent(flow, thing(2))


def test_a_race_lost_in_one_run_is_remembered_beside_anothers() -> None:
    until_: dict[int, float] = {3: 0.0}
    door._remember(until_, 1)
    door._remember(until_, 2)
    assert sorted(until_) == [1, 2]
