"""From reads to batches: every offset once, never across a cut, never beyond a limit but for one record."""

from __future__ import annotations

from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.batching import (
    HEADER_BYTES,
    Hole,
    OffsetRange,
    PollSkip,
    bounded,
    check_dense,
    joined,
    next_batch,
    split,
    weight,
)


class Record(NamedTuple):
    offset: int
    value: bytes | None = b"12345"
    key: bytes | None = None
    headers: list[tuple[str, bytes | None]] | None = None
    leader_epoch: int | None = 1


def hole(start: int, end: int) -> Hole:
    return Hole(start, end, 1, "read_committed", "MARKER")


def poll(start: int, end: int, *holes: Hole) -> OffsetRange:
    """Of five bytes a record."""
    taken = {offset for each in holes for offset in range(each.start, each.end)}
    return OffsetRange(start, end, 7, [Record(at) for at in range(start, end) if at not in taken], holes)


def spans(part: OffsetRange) -> tuple[int, int, list[int], list[tuple[int, int]]]:
    return part.start, part.end, [r.offset for r in part.records], [(h.start, h.end) for h in part.holes]


def test_a_record_weighs_all_that_is_kept_of_it() -> None:
    assert weight(Record(0, None)) == 0
    assert weight(Record(0, b"123", b"45", [("ab", b"6"), ("c", None)])) == 5 + 2 * HEADER_BYTES + 4


# ---- every offset once ----


@pytest.mark.parametrize("good", [poll(5, 8), poll(5, 9, hole(6, 8)), poll(5, 7, hole(5, 7)), poll(5, 5)])
def test_records_and_holes_that_tile_a_poll_are_dense(good: OffsetRange) -> None:
    check_dense(good, 5)


@pytest.mark.parametrize(
    ("bad", "found"),
    [
        (poll(6, 8), "offset 6"),
        (OffsetRange(5, 8, 1, [Record(5), Record(7)], []), "offset 7"),
        (OffsetRange(5, 8, 1, [Record(5), Record(6)], []), "up to 7"),
        (OffsetRange(5, 8, 1, [Record(5), Record(7)], [hole(6, 8)]), "offset 7"),
        (OffsetRange(5, 8, 1, [Record(5), Record(6), Record(7)], [hole(7, 8)]), "offset 7"),
        (OffsetRange(5, 9, 1, [Record(5)], [hole(6, 8)]), "up to 8"),
        (OffsetRange(5, 7, 1, [Record(5), Record(6), Record(7)], []), "up to 8"),
    ],
)
def test_a_poll_that_skips_or_says_twice_is_refused(bad: OffsetRange, found: str) -> None:
    with pytest.raises(PollSkip, match=found):
        check_dense(bad, 5)


def test_polls_are_joined_where_one_ends_and_the_other_begins() -> None:
    both = joined(poll(5, 7), poll(7, 9, hole(8, 9)))
    assert (spans(both), both.size) == ((5, 9, [5, 6, 7], [(8, 9)]), 15)
    for other in (poll(8, 9), poll(6, 9)):
        with pytest.raises(PollSkip):
            joined(poll(5, 7), other)


# ---- cuts and limits ----


@pytest.mark.parametrize(
    ("at", "below", "above"),
    [
        (7, (5, 7, [5], [(6, 7)]), (7, 10, [9], [(7, 9)])),
        (6, (5, 6, [5], []), (6, 10, [9], [(6, 9)])),
        (9, (5, 9, [5], [(6, 9)]), (9, 10, [9], [])),
        (10, (5, 10, [5, 9], [(6, 9)]), (10, 10, [], [])),
        (11, (5, 10, [5, 9], [(6, 9)]), (10, 10, [], [])),
    ],
)
def test_a_hole_across_a_cut_is_claimed_in_two_parts(at: int, below: object, above: object) -> None:
    parts = split(poll(5, 10, hole(6, 9)), at)
    assert tuple(map(spans, parts)) == (below, above)
    assert [part.size for part in parts] == [5 * len(part.records) for part in parts]


def test_what_ends_at_the_limit_is_not_split() -> None:
    whole = poll(5, 8)
    assert split(whole, 8)[0] is whole


@pytest.mark.parametrize(
    ("records", "size", "taken"),
    [
        (9, 99, 4),
        (4, 99, 4),
        (3, 99, 3),
        (9, 20, 4),
        (9, 19, 3),
        (9, 10, 2),
        (9, 9, 1),
        (9, 4, 1),
        (2, 19, 2),
        (1, 4, 1),
    ],
)
def test_a_batch_is_the_longest_within_both_limits_and_never_none(records: int, size: int, taken: int) -> None:
    head, rest = bounded(poll(5, 9), records, size)
    assert (len(head.records), len(rest.records)) == (taken, 4 - taken)


def test_a_batch_stops_at_the_cut_and_nothing_of_the_rest_is_lost() -> None:
    batch, rest = next_batch(poll(5, 9), 7, 9, 99)
    assert (spans(batch)[:2], spans(rest)[:2]) == ((5, 7), (7, 9))
    batch, rest = next_batch(poll(5, 9), 7, 1, 99)
    assert (spans(batch)[:2], spans(rest)[:2]) == ((5, 6), (6, 9))
    batch, rest = next_batch(poll(5, 9), None, 3, 99)
    assert (spans(batch)[:2], spans(rest)[:2]) == ((5, 8), (8, 9))


@given(st.sets(st.integers(5, 19)), st.integers(5, 21), st.integers(1, 9), st.integers(1, 60))
def test_batches_of_a_poll_tile_it(holes: set[int], cut: int, records: int, size: int) -> None:
    whole = rest = poll(5, 20, *(hole(at, at + 1) for at in sorted(holes)))
    at, read = 5, []
    while rest.end > rest.start:
        batch, rest = next_batch(rest, cut if at < cut else None, records, size)
        check_dense(batch, at)
        assert len(batch.records) <= records and not batch.start < cut < batch.end
        assert batch.size <= size or len(batch.records) == 1
        at, read = batch.end, [*read, *batch.records]
    assert (at, read) == (20, list(whole.records))
