"""A broker that was paused for longer than its session is fenced for a moment. Whoever reads the metadata then knows of
no leader; the client does not ask again by itself."""

from __future__ import annotations

import logging
import time

import pytest
from confluent_kafka import Consumer
from confluent_kafka.admin import AdminClient

from ingest.kafka import READ_COMMITTED, Admin, BrokerUnavailable, Cluster
from stack import Stack


@pytest.mark.slow
def test_answers_come_again_after_a_broker_was_fenced(broker: Stack, cluster: Cluster, topic: str) -> None:
    admin = Admin(cluster)
    assert _measured(admin, topic)
    broker.freeze("kafka")
    try:
        assert not _measured(admin, topic)
        time.sleep(1.0)
    finally:
        broker.thaw("kafka")
    until = time.monotonic() + 20.0
    while not all(_measured(admin, topic) for _ in range(3)):
        assert time.monotonic() < until, "the client never asked for the leaders again"
        time.sleep(0.1)


DEAF = {"bootstrap.servers": "127.0.0.1:9", "log_level": 0, "logger": logging.getLogger("deaf")}
"""A client that knows no broker, as one is that let go of all it knew (librdkafka issue 5301)."""


def test_a_client_that_lost_its_brokers_is_replaced_at_the_next_question(cluster: Cluster) -> None:
    admin = Admin(cluster, timeout=1.0)
    admin._admin = AdminClient(DEAF)
    with pytest.raises(BrokerUnavailable):
        admin.cluster_id()
    assert admin.cluster_id()


def test_a_member_that_lost_its_brokers_is_replaced_at_the_next_question(cluster: Cluster, topic: str) -> None:
    admin = Admin(cluster, timeout=1.0)
    end = time.monotonic() + 20.0
    while _state(Admin(cluster), topic) == "UNMEASURED":  # the first question makes the coordinator
        assert time.monotonic() < end
    admin._members["things"] = Consumer({**DEAF, "group.id": "things"})
    assert _state(admin, topic) == "UNMEASURED"
    admin.timeout = 5.0
    assert _state(admin, topic) != "UNMEASURED"


def _state(admin: Admin, topic: str) -> str:
    return admin.committed("things", topic, [0])[0].state


def _measured(admin: Admin, topic: str) -> bool:
    found = admin.offsets(topic, [0, 1], READ_COMMITTED)
    return all(each.latest is not None for each in found.values())
