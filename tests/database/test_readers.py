"""A reader's login: what it can hold up, how long it can stay, and what EXPLAIN tells it. Tried as the reader."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from ingest.db import write
from ingest.permits import dispatch
from stack import Stack
from stack.postgres import READER_CONNECTIONS, READER_SETTINGS

TABLE = "truth.h_rows"


@pytest.fixture
def reader(live: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(live.env()["PASSGATE_READER_URL"], autocommit=True) as connection:
        yield connection


@pytest.fixture
def administrator(live: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        yield connection


# ---- what it can hold up --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "taking",
    [
        "SELECT pg_advisory_lock(hashtext('passgate.dispatch'))",
        "SELECT pg_advisory_xact_lock_shared(1, 2)",
        "SELECT pg_try_advisory_lock(n) FROM generate_series(1, 1000000) n",
        "SELECT lo_create(0)",
        "SELECT FROM turn FOR UPDATE",
        "SELECT try_turn('dispatch')",
        "SELECT door_turn(1)",
        "SELECT touch_windows('{1}')",
        "SELECT end_reader(1)",
        "SELECT win FROM gate_open",
        "SELECT FROM gate_open FOR SHARE",
        "LOCK TABLE gate_open IN ACCESS SHARE MODE",
        "LOCK TABLE truth.weather IN SHARE MODE",
        "SELECT FROM truth.weather FOR KEY SHARE",
    ],
)
def test_a_reader_takes_nothing_that_others_wait_for(reader: psycopg.Connection[Any], taking: str) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege), reader.transaction():
        reader.execute(taking)


def test_no_turn_is_an_advisory_lock(administrator: psycopg.Connection[Any], live: Stack) -> None:
    """Whoever may still take one by the names that turns once had holds up nobody."""
    with administrator.transaction():
        for name in ("passgate.dispatch", "ensure_run_partitions"):
            administrator.execute("SELECT pg_advisory_xact_lock(hashtext(%s))", (name,))
        before = administrator.execute("SELECT count(*) FROM permit").fetchone()
        assert before is not None
        with write() as cur:
            cur.execute("SET LOCAL lock_timeout = '2s'")
            assert cur.execute("SELECT try_turn('dispatch') AS mine").fetchone().mine  # type: ignore[union-attr]
            cur.execute("SELECT ensure_run_partitions(1)")
        assert dispatch(0) == 0


# ---- how long it can stay -------------------------------------------------------------------------------------------


def test_a_login_has_its_bounds(reader: psycopg.Connection[Any], administrator: psycopg.Connection[Any]) -> None:
    for name, value in READER_SETTINGS.items():
        said = reader.execute(f"SHOW {name}").fetchone()
        assert said == (value,), name
    limit = administrator.execute(
        "SELECT rolconnlimit FROM pg_roles WHERE rolname = 'passgate_login_reader'"
    ).fetchone()
    assert limit == (READER_CONNECTIONS,)


def test_a_session_that_says_nothing_in_its_transaction_ends(live: Stack) -> None:
    """By the server's own clock, with nobody of ours alive: here after a second in place of ten."""
    options = "-c idle_in_transaction_session_timeout=1s"
    with psycopg.connect(live.env()["PASSGATE_READER_URL"], options=options) as reader:
        reader.execute("SELECT count(*) FROM truth.weather")
        time.sleep(1.5)
        with pytest.raises((psycopg.OperationalError, psycopg.errors.IdleInTransactionSessionTimeout)):
            reader.execute("SELECT 1")


def test_the_disk_a_reader_may_fill_is_not_its_own_to_say(reader: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        reader.execute("SET temp_file_limit = -1")


# ---- what EXPLAIN tells it ------------------------------------------------------------------------------------------


@pytest.fixture
def told(live: Stack, administrator: psycopg.Connection[Any]) -> Iterator[psycopg.Connection[Any]]:
    """A reader beside a table of windows that are all shut: 3,000 rows of one and 20 of another, analysed."""
    administrator.execute("SET role = passgate_owner")
    administrator.execute(
        f"CREATE TABLE {TABLE} (win integer NOT NULL, id integer, origin text, PRIMARY KEY (win, id))"
    )
    try:
        administrator.execute(f"CREATE INDEX ON {TABLE} (win, origin)")
        administrator.execute(f"SELECT guard_truth_table('{TABLE}')")
        administrator.execute("SET role = postgres")
        administrator.execute(
            f"INSERT INTO {TABLE} SELECT CASE WHEN n <= 3000 THEN -71 ELSE -72 END, n,"
            " CASE WHEN n % 10 = 0 THEN 'LGA' ELSE 'EWR' END FROM generate_series(1, 3020) n"
        )
        administrator.execute(f"ANALYZE {TABLE}")
        with psycopg.connect(live.env()["PASSGATE_READER_URL"], autocommit=True) as connection:
            yield connection
    finally:
        administrator.execute("SET role = postgres")
        administrator.execute(f"DROP TABLE {TABLE}")


def explained(reader: psycopg.Connection[Any], where: str, how: str = "COSTS") -> list[tuple[str, Any]]:
    """Each node's numbers of rows, estimated and counted."""
    row = reader.execute(f"EXPLAIN ({how}, FORMAT JSON) SELECT * FROM {TABLE} WHERE {where}").fetchone()
    assert row is not None
    return [(key, value) for key, value in _numbers(row[0] if isinstance(row[0], list) else json.loads(row[0]))
            if "Rows" in key]  # fmt: skip


def _numbers(node: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(node, list):
        for each in node:
            yield from _numbers(each)
    elif isinstance(node, dict):
        for key, value in node.items():
            if isinstance(value, dict | list):
                yield from _numbers(value)
            else:
                yield key, value


PAIRS = [("origin = 'EWR'", "origin = 'LGA'"), ("origin = 'EWR'", "origin = 'none'"), ("id < 100", "id < 3000"),
         ("win = -71", "win = -72"), ("win = -71", "win = -99"), ("win = -71 AND origin = 'EWR'",
                                                                   "win = -72 AND origin = 'LGA'")]  # fmt: skip


@pytest.mark.parametrize(("one", "other"), PAIRS)
def test_explain_tells_nothing_about_shut_windows(told: psycopg.Connection[Any], one: str, other: str) -> None:
    assert explained(told, one) == explained(told, other)
    assert told.execute(f"SELECT count(*) FROM {TABLE}").fetchone() == (0,)


@pytest.mark.parametrize(("one", "other"), PAIRS)
@pytest.mark.parametrize("off", ["", "enable_seqscan", "enable_indexscan", "enable_bitmapscan"])
def test_explain_analyze_counts_no_rows_of_shut_windows(
    told: psycopg.Connection[Any], one: str, other: str, off: str
) -> None:
    """Whatever way the reader has it read, what is counted does not depend on what the rows hold."""
    if off:
        told.execute(f"SET {off} = off")
    how = "ANALYZE, TIMING OFF"
    assert explained(told, one, how) == explained(told, other, how)


def test_statistics_of_before_are_gone(administrator: psycopg.Connection[Any], live: Stack) -> None:
    rows = administrator.execute(
        "SELECT c.relname, a.attname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0"
        " WHERE c.relnamespace = 'truth'::regnamespace AND c.relkind IN ('r', 'p') AND NOT a.attisdropped"
        " AND (a.attstattarget IS DISTINCT FROM 0"
        "      OR EXISTS (SELECT FROM pg_statistic s WHERE s.starelid = c.oid AND s.staattnum = a.attnum))"
    ).fetchall()
    assert rows == []


def test_an_index_that_another_column_leads_is_refused(administrator: psycopg.Connection[Any]) -> None:
    with pytest.raises(psycopg.errors.CheckViolation, match="does not begin with win"), administrator.transaction():
        administrator.execute("SET LOCAL role = passgate_owner")
        administrator.execute(f"CREATE TABLE {TABLE} (win integer NOT NULL, origin text)")
        administrator.execute(f"CREATE INDEX ON {TABLE} (origin)")
        administrator.execute(f"SELECT guard_truth_table('{TABLE}')")
