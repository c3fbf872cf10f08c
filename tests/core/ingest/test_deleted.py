"""What a lane makes of offsets that are not in the log any more: a hole where they were deleted, and nothing else."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from ingest.core.batching import DELETED, OffsetRange
from ingest.core.errors import BrokerError
from ingest.kafka import LogEnds, OffsetOutOfRange, Partition
from ingest.lanes.partition_lane import PartitionLane

HERE = Partition("inbox", 0)


def deleted(start: int | None, end: int | None, cut: int | None = None, topic: list[str] | None = None) -> OffsetRange:
    """Of a lane that stands at 10, by where the log says that it starts and ends."""
    asked = iter(topic or [])

    def same_topic() -> None:
        if next(asked, ""):
            raise BrokerError(found="another incarnation")

    lane: Any = SimpleNamespace(
        here=HERE,
        lease=SimpleNamespace(next_offset=10),
        _check_topic=same_topic,
        _admin=SimpleNamespace(ends=lambda name, partitions: {0: LogEnds(start, end, end, 1)}),
    )
    return PartitionLane._deleted(lane, OffsetOutOfRange(found="10"), cut)


@pytest.mark.parametrize(
    ("start", "end", "cut", "upto"), [(11, 20, None, 11), (20, 20, None, 20), (15, 20, 12, 12), (12, 20, 15, 12)]
)
def test_what_retention_took_is_passed_as_a_hole_up_to_the_cut(
    start: int, end: int, cut: int | None, upto: int
) -> None:
    poll = deleted(start, end, cut)
    assert (poll.start, poll.end, poll.records) == (10, upto, ())
    assert [(hole.start, hole.end, hole.why) for hole in poll.holes] == [(10, upto, DELETED)]


@pytest.mark.parametrize(("start", "end"), [(None, 20), (12, None), (10, 20), (9, 20), (0, 8), (21, 20), (None, None)])
def test_anything_else_is_the_fault_that_it_was(start: int | None, end: int | None) -> None:
    """The log was cut short, starts behind its end, or nobody answered: nothing of it is passed."""
    with pytest.raises(OffsetOutOfRange):
        deleted(start, end)


@pytest.mark.parametrize("answers", [["another"], ["", "another"]])
def test_the_start_of_another_incarnation_says_nothing(answers: list[str]) -> None:
    """Before the log is asked, and after."""
    with pytest.raises(BrokerError, match="another incarnation"):
        deleted(12, 20, topic=answers)
