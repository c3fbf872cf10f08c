"""A plan's row: locked, moved from state to state, counted. What every verb on a plan begins and ends with."""

from __future__ import annotations

from typing import Any

from ingest.auditlog import record_act
from ingest.core.stored import word
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from plans.approvals import approvals_of
from plans.core.people import Actor, People, alone_fault, approvals_fault
from plans.core.plan import FINAL, Kind, State
from plans.errors import NoSuchPlan, NotAllowed, WrongState
from plans.kinds import kind_named
from plans.kinds.base import Item

sql = statements("plans", "rows")

#: Who acts where nobody does: a plan that runs, is held, or expires by itself.
ITSELF = "passgate"


def lock(cur: Cursor, number: int) -> Any:
    """The plan's row, held until the transaction ends. Raises NoSuchPlan."""
    row = cur.execute(sql.lock, {"plan": number}).fetchone() if number < 2**63 else None
    if row is None:
        raise NoSuchPlan(expected=f"plan {number}", found="none", next_step="passgate plan list")
    return row


def lock_free(cur: Cursor, number: int) -> Any | None:
    """The same, or None where another process has it."""
    return cur.execute(sql.lock_free, {"plan": number}).fetchone()


def expect(row: Any, *states: State) -> None:
    """Raises WrongState for a plan in any other state."""
    if row.state not in states:
        wanted = " or ".join(str(state) for state in states)
        raise WrongState(expected=f"plan {row.id} {wanted}", found=str(row.state))


def allow(people: People, actor: Actor, act: str) -> None:
    """Raises NotAllowed for an account that may not do this, and for a name that is no account."""
    why = people.refusal(actor.name, act)
    if why:
        raise NotAllowed(expected=f"an account that may {act}", found=why)


def fault_of(cur: Cursor, people: People, row: Any) -> str:
    """Why the approvals that a plan has hold no more; "" that each does, and that none lacks."""
    if row.free_records is not None:
        return alone_fault(people, Actor(row.approved_by, row.approved_person), word(Kind, row.kind))
    found = approvals_of(cur, row)
    if found.left:
        return f"it has {len(found.given)} of {found.needed} approvals"
    return approvals_fault(people, Actor(row.requested_by, row.requested_person), [each.actor for each in found.given])


def move(cur: Cursor, row: Any, to: State, who: str, why: str, **detail: Any) -> Any:
    """Moves a locked plan on, with its row of the audit log, which is the last lock; returns the row as it is then."""
    values = {"plan": row.id, "from": row.state, "to": str(to), "who": who, "why": why}
    cur.execute(sql.move, values)
    failpoint("plan_move.after_row")
    if to in FINAL:
        kind_named(row.kind).ended(cur, row, who)
    failpoint("plan_move.after_ending")
    told = {"plan": row.id, "kind": row.kind, "digest": bytes(row.digest).hex(), "from": row.state, **detail}
    record_act(cur, who, ACTS[to], subject(row), why, told)
    return row._replace(state=str(to))


ACTS = {
    State.APPROVED: "plan.approve",
    State.DECLINED: "plan.decline",
    State.RUNNING: "plan.run",
    State.HELD: "plan.hold",
    State.DONE: "plan.done",
    State.VOID: "plan.void",
    State.EXPIRED: "plan.expire",
    State.CANCELLED: "plan.cancel",
}


def subject(row: Any) -> str:
    """What a plan is about, as the audit log names it: flights/2013-01, or flights."""
    return f"{row.stream}/{row.run}" if row.run is not None else str(row.stream)


NO_BOUND = 2**31 - 1


def left(cur: Cursor, number: int, most: int = NO_BOUND) -> list[Item]:
    """The items without an outcome, in order."""
    return [Item(row.ordinal, row.subject) for row in cur.execute(sql.left, {"plan": number, "most": most}).fetchall()]


def outcomes(cur: Cursor, number: int) -> dict[str, int]:
    """Items by outcome; those without one are under ""."""
    return {row.outcome or "": row.n for row in cur.execute(sql.outcomes, {"plan": number}).fetchall()}
