"""What a slice drives: a lane does a bounded step of its source's work and says how it went."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from ingest.core import stops
from ingest.core.errors import PassgateError

#: How often Kafka is told a position while batch follows batch (s); at once when there is nothing to do.
OFFSET_COMMIT_INTERVAL = 1.0
#: How long records wait for more where more is coming: among many lanes each reads for a moment only, and batches of
#: what that brings would cost a transaction each.
GATHER_SECONDS = 0.2


@dataclass(frozen=True)
class Step:
    """`records` were made durable; `idle` says there was nothing to do; `keep` that letting go of the lane now would
    lose what it has begun."""

    records: int
    idle: bool
    keep: bool = False


class LaneWaits(PassgateError):
    """No error: something outside has to happen first. The lane lets go, and is not taken again before that.

    Taking it only to find that would cost a lease, a fence and a producer each time, for as long as nobody acts.
    `seconds` is the longest that it rests where nothing but time ends it.
    """

    what = "the lane waits"

    def __init__(self, seconds: float = 0.0, *, found: str = "") -> None:
        self.seconds = seconds
        super().__init__(found=found)


class WaitsForReconcile(LaneWaits):
    code = stops.RECONCILE
    what = stops.waits_for(stops.RECONCILE)


class WaitsForSilence(LaneWaits):
    code = stops.SILENCE
    what = stops.waits_for(stops.SILENCE)


class WaitsForRepublish(LaneWaits):
    code = stops.REPUBLISH
    what = stops.waits_for(stops.REPUBLISH)


class WaitsForTransaction(LaneWaits):
    code = stops.TRANSACTION
    what = stops.waits_for(stops.TRANSACTION)


class WaitsForContext(LaneWaits):
    """What lies before `offset` can be applied; what lies there is joined with what is not pinned yet."""

    code = stops.CONTEXT
    what = stops.waits_for(stops.CONTEXT)

    def __init__(self, offset: int, seconds: float, *, found: str) -> None:
        self.offset = offset
        super().__init__(seconds, found=found)

    def __str__(self) -> str:
        """Which context and which time: a sentence of its own."""
        return self.found


class WaitsForFreshContext(WaitsForContext):
    code = stops.FALLEN_CONTEXT
    what = stops.waits_for(stops.FALLEN_CONTEXT)


BackgroundWork = Callable[[], bool]
"""Does a little of what comes next, while PostgreSQL works. False: there is nothing to do now."""


def no_background() -> bool:
    """The background work of a lane that has none: PostgreSQL is then simply waited for."""
    return False


class Lane(Protocol):
    """Holds its lease, consumers and producers between steps. Errors are PassgateErrors: LeaseError means drop it."""

    def step(self, max_wait: float, meanwhile: BackgroundWork = no_background) -> Step:
        """`meanwhile` may be called, often, while PostgreSQL looks up or stores what the step makes durable."""
        ...

    def prefetch(self) -> bool:
        """A little of what its next step needs, in another lane's step. False: nothing was done."""
        ...

    def is_prefetched(self) -> bool:
        """Whether what its next step needs is there: no other lane has to go on in its place."""
        ...

    def close(self) -> None: ...
