"""A decision: what became of a publish that no scan can answer. Present is what has its effect; the rest is absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from audit.core.phrases import be, count
from ingest.core.contract.shape import Republish
from ingest.core.errors import PassgateError
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.db import Cursor, read
from ingest.publish import decide as decisions
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import Kind, Outcome
from plans.errors import PlanChanged, PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step


class DecidePlan(PlanKind):
    """Asked: stream, run, attempt. The attempt says which window it is about."""

    kind: ClassVar[Kind] = Kind.DECIDE

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        attempt = AttemptId(int(asked["attempt"]))
        with read() as cur:
            of = decisions.about(cur, attempt)
            facts = decisions.facts_of(cur, attempt)
        if (of.stream, of.run) != (asked["stream"], asked["run"]) or asked.get("window", of.number) != of.number:
            raise PlanRefused(
                expected=f"the run and window of attempt {attempt}: {of.stream}/{of.run} window {of.number}",
                found=f"{asked['stream']}/{asked['run']}"[:400],
            )
        decisions.check_undecidable(facts)
        plans = compiled_contract(of.contract_id).contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(of.stream_id),
            run=RunId(of.run_id),
            win=WindowId(of.win),
            subject=Subject(of.stream, of.run, of.number),
            asked={"attempt": attempt},
            facts=facts,
            items=(str(attempt),),
            expire=plans.expire,
        )

    def foresee(self, bound: Bindings) -> Prediction:
        facts = bound.facts
        with read() as cur:
            of = decisions.about(cur, AttemptId(facts["attempt"]))
        by_plan = compiled_contract(of.contract_id).contract.reconcile.republish is Republish.PLAN
        present, absent = facts["present"], facts["absent"]
        lines = [
            f"Attempt {facts['attempt']} ({count(facts['events'], 'event')}) is UNDECIDABLE: {facts['why']}.",
            f"{count(present, 'event')} {be(present)} decided to be present, each where its effect lies on the bus.",
            f"{count(absent, 'event')} {be(absent)} decided to be absent.",
        ]
        if absent:
            again = "wait for a plan that publishes them again" if by_plan else "are published again by themselves"
            lines += [
                f"Those {again}.",
                "A copy of one of them that is on the bus after all is a duplicate, and changes nothing.",
            ]
        lines.append("Every verdict of the window names the decision from then on.")
        return Prediction({Outcome.DONE: 1}, tuple(lines))

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        bound = step.binds["facts"]
        name = f"attempt {bound['attempt']}"
        try:
            facts = decisions.facts_of(cur, AttemptId(bound["attempt"]))
        except PassgateError as refused:
            return [f"{refused.what}: {refused.found}"]
        return difference({name: bound}, {name: facts})

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan, facts = step.plan, step.binds["facts"]
        attempt = AttemptId(facts["attempt"])
        decisions.lock(cur, attempt)
        changes = self.changed(cur, step)
        if changes:  # by a lane that was at work until just now
            raise PlanChanged(
                expected="what was approved", found="; ".join(changes), next_step="cancel it, and submit it anew"
            )
        grant = decisions.DecisionGrant(
            attempt, facts["scan"], plan.id, plan.requested_by, plan.approved_by, plan.reason
        )  # fmt: skip
        decisions.decide(cur, grant, WindowId(plan.win))
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]
