"""What Kafka is asked for a verdict, a gate and a page, and what is said where it answers little, late or nothing."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta

import pytest

from audit import capture
from audit.close import PassStands, checks_now, close_run, window_of
from audit.core import verdict as v
from audit.core.check import CheckName
from audit.go_on import go_on
from audit.measure import lanes
from audit.now import forget
from ingest.core.errors import BrokerError
from ingest.core.ids import WindowId
from ingest.kafka import FetchResult, LogTruncated, Partition, PartitionReader, Record, Start
from ingest.streams import newest_contract
from tests.audit.test_close import passed
from tests.audit.test_fsck import cheat
from tests.audit.test_gate import broker_away, enforced
from tests.flow.groups import commit
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

# ---- the epoch probe ------------------------------------------------------------------------------------------------

HERE = Partition("t.probed", 0)
READ = Record(5, 1, None, b"", None, None)


@pytest.mark.parametrize(
    ("chunk", "said"),
    [
        (FetchResult(5, 5, 1, at_end=True), ""),
        (FetchResult(5, 6, 1, records=[READ]), ""),
        (FetchResult(5, 5, 1), None),
        (FetchResult(5, 5, 1, fault=LogTruncated(found="the epoch ended at 3")), "the epoch ended at 3"),
        (FetchResult(5, 5, 1, fault=BrokerError(found="away")), None),
        (FetchResult(5, 6, 1, records=[READ], fault=BrokerError(found="away")), None),
        (None, None),
    ],
    ids=["at the end", "a record", "nothing", "truncated", "a fault", "a fault after a record", "silent"],
)
def test_a_log_goes_on_where_a_lane_stands_only_if_it_says_so(
    live: object, monkeypatch: pytest.MonkeyPatch, chunk: FetchResult | None, said: str | None
) -> None:
    """What did not answer is UNMEASURED, never fine."""
    asked: list[float] = []

    def read(self: PartitionReader, most: int, wait: float) -> Mapping[Partition, FetchResult]:
        asked.append(wait)
        assert len(asked) < 100, "it is asked for ever"
        time.sleep(0.01)
        return {} if chunk is None else {HERE: chunk}

    monkeypatch.setattr(PartitionReader, "assign", lambda *_: None)
    monkeypatch.setattr(PartitionReader, "read", read)
    assert capture.probe([Start(*HERE, 5, 1)], timeout=0.3) == {HERE: said}


def test_a_lane_far_behind_is_answered_and_nobody_waits_for_the_time_to_be_over(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(0)])
    flow.work("admission")
    flow.produce([thing(n) for n in range(3000)])
    starts = [start for start in lanes(window_of(flow.name, "r1")) if start.topic == flow.inbox]
    began = time.monotonic()
    assert capture.probe(starts, timeout=30.0) == {Partition(flow.inbox, 0): ""}
    assert time.monotonic() - began < 15


# ---- topics that are not there --------------------------------------------------------------------------------------


def test_a_topic_that_is_gone_is_named_by_verdict_and_gate(flow: Flow) -> None:
    """Gone, and not made again: an answer of Kafka's, and no trouble with it."""
    passed(flow)
    topic = flow.inbox
    flow.admin.delete_topic(topic)
    while flow.admin.topic_id(topic) is not None:
        time.sleep(0.05)
    found = enforced(flow)
    assert found.outcome == "shut" and topic in found.why
    with pytest.raises(PassStands, match=f"now: Window 1 is BLOCKED: {topic}"):
        close_run(flow.name, "r1", "test")


def test_no_topics_are_no_question(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    assert capture.topics([]) == {}


# ---- commits --------------------------------------------------------------------------------------------------------


def test_a_commit_of_somebody_elses_is_not_held_to_be_ours(flow: Flow) -> None:
    """Any client of the group may make one: it says nothing of what our lanes told before they had it."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    commit(flow, flow.inbox, 0, 1)
    captured = capture.capture(newest_contract(flow.name).contract)
    assert captured.committed is not None and captured.committed.value["inbox/0"] == 1
    assert "inbox/0" not in captured.ours
    flow.work()


# ---- snapshots ------------------------------------------------------------------------------------------------------


def test_a_cut_that_another_version_wrote_down_is_not_read(flow: Flow) -> None:
    """S15: in another shape its fields may mean anything."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    with strangers_transaction(flow, thing("strange")):
        flow.produce([thing("late")])
        assert flow.cut().behind
    flow.work()
    win = window_of(flow.name, "r1")
    with cheat(flow) as connection:
        (was,) = connection.execute("SELECT facts FROM snapshot WHERE win = %s AND kind = 'END'", (win,)).fetchone()  # type: ignore[misc]
        other = "UPDATE snapshot SET facts = %s::jsonb WHERE win = %s AND kind = 'END'"
        connection.execute(other, ('{"schema": "passgate.snapshot/9", "broker": 7, "behind": 7}', win))
        try:
            assert flow.cut().behind == ()
            verdict = checks_now(win)
        finally:
            connection.execute(other, (capture.Jsonb(was), win))
    assert verdict.state is not v.State.FAIL
    assert flow.cut().behind


# ---- for pages ------------------------------------------------------------------------------------------------------


def test_a_page_that_is_loaded_twice_asks_kafka_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Until what it says is too old, or older than what somebody wants to know."""
    monkeypatch.setattr(capture, "_RECENT_SECONDS", 600.0)
    win, contract = WindowId(1), newest_contract(flow.name).contract
    first = capture.recent(win, contract, [], 5.0)
    assert first.broker is not None
    assert capture.recent(win, contract, [], 5.0) is first
    assert capture.recent(win, contract, [], 5.0, first.broker.measured_at - timedelta(seconds=1)) is first
    later = capture.recent(win, contract, [], 5.0, first.broker.measured_at + timedelta(microseconds=1))
    assert later is not first
    monkeypatch.setattr(capture, "_RECENT_SECONDS", 0.0)
    assert capture.recent(win, contract, [], 5.0) is not later


def test_a_page_probes_again_after_a_while(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer of the probe stands for some time, and not for ever."""
    monkeypatch.setattr(capture, "_RECENT_SECONDS", 0.0)
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    contract, win = newest_contract(flow.name).contract, window_of(flow.name, "r1")
    starts = lanes(win)
    here = Partition(flow.inbox, 0)

    def seen() -> str | None:
        found = capture.recent(win, contract, starts, 5.0)
        assert found.broker is not None and found.broker.value.inbox is not None
        return found.broker.value.inbox.partitions[0].diverged

    assert seen() == ""
    monkeypatch.setattr(capture, "probe", lambda *_: {here: "truncated"})
    assert seen() == ""
    monkeypatch.setattr(capture, "_PROBED_SECONDS", 0.0)
    assert seen() == "truncated"


def test_a_window_answers_for_no_other_one(flow: Flow) -> None:
    """Where the one lost its bus, the other began on what was created again: their lanes stand on other logs."""
    flow.open()
    flow.produce([thing(number) for number in range(5)])
    flow.work()
    first = window_of(flow.name, "r1")
    flow.admin.delete_topic(flow.bus)
    flow.admin.create_topic(flow.bus, flow.bus_partitions)
    go_on(flow.name, "r1", "test")
    lost = checks_now(first).check(CheckName.BASIS)
    flow.produce([thing(6)])
    flow.work()
    stands = checks_now(window_of(flow.name, "r1", 2)).check(CheckName.BASIS)
    assert lost is not None and stands is not None
    assert lost.cause == f"{flow.bus} was deleted and created again"
    assert stands.cause == ""


def test_a_page_says_that_kafka_is_away_though_it_has_just_answered(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture, "_RECENT_SECONDS", 0.0)
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    win = window_of(flow.name, "r1")
    checks_now(win)
    forget(win)
    with broker_away():
        check = checks_now(win).check(CheckName.CAUGHT_UP)
    assert check is not None and check.state == "UNMEASURED"
