"""The HTTP door: admission of what a request brought, over a source of this process's own.

The same verb as the inbox's of Kafka (ingest/admit/lane.py), with one difference: nobody gives the records offsets, so
they are taken from the position row inside the transaction. A 2xx may leave only when `receive` has returned.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any

import msgspec
from django.db import connection

from ingest.admit.group_commit import GroupCommit
from ingest.admit.lane import AdmissionTransaction, TooManyDisputed
from ingest.admit.read_ahead import arrivals_of
from ingest.behind import check_current, is_current
from ingest.core.batching import BATCH_BYTES, BATCH_RECORDS, OffsetRange, sized, weight
from ingest.core.contract import Contract
from ingest.core.decide import Arrival, Outcome
from ingest.core.errors import BrokerError, LeaseError, PassgateError, RunError
from ingest.core.ids import RunId, SourceId, StreamId
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.db import (
    NOT_GIVEN,
    ConstraintViolated,
    Cursor,
    DatabaseFull,
    DatabaseGone,
    fetch_one,
    prepared,
    read,
    retry_transaction,
    statements,
    write,
)
from ingest.failpoints import failpoint
from ingest.kafka import Admin, Cluster
from ingest.lanes import lease as leases
from ingest.models import Source, Stream
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from ingest.windows import Binding, bind_window, bindings, ensure_position

log = logging.getLogger(__name__)
sql = statements("ingest.admit", "http")

#: Door sources of one stream: one a web process, so this bounds web processes, not requests.
MOST_DOORS = 256


class DoorClosed(RunError):
    """The contract does not enable [inbox.http]."""

    code = "door_closed"
    what = "the stream takes no events over HTTP"


class NoOpenRun(RunError):
    """With no open run a stream's admission stands still."""

    code = "no_open_run"
    what = "the stream has no open run"
    retry = True


class TooManyEvents(PassgateError):
    """More events in one request than limits.http_events."""

    code = "too_many_events"
    what = "the request brings too many events"


class DoorRecord(msgspec.Struct, frozen=True, gc=False):
    """A record as a request brought it; its offset is given in the transaction."""

    offset: int
    leader_epoch: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None


@dataclass(frozen=True)
class DoorReceipts:
    """What became of each record, in input order; (source, offset) names a receipt."""

    source: SourceId
    run: str
    outcomes: Sequence[Outcome]


def receive(stream: str, records: Sequence[DoorRecord]) -> DoorReceipts:
    """Admits the records of one request in one transaction, and returns when it is durable.

    Raises NotFound, DoorClosed, NoOpenRun, TooManyEvents, LedgerBehind; DatabaseGone when PostgreSQL does not answer.
    After an error nothing of the request is admitted, or nobody knows (DatabaseGone): sending it again is safe.
    """
    newest = newest_contract(stream)
    _check(newest.contract, records)
    _check_ledger(newest.stream_id)
    for _ in range(4):  # fenced, or bound anew in between: look again
        door = _held(newest.stream_id)
        failpoint("door.after_lease")
        binding = _binding(newest, door.lease)
        failpoint("door.after_binding")
        loaded = compiled_contract(binding.contract)
        _check(loaded.contract, records)
        received = _admit(door, binding, loaded, records)
        failpoint("door.before_answer")
        if received is not None:
            return received
        _drop_if_lost(newest.stream_id, door)
    raise LeaseError(expected="a door source of this process", found="it was lost four times", next_step="try again")


def _check(contract: Contract, records: Sequence[DoorRecord]) -> None:
    if not contract.inbox.http.enabled:
        raise DoorClosed(
            expected="[inbox.http] enabled = true in the contract", next_step="load such a contract, open a run with it"
        )
    most = contract.limits.http_events
    if len(records) > most:
        raise TooManyEvents(expected=f"at most {most} events", found=str(len(records)), next_step="send them in parts")
    size = sum(len(r.value or b"") for r in records)
    if size > BATCH_BYTES:
        raise TooManyEvents(expected=f"at most {BATCH_BYTES} bytes of events", found=str(size), next_step="send less")


# ---- the ledger -----------------------------------------------------------------------------------------------------

#: For how long Kafka is not asked again once it said nothing. A door needs no Kafka, and is not shut for want of it.
SILENT_SECONDS = 30.0

_asking = threading.Lock()
_silent_until = 0.0


def _check_ledger(stream: StreamId) -> None:
    """What an older copy of the database admits would be admitted once more by the newest. Raises LedgerBehind."""
    global _silent_until
    if is_current(stream) or time.monotonic() < _silent_until:
        return
    with _asking:
        if time.monotonic() < _silent_until:  # whoever asked before this one has waited for all
            return
        try:
            check_current(Stream.objects.get(id=stream), _admin(os.getpid()))
        except BrokerError as error:
            _silent_until = time.monotonic() + SILENT_SECONDS
            log.warning("events are let in although nobody says whether the ledger is the newest: %s", error)


@lru_cache(maxsize=1)
def _admin(pid: int) -> Admin:
    """The admin client of this process: librdkafka's threads do not survive a fork, so the process id is the key."""
    return Admin(Cluster.from_settings())


# ---- the transaction ------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Request:
    """A request's records, understood, on their way into a transaction under this door's lease and this binding."""

    door: _Door
    binding: Binding
    loaded: CompiledContract
    records: Sequence[DoorRecord]
    arrivals: Sequence[Arrival]
    size: int


def _admit(
    door: _Door, binding: Binding, loaded: CompiledContract, records: Sequence[DoorRecord]
) -> DoorReceipts | None:
    """None where the lease or the binding no longer holds: nothing happened."""
    if not records:
        return DoorReceipts(door.lease.source, binding.run_name, ())
    arrivals = arrivals_of(loaded, binding.run_name, records)
    request = _Request(door, binding, loaded, records, arrivals, sum(map(weight, records)))
    try:
        if connection.in_atomic_block:  # a caller's own transaction: nobody else's events belong in it
            return _admit_all([request])[0]
        return door.commits.run(request)
    except TooManyDisputed as crowded:
        raise TooManyEvents(expected=crowded.expected, found=crowded.found, next_step="send them in parts") from crowded


def _together(waiting: Sequence[_Request]) -> int:
    """As many requests as a batch of an inbox may have records and bytes; a larger one goes alone."""
    first, records, size = waiting[0], 0, 0
    most = min(first.loaded.contract.limits.batch_records, BATCH_RECORDS)
    for number, request in enumerate(waiting):
        records, size = records + len(request.records), size + request.size
        if number and (request.binding != first.binding or records > most or size > BATCH_BYTES):
            return number
    return len(waiting)


def _admit_all(requests: Sequence[_Request]) -> list[DoorReceipts | None]:
    """One batch. To requests that came at once it is as if they had come one after the other."""
    first = requests[0]
    lease, source, binding, loaded = first.door.lease, first.door.source, first.binding, first.loaded
    records = [record for request in requests for record in request.records]
    understood = [arrival for request in requests for arrival in request.arrivals]

    def transact() -> Sequence[Outcome] | None:
        with _turns(binding.run_id) as turn, write() as cur:
            row = _take_offsets(cur, lease, binding, len(records), turn)
            if row is None:
                return None
            failpoint("door.after_offsets")
            numbered = [DoorRecord(at, None, r.key, r.value, r.headers) for at, r in enumerate(records, row.start)]
            poll = sized(
                OffsetRange(row.start, row.start + len(numbered), None, numbered, ()), sum(r.size for r in requests)
            )
            arrivals = [
                Arrival(at, a.parsed, a.payload_digest, a.identity) for at, a in enumerate(understood, row.start)
            ]
            decisions, _ = AdmissionTransaction(source, lease, binding, loaded, poll, arrivals).write_all(
                cur, row.batch_id
            )
            failpoint("door.before_commit")
        return decisions.outcomes

    outcomes = retry_transaction(transact)
    if outcomes is None:
        return [None] * len(requests)
    each = iter(outcomes)
    return [DoorReceipts(lease.source, binding.run_name, [*islice(each, len(r.records))]) for r in requests]


def _take_offsets(cur: Cursor, lease: Lease, binding: Binding, records: int, turn: bool) -> Any:
    keys = {"records": records, "seconds": LEASE_SECONDS, "win": binding.win, "source": lease.source}
    whose = {"fence": lease.fence, "owner": lease.owner, "run": binding.run_id}
    whose |= {"turn": turn, "patience": f"{TURN_SECONDS * 1000:.0f}ms"}
    return prepared(cur, sql.advance, keys | whose).fetchone()


# ---- turns ----------------------------------------------------------------------------------------------------------

#: How long this process takes turns in a run after it lost a race there.
TURNS_SECONDS = 10.0
#: How long it waits for one. Whoever has the turn may be frozen: then nobody takes turns for TURNS_SECONDS.
TURN_SECONDS = 2.0

_turns_until: dict[RunId, float] = {}
_left_until: dict[RunId, float] = {}


@contextmanager
def _turns(run: RunId) -> Iterator[bool]:
    """Whether this transaction waits for its turn among those of the run's doors.

    Where requests bring the same event at once they meet at the unique index: one waits for the other, and then does
    its whole transaction again. Once is often: somebody sends one stream over several connections. So for a while they
    go one after the other, which costs half as much; else side by side. What is admitted does not depend on it.
    """
    try:
        yield _turns_until.get(run, 0.0) > time.monotonic() > _left_until.get(run, 0.0)
    except ConstraintViolated as refused:
        _remember(_left_until if refused.constraint == NOT_GIVEN else _turns_until, run)
        raise


def _remember(until: dict[RunId, float], run: RunId) -> None:
    now = time.monotonic()
    for over in [number for number, end in list(until.items()) if end <= now]:
        until.pop(over, None)
    until[run] = now + TURNS_SECONDS


# ---- this process's source ------------------------------------------------------------------------------------------


class _Door:
    """A source of this process. Its requests share the position row, so those that wait are admitted together."""

    def __init__(self, lease: Lease, source: Source) -> None:
        self.lease = lease
        self.source = source
        self.commits = GroupCommit(_admit_all, _together, common=(DatabaseGone, DatabaseFull))


_doors: dict[tuple[str, int], _Door] = {}
_lock = threading.Lock()


def _held(stream: StreamId) -> _Door:
    """This process's door of the stream."""
    key = (leases.owner(), stream)
    held = _doors.get(key)
    if held is not None:
        return held
    with _lock:
        if key not in _doors:
            lease = _take(stream)
            _doors[key] = _Door(lease, Source.objects.get(id=lease.source))
        return _doors[key]


def _drop_if_lost(stream: StreamId, door: _Door) -> None:
    """After an idle time longer than the lease another process may have the door; then this one takes a free one."""
    try:
        leases.renew(door.lease)
    except LeaseError:
        key = (door.lease.owner, stream)
        with _lock:
            if _doors.get(key) is door:
                del _doors[key]


def _take(stream: StreamId) -> Lease:
    """A free door of the stream, or a new one."""
    with read() as cur:
        free = [row.source_id for row in cur.execute(sql.free_doors, {"stream": stream}).fetchall()]
    for source in free:
        lease = leases.take("admission", source)
        failpoint("door.after_taking")
        if lease is not None:
            return lease
    failpoint("door.before_adding")
    for _ in range(10):  # several processes start at once: each number has one source, whoever is second tries the next
        lease = leases.take("admission", _add(stream))
        failpoint("door.after_adding")
        if lease is not None:
            return lease
    raise LeaseError(expected="a free door", found="none", next_step="try again")


def _add(stream: StreamId) -> SourceId:
    def add() -> SourceId:
        with write() as cur:
            number = int(fetch_one(cur.execute(sql.next_door, {"stream": stream})).number)
            if number >= MOST_DOORS:
                raise LeaseError(expected=f"at most {MOST_DOORS} doors a stream", found=str(number))
            source = SourceId(fetch_one(cur.execute(sql.add_door, {"stream": stream, "number": number})).id)
            failpoint("door.after_source")
            ensure_position(cur, "admission", source, stream, 0)
            failpoint("door.after_position")
            ensure_position(cur, "publish", source, stream, 0)
            failpoint("door.before_source_commit")
        return source

    return retry_transaction(add)


def _binding(loaded: CompiledContract, lease: Lease) -> Binding:
    """The open window, which this source is bound to when its first event comes."""
    binding = bindings("admission", [lease.source]).get(lease.source)
    for _ in range(4):  # whoever waited for a window to be cut is not shown the one that follows it: look again
        if binding is not None:
            return binding
        retry_transaction(lambda: _bind(loaded.stream_id, lease.source))
        failpoint("door.after_bind")
        binding = bindings("admission", [lease.source]).get(lease.source)
    if binding is None:
        raise _no_run(loaded)
    return binding


def _bind(stream: StreamId, source: SourceId) -> None:
    with write() as cur:
        window = cur.execute(sql.open_window, {"stream": stream}).fetchone()
        if window is None or cur.execute(sql.bound, {"win": window.id, "source": source}).fetchone() is not None:
            return
        failpoint("door.after_window_lock")
        start = bind_window(cur, source, window.id)
        failpoint("door.after_window")
        cur.execute(sql.insert_range, {"win": window.id, "source": source, "start": start})
        failpoint("door.before_binding_commit")


def _no_run(loaded: CompiledContract) -> NoOpenRun:
    name = loaded.contract.stream
    return NoOpenRun(expected=f"an open run of {name}", found="none", next_step=f"passgate run open {name}/RUN")
