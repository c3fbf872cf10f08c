"""What an unsettled attempt waits for, and which answers are worth asking for again. Pure."""

from __future__ import annotations

import pytest

from ingest.core.reconciliation import again_after, passes, patience


@pytest.mark.parametrize(
    ("why", "again"),
    [
        ("SCAN: partition 0 was read to 4 of 9: the broker went away", True),
        (
            "SCAN: partition 0 was not read; after the scan: UNMEASURED: the offsets of partition 0 were not answered",
            True,
        ),
        ("LOG_START: partition 0 starts at 9, after the attempt began at 4", False),
        ("SCAN: partition 0 was not read; TOPIC: sent to topic id a, found b", False),
        ("APPLIED: 1 events were not found, but have already been read from the bus and applied", False),
        ("", False),
    ],
)
def test_only_what_may_have_passed_is_looked_at_again(why: str, again: bool) -> None:
    assert passes(why) is again


def test_scans_that_cannot_answer_become_rarer() -> None:
    assert [again_after(20, scans) for scans in (1, 2, 3)] == [40, 80, 160]
    assert again_after(20, 100) == again_after(20, 7)


def test_a_long_transaction_is_looked_at_more_and_more_rarely() -> None:
    assert [patience(silent, 55) for silent in (0, 20, 60, 4_000)] == [5, 5, 15, 55]
