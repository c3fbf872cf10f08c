"""What a check is: a name, the invariant it holds, and a look that says what it found and what it could not see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audit.core.finding import Finding, Said
from ingest.db import read, retry_transaction

#: Of one check, or of one source read again, this many findings are told: the first ones say what is wrong.
MOST = 20
#: Rows of a list that may be of any length are taken so many at a time.
PAGE = 500


@dataclass(frozen=True)
class Scope:
    """One stream, or all of them (None)."""

    stream: str | None

    @property
    def values(self) -> dict[str, Any]:
        return {"stream": self.stream, "most": MOST}


@dataclass(frozen=True)
class Check:
    """`name` is stable: tests and people refer to it."""

    name: str
    invariant: str
    look: Callable[[Scope], Iterable[Said]]


def rows(statement: str, values: Mapping[str, object], binary: bool = False) -> list[Any]:
    """Asked again after a deadlock: opening a run makes partitions of tables that are read here."""
    return retry_transaction(lambda: _rows(statement, values, binary))


def _rows(statement: str, values: Mapping[str, object], binary: bool) -> list[Any]:
    with read() as cur:
        return cur.execute(statement, values, binary=binary).fetchall()


def paged(statement: str, values: dict[str, Any]) -> Iterator[Any]:
    """Rows in the order of their `id`, a page at a time. What is committed behind the last one is of later."""
    after = 0
    while page := rows(statement, values | {"after": after, "page": PAGE}):
        yield from page
        after = page[-1].id


def in_sql(name: str, invariant: str, statement: str) -> Check:
    """A statement that returns (subject, found) for whatever breaks the invariant, at most MOST of a kind."""

    def look(scope: Scope) -> Iterator[Finding]:
        for row in rows(statement, scope.values):
            yield Finding(invariant, row.subject, row.found)

    return Check(name, invariant, look)
