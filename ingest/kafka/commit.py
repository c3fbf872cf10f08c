"""Kafka's commit of a group, set to where its lanes go on: lower than it was, where a log was cut."""

from __future__ import annotations

from collections.abc import Mapping

from confluent_kafka import Consumer, KafkaException, TopicPartition

from ingest.kafka.cluster import Cluster
from ingest.kafka.errors import FaultLog, broker_error, fault_of, fault_of_exception
from ingest.kafka.types import Partition, Start, topic_partition


def set_commits(cluster: Cluster, group: str, mark: str, offsets: Mapping[Partition, int]) -> None:
    """Waits for the answer. Lanes assign and never subscribe, so the group has no members that would refuse it.

    Raises BrokerError.
    """
    consumer = Consumer(cluster.config(FaultLog(), group_id=group, enable_auto_commit=False))
    try:
        wanted = [topic_partition(Start(*here, at), mark) for here, at in offsets.items()]
        done: list[TopicPartition] = consumer.commit(offsets=wanted, asynchronous=False) or []
    except KafkaException as raised:
        raise broker_error(fault_of_exception(raised)) from raised
    finally:
        consumer.close()
    for each in done:
        if each.error is not None:
            raise broker_error(fault_of(each.error))
