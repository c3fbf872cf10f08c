"""A scan's answer, and every reason for which it is none."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.reconciliation import (
    Anchor,
    Answer,
    ExpectedEvent,
    FoundRecord,
    Ground,
    Moment,
    PreparedFacts,
    ScanAnswer,
    ScanExtent,
    WaitReason,
    decide,
    due,
    held_back,
)

EVENTS = tuple(ExpectedEvent(i, bytes([i]) * 32, bytes([i + 100]) * 32, i % 2) for i in range(4))
PREPARED = PreparedFacts("cluster", "topic", (Anchor(0, 10, 3), Anchor(1, 50, 3)), EVENTS)
SOUND = Moment("cluster", "topic", {0: Ground(0, 20, 20, ""), 1: Ground(50, 60, 60, "")})
READS = (ScanExtent(0, 20, 20, 9), ScanExtent(1, 60, 60, 8))


def found(event: ExpectedEvent, offset: int) -> FoundRecord:
    return FoundRecord(event.partition, offset, event.identity, event.digest)


ALL = [found(event, 10 + event.index) for event in EVENTS]


def answer(before: Moment = SOUND, after: Moment = SOUND, reads: tuple[ScanExtent, ...] = READS) -> ScanAnswer:
    return decide(PREPARED, before, after, reads, ALL)


def test_all_found_is_present_with_every_place() -> None:
    said = answer()
    assert said.answer is Answer.PRESENT
    assert said.places == {0: (0, 10), 1: (1, 11), 2: (0, 12), 3: (1, 13)}


def test_none_found_is_absent() -> None:
    assert decide(PREPARED, SOUND, SOUND, READS, []).answer is Answer.ABSENT


def test_some_found_is_partial_and_only_these_have_places() -> None:
    said = decide(PREPARED, SOUND, SOUND, READS, ALL[:1])
    assert said.answer is Answer.PARTIAL
    assert said.places == {0: (0, 10)}


def test_the_lowest_copy_is_the_place_and_the_others_are_counted() -> None:
    said = decide(PREPARED, SOUND, SOUND, READS, [replace(ALL[0], offset=15), *ALL])
    assert said.answer is Answer.PRESENT
    assert (said.places or {})[0] == (0, 10)
    assert said.copies == 1


def test_another_digest_under_our_attempt_is_not_our_event() -> None:
    said = decide(PREPARED, SOUND, SOUND, READS, [replace(ALL[0], digest=b"x" * 32), *ALL[1:]])
    assert said.answer is Answer.PARTIAL
    assert said.strangers == 1


def ground(partition: int, **changes: object) -> Moment:
    grounds = dict(SOUND.grounds)
    grounds[partition] = replace(grounds[partition], **changes)  # type: ignore[arg-type]
    return replace(SOUND, grounds=grounds)


UNSOUND = [
    (replace(SOUND, cluster_id="other"), "CLUSTER: sent to cluster cluster, found other"),
    (replace(SOUND, cluster_id=None), "CLUSTER: sent to cluster cluster, found no answer"),
    (replace(SOUND, topic_id="other"), "TOPIC: sent to topic id topic, found other"),
    (replace(SOUND, topic_id=None), "TOPIC: sent to topic id topic, found no such topic"),
    (replace(SOUND, grounds={0: SOUND.grounds[0]}), "PARTITION: partition 1 is gone"),
    (ground(1, earliest=51), "LOG_START: partition 1 starts at 51, after the attempt began at 50"),
    (ground(0, hi=9), "LOG_END: partition 0 ends at 9, before the attempt began at 10"),
    (ground(0, earliest=None), "UNMEASURED: the offsets of partition 0 were not answered"),
    (ground(0, hi=None), "UNMEASURED: the offsets of partition 0 were not answered"),
    (ground(0, diverged="truncation detected"), "EPOCH: partition 0: truncation detected"),
    (ground(0, diverged=None), "UNMEASURED: the epoch probe of partition 0 was not answered"),
]


@pytest.mark.parametrize(("moment", "why"), UNSOUND)
def test_what_the_scan_stands_on_must_hold_before_and_after(moment: Moment, why: str) -> None:
    before = answer(before=moment)
    assert (before.answer, before.why) == (Answer.UNDECIDABLE, why)
    after = answer(after=moment)
    assert (after.answer, after.why) == (Answer.UNDECIDABLE, f"after the scan: {why}")
    assert before.places is None


def test_an_anchor_without_epoch_proves_nothing() -> None:
    prepared = replace(PREPARED, anchors=(Anchor(0, 10, None), PREPARED.anchors[1]))
    said = decide(prepared, SOUND, SOUND, READS, [])
    assert said.answer is Answer.UNDECIDABLE
    assert "EPOCH: no leader epoch was known" in said.why


@pytest.mark.parametrize(
    ("reads", "why"),
    [
        (READS[:1], "SCAN: partition 1 was not read"),
        ((READS[0], ScanExtent(1, 60, 57, 5)), "SCAN: partition 1 was read to 57 of 60: it ended early"),
        (
            (READS[0], ScanExtent(1, 60, 57, 5, "beyond 5 records")),
            "SCAN: partition 1 was read to 57 of 60: beyond 5 records",
        ),
        # It says that it broke off, whatever it says of how far it came.
        ((READS[0], ScanExtent(1, 60, 60, 5, "it went back")), "SCAN: partition 1 was read to 60 of 60: it went back"),
    ],
)
def test_what_was_not_read_was_not_found_absent(reads: tuple[ScanExtent, ...], why: str) -> None:
    said = answer(reads=reads)
    assert (said.answer, said.why) == (Answer.UNDECIDABLE, why)


def test_an_open_transaction_below_the_end_is_waited_for() -> None:
    assert held_back(SOUND) == ()
    assert held_back(ground(1, lso=55)) == (1,)
    assert held_back(ground(1, lso=None)) == (1,)


@given(st.sets(st.sampled_from(range(4))), st.lists(st.sampled_from(range(4))))
def test_the_answer_is_of_sets_and_order_and_copies_do_not_matter(present: set[int], copies: list[int]) -> None:
    records = [ALL[i] for i in present] + [replace(ALL[i], offset=18) for i in copies if i in present]
    said = decide(PREPARED, SOUND, SOUND, READS, reversed(records))
    assert set(said.places or {}) == present
    assert said.answer is (Answer.PRESENT if len(present) == 4 else Answer.PARTIAL if present else Answer.ABSENT)


def test_a_scan_that_misses_what_was_already_applied_is_not_believed() -> None:
    said = decide(PREPARED, SOUND, SOUND, READS, ALL[:2], applied=[0, 3])
    assert said.answer is Answer.UNDECIDABLE
    assert said.why.startswith("APPLIED: 1 events were not found")
    assert decide(PREPARED, SOUND, SOUND, READS, ALL[:2], applied=[0]).answer is Answer.PARTIAL


@pytest.mark.parametrize(
    ("undecidable", "requested", "automatic", "silent", "expected"),
    [
        (False, True, False, 0.0, WaitReason.NOW),
        (True, True, False, 0.0, WaitReason.NOW),
        (False, False, True, 19.9, WaitReason.SILENCE),
        (False, False, True, 20.0, WaitReason.NOW),
        (False, False, False, 99.0, WaitReason.REQUEST),
        (True, False, True, 99.0, WaitReason.REQUEST),
    ],
)
def test_when_an_attempt_is_reconciled(
    undecidable: bool, requested: bool, automatic: bool, silent: float, expected: WaitReason
) -> None:
    assert due(undecidable, requested, automatic, silent, 20.0) is expected


def test_a_log_that_ends_where_the_attempt_began_holds_nothing_of_it() -> None:
    assert decide(PREPARED, ground(0, hi=10, lso=10), ground(0, hi=10, lso=10), READS, []).answer is Answer.ABSENT


def test_an_end_that_nobody_measured_is_not_waited_for() -> None:
    """Nobody can say that something stands before it: the scan says what it lacks."""
    assert held_back(ground(0, hi=None, lso=None)) == ()
    assert held_back(ground(0, lso=None)) == (0,)
