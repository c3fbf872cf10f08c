"""Which window an offset belongs to: exactly one, however windows open and are cut around the lane's position."""

from __future__ import annotations

import pytest

from ingest.core.binding import CutPending, SourceBinding, bind, cut, leave

BEFORE = SourceBinding(10, 20, 1, 2)  # its cut lies ahead, and window 2 goes on from there
AT = SourceBinding(20, 20, 1, 2)  # the cut has been reached
FREE = SourceBinding(10, None, 1, None)  # window 1 is open


@pytest.mark.parametrize(
    ("bound", "ahead", "current"),
    [(BEFORE, 20, 1), (AT, None, 2), (FREE, None, 1), (SourceBinding(19, 20, 1, 2), 20, 1)],
)
def test_a_cut_bounds_batches_until_it_is_reached(bound: SourceBinding, ahead: int | None, current: int) -> None:
    assert (bound.ahead, bound.current) == (ahead, current)


def test_a_window_begins_at_the_cut_ahead_or_at_the_position() -> None:
    assert bind(SourceBinding(10, 20, 1), 2) == (BEFORE, 20)
    assert bind(SourceBinding(20, 20, 1), 2) == (SourceBinding(20, None, 2, None), 20)
    assert bind(SourceBinding(7), 2) == (SourceBinding(7, None, 2, None), 7)


def test_a_window_is_cut_at_the_later_of_position_and_lso() -> None:
    assert cut(FREE, 1, 30) == SourceBinding(10, 30, 1, None)
    assert cut(FREE, 1, 5) == SourceBinding(10, 10, 1, None)
    assert cut(AT, 2, 30) == SourceBinding(20, 30, 2, None)


def test_a_window_behind_an_earlier_cut_cannot_be_cut_yet() -> None:
    with pytest.raises(CutPending, match="position 10 before cut 20"):
        cut(BEFORE, 2, 30)


def test_a_log_that_is_gone_is_left_where_the_lane_stands() -> None:
    assert leave(FREE, 1) == (SourceBinding(10, 10, 1, None), 10)
    assert leave(AT, 2) == (SourceBinding(20, 20, 2, None), 20)


def test_a_window_that_never_got_an_offset_of_a_log_that_is_gone_leaves_none_behind() -> None:
    assert leave(BEFORE, 2) == (SourceBinding(10, 20, 1, None), 20)
    assert leave(BEFORE, 3) == (BEFORE, 20)
    assert leave(FREE, 3) == (FREE, 10)
