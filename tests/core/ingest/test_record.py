"""One record: understood or not, with class, id, run and flags; and the fast path never says another thing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.core.contract import EventClass, Format, Limits
from ingest.core.pointer import Header, parse_pointer
from ingest.core.record import UNREADABLE_NAME, Flag, Headers, NotUnderstood, Parser, Reason, Understood
from tests.core.ingest.samples import FLIGHT_SCHEMA, contract, encoded, flight, flight_class, without_fast_path
from tests.examples import examples

ID = ("UA", 1545, "2013-01-01T10:00:00Z")
PLAIN = Parser(contract())
CHECKED = Parser(contract(flight_class(FLIGHT_SCHEMA)))
BOTH = pytest.mark.parametrize("parser", [PLAIN, CHECKED], ids=["no schema", "schema"])


def understood(parser: Parser, value: bytes, key: bytes | None = b"k", headers: Headers | None = None) -> Understood:
    got = parser.parse(value, key, headers)
    assert isinstance(got, Understood), got
    return got


def refused(
    parser: Parser, value: bytes | None, key: bytes | None = b"k", headers: Headers | None = None
) -> NotUnderstood:
    got = parser.parse(value, key, headers)
    assert isinstance(got, NotUnderstood), got
    return got


@BOTH
def test_an_event_is_its_class_id_and_bytes(parser: Parser) -> None:
    value = encoded(flight())
    assert understood(parser, value) == Understood("flight", 1, ID, None, value, 0)


def test_the_fast_path_is_there_for_a_typed_schema() -> None:
    assert CHECKED._fast
    assert not PLAIN._fast


@BOTH
@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({}, Reason.NO_CLASS),
        (flight(type="boat"), Reason.UNKNOWN_CLASS),
        (flight(type=7), Reason.UNKNOWN_CLASS),
        (flight(type=["flight"]), Reason.UNKNOWN_CLASS),
        (flight(type=None), Reason.UNKNOWN_CLASS),
        ({"type": "flight", "carrier": "UA", "flight": 1}, Reason.NO_ID),
        (flight(carrier=None), Reason.ID_TYPE),
        (flight(flight=1.5), Reason.ID_TYPE),
        (flight(flight=1545.0), Reason.ID_TYPE),
        (flight(flight=True), Reason.ID_TYPE),
        (flight(time_hour={"a": 1}), Reason.ID_TYPE),
        (flight(carrier="x" * 600), Reason.ID_TOO_LARGE),
        (flight(carrier="é" * 300), Reason.ID_TOO_LARGE),
        (flight(run=7), Reason.BAD_RUN),
        (flight(run=""), Reason.BAD_RUN),
        (flight(run="x" * 201), Reason.BAD_RUN),
    ],
)
def test_what_is_no_event_has_its_reason(parser: Parser, document: dict[str, Any], reason: Reason) -> None:
    got = refused(parser, encoded(document))
    assert got.reason is reason
    assert 0 < len(got.detail) < 400


@BOTH
def test_strict_json_comes_first(parser: Parser) -> None:
    assert refused(parser, b'{"type":"flight","type":"flight"}').reason is Reason.DUPLICATE_KEY
    assert refused(parser, None).reason is Reason.TOMBSTONE
    assert refused(parser, b"").reason is Reason.EMPTY


@BOTH
@pytest.mark.parametrize(
    ("inside", "reason"),
    [
        (b'"plane":{"tail":"a","tail":"b"}', Reason.DUPLICATE_KEY),
        (b'"x":1,"x":1', Reason.DUPLICATE_KEY),
        (b'"x":1,"x":1,"note":"\\"\\""', Reason.DUPLICATE_KEY),
        (b'"delay":1,"delay":1,"status":"late","carrier":"\\"\\""', Reason.DUPLICATE_KEY),
        (b'"x":"\\\\","x":"\\\\"', Reason.DUPLICATE_KEY),
        (b'"carrier":"AA"', Reason.DUPLICATE_KEY),
        (b'"carrier":"UA"', Reason.DUPLICATE_KEY),
        (b'"\\u0063arrier":"UA"', Reason.DUPLICATE_KEY),
        (b'"delay":1e999', Reason.NUMBER_RANGE),
        (b'"delay":99999999999999999999999', Reason.NUMBER_RANGE),
        (b'"x":99999999999999999999999', Reason.NUMBER_RANGE),
        (b'"x":"\\u0000"', Reason.NUL),
        (b'"plane":{"tail":"\\u0000"}', Reason.NUL),
        (b'"x":"\\ud800"', Reason.SURROGATE),
        (b'"x":"\xff"', Reason.NOT_UTF8),
        (b'"\xff":1', Reason.NOT_UTF8),
        (b'"x":' + b"[" * 40 + b"]" * 40, Reason.TOO_DEEP),
        (b'"x":' + b"[" * 100_000 + b"]" * 100_000, Reason.TOO_DEEP),
        (b'"x":NaN', Reason.NUMBER_RANGE),
    ],
    ids=lambda part: repr(part)[:40],
)
def test_hostile_fields_are_found_on_the_fast_path_too(parser: Parser, inside: bytes, reason: Reason) -> None:
    value = encoded(flight())[:-1] + b"," + inside + b"}"
    assert refused(parser, value).reason is reason


def test_an_escaped_nul_is_found_where_nothing_else_differs() -> None:
    """Compact and in the schema's order, the value is byte for byte what the encoder writes."""
    made = {"type": "flight", "carrier": "UA", "flight": 1, "time_hour": "\x00"}
    value = json.dumps(made, separators=(",", ":")).encode()
    for parser in (PLAIN, CHECKED):
        assert refused(parser, value).reason is Reason.NUL


@BOTH
def test_numbers_that_others_round_are_flagged(parser: Parser) -> None:
    for number in (b"9007199254740993", b"0.12345678901234567891", b"1e-400"):
        value = encoded(flight())[:-1] + b',"delay":' + number + b"}"
        assert understood(parser, value).flags == Flag.INEXACT_NUMBER
        assert understood(parser, value).value == value


@BOTH
def test_ids_are_never_normalised(parser: Parser) -> None:
    names = ["\u00e9", "e\u0301", "UA", "ua", "UA ", "\u202eUA", "U\u200bA", "UA/1", "UA\x1f1"]
    parts = {understood(parser, encoded(flight(carrier=name))).parts for name in names}
    assert len(parts) == len(names)


def test_a_large_integer_id_is_kept_exactly() -> None:
    value = encoded(flight(flight=2**63 + 1))
    assert understood(PLAIN, value).parts[1] == 2**63 + 1
    assert understood(CHECKED, value).parts[1] == 2**63 + 1


# Runs


@BOTH
@pytest.mark.parametrize(
    ("field", "header", "run"),
    [
        (None, None, None),
        ("2013-01", None, "2013-01"),
        (None, b"2013-02", "2013-02"),
        ("2013-01", b"2013-02", "2013-02"),
        ("été", None, "été"),
    ],
)
def test_the_first_place_present_names_the_run(
    parser: Parser, field: str | None, header: bytes | None, run: str
) -> None:
    headers: Headers | None = [("pg-run", header)] if header else None
    document = flight(run=field) if field else flight()
    assert understood(parser, encoded(document), headers=headers).run == run
    assert understood(parser, encoded(flight(run=None)), headers=headers).run == (run if header else None)


def test_the_field_may_come_before_the_header() -> None:
    parser = Parser(contract(flight_class(FLIGHT_SCHEMA), run=(parse_pointer("/run"), Header("pg-run"))))
    headers: Headers = [("pg-run", b"2013-02")]
    assert understood(parser, encoded(flight(run="2013-01")), headers=headers).run == "2013-01"
    assert understood(parser, encoded(flight()), headers=headers).run == "2013-02"


def test_a_run_the_schema_knows_is_read_on_the_fast_path() -> None:
    document = {**FLIGHT_SCHEMA, "properties": {**FLIGHT_SCHEMA["properties"], "run": {"type": ["string", "null"]}}}
    parser = Parser(contract(flight_class(document)))
    assert understood(parser, encoded(flight(run="2013-01"))).run == "2013-01"
    assert understood(parser, encoded(flight(run=None))).run is None
    assert understood(parser, encoded(flight())).run is None
    assert refused(parser, encoded(flight(run=""))).reason is Reason.BAD_RUN
    assert understood(parser, encoded(flight(run="2013-01")), headers=[("pg-run", b"2013-02")]).run == "2013-02"


@BOTH
def test_the_run_in_a_header_is_known_even_of_what_is_not_understood(parser: Parser) -> None:
    headers: Headers = [("pg-run", b"2013-02")]
    for value in (None, b"", b"{", b'{"type":"boat"}', b"x" * 300_000):
        assert refused(parser, value, headers=headers).run == "2013-02"


# Keys, headers and sizes


@pytest.mark.parametrize(
    ("key", "headers", "flags"),
    [
        (b"k", [], 0),
        (None, None, Flag.NO_KEY),
        (b"", None, Flag.EMPTY_KEY),
        (b"\xff", None, 0),
        (b"k", [("a", None)], Flag.NULL_HEADER),
        (b"k", [("a", b"")], 0),
        (b"k", [("", b"x")], Flag.EMPTY_HEADER_NAME),
        (b"k", [("a", b"\xff")], Flag.HEADER_NOT_UTF8),
        (b"k", [("a", b"\xc3\xa9")], 0),
        (b"k", [("a", b"1"), ("a", b"2")], Flag.REPEATED_HEADER),
        (b"k", [("content-type", b"text/json")] * 2, Flag.REPEATED_HEADER),
        (b"k", [("ce_id", None), ("content-type", b"\xff")], Flag.NULL_HEADER | Flag.HEADER_NOT_UTF8),
        (None, [("", None), ("", b"\xff")], 1 | 4 | 8 | 16 | 32),
    ],
)
def test_odd_keys_and_headers_are_named_but_taken(key: bytes | None, headers: Headers | None, flags: int) -> None:
    for parser in (PLAIN, CHECKED):
        assert understood(parser, encoded(flight()), key, headers).flags == flags


@pytest.mark.parametrize(
    "headers",
    [
        [("pg-run", b"a"), ("pg-run", b"a")],
        [("pg-digest", b"a"), ("pg-digest", b"b")],
        [("pg-run", None)],
        [("pg-run", b"\xff")],
    ],
)
def test_an_anomaly_in_our_own_headers_is_refused(headers: Headers) -> None:
    assert refused(PLAIN, encoded(flight()), headers=headers).reason is Reason.HEADER_ANOMALY


def test_sizes_are_bounded() -> None:
    small = Limits(value_bytes=200, key_bytes=4, id_bytes=30, headers=2, depth=3)
    for parser in (Parser(contract(limits=small)), Parser(contract(flight_class(FLIGHT_SCHEMA), limits=small))):
        assert refused(parser, encoded(flight(note="x" * 200))).reason is Reason.TOO_LARGE
        assert refused(parser, encoded(flight()), b"12345").reason is Reason.KEY_TOO_LARGE
        assert refused(parser, encoded(flight()), headers=[("a", b"")] * 3).reason is Reason.TOO_MANY_HEADERS
        assert refused(parser, encoded(flight()), headers=[("a", b"x" * 200)]).reason is Reason.HEADERS_TOO_LARGE
        assert refused(parser, encoded(flight(carrier="x" * 20))).reason is Reason.ID_TOO_LARGE
        assert refused(parser, encoded(flight(plane={"a": [[1]]}))).reason is Reason.TOO_DEEP


def test_what_is_as_large_as_a_limit_is_taken() -> None:
    value = encoded(flight(note="é"))
    small = Limits(value_bytes=len(value), key_bytes=4, id_bytes=26, headers=2)
    for parser in (Parser(contract(limits=small)), Parser(contract(flight_class(FLIGHT_SCHEMA), limits=small))):
        assert understood(parser, value, b"1234").value == value
        assert understood(parser, value, b"1234", [("a", b"x" * (len(value) - 2)), ("b", b"")])
        assert refused(parser, value + b" ").reason is Reason.TOO_LARGE
        assert refused(parser, value, headers=[("a", b"x" * (len(value) - 1)), ("b", b"")]).reason is (
            Reason.HEADERS_TOO_LARGE
        )


@pytest.mark.parametrize(
    ("carrier", "taken"), [("x" * 26, True), ("x" * 27, False), ("é" * 13, True), ("é" * 14, False)]
)
def test_an_id_as_large_as_its_limit_in_bytes_is_taken(carrier: str, taken: bool) -> None:
    event = EventClass(1, "flight", "flight", (parse_pointer("/carrier"),), None)
    parser = Parser(contract(event, limits=Limits(id_bytes=26)))
    assert isinstance(parser.parse(encoded(flight(carrier=carrier)), b"k", None), Understood) is taken


@BOTH
@pytest.mark.parametrize(("run", "taken"), [("x" * 200, True), ("é" * 100, True), ("é" * 101, False), ("a\0b", False)])
def test_a_run_is_one_that_the_ledger_can_hold(parser: Parser, run: str, taken: bool) -> None:
    """In the header, where no rule of JSON stands before it, as in the field."""
    got = parser.parse(encoded(flight()), b"k", [("pg-run", run.encode())])
    assert isinstance(got, Understood) is taken
    assert taken or (isinstance(got, NotUnderstood) and got.reason is Reason.BAD_RUN)


@BOTH
@pytest.mark.parametrize(
    ("number", "taken"),
    [(2**64 - 1, True), (-(2**63), True), (2**64, False), (-(2**64), False), (10**20, False), (2**53 + 1, True)],
)
def test_an_identity_is_made_of_integers_of_64_bits(parser: Parser, number: int, taken: bool) -> None:
    """Larger ones may stand in a payload, where a double holds them."""
    got = parser.parse(encoded(flight(flight=number)), b"k", None)
    assert isinstance(got, Understood) is taken
    assert taken or (isinstance(got, NotUnderstood) and got.reason is Reason.NUMBER_RANGE)


@BOTH
def test_an_id_is_measured_where_a_number_is_inexact_too(parser: Parser) -> None:
    value = encoded(flight(carrier="x" * 600, delay=2**53 + 1))
    assert refused(parser, value).reason is Reason.ID_TOO_LARGE


@pytest.mark.parametrize("raw", [None, b"\xff"])
def test_a_header_of_ours_that_nobody_reads_may_say_anything(raw: bytes | None) -> None:
    assert understood(PLAIN, encoded(flight()), headers=[("pg-digest", raw)])


def test_a_run_that_is_none_is_not_the_run_of_what_is_not_understood() -> None:
    for run in (b"x" * 201, b"", b"a\x00b"):
        assert refused(PLAIN, b"{", headers=[("pg-run", run)]).run is None


def test_headers_that_nobody_could_read_are_no_headers() -> None:
    assert refused(PLAIN, encoded(flight()), headers=[(UNREADABLE_NAME, None)]).reason is Reason.HEADER_ANOMALY


def test_ten_thousand_headers_and_a_megabyte_of_key() -> None:
    assert refused(PLAIN, b"{}", headers=[("a", b"b")] * 10_000).reason is Reason.TOO_MANY_HEADERS
    assert refused(PLAIN, b"{}", key=b"k" * 1_000_000).reason is Reason.KEY_TOO_LARGE
    assert refused(PLAIN, b'{"' + b"k" * 1_000_000 + b'":1}').reason is Reason.TOO_LARGE


# Schemas and classes


def test_a_broken_schema_is_named_with_its_place() -> None:
    got = refused(CHECKED, encoded(flight(status="lost")))
    assert (got.reason, got.class_name) == (Reason.SCHEMA, "flight")
    assert got.detail == "/status breaks the schema's properties/status/enum"
    assert "lost" not in got.detail


def test_unknown_keys_are_judged_by_the_schema() -> None:
    closed = {**FLIGHT_SCHEMA, "additionalProperties": False}
    assert isinstance(CHECKED.parse(encoded(flight(extra=1)), None, None), Understood)
    got = refused(Parser(contract(flight_class(closed))), encoded(flight(extra=1)))
    assert got.reason is Reason.SCHEMA


def test_a_rich_schema_is_judged_by_jsonschema() -> None:
    rich = {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]}
    parser = Parser(contract(flight_class(rich)))
    assert not parser._fast
    assert isinstance(parser.parse(encoded(flight(a=1)), None, None), Understood)
    assert refused(parser, encoded(flight(a=1, b=1))).reason is Reason.SCHEMA


def test_several_classes_and_a_class_from_a_header() -> None:
    landing = EventClass(2, "landing", "touchdown", (parse_pointer("/flight"),))
    parser = Parser(contract(flight_class(FLIGHT_SCHEMA), landing))
    assert understood(parser, encoded(flight())).class_number == 1
    assert understood(parser, encoded(flight(type="touchdown"))).class_name == "landing"
    assert refused(parser, encoded(flight(type="landing"))).reason is Reason.UNKNOWN_CLASS
    by_header = Parser(contract(flight_class(FLIGHT_SCHEMA), landing, class_from=Header("kind")))
    assert understood(by_header, encoded(flight()), headers=[("kind", b"flight")]).class_name == "flight"
    assert understood(by_header, encoded({"flight": 7}), headers=[("kind", b"touchdown")]).parts == (7,)
    assert refused(by_header, encoded(flight())).reason is Reason.NO_CLASS
    assert (
        refused(by_header, encoded(flight()), headers=[("kind", b"a"), ("kind", b"a")]).reason is Reason.HEADER_ANOMALY
    )


def test_what_names_no_class_is_said_with_its_place() -> None:
    by_header = Parser(contract(class_from=Header("kind")))
    assert refused(by_header, encoded(flight())).detail == "header:kind names the class and is not there"
    by_field = Parser(contract(class_from=parse_pointer("/kind")))
    assert refused(by_field, encoded(flight())).detail == "/kind names the class and is not there"
    assert refused(by_field, encoded(flight(kind=7))).detail == "/kind names the class and is not a string"
    assert refused(PLAIN, encoded(flight(type="boat"))).detail == 'no event class of the contract matches "boat"'


def test_a_contract_that_lists_no_class_understands_nothing_unless_it_is_for_cloudevents() -> None:
    parser = Parser(replace(contract(), events=()))
    assert not parser.takes_any_class
    assert refused(parser, encoded(flight())).reason is Reason.UNKNOWN_CLASS


def test_a_nested_id_on_the_fast_path() -> None:
    event = EventClass(1, "flight", "flight", (parse_pointer("/plane/tail"),), flight_class(FLIGHT_SCHEMA).schema)
    parser = Parser(contract(event))
    assert parser._fast
    assert understood(parser, encoded(flight(plane={"tail": "N1"}))).parts == ("N1",)
    assert refused(parser, encoded(flight())).reason is Reason.NO_ID
    assert refused(parser, encoded(flight(plane={}))).reason is Reason.NO_ID


# The fast path against the slow one


SCHEMED = contract(flight_class(FLIGHT_SCHEMA))
CLOSED = contract(flight_class({**FLIGHT_SCHEMA, "additionalProperties": False}))
EXACT = contract(
    flight_class({**FLIGHT_SCHEMA, "properties": {**FLIGHT_SCHEMA["properties"], "delay": {"type": "integer"}}})
)
LANDING = EventClass(2, "landing", "touchdown", (parse_pointer("/flight"),), flight_class(FLIGHT_SCHEMA).schema)
SCALAR_FIELDS = {name: rule for name, rule in FLIGHT_SCHEMA["properties"].items() if name not in ("via", "plane")}
PLANE = {"type": "object", "properties": {"tail": {"type": ["string", "null"]}, "seats": {"type": "integer"}}}
#: Quotes of these are counted instead of encoding them: no arrays, and no object that may be absent.
COUNTED = [
    contract(flight_class({**FLIGHT_SCHEMA, "properties": SCALAR_FIELDS})),
    contract(
        flight_class(
            {
                **FLIGHT_SCHEMA,
                "properties": {
                    **SCALAR_FIELDS,
                    "plane": PLANE,
                    "delay": {"type": "integer"},
                    "status": {"type": "string"},
                },
                "required": [*FLIGHT_SCHEMA["required"], "plane", "status"],
            }
        )
    ),
]
PAIRS = [
    (Parser(made), without_fast_path(made))
    for made in (SCHEMED, CLOSED, EXACT, *COUNTED, contract(flight_class(FLIGHT_SCHEMA), LANDING), contract(LANDING))
]
SCALARS = st.sampled_from(
    [None, True, 0, 1, 7.0, 1.5, -0.0, 2**53 + 1, -(2**53) - 1, -(2**63) - 1, 2**64, 1e300, "", "UA", "flight",
     "touchdown", "é", '"', "\\", "\x00", "late", "x" * 600]
)  # fmt: skip
FIELDS = st.sampled_from([*FLIGHT_SCHEMA["properties"], "run", "extra", "tail", "seats"])
FIELD_VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(FIELDS, inner, max_size=3), max_leaves=4
)


@st.composite
def flights(draw: st.DrawFn) -> bytes:
    """Flights, mostly right; some with odd fields, some with a key written twice."""
    document = flight(**draw(st.dictionaries(FIELDS, FIELD_VALUES, max_size=3)))
    document = {key: document[key] for key in draw(st.permutations(list(document)))}
    for key in draw(st.lists(FIELDS, max_size=1)):
        document.pop(key, None)
    text = json.dumps(
        document, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from([(",", ":"), (", ", ": ")]))
    )
    if draw(st.integers(0, 4)) == 0:
        text = text[:-1] + "," + json.dumps({draw(FIELDS): draw(FIELD_VALUES)})[1:]
    return text.encode()


@pytest.mark.parametrize("number", [2**53, 2**53 + 1, 2**63, 2**64 - 1, 2**64, 10**30])
@pytest.mark.parametrize("field", ["flight", "delay", "plane", "extra"])
def test_both_agree_at_the_bounds_of_integers(field: str, number: int) -> None:
    for signed in (number, -number):
        value = encoded(flight(**{field: {"seats": signed} if field == "plane" else signed}))
        for quick, slow in PAIRS:
            assert quick.parse(value, b"k", None) == slow.parse(value, b"k", None)


@settings(max_examples=examples(300))
@given(flights(), st.sampled_from([None, [("pg-run", b"2013-02")], [("kind", b"flight")]]))
def test_the_fast_path_answers_as_the_slow_one(value: bytes, headers: Headers | None) -> None:
    for quick, slow in PAIRS:
        assert quick.parse(value, b"k", headers) == slow.parse(value, b"k", headers)


def test_quotes_are_counted_where_every_key_is_a_scalar() -> None:
    assert [path.quotes is not None for made in (SCHEMED, *COUNTED) for path in Parser(made)._fast.values()] == [
        False,
        True,
        True,
    ]


@settings(max_examples=examples(500))
@given(flights(), st.sampled_from([{"tail": None}, {"tail": "N1"}, {"seats": 1}, {}]), st.booleans())
def test_counting_quotes_answers_as_looking_at_every_key(value: bytes, plane: dict[str, Any], repeated: bool) -> None:
    """With what the second one requires, so that its count is what decides, and a key that stands twice."""
    more = json.dumps({"status": "late", "plane": plane, **({"carrier": "AA"} if repeated else {})}).encode()
    for made in COUNTED:
        whole = value[:-1] + b"," + more[1:]
        assert Parser(made).parse(whole, b"k", None) == without_fast_path(made).parse(whole, b"k", None)


# Nothing raises

KINDS = st.sampled_from([b'{"type":"flight"}', encoded(flight()), b"{", b"", b"null"])
ANY_HEADERS = st.lists(
    st.tuples(
        st.sampled_from(["pg-run", "ce_id", "content-type", "", "a"]) | st.text(max_size=4),
        st.none() | st.binary(max_size=9),
    ),
    max_size=5,
)


@given(st.none() | st.binary(max_size=80) | KINDS, st.none() | st.binary(max_size=9), st.none() | ANY_HEADERS)
def test_nothing_a_producer_sends_raises(value: bytes | None, key: bytes | None, headers: Headers | None) -> None:
    for parser in (PLAIN, CHECKED, Parser(contract(kind=Format.CLOUDEVENTS))):
        got = parser.parse(value, key, headers)
        if isinstance(got, NotUnderstood):
            assert got.reason is not Reason.NONE
            assert got.detail.isprintable()
