"""A basis refresh from end to end on the real broker: BLOCKED by what a topic promises no more, two people, PASS."""

from __future__ import annotations

from typing import Any

import pytest

from audit.close import checks_now, judge, window_of
from audit.core import checks as c
from audit.core import verdict as v
from audit.fsck import fsck
from audit.refresh import NotRefreshable
from ingest.core.errors import BrokerError
from ingest.db import ConstraintViolated, write
from plans.answer import approve
from plans.core.plan import State
from plans.errors import PlanChanged
from plans.preview import preview
from plans.run import run_plan
from plans.steer import cancel, resume
from plans.submit import submit
from tests.audit.test_drift import created_anew, generations, observed, posture_is
from tests.audit.test_fsck import cheat
from tests.audit.test_gate import broker_away
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes

KEY = "retention.ms"


def cut_run(flow: Flow) -> Flow:
    """A run read and applied to its cut, that nothing is wrong with."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    return flow


def blocked(flow: Flow, key: str = KEY, value: str = "86400000") -> Flow:
    """The bus promises less since: the window's verdict is BLOCKED."""
    cut_run(flow)
    posture_is(flow, flow.bus, key, value)
    stored = flow.judge()
    assert stored.verdict.state is v.State.BLOCKED
    assert stored.sentence.endswith(f"Next: set {key} of {flow.bus} back, or ask for a basis plan.")
    return flow


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", **more}


def submitted(crowd: Crowd, flow: Flow) -> int:
    return submit("basis", asked(flow), crowd.asker, "kept for a day now", crowd.people)


def refreshed(crowd: Crowd, flow: Flow) -> int:
    """Asked for, approved and run."""
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def test_a_posture_that_two_people_accept_lets_the_window_pass(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    seen = preview("basis", asked(flow))
    assert seen.binds["facts"]["generation"] == 1
    assert seen.binds["facts"]["posture"] == {flow.bus: {KEY: {"before": "604800000", "after": "86400000"}}}
    assert f"{KEY} of {flow.bus}: 604800000 → 86400000." in seen.prediction.lines
    number = refreshed(crowd, flow)
    assert items(number) == [("generation 2", "DONE")]
    first, second = generations(flow)
    who = f"plan {number} (asked for by {crowd.asker.name}, approved by {crowd.approver.name}: kept for a day now)"
    assert second.why == who
    assert first.facts["broker"]["bus"]["posture"][KEY] == "604800000"
    assert second.facts["broker"]["bus"]["posture"][KEY] == "86400000"
    stored = flow.judge()
    assert (stored.number, stored.verdict.state) == (2, v.State.PASS)
    assert stored.verdict.basis_generation == 2
    assert f"generation 2 is {who}" in observed(stored.verdict, c.CheckName.BASIS)
    assert fsck(stream=flow.name) == []
    (kept, _) = flow.rows(
        "SELECT v.body FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s ORDER BY v.number"
    )
    assert kept.body["state"] == "BLOCKED", "what was judged before stays what it was"


def test_what_a_topic_promises_no_more_since_is_broken_again(flow: Flow, crowd: Crowd) -> None:
    """A refresh accepts what was seen and nothing that comes after it."""
    blocked(flow)
    refreshed(crowd, flow)
    posture_is(flow, flow.bus, KEY, "3600000")
    assert f"{KEY} of {flow.bus} was 86400000 and is 3600000" in flow.judge().sentence


def test_a_window_that_is_open_is_refreshed_too(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    posture_is(flow, flow.bus, KEY, "86400000")
    win = window_of(flow.name, "r1")
    assert checks_now(win).check(c.CheckName.BASIS).state is c.State.BROKEN  # type: ignore[union-attr]
    assert preview("basis", asked(flow)).prediction.verdict is None
    refreshed(crowd, flow)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state is v.State.PASS


# ---- what changes before it runs ------------------------------------------------------------------------------------


def test_another_posture_before_it_runs_makes_it_void_with_the_difference(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    posture_is(flow, flow.bus, KEY, "3600000")
    run_to(crowd, number, State.VOID)
    assert f"posture {flow.bus} {KEY} after: 86400000 → 3600000" in plan_row(number).void_why
    assert len(generations(flow)) == 1


def test_a_posture_that_is_set_back_before_it_runs_leaves_nothing_to_add(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    number = submitted(crowd, flow)
    posture_is(flow, flow.bus, KEY, "604800000")
    with pytest.raises(PlanChanged, match="nothing that a refresh may add"):
        say_yes(crowd, number)
    assert flow.judge().verdict.state is v.State.PASS


def test_another_generation_before_it_runs_makes_it_void(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    one, other = submitted(crowd, flow), submitted(crowd, flow)
    say_yes(crowd, one)
    say_yes(crowd, other)
    run_to(crowd, one, State.DONE)
    run_to(crowd, other, State.VOID)
    assert len(generations(flow)) == 2


def test_without_kafka_nothing_is_foreseen_and_what_is_approved_waits(flow: Flow, crowd: Crowd) -> None:
    """A broker that is away for a moment makes no plan void."""
    blocked(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    with broker_away():
        with pytest.raises(BrokerError):
            preview("basis", asked(flow))
        with pytest.raises(BrokerError):
            run_plan(number, crowd.people, lambda: True)
    assert plan_row(number).state == State.APPROVED
    run_to(crowd, number, State.DONE)


def test_a_change_between_its_beginning_and_its_step_holds_it(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)

    def meanwhile(point: str) -> None:
        if point == "plan_run.after_beginning":
            posture_is(flow, flow.bus, KEY, "3600000")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("plans.run.failpoint", meanwhile)
        run_to(crowd, number, State.HELD)
    assert "86400000 → 3600000" in plan_row(number).held_why
    posture_is(flow, flow.bus, KEY, "86400000")
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)


# ---- what is never refreshed ----------------------------------------------------------------------------------------


def test_nothing_to_add_is_refused(flow: Flow) -> None:
    cut_run(flow)
    with pytest.raises(NotRefreshable, match="nothing that a refresh may add"):
        preview("basis", asked(flow))


@pytest.mark.parametrize("role", ["inbox", "bus"])
def test_a_topic_that_was_created_again_is_refused(flow: Flow, role: str) -> None:
    """Every offset of it is another one: no plan makes the window pass, and none can be asked for."""
    cut_run(flow)
    topic = getattr(flow, role)
    created_anew(flow, topic, 1 if role == "inbox" else 2)
    with pytest.raises(NotRefreshable, match=f"{topic} was deleted and created again"):
        preview("basis", asked(flow))


@pytest.mark.parametrize("role", ["inbox", "bus"])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_a_topic_that_compacts_is_refused(flow: Flow, role: str, policy: str) -> None:
    cut_run(flow)
    posture_is(flow, getattr(flow, role), "cleanup.policy", policy)
    assert "refresh" not in flow.judge().sentence
    with pytest.raises(NotRefreshable, match="cleanup.policy=delete"):
        preview("basis", asked(flow))


def test_a_bus_that_takes_less_than_the_contract_admits_is_refused(flow: Flow) -> None:
    cut_run(flow)
    posture_is(flow, flow.bus, "max.message.bytes", "13311")
    with pytest.raises(NotRefreshable, match="max.message.bytes of at least 13,312"):
        preview("basis", asked(flow))
    posture_is(flow, flow.bus, "max.message.bytes", "13312")
    flow.judge()  # the bus's end is known from here on
    assert preview("basis", asked(flow)).prediction.verdict == "PASS"


def test_a_basis_that_says_compact_lets_nothing_pass(flow: Flow, crowd: Crowd) -> None:
    """Whoever wrote it past the database: the check looks at what is there, not only at what differs."""
    cut_run(flow)
    win = window_of(flow.name, "r1")
    posture_is(flow, flow.bus, "cleanup.policy", "compact")
    with cheat(flow) as connection:
        put = "UPDATE basis SET facts = jsonb_set(facts, '{broker,bus,posture,cleanup.policy}', %s) WHERE win = %s"
        connection.execute(put, ('"compact"', win))
        try:
            check = judge(win).verdict.check(c.CheckName.BASIS)
        finally:
            connection.execute(put, ('"delete"', win))
    assert check is not None
    assert (check.state, check.cause) == (c.State.BROKEN, f"{flow.bus} compacts")
    posture_is(flow, flow.bus, "cleanup.policy", "delete")
    assert flow.judge().verdict.state is v.State.PASS


def test_another_timeline_is_refused_and_said(flow: Flow) -> None:
    cut_run(flow)
    win = window_of(flow.name, "r1")
    posture_is(flow, flow.bus, KEY, "86400000")
    with cheat(flow) as connection:
        put = "UPDATE basis SET facts = jsonb_set(facts, '{database,timeline}', %s) WHERE win = %s"
        (row,) = flow.rows("SELECT facts -> 'database' -> 'timeline' AS timeline FROM basis WHERE win = %(w)s", w=win)
        connection.execute(put, (str(row.timeline + 7), win))
        try:
            said = f"Postgres was on timeline {row.timeline + 7} and is on {row.timeline}"
            with pytest.raises(NotRefreshable, match=said):
                preview("basis", asked(flow))
        finally:
            connection.execute(put, (str(row.timeline), win))


def test_a_window_that_passed_or_failed_is_not_refreshed(flow: Flow) -> None:
    """A refresh never turns a verdict that stands."""
    cut_run(flow)
    assert flow.judge().verdict.state is v.State.PASS
    posture_is(flow, flow.bus, KEY, "86400000")
    with pytest.raises(NotRefreshable, match="#1 is PASS"):
        preview("basis", asked(flow))
    flow.open("r2")
    flow.produce([thing(2)])
    flow.work()
    flow.cut("r2")
    created_anew(flow, flow.inbox, 1)
    assert flow.judge("r2").verdict.state is v.State.FAIL
    with pytest.raises(NotRefreshable, match="is FAIL"):
        preview("basis", {"stream": flow.name, "run": "r2"})


def test_a_verdict_that_comes_first_makes_it_void(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    posture_is(flow, flow.bus, KEY, "604800000")
    assert flow.judge().verdict.state is v.State.PASS
    posture_is(flow, flow.bus, KEY, "86400000")
    run_to(crowd, number, State.VOID)
    assert "is PASS" in plan_row(number).void_why


# ---- what the database refuses --------------------------------------------------------------------------------------

COPIED = """
INSERT INTO basis (win, generation, snapshot_id, facts, digest, why, plan)
SELECT b.win, b.generation + 1, b.snapshot_id, {facts},
       sha256(convert_to(canonical_json({facts}), 'UTF8')), 'so', {plan}
  FROM basis b WHERE b.win = %s ORDER BY b.generation DESC LIMIT 1"""
LESS = "jsonb_set(b.facts, '{broker,bus,posture,retention.ms}', '\"86400000\"')"


def refused(flow: Flow, facts: str, plan: str = "NULL") -> str:
    with pytest.raises(ConstraintViolated) as caught, write() as cur:
        cur.execute(COPIED.format(facts=facts, plan=plan).replace("%s", str(window_of(flow.name, "r1"))))
    return caught.value.constraint


def test_a_generation_that_promises_less_needs_its_running_plan(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    assert refused(flow, LESS) == "basis_only_grows"
    number = submitted(crowd, flow)
    assert refused(flow, LESS, str(number)) == "basis_of_its_plan"
    say_yes(crowd, number)
    assert refused(flow, LESS, str(number)) == "basis_of_its_plan"
    run_to(crowd, number, State.DONE)
    assert refused(flow, "b.facts", str(number)) == "basis_of_its_plan"


@pytest.mark.parametrize(
    "facts",
    [
        "jsonb_set(b.facts, '{broker,cluster_id}', '\"another\"')",
        "jsonb_set(b.facts, '{broker,bus,topic_id}', '\"another\"')",
        "jsonb_set(b.facts, '{broker,inbox,topic_id}', '\"another\"')",
        "jsonb_set(b.facts, '{broker,inbox,partitions,0,log_start}', '7')",
        "jsonb_set(b.facts, '{broker,bus,partitions,1,leader_epoch}', '-1')",
        "b.facts #- '{broker,bus,partitions,1}'",
        "jsonb_set(b.facts, '{database,timeline}', '99')",
        "jsonb_set(b.facts, '{database,system_identifier}', '\"1\"')",
        "b.facts #- '{broker,bus,posture,retention.ms}'",
        "b.facts #- '{inbox,0}'",
    ],
)
def test_no_generation_says_otherwise_of_what_was_known(flow: Flow, facts: str) -> None:
    cut_run(flow)
    assert refused(flow, facts) == "basis_only_grows"


def test_the_same_hand_with_nothing_forged(flow: Flow) -> None:
    cut_run(flow)
    with pytest.raises(InterruptedError), write() as cur:
        cur.execute(COPIED.format(facts="b.facts", plan="NULL"), (window_of(flow.name, "r1"),))
        raise InterruptedError  # it was taken: nothing of it stays


def test_a_plan_that_was_cancelled_leaves_no_generation(flow: Flow, crowd: Crowd) -> None:
    blocked(flow)
    number = submitted(crowd, flow)
    approve(number, bytes(plan_row(number).digest), crowd.approver, crowd.people)
    with write() as cur:
        cur.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me', acted_why = '' WHERE id = %s", (number,))
    cancel(number, crowd.asker, crowd.people, "not like this")
    assert items(number) == [("generation 2", "NOT_RUN")]
    assert len(generations(flow)) == 1
