"""Where an inbox log that was read goes on as another one, under the same topic id.

An unclean election, a disk that is gone or one that was put back from a copy takes the end of a log away, and other
records get its offsets. A position never moves back: the log from there on is a source of its own, an *incarnation*,
with offsets, receipts and lanes of its own, and the next window starts where the log stops being what was received.
That is found by the receipts: epochs tell neither how far (an elected replica may have had records of an epoch that
nobody read) nor of a disk that was put back (docs/windows.md#a-log-that-was-cut).
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from audit import capture as look
from audit.core import facts as f
from ingest.admit.received import ReceivedRecord
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError
from ingest.core.group import group_of, mark_of
from ingest.core.ids import SourceId, StreamId
from ingest.db import Cursor, read, statements
from ingest.failpoints import failpoint
from ingest.install import install_id
from ingest.kafka import (
    BrokerUnavailable,
    Cluster,
    FetchResult,
    LogPutBack,
    OffsetOutOfRange,
    Partition,
    PartitionReader,
    Start,
    set_commits,
)
from ingest.retire import retire_cut

log = logging.getLogger(__name__)
sql = statements("audit", "incarnations")

#: Codes of lanes that a log which is another one stops.
STOPS = frozenset({"log_truncated", "log_put_back", "epoch_went_back", "offset_went_back", "offset_out_of_range"})
#: Between two looks at a log that seems cut: the end that a new leader gives may lag behind for a moment (K4).
PAUSE, READ_SECONDS = 2.0, 5.0


@dataclass(frozen=True, slots=True)
class CutLog:
    """A source whose log was cut below where its lane stands: from `kept_to` on it is not what was received."""

    source: SourceId
    here: Partition
    position: int
    kept_to: int


class Log(Protocol):
    """What a partition's log holds now."""

    start: int
    end: int

    def holds(self, record: ReceivedRecord) -> bool:
        """Whether that very record is there. What retention took, also since a moment ago, is not compared."""

    def has_records(self, start: int, end: int) -> bool:
        """Whether a record is in [start, end), where none was received: markers went with the end of the log."""


def cut_logs(stream: StreamId, broker: f.Broker, *, stopped_only: bool = False) -> list[CutLog]:
    """Each looked at twice. `stopped_only`: of lanes alone that have stopped by their log, or stand behind its end.

    Raises BrokerError where Kafka does not say what it holds.
    """
    topic = broker.inbox
    if topic is None or topic.topic_id is None:
        return []
    keys = {"stream": stream, "cluster_id": broker.cluster_id, "topic_id": topic.topic_id}
    with read() as cur:
        rows = cur.execute(sql.followed, keys).fetchall()
    rows = [row for row in rows if row.partition in topic.partitions]
    if stopped_only:
        rows = [row for row in rows if row.stopped_code in STOPS or _is_beyond(row, topic)]
    cut = set(_looked_at(rows, topic.name))
    if not cut:
        return []
    time.sleep(PAUSE)
    again = [each for each in _looked_at(rows, topic.name) if each in cut]
    return again if look.admin().topic_id(topic.name) == topic.topic_id else []  # offsets of another topic (K5)


def _is_beyond(row: Any, topic: f.Topic) -> bool:
    end = topic.partitions[row.partition].high_watermark
    return end is not None and end < row.next_offset


def _looked_at(rows: Sequence[Any], topic: str) -> list[CutLog]:
    if not rows:
        return []
    with PartitionReader(Cluster.from_settings(), fetch_wait=0.02) as reader:
        looks = [
            CutLog(
                row.source_id,
                Partition(row.topic, row.partition),
                row.next_offset,
                kept_to(row.next_offset, _received(row.source_id), _Log(reader, Partition(row.topic, row.partition))),
            )
            for row in rows
        ]
    return [each for each in looks if each.kept_to < each.position]


Received = Callable[[int], ReceivedRecord | None]
"""The newest record below an offset that was received."""


def _received(source: SourceId) -> Received:
    def newest(below: int) -> ReceivedRecord | None:
        with read() as cur:
            row = cur.execute(sql.received, {"source": source, "below": below}).fetchone()
        return None if row is None else ReceivedRecord(row.offset, bytes(row.payload_digest))

    return newest


def kept_to(position: int, received: Received, log_: Log) -> int:
    """Up to where the log is what was received below `position`; that itself where nothing says otherwise."""
    newest = received(position)
    if newest is None or log_.holds(newest):
        behind = log_.start if newest is None else newest.offset + 1
        return min(behind if log_.has_records(behind, position) else position, log_.end)
    return min(last_kept(log_.start, newest.offset, received, log_.holds), log_.end)


def last_kept(low: int, high: int, received: Received, is_there: Callable[[ReceivedRecord], bool]) -> int:
    """The first offset in [low, high] of which the log does not hold what was received, by halves: a log that is the
    same at one offset is so below it. The record at `high` is known to be missing."""
    while low < high:
        middle = (low + high) // 2
        record = received(middle + 1)
        if record is None or record.offset < low or is_there(record):
            low = middle + 1
        else:
            high = record.offset
    return high


def _ends(here: Partition) -> tuple[int, int]:
    """The log's start and high watermark; asked again for a moment where an election delays them (K4)."""
    until = time.monotonic() + READ_SECONDS
    while True:
        ends = look.admin().ends(here.topic, [here.partition])[here.partition]
        if ends.earliest is not None and ends.hw is not None:
            return ends.earliest, ends.hw
        if time.monotonic() > until:
            raise BrokerUnavailable(expected=f"where {here.topic}/{here.partition} begins and ends", found="no answer")
        time.sleep(0.1)


class _Log:
    """A log as a reader is given it."""

    def __init__(self, reader: PartitionReader, here: Partition) -> None:
        self._reader, self._here = reader, here
        self.start, self.end = _ends(here)

    def holds(self, record: ReceivedRecord) -> bool:
        if record.offset < self.start or (record.offset < self.end and self._is_at(record)):
            return True
        return record.offset < _ends(self._here)[0]

    def has_records(self, start: int, end: int) -> bool:
        return start < end and any(record.offset < end for record in self._read(start).records[:1])

    def _is_at(self, record: ReceivedRecord) -> bool:
        first = self._read(record.offset)
        if not first.records or first.records[0].offset != record.offset:
            return False
        try:
            record.check(first)
        except LogPutBack:
            return False
        return True

    def _read(self, offset: int) -> FetchResult:
        """What comes first from an offset on; nothing where that is no offset of the log."""
        self._reader.assign([Start(*self._here, offset)])
        until = time.monotonic() + READ_SECONDS
        while (first := self._reader.read(1, 0.1).get(self._here)) is None:
            if time.monotonic() > until:
                asked = f"what {self._here.topic}/{self._here.partition} holds at {offset}"
                raise BrokerUnavailable(expected=asked, found="no answer")
        if first.fault is not None and not isinstance(first.fault, OffsetOutOfRange):
            raise first.fault
        return first


def retire_cut_logs(cur: Cursor, cut: Sequence[CutLog]) -> list[CutLog]:
    """A step of opening and of going on: those of them whose lanes stand where they stood are retired."""
    if not cut:
        return []
    rows = cur.execute(sql.positions, {"sources": [each.source for each in cut]}).fetchall()
    failpoint("incarnations.after_positions")
    stands = {row.source_id: row.next_offset for row in rows}
    done = [each for each in cut if stands.get(each.source) == each.position]
    retire_cut(cur, {each.source: each.kept_to for each in done})
    return done


def commit_back(contract: Contract, cut: Sequence[CutLog]) -> None:
    """Before the transaction: Kafka's commit of a partition is never ahead of where its lane stands, nor of where the
    next one begins. Raises BrokerError."""
    if not cut:
        return
    install = install_id()
    offsets = {each.here: each.kept_to for each in cut}
    set_commits(Cluster.from_settings(), group_of(install, contract.stream), mark_of(install), offsets)


__all__ = ["BrokerError", "CutLog", "commit_back", "cut_logs", "last_kept", "retire_cut_logs"]
