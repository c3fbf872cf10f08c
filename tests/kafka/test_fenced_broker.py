"""A broker that was paused for longer than its session is fenced for a moment. Whoever reads the metadata then knows of
no leader; the client does not ask again by itself."""

from __future__ import annotations

import time

import pytest

from ingest.kafka import READ_COMMITTED, Admin, Cluster
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


def _measured(admin: Admin, topic: str) -> bool:
    found = admin.offsets(topic, [0, 1], READ_COMMITTED)
    return all(each.latest is not None for each in found.values())
