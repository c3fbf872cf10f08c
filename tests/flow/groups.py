"""What other tools do to a topic and to our consumer group."""

from __future__ import annotations

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient, NewPartitions

from ingest.core.group import group_of
from ingest.install import install_id
from tests.flow.world import Flow


def commit(flow: Flow, topic: str, partition: int, offset: int) -> None:
    """Somebody else's commit in our group, without our mark."""
    settings = {
        "bootstrap.servers": flow.cluster.bootstrap,
        "group.id": group_of(install_id(), flow.name),
        "enable.auto.commit": False,
    }
    consumer = Consumer(settings)
    consumer.assign([TopicPartition(topic, partition, offset)])
    consumer.commit(offsets=[TopicPartition(topic, partition, offset)], asynchronous=False)
    consumer.close()


def grow(flow: Flow, topic: str, partitions: int) -> None:
    client = AdminClient({"bootstrap.servers": flow.cluster.bootstrap})
    for future in client.create_partitions([NewPartitions(topic, partitions)]).values():
        future.result(30)
