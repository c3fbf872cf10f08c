"""A publish lane that stands still is a cause where the window waits for it, and is said once."""

from __future__ import annotations

from typing import Any

import pytest

from audit.core import facts as f
from audit.core.stopped import publish_causes
from ingest.core import stops

STOPPED = f.LaneStop("the publish lane of inbox/0", "bus_compacts")
WAITS = f.LaneStop("the publish lane of inbox/0", stops.RECONCILE)
BRIEF = f.LaneStop("the publish lane of inbox/0", next(code for code in stops.STOPS if stops.is_brief(code)))


def causes(stop: f.LaneStop, **more: Any) -> int:
    """Of a window with ten events, four of them without a place."""
    return len(list(publish_causes(f.PublishFacts(10, 6, 0, stopped=(stop,), **{"queued": 4, **more}))))


def test_a_lane_that_stopped_is_a_cause_where_events_wait_for_it() -> None:
    assert causes(STOPPED) == 1
    assert list(publish_causes(f.PublishFacts(10, 10, 0, 0, stopped=(STOPPED,)))) == []


def test_a_lane_that_goes_on_by_itself_is_none() -> None:
    assert causes(BRIEF) == 0


@pytest.mark.parametrize("own", ["unknown", "undecidable", "withheld"])
def test_what_a_lane_waits_for_is_not_said_beside_the_windows_own_attempts(own: str) -> None:
    """They are what it waits for; a lane that waits for another window's is a cause, and so is one that stopped."""
    assert causes(WAITS, queued=0, **{own: (1, 4)}) == 0
    assert causes(WAITS) == 1
    assert causes(STOPPED, queued=0, **{own: (1, 4)}) == 1


def test_a_lane_that_waits_for_silence_says_so_though_nobody_need_do_anything() -> None:
    assert causes(f.LaneStop("the publish lane of inbox/0", stops.SILENCE)) == 1
