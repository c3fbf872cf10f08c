"""What readers read, held against what was applied."""

from __future__ import annotations

import re
from collections.abc import Iterator

from audit.core.finding import BlindSpot, Finding, Said
from audit.fsck.looking import Check, Scope, paged, rows
from ingest.db import statements
from ingest.streams import compiled_contract

sql = statements("audit.fsck", "fsck")

#: A table's name goes into a statement: a contract's text is whatever somebody could store.
_TABLE = re.compile(r"truth\.[a-z_][a-z0-9_]*\Z")


def _truth(scope: Scope) -> Iterator[Said]:
    """Per window and table of its projection: the identities are those of the window's effects, no more, no fewer."""
    for row in paged(sql.truth_windows, scope.values):
        projection = compiled_contract(row.contract_id).contract.projection
        for table in projection.tables if projection else ():
            if not _TABLE.match(table) or not _comparable(table):
                yield BlindSpot(f"{table} of {row.run}", "it has no columns win and identity to compare by")
                continue
            keys = scope.values | {"win": row.id, "run": row.run_id}
            for other in rows(sql.truth_against_effects.format(table=table), keys):
                what = "a row that no effect explains" if other.surplus else "no row for an effect"
                yield Finding("I3", f"{table} of {row.run}", f"{what}: identity {other.identity}")


def _comparable(table: str) -> bool:
    columns = {row.name for row in rows(sql.truth_columns, {"table": table})}
    return {"win", "identity"} <= columns


CHECKS = (Check("truth", "I3", _truth),)
