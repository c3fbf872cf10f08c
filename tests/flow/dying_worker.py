"""A worker process that dies, stalls and mishears at random points, by a seed: run as `-m tests.flow.dying_worker`.

Faults lie around the product's calls to Kafka; its own code is as it is, but for a lease of 6 s instead of 30.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from typing import Any

import django

LEASE = 6


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def main(sources: str, seed: str) -> None:
    import ingest.core.lease

    ingest.core.lease.LEASE_SECONDS = LEASE  # before any verb has read it
    django.setup()
    from ingest import worker as lane_worker
    from ingest.lanes import lease

    for verb in (lease.take, lease.renew):
        verb.__defaults__ = (LEASE,)  # type: ignore[attr-defined]
    spoil(random.Random(int(seed)))
    worker = lane_worker.Worker.make()
    worker.only = frozenset(map(int, sources.split(",")))
    while True:
        worker.slice(3)


def spoil(chance: random.Random) -> None:
    from ingest.core.outcome import Kind, Outcome
    from ingest.kafka import PartitionReader, TransactionalProducer

    real_send, real_commit = TransactionalProducer.send, PartitionReader.commit

    def send(producer: TransactionalProducer, topic: str, messages: Sequence[Any]) -> Outcome:
        point = chance.random()
        if point < 0.05:
            die()
        if point < 0.10:
            leave_open(producer, topic, messages)
        if point < 0.15:
            real_send(producer, topic, messages[: len(messages) // 2])
            return Outcome(Kind.UNKNOWN, "half of it landed")
        outcome = real_send(producer, topic, messages)
        if point < 0.20:
            die()
        if point < 0.25:
            time.sleep(LEASE + 1)
        if point < 0.30:
            return Outcome(Kind.UNKNOWN, "the answer was lost")
        return outcome

    def commit(reader: PartitionReader, offsets: Any) -> Any:
        point = chance.random()
        if point < 0.01:
            die()
        told = real_commit(reader, offsets)
        if point < 0.02:
            die()
        return told

    TransactionalProducer.send = send  # type: ignore[method-assign]
    PartitionReader.commit = commit  # type: ignore[method-assign]


def leave_open(producer: Any, topic: str, messages: Sequence[Any]) -> None:
    """Dies in mid-transaction."""
    inner = producer._producer
    inner.begin_transaction()
    for where, key, value, headers in messages:
        inner.produce(topic, value, key, where, headers=headers)
    inner.flush(10)
    die()


if __name__ == "__main__":
    main(*sys.argv[1:])
