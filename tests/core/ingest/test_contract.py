"""What a contract says once read: defaults, digest, what is not in force, differences, and where keys stand."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.contract import (
    Contract,
    ContractErrors,
    Format,
    Limits,
    PinTime,
    diff,
    normalised,
    not_in_force,
    parse_contract,
    who_reads,
)
from ingest.core.contract.lines import lines_of
from ingest.core.contract.table import dotted, duration
from ingest.core.pointer import Header, parse_pointer

GOOD = Path(__file__).parents[2] / "contracts" / "good"
SMALLEST = (GOOD / "smallest.toml").read_bytes()
FLIGHTS = (GOOD / "flights.toml").read_bytes()


def no_file(name: str) -> bytes:
    raise FileNotFoundError(name)


def parse(text: bytes) -> Contract:
    return parse_contract(text, "c.toml", lambda name: (GOOD / name).read_bytes())


def test_the_full_example_is_read_as_written() -> None:
    contract = parse(FLIGHTS)
    assert contract.stream == "flights"
    assert contract.inbox.kafka.format is Format.JSON
    assert contract.bus.delivery_timeout == timedelta(seconds=15)
    assert contract.run.places == (Header("pg-run"), parse_pointer("/run"))
    assert [pointer.text for pointer in contract.events[0].id] == ["/carrier", "/flight", "/time_hour"]
    assert contract.events[0].number == 1
    assert contract.contexts[0].on[0] == (parse_pointer("/origin"), parse_pointer("/origin"))
    assert contract.payload.keep == timedelta(days=400)
    assert contract.notify[1].to == "email:approvers"


def test_the_full_example_shows_the_defaults() -> None:
    """A table that the smallest contract leaves out means what the example writes."""
    small, full = parse(SMALLEST), parse(FLIGHTS)
    for part in ("limits", "close", "reconcile", "plans"):
        assert getattr(small, part) == getattr(full, part)
    assert small.bus.delivery_timeout == full.bus.delivery_timeout
    assert small.gate == dataclasses.replace(full.gate, readers=())
    assert small.run.places == ()


def test_what_is_not_in_force_is_said() -> None:
    assert not_in_force(parse(SMALLEST)) == []
    written = ["gate.readers", "payload.keep", "[[notify]]"]
    assert not_in_force(parse(FLIGHTS)) == written
    for plans, said in (
        ("approvals = 5", []),
        ("free_records = 9", []),
        ("approvals = 2\nfree_records = 9", ["plans.free_records"]),
    ):
        assert not_in_force(parse(SMALLEST + f"\n[plans]\n{plans}\n".encode())) == said, plans


def test_who_really_reads_is_said_where_readers_are_named() -> None:
    assert who_reads(parse(SMALLEST)) == ""
    said = who_reads(parse(FLIGHTS))
    assert said.startswith("gate.readers names flights_mart, and nothing keeps others away yet")
    assert "passgate_reader" in said


def test_the_digest_is_of_meaning_not_of_writing() -> None:
    other = SMALLEST.replace(b'from = "/type"', b"from = '/type' # the class") + b"\n[limits]\ndepth = 32\n"
    assert parse(other).digest == parse(SMALLEST).digest
    assert parse(other.replace(b"32", b"31")).digest != parse(SMALLEST).digest


def test_the_digest_holds_the_schema_but_not_its_white_space() -> None:
    text = SMALLEST + b'schema = "s.json"\n'
    digests = [
        parse_contract(text, "c.toml", lambda _, schema=schema: schema).digest  # type: ignore[misc]
        for schema in (b'{"type":"object"}', b'{ "type" : "object" }', b'{"type":"object","required":["a"]}')
    ]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("number", [b"9007199254740992", b"9007199254740993", b"0.12345678901234567891", b"1e999"])
def test_a_schema_holds_only_numbers_that_its_digest_can(number: bytes) -> None:
    text = SMALLEST + b'schema = "s.json"\n'
    with pytest.raises(ContractErrors, match=r"event\.flight\.schema"):
        parse_contract(text, "c.toml", lambda _: b'{"properties":{"a":{"maximum":' + number + b"}}}")


def test_the_digest_is_pinned() -> None:
    """Stored verdicts name it: a change here makes every stored contract look like another one."""
    assert parse(SMALLEST).digest.hex() == "216275bebd0c823875adaeb4996a1be8e5de16cc9806056d467f933e7b6cbb31"


def test_differences_are_one_line_each() -> None:
    new = SMALLEST.replace(b"partitions = 4", b"partitions = 6") + b'match = "leg"\n\n[projection]\nclass = "a:B"\n'
    assert diff(parse(SMALLEST), parse(new)) == [
        "bus.partitions: 4 -> 6",
        "projection: removed, was null",
        'event.flight.match: "flight" -> "leg"',
        "projection.tables: added []",
        'projection.class: added "a:B"',
    ]
    assert diff(parse(new), parse(new)) == []


def test_a_projection_is_checked_only_against_a_given_list() -> None:
    text = SMALLEST + b'\n[projection]\nclass = "a.b:C"\n'
    assert parse_contract(text, "c.toml", no_file).projection is not None
    assert parse_contract(text, "c.toml", no_file, frozenset(["a.b:C"])).projection is not None
    with pytest.raises(ContractErrors):
        parse_contract(text, "c.toml", no_file, frozenset())


def test_cloudevents_may_leave_out_class_and_id() -> None:
    text = (GOOD / "cloudevents.toml").read_bytes()
    contract = parse(text + b'\n[event.paid]\nmatch = "com.example.paid"\n')
    assert contract.class_from is None
    assert contract.events[0].id == ()


@pytest.mark.parametrize(
    ("text", "seconds"), [("15s", 15), ("5m", 300), ("24h", 86400), ("2d", 172800), ("250ms", 0.25)]
)
def test_durations(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize("text", ["", "15", "s", "-1s", "1.5s", "15 s", "015s", "15S", "15s\n", "9" * 12 + "s", "١s"])
def test_what_is_no_duration(text: str) -> None:
    assert duration(text) is None


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_contract_errors(text: bytes) -> None:
    with pytest.raises(ContractErrors):
        parse_contract(text, "c.toml", no_file)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")), max_size=5)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 9) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
KEYS = ["stream", "inbox", "bus", "run", "class", "event", "context", "projection", "limits", "close", "gate", "notify"]


def toml(value: Any) -> str:
    """Enough of a TOML writer: strings and keys quoted as JSON, tables inline."""
    if isinstance(value, dict):
        return (
            "{"
            + ", ".join(f"{json.dumps(key, ensure_ascii=False)} = {toml(item)}" for key, item in value.items())
            + "}"
        )
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False) if value is not None else '"null"'


@given(st.dictionaries(st.sampled_from(KEYS), VALUES, min_size=1))
def test_any_kind_of_value_anywhere_is_a_named_fault(values: dict[str, Any]) -> None:
    text = "".join(f"{key} = {toml(value)}\n" for key, value in values.items())
    with pytest.raises(ContractErrors) as caught:
        parse_contract(text.encode(), "c.toml", no_file)
    assert all(error.line <= len(values) + 1 for error in caught.value.errors)


@given(st.dictionaries(TEXTS, VALUES))
def test_lines_are_those_of_the_keys(values: dict[str, Any]) -> None:
    text = "".join(f"{toml(key)} = {toml(value)}\n" for key, value in values.items())
    assert list(tomllib.loads(text)) == list(values)
    lines = lines_of(text)
    assert [lines[(key,)] for key in values] == list(range(1, len(values) + 1))


def test_lines_in_every_kind_of_table() -> None:
    text = 'a.b = 1\n"x y" = {q=1, r=[1,\n2, # ]\n3]}\nm = """\n[z]\nk=1\n"""\n[t.u]\nv = \'\'\'\n\'\'\'\n'
    text += "[[n]]\na = 1\n[n.sub]\nb = 2\n[[n]]\na = 3\n"
    lines = lines_of(text)
    assert lines[("a", "b")] == 1
    assert lines[("x y", "r", 2)] == 4
    assert lines[("t", "u")] == 9
    assert lines[("n", 0, "sub", "b")] == 15
    assert lines[("n", 1, "a")] == 17
    assert ("z",) not in lines


def test_paths_are_shown_as_they_are_written() -> None:
    assert dotted(("notify", 0, "to")) == "notify[0].to"
    assert dotted(("context", "weather", "on", "/origin")) == 'context.weather.on."/origin"'


def test_hard_maxima_stand_above_the_defaults() -> None:
    for field in dataclasses.fields(Limits):
        text = SMALLEST + f"\n[limits]\n{field.name} = 999_999_999_999\n".encode()
        with pytest.raises(ContractErrors, match=f"limits.{field.name}"):
            parse_contract(text, "c.toml", no_file)


def test_when_contexts_are_pinned_is_part_of_the_meaning() -> None:
    """And left out where it is as it always was, so that no digest of before changes."""
    text = (GOOD / "pinned-at-the-cut.toml").read_bytes()
    pinned = parse_contract(text, "c.toml", no_file)
    plain = parse_contract(text.replace(b'[context]\npin = "cut"\n', b""), "c.toml", no_file)
    assert (pinned.pin, plain.pin) == (PinTime.CUT, PinTime.OPEN)
    assert "pin" not in normalised(plain)["context"] and "pin" not in normalised(plain)
    assert diff(plain, pinned) == ['context.pin: added "cut"']
    assert plain.digest == parse_contract(text.replace(b'"cut"', b'"open"'), "c.toml", no_file).digest


def test_a_context_may_be_called_pin() -> None:
    contract = parse_contract((GOOD / "context-called-pin.toml").read_bytes(), "c.toml", no_file)
    assert ([context.name for context in contract.contexts], contract.pin) == (["pin"], PinTime.OPEN)
