"""The transaction of a bus batch: effects, the projection's rows, what is set aside, and the position, or nothing."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import cached_property
from itertools import count, groupby
from operator import itemgetter
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row, tuple_row

from ingest.consume.attempt_cache import AttemptCache, event_facts
from ingest.core import copying
from ingest.core.attempt import OURS, digest_of, read_columns, read_marks
from ingest.core.batching import OffsetRange, ReaderRecord, check_dense
from ingest.core.consumption import (
    AttemptFacts,
    BusRecord,
    EventFacts,
    EventKey,
    KnownAttempts,
    RuledRecord,
    Ruling,
    bus_records,
    each_digest,
    is_undisputed,
    matches_sent,
    rule,
)
from ingest.core.copying import int4, int8
from ingest.core.errors import LeaseError, PassgateError
from ingest.core.identity import payload_digest
from ingest.core.ids import AttemptId, BatchId, WindowId
from ingest.core.lane import BackgroundWork, WaitsForContext, WaitsForFreshContext, no_background
from ingest.core.leaf import table_partition
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.core.ledger_rows import packed_headers
from ingest.core.pinning import ContextWait
from ingest.db import Cursor, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.lanes.gap_claims import claim_gaps
from ingest.models import Source
from ingest.pinned import unpinned
from ingest.projections.base import (
    AppliedEvent,
    ContextNotOpen,
    Joined,
    Pin,
    ProjectionFailed,
    check_pins,
    load_projection,
)
from ingest.publish import attempts
from ingest.streams import CompiledContract, compiled_contract

sql = statements("ingest.consume", "transaction")

_EFFECT_TYPES = ("int4", "bytea", "int4", "int4", "int8", "int8", "int2", "text")
_PART_BYTES = 65_536
"""Given to the server at once: it stores them while a little of what comes next is done."""
#: How often a lane looks by itself for the context that it waits for: whoever pins one wakes it.
CONTEXT_SECONDS = 30.0
PINNED_SOON = ContextWait("waits for the context to be pinned, which is there")
#: How many reads look for earlier effects first, after one that met some.
COPIES_EXPECTED = 50


@dataclass(frozen=True)
class BusBatchResult:
    """What one bus batch became."""

    records: int
    applied: int
    duplicates: int
    foreign: int
    mismatching: int
    next_offset: int


def consume(
    source: Source,
    lease: Lease,
    install: str,
    poll: OffsetRange,
    cache: AttemptCache,
    meanwhile: BackgroundWork = no_background,
) -> BusBatchResult:
    """The verb: one transaction. `meanwhile` is called often while PostgreSQL stores effects.

    Raises LeaseError when fenced, PollSkip when the read is not dense.
    """
    check_dense(poll, lease.next_offset)
    read = _ReadColumns(poll)
    # The first try takes it that no event has an effect yet, which costs no look-up. Where one has, its key refuses the
    # whole transaction, and every later try looks first.
    tries = count()
    return retry_transaction(
        lambda: EffectsTransaction(source, lease, install, read, cache, next(tries) > 0, meanwhile).transact()
    )


class _ReadColumns:
    """What was read, by columns. `said` are the records' marks, if all are as our publish lanes write them."""

    def __init__(self, poll: OffsetRange) -> None:
        self.poll = poll
        self.offsets = [record.offset for record in poll.records]
        self.digests = [_digest_of(record) for record in poll.records]
        self._headers = [record.headers for record in poll.records]
        self.said = read_columns(self._headers)

    @cached_property
    def records(self) -> list[BusRecord]:
        """The records as objects, made only where comparing whole columns did not do."""
        return bus_records(self.offsets, read_marks(self._headers), self.digests)

    @cached_property
    def by_offset(self) -> dict[int, ReaderRecord]:
        return {record.offset: record for record in self.poll.records}


def _digest_of(record: ReaderRecord) -> bytes:
    """Beside our three headers a record may have those of a CloudEvent in binary mode, which are part of the event."""
    headers = record.headers
    return (
        payload_digest(record.value) if not headers or len(headers) <= len(OURS) else digest_of(record.value, headers)
    )


@dataclass(frozen=True)
class _Effects:
    """Effects to write, by columns. `joined` are answers of projections, by bus offset."""

    runs: Sequence[int]
    identities: Sequence[bytes]
    wins: Sequence[WindowId]
    offsets: Sequence[int]
    joined: Mapping[int, Joined]

    def __len__(self) -> int:
        return len(self.offsets)

    def by_leaf(self) -> Iterator[tuple[str, _Effects]]:
        """Sorted by (run, identity)."""
        order = sorted(range(len(self)), key=self.identities.__getitem__)
        if len(set(self.runs)) > 1:
            order.sort(key=self.runs.__getitem__)
        leaves = {run: table_partition("effect", run) for run in set(self.runs)}
        if len(set(leaves.values())) == 1:
            yield leaves[self.runs[0]], self._of(order)
            return
        for leaf, some in groupby(order, key=lambda index: leaves[self.runs[index]]):
            yield leaf, self._of(list(some))

    def _of(self, order: Sequence[int]) -> _Effects:
        return _Effects(
            [self.runs[index] for index in order],
            [self.identities[index] for index in order],
            [self.wins[index] for index in order],
            [self.offsets[index] for index in order],
            self.joined,
        )


@dataclass(frozen=True)
class _ReadOutcome:
    """What becomes of a read: its effects, what is kept raw, what contradicts, and the attempts it belongs to."""

    effects: _Effects
    attempts: Mapping[AttemptId, AttemptFacts]
    ours: Set[AttemptId]
    duplicates: Sequence[RuledRecord] = ()
    kept: Sequence[RuledRecord] = ()
    contradicting: Sequence[RuledRecord] = ()


class EffectsTransaction:
    """One try at the transaction. A race that a unique index settled makes it be done again from the start."""

    def __init__(
        self,
        source: Source,
        lease: Lease,
        install: str,
        read: _ReadColumns,
        cache: AttemptCache,
        looks: bool,
        meanwhile: BackgroundWork = no_background,
    ) -> None:
        self.source = source
        self.lease = lease
        self.install = install
        self.read = read
        self.poll = read.poll
        self.cache = cache
        self.looks = looks
        self.meanwhile = meanwhile

    def transact(self) -> BusBatchResult:
        with write() as cur:
            batch = self._advance(cur)
            failpoint("consume.after_position")
            became = self._as_sent(cur) or self._one_by_one(cur)
            failpoint("consume.after_projection")
            self._write_effects(cur, batch, became.effects)
            failpoint("consume.after_effects")
            self._write_kept(cur, became.kept)
            failpoint("consume.after_kept")
            self._write_contradictions(cur, became)
            failpoint("consume.after_contradictions")
            claim_gaps(cur, self.lease, self.poll.holes)
            failpoint("consume.after_gaps")
            done = self._write_batch(cur, batch, became)
            failpoint("consume.after_batch")
            self._write_copies(cur, batch, became)
            failpoint("consume.after_copies")
            self._touch(cur, became)
            failpoint("consume.before_commit")
        return done

    def _advance(self, cur: Cursor) -> BatchId:
        row = cur.execute(
            sql.advance,
            {
                "start": self.poll.start, "end": self.poll.end, "epoch": self.poll.leader_epoch,
                "seconds": LEASE_SECONDS, "source": self.lease.source, "fence": self.lease.fence,
                "owner": self.lease.owner,
            },
        ).fetchone()  # fmt: skip
        if row is None:
            raise LeaseError(
                expected=f"{self.lease.owner} under fence {self.lease.fence} at offset {self.poll.start}",
                found="another owner, fence or position",
                next_step="nothing: the new owner goes on from its position",
            )
        return BatchId(row.batch_id)

    def _as_sent(self, cur: Cursor) -> _ReadOutcome | None:
        """The short way for what nearly all reads are: what our attempts sent to here, in its order and nothing else.

        Compared with the ledger's as a few strings of bytes. None: not such a read, or one that has to be looked for
        copies; each record is then looked at.
        """
        marks = self.read.said
        if marks is None or self.looks or self.cache.copies:
            return None
        facts = self.cache.recall(cur, [number for _, number, _ in marks.senders])
        plain = {number: found for number, found in facts.items() if is_undisputed(found, self.source.topic_id)}
        if any(_projects(found) for found in plain.values()):
            return None
        sent = self.cache.sent(cur, plain, self.source.partition)
        if sent is None or not matches_sent(marks, b"".join(self.read.digests), plain, sent):
            return None
        of = [(plain[number], count) for _, number, count in marks.senders]
        effects = _Effects(
            [facts.run_id for facts, count in of for _ in range(count)],
            each_digest(marks.identities),
            [facts.win for facts, count in of for _ in range(count)],
            self.read.offsets,
            {},
        )
        return _ReadOutcome(effects, plain, set(plain))

    def _one_by_one(self, cur: Cursor) -> _ReadOutcome:
        known = self._known(cur)
        ruled = rule(self.read.records, known)
        applied = [r for r in ruled if r.ruling is Ruling.APPLIED and r.key is not None]
        joined = self._project(cur, known, applied)
        keys = [r.key for r in applied if r.key is not None]
        effects = _Effects(
            [run for run, _ in keys],
            [identity for _, identity in keys],
            [known.events[key].win for key in keys],
            [r.offset for r in applied],
            joined,
        )
        return _ReadOutcome(
            effects,
            known.attempts,
            {r.attempt for r in ruled if r.key is not None and r.attempt is not None},
            duplicates=[r for r in ruled if r.ruling is Ruling.DUPLICATE],
            kept=[r for r in ruled if r.ruling in (Ruling.FOREIGN, Ruling.MISMATCHING)],
            contradicting=[r for r in ruled if r.contradiction and r.attempt is not None],
        )

    def _known(self, cur: Cursor) -> KnownAttempts:
        """What the ledger says of these records.

        Whether an event has its effect already is not asked first, since hardly any has: the unique index refuses a
        second one, all of this is done again, and then it is asked. So it is for a while after, and for projections,
        which should not have to tell a second copy from their own faults.
        """
        marks = [r.mark for r in self.read.records if not isinstance(r.mark, str)]
        cur.row_factory = namedtuple_row
        ours = self.cache.recall(cur, [mark.attempt for mark in marks]) if marks else {}
        marks = [mark for mark in marks if mark[1] in ours and ours[mark[1]].install == mark[0]]
        if not marks:
            return KnownAttempts(self.install, self.source.topic_id, {}, {}, set())
        carried = Counter(mark.attempt for mark in marks)
        facts = self.cache.whole(cur, {number: ours[number] for number in carried})
        cur.row_factory = tuple_row
        events = self.cache.events(cur, facts, carried)
        runs = {number: known.run_id for number, known in facts.items()}
        keys = [(runs[mark[1]], mark[2]) for mark in marks if mark[1] in runs]
        unknown = {key for key in keys if key not in events}
        if unknown:
            events = {key: events[key] for key in keys if key not in unknown} | _look_up(cur, unknown)
        applied: set[EventKey] = set()
        if self.looks or self.cache.copies or any(map(_projects, facts.values())):
            applied = _applied(cur, set(keys))
            self.cache.copies = COPIES_EXPECTED if applied else max(0, self.cache.copies - 1)
        cur.row_factory = namedtuple_row
        return KnownAttempts(self.install, self.source.topic_id, facts, events, applied)

    def _project(self, cur: Cursor, known: KnownAttempts, applied: Sequence[RuledRecord]) -> dict[int, Joined]:
        """Runs each window's projection over its events; the answers by bus offset."""
        joined: dict[int, Joined] = {}
        windows = _by_window(known, applied)
        _check_contexts(cur, windows)
        for win, contract, rows in windows:
            loaded = compiled_contract(contract)
            failpoint("consume.before_window")
            if loaded.contract.projection is None:
                continue
            events = [self._event(loaded, known, ruled) for ruled in rows]
            answers = run_projection(cur, loaded.contract.projection.class_path, win, events)
            joined.update((r.offset, a) for r, a in zip(rows, answers, strict=True) if a is not None)
        return joined

    def _event(self, loaded: CompiledContract, known: KnownAttempts, ruled: RuledRecord) -> AppliedEvent:
        assert ruled.key is not None
        names = {number: name for name, number in loaded.class_ids.items()}
        payload = self.read.by_offset[ruled.offset].value or b""
        return AppliedEvent(ruled.key[1], names.get(known.events[ruled.key].class_id, ""), payload)

    def _write_effects(self, cur: Cursor, batch: BatchId, effects: _Effects) -> None:
        """Sorted by (run, identity), into the leaves: two lanes that race meet in one order."""
        for leaf, some in effects.by_leaf():
            with cur.copy(sql.copy_effects.format(leaf=leaf)) as copy:
                if some.joined:
                    copy.set_types(_EFFECT_TYPES)
                    for row in self._joined_rows(batch, some):
                        copy.write_row(row)
                else:
                    rows = self._plain_rows(batch, some)
                    for start in range(0, len(rows), _PART_BYTES):
                        copy.write(rows[start : start + _PART_BYTES])
                        self.meanwhile()
            failpoint("consume.after_leaf")

    def _plain_rows(self, batch: BatchId, effects: _Effects) -> bytes:
        """Effects without context, as COPY data."""
        fields = (
            int4(effects.runs), copying.digests(effects.identities), int4(effects.wins), int4(self.lease.source),
            int8(effects.offsets), int8(batch), copying.null(), copying.null(),
        )  # fmt: skip
        return copying.rows(len(effects), fields)

    def _joined_rows(self, batch: BatchId, effects: _Effects) -> Iterator[tuple[Any, ...]]:
        columns = (effects.runs, effects.identities, effects.wins, effects.offsets)
        for run, identity, win, offset in zip(*columns, strict=True):
            state, reason = answer_columns(effects.joined.get(offset))
            yield run, identity, win, self.lease.source, offset, batch, state, reason

    def _write_kept(self, cur: Cursor, kept: Sequence[RuledRecord]) -> None:
        if not kept:
            return
        raw = [self.read.by_offset[r.offset] for r in kept]
        cur.execute(
            sql.insert_foreign,
            {
                "source": self.lease.source, "offsets": [r.offset for r in kept], "whys": [r.why for r in kept],
                "keys": [r.key for r in raw], "values": [r.value for r in raw],
                "headers": [packed_headers(r.headers) for r in raw],
            },
        )  # fmt: skip

    def _write_contradictions(self, cur: Cursor, became: _ReadOutcome) -> None:
        found = became.contradicting
        if not found:
            return
        cur.execute(
            sql.insert_contradictions,
            {
                "source": self.lease.source, "wins": [became.attempts[AttemptId(r.attempt or 0)].win for r in found],
                "attempts": [r.attempt for r in found], "kinds": [r.contradiction for r in found],
                "offsets": [r.offset for r in found], "identities": [r.key[1] if r.key else None for r in found],
                "details": [r.why for r in found],
            },
        )  # fmt: skip

    def _write_batch(self, cur: Cursor, batch: BatchId, became: _ReadOutcome) -> BusBatchResult:
        rulings = Counter(r.ruling for r in became.kept)
        done = BusBatchResult(
            len(self.read.offsets), len(became.effects), len(became.duplicates),
            rulings[Ruling.FOREIGN], rulings[Ruling.MISMATCHING], self.poll.end,
        )  # fmt: skip
        cur.execute(
            sql.insert_batch,
            {
                "batch": batch, "source": self.lease.source, "start": self.poll.start, "end": self.poll.end,
                "epoch": self.poll.leader_epoch, "records": done.records, "applied": done.applied,
                "duplicates": done.duplicates, "foreign": done.foreign, "mismatching": done.mismatching,
                "gaps": len(self.poll.holes), "fence": self.lease.fence, "owner": self.lease.owner,
            },
        )  # fmt: skip
        return done

    def _write_copies(self, cur: Cursor, batch: BatchId, became: _ReadOutcome) -> None:
        """By the window whose events they are: its verdict names them."""
        offsets: dict[WindowId, list[int]] = defaultdict(list)
        for ruled in became.duplicates:
            offsets[became.attempts[AttemptId(ruled.attempt or 0)].win].append(ruled.offset)
        if offsets:
            cur.execute(
                sql.insert_copies,
                {
                    "batch": batch, "wins": list(offsets), "copies": [len(some) for some in offsets.values()],
                    "firsts": [min(some) for some in offsets.values()],
                },
            )  # fmt: skip

    def _touch(self, cur: Cursor, became: _ReadOutcome) -> None:
        """Windows whose facts change: those of the events, and cut ones that wait for this range to be read."""
        keys = {"source": self.lease.source, "start": self.poll.start}
        windows = {row.id for row in cur.execute(sql.windows_in_range, keys).fetchall()}
        windows |= {became.attempts[number].win for number in became.ours}
        if windows:
            attempts.touch(cur, windows)


def _projects(facts: AttemptFacts) -> bool:
    return compiled_contract(facts.contract).contract.projection is not None


def _by_run(keys: Iterable[EventKey]) -> Iterator[tuple[list[EventKey], dict[str, Any]]]:
    """The keys of each run, sorted as the index is, with what a look-up of them takes."""
    for run, some in groupby(sorted(keys), key=itemgetter(0)):
        mine = list(some)
        yield mine, {"run": run, "count": len(mine), "identities": b"".join([identity for _, identity in mine])}


def _look_up(cur: Cursor, keys: Iterable[EventKey]) -> dict[EventKey, EventFacts]:
    """What the ledger knows of these events. The cursor must return plain tuples."""
    found: dict[EventKey, EventFacts] = {}
    for mine, asked in _by_run(keys):
        found.update(
            (mine[row[0]], event_facts(row[1:])) for row in cur.execute(sql.events, asked, binary=True).fetchall()
        )
    return found


def _applied(cur: Cursor, keys: Iterable[EventKey]) -> set[EventKey]:
    """Those of these events that have an effect already. The cursor must return plain tuples."""
    found: set[EventKey] = set()
    for mine, asked in _by_run(keys):
        found.update(mine[index] for (index,) in cur.execute(sql.applied, asked, binary=True).fetchall())
    return found


def _by_window(known: KnownAttempts, applied: Sequence[RuledRecord]) -> list[tuple[WindowId, int, list[RuledRecord]]]:
    """(window, contract, its rulings), in window order."""
    belongs = {number: (facts.win, facts.contract) for number, facts in known.attempts.items()}
    groups: dict[tuple[WindowId, int], list[RuledRecord]] = defaultdict(list)
    for ruled in applied:
        assert ruled.attempt is not None
        groups[belongs[ruled.attempt]].append(ruled)
    return [(win, contract, rows) for (win, contract), rows in sorted(groups.items())]


def _check_contexts(cur: Cursor, windows: Sequence[tuple[WindowId, int, list[RuledRecord]]]) -> None:
    """Raises WaitsForContext at the first event whose window is joined with what is pinned later: the order stays."""
    first: tuple[int, ContextWait] | None = None
    for win, contract, rows in windows:
        loaded = compiled_contract(contract).contract
        if loaded.projection is None:
            continue
        waits = [found.wait for found in unpinned(cur, win, loaded)]
        if waits and (first is None or rows[0].offset < first[0]):
            # one that can be pinned now is so in a moment: whoever pins does it in a transaction of its own
            said = next((wait for wait in waits if wait and wait.failed), next(filter(None, waits), PINNED_SOON))
            first = rows[0].offset, said
    if first is not None:
        offset, wait = first
        kind = WaitsForFreshContext if wait.failed else WaitsForContext
        raise kind(offset, CONTEXT_SECONDS, found=wait.text)


def _pin(row: Any) -> Pin:
    """Under the gate's rule: what fell is not read, and what could not be re-checked is waited for."""
    if row.fallen:
        return Pin((), row.verdict, row.why)
    if row.why is None and row.shut is None:
        return Pin(tuple(row.wins), row.verdict)
    raise ContextNotOpen(
        expected=f"an open gate of {row.verdict}",
        found=row.why or row.shut,
        next_step="the lane goes on when it is open again",
    )


def answer_columns(answer: Joined | None) -> tuple[int | None, str | None]:
    """What an effect says of its join: the columns context_state and context_reason."""
    return (int(answer.state), answer.reason or None) if answer is not None else (None, None)


def run_projection(
    cur: Cursor, class_path: str, win: WindowId, events: Sequence[AppliedEvent]
) -> Sequence[Joined | None]:
    """The projection's answers. What it raises on its own account stops the lane with its name and words."""
    projection = load_projection(class_path)
    pins = {row.context: _pin(row) for row in cur.execute(sql.pins, {"win": win}).fetchall()}
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
