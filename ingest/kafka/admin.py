"""Questions about topics, offsets and groups: each bounded in time, and "not measured" where nothing answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any

from confluent_kafka import (
    Consumer,
    IsolationLevel,
    KafkaException,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient
from confluent_kafka.admin._config import AlterConfigOpType, ConfigEntry, ConfigResource
from confluent_kafka.admin._listoffsets import OffsetSpec
from confluent_kafka.admin._metadata import ClusterMetadata
from confluent_kafka.cimpl import NewTopic

from ingest.core.errors import BrokerError
from ingest.kafka.cluster import Cluster, log
from ingest.kafka.errors import (
    SILENT,
    BrokerUnavailable,
    FaultLog,
    TopicGone,
    TopicIncredible,
    broker_error,
    fault_of_exception,
)
from ingest.kafka.reader import T
from ingest.kafka.types import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    CommittedOffset,
    LogEnds,
    OffsetFacts,
    Partition,
    Start,
    TopicFacts,
    topic_partition,
)

_EARLIEST: OffsetSpec = OffsetSpec.earliest()  # type: ignore[no-untyped-call]  # the client's stubs stop here
_LATEST: OffsetSpec = OffsetSpec.latest()  # type: ignore[no-untyped-call]
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
        Where that look does not help, a new client does; where it was not answered, at once: the client may have let go
        of every broker that it knew, and come back to none (librdkafka issue 5301).
        """
        if self._unanswered >= MOST_UNANSWERED:
            self._renew()
        if self._in_doubt:
            self._in_doubt = False
            try:
                self._admin.list_topics(timeout=self.timeout)
            except KafkaException as raised:
                log.info("metadata not read: %s", fault_of_exception(raised))
                self._renew()
        return self._admin

    def _renew(self) -> None:
        self._admin, self._in_doubt, self._unanswered = AdminClient(self._cluster.config(self.faults)), False, 0

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
        fault = fault_of_exception(raised)
        self._in_doubt = True
        self._unanswered += fault.name in SILENT or fault.name == "_NOENT"
        if (
            fault.name == "UNKNOWN_LEADER_EPOCH"
        ):  # a client keeps the highest that it saw; a log that was put back lacks it
            self._unanswered = MOST_UNANSWERED
        return broker_error(fault)

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

    def committed(
        self, group: str, topic: str, partitions: Iterable[int], mark: str = ""
    ) -> dict[int, CommittedOffset]:
        """What `group` committed, for other tools' eyes: Postgres is the authority (K9). `mark`: whose we call ours."""
        wanted = [TopicPartition(topic, p) for p in partitions]
        answered = self._asked_of_member(group, wanted, "committed offsets not measured")
        if answered is None:
            return {tp.partition: CommittedOffset("UNMEASURED") for tp in wanted}
        return {tp.partition: _committed(tp, mark) for tp in answered}

    def told(self, group: str, partitions: Sequence[Partition], mark: str) -> int | None:
        """The highest number that was told beside any of these; 0: none, None: no answer about one of them."""
        wanted = [TopicPartition(p.topic, p.partition) for p in partitions]
        answered = self._asked_of_member(group, wanted, "not known what was told")
        if answered is None:
            return None
        told = [_committed(tp, mark) for tp in answered]
        if any(said.state == "UNMEASURED" for said in told):
            return None
        return max((said.offset or 0 for said in told if said.ours), default=0)

    def tell(self, group: str, offsets: Mapping[Partition, int], mark: str) -> None:
        """Commits numbers that Kafka is to keep for us, and does not wait: `told` says what became of it.

        While one is on its way nothing more is told.

        In a thread, which nobody waits for: a client that goes while its commit is not answered takes 45 s of a core.
        """
        if self._telling is not None and self._telling.is_alive():
            return
        wanted = [topic_partition(Start(p.topic, p.partition, offset), mark) for p, offset in offsets.items()]
        config = self._cluster.config(self.faults, group_id=group, enable_auto_commit=False)
        self._telling = threading.Thread(target=_commit, args=(config, wanted), name="kafka-telling", daemon=True)
        self._telling.start()

    def _asked_of_member(
        self, group: str, wanted: list[TopicPartition], unanswered: str
    ) -> list[TopicPartition] | None:
        """None: no answer. What the client says itself is no broker's: another asks the next time, as in `_client`."""
        try:
            return self._member(group).committed(wanted, timeout=self.timeout)
        except KafkaException as raised:
            log.info("%s: %s", unanswered, raised)
            if fault_of_exception(raised).name.startswith("_"):
                self._members.pop(group, None)
            return None

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


def _committed(found: TopicPartition, mark: str) -> CommittedOffset:
    if found.error is not None:
        return CommittedOffset("UNMEASURED")
    if found.offset < 0:
        return CommittedOffset("NONE")
    return CommittedOffset("COMMITTED", found.offset, bool(mark) and found.metadata == mark)
