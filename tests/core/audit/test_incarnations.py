"""Where a log stops being what was received: by halves, over whatever receipts there are."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit.incarnations import kept_to, last_kept
from ingest.admit.received import ReceivedRecord


@given(st.sets(st.integers(0, 60), min_size=1), st.integers(0, 61), st.integers(0, 60))
def test_it_is_the_first_that_is_missing(offsets: set[int], cut: int, start: int) -> None:
    """Records from `cut` on are gone; what lies below the log's start cannot be compared."""
    asked: list[int] = []

    def received(below: int) -> ReceivedRecord | None:
        found = [offset for offset in offsets if offset < below]
        return ReceivedRecord(max(found), b"") if found else None

    def is_there(record: ReceivedRecord) -> bool:
        asked.append(record.offset)
        return record.offset < cut

    missing = [offset for offset in offsets if offset >= max(cut, start)]
    if not missing:
        return
    kept = last_kept(start, max(offsets), received, is_there)
    assert kept == min(missing)
    assert all(offset >= start for offset in asked)
    assert len(asked) <= 7


@dataclass
class Held:
    """A log that holds these offsets as they were received, and others besides."""

    start: int
    end: int
    same: frozenset[int]
    others: frozenset[int] = frozenset()

    def holds(self, record: ReceivedRecord) -> bool:
        return record.offset < self.start or record.offset in self.same

    def has_records(self, start: int, end: int) -> bool:
        return bool(self.others & set(range(start, end)))


@pytest.mark.parametrize(
    ("log", "kept"),
    [
        (Held(0, 10, frozenset(range(8))), 10),  # 8 and 9 are markers
        (Held(0, 9, frozenset(range(8))), 9),  # one of them is lost
        (Held(0, 20, frozenset(range(8)), frozenset({9})), 8),  # and a record came in its place
        (Held(0, 20, frozenset(range(8)), frozenset({10})), 10),  # what comes next is new
        (Held(0, 20, frozenset(range(5))), 5),  # others lie from 5 on
        (Held(0, 3, frozenset(range(3))), 3),
        (Held(0, 0, frozenset()), 0),
        (Held(9, 20, frozenset()), 10),  # retention took all that was received
        (Held(6, 20, frozenset({6})), 7),
    ],
)
def test_up_to_where_a_log_is_what_was_received(log: Held, kept: int) -> None:
    """Received were 0 to 7; the lane stands at 10."""

    def received(below: int) -> ReceivedRecord | None:
        return ReceivedRecord(min(below, 8) - 1, b"") if below > 0 else None

    assert kept_to(10, received, log) == kept
    assert kept_to(10, lambda below: None, Held(10, 20, frozenset(), frozenset({10}))) == 10
