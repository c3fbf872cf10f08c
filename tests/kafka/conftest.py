"""A broker of these tests' own, for they freeze it and hold its frames; the same class the product starts."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import pytest

from ingest.kafka import Admin, Cluster, TransactionalProducer
from stack import Stack
from stack.ports import free_port
from tests.kafka.proxy import FrameProxy


@pytest.fixture(scope="session")
def ports() -> tuple[int, int]:
    """(where the broker binds its second listener, where it tells clients to come)."""
    bound = free_port(None, frozenset())
    return bound, free_port(None, frozenset({bound}))


@pytest.fixture(scope="session")
def broker(own_services: None, tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("broker"), parts=("kafka",), proxied=ports) as stack:
        yield stack


@pytest.fixture(scope="session")
def cluster(broker: Stack) -> Cluster:
    return Cluster.of(broker.env()["KAFKA_BOOTSTRAP_SERVERS"])


@pytest.fixture
def proxy(broker: Stack, ports: tuple[int, int]) -> Iterator[FrameProxy]:
    with FrameProxy(listen=ports[1], upstream=ports[0]) as running:
        yield running


@pytest.fixture
def through_proxy(broker: Stack, proxy: FrameProxy) -> Cluster:
    return Cluster.of(broker.env()["PASSGATE_PROXIED_BOOTSTRAP_SERVERS"])


@pytest.fixture(scope="session")
def admin(cluster: Cluster) -> Admin:
    return Admin(cluster)


_numbers = itertools.count()


@pytest.fixture
def topic(admin: Admin) -> str:
    """A fresh topic of two partitions."""
    name = f"facts-{next(_numbers)}"
    admin.create_topic(name, 2, 1)
    return name


@pytest.fixture
def producer(cluster: Cluster, topic: str) -> Iterator[Callable[[], TransactionalProducer]]:
    """Makes initialised producers with the topic's name as transactional.id."""
    made: list[TransactionalProducer] = []

    def make(cluster: Cluster = cluster, seconds: float = 15.0) -> TransactionalProducer:
        fresh = TransactionalProducer(cluster, topic, delivery_timeout=seconds)
        fresh.init()
        made.append(fresh)
        return fresh

    yield make
    for each in made:
        each.destroy()
