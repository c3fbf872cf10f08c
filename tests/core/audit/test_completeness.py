"""Until when a window is complete, and what a span of time lies in: what was not measured is not claimed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.core.completeness import SourceEnd, SpanWindow, completeness, source_end, span
from ingest.core.ids import WindowId

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
SKEW = timedelta(seconds=5)


def minutes(n: float) -> datetime:
    return NOON + timedelta(minutes=n)


def test_it_is_the_earliest_of_all_less_the_skew() -> None:
    ends = [SourceEnd("inbox/0", first_at=minutes(3)), SourceEnd("inbox/1", nothing_at=minutes(2))]
    assert completeness(ends, minutes(9), SKEW).until == minutes(2) - SKEW
    assert completeness(ends, minutes(1), SKEW).until == minutes(1) - SKEW, "partitions may have come since"
    assert completeness([], minutes(1), SKEW).until == minutes(1) - SKEW


def test_one_answer_that_lacks_is_enough_to_claim_nothing() -> None:
    ends = [SourceEnd("inbox/0", first_at=minutes(3)), SourceEnd("inbox/1", why="was not measured")]
    found = completeness(ends, minutes(9), SKEW)
    assert (found.until, found.why, found.for_good) == (None, "inbox/1 was not measured", False)


CUT = 10


@pytest.mark.parametrize(
    ("before", "after", "first", "first_at", "nothing_at", "for_good"),
    [
        ((0, 20, 20), (0, 20, 20), (10, minutes(1)), minutes(1), None, False),
        (
            (0, 12, 20),
            (0, 20, 20),
            (14, minutes(1)),
            minutes(1),
            None,
            False,
        ),  # in an open transaction, or after a gap
        ((0, 10, 10), (0, 10, 10), None, None, NOON, False),
        ((0, 10, 10), (0, 99, 99), None, None, NOON, False),  # what came since was appended later than it was asked
        ((0, 10, 11), (0, 11, 11), None, None, None, False),  # a control record, which no reader is given
        ((0, 20, 20), (0, 20, 20), None, None, None, False),
        ((0, 20, 20), (0, 20, 20), (10, None), None, None, True),  # CreateTime
        ((11, 20, 20), (11, 20, 20), (11, minutes(1)), None, None, True),
        ((0, 20, 20), (11, 20, 20), (11, minutes(1)), None, None, True),  # deleted while it was read
        ((10, 20, 20), (10, 20, 20), (10, minutes(1)), minutes(1), None, False),
        ((None, 20, 20), (0, 20, 20), (10, minutes(1)), None, None, False),
        ((0, None, 10), (0, 10, 10), None, None, None, False),
        ((0, 10, 10), (0, 10, None), None, None, None, False),
    ],
)
def test_what_lies_behind_a_cut(
    before: Any, after: Any, first: Any, first_at: Any, nothing_at: Any, for_good: bool
) -> None:
    end = source_end("inbox/0", CUT, before, after, first, NOON)
    assert (end.first_at, end.nothing_at, end.for_good) == (first_at, nothing_at, for_good)
    assert bool(end.why) is (first_at is None and nothing_at is None)


def window(n: int, **other: Any) -> SpanWindow:
    """Window n: cut n minutes after noon, complete until then, and open."""
    values: dict[str, Any] = {
        "win": WindowId(n), "name": f"s/r window {n}", "verdict": f"s/r#{n}", "opened_at": minutes(n - 1),
        "cut_at": minutes(n),
        "complete_until": minutes(n) - SKEW, "complete_why": "", "follows": True, "live": True, "said": "is PASS",
        "open_until": minutes(60 - n), "skew": SKEW,
    }  # fmt: skip
    return SpanWindow(**(values | other))


def names(windows: Any) -> list[str]:
    return [w.name[-1] for w in windows]


def test_the_windows_that_may_hold_the_span_and_no_others() -> None:
    all_ = [window(n) for n in range(1, 7)]
    found = span(all_, minutes(2.5), minutes(3.5))
    assert (names(found.windows), found.why) == (["3", "4"], "")
    assert found.open_until == minutes(56), "the shortest lease"
    assert names(span(all_, minutes(2), minutes(3)).windows) == ["2", "3", "4"], (
        "within the skew of a cut it may be either"
    )


def test_nothing_is_said_of_what_is_not_complete_yet() -> None:
    found = span(
        [window(1), window(2), window(3, cut_at=None, complete_until=None, live=False)], minutes(1), minutes(2)
    )
    assert (found.windows, found.retry) == ((), True)
    assert found.why == f"complete until {(minutes(2) - SKEW).isoformat()}, by s/r window 2"
    found = span([window(1, complete_until=None, complete_why="CreateTime")], minutes(0), minutes(1))
    assert found.why == "no window says until when it is complete: CreateTime"


def test_one_that_is_shut_or_does_not_follow_is_enough_to_say_no() -> None:
    found = span([window(1), window(2, live=False, said="is BLOCKED"), window(3)], minutes(0.5), minutes(2.5))
    assert (found.windows, found.why, found.retry) == ((), "s/r window 2: is BLOCKED", True)
    found = span([window(1), window(2, follows=False), window(3)], minutes(0.5), minutes(2.5))
    assert (found.windows, found.retry) == ((), False)
    assert span([window(1, follows=False), window(2)], minutes(0.5), minutes(1.5)).windows, (
        "the first follows nobody here"
    )


def test_before_the_stream_s_first_window_nobody_knows() -> None:
    assert span([window(1)], minutes(-1), minutes(0.5)).why == f"the stream is known since {minutes(0).isoformat()}"
    assert span([], minutes(-1), minutes(0.5)).why == "the stream has no window"
