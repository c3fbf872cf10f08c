"""Deciding about a publish that no scan can answer, on the real stack: two people, then the lane's owner, then PASS."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

from audit.core import verdict as v
from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest.core.errors import NotFound
from ingest.core.stops import RECONCILE
from ingest.publish import decide as decisions
from ingest.publish.decide import NotUndecidable
from ingest.publish.reconcile import request_run
from ingest.worker import work
from plans.core.plan import State
from plans.errors import PlanChanged, PlanRefused
from plans.preview import preview
from plans.run import run_plan
from plans.submit import submit
from tests.flow.bus import answer_lost, bus_counts, contradictions, half_sent, kept, never_sent, places, read_bus, scans
from tests.flow.test_reconcile import Fault, unknown
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, as_owner, history, items, plan_row, run_to, say_yes

MakeFlow = Callable[..., Flow]
MonkeyPatch = pytest.MonkeyPatch
WHY = "the epoch ended at 0"


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """Nobody looks for an attempt unless somebody asks: the effects lane may read the bus before."""
    return make_flow(automatic="false")


def undecidable(flow: Flow, monkeypatch: MonkeyPatch, fault: Fault, read: bool = False) -> int:
    """An attempt of ten events whose log, once somebody looks, is of another epoch: no scan will ever answer.

    `read`: the effects lane has read the bus before. Returns the attempt's number.
    """
    unknown(flow, monkeypatch, fault)
    if read:
        flow.work("effects")
    with monkeypatch.context() as patched:
        patched.setattr("ingest.publish.reconcile.probe_epoch", lambda *_: WHY)
        request_run(flow.name, "r1", "ana")
        flow.work_until(lambda: flow.attempts() == ["UNDECIDABLE"], "publish")
        flow.work_until(lambda: flow.position("publish").stopped_code == RECONCILE, "publish")
    return attempt_of(flow)


def attempt_of(flow: Flow) -> int:
    (row,) = flow.rows(
        "SELECT min(a.id) AS id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    return int(row.id)


def asked(flow: Flow, attempt: int, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", "attempt": attempt, **more}


def approved(crowd: Crowd, flow: Flow, attempt: int) -> int:
    number = submit("decide", asked(flow, attempt), crowd.asker, "the broker was restored", crowd.people)
    say_yes(crowd, number)
    return number


def decided(crowd: Crowd, flow: Flow, attempt: int) -> int:
    """Asked for, approved and run."""
    number = approved(crowd, flow, attempt)
    run_to(crowd, number, State.DONE)
    return number


def passes(flow: Flow) -> Any:
    """Cut, worked to the end and judged."""
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == flow.count("event"))
    flow.work()
    return flow.judge()


def decision_body(crowd: Crowd, attempt: int, plan: int, present: int, absent: int) -> dict[str, Any]:
    return {
        "attempt": attempt, "plan": plan, "requested_by": crowd.asker.name, "approved_by": crowd.approver.name,
        "reason": "the broker was restored", "present": present, "absent": absent,
    }  # fmt: skip


def body_of(flow: Flow) -> dict[str, Any]:
    rows = flow.rows(
        "SELECT v.body FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s ORDER BY v.number DESC LIMIT 1"
    )
    body: dict[str, Any] = rows[0].body
    return body


# ---- end to end -----------------------------------------------------------------------------------------------------


def test_what_never_landed_is_decided_absent_and_published_again(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    attempt = undecidable(flow, monkeypatch, never_sent)
    seen = preview("decide", asked(flow, attempt))
    assert any(WHY in line for line in seen.prediction.lines)
    assert (seen.bound.facts["present"], seen.bound.facts["absent"]) == (0, 10)
    number = decided(crowd, flow, attempt)
    assert (flow.attempts(), items(number)) == (["UNDECIDABLE"], [(str(attempt), "DONE")])  # its lane's owner ends it
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")
    stored = passes(flow)
    assert stored.verdict.title == "PASS"
    assert decide_gate(flow.name, "r1").granted
    assert body_of(flow)["decisions"] == [decision_body(crowd, attempt, number, 0, 10)]
    assert len(scans(flow)) == 1  # nobody looked again


def test_what_has_its_effect_lies_at_its_place_and_nothing_is_published_again(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    attempt = undecidable(flow, monkeypatch, answer_lost, read=True)
    number = decided(crowd, flow, attempt)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")
    there = {(n, r.offset) for n, records in read_bus(flow).items() for r in records}
    assert {(row.partition, row.bus_offset) for row in places(flow)} == there
    assert passes(flow).verdict.title == "PASS"
    assert body_of(flow)["decisions"] == [decision_body(crowd, attempt, number, 10, 0)]


def test_a_part_has_its_effect_and_the_rest_is_published_again(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    attempt = undecidable(flow, monkeypatch, half_sent, read=True)
    number = decided(crowd, flow, attempt)
    flow.work_until(lambda: flow.attempts() == ["PARTIAL", "ACKED"], "publish")
    assert passes(flow).verdict.title == "PASS"
    assert body_of(flow)["decisions"] == [decision_body(crowd, attempt, number, 5, 5)]
    assert sum(map(len, read_bus(flow).values())) == 10


def test_a_copy_of_what_was_decided_absent_changes_nothing(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    """It was on the bus all the time, before the one that counts, and is no contradiction."""
    attempt = undecidable(flow, monkeypatch, answer_lost)
    number = decided(crowd, flow, attempt)
    flow.work("effects")  # the copies, before anything is published again, and before the decision is served
    assert (flow.count("effect"), bus_counts(flow)["duplicates"], contradictions(flow)) == (0, 10, [])
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")
    stored = passes(flow)
    assert stored.verdict.title == "PASS"
    assert (bus_counts(flow)["duplicates"], bus_counts(flow)["applied"]) == (10, 10)
    assert (contradictions(flow), kept(flow)) == ([], [])
    assert body_of(flow)["decisions"] == [decision_body(crowd, attempt, number, 0, 10)]
    (published,) = [check for check in body_of(flow)["checks"] if check["check"] == "PUBLISHED"]
    assert "10 further copies of what was decided absent, or by somebody else" in published["observed"]
    assert fsck(stream=flow.name) == []


def test_copies_that_come_after_the_attempt_ended_change_nothing_either(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    decided(crowd, flow, undecidable(flow, monkeypatch, answer_lost))
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")
    assert passes(flow).verdict.title == "PASS"
    assert (bus_counts(flow)["duplicates"], contradictions(flow)) == (10, [])


# ---- the lane -------------------------------------------------------------------------------------------------------


def test_the_lane_wakes_up_for_a_decision(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = undecidable(flow, monkeypatch, never_sent)
    source = flow.sources("inbox")[0]

    def has_work() -> bool:
        return any((row.lane, row.source_id) == ("publish", source) for row in work())

    assert not has_work()
    decided(crowd, flow, attempt)
    assert has_work()


@pytest.mark.parametrize("point", ["reconcile.after_step", "reconcile.after_scan"])
def test_a_scan_under_way_comes_too_late(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch, point: str) -> None:
    """Somebody asked once more, and while the lane reads the bus, or has just read it, the decision is made."""
    attempt = undecidable(flow, monkeypatch, answer_lost)
    number = approved(crowd, flow, attempt)
    request_run(flow.name, "r1", "ben")

    def meanwhile(name: str) -> None:
        if name == point and plan_row(number).state == State.APPROVED:
            run_to(crowd, number, State.DONE)

    with monkeypatch.context() as patched:
        for module in ("ingest.publish.reconcile", "ingest.publish.lane"):
            patched.setattr(f"{module}.failpoint", meanwhile)
        flow.work_until(lambda: flow.attempts()[0] != "UNDECIDABLE", "publish")
    assert flow.attempts()[0] == "ABSENT"  # as was decided, though all ten would have been found
    assert len(scans(flow)) == 1
    flow.work()


def test_nobody_applies_an_event_while_it_is_decided_to_be_absent(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    """What the step has seen of the bus holds until everybody who reads it can see the decision."""
    attempt = undecidable(flow, monkeypatch, answer_lost)
    number = approved(crowd, flow, attempt)
    seen: list[int] = []

    def meanwhile(name: str) -> None:
        if name == "decision.after_row":
            other = threading.Thread(target=flow.work, args=("effects",), kwargs={"seconds": 3.0})
            other.start()
            other.join(6.0)
            seen.append(flow.count("effect"))

    with monkeypatch.context() as patched:
        patched.setattr("ingest.publish.decide.failpoint", meanwhile)
        run_to(crowd, number, State.DONE)
    assert seen == [0]
    assert passes(flow).verdict.title == "PASS"
    assert (bus_counts(flow)["applied"], bus_counts(flow)["duplicates"]) == (10, 10)


# ---- void and refused -----------------------------------------------------------------------------------------------


def test_effects_that_came_before_it_ran_make_it_void(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = undecidable(flow, monkeypatch, answer_lost)
    late = submit("decide", asked(flow, attempt), crowd.asker, "why", crowd.people)
    number = approved(crowd, flow, attempt)
    flow.work("effects")
    run_to(crowd, number, State.VOID)
    assert f"attempt {attempt} present: 0 → 10" in plan_row(number).void_why
    with pytest.raises(PlanChanged, match="absent: 10 → 0"):
        say_yes(crowd, late)
    assert flow.attempts() == ["UNDECIDABLE"]
    decided(crowd, flow, attempt)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


def test_a_scan_that_came_before_it_ran_makes_it_void(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = undecidable(flow, monkeypatch, answer_lost)
    number = approved(crowd, flow, attempt)
    request_run(flow.name, "r1", "ben")
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")  # this one could answer
    run_to(crowd, number, State.VOID)
    assert f"attempt {attempt} state: UNDECIDABLE → ACKED" in plan_row(number).void_why


def test_what_changes_while_it_begins_holds_it(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    """A plan that runs is never void. What is looked at under the lanes' locks is what counts."""
    attempt = undecidable(flow, monkeypatch, answer_lost)
    number = approved(crowd, flow, attempt)
    real = decisions.lock

    def lock(cur: Any, attempt: Any) -> None:
        other = threading.Thread(target=flow.work, args=("effects",))  # with a connection of its own
        other.start()
        other.join()
        real(cur, attempt)

    monkeypatch.setattr(decisions, "lock", lock)
    run_to(crowd, number, State.HELD)
    assert "present: 0 → 10" in plan_row(number).held_why
    assert flow.attempts() == ["UNDECIDABLE"]


def test_what_there_is_nothing_to_decide_about(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    unknown(flow, monkeypatch, never_sent)
    attempt = attempt_of(flow)
    with pytest.raises(NotUndecidable, match="UNKNOWN"):
        preview("decide", asked(flow, attempt))
    with pytest.raises(NotFound):
        preview("decide", asked(flow, 2**40))
    with pytest.raises(PlanRefused, match=f"{flow.name}/r1"):
        preview("decide", asked(flow, attempt) | {"run": "r2"})
    with as_owner() as connection:  # its log is gone
        connection.execute("UPDATE attempt SET state = 'UNDECIDABLE', over_at = now() WHERE id = %s", (attempt,))
    with pytest.raises(NotUndecidable, match="gone"):
        preview("decide", asked(flow, attempt))
    with as_owner() as connection:
        connection.execute("UPDATE attempt SET state = 'UNKNOWN', over_at = NULL WHERE id = %s", (attempt,))


# ---- a worker that dies ---------------------------------------------------------------------------------------------


class Killed(BaseException):
    """Where a process would have died."""


@pytest.mark.parametrize("point", ["decision.after_row", "plan_step.after_doing", "plan_step.before_commit"])
def test_a_step_that_dies_leaves_nothing_and_the_next_one_does_it(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch, point: str
) -> None:
    attempt = undecidable(flow, monkeypatch, half_sent, read=True)
    number = approved(crowd, flow, attempt)

    def dies(name: str) -> None:
        if name == point:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in ("ingest.publish.decide", "plans.run"):
            patched.setattr(f"{module}.failpoint", dies)
        with pytest.raises(Killed):
            run_plan(number, crowd.people, lambda: True)
    assert plan_row(number).state == State.RUNNING
    assert flow.rows("SELECT 1 FROM attempt_decision WHERE attempt_id = %(a)s", a=attempt) == []
    run_to(crowd, number, State.DONE)
    assert [to for _, to in history(number)] == ["SUBMITTED", "APPROVED", "RUNNING", "DONE"]
    flow.work_until(lambda: flow.attempts() == ["PARTIAL", "ACKED"], "publish")
    assert passes(flow).verdict.state is v.State.PASS
    assert thing(1) in [record.value for records in read_bus(flow).values() for record in records]
