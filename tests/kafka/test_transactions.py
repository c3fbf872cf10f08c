"""What transactions promise and what they do not, with frames held between client and broker (docs/kafka-facts.md)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

import pytest

from ingest.core.errors import BrokerError
from ingest.core.outcome import Kind, Outcome
from ingest.kafka import Admin, BusMessage, Cluster, Partition, PartitionReader, Start, TransactionalProducer
from stack import Stack
from tests.kafka.proxy import END_TXN, PRODUCE, FrameProxy

Make = Callable[..., TransactionalProducer]


def messages(count: int) -> list[BusMessage]:
    return [BusMessage(i % 2, b"k%d" % i, b"v%d" % i, [("pg-attempt", b"1")]) for i in range(count)]


def visible(cluster: Cluster, topic: str) -> int:
    """How many records read_committed sees now, in all partitions."""
    with PartitionReader(cluster, fetch_wait=0.05) as reader:
        reader.assign([Start(topic, p, 0, None) for p in (0, 1)])
        ended: set[Partition] = set()
        records = 0
        until = time.monotonic() + 10
        while len(ended) < 2 and time.monotonic() < until:
            for here, chunk in reader.read(1000, 0.2).items():
                records += len(chunk.records)
                ended |= {here} if chunk.at_end else set()
        return records


def send_beside(producer: TransactionalProducer, topic: str) -> tuple[threading.Thread, list[Outcome]]:
    outcomes: list[Outcome] = []
    thread = threading.Thread(target=lambda: outcomes.append(producer.send(topic, messages(6))))
    thread.start()
    return thread, outcomes


def test_a_committed_attempt_knows_the_place_of_every_event(cluster: Cluster, topic: str, producer: Make) -> None:
    first = producer()
    outcome = first.send(topic, messages(6))
    assert outcome.kind is Kind.ACKED
    assert [(p.number, p.partition, p.offset) for p in outcome.places] == [
        (0, 0, 0), (1, 1, 0), (2, 0, 1), (3, 1, 1), (4, 0, 2), (5, 1, 2),
    ]  # fmt: skip
    assert not first.dead
    assert first.send(topic, messages(2)).places[0].offset == 4  # 3 is the marker
    assert visible(cluster, topic) == 8


def test_a_new_instance_fences_the_old_one(cluster: Cluster, topic: str, producer: Make) -> None:
    old = producer()
    producer()
    outcome = old.send(topic, messages(6))
    assert outcome.kind is Kind.UNKNOWN
    assert old.dead
    with pytest.raises(BrokerError):
        old.send(topic, messages(1))
    assert visible(cluster, topic) == 0


def test_a_held_produce_never_lands_after_the_fence(
    cluster: Cluster, through_proxy: Cluster, proxy: FrameProxy, topic: str, producer: Make
) -> None:
    old = producer(through_proxy, seconds=4.0)
    proxy.hold_requests(PRODUCE)
    thread, outcomes = send_beside(old, topic)
    assert proxy.caught.wait(5)
    producer(cluster)
    proxy.release()
    thread.join(20)
    assert outcomes[0].kind is Kind.UNKNOWN
    assert visible(cluster, topic) == 0


def test_a_held_commit_is_aborted_by_the_fence(
    cluster: Cluster, through_proxy: Cluster, proxy: FrameProxy, topic: str, producer: Make
) -> None:
    old = producer(through_proxy, seconds=4.0)
    proxy.hold_requests(END_TXN)
    thread, outcomes = send_beside(old, topic)
    assert proxy.caught.wait(5)
    producer(cluster)
    proxy.release()
    thread.join(20)
    assert outcomes[0].kind is Kind.UNKNOWN
    assert old.dead
    assert visible(cluster, topic) == 0


def test_a_commit_whose_answer_is_held_is_there_after_the_fence(
    cluster: Cluster, through_proxy: Cluster, proxy: FrameProxy, topic: str, producer: Make
) -> None:
    """Client: UNKNOWN. Bus: all of it. Only fencing and looking tells."""
    old = producer(through_proxy, seconds=3.0)
    proxy.hold_responses(END_TXN)
    outcome = old.send(topic, messages(6))
    assert outcome.kind is Kind.UNKNOWN
    assert "commit_transaction" in outcome.why
    producer(cluster)
    assert visible(cluster, topic) == 6


def test_after_the_fence_the_last_stable_offset_is_the_high_watermark(
    admin: Admin, cluster: Cluster, topic: str, producer: Make
) -> None:
    inner = producer()._producer
    assert inner is not None
    inner.begin_transaction()
    inner.produce(topic, b"open", partition=0)
    inner.flush(5)
    assert admin.ends(topic, [0])[0].lso == 0
    producer()
    ends = admin.ends(topic, [0])[0]
    assert (ends.lso, ends.hw) == (2, 2)


def test_a_frozen_broker_makes_the_attempt_unknown_in_time_and_destroying_does_not_wait(
    broker: Stack, cluster: Cluster, topic: str, producer: Make
) -> None:
    sender = producer(seconds=2.0)
    broker.freeze("kafka")
    try:
        began = time.monotonic()
        outcome = sender.send(topic, messages(6))
        took = time.monotonic() - began
    finally:
        broker.thaw("kafka")
    assert outcome.kind is Kind.UNKNOWN
    assert sender.dead
    assert took < 4
    producer()
    assert visible(cluster, topic) == 0


def test_a_refused_event_ends_the_instance(topic: str, producer: Make) -> None:
    """produce() itself raising is the only certain negative; nothing was handed over before it."""
    sender = producer()
    outcome = sender.send(topic, [BusMessage(0, b"k", b"text", [("pg-x", 7)])])  # type: ignore[list-item]
    assert outcome.kind is Kind.NOT_SENT
    assert sender.dead


def test_too_large_for_the_topic_is_unknown(topic: str, producer: Make) -> None:
    outcome = producer().send(topic, [BusMessage(0, b"k", os.urandom(2_000_000), [])])
    assert outcome.kind is Kind.UNKNOWN
    assert outcome.why.startswith("MSG_SIZE_TOO_LARGE")
