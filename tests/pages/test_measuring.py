"""How long a page waits for checks to be measured: only for what can be there in time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from audit.core.verdict import Verdict
from console.pages.reads import measuring

WIN = 1
OLD, NEW = (cast("Verdict", object()) for _ in range(2))


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Verdict | None]]:
    """Asks, while measuring goes on until the test ends: `took` is what the last measurement, ten seconds ago, took."""
    let_go = threading.Event()

    def checks(_: int) -> Verdict:
        let_go.wait(60)
        return NEW

    monkeypatch.setattr(measuring, "close", SimpleNamespace(checks_now=checks))
    monkeypatch.setattr(measuring, "_kept", {})
    monkeypatch.setattr(measuring, "_under_way", {})

    def ask(took: float | None = None, **more: Any) -> Verdict | None:
        if took is not None:
            now = time.monotonic()
            measuring._kept[WIN] = measuring._Kept(OLD, now - 10, now - 1, took)
        if more.get("ready"):
            let_go.set()
        return measuring.measured(WIN)

    yield ask
    asked = measuring._under_way.get(WIN)
    let_go.set()
    if asked is not None:
        asked.answer.result(timeout=60)


def test_what_is_shown_waits_for_nothing_that_takes_long(
    measured: Callable[..., Verdict | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOMENT", 5.0)
    begun = time.monotonic()
    assert measured(took=30.0) is OLD
    assert measured() is OLD
    assert time.monotonic() - begun < 2
    assert WIN in measuring._under_way


def test_what_was_measured_quickly_is_waited_for(
    measured: Callable[..., Verdict | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "MOMENT", 30.0)
    assert measured(took=0.01, ready=True) is NEW


def test_a_first_look_waits_once_for_all(
    measured: Callable[..., Verdict | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.3)
    monkeypatch.setattr(measuring, "MOMENT", 30.0)
    begun = time.monotonic()
    assert measured() is None
    waited = time.monotonic()
    assert waited - begun >= 0.3
    assert [measured() for _ in range(3)] == [None] * 3
    assert time.monotonic() - waited < 2


def test_a_measurement_too_old_to_be_shown_is_not(
    measured: Callable[..., Verdict | None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measuring, "PATIENCE", 0.1)
    monkeypatch.setattr(measuring, "USABLE", 5.0)
    assert measured(took=30.0) is None
