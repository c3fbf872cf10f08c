"""Answering: another person approves exactly what was asked for, or declines."""

from __future__ import annotations

from ingest.auditlog import record_act
from ingest.db import retry_transaction, statements, write
from ingest.failpoints import failpoint
from plans.core.binding import binding_digest
from plans.core.people import Actor, People, same_person
from plans.core.plan import APPROVING, State
from plans.errors import AnotherDigest, PlanChanged, PlanExpired, SamePerson, named
from plans.kinds import kind_named
from plans.kinds.base import Step
from plans.rows import allow, expect, left, lock, move, subject
from plans.submit import said

sql = statements("plans", "answer")


def approve(number: int, digest: bytes, actor: Actor, people: People, reason: str = "") -> None:
    """SUBMITTED -> APPROVED. `digest` is of what the approver has seen; the plan then runs by itself.

    Raises NoSuchPlan, NotAllowed, SamePerson, AnotherDigest, WrongState, PlanExpired, PlanChanged.
    """
    allow(people, actor, APPROVING)
    with named():
        retry_transaction(lambda: _approve(number, digest, actor, people, reason.strip()))


def _approve(number: int, digest: bytes, actor: Actor, people: People, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_approve.after_lock")
        expect(plan, State.SUBMITTED)
        requester = Actor(plan.requested_by, plan.requested_person)
        if same_person(people, requester, actor):
            raise SamePerson(
                expected="another person than who asked for it",
                found=f"{actor.name} is who asked for it, as {plan.requested_by}",
                next_step="let somebody else decide",
            )
        if digest != bytes(plan.digest) or binding_digest(plan.binds) != digest:
            raise AnotherDigest(
                expected=f"digest {bytes(plan.digest).hex()}",
                found=digest.hex(),
                next_step="look at the plan again, and approve the digest that it shows",
            )
        if plan.expires_at <= plan.now:
            raise PlanExpired(
                expected=f"an answer before {plan.expires_at}", found="it is over", next_step="submit anew"
            )
        changes = kind_named(plan.kind).changed(cur, Step(plan, left(cur, number), plan.binds))
        if changes:
            raise PlanChanged(
                expected="what was asked for", found="; ".join(changes), next_step="decline it, and submit it anew"
            )
        values = {"plan": number, "who": actor.name, "person": actor.person, "digest": digest, "why": reason}
        cur.execute(sql.approve, values)
        failpoint("plan_approve.after_row")
        told = {"plan": number, "kind": plan.kind, "digest": digest.hex(), "requested_by": plan.requested_by}
        record_act(cur, actor.name, "plan.approve", subject(plan), reason, told)
        failpoint("plan_approve.before_commit")


def decline(number: int, actor: Actor, people: People, reason: str) -> None:
    """SUBMITTED -> DECLINED, with a reason. Raises NoSuchPlan, NotAllowed, WrongState, PlanRefused."""
    allow(people, actor, APPROVING)
    because = said(reason)
    with named():
        retry_transaction(lambda: _decline(number, actor, because))


def _decline(number: int, actor: Actor, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_decline.after_lock")
        expect(plan, State.SUBMITTED)
        move(cur, plan, State.DECLINED, actor.name, reason)
        failpoint("plan_decline.before_commit")
