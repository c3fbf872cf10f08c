"""Reading partitions from given offsets, with holes claimed and truncation told from a higher epoch."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter, methodcaller
from types import TracebackType
from typing import Any, Self, TypeVar

from confluent_kafka import (
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    TopicPartition,
)

from ingest.core.batching import BATCH_BYTES, HEADER_BYTES
from ingest.core.errors import BrokerError
from ingest.core.outcome import Fault
from ingest.core.record import UNREADABLE_NAME
from ingest.kafka.cluster import Cluster, log
from ingest.kafka.errors import (
    EpochWentBack,
    FaultLog,
    LogTruncated,
    OffsetWentBack,
    broker_error,
    fault_of,
    fault_of_exception,
    partition_error,
)
from ingest.kafka.types import (
    READ_COMMITTED,
    FetchResult,
    GapClaim,
    Headers,
    Partition,
    Start,
    as_record,
    topic_partition,
)

T = TypeVar("T")

#: Why a partition does not seek now: its fetcher has not started, which takes a millisecond; another of its own
#: operations came in between, as when it goes over to a broker that is back; or that is still under way.
SEEKS_LATER = {"_STATE", "_OUTDATED", "_PREV_IN_PROGRESS"}


@dataclass(slots=True)
class _Progress:
    """`anchor`: where the newest record ends whose epoch is `leader_epoch`. `again_until`: by when (monotonic) what
    lies between it and `next_offset` must have been passed once more, without a record; None: nothing is read again.
    """

    next_offset: int
    leader_epoch: int | None
    anchor: int
    at_end: bool = False
    stopped: BrokerError | None = None
    again_until: float | None = None


#: How long a log that seems cut may take to reach, once more, where its reader stood.
AGAIN_SECONDS = 2.0
#: How long the next fetch is waited for once one came, and for how long in all a read goes on so.
NEXT_FETCH_SECONDS, FLOWING_SECONDS = 0.010, 0.1


class PartitionReader:
    """Reads assigned partitions from given offsets, never by subscription: the position is in Postgres.

    One reader may hold several partitions; a worker usually has one reader per source. `group` is needed only to
    commit, and `mark` is what it writes beside what it commits. `fetch_wait` is how long the broker holds a fetch of an
    empty partition, so it bounds how late the end of a partition is noticed (s).
    """

    def __init__(
        self,
        cluster: Cluster,
        *,
        group: str | None = None,
        mark: str = "",
        isolation: str = READ_COMMITTED,
        fetch_wait: float = 0.1,
    ) -> None:
        self.isolation = isolation
        self._mark = mark
        self.faults = FaultLog()
        self._progress: dict[Partition, _Progress] = {}
        self._bytes = 0
        self._commits = _Commits()
        self._consumer: Consumer = Consumer(
            cluster.config(
                self.faults,
                group_id=group or "passgate-reader",
                enable_auto_commit=False,
                enable_auto_offset_store=False,
                auto_offset_reset="error",
                isolation_level=isolation,
                enable_partition_eof=True,
                check_crcs=True,
                fetch_queue_backoff_ms=5,
                fetch_wait_max_ms=int(fetch_wait * 1000),
                # What one reader holds in memory ahead of us: at most one fetch, and a small one, since a packed batch
                # may be 250 times its size. The limit in kilobytes counts values alone: records of large keys and
                # headers would be queued without end.
                queued_min_messages=1,
                fetch_message_max_bytes=262_144,
                queued_max_messages_kbytes=16384,
            )
            | {"on_commit": self._commits.answered}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def assign(self, starts: Iterable[Start], timeout: float = 5.0) -> None:
        """Read exactly these from now on. Seeking with the epoch makes the broker validate it; assign alone may not."""
        wanted = list(starts)
        self._progress = {Partition(s.topic, s.partition): _begin(s) for s in wanted}
        try:
            self._consumer.assign([topic_partition(start) for start in wanted])
        except KafkaException as raised:
            raise broker_error(fault_of_exception(raised)) from raised
        until = time.monotonic() + timeout
        for start in wanted:
            if start.leader_epoch is not None:
                self._seek(topic_partition(start), until)

    def _seek(self, at: TopicPartition, until: float) -> None:
        """Asks again while the client is at work on the partition itself: that is no fault of the broker's."""
        while True:
            try:
                self._consumer.seek(at)
                return
            except KafkaException as raised:
                fault = fault_of_exception(raised)
                if fault.name not in SEEKS_LATER or time.monotonic() > until:
                    raise broker_error(fault) from raised
            time.sleep(0.001)

    def read(self, max_records: int, max_wait: float, max_bytes: int = BATCH_BYTES) -> dict[Partition, FetchResult]:
        """Up to `max_records` in all within `max_wait` seconds; returns early when every partition is at its end.

        While one fetch follows another it reads on for `FLOWING_SECONDS`: a fetch holds a sixth of a batch, and a lane
        among many, which waits for hardly any time, took one in each of its turns. `consume()` waits out its time when
        fewer records are there, so it is asked in short turns; the turn that passes `max_bytes` is the last one.
        """
        chunks: dict[Partition, FetchResult] = {}
        left, self._bytes = max_records, 0
        until = time.monotonic() + max_wait
        last = until + FLOWING_SECONDS if max_wait else until
        while left > 0 and self._bytes < max_bytes:
            wait = min(0.02, max(0.0, until - time.monotonic()))
            messages = self._consume(min(left, 1000), wait)
            left -= self._take(messages, chunks)
            if messages and not self._idle():
                until = min(last, max(until, time.monotonic() + NEXT_FETCH_SECONDS))
            if time.monotonic() >= until or (not messages and self._idle()):
                break
        self._give_up_reading_again(chunks)
        return {here: chunk for here, chunk in chunks.items() if chunk.tells()}

    def _consume(self, most: int, wait: float) -> list[Message]:
        """Faults of a partition come as messages; what is raised concerns the client as a whole."""
        self._commits.send(self._consumer)
        try:
            return self._consumer.consume(most, wait)
        except (KafkaException, SystemError) as raised:
            raise broker_error(fault_of_exception(raised)) from raised

    def _idle(self) -> bool:
        return all(progress.at_end or progress.stopped for progress in self._progress.values())

    def _take(self, messages: Sequence[Message], chunks: dict[Partition, FetchResult]) -> int:
        """Sort messages into chunks, in the order they came; returns how many were records."""
        taken = 0
        for here, run in _runs(messages):
            progress = self._progress.get(here)
            if progress is None or progress.stopped:
                continue  # of an earlier assignment, or behind a fault
            if here not in chunks:
                chunks[here] = FetchResult(progress.next_offset, progress.next_offset, progress.leader_epoch)
            taken += self._take_run(run, here, progress, chunks[here])
        return taken

    def _take_run(self, run: Sequence[Message], here: Partition, progress: _Progress, chunk: FetchResult) -> int:
        """What came of one partition: records, with events among them. Returns how many were records."""
        taken = start = 0
        for index in [index for index, message in enumerate(run) if message.error() is not None]:
            taken += self._records(run[start:index], progress, chunk)
            error = run[index].error()
            if error is not None and not progress.stopped:
                self._event(run[index], error, here, progress, chunk)
            if progress.stopped:
                return taken
            start = index + 1
        return taken + self._records(run[start:] if start else run, progress, chunk)

    def _records(self, messages: Sequence[Message], progress: _Progress, chunk: FetchResult) -> int:
        """Neighbouring records, column by column: a call a record and field is most of what reading costs."""
        if not messages:
            return 0
        offsets = [message.offset() for message in messages]
        epochs = [message.leader_epoch() for message in messages]
        followed = self._follow(offsets, epochs, progress, chunk)
        good = messages if followed == len(messages) else messages[:followed]
        keys = [message.key() for message in good]
        values = [message.value() for message in good]
        headers = all_headers(good)
        stamps = [at if kind else None for kind, at in [message.timestamp() for message in good]]
        chunk.records += map(as_record, zip(offsets, epochs, keys, values, headers, stamps, strict=False))
        size = _weight(keys, values, headers)
        chunk.size += size
        self._bytes += size
        return followed

    def _follow(
        self, offsets: Sequence[int | None], epochs: Sequence[int | None], progress: _Progress, chunk: FetchResult
    ) -> int:
        """Moves on over these records, claiming what lies between; returns how many of them are in front of a fault."""
        for index, (offset, epoch) in enumerate(zip(offsets, epochs, strict=True)):
            assert offset is not None  # a record without error has one
            before = progress.leader_epoch
            if epoch != before and epoch is not None and before is not None and epoch < before:
                progress.stopped = chunk.fault = EpochWentBack(
                    expected=f"leader epoch {before} or later", found=f"{epoch} at offset {offset}"
                )
            elif offset != progress.next_offset:
                self._hole(offset, epoch, "BETWEEN_RECORDS", progress, chunk)
            if progress.stopped:
                return index
            progress.next_offset = progress.anchor = offset + 1
            progress.leader_epoch = epoch
            progress.at_end, progress.again_until = False, None
            chunk.next_offset, chunk.leader_epoch, chunk.at_end = offset + 1, epoch, False
        return len(offsets)

    def _hole(self, to: int, epoch: int | None, why: str, progress: _Progress, chunk: FetchResult) -> None:
        """What lies between the position and `to` was skipped by the broker: claim it, or stop where it went back."""
        if to < progress.next_offset and progress.again_until is not None:
            progress.stopped = chunk.fault = _cut(progress, f"a record at offset {to}, where there was none")
            return
        if to < progress.next_offset:
            progress.stopped = chunk.fault = OffsetWentBack(
                expected=f"offset {progress.next_offset} or later", found=f"offset {to}"
            )
            return
        chunk.gaps.append(GapClaim(progress.next_offset, to, epoch, self.isolation, why))
        progress.next_offset = chunk.next_offset = to

    def _event(
        self, message: Message, error: KafkaError, here: Partition, progress: _Progress, chunk: FetchResult
    ) -> None:
        """The end of the partition, which proves a gap at the end (K12), or a fault that stops it."""
        if error.code() != KafkaError._PARTITION_EOF:
            fault = partition_error(fault_of(error), here, progress.next_offset)
            if not isinstance(fault, LogTruncated) or not self._read_again(here, progress):
                progress.stopped = chunk.fault = fault
            return
        offset = message.offset()
        if progress.again_until is not None and (offset is None or offset < progress.next_offset):
            return  # an end behind us: it may be a new leader's that does not know yet how far the log is committed
        if offset is not None and offset > progress.next_offset:
            self._hole(offset, progress.leader_epoch, "AT_END", progress, chunk)
        progress.at_end, progress.again_until = True, None
        chunk.at_end = True

    def _read_again(self, here: Partition, progress: _Progress) -> bool:
        """Whether what seems cut may not be: it is read once more, from the newest record whose epoch is known on.

        A broker that restarts while a transaction is open writes its marker under the next epoch. Who passed only that
        still has the epoch of the record before it, and that epoch ends before the marker: the broker calls it
        truncation. The log is whole if that record is still there, under its epoch, and if up to where we stood there
        is again none.
        """
        if progress.anchor >= progress.next_offset or progress.again_until is not None:
            return False
        progress.again_until = time.monotonic() + AGAIN_SECONDS
        at = TopicPartition(here.topic, here.partition, progress.anchor)
        try:  # a partition with a fault does not seek: it is let go of, and taken anew
            self._consumer.incremental_unassign([at])
            self._consumer.incremental_assign([at])
            self._seek(topic_partition(Start(*here, progress.anchor, progress.leader_epoch)), progress.again_until)
        except (KafkaException, BrokerError) as raised:
            log.info("not read again: %s", raised)
            return False
        return True

    def _give_up_reading_again(self, chunks: dict[Partition, FetchResult]) -> None:
        now = time.monotonic()
        for here, progress in self._progress.items():
            if progress.again_until is not None and not progress.stopped and progress.again_until < now:
                chunk = chunks.setdefault(
                    here, FetchResult(progress.next_offset, progress.next_offset, progress.leader_epoch)
                )
                progress.stopped = chunk.fault = _cut(progress, "its end before that")

    def commit(self, offsets: Mapping[Partition, tuple[int, int | None]]) -> Fault | None:
        """Commit (next offset, leader epoch) to Kafka for other tools' eyes. Returns what became of the commit before,
        where that failed: a failure is told, and changes nothing.

        Never waits: the client would until a broker that is frozen answers, minutes if it must. While one commit is
        not answered the next one waits, and only the newest of those is sent.
        """
        self._commits.wanted = [
            topic_partition(Start(p.topic, p.partition, offset, epoch), self._mark)
            for p, (offset, epoch) in offsets.items()
        ]
        self._commits.send(self._consumer)
        return self._commits.told()

    def close(self) -> None:
        """Waits a second for a commit under way. Whoever closes waits for its answer, so that is left to a thread."""
        if not self._commits.under_way:
            self._consumer.close()
            return
        closing = threading.Thread(target=self._consumer.close, name="kafka-closing", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)


CLOSE_SECONDS = 1.0


class _Commits:
    """One commit at a time: the offsets to commit next, whether one is under way, and how the last one went."""

    def __init__(self) -> None:
        self.wanted: list[TopicPartition] = []
        self.under_way = False
        self._fault: Fault | None = None

    def send(self, consumer: Consumer) -> None:
        if self.under_way or not self.wanted:
            return
        wanted, self.wanted = self.wanted, []
        try:
            consumer.commit(offsets=wanted, asynchronous=True)
            self.under_way = True
        except KafkaException as raised:
            self._fault = fault_of_exception(raised)

    def answered(self, error: KafkaError | None, partitions: Sequence[TopicPartition]) -> None:
        """Called by the client while it is read from."""
        self.under_way = False
        faults = [fault_of(each) for each in (error, *(tp.error for tp in partitions)) if each is not None]
        self._fault = faults[0] if faults else None

    def told(self) -> Fault | None:
        fault, self._fault = self._fault, None
        return fault


def _begin(start: Start) -> _Progress:
    anchor = start.offset if start.anchor is None else min(start.anchor, start.offset)
    return _Progress(start.offset, start.leader_epoch, anchor)


def _cut(progress: _Progress, found: str) -> LogTruncated:
    return LogTruncated(
        expected=f"the log to continue at offset {progress.next_offset}", found=found, next_step="compare the basis"
    )


def _runs(messages: Sequence[Message]) -> Iterable[tuple[Partition, Sequence[Message]]]:
    """Neighbouring messages of one partition."""
    topics = [message.topic() for message in messages]
    partitions = [message.partition() for message in messages]
    if messages and topics.count(topics[0]) == partitions.count(partitions[0]) == len(messages):
        yield Partition(str(topics[0]), int(partitions[0] or 0)), messages
        return
    places = zip(topics, partitions, messages, strict=True)
    for (topic, partition), run in groupby(places, key=itemgetter(0, 1)):
        yield Partition(str(topic), int(partition or 0)), [message for _, _, message in run]


# Where a name is not UTF-8 the client returns a list with holes in it and an exception set. Called the usual way, an
# interpreter that has specialised the call does not look at the exception, and whoever reads the list crashes the
# process; a call from C is always checked.
_checked_headers = methodcaller("headers")


def all_headers(messages: Sequence[Message]) -> list[Headers | None]:
    """Each message's headers as they came, or a mark where the client cannot give them.

    None is asked twice: the client keeps the list with holes, and gives it the second time without an exception.
    """
    headers_of_all: list[Headers | None] = []
    left = map(_checked_headers, messages)
    while len(headers_of_all) < len(messages):
        try:
            headers_of_all.extend(left)  # what came before an exception stays in the list
        except SystemError:
            headers_of_all.append([(UNREADABLE_NAME, None)])
    return headers_of_all


def _weight(keys: Iterable[Any], values: Iterable[Any], headers: Iterable[Headers | None]) -> int:
    """The sum of `batching.weight` over records given by columns."""
    given, flat = [each for each in headers if each], chain.from_iterable
    parts = chain(filter(None, keys), filter(None, values), filter(None, flat(flat(given))))
    return sum(map(len, parts)) + HEADER_BYTES * sum(map(len, given))


def probe_epoch(cluster: Cluster, start: Start, timeout: float = 5.0) -> str | None:
    """Does the log still continue at (offset, leader epoch)? "" if it does, librdkafka's words if not, None unanswered.

    OffsetForLeaderEpoch is not an API of the client (K11): a consumer seeks there with the epoch and is told.
    """
    here = Partition(start.topic, start.partition)
    with PartitionReader(cluster, fetch_wait=0.02) as reader:
        try:
            reader.assign([start], timeout)
            until = time.monotonic() + timeout
            while time.monotonic() < until:
                chunk = reader.read(1, 0.1).get(here)
                if chunk is None:
                    continue
                return str(chunk.fault.found) if chunk.fault else ""
        except BrokerError as error:
            log.info("epoch probe not answered: %s", error)
    return None
