"""`passgate` as a person types it, in this process and on the test's stack."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from tests.fixtures import flow, make_flow, quick_slices

if TYPE_CHECKING:  # a conftest is read before Django is set up
    from tests.cli.typed import Typed

__all__ = ["flow", "make_flow", "quick_slices"]


@pytest.fixture
def passgate(live: object) -> Callable[..., Typed]:
    """passgate("run list") runs the command."""
    from tests.cli.typed import typed

    return typed
