"""Replaying: offsets of an inbox partition are read again, as records of a plan's own source.

Offset n of the plan's source is offset start + n of its origin, so each origin's offset is read once and holes are gap
rows here, too. In the same run (*prove*) what was admitted is a DUPLICATE and what was missed is admitted; what the log
has no more is one gap, where the origin's own receipts stand in for it. In a run of its own (*fresh*) the events of one
window are admitted anew, and no others. This is a step inside the plan's transaction; what it admits was read before
that began (docs/plans.md#a-replay).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import msgspec

from ingest.admit.read_ahead import arrivals_of
from ingest.admit.redrive import FENCE, ForeseenAdmission, RedrivenRecord, owner_of
from ingest.core.batching import BATCH_BYTES, GONE, Hole, OffsetRange, sized
from ingest.core.cloudevents import structured_form
from ingest.core.decide import Arrival, Decisions, Item, KnownEvent
from ingest.core.errors import LeaseError
from ingest.core.identity import identifier
from ingest.core.ids import BatchId, RunId, SourceId, StreamId, WindowId
from ingest.core.leaf import table_partition
from ingest.core.lease import Lease
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.reason import Decision, Reason
from ingest.core.record import NotUnderstood, Understood
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.kafka import (
    READ_COMMITTED,
    Admin,
    Cluster,
    FetchResult,
    Partition,
    PartitionReader,
    Start,
    TopicChanged,
)
from ingest.lanes.record_buffer import RecordBuffer
from ingest.models import Source
from ingest.streams import CompiledContract
from ingest.windows import Binding, EarlierRun

sql = statements("ingest.admit", "replay")

#: For how long one step reads at most; what it has by then is a step.
READ_SECONDS = 5.0
NOT_OF_WINDOW = "it is no event of the window that is read again: prove that window first"


@dataclass(frozen=True)
class OriginLog:
    """The partition that is read again, of one incarnation of its topic."""

    source: SourceId
    topic: str
    topic_id: str
    partition: int
    start: int
    end: int

    @property
    def here(self) -> Partition:
        return Partition(self.topic, self.partition)


@dataclass(frozen=True)
class Place:
    """The run whose window a fresh run takes the place of: `name`, and that window with its reruns."""

    run: RunId
    name: str
    loaded: CompiledContract
    windows: frozenset[WindowId]


@dataclass(frozen=True)
class ReplayOrder:
    """Which plan reads into which window; `source` is the plan's own. `place`: of a fresh run, else None."""

    plan: int
    source: SourceId
    stream: StreamId
    binding: Binding
    loaded: CompiledContract
    log: OriginLog
    place: Place | None = None


@dataclass(frozen=True)
class LogStart:
    """Where a log began, asked twice: it only ever moves on, so what lies below both is gone for good."""

    before: int
    after: int

    @property
    def least(self) -> int:
        return min(self.before, self.after)


def origin_log(cur: Cursor, source: SourceId, start: int, end: int) -> OriginLog:
    row: Any = cur.execute(sql.origin, {"source": source}).fetchone()
    return OriginLog(source, row.topic, row.topic_id, row.partition, start, end)


def place_of(cur: Cursor, win: WindowId, loaded: CompiledContract) -> Place:
    """`loaded` is the contract of window `win`: by its rules the run knows its events."""
    rows = cur.execute(sql.place, {"win": win}).fetchall()
    return Place(RunId(rows[0].run_id), rows[0].run_name, loaded, frozenset(WindowId(row.id) for row in rows))


# ---- what is gone ---------------------------------------------------------------------------------------------------


def start_of(log: OriginLog, admin: Admin) -> LogStart | None:
    """None: Kafka does not say, or the topic is another incarnation by now, whose offsets are nobody's (K5)."""
    starts = []
    for _ in ("before", "after"):
        if admin.topic_id(log.topic) != log.topic_id:
            return None
        starts.append(admin.ends(log.topic, [log.partition])[log.partition].earliest)
    before, after = starts
    if before is None or after is None or admin.topic_id(log.topic) != log.topic_id:
        return None
    return LogStart(before, after)


def gone_from(log: OriginLog, at: int, admin: Admin) -> OffsetRange | None:
    """What of the range is gone from `at` on, as one hole; None where the log's start does not lie behind `at`."""
    start = start_of(log, admin)
    if start is None or start.least <= at:
        return None
    end = min(start.least, log.end)
    return OffsetRange(at, end, None, (), (Hole(at, end, None, READ_COMMITTED, GONE),))


def is_gone(batch: OffsetRange) -> bool:
    """Whether a batch is of what was not there to be read."""
    return any(hole.why == GONE for hole in batch.holes)


# ---- reading --------------------------------------------------------------------------------------------------------


class OriginReader:
    """Reads one log on from an offset; kept between the steps of a plan."""

    def __init__(self, log: OriginLog, at: int, admin: Admin) -> None:
        self.log = log
        self._admin = admin
        self._check_topic()
        self._reader = PartitionReader(Cluster.from_settings())
        self._reader.assign([Start(log.topic, log.partition, at)])
        self._buffer = RecordBuffer(at, None, self._read)

    def close(self) -> None:
        self._buffer.close()
        self._reader.close()

    @property
    def at(self) -> int:
        """Where the next batch begins."""
        return self._buffer.pending.start

    def batch(self, records: int) -> OffsetRange:
        """What follows, up to so many records and the end of the range: offsets of the origin, records and holes.

        Empty where nothing came in time. Raises TopicChanged, or what the broker said.
        """
        self._buffer.fill(READ_SECONDS, records, BATCH_BYTES)
        self._check_topic()
        return self._buffer.next_batch(self.log.end, records, BATCH_BYTES)

    def _read(self, records: int, wait: float, size: int) -> FetchResult | None:
        return self._reader.read(records, wait, size).get(self.log.here)

    def _check_topic(self) -> None:
        """Offsets of another incarnation are nobody's (K5)."""
        found = self._admin.topic_id(self.log.topic)
        if found != self.log.topic_id:
            raise TopicChanged(
                expected=f"{self.log.topic} with id {self.log.topic_id}",
                found=f"id {found}" if found else "no such topic",
                next_step="cancel the plan: what it would read again is gone",
            )


# ---- admitting ------------------------------------------------------------------------------------------------------


class ReadAgain(NamedTuple):
    """What records became, and by identity the offset, in the plan's source, of the first that is a DUPLICATE."""

    decisions: Counter[Decision]
    duplicates: dict[bytes, int]


def replay(cur: Cursor, order: ReplayOrder, batch: OffsetRange) -> ReadAgain:
    """The step: one batch of the origin. Raises LeaseError where the plan's position stands elsewhere.

    The origin is read below its window's cut and below its lane's position alone: looked at in each batch.
    """
    poll = _shifted(batch, order.log.start)
    number = _advance(cur, order, batch, poll)
    failpoint("replay.after_position")
    work = _admission(cur, order, poll)
    decisions, _ = work.write_all(cur, number)
    return _read_again(decisions)


def _read_again(decisions: Decisions) -> ReadAgain:
    known: dict[bytes, int] = {}
    for outcome in decisions.outcomes:
        if outcome.decision is Decision.DUPLICATE and outcome.identity is not None:
            known.setdefault(outcome.identity, outcome.offset)
    return ReadAgain(Counter(outcome.decision for outcome in decisions.outcomes), known)


class ForeseenBatch(NamedTuple):
    """How records would end, the keys and offsets, in their own log, of those that would be admitted, and the events
    that duplicates are of."""

    decisions: Counter[Decision]
    admitted: list[tuple[bytes, int]]
    duplicates: list[bytes]


def foresee(cur: Cursor, order: ReplayOrder, batch: OffsetRange, before: dict[bytes, KnownEvent]) -> ForeseenBatch:
    """Decides about the same records by the same rule, and writes nothing. `before`: what earlier ones would admit."""
    work = _admission(cur, order, _shifted(batch, order.log.start))
    decisions = work.decide(cur, before)
    events = {event.offset + order.log.start for event in decisions.events}
    admitted = [(r.key, r.offset) for r in batch.records if r.key is not None and r.offset in events]
    seen = _read_again(decisions)
    return ForeseenBatch(seen.decisions, admitted, list(seen.duplicates))


def _shifted(batch: OffsetRange, start: int) -> OffsetRange:
    """In the plan's own offsets."""
    records = [RedrivenRecord(r.offset - start, r.key, r.value, r.headers) for r in batch.records]
    holes = [hole._replace(start=hole.start - start, end=hole.end - start) for hole in batch.holes]
    return sized(OffsetRange(batch.start - start, batch.end - start, None, records, holes), batch.size)


def _advance(cur: Cursor, order: ReplayOrder, batch: OffsetRange, poll: OffsetRange) -> BatchId:
    values = {
        "source": order.source, "win": order.binding.win, "start": poll.start, "end": poll.end,
        "origin": order.log.source, "upto": batch.end, "owner": owner_of(order.plan), "fence": FENCE,
    }  # fmt: skip
    row = cur.execute(sql.advance, values).fetchone()
    if row is None:
        raise LeaseError(
            expected=f"the position of plan {order.plan} at {poll.start}, behind its origin's",
            found="another one",
            next_step="resume the plan: it reads on from where it stands",
        )
    return BatchId(row.batch_id)


def _admission(cur: Cursor, order: ReplayOrder, poll: OffsetRange) -> _ReplayAdmission:
    lease = Lease("admission", order.source, order.stream, owner_of(order.plan), FENCE, poll.start, None)
    source = (
        Source.objects.get(id=order.source) if order.source else Source(cluster_id="plan", topic_id="", partition=0)
    )
    if order.place is None:
        arrivals = arrivals_of(order.loaded, order.binding.run_name, poll.records)
        return _ReplayAdmission(source, lease, order.binding, order.loaded, poll, arrivals, order.log)
    fresh = _fresh_arrivals(cur, order, order.place, poll)
    work = _ReplayAdmission(source, lease, order.binding, order.loaded, poll, fresh.arrivals, order.log)
    work.fresh, work.elsewhere = True, fresh.elsewhere
    return work


class _ReplayAdmission(ForeseenAdmission):
    """A batch of a plan's source. `elsewhere`: events that other windows of the run have, by their new identity."""

    fresh = False

    def __init__(self, *given: Any) -> None:
        *rest, self.log = given
        super().__init__(*rest)
        self.elsewhere: dict[bytes, KnownEvent] = {}

    def _earlier(self) -> EarlierRun | None:
        """A fresh run admits again what the run has whose window it reads: what it looks up there is `elsewhere`."""
        return None if self.fresh else super()._earlier()

    def _known(self, cur: Cursor) -> dict[bytes, KnownEvent]:
        return self.elsewhere | super()._known(cur)

    def _write_items(self, cur: Cursor, batch: BatchId, items: Sequence[Item]) -> None:
        """In the same run a record that has its item gets no second one, and counts for nothing new."""
        at = {item.offset + self.log.start: item for item in items}
        keys = {
            "run": self.binding.run_id, "origin": self.log.source, "offsets": list(at),
            "identities": [item.identity for item in at.values()],
            "digests": [item.payload_digest for item in at.values()],
        }  # fmt: skip
        known = {row.offset for row in cur.execute(sql.known_items, keys).fetchall()} if items else set()
        super()._write_items(cur, batch, [item for offset, item in at.items() if offset not in known])


@dataclass(frozen=True)
class _Fresh:
    arrivals: list[Arrival]
    elsewhere: dict[bytes, KnownEvent]


def _fresh_arrivals(cur: Cursor, order: ReplayOrder, place: Place, poll: OffsetRange) -> _Fresh:
    """Under a new run's name: events of the window that is read again, and no others.

    Another window's event is a DUPLICATE of that; what no window of the run has is set aside: admitting it is for a
    replay in the run itself, where the unique index settles the race with a live copy.
    """
    before = arrivals_of(place.loaded, place.name, poll.records)
    now = arrivals_of(order.loaded, place.name, poll.records)
    wins = _windows(cur, place.run, [each.identity for each in before if each.identity is not None])
    identify: dict[str, Any] = {}
    arrivals, elsewhere = [], dict[bytes, KnownEvent]()
    for was, is_ in zip(before, now, strict=True):
        if is_.identity is None or not isinstance(is_.parsed, Understood):
            arrivals.append(msgspec.structs.replace(is_, identity=None))
            continue
        name = is_.parsed.class_name
        if name not in identify:
            identify[name] = identifier(order.loaded.contract.stream, order.binding.run_name, name)
        identity = identify[name](is_.parsed.parts)
        held = wins.get(was.identity) if was.identity is not None else None
        if held is None:
            refused = NotUnderstood(Reason.OTHER_RUN, NOT_OF_WINDOW, None, is_.parsed.run, is_.parsed.flags, name)
            arrivals.append(msgspec.structs.replace(is_, parsed=refused, identity=None))
            continue
        if held.win not in place.windows:
            payload = _compared(place.loaded, held)
            elsewhere[identity] = KnownEvent(held.payload_digest, held.source_id, held.offset, payload, was.identity)
        arrivals.append(msgspec.structs.replace(is_, identity=identity))
    return _Fresh(arrivals, elsewhere)


def _compared(loaded: CompiledContract, row: Any) -> bytes | None:
    """The payload in the form that it is compared in; None once its bytes are erased."""
    if row.payload is None or not loaded.parser.is_cloudevents:
        return row.payload  # type: ignore[no-any-return]
    return structured_form(row.payload, unpacked_headers(row.headers))


def _windows(cur: Cursor, run: RunId, identities: Sequence[bytes]) -> dict[bytes, Any]:
    """Which events of the run these are, and of which windows."""
    wanted = list(dict.fromkeys(identities))
    keys = {"identities": b"".join(wanted), "n": len(wanted), "run": run}
    rows = cur.execute(sql.windows_of.format(leaf=table_partition("event", run)), keys).fetchall()
    return {bytes(row.identity): row for row in rows}


__all__ = [
    "LogStart", "OriginLog", "OriginReader", "Place", "ReadAgain", "ReplayOrder", "foresee", "gone_from", "is_gone",
    "origin_log", "place_of", "replay", "start_of",
]  # fmt: skip
