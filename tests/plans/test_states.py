"""Every edge of a plan's states on the real database, and what each of them says of itself."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product

import pytest

from ingest.db import ConstraintViolated, write
from plans.answer import approve, decline
from plans.core.binding import Limits
from plans.core.plan import ALLOWED, FINAL, State
from plans.errors import (
    AnotherDigest,
    KindNotThere,
    NoSuchPlan,
    NotAllowed,
    PlanChanged,
    PlanExpired,
    PlanRefused,
    SamePerson,
    WrongState,
)
from plans.expire import expire_due
from plans.models import PlanTransition
from plans.run import run_due, run_plan
from plans.steer import cancel, pause, resume
from plans.submit import submit
from tests.patience import until
from tests.plans.crowd import (
    Crowd,
    acts,
    counted,
    counting,
    history,
    items,
    let_expire,
    plan_row,
    run_to,
    say_yes,
)

Steps = Callable[[Crowd], int]


@pytest.fixture(autouse=True)
def kind(live: object, monkeypatch: pytest.MonkeyPatch) -> object:
    return counting(monkeypatch)


def submitted(crowd: Crowd, **limits: int) -> int:
    return counted(crowd, ["a1", "q2", "d3", "a4", "a5"], Limits(**limits))


def approved(crowd: Crowd, **limits: int) -> int:
    number = submitted(crowd, **limits)
    say_yes(crowd, number)
    return number


def running(crowd: Crowd) -> int:
    """One step was made, of two."""
    number = approved(crowd)
    run_plan(number, crowd.people, lambda: False)
    assert plan_row(number).state == "RUNNING"
    return number


def held(crowd: Crowd) -> int:
    number = approved(crowd, first=2)
    run_to(crowd, number, State.HELD)
    return number


def test_the_table_of_the_database_is_that_of_the_code(live: object) -> None:
    pairs = set(PlanTransition.objects.values_list("from_state", "to_state"))
    assert pairs == {(str(before), str(after)) for before, after in ALLOWED}


def test_from_asking_to_done(crowd: Crowd) -> None:
    number = submitted(crowd)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    assert history(number) == [
        (None, "SUBMITTED"), ("SUBMITTED", "APPROVED"), ("APPROVED", "RUNNING"), ("RUNNING", "DONE"),
    ]  # fmt: skip
    assert items(number) == [
        ("a1", "ADMITTED"), ("q2", "QUARANTINED"), ("d3", "DUPLICATE"), ("a4", "ADMITTED"), ("a5", "ADMITTED"),
    ]  # fmt: skip
    assert acts(number) == [
        ("plan.submit", crowd.asker.name), ("plan.approve", crowd.approver.name), ("plan.run", "passgate"),
        ("plan.step", "passgate"), ("plan.done", "passgate"),
    ]  # fmt: skip
    row = plan_row(number)
    assert row.requested_at < row.approved_at < row.started_at < row.ended_at


def test_declined(crowd: Crowd) -> None:
    number = submitted(crowd)
    decline(number, crowd.approver, crowd.people, "not like this")
    assert (plan_row(number).state, plan_row(number).decided_reason) == ("DECLINED", "not like this")
    assert {outcome for _, outcome in items(number)} == {"NOT_RUN"}


@pytest.mark.parametrize("made", [submitted, approved, held])
def test_expired(crowd: Crowd, made: Steps) -> None:
    number = made(crowd)
    before = items(number)
    assert number not in expire_due()
    let_expire(number)
    assert number in expire_due()
    assert plan_row(number).state == "EXPIRED"
    assert [was or "NOT_RUN" for _, was in before] == [is_ for _, is_ in items(number)]


def test_what_expired_is_neither_approved_nor_run_nor_gone_on_with(crowd: Crowd) -> None:
    numbers = submitted(crowd), approved(crowd), held(crowd)
    for number in numbers:
        let_expire(number)
    with pytest.raises(PlanExpired):
        say_yes(crowd, numbers[0])
    assert not run_plan(numbers[1], crowd.people, lambda: True)
    with pytest.raises(PlanExpired):
        resume(numbers[2], crowd.asker, crowd.people)
    assert [plan_row(number).state for number in numbers] == ["SUBMITTED", "APPROVED", "HELD"]


def test_void_with_the_difference(crowd: Crowd, kind: object) -> None:
    number = approved(crowd)
    kind.drift.append("open: 3 → 2")  # type: ignore[attr-defined]
    run_to(crowd, number, State.VOID)
    assert plan_row(number).void_why == "open: 3 → 2"
    assert {outcome for _, outcome in items(number)} == {"NOT_RUN"}


def test_what_runs_is_never_void(crowd: Crowd, kind: object) -> None:
    number = running(crowd)
    kind.drift.append("open: 3 → 2")  # type: ignore[attr-defined]
    run_to(crowd, number, State.HELD)
    assert plan_row(number).held_why == "what it binds has changed: open: 3 → 2"


def test_what_changed_is_not_approved(crowd: Crowd, kind: object) -> None:
    number = submitted(crowd)
    kind.drift.append("open: 3 → 2")  # type: ignore[attr-defined]
    with pytest.raises(PlanChanged, match="3 → 2"):
        say_yes(crowd, number)


def test_the_first_few_then_a_person_goes_on(crowd: Crowd) -> None:
    number = approved(crowd, first=2)
    run_to(crowd, number, State.HELD)
    assert plan_row(number).held_why == "the first 2 are done"
    assert [outcome for _, outcome in items(number)] == ["ADMITTED", "QUARANTINED", None, None, None]
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    assert history(number)[2:] == [
        ("APPROVED", "RUNNING"), ("RUNNING", "HELD"), ("HELD", "RUNNING"), ("RUNNING", "DONE"),
    ]  # fmt: skip


def test_a_rule_to_stop_by_holds_it_at_each_new_one(crowd: Crowd) -> None:
    number = counted(crowd, ["a1", "q2", "a3", "a4", "q5", "a6", "a7"], Limits(stop_when="quarantined > 0"))
    say_yes(crowd, number)
    for done in (3, 6):
        run_to(crowd, number, State.HELD)
        assert plan_row(number).held_why == "it was to stop when quarantined > 0"
        assert sum(outcome is not None for _, outcome in items(number)) == done
        resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)


def test_a_rate_is_kept(crowd: Crowd) -> None:
    number = counted(crowd, ["a1", "a2", "a3", "a4"], Limits(rate=2))
    say_yes(crowd, number)
    run_to(crowd, number, State.RUNNING)
    assert sum(outcome is not None for _, outcome in items(number)) == 2


def test_pause_resume_cancel(crowd: Crowd) -> None:
    number = running(crowd)
    pause(number, crowd.approver, crowd.people, "wait")
    assert (plan_row(number).state, plan_row(number).held_why) == ("HELD", "wait")
    assert not run_plan(number, crowd.people, lambda: True)
    resume(number, crowd.asker, crowd.people)
    assert (plan_row(number).state, plan_row(number).held_why) == ("RUNNING", None)
    cancel(number, crowd.asker, crowd.people, "enough")
    assert history(number)[-2:] == [("RUNNING", "HELD"), ("HELD", "CANCELLED")]
    assert [outcome for _, outcome in items(number)] == ["ADMITTED", "QUARANTINED", "DUPLICATE", "NOT_RUN", "NOT_RUN"]


def test_a_step_that_fails_holds_the_plan_with_its_words(crowd: Crowd) -> None:
    number = counted(crowd, ["a1", "a2", "a3", "boom"])
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    assert "boom" in plan_row(number).held_why
    assert [outcome for _, outcome in items(number)] == ["ADMITTED"] * 3 + [None]


def test_what_is_due_runs_by_itself_and_one_s_trouble_is_not_another_s(crowd: Crowd) -> None:
    boom, fine = counted(crowd, ["boom"]), approved(crowd)
    say_yes(crowd, boom)
    assert {boom, fine} <= set(run_due(crowd.people))

    def ran() -> bool:
        run_due(crowd.people)  # beside other tests' plans it may have had one step
        return bool(plan_row(fine).state == State.DONE)

    until(ran)
    assert plan_row(boom).state == "HELD"


# ---- who may what ---------------------------------------------------------------------------------------------------


def test_nobody_approves_what_they_asked_for_under_any_account(crowd: Crowd) -> None:
    """The same address under another name and in other letters; a token acts as its owner, so as the same account."""
    address = "Ada@Example.org"
    asker, again = (
        crowd.somebody("operator", "approver", email=address),
        crowd.somebody("approver", email=address.lower()),
    )
    number = submit("erase", {"stream": plan_stream(crowd), "items": ["a1"]}, asker, "why", crowd.people)
    for approver in (asker, again):
        with pytest.raises(SamePerson):
            approve(number, bytes(plan_row(number).digest), approver, crowd.people)
    say_yes(crowd, number)


def plan_stream(crowd: Crowd) -> str:
    from tests.plans.crowd import a_stream

    return a_stream()


def test_an_account_without_an_address_is_a_person_of_its_own(crowd: Crowd) -> None:
    one, other = crowd.somebody("operator", "approver", email=""), crowd.somebody("approver", email=" ")
    assert one.person != other.person
    number = submit("erase", {"stream": plan_stream(crowd), "items": ["a1"]}, one, "why", crowd.people)
    with pytest.raises(SamePerson):
        approve(number, bytes(plan_row(number).digest), one, crowd.people)
    approve(number, bytes(plan_row(number).digest), other, crowd.people)


@pytest.mark.parametrize("role", ["viewer", "operator", "auditor", "data engineer"])
def test_only_an_approver_approves(crowd: Crowd, role: str) -> None:
    number = submitted(crowd)
    with pytest.raises(NotAllowed):
        approve(number, bytes(plan_row(number).digest), crowd.somebody(role), crowd.people)


def test_a_name_that_is_no_account_may_nothing(crowd: Crowd) -> None:
    from console.people import actor_named

    nobody = actor_named("cli:me@here")
    number = submitted(crowd)
    with pytest.raises(NotAllowed, match="no account called cli:me@here"):
        approve(number, bytes(plan_row(number).digest), nobody, crowd.people)
    with pytest.raises(NotAllowed):
        submit("erase", {"stream": "x", "items": []}, nobody, "why", crowd.people)


def test_an_approval_is_of_a_digest(crowd: Crowd) -> None:
    number = submitted(crowd)
    with pytest.raises(AnotherDigest):
        approve(number, b"\xab" * 32, crowd.approver, crowd.people)


def test_an_approver_who_lost_the_right_before_it_ran(crowd: Crowd) -> None:
    from django.contrib.auth.models import User

    number = approved(crowd)
    User.objects.get(username=crowd.approver.name).groups.clear()
    run_to(crowd, number, State.VOID)
    assert plan_row(number).void_why == f"{crowd.approver.name} may approve no more"


def test_accounts_that_became_one_person_before_it_ran(crowd: Crowd) -> None:
    from django.contrib.auth.models import User

    number = held(crowd)
    other = approved(crowd)
    asker = User.objects.get(username=crowd.asker.name)
    User.objects.filter(username=crowd.approver.name).update(email=asker.email.upper())
    run_to(crowd, other, State.VOID)
    assert "are one person" in plan_row(other).void_why
    with pytest.raises(NotAllowed, match="are one person"):
        resume(number, crowd.asker, crowd.people)


# ---- what does not follow -------------------------------------------------------------------------------------------

MADE: dict[str, Steps] = {"SUBMITTED": submitted, "APPROVED": approved, "RUNNING": running, "HELD": held}
VERBS: dict[str, Callable[[int, Crowd], None]] = {
    "approve": lambda number, crowd: say_yes(crowd, number),
    "decline": lambda number, crowd: decline(number, crowd.approver, crowd.people, "no"),
    "pause": lambda number, crowd: pause(number, crowd.asker, crowd.people, "wait"),
    "resume": lambda number, crowd: resume(number, crowd.asker, crowd.people),
    "cancel": lambda number, crowd: cancel(number, crowd.asker, crowd.people, "enough"),
}


@pytest.mark.parametrize("state", MADE)
def test_every_state_but_the_last_has_an_act_that_works_and_the_others_are_refused(crowd: Crowd, state: str) -> None:
    from plans.core.plan import ACTS

    for name, verb in VERBS.items():
        number = MADE[state](crowd)
        if name in ACTS[State(state)]:
            verb(number, crowd)
            assert plan_row(number).state != state
        else:
            with pytest.raises(WrongState):
                verb(number, crowd)
            assert plan_row(number).state == state


@pytest.mark.parametrize(("before", "after"), list(product(MADE, State)), ids=str)
def test_the_database_refuses_every_other_step(crowd: Crowd, before: str, after: State) -> None:
    """As a person with the application's login would write it."""
    number = MADE[before](crowd)
    if (State(before), after) in ALLOWED:
        return
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute("UPDATE plan SET state = %s, acted_by = 'me', acted_why = 'so' WHERE id = %s", (str(after), number))
    assert refused.value.constraint == "plan_transition"


def test_nothing_becomes_of_a_plan_that_is_over(crowd: Crowd) -> None:
    number = approved(crowd)
    run_to(crowd, number, State.DONE)
    for after in State:
        with pytest.raises(ConstraintViolated) as refused, write() as cur:
            cur.execute("UPDATE plan SET state = %s WHERE id = %s", (str(after), number))
        assert refused.value.constraint == "plan_is_over"
    for verb in VERBS.values():
        with pytest.raises(WrongState):
            verb(number, crowd)
    assert State(plan_row(number).state) in FINAL


# ---- asking ---------------------------------------------------------------------------------------------------------


def test_what_cannot_be_asked_for(crowd: Crowd) -> None:
    asked = {"stream": plan_stream(crowd), "items": ["a1"]}
    with pytest.raises(KindNotThere):
        submit("nothing", asked, crowd.asker, "why", crowd.people)
    with pytest.raises(PlanRefused, match="expected run"):
        submit("replay", asked, crowd.asker, "why", crowd.people)
    for reason in ("", "  ", "x" * 2_001):
        with pytest.raises(PlanRefused):
            submit("erase", asked, crowd.asker, reason, crowd.people)
    for limits in (Limits(first=0), Limits(rate=0), Limits(stop_when="when I say so")):
        with pytest.raises(PlanRefused):
            submit("erase", asked, crowd.asker, "why", crowd.people, limits)
    with pytest.raises(PlanChanged):
        submit("erase", asked, crowd.asker, "why", crowd.people, digest=b"\0" * 32)
    with pytest.raises(NotAllowed):
        submit("erase", asked, crowd.somebody("viewer"), "why", crowd.people)


def test_a_plan_that_is_not_there(crowd: Crowd) -> None:
    for number in (2**40, 2**70):
        with pytest.raises(NoSuchPlan):
            decline(number, crowd.approver, crowd.people, "no")
