"""K6: what looks like truncation and is not, and what is.

A broker that restarts while a transaction is open writes its marker under the next leader epoch; whoever passed only
that marker still has the epoch of the record before it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.kafka import (
    Admin,
    Cluster,
    LogTruncated,
    Partition,
    PartitionReader,
    PlainProducer,
    Start,
    TransactionalProducer,
    probe_epoch,
)
from stack import Stack
from tests.kafka.test_offsets import messages, read_to_end, settled_end


def open_over_a_restart(broker: Stack, cluster: Cluster, topic: str, ends_by: str) -> None:
    """Five records of epoch 0, then a transaction that is open while the broker restarts, and ends after it."""
    PlainProducer(cluster).send(topic, messages(5))
    kept = TransactionalProducer(cluster, f"{topic}-open")
    kept.init()
    producer = kept._producer
    assert producer is not None
    producer.begin_transaction()
    producer.produce(topic, b"open", partition=0)
    producer.flush(5)
    broker.restart("kafka")
    getattr(producer, ends_by)(20)


@pytest.fixture
def restarted(broker: Stack, cluster: Cluster, admin: Admin, topic: str) -> Start:
    """Where a lane stands that read five records, and passed an aborted record and a marker of a later epoch."""
    open_over_a_restart(broker, cluster, topic, "abort_transaction")
    end = settled_end(admin, topic)
    assert end == 7  # 5, 1 aborted, marker
    epoch = admin.ends(topic, [0])[0].leader_epoch
    assert epoch is not None and epoch > 0
    return Start(topic, 0, end, 0, anchor=5)


def test_a_marker_of_a_later_epoch_is_no_truncation(cluster: Cluster, topic: str, restarted: Start) -> None:
    here = Partition(topic, 0)
    with PartitionReader(cluster) as reader:  # what the broker says to the position alone
        reader.assign([replace(restarted, anchor=None)])
        assert isinstance(read_to_end(reader, here).fault, LogTruncated)
    with PartitionReader(cluster) as reader:
        reader.assign([restarted])
        chunk = read_to_end(reader, here)
        assert (chunk.fault, chunk.start, chunk.next_offset, chunk.records, chunk.gaps) == (None, 7, 7, [], [])
        PlainProducer(cluster).send(topic, messages(2))
        chunk = read_to_end(reader, here)
    assert [record.offset for record in chunk.records] == [7, 8] and not chunk.gaps
    assert chunk.leader_epoch is not None and chunk.leader_epoch > 0


def test_the_probe_says_so_too(cluster: Cluster, restarted: Start) -> None:
    assert probe_epoch(cluster, restarted) == ""
    assert "truncation" in (probe_epoch(cluster, replace(restarted, anchor=None)) or "")


def test_a_lane_that_reads_all_along_goes_on(broker: Stack, cluster: Cluster, admin: Admin, topic: str) -> None:
    here = Partition(topic, 0)
    PlainProducer(cluster).send(topic, messages(1))
    with PartitionReader(cluster) as reader:
        reader.assign([Start(topic, 0, 0, 0)])
        assert read_to_end(reader, here).next_offset == 1
        open_over_a_restart(broker, cluster, topic, "commit_transaction")
        end = settled_end(admin, topic)
        chunk = read_to_end(reader, here, 30.0)
        while chunk.next_offset < end:
            chunk = read_to_end(reader, here, 30.0)
        assert (chunk.fault, chunk.next_offset) == (None, end)
        broker.restart("kafka")
        PlainProducer(cluster).send(topic, messages(1))
        chunk = read_to_end(reader, here, 30.0)
    assert chunk.fault is None and [record.offset for record in chunk.records] == [end]


@pytest.mark.parametrize(
    ("anchor", "words"),
    [
        (50, "truncation detected at offset 50"),  # the record itself is gone
        (15, "a record at offset 15, where there was none"),  # other records came where none were
        (20, "its end before that"),  # the log ends before where we stood
    ],
)
def test_a_log_that_was_cut_is_found_however_far_its_reader_goes_back(
    cluster: Cluster, topic: str, anchor: int, words: str
) -> None:
    PlainProducer(cluster).send(topic, messages(20))
    start = Start(topic, 0, 99, 0, anchor)
    with PartitionReader(cluster) as reader:
        reader.assign([start])
        chunk = read_to_end(reader, Partition(topic, 0))
    assert isinstance(chunk.fault, LogTruncated) and words in chunk.fault.found
    assert (chunk.next_offset, chunk.records, chunk.gaps) == (99, [], [])
    assert words in (probe_epoch(cluster, start) or "")


def test_deleted_records_are_no_truncation_even_after_a_restart(
    broker: Stack, cluster: Cluster, admin: Admin, topic: str
) -> None:
    PlainProducer(cluster).send(topic, messages(20))
    admin.delete_records(topic, {0: 20})
    broker.restart("kafka")
    for offset in (5, 20):
        with PartitionReader(cluster) as reader:
            reader.assign([Start(topic, 0, offset, 0)])
            assert not isinstance(read_to_end(reader, Partition(topic, 0)).fault, LogTruncated)
