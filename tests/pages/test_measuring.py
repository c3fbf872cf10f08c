"""What a page shows of checks: what was counted last, by any process, and for how long it waits for more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit.core.verdict import Verdict
from console.reads import measuring
from console.reads.beside import Asker
from console.reads.measuring import ShownChecks

WIN = 1
OLD, NEW = (cast("Verdict", object()) for _ in range(2))
Ask = Callable[..., ShownChecks | None]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Ask]:
    """Asks, while measuring goes on until the test ends. `age` and `took` are of what was counted last."""
    let_go = threading.Event()
    kept: list[Any] = [None]

    def checks(_: int) -> Verdict:
        let_go.wait(60)
        return NEW

    fake = SimpleNamespace(checks_now=checks, kept_checks=lambda _: kept[0])
    monkeypatch.setattr(measuring, "now", fake)
    monkeypatch.setattr(measuring, "_asker", Asker("measuring", 2))

    def ask(
        age: float | None = None, took: float = 0.01, unchanged: bool = True, ready: bool = False
    ) -> ShownChecks | None:
        if age is not None:
            kept[0] = (SimpleNamespace(age=age, took=took, verdict=lambda: OLD), unchanged)
        if ready:
            let_go.set()
        return measuring.measured(WIN)

    yield ask
    asked = measuring._asker.under_way(WIN)
    let_go.set()
    if asked is not None:
        asked.answer.result(timeout=60)


def test_what_is_fresh_and_unchanged_is_shown_without_measuring(measured: Ask) -> None:
    assert measured(age=1.0) == ShownChecks(OLD)
    assert measuring._asker.under_way(WIN) is None


def test_what_has_changed_since_is_measured_however_young_it_is(measured: Ask) -> None:
    assert measured(age=0.1, unchanged=False, ready=True) == ShownChecks(NEW)


def test_what_is_shown_waits_for_nothing_that_takes_long(measured: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOMENT", 5.0)
    begun = time.monotonic()
    assert measured(age=9.0, took=30.0, unchanged=False) == ShownChecks(OLD)
    assert measured() == ShownChecks(OLD)
    assert time.monotonic() - begun < 2
    assert measuring._asker.under_way(WIN) is not None


def test_beyond_ten_seconds_it_is_said_to_be_measured_anew(measured: Ask) -> None:
    assert measured(age=10.5, took=30.0) == ShownChecks(OLD, anew=True)


def test_what_was_measured_quickly_is_waited_for(measured: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "MOMENT", 30.0)
    assert measured(age=10.5, ready=True) == ShownChecks(NEW)


def test_a_first_look_waits_once_for_all(measured: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.3)
    monkeypatch.setattr(measuring, "MOMENT", 30.0)
    begun = time.monotonic()
    assert measured() is None
    waited = time.monotonic()
    assert waited - begun >= 0.3
    assert [measured() for _ in range(3)] == [None] * 3
    assert time.monotonic() - waited < 2


def test_a_measurement_too_old_to_be_shown_is_not(measured: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.1)
    assert measured(age=61.0, took=30.0) is None
