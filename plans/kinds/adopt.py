"""Adopting an older copy of the database: the newest one is lost, and all lanes stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from audit.capture import admin
from audit.core.phrases import count
from ingest import adopt
from ingest.core.ids import StreamId
from ingest.db import Cursor
from ingest.models import Stream
from ingest.streams import newest_contract
from plans.core.binding import Subject, difference
from plans.core.plan import Kind, Outcome
from plans.errors import PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step

MOST_NAMED = 5


class AdoptPlan(PlanKind):
    """Asked: stream, one of those whose lanes stand; the ledger is that of all."""

    kind: ClassVar[Kind] = Kind.ADOPT
    asks: ClassVar[tuple[str, ...]] = ("stream",)

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        if asked.get("run") is not None or asked.get("window") is not None:
            raise PlanRefused(expected="a stream", found="a run: the ledger is that of all streams")
        name = str(asked["stream"])
        compiled = newest_contract(name)
        stream, plans = Stream.objects.get(id=compiled.stream_id), compiled.contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(stream.id),
            run=None,
            win=None,
            subject=Subject(name),
            asked={},
            facts=adopt.lost(stream, admin()),
            items=("ledger",),
            expire=plans.expire,
        )

    def foresee(self, bound: Bindings) -> Prediction:
        facts, ahead = bound.facts, bound.facts["ahead"]
        more = f", and {len(ahead) - MOST_NAMED:,} more" if len(ahead) > MOST_NAMED else ""
        streams = Stream.objects.count()
        lines = [
            "If a newer copy of the database can be found, put it back instead: nothing is lost then.",
            *([f"Kafka was told of sample {facts['generation']:,}, which is not here."] if facts["generation"] else []),
            *(
                [f"Kafka was told of positions beyond this ledger's: {'; '.join(ahead[:MOST_NAMED])}{more}."]
                if ahead
                else []
            ),
            f"The ledger would go on as another installation, and lanes of {count(streams, 'stream')} from where"
            " it stands: what the lost ledger admitted from Kafka since is admitted and published once more.",
            "Gone with the lost ledger: events that came over HTTP since, acts, plans, and verdicts, whose numbers are"
            " given again.",
            "What the lost ledger published since is FOREIGN on the bus: a window whose part of the bus holds it does"
            " not pass. Open a new run; a fresh replay reads such a window again.",
        ]
        return Prediction({Outcome.DONE: 1}, tuple(lines))

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """Kafka is asked. Where it is away that is an error, and no change: the plan waits."""
        return step.prepared if isinstance(step.prepared, list) else _difference(step.plan)

    def prepare(self, plan: Any, most: int) -> Any:
        return _difference(plan)

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan = step.plan
        adopt.adopt(cur, adopt.AdoptGrant(step.binds["facts"], plan.id, plan.requested_by, plan.reason))
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def _difference(plan: Any) -> list[str]:
    try:
        return difference(plan.binds["facts"], adopt.lost(Stream.objects.get(id=plan.stream_id), admin()))
    except adopt.NotBehind as refused:
        return [f"{refused.what}: {refused.found}"]
