"""K1, K2, K5, K6, K7, K10, K12: what offsets mean, on a real broker."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException

from ingest.core.errors import BrokerError
from ingest.kafka import (
    READ_COMMITTED,
    READ_UNCOMMITTED,
    Admin,
    BusMessage,
    Cluster,
    FetchResult,
    LogTruncated,
    OffsetOutOfRange,
    Partition,
    PartitionReader,
    PlainProducer,
    Start,
    TopicGone,
    TransactionalProducer,
    probe_epoch,
)

Make = Callable[..., TransactionalProducer]


def messages(count: int, partition: int = 0) -> list[BusMessage]:
    return [BusMessage(partition, b"k", b"v%d" % i, [("n", b"%d" % i), ("n", None)]) for i in range(count)]


def read_to_end(reader: PartitionReader, here: Partition, seconds: float = 10.0) -> FetchResult:
    """Everything up to the end of the partition, or up to its fault, as one chunk."""
    whole: FetchResult | None = None
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        chunk = reader.read(1000, 0.2).get(here)
        if chunk is None:
            continue
        if whole is None:
            whole = chunk
        else:
            whole.records += chunk.records
            whole.gaps += chunk.gaps
            whole.next_offset, whole.at_end, whole.fault = chunk.next_offset, chunk.at_end, chunk.fault
        if whole.at_end or whole.fault:
            return whole
    raise AssertionError(f"no end of {here} within {seconds} s")


def eventually(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def settled_end(admin: Admin, topic: str) -> int:
    """The end once markers are written: right after a commit the LSO is below the HW."""
    for _ in range(100):
        ends = admin.ends(topic, [0])[0]
        if ends.lso == ends.hw and ends.hw is not None:
            return ends.hw
        time.sleep(0.02)
    raise AssertionError("an open transaction stayed")


def test_markers_and_aborted_records_are_holes_that_the_reader_claims(
    admin: Admin, cluster: Cluster, topic: str, producer: Make
) -> None:
    first = producer()
    first.send(topic, messages(3))
    first.send(topic, messages(2))
    # what a worker that died in mid-transaction leaves, ended by its successor's init_transactions()
    open_ended = first._producer
    assert open_ended is not None
    open_ended.begin_transaction()
    open_ended.produce(topic, b"lost", partition=0)
    open_ended.flush(5)
    producer()
    end = settled_end(admin, topic)
    assert end == 9  # 3, marker, 2, marker, 1 aborted, marker
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 0, 0)])
        chunk = read_to_end(reader, Partition(topic, 0))
    assert [record.offset for record in chunk.records] == [0, 1, 2, 4, 5]
    assert [(gap.from_offset, gap.to_offset, gap.why) for gap in chunk.gaps] == [
        (3, 4, "BETWEEN_RECORDS"),
        (6, 9, "AT_END"),
    ]
    assert (chunk.start, chunk.next_offset, chunk.leader_epoch) == (0, 9, 0)
    assert {gap.isolation for gap in chunk.gaps} == {READ_COMMITTED}


def test_records_come_as_they_were_written(cluster: Cluster, topic: str, producer: Make) -> None:
    producer().send(topic, messages(2, partition=1))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 1, 0, 0)])
        record = read_to_end(reader, Partition(topic, 1)).records[1]
    assert (record.key, record.value, record.headers) == (b"k", b"v1", [("n", b"1"), ("n", None)])
    assert record.leader_epoch == 0
    assert record.timestamp is not None and record.timestamp > 1_600_000_000_000


class SeeksLater:
    """A consumer that refuses its first seeks, as the client does while it is at work on the partition itself."""

    def __init__(self, consumer: Any, fault: int) -> None:
        self._consumer, self._fault, self.refused = consumer, fault, 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)

    def seek(self, at: Any) -> None:
        if self.refused < 3:
            self.refused += 1
            raise KafkaException(KafkaError(self._fault, f"Failed to seek to offset {at.offset}"))
        self._consumer.seek(at)


@pytest.mark.parametrize("fault", ["_STATE", "_OUTDATED", "_PREV_IN_PROGRESS"])
def test_a_partition_that_does_not_seek_yet_is_asked_again(
    cluster: Cluster, topic: str, producer: Make, fault: str
) -> None:
    producer().send(topic, messages(2))
    with PartitionReader(cluster) as reader:
        reader._consumer = later = SeeksLater(reader._consumer, getattr(KafkaError, fault))
        reader.assign([Start(topic, 0, 1, 0)])
        assert [record.value for record in read_to_end(reader, Partition(topic, 0)).records] == [b"v1"]
    assert later.refused == 3


def test_a_partition_that_never_seeks_is_a_fault(cluster: Cluster, topic: str) -> None:
    with PartitionReader(cluster) as reader:
        reader._consumer = SeeksLater(reader._consumer, KafkaError._INVALID_ARG)
        with pytest.raises(BrokerError, match="_INVALID_ARG"):
            reader.assign([Start(topic, 0, 0, 0)])


def test_an_open_transaction_holds_the_lso_below_the_high_watermark(
    admin: Admin, cluster: Cluster, topic: str, producer: Make
) -> None:
    plain = PlainProducer(cluster)
    plain.send(topic, messages(2))
    inner = producer()._producer
    assert inner is not None
    inner.begin_transaction()
    inner.produce(topic, b"open", partition=0)
    inner.flush(5)
    plain.send(topic, messages(1))
    ends = admin.ends(topic, [0])[0]
    assert (ends.earliest, ends.lso, ends.hw) == (0, 2, 4)
    assert admin.offsets(topic, [0], READ_COMMITTED)[0].latest == 2
    assert admin.offsets(topic, [0], READ_UNCOMMITTED)[0].latest == 4
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 0, 0)])
        chunk = read_to_end(reader, Partition(topic, 0))
    assert (chunk.next_offset, len(chunk.records)) == (2, 2)


def test_a_topic_made_again_is_told_by_its_id_alone(admin: Admin, cluster: Cluster, topic: str) -> None:
    """K5: offset 7 with the old epoch reads on in the new topic as if nothing had happened."""
    plain = PlainProducer(cluster)
    plain.send(topic, messages(7))
    before = admin.topic_id(topic)
    admin.delete_topic(topic)
    for _ in range(100):
        if admin.topics([topic])[topic] is None:
            break
        time.sleep(0.05)
    admin.create_topic(topic, 2, 1)
    after = admin.topic_id(topic)
    assert before != after and after is not None
    PlainProducer(cluster).send(topic, messages(10))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 7, 0)])
        chunk = read_to_end(reader, Partition(topic, 0))
    assert [record.offset for record in chunk.records] == [7, 8, 9]
    assert chunk.fault is None and not chunk.gaps


def test_a_log_cut_below_the_position_is_truncation(cluster: Cluster, topic: str) -> None:
    """K6 pins librdkafka's words: they are all there is to tell truncation by."""
    PlainProducer(cluster).send(topic, messages(20))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 99, 0)])
        fault = read_to_end(reader, Partition(topic, 0)).fault
    assert isinstance(fault, LogTruncated)
    assert fault.found.startswith(
        "Partition log truncation detected at offset 99 (leader epoch 0): broker end offset is 20"
    )


def test_an_epoch_the_broker_never_had_is_truncation(cluster: Cluster, topic: str) -> None:
    PlainProducer(cluster).send(topic, messages(20))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 7, 5)])
        fault = read_to_end(reader, Partition(topic, 0)).fault
    assert isinstance(fault, LogTruncated)
    assert fault.found.startswith("No epoch found less or equal to offset 7 (leader epoch 5)")


def test_the_epoch_probe_answers_sound_or_librdkafkas_words(cluster: Cluster, topic: str) -> None:
    PlainProducer(cluster).send(topic, messages(20))
    assert probe_epoch(cluster, Start(topic, 0, 20, 0)) == ""
    assert probe_epoch(cluster, Start(topic, 0, 3, 0)) == ""
    assert "truncation detected at offset 21" in (probe_epoch(cluster, Start(topic, 0, 21, 0)) or "")


@pytest.mark.parametrize("epoch", [None, 0])
def test_a_position_before_the_log_start_is_out_of_range(
    admin: Admin, cluster: Cluster, topic: str, epoch: int | None
) -> None:
    PlainProducer(cluster).send(topic, messages(20))
    admin.delete_records(topic, {0: 12})
    assert admin.ends(topic, [0])[0].earliest == 12
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 5, epoch)])
        fault = read_to_end(reader, Partition(topic, 0)).fault
    assert isinstance(fault, OffsetOutOfRange)


def test_a_fault_stops_only_its_partition(cluster: Cluster, topic: str) -> None:
    PlainProducer(cluster).send(topic, messages(3))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 0, 0), Start(topic, 1, 50, 0)])
        assert isinstance(read_to_end(reader, Partition(topic, 1)).fault, LogTruncated)
        reader.assign([Start(topic, 0, 0, 0), Start(topic, 1, 0, 0)])
        assert len(read_to_end(reader, Partition(topic, 0)).records) == 3


def test_committing_needs_no_subscription_and_none_is_its_own_state(admin: Admin, cluster: Cluster, topic: str) -> None:
    """K10: two readers of one group that only used assign()."""
    PlainProducer(cluster).send(topic, messages(3))
    for partition in (0, 1):
        with PartitionReader(cluster, group="facts") as reader:
            reader.assign([Start(topic, partition, 0, 0)])
            read_to_end(reader, Partition(topic, partition))
            assert reader.commit({Partition(topic, partition): (3 - partition, 0)}) is None
    found = admin.committed("facts", topic, [0, 1])
    assert [(found[p].state, found[p].offset) for p in (0, 1)] == [("COMMITTED", 3), ("COMMITTED", 2)]
    assert admin.committed("nobody", topic, [0])[0].state == "NONE"


def test_what_is_not_there_is_not_measured_never_zero(admin: Admin, topic: str) -> None:
    assert admin.topics(["no-such-topic"]) == {"no-such-topic": None}
    ends = admin.ends(topic, [0, 9])
    assert ends[0].hw == 0
    assert (ends[9].earliest, ends[9].lso, ends[9].hw, ends[9].leader_epoch) == (None, None, None, None)
    with pytest.raises(TopicGone):
        admin.posture("no-such-topic")


def test_posture_and_verification_are_read_from_the_broker(admin: Admin, topic: str) -> None:
    posture = admin.posture(topic)
    assert posture["cleanup.policy"] == "delete"
    assert posture["replication.factor"] == posture["min.insync.replicas"] == posture["brokers"] == "1"
    assert admin.verifies_transactions()
    (broker,) = admin.brokers()
    admin.set_broker(broker, "transaction.partition.verification.enable", "false")
    try:
        assert eventually(lambda: not admin.verifies_transactions())
    finally:
        admin.set_broker(broker, "transaction.partition.verification.enable", "true")
    assert eventually(admin.verifies_transactions)
