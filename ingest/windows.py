"""Which window an offset belongs to: binding sources to a window when it opens, and cutting them when it is sealed.

These are steps of audit's verbs (open, cut) and run in their transactions; position rows are locked in source order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ingest.core.errors import RunError
from ingest.db import Cursor, read, statements

sql = statements("ingest", "windows")


class CutPending(RunError):
    """The earlier window's cut has not been reached, so this one cannot be cut yet."""

    code = "cut_pending"
    what = "an earlier cut has not been reached"
    retry = True


@dataclass(frozen=True)
class Binding:
    """The window that a source's next batch belongs to; `cut` bounds that batch where it lies ahead."""

    source: int
    next_offset: int
    cut: int | None
    win: int
    run_number: int
    run_id: str
    contract: int


def ensure_source(
    cur: Cursor, stream: int, role: str, cluster_id: str, topic_id: str, topic: str, partition: int
) -> int:
    """The source's number; a new row for a new incarnation (K5)."""
    keys = {"stream": stream, "role": role, "cluster_id": cluster_id, "topic_id": topic_id, "topic": topic}
    row = cur.execute(sql.ensure_source, keys | {"partition": partition}).fetchone()
    assert row is not None
    return int(row.id)


def ensure_position(cur: Cursor, lane: str, source: int, stream: int, start: int) -> None:
    """A position at `start`, unless the lane already has one: positions never move back."""
    cur.execute(sql.ensure_position, {"lane": lane, "source": source, "stream": stream, "start": start})


def bind_window(cur: Cursor, source: int, win: int) -> int:
    """Gives the admission lane's next offsets of `source` to window `win`; returns the first of them.

    Behind a cut not yet reached the window starts at that cut; else at the position (S19).
    """
    row = _lock(cur, source)
    if row.cut is not None and row.next_offset < row.cut:
        _bind(cur, source, row.win, win, row.cut)
        return int(row.cut)
    _bind(cur, source, win, None, None)
    return int(row.next_offset)


def cut_position(cur: Cursor, source: int, win: int, lso: int) -> int:
    """Cuts window `win` at max(position, LSO) and returns the cut. Raises CutPending behind an unreached cut."""
    row = _lock(cur, source)
    current = row.win if row.cut is None or row.next_offset < row.cut else row.next_win
    if current != win:
        raise CutPending(
            expected=f"source {source} in window {win}",
            found=f"position {row.next_offset} before cut {row.cut}",
            next_step="wait until admission has reached it",
        )
    cut = max(int(row.next_offset), lso)
    _bind(cur, source, win, None, cut)
    return cut


def bindings(lane: str, sources: Iterable[int]) -> dict[int, Binding]:
    """The binding of each source that has one now; a source without one stands still."""
    with read() as cur:
        rows = cur.execute(sql.bindings, {"lane": lane, "sources": list(sources)}).fetchall()
    return {row.source_id: _binding(row) for row in rows if row.win is not None}


def raise_revisions(cur: Cursor, windows: Iterable[int]) -> None:
    """Tells the cut ones among `windows` that a fact of theirs has changed."""
    cur.execute(sql.raise_revisions, {"windows": sorted(set(windows))})


def _binding(row: Any) -> Binding:
    ahead = row.cut if row.cut is not None and row.next_offset < row.cut else None
    return Binding(row.source_id, row.next_offset, ahead, row.win, row.run_number, row.run_id, row.contract_id)


def _lock(cur: Cursor, source: int) -> Any:
    row = cur.execute(sql.lock_position, {"lane": "admission", "source": source}).fetchone()
    if row is None:
        raise RunError(expected=f"a position of source {source}", found="none", next_step="open the run first")
    return row


def _bind(cur: Cursor, source: int, win: int | None, next_win: int | None, cut: int | None) -> None:
    cur.execute(sql.bind, {"lane": "admission", "source": source, "win": win, "next_win": next_win, "cut": cut})
