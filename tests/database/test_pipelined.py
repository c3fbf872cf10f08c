"""A look-up beside which other work goes on: its rows, its errors and its end are those of one that is waited for."""

from __future__ import annotations

import time
from collections.abc import Iterator

import psycopg
import pytest

from ingest.db import ConstraintViolated, DatabaseGone, fetch_pipelined, read, write
from stack import Stack

MANY = "SELECT n, repeat('x', 100) AS x FROM generate_series(1, %(n)s) AS n"


class Beside:
    """Work in so many parts, each of which takes a moment."""

    def __init__(self, parts: int, each: float = 0.001) -> None:
        self.parts = parts
        self.each = each
        self.done = self.asked = 0

    def __call__(self) -> bool:
        self.asked += 1
        if self.done == self.parts:
            return False
        time.sleep(self.each)
        self.done += 1
        return True


@pytest.fixture(autouse=True)
def stack(live: Stack) -> Iterator[None]:
    yield


def test_work_goes_on_while_the_server_looks_and_ends_with_it() -> None:
    beside = Beside(1_000_000)
    with write() as cur:
        rows = fetch_pipelined(cur, "SELECT 7 AS n FROM pg_sleep(0.3)", {}, beside)
        assert [row.n for row in rows] == [7]
        assert beside.done > 20
        assert cur.execute("SELECT 8 AS n").fetchone().n == 8  # type: ignore[union-attr]


def test_what_is_there_to_do_ends_first() -> None:
    beside = Beside(3)
    with write() as cur:
        rows = fetch_pipelined(cur, "SELECT 7 AS n FROM pg_sleep(0.3)", {}, beside)
    assert (len(rows), beside.done, beside.asked) == (1, 3, 4)  # asked no more than once in vain: it does not spin


@pytest.mark.parametrize("size", [0, 1, 100_000])
def test_rows_are_the_same(size: int) -> None:
    """Ten megabytes do not fit what lies between: the server stops sending until they are fetched."""
    with read() as cur:
        assert fetch_pipelined(cur, MANY, {"n": size}, Beside(50)) == fetch_pipelined(cur, MANY, {"n": size})


def test_an_error_is_its_own_and_the_connection_goes_on() -> None:
    with pytest.raises((psycopg.errors.DivisionByZero, ConstraintViolated), match="division by zero"), write() as cur:
        fetch_pipelined(cur, "SELECT 1 / (%(n)s - 1) FROM pg_sleep(0.1)", {"n": 1}, Beside(5))
    with write() as cur:
        assert fetch_pipelined(cur, "SELECT 9 AS n", {}, Beside(1))[0].n == 9


def test_what_the_work_raises_passes_and_the_connection_goes_on() -> None:
    def breaks() -> bool:
        raise ValueError("a part of it broke")

    with pytest.raises(ValueError, match="a part of it broke"), write() as cur:
        fetch_pipelined(cur, "SELECT 7 AS n FROM pg_sleep(0.1)", {}, breaks)
    with read() as cur:
        assert fetch_pipelined(cur, "SELECT 9 AS n", {}, Beside(1))[0].n == 9


def test_a_connection_that_ends_meanwhile_is_the_database_gone(live: Stack) -> None:
    def ended() -> bool:
        with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"]) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [pid])
        time.sleep(0.2)
        return True

    with pytest.raises(DatabaseGone), write() as cur:
        pid = cur.connection.info.backend_pid
        fetch_pipelined(cur, "SELECT 7 AS n FROM pg_sleep(20)", {}, ended)
    with read() as cur:
        assert fetch_pipelined(cur, "SELECT 9 AS n", {}, Beside(1))[0].n == 9
