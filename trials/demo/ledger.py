"""Looking at the ledger: read-only, on a connection of our own, as the console's role."""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

import psycopg
from psycopg.rows import namedtuple_row

from ingest.db import statements

sql = statements("trials.demo", "ledger")
READ_ONLY = "-c default_transaction_read_only=on"


class Ledger:
    """Reads one database. `as_role` None: as whoever the URL signs in."""

    def __init__(self, url: str, as_role: str | None = "passgate_app") -> None:
        options = f"{READ_ONLY} -c role={as_role}" if as_role else READ_ONLY
        self._connection = psycopg.connect(url, autocommit=True, options=options, row_factory=namedtuple_row)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def rows(self, name: str, **values: Any) -> list[Any]:
        """The rows of a statement of ledger.sql."""
        return self._connection.execute(getattr(sql, name).encode(), values or None).fetchall()

    def row(self, name: str, **values: Any) -> Any:
        """The one row of it."""
        (found,) = self.rows(name, **values)
        return found

    def by_run(self, name: str) -> Mapping[int, list[Any]]:
        """Rows of a statement with a column `run`, by that run's number."""
        found: dict[int, list[Any]] = {}
        for row in self.rows(name):
            found.setdefault(row.run, []).append(row)
        return found
