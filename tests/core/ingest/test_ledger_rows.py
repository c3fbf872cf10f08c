"""Rows packed by hand read back as what went in: what PostgreSQL's binary COPY expects, field by field."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.decide import NewEvent, Outcome
from ingest.core.ledger_rows import ROWS, copied, event_rows, receipt_rows
from ingest.core.reason import Decision, Reason
from ingest.kafka import Record

DIGESTS = st.binary(min_size=32, max_size=32)
OFFSETS = st.integers(0, 2**63 - 1)
SMALL = st.integers(1, 2**31 - 1)
HEADERS = st.none() | st.lists(st.tuples(st.text(max_size=3), st.none() | st.binary(max_size=3)), max_size=2)
PARTS = st.lists(st.text(max_size=5) | st.integers(-(2**63), 2**64 - 1), min_size=1, max_size=3).map(tuple)
CLASSES = {"flight": 3, "landing": 2**31 - 1}


def fields(row: bytes) -> list[bytes | None]:
    """The fields of one row; the row holds nothing else."""
    (count,) = struct.unpack_from(">h", row)
    at, found = 2, []
    for _ in range(count):
        (length,) = struct.unpack_from(">i", row, at)
        at += 4
        found.append(None if length < 0 else row[at : at + length])
        at += max(0, length)
    assert at == len(row)
    return found


def number(raw: bytes | None, size: int) -> int:
    assert raw is not None
    assert len(raw) == size
    return int.from_bytes(raw, "big", signed=True)


@given(SMALL, SMALL, SMALL, OFFSETS, OFFSETS, DIGESTS, DIGESTS, st.sampled_from(sorted(CLASSES)), PARTS,
       st.none() | st.binary(max_size=5), HEADERS, st.binary(max_size=40))  # fmt: skip
def test_an_event(
    run: int, win: int, source: int, batch: int, offset: int, identity: bytes, digest: bytes, name: str,
    parts: Any, key: bytes | None, headers: Any, value: bytes,
) -> None:  # fmt: skip
    event = NewEvent(offset, identity, digest, name, 1, parts, value)
    (row,) = event_rows(run, win, source, batch, CLASSES, [(event, Record(offset, 0, key, value, headers, None))])
    got = fields(row)
    assert [number(got[i], 4) for i in (0, 2, 3, 4)] == [run, win, CLASSES[name], source]
    assert [number(got[i], 8) for i in (5, 6)] == [offset, batch]
    assert (got[1], got[7], got[9], got[11]) == (identity, digest, key, value)
    assert tuple(json.loads(got[8] or b"")) == parts
    packed = None if got[10] is None else [tuple(pair) for pair in msgspec.msgpack.decode(got[10])]
    assert packed == (headers or None)


@st.composite
def outcomes(draw: st.DrawFn) -> tuple[Outcome, int | None]:
    said = draw(st.sampled_from(Decision)), draw(st.sampled_from(Reason)), draw(st.integers(0, 2**15 - 1))
    named = draw(st.none() | DIGESTS)
    return Outcome(draw(OFFSETS), *said, named, draw(DIGESTS), None, None, None), draw(st.none() | SMALL)


@given(SMALL, OFFSETS, st.lists(outcomes(), max_size=8))
def test_receipts(source: int, batch: int, made: list[tuple[Outcome, int | None]]) -> None:
    rows = receipt_rows(source, batch, [outcome for outcome, _ in made], [known for _, known in made])
    for row, (outcome, known) in zip(rows, made, strict=True):
        got = fields(row)
        assert (number(got[0], 4), number(got[1], 8), number(got[2], 8)) == (source, outcome.offset, batch)
        assert [number(raw, 2) for raw in got[3:6]] == [outcome.decision, outcome.reason, outcome.flags]
        assert (got[6] and number(got[6], 4), got[7], got[8]) == (known, outcome.identity, outcome.payload_digest)


def test_a_copy_has_a_head_rows_some_at_a_time_and_an_end() -> None:
    def rows() -> Iterator[bytes]:
        yield from [b"row"] * (2 * ROWS + 1)

    head, first, second, third, end = copied(rows())
    assert head == b"PGCOPY\n\xff\r\n\0" + bytes(8)
    assert (len(first), len(second), third, end) == (3 * ROWS, 3 * ROWS, b"row", b"\xff\xff")
    assert len(list(copied(iter([])))) == 2
