"""Another way to read a log than the lanes': a plain consumer, for whoever checks them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple, Self

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from ingest.core.outcome import Fault
from ingest.kafka.cluster import Cluster
from ingest.kafka.errors import BrokerUnavailable, FaultLog, broker_error, fault_of, fault_of_exception, partition_error
from ingest.kafka.reader import all_headers
from ingest.kafka.types import READ_COMMITTED, READ_UNCOMMITTED, Partition, Record


class LoggedRecord(NamedTuple):
    """A record of the log. `visible`: a reader of committed data is given it, so it is of no transaction that ended as
    aborted and of none that is open."""

    record: Record
    visible: bool


class Piece(NamedTuple):
    """What lies at offsets [start, end): every record, the aborted ones, too. Pieces of one walk tile its range."""

    start: int
    end: int
    records: list[LoggedRecord]


class LogWalk:
    """Reads one partition from offset to offset with two plain consumers: one is given everything, the other what is
    committed. Shares neither settings nor code with `PartitionReader`, against which it is held.

    `silence`: how long nothing may come (s) before it is a BrokerError. At most PIECE_RECORDS records or PIECE_BYTES of
    values, and one fetch of either consumer, are in memory.
    """

    PIECE_RECORDS, PIECE_BYTES = 1_000, 8 * 1024 * 1024

    def __init__(self, cluster: Cluster, here: Partition, silence: float = 20.0) -> None:
        self._every = _PlainConsumer(cluster, here, READ_UNCOMMITTED, silence)
        self._committed = _PlainConsumer(cluster, here, READ_COMMITTED, silence)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *raised: object) -> None:
        self._every.close()
        self._committed.close()

    def pieces(self, start: int, end: int) -> Iterator[Piece]:
        """Pieces that tile [start, end), which lies below the last stable offset."""
        self._every.begin(start)
        self._committed.begin(start)
        at = start
        while at < end:
            taken = self._every.upto(end, self.PIECE_RECORDS, self.PIECE_BYTES)
            full = len(taken) >= self.PIECE_RECORDS or sum(len(r.value or b"") for r in taken) >= self.PIECE_BYTES
            upto = taken[-1].offset + 1 if full else end
            visible = {record.offset for record in self._committed.upto(upto)}
            yield Piece(at, upto, [LoggedRecord(record, record.offset in visible) for record in taken])
            at = upto


class _PlainConsumer:
    """One consumer on one partition, message by message."""

    def __init__(self, cluster: Cluster, here: Partition, isolation: str, silence: float) -> None:
        self.faults = FaultLog()
        self._here = here
        self._silence = silence
        self._waiting: Record | None = None  # read, and beyond what was asked for
        self._ended_at = -1  # the log's end, once it was met
        self._consumer = Consumer(
            cluster.config(
                self.faults,
                group_id="passgate-walk",
                enable_auto_commit=False,
                auto_offset_reset="error",
                isolation_level=isolation,
                enable_partition_eof=True,
                fetch_wait_max_ms=50,
                queued_max_messages_kbytes=8192,
            )
        )

    def begin(self, start: int) -> None:
        self._waiting, self._ended_at = None, -1
        self._consumer.assign([TopicPartition(self._here.topic, self._here.partition, start)])

    def upto(self, end: int, most: int | None = None, size: int | None = None) -> list[Record]:
        """Records below `end`; stops at `most` records or `size` bytes of values."""
        records: list[Record] = []
        held = 0
        heard = time.monotonic()
        while (most is None or len(records) < most) and (size is None or held < size):
            record = self._next()
            if record is not None and record.offset >= end:
                self._waiting = record
                break
            if record is not None:
                records.append(record)
                held += len(record.value or b"")
                heard = time.monotonic()
            elif self._ended_at >= end:
                break
            elif time.monotonic() - heard > self._silence:
                where = f"{self._here.topic}/{self._here.partition}"
                raise BrokerUnavailable(
                    expected=f"records of {where} up to {end}", found=f"nothing for {self._silence:g} s"
                )
        return records

    def _next(self) -> Record | None:
        if self._waiting is not None:
            record, self._waiting = self._waiting, None
            return record
        try:
            message = self._consumer.poll(0.2)
        except (KafkaException, SystemError) as raised:
            raise broker_error(fault_of_exception(raised)) from raised
        return None if message is None else self._taken(message)

    def _taken(self, message: Message) -> Record | None:
        error, offset = message.error(), message.offset()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._ended_at = max(self._ended_at, offset or 0)
            return None
        if error is not None or offset is None:
            fault = fault_of(error) if error is not None else Fault("NO_OFFSET", "a record without offset")
            raise partition_error(fault, self._here, offset or 0)
        (headers,) = all_headers([message])
        return Record(offset, message.leader_epoch(), message.key(), message.value(), headers, None)

    def close(self) -> None:
        self._consumer.close()
