"""The moment of a cut, and which window of a context's stream is of that time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from ingest.core.calendar import moment_of_cut
from ingest.core.pinning import ContextWindow, wait_for_context, wait_for_cut, waiting_circle


def at(hour: int, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 11, 30, hour, minute, second, tzinfo=UTC)


# ---- the moment of a cut -----------------------------------------------------------------------------------------


def test_a_cut_by_the_clock_is_of_the_full_multiple_and_not_of_when_it_was_made() -> None:
    """Two streams that are cut at 14:00 are so within a second, in one order or the other."""
    opened, cut = at(13, 0, 1), at(14, 0, 1)
    assert moment_of_cut(opened, cut, timedelta(hours=1), None) == at(14)


def test_the_last_multiple_counts_where_nobody_cut_for_a_while() -> None:
    assert moment_of_cut(at(11), at(14, 20), timedelta(hours=1), None) == at(14)


def test_a_cut_between_two_multiples_is_of_its_own_moment() -> None:
    assert moment_of_cut(at(13, 0, 1), at(13, 40), timedelta(hours=1), None) == at(13, 40)


def test_a_window_that_opened_at_the_multiple_is_not_cut_at_it() -> None:
    assert moment_of_cut(at(14), at(14, 0, 1), timedelta(hours=1), None) == at(14, 0, 1)


def test_a_cut_by_hand_is_of_its_own_moment() -> None:
    assert moment_of_cut(at(13), at(14, 0, 1), None, None) == at(14, 0, 1)


@pytest.mark.parametrize(
    ("pattern", "opened", "cut", "moment"),
    [
        ("%Y-%m-%d", "2026-11-29 05:00", "2026-11-30 00:00:01", "2026-11-30"),
        ("%Y-%m", "2026-10-29 05:00", "2026-11-01 00:00:01", "2026-11-01"),
        ("%Y", "2025-10-29 05:00", "2026-01-01 00:00:01", "2026-01-01"),
        ("%G-%V", "2026-11-27 00:00", "2026-12-01 07:00:00", "2026-11-30"),
        ("%G", "2025-11-27 00:00", "2026-01-01 07:00:00", "2025-12-29"),
        ("%Y-%j.%H", "2026-11-30 12:05", "2026-11-30 13:00:02", "2026-11-30 13:00"),
        ("%H%M", "2026-11-30 12:05", "2026-11-30 12:07:02", "2026-11-30 12:07"),
    ],
)
def test_a_run_that_ends_by_the_clock_is_cut_where_its_name_ends(
    pattern: str, opened: str, cut: str, moment: str
) -> None:
    began, ended, expected = (
        datetime.fromisoformat(f"{at}+00:00" if ":" in at else f"{at}T00:00+00:00") for at in (opened, cut, moment)
    )
    assert moment_of_cut(began, ended, None, pattern) == expected


def test_of_two_clocks_the_later_moment_counts() -> None:
    opened, cut = datetime(2026, 10, 29, 5, tzinfo=UTC), datetime(2026, 11, 1, 2, 0, 1, tzinfo=UTC)
    assert moment_of_cut(opened, cut, timedelta(hours=1), "%Y-%m") == datetime(2026, 11, 1, 2, tzinfo=UTC)


def test_a_clock_that_stepped_back_leaves_the_cut_where_it_is() -> None:
    assert moment_of_cut(at(14, 0, 5), at(13, 59), timedelta(hours=1), None) == at(13, 59)


# ---- what a lane waits for ---------------------------------------------------------------------------------------


HELD = "waits for weather: the window that holds 2026-11-30 14:00 (weather/r1 window 3)"


def held(**more: object) -> ContextWindow:
    facts: dict[str, object] = {
        "place": "weather/r1 window 3",
        "is_cut": True,
        "state": None,
        "verdict": None,
        "shut": None,
    }
    return ContextWindow(**(facts | more))  # type: ignore[arg-type]


def test_a_pass_whose_gate_is_open_is_waited_for_by_nobody() -> None:
    assert wait_for_context("weather", at(14), held(state="PASS", verdict="weather/r1#3")) is None


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "waits for weather: no window of it holds 2026-11-30 14:00 yet"),
        (held(is_cut=False), f"{HELD} is not cut yet"),
        (held(), f"{HELD} has no PASS yet"),
        (
            held(state="BLOCKED", verdict="weather/r1#3"),
            f"{HELD} has no PASS yet: weather/r1#3 is BLOCKED",
        ),
        (
            held(state="PASS", verdict="weather/r1#3", shut="it was not re-checked since 14:05"),
            "waits for weather: the gate of weather/r1#3 is not open: it was not re-checked since 14:05",
        ),
    ],
)  # fmt: skip
def test_what_is_waited_for_is_said_by_name(found: ContextWindow | None, said: str) -> None:
    wait = wait_for_context("weather", at(14), found)
    assert wait is not None
    assert (wait.text, wait.failed) == (said, False)


def test_a_window_that_failed_is_no_waiting_for_time() -> None:
    """A FAIL stands for good: only a fresh run takes that window's place."""
    wait = wait_for_context("weather", at(14), held(state="FAIL", verdict="weather/r1#3"))
    assert wait is not None
    assert wait.failed
    assert wait.text == (f"{HELD} is FAIL: a rerun opens it, or a fresh replay takes its place")


def test_a_pass_whose_gate_was_shut_for_good_needs_a_person_too() -> None:
    found = held(state="PASS", verdict="weather/r1#3", shut="the topic was created again", for_good=True)
    wait = wait_for_context("weather", at(14), found)
    assert wait is not None
    assert wait.failed


def test_seconds_are_said_only_where_they_matter() -> None:
    wait = wait_for_context("weather", at(13, 40, 7), None)
    assert wait is not None
    assert "2026-11-30 13:40:07" in wait.text


def test_before_its_own_cut_a_window_waits_for_that() -> None:
    assert wait_for_cut("weather").text == "waits for weather: what is joined with is known once this window is cut"


# ---- who waits for whom -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("waits_for", "circle"),
    [
        ({}, ()),
        ({"a": ["b"]}, ()),
        ({"a": ["b"], "b": ["a"]}, ("a", "b", "a")),
        ({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}, ()),
        ({"a": ["b", "c"], "b": ["d"], "c": ["a"], "d": ["a"]}, ("a", "c", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["d"], "d": ["a"]}, ("a", "b", "c", "d", "a")),
        ({"a": ["b"], "b": ["c"], "c": ["b"]}, ()),  # another's circle is not this stream's
    ],
)
def test_a_circle_is_the_shortest_way_back(waits_for: dict[str, list[str]], circle: tuple[str, ...]) -> None:
    assert waiting_circle("a", waits_for) == circle
