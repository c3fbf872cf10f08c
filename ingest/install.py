"""Which installation this ledger is."""

from __future__ import annotations

from uuid import UUID

from ingest.core.errors import LedgerError
from ingest.db import read, statements

sql = statements("ingest", "install")


def install_id() -> UUID:
    """Named by all that leaves the ledger: groups, commits, attempts. Another one once an older copy was adopted."""
    with read() as cur:
        row = cur.execute(sql.install).fetchone()
    if row is None:
        raise LedgerError(expected="an install row", found="none", next_step="run the migrations")
    found: UUID = row.install_id
    return found
