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


# RFC 8785, 3.2.2 and 3.2.4: what stands there before and after.
RFC_EXAMPLE = rb"""{
  "numbers": [333333333.33333329, 1E30, 4.50,
              2e-3, 0.000000000000000000000000001],
  "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
  "literals": [null, true, false]
}"""
RFC_CANONICAL = (
    rb'{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
    + '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'.encode()
)


def test_the_example_of_rfc_8785() -> None:
    assert canonical(RFC_EXAMPLE) == RFC_CANONICAL


@given(st.integers(-(2**70), 2**70), st.integers(-(2**70), 2**70))
def test_integers_are_compared_exactly(one: int, other: int) -> None:
    assert same_event(b'{"a":%d}' % one, b'{"a":%d}' % other) == (one == other)


@given(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_with_a_point_or_an_exponent_is_the_double_it_is(whole: int, real: float) -> None:
    """Whatever wrote it: Python writes 1e20 as 1e+20, Go and JavaScript write all its digits."""
    texts = {repr(real), f"{real:.17e}", f"{real:.20f}" if abs(real) > 1e-3 else repr(real)}
    texts |= {f"{int(real)}"} if real.is_integer() and abs(real) < 2**1000 else set()
    for text in texts:
        assert same_event(b'{"a":%s}' % repr(real).encode(), b'{"a":%s}' % text.encode())
        # Python compares an integer and a double as the numbers they are.
        assert same_event(b'{"a":%d}' % whole, b'{"a":%s}' % text.encode()) == (whole == real)


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
        # What has a point or an exponent is the double it is: 9007199254740993.0 is ...992.
        (b'{"a":9007199254740993}', b'{"a":9007199254740993.0}', False),
        (b'{"a":9007199254740992}', b'{"a":9007199254740993.0}', True),
        (b'{"a":9007199254740994}', b'{"a":9.007199254740994e15}', True),
        (b'{"a":18446744073709551615}', b'{"a":18446744073709551614}', False),
        (b'{"a":18446744073709551615}', b'{"a":18446744073709551615.0}', False),
        (b'{"a":18446744073709551616}', b'{"a":18446744073709551616.0}', True),
        (b'{"a":18446744073709551616}', b'{"a":1.8446744073709552e19}', True),
        (b'{"a":18446744073709551616}', b'{"a":18446744073709551615}', False),
        (b'{"a":18446744073709551616.0}', b'{"a":1.8446744073709552E+19}', True),
        (b'{"a":100000000000000000000}', b'{"a":1e20}', True),
        (b'{"a":100000000000000000000}', b'{"a":1e+20}', True),
        (b'{"a":-100000000000000000000}', b'{"a":-1.0e20}', True),
        (b'{"a":100000000000000000000}', b'{"a":100000000000000016384}', False),
        (b'{"a":0.1}', b'{"a":0.10000000000000001}', True),
        (b'{"a":0.1}', b'{"a":0.1000000000000000000001}', True),
        (b'{"a":0.1}', b'{"a":0.10000000000000002}', False),
        (b'{"a":0.1000000000000000000001}', b'{"a":0.10000000000000000000010}', True),
        (b'{"a":1e-400}', b'{"a":0}', True),
        (b'{"a":1e-400}', b'{"a":10e-401}', True),
        (b'{"a":1e-99999999999999999999}', b'{"a":0}', True),
        (b'{"a":5e-324}', b'{"a":0}', False),
        (b'{"a":-0}', b'{"a":0}', True),
        (RFC_EXAMPLE, RFC_CANONICAL, True),
        (RFC_EXAMPLE, RFC_CANONICAL.replace(b"0.002", b"0.0020000000000000005"), False),
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
