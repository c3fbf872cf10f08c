"""Sending: one transaction at a time by an instance that never goes on after an abort, and the plain way."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import count, repeat
from typing import Any, NamedTuple, overload

from confluent_kafka import (
    KafkaError,
    KafkaException,
    Message,
    Producer,
    murmur2,
)

from ingest.core.errors import BrokerError
from ingest.core.outcome import CommitStep, Fault, Outcome, Report, SendReport, Step, after_commit_fault, judge
from ingest.core.partition import partition_for
from ingest.failpoints import failpoint
from ingest.kafka.cluster import Cluster, log
from ingest.kafka.errors import FaultLog, broker_error, fault_of, fault_of_exception
from ingest.kafka.types import Clock, SentHeaders


class BusMessage(NamedTuple):
    """One record to write: the explicit partition, key, value and headers."""

    partition: int
    key: bytes | None
    value: bytes | None
    headers: SentHeaders


_as_message: Callable[[Iterable[Any]], BusMessage] = partial(tuple.__new__, BusMessage)


class BusMessages(Sequence[BusMessage]):
    """Records given by columns, each put together in its turn: thousands made ahead leave the processor's cache.

    `headers` gives them from the first record on, whenever it is called.
    """

    def __init__(
        self,
        partitions: Sequence[int],
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Callable[[], Iterable[SentHeaders]],
    ) -> None:
        self._columns = (partitions, keys, values)
        self._headers = headers

    def __len__(self) -> int:
        return len(self._columns[0])

    def __iter__(self) -> Iterator[BusMessage]:
        return map(_as_message, zip(*self._columns, self._headers(), strict=True))

    @overload
    def __getitem__(self, index: int) -> BusMessage: ...

    @overload
    def __getitem__(self, index: slice) -> list[BusMessage]: ...

    def __getitem__(self, index: int | slice) -> BusMessage | list[BusMessage]:
        return list(self)[index]


def partitions_for(keys: Sequence[bytes | None], identities: Sequence[bytes], partitions: int) -> list[int]:
    """`ingest.core.partition.partition_for` of each event, by the client's own murmur2: a tenth of the time."""
    return [
        partition_for(None, identity, partitions) if key is None else murmur2(key, partitions)
        for key, identity in zip(keys, identities, strict=True)
    ]


BUS_BATCH_BYTES = 1_000_000


class TransactionalProducer:
    """One transactional instance, which only ever commits: after anything but a clean commit it is `dead`.

    librdkafka ends transactions without raising the epoch, so a delayed abort of this instance could act on its own
    next transaction. A new instance's `init()` raises the epoch and closes that (docs/kafka-facts.md#publishing).
    """

    def __init__(
        self,
        cluster: Cluster,
        transactional_id: str,
        *,
        delivery_timeout: float = 15.0,
        batch_bytes: int = BUS_BATCH_BYTES,
        clock: Clock = time.monotonic,
    ) -> None:
        self.transactional_id = transactional_id
        self.delivery_timeout = delivery_timeout
        self.batch_bytes = min(batch_bytes, BUS_BATCH_BYTES)
        self.dead = False
        self.faults = FaultLog()
        self._clock = clock
        self._producer: Producer | None = Producer(
            cluster.config(
                self.faults,
                transactional_id=transactional_id,
                transaction_timeout_ms=int(max(60.0, 2 * delivery_timeout) * 1000),
                message_timeout_ms=int(delivery_timeout * 1000),
                acks="all",
                compression_type="lz4",
                linger_ms=100,  # flush() sends at once: whole batches, fewer requests
                message_max_bytes=100_000_000,  # the broker's topic setting decides, and says so
                # It holds for what is sent together, too: a larger batch is refused as often as it comes.
                batch_size=self.batch_bytes,
            )
        )

    def init(self, timeout: float = 30.0) -> None:
        """Fence: raise the epoch, end what a predecessor left. Only the lease holder may call it."""
        try:
            self._alive().init_transactions(timeout)
        except KafkaException as raised:
            fault = fault_of_exception(raised)
            self.destroy()
            raise broker_error(fault) from raised

    def send(self, topic: str, messages: Sequence[BusMessage]) -> Outcome:
        """One transaction of all `messages`, within `delivery_timeout`. What Kafka does never raises: see Outcome."""
        transaction = _Transaction(self._alive(), self._clock, self._clock() + self.delivery_timeout)
        outcome = judge(transaction.run(topic, messages))
        if not transaction.committed or self.faults.fatal:
            self.destroy()
        return outcome

    def destroy(self) -> None:
        """Drop what is queued and go; never waits for a broker that does not answer."""
        self.dead = True
        producer, self._producer = self._producer, None
        if producer is not None:
            _drop(producer)

    def _alive(self) -> Producer:
        if self._producer is None or self.dead:
            raise BrokerError(
                expected="a producer that only ever committed", found="a dead one", next_step="start the lane again"
            )
        return self._producer


def _drop(producer: Producer) -> None:
    try:
        producer.purge(in_queue=True, in_flight=True, blocking=False)
        producer.poll(0)
    except (KafkaException, SystemError) as raised:
        log.info("dropping a producer: %s", raised)


_UNHEARD = -(2**63)  # no delivery report yet: librdkafka's own "no offset" is -1001
_NOWHERE = -1
# Without the class's own constructor, which is a function in Python called once an event.
_as_report: Callable[[Iterable[Any]], Report] = partial(tuple.__new__, Report)


class _Transaction:
    """One transaction's calls, in order, noting what each said."""

    def __init__(self, producer: Producer, clock: Clock, deadline: float) -> None:
        self._producer = producer
        self._clock = clock
        self._deadline = deadline
        self._step = Step.BEGIN
        self._handed_over = 0
        self._undelivered = 0
        self._where: list[int] = []  # each event's partition, by its number
        self._offsets: list[int] = []
        self._faults: dict[int, Fault] = {}
        self.committed = False

    def run(self, topic: str, messages: Sequence[BusMessage]) -> SendReport:
        raised: tuple[Step, Fault] | None = None
        try:
            self._producer.begin_transaction()
            failpoint("bus.after_begin")
            self._produce(topic, messages)
            failpoint("bus.after_produce")
            self._flush()
            failpoint("bus.before_commit")
            if not self._undelivered and not self._faults:
                self._commit()
        except (KafkaException, BufferError, TypeError, ValueError, RuntimeError, SystemError) as error:
            raised = (self._step, fault_of_exception(error))
        return SendReport(len(messages), self._handed_over, self._reports(), self._undelivered, raised, self.committed)

    def _left(self) -> float:
        return max(0.0, self._deadline - self._clock())

    def _produce(self, topic: str, messages: Sequence[BusMessage]) -> None:
        self._step = Step.PRODUCE
        produce, report, note = self._producer.produce, self._report, self._where.append
        self._offsets = [_UNHEARD] * len(messages)
        for index, (where, key, value, headers) in enumerate(messages):
            note(where)
            told = partial(report, index)
            while True:
                try:
                    produce(topic, value, key, where, told, None, 0, headers)  # by position: names take time
                    break
                except BufferError:  # the local queue is full: certainly not sent, so asking again is sound
                    if not self._left():
                        raise
                    self._producer.poll(0.05)
            self._handed_over = index + 1
            if not index % 1000:
                self._producer.poll(0)
                failpoint("bus.while_producing")

    def _report(self, index: int, error: KafkaError | None, message: Message) -> None:
        if error is None:
            offset = message.offset()
            self._offsets[index] = _NOWHERE if offset is None else offset
        else:
            self._offsets[index] = _NOWHERE
            self._faults[index] = fault_of(error)

    def _reports(self) -> list[Report]:
        """A delivery report each, of those that came. Kafka's offsets of -1 and the like are none."""
        if not self._faults and min(self._offsets, default=0) >= 0:
            return list(map(_as_report, zip(count(), self._where, self._offsets, repeat(None))))
        offsets = [offset if offset >= 0 else None for offset in self._offsets]
        faults = map(self._faults.get, range(len(offsets)))
        reports = map(_as_report, zip(range(len(offsets)), self._where, offsets, faults, strict=False))
        return [report for report, raw in zip(reports, self._offsets, strict=False) if raw != _UNHEARD]

    def _flush(self) -> None:
        self._step = Step.FLUSH
        self._undelivered = self._producer.flush(self._left())

    def _commit(self) -> None:
        self._step = Step.COMMIT
        while True:
            try:
                self._producer.commit_transaction(max(self._left(), 0.001))
                self.committed = True
                failpoint("bus.after_commit")
                return
            except (KafkaException, SystemError) as raised:
                if after_commit_fault(fault_of_exception(raised), self._left()) is CommitStep.GIVE_UP:
                    raise


class PlainProducer:
    """Writes records outside any transaction: what a producer in front of the inbox does. Idempotent, acks=all."""

    def __init__(self, cluster: Cluster, *, delivery_timeout: float = 30.0) -> None:
        self.faults = FaultLog()
        self._producer = Producer(
            cluster.config(
                self.faults,
                enable_idempotence=True,
                message_timeout_ms=int(delivery_timeout * 1000),
                compression_type="lz4",
                linger_ms=5,
            )
        )

    def send(self, topic: str, messages: Sequence[BusMessage], timeout: float = 30.0) -> list[Report]:
        """Send and wait for every report; a partition of -1 goes by key. Returns the reports in the messages' order."""
        reports: list[Report] = []

        def told(index: int, error: KafkaError | None, message: Message) -> None:
            offset = message.offset()
            fault = fault_of(error) if error is not None else None
            reports.append(Report(index, int(message.partition() or 0), offset if fault is None else None, fault))

        for index, (where, key, value, headers) in enumerate(messages):
            self._hand_over(topic, value, key, where, partial(told, index), headers)
        self._producer.flush(timeout)
        return sorted(reports, key=lambda report: report.number)

    def _hand_over(
        self, topic: str, value: bytes | None, key: bytes | None, where: int, told: Any, headers: SentHeaders
    ) -> None:
        while True:
            try:
                self._producer.produce(topic, value, key, where, on_delivery=told, headers=headers)
                return
            except BufferError:
                self._producer.poll(0.1)

    def close(self, timeout: float = 10.0) -> None:
        self._producer.flush(timeout)
        _drop(self._producer)
