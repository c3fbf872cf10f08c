"""Which window an offset belongs to: binding sources to a window when it opens, and cutting them when it is cut.

These are steps of audit's verbs (open, cut) and run in their transactions; position rows are locked in source order.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from ingest.core.binding import CutPending, SourceBinding, bind, cut, go_on, leave
from ingest.core.errors import RunError
from ingest.core.ids import RunId, SourceId, StreamId, WindowId
from ingest.db import Cursor, find_or_insert, read, statements
from ingest.failpoints import failpoint

__all__ = [
    "Binding", "CutPending", "EarlierRun", "begins_at", "bind_window", "bindings", "cut_position", "ensure_position",
    "ensure_source", "go_on_position", "is_known", "leave_position", "raise_revisions", "run_before",
]  # fmt: skip

sql = statements("ingest", "windows")


@dataclass(frozen=True)
class Binding:
    """The window that a source's next batch belongs to; `cut` bounds that batch where it lies ahead."""

    source: SourceId
    next_offset: int
    cut: int | None
    win: WindowId
    run_id: RunId
    run_name: str
    contract: int


def ensure_source(
    cur: Cursor, stream: StreamId, role: str, cluster_id: str, topic_id: str, topic: str, partition: int
) -> SourceId:
    """The source's number; a new row for a new incarnation, of the topic (K5) or of the partition's log."""
    keys = {"stream": stream, "role": role, "cluster_id": cluster_id, "topic_id": topic_id, "topic": topic}
    return SourceId(find_or_insert(cur, sql.source, sql.add_source, keys | {"partition": partition}).id)


def begins_at(cur: Cursor, source: SourceId) -> int | None:
    """Where a log that follows one that was cut begins; None: nothing was cut."""
    row = cur.execute(sql.begins, {"source": source}).fetchone()
    return None if row is None else int(row.at)


def ensure_position(cur: Cursor, lane: str, source: SourceId, stream: StreamId, start: int) -> None:
    """A position at `start`, unless the lane already has one: positions never move back."""
    cur.execute(sql.ensure_position, {"lane": lane, "source": source, "stream": stream, "start": start})


def bind_window(cur: Cursor, source: SourceId, win: WindowId) -> int:
    """Gives the admission lane's next offsets of `source` to window `win`; returns the first of them.

    Behind a cut not yet reached the window starts at that cut; else at the position (S19).
    """
    bound, start = bind(_lock(cur, source), win)
    failpoint("windows.before_binding")
    _write(cur, source, bound)
    return start


def cut_position(cur: Cursor, source: SourceId, win: WindowId, lso: int) -> int:
    """Cuts window `win` at max(position, LSO) and returns the cut. Raises CutPending behind an unreached cut."""
    bound = cut(_lock(cur, source), win, lso, source)
    failpoint("windows.before_cut")
    _write(cur, source, bound)
    return int(bound.cut or 0)


def go_on_position(cur: Cursor, source: SourceId, win: WindowId, next_win: WindowId) -> int:
    """Ends window `win` at the position and gives the rest to `next_win`; returns that offset. Raises CutPending."""
    bound, end = go_on(_lock(cur, source), win, next_win, source)
    failpoint("windows.before_going_on")
    _write(cur, source, bound)
    return end


def leave_position(cur: Cursor, source: SourceId, win: WindowId) -> int:
    """Cuts window `win` on a source whose log is gone, and returns its end: an earlier cut is not waited for."""
    bound, end = leave(_lock(cur, source), win)
    failpoint("windows.before_leaving")
    _write(cur, source, bound)
    return end


def is_known(cur: Cursor, stream: StreamId, role: str, cluster_id: str, topic_id: str) -> bool:
    """Whether the stream has sources of this incarnation of a topic already."""
    keys = {"stream": stream, "role": role, "cluster_id": cluster_id, "topic_id": topic_id}
    return cur.execute(sql.known_incarnation, keys).fetchone() is not None


def bindings(lane: str, sources: Iterable[SourceId]) -> dict[int, Binding]:
    """The binding of each source that has one now; a source without one stands still."""
    with read() as cur:
        rows = cur.execute(sql.bindings, {"lane": lane, "sources": list(sources)}).fetchall()
    return {row.source_id: _binding(row) for row in rows if row.win is not None}


@dataclass(frozen=True)
class EarlierRun:
    """The run of a stream that opened before another one."""

    run_id: RunId
    name: str


@lru_cache(maxsize=4096)
def run_before(run: RunId) -> EarlierRun | None:
    """The run before this one in its stream; None: it is the first. It never changes."""
    with read() as cur:
        row = cur.execute(sql.run_before, {"run": run}).fetchone()
    return None if row is None else EarlierRun(row.id, row.name)


def raise_revisions(cur: Cursor, windows: Iterable[WindowId]) -> None:
    """Tells the cut ones among `windows` that a fact of theirs has changed."""
    cur.execute(sql.raise_revisions, {"windows": sorted(set(windows))})


def _binding(row: Any) -> Binding:
    ahead = SourceBinding(row.next_offset, row.cut).ahead
    return Binding(row.source_id, row.next_offset, ahead, row.win, row.run_id, row.run_name, row.contract_id)


def _lock(cur: Cursor, source: SourceId) -> SourceBinding:
    row = cur.execute(sql.lock_position, {"lane": "admission", "source": source}).fetchone()
    if row is None:
        raise RunError(expected=f"a position of source {source}", found="none", next_step="open the run first")
    return SourceBinding(row.next_offset, row.cut, row.win, row.next_win)


def _write(cur: Cursor, source: SourceId, bound: SourceBinding) -> None:
    keys = {"lane": "admission", "source": source, "win": bound.win, "next_win": bound.next_win, "cut": bound.cut}
    cur.execute(sql.bind, keys)
