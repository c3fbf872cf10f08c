"""Running plans that were approved: looked at again before they begin, then step by step, each its own transaction.

A process that dies leaves a plan RUNNING with the items it has done; whoever comes next goes on with what is left. What
a plan binds may change between its approval and its beginning: then it is VOID, and says how. Once it runs it is never
void: it is HELD.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.auditlog import record_act
from ingest.core.errors import PassgateError
from ingest.db import Cursor, DatabaseFull, DatabaseGone, fetch_one, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from plans.approvals import approvals_changed
from plans.core.binding import binding_digest, stops
from plans.core.people import People
from plans.core.plan import State
from plans.errors import named
from plans.kinds import kind_named
from plans.kinds.base import ItemOutcome, PlanKind, Step
from plans.rows import ITSELF, NO_BOUND, fault_of, left, lock_free, move, outcomes, subject

log = logging.getLogger(__name__)
sql = statements("plans", "run")

#: For how long one look goes on running plans; what is left has its turn with the next.
RUN_SECONDS = 3.0


def run_due(people: People, clock: Callable[[], float] = time.monotonic) -> list[int]:
    """Runs what is approved or was left running; returns the numbers of the plans that it moved on.

    Each plan has a step at every look, however long the others take.
    """
    until = clock() + RUN_SECONDS
    moved = []
    for number in due():
        try:
            if run_plan(number, people, lambda: clock() < until):
                moved.append(number)
        except (DatabaseGone, DatabaseFull):
            raise
        except PassgateError as error:  # one plan's trouble is not another's
            log.warning("plan %s not run: %s", number, error)
        failpoint("plan_run.after_plan")
    return moved


def due() -> list[int]:
    """Plans that wait for their turn, and those that run already."""
    with read() as cur:
        return [int(row.id) for row in cur.execute(sql.due).fetchall()]


def run_plan(number: int, people: People, goes_on: Callable[[], bool]) -> bool:
    """One plan, from where it is, while `goes_on`; at least one step. False: it was not its turn, or another's.

    Raises OriginTaken where another plan runs over the same offsets.
    """
    with named():
        moved = retry_transaction(lambda: _begin(number, people))
        failpoint("plan_run.after_beginning")
        while True:
            if not _stepped(number):
                return moved
            moved = True
            failpoint("plan_run.after_step")
            if not goes_on():
                return moved


# ---- beginning ------------------------------------------------------------------------------------------------------


def _begin(number: int, people: People) -> bool:
    """APPROVED -> RUNNING, or VOID. Everything that was approved is looked at again, under the plan's lock."""
    with write() as cur:
        plan = lock_free(cur, number)
        failpoint("plan_begin.after_lock")
        if plan is None or plan.state != State.APPROVED or plan.expires_at <= plan.now:
            return False
        faults = _faults(cur, plan, people)
        if faults:
            move(cur, plan, State.VOID, ITSELF, "; ".join(faults))
        else:
            move(cur, plan, State.RUNNING, ITSELF, "")
        failpoint("plan_begin.before_commit")
    return True


def _faults(cur: Cursor, plan: Any, people: People) -> list[str]:
    """Why what was approved is not to be done now."""
    digest = binding_digest(plan.binds)
    if not digest == bytes(plan.digest) == bytes(plan.approved_digest):
        return ["its digest is not that of what it binds"]
    fault = fault_of(cur, people, plan)
    if fault:
        return [fault]
    changes = kind_named(plan.kind).changed(cur, Step(plan, left(cur, plan.id), plan.binds))
    return [*approvals_changed(cur, plan), *changes]


# ---- step by step ---------------------------------------------------------------------------------------------------


def _stepped(number: int) -> bool:
    """One step. False: the plan does not run any more, rests by its rate, or is another process's now."""
    try:
        prepared = _prepared(number)
        return retry_transaction(lambda: _step(number, prepared))
    except (DatabaseGone, DatabaseFull):
        raise
    except PassgateError as error:
        log.warning("plan %s is held: %s", number, error)
        why = str(error)
        retry_transaction(lambda: _hold(number, why))
        return False


def _prepared(number: int) -> Any:
    """What the next step needs of elsewhere. Nobody holds the plan meanwhile: the step looks at everything again."""
    with read() as cur:
        plan = cur.execute(sql.running, {"plan": number}).fetchone()
        if plan is None:
            return None
        kind = kind_named(plan.kind)
        most = 0 if kind.rests(cur, plan) else _most(plan, kind.batch, _pace(cur, kind, plan))
    return kind.prepare(plan, most) if most else None


def _step(number: int, prepared: Any) -> bool:
    with write() as cur:
        plan = lock_free(cur, number)
        failpoint("plan_step.after_lock")
        if plan is None or plan.state != State.RUNNING:
            return False
        kind = kind_named(plan.kind)
        pace = _pace(cur, kind, plan)
        most = _most(plan, kind.batch, pace)
        if most == 0 or kind.rests(cur, plan):
            return False
        step = Step(plan, left(cur, number, most if kind.by_items else NO_BOUND), plan.binds, prepared, most)
        changes = kind.changed(cur, step) if step.items else []
        if changes:
            move(cur, plan, State.HELD, ITSELF, f"what it binds has changed: {'; '.join(changes)}")
            return True
        results = kind.do(cur, step) if step.items else ()
        failpoint("plan_step.after_doing")
        _conclude(cur, plan, results, pace)
        failpoint("plan_step.before_commit")
    return True


@dataclass(frozen=True)
class _Pace:
    """How far a plan is: how many ended how, and how many of them since a second ago."""

    ended: Mapping[str, int]
    lately: int

    @property
    def done(self) -> int:
        return sum(self.ended.values())


def _pace(cur: Cursor, kind: PlanKind, plan: Any) -> _Pace:
    if not kind.by_items:
        return _Pace(kind.tally(cur, plan), kind.lately(cur, plan))
    ended = outcomes(cur, plan.id)
    ended.pop("", 0)
    return _Pace(ended, int(fetch_one(cur.execute(sql.lately, {"plan": plan.id})).lately))


def _most(plan: Any, batch: int, pace: _Pace) -> int:
    """How many are next: a batch, no more than the rate leaves of this second, no further than the first n."""
    most = batch
    if plan.rate is not None:
        most = min(most, max(plan.rate - pace.lately, 0))
    if plan.first_n is not None and pace.done < plan.first_n:
        most = min(most, plan.first_n - pace.done)
    return most


def _conclude(cur: Cursor, plan: Any, results: Sequence[ItemOutcome], before: _Pace) -> None:
    """Writes a step's outcomes, and what they make of the plan."""
    values = {
        "plan": plan.id,
        "ordinals": [each.ordinal for each in results],
        "outcomes": [str(each.outcome) for each in results],
        "reasons": [each.reason for each in results],
    }
    cur.execute(sql.write_outcomes, values)
    failpoint("plan_step.after_outcomes")
    to_do = outcomes(cur, plan.id).pop("", 0)
    now = _pace(cur, kind_named(plan.kind), plan)
    sums = dict(now.ended)
    if not to_do:
        move(cur, plan, State.DONE, ITSELF, "", outcomes=sums)
        return
    why = _halts(plan, before, now)
    if why:
        move(cur, plan, State.HELD, ITSELF, why, outcomes=sums)
    else:
        told = {"plan": plan.id, "kind": plan.kind, "outcomes": sums, "left": to_do}
        record_act(cur, ITSELF, "plan.step", subject(plan), "", told)


def _halts(plan: Any, before: _Pace, now: _Pace) -> str:
    """Why a plan with items left is held after a step that brought it from one to the other; "" that it goes on."""
    if plan.first_n is not None and before.done < plan.first_n <= now.done:
        return f"the first {plan.first_n:,} are done"
    lately = {outcome for outcome, n in now.ended.items() if n > before.ended.get(outcome, 0)}
    if plan.stop_when is not None and stops(plan.stop_when, now.ended, lately):
        return f"it was to stop when {plan.stop_when}"
    return ""


def _hold(number: int, why: str) -> None:
    with write() as cur:
        plan = lock_free(cur, number)
        failpoint("plan_hold.after_lock")
        if plan is not None and plan.state == State.RUNNING:
            move(cur, plan, State.HELD, ITSELF, why[:2000])
        failpoint("plan_hold.before_commit")
