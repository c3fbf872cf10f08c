"""What one try at publishing came to, from what the Kafka client said. Pure.

docs/kafka-facts.md#publishing is the same as a table. Its one idea: only `produce()` raising is a certain negative, and
only a clean `commit_transaction()` makes a delivery report a positive. Everything between is UNKNOWN, whatever the
error's name promises, because an earlier try of the same request may have been appended.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from operator import itemgetter
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Fault:
    """An error as librdkafka names it (`_MSG_TIMED_OUT`, `TOPIC_AUTHORIZATION_FAILED`), with its three flags."""

    name: str
    text: str = ""
    retriable: bool = False
    fatal: bool = False
    requires_abort: bool = False


class Report(NamedTuple):
    """One delivery report. `number` is the event's place in the attempt, from 0; no offset is None, never 0 or -1."""

    number: int
    partition: int
    offset: int | None
    fault: Fault | None = None


class Step(StrEnum):
    """The producer's call that raised: what may have landed on the bus depends on it."""

    BEGIN = "begin_transaction"
    PRODUCE = "produce"
    FLUSH = "flush"
    COMMIT = "commit_transaction"


@dataclass(frozen=True, slots=True)
class SendReport:
    """All that was seen of one attempt.

    `events` were to be sent, `handed_over` were taken by `produce()`, `undelivered` had no report after `flush()`.
    `raised` is the call that ended the attempt and its fault; None with `committed` means `commit_transaction()`
    returned.
    """

    events: int
    handed_over: int
    reports: Sequence[Report] = ()
    undelivered: int = 0
    raised: tuple[Step, Fault] | None = None
    committed: bool = False


class Kind(StrEnum):
    NOT_SENT = "NOT_SENT"  # nothing left this process
    ACKED = "ACKED"  # committed, and every event has its place
    UNKNOWN = "UNKNOWN"  # may be on the bus: all, some or none of it


class Place(NamedTuple):
    """Where the attempt's event `number` lies on the bus."""

    number: int
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """`why` is empty for ACKED, else a code and its detail; `places` are in the order of the attempt's events."""

    kind: Kind
    why: str = ""
    places: tuple[Place, ...] = ()


class CommitStep(StrEnum):
    """What to do after `commit_transaction()` raised."""

    AGAIN = "AGAIN"  # the same call on the same producer
    GIVE_UP = "GIVE_UP"  # UNKNOWN; destroy the producer


def after_commit_fault(fault: Fault, seconds_left: float) -> CommitStep:
    """A retriable commit is called again on the same producer while the attempt's time lasts; nothing else is.

    An abort is never tried: librdkafka's abort can act on the next transaction of the same instance.
    """
    again = fault.retriable and not fault.fatal and not fault.requires_abort and seconds_left > 0
    return CommitStep.AGAIN if again else CommitStep.GIVE_UP


def judge(sending: SendReport) -> Outcome:
    """The outcome of an attempt. The order of the questions is the order of certainty."""
    if sending.handed_over == 0 and not sending.committed:
        return Outcome(Kind.NOT_SENT, _raised(sending))
    if sending.raised is not None:
        return Outcome(Kind.UNKNOWN, _raised(sending))
    if sending.undelivered:
        return Outcome(Kind.UNKNOWN, f"NO_REPORT: flush left {sending.undelivered} without a delivery report")
    faults = [fault for _, _, _, fault in sending.reports if fault is not None]
    if faults:
        return Outcome(Kind.UNKNOWN, _faults(faults))
    if not sending.committed:
        return Outcome(Kind.UNKNOWN, "NOT_COMMITTED: commit_transaction() was not reached")
    return _acked(sending)


# Without the class's own constructor, which is a function in Python called once an event.
_as_place: Callable[[Iterable[int | None]], Place] = partial(tuple.__new__, Place)


def _acked(sending: SendReport) -> Outcome:
    """Committed. A report without an offset is on the bus at a place unknown: reconciliation finds it (PRESENT)."""
    placed = [report for report in sending.reports if report[2] is not None]
    placed.sort(key=itemgetter(0))
    if len(set(map(itemgetter(0), placed))) != sending.events:
        missing = sending.events - len(placed)
        return Outcome(Kind.UNKNOWN, f"PLACE_UNKNOWN: committed, but {missing} delivery reports carry no offset")
    columns = list(zip(*placed, strict=True))[:3]
    return Outcome(Kind.ACKED, places=tuple(map(_as_place, zip(*columns, strict=True))))


def _raised(sending: SendReport) -> str:
    if sending.raised is None:
        return "NOTHING_HANDED_OVER: no event was given to the producer"
    step, fault = sending.raised
    return f"{fault.name}: {step} raised: {fault.text}"


def _faults(faults: Sequence[Fault]) -> str:
    """The first fault by name, with how many reports carried one: the last error only is what a report shows."""
    first = min(faults, key=lambda fault: fault.name)
    return f"{first.name}: {len(faults)} delivery reports failed: {first.text}"


def confirm(outcome: Outcome, topic_id: str, found: str | None) -> Outcome:
    """ACKED stands only if the topic read after the commit is the one that was sent to; None: none, or no answer."""
    if outcome.kind is not Kind.ACKED or found == topic_id:
        return outcome
    return Outcome(Kind.UNKNOWN, f"TOPIC: committed to topic id {topic_id}, found {found or 'no answer'} afterwards")
