"""Looking at a plan that waits: whether what it binds is still so, and what it would do now. Nothing is stored."""

from __future__ import annotations

from typing import Any

from ingest.db import read, statements
from plans.approvals import approvals_changed
from plans.core.binding import Limits
from plans.core.plan import State
from plans.errors import NoSuchPlan
from plans.kinds import kind_named
from plans.kinds.base import Prediction, Step
from plans.preview import preview
from plans.rows import left

sql = statements("plans", "since")

#: What runs, or is held, goes on under the approvals that it has.
BEFORE_IT_RAN = (State.SUBMITTED, State.APPROVED)


def changed_since(number: int) -> list[str]:
    """How what a plan binds differs now from what was asked for, in words; empty: nothing has changed.

    Raises NoSuchPlan, KindNotThere.
    """
    with read() as cur:
        plan = _seen(cur.execute(sql.seen, {"plan": number}).fetchone(), number)
        changes = kind_named(plan.kind).changed(cur, Step(plan, left(cur, number), plan.binds))
        return [*approvals_changed(cur, plan), *changes] if plan.state in BEFORE_IT_RAN else changes


def foreseen(number: int) -> Prediction:
    """What a plan would do on what is there now. Raises NoSuchPlan, and what `preview` raises."""
    with read() as cur:
        plan = _seen(cur.execute(sql.seen, {"plan": number}).fetchone(), number)
    names = {name: plan.binds[name] for name in ("stream", "run", "window") if name in plan.binds}
    return preview(plan.kind, names | plan.binds["asked"], Limits(**plan.binds["limits"])).prediction


def _seen(row: Any, number: int) -> Any:
    if row is None:
        raise NoSuchPlan(expected=f"plan {number}", found="none", next_step="passgate plan list")
    return row
