"""What becomes of a record read from the bus: the ledger's word against the record's own."""

from __future__ import annotations

from dataclasses import replace as changed
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.attempt import Columns, Mark
from ingest.core.consumption import (
    AttemptFacts,
    BusRecord,
    EventFacts,
    KnownAttempts,
    RuledRecord,
    Ruling,
    SentEvents,
    _rule,
    bus_records,
    by_partition,
    is_undisputed,
    matches_sent,
    rule,
)

RUN, ATTEMPT = 7, 12
IDENTITY, DIGEST, OTHER = b"\x01" * 32, b"\x02" * 32, b"\x03" * 32
KEY = (RUN, IDENTITY)
MARK = Mark("install", ATTEMPT, IDENTITY, DIGEST)
RECORD = BusRecord(100, MARK, DIGEST)
FACTS = AttemptFacts("ACKED", "install", "topic", source=3, run_id=RUN, win=5, contract=1, offsets={40, 41})
EVENT = EventFacts(source=3, offset=40, win=5, digest=DIGEST, class_id=1)
KNOWN = KnownAttempts("install", "topic", {ATTEMPT: FACTS}, {KEY: EVENT}, frozenset())


def replace(value: Any, **changes: Any) -> Any:
    return value._replace(**changes) if isinstance(value, tuple) else changed(value, **changes)


def of(record: BusRecord, known: KnownAttempts = KNOWN) -> tuple[Ruling, str]:
    (said,) = rule([record], known)
    return said.ruling, said.why.split(":")[0]


@pytest.mark.parametrize("state", ["PREPARED", "UNKNOWN", "ACKED", "UNDECIDABLE"])
def test_an_event_of_an_attempt_is_applied_whatever_is_known_of_its_outcome(state: str) -> None:
    assert of(RECORD, with_attempt(state=state)) == (Ruling.APPLIED, "")


def test_an_attempt_counts_as_the_installation_that_published_it_and_as_no_other() -> None:
    """An older copy was adopted since: what it had published is its own, what the lost ledger published is not."""
    since = replace(KNOWN, install="another")
    assert of(RECORD, since) == (Ruling.APPLIED, "")
    assert of(replace(RECORD, mark=replace(MARK, install="another")), since) == (Ruling.FOREIGN, "NO_ATTEMPT")
    assert of(replace(RECORD, mark=replace(MARK, attempt=99)), since) == (Ruling.FOREIGN, "OTHER_INSTALL")


def with_attempt(**changes: object) -> KnownAttempts:
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
def test_what_no_attempt_explains_is_foreign(record: BusRecord, known: KnownAttempts, why: str) -> None:
    assert of(record, known) == (Ruling.FOREIGN, why)


@pytest.mark.parametrize("applied", [frozenset(), frozenset({KEY})])
def test_a_surviving_copy_of_what_is_lost_changes_nothing(applied: frozenset[tuple[int, bytes]]) -> None:
    """It is published again, and that copy is the one that counts; nothing contradicts."""
    known = replace(with_attempt(state="LOST"), applied=applied)
    assert of(RECORD, known) == (Ruling.DUPLICATE, "")
    assert not is_undisputed(known.attempts[ATTEMPT], "topic")
    assert of(replace(RECORD, digest=OTHER), known) == (Ruling.MISMATCHING, "DIGEST")


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


@pytest.mark.parametrize("state", ["UNDECIDABLE", "ACKED", "ABSENT", "PARTIAL"])
@pytest.mark.parametrize("applied", [frozenset(), frozenset({KEY})])
def test_what_people_decided_about_is_a_duplicate_from_then_on(
    state: str, applied: frozenset[tuple[int, bytes]]
) -> None:
    """Whether its event has an effect yet or not: what is absent is on its way again, what is present was applied."""
    (said,) = rule([RECORD], replace(with_attempt(state=state, decided=True), applied=applied))
    assert (said.ruling, said.contradiction, said.key, said.attempt) == (Ruling.DUPLICATE, "", KEY, ATTEMPT)
    assert of(replace(RECORD, digest=OTHER), with_attempt(state=state, decided=True)) == (Ruling.MISMATCHING, "DIGEST")


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
    expected: list[RuledRecord] = []
    for record in records:
        expected.append(_rule(record, known, met))
        met |= {expected[-1].key} if expected[-1].ruling is Ruling.APPLIED else set()
    assert rule(records, known) == expected


#: What two attempts sent to here, in its order: the number of an event is its identity's and its digest's, too.
SENT = {12: (1, 2, 3, 4), 13: (5, 6)}


def identity(number: int) -> bytes:
    return bytes([number]) * 32


def digest(number: int) -> bytes:
    return bytes([100 + number]) * 32


def column(numbers: Any, of: Any) -> bytes:
    return b"".join(map(of, numbers))


def as_sent(records: list[tuple[int, int, int, int]], states: tuple[str, str] = ("ACKED", "ACKED")) -> tuple[bool, Any]:
    """Records of (attempt, event, digest said, digest of the value): the answer by columns, and that of `rule`."""
    facts = {n: replace(FACTS, state=state, offsets=set(SENT[n])) for n, state in zip(SENT, states, strict=True)}
    events = {(RUN, identity(n)): EventFacts(3, n, 5, digest(n), 1) for numbers in SENT.values() for n in numbers}
    said = Columns(
        [("install", number, 1) for number, *_ in records],
        column([n for _, n, _, _ in records], identity),
        column([n for _, _, n, _ in records], digest),
    )
    plain = {number: one for number, one in facts.items() if is_undisputed(one, "topic")}
    sent = {number: SentEvents(column(of, identity), column(of, digest)) for number, of in SENT.items()}
    answer = matches_sent(said, column([n for *_, n in records], digest), plain, sent)
    marks = [Mark("install", number, identity(n), digest(d)) for number, n, d, _ in records]
    ruled = rule(
        bus_records(range(len(records)), marks, [digest(n) for *_, n in records]),
        KnownAttempts("install", "topic", facts, events, frozenset()),
    )
    return answer, {said.ruling for said in ruled}


@given(
    st.lists(st.sampled_from([(n, e, e, e) for n, some in SENT.items() for e in some] + [(12, 5, 5, 5)]), max_size=4),
    st.lists(st.tuples(st.sampled_from([12, 13]), *[st.integers(1, 7)] * 3), max_size=1),
    st.sampled_from(["ACKED", "UNKNOWN", "PARTIAL", "ABSENT"]),
)
def test_what_is_as_it_was_sent_is_applied_by_the_long_way_too(
    records: list[tuple[int, int, int, int]], other: list[tuple[int, int, int, int]], state: str
) -> None:
    answer, rulings = as_sent(records + other, ("ACKED", state))
    assert not answer or rulings <= {Ruling.APPLIED}


@pytest.mark.parametrize(
    ("numbers", "answer"),
    [
        ([(12, 1), (12, 2), (12, 3), (12, 4), (13, 5), (13, 6)], True),
        ([(12, 3), (12, 4), (13, 5)], True),
        ([(12, 2), (12, 2)], False),
        ([(12, 1), (12, 2), (13, 5), (12, 2)], False),
        ([(12, 7)], False),
        ([(13, 4)], False),
    ],
)
def test_any_part_of_what_was_sent_is_as_sent_but_once(numbers: list[tuple[int, int]], answer: bool) -> None:
    assert as_sent([(attempt, n, n, n) for attempt, n in numbers])[0] is answer


def test_records_in_another_order_than_they_were_sent_are_looked_at_one_by_one() -> None:
    said = Columns([("install", 12, 2)], column([2, 1], identity), column([2, 1], digest))
    sent = {12: SentEvents(column([1, 2], identity), column([1, 2], digest))}
    assert not matches_sent(said, column([2, 1], digest), {12: FACTS}, sent)


@pytest.mark.parametrize("wrong", [(12, 1, 9, 1), (12, 1, 1, 9), (12, 1, 9, 9), (12, 9, 1, 1)])
def test_other_bytes_are_never_as_sent(wrong: tuple[int, int, int, int]) -> None:
    assert not as_sent([wrong])[0]


def test_an_identity_across_two_others_is_not_among_what_was_sent() -> None:
    across = identity(1)[16:] + identity(2)[:16]
    said = Columns([("install", 12, 1)], across, digest(1))
    sent = {12: SentEvents(identity(1) + identity(2), digest(1) + digest(2))}
    assert not matches_sent(said, digest(1), {12: FACTS}, sent)


@pytest.mark.parametrize("changes", [{"plain": {12: replace(FACTS, install="other")}}, {"plain": {}}, {"sent": {}}])
def test_nothing_is_as_sent_by_another_install_or_an_attempt_that_is_not_plain(changes: dict[str, Any]) -> None:
    asked = {"plain": {12: FACTS}, "sent": {12: SentEvents(identity(1), digest(1))}}
    said = Columns([("install", 12, 1)], identity(1), digest(1))
    assert matches_sent(said, digest(1), **asked)
    assert not matches_sent(said, digest(1), **{**asked, **changes})


def test_what_an_attempt_sent_is_dealt_out_by_partition_in_its_order() -> None:
    numbers = [[1, 2, 3], [4]]
    batches = [([0, 1, 0][: len(some)], column(some, identity), column(some, digest)) for some in numbers]
    assert by_partition(batches) == {
        0: SentEvents(column([1, 3, 4], identity), column([1, 3, 4], digest)),
        1: SentEvents(identity(2), digest(2)),
    }
    assert by_partition([]) == {}


@pytest.mark.parametrize("before", [replace(RECORD, digest=OTHER), replace(RECORD, mark=replace(MARK, digest=OTHER))])
def test_other_bytes_under_an_identity_do_not_apply_its_event(before: BusRecord) -> None:
    """The event's own record comes later in the same read, and is the first copy of it."""
    said = rule([before, replace(RECORD, offset=101)], KNOWN)
    assert [each.ruling for each in said] == [Ruling.MISMATCHING, Ruling.APPLIED]


def test_a_record_that_was_proven_absent_does_not_apply_its_event() -> None:
    """The event was published again, by an attempt that stands."""
    refuted = replace(FACTS, state="ABSENT")
    known = replace(KNOWN, attempts={ATTEMPT: refuted, ATTEMPT + 1: FACTS})
    again = replace(RECORD, offset=101, mark=replace(MARK, attempt=ATTEMPT + 1))
    assert [each.ruling for each in rule([RECORD, again], known)] == [Ruling.FOREIGN, Ruling.APPLIED]


def test_equal_payloads_do_not_make_another_identity_one_that_was_sent() -> None:
    """Two events of one payload were sent, and a third identity comes in the place of the second."""
    sent = {ATTEMPT: SentEvents(identity(1) + identity(2), DIGEST * 2)}
    for second, answer in ((identity(2), True), (identity(3), False)):
        said = Columns([("install", ATTEMPT, 2)], identity(1) + second, DIGEST * 2)
        assert matches_sent(said, DIGEST * 2, {ATTEMPT: FACTS}, sent) is answer
