"""A stream per test, checked by `fsck` when the test is over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.flow.world import Flow


@pytest.fixture(autouse=True)
def quick_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that finds nothing ends sooner than a worker's would."""
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


@pytest.fixture
def make_flow(live: object) -> Iterator[Callable[..., Flow]]:
    """Makes streams; after the test, every invariant of every one of them is checked."""
    from tests.flow.world import Flow, leave

    made: list[Flow] = []

    def make(**settings: Any) -> Flow:
        made.append(Flow(**settings))
        return made[-1]

    yield make
    for flow in made:
        flow.check()
    leave([flow.name for flow in made])


@pytest.fixture
def flow(make_flow: Callable[..., Flow]) -> Flow:
    return make_flow()
