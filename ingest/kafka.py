"""Kafka as this project uses it: the one module that imports confluent_kafka.

Everything here is typed, bounded in time, and says "not measured" as None. The numbers K1 to K12 are the facts these
wrappers stand on; tests/kafka pins each on a real broker. Settings a person may give are an allow-list, because
librdkafka's settings can run programs and read files.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count, groupby, repeat
from operator import itemgetter, methodcaller
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar, overload

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicCollection,
    TopicPartition,
    murmur2,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from ingest.core.batching import BATCH_BYTES, HEADER_BYTES
from ingest.core.errors import BrokerError, SettingsError
from ingest.core.outcome import CommitStep, Fault, Outcome, Report, Sending, Step, after_commit_fault, judge
from ingest.core.partition import partition_for
from ingest.core.record import UNREADABLE_NAME
from ingest.failpoints import failpoint

T = TypeVar("T")
Headers = list[tuple[str, bytes | None]]
SentHeaders = list[tuple[str, str | bytes | None]]
Clock = Callable[[], float]

_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the client's stubs stop here
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]

READ_COMMITTED = "read_committed"
READ_UNCOMMITTED = "read_uncommitted"

#: What a person may set. Nothing that names a file, a program, a plugin or an address to fetch from.
ALLOWED_SETTINGS = frozenset(
    {
        "broker.address.family",
        "client.id",
        "metadata.max.age.ms",
        "sasl.mechanism",
        "sasl.mechanisms",
        "sasl.password",
        "sasl.username",
        "security.protocol",
        "socket.connection.setup.timeout.ms",
        "socket.keepalive.enable",
        "socket.nagle.disable",
        "socket.timeout.ms",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.endpoint.identification.algorithm",
        "ssl.key.password",
        "ssl.key.pem",
    }
)

# --- errors


class BrokerUnavailable(BrokerError):
    """No answer in time. What was asked for is not measured."""

    code = "broker_unavailable"
    what = "Kafka did not answer"


class TopicGone(BrokerError):
    """The topic or partition does not exist (any more)."""

    code = "topic_gone"
    what = "the topic or partition does not exist"
    retry = False


class TopicChanged(BrokerError):
    """K5: deleted and created again, or another cluster's: offsets of the old one mean nothing in the new one."""

    code = "topic_changed"
    what = "the topic is not the one that was recorded"
    retry = False


class LogTruncated(BrokerError):
    """K6: the log was cut below our position, or the broker never had our leader epoch. Records may have been lost."""

    code = "log_truncated"
    what = "the log does not continue where we stood"
    retry = False


class OffsetOutOfRange(BrokerError):
    """K7: the position is not in the log: retention or delete-records moved its start, or its end went back."""

    code = "offset_out_of_range"
    what = "the position is not in the log"
    retry = False


class PartitionFault(BrokerError):
    """Anything else a fetch can answer: the partition stops until somebody looks."""

    code = "partition_fault"
    what = "the partition cannot be read"


class OffsetWentBack(BrokerError):
    """The broker delivered an offset below one it had already delivered."""

    code = "offset_went_back"
    what = "the broker delivered offsets backwards"
    retry = False


class EpochWentBack(BrokerError):
    """Within a log, leader epochs only rise: this is another log, or one that was put back."""

    code = "epoch_went_back"
    what = "the broker delivered a lower leader epoch at a higher offset"
    retry = False


class TopicIncredible(BrokerError):
    """A description of a topic that no cluster can truthfully give: no id, or a partition twice."""

    code = "topic_incredible"
    what = "what the broker says about the topic cannot be true"
    retry = False


# --- settings


class _Quiet(logging.Filter):
    """At most one line per kind and 10 s: librdkafka says 20 lines a second while a broker is away."""

    def __init__(self, clock: Clock = time.monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._last: dict[object, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.args[0] if isinstance(record.args, tuple) and record.args else record.msg
        now = self._clock()
        if now - self._last.get(kind, -1e9) < 10:
            return False
        self._last[kind] = now
        return True


log = logging.getLogger("ingest.kafka")
_client_log = logging.getLogger("ingest.kafka.client")
_client_log.addFilter(_Quiet())


@dataclass(frozen=True)
class Cluster:
    """Which cluster, and what a person set for it. `of` refuses what is not on the allow-list."""

    bootstrap: str
    settings: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, bootstrap: str, settings: Mapping[str, str] | None = None) -> Cluster:
        given = dict(settings or {})
        refused = sorted(set(given) - ALLOWED_SETTINGS)
        if refused:
            raise SettingsError(
                expected=f"Kafka settings among {', '.join(sorted(ALLOWED_SETTINGS))}",
                found=", ".join(refused),
                next_step="remove them from PASSGATE_KAFKA_SET_*",
            )
        return cls(bootstrap, given)

    @classmethod
    def from_settings(cls) -> Cluster:
        """The cluster of the Django settings."""
        from django.conf import settings

        return cls.of(settings.KAFKA_BOOTSTRAP_SERVERS, settings.PASSGATE_KAFKA)

    def config(self, faults: FaultLog, **own: Any) -> dict[str, Any]:
        """librdkafka's configuration; ours wins over a person's. Underscores in `own` are dots."""
        return {
            **self.settings,
            "bootstrap.servers": self.bootstrap,
            "allow.auto.create.topics": False,
            "reconnect.backoff.ms": 100,
            "reconnect.backoff.max.ms": 2000,
            "log_level": 4,
            "error_cb": faults.note,  # without one a fatal error is raised out of poll(), even as SystemError
            "logger": _client_log,  # else librdkafka writes to stderr
            **{name.replace("_", "."): value for name, value in own.items()},
        }


@dataclass
class FaultLog:
    """The last error a client reported by callback, and whether it was fatal. Never raises into librdkafka."""

    last: Fault | None = None
    fatal: Fault | None = None

    def note(self, error: KafkaError) -> None:
        self.last = fault_of(error)
        if error.fatal():
            self.fatal = self.last


def fault_of(error: KafkaError) -> Fault:
    return Fault(error.name(), error.str(), error.retriable(), error.fatal(), error.txn_requires_abort())


def _fault_of_exception(raised: Exception) -> Fault:
    """Any exception of the client as a fault; TypeError and BufferError carry no KafkaError.

    A fatal error met while callbacks are served comes as SystemError with the KafkaException as its cause.
    """
    if isinstance(raised, SystemError) and isinstance(raised.__cause__, Exception):
        return _fault_of_exception(raised.__cause__)
    if isinstance(raised, KafkaException) and raised.args and isinstance(raised.args[0], KafkaError):
        return fault_of(raised.args[0])
    return Fault(type(raised).__name__, str(raised))


# --- asking about topics and offsets


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
class Committed:
    """A group's committed offset. `state`: COMMITTED, NONE (Kafka's -1001, K10) or UNMEASURED.

    `ours`: the commit carries our lanes' mark, so no other client of the group made it.
    """

    state: str
    offset: int | None = None
    ours: bool = False


POSTURE = (
    "cleanup.policy",
    "max.message.bytes",
    "message.timestamp.type",
    "min.insync.replicas",
    "retention.bytes",
    "retention.ms",
    "unclean.leader.election.enable",
)
#: A topic that nobody has: asked about together with the cluster.
NO_TOPIC = "passgate-no-topic"
#: How many questions in a row an admin client may leave unanswered before another takes its place.
MOST_UNANSWERED = 3
#: Groups whose committed offsets an Admin keeps a connection for.
MOST_MEMBERS = 16
VERIFICATION = "transaction.partition.verification.enable"


class Admin:
    """Questions to the cluster, each bounded by `timeout` seconds. Not for use across a fork."""

    def __init__(self, cluster: Cluster, timeout: float = 5.0) -> None:
        self.timeout = timeout
        self.faults = FaultLog()
        self._cluster = cluster
        self._admin = AdminClient(cluster.config(self.faults))
        self._in_doubt, self._unanswered = False, 0
        self._members: dict[str, Consumer] = {}
        self._telling: threading.Thread | None = None

    @property
    def _client(self) -> AdminClient:
        """The client, after a look at the cluster where the last answer was none.

        A client that read the metadata in the moment a broker was fenced (it was paused, say) knows of no controller
        and no leaders. It does not ask again by itself: each question then times out, or says _NOENT, for minutes.
        Where that look does not help either, a new client does.
        """
        if self._unanswered >= MOST_UNANSWERED:
            self._admin, self._in_doubt, self._unanswered = AdminClient(self._cluster.config(self.faults)), False, 0
        if self._in_doubt:
            self._in_doubt = False
            try:
                self._admin.list_topics(timeout=self.timeout)
            except KafkaException as raised:
                log.info("metadata not read: %s", _fault_of_exception(raised))
        return self._admin

    def cluster_id(self) -> str:
        found: Any = self._metadata().cluster_id
        if not found:
            raise BrokerUnavailable(expected="the cluster's id", found="none")
        return str(found)

    def brokers(self) -> tuple[int, ...]:
        """Never none of them: a broker that was fenced a moment ago says that there are none."""
        found = tuple(sorted(self._metadata().brokers))
        if not found:
            raise BrokerUnavailable(expected="the brokers of the cluster", found="none", next_step="ask again")
        return found

    def _metadata(self) -> ClusterMetadata:
        """Of the cluster and of no topic that there is.

        The client's own question about the cluster ends the process where the answer names no broker and no topic, as
        that of a broker does which was fenced a moment ago because it had been paused.
        """
        try:
            found = self._client.list_topics(NO_TOPIC, timeout=self.timeout)
        except KafkaException as raised:
            raise self._doubted(raised) from raised
        return found

    def _doubted(self, raised: KafkaException) -> BrokerError:
        fault = _fault_of_exception(raised)
        self._in_doubt = True
        self._unanswered += fault.name in _SILENT or fault.name == "_NOENT"
        return _broker_error(fault)

    def topics(self, names: Iterable[str]) -> dict[str, TopicFacts | None]:
        """What each topic is now; None says there is none of that name. Takes about 0.7 ms."""
        wanted = list(dict.fromkeys(names))
        asked = self._client.describe_topics(TopicCollection(wanted), request_timeout=self.timeout)
        return {name: self._topic(name, asked[name]) for name in wanted}

    def topic_id(self, topic: str) -> str | None:
        facts = self.topics([topic])[topic]
        return facts.topic_id if facts else None

    def offsets(self, topic: str, partitions: Iterable[int], isolation: str) -> dict[int, OffsetFacts]:
        """Log start and end as `isolation` sees it: the LSO for read_committed, the HW for read_uncommitted (K3)."""
        wanted = list(partitions)
        earliest = self._ask(topic, wanted, _EARLIEST, isolation)
        latest = self._ask(topic, wanted, _LATEST, isolation)
        return {p: OffsetFacts(self._offset(earliest[p])[0], *self._offset(latest[p])) for p in wanted}

    def ends(self, topic: str, partitions: Iterable[int]) -> dict[int, LogEnds]:
        """Log start, LSO and HW together. The LSO is asked for before the HW, so LSO <= HW of the same answer."""
        wanted = list(partitions)
        stable = self.offsets(topic, wanted, READ_COMMITTED)
        latest = self._ask(topic, wanted, _LATEST, READ_UNCOMMITTED)
        ends = {p: self._offset(latest[p]) for p in wanted}
        return {p: LogEnds(stable[p].earliest, stable[p].latest, ends[p][0], ends[p][1]) for p in wanted}

    def ends_of(self, wanted: Mapping[str, Sequence[int]]) -> dict[Partition, LogEnds]:
        """`ends` of many topics with three questions in all, however many topics there are."""
        places = [Partition(topic, p) for topic, partitions in wanted.items() for p in partitions]
        if not places:
            return {}
        earliest, lso, hw = (
            self._ask_places(places, spec, level)
            for spec, level in (
                (_EARLIEST, READ_COMMITTED),
                (_LATEST, READ_COMMITTED),
                (_LATEST, READ_UNCOMMITTED),
            )
        )
        found = {}
        for here in places:
            end, epoch = self._offset(hw[here])
            found[here] = LogEnds(self._offset(earliest[here])[0], self._offset(lso[here])[0], end, epoch)
        return found

    def high_watermarks(self, topic: str, partitions: Iterable[int]) -> dict[int, tuple[int, int]]:
        """(high watermark, leader epoch) of each partition. Raises BrokerUnavailable where one is not measured (K4)."""
        wanted = list(partitions)
        asked = self._ask(topic, wanted, _LATEST, READ_UNCOMMITTED)
        found = {p: self._offset(asked[p]) for p in wanted}
        unmeasured = [p for p, (offset, epoch) in found.items() if offset is None or epoch is None]
        if unmeasured:
            raise BrokerUnavailable(expected=f"offset and leader epoch of {topic}", found=f"none of {unmeasured}")
        return {p: (offset, epoch) for p, (offset, epoch) in found.items() if offset is not None and epoch is not None}

    def posture(self, topic: str) -> dict[str, str]:
        """What the topic promises about durability, as text: POSTURE's settings, `replication.factor`, `brokers`."""
        facts = self.topics([topic])[topic]
        if facts is None:
            raise TopicGone(expected=f"topic {topic}", found="none of that name", next_step="create it")
        config = self._config(ConfigResource(ConfigResource.Type.TOPIC, topic))
        known = {name: config[name] for name in POSTURE if name in config}
        return {**known, "replication.factor": str(facts.replication_factor), "brokers": str(len(self.brokers()))}

    def verifies_transactions(self) -> bool:
        """Whether every broker refuses records of an ended transaction. It can change: ask at lane start."""
        return all(self._verifies(broker) for broker in self.brokers())

    def committed(self, group: str, topic: str, partitions: Iterable[int], mark: str = "") -> dict[int, Committed]:
        """What `group` committed, for other tools' eyes: Postgres is the authority (K9). `mark`: whose we call ours."""
        wanted = [TopicPartition(topic, p) for p in partitions]
        try:
            answered = self._member(group).committed(wanted, timeout=self.timeout)
        except KafkaException as raised:
            log.info("committed offsets not measured: %s", raised)
            return {tp.partition: Committed("UNMEASURED") for tp in wanted}
        return {tp.partition: _committed(tp, mark) for tp in answered}

    def told(self, group: str, partitions: Sequence[Partition], mark: str) -> int | None:
        """The highest number that was told beside any of these; 0: none, None: no answer about one of them."""
        wanted = [TopicPartition(p.topic, p.partition) for p in partitions]
        try:
            answered = [_committed(tp, mark) for tp in self._member(group).committed(wanted, timeout=self.timeout)]
        except KafkaException as raised:
            log.info("not known what was told: %s", raised)
            return None
        if any(said.state == "UNMEASURED" for said in answered):
            return None
        return max((said.offset or 0 for said in answered if said.ours), default=0)

    def tell(self, group: str, offsets: Mapping[Partition, int], mark: str) -> None:
        """Commits numbers that Kafka is to keep for us, and does not wait: `told` says what became of it.

        While one is on its way nothing more is told.

        In a thread, which nobody waits for: a client that goes while its commit is not answered takes 45 s of a core.
        """
        if self._telling is not None and self._telling.is_alive():
            return
        wanted = [_at(Start(p.topic, p.partition, offset), mark) for p, offset in offsets.items()]
        config = self._cluster.config(self.faults, group_id=group, enable_auto_commit=False)
        self._telling = threading.Thread(target=_commit, args=(config, wanted), name="kafka-telling", daemon=True)
        self._telling.start()

    def _member(self, group: str) -> Consumer:
        """A consumer that only asks. The admin client's own call can end the process while the coordinator is loading
        (librdkafka issue 5040: it reaches for a consumer group that an admin client does not have)."""
        member = self._members.get(group)
        if member is None:
            if len(self._members) >= MOST_MEMBERS:
                self._members.pop(next(iter(self._members))).close()
            member = self._members[group] = Consumer(
                self._cluster.config(self.faults, group_id=group, enable_auto_commit=False)
            )
        return member

    def create_topic(
        self, topic: str, partitions: int, replication: int = -1, config: Mapping[str, str] | None = None
    ) -> TopicFacts:
        """Create a topic, or find it there, and wait until every partition has a leader that answers."""
        new = NewTopic(topic, partitions, replication, config=dict(config or {}))
        try:
            self._answer(self._client.create_topics([new], request_timeout=self.timeout)[topic])
        except BrokerError as error:
            if error.found != "TOPIC_ALREADY_EXISTS":
                raise
        return self._wait_for_leaders(topic)

    def delete_topic(self, topic: str) -> None:
        self._answer(self._client.delete_topics([topic], request_timeout=self.timeout)[topic])

    def delete_records(self, topic: str, before: Mapping[int, int]) -> None:
        """Move the log start of each partition to an offset."""
        for asked in self._client.delete_records([TopicPartition(topic, p, o) for p, o in before.items()]).values():
            self._answer(asked)

    def set_broker(self, broker: int, name: str, value: str) -> None:
        """Change one dynamic broker setting."""
        self._set(ConfigResource.Type.BROKER, str(broker), name, value)

    def set_topic(self, topic: str, name: str, value: str) -> None:
        """Change one setting of a topic."""
        self._set(ConfigResource.Type.TOPIC, topic, name, value)

    def _set(self, kind: Any, of: str, name: str, value: str) -> None:
        entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(kind, of, incremental_configs=[entry])
        for asked in self._client.incremental_alter_configs([resource]).values():
            self._answer(asked)

    def _answer(self, asked: Future[T]) -> T:
        self._admin.poll(0)  # serves the logger
        try:
            found = asked.result(self.timeout + 1)
            self._unanswered = 0
            return found
        except KafkaException as raised:
            raise self._doubted(raised) from raised
        except TimeoutError as raised:
            self._in_doubt = True
            self._unanswered += 1
            raise BrokerUnavailable(expected=f"an answer within {self.timeout:g} s", found="none") from raised

    def _topic(self, name: str, asked: Future[Any]) -> TopicFacts | None:
        try:
            found = self._answer(asked)
        except TopicGone:
            return None
        parts = sorted(found.partitions, key=lambda part: part.id)
        topic_id, partitions = str(found.topic_id), tuple(part.id for part in parts)
        _check_credible(name, topic_id, partitions)
        return TopicFacts(
            topic=name,
            topic_id=topic_id,
            partitions=partitions,
            replication_factor=max((len(part.replicas) for part in parts), default=0),
            leaders={part.id: part.leader.id if part.leader else None for part in parts},
            in_sync={part.id: len(part.isr) for part in parts},
        )

    def _ask(self, topic: str, partitions: Sequence[int], spec: OffsetSpec, isolation: str) -> dict[int, Future[Any]]:
        asked = self._ask_places([Partition(topic, p) for p in partitions], spec, isolation)
        return {here.partition: future for here, future in asked.items()}

    def _ask_places(
        self, places: Sequence[Partition], spec: OffsetSpec, isolation: str
    ) -> dict[Partition, Future[Any]]:
        level = IsolationLevel.READ_COMMITTED if isolation == READ_COMMITTED else IsolationLevel.READ_UNCOMMITTED
        asked = self._client.list_offsets(
            {TopicPartition(here.topic, here.partition): spec for here in places},
            isolation_level=level,
            request_timeout=self.timeout,
        )
        return {Partition(tp.topic, tp.partition): future for tp, future in asked.items()}

    def _offset(self, asked: Future[Any]) -> tuple[int | None, int | None]:
        """(offset, leader epoch); an error is not measured."""
        try:
            found = self._answer(asked)
        except BrokerError as error:
            log.info("offset not measured: %s", error)
            return None, None
        return (found.offset if found.offset >= 0 else None), found.leader_epoch

    def _config(self, resource: ConfigResource) -> dict[str, str]:
        (asked,) = self._client.describe_configs([resource], request_timeout=self.timeout).values()
        return {name: entry.value for name, entry in self._answer(asked).items()}

    def _verifies(self, broker: int) -> bool:
        config = self._config(ConfigResource(ConfigResource.Type.BROKER, str(broker)))
        return config.get(VERIFICATION) == "true"

    def _wait_for_leaders(self, topic: str) -> TopicFacts:
        until = time.monotonic() + self.timeout
        while True:
            facts = self.topics([topic])[topic]
            if facts and all(end.hw is not None for end in self.ends(topic, facts.partitions).values()):
                return facts
            if time.monotonic() > until:
                raise BrokerUnavailable(expected=f"a leader for every partition of {topic}", found="none in time")
            time.sleep(0.05)


_NO_TOPIC_ID = {"AAAAAAAAAAAAAAAAAAAAAA", "None", ""}  # sixteen zero bytes: a broker without topic ids


def _check_credible(topic: str, topic_id: str, partitions: tuple[int, ...]) -> None:
    """Without an id two incarnations of a topic look the same; what stands twice hides what is missing."""
    if topic_id in _NO_TOPIC_ID:
        raise TopicIncredible(expected=f"a topic id of {topic}", found=topic_id or "none")
    if len(set(partitions)) != len(partitions):
        raise TopicIncredible(expected=f"each partition of {topic} once", found=f"partitions {list(partitions)}")


def _commit(config: dict[str, Any], offsets: list[TopicPartition]) -> None:
    """By a client of its own, however long it takes."""
    consumer = Consumer(config)
    try:
        consumer.commit(offsets=offsets, asynchronous=False)
    except KafkaException as raised:
        log.info("not told: %s", raised)
    finally:
        consumer.close()


def _committed(found: TopicPartition, mark: str) -> Committed:
    if found.error is not None:
        return Committed("UNMEASURED")
    if found.offset < 0:
        return Committed("NONE")
    return Committed("COMMITTED", found.offset, bool(mark) and found.metadata == mark)


_GONE = {"UNKNOWN_TOPIC_OR_PART", "_UNKNOWN_TOPIC", "_UNKNOWN_PARTITION", "UNKNOWN_TOPIC_ID", "_NOENT"}
_SILENT = {"_TIMED_OUT", "_TRANSPORT", "_ALL_BROKERS_DOWN", "_RESOLVE", "REQUEST_TIMED_OUT"}
# librdkafka's words for "not where you stood"; pinned by tests/kafka/test_truncation.py
_TRUNCATED = ("Partition log truncation detected", "No epoch found less or equal to offset")


def _broker_error(fault: Fault) -> BrokerError:
    """A fault by its name: gone, silent, or whatever it says. `found` is the fault's name alone where code needs it."""
    if fault.name in _GONE:
        return TopicGone(found=fault.name, next_step="compare the topic id with the one recorded")
    if fault.name in _SILENT:
        return BrokerUnavailable(found=fault.name, next_step="see whether the broker is up")
    return BrokerError(found=fault.name, next_step=fault.text)


# --- reading partitions


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
class Chunk:
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
            self._consumer.assign([_at(start) for start in wanted])
        except KafkaException as raised:
            raise _broker_error(_fault_of_exception(raised)) from raised
        until = time.monotonic() + timeout
        for start in wanted:
            if start.leader_epoch is not None:
                self._seek(_at(start), until)

    def _seek(self, at: TopicPartition, until: float) -> None:
        """A partition refuses to seek (`_STATE`) for the millisecond until its fetcher has started."""
        while True:
            try:
                self._consumer.seek(at)
                return
            except KafkaException as raised:
                fault = _fault_of_exception(raised)
                if fault.name != "_STATE" or time.monotonic() > until:
                    raise _broker_error(fault) from raised
            time.sleep(0.001)

    def read(self, max_records: int, max_wait: float, max_bytes: int = BATCH_BYTES) -> dict[Partition, Chunk]:
        """Up to `max_records` in all within `max_wait` seconds; returns early when every partition is at its end.

        While one fetch follows another it reads on for `FLOWING_SECONDS`: a fetch holds a sixth of a batch, and a lane
        among many, which waits for hardly any time, took one in each of its turns. `consume()` waits out its time when
        fewer records are there, so it is asked in short turns; the turn that passes `max_bytes` is the last one.
        """
        chunks: dict[Partition, Chunk] = {}
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
            raise _broker_error(_fault_of_exception(raised)) from raised

    def _idle(self) -> bool:
        return all(progress.at_end or progress.stopped for progress in self._progress.values())

    def _take(self, messages: Sequence[Message], chunks: dict[Partition, Chunk]) -> int:
        """Sort messages into chunks, in the order they came; returns how many were records."""
        taken = 0
        for here, run in _runs(messages):
            progress = self._progress.get(here)
            if progress is None or progress.stopped:
                continue  # of an earlier assignment, or behind a fault
            if here not in chunks:
                chunks[here] = Chunk(progress.next_offset, progress.next_offset, progress.leader_epoch)
            taken += self._take_run(run, here, progress, chunks[here])
        return taken

    def _take_run(self, run: Sequence[Message], here: Partition, progress: _Progress, chunk: Chunk) -> int:
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

    def _records(self, messages: Sequence[Message], progress: _Progress, chunk: Chunk) -> int:
        """Neighbouring records, column by column: a call a record and field is most of what reading costs."""
        if not messages:
            return 0
        offsets = [message.offset() for message in messages]
        epochs = [message.leader_epoch() for message in messages]
        told = self._follow(offsets, epochs, progress, chunk)
        good = messages if told == len(messages) else messages[:told]
        keys = [message.key() for message in good]
        values = [message.value() for message in good]
        headers = _all_headers(good)
        stamps = [at if kind else None for kind, at in [message.timestamp() for message in good]]
        chunk.records += map(_as_record, zip(offsets, epochs, keys, values, headers, stamps, strict=False))
        size = _weight(keys, values, headers)
        chunk.size += size
        self._bytes += size
        return told

    def _follow(
        self, offsets: Sequence[int | None], epochs: Sequence[int | None], progress: _Progress, chunk: Chunk
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

    def _hole(self, to: int, epoch: int | None, why: str, progress: _Progress, chunk: Chunk) -> None:
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

    def _event(self, message: Message, error: KafkaError, here: Partition, progress: _Progress, chunk: Chunk) -> None:
        """The end of the partition, which proves a gap at the end (K12), or a fault that stops it."""
        if error.code() != KafkaError._PARTITION_EOF:
            fault = _partition_error(fault_of(error), here, progress.next_offset)
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
            self._seek(_at(Start(*here, progress.anchor, progress.leader_epoch)), progress.again_until)
        except (KafkaException, BrokerError) as raised:
            log.info("not read again: %s", raised)
            return False
        return True

    def _give_up_reading_again(self, chunks: dict[Partition, Chunk]) -> None:
        now = time.monotonic()
        for here, progress in self._progress.items():
            if progress.again_until is not None and not progress.stopped and progress.again_until < now:
                chunk = chunks.setdefault(
                    here, Chunk(progress.next_offset, progress.next_offset, progress.leader_epoch)
                )
                progress.stopped = chunk.fault = _cut(progress, "its end before that")

    def commit(self, offsets: Mapping[Partition, tuple[int, int | None]]) -> Fault | None:
        """Commit (next offset, leader epoch) to Kafka for other tools' eyes. Returns what became of the commit before,
        where that failed: a failure is told, and changes nothing.

        Never waits: the client would until a broker that is frozen answers, minutes if it must. While one commit is
        not answered the next one waits, and only the newest of those is sent.
        """
        self._commits.wanted = [
            _at(Start(p.topic, p.partition, offset, epoch), self._mark) for p, (offset, epoch) in offsets.items()
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
            self._fault = _fault_of_exception(raised)

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


def _at(start: Start, metadata: str = "") -> TopicPartition:
    if start.leader_epoch is None:
        return TopicPartition(start.topic, start.partition, start.offset, metadata)
    return TopicPartition(start.topic, start.partition, start.offset, metadata, start.leader_epoch)


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


# Without the class's own constructor, which is a function in Python called once a record.
_as_record: Callable[[Iterable[Any]], Record] = partial(tuple.__new__, Record)

# Where a name is not UTF-8 the client returns a list with holes in it and an exception set. Called the usual way, an
# interpreter that has specialised the call does not look at the exception, and whoever reads the list crashes the
# process; a call from C is always checked.
_checked_headers = methodcaller("headers")


def _all_headers(messages: Sequence[Message]) -> list[Headers | None]:
    """Each message's headers as they came, or a mark where the client cannot give them.

    None is asked twice: the client keeps the list with holes, and gives it the second time without an exception.
    """
    found: list[Headers | None] = []
    left = map(_checked_headers, messages)
    while len(found) < len(messages):
        try:
            found.extend(left)  # what came before an exception stays in the list
        except SystemError:
            found.append([(UNREADABLE_NAME, None)])
    return found


def _weight(keys: Iterable[Any], values: Iterable[Any], headers: Iterable[Headers | None]) -> int:
    """The sum of `batching.weight` over records given by columns."""
    given, flat = [each for each in headers if each], chain.from_iterable
    parts = chain(filter(None, keys), filter(None, values), filter(None, flat(flat(given))))
    return sum(map(len, parts)) + HEADER_BYTES * sum(map(len, given))


def _partition_error(fault: Fault, here: Partition, position: int) -> BrokerError:
    """A fetch's fault by name. `_AUTO_OFFSET_RESET` says by its text alone whether the log was cut or has moved on."""
    where = f"{here.topic}/{here.partition} at offset {position}"
    if any(words in fault.text for words in _TRUNCATED):
        return LogTruncated(expected=f"the log continues {where}", found=fault.text, next_step="compare the basis")
    if fault.name in {"_AUTO_OFFSET_RESET", "OFFSET_OUT_OF_RANGE"}:
        return OffsetOutOfRange(expected=f"the log holds {where}", found=fault.text, next_step="compare the basis")
    if fault.name in _GONE:
        return TopicGone(expected=where, found=fault.name, next_step="compare the topic id with the one recorded")
    return PartitionFault(expected=f"records of {where}", found=f"{fault.name}: {fault.text}")


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


# --- writing the bus


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
            fault = _fault_of_exception(raised)
            self.destroy()
            raise _broker_error(fault) from raised

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

    def run(self, topic: str, messages: Sequence[BusMessage]) -> Sending:
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
            raised = (self._step, _fault_of_exception(error))
        return Sending(len(messages), self._handed_over, self._reports(), self._undelivered, raised, self.committed)

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
                if after_commit_fault(_fault_of_exception(raised), self._left()) is CommitStep.GIVE_UP:
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


# --- reading a log again, for whoever does not believe the lanes


class Logged(NamedTuple):
    """A record of the log. `visible`: a reader of committed data is given it, so it is of no transaction that ended as
    aborted and of none that is open."""

    record: Record
    visible: bool


class Piece(NamedTuple):
    """What lies at offsets [start, end): every record, the aborted ones, too. Pieces of one walk tile its range."""

    start: int
    end: int
    records: list[Logged]


class LogWalk:
    """Reads one partition from offset to offset with two plain consumers: one is given everything, the other what is
    committed. Shares neither settings nor code with `PartitionReader`, against which it is held.

    `silence`: how long nothing may come (s) before it is a BrokerError. At most PIECE_RECORDS records or PIECE_BYTES of
    values, and one fetch of either consumer, are in memory.
    """

    PIECE_RECORDS, PIECE_BYTES = 1_000, 8 * 1024 * 1024

    def __init__(self, cluster: Cluster, here: Partition, silence: float = 20.0) -> None:
        self._every = _Plain(cluster, here, READ_UNCOMMITTED, silence)
        self._committed = _Plain(cluster, here, READ_COMMITTED, silence)

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
            yield Piece(at, upto, [Logged(record, record.offset in visible) for record in taken])
            at = upto


class _Plain:
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
        found: list[Record] = []
        held = 0
        heard = time.monotonic()
        while (most is None or len(found) < most) and (size is None or held < size):
            record = self._next()
            if record is not None and record.offset >= end:
                self._waiting = record
                break
            if record is not None:
                found.append(record)
                held += len(record.value or b"")
                heard = time.monotonic()
            elif self._ended_at >= end:
                break
            elif time.monotonic() - heard > self._silence:
                where = f"{self._here.topic}/{self._here.partition}"
                raise BrokerUnavailable(
                    expected=f"records of {where} up to {end}", found=f"nothing for {self._silence:g} s"
                )
        return found

    def _next(self) -> Record | None:
        if self._waiting is not None:
            record, self._waiting = self._waiting, None
            return record
        try:
            message = self._consumer.poll(0.2)
        except (KafkaException, SystemError) as raised:
            raise _broker_error(_fault_of_exception(raised)) from raised
        return None if message is None else self._taken(message)

    def _taken(self, message: Message) -> Record | None:
        error, offset = message.error(), message.offset()
        if error is not None and error.code() == KafkaError._PARTITION_EOF:
            self._ended_at = max(self._ended_at, offset or 0)
            return None
        if error is not None or offset is None:
            fault = fault_of(error) if error is not None else Fault("NO_OFFSET", "a record without offset")
            raise _partition_error(fault, self._here, offset or 0)
        (headers,) = _all_headers([message])
        return Record(offset, message.leader_epoch(), message.key(), message.value(), headers, None)

    def close(self) -> None:
        self._consumer.close()
