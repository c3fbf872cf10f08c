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
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


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
def nobody_elses_windows(live: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The ledger keeps what other tests left. A look judges the windows of this test's streams alone, however long it
    takes, and when the test is over their gates are shut."""
    from audit import close
    from ingest.streams import compiled
    from tests.flow import world

    before = len(world.MADE)
    is_auto = close._auto
    monkeypatch.setattr("audit.close.EVALUATE_SECONDS", 120.0)
    monkeypatch.setattr(
        "audit.close._auto",
        lambda contract: is_auto(contract) and compiled(contract).contract.stream in world.MADE[before:],
    )
    yield
    world.leave(world.MADE[before:])
