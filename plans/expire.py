"""Plans that nobody answered, that got no turn, or that nobody went on with, end by themselves."""

from __future__ import annotations

from ingest.db import read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from plans.core.plan import EXPIRES, State
from plans.errors import named
from plans.rows import ITSELF, lock_free, move

sql = statements("plans", "expire")


def expire_due() -> list[int]:
    """Ends what has expired, each plan in its own transaction; returns their numbers."""
    ended = []
    for number in due():
        with named():
            if retry_transaction(lambda number=number: _expire(number)):  # type: ignore[misc]
                ended.append(number)
        failpoint("plan_expire.after_plan")
    return ended


def due() -> list[int]:
    """Plans whose time is over."""
    with read() as cur:
        return [int(row.id) for row in cur.execute(sql.due).fetchall()]


def _expire(number: int) -> bool:
    with write() as cur:
        plan = lock_free(cur, number)
        failpoint("plan_expire.after_lock")
        if plan is None or plan.state not in EXPIRES or plan.expires_at > plan.now:
            return False
        move(cur, plan, State.EXPIRED, ITSELF, "")
        failpoint("plan_expire.before_commit")
    return True
