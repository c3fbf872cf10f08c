"""Reads what stands in for what a plan was to read again and is gone from the inbox: nothing is written.

The rule is audit/core/gone.py. Rows are counted where they are; the digests of whole batches are made again here, and
so are those of CloudEvents in binary mode, whose attributes lie in packed headers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from audit import capture as look
from audit.core import facts as f
from audit.core import gone as core
from audit.roots import digested_again
from ingest.core.cloudevents import digest_as_said
from ingest.core.ids import SourceId, WindowId
from ingest.core.ledger_rows import unpacked_headers
from ingest.db import Cursor, fetch_one, statements

sql = statements("audit", "stand_in")

PAGE = 500


def stand_ins(cur: Cursor, win: WindowId) -> Mapping[SourceId, f.StandIn]:
    """Of a rerun, by its sources: what stands in for what was gone. A source that read all of its range has none."""
    rows = cur.execute(sql.gone, {"win": win}).fetchall()
    return {SourceId(row.source_id): _stand_in(cur, win, row) for row in rows}


def _stand_in(cur: Cursor, win: WindowId, row: Any) -> f.StandIn:
    keys = {"win": win, "source": row.source_id}
    n = fetch_one(cur.execute(sql.borne_out, keys))
    alike = _alike(cur, keys)
    batches, other_roots = digested_again(cur, sql.batches, keys)
    return f.StandIn(
        offsets=row.offsets,
        receipts=row.receipts,
        empty=row.empty,
        neither=row.offsets - row.receipts - row.empty,
        kept=n.kept + alike,
        unkept=n.unkept,
        unlike=n.receipts - n.kept - n.unkept - alike,
        batches=batches,
        other_roots=other_roots,
        refused=refusal(cur, WindowId(row.origin_win), row.empty),
    )


def _alike(cur: Cursor, keys: Mapping[str, object]) -> int:
    """How many of those whose digest is of their attributes, too, have it."""
    alike, after = 0, -1
    while page := cur.execute(sql.with_attributes, {**keys, "after": after, "page": PAGE}).fetchall():
        alike += sum(_has_digest(row) for row in page)
        after = page[-1].offset
    return alike


def _has_digest(row: Any) -> bool:
    digest = bytes(row.payload_digest)
    return digest_as_said(row.value, unpacked_headers(row.headers), digest) == digest


def refusal(cur: Cursor, win: WindowId, empty: int) -> str:
    """Why nothing of a window stands in for what is gone of it; "" that it does."""
    newest = cur.execute(sql.newest, {"win": win}).fetchone()
    basis = look.read_basis(cur, win)
    was = basis.value.database if basis else None
    return core.refusal(newest.body if newest else None, was, look.database_identity(cur), empty)


def gone_range(
    cur: Cursor, win: WindowId, label: str, source: SourceId, span: tuple[int, int], gone_to: int
) -> core.GoneRange:
    """What stands in for the offsets below `gone_to` of a range of an inbox source that somebody asks to read again."""
    keys = {"win": win, "source": source, "start": span[0], "end": gone_to}
    n = fetch_one(cur.execute(sql.counted, keys))
    parts = cur.execute(sql.neither, keys).fetchall()
    since = fetch_one(cur.execute(sql.seen_gone, keys)).at
    return core.GoneRange(label, *span, gone_to, n.receipts, n.empty, [(x.start, x.end) for x in parts], since)
