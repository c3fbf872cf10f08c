"""Publishing again what was proven absent, where the contract wants two people: from BLOCKED to PASS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.core import verdict as v
from ingest.core.errors import NotFound
from ingest.core.stops import REPUBLISH
from ingest.db import ConstraintViolated, write
from ingest.publish.republish import NotWithheld
from ingest.worker import work
from plans.core.binding import Limits
from plans.core.plan import State
from plans.errors import PlanChanged
from plans.preview import preview
from plans.run import run_plan
from plans.steer import resume
from plans.submit import submit
from tests.flow.bus import half_sent, never_sent, once, read_bus
from tests.flow.test_reconcile import Fault, unknown
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, history, items, plan_row, run_to, say_yes
from tests.plans.test_decide import Killed, attempt_of, undecidable
from tests.plans.test_decide import decided as decide_it

MakeFlow = Callable[..., Flow]
MonkeyPatch = pytest.MonkeyPatch


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """Its contract lets nothing be published again by itself."""
    return make_flow(after='1s"\nrepublish = "plan')


def withheld(flow: Flow, monkeypatch: MonkeyPatch, fault: Fault = never_sent) -> int:
    """An attempt of ten events that was proven absent, or half of it; its lane waits. Returns its number."""
    unknown(flow, monkeypatch, fault)
    flow.work_until(lambda: flow.position("publish").stopped_code == REPUBLISH, "publish")
    return attempt_of(flow)


def asked(flow: Flow, *attempts: int, **more: Any) -> dict[str, Any]:
    named = {"attempts": list(attempts)} if attempts else {}
    return {"stream": flow.name, "run": "r1", **named, **more}


def sent(crowd: Crowd, flow: Flow, *attempts: int, limits: Limits | None = None) -> int:
    """Asked for and approved."""
    number = submit(
        "republish", asked(flow, *attempts), crowd.asker, "the broker is back", crowd.people, limits or Limits()
    )
    say_yes(crowd, number)
    return number


def has_work(flow: Flow) -> bool:
    source = flow.sources("inbox")[0]
    return any((row.lane, row.source_id) == ("publish", source) for row in work())


def queued(flow: Flow) -> int:
    (row,) = flow.rows(
        "SELECT count(*) AS n FROM publish_queue q JOIN source c ON c.id = q.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    return int(row.n)


# ---- end to end -----------------------------------------------------------------------------------------------------


def test_what_was_proven_absent_is_published_again_and_the_window_passes(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    attempt = withheld(flow, monkeypatch)
    flow.produce([thing("later")])
    flow.work("admission")
    flow.cut()
    said = flow.judge().sentence
    assert "1 publish (10 events) has been proven ABSENT" in said
    assert "Next: ask for a republish plan." in said
    seen = preview("republish", asked(flow))
    assert seen.bound.items == (str(attempt),)
    assert seen.prediction.lines[0] == "10 events of 1 publish that was proven absent would be queued again."
    assert not has_work(flow)
    number = sent(crowd, flow)
    run_to(crowd, number, State.DONE)
    assert items(number) == [(str(attempt), "DONE")]
    assert has_work(flow)  # at once, and by itself
    flow.work_until(lambda: flow.count("effect") == 11)
    assert flow.attempts()[:2] == ["ABSENT", "ACKED"]
    flow.work()
    assert flow.judge().verdict.title == "PASS"


def test_of_a_part_that_landed_the_rest_is_published_again(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = withheld(flow, monkeypatch, half_sent)
    seen = preview("republish", asked(flow, attempt))
    facts = seen.bound.facts["attempts"][str(attempt)]
    assert (facts["state"], facts["withheld"]) == ("PARTIAL", 5)
    assert seen.bound.facts["bus"] == {"topic": flow.bus, "topic_id": facts["topic_id"]}
    run_to(crowd, sent(crowd, flow, attempt), State.DONE)
    flow.work_until(lambda: flow.count("effect") == 10)
    assert flow.attempts() == ["PARTIAL", "ACKED"]
    assert sum(map(len, read_bus(flow).values())) == 10


def test_what_is_absent_once_more_takes_another_plan(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    first = withheld(flow, monkeypatch)
    run_to(crowd, sent(crowd, flow), State.DONE)
    once(monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ABSENT"], "publish")
    flow.work_until(lambda: flow.position("publish").stopped_code == REPUBLISH, "publish")
    assert preview("republish", asked(flow)).bound.items != (str(first),)  # the newest attempt stands for its batches
    with pytest.raises(NotWithheld, match=f"attempt {first} withheld"):
        preview("republish", asked(flow, first))
    run_to(crowd, sent(crowd, flow), State.DONE)
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ABSENT", "ACKED"], "publish")
    flow.work()


def test_what_was_decided_absent_waits_for_a_plan_too(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    flow = make_flow(automatic="false", after='1s"\nrepublish = "plan')
    attempt = undecidable(flow, monkeypatch, never_sent)
    assert any("wait for a plan" in x for x in preview("decide", asked(flow) | {"attempt": attempt}).prediction.lines)
    decide_it(crowd, flow, attempt)
    flow.work_until(lambda: flow.position("publish").stopped_code == REPUBLISH, "publish")
    assert flow.attempts() == ["ABSENT"]
    run_to(crowd, sent(crowd, flow), State.DONE)
    flow.work_until(lambda: flow.count("effect") == 10)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state is v.State.PASS


def two_lanes(make_flow: MakeFlow, monkeypatch: MonkeyPatch) -> Flow:
    """A withheld attempt on each of two lanes."""
    flow = make_flow(partitions=2, after='1s"\nrepublish = "plan')
    flow.open()
    for partition in (0, 1):
        flow.produce([thing(f"{partition}-{n}") for n in range(5)], partition=partition)
        flow.work("admission")
        with monkeypatch.context() as patched:
            once(patched, never_sent)
            wanted = ["ABSENT"] * (partition + 1)
            flow.work_until(lambda wanted=wanted: flow.attempts() == wanted, "publish")  # type: ignore[misc]
    return flow


def test_one_publish_at_a_time(make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    flow = two_lanes(make_flow, monkeypatch)
    number = sent(crowd, flow, limits=Limits(first=1))
    run_to(crowd, number, State.HELD)
    assert [outcome for _, outcome in items(number)] == ["DONE", None]
    assert queued(flow) == 1
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    flow.work_until(lambda: flow.count("effect") == 10)


# ---- void and refused -----------------------------------------------------------------------------------------------


def test_what_is_on_its_way_already_makes_it_void(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = withheld(flow, monkeypatch)
    late, other = sent(crowd, flow), submit("republish", asked(flow), crowd.asker, "why", crowd.people)
    run_to(crowd, sent(crowd, flow), State.DONE)
    run_to(crowd, late, State.VOID)
    assert plan_row(late).void_why == f"attempt {attempt} withheld: 10 → 0"
    with pytest.raises(PlanChanged, match="withheld: 10 → 0"):
        say_yes(crowd, other)
    assert queued(flow) == 1
    flow.work()


def test_what_goes_on_its_way_between_two_steps_holds_it(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    flow = two_lanes(make_flow, monkeypatch)
    number = sent(crowd, flow, limits=Limits(first=1))
    run_to(crowd, number, State.HELD)
    (left,) = [int(subject) for subject, outcome in items(number) if outcome is None]
    run_to(crowd, sent(crowd, flow, left), State.DONE)
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.HELD)
    assert f"attempt {left} withheld: 5 → 0" in plan_row(number).held_why
    flow.work()


def test_a_bus_that_was_created_anew_makes_it_void(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    """Where it would go is part of what was approved."""
    withheld(flow, monkeypatch)
    number = sent(crowd, flow)
    with monkeypatch.context() as patched:
        patched.setattr("ingest.publish.republish.bus_topic_id", lambda *_: "another")
        run_to(crowd, number, State.VOID)
    assert "bus topic_id: " in plan_row(number).void_why


def test_nothing_to_publish_again(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    flow.open()
    with pytest.raises(NotWithheld, match="window 1"):
        preview("republish", asked(flow))
    flow.produce([thing(1)])
    flow.work()
    with pytest.raises(NotWithheld, match="it is ACKED"):
        preview("republish", asked(flow, attempt_of(flow)))
    with pytest.raises(NotWithheld, match="is none of them"):
        preview("republish", asked(flow, 2**40))
    with pytest.raises(NotFound):
        preview("republish", asked(flow, window=7))


def test_nobody_queues_it_without_a_plan_that_runs(flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    attempt = withheld(flow, monkeypatch)
    again = (
        "INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)"
        " SELECT b.id, b.source_id, b.from_offset, b.admitted, b.bytes FROM attempt_batch ab JOIN batch b"
        " ON b.id = ab.batch_id WHERE ab.attempt_id = %s"
    )
    number = sent(crowd, flow)
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(again, (attempt,))
    assert refused.value.constraint == "republish_of_its_plan"
    run_to(crowd, number, State.DONE)  # and one that is done gives nothing more, either
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute("DELETE FROM publish_queue WHERE batch_id IN (SELECT batch_id FROM attempt_batch)")
        cur.execute(again, (attempt,))
    assert refused.value.constraint == "republish_of_its_plan"
    flow.work()


def test_where_the_contract_does_it_by_itself_nothing_is_withheld(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    flow = make_flow()
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")
    with pytest.raises(NotWithheld):
        preview("republish", asked(flow))
    flow.work()


# ---- a worker that dies ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("point", ["republish.after_queue", "plan_step.after_doing", "plan_step.before_commit"])
def test_a_step_that_dies_leaves_nothing_and_the_next_one_does_it(
    flow: Flow, crowd: Crowd, monkeypatch: MonkeyPatch, point: str
) -> None:
    withheld(flow, monkeypatch)
    number = sent(crowd, flow)

    def dies(name: str) -> None:
        if name == point:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in ("ingest.publish.republish", "plans.run"):
            patched.setattr(f"{module}.failpoint", dies)
        with pytest.raises(Killed):
            run_plan(number, crowd.people, lambda: True)
    assert (plan_row(number).state, queued(flow)) == (State.RUNNING, 0)
    run_to(crowd, number, State.DONE)
    assert [to for _, to in history(number)] == ["SUBMITTED", "APPROVED", "RUNNING", "DONE"]
    flow.work_until(lambda: flow.count("effect") == 10)
    assert flow.attempts() == ["ABSENT", "ACKED"]
