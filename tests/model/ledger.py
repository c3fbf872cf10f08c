"""PostgreSQL as far as correctness depends on it: rows, row locks, unique keys, and transactions that happen or do not.

The compare-and-sets are those of ingest/sql/*.sql, the transitions those of the triggers in ingest/migrations/sql.
What a statement reads is what is committed when it runs (READ COMMITTED).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

from ingest.core.batching import Hole, OffsetRange
from ingest.core.binding import SourceBinding
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.core.reconciliation import Answer

UNSETTLED = frozenset({"PREPARED", "UNKNOWN", "UNDECIDABLE"})
FREED = frozenset({"ABSENT", "PARTIAL", "NOT_SENT"})
TRANSITIONS = frozenset({
    ("PREPARED", "ACKED"), ("PREPARED", "NOT_SENT"), ("PREPARED", "UNKNOWN"),
    ("UNKNOWN", "ACKED"), ("UNKNOWN", "ABSENT"), ("UNKNOWN", "PARTIAL"), ("UNKNOWN", "UNDECIDABLE"),
    ("UNDECIDABLE", "ACKED"), ("UNDECIDABLE", "ABSENT"), ("UNDECIDABLE", "PARTIAL"),
})  # fmt: skip


class UniqueViolation(Exception):
    """23505: the whole transaction is done again."""


class Refused(AssertionError):
    """A trigger or a constraint said no to something no verb may even try."""


@dataclass(slots=True)
class Position:
    lane: str
    source: int
    next_offset: int
    epoch: int | None = None
    fence: int = 0
    owner: str | None = None
    until: float = 0.0
    moved_at: float = 0.0
    cut: int | None = None
    win: int | None = None
    next_win: int | None = None

    @property
    def bound(self) -> SourceBinding:
        return SourceBinding(self.next_offset, self.cut, self.win, self.next_win)

    @bound.setter
    def bound(self, to: SourceBinding) -> None:
        self.cut, self.win, self.next_win = to.cut, to.win, to.next_win


@dataclass(slots=True)
class Run:
    id: int
    name: str
    state: str = "OPEN"
    supersedes: int | None = None  # a fresh run's: the window whose place it takes


@dataclass(slots=True)
class Window:
    """`id` is the stream's, `number` the run's. `reruns`: the window that a plan reads again into this one."""

    id: int
    run: Run
    number: int
    state: str = "OPEN"
    revision: int = 0
    cut_at: float | None = None
    bus_end_known: bool = False
    reruns: int | None = None
    rerun: int | None = None
    plan: int | None = None


@dataclass(frozen=True, slots=True)
class Origin:
    """[start, end) of a source that a plan's source reads again."""

    source: int
    start: int
    end: int

    @property
    def length(self) -> int:
        return self.end - self.start


@dataclass(slots=True)
class Plan:
    """A replay of window `of`; `win` is the window that it fills, once it has opened it."""

    id: int
    of: int
    fresh: bool
    origins: dict[int, Origin]
    state: str = "RUNNING"
    win: int | None = None


@dataclass(slots=True)
class Range:
    start: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Binding:
    """What ingest.windows.bindings answers."""

    next_offset: int
    cut: int | None
    win: int
    run: int
    run_name: str


@dataclass(frozen=True, slots=True)
class Receipt:
    batch: int
    decision: int
    reason: int
    identity: bytes | None
    digest: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    id: int
    source: int
    win: int
    start: int
    end: int
    records: int
    admitted: int
    duplicates: int
    quarantined: int
    fence: int
    owner: str
    root: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Event:
    win: int
    source: int
    offset: int
    batch: int
    digest: bytes
    key: bytes | None
    headers: Any
    payload: bytes


@dataclass(slots=True)
class Item:
    """A quarantine item; a mismatch is one per (run, identity, digest) and counts."""

    win: int
    source: int
    offset: int
    reason: int
    identity: bytes | None
    digest: bytes
    first: tuple[int | None, int | None]
    value: bytes | None
    seen: int
    resolved_by: str | None = None


@dataclass(slots=True)
class Gap:
    end: int
    state: str = "CLAIMED"


@dataclass(frozen=True, slots=True)
class Letter:
    """One event of an attempt and the partition it was sent to."""

    offset: int
    batch: int
    identity: bytes
    digest: bytes
    partition: int


@dataclass(slots=True)
class Attempt:
    id: int
    source: int
    win: int
    fence: int
    owner: str
    letters: tuple[Letter, ...]
    anchors: dict[int, tuple[int, int]]  # partition -> (lo, leader epoch)
    to_offset: int
    prepared_at: float
    epoch: int  # of the producer that sent it, which the ledger does not know
    state: str = "PREPARED"
    unknown_at: float | None = None

    @property
    def batches(self) -> set[int]:
        return {letter.batch for letter in self.letters}

    @property
    def live(self) -> bool:
        return self.state not in FREED


@dataclass(frozen=True, slots=True)
class Scan:
    attempt: int
    fence: int
    fenced_at: float
    started_at: float
    answer: Answer
    epoch: int  # of the transactional.id when it was read, which the ledger does not know


@dataclass(frozen=True, slots=True)
class BusBatch:
    source: int
    start: int
    end: int
    fence: int
    owner: str


@dataclass(frozen=True, slots=True)
class Effect:
    win: int
    bus: int
    offset: int


@dataclass(frozen=True, slots=True)
class Verdict:
    id: int
    run: int
    number: int
    win: int
    revision: int
    state: str
    body: Any
    by: str
    judged_at: float
    measured_at: float


@dataclass(slots=True)
class Gate:
    verdict: int
    open_until: float
    checked_at: float
    shut_why: str | None = None


@dataclass
class Ledger:
    """The tables. `flaws` are guards left out, to show that the model would notice."""

    flaws: frozenset[str] = frozenset()
    now: float = 0.0
    version: int = 0
    positions: dict[tuple[str, int], Position] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    windows: dict[int, Window] = field(default_factory=dict)
    ranges: dict[tuple[int, int], Range] = field(default_factory=dict)
    receipts: dict[tuple[int, int], Receipt] = field(default_factory=dict)
    batches: dict[int, Batch] = field(default_factory=dict)
    events: dict[tuple[int, bytes], Event] = field(default_factory=dict)
    items: list[Item] = field(default_factory=list)
    gaps: dict[tuple[int, int], Gap] = field(default_factory=dict)
    queue: set[int] = field(default_factory=set)
    attempts: dict[int, Attempt] = field(default_factory=dict)
    places: dict[tuple[int, int], tuple[int, int, int]] = field(default_factory=dict)  # -> attempt, bus, offset
    scans: list[Scan] = field(default_factory=list)
    bus_batches: list[BusBatch] = field(default_factory=list)
    effects: dict[tuple[int, bytes], Effect] = field(default_factory=dict)
    foreign: set[tuple[int, int]] = field(default_factory=set)
    contradictions: set[tuple[int, int]] = field(default_factory=set)  # (win, attempt)
    verdicts: list[Verdict] = field(default_factory=list)
    gates: dict[int, Gate] = field(default_factory=dict)
    plans: dict[int, Plan] = field(default_factory=dict)
    rerun_ends: dict[tuple[int, int], int] = field(default_factory=dict)  # (win, bus) -> offset
    intruders: list[str] = field(default_factory=list)  # moves by somebody whose lease was another's
    locks: dict[object, Tx] = field(default_factory=dict)
    _number: int = 0

    def begin(self, who: str) -> Tx:
        return Tx(self, who)

    def number(self) -> int:
        self._number += 1
        return self._number

    # ---- leases (ingest/lanes/lease.sql); each is a transaction of its own

    def take(self, lane: str, source: int, owner: str) -> Lease | None:
        row = self.positions[lane, source]
        free = row.owner is None or row.until <= self.now or row.owner == owner
        if (lane, source) in self.locks or not free:
            return None
        row.owner, row.fence, row.until = owner, row.fence + 1, self.now + LEASE_SECONDS
        self.version += 1
        return Lease(lane, source, 1, owner, row.fence, row.next_offset, row.epoch)

    def renew(self, lease: Lease) -> bool:
        row = self.positions[lease.lane, lease.source]
        if not self._ours(row, lease) or row.until <= self.now:
            return False
        row.until = self.now + LEASE_SECONDS
        return True

    def release(self, lease: Lease) -> None:
        row = self.positions[lease.lane, lease.source]
        if self._ours(row, lease):
            row.owner, row.until = None, self.now

    def _ours(self, row: Position, lease: Lease) -> bool:
        return row.owner == lease.owner and row.fence == lease.fence

    # ---- compare-and-sets

    def advance(self, tx: Tx, lease: Lease, poll: OffsetRange, win: int | None = None) -> bool:
        """`advance` of admit.sql and consume.sql: False is "no row updated". The row is locked by `tx`."""
        row = self.positions[lease.lane, lease.source]
        if row.next_offset != poll.start or not ("no fence" in self.flaws or self._ours(row, lease)):
            return False
        if lease.lane == "admission" and not self._may_cross(row, poll, win):
            return False
        tx.then(lambda: self._move(row, lease, poll, win))
        return True

    def _may_cross(self, row: Position, poll: OffsetRange, win: int | None) -> bool:
        if "no cut" in self.flaws:
            return True
        beyond = row.cut is not None and poll.start >= row.cut
        fits = row.cut is None or poll.end <= row.cut or beyond
        return fits and win == (row.next_win if beyond else row.win)

    def _move(self, row: Position, lease: Lease, poll: OffsetRange, win: int | None) -> None:
        if not self._ours(row, lease):
            self.intruders.append(f"{lease.owner} moved {lease.lane} under fence {lease.fence}, now {row.fence}")
        if row.cut is not None and row.next_offset < row.cut < poll.end and "no cut" not in self.flaws:
            raise Refused("position_cut_not_crossed")
        if row.cut is not None and poll.start >= row.cut:
            row.cut = row.next_win = None
        row.next_offset, row.epoch, row.moved_at = poll.end, poll.leader_epoch, self.now
        row.win = win
        row.until = self.now + LEASE_SECONDS

    def hold(self, lease: Lease) -> bool:
        """attempts.hold: still ours, and not run out."""
        row = self.positions[lease.lane, lease.source]
        if "no fence" in self.flaws:
            return True
        if not self._ours(row, lease) or row.until <= self.now:
            return False
        row.until = self.now + LEASE_SECONDS
        return True

    # ---- look-ups

    def binding(self, source: int) -> Binding | None:
        row = self.positions["admission", source]
        win = row.bound.current
        if win is None or win not in self.windows:
            return None
        return Binding(row.next_offset, row.bound.ahead, win, self.horizon(win), self.windows[win].run.name)

    def horizon(self, win: int) -> int:
        """Within what an identity is unique: the window's run."""
        return win if "identities by window" in self.flaws else self.windows[win].run.id

    def open_run(self) -> Run | None:
        return next((run for run in self.runs.values() if run.state == "OPEN"), None)

    def open_window(self) -> Window | None:
        return next((w for w in self.chain.values() if w.state == "OPEN" and w.run.state == "OPEN"), None)

    def windows_of(self, run: int) -> list[Window]:
        """Those that a run consists of: its reruns stand beside it."""
        return [window for window in self.windows.values() if window.run.id == run and window.reruns is None]

    @property
    def chain(self) -> dict[int, Window]:
        """The windows that lanes fill, in their order; those of plans stand outside of it."""
        return {win: window for win, window in self.windows.items() if window.plan is None}

    @property
    def live_runs(self) -> list[Run]:
        return [run for run in self.runs.values() if run.supersedes is None]

    def bind(self, row: Position, bound: SourceBinding, win: int, start: int) -> None:
        """bind_window and insert_range."""
        row.bound = bound
        self.add_range(win, row.source, start)

    def add_range(self, win: int, source: int, start: int) -> None:
        self.ranges[win, source] = Range(start)

    def unsettled_of(self, source: int) -> Attempt | None:
        found = [a for a in self.attempts.values() if a.source == source and a.state in UNSETTLED]
        return found[0] if found else None

    def newest_verdict(self, win: int) -> Verdict | None:
        return next((v for v in reversed(self.verdicts) if v.win == win), None)

    def without_place(self, batches: Iterable[int]) -> list[tuple[bytes, Event]]:
        wanted = set(batches)
        return sorted(
            (
                (identity, event)
                for (_, identity), event in self.events.items()
                if event.batch in wanted and (event.source, event.offset) not in self.places
            ),
            key=lambda pair: pair[1].offset,
        )

    # ---- what changes together with other rows

    def touch(self, windows: Iterable[int]) -> None:
        """Whatever changes a fact of a cut window raises its revision."""
        for win in set(windows):
            if self.windows[win].state == "CUT" and "no revision" not in self.flaws:
                self.windows[win].revision += 1

    def end_attempt(self, attempt: Attempt, state: str) -> None:
        """attempt_transition: what the trigger refuses is a bug of a verb."""
        if attempt.state == state:
            return
        if (attempt.state, state) not in TRANSITIONS:
            raise Refused(f"attempt_transition: {attempt.state} does not become {state}")
        if attempt.state in ("UNKNOWN", "UNDECIDABLE"):
            needed = "PRESENT" if state == "ACKED" else state
            if not any(s.attempt == attempt.id and s.fence > attempt.fence and s.answer == needed for s in self.scans):
                raise Refused("attempt_needs_fence_evidence")
        attempt.state = state
        if state == "UNKNOWN":
            attempt.unknown_at = self.now

    def requeue(self, attempt: Attempt) -> None:
        self.queue |= {b for b in attempt.batches if self.without_place([b])}

    def refuse_second(self, attempt: Attempt) -> None:
        """attempt_one_unsettled and attempt_batch_one_live."""
        others = [a for a in self.attempts.values() if a.source == attempt.source]
        if any(a.state in UNSETTLED for a in others):
            raise UniqueViolation("attempt_one_unsettled")
        if any(a.live and a.batches & attempt.batches for a in others):
            raise UniqueViolation("attempt_batch_one_live")

    def insert_attempt(self, attempt: Attempt) -> None:
        self.queue -= attempt.batches
        self.attempts[attempt.id] = attempt

    def set_aside(self, item: Item, mismatch: bool, run: int) -> None:
        """insert_items: the same mismatch again raises the count of the same item."""
        for there in self.items if mismatch else ():
            same = (there.identity, there.digest, self.horizon(there.win))
            if there.reason == item.reason and same == (item.identity, item.digest, run):
                there.seen += item.seen
                return
        self.items.append(item)


class Tx:
    """One transaction: what it writes becomes true at its commit, all or nothing; its row locks are held until then."""

    def __init__(self, ledger: Ledger, who: str) -> None:
        self.who = who
        self._ledger = ledger
        self._checks: list[Callable[[], None]] = []
        self._writes: list[Callable[[], None]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()  # whoever dies here has changed nothing

    def lock(self, key: object) -> bool:
        """False: somebody else holds the row, ask again."""
        return self._ledger.locks.setdefault(key, self) is self

    def then(self, write: Callable[[], None]) -> None:
        self._writes.append(write)

    def check(self, key: Callable[[], None]) -> None:
        """`key` raises UniqueViolation, before anything is written."""
        self._checks.append(key)

    def insert(self, table: dict[Any, Any], rows: Mapping[Any, Any], rule: str) -> None:
        """Rows under new keys; a key that is there at the commit is a unique violation."""
        if not rows:
            return

        def free() -> None:
            if not rows.keys().isdisjoint(table):
                raise UniqueViolation(rule)

        self.check(free)
        self.then(lambda: table.update(rows))

    def claim(self, source: int, holes: Iterable[Hole]) -> None:
        self.insert(self._ledger.gaps, {(source, h.start): Gap(h.end) for h in holes}, "gap_pkey")

    def commit(self) -> None:
        """Raises UniqueViolation with nothing done."""
        for check in self._checks:
            check()
        for write in self._writes:
            write()
        self._ledger.version += 1
        self._end()

    def _end(self) -> None:
        locks = self._ledger.locks
        for key in [key for key, holder in locks.items() if holder is self]:
            del locks[key]
