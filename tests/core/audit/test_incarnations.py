"""Where a log stops being what was received: by halves, over whatever receipts there are."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from audit.incarnations import last_kept
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
