"""The digest that a batch has by its receipts as they are now."""

from __future__ import annotations

from typing import Any

from ingest.core.merkle import merkle_root, receipt_leaf
from ingest.db import Cursor, statements

sql = statements("audit", "roots")


def batch_root(cur: Cursor, batch: Any) -> bytes:
    """`batch`: a row with its number, source, offsets, and what its leaves begin with."""
    key = f"{batch.cluster_id}/{batch.topic_id}/{batch.partition}".encode()
    values = {"source": batch.source_id, "start": batch.from_offset, "end": batch.to_offset, "batch": batch.id}
    rows = cur.execute(sql.receipts, values, binary=True).fetchall()
    return merkle_root(receipt_leaf(key, x.offset, x.decision, x.reason, x.identity, x.payload_digest) for x in rows)
