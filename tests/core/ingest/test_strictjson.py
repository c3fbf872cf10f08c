"""Strict JSON: the fast parser takes exactly what a plain one takes, and says of each hostile value what it is."""

from __future__ import annotations

import json
from decimal import Decimal, InvalidOperation
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ingest.core.reason import Flag, Reason
from ingest.core.strictjson import Fault, read
from tests.core.ingest.reference_json import Refused, reference
from tests.examples import examples

DEPTH = 6

# Pieces that meet in hostile input: a value made of them is close to JSON, and often is JSON.
PIECES = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a"', b'"a":', b'"b":', b'"a":1', b'"a":1,', b"1", b"0", b"-", b".",
    b"e", b"E", b"+", b"true", b"false", b"null", b"NaN", b"Infinity", b"1e400", b"1e-400", b"9007199254740993",
    b"18446744073709551615", b"18446744073709551616", b"-9223372036854775808", b"-9223372036854775809", b"0.1",
    b"1.0", b"12345678901234567890.5", b"100000000000000000000", b"18446744073709551616.0",
    b"18446744073709552000", b"\\", b"\\\\", b'\\"', b"\\u", b"\\u0000", b"\\u0061", b"\\u0022", b"\\u005c",
    b"\\ud83d", b"\\ude00", b"\\ud83d\\ude00", b"\\n", b"\\x", b"\\/", b" ", b"\n", b"\x00", b"\x1f", b"\x7f",
    b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"//", b"/**/", b"'", b"01", b"1.",
    b".5", b"u0000", b"e-",
]  # fmt: skip
SOUP = st.lists(st.sampled_from(PIECES), max_size=14).map(b"".join)

NUMBERS = st.one_of(
    st.integers(),
    st.integers(2**53 - 3, 2**53 + 3),
    st.integers(2**64 - 3, 2**64 + 3),
    st.integers(-(2**63) - 3, -(2**63) + 3),
    st.integers(2**52, 2**54).map(lambda number: number * 2**20),
    st.floats(allow_nan=False, allow_infinity=False),
)
VALUES = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.text(max_size=3), VALUES, max_size=6)


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """An object written by json.dumps in one of its ways, sometimes with a piece of it changed."""
    made = json.dumps(
        draw(OBJECTS),
        ensure_ascii=draw(st.booleans()),
        separators=draw(st.sampled_from([(",", ":"), (", ", ": "), (" ,\n", "\t: ")])),
    ).encode("utf-8", "surrogatepass")
    if draw(st.booleans()):
        at = draw(st.integers(0, len(made)))
        cut = draw(st.integers(0, 3))
        made = made[:at] + draw(st.sampled_from(PIECES)) + made[at + cut :]
    return made


@st.composite
def written(draw: st.DrawFn, level: int = 0) -> str:
    """JSON text with keys that often repeat, in different spellings."""
    kinds = ["string", "number", "word"] + ["object", "array"] * (level < 3)
    kind = draw(st.sampled_from(kinds))
    space = draw(st.sampled_from(["", "", " ", "\n"]))
    if kind == "object":
        keys = st.sampled_from(
            ['"a"', '"\\u0061"', '"b"', '"\\\\"', '"\\u005c"', '"\\""', '"c:\\"d"', '""', '"é"', '"\\u00e9"']
        )
        members = [f"{draw(keys)}{space}:{draw(written(level + 1))}" for _ in range(draw(st.integers(0, 3)))]
        return "{" + f",{space}".join(members) + "}"
    if kind == "array":
        return "[" + ",".join(draw(written(level + 1)) for _ in range(draw(st.integers(0, 3)))) + "]"
    if kind == "string":
        return draw(
            st.sampled_from(
                ['"x"', '"\\""', '"\\\\"', '"\\\\\\""', '"\\u0022"', '"a\\u0000"', '"\\\\u0000"', '"{[,:]}"']
            )
        )
    if kind == "number":
        return draw(
            st.sampled_from(
                ["0", "-1", "1e5", "1.50", "9007199254740993", "18446744073709551616", "0.12345678901234567"]
            )
        )
    return draw(st.sampled_from(["true", "false", "null"]))


def agree(value: bytes) -> None:
    got = read(value, DEPTH)
    try:
        expected = reference(value, DEPTH)
    except Refused as refused:
        assert isinstance(got, Fault), f"taken, though {refused}"
        assert got.at is None or 0 <= got.at <= len(value)
    else:
        assert not isinstance(got, Fault), f"refused: {got}"
        assert same(got[0], expected)
        assert bool(got[1] & Flag.INEXACT_NUMBER) == rounded(value)


def same(ours: Any, theirs: Any) -> bool:
    return repr(ours).replace("-0.0", "0").replace("-0", "0") == repr(theirs).replace("-0.0", "0").replace("-0", "0")


def rounded(value: bytes) -> bool:
    """Whether a number of valid JSON is not exactly what a double would give back."""
    found = []

    def look(text: str) -> float:
        is_whole = text.lstrip("-").isdigit()
        found.append(abs(int(text)) > 2**53 if is_whole else not exact(text))
        return float(text)

    json.loads(value, parse_int=look, parse_float=look)
    return any(found)


def exact(text: str) -> bool:
    try:
        return Decimal(text) in (Decimal(repr(float(text))), Decimal(float(text)))
    except InvalidOperation:
        return False


@settings(max_examples=examples(500))
@given(SOUP)
@example(b'{"a":1,"a":1}')
@example(b'{"a":"\\\\","a":1}')
def test_agrees_with_the_reference_on_soup(value: bytes) -> None:
    agree(value)
    agree(b'{"k":' + value + b"}")
    agree(b'{"k":"' + value + b'"}')


@settings(max_examples=examples(300))
@given(texts())
def test_agrees_with_the_reference_on_nearly_valid_text(value: bytes) -> None:
    agree(value)


@settings(max_examples=examples(300))
@given(written())
def test_agrees_with_the_reference_on_repeated_keys(text: str) -> None:
    agree(text.encode())
    agree(b'{"k":' + text.encode() + b"}")


@given(st.binary(max_size=60))
def test_agrees_with_the_reference_on_any_bytes(value: bytes) -> None:
    agree(value)


HOSTILE = [
    (b"", Reason.EMPTY, 0),
    (b" \r\n", Reason.EMPTY, 0),
    (b"null", Reason.NOT_OBJECT, 0),
    (b"[1]", Reason.NOT_OBJECT, 0),
    (b'"x"', Reason.NOT_OBJECT, 0),
    (b"7", Reason.NOT_OBJECT, 0),
    (b"true", Reason.NOT_OBJECT, 0),
    (b'{"a":1}x', Reason.TRAILING, 7),
    (b'{"a":1} {}', Reason.TRAILING, 8),
    (b'{"a":1}\x00', Reason.NUL, 7),
    (b'{"a":1,"a":2}', Reason.DUPLICATE_KEY, 7),
    (b'{"a":1,"\\u0061":2}', Reason.DUPLICATE_KEY, None),
    (b'{"x":{"k":2,"k":3}}', Reason.DUPLICATE_KEY, 12),
    (b'{"a":NaN}', Reason.NUMBER_RANGE, 5),
    (b'{"a":Infinity}', Reason.NUMBER_RANGE, 5),
    (b'{"a":-Infinity}', Reason.NUMBER_RANGE, 6),
    (b'{"a":1e400}', Reason.NUMBER_RANGE, None),
    (b'{"a":-1e400}', Reason.NUMBER_RANGE, None),
    (b'{"a":18446744073709551617}', Reason.NUMBER_RANGE, 5),
    (b'{"a":18446744073709552000}', Reason.NUMBER_RANGE, 5),
    (b'{"a":-9223372036854775809}', Reason.NUMBER_RANGE, 5),
    (b'{"a":100000000000000000001}', Reason.NUMBER_RANGE, 5),
    (b'{"a":1' + b"0" * 23 + b"}", Reason.NUMBER_RANGE, 5),
    (b'{"a":' + b"1" * 400 + b"}", Reason.NUMBER_RANGE, 5),
    (b'{"a":' + b"1" * 5_000 + b"}", Reason.NUMBER_RANGE, None),
    (b'{"a":' + b"1" * 140_000 + b"}", Reason.NUMBER_RANGE, None),
    (b'{"a":"\\u0000"}', Reason.NUL, 6),
    (b'{"a\\u0000":1}', Reason.NUL, 3),
    (b'{"a":"\x00"}', Reason.NUL, 6),
    (b'{"a":"\\ud800"}', Reason.SURROGATE, 6),
    (b'{"a":"\\ude00\\ud83d"}', Reason.SURROGATE, 6),
    (b'{"\\udfff":1}', Reason.SURROGATE, 2),
    (b'{"a":"\xff"}', Reason.NOT_UTF8, 6),
    (b'{"a":"\xc0\x80"}', Reason.NOT_UTF8, 6),
    (b'{"a":"\xed\xa0\x80"}', Reason.NOT_UTF8, 6),
    ('{"a":1}'.encode("utf-16"), Reason.NOT_UTF8, 0),
    ('{"a":1}'.encode("utf-16-le"), Reason.NUL, 1),
    (b'\xef\xbb\xbf{"a":1}', Reason.BOM, 0),
    (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, Reason.TOO_DEEP, None),
    (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Reason.TOO_DEEP, None),
    (b'{"a":' + b"[" * 100_000, Reason.TOO_DEEP, None),
    (b'{"a":1,}', Reason.NOT_JSON, 7),
    (b'{"a"', Reason.NOT_JSON, 4),
    (b'{"a":"line\nbreak"}', Reason.NOT_JSON, 10),
    (b"{'a':1}", Reason.NOT_JSON, 1),
    (b'{"a":01}', Reason.NOT_JSON, 6),
    (b"+ADw-script+AD4-", Reason.NOT_JSON, 0),
    (b"\x1f\x8b\x08\x00\x00\x00", Reason.NOT_UTF8, 1),
]


@pytest.mark.parametrize(("value", "reason", "at"), HOSTILE, ids=lambda part: repr(part)[:40])
def test_hostile_value_has_its_reason_and_place(value: bytes, reason: Reason, at: int | None) -> None:
    got = read(value, 32)
    assert isinstance(got, Fault)
    assert (got.reason, got.at) == (reason, at)
    assert 0 < len(got.detail) < 300
    assert got.detail.isprintable()


TAKEN = [
    (b'{"a":9007199254740992}', 0),
    (b'{"a":9007199254740993}', Flag.INEXACT_NUMBER),
    (b'{"a":18446744073709551615}', Flag.INEXACT_NUMBER),
    (b'{"a":-9223372036854775808}', Flag.INEXACT_NUMBER),
    (b'{"a":18446744073709551616}', Flag.INEXACT_NUMBER),
    (b'{"a":-18446744073709551616}', Flag.INEXACT_NUMBER),
    (b'{"a":100000000000000000000}', Flag.INEXACT_NUMBER),
    (b'{"a":%d}' % 2**1023, Flag.INEXACT_NUMBER),
    (b'{"a":1e20}', 0),
    (b'{"a":18446744073709551616.0}', 0),
    (b'{"a":1.8446744073709552e19}', 0),
    (b'{"a":0.1}', 0),
    (b'{"a":0.1234567890123456789}', Flag.INEXACT_NUMBER),
    (b'{"a":1e-400}', Flag.INEXACT_NUMBER),
    (b'{"a":1e-99999999999999999999}', Flag.INEXACT_NUMBER),
    (b'{"a":1e23}', 0),
    (b'{"id":"12345678901234567890"}', 0),
    (b'{"a":"\\\\u0000"}', 0),
    (b'{"a":"\\ud83d\\ude00"}', 0),
    ('{"a":"\u202e\u200b\u0065\u0301"}'.encode(), 0),
    (b' { "a" : [ ] } \n', 0),
    (b"{}", 0),
]


@pytest.mark.parametrize(("value", "flags"), TAKEN, ids=lambda part: repr(part)[:40])
def test_odd_but_sound_value_is_taken(value: bytes, flags: int) -> None:
    assert read(value, 32) == (json.loads(value), flags)


def test_depth_counts_objects_and_arrays_but_not_brackets_in_strings() -> None:
    assert not isinstance(read(b'{"a":[[1]]}', 3), Fault)
    assert isinstance(read(b'{"a":[[[1]]]}', 3), Fault)
    assert not isinstance(read(b'{"a":"[[[[[[[[[[","b\\"[[[[[":[[],[],[],[]]}', 3), Fault)
