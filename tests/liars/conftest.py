"""Everything here reaches a broker of these tests' own through a proxy; the ledger is the session's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stack import Stack
from stack.ports import free_port
from tests.liars.proxy import LyingProxy


@pytest.fixture(scope="module")
def ports() -> tuple[int, int]:
    """(where the broker binds its second listener, where it tells clients to come)."""
    bound = free_port(None, frozenset())
    return bound, free_port(None, frozenset({bound}))


@pytest.fixture(scope="module")
def broker(own_services: None, tmp_path_factory: pytest.TempPathFactory, ports: tuple[int, int]) -> Iterator[Stack]:
    with Stack(tmp_path_factory.mktemp("broker"), parts=("kafka",), proxied=ports) as running:
        yield running


@pytest.fixture
def proxy(
    broker: Stack, ports: tuple[int, int], live: Stack, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[LyingProxy]:
    """The way of every client of this process to the broker."""
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    settings.KAFKA_BOOTSTRAP_SERVERS = broker.env()["PASSGATE_PROXIED_BOOTSTRAP_SERVERS"]
    with LyingProxy(listen=ports[1], upstream=ports[0]) as running:
        yield running
