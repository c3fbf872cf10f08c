"""Rows for binary COPY, built by columns: the same bytes as a row at a time."""

from __future__ import annotations

from struct import pack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.copying import digests, int4, int8, null, rows

ROW = st.tuples(st.binary(min_size=32, max_size=32), st.integers(-(2**31), 2**31 - 1), st.integers(-(2**63), 2**63 - 1))


def one_by_one(table: list[tuple[bytes, int, int]]) -> bytes:
    body = b"".join(
        pack(">hii i32s iiiqi", 6, 4, 7, 32, digest, 4, small, 8, large, -1) + pack(">iq", 8, 9)
        for digest, small, large in table
    )
    return b"PGCOPY\n\xff\r\n\0" + bytes(8) + body + b"\xff\xff"


@given(st.lists(ROW, max_size=20))
def test_columns_make_the_rows_that_rows_make(table: list[tuple[bytes, int, int]]) -> None:
    keys, small, large = [r[0] for r in table], [r[1] for r in table], [r[2] for r in table]
    fields = (int4(7), digests(keys), int4(small), int8(large), null(), int8(9))
    assert rows(len(table), fields) == one_by_one(table)


@pytest.mark.parametrize("count", [499, 500, 501, 1700])
def test_rows_that_are_written_in_several_goes(count: int) -> None:
    table = [(bytes([n % 256]) * 32, n, -n) for n in range(count)]
    fields = (int4(7), digests([r[0] for r in table]), int4(range(count)), int8([r[2] for r in table]), null(), int8(9))
    assert rows(count, fields) == one_by_one(table)


def test_a_column_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        digests([b"x" * 32, b"y" * 31])
    with pytest.raises(ValueError, match="a column of 8 bytes"):
        rows(3, [int4([1, 2])])
