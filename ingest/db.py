"""One way to the database for verbs: transactions, named SQL, and the names of what the database refused.

Verbs run in Django's connection, so they join a caller's transaction, but speak through a plain psycopg cursor:
parameters travel in binary, COPY is at hand, and nothing is interpolated into text.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib import resources
from typing import Any, ClassVar, TypeVar, cast

import psycopg
from django.db import (
    DEFAULT_DB_ALIAS,
    DatabaseError,
    InterfaceError,
    OperationalError,
    connection,
    connections,
    transaction,
)
from psycopg.pq.abc import PGconn
from psycopg.rows import namedtuple_row
from psycopg.types.json import JsonbLoader

from ingest.core.errors import LedgerError, PassgateError
from ingest.core.lane import BackgroundWork, no_background

Cursor = psycopg.Cursor[Any]
T = TypeVar("T")

# Unique violation, deadlock, serialisation failure: do the whole transaction again. And a lock that a verb
# would not wait for any longer (55P03)
_AGAIN = frozenset({"23505", "40P01", "40001", NOT_GIVEN := "55P03"})
# The connection is lost, whoever ended it: an administrator, a crash, or a time-out of ours (25P03) or theirs (57P05)
_GONE = frozenset({"08000", "08001", "08003", "08004", "08006", "25P03", "25P04", "57P01", "57P02", "57P03", "57P05"})
_FULL = frozenset({"53100", "53200"})
_TRIES = 16  # each may lose to another of as many connections as write to one run at once


class ConstraintViolated(LedgerError):
    """A named constraint or trigger said no."""

    def __init__(self, constraint: str, message: str) -> None:
        self.constraint = constraint
        super().__init__(expected=f"what {constraint} allows", found=message)


class DatabaseGone(PassgateError):
    """No connection to PostgreSQL, or it ended in mid-flight: nothing is known about a COMMIT under way."""

    code: ClassVar[str] = "database_gone"
    what: ClassVar[str] = "PostgreSQL does not answer"
    retry: ClassVar[bool] = True


class DatabaseFull(PassgateError):
    """No room on the server's disk, or in its memory. The transaction did not happen; the connection is as it was."""

    code: ClassVar[str] = "database_full"
    what: ClassVar[str] = "PostgreSQL has no room left"
    retry: ClassVar[bool] = True


@contextmanager
def cursor() -> Iterator[Cursor]:
    """A psycopg cursor on this thread's connection, rows as named tuples."""
    try:
        connection.ensure_connection()
    except OperationalError as error:
        raise DatabaseGone(found=str(error).strip()) from error
    with psycopg.Cursor(cast("psycopg.Connection[Any]", connection.connection), row_factory=namedtuple_row) as cur:
        # Django's connection leaves JSON as text, for its own fields to read; a verb wants the document
        cur.adapters.register_loader("jsonb", JsonbLoader)
        yield cur


@contextmanager
def write() -> Iterator[Cursor]:
    """One READ COMMITTED transaction (a savepoint inside a caller's). Refusals come out as `ConstraintViolated`."""
    with _named_errors(), transaction.atomic(), cursor() as cur:
        yield cur


@contextmanager
def beside(idle: float) -> Iterator[Cursor]:
    """A transaction on a connection of its own, for a lock that is held while this thread's connection goes on.

    The server ends it after `idle` seconds, and as soon as this process is gone: nobody waits for a lock for good.
    """
    with write_apart() as cur:
        cur.execute("SELECT set_config('idle_in_transaction_session_timeout', %s, true)", (f"{idle:.0f}s",))
        yield cur


@contextmanager
def read_snapshot() -> Iterator[Cursor]:
    """One REPEATABLE READ, READ ONLY transaction: every statement sees the same facts. Not inside another."""
    if connection.in_atomic_block:
        raise RuntimeError("a verdict's snapshot is the outermost transaction")
    with _named_errors(), transaction.atomic(), cursor() as cur:
        cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield cur


@contextmanager
def read() -> Iterator[Cursor]:
    """Reading outside of any promise of consistency between statements."""
    with _named_errors(), cursor() as cur:
        yield cur


@contextmanager
def write_apart() -> Iterator[Cursor]:
    """`write` on a connection of its own, for what must not come from the connection that wrote before it."""
    apart = connections.create_connection(DEFAULT_DB_ALIAS)
    try:
        with _named_errors():
            apart.ensure_connection()
            raw = cast("psycopg.Connection[Any]", apart.connection)
            with raw.transaction(), psycopg.Cursor(raw, row_factory=namedtuple_row) as cur:
                yield cur
    finally:
        apart.close()


def prepared(cur: Cursor, statement: str, values: Mapping[str, object]) -> Cursor:
    """Executes what every request asks: the server parses and plans it once a connection, which is most of its work.

    Nothing else is prepared by itself: a plan that is kept does not look at values.
    """
    if cur.connection.prepare_threshold is None:
        cur.connection.prepare_threshold = _NEVER
    return cur.execute(statement, values, prepare=True)


_NEVER = 2**31


def fetch_pipelined(
    cur: Cursor, statement: str, values: Mapping[str, object], meanwhile: BackgroundWork = no_background
) -> list[Any]:
    """Rows in binary. While the server looks for them, a little after the other of what there is to do is done.

    In a pipeline, which alone sends a query without waiting for its answer; asked to flush, the server sends that.
    """
    if meanwhile is no_background:
        return cur.execute(statement, values, binary=True).fetchall()
    server = cur.connection.pgconn
    with cur.connection.pipeline():
        cur.execute(statement, values, binary=True)
        server.send_flush_request()
        while _is_busy(server) and meanwhile():
            pass
        return cur.fetchall()


def _is_busy(server: PGconn) -> bool:
    """Whether asking for the answer would wait. Sends, too, what is not sent yet."""
    server.consume_input()
    return server.is_busy() == 1


class NeverThere(LedgerError):
    """A row that was inserted, or that kept it from being inserted, is not to be seen."""

    code: ClassVar[str] = "row_never_there"
    what: ClassVar[str] = "a row was neither made nor found"
    retry: ClassVar[bool] = True


def find_or_insert(cur: Cursor, find: str, make: str, values: Mapping[str, object]) -> Any:
    """The row that `find` finds, made by `make` where there is none: the one pattern for looking up or inserting.

    Three statements, because each sees what was committed when it began. `make` (INSERT … ON CONFLICT DO NOTHING
    RETURNING) waits for another transaction that is making the same row and then returns none, as its own snapshot is
    older than that commit; a SELECT in the same statement would not see it either.

    Raises:
        NeverThere: none of them returned a row.
    """
    for statement in (find, make, find):
        row = cur.execute(statement, values).fetchone()
        if row is not None:
            return row
    raise NeverThere(expected="a row", found="none", next_step="try again")


def fetch_one(cur: Cursor) -> Any:
    """The single row that the statement cannot but return."""
    row = cur.fetchone()
    if row is None:
        raise LookupError("a statement that always returns a row returned none")
    return row


def retry_transaction(verb: Callable[[], T], tries: int = _TRIES) -> T:
    """Runs `verb`, a whole transaction, again on a race that the database settled (23505, 40P01, 40001, 55P03)."""
    for left in range(tries - 1, -1, -1):
        if 0 < left < tries - 2:
            time.sleep(random.uniform(0, 0.002 * (tries - left)))  # noqa: S311 - so that losers do not meet again
        try:
            return verb()
        except psycopg.Error as error:
            if error.sqlstate not in _AGAIN or not left:
                raise _as_refusal(error) from error
        except ConstraintViolated as refusal:
            cause = refusal.__cause__
            if not (isinstance(cause, psycopg.Error) and cause.sqlstate in _AGAIN and left):
                raise
    raise AssertionError("unreachable")


@contextmanager
def _named_errors() -> Iterator[None]:
    try:
        yield
    except psycopg.Error as error:
        raise _as_refusal(error) from error
    except (InterfaceError, DatabaseError) as error:
        cause = error.__cause__
        if isinstance(cause, psycopg.Error):
            raise _as_refusal(cause) from cause
        raise


def _as_refusal(error: psycopg.Error) -> Exception:
    if error.sqlstate in _GONE or (error.sqlstate is None and isinstance(error, psycopg.OperationalError)):
        connection.close()
        return DatabaseGone(found=str(error).strip())
    if error.sqlstate in _FULL:
        return DatabaseFull(
            found=error.diag.message_primary or str(error),
            next_step="make room on the database's disk; then everything goes on by itself",
        )
    if error.sqlstate in _AGAIN or error.sqlstate in {"23514", "23503", "23502", "23P01"}:
        return ConstraintViolated(
            error.diag.constraint_name or error.sqlstate or "", error.diag.message_primary or str(error)
        )
    return error


class Statements:
    """Named SQL of one file: `-- name: take_lease` starts a statement, further comment lines say why."""

    def __init__(self, texts: dict[str, str]) -> None:
        self._texts = texts

    def __getattr__(self, name: str) -> str:
        try:
            return self._texts[name]
        except KeyError:
            raise AttributeError(f"no SQL is named {name}") from None

    def names(self) -> list[str]:
        return sorted(self._texts)


_NAME = re.compile(r"^-- name: (\w+)\s*$", re.MULTILINE)


@cache
def statements(package: str, file: str) -> Statements:
    """The named SQL of `file`.sql in `package`, beside the module that runs it: statements("ingest", "windows")."""
    text = (resources.files(package) / f"{file}.sql").read_text(encoding="utf-8")
    parts = _NAME.split(text)[1:]
    return Statements({name: body.strip() for name, body in zip(parts[::2], parts[1::2], strict=True)})
