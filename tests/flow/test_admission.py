"""Admission on real Kafka and PostgreSQL: S5, S8, S9, S19, S20, S25, S26, fences, cuts and gaps."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from ingest.admit import AdmissionLane, lane
from ingest.auditlog import record_act
from ingest.core.errors import LeaseError
from ingest.core.group import group_of
from ingest.core.ledger_rows import packed_headers, unpacked_headers
from ingest.core.record import UNREADABLE_NAME, Reason
from ingest.db import write
from ingest.install import install_id
from ingest.kafka import BusMessage, TransactionalProducer
from ingest.lanes import lease as leases
from ingest.windows import cut_position
from tests.flow.world import CLOUDEVENTS, Flow, thing

MakeFlow = Callable[..., Flow]


def test_every_record_gets_one_receipt_and_duplicates_are_told(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2), thing(1), b"not json", thing(3)])
    flow.work("admission")
    assert flow.decisions() == ["ADMITTED", "ADMITTED", "DUPLICATE", "QUARANTINED", "ADMITTED"]
    assert flow.count("event") == 3
    batch = flow.rows(
        "SELECT b.records, b.admitted, b.duplicates, b.quarantined FROM batch b JOIN run r ON r.id = b.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert [sum(column) for column in zip(*batch, strict=True)] == [5, 3, 1, 1]


def test_s5_the_same_event_in_two_runs_is_admitted_in_each(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(1), thing(1)])
    flow.work()
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing(1)])
    flow.work()
    assert flow.decisions("r1") == ["ADMITTED", "DUPLICATE"]
    assert flow.decisions("r2") == ["ADMITTED"]


def test_s9_receipts_of_one_identity_in_two_runs_are_both_there(flow: Flow) -> None:
    flow.open("r1")
    first = flow.produce([thing(1)])
    flow.work()
    flow.cut("r1")
    flow.open("r2")
    second = flow.produce([thing(1)])
    flow.work()
    assert [(offset) for _, offset, _, _ in flow.receipts()] == first + second


def test_s19_a_lane_starts_at_its_windows_start(flow: Flow) -> None:
    """Records that were there before the run was opened are read: the log's earliest offset, not its latest."""
    flow.produce([thing(n) for n in range(3)])
    flow.open()
    flow.work()
    assert flow.decisions() == ["ADMITTED"] * 3
    assert flow.count("effect") == 3


def test_s20_a_failed_record_neither_crashes_nor_counts_twice(flow: Flow) -> None:
    flow.open()
    flow.produce([b"\xff\xfe", b"\xff\xfe", thing(1)])
    flow.work("admission")
    flow.work("admission")
    assert flow.decisions() == ["QUARANTINED", "QUARANTINED", "ADMITTED"]
    items = flow.rows(
        "SELECT q.reason, q.seen FROM quarantine_item q JOIN source c ON c.id = q.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    assert [(row.reason, row.seen) for row in items] == [(Reason.NOT_UTF8, 1)] * 2


def test_what_comes_into_one_window_changes_no_fact_of_another(flow: Flow) -> None:
    """Else every batch of any stream would have all cut windows judged again."""
    first = flow.open("r1").win
    flow.produce([thing(1)])
    flow.work()
    flow.cut("r1")
    flow.work()
    before = flow.rows("SELECT revision FROM run_window WHERE id = %(win)s", win=first)
    flow.open("r2")
    flow.produce([thing(2)])
    flow.work("admission")
    assert flow.decisions("r2") == ["ADMITTED"]
    assert flow.rows("SELECT revision FROM run_window WHERE id = %(win)s", win=first) == before


def test_what_has_no_bytes_is_set_aside_and_of_what_is_long_the_beginning_is_kept(
    live: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow()  # fsck has the usual bound, and finds what is cut at another
    headers: list[tuple[str, str | bytes | None]] = [("from", b"a test")]
    monkeypatch.setattr(lane, "KEPT_BYTES", len(packed_headers(headers) or b""))
    long = b"x" * lane.KEPT_BYTES
    flow.open()
    flow.produce([None, b"", long, long + b"y"], headers=headers)
    flow.produce([b"short"], headers=[("from", b"another test")])
    flow.work("admission")
    assert [(d.name, r.name) for _, _, d, r in flow.receipts()] == [
        ("QUARANTINED", name) for name in ("TOMBSTONE", "EMPTY", "NOT_JSON", "NOT_JSON", "NOT_JSON")
    ]
    items = flow.rows(
        "SELECT q.value, q.headers, q.detail FROM quarantine_item q JOIN source c ON c.id = q.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY q.offset"
    )
    assert [row.value and bytes(row.value) for row in items] == [None, b"", long, long, b"short"]
    assert ["bytes are kept" in row.detail for row in items] == [False, False, False, True, False]
    assert [unpacked_headers(bytes(row.headers)) for row in items] == [
        *([[("from", b"a test")]] * 4), [(UNREADABLE_NAME, None)],
    ]  # fmt: skip


def test_s25_an_event_of_another_run_is_set_aside(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(1)], run="r1")
    flow.work("admission")
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing(2)], run="r1")
    flow.produce([thing(3)], run="r9")
    flow.produce([thing(4)], run="r2")
    flow.work("admission")
    assert [(d.name, r.name) for _, _, d, r in flow.receipts("r2")] == [
        ("QUARANTINED", "LATE"),
        ("QUARANTINED", "OTHER_RUN"),
        ("ADMITTED", "NONE"),
    ]


def test_s26_another_payload_is_kept_beside_the_first(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1, v="first"), thing(1, v="second"), thing(1, v="second"), thing(1, v="third")])
    flow.work("admission")
    flow.produce([thing(1, v="second")])
    flow.work("admission")
    items = flow.rows(
        "SELECT q.value, q.seen, q.first_offset, e.payload FROM quarantine_item q JOIN event e"
        " ON e.run_id = q.run_id AND e.identity = q.identity"
        " JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s ORDER BY q.offset"
    )
    assert [(json.loads(row.value)["v"], row.seen) for row in items] == [("second", 3), ("third", 1)]
    assert {json.loads(row.payload)["v"] for row in items} == {"first"}
    assert {row.first_offset for row in items} == {0}


def test_a_reserialised_duplicate_is_a_duplicate_and_says_so(flow: Flow) -> None:
    flow.open()
    flow.produce([b'{"type":"thing","id":1,"a":1}', b'{ "a": 1, "id": 1, "type": "thing" }'])
    flow.work("admission")
    assert flow.decisions() == ["ADMITTED", "DUPLICATE"]
    batches = flow.rows(
        "SELECT b.reserialised FROM batch b JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    assert sum(row.reserialised for row in batches) == 1


def lane_of(flow: Flow) -> AdmissionLane:
    lease = leases.take("admission", flow.sources("inbox")[0])
    assert lease is not None
    return AdmissionLane(lease, flow.cluster, flow.admin)


def test_a_fenced_worker_changes_nothing(flow: Flow) -> None:
    """Paused for longer than its lease: on waking its batch is refused whole, and the new owner's stands."""
    flow.open()
    flow.produce([thing(1)])
    sleeper = lane_of(flow)
    sleeper.ahead.fill(2.0, 10, 10_000)
    with pytest.MonkeyPatch.context() as other:
        other.setattr(leases, "owner", lambda: "another:1:abc")
        _expire(flow)
        waker = lane_of(flow)
        assert waker.step(2.0).records == 1
    with pytest.raises(LeaseError):
        sleeper.step(0.1)
    sleeper.close()
    waker.close()
    _expire(flow)
    assert flow.decisions() == ["ADMITTED"]


def _expire(flow: Flow) -> None:
    with write() as cur:
        cur.execute(
            "UPDATE position SET until = clock_timestamp() - interval '1 s'"
            " WHERE lane = 'admission' AND source_id = ANY(%s)",
            (flow.sources("inbox"),),
        )


def test_a_cut_in_the_middle_of_a_read_splits_the_batch_there(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(6)])
    lane = lane_of(flow)
    lane.ahead.fill(3.0, 100, 100_000)
    with pytest.MonkeyPatch.context() as between:  # the cut comes after the worker chose its window
        between.setattr(lane, "_check_topic", lambda: _cut(flow, 4))
        assert lane.step(0.1).records == 0  # what it thought no longer holds: nothing happened
    assert lane.step(0.1).records == 4
    assert lane.step(0.1).idle  # nobody's window yet: it stands still
    flow.open("r2")
    assert lane.step(0.1).records == 2
    lane.close()
    leases.release(lane.lease)
    assert len(flow.decisions("r1")) == 4
    assert len(flow.decisions("r2")) == 2


def _cut(flow: Flow, at: int) -> None:
    """A cut before the log's end, as when records arrive between reading the LSO and the lock."""
    source, win = flow.sources("inbox")[0], flow.position("admission").win
    with write() as cur:
        assert cut_position(cur, source, win, at) == at
        cur.execute("UPDATE window_range SET end_offset = %s WHERE win = %s AND source_id = %s", (at, win, source))
        cur.execute(
            "UPDATE run_window SET state = 'CUT', cut_at = clock_timestamp(), revision = revision + 1 WHERE id = %s",
            (win,),
        )
        cur.execute(
            "UPDATE run SET state = 'CUT', cut_at = clock_timestamp()"
            " WHERE id = (SELECT run_id FROM run_window WHERE id = %s)",
            (win,),
        )
        record_act(cur, "test", "run.cut", f"{flow.name}/r1", detail={"window": 1, "cuts": {"inbox/0": at}})


def test_holes_are_claimed_and_the_position_moves_over_them(flow: Flow) -> None:
    """Markers of transactions take an offset each (K1): between records, and at the end."""
    flow.open()
    producer = TransactionalProducer(flow.cluster, f"{flow.name}.outside")
    producer.init()
    for number in range(2):
        producer.send(flow.inbox, [BusMessage(0, b"k", thing(number), [])])
    producer.destroy()
    flow.work_until(lambda: flow.position("admission").next_offset == 4, "admission")
    assert [(row.from_offset, row.to_offset, row.state) for row in flow.rows(
        "SELECT g.from_offset, g.to_offset, g.state FROM gap g JOIN source c ON c.id = g.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.role = 'inbox' ORDER BY 1"
    )] == [(1, 2, "CLAIMED"), (3, 4, "CLAIMED")]  # fmt: skip
    assert flow.decisions() == ["ADMITTED", "ADMITTED"]


def test_a_recreated_topic_stops_the_lane_by_name(make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.produce([thing(n) for n in range(5)])
    flow.step_once("admission")
    assert flow.position("admission").stopped_code == "topic_changed"
    assert flow.decisions() == ["ADMITTED"]


def test_kafkas_commit_never_runs_ahead(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(10)])
    flow.work("admission")
    committed = flow.admin.committed(group_of(install_id(), flow.name), flow.inbox, [0])[0]
    assert committed.offset == flow.position("admission").next_offset == 10


def test_cloudevents_need_no_mapping_and_their_types_are_bounded(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A producer names the classes of such a stream: beyond a bound they share a number, and stay events apart."""
    monkeypatch.setattr("ingest.streams.MOST_CLASSES", 2)
    flow = make_flow(contract=CLOUDEVENTS)
    flow.open()
    structured = [("content-type", "application/cloudevents+json")]
    for kind in ("a", "b", "c", "d"):
        event = {"specversion": "1.0", "type": kind, "source": "/test", "id": "1", "data": {}}
        flow.produce([json.dumps(event).encode()], headers=list(structured))
    binary = [("ce_specversion", "1.0"), ("ce_type", "a"), ("ce_source", "/test"), ("ce_id", "2")]
    flow.produce([b'{"any": "data"}'], headers=list(binary))
    flow.work()
    assert flow.decisions() == ["ADMITTED"] * 5
    names = flow.rows("SELECT c.name FROM event_class c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s")
    assert {row.name for row in names} == {"a", "b", "(other)"}
    assert flow.count("effect") == 5
