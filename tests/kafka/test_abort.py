"""What ends or hangs a client where a broker is frozen; each in a process of its own, for it may die."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ingest.kafka import Admin, BusMessage, Cluster, Partition, PartitionReader, PlainProducer, Start
from stack import Stack
from stack.place import PROJECT
from tests.kafka import freezes
from tests.kafka.fenced import FencedBroker

ASK = """
import sys
from ingest.core.errors import BrokerError
from ingest.kafka import Admin, Cluster
admin = Admin(Cluster.of(sys.argv[1]), 3.0)
print(getattr(admin, sys.argv[2])(), flush=True)
sys.stdin.readline()
try:
    print(getattr(admin, sys.argv[2])())
except BrokerError as error:
    print(error.code)
"""


@pytest.mark.parametrize(("question", "answer"), [("cluster_id", "a-cluster"), ("brokers", "broker_unavailable")])
def test_a_broker_that_names_no_broker_ends_nobody(question: str, answer: str) -> None:
    with FencedBroker() as broker:
        child = subprocess.Popen(
            [sys.executable, "-c", ASK, broker.bootstrap, question],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=PROJECT,
        )  # fmt: skip
        assert child.stdin is not None and child.stdout is not None
        child.stdout.readline()
        broker.fenced = True
        said, _ = child.communicate("\n", timeout=60)
    assert (child.returncode, said.strip()) == (0, answer)


def test_the_clusters_id_is_the_one_of_now() -> None:
    with FencedBroker() as broker:
        admin = Admin(Cluster.of(broker.bootstrap), 5.0)
        assert admin.cluster_id() == "a-cluster"
        broker.cluster = "another"
        assert admin.cluster_id() == "another"


@pytest.mark.slow
def test_a_frozen_broker_holds_up_no_commit_and_no_close(broker: Stack, cluster: Cluster, topic: str) -> None:
    """As a lane does it, in a process that can be ended: where it waits, it waits as long as the broker is frozen."""
    PlainProducer(cluster).send(topic, [BusMessage(0, b"k", b"v", [])] * 3)
    reader = PartitionReader(cluster, group="frozen")
    reader.assign([Start(topic, 0, 0, 0)])
    reader.read(3, 5.0)
    broker.freeze("kafka")
    try:
        done = subprocess.run(  # the same in a child: a commit that waits must not hold up this test
            [sys.executable, "-c", COMMIT, cluster.bootstrap, topic], capture_output=True, timeout=60, cwd=PROJECT
        )
        reader.commit({Partition(topic, 0): (3, 0)})
        reader.close()
    finally:
        broker.thaw("kafka")
    assert done.returncode == 0


COMMIT = """
import sys, time
from ingest.kafka import Cluster, Partition, PartitionReader, Start
reader = PartitionReader(Cluster.of(sys.argv[1]), group="frozen-too")
reader.assign([Start(sys.argv[2], 0, 0, None)])
begun = time.monotonic()
reader.commit({Partition(sys.argv[2], 0): (1, 0)})
reader.commit({Partition(sys.argv[2], 0): (2, 0)})
reader.close()
sys.exit(time.monotonic() - begun > 5.0)
"""


@pytest.mark.slow
def test_no_client_dies_of_a_few_freezes(own_services: None) -> None:
    """`python -m tests.kafka.freezes 100` does it a hundred times."""
    assert freezes.main(5, lambda text: None) == []
