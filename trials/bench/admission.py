"""Our admission, Kafka to commit: real worker processes with admission lanes alone, over a preloaded inbox."""

from __future__ import annotations

from typing import Any

from trials.bench.child import parts
from trials.bench.meter import Meter
from trials.bench.streams import Bound, admitted_to, counts, feed, found, held, look, opened, wait_until
from trials.bench.workers import Workers, shares

SECONDS = 900


def measure(topic: str, records: int, workers: int) -> dict[str, Any]:
    """A new stream reads the topic from its beginning; the clock runs until the last record's receipt is durable."""
    stream = opened(topic)
    return admit(stream, records, workers) | {"stream": stream.name}


def again(stream: str, records: int, workers: int, partitions: int) -> dict[str, Any]:
    """The same records a second time into the same run: duplicates all, and mismatches seen before."""
    bound = found(stream)
    feed(bound.inbox_topic, records, partitions)
    return admit(bound, records, workers)


def more(stream: str, start: int, records: int, workers: int, partitions: int) -> dict[str, Any]:
    """Further records of the run: produced first, then admitted by the clock."""
    bound = found(stream)
    sent = feed(bound.inbox_topic, records, partitions, start=start)
    return admit(bound, records, workers) | {"sent": sent}


def admit(stream: Bound, records: int, workers: int) -> dict[str, Any]:
    wait_until(lambda: not held(stream), SECONDS, "the lanes are free")
    look(stream)
    before, counted = admitted_to(stream), counts(stream)
    with Workers(["admission"], shares(stream.inbox, workers)) as processes:
        with Meter({**parts(), "workers": processes.pids}) as meter:
            processes.go()
            wait_until(
                lambda: admitted_to(stream) >= before + records, SECONDS, "every record has its receipt",
                check=processes.check,
            )  # fmt: skip
    now = counts(stream)
    return meter.document(records, counts={name: now[name] - counted[name] for name in now})
