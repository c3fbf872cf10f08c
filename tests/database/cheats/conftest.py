"""Worlds to cheat in, made once: a passed run, one whose projection readers read, one that two people let pass, and one
with a publish that two people decided about."""

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


@pytest.fixture
def rerun_run(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A window with a PASS, and reruns of it: one redrive that is done, one that is held, and a replay."""
    from tests.database.cheats.world import rerun

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "rerun" not in _made:
        _made["rerun"] = rerun()
    return _made["rerun"]


@pytest.fixture
def covered_run(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A window that a rerun has opened, and one beside it that none has."""
    from tests.database.cheats.world import covered

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "covered" not in _made:
        _made["covered"] = covered(monkeypatch)
    return _made["covered"]


@pytest.fixture
def gone_run(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A window that a rerun has opened, with receipts that stand in for half of it; and a further plan that is held."""
    from tests.database.cheats.world import half_gone

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "gone" not in _made:
        _made["gone"] = half_gone(monkeypatch)
    return _made["gone"]


@pytest.fixture
def waived_run(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A run with a PASS (waived), by a plan that is done."""
    from tests.database.cheats.world import waived

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "waived" not in _made:
        _made["waived"] = waived()
    return _made["waived"]


@pytest.fixture
def given(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A run that passed on a refreshed basis, and whose re-checks were ended; and the numbers of the two plans."""
    from tests.database.cheats.world import refreshed_and_ended

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "given" not in _made:
        _made["given"] = refreshed_and_ended()
    return _made["given"]


@pytest.fixture
def decided_run(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Values:
    """A run with a PASS that names a decision about a publish."""
    from tests.database.cheats.world import with_decision

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
    if "decided" not in _made:
        _made["decided"] = with_decision(monkeypatch)
    return _made["decided"]
