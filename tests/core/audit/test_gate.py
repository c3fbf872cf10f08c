"""What a run's gate answers from its windows' gates."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from audit.core.gate import Code, WindowGate, decide

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def window(number: int, seconds: float, state: str = "PASS", why: str | None = None) -> WindowGate:
    """One whose lease ends in so many seconds."""
    until, name = NOW + timedelta(seconds=seconds), f"s/r#{number}"
    return WindowGate(number, name, state, {"sentence": name}, name, until, NOW, why)


def test_a_runs_yes_lasts_as_long_as_the_shortest_lease_of_its_windows() -> None:
    answer = decide([window(1, 30), window(2, 5), window(3, 20)], True, NOW)
    assert answer.granted
    assert answer.open_until == NOW + timedelta(seconds=5)


def test_the_worst_window_is_the_answer_whatever_the_leases_of_others() -> None:
    assert decide([window(1, 30), window(2, 5, "FAIL"), window(3, -1)], True, NOW).code is Code.FAILED
    assert decide([window(1, 30), window(2, -1)], True, NOW).code is Code.UNAVAILABLE
    assert decide([window(1, 30), window(2, 30, why="the bus was made again")], True, NOW).code is Code.SHUT


def test_an_open_run_is_not_open_to_readers() -> None:
    assert decide([window(1, 30)], False, NOW).code is Code.NOT_CLOSED
    assert decide([], True, NOW).code is Code.NOT_FOUND
