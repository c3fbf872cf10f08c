"""What was measured about a window: values that say when they were taken and from where.

A fact that is absent is `None` and makes its check UNMEASURED. Zero is a measurement; silence is not (S1, S10).
Times are aware datetimes of the database's clock. Offsets are half-open ranges [start, cut).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import Generic, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class MeasuredValue(Generic[T]):
    """A value, when it was true, and who said so ("ledger", "kafka", "flights.bus/5")."""

    value: T
    measured_at: datetime
    source: str

    def age(self, now: datetime) -> timedelta:
        return now - self.measured_at


class WindowState(StrEnum):
    OPEN = "OPEN"  # takes records; its cut is not known
    CUT = "CUT"  # every offset from the cut on belongs to the next window


@dataclass(frozen=True)
class RerunName:
    """Which plan filled a window: as the `number`-th rerun of the window whose number it has, or in a fresh run (None).

    The contract is of the window that was read again. `out_of_order`: whoever asked consented to events that come late
    for their key.
    """

    number: int | None
    plan: int
    kind: str
    requested_by: str
    approved_by: str
    reason: str
    contract_version: int
    contract_digest: str
    out_of_order: bool = False


@dataclass(frozen=True)
class WindowName:
    """Which window, and which state of it: the verdict is inserted only if `revision` still stands."""

    stream: str
    run_name: str
    number: int
    state: WindowState
    revision: int
    contract_version: int
    contract_digest: str
    cut_at: datetime | None = None
    rerun: RerunName | None = None
    complete_until: datetime | None = None
    complete_why: str = ""
    behind: str | None = None
    """The earliest window before it whose end on the bus is not known: this one begins there."""

    @property
    def is_rerun(self) -> bool:
        return self.rerun is not None and self.rerun.number is not None


@dataclass(frozen=True)
class CloseRules:
    """What the contract's [close] asks for. `required` are the classes of which something must be admitted."""

    sample_max_age: timedelta = timedelta(seconds=30)
    stalled_after: timedelta = timedelta(seconds=60)
    quarantine_open_max: int = 0
    discard_max: int = 0
    missing_max: Decimal = Decimal(0)
    ambiguous_max: Decimal = Decimal(0)
    empty_waivable: bool = True
    empty_passes: bool = False
    totals_required: bool = False
    required: tuple[str, ...] = ()
    contexts: tuple[str, ...] = ()  # names of what its projection joins with

    @property
    def joins(self) -> bool:
        return bool(self.contexts)


@dataclass(frozen=True)
class DatabaseIdentity:
    """Postgres' own name for itself: a restored or promoted database shows here."""

    system_identifier: str
    timeline: int


@dataclass(frozen=True)
class PartitionLog:
    """One partition's log. Every value may be missing on its own (K4).

    `diverged` is what the epoch probe at the lane's position said: "" that the log continues there, else why not (K6).
    """

    log_start: int | None = None
    lso: int | None = None
    high_watermark: int | None = None
    leader_epoch: int | None = None
    diverged: str | None = None


def is_held(log: PartitionLog) -> bool:
    """Whether an open transaction keeps offsets from readers: the last stable offset lies before the end (K2)."""
    return log.lso is not None and log.high_watermark is not None and log.lso < log.high_watermark


def first_kept(log: PartitionLog, start: int, end: int) -> int | None:
    """From which offset on a log still keeps [start, end), by its start: `start` where it keeps all of it, `end` where
    it keeps nothing; None where its start was not measured (K7)."""
    return None if log.log_start is None else max(start, min(log.log_start, end))


@dataclass(frozen=True)
class RangeBehindCut:
    """Offsets [start, end) of an inbox source that were there when its cut was made, and lie behind it: an open
    transaction hid them. They go to the next window. `since`: since when it was seen."""

    label: str
    start: int
    end: int
    since: datetime | None = None

    @property
    def offsets(self) -> int:
        return self.end - self.start


@dataclass(frozen=True)
class Topic:
    """One incarnation of a topic. Without an id it was not found."""

    name: str
    topic_id: str | None
    partitions: Mapping[int, PartitionLog] = field(default_factory=dict)
    posture: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Broker:
    """What Kafka said at one moment. `inbox` is None for a stream without a Kafka inbox."""

    cluster_id: str
    bus: Topic
    inbox: Topic | None = None


def inbox_label(partition: int) -> str:
    """A window names its inbox's partitions without the topic: a run has one inbox."""
    return f"inbox/{partition}"


def bus_label(topic: str, partition: int) -> str:
    return f"{topic}/{partition}"


@dataclass(frozen=True)
class BasisSource:
    """A source as the basis knows it. `partition` is None for a door or a plan."""

    label: str
    partition: int | None = None


@dataclass(frozen=True)
class Refresh:
    """A generation that an approved plan appended; `why` names the plan and both people."""

    generation: int
    plan: int
    why: str


@dataclass(frozen=True)
class Basis:
    """The snapshot a window is judged against, generations folded in; the first generation's ids always stand."""

    generation: int
    digest: str
    broker: Broker
    database: DatabaseIdentity
    inbox: tuple[BasisSource, ...]
    bus: tuple[BasisSource, ...]
    later: frozenset[str] = frozenset()  # labels of sources first seen after the cut: they belong to a later window
    refreshes: tuple[Refresh, ...] = ()

    def labels(self) -> frozenset[str]:
        return frozenset(source.label for source in (*self.inbox, *self.bus))


@dataclass(frozen=True)
class LaneStop:
    """A lane that stands still and has said why: `label` is its source's, or says whose publish lane it is."""

    label: str
    code: str
    detail: str = ""


@dataclass(frozen=True)
class StandIn:
    """Offsets that a plan was to read again and its origin's log has no more, and what stands in for them.

    `receipts` are the origin's, of the window that is read again; `empty` offsets lie in gaps there that were proven
    while they were there; `neither` is what is left. Of the receipts `kept` have a payload, which was digested again,
    `unkept` none any more, and `unlike` are not what is kept of their event or item. `batches` of theirs were digested
    again, and `other_roots` of these have another digest. `refused`: why nothing of that window stands in.
    """

    offsets: int = 0
    receipts: int = 0
    empty: int = 0
    neither: int = 0
    kept: int = 0
    unkept: int = 0
    unlike: int = 0
    batches: int = 0
    other_roots: int = 0
    refused: str = ""

    def __add__(self, more: StandIn) -> StandIn:
        names = [each.name for each in fields(self) if each.name != "refused"]
        return StandIn(**{x: getattr(self, x) + getattr(more, x) for x in names}, refused=self.refused or more.refused)


@dataclass(frozen=True)
class SourceLedger:
    """One inbox source of the window, counted in the ledger.

    `missing`: offsets of [start, min(position, cut)) with neither receipt nor gap. `claimed` and `refuted`: offsets in
    gaps not proven yet, and in gaps a second consumer found records in. `outside`: receipts of the window that lie
    outside [start, cut). `moved_at`: since when the position stands still with something before it.
    """

    label: str
    start: int
    position: int
    cut: int | None
    receipts: int
    missing: int
    doubled: int
    outside: int
    claimed: int
    refuted: int
    moved_at: datetime
    lost: int = 0  # offsets of the range that were deleted before anybody read them
    first: bool = False  # no window before this one had the source
    differing: int = 0  # of a plan's source: records that are not what their origin's receipts say they were
    unread: int = 0  # of a fresh run's source: offsets that its plan was to read again and did not
    overtaken: int = 0  # of `claimed`: offsets that the log has no more, so that nobody can prove anything of them
    gone: int = 0  # of a plan's source: records that have a receipt at their origin, and are not there any more
    stand_in: StandIn | None = None  # of a plan's source: for what lies below its origin's log start by now
    target: int | None = None  # where an open window's lane could be now: the newest sampled LSO
    stop: LaneStop | None = None
    ends_before: bool = False  # the log ended before where the lane stood when Kafka was asked: it is lost
    kept_to: int | None = None  # its log was cut there, and goes on as another one, which is a later window's


@dataclass(frozen=True)
class BusPosition:
    """The effects lane on one bus partition. `end` is the window's bus_end, unread until every attempt is settled."""

    label: str
    partition: int
    start: int
    position: int
    end: int | None
    moved_at: datetime
    lost: int = 0  # offsets of the range that were deleted before anybody read them
    stop: LaneStop | None = None


@dataclass(frozen=True)
class Counts:
    """The batch rows' sums and the receipts themselves, counted apart so that they can disagree."""

    records: int
    admitted: int
    duplicates: int
    quarantined: int
    receipts_admitted: int
    receipts_duplicate: int
    receipts_quarantined: int
    by_class: Mapping[str, int]
    newest_receipt_at: datetime | None = None

    @property
    def receipts(self) -> int:
        return self.receipts_admitted + self.receipts_duplicate + self.receipts_quarantined


@dataclass(frozen=True)
class PublishFacts:
    """Admitted events and their places on the bus. Attempts are counted as (attempts, events)."""

    events: int
    placed_once: int
    placed_more: int
    queued: int
    in_flight: tuple[int, int] = (0, 0)  # PREPARED by a live lane
    unknown: tuple[int, int] = (0, 0)  # UNKNOWN
    undecidable: tuple[int, int] = (0, 0)  # UNDECIDABLE: a plan decides
    withheld: tuple[int, int] = (0, 0)  # proven ABSENT, and the contract wants a plan before they are published again
    over: tuple[int, int] = (0, 0)  # without outcome, on a log that is gone: nobody will know
    over_names: tuple[int, ...] = ()  # their attempts' numbers, the first few
    foreign: int = 0
    mismatching: int = 0
    copies: int = 0  # further ones of its events, each DUPLICATE: they change nothing, and nobody of ours wrote them
    first_copy: tuple[int, int] | None = None  # partition and offset of the first that was read
    contradictions: int = 0
    stopped: tuple[LaneStop, ...] = ()  # publish lanes of the window's sources that stand still
    lost: bool = False  # some of it was lost with a bus, and published again

    @property
    def unplaced(self) -> int:
        return self.events - self.placed_once - self.placed_more

    @property
    def unsettled(self) -> int:
        """Events whose attempt has no outcome yet, or that have no attempt."""
        pairs = (self.in_flight, self.unknown, self.undecidable, self.withheld, self.over)
        return self.queued + sum(pair[1] for pair in pairs)


@dataclass(frozen=True)
class TruthTable:
    """Set difference, by identity, of one table that readers read and the effects that its projection took."""

    name: str
    taken: int
    missing: int
    surplus: int


@dataclass(frozen=True)
class Application:
    """Set difference of the window's events and the effects of these events, and of these and each truth table."""

    events: int
    applied: int
    missing: int
    surplus: int
    tables: tuple[TruthTable, ...] = ()


@dataclass(frozen=True)
class CommitFact:
    """Kafka's committed offset beside the durable position. `None`: nothing committed (K10), which is a measurement.

    `ours`: the last offset our own lane committed; a higher one is somebody else's.
    """

    label: str
    committed: int | None
    position: int
    ours: int | None = None


@dataclass(frozen=True)
class Quarantine:
    """Items of the window by state. `unsigned`: resolved without a person or a reason."""

    open: int
    resolved: int
    discarded: int
    unsigned: int = 0


@dataclass(frozen=True)
class Joins:
    """Effects by what their join found."""

    matched: int
    missing: int
    ambiguous: int

    @property
    def total(self) -> int:
        return self.matched + self.missing + self.ambiguous


@dataclass(frozen=True)
class Waiver:
    """What an approved plan gave: one broken check may stand until `until`. It never turns UNMEASURED or FAIL.

    It is of the facts that were approved and of no others: `bound` is their digest, `measured` that of what is there.
    """

    check: str
    plan: int
    requested_by: str
    approved_by: str
    reason: str
    until: datetime
    bound: str
    measured: str

    def stands(self, now: datetime) -> bool:
        return now < self.until and self.bound == self.measured


@dataclass(frozen=True)
class RecheckEnd:
    """An approved plan ended the re-checks of the window's inbox: nobody asks Kafka for that topic any more."""

    plan: int
    topic: str
    requested_by: str
    approved_by: str
    at: datetime

    def said(self) -> str:
        return f"re-checks of {self.topic} were ended by plan {self.plan} on {self.at.date()}: it stands on the ledger"


@dataclass(frozen=True)
class AttemptDecision:
    """What two people decided of a publish that no scan could answer: how many of its events are present, each at the
    place of its effect, and how many absent. Every verdict of its window names it."""

    attempt: int
    plan: int
    requested_by: str
    approved_by: str
    reason: str
    present: int
    absent: int


@dataclass(frozen=True)
class Cover:
    """Whether a rerun proves all of the window that it reruns, which failed.

    `lacks`: what is missing for that, in words; where nothing is, the rerun's PASS opens that window. `revision` is the
    window's at which it was measured. Counted there: `events`, those of them that the records read again `referred` to,
    their effects, their places that were read again, and batches whose digests were recomputed. `mended`: effects of it
    that reruns wrote again, or rows of.
    """

    window: int
    revision: int
    lacks: tuple[str, ...]
    events: int = 0
    referred: int = 0
    effects: int = 0
    places: int = 0
    batches: int = 0
    mended: int = 0

    @property
    def whole(self) -> bool:
        return not self.lacks


@dataclass(frozen=True)
class PinnedVerdict:
    """The context a projection joined with: a verdict of another stream (`weather/2013-01#1`).

    `why` it does not stand now: another verdict of its window is newer, it is no PASS, or its gate is not open; "" that
    it stands. `fallen`: it will not stand again.
    """

    name: str
    reference: str
    digest: str
    why: str = ""
    fallen: bool = False


@dataclass(frozen=True)
class WindowFacts:
    """Everything a verdict may look at. Nothing else reaches it."""

    window: WindowName
    rules: CloseRules
    basis: MeasuredValue[Basis] | None = None
    broker: MeasuredValue[Broker] | None = None
    database: MeasuredValue[DatabaseIdentity] | None = None
    inbox: MeasuredValue[tuple[SourceLedger, ...]] | None = None
    bus: MeasuredValue[tuple[BusPosition, ...]] | None = None
    counts: MeasuredValue[Counts] | None = None
    totals: MeasuredValue[Mapping[str, int]] | None = None
    publishing: MeasuredValue[PublishFacts] | None = None
    application: MeasuredValue[Application] | None = None
    committed: MeasuredValue[tuple[CommitFact, ...]] | None = None
    quarantine: MeasuredValue[Quarantine] | None = None
    joins: MeasuredValue[Joins] | None = None
    end: MeasuredValue[Broker] | None = None  # the snapshot taken when the window was cut
    behind: tuple[RangeBehindCut, ...] = ()  # what that cut left to the next window
    waivers: tuple[Waiver, ...] = ()
    decisions: tuple[AttemptDecision, ...] = ()
    context: MeasuredValue[tuple[PinnedVerdict, ...]] | None = None
    ended: RecheckEnd | None = None

    def oldest(self) -> datetime | None:
        """When the oldest of them was taken. The basis and the end are old by nature, and say when they were taken."""
        facts = (getattr(self, name) for name in SAMPLED)
        return min((fact.measured_at for fact in facts if fact is not None), default=None)


#: What the ledger says: it changes with the window's revision once the window is cut (S12).
LEDGER = ("inbox", "bus", "counts", "totals", "publishing", "application", "quarantine", "joins", "context")
#: Every fact that is taken for a verdict, and ages.
SAMPLED = (*LEDGER, "database", "broker", "committed")
