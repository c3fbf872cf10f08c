"""Later events of the same Kafka key: what of them is applied already, where something is to be applied late.

Kafka keeps the order of a key within a partition, and so do lanes. What is redriven, or admitted by a replay, comes
behind everything that was applied meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.core.ids import RunId, SourceId
from ingest.db import Cursor, fetch_one, statements

sql = statements("ingest.admit", "later")


def later_than_items(cur: Cursor, run: RunId, items: Sequence[int]) -> int:
    """How many applied events of the run came later than one of these quarantine items, with its key."""
    return int(fetch_one(cur.execute(sql.of_items, {"run": run, "items": list(items)})).events)


def later_than_records(cur: Cursor, run: RunId, source: SourceId, records: Sequence[tuple[bytes, int]]) -> int:
    """The same of records of an inbox source, each with its key and its offset."""
    values = {
        "run": run, "source": source, "keys": [key for key, _ in records], "offsets": [offset for _, offset in records],
    }  # fmt: skip
    return int(fetch_one(cur.execute(sql.of_records, values)).events)
