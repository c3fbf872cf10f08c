"""Callers of the API with a role each; every answer they get is held against the OpenAPI document."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.fixtures import flow, make_flow, quick_slices

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.api.caller import Caller
    from tests.flow.world import Flow

__all__ = ["flow", "make_flow", "quick_slices"]


@pytest.fixture
def call(live: object) -> Callable[..., Caller]:
    """call("operator") is a caller with a token of a user in that role; call() is nobody."""
    from tests.api.caller import caller

    return caller


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
