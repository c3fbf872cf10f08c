"""How many free records are left of a plan's requester, and whether it may be started alone: as the database counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ingest.db import Cursor, fetch_one, read, statements
from plans.core.free import FreeRecords

sql = statements("plans", "free")


def free_records(numbers: Iterable[int]) -> Mapping[int, FreeRecords]:
    """Of plans that wait, now, by their numbers: in one query, and in none where there are none."""
    wanted = list(numbers)
    if not wanted:
        return {}
    with read() as cur:
        return {row.id: _found(row) for row in cur.execute(sql.free, {"plans": wanted}).fetchall()}


def free_records_of(cur: Cursor, number: int) -> FreeRecords:
    """Of one plan, inside its own transaction."""
    return _found(fetch_one(cur.execute(sql.free, {"plans": [number]})))


def _found(row: Any) -> FreeRecords:
    return FreeRecords(row.most or 0, row.used or 0, row.records)
