"""Numbers that receipts store: pinned, because a ledger never learns that one has changed its meaning."""

from __future__ import annotations

import inspect

import pytest

from ingest.core import reason
from ingest.core.reason import Decision, Flag, Reason


def test_numbers_are_pinned() -> None:
    assert {member.name: int(member) for member in Decision} == {"ADMITTED": 1, "DUPLICATE": 2, "QUARANTINED": 3}
    assert {member.name: int(member) for member in Reason} == {
        "NONE": 0, "NOT_JSON": 1, "NOT_UTF8": 2, "BOM": 3, "EMPTY": 4, "NOT_OBJECT": 5, "TRAILING": 6,
        "DUPLICATE_KEY": 7,
        "TOO_DEEP": 8, "NUMBER_RANGE": 9, "NUL": 10, "SURROGATE": 11, "TOMBSTONE": 12, "TOO_LARGE": 20,
        "KEY_TOO_LARGE": 21, "TOO_MANY_HEADERS": 22, "HEADERS_TOO_LARGE": 23, "ID_TOO_LARGE": 24, "NO_CLASS": 30,
        "UNKNOWN_CLASS": 31, "NO_ID": 32, "ID_TYPE": 33, "SCHEMA": 34, "BAD_RUN": 35, "HEADER_ANOMALY": 40,
        "NO_CONTENT_TYPE": 41, "CONTENT_TYPE": 42, "CLOUDEVENTS": 43, "PAYLOAD_MISMATCH": 50, "OTHER_RUN": 51,
        "LATE": 52,
    }  # fmt: skip
    assert [int(member) for member in Flag] == [2**bit for bit in range(10)]


@pytest.mark.parametrize("kind", [Decision, Reason])
def test_every_member_has_its_line(kind: type[Decision] | type[Reason]) -> None:
    lines = [line.strip() for line in inspect.getsource(getattr(reason, kind.__name__)).splitlines()]
    for member in kind:
        at = next(number for number, line in enumerate(lines) if line.startswith(f"{member.name} ="))
        assert lines[at + 1].startswith('"""')
