"""Rows of fixed width in the format of PostgreSQL's binary COPY, built column by column. Pure.

A driver takes a microsecond or more for each row it is given. Here a byte of a row is one strided copy over many rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from struct import pack

HEAD = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"
_ROWS = 500  # written together: what stays in the processor's cache


@dataclass(frozen=True, slots=True)
class Field:
    """One column: `width` bytes a row (-1: null), either the same in each or those of `column`, row after row."""

    width: int
    same: bytes = b""
    column: bytes | None = None


def null() -> Field:
    return Field(-1)


def int4(value: int | Sequence[int]) -> Field:
    """A column of integers, or one integer in every row."""
    if isinstance(value, int):
        return Field(4, pack(">i", value))
    return Field(4, column=pack(f">{len(value)}i", *value))


def int8(value: int | Sequence[int]) -> Field:
    if isinstance(value, int):
        return Field(8, pack(">q", value))
    return Field(8, column=pack(f">{len(value)}q", *value))


def digests(values: Sequence[bytes]) -> Field:
    """A column of byte strings that are all 32 bytes long. Raises ValueError where one is not."""
    if set(map(len, values)) - {32}:
        raise ValueError("a digest is not 32 bytes long")
    return Field(32, column=b"".join(values))


def rows(count: int, fields: Sequence[Field]) -> bytes:
    """All of a COPY (FORMAT BINARY): `count` rows of these fields. Raises ValueError for a column of other length."""
    template = bytearray(pack(">h", len(fields)))
    columns: list[tuple[int, int, bytes]] = []
    for field in fields:
        template += pack(">i", field.width)
        if field.column is not None:
            if len(field.column) != count * field.width:
                raise ValueError(f"a column of {len(field.column)} bytes for {count} rows of {field.width}")
            columns.append((len(template), field.width, field.column))
        template += field.same if field.column is None else bytes(field.width)
    parts = [_some(template, columns, at, min(count, at + _ROWS)) for at in range(0, count, _ROWS)]
    return b"".join((HEAD, *parts, END))


def _some(template: bytearray, columns: Sequence[tuple[int, int, bytes]], first: int, end: int) -> bytearray:
    """COPY data of rows [first, end): the template once a row, then each column's bytes into all of them."""
    made, size = template * (end - first), len(template)
    for start, width, column in columns:
        here = column[first * width : end * width]
        for index in range(width):
            made[start + index :: size] = here[index::width]
    return made
