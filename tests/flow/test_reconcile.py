"""Fence first, then look: PRESENT, ABSENT, PARTIAL, UNDECIDABLE, and who asked."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager

import pytest

from ingest.core.errors import NotFound
from ingest.core.lane import WaitsForSilence
from ingest.core.reconciliation import WaitReason
from ingest.db import ConstraintViolated, write
from ingest.kafka import BusMessage, TransactionalProducer
from ingest.lanes.lease import release, take
from ingest.publish import PublishLane
from ingest.publish.reconcile import request, request_run, unsettled_of
from tests.flow.bus import Send, answer_lost, half_sent, never_sent, once, open_transaction, places, read_bus, scans
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]
Fault = Callable[[Send, TransactionalProducer, str, object], object]


def unknown(flow: Flow, monkeypatch: pytest.MonkeyPatch, fault: Fault, events: int = 10) -> None:
    """One attempt of `events` events whose outcome nobody knows."""
    flow.open()
    flow.produce([thing(n) for n in range(events)])
    flow.work_until(lambda: len(flow.decisions()) == events, "admission")
    once(monkeypatch, fault)  # type: ignore[arg-type]
    flow.work_until(lambda: flow.attempts()[:1] in (["UNKNOWN"], ["ACKED"], ["ABSENT"], ["PARTIAL"]), "publish")


@pytest.mark.parametrize(
    ("fault", "answer", "states"),
    [
        (answer_lost, "PRESENT", ["ACKED"]),
        (never_sent, "ABSENT", ["ABSENT", "ACKED"]),
        (half_sent, "PARTIAL", ["PARTIAL", "ACKED"]),
    ],
)
def test_the_lane_settles_by_itself_and_every_event_lies_on_the_bus_once(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, fault: Fault, answer: str, states: list[str]
) -> None:
    unknown(flow, monkeypatch, fault)
    flow.work_until(lambda: flow.attempts() == states)
    (scan,) = scans(flow)
    assert scan.answer == answer
    assert scan.asked_by == "the contract: reconcile.automatic"
    assert (scan.expected, scan.found, scan.why) == (10, {"PRESENT": 10, "ABSENT": 0, "PARTIAL": 5}[answer], None)
    assert scan.fenced_at <= scan.started_at <= scan.ended_at
    assert all(part["lo"] <= part["hi"] == part["ended_at"] for part in scan.partitions)
    assert len(places(flow)) == 10
    flow.work_until(lambda: flow.count("effect") == 10)
    assert sum(map(len, read_bus(flow).values())) == 10


def test_nothing_later_is_published_while_an_attempt_is_unsettled(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(automatic="false")
    unknown(flow, monkeypatch, never_sent)
    flow.produce([thing("later")])
    flow.work("admission", "publish", seconds=4)
    assert flow.attempts() == ["UNKNOWN"]
    assert scans(flow) == []
    assert sum(map(len, read_bus(flow).values())) == 0


def test_a_person_asks_and_the_lanes_owner_serves(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make_flow(automatic="false", after="1h")
    unknown(flow, monkeypatch, answer_lost)
    flow.work("publish", seconds=3)
    assert flow.attempts() == ["UNKNOWN"]
    (attempt,) = request_run(flow.name, "r1", "ana")
    assert not request(attempt, "ben")  # the same request
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")
    (scan,) = scans(flow)
    assert (scan.answer, scan.asked_by) == ("PRESENT", "ana")
    waiting = flow.rows(
        "SELECT count(*) AS n FROM reconcile_request WHERE attempt_id = %(a)s AND served_at IS NULL", a=attempt
    )
    assert waiting[0].n == 0
    assert request_run(flow.name, "r1", "ana") == []


def test_silence_is_waited_for(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes the lane before: `work` alone would not take one that rests."""
    flow = make_flow(after="1h")
    unknown(flow, monkeypatch, never_sent)
    with publish_lane(flow) as lane, pytest.raises(WaitsForSilence):
        lane.step(0.2)
    assert (flow.attempts(), scans(flow)) == (["UNKNOWN"], [])


def test_an_open_transaction_before_the_end_is_waited_for(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's transaction stands on the bus: no answer until it ends, and then the true one."""
    with open_transaction(flow):
        unknown(flow, monkeypatch, answer_lost)
        flow.work("publish", seconds=5)
        assert flow.attempts() == ["UNKNOWN"]
        assert scans(flow) == []
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


@contextmanager
def publish_lane(flow: Flow) -> Iterator[PublishLane]:
    lease = take("publish", flow.sources("inbox")[0])
    assert lease is not None
    lane = PublishLane(lease, flow.cluster, flow.admin)
    try:
        yield lane
    finally:
        lane.close()
        release(lease)


def steps_until(flow: Flow, lane: PublishLane, states: list[str], seconds: float = 20.0) -> int:
    """Returns how many records were made durable."""
    until, records = time.monotonic() + seconds, 0
    while flow.attempts() != states and time.monotonic() < until:
        records += lane.step(0.2).records
    assert flow.attempts() == states
    return records


def test_a_transaction_that_begins_later_is_not_waited_for(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others publish on: an end that moved with them would never be reached."""
    with ExitStack() as before:
        before.enter_context(open_transaction(flow))
        unknown(flow, monkeypatch, answer_lost)
        time.sleep(1.0)  # of silence
        with publish_lane(flow) as lane:
            lane.step(0.2)
            assert (flow.attempts(), scans(flow)) == (["UNKNOWN"], [])
            with open_transaction(flow, "later"):
                before.close()
                steps_until(flow, lane, ["ACKED"])


def test_a_scan_that_takes_long_is_no_open_transaction(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The lane keeps what it has begun to read, however long ago it began."""
    unknown(flow, monkeypatch, answer_lost)
    time.sleep(1.0)
    monkeypatch.setattr("ingest.publish.lane._TRANSACTION_SECONDS", -1.0)
    monkeypatch.setattr("ingest.publish.reconcile.STEP_SECONDS", 0.0)
    with publish_lane(flow) as lane:
        assert lane.step(0.2).keep
        assert steps_until(flow, lane, ["ACKED"]) == 10


def test_a_bus_that_was_cut_to_where_an_attempt_began_answers_nothing(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins and ends there, and its epoch is another one: what is not there now may have been."""
    unknown(flow, monkeypatch, never_sent)
    monkeypatch.setattr("ingest.publish.reconcile.probe_epoch", lambda *_: "the epoch ended at 0")
    flow.work_until(lambda: flow.attempts() == ["UNDECIDABLE"], "publish")
    assert "EPOCH: partition" in scans(flow)[0].why


def test_a_scan_that_takes_longer_than_the_contract_reads_is_undecidable(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(after='1s"\nscan_timeout = "1s')
    unknown(flow, monkeypatch, answer_lost)
    time.sleep(1.0)  # of silence
    with publish_lane(flow) as lane:
        assert lane.step(0.2).keep
        time.sleep(1.1)
        steps_until(flow, lane, ["UNDECIDABLE"])
    assert "beyond 0:00:01" in scans(flow)[0].why


def test_nobody_asks_about_an_attempt_that_is_not_there(flow: Flow) -> None:
    with pytest.raises(NotFound):
        request(2**40, "ana")


def test_a_log_that_no_longer_reaches_back_is_undecidable_and_the_lane_waits_for_people(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lose(send: Send, producer: TransactionalProducer, topic: str, messages: list[BusMessage]) -> object:
        outcome = answer_lost(send, producer, topic, messages)
        ends = flow.admin.ends(topic, range(flow.bus_partitions))
        flow.admin.delete_records(topic, {p: end.hw or 0 for p, end in ends.items() if end.hw})
        return outcome

    unknown(flow, monkeypatch, lose)  # type: ignore[arg-type]
    flow.work_until(lambda: flow.attempts() == ["UNDECIDABLE"], "publish")
    (scan,) = scans(flow)
    assert scan.answer == "UNDECIDABLE"
    assert "LOG_START: partition" in scan.why
    assert "EPOCH" not in scan.why  # that there is nothing to be read says nothing of another epoch
    undecidable = unsettled_of(flow.sources("inbox")[0])
    assert undecidable is not None and undecidable.due(automatic=True, after=0.0) == (WaitReason.REQUEST, 0.0)
    flow.work("publish", seconds=3)
    assert len(scans(flow)) == 1
    request_run(flow.name, "r1", "ana")
    flow.work_until(lambda: len(scans(flow)) == 2, "publish")
    assert flow.attempts() == ["UNDECIDABLE"]


def test_an_absent_attempt_waits_for_a_plan_where_the_contract_says_so(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(after='1s"\nrepublish = "plan')
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    flow.produce([thing("later")])
    flow.work("admission", "publish", seconds=4)
    assert flow.attempts() == ["ABSENT"]  # nothing overtakes what waits


def test_nothing_leaves_unknown_without_a_scan_under_a_newer_fence(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """I6, refused by the database whoever asks."""
    flow = make_flow(automatic="false")
    unknown(flow, monkeypatch, never_sent)
    for state in ("ACKED", "ABSENT", "PARTIAL", "UNDECIDABLE"):
        with pytest.raises(ConstraintViolated) as refused, write() as cur:
            cur.execute("UPDATE attempt SET state = %s WHERE source_id = ANY(%s)", (state, flow.sources("inbox")))
        assert refused.value.constraint == "attempt_needs_fence_evidence"
