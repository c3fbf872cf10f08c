"""A record is read in two ways, the fast one and the slow one: at every edge both say the same of it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.core.contract import Contract, EventClass, Limits
from ingest.core.pointer import parse_pointer
from ingest.core.record import Headers, Parser, Reason, Understood
from tests.core.ingest.samples import contract, schema, without_fast_path
from tests.examples import examples

SCALAR: dict[str, Any] = {"type": ["string", "integer", "number", "boolean", "null"]}
BOXES = {"type": "array", "items": {"type": "array", "items": {"type": "array", "items": {"type": "string"}}}}
PARTS = {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "boxes": BOXES}}}
FIELDS: dict[str, Any] = {
    "type": {"type": "string"},
    "carrier": {"type": "string"},
    "flight": {"type": "integer"},
    "note": {"type": "string"},
    "run": SCALAR,
    "seat": SCALAR,
    "plane": {"type": "object", "properties": {"tail": SCALAR}},
    "parts": PARTS,
}
LIMITS = Limits(value_bytes=350, key_bytes=4, id_bytes=12, headers=2, depth=6)
TAIL = {"type": "object", "properties": {"tail": {"type": "string"}}}


def made(*without: str, places: tuple[str, ...] = ("/carrier", "/flight"), depth: int = 6, **rules: Any) -> Contract:
    """A contract of flights whose schema lacks these fields, and has other rules for some."""
    fields = {name: rules.get(name, rule) for name, rule in FIELDS.items() if name not in without}
    document = {"type": "object", "required": ["type"], "properties": fields}
    event = EventClass(1, "flight", "flight", tuple(map(parse_pointer, places)), schema(document))
    return contract(event, limits=replace(LIMITS, depth=depth))


CONTRACTS = [
    made(),
    made("run", "parts", "plane"),  # quotes are counted, and the value's run is no field
    made("run", "seat", plane=TAIL),
    made("parts", "plane", run={"type": "string"}, seat={"type": "integer"}),  # nothing of it is ever rounded
    made(places=("/carrier", "/seat")),  # parts of any kind
    made(places=("/plane/tail",)),
    made("parts", depth=2),
    made("parts", "plane", depth=1),
    made(depth=5),  # less than the schema's own depth, so there is one way only
]
PAIRS = [(Parser(each), without_fast_path(each)) for each in CONTRACTS]
TEXTS = st.sampled_from(["", "UA", "x" * 8, "x" * 9, "é" * 4, "é" * 5, "x" * 12, "x" * 13, "\\", '"', "\\u0000"])
#: As written: escapes, NULs, and numbers that a double rounds, or that are beyond what it holds.
WRITTEN = st.sampled_from(
    ['"\\u0000"', '"\\\\u0000"', '"\\u0055A"', '"\\""', '"\\\\"', "null", "true", "7", "7.0", "-0.0", "1e3", "1e-400",
     "0.1", "0.12345678901234567891", "9007199254740992", "9007199254740993", "-9223372036854775809",
     "18446744073709551616", "1e20", "100000000000000000000", "1e999", "NaN"]
)  # fmt: skip
RUNS = st.sampled_from(["2013-01", "2013-02", "2013-03"]) | st.sampled_from(
    ["", "x" * 200, "x" * 201, "é" * 100, "é" * 101, "a\0b"]
)
NESTED = st.sampled_from(["[]", "[[]]", "[[[]]]", '["a"]', '[["a"]]', '[[["a"]]]', "{}", '{"tail":"N1"}', '{"tail":7}'])
IN_ARRAYS = NESTED | st.sampled_from(
    ['[{"name":"a"}]', '[{"name":"a","name":"b"}]', '[{"x":1}]', '[{"boxes":[]}]', '[{"boxes":[["a"]]}]']
    + ['[{"boxes":[[["a"]]]}]']
)
ANY = TEXTS.map(json.dumps) | WRITTEN | NESTED
USUAL = {
    "type": st.just('"flight"'), "carrier": TEXTS.map(json.dumps), "flight": st.just("7") | WRITTEN,
    "note": TEXTS.map(json.dumps), "run": RUNS.map(json.dumps), "seat": ANY, "plane": NESTED, "parts": IN_ARRAYS,
    "extra": ANY,
}  # fmt: skip
MEMBERS = st.sampled_from(list(USUAL)).flatmap(
    lambda name: st.tuples(st.just(name), st.integers(0, 7).flatmap(lambda odd: USUAL[name] if odd else ANY))
)
KEYS = st.sampled_from([b"k", b"k", b"k", b"1234", b"1234", b"12345", b"", None])
RUN_HEADERS = st.tuples(st.just("pg-run"), RUNS.map(str.encode))
ODD_HEADERS = st.sampled_from(
    [("pg-run", None), ("pg-run", b"\xff"), ("a", b"1"), ("a", None), ("content-type", b"\xff"), ("", b"x" * 300)]
)
HEADERS = st.none() | st.lists(RUN_HEADERS, max_size=1) | st.lists(RUN_HEADERS | ODD_HEADERS, max_size=3)


@st.composite
def records(draw: st.DrawFn) -> bytes:
    """Flights as somebody wrote them: some fields odd, one missing, one twice, some that no schema knows."""
    members = [("type", '"flight"'), ("carrier", '"UA"'), ("flight", "1"), *draw(st.lists(MEMBERS, max_size=3))]
    if draw(st.integers(0, 7)):
        members = list(dict(members).items())
    members = draw(st.permutations(members))[draw(st.sampled_from([0] * 7 + [1])) :]
    comma, colon = draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    return ("{" + comma.join(f'"{name}"{colon}{value}' for name, value in members) + "}").encode()


@settings(max_examples=examples(500))
@given(records(), KEYS, HEADERS)
def test_both_say_the_same_at_every_edge(value: bytes, key: bytes | None, headers: Headers | None) -> None:
    for fast, slow in PAIRS:
        assert fast.parse(value, key, headers) == slow.parse(value, key, headers)


def test_all_but_the_last_have_a_fast_way_although_some_are_as_deep_as_they_may_be() -> None:
    assert [bool(fast._fast) for fast, _ in PAIRS] == [True] * 8 + [False]


@pytest.mark.parametrize(
    ("field", "written", "deep"),
    [
        ("note", '"flat"', 1), ("plane", '{"tail": "N1"}', 2), ("parts", '[{"name": "a"}]', 3),
        ("parts", '[{"boxes": [["a"]]}]', 5), ("parts", '[{"boxes": [[["a"]]]}]', 6),
    ],
)  # fmt: skip
@pytest.mark.parametrize("depth", range(1, 8))
def test_the_fast_way_takes_nothing_that_is_nested_too_deep(field: str, written: str, deep: int, depth: int) -> None:
    """What is in an array counts, too."""
    rules = {"boxes": BOXES if deep == 6 else BOXES["items"], "name": {"type": "string"}}
    parts = {"type": "array", "items": {"type": "object", "properties": rules}}
    others = [name for name in ("note", "run", "seat", "plane", "parts") if name != field]
    value = f'{{"type":"flight","carrier":"UA","flight":1,"{field}":{written}}}'.encode()
    got = Parser(made(*others, depth=depth, parts=parts)).parse(value, b"k", None)
    assert isinstance(got, Understood) if deep <= depth else got.reason is Reason.TOO_DEEP


def test_a_header_names_the_run_before_a_field_that_the_schema_knows() -> None:
    value = b'{"type":"flight","carrier":"UA","flight":1,"run":"2013-01"}'
    for fast, slow in PAIRS:
        for parser in (fast, slow):
            got = parser.parse(value, b"k", [("pg-run", b"2013-02")])
            assert isinstance(got, Understood) is (parser.contract.events[0].id[-1].text == "/flight")
            assert got.run == "2013-02"
