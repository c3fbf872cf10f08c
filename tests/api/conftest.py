"""Callers of the API with a role each; every answer they get is held against the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.api.caller import Caller
    from tests.flow.world import Flow


@pytest.fixture(autouse=True)
def quick_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slice that finds nothing ends sooner than a worker's would."""
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


@pytest.fixture
def call(live: object) -> Callable[..., Caller]:
    """call("operator") is a caller with a token of a user in that role; call() is nobody."""
    from tests.api.caller import caller

    return caller


@pytest.fixture
def make_flow(live: object) -> Iterator[Callable[..., Flow]]:
    from tests.flow.world import Flow

    yield Flow


@pytest.fixture
def flow(make_flow: Callable[..., Flow]) -> Flow:
    return make_flow()


_scenes: dict[str, Flow] = {}


@pytest.fixture
def scene(live: object) -> Flow:
    """Admitted, duplicate and quarantined records and an unknown publish: made once, and only looked at."""
    from tests.flow.world import Flow
    from tests.pages.scene import busy, leave_unknown

    if "scene" not in _scenes:
        flow = Flow()
        busy(flow, events=40)
        leave_unknown(flow)
        _scenes["scene"] = flow
    return _scenes["scene"]
