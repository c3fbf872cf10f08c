"""Writing down what became of an attempt. Each function is a step inside a transaction of the publish lane.

`lock_position` comes first: it locks the position and proves that the lease is still ours, so a worker that was paused
for longer than its lease changes nothing when it wakes up.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from ingest.core import copying
from ingest.core.copying import int4, int8
from ingest.core.errors import LeaseError
from ingest.core.ids import AttemptId, SourceId, WindowId
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.db import Cursor, read, statements
from ingest.failpoints import failpoint
from ingest.windows import raise_revisions

sql = statements("ingest.publish", "attempts")

#: (inbox offset, bus source, bus offset)
PlaceRow = tuple[int, int, int]


def lock_position(cur: Cursor, lease: Lease) -> datetime:
    """Locks our position and renews the lease; returns the database's time. Raises LeaseError when fenced."""
    keys = {"source": lease.source, "owner": lease.owner, "fence": lease.fence, "seconds": LEASE_SECONDS}
    row = cur.execute(sql.hold, keys).fetchone()
    if row is None:
        raise LeaseError(
            expected=f"{lease.owner} under fence {lease.fence}",
            found="another owner, a newer fence, or a lease that ran out",
            next_step="nothing: whoever owns the lane settles its attempts",
        )
    now: datetime = row.now
    return now


def clock() -> datetime:
    """The database's time: the only one that leases, fences and scans are compared by."""
    with read() as cur:
        row = cur.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    now: datetime = row.now
    return now


def set_state(cur: Cursor, attempt: AttemptId, state: str, why: str | None = None) -> None:
    """Moves the attempt to `state`; the database refuses a move that no state allows. The same state is no move."""
    cur.execute(sql.end_attempt, {"attempt": attempt, "state": state, "why": why})


def write_places(cur: Cursor, source: SourceId, attempt: AttemptId, places: Iterable[PlaceRow]) -> None:
    rows = list(places)
    if rows:
        offsets, sources, bus_offsets = zip(*rows, strict=True)
        fields = (int4(source), int8(offsets), int8(attempt), int4(sources), int8(bus_offsets))
        with cur.copy(sql.copy_places) as copy:
            copy.write(copying.rows(len(rows), fields))


def requeue(cur: Cursor, attempt: AttemptId) -> None:
    """Queues the attempt's batches again, as far as their events have no place."""
    cur.execute(sql.requeue, {"attempt": attempt})


def progress(cur: Cursor, lease: Lease, end_offset: int) -> None:
    cur.execute(sql.progress, {"source": lease.source, "fence": lease.fence, "end": end_offset})


def serve_requests(cur: Cursor, attempt: AttemptId) -> None:
    cur.execute(sql.serve_requests, {"attempt": attempt})


def touch(cur: Cursor, windows: Iterable[WindowId]) -> None:
    """A fact of these windows changed: the cut ones rise now, and a cut under way is waited for."""
    wanted = sorted(set(windows))
    raised = {row.id for row in cur.execute(sql.raise_cut_first, {"windows": wanted}).fetchall()}
    left = [win for win in wanted if win not in raised]
    failpoint("attempts.after_cut_raised")
    if left:
        raise_revisions(cur, left)
