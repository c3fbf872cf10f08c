"""The admission decision: lower offsets first, first payload stands, and batches may be cut anywhere."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.core.decide import (
    Arrival,
    Decisions,
    Item,
    KnownEvent,
    NewEvent,
    Outcome,
    admitted,
    arrive,
    decide,
    disputed,
)
from ingest.core.identity import identity_digest, payload_digest
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.record import Parser
from tests.core.ingest.samples import contract, encoded, flight
from tests.examples import examples

STREAM, RUN, SOURCE = "flights", "2013-01", 5
PARSER = Parser(contract())
CLOSED = {"2012-12"}


def arrivals(values: Iterable[bytes | None], start: int = 0) -> list[Arrival]:
    made = list(values)
    offsets = range(start, start + len(made))
    return arrive(STREAM, RUN, offsets, made, [PARSER.parse(value, b"k", None) for value in made])


def decided(values: Iterable[bytes | None], known: dict[bytes, KnownEvent] | None = None) -> Decisions:
    return decide(arrivals(values), known or {}, RUN, SOURCE, CLOSED.__contains__)


def what(decisions: Decisions) -> list[tuple[Decision, Reason]]:
    return [(outcome.decision, outcome.reason) for outcome in decisions.outcomes]


ADMITTED = (Decision.ADMITTED, Reason.NONE)
DUPLICATE = (Decision.DUPLICATE, Reason.NONE)
MISMATCH = (Decision.QUARANTINED, Reason.PAYLOAD_MISMATCH)
ONE = encoded(flight())
OTHER = encoded(flight(delay=5))
SAME = json.dumps(flight(), separators=(",", ":")).encode()
IDENTITY = identity_digest(STREAM, RUN, "flight", ("UA", 1545, "2013-01-01T10:00:00Z"))


def test_new_then_known() -> None:
    got = decided([ONE, ONE])
    assert what(got) == [ADMITTED, DUPLICATE]
    assert got.events == [
        NewEvent(0, IDENTITY, payload_digest(ONE), "flight", 1, ("UA", 1545, "2013-01-01T10:00:00Z"), ONE)
    ]
    assert got.outcomes[1] == Outcome(1, *DUPLICATE, 0, IDENTITY, payload_digest(ONE), SOURCE, 0, None)
    assert got.items == []


def test_known_from_the_ledger() -> None:
    known = {IDENTITY: KnownEvent(payload_digest(ONE), 9, 77, ONE)}
    got = decided([ONE], known)
    assert (got.outcomes[0].first_source, got.outcomes[0].first_offset) == (9, 77)
    assert got.events == []


def test_another_payload_is_set_aside_and_the_first_stands() -> None:
    """S26."""
    got = decided([ONE, OTHER, ONE])
    assert what(got) == [ADMITTED, MISMATCH, DUPLICATE]
    (item,) = got.items
    assert (item.identity, item.payload_digest, item.count) == (IDENTITY, payload_digest(OTHER), 1)
    assert (item.first_source, item.first_offset, item.offset) == (SOURCE, 0, 1)
    assert got.outcomes[1].item == 0
    assert [event.value for event in got.events] == [ONE]


def test_the_same_mismatch_raises_a_count_and_another_one_does_not() -> None:
    third = encoded(flight(delay=6))
    got = decided([ONE, OTHER, third, OTHER, OTHER])
    assert [outcome.item for outcome in got.outcomes] == [None, 0, 1, 0, 0]
    assert [(item.payload_digest, item.count, item.offset) for item in got.items] == [
        (payload_digest(OTHER), 3, 1),
        (payload_digest(third), 1, 2),
    ]


def test_a_reserialisation_is_a_duplicate_and_says_so() -> None:
    got = decided([ONE, SAME])
    assert what(got) == [ADMITTED, DUPLICATE]
    assert got.outcomes[1].flags == Flag.RESERIALISED
    known = {IDENTITY: KnownEvent(payload_digest(ONE), 9, 77, ONE)}
    assert decided([SAME, SAME], known).outcomes[1].flags == Flag.RESERIALISED


def test_an_erased_first_payload_cannot_be_compared() -> None:
    known = {IDENTITY: KnownEvent(payload_digest(ONE), 9, 77, None)}
    got = decided([SAME], known)
    assert what(got) == [MISMATCH]
    assert got.outcomes[0].flags == got.items[0].flags == Flag.FIRST_ERASED


def test_another_run_is_set_aside_without_identity() -> None:
    """S25: neither mixed nor lost; LATE where that run is closed."""
    got = decided([encoded(flight(run="2013-02")), encoded(flight(run="2012-12")), encoded(flight(run=RUN)), ONE])
    assert what(got)[:2] == [(Decision.QUARANTINED, Reason.OTHER_RUN), (Decision.QUARANTINED, Reason.LATE)]
    assert what(got)[2:] == [ADMITTED, MISMATCH]
    assert [outcome.identity for outcome in got.outcomes[:2]] == [None, None]
    assert [item.run for item in got.items[:2]] == ["2013-02", "2012-12"]


def test_what_is_not_understood_is_an_item_each() -> None:
    got = decided([b"{", b"{", None])
    assert [item.reason for item in got.items] == [Reason.NOT_JSON, Reason.NOT_JSON, Reason.TOMBSTONE]
    assert [item.count for item in got.items] == [1, 1, 1]
    assert all(outcome.identity is None for outcome in got.outcomes)
    assert got.items[0].at == 1


def test_a_quarantined_record_takes_no_identity() -> None:
    broken = encoded(flight(run=7))
    assert what(decided([broken, ONE])) == [(Decision.QUARANTINED, Reason.BAD_RUN), ADMITTED]


def test_every_record_has_its_outcome_in_order() -> None:
    got = decided([ONE, ONE, OTHER, b"{", encoded(flight(run="x"))])
    assert what(got) == [
        ADMITTED,
        DUPLICATE,
        MISMATCH,
        (Decision.QUARANTINED, Reason.NOT_JSON),
        (Decision.QUARANTINED, Reason.OTHER_RUN),
    ]


def test_disputed_are_the_known_with_another_digest() -> None:
    known = {IDENTITY: KnownEvent(payload_digest(ONE), 9, 77)}
    assert disputed(arrivals([ONE]), known) == set()
    assert disputed(arrivals([ONE, OTHER, encoded(flight(flight=2))]), known) == {IDENTITY}


# A small world in which identities, payloads and writings meet often.

NUMBERS = st.sampled_from([1, 2, 3])
EXTRAS: st.SearchStrategy[dict[str, Any]] = st.sampled_from(
    [{}, {"delay": 5}, {"delay": 5.0}, {"run": RUN}, {"run": "2012-12"}, {"run": "2013-02"}]
)


@st.composite
def records(draw: st.DrawFn) -> bytes | None:
    if draw(st.integers(0, 9)) == 0:
        return draw(st.sampled_from([None, b"", b"{", b"[]"]))
    extra: dict[str, Any] = draw(EXTRAS)
    document: dict[str, Any] = flight(flight=draw(NUMBERS), **extra)
    if draw(st.booleans()):
        document = {key: document[key] for key in sorted(document)}
    return json.dumps(document, separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))).encode()


RECORDS = st.lists(records(), max_size=25)
CUTS = st.lists(st.integers(0, 25), max_size=5)


def in_batches(values: Sequence[bytes | None], cuts: Sequence[int]) -> tuple[list[Outcome], list[NewEvent], list[Item]]:
    """The same records batch by batch, each seeing what the ones before it admitted; items merged as a ledger would."""
    known: dict[bytes, KnownEvent] = {}
    outcomes: list[Outcome] = []
    events: list[NewEvent] = []
    items: list[Item] = []
    edges = sorted({0, len(values), *(cut for cut in cuts if cut < len(values))})
    for start, end in zip(edges, edges[1:], strict=False):
        batch = arrivals(values[start:end], start)
        # The ledger keeps payloads apart: only those that are asked for are there.
        asked = disputed(batch, known)
        fetched = {
            key: one if key in asked else KnownEvent(one.payload_digest, one.source, one.offset)
            for key, one in known.items()
        }
        got = decide(batch, fetched, RUN, SOURCE, CLOSED.__contains__)
        places = [merged(items, item) for item in got.items]
        outcomes += [moved(outcome, places) for outcome in got.outcomes]
        events += got.events
        known |= admitted(got, SOURCE)
    return outcomes, events, items


def merged(items: list[Item], item: Item) -> int:
    for at, there in enumerate(items):
        if item.identity is not None and (there.identity, there.payload_digest) == (item.identity, item.payload_digest):
            items[at] = msgspec.structs.replace(there, count=there.count + item.count)
            return at
    items.append(item)
    return len(items) - 1


def moved(outcome: Outcome, places: list[int]) -> Outcome:
    return outcome if outcome.item is None else msgspec.structs.replace(outcome, item=places[outcome.item])


@settings(max_examples=examples(300))
@given(RECORDS, CUTS)
def test_batches_may_be_cut_anywhere(values: list[bytes | None], cuts: list[int]) -> None:
    whole = decided(values)
    assert in_batches(values, cuts) == (whole.outcomes, whole.events, whole.items)


@settings(max_examples=examples(300))
@given(RECORDS)
def test_what_always_holds(values: list[bytes | None]) -> None:
    got = decided(values)
    assert [outcome.offset for outcome in got.outcomes] == list(range(len(values)))
    assert len({event.identity for event in got.events}) == len(got.events)
    assert [event.offset for event in got.events] == [o.offset for o in got.outcomes if o.decision is Decision.ADMITTED]
    quarantined = [outcome for outcome in got.outcomes if outcome.decision is Decision.QUARANTINED]
    assert Counter(outcome.item for outcome in quarantined) == {at: item.count for at, item in enumerate(got.items)}
    firsts = {event.identity: event.offset for event in got.events}
    for outcome in got.outcomes:
        if outcome.first_offset is not None:
            assert outcome.identity is not None
            assert outcome.first_offset == firsts[outcome.identity] < outcome.offset


@given(RECORDS)
def test_replaying_everything_admits_nothing(values: list[bytes | None]) -> None:
    """S7, S20: the second reading ends with duplicates, and with the same mismatches."""
    first = decided(values)
    again = decided(values, admitted(first, SOURCE))
    assert again.events == []
    for before, after in zip(first.outcomes, again.outcomes, strict=True):
        expected = Decision.DUPLICATE if before.decision is Decision.ADMITTED else before.decision
        assert (after.decision, after.reason) == (expected, before.reason)
