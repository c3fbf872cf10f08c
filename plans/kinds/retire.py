"""Retiring an incarnation of an inbox topic that was moved on purpose: its re-checks end, and its gates stand on the
ledger from then on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from audit import recheck_end as ends
from audit.core.phrases import count
from ingest.core.errors import NotFound
from ingest.core.ids import StreamId
from ingest.db import Cursor
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import Kind, Outcome
from plans.errors import PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step


class RetirePlan(PlanKind):
    """Asked: stream, topic; topic_id, where several incarnations of that name are there."""

    kind: ClassVar[Kind] = Kind.RETIRE
    asks: ClassVar[tuple[str, ...]] = ("stream", "topic")

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        if asked.get("run") is not None or asked.get("window") is not None:
            raise PlanRefused(expected="a stream and a topic", found="a run: a topic is read by many")
        stream, topic, topic_id = str(asked["stream"]), str(asked["topic"]), asked.get("topic_id")
        old = ends.incarnation(stream, topic, topic_id)
        plans = compiled_contract(old.contract).contract.plans
        return Bindings(
            kind=self.kind,
            stream=old.stream,
            run=None,
            win=None,
            subject=Subject(stream),
            asked={"topic": topic, "topic_id": old.facts["topic_id"]},
            facts=old.facts,
            items=(f"{topic} {old.facts['topic_id']}",),
            expire=plans.expire,
        )

    def foresee(self, bound: Bindings) -> Prediction:
        topic, gates = bound.facts["topic"], len(bound.facts["gates"])
        found = _now(bound.subject.stream, bound.facts, asking=False)
        lines = [
            f"Nobody would ask Kafka for {topic} with id {bound.facts['topic_id']} any more.",
            f"{count(gates, 'gate')} would stand on the ledger, and say so: {topic} may be deleted after it.",
            "A contradiction, the bus, a context or a waiver shuts them as before.",
            *(f"{each}, and could not pass any more." for each in found.lost),
            *(f"{each} leans on a waiver: its gate ends with that, and would not open again." for each in found.waived),
        ]
        return Prediction({Outcome.DONE: 1}, tuple(lines))

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """Kafka is asked: it is ended while the logs still answer. Where it is away that is an error, and no change."""
        bound = step.binds["facts"]
        try:
            facts = _now(step.binds["stream"], bound).facts
        except (ends.NotEnded, NotFound) as refused:
            return [f"{refused.what}: {refused.found}"]
        return difference(bound, facts)

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan = step.plan
        grant = ends.EndGrant(
            stream=StreamId(plan.stream_id),
            stream_name=step.binds["stream"],
            facts=step.binds["facts"],
            plan=plan.id,
            requested_by=plan.requested_by,
            approved_by=plan.approved_by,
            reason=plan.reason,
        )
        ends.end_rechecks(cur, grant)
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def _now(stream: str, facts: Mapping[str, Any], asking: bool = True) -> ends.Incarnation:
    return ends.incarnation(stream, facts["topic"], facts["topic_id"], facts["cluster_id"], asking)
