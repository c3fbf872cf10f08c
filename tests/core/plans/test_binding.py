"""What a plan binds: its digest, how two differ in words, and the rules by which it stops."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from plans.core.binding import (
    MOST_DIFFERENCES,
    Limits,
    Origin,
    Subject,
    binding,
    binding_digest,
    difference,
    is_stop_rule,
    stops,
)
from plans.core.plan import Kind

FACTS: dict[str, Any] = {"open": 3, "items": "ab" * 32, "classes": [{"class": "flight", "declared": 7, "seen": 6}]}
BINDS = binding(Kind.WAIVE, Subject("flights", "2013-01", 1), {"check": "QUARANTINE"}, FACTS, ["QUARANTINE"])

leaves = st.text(max_size=8) | st.integers(-(2**53) + 1, 2**53 - 1) | st.booleans()
documents = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
)
objects = st.dictionaries(st.text(max_size=5), documents, max_size=4)


def test_a_digest_is_over_the_canonical_form() -> None:
    assert binding_digest(BINDS) == hashlib.sha256(rfc8785.dumps(BINDS)).digest()


def test_nothing_in_a_binding_is_null() -> None:
    def values(document: Any) -> list[Any]:
        inner = document.values() if isinstance(document, dict) else document if isinstance(document, list) else ()
        return [document, *(value for each in inner for value in values(each))]

    plain = binding(Kind.BASIS, Subject("flights"), {}, {}, [], [Origin(3, 0, 7)], Limits(first=2))
    assert None not in values(plain) and None not in values(BINDS)
    assert plain["origin"] == [{"source": 3, "from": 0, "to": 7}]
    assert plain["limits"] == {"first": 2}
    assert "run" not in plain and "window" not in plain


@given(objects, objects)
def test_two_bindings_differ_in_words_exactly_if_their_digests_do(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert (difference(one, other) == []) == (binding_digest(one) == binding_digest(other))


@given(objects)
def test_a_binding_does_not_differ_from_itself(one: dict[str, Any]) -> None:
    assert difference(one, dict(reversed(one.items()))) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"open": 2}, ["open: 3 → 2"]),
        ({"items": "cd" * 32}, ["items: abababababab… → cdcdcdcdcdcd…"]),
        ({"classes": [{"class": "flight", "declared": 7, "seen": 7}]}, ["classes flight seen: 6 → 7"]),
        ({"classes": []}, ["classes: 1 gone, 0 new"]),
        ({"more": True}, ["more: nothing → True"]),
        ({"open": "3"}, ["open: 3 → 3"]),
        ({"open": [1]}, ["open: 3 → [1]"]),
    ],
)
def test_a_difference_names_what_and_from_what_to_what(change: dict[str, Any], said: list[str]) -> None:
    assert difference(FACTS, FACTS | change) == said


def test_one_that_is_gone_is_named() -> None:
    assert difference(FACTS, {name: FACTS[name] for name in ("open", "items")}) == [
        "classes: [{'class': 'flight', 'declared': 7, 'seen': 6}] → nothing"
    ]


def test_many_differences_are_counted() -> None:
    lines = difference({str(n): n for n in range(50)}, {})
    assert len(lines) == MOST_DIFFERENCES
    assert lines[-1] == "and 31 more"


@pytest.mark.parametrize("rule", ["quarantined > 0", "duplicate > 12", "not_run > 999999999"])
def test_a_rule_to_stop_by(rule: str) -> None:
    assert is_stop_rule(rule)


@pytest.mark.parametrize(
    "rule", ["", "quarantined", "quarantined > -1", "lag > 3", "quarantined > 0 ", "QUARANTINED > 0"]
)
def test_what_is_no_rule_stops_at_once(rule: str) -> None:
    assert not is_stop_rule(rule)
    assert stops(rule, {}, ())


@given(st.integers(0, 9), st.integers(0, 9), st.booleans())
def test_a_plan_stops_once_more_than_so_many_ended_so(bound: int, count: int, lately: bool) -> None:
    ended = {"QUARANTINED"} if lately else {"ADMITTED"}
    assert stops(f"quarantined > {bound}", {"QUARANTINED": count}, ended) == (lately and count > bound)
