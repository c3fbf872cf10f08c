"""`passgate` as a person types it, in this process and on the test's stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.cli.typed import Typed
    from tests.flow.world import Flow


@pytest.fixture(autouse=True)
def quick_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that finds nothing ends sooner than a worker's would."""
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


@pytest.fixture
def passgate(live: object) -> Callable[..., Typed]:
    """passgate("run list") runs the command."""
    from tests.cli.typed import typed

    return typed


@pytest.fixture
def flow(live: object) -> Flow:
    from tests.flow.world import Flow

    return Flow()
