"""Answering: others approve exactly what was asked for, or decline. What is free its requester starts."""

from __future__ import annotations

from typing import Any

from ingest.auditlog import record_act
from ingest.core.stored import word
from ingest.db import Cursor, fetch_one, retry_transaction, statements, write
from ingest.failpoints import failpoint
from plans.approvals import approvals_changed, approvals_of, give
from plans.core.approvals import Approvals
from plans.core.binding import binding_digest
from plans.core.people import Actor, People, one_person, same_person
from plans.core.plan import APPROVING, ASKING, Kind, State
from plans.errors import AnotherDigest, ApprovedAlready, PlanChanged, PlanExpired, SamePerson, named
from plans.free import free_records_of
from plans.kinds import kind_named
from plans.kinds.base import Step
from plans.rows import allow, expect, left, lock, move, subject
from plans.submit import said

sql = statements("plans", "answer")


def approve(number: int, digest: bytes, actor: Actor, people: People, reason: str = "") -> None:
    """One person's yes; with the last one that the plan binds SUBMITTED -> APPROVED, and it then runs by itself.

    `digest` is of what the approver has seen. Its requester approves it only as far as the contract's free records
    reach, which the database counts. Raises NoSuchPlan, NotAllowed, SamePerson, ApprovedAlready, AnotherDigest,
    WrongState, PlanExpired, PlanChanged.
    """
    with named():
        retry_transaction(lambda: _approve(number, digest, actor, people, reason.strip()))


def _approve(number: int, digest: bytes, actor: Actor, people: People, reason: str) -> None:
    with write() as cur:
        plan = lock(cur, number)
        failpoint("plan_approve.after_lock")
        _allow(cur, plan, actor, people)
        _check(cur, plan, digest)
        approvals = _give(cur, plan, actor, digest, reason)
        failpoint("plan_approve.after_approval")
        free = None if approvals.left else _move_on(cur, plan, actor, digest, reason)
        failpoint("plan_approve.after_row")
        told = {"plan": number, "kind": plan.kind, "digest": digest.hex(), "requested_by": plan.requested_by}
        told |= {} if free is None else {"free_records": free}
        told |= {"approval": len(approvals.given), "approvals": approvals.needed} if approvals.needed > 1 else {}
        record_act(cur, actor.name, "plan.approve", subject(plan), reason, told)
        failpoint("plan_approve.before_commit")


def _give(cur: Cursor, plan: Any, actor: Actor, digest: bytes, reason: str) -> Approvals:
    """The approvals that the plan has with this one. What is free its requester starts: that is none."""
    if actor.person == plan.requested_person:
        return Approvals(needed=0)
    give(cur, plan.id, actor, digest, reason)
    return approvals_of(cur, plan)


def _move_on(cur: Cursor, plan: Any, actor: Actor, digest: bytes, reason: str) -> int | None:
    """SUBMITTED -> APPROVED; the free records that the database counted, where there are any."""
    values = {"plan": plan.id, "who": actor.name, "person": actor.person, "digest": digest, "why": reason}
    free: int | None = fetch_one(cur.execute(sql.approve, values)).free_records
    return free


def _check(cur: Cursor, plan: Any, digest: bytes) -> None:
    """Raises AnotherDigest, PlanExpired, PlanChanged."""
    if digest != bytes(plan.digest) or binding_digest(plan.binds) != digest:
        raise AnotherDigest(
            expected=f"digest {bytes(plan.digest).hex()}",
            found=digest.hex(),
            next_step="look at the plan again, and approve the digest that it shows",
        )
    if plan.expires_at <= plan.now:
        raise PlanExpired(expected=f"an answer before {plan.expires_at}", found="it is over", next_step="submit anew")
    changes = kind_named(plan.kind).changed(cur, Step(plan, left(cur, plan.id), plan.binds))
    changes = [*approvals_changed(cur, plan), *changes]
    if changes:
        raise PlanChanged(
            expected="what was asked for", found="; ".join(changes), next_step="decline it, and submit it anew"
        )


def _allow(cur: Cursor, plan: Any, actor: Actor, people: People) -> None:
    """Whether this person may approve the plan: another one than who asked and has approved, or who asked alone where
    it is free.

    The other account of a person whose identity has changed since is neither.
    """
    free = free_records_of(cur, plan.id)
    if free.alone and actor.person == plan.requested_person:
        allow(people, actor, ASKING[word(Kind, plan.kind)])
        expect(plan, State.SUBMITTED)
        return
    allow(people, actor, APPROVING)
    expect(plan, State.SUBMITTED)
    if same_person(people, Actor(plan.requested_by, plan.requested_person), actor):
        found = f"{actor.name} is who asked for it, as {plan.requested_by}"
        raise SamePerson(
            expected="another person than who asked for it",
            found=f"{found}; {free.says.rstrip('.')}" if free.says else found,
            next_step="let somebody else decide",
        )
    for earlier in approvals_of(cur, plan).given:
        if one_person(people, earlier.actor, actor):
            raise ApprovedAlready(
                expected="a person who has not approved it yet",
                found=f"{earlier.actor.name} has approved it, and is the person behind {actor.name}",
                next_step="let somebody else approve it, too",
            )


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
