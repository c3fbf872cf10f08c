"""Permits: a Celery task is one, not an assignment, and they are counted in a table (docs/design.md#workers)."""

from __future__ import annotations

from ingest.db import fetch_one, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.worker import work

sql = statements("ingest", "permits")


def take_permit() -> object | None:
    """One issued permit, or None: this task is a double of one already served."""
    return retry_transaction(_take_permit)


def _take_permit() -> object | None:
    with write() as cur:
        row = cur.execute(sql.take_permit).fetchone()
    return None if row is None else row.id


def end_permit(permit: object) -> None:
    retry_transaction(lambda: _end_permit(permit))


def _end_permit(permit: object) -> None:
    with write() as cur:
        cur.execute(sql.end_permit, {"id": permit})


def dispatch(slots: int) -> int:
    """Issues as many permits as there are slots with work for them; returns how many tasks to queue.

    Counted in the table: what the Celery broker lost is replaced after 10 s, and nothing is issued twice.
    """
    return retry_transaction(lambda: _dispatch(slots))


def _dispatch(slots: int) -> int:
    with write() as cur:
        if not fetch_one(cur.execute(sql.try_lock)).mine:
            return 0
        failpoint("dispatch.after_lock")
        cur.execute(sql.forget_permits)
        failpoint("dispatch.after_forgetting")
        wanted = min(slots, len(work()))
        missing = max(0, wanted - int(fetch_one(cur.execute(sql.open_permits)).n))
        for _ in range(missing):
            cur.execute(sql.issue)
            failpoint("dispatch.after_permit")
        failpoint("dispatch.before_commit")
    return missing
