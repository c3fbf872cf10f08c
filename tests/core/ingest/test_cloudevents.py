"""CloudEvents 1.0 in both modes, without mapping: class is the type, id is (source, id)."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from ingest.core.contract import EventClass, Format
from ingest.core.pointer import Header, parse_pointer
from ingest.core.record import Flag, Headers, NotUnderstood, Parser, Reason, Understood
from tests.core.ingest.samples import contract, encoded, schema

ANY = Parser(contract(kind=Format.CLOUDEVENTS))
STRUCTURED: Headers = [("content-type", b"application/cloudevents+json; charset=UTF-8")]
BINARY: Headers = [
    ("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/orders"), ("ce_type", b"com.example.paid"),
]  # fmt: skip


def event(**changed: Any) -> dict[str, Any]:
    made = {
        "specversion": "1.0",
        "id": "7",
        "source": "/orders",
        "type": "com.example.paid",
        "data": {"a": 1},
        **changed,
    }
    return {name: value for name, value in made.items() if value != "absent"}


def binary(**changed: bytes | None) -> Headers:
    return [(name, changed.get(name.removeprefix("ce_"), value)) for name, value in BINARY]


def test_structured() -> None:
    value = encoded(event())
    assert ANY.parse(value, b"k", STRUCTURED) == Understood("com.example.paid", 0, ("/orders", "7"), None, value, 0)


@pytest.mark.parametrize(
    "media", [None, b"application/json", b"application/vnd.order+json;charset=utf-8", b"text/json"]
)
def test_binary(media: bytes | None) -> None:
    headers = BINARY + ([("content-type", media)] if media else [])
    got = ANY.parse(b'{"a":1}', b"k", headers)
    assert got == Understood("com.example.paid", 0, ("/orders", "7"), None, b'{"a":1}', 0)


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        (None, Reason.NO_CONTENT_TYPE),
        ([("content-type", b"application/json")], Reason.NO_CONTENT_TYPE),
        ([("content-type", b"application/cloudevents+avro")], Reason.CONTENT_TYPE),
        ([("content-type", b"application/cloudevents-batch+json")], Reason.CONTENT_TYPE),
        ([("content-type", b"application/cloudevents+json; charset=utf-7")], Reason.CONTENT_TYPE),
        ([*BINARY, ("content-type", b"application/octet-stream")], Reason.CONTENT_TYPE),
        ([*BINARY, ("content-type", b"application/json;charset=utf-16")], Reason.CONTENT_TYPE),
        ([*BINARY, ("ce_id", b"8")], Reason.HEADER_ANOMALY),
        ([*STRUCTURED, *STRUCTURED], Reason.HEADER_ANOMALY),
        (binary(id=None), Reason.HEADER_ANOMALY),
        (binary(id=b"\xff"), Reason.HEADER_ANOMALY),
        (binary(id=b""), Reason.CLOUDEVENTS),
        (binary(specversion=b"0.3"), Reason.CLOUDEVENTS),
        (BINARY[:3], Reason.CLOUDEVENTS),
        ([*BINARY, ("ce_Bad", b"x")], Reason.CLOUDEVENTS),
    ],
)
def test_headers_that_are_no_cloudevent(headers: Headers | None, reason: Reason) -> None:
    got = ANY.parse(b'{"a":1}', b"k", headers)
    assert isinstance(got, NotUnderstood)
    assert got.reason is reason


@pytest.mark.parametrize(
    "changed",
    [
        {"specversion": "absent"}, {"specversion": "1.1"}, {"id": 7}, {"id": ""}, {"source": "absent"},
        {"source": "a b"}, {"type": None}, {"type": "x" * 201}, {"time": "yesterday"}, {"time": 7},
        {"subject": ""}, {"Upper": "x"}, {"under_score": "x"}, {"extension": {"a": 1}}, {"extension": 2**31},
        {"extension": 1.5}, {"extension": "a\x07"},
        {"data_base64": "YQ=="}, {"data": "absent", "data_base64": "%"}, {"data": "absent", "data_base64": 7},
    ],
    ids=repr,
)  # fmt: skip
def test_an_envelope_that_breaks_the_specification(changed: dict[str, Any]) -> None:
    got = ANY.parse(encoded(event(**changed)), b"k", STRUCTURED)
    assert isinstance(got, NotUnderstood)
    assert got.reason is Reason.CLOUDEVENTS
    assert got.detail.startswith("attribute ")


@pytest.mark.parametrize(
    "changed",
    [
        {"data": "absent"}, {"data": None}, {"data": [1]}, {"data": "text"}, {"time": "2013-01-01T10:00:00.5Z"},
        {"time": "2013-01-01T10:00:00+01:00"}, {"extension": True}, {"extension": -5}, {"subject": None},
        {"data": "absent", "data_base64": base64.b64encode(b"x").decode()}, {"id": "é\u202e"},
    ],
    ids=repr,
)  # fmt: skip
def test_what_the_specification_allows(changed: dict[str, Any]) -> None:
    assert isinstance(ANY.parse(encoded(event(**changed)), b"k", STRUCTURED), Understood)


def test_strict_json_holds_here_too() -> None:
    for headers in (STRUCTURED, BINARY):
        for value, reason in (
            (b'{"id":1,"id":2}', Reason.DUPLICATE_KEY),
            (b"[1]", Reason.NOT_OBJECT),
            (None, Reason.TOMBSTONE),
        ):
            got = ANY.parse(value, b"k", headers)
            assert isinstance(got, NotUnderstood)
            assert got.reason is reason


def test_declared_classes_bind_type_schema_and_id() -> None:
    """Pointers see the event in JSON format whatever the mode; the schema is about its data."""
    paid = EventClass(
        1, "paid", "com.example.paid", (parse_pointer("/source"), parse_pointer("/data/a")), schema({"required": ["a"]})
    )
    parser = Parser(contract(paid, kind=Format.CLOUDEVENTS))
    for value, headers in ((encoded(event()), STRUCTURED), (b'{"a":1}', BINARY)):
        got = parser.parse(value, b"k", headers)
        assert isinstance(got, Understood)
        assert (got.class_name, got.class_number, got.parts) == ("paid", 1, ("/orders", 1))
    other = parser.parse(encoded(event(type="com.example.lost")), b"k", STRUCTURED)
    assert isinstance(other, NotUnderstood)
    assert other.reason is Reason.UNKNOWN_CLASS
    plain = Parser(contract(EventClass(1, "paid", "com.example.paid", (), paid.schema), kind=Format.CLOUDEVENTS))
    broken = plain.parse(encoded(event(data={})), b"k", STRUCTURED)
    assert isinstance(broken, NotUnderstood)
    assert (broken.reason, broken.class_name) == (Reason.SCHEMA, "paid")
    own = plain.parse(encoded(event()), b"k", STRUCTURED)
    assert isinstance(own, Understood)
    assert own.parts == ("/orders", "7")


def test_a_schema_needs_json_data() -> None:
    paid = EventClass(1, "paid", "com.example.paid", (), schema({"type": "object"}))
    parser = Parser(contract(paid, kind=Format.CLOUDEVENTS))
    for changed in ({"data": "absent"}, {"data": "absent", "data_base64": "YQ=="}):
        got = parser.parse(encoded(event(**changed)), b"k", STRUCTURED)
        assert isinstance(got, NotUnderstood)
        assert got.reason is Reason.SCHEMA


def of_class(kind: Any, *, in_header: bool) -> Understood | NotUnderstood:
    """An event whose class is named beside its type, in a stream that lists no classes."""
    if in_header:
        by_header = Parser(contract(kind=Format.CLOUDEVENTS, class_from=Header("kind")))
        return by_header.parse(encoded(event()), b"k", [*STRUCTURED, ("kind", kind.encode())])
    by_pointer = Parser(contract(kind=Format.CLOUDEVENTS, class_from=parse_pointer("/data/kind")))
    return by_pointer.parse(encoded(event(data={"kind": kind} if kind else {})), b"k", STRUCTURED)


@pytest.mark.parametrize("in_header", [True, False])
@pytest.mark.parametrize("kind", ["paid", "é" * 100, "x" * 200])
def test_a_class_may_be_named_beside_the_type(kind: str, in_header: bool) -> None:
    got = of_class(kind, in_header=in_header)
    assert isinstance(got, Understood)
    assert (got.class_name, got.class_number) == (kind, 0)


@pytest.mark.parametrize(
    ("kind", "in_header", "reason"),
    [
        ("", True, Reason.UNKNOWN_CLASS), ("a\0b", True, Reason.UNKNOWN_CLASS), ("a\0b", False, Reason.NUL),
        ("a\x07", True, Reason.UNKNOWN_CLASS), ("a\x07", False, Reason.UNKNOWN_CLASS),
        ("é" * 101, True, Reason.UNKNOWN_CLASS), ("x" * 201, True, Reason.UNKNOWN_CLASS),
        ("x" * 9_000, False, Reason.UNKNOWN_CLASS), (7, False, Reason.UNKNOWN_CLASS), (None, False, Reason.NO_CLASS),
    ],
)  # fmt: skip
def test_it_is_held_to_what_a_type_may_say(kind: Any, in_header: bool, reason: Reason) -> None:
    """No contract bounds it, and it is stored: PostgreSQL takes no NUL, and an index nothing of thousands of bytes."""
    got = of_class(kind, in_header=in_header)
    assert isinstance(got, NotUnderstood)
    assert got.reason is reason
    assert got.detail.isprintable()
    assert len(got.detail) < 600
    assert "of the contract" not in got.detail


def test_ids_in_headers_are_bounded_too() -> None:
    got = ANY.parse(b"{}", b"k", binary(id=b"x" * 600))
    assert isinstance(got, NotUnderstood)
    assert got.reason is Reason.ID_TOO_LARGE


def test_run_and_flags_are_read() -> None:
    headers: Headers = [*STRUCTURED, ("pg-run", b"2013-01"), ("other", None)]
    got = ANY.parse(encoded(event()), None, headers)
    assert isinstance(got, Understood)
    assert (got.run, got.flags) == ("2013-01", Flag.NO_KEY | Flag.NULL_HEADER)
