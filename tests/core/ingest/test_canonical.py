"""Same event or another one: RFC 8785, with numbers kept exactly where a double would round them."""

from __future__ import annotations

import json
from typing import Any

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.canonical import FieldDifference, canonical, field_difference, same_event
from ingest.core.errors import RecordError

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=5)
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=3)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3), max_leaves=8
)
OBJECTS = st.dictionaries(NAMES, VALUES, max_size=5)


def shuffled(value: Any) -> Any:
    """The same value with every object's keys in reverse order."""
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(OBJECTS)
def test_a_reserialisation_is_the_same_event(document: dict[str, Any]) -> None:
    compact = json.dumps(document, separators=(",", ":")).encode()
    other = json.dumps(shuffled(document), indent=1, ensure_ascii=False).encode()
    assert same_event(compact, other)
    assert all(difference.equal for difference in field_difference(compact, other))


@given(OBJECTS)
def test_is_rfc_8785_where_that_rounds_nothing(document: dict[str, Any]) -> None:
    assert canonical(json.dumps(document).encode()) == rfc8785.dumps(document)


@given(OBJECTS, OBJECTS)
def test_the_field_difference_agrees(one: dict[str, Any], other: dict[str, Any]) -> None:
    first, second = json.dumps(one).encode(), json.dumps(other).encode()
    assert same_event(first, second) == all(difference.equal for difference in field_difference(first, second))


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (b'{"a":1}', b'{ "a" : 1.0 }', True),
        (b'{"a":100}', b'{"a":1e2}', True),
        (b'{"a":0}', b'{"a":-0.0}', True),
        (b'{"a":1000000000000000000}', b'{"a":1e18}', True),
        (b'{"a":"\\u00e9"}', '{"a":"é"}'.encode(), True),
        (b'{"a":"\\u00e9"}', b'{"a":"e\\u0301"}', False),
        (b'{"a":1}', b'{"a":"1"}', False),
        (b'{"a":1}', b'{"a":true}', False),
        (b'{"a":0}', b'{"a":false}', False),
        (b'{"a":null}', b"{}", False),
        (b'{"a":[1,2]}', b'{"a":[2,1]}', False),
        (b'{"a":[]}', b'{"a":{}}', False),
        (b'{"a":9007199254740993}', b'{"a":9007199254740992}', False),
        (b'{"a":9007199254740993}', b'{"a":9007199254740993.0}', True),
        (b'{"a":18446744073709551615}', b'{"a":18446744073709551614}', False),
        (b'{"a":0.1}', b'{"a":0.1000000000000000000001}', False),
        (b'{"a":0.1000000000000000000001}', b'{"a":0.10000000000000000000010}', True),
        (b'{"a":1e-400}', b'{"a":0}', False),
        (b'{"a":1e-400}', b'{"a":10e-401}', True),
        (b'{"a":1e-99999999999999999999}', b'{"a":0}', False),
    ],
)
def test_same_or_not(first: bytes, second: bytes, same: bool) -> None:
    assert same_event(first, second) is same
    assert same_event(second, first) is same


def test_every_field_is_shown_as_it_was_written() -> None:
    first = b'{"a":1.50,"b":{"c":[1,2],"d/e":null},"gone":9007199254740993}'
    arrived = '{"b":{"c":[1,3,{"x":"é"}],"d/e":null},"a":1.5,"new":[]}'.encode()
    assert field_difference(first, arrived) == [
        FieldDifference("/a", "1.50", "1.5", True),
        FieldDifference("/b/c/0", "1", "1", True),
        FieldDifference("/b/c/1", "2", "3", False),
        FieldDifference("/b/c/2", None, '{"x":"é"}', False),
        FieldDifference("/b/d~1e", "null", "null", True),
        FieldDifference("/gone", "9007199254740993", None, False),
        FieldDifference("/new", None, "[]", False),
    ]


def test_what_is_not_json_is_named() -> None:
    for call in (canonical, lambda payload: field_difference(b"{}", payload)):
        with pytest.raises(RecordError):
            call(b"{")
        with pytest.raises(RecordError):
            call(b"\xff")
