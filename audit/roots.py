"""The digest that a batch has by its receipts as they are now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, LiteralString

from ingest.core.merkle import merkle_root, receipt_leaf, source_key
from ingest.db import Cursor, statements

sql = statements("audit", "roots")

PAGE = 500


def batch_root(cur: Cursor, batch: Any) -> bytes:
    """`batch`: a row with its number, source, offsets, and what its leaves begin with."""
    key = source_key(batch)
    values = {"source": batch.source_id, "start": batch.from_offset, "end": batch.to_offset, "batch": batch.id}
    rows = cur.execute(sql.receipts, values, binary=True).fetchall()
    return merkle_root(receipt_leaf(key, x.offset, x.decision, x.reason, x.identity, x.payload_digest) for x in rows)


def digested_again(cur: Cursor, batches: LiteralString, values: Mapping[str, object]) -> tuple[int, int]:
    """How many rows the statement `batches` gives, a page at a time, and how many of these have another digest."""
    found = differing = after = 0
    while page := cur.execute(batches, {**values, "after": after, "page": PAGE}).fetchall():
        found += len(page)
        differing += sum(batch_root(cur, batch) != bytes(batch.digest) for batch in page)
        after = page[-1].id
    return found, differing
