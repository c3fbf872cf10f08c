"""Two worlds to cheat in, made once: a passed run of two windows' stream, and one whose projection readers read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from stack import Stack

Values = dict[str, Any]
_made: dict[str, Values] = {}


@pytest.fixture
def passed(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """r1 has a PASS, with a duplicate, a mismatch, garbage, a proven gap and totals; r2 is open behind it."""
    from tests.database.cheats.world import passed_run

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "passed" not in _made:
        _made["passed"] = passed_run()
    return _made["passed"]


@pytest.fixture
def projected(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Values]:
    """A stream of weather with a PASS, whose rows readers read."""
    from tests.database.cheats.world import projected_run

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "projected" not in _made:
        _made["projected"] = projected_run()
    yield _made["projected"]
