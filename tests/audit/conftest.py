"""A stream per test, checked by `fsck` when the test is over: the same streams as tests/flow uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.flow.world import Flow


@pytest.fixture(autouse=True)
def quick_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that finds nothing ends sooner than a worker's would."""
    monkeypatch.setattr("ingest.dispatch.IDLE_SECONDS", 0.3)


@pytest.fixture
def make_flow(live: object) -> Iterator[Callable[..., Flow]]:
    from tests.flow.world import Flow

    made: list[Flow] = []

    def make(**settings: Any) -> Flow:
        made.append(Flow(**settings))
        return made[-1]

    yield make
    for flow in made:
        flow.check()


@pytest.fixture
def flow(make_flow: Callable[..., Flow]) -> Flow:
    return make_flow()


@pytest.fixture(autouse=True)
def a_turn_for_every_window(monkeypatch: pytest.MonkeyPatch) -> None:
    """What other tests left in the database takes its turn, too: a look goes through all of it."""
    monkeypatch.setattr("audit.close.EVALUATE_SECONDS", 120.0)
