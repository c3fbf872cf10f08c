"""What is asked of Kafka and what it answers, as plain values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

from confluent_kafka import (
    TopicPartition,
)

from ingest.core.errors import BrokerError

Headers = list[tuple[str, bytes | None]]
SentHeaders = list[tuple[str, str | bytes | None]]
Clock = Callable[[], float]
READ_COMMITTED = "read_committed"
READ_UNCOMMITTED = "read_uncommitted"


class Partition(NamedTuple):
    topic: str
    partition: int


@dataclass(frozen=True, slots=True)
class TopicFacts:
    """One incarnation of a topic. `topic_id` is Kafka's own 22 characters; K5: offsets mean nothing without it."""

    topic: str
    topic_id: str
    partitions: tuple[int, ...]
    replication_factor: int
    leaders: Mapping[int, int | None]
    in_sync: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class OffsetFacts:
    """Log start, end, and the leader epoch at the end, under one isolation. None: not measured, never 0 (K4)."""

    earliest: int | None
    latest: int | None
    leader_epoch: int | None


@dataclass(frozen=True, slots=True)
class LogEnds:
    """Log start, last stable offset, high watermark and leader epoch of one partition. None: not measured (K2, K3)."""

    earliest: int | None
    lso: int | None
    hw: int | None
    leader_epoch: int | None


@dataclass(frozen=True, slots=True)
class CommittedOffset:
    """A group's committed offset. `state`: COMMITTED, NONE (Kafka's -1001, K10) or UNMEASURED.

    `ours`: the commit carries our lanes' mark, so no other client of the group made it.
    """

    state: str
    offset: int | None = None
    ours: bool = False


class Record(NamedTuple):
    """What one offset holds. `headers` are as they came, in order, or None; `timestamp` is in ms, if there is one."""

    offset: int
    leader_epoch: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None
    timestamp: int | None


@dataclass(frozen=True, slots=True)
class Start:
    """Where reading begins. With `leader_epoch` the broker is asked whether the log still continues there (K6).

    `anchor`: where the newest record that was read ends, if that is before `offset`. What was passed since held no
    records (markers, aborted ones) and may be of later epochs than `leader_epoch`, which is that record's.
    """

    topic: str
    partition: int
    offset: int
    leader_epoch: int | None = None
    anchor: int | None = None


@dataclass(frozen=True, slots=True)
class GapClaim:
    """Offsets [from_offset, to_offset) at which this consumer was given nothing (K1). A claim, not yet a proof."""

    from_offset: int
    to_offset: int
    leader_epoch: int | None
    isolation: str
    why: str


@dataclass(slots=True)
class FetchResult:
    """What one read brought of one partition: records and gaps tile [start, next_offset) without overlap.

    `at_end` says the consumer reached the log's end (LSO when read_committed). A `fault` stops the partition: assign it
    again to go on. `size` is what the records weigh in memory (`batching.weight`).
    """

    start: int
    next_offset: int
    leader_epoch: int | None
    records: list[Record] = field(default_factory=list)
    gaps: list[GapClaim] = field(default_factory=list)
    at_end: bool = False
    fault: BrokerError | None = None
    size: int = 0

    def moved(self) -> bool:
        return self.next_offset > self.start

    def tells(self) -> bool:
        return self.moved() or self.at_end or self.fault is not None


def topic_partition(start: Start, metadata: str = "") -> TopicPartition:
    if start.leader_epoch is None:
        return TopicPartition(start.topic, start.partition, start.offset, metadata)
    return TopicPartition(start.topic, start.partition, start.offset, metadata, start.leader_epoch)


# Without the class's own constructor, which is a function in Python called once a record.
as_record: Callable[[Iterable[Any]], Record] = partial(tuple.__new__, Record)
