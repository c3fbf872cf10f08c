"""What becomes of a run when the logs it stands on change: on a real broker, each difference by its name."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit import capture
from audit.close import checks_now, close_run, window_of
from audit.core import checks as c
from audit.core import verdict as v
from audit.core.snapshot import BASIS
from audit.fsck import fsck
from audit.open import TopicUnusable
from audit.partitions import notice_partitions
from ingest.core.errors import BrokerError
from ingest.db import retry_transaction
from ingest.kafka import BusMessage, PlainProducer
from ingest.publish.reconcile import AttemptOver, request
from ingest.retire import retire_replaced
from ingest.streams import compiled_contract
from ingest.worker import work
from tests.audit.test_close import grow, passed, states
from tests.audit.test_fsck import cheat
from tests.audit.test_gate import broker_away
from tests.audit.test_races import both
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def observed(verdict: v.Verdict, name: c.CheckName) -> str:
    check = verdict.check(name)
    assert check is not None
    return check.observed


def posture_is(flow: Flow, topic: str, key: str, value: str) -> None:
    flow.admin.set_topic(topic, key, value)
    flow.work_until(lambda: flow.admin.posture(topic)[key] == value, "admission")


def generations(flow: Flow, run_name: str = "r1") -> list[Any]:
    where = "SELECT generation, facts, why FROM basis WHERE win = %(win)s ORDER BY generation"
    return flow.rows(where, win=window_of(flow.name, run_name))


# ---- what opening refuses, and waits for ----------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["inbox", "bus"])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_that_compacts_is_refused(flow: Flow, role: str, policy: str) -> None:
    posture_is(flow, getattr(flow, role), "cleanup.policy", policy)
    with pytest.raises(TopicUnusable, match="cleanup.policy=delete"):
        flow.open()
    assert flow.rows("SELECT 1 FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s") == []


def test_a_bus_that_can_not_take_what_the_contract_admits_is_refused(flow: Flow) -> None:
    posture_is(flow, flow.bus, "max.message.bytes", "13311")
    with pytest.raises(TopicUnusable, match="max.message.bytes of at least 13,312"):
        flow.open()
    posture_is(flow, flow.bus, "max.message.bytes", "13312")
    flow.open()


@pytest.mark.parametrize("lacks", ["posture", "leader_epoch"])
def test_opening_waits_for_a_measurement_and_refuses_without(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, lacks: str
) -> None:
    """What was not measured is no basis: a later change could not be told from none."""
    real, asked = capture.capture, [0]

    def silent(*args: Any, **more: Any) -> capture.Capture:
        captured = real(*args, **more)
        asked[0] += 1
        return captured if asked[0] > answers_at else without(captured, lacks)

    answers_at = 10**9
    monkeypatch.setattr(capture, "capture", silent)
    monkeypatch.setattr("audit.open.MEASURE_SECONDS", 0.5)
    with pytest.raises(BrokerError) as refused:
        flow.open()
    assert ("posture" if lacks == "posture" else f"{flow.inbox}/0") in refused.value.found
    answers_at = asked[0] + 2
    flow.open()
    (basis,) = generations(flow)
    assert basis.facts["broker"]["inbox"]["partitions"]["0"]["leader_epoch"] >= 0
    assert basis.facts["broker"]["bus"]["posture"]["cleanup.policy"] == "delete"


def without(captured: capture.Capture, lacks: str) -> capture.Capture:
    assert captured.broker is not None and captured.broker.value.inbox is not None
    inbox = captured.broker.value.inbox
    if lacks == "posture":
        inbox = replace(inbox, posture=None)
    else:
        logs = {number: replace(log, leader_epoch=None) for number, log in inbox.partitions.items()}
        inbox = replace(inbox, partitions=logs)
    broker = replace(captured.broker.value, inbox=inbox)
    return replace(captured, broker=replace(captured.broker, value=broker))


# ---- posture --------------------------------------------------------------------------------------------------------


def test_an_inbox_that_begins_to_compact_breaks_the_basis_by_name(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    posture_is(flow, flow.inbox, "cleanup.policy", "compact")
    flow.cut()
    flow.work()
    assert flow.judge().sentence == (
        f"Window 1 is BLOCKED: cleanup.policy of {flow.inbox} was delete and is compact."
        f" Next: set cleanup.policy of {flow.inbox} back."
    )


def test_a_window_whose_basis_this_version_cannot_read_is_blocked(flow: Flow) -> None:
    """A later version wrote it in another shape: nothing is judged against it, and that is said."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    shape = "UPDATE basis SET facts = jsonb_set(facts, '{schema}', to_jsonb(%s::text)) WHERE win = %s"
    win = window_of(flow.name, "r1")
    with cheat(flow) as connection:
        connection.execute(shape, ("passgate.basis/9", win))
        try:
            stored = close_run(flow.name, "r1", "test")
        finally:
            connection.execute(shape, (BASIS, win))
    assert (stored.verdict.state, states(stored.verdict)["BASIS"]) == (v.State.BLOCKED, "UNMEASURED")
    assert flow.judge().verdict.state is v.State.PASS


def test_a_topic_that_promises_more_is_a_generation_and_one_that_promises_less_then_is_broken(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    posture_is(flow, flow.bus, "max.message.bytes", "2000000")
    notice_partitions(window_of(flow.name, "r1"), contract_of(flow))
    first, second = generations(flow)
    assert second.why == f"{flow.bus} promises more"
    assert first.facts["broker"]["bus"]["posture"]["max.message.bytes"] != "2000000"
    assert second.facts["broker"]["bus"]["posture"]["max.message.bytes"] == "2000000"
    flow.cut()
    flow.work()
    posture_is(flow, flow.bus, "max.message.bytes", "1000000")
    sentence = flow.judge().sentence
    assert f"max.message.bytes of {flow.bus} was 2000000 and is 1000000" in sentence
    posture_is(flow, flow.bus, "max.message.bytes", "3000000")
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    assert "which promises more" in observed(stored.verdict, c.CheckName.BASIS)


def contract_of(flow: Flow) -> Any:
    where = "SELECT c.id FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY 1"
    return compiled_contract(flow.rows(where)[-1].id).contract


# ---- partitions and log starts --------------------------------------------------------------------------------------


def test_an_added_partition_starts_at_0_whatever_its_log_start(flow: Flow) -> None:
    """Records deleted before a lane looked are missed, not forgotten: the window fails, and the next run goes on."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    grow(flow, 2)
    flow.produce([thing(f"new-{n}") for n in range(10)], partition=1)
    flow.admin.delete_records(flow.inbox, {1: 7})
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.FAIL
    assert "7 offsets of inbox/1 were deleted before anybody read them" in stored.sentence
    assert states(stored.verdict)["BASIS"] == states(stored.verdict)["ACCOUNTED"] == "BROKEN"
    assert stored.verdict.counts is not None and stored.verdict.counts.records == 4
    assert passed(flow, "r2").verdict.state is v.State.PASS


def test_a_cut_window_takes_no_partition_in(flow: Flow) -> None:
    """What was added while it was being cut belongs to the next one."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    grow(flow, 2)
    assert notice_partitions(window_of(flow.name, "r1"), contract_of(flow)) == 0
    assert [row.why for row in generations(flow)] == [
        "the window opened"
    ]  # nor did it take in doors that are not there


def test_of_two_that_notice_a_partition_at_once_one_takes_it_in(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    win, contract = window_of(flow.name, "r1"), contract_of(flow)
    grow(flow, 2)
    other: list[Any] = []

    def second(verb: Callable[[], int]) -> int:
        if not other:
            other.append(None)
            other.extend(both(lambda: notice_partitions(win, contract)))
        return retry_transaction(verb)

    monkeypatch.setattr("audit.partitions.retry_transaction", second)
    assert (notice_partitions(win, contract), other[1:]) == (0, [1])
    assert len(generations(flow)) == 2


def test_a_partition_added_between_two_runs_starts_at_0(flow: Flow) -> None:
    """On inbox and bus: whatever was deleted, or written, there came while the stream was at work."""
    passed(flow, "r1")
    grow(flow, 2)
    grow_topic(flow, flow.bus, 3)
    flow.produce([thing(f"new-{n}") for n in range(10)], partition=1)
    flow.admin.delete_records(flow.inbox, {1: 7})
    PlainProducer(flow.cluster).send(flow.bus, [BusMessage(2, b"k", b"strange", [])])
    flow.load(bus_partitions=3)
    flow.open("r2")
    assert flow.position("admission", 1).next_offset == 0
    assert flow.position("effects", 2).next_offset == 0


def test_what_lies_on_a_bus_before_its_stream_begins_is_nobodys(flow: Flow) -> None:
    PlainProducer(flow.cluster).send(flow.bus, [BusMessage(1, b"k", b"strange", [])])
    assert passed(flow).verdict.state is v.State.PASS


def test_a_run_is_not_opened_on_a_topic_that_is_not_there(flow: Flow) -> None:
    flow.admin.delete_topic(flow.inbox)
    while flow.admin.topic_id(flow.inbox) is not None:
        time.sleep(0.05)
    with pytest.raises(TopicUnusable, match="none of that name"):
        flow.open()


def test_a_run_is_not_opened_without_kafka_and_found_open_without_it(flow: Flow) -> None:
    with broker_away(), pytest.raises(BrokerError, match="topics and offsets"):
        flow.open()
    flow.open()
    with broker_away():
        assert flow.open().result == "same"


def test_an_added_bus_partition_starts_at_0(flow: Flow) -> None:
    """What a stranger wrote there before anybody looked is found."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    grow_topic(flow, flow.bus, 3)
    PlainProducer(flow.cluster).send(flow.bus, [BusMessage(2, b"k", b"strange", [])])
    flow.cut()
    flow.work()
    assert f"1 record of {flow.bus} is FOREIGN" in flow.judge().sentence
    assert [row.why for row in generations(flow)] == ["the window opened", "partitions were added"]


def grow_topic(flow: Flow, topic: str, partitions: int) -> None:
    from confluent_kafka.admin import AdminClient, NewPartitions

    client = AdminClient({"bootstrap.servers": flow.cluster.bootstrap})
    for future in client.create_partitions([NewPartitions(topic, partitions)]).values():
        future.result(10)
    flow.admin._wait_for_leaders(topic)


def test_a_grown_basis_keeps_what_it_said_of_the_partitions_it_knew(flow: Flow) -> None:
    """S1: starts, ends and epochs of the first generation are what the window is held to."""
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    flow.admin.delete_records(flow.inbox, {0: 1})
    grow(flow, 2)
    assert notice_partitions(window_of(flow.name, "r1"), contract_of(flow)) == 1
    assert [row.why for row in generations(flow)] == ["the window opened", "partitions were added"]
    first, second = (row.facts["broker"]["inbox"]["partitions"] for row in generations(flow))
    assert set(second) == {"0", "1"}
    assert second["0"] == first["0"]
    assert (second["0"]["log_start"], second["0"]["high_watermark"]) == (0, 0)


def test_a_topics_very_first_window_may_start_at_its_log_start_and_says_so(flow: Flow) -> None:
    flow.produce([thing(n) for n in range(5)])
    flow.admin.delete_records(flow.inbox, {0: 3})
    flow.open()
    flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    assert "inbox/0 begins at 3, where its log began" in observed(stored.verdict, c.CheckName.BASIS)
    later = passed(flow, "r2")
    assert "where its log began" not in observed(later.verdict, c.CheckName.BASIS)


def test_records_deleted_below_the_cut_fail_their_window_and_the_next_one_goes_on(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(5)])
    flow.cut("r1")
    flow.admin.delete_records(flow.inbox, {0: 3})
    flow.open("r2")
    flow.work()
    stored = flow.judge("r1")
    assert stored.verdict.state is v.State.FAIL
    assert "3 offsets of inbox/0 were deleted before anybody read them" in stored.sentence
    assert "waiver" not in stored.sentence
    flow.produce([thing("next")])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.PASS


def test_what_is_lost_on_both_sides_of_a_cut_fails_both_windows(flow: Flow) -> None:
    """One move never crosses the cut: each window is told of its own."""
    flow.open("r1")
    flow.produce([thing(n) for n in range(5)])
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing(f"next-{n}") for n in range(5)])
    flow.admin.delete_records(flow.inbox, {0: 8})
    flow.work()
    flow.cut("r2")
    flow.work()
    first, second = flow.judge("r1"), flow.judge("r2")
    assert "5 offsets of inbox/0 were deleted before anybody read them" in first.sentence
    assert "3 offsets of inbox/0 were deleted before anybody read them" in second.sentence
    assert passed(flow, "r3").verdict.state is v.State.PASS


def test_records_deleted_on_the_bus_before_they_were_applied_fail_the_window(live: object) -> None:
    flow = Flow(bus_partitions=1)  # not by the fixture: fsck is to find the two
    flow.open("r1")
    flow.produce([thing(n) for n in range(5)])
    flow.work("admission", "publish")
    flow.admin.delete_records(flow.bus, {0: 2})
    flow.cut("r1")
    flow.work()
    stored = flow.judge("r1")
    assert stored.verdict.state is v.State.FAIL
    assert f"2 offsets of {flow.bus}/0 were deleted before anybody read them" in stored.sentence
    assert states(stored.verdict)["APPLIED"] == "BROKEN"
    assert passed(flow, "r2").verdict.state is v.State.PASS
    assert [finding.invariant for finding in fsck(stream=flow.name)] == ["I3", "I3"]


# ---- topics created anew --------------------------------------------------------------------------------------------


def created_anew(flow: Flow, topic: str, partitions: int) -> None:
    flow.admin.delete_topic(topic)
    flow.admin.create_topic(topic, partitions)
    flow.producer = PlainProducer(flow.cluster)


def retired(flow: Flow) -> list[str]:
    rows = flow.rows(
        "SELECT c.role, c.partition FROM retirement r JOIN source c ON c.id = r.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY 1, 2"
    )
    return [f"{row.role}/{row.partition}" for row in rows]


def test_a_cut_that_can_not_be_reached_ends_with_its_incarnation(flow: Flow) -> None:
    """The inbox is created anew with a backlog below the cut, and the next run is open behind it already."""
    flow.open("r1")
    flow.produce([thing(n) for n in range(5)])
    flow.cut("r1")
    flow.open("r2")
    created_anew(flow, flow.inbox, 1)
    flow.sample()
    cut = flow.cut("r2")
    assert cut.cuts == {"inbox/0": 5}, "nothing of it was ever read, and nothing will be"
    for run in ("r1", "r2"):
        stored = flow.judge(run)
        assert stored.verdict.state is v.State.FAIL
        assert f"{flow.inbox} was deleted and created again" in stored.sentence
    assert passed(flow, "r3").verdict.state is v.State.PASS


@pytest.mark.parametrize("sampled", [True, False])
def test_a_dead_incarnation_is_retired_once(flow: Flow, sampled: bool) -> None:
    """By whoever samples, or by the run that opens on the new one: no samples, no lanes, no alarm of it after that."""
    flow.open("r1")
    flow.produce([thing(1)])
    flow.work()
    old = flow.sources("inbox")[0]
    created_anew(flow, flow.inbox, 1)
    flow.produce([thing(n) for n in range(9)])
    if sampled:
        flow.sample()
        assert retired(flow) == ["inbox/0"]
    flow.cut("r1")
    flow.open("r2")
    assert retired(flow) == ["inbox/0"]
    before = flow.rows("SELECT count(*) AS n FROM sample WHERE source_id = %(old)s", old=old)[0].n
    flow.work()
    assert flow.rows("SELECT count(*) AS n FROM sample WHERE source_id = %(old)s", old=old)[0].n == before
    assert not [row for row in work() if row.source_id == old]
    assert flow.position("admission", 0).stopped_code is None
    acts = flow.rows("SELECT detail FROM audit_log WHERE act = 'source.retired' AND subject = %(name)s")
    assert [list(row.detail["sources"]) for row in acts] == [[f"{flow.inbox}/0"]]


def test_an_older_incarnation_that_a_broker_still_names_retires_nothing(flow: Flow) -> None:
    flow.open("r1")
    old = flow.rows("SELECT topic_id, cluster_id FROM source WHERE id = %(id)s", id=flow.sources("inbox")[0])[0]
    flow.cut("r1")
    created_anew(flow, flow.inbox, 1)
    flow.open("r2")
    new = flow.sources("inbox")[1]
    assert retire_replaced({new: old.topic_id}, old.cluster_id) == []
    assert retire_replaced({new: "another"}, "another cluster") == []
    assert retired(flow) == ["inbox/0"]


def test_an_attempt_to_a_bus_that_is_gone_is_over_and_its_lane_is_free(make_flow: MakeFlow) -> None:
    flow = make_flow(automatic="false")
    flow.open("r1")
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission")

    def lost(*_: object) -> None:
        raise BrokerError(expected="an outcome", found="none")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ingest.kafka.TransactionalProducer.send", lost)
        flow.work("publish", seconds=3)
    attempt = flow.rows("SELECT max(a.id) AS id FROM attempt a JOIN source c ON c.id = a.source_id"
                        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s")[0].id  # fmt: skip
    created_anew(flow, flow.bus, 2)
    flow.sample()
    flow.cut("r1")
    flow.work("effects")
    stored = flow.judge("r1")
    assert stored.verdict.state is v.State.FAIL
    assert f"attempt {attempt} (4 events) went to a {flow.bus} that is gone" in stored.sentence
    assert "reconcile" not in stored.sentence
    with pytest.raises(AttemptOver):
        request(attempt, "ana")
    # the lane's rest after its trouble is over: on a busy machine that took long, and so does the rest
    flow.rows("UPDATE position SET stopped_until = NULL WHERE source_id = ANY(%(s)s) RETURNING 1", s=flow.sources())
    assert passed(flow, "r2").verdict.state is v.State.PASS


# ---- a state in motion ----------------------------------------------------------------------------------------------


def test_a_run_behind_a_backlog_is_not_broken(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(40)])
    flow.cut("r1")
    flow.open("r2")
    verdict = checks_now(window_of(flow.name, "r2"))
    assert verdict.state is v.State.BLOCKED
    assert [str(check.name) for check in verdict.checks if check.severity is c.Severity.FAIL] == []
    accounted = verdict.check(c.CheckName.ACCOUNTED)
    assert accounted is not None
    assert (accounted.state, accounted.follows_from) == (c.State.UNMEASURED, "CAUGHT_UP")
    assert accounted.observed == "0 receipts so far"
