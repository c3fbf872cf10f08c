"""A basis refresh: a window goes on with what its topics promise now, which is less than it began with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from audit import refresh
from audit.close import window_of
from audit.measure import window_row
from ingest.core.ids import RunId, StreamId, WindowId
from ingest.db import Cursor, read
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import Kind, Outcome
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step

#: It follows from the others, and says less to a person than they do.
DERIVED = "next"


class BasisPlan(PlanKind):
    """Asked: stream, run; window, where it is not the run's newest."""

    kind: ClassVar[Kind] = Kind.BASIS

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        win = window_of(asked["stream"], asked["run"], asked.get("window"))
        with read() as cur:
            row = window_row(cur, win)
        facts = refresh.facts_of(win, refresh.ask(win))
        plans = compiled_contract(row.contract_id).contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(row.stream_id),
            run=RunId(row.run_id),
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked={},
            facts=facts,
            items=(f"generation {facts['generation'] + 1}",),
            expire=plans.expire,
        )

    def foresee(self, bound: Bindings) -> Prediction:
        assert bound.win is not None
        seen = refresh.foresee(bound.win)
        number = seen.facts["generation"]
        lines = [
            *seen.lines,
            f"Generation {number + 1} would be appended; generation {number} and verdicts stay what they are.",
        ]
        if seen.after is None:
            lines.append(f"The window is open: once it is cut it is judged against generation {number + 1}.")
            return Prediction({Outcome.DONE: 1}, tuple(lines))
        left = [cause.text for each in seen.after.failed() if each.follows_from is None for cause in each.causes]
        lines += [
            f"The window's next verdict would be {seen.after.title}.", *(f"Still in its way: {text}." for text in left),
        ]  # fmt: skip
        return Prediction({Outcome.DONE: 1}, tuple(lines), seen.after.title)

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """Kafka is asked. Where it does not answer that is an error, and no change: the plan waits."""
        bound, win = step.binds["facts"], WindowId(step.plan.win)
        captured = step.prepared or refresh.ask(win)
        try:
            facts = refresh.facts_of(win, captured, bound)
        except refresh.NotRefreshable as refused:
            return [f"{refused.what}: {refused.found}"]
        return difference(_said(bound), _said(facts))

    def prepare(self, plan: Any, most: int) -> Any:
        return refresh.ask(WindowId(plan.win))

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan = step.plan
        grant = refresh.RefreshGrant(
            win=WindowId(plan.win),
            facts=step.binds["facts"],
            plan=plan.id,
            requested_by=plan.requested_by,
            approved_by=plan.approved_by,
            reason=plan.reason,
        )
        refresh.refresh(cur, grant, step.prepared)
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def _said(facts: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in facts.items() if name != DERIVED}
