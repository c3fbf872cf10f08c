"""What tests of the flow, of judging and of the faces begin with. A folder's conftest.py imports what its tests use."""

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
    """Makes streams. When the test is over, every invariant of each is checked, and their gates are shut."""
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
    """A stream of the test's own, with a contract loaded and no run."""
    return make_flow()
