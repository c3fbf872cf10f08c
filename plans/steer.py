"""Steering a plan that runs: pause, resume, cancel. Each acts within one batch, for it waits for the step under way."""

from __future__ import annotations

from ingest.db import retry_transaction, write
from ingest.failpoints import failpoint
from plans.core.people import Actor, People
from plans.core.plan import STEERING, State
from plans.errors import NotAllowed, PlanExpired, named
from plans.rows import allow, expect, fault_of, lock, move
from plans.submit import said


def pause(number: int, actor: Actor, people: People, reason: str) -> None:
    """RUNNING -> HELD. Raises NoSuchPlan, NotAllowed, WrongState, PlanRefused."""
    allow(people, actor, STEERING)
    because = said(reason)
    with named():
        retry_transaction(lambda: _pause(number, actor, because))


def _pause(number: int, actor: Actor, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_pause.after_lock")
        expect(plan, State.RUNNING)
        move(cur, plan, State.HELD, actor.name, reason)
        failpoint("plan_pause.before_commit")


def resume(number: int, actor: Actor, people: People, reason: str = "") -> None:
    """HELD -> RUNNING, under the approval that it has: whoever gave it must be able to give it still.

    Raises NoSuchPlan, NotAllowed, WrongState, PlanExpired, OriginTaken.
    """
    allow(people, actor, STEERING)
    with named():
        retry_transaction(lambda: _resume(number, actor, people, reason.strip()))


def _resume(number: int, actor: Actor, people: People, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_resume.after_lock")
        expect(plan, State.HELD)
        if plan.expires_at <= plan.now:
            raise PlanExpired(expected=f"going on before {plan.expires_at}", found="it is over")
        fault = fault_of(cur, people, plan)
        if fault:
            raise NotAllowed(expected="an approval that holds", found=fault, next_step="cancel it, and submit it anew")
        move(cur, plan, State.RUNNING, actor.name, reason)
        failpoint("plan_resume.before_commit")


def cancel(number: int, actor: Actor, people: People, reason: str) -> None:
    """RUNNING or HELD -> CANCELLED; what is done stays done. Raises NoSuchPlan, NotAllowed, WrongState, PlanRefused."""
    allow(people, actor, STEERING)
    because = said(reason)
    with named():
        retry_transaction(lambda: _cancel(number, actor, because))


def _cancel(number: int, actor: Actor, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_cancel.after_lock")
        expect(plan, State.RUNNING, State.HELD)
        if plan.state == State.RUNNING:  # what runs is stopped first: its history says both
            plan = move(cur, plan, State.HELD, actor.name, reason)
        failpoint("plan_cancel.after_holding")
        move(cur, plan, State.CANCELLED, actor.name, reason)
        failpoint("plan_cancel.before_commit")
