"""The effects lane: reads the bus read_committed and makes each event's effect durable once.

DESIGN 5. One transaction writes effects, the projection's rows, the bus batch and the position; Kafka's commit follows
and serves other tools. A worker that was fenced changes nothing.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from ingest import attempts
from ingest.admit import packed
from ingest.core.attempt import Mark, read_mark
from ingest.core.batching import weight
from ingest.core.consumption import AttemptFacts, BusRecord, EventFacts, EventKey, Known, Ruled, Ruling, rule
from ingest.core.errors import BrokerError, LeaseError, PassgateError
from ingest.core.identity import payload_digest
from ingest.core.lane import Step
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.db import Cursor, again, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Admin, Chunk, Cluster, Partition, PartitionReader, Record, Start, TopicChanged
from ingest.lease import clear_stop, renew
from ingest.models import Source
from ingest.projecting import AppliedEvent, Joined, Pin, ProjectionFailed, check_pins, load_projection
from ingest.publish import install_id
from ingest.streams import Loaded, compiled

log = logging.getLogger(__name__)
sql = statements("ingest", "consume")

_RENEW_AFTER = LEASE_SECONDS / 3
_EFFECT_TYPES = ("int4", "bytea", "int4", "int4", "int8", "int8", "int2", "text")
_REMEMBERED = 64
READ_RECORDS = 5_000
READ_BYTES = 8 * 1024 * 1024


class BusSkip(BrokerError):
    """A read did not begin at the position, or its records and gaps do not tile what it says it read."""

    code = "poll_skip"
    what = "the read does not continue the position"
    retry = True


@dataclass(frozen=True)
class Consumed:
    """What one bus batch became."""

    records: int
    applied: int
    duplicates: int
    foreign: int
    mismatching: int
    next_offset: int


def consume(source: Source, lease: Lease, install: str, chunk: Chunk, memory: Memory) -> Consumed:
    """The verb: one transaction. Raises LeaseError when fenced, BusSkip when the read is not dense."""
    _check_dense(chunk, lease.next_offset)
    records = [_bus_record(record) for record in chunk.records]
    return again(lambda: _Consumption(source, lease, install, chunk, records, memory).transact())


def _check_dense(chunk: Chunk, position: int) -> None:
    covered = len(chunk.records) + sum(gap.to_offset - gap.from_offset for gap in chunk.gaps)
    if chunk.start != position or covered != chunk.next_offset - chunk.start:
        raise BusSkip(
            expected=f"every offset from {position} on",
            found=f"{covered} offsets of [{chunk.start}, {chunk.next_offset})",
            next_step="read again from the position",
        )


def _bus_record(record: Record) -> BusRecord:
    return BusRecord(record.offset, read_mark(record.headers), payload_digest(record.value or b""))


class Memory:
    """What never changes about attempts, remembered by a process: their events' offsets, run and window."""

    def __init__(self) -> None:
        self._facts: dict[int, AttemptFacts] = {}

    def recall(self, cur: Cursor, numbers: Iterable[int]) -> dict[int, AttemptFacts]:
        """Facts of these attempts, with the state they have now; those not in the ledger are left out."""
        wanted = sorted(set(numbers))
        states = {row.id: row.state for row in cur.execute(sql.states, {"attempts": wanted}).fetchall()}
        facts = {number: self._facts[number] for number in states if number in self._facts}
        facts |= self._learn(cur, [number for number in states if number not in facts])
        self._facts = facts if len(self._facts) > _REMEMBERED else self._facts | facts
        partial = [number for number, state in states.items() if state == "PARTIAL"]
        placed = _placed(cur, partial) if partial else {}
        return {n: _with_state(facts[n], state, placed.get(n)) for n, state in states.items() if n in facts}

    def _learn(self, cur: Cursor, missing: Sequence[int]) -> dict[int, AttemptFacts]:
        if not missing:
            return {}
        offsets: dict[int, set[int]] = defaultdict(set)
        learned: dict[int, AttemptFacts] = {}
        for row in cur.execute(sql.attempts, {"attempts": list(missing)}, binary=True).fetchall():
            offsets[row.id].update(row.offsets)
            learned[row.id] = AttemptFacts(
                "", row.topic_id, row.source_id, row.run_number, row.win, row.contract_id, offsets[row.id]
            )
        return learned


def _with_state(facts: AttemptFacts, state: str, placed: set[int] | None) -> AttemptFacts:
    return AttemptFacts(
        state, facts.topic_id, facts.source, facts.run_number, facts.win, facts.contract, facts.offsets, placed or set()
    )


def _placed(cur: Cursor, partial: Sequence[int]) -> dict[int, set[int]]:
    found: dict[int, set[int]] = defaultdict(set)
    for row in cur.execute(sql.placed, {"attempts": list(partial)}).fetchall():
        found[row.attempt_id].add(row.offset)
    return found


class _Consumption:
    """One try at the transaction. A race that a unique index settled makes it be done again from the start."""

    def __init__(
        self, source: Source, lease: Lease, install: str, chunk: Chunk, records: list[BusRecord], memory: Memory
    ) -> None:
        self.source = source
        self.lease = lease
        self.install = install
        self.chunk = chunk
        self.records = records
        self.memory = memory
        self.by_offset = {record.offset: record for record in chunk.records}

    def transact(self) -> Consumed:
        with write() as cur:
            batch = self._advance(cur)
            failpoint("consume.after_position")
            known = self._known(cur)
            ruled = rule(self.records, known)
            applied = [r for r in ruled if r.ruling is Ruling.APPLIED]
            joined = self._project(cur, known, applied)
            failpoint("consume.after_projection")
            self._write_effects(cur, batch, known, applied, joined)
            failpoint("consume.after_effects")
            self._write_kept(cur, ruled)
            failpoint("consume.after_kept")
            self._write_contradictions(cur, known, ruled)
            failpoint("consume.after_contradictions")
            self._write_gaps(cur)
            failpoint("consume.after_gaps")
            done = self._write_batch(cur, batch, ruled)
            failpoint("consume.after_batch")
            self._touch(cur, known, ruled)
            failpoint("consume.before_commit")
        return done

    def _advance(self, cur: Cursor) -> int:
        row = cur.execute(
            sql.advance,
            {
                "start": self.chunk.start, "end": self.chunk.next_offset, "epoch": self.chunk.leader_epoch,
                "seconds": LEASE_SECONDS, "source": self.lease.source, "fence": self.lease.fence,
                "owner": self.lease.owner,
            },
        ).fetchone()  # fmt: skip
        if row is None:
            raise LeaseError(
                expected=f"{self.lease.owner} under fence {self.lease.fence} at offset {self.chunk.start}",
                found="another owner, fence or position",
                next_step="nothing: the new owner goes on from its position",
            )
        return int(row.batch_id)

    def _known(self, cur: Cursor) -> Known:
        marks = [r.mark for r in self.records if isinstance(r.mark, Mark) and r.mark.install == self.install]
        attempts_ = self.memory.recall(cur, (mark.attempt for mark in marks)) if marks else {}
        keys = {(attempts_[m.attempt].run_number, m.identity) for m in marks if m.attempt in attempts_}
        events, applied = self._events(cur, sorted(keys))
        return Known(self.install, self.source.topic_id, attempts_, events, applied)

    def _events(self, cur: Cursor, keys: Sequence[EventKey]) -> tuple[dict[EventKey, EventFacts], set[EventKey]]:
        if not keys:
            return {}, set()
        asked = {"runs": [run for run, _ in keys], "identities": [identity for _, identity in keys]}
        events: dict[EventKey, EventFacts] = {}
        applied: set[EventKey] = set()
        for row in cur.execute(sql.events, asked, binary=True).fetchall():
            key = (row.run_number, row.identity)
            events[key] = EventFacts(row.source_id, row.offset, row.win, row.payload_digest, row.class_id)
            if row.applied:
                applied.add(key)
        return events, applied

    def _project(self, cur: Cursor, known: Known, applied: Sequence[Ruled]) -> dict[int, Joined]:
        """Runs each window's projection over its events; the answers by bus offset."""
        joined: dict[int, Joined] = {}
        for win, contract, rows in _by_window(known, applied):
            loaded = compiled(contract)
            failpoint("consume.before_window")
            if loaded.contract.projection is None:
                continue
            events = [self._event(loaded, known, ruled) for ruled in rows]
            answers = _run(cur, loaded.contract.projection.class_path, win, events)
            joined.update((r.offset, a) for r, a in zip(rows, answers, strict=True) if a is not None)
        return joined

    def _event(self, loaded: Loaded, known: Known, ruled: Ruled) -> AppliedEvent:
        assert ruled.key is not None
        names = {number: name for name, number in loaded.class_ids.items()}
        payload = self.by_offset[ruled.offset].value or b""
        return AppliedEvent(ruled.key[1], names.get(known.events[ruled.key].class_id, ""), payload)

    def _write_effects(
        self, cur: Cursor, batch: int, known: Known, applied: Sequence[Ruled], joined: dict[int, Joined]
    ) -> None:
        """Sorted by (run, identity), into the leaves: two lanes that race meet in one order."""
        by_leaf: dict[int, list[tuple[EventKey, Ruled]]] = defaultdict(list)
        for ruled in applied:
            assert ruled.key is not None
            by_leaf[ruled.key[0] // 16].append((ruled.key, ruled))
        source = self.lease.source
        for leaf, rows in sorted(by_leaf.items()):
            rows.sort(key=lambda row: row[0])
            with cur.copy(sql.copy_effects.format(leaf=f"effect_p{leaf}")) as copy:
                copy.set_types(_EFFECT_TYPES)
                for key, ruled in rows:
                    answer = joined.get(ruled.offset)
                    state, reason = (int(answer.state), answer.reason or None) if answer else (None, None)
                    win = known.events[key].win
                    copy.write_row((key[0], key[1], win, source, ruled.offset, batch, state, reason))
            failpoint("consume.after_leaf")

    def _write_kept(self, cur: Cursor, ruled: Sequence[Ruled]) -> None:
        kept = [r for r in ruled if r.ruling in (Ruling.FOREIGN, Ruling.MISMATCHING)]
        if not kept:
            return
        raw = [self.by_offset[r.offset] for r in kept]
        cur.execute(
            sql.insert_foreign,
            {
                "source": self.lease.source, "offsets": [r.offset for r in kept], "whys": [r.why for r in kept],
                "keys": [r.key for r in raw], "values": [r.value for r in raw],
                "headers": [packed(r.headers) for r in raw],
            },
        )  # fmt: skip

    def _write_contradictions(self, cur: Cursor, known: Known, ruled: Sequence[Ruled]) -> None:
        found = [r for r in ruled if r.contradiction and r.attempt is not None]
        if not found:
            return
        cur.execute(
            sql.insert_contradictions,
            {
                "source": self.lease.source, "wins": [known.attempts[r.attempt or 0].win for r in found],
                "attempts": [r.attempt for r in found], "kinds": [r.contradiction for r in found],
                "offsets": [r.offset for r in found], "identities": [r.key[1] if r.key else None for r in found],
                "details": [r.why for r in found],
            },
        )  # fmt: skip

    def _write_gaps(self, cur: Cursor) -> None:
        gaps = self.chunk.gaps
        if gaps:
            cur.execute(
                sql.insert_gaps,
                {
                    "source": self.lease.source, "fence": self.lease.fence, "froms": [g.from_offset for g in gaps],
                    "tos": [g.to_offset for g in gaps], "epochs": [g.leader_epoch for g in gaps],
                    "isolations": [g.isolation for g in gaps], "whys": [g.why for g in gaps],
                },
            )  # fmt: skip

    def _write_batch(self, cur: Cursor, batch: int, ruled: Sequence[Ruled]) -> Consumed:
        rulings = [r.ruling for r in ruled]
        done = Consumed(
            len(rulings), rulings.count(Ruling.APPLIED), rulings.count(Ruling.DUPLICATE),
            rulings.count(Ruling.FOREIGN), rulings.count(Ruling.MISMATCHING), self.chunk.next_offset,
        )  # fmt: skip
        cur.execute(
            sql.insert_batch,
            {
                "batch": batch, "source": self.lease.source, "start": self.chunk.start, "end": self.chunk.next_offset,
                "epoch": self.chunk.leader_epoch, "records": done.records, "applied": done.applied,
                "duplicates": done.duplicates, "foreign": done.foreign, "mismatching": done.mismatching,
                "gaps": len(self.chunk.gaps), "fence": self.lease.fence, "owner": self.lease.owner,
            },
        )  # fmt: skip
        return done

    def _touch(self, cur: Cursor, known: Known, ruled: Sequence[Ruled]) -> None:
        """Windows whose facts change: those of the events, and cut ones that wait for this range to be read."""
        keys = {"source": self.lease.source, "start": self.chunk.start}
        windows = {row.id for row in cur.execute(sql.windows_in_range, keys).fetchall()}
        windows |= {known.events[r.key].win for r in ruled if r.key is not None}
        if windows:
            attempts.touch(cur, windows)


def _by_window(known: Known, applied: Sequence[Ruled]) -> list[tuple[int, int, list[Ruled]]]:
    """(window, contract, its rulings), in window order."""
    groups: dict[tuple[int, int], list[Ruled]] = defaultdict(list)
    for ruled in applied:
        assert ruled.key is not None and ruled.attempt is not None
        groups[known.events[ruled.key].win, known.attempts[ruled.attempt].contract].append(ruled)
    return [(win, contract, rows) for (win, contract), rows in sorted(groups.items())]


def _run(cur: Cursor, class_path: str, win: int, events: Sequence[AppliedEvent]) -> Sequence[Joined | None]:
    """The projection's answers. What it raises on its own account stops the lane with its name and words."""
    projection = load_projection(class_path)
    pins = {row.context: Pin(row.pinned_win, row.verdict) for row in cur.execute(sql.pins, {"win": win}).fetchall()}
    check_pins(projection, win, pins)
    try:
        answers = projection.apply(cur, win, events, pins)
    except (PassgateError, psycopg.OperationalError, psycopg.errors.IntegrityError):
        raise
    except Exception as error:
        raise ProjectionFailed(
            expected=f"{class_path} to project {len(events)} events of window {win}",
            found=f"{type(error).__name__}: {error}",
            next_step="correct the projection; the lane then goes on where it stands",
        ) from error
    if len(answers) != len(events):
        raise ProjectionFailed(expected=f"{len(events)} answers of {class_path}", found=str(len(answers)))
    return answers


class EffectsLane:
    """Holds the lease of one bus source, with its consumer. Made in the process that uses it, after fork."""

    def __init__(self, lease: Lease, cluster: Cluster, admin: Admin) -> None:
        self.lease = lease
        self.source = Source.objects.select_related("stream").get(id=lease.source)
        self.here = Partition(self.source.topic, self.source.partition)
        self._cluster = cluster
        self._admin = admin
        self._install = str(install_id())
        self._memory = Memory()
        self._reader: PartitionReader | None = None
        self._fault: BrokerError | None = None
        self._renewed = time.monotonic()
        self._read_size = 500
        clear_stop(lease)

    @property
    def group(self) -> str:
        """The group whose commits other tools watch; Postgres is the authority (K9)."""
        return f"passgate.{self.source.stream.name}"

    def step(self, max_wait: float) -> Step:
        """Reads and commits one bounded batch."""
        if self._fault is not None:
            raise self._fault
        chunk = self._open().read(self._read_size, max_wait).get(self.here)
        failpoint("consume.after_read")
        if chunk is None or not chunk.moved():
            return self._idle(chunk)
        self._bound(chunk)
        self._fault = chunk.fault
        self._check_topic()
        done = consume(self.source, self.lease, self._install, chunk, self._memory)
        self.lease = self.lease.at(done.next_offset, chunk.leader_epoch)
        self._renewed = time.monotonic()
        failpoint("consume.before_kafka_commit")
        self._commit()
        return Step(done.records, idle=False)

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _bound(self, chunk: Chunk) -> None:
        """Foreign records may be large: the next read takes fewer of them."""
        average = max(1, sum(map(weight, chunk.records)) // max(1, len(chunk.records)))
        self._read_size = max(20, min(READ_RECORDS, READ_BYTES // average))

    def _idle(self, chunk: Chunk | None) -> Step:
        if chunk is not None and chunk.fault is not None:
            raise chunk.fault
        if time.monotonic() - self._renewed > _RENEW_AFTER:
            renew(self.lease)
            self._renewed = time.monotonic()
        return Step(0, idle=True)

    def _open(self) -> PartitionReader:
        if self._reader is None:
            self._check_topic()
            self._reader = PartitionReader(self._cluster, group=self.group)
            start = Start(self.here.topic, self.here.partition, self.lease.next_offset, self.lease.leader_epoch)
            self._reader.assign([start])
        return self._reader

    def _check_topic(self) -> None:
        """After every read and before its commit; the check that ends one batch opens the next."""
        found = self._admin.topic_id(self.source.topic)
        if found != self.source.topic_id:
            raise TopicChanged(
                expected=f"{self.source.topic} with id {self.source.topic_id}",
                found=f"id {found}" if found else "no such topic",
                next_step="the window fails; the next one starts on the new topic",
            )

    def _commit(self) -> None:
        """Only now, for other tools; a failure changes nothing here."""
        assert self._reader is not None
        fault: Any = self._reader.commit({self.here: (self.lease.next_offset, self.lease.leader_epoch)})
        if fault is not None:
            log.warning("offset commit to Kafka failed: %s", fault)
