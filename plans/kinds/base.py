"""What a kind of plan is: how it binds, foresees, notices a change, and does one step.

A kind is a small module beside this one, listed in `plans/kinds/__init__.py`. Facts that the ledger or a verdict must
read lie in tables of `ingest` or `audit`, and are written by the kind's step, in the plan's transaction.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, ClassVar

from ingest.core.ids import RunId, StreamId, WindowId
from ingest.db import Cursor
from plans.core.binding import Limits, Origin, Subject, binding
from plans.core.plan import Kind, Outcome


@dataclass(frozen=True)
class Bindings:
    """What a plan of a kind would bind now. `expire` is the contract's: for how long it waits. `lacks_consent`: it may
    be looked at, and not be submitted, for it would apply something out of a key's order. `approvals`: how many it
    needs, which is no kind's to say."""

    kind: Kind
    stream: StreamId
    run: RunId | None
    win: WindowId | None
    subject: Subject
    asked: Mapping[str, Any]
    facts: Mapping[str, Any]
    items: tuple[str, ...]
    expire: timedelta
    approvals: int = 1
    origin: tuple[Origin, ...] = ()
    lacks_consent: bool = False

    def document(self, limits: Limits) -> dict[str, Any]:
        return binding(self.kind, self.subject, self.asked, self.facts, self.items, self.origin, limits, self.approvals)


@dataclass(frozen=True)
class Prediction:
    """What a plan would do on what is there now. `outcomes`: how many items end how. `verdict`: the title of the
    window's next verdict, where the kind can tell. `lines`: for people, a sentence each.
    """

    outcomes: Mapping[Outcome, int]
    lines: tuple[str, ...] = ()
    verdict: str | None = None


@dataclass(frozen=True)
class Item:
    """One thing to do, as it was bound."""

    ordinal: int
    subject: str


@dataclass(frozen=True)
class ItemOutcome:
    ordinal: int
    outcome: Outcome
    reason: str | None = None


@dataclass(frozen=True)
class Step:
    """What a step is given: the plan's locked row, what it binds, and the items whose turn it is."""

    plan: Any
    items: Sequence[Item]
    binds: Mapping[str, Any] = field(default_factory=dict)
    prepared: Any = None
    most: int = 0


class PlanKind(ABC):
    """One kind of plan. Methods that are given a cursor run in the plan's transaction, which holds the plan's row."""

    kind: ClassVar[Kind]
    #: What must be asked for, whatever else is.
    asks: ClassVar[tuple[str, ...]] = ("stream", "run")
    #: Items of one transaction at most: pause and cancel wait for no more.
    batch: ClassVar[int] = 100

    @abstractmethod
    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        """What a plan that asks for this binds now. Raises NotFound, PlanRefused, or an error of the kind's own."""

    @abstractmethod
    def foresee(self, bound: Bindings) -> Prediction:
        """What it would do. On an unchanged ledger and basis that is what it does."""

    @abstractmethod
    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """How what the plan binds differs now, in words, as far as these items go; empty: it does not."""

    #: Whether `first` and `rate` count items; else the kind counts what its items bring (`tally`).
    by_items: ClassVar[bool] = True

    def prepare(self, plan: Any, most: int) -> Any:
        """What a step of `most` at most needs of elsewhere (Kafka), asked before its transaction begins; it comes as
        `Step.prepared`."""
        return None

    def rests(self, cur: Cursor, plan: Any) -> bool:
        """Whether the plan waits for others now: live lanes come first."""
        return False

    def tally(self, cur: Cursor, plan: Any) -> Mapping[str, int]:
        """How many ended how so far, where the kind does not count by items."""
        raise NotImplementedError

    def lately(self, cur: Cursor, plan: Any) -> int:
        """How many since a second ago, where the kind does not count by items."""
        raise NotImplementedError

    def ended(self, cur: Cursor, plan: Any, who: str) -> None:
        """The plan is over, whatever became of it: what it began is ended in the same transaction."""
        return

    @abstractmethod
    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        """Does these items: one outcome for each. An error undoes the step, and the plan is held with its words."""
