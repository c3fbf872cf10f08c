"""What becomes of a record read from the bus: the ledger's word against the record's own."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.attempt import Mark
from ingest.core.consumption import AttemptFacts, BusRecord, EventFacts, Known, Ruled, Ruling, _rule, bus_records, rule

RUN, ATTEMPT = 7, 12
IDENTITY, DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
KEY = (RUN, IDENTITY)
MARK = Mark("install", ATTEMPT, IDENTITY, DIGEST)
RECORD = BusRecord(100, MARK, DIGEST)
FACTS = AttemptFacts("ACKED", "topic", source=3, run_number=RUN, win=5, contract=1, offsets={40, 41})
EVENT = EventFacts(source=3, offset=40, win=5, digest=DIGEST, class_id=1)
KNOWN = Known("install", "topic", {ATTEMPT: FACTS}, {KEY: EVENT}, frozenset())


def replace(value: Any, **changes: Any) -> Any:
    return value._replace(**changes) if isinstance(value, tuple) else changed(value, **changes)


def of(record: BusRecord, known: Known = KNOWN) -> tuple[Ruling, str]:
    (said,) = rule([record], known)
    return said.ruling, said.why.split(":")[0]


@pytest.mark.parametrize("state", ["PREPARED", "UNKNOWN", "ACKED", "UNDECIDABLE"])
def test_an_event_of_an_attempt_is_applied_whatever_is_known_of_its_outcome(state: str) -> None:
    assert of(RECORD, with_attempt(state=state)) == (Ruling.APPLIED, "")


def with_attempt(**changes: object) -> Known:
    return replace(KNOWN, attempts={ATTEMPT: replace(FACTS, **changes)})  # type: ignore[arg-type]


def test_a_second_copy_is_duplicate_in_one_read_and_across_reads() -> None:
    first, second = rule([RECORD, replace(RECORD, offset=101)], KNOWN)
    assert (first.ruling, second.ruling) == (Ruling.APPLIED, Ruling.DUPLICATE)
    assert of(RECORD, replace(KNOWN, applied={KEY})) == (Ruling.DUPLICATE, "")


@pytest.mark.parametrize(
    ("record", "known", "why"),
    [
        (replace(RECORD, mark="pg-digest is repeated"), KNOWN, "NO_MARK"),
        (replace(RECORD, mark=replace(MARK, install="other")), KNOWN, "OTHER_INSTALL"),
        (replace(RECORD, mark=replace(MARK, attempt=99)), KNOWN, "NO_ATTEMPT"),
        (RECORD, replace(KNOWN, topic_id="made again"), "OTHER_TOPIC"),
        (replace(RECORD, mark=replace(MARK, identity=OTHER)), KNOWN, "NOT_IN_ATTEMPT"),
        (RECORD, with_attempt(offsets={41}), "NOT_IN_ATTEMPT"),
        (RECORD, with_attempt(source=4), "NOT_IN_ATTEMPT"),
    ],
)
def test_what_no_attempt_explains_is_foreign(record: BusRecord, known: Known, why: str) -> None:
    assert of(record, known) == (Ruling.FOREIGN, why)


@pytest.mark.parametrize("record", [replace(RECORD, digest=OTHER), replace(RECORD, mark=replace(MARK, digest=OTHER))])
def test_other_bytes_are_mismatching_whichever_says_so(record: BusRecord) -> None:
    assert of(record) == (Ruling.MISMATCHING, "DIGEST")


@pytest.mark.parametrize(
    ("changes", "contradiction"),
    [
        ({"state": "ABSENT"}, "ABSENT_APPEARED"),
        ({"state": "NOT_SENT"}, "NOT_SENT_APPEARED"),
        ({"state": "PARTIAL", "placed": {41}}, "PARTIAL_APPEARED"),
        ({"state": "PARTIAL", "placed": {40}}, ""),
    ],
)
@pytest.mark.parametrize("applied", [frozenset(), frozenset({KEY})])
def test_s23_what_was_proven_absent_and_appears_is_a_contradiction_and_never_applied(
    changes: dict[str, object], contradiction: str, applied: frozenset[tuple[int, bytes]]
) -> None:
    (said,) = rule([RECORD], replace(with_attempt(**changes), applied=applied))
    assert said.contradiction == contradiction
    assert (said.ruling is Ruling.FOREIGN) == bool(contradiction)


@given(st.lists(st.sampled_from([MARK, replace(MARK, attempt=99), replace(MARK, identity=OTHER), "none"]), max_size=9))
def test_an_event_is_applied_at_most_once_and_every_record_is_ruled(marks: list[Mark | str]) -> None:
    said = rule([BusRecord(i, mark, DIGEST) for i, mark in enumerate(marks)], KNOWN)
    assert [ruled.offset for ruled in said] == list(range(len(marks)))
    assert sum(ruled.ruling is Ruling.APPLIED for ruled in said) == int(MARK in marks)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(
                [
                    MARK,
                    *(
                        replace(MARK, **{f: v})
                        for f, v in [("attempt", 99), ("identity", OTHER), ("digest", OTHER), ("install", "x")]
                    ),
                    "none",
                ]
            ),
            st.sampled_from([DIGEST, OTHER]),
        ),
        max_size=9,
    ),
    st.sampled_from(["ACKED", "UNKNOWN", "PARTIAL", "ABSENT", "NOT_SENT"]),
    st.sampled_from([{40, 41}, {41}]),
    st.sampled_from(["topic", "made again"]),
    st.sampled_from([frozenset(), frozenset({KEY})]),
)
def test_the_short_way_rules_as_the_long_one(
    said: list[tuple[Mark | str, bytes]], state: str, offsets: set[int], topic: str, applied: frozenset[Any]
) -> None:
    known = replace(with_attempt(state=state, offsets=offsets), topic_id=topic, applied=applied)
    records = bus_records(range(len(said)), [mark for mark, _ in said], [digest for _, digest in said])
    met = set(applied)
    expected: list[Ruled] = []
    for record in records:
        expected.append(_rule(record, known, met))
        met |= {expected[-1].key} if expected[-1].ruling is Ruling.APPLIED else set()
    assert rule(records, known) == expected
