"""A stream per test, checked by `fsck` when the test is over, and people who ask and approve."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.audit.conftest import nobody_elses_windows
from tests.fixtures import flow, make_flow, quick_slices

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.plans.crowd import Crowd

__all__ = ["flow", "make_flow", "nobody_elses_windows", "quick_slices"]


@pytest.fixture
def crowd(live: object) -> Crowd:
    """New people, each test its own."""
    from tests.plans.crowd import Crowd

    return Crowd()
