"""What an attempt may carry, and what a record on the bus says about itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.attempt import (
    BusAnswer,
    Columns,
    Mark,
    QueuedBatch,
    SentTo,
    attempt_mark,
    bus_is_there,
    choose,
    digest_of,
    marked,
    marked_all,
    not_lost,
    read_columns,
    read_mark,
    read_marks,
    transactional_id,
)

INSTALL = UUID("0191d2a4-0000-7000-8000-000000000001")
I, D = b"\x01" * 32, b"\x02" * 32  # noqa: E741


def queued(number: int, events: int = 10, size: int = 100, win: int = 1, contract: int = 1) -> QueuedBatch:
    return QueuedBatch(number, number * 100, number * 100 + 50, events, size, win, 7, contract)


def numbers(chosen: list[QueuedBatch]) -> list[int]:
    return [batch.batch for batch in chosen]


def test_in_offset_order_up_to_the_bounds() -> None:
    assert numbers(choose([queued(3), queued(1), queued(2)], events_most=20)) == [1, 2]
    assert numbers(choose([queued(1), queued(2)], bytes_most=150)) == [1]


def test_one_batch_beyond_the_bounds_goes_alone() -> None:
    assert numbers(choose([queued(1, events=9000), queued(2)])) == [1]


@pytest.mark.parametrize("other", [queued(2, win=2), queued(2, contract=2)])
def test_an_attempt_belongs_to_one_window_and_one_contract(other: QueuedBatch) -> None:
    assert numbers(choose([queued(1), other, queued(3)])) == [1]


@given(st.lists(st.tuples(st.integers(1, 6000), st.integers(1, 9_000_000), st.integers(1, 2)), max_size=9))
def test_chosen_is_a_beginning_and_never_empty(raw: list[tuple[int, int, int]]) -> None:
    batches = [queued(i, events, size, win) for i, (events, size, win) in enumerate(raw)]
    chosen = choose(batches)
    assert chosen == batches[: len(chosen)]
    assert bool(chosen) == bool(batches)
    assert len(chosen) < 2 or (sum(b.events for b in chosen) <= 5000 and len({b.win for b in chosen}) == 1)


def test_a_record_carries_its_original_headers_then_ours() -> None:
    headers = marked([("a", b"1"), ("pg-digest", b"forged"), ("a", None)], I, attempt_mark(INSTALL, 12), D)
    assert headers == [
        ("a", b"1"),
        ("a", None),
        ("pg-identity", "01" * 32),
        ("pg-attempt", b"0191d2a4-0000-7000-8000-000000000001/12"),
        ("pg-digest", "02" * 32),
    ]
    as_read = [(name, value.encode() if isinstance(value, str) else value) for name, value in headers]
    assert read_mark(as_read) == Mark(str(INSTALL), 12, I, D)


GOOD = {"pg-identity": b"01" * 32, "pg-attempt": b"x/12", "pg-digest": b"02" * 32}


@pytest.mark.parametrize(
    ("headers", "why"),
    [
        (None, "pg-attempt, pg-digest, pg-identity missing"),
        ([("pg-attempt", b"x/12")], "pg-digest, pg-identity missing"),
        ([*GOOD.items(), ("pg-digest", b"02" * 32)], "pg-digest is repeated"),
        (list({**GOOD, "pg-attempt": b"12"}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-attempt": b"x/-1"}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-attempt": b"x/" + b"9" * 40}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-identity": b"zz" * 32}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-identity": b"\xff" * 64}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-digest": b"02"}.items()), "a header of ours does not say what it must"),
        (list({**GOOD, "pg-digest": None}.items()), "a header of ours does not say what it must"),
    ],
)
def test_a_record_without_our_mark_says_why(headers: list[tuple[str, bytes | None]] | None, why: str) -> None:
    assert read_mark(headers) == why


@given(st.lists(st.tuples(st.sampled_from([*GOOD, "x"]), st.one_of(st.none(), st.binary(max_size=80)))))
def test_reading_a_mark_never_raises(headers: list[tuple[str, bytes | None]]) -> None:
    assert isinstance(read_mark(headers), Mark | str)


@given(
    st.lists(
        st.one_of(
            st.none(),
            st.lists(
                st.tuples(st.sampled_from([*GOOD, "x"]), st.one_of(st.none(), st.binary(max_size=80))), max_size=4
            ),
            st.fixed_dictionaries(
                {
                    "pg-identity": st.sampled_from([GOOD["pg-identity"], b" 1" * 32, b"zz" * 32, b"01", b"", None]),
                    "pg-attempt": st.sampled_from([b"x/12", b"x/-1", b"12", b"", None]),
                    "pg-digest": st.sampled_from([GOOD["pg-digest"], b"\xff" * 64, b"02" * 31, b"", None]),
                }
            ).map(lambda said: list(said.items())),
        )
    )
)
def test_many_marks_are_read_as_each_is(headers: list[list[tuple[str, bytes | None]] | None]) -> None:
    assert read_marks(headers) == [read_mark(each) for each in headers]
    assert {type(mark) for mark in read_marks(headers)} <= {Mark, str}


def told(said: Columns) -> list[Mark]:
    """The marks that columns hold."""
    senders = [(install, number) for install, number, count in said.senders for _ in range(count)]
    cut = [[column[at : at + 32] for at in range(0, len(column), 32)] for column in (said.identities, said.digests)]
    return [Mark(*sender, *digests) for sender, *digests in zip(senders, *cut, strict=True)]


MARKED = st.tuples(
    st.lists(st.tuples(st.sampled_from(["a", "x", "pg-digest"]), st.sampled_from([b"1", None])), max_size=1),
    st.fixed_dictionaries(
        {
            "pg-identity": st.sampled_from([b"01" * 32, b"03" * 32, b"01" * 31, b"zz" * 32, None]),
            "pg-attempt": st.sampled_from([b"x/12", b"x/13", b"12", None]),
            "pg-digest": st.sampled_from([b"02" * 32, b"04" * 32, b"", None]),
        }
    ).map(lambda said: list(said.items())),
)


@given(st.lists(st.one_of(st.none(), MARKED.map(lambda both: both[0] + both[1]), MARKED.map(lambda both: both[1]))))
def test_columns_say_what_each_mark_says_or_nothing(headers: list[list[tuple[str, bytes | None]] | None]) -> None:
    said = read_columns(headers)
    assert said is None or told(said) == [read_mark(each) for each in headers]


@pytest.mark.parametrize("before", [[], [("a", b"1"), ("b", None)]])
def test_what_our_lanes_write_is_read_by_columns(before: list[tuple[str, bytes | None]]) -> None:
    wrote = [
        [(name, value.encode() if isinstance(value, str) else value) for name, value in marked(before, *each)]
        for each in ((I, attempt_mark(INSTALL, 12), D), (D, attempt_mark(INSTALL, 12), I), (I, b"x/13", I))
    ]
    said = read_columns(wrote)
    assert said is not None
    assert told(said) == [read_mark(each) for each in wrote]
    assert said.senders == [(str(INSTALL), 12, 2), ("x", 13, 1)]


@pytest.mark.parametrize("name", GOOD)
def test_a_header_of_ours_before_ours_is_no_column(name: str) -> None:
    assert read_columns([[(name, GOOD[name]), *GOOD.items()]]) is None
    assert read_columns([[("x", b""), *GOOD.items()]]) is not None


def test_many_events_are_marked_as_each_is() -> None:
    originals = [None, [], [("a", b"1"), ("pg-digest", b"forged")]]
    mark = attempt_mark(INSTALL, 12)
    assert list(marked_all(originals, [I, D, I], mark, [D, I, D])) == [
        marked(original, identity, mark, digest)
        for original, identity, digest in zip(originals, [I, D, I], [D, I, D], strict=True)
    ]


def test_two_installations_on_one_cluster_do_not_share_a_transactional_id() -> None:
    assert transactional_id(INSTALL, 5) == "passgate.0191d2a4-0000-7000-8000-000000000001.5"


#: Each one header away from what our lanes write.
HURT = [
    *([*GOOD.items()][:at] + [("x", value)] + [*GOOD.items()][at + 1 :] for at, value in enumerate(GOOD.values())),
    *([(name, None if name == hurt else value) for name, value in GOOD.items()] for hurt in GOOD),
    *([(name, b"" if name == hurt else value) for name, value in GOOD.items()] for hurt in GOOD),
    list({**GOOD, "pg-attempt": b"12"}.items()),
    list({**GOOD, "pg-identity": b"zz" * 32}.items()),
    list({**GOOD, "pg-digest": b"02" * 31}.items()),
    list(reversed(GOOD.items())),
]


@pytest.mark.parametrize("headers", HURT)
def test_no_short_way_reads_what_is_hurt_in_one_place(headers: list[tuple[str, bytes | None]]) -> None:
    assert read_marks([headers]) == [read_mark(headers)]
    assert read_columns([headers, headers]) is None
    assert read_columns([list(GOOD.items()), headers]) is None


def test_an_attempt_of_the_very_bound_in_bytes_is_one() -> None:
    assert numbers(choose([queued(1), queued(2)], bytes_most=200)) == [1, 2]
    assert numbers(choose([queued(1), queued(2)], bytes_most=199)) == [1]


@pytest.mark.parametrize(
    ("mark", "read"),
    [
        (b"x/" + b"9" * 18, True),
        (b"x/" + b"9" * 19, False),
        (b"\xc3\xa9/12", False),
        (None, False),
    ],
)
def test_an_attempts_number_is_one_the_ledger_can_hold(mark: bytes | None, read: bool) -> None:
    """And its installation's name is plain text."""
    assert isinstance(read_mark(list({**GOOD, "pg-attempt": mark}.items())), Mark) is read


def test_the_digest_of_a_value_without_headers_is_its_own() -> None:
    assert digest_of(b"value", None) == digest_of(b"value", []) == sha256(b"value").digest()


SENT = SentTo("cluster", "gone", "known")
THEN = datetime(2026, 1, 31, tzinfo=UTC)
ANSWER = BusAnswer("cluster", "known", THEN)


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (ANSWER, ""),
        (replace(ANSWER, topic_id="gone"), "topic id gone is there"),
        (replace(ANSWER, topic_id=None), "no topic has that name now"),
        (replace(ANSWER, topic_id="newer"), "topic id newer is none that a run was opened on"),
        (replace(ANSWER, cluster_id="other"), "Kafka is cluster other, and it was sent to cluster"),
    ],
)
def test_an_attempt_is_lost_only_where_another_topic_has_the_name(answer: BusAnswer, why: str) -> None:
    assert bus_is_there(SENT, answer) == why
    again = replace(ANSWER, at=THEN + timedelta(seconds=1))
    assert not_lost(SENT, answer, again) == why
    assert not_lost(SENT, ANSWER, replace(answer, at=again.at)) == why


def test_kafka_is_asked_twice() -> None:
    assert not_lost(SENT, ANSWER, ANSWER) == "Kafka was asked once"
    assert not_lost(SENT, replace(ANSWER, at=THEN + timedelta(seconds=1)), ANSWER) == "Kafka was asked once"
