"""A stream per row on the session's own broker, people for plans, and a second broker for the rows that want one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from stack import Stack
from tests.audit.conftest import nobody_elses_windows
from tests.fixtures import flow, make_flow, quick_slices
from tests.plans.conftest import crowd

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.drift.scene import Scene
    from tests.flow.world import Flow
    from tests.plans.crowd import Crowd

__all__ = ["crowd", "flow", "make_flow", "nobody_elses_windows", "quick_slices"]


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.worker.REST_RETRY", 0.5)
    monkeypatch.setattr("ingest.worker.REST_OTHER", 0.5)
    monkeypatch.setattr("ingest.worker.REST_SHARE", 0.0)


@pytest.fixture(scope="session")
def other_broker(own_services: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Another cluster, with nothing in it."""
    with Stack(tmp_path_factory.mktemp("other"), parts=("kafka",)) as stack:
        yield stack


@pytest.fixture
def scene(
    request: pytest.FixtureRequest,
    live: Stack,
    make_flow: Callable[..., Flow],
    crowd: Crowd,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    """Where a row is brought about. Whatever became of it, the broker is back afterwards, at its address."""
    from tests.drift.scene import Scene

    made = Scene(make_flow, live, crowd, monkeypatch, lambda: request.getfixturevalue("other_broker"))
    yield made
    made.leave()
