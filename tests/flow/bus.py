"""What tests of the publish and effects lanes do to attempts and to the bus; faults lie outside of the code tested."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest

from ingest.core.outcome import Kind, Outcome
from ingest.db import write
from ingest.kafka import BusMessage, Partition, PartitionReader, Record, Start, TransactionalProducer
from tests.flow.world import Flow
from tests.patience import stretched

Send = Callable[[TransactionalProducer, str, Sequence[BusMessage]], Outcome]


def read_bus(flow: Flow) -> dict[int, list[Record]]:
    """Every record of the bus, by partition, read by a consumer of the test's own."""
    found: dict[int, list[Record]] = {p: [] for p in range(flow.bus_partitions)}
    with PartitionReader(flow.cluster, fetch_wait=0.05) as reader:
        reader.assign([Start(flow.bus, p, 0) for p in found])
        left = {Partition(flow.bus, p) for p in found}
        end = time.monotonic() + stretched(60)
        while time.monotonic() < end:
            for here, chunk in reader.read(1000, 0.1).items():
                found[here.partition] += chunk.records
                left -= {here} if chunk.at_end else set()
            if not left:
                return found
    raise AssertionError("the bus was not read to its end")


def once(monkeypatch: pytest.MonkeyPatch, fault: Callable[[Send, TransactionalProducer, str, Any], Outcome]) -> None:
    """The next attempt is sent through `fault`, which gets the real send; later ones are sent as they are."""
    real: Send = TransactionalProducer.send
    used: list[bool] = []

    def send(producer: TransactionalProducer, topic: str, messages: Sequence[BusMessage]) -> Outcome:
        if used:
            return real(producer, topic, messages)
        used.append(True)
        return fault(real, producer, topic, messages)

    monkeypatch.setattr(TransactionalProducer, "send", send)


def answer_lost(send: Send, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
    """The commit is done, its answer never comes."""
    send(producer, topic, messages)
    return Outcome(Kind.UNKNOWN, "_TIMED_OUT: commit_transaction raised: the answer was lost")


def half_sent(send: Send, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
    """What a delayed EndTxn can do: half of the attempt is visible."""
    send(producer, topic, messages[: len(messages) // 2])
    return Outcome(Kind.UNKNOWN, "_TIMED_OUT: commit_transaction raised: half of it landed")


def never_sent(send: Send, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
    """Nothing left, and nobody knows."""
    return Outcome(Kind.UNKNOWN, "NO_REPORT: flush left all without a delivery report")


def lease_runs_out(flow: Flow, lane: str = "publish") -> None:
    """What 30 s without a renewal do: whoever comes next may take the lane."""
    with write() as cur:
        cur.execute(
            "UPDATE position SET until = clock_timestamp() WHERE lane = %s AND source_id = ANY(%s)",
            (lane, flow.sources()),
        )


def places(flow: Flow) -> list[Any]:
    """(inbox offset, bus partition, bus offset, identity) in inbox order."""
    return flow.rows(
        'SELECT p."offset", c.partition, p.bus_offset, e.identity, e.payload_digest FROM place p'
        " JOIN source c ON c.id = p.bus_source_id JOIN stream s ON s.id = c.stream_id"
        ' JOIN event e ON e.source_id = p.source_id AND e."offset" = p."offset"'
        ' WHERE s.name = %(name)s ORDER BY p.source_id, p."offset"'
    )


def scans(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT n.* FROM scan n JOIN attempt a ON a.id = n.attempt_id JOIN source c ON c.id = a.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY n.id"
    )


def bus_counts(flow: Flow) -> dict[str, int]:
    """Sums over the bus batches of the stream."""
    row = flow.rows(
        "SELECT sum(records) AS records, sum(applied) AS applied, sum(duplicates) AS duplicates,"
        " sum(foreign_records) AS foreign_records, sum(mismatching) AS mismatching FROM bus_batch b"
        " JOIN source c ON c.id = b.source_id JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )[0]
    return {name: int(value or 0) for name, value in row._asdict().items()}


def kept(flow: Flow) -> list[Any]:
    return flow.rows(
        'SELECT f.why, f.value, f.key, f."offset" FROM foreign_record f JOIN source c ON c.id = f.source_id'
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY f.id"
    )


def contradictions(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT k.* FROM contradiction k JOIN source c ON c.id = k.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s ORDER BY k.id"
    )


@contextmanager
def open_transaction(flow: Flow, whose: str = "other") -> Iterator[None]:
    """Somebody else's transaction stands open on every partition of the bus, and is aborted at the end."""
    other = TransactionalProducer(flow.cluster, f"{flow.name}.{whose}")
    other.init()
    inner = other._producer
    assert inner is not None
    inner.begin_transaction()
    for partition in range(flow.bus_partitions):
        inner.produce(flow.bus, b"open", partition=partition)
    inner.flush(10)
    yield
    inner.abort_transaction(10)
    other.destroy()
