"""A CloudEvent's one form: what its digest is of, and what two events are compared in."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.attempt import DIGEST, digest_of
from ingest.core.canonical import same_event
from ingest.core.cloudevents import attribute_headers, digest_as_said, event_digest, structured_form
from ingest.core.identity import payload_digest

Headers = list[tuple[str, bytes | None]]
BINARY: Headers = [("ce_specversion", b"1.0"), ("ce_id", b"7"), ("ce_source", b"/s"), ("ce_type", b"t")]
STRUCTURED: Headers = [("content-type", b"Application/CloudEvents+json; charset=utf-8")]
VALUE = b'{"a":1}'


def structured(**changed: Any) -> bytes:
    return json.dumps(
        {"specversion": "1.0", "id": "7", "source": "/s", "type": "t", "data": {"a": 1}, **changed}
    ).encode()


def test_the_digest_is_of_the_value_alone_unless_the_event_is_binary() -> None:
    plain = hashlib.sha256(VALUE).digest()
    no_event: tuple[Headers | None, ...] = (None, [], [("x", b"1")], [("content-type", b"application/json")])
    for headers in (*no_event, STRUCTURED, [*STRUCTURED, *BINARY]):
        assert attribute_headers(headers) is None
        assert event_digest(VALUE, headers) == payload_digest(VALUE) == plain
    assert event_digest(VALUE, BINARY) != plain


def test_the_digest_is_of_what_the_headers_say_in_any_order_and_of_no_others() -> None:
    digest = event_digest(VALUE, BINARY)
    assert event_digest(VALUE, [*reversed(BINARY)]) == digest
    assert event_digest(VALUE, [("pg-run", b"r"), *BINARY, ("trace", None), ("pg-digest", b"0")]) == digest
    for more in (("content-type", b"application/json"), ("ce_subject", b""), ("ce_subject", None), ("ce_id", b"7")):
        assert event_digest(VALUE, [*BINARY, more]) != digest
    assert event_digest(b"", BINARY) == event_digest(None, BINARY)


@given(st.lists(st.tuples(st.sampled_from(["ce_a", "ce_b", "ce_ab"]), st.binary(max_size=3)), min_size=1, max_size=3),
       st.lists(st.tuples(st.sampled_from(["ce_a", "ce_b", "ce_ab"]), st.binary(max_size=3)), min_size=1, max_size=3),
       st.binary(max_size=3), st.binary(max_size=3))  # fmt: skip
def test_no_two_events_collide_by_joining(one: Headers, other: Headers, first: bytes, second: bytes) -> None:
    key = lambda header: (header[0], header[1] or b"")  # noqa: E731
    same = (sorted(one, key=key), first) == (sorted(other, key=key), second)
    assert (event_digest(first, one) == event_digest(second, other)) == same


def test_what_somebody_says_only_chooses_between_the_digests_of_these_bytes() -> None:
    plain, binary = payload_digest(VALUE), event_digest(VALUE, BINARY)
    assert digest_as_said(VALUE, BINARY, plain) == plain
    assert digest_as_said(VALUE, BINARY, binary) == binary
    assert digest_as_said(VALUE, BINARY, None) == plain
    assert digest_as_said(VALUE, BINARY, b"\x00" * 32) == plain
    assert digest_as_said(b"other", BINARY, binary) == payload_digest(b"other")
    assert digest_as_said(VALUE, [*BINARY, ("ce_subject", b"x")], binary) == plain
    assert digest_as_said(VALUE, None, binary) == plain
    assert digest_of(VALUE, [*BINARY, (DIGEST, binary.hex().encode())]) == binary
    assert digest_of(VALUE, [*BINARY, (DIGEST, b"nonsense")]) == plain


@pytest.mark.parametrize(
    ("headers", "value", "same"),
    [
        (BINARY, VALUE, True),
        ([*BINARY, ("content-type", b"application/json")], VALUE, True),
        ([*BINARY, ("content-type", b"Application/JSON;charset=UTF-8")], VALUE, True),
        ([*BINARY, ("content-type", b"application/vnd.x+json")], VALUE, False),
        ([*BINARY, ("ce_subject", b"x")], VALUE, False),
        ([*BINARY, ("other", b"x")], VALUE, True),
        (BINARY, b'{"a":1.0}', True),
        (BINARY, b'{"a":true}', False),
        (STRUCTURED, structured(subject=None), True),
        (STRUCTURED, structured(datacontenttype="application/json"), True),
        (STRUCTURED, structured(data=None), False),
        (STRUCTURED, structured(time="2013-01-01T10:00:00Z"), False),
        (STRUCTURED, structured(data_base64="e30=", data={"a": 1}), False),
    ],
    ids=repr,
)
def test_one_event_has_one_form(headers: Headers, value: bytes, same: bool) -> None:
    assert same_event(structured_form(structured(), STRUCTURED), structured_form(value, headers)) is same


@pytest.mark.parametrize(("said", "text"), [(5, b"5"), (-(2**31), b"-2147483648"), (True, b"true"), (False, b"false")])
def test_attributes_are_compared_as_the_strings_that_binary_mode_has(said: Any, text: bytes) -> None:
    binary = structured_form(VALUE, [*BINARY, ("ce_extension", text)])
    assert same_event(structured_form(structured(extension=said), STRUCTURED), binary)
    assert not same_event(structured_form(structured(extension=not said), STRUCTURED), binary)


def test_numbers_of_the_data_stay_as_they_were_written() -> None:
    value = b'{"a":9007199254740993, "b":1.50, "c":100000000000000000000}'
    assert value in structured_form(value, BINARY)
    whole = structured().replace(b'{"a": 1}', value)
    assert value in structured_form(whole, STRUCTURED)
    assert same_event(structured_form(whole, STRUCTURED), structured_form(value, BINARY))
    other = structured_form(value.replace(b"993", b"992"), BINARY)
    assert not same_event(structured_form(whole, STRUCTURED), other)
