"""Admission: one read of a source becomes receipts, events, quarantine items and a position, in one transaction.

The lane reads from its durable position, never by subscription, and owns nothing that a crash could lose: what is not
committed to Postgres is read again. Its rules are in docs/design.md#admission.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
from psycopg import Copy

from ingest.admit.read_ahead import ReadAhead, arrivals_of
from ingest.admit.received import ReceivedRecord, newest_received
from ingest.core.batching import (
    BATCH_BYTES,
    BATCH_RECORDS,
    OffsetRange,
    check_dense,
    weight,
)
from ingest.core.cloudevents import structured_form
from ingest.core.decide import (
    Arrival,
    Decisions,
    Item,
    KnownEvent,
    NewEvent,
    as_it_is,
    decide,
    disputed,
    earlier_identities,
)
from ingest.core.errors import BrokerError, PassgateError
from ingest.core.ids import BatchId, RunId
from ingest.core.lane import BackgroundWork, Step, no_background
from ingest.core.leaf import table_partition
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.core.ledger_rows import copied, event_id, event_rows, packed_headers, receipt_rows, unpacked_headers
from ingest.core.merkle import receipts_root
from ingest.core.record import UNREADABLE_NAME, Decision, Flag, Understood
from ingest.db import Cursor, fetch_one, fetch_pipelined, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Admin, Cluster, FetchResult, LogTruncated, OffsetOutOfRange, PartitionReader, Start
from ingest.lanes.gap_claims import claim_gaps
from ingest.lanes.lease import lost
from ingest.lanes.partition_lane import PartitionLane
from ingest.models import Source
from ingest.streams import CompiledContract, compiled_contract, ensure_classes, known_classes
from ingest.windows import Binding, EarlierRun, bindings, run_before

sql = statements("ingest.admit", "lane")

RESERIALISED = Flag.RESERIALISED.value
DISPUTED_BYTES = 2 * BATCH_BYTES
RESTART_SECONDS = 2.0
"""No broker stops, gets another disk and serves partitions again in less."""
KEPT_BYTES = 4 * BATCH_BYTES
"""Most bytes of one record that a quarantine item stores. A compressed batch can expand past the fetch limit, and
PostgreSQL would refuse such a row, and with it the whole batch.
"""


class TooManyDisputed(PassgateError):
    """A few bytes may dispute payloads of any size: comparing all at once would cost memory and outlast a lease."""

    code = "crowded"
    what = "the records dispute more admitted payloads than one transaction compares"
    retry = True


@dataclass(frozen=True)
class BatchResult:
    """What one batch became. `again_from` is where the next batch of the source starts."""

    batch_id: BatchId | None
    records: int
    admitted: int
    duplicates: int
    quarantined: int
    again_from: int


def admit(
    source: Source,
    lease: Lease,
    binding: Binding,
    poll: OffsetRange,
    arrivals: list[Arrival] | None = None,
    meanwhile: BackgroundWork = no_background,
) -> BatchResult | None:
    """The verb: one transaction. None where the binding is no longer what the worker thought (cut, next window).

    `arrivals` are the poll's, where they are made already. `meanwhile` is called often while PostgreSQL works.

    Raises LeaseError when fenced, PollSkip when the poll is not dense, DatabaseGone when nobody knows whether COMMIT
    happened: the position, read again under the next lease, tells.
    """
    check_dense(poll, lease.next_offset)
    loaded = compiled_contract(binding.contract)
    if arrivals is None:
        arrivals = arrivals_of(loaded, binding.run_name, poll.records)
    return retry_transaction(
        lambda: _KafkaAdmission(source, lease, binding, loaded, poll, arrivals, meanwhile).transact()
    )


class AdmissionTransaction:
    """One try at the transaction. A race that the unique index settled makes it be done again from the start."""

    def __init__(
        self,
        source: Source,
        lease: Lease,
        binding: Binding,
        loaded: CompiledContract,
        poll: OffsetRange,
        arrivals: list[Arrival],
        meanwhile: BackgroundWork = no_background,
    ) -> None:
        self.source = source
        self.lease = lease
        self.binding = binding
        self.loaded = loaded
        self.poll = poll
        self.arrivals = arrivals
        self.meanwhile = meanwhile
        self.records = {r.offset: r for r in poll.records}
        self.class_ids = loaded.class_ids
        self._root: bytes | None = None

    def write_all(self, cur: Cursor, batch: BatchId) -> tuple[Decisions, BatchResult]:
        """Everything a batch is, in the order of locks (docs/design.md#postgresql): the position's comes before it."""
        decisions = self._decide(cur)
        self._write_events(cur, batch, decisions)
        failpoint("admit.after_events")
        self._write_receipts(cur, batch, decisions)
        failpoint("admit.after_receipts")
        self._write_items(cur, batch, decisions.items)
        failpoint("admit.after_items")
        claim_gaps(cur, self.lease, self.poll.holes)
        failpoint("admit.after_gaps")
        done = self._write_batch(cur, batch, decisions)
        failpoint("admit.after_batch")
        cur.execute(sql.raise_revision, {"win": self.binding.win})
        return decisions, done

    def _decide(self, cur: Cursor) -> Decisions:
        known = self._known(cur)
        ended = self._ended_runs(cur)
        form = self._structured if self.loaded.parser.is_cloudevents else as_it_is
        return decide(self.arrivals, known, self.binding.run_name, self.lease.source, ended.__contains__, form)

    def _structured(self, offset: int, value: bytes) -> bytes:
        """CloudEvents are compared in one form, whichever mode each came in."""
        return structured_form(value, self.records[offset].headers)

    def _known(self, cur: Cursor) -> dict[bytes, KnownEvent]:
        identities = list({a.identity for a in self.arrivals if a.identity is not None})
        if not identities:
            return {}
        run = self.binding.run_id
        rows = self._look_up(cur, sql.known, identities, run)
        known = {row.identity: KnownEvent(row.payload_digest, row.source_id, row.offset) for row in rows}
        earlier = self._earlier()
        if earlier is not None:
            known |= self._looked_back(cur, earlier, known)
        asked = disputed(self.arrivals, known)
        if asked:
            self._add_payloads(cur, known, asked, earlier)
        return known

    def _earlier(self) -> EarlierRun | None:
        """The run in which identities are looked up as well."""
        return run_before(self.binding.run_id) if self.loaded.contract.run.looks_back else None

    def _looked_back(self, cur: Cursor, earlier: EarlierRun, known: Collection[bytes]) -> dict[bytes, KnownEvent]:
        """Events of the run before, whose lanes all stand at their cuts since this run opened."""
        under = earlier_identities(self.loaded.contract.stream, earlier.name, self.arrivals, known)
        rows = self._look_up(cur, sql.known, list(under), earlier.run_id) if under else ()
        return {
            under[row.identity]: KnownEvent(row.payload_digest, row.source_id, row.offset, under=row.identity)
            for row in rows
        }

    def _add_payloads(
        self, cur: Cursor, known: dict[bytes, KnownEvent], asked: Collection[bytes], earlier: EarlierRun | None
    ) -> None:
        """The first payloads of what is disputed, from the run that has them."""
        runs = [(self.binding.run_id, {identity: identity for identity in asked if known[identity].under is None})]
        if earlier is not None:
            runs.append((earlier.run_id, {under: each for each in asked if (under := known[each].under) is not None}))
        self._check_room(cur, [(run, list(named)) for run, named in runs if named])
        for run, named in runs:
            for row in self._look_up(cur, sql.first_payloads, list(named), run) if named else ():
                identity = named[row.identity]
                known[identity] = msgspec.structs.replace(known[identity], payload=self._first(row))

    def _first(self, row: Any) -> bytes | None:
        """The first payload, in the form it is compared in; None once its bytes are erased."""
        if row.payload is None or not self.loaded.parser.is_cloudevents:
            return row.payload  # type: ignore[no-any-return]
        return structured_form(row.payload, unpacked_headers(row.headers))

    def _check_room(self, cur: Cursor, asked: Iterable[tuple[RunId, Sequence[bytes]]]) -> None:
        size = sum(row.bytes for run, named in asked for row in self._look_up(cur, sql.first_sizes, named, run))
        if size > DISPUTED_BYTES and len(self.arrivals) > 1:
            raise TooManyDisputed(
                expected=f"at most {DISPUTED_BYTES:,} bytes", found=f"{size:,}", next_step="take fewer records at once"
            )

    def _look_up(self, cur: Cursor, statement: str, identities: Sequence[bytes], run: RunId) -> list[Any]:
        keys = {"identities": b"".join(identities), "n": len(identities), "run": run}
        return fetch_pipelined(cur, statement.format(leaf=table_partition("event", run)), keys, self.meanwhile)

    @property
    def _leaf(self) -> str:
        return table_partition("event", self.binding.run_id)

    def _ended_runs(self, cur: Cursor) -> set[str]:
        named = {a.parsed.run for a in self.arrivals if a.parsed.run is not None} - {self.binding.run_name}
        if not named:
            return set()
        rows = cur.execute(sql.ended_runs, {"stream": self.loaded.stream_id, "runs": list(named)}).fetchall()
        return {row.name for row in rows}

    def _know_classes(self, cur: Cursor, names: set[str]) -> None:
        """A CloudEvents stream may show a class its contract does not list; it gets its number in this transaction."""
        missing = names - self.class_ids.keys()
        if missing:
            self.class_ids = self.class_ids | ensure_classes(cur, self.loaded.stream_id, missing)

    def _look_at_classes(self, cur: Cursor, decisions: Decisions) -> None:
        """Another process may have met a class since this one read the contract; a DUPLICATE names one of those."""
        if self.loaded.parser.takes_any_class and len(decisions.events) < len(decisions.outcomes):
            names = {a.parsed.class_name for a in self.arrivals if isinstance(a.parsed, Understood)}
            if names - self.class_ids.keys():
                self.class_ids = known_classes(cur, self.loaded.stream_id) | self.class_ids

    def _write_events(self, cur: Cursor, batch: BatchId, decisions: Decisions) -> None:
        """Sorted by identity, into the leaf: two workers that race meet in one order and do not deadlock."""
        events = decisions.events
        if not events:
            return
        names = {e.class_name for e in events}
        self._know_classes(cur, names)
        failpoint("admit.after_classes")
        ids, records = {name: self.class_ids[name] for name in names}, self.records
        run, win, source = self.binding.run_id, self.binding.win, self.lease.source
        found = [(e, records[e.offset]) for e in sorted(events, key=_by_identity)]
        with cur.copy(sql.copy_events.format(leaf=self._leaf)) as copy:
            self._send(copy, event_rows(run, win, source, batch, ids, found))
            self._digest(decisions)  # now, because the server is still storing what it was given

    def _send(self, copy: Copy, rows: Iterator[bytes]) -> None:
        """The server stores each part while the next is made, and what can be done meanwhile is done."""
        for part in copied(rows):
            copy.write(part)
            self.meanwhile()

    def _write_receipts(self, cur: Cursor, batch: BatchId, decisions: Decisions) -> None:
        self._look_at_classes(cur, decisions)
        known = self.class_ids.get
        numbers = [known(a.parsed.class_name) if type(a.parsed) is Understood else None for a in self.arrivals]
        with cur.copy(sql.copy_receipts) as copy:
            self._send(copy, receipt_rows(self.lease.source, batch, decisions.outcomes, numbers))

    def _write_items(self, cur: Cursor, batch: BatchId, items: Sequence[Item]) -> None:
        if not items:
            return
        parsed = {a.offset: a.parsed for a in self.arrivals}
        shown = [parsed[i.offset] for i in items]
        kept = [self.records[i.offset] for i in items]
        ids = self.class_ids
        cur.execute(
            sql.insert_items,
            {
                "win": self.binding.win, "run": self.binding.run_id, "source": self.lease.source, "batch": batch,
                "offsets": [i.offset for i in items],
                "reasons": [int(i.reason) for i in items],
                "details": [_detail(i) + _cut(r.value) for i, r in zip(items, kept, strict=True)],
                "classes": [ids.get(p.class_name) if isinstance(p, Understood) else None for p in shown],
                "identities": [i.identity for i in items],
                "event_ids": [event_id(p.parts) if isinstance(p, Understood) else None for p in shown],
                "digests": [i.payload_digest for i in items],
                "values": [r.value[:KEPT_BYTES] if r.value else r.value for r in kept],
                "keys": [r.key[:KEPT_BYTES] if r.key else r.key for r in kept],
                "headers": [_kept_headers(r.headers) for r in kept],
                "first_sources": [i.first_source for i in items],
                "first_offsets": [i.first_offset for i in items],
                "seen": [i.count for i in items],
            },
        )  # fmt: skip

    def _write_batch(self, cur: Cursor, batch: BatchId, decisions: Decisions) -> BatchResult:
        """No batch row where the read brought only holes: then gap rows alone explain the move."""
        if not decisions.outcomes:
            return BatchResult(None, 0, 0, 0, 0, self.poll.end)
        by_decision = [o.decision for o in decisions.outcomes]
        admitted, duplicates, quarantined = (by_decision.count(d) for d in Decision)
        keys = {
            "batch": batch, "source": self.lease.source, "win": self.binding.win, "run": self.binding.run_id,
            "contract": self.binding.contract, "start": self.poll.start, "end": self.poll.end,
            "epoch": self.poll.leader_epoch, "records": len(by_decision),
            "admitted": admitted, "duplicates": duplicates, "quarantined": quarantined,
            "reserialised": sum([o.flags & RESERIALISED == RESERIALISED for o in decisions.outcomes]),
            "bytes": self.poll.size, "digest": self._digest(decisions), "fence": self.lease.fence,
            "owner": self.lease.owner,
        }  # fmt: skip
        cur.execute(sql.insert_batch, keys)
        failpoint("admit.after_batch_row")
        if decisions.events:
            others = [o.offset for o in decisions.outcomes if o.decision is not Decision.ADMITTED]
            size = self.poll.size - sum([weight(self.records[offset]) for offset in others])
            cur.execute(sql.queue_batch, keys | {"events": len(decisions.events), "bytes": size})
        return BatchResult(batch, len(by_decision), admitted, duplicates, quarantined, self.poll.end)

    def _digest(self, decisions: Decisions) -> bytes:
        if self._root is None:
            self._root = receipts_root(self.source.key, decisions.outcomes)
        return self._root


class _KafkaAdmission(AdmissionTransaction):
    """A batch of a Kafka inbox: its offsets are the broker's."""

    def transact(self) -> BatchResult | None:
        with write() as cur:
            batch = self._advance(cur)
            if batch is None:
                self._raise_if_fenced(cur)
                return None
            failpoint("admit.after_position")
            _, done = self.write_all(cur, batch)
            failpoint("admit.before_commit")
        return done

    def _advance(self, cur: Cursor) -> BatchId | None:
        row = cur.execute(
            sql.advance,
            {
                "start": self.poll.start, "end": self.poll.end, "epoch": self.poll.leader_epoch,
                "seconds": LEASE_SECONDS, "win": self.binding.win, "source": self.lease.source,
                "fence": self.lease.fence, "owner": self.lease.owner,
            },
        ).fetchone()  # fmt: skip
        return None if row is None else BatchId(row.batch_id)

    def _raise_if_fenced(self, cur: Cursor) -> None:
        """Fenced: stop. Moved under our own fence: impossible, so stop too. Else cut or bound anew: look again."""
        row = fetch_one(cur.execute(sql.why_not, {"source": self.lease.source}))
        if row.fence != self.lease.fence or row.owner != self.lease.owner or row.next_offset != self.poll.start:
            raise lost(self.lease)


def _by_identity(event: NewEvent) -> bytes:
    return event.identity


def _detail(item: Item) -> str:
    return item.detail if item.at is None else f"{item.detail} at byte {item.at}"


def _cut(value: bytes | None) -> str:
    return f"; the first {KEPT_BYTES:,} bytes are kept" if value and len(value) > KEPT_BYTES else ""


def _kept_headers(headers: Sequence[tuple[str, bytes | None]] | None) -> bytes | None:
    found = packed_headers(headers)
    return found if found is None or len(found) <= KEPT_BYTES else packed_headers([(UNREADABLE_NAME, None)])


class AdmissionLane(PartitionLane):
    """Admits what one inbox source holds."""

    def __init__(self, lease: Lease, cluster: Cluster, admin: Admin) -> None:
        super().__init__(lease, cluster, admin)
        self.ahead = self._read_ahead()
        self._binding: Binding | None = None  # while a batch gathers; the transaction looks whether it still holds
        self._most = BATCH_RECORDS  # less for a while after a batch that was Crowded
        self._last: ReceivedRecord | None = None  # to be compared with the log before anything else is read
        self._away, self._compared = 0, 0.0  # how often a broker had been out of reach when it was; when (monotonic)

    def close(self) -> None:
        super().close()
        self.ahead.close()

    def prefetch(self) -> bool:
        return self.ahead.prefetch()

    def is_prefetched(self) -> bool:
        return self.ahead.is_prefetched()

    def step(self, max_wait: float, meanwhile: BackgroundWork = no_background) -> Step:
        """Reads, decides and commits one bounded batch; idle without records, or without a window to read for."""
        binding = self._binding or bindings("admission", [self.lease.source]).get(self.lease.source)
        if binding is None:
            return self._idle()
        ahead, limits = self.ahead, self._limits(binding)
        try:
            ahead.fill(max_wait, *limits)
        except (OffsetOutOfRange, LogTruncated) as gone:
            return self._pass_over(binding, gone)
        failpoint("admit.after_read")
        if not ahead.moved():
            return self._idle()
        if self._looks_again():
            return Step(0, idle=False)
        self._binding = None if ahead.is_ripe(*limits) else binding
        if self._binding is not None:
            return Step(0, idle=False)
        self._check_topic()
        batch, arrivals = ahead.take(compiled_contract(binding.contract), binding.run_name, binding.cut, *limits)
        try:
            done = admit(self.source, self.lease, binding, batch, arrivals, meanwhile)
        except TooManyDisputed:
            ahead.give_back(batch, arrivals)
            self._most = max(1, len(batch.records) // 2)
            return Step(0, idle=False)
        if done is None:
            ahead.give_back(batch, arrivals)  # cut or bound anew in between: the next step looks again
            return Step(0, idle=False)
        self._most = min(BATCH_RECORDS, 2 * self._most)
        self._moved(done.again_from, batch.leader_epoch)
        failpoint("admit.before_kafka_commit")
        self._tell()
        return Step(done.records, idle=False)

    def _pass_over(self, binding: Binding, gone: BrokerError) -> Step:
        """What was deleted before it was read is written down, up to the cut, and the lane goes on behind it."""
        poll = self._deleted(gone, binding.cut)
        done = admit(self.source, self.lease, binding, poll, [])
        self._binding = None
        if done is not None:
            self._moved(done.again_from, None)
            self.close()
            self.ahead = self._read_ahead()
        return Step(0, idle=False)

    def _read_ahead(self) -> ReadAhead:
        return ReadAhead(self.lease.next_offset, self.lease.leader_epoch, self._read)

    def _begin(self, reader: PartitionReader) -> None:
        self._last = newest_received(self.lease.source, self.lease.next_offset)
        if self._last is None:
            self._begin_compared(reader)
        else:
            reader.assign([Start(*self.here, self._last.offset, self.lease.leader_epoch)])  # where epochs tell, they do

    def _read(self, records: int, max_wait: float, size: int) -> FetchResult | None:
        until = time.monotonic() + max_wait
        if not self._continues(self._open(), max_wait):
            return None
        failpoint("admit.after_comparing")
        return super()._read(records, max(0.0, until - time.monotonic()), size)

    def _continues(self, reader: PartitionReader, max_wait: float) -> bool:
        """Whether the log is known to hold what was received of it last; False: it has not answered yet."""
        if self._last is None:
            return True
        found = reader.read(1, max_wait).get(self.here)
        if found is None:
            return False
        self._last.check(found)
        self._last = None
        self._begin_compared(reader)
        return True

    def _begin_compared(self, reader: PartitionReader) -> None:
        self._away, self._compared = reader.faults.away, time.monotonic()
        super()._begin(reader)

    def _looks_again(self) -> bool:
        """Whether a broker was away since: a consumer goes on by itself with whatever comes back in its place.

        What is not durable yet is dropped, and read again behind the comparison. Another broker of the cluster that
        stays away is tried for again several times a second, and the lane still moves: by the same consumer, and no
        sooner than a broker can come back with another disk.
        """
        reader = self._reader
        if reader is None or reader.faults.away == self._away or time.monotonic() - self._compared < RESTART_SECONDS:
            return False
        self.ahead.close()
        self.ahead, self._binding = self._read_ahead(), None
        self._begin(reader)
        return True

    def _limits(self, binding: Binding) -> tuple[int, int]:
        """The contract's, but never above an attempt's: a batch is published whole (decision 6)."""
        limits = compiled_contract(binding.contract).contract.limits
        return min(limits.batch_records, self._most), min(limits.batch_bytes, BATCH_BYTES)
