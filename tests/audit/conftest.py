"""A stream per test, checked by `fsck` when the test is over: the same streams as tests/flow uses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.fixtures import flow, make_flow, quick_slices

if TYPE_CHECKING:
    pass

__all__ = ["flow", "make_flow", "quick_slices"]


@pytest.fixture(autouse=True)
def nobody_elses_windows(live: object, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The ledger keeps what other tests left. A look judges the windows of this test's streams alone, however long it
    takes, and when the test is over their gates are shut."""
    from audit import close
    from ingest.streams import compiled_contract
    from tests.flow import world

    before = len(world.MADE)
    is_auto = close._auto
    monkeypatch.setattr("audit.close.CLOSE_DUE_SECONDS", 120.0)
    monkeypatch.setattr(
        "audit.close._auto",
        lambda contract: is_auto(contract) and compiled_contract(contract).contract.stream in world.MADE[before:],
    )
    yield
    world.leave(world.MADE[before:])
