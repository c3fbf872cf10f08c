"""Closing on real Kafka and PostgreSQL: what passes, what blocks, who wins, and what nobody can clear."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit import capture, close, now
from audit.close import (
    AnotherCloser,
    NotCut,
    WindowFailed,
    checks_now,
    close_due,
    close_run,
    judge,
    store,
    window_of,
)
from audit.core import checks as c
from audit.core import verdict as v
from audit.cut import TotalsInvalid, TotalsRequired
from audit.open import AnotherRunOpen, ContextNotPassed, RunConflict, RunNameInvalid, TopicUnusable, open_run
from ingest.core.errors import BrokerError, NotFound
from ingest.db import ConstraintViolated
from ingest.kafka import BusMessage, PlainProducer, TransactionalProducer
from ingest.models import Resolution
from ingest.quarantine import resolve
from tests.flow.world import CONTRACT, Flow, thing

MakeFlow = Callable[..., Flow]
JOINING = CONTRACT.replace("[limits]", '[context.other]\nstream = "{name}x"\non = {{ "/id" = "/id" }}\n[limits]')


def passed(flow: Flow, run_name: str = "r1", events: int = 5) -> close.StoredVerdict:
    """A run of a few events, carried through to its PASS."""
    flow.open(run_name)
    flow.produce([thing(f"{run_name}-{n}") for n in range(events)])
    flow.work()
    flow.cut(run_name)
    flow.work()
    return flow.judge(run_name)  # type: ignore[no-any-return]


def states(verdict: v.Verdict) -> dict[str, str]:
    return {str(check.name): str(check.state) for check in verdict.checks}


def test_a_run_that_is_all_there_passes(flow: Flow) -> None:
    stored = passed(flow)
    assert stored.name == f"{flow.name}/r1#1"
    assert stored.sentence == "Window 1 is PASS: all 10 checks hold. 5 records, every one accounted for."
    assert set(states(stored.verdict).values()) == {"HOLDS"}
    assert {n.name for n in stored.verdict.not_listed} == {"EXPECTED", "DEGRADED", "CONTEXT", "SEALED"}
    assert stored.verdict.durability == "development"
    (run,) = flow.rows("SELECT r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")
    assert run.state == "CLOSED"


def test_every_check_says_when_and_from_where(flow: Flow) -> None:
    """S10: every number has a source and an age."""
    stored = passed(flow)
    for check in stored.verdict.checks:
        assert check.source and check.measured_at and check.required and check.observed
        assert timedelta(0) <= stored.verdict.judged_at - check.measured_at < timedelta(seconds=30)


def test_a_sample_that_has_aged_is_unmeasured(flow: Flow) -> None:
    """S10, S11: the same facts, judged when the sample of Kafka is older than the contract's bound."""
    passed(flow)
    judged = judge(window_of(flow.name, "r1"))
    broker = judged.measurement.facts.broker
    assert broker is not None
    stale = replace(broker, measured_at=broker.measured_at - timedelta(seconds=40))
    verdict = v.verdict(replace(judged.measurement.facts, broker=stale), judged.measurement.at)
    assert verdict.state is v.State.BLOCKED
    assert {name for name, state in states(verdict).items() if state == "UNMEASURED"} >= {
        "COVERAGE",
        "CAUGHT_UP",
        "BASIS",
    }
    before = replace(broker, measured_at=judged.measurement.row.cut_at - timedelta(milliseconds=1))
    verdict = v.verdict(replace(judged.measurement.facts, broker=before), judged.measurement.row.cut_at)
    assert verdict.check(c.CheckName.BASIS).state is c.State.UNMEASURED  # type: ignore[union-attr]


def test_an_open_window_is_not_judged_but_can_be_looked_at(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    with pytest.raises(NotCut):
        close_run(flow.name, "r1", "test")
    verdict = checks_now(window_of(flow.name, "r1"))
    assert verdict.state is v.State.BLOCKED
    assert verdict.check(c.CheckName.CAUGHT_UP).cause == "the window is not cut"  # type: ignore[union-attr]
    assert states(verdict)["BALANCED"] == "HOLDS"


def test_what_has_not_been_read_blocks_and_names_the_lag(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(7)])
    flow.cut()
    stored = flow.judge()
    assert stored.sentence.startswith("Window 1 is BLOCKED: inbox/0 is 7 behind. Next: wait for the lanes.")
    assert states(stored.verdict)["ACCOUNTED"] == "UNMEASURED"


def test_a_blocked_run_passes_once_its_blocker_is_gone(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    first = flow.judge()
    assert first.sentence == "Window 1 is BLOCKED: 1 quarantine item is open. Next: resolve the item."
    items = flow.rows("SELECT q.id FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s"
                      " ON s.id = c.stream_id WHERE s.name = %(name)s")  # fmt: skip
    resolve([item.id for item in items], "ana", Resolution.DISCARDED, "malformed at the producer")
    second = flow.judge()
    assert (second.number, second.verdict.state) == (2, v.State.PASS)
    kept = flow.rows("SELECT v.state FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
                     " WHERE s.name = %(name)s ORDER BY v.number")  # fmt: skip
    assert [row.state for row in kept] == ["BLOCKED", "PASS"]


def test_s6_a_run_of_duplicates_only_is_not_empty_by_name(flow: Flow) -> None:
    flow.open()
    flow.produce([b"[]", b"[]", b"[]"])
    flow.work()
    flow.cut()
    stored = flow.judge()
    assert "0 admitted, 3 quarantined" in stored.sentence
    assert states(stored.verdict)["NOT_EMPTY"] == "BROKEN"


def test_s12_of_two_closers_one_wins(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    win = window_of(flow.name, "r1")
    judge(win)  # the bus's end is known from here on
    one, other = judge(win), judge(win)
    store(one, "ana")
    with pytest.raises(AnotherCloser) as refused:
        store(other, "ben")
    assert "by ana stands" in str(refused.value)
    assert refused.value.retry


def test_a_fact_that_changes_while_judging_refuses_the_verdict(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    judged = judge(window_of(flow.name, "r1"))
    discard_all(flow)
    with pytest.raises(AnotherCloser):
        store(judged, "ana")


def discard_all(flow: Flow) -> None:
    items = flow.rows("SELECT q.id FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s"
                      " ON s.id = c.stream_id WHERE s.name = %(name)s")  # fmt: skip
    resolve([item.id for item in items], "ana", Resolution.DISCARDED, "malformed")


def test_a_class_that_is_not_required_need_not_come(make_flow: MakeFlow) -> None:
    other = '[event.other]\nmatch = "other"\nid = ["/id"]\nrequired = false\n[limits]'
    flow = make_flow(contract=CONTRACT.replace("[limits]", other))
    stored = passed(flow)
    assert (stored.verdict.state, stored.verdict.counts.by_class) == (v.State.PASS, {"thing": 5})  # type: ignore[union-attr]


def test_what_the_database_refuses_of_a_verdict_is_said_as_it_is(flow: Flow) -> None:
    """Only facts that aged are worth another look; a PASS that its own checks deny is nobody's to store."""
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    win = window_of(flow.name, "r1")
    judge(win)
    judged = judge(win)
    with pytest.raises(ConstraintViolated) as refused:
        store(replace(judged, verdict=replace(judged.verdict, state=v.State.PASS)), "test")
    assert refused.value.constraint == "verdict_checks_agree"


def test_a_bus_partition_without_an_answer_has_no_end_yet(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    real = capture.capture

    def silent(*args: Any, **more: Any) -> capture.Capture:
        captured = real(*args, **more)
        assert captured.broker is not None
        broker = captured.broker.value
        logs = broker.bus.partitions | {1: replace(broker.bus.partitions[1], high_watermark=None)}
        value = replace(broker, bus=replace(broker.bus, partitions=logs))
        return replace(captured, broker=replace(captured.broker, value=value))

    with monkeypatch.context() as patch:
        patch.setattr(capture, "capture", silent)
        assert close_run(flow.name, "r1", "test").verdict.state is v.State.BLOCKED
    ends = flow.rows("SELECT end_offset FROM window_range g JOIN source c ON c.id = g.source_id"
                     " WHERE g.win = %(win)s AND c.role = 'bus'", win=window_of(flow.name, "r1"))  # fmt: skip
    assert {row.end_offset for row in ends} == {None}
    assert flow.judge().verdict.state is v.State.PASS


def test_totals(make_flow: MakeFlow) -> None:
    flow = make_flow(close='totals = "required"')
    flow.open()
    flow.produce([thing(1), thing(2), thing(2)])
    flow.work()
    with pytest.raises(TotalsRequired):
        flow.cut()
    with pytest.raises(TotalsInvalid):
        flow.cut(totals={"nothing": 1})
    flow.cut(totals={"thing": 3})
    flow.work()
    assert flow.judge().sentence.startswith("Window 1 is BLOCKED: 3 things declared, 2 seen.")


def test_cutting_twice_is_the_same(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2)])
    first, second = flow.cut(), flow.cut()
    assert (first.result, second.result) == ("cut", "same")
    assert first.cuts == second.cuts == {"inbox/0": 2}


def test_opening_twice_is_the_same_and_another_contract_is_a_conflict(flow: Flow) -> None:
    first, second = flow.open(), flow.open()
    assert (first.result, second.result) == ("created", "same")
    assert second.win == first.win
    with pytest.raises(RunConflict):
        flow.open(contract="7")
    with pytest.raises(AnotherRunOpen) as refused:
        flow.open("r2")
    assert f"{flow.name}/r1" in str(refused.value)


def test_a_run_is_opened_with_the_contract_that_is_named(make_flow: MakeFlow) -> None:
    """By its version or digest, of this stream alone; the same again is the same."""
    flow, other = make_flow(), make_flow()
    other.load(quarantine_open_max=3)
    for number in ("2", "77"):
        with pytest.raises(NotFound, match=f"contract {number} of stream {flow.name}"):
            flow.open(contract=number)
    flow.load(quarantine_open_max=4)
    first = flow.open(contract="1")
    assert (first.contract_version, first.result) == (1, "created")
    assert flow.open(contract="1").result == flow.open(contract=first.contract_digest.hex()).result == "same"
    assert flow.open("r1").contract_version == 1


def test_a_run_name_may_be_just_so_long(flow: Flow) -> None:
    assert flow.open("x" * 200).run_name == "x" * 200


@pytest.mark.parametrize("run_name", ["", " a", "a\x00b", "a\nb", "x" * 201])
def test_run_names_that_nobody_could_type(flow: Flow, run_name: str) -> None:
    with pytest.raises(RunNameInvalid):
        flow.open(run_name)


def test_unknown_names(flow: Flow) -> None:
    with pytest.raises(NotFound):
        open_run("no-such-stream", "r1", "test")
    with pytest.raises(NotFound):
        close_run(flow.name, "r1", "test")
    with pytest.raises(NotFound):
        flow.cut("nope")
    flow.open()
    with pytest.raises(NotFound, match="r1 window 7"):
        close_run(flow.name, "r1", "test", window=7)


def test_a_bus_that_compacts_is_refused(make_flow: MakeFlow) -> None:
    flow = make_flow()
    flow.load(bus_partitions=3)
    with pytest.raises(TopicUnusable):
        flow.open()


def test_a_context_without_pass_is_refused(make_flow: MakeFlow) -> None:
    flow = make_flow(contract=JOINING)
    with pytest.raises(ContextNotPassed, match=f"expected a PASS of stream {flow.name}x; found none that stands"):
        flow.open()
    with pytest.raises(ContextNotPassed, match=f"expected {flow.name}x/r1#7; found"):
        flow.open(pins={"other": f"{flow.name}x/r1#7"})
    with pytest.raises(NotFound, match="a context of the contract; found tides"):
        flow.open(pins={"tides": f"{flow.name}x/r1#7"})


def test_s5_s9_windows_chain_and_each_run_has_its_own_verdict(flow: Flow) -> None:
    """The same event in two runs is admitted in each; the second window begins where the first was cut."""
    flow.open("r1")
    flow.produce([thing(1), thing(2), thing(1)])
    flow.work()
    flow.cut("r1")
    flow.produce([thing(1), thing(2)])
    flow.open("r2")
    flow.work()
    flow.cut("r2")
    flow.work()
    first, second = flow.judge("r1"), flow.judge("r2")
    assert first.verdict.state is second.verdict.state is v.State.PASS
    assert (first.verdict.counts.records, second.verdict.counts.records) == (3, 2)  # type: ignore[union-attr]
    ranges = flow.rows("SELECT w.id, g.start_offset, g.end_offset FROM window_range g JOIN run_window w ON w.id = g.win"
                       " JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id"
                       " WHERE s.name = %(name)s AND c.role = 'inbox' ORDER BY w.id")  # fmt: skip
    assert [(row.start_offset, row.end_offset) for row in ranges] == [(0, 3), (3, 5)]


def test_a_bus_range_chains_although_the_next_run_opened_first(flow: Flow) -> None:
    """The end of the first window's bus range is read after the second one was opened: it begins there."""
    passed_first = passed(flow, "r1")
    assert passed_first.verdict.state is v.State.PASS
    passed_second = passed(flow, "r2")
    assert passed_second.verdict.state is v.State.PASS
    rows = flow.rows("SELECT g.source_id, g.start_offset, g.end_offset FROM window_range g"
                     " JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id"
                     " WHERE s.name = %(name)s AND c.role = 'bus' ORDER BY g.source_id, g.win")  # fmt: skip
    for first, second in zip(rows[::2], rows[1::2], strict=True):
        assert first.end_offset == second.start_offset


def test_s8_a_receipt_outside_its_window_is_fail(flow: Flow) -> None:
    """The database refuses to file one; a ledger that has one anyway fails the window for good."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    judged = judge(window_of(flow.name, "r1"))
    inbox = judged.measurement.facts.inbox
    assert inbox is not None
    strayed = tuple(replace(row, outside=1) for row in inbox.value)
    facts = replace(judged.measurement.facts, inbox=replace(inbox, value=strayed))
    stored = store(replace(judged, verdict=v.verdict(facts, judged.measurement.at)), "test")
    assert stored.sentence.endswith("Open a new run, or ask for a replay where one is offered; #1 stays.")
    with pytest.raises(WindowFailed):
        flow.judge()


def test_markers_in_the_inbox_are_gaps_that_closing_proves(flow: Flow) -> None:
    """K1: transactions leave holes; a second consumer finds them empty too."""
    flow.open()
    producer = TransactionalProducer(flow.cluster, f"{flow.name}.outside")
    producer.init()
    for number in range(3):
        producer.send(flow.inbox, [BusMessage(0, b"k", thing(number), [])])
    producer.destroy()
    flow.work_until(lambda: flow.position("admission").next_offset == 6, "admission")
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS
    gaps = flow.rows("SELECT g.state FROM gap g JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id"
                     " WHERE s.name = %(name)s AND c.role = 'inbox'")  # fmt: skip
    assert {row.state for row in gaps} == {"PROVEN"}


@pytest.mark.parametrize("role", ["inbox", "bus"])
def test_a_recreated_topic_is_fail_and_the_basis_stays(flow: Flow, role: str) -> None:
    """S1: the basis is not overwritten, and an empty new topic does not turn it green."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    topic = getattr(flow, role)
    flow.admin.delete_topic(topic)
    flow.admin.create_topic(topic, 1 if role == "inbox" else 2)
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.FAIL
    assert f"{topic} was deleted and created again" in stored.sentence
    generations = flow.rows("SELECT count(*) AS n FROM basis WHERE win = %(win)s", win=window_of(flow.name, "r1"))
    assert generations[0].n == 1
    flow.open("r2")
    flow.produce([thing(1)])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.PASS


def test_a_partition_added_while_open_is_taken_in(flow: Flow) -> None:
    """It belongs to the window that is open when it is first seen, from offset 0, in the basis' next generation."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    grow(flow, 2)
    flow.produce([thing(2)], partition=1)
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS
    assert stored.verdict.basis_generation == 2
    assert stored.verdict.counts is not None and stored.verdict.counts.admitted == 2


def grow(flow: Flow, partitions: int) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    client = AdminClient({"bootstrap.servers": flow.cluster.bootstrap})
    for future in client.create_partitions([NewPartitions(flow.inbox, partitions)]).values():
        future.result(10)
    flow.admin._wait_for_leaders(flow.inbox)
    flow.producer = PlainProducer(flow.cluster)  # the old one does not know the new partition yet


def test_records_that_retention_took_after_the_cut_do_not_block(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    flow.cut()
    flow.work()
    flow.admin.delete_records(flow.inbox, {0: 2})
    assert flow.judge().verdict.state is v.State.PASS


def test_records_that_were_read_and_then_expired_do_not_block(flow: Flow) -> None:
    """REPLAY_ANCHOR_LOST is shown: they cannot be read again."""
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    flow.admin.delete_records(flow.inbox, {0: 1})
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    observed = stored.verdict.check(c.CheckName.BASIS).observed  # type: ignore[union-attr]
    assert observed == "the same; REPLAY_ANCHOR_LOST: inbox/0 starts later now"


# ---- by itself ------------------------------------------------------------------------------------------------------


def mine(flow: Flow, stored: list[close.StoredVerdict]) -> list[close.StoredVerdict]:
    return [found for found in stored if found.name.startswith(flow.name)]


def test_it_is_judged_by_itself_and_says_nothing_twice(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.cut()
    assert mine(flow, close_due()) == []  # lanes are at work: a verdict now would be stale in a second
    flow.work()
    first = mine(flow, close_due())
    assert [found.verdict.state for found in first] == [v.State.BLOCKED]
    close._pauses.clear()
    assert mine(flow, close_due()) == []
    items = flow.rows("SELECT q.id FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s"
                      " ON s.id = c.stream_id WHERE s.name = %(name)s")  # fmt: skip
    resolve([item.id for item in items], "ana", Resolution.DISCARDED, "malformed")
    assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.PASS]
    assert mine(flow, close_due()) == []


def test_s18_a_lane_that_stands_still_is_stalled(make_flow: MakeFlow) -> None:
    flow = make_flow(close='stalled_after = "1s"')
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.produce([thing(2)])
    flow.cut()
    time.sleep(1.1)
    stored = flow.judge()
    assert "inbox/0 is 1 behind and STALLED since" in stored.sentence
    assert "Next: look at the lane of inbox/0." in stored.sentence


def test_checks_now_see_every_change_and_do_not_count_again_without_one(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    win = window_of(flow.name, "r1")
    first = checks_now(win)
    assert states(first)["QUARANTINE"] == "BROKEN"
    counted: list[int] = []
    measure = now.m.measure
    monkeypatch.setattr(now, "QUICK", 60.0)  # however slow the machine is today
    monkeypatch.setattr(now.m, "measure", lambda *args: counted.append(1) or measure(*args))
    assert states(checks_now(win)) == states(first)
    assert counted == []
    items = flow.rows("SELECT q.id FROM quarantine_item q WHERE q.win = %(win)s", win=win)
    resolve([item.id for item in items], "ana", Resolution.DISCARDED, "malformed")
    assert states(checks_now(win))["QUARANTINE"] == "HOLDS"
    assert counted == [1]


def test_checks_now_see_what_was_produced_since(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing in the ledger has changed, and the lane is behind."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    monkeypatch.setattr(now, "QUICK", 60.0)
    monkeypatch.setattr(capture, "_RECENT_SECONDS", 0.0)
    win = window_of(flow.name, "r1")
    assert "behind" not in checks_now(win).check(c.CheckName.CAUGHT_UP).cause  # type: ignore[union-attr]
    flow.produce([thing(n) for n in (2, 3, 4)])
    assert "inbox/0 is 3 behind" in checks_now(win).check(c.CheckName.CAUGHT_UP).cause  # type: ignore[union-attr]


def test_what_takes_long_to_count_stands_for_a_while_on_a_page_though_the_window_moves(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    win = window_of(flow.name, "r1")
    monkeypatch.setattr(now, "QUICK", -1.0)
    monkeypatch.setattr(now, "SHARE", 1e9)
    assert states(checks_now(win))["QUARANTINE"] == "BROKEN"
    discard_all(flow)
    assert states(checks_now(win))["QUARANTINE"] == "BROKEN"
    monkeypatch.setattr(now, "SHARE", 0)
    assert states(checks_now(win))["QUARANTINE"] == "HOLDS"


def test_a_publish_nobody_knows_of_blocks_by_name(make_flow: MakeFlow) -> None:
    """S2: PREPARED without outcome is UNKNOWN; the sentence counts publishes and events, and says what to do."""
    flow = make_flow(automatic="false")
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission")

    def lost(*_: object) -> None:
        raise BrokerError(expected="an outcome", found="none")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.kafka.TransactionalProducer.send", lost)
        flow.work("publish", seconds=3)
    flow.cut()
    flow.work("effects")
    assert flow.attempts() == ["PREPARED"]  # and no lane is left that could tell
    stored = flow.judge()
    assert stored.sentence == (
        "Window 1 is BLOCKED: 1 publish (4 events) has no known outcome and the publish lane of inbox/0 stopped: "
        "broker_failed: the broker did not answer as it must: expected an outcome; found none. "
        "Next: reconcile the publish."
    )
    assert {str(x.name): str(x.follows_from) for x in stored.verdict.checks if x.follows_from} == {
        "CAUGHT_UP": "PUBLISHED",
        "APPLIED": "PUBLISHED",
    }
