"""Publishing again what was proven absent, where its contract does not do it by itself.

Who may ask for it is for plans to say. Such batches are *withheld*: nothing carries them, and their lane waits, since
nothing later may overtake them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ingest.core.errors import RunError
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.publish import attempts as steps

sql = statements("ingest.publish", "republish")


class NotWithheld(RunError):
    """Nothing of the attempt waits for a plan: it is on its way, has its places, or never was the run's."""

    code: ClassVar[str] = "not_withheld"
    what: ClassVar[str] = "there is nothing to publish again"


@dataclass(frozen=True)
class WithheldAttempt:
    """An attempt with how many events of it are withheld now; 0: none any more."""

    id: AttemptId
    state: str
    topic_id: str
    run_id: RunId
    win: WindowId
    withheld: int


def withheld_of(cur: Cursor, stream: StreamId, run: RunId, win: WindowId | None) -> list[AttemptId]:
    """Attempts of a run, or of a window of it, with events that are withheld, in the order they were made."""
    rows = cur.execute(sql.withheld, {"stream": stream, "run": run, "win": win}).fetchall()
    return [AttemptId(row.id) for row in rows]


def facts_of(cur: Cursor, attempts: Iterable[AttemptId]) -> list[WithheldAttempt]:
    """How these attempts stand now; one that is not there is left out."""
    rows = cur.execute(sql.facts, {"attempts": sorted(attempts)}).fetchall()
    return [WithheldAttempt(row.id, row.state, row.topic_id, row.run_id, row.win, row.withheld) for row in rows]


def bus_topic_id(cur: Cursor, stream: StreamId, topic: str) -> str:
    """Which topic of that name they would go to, by the ledger; "" where it knows of none."""
    row = cur.execute(sql.bus, {"stream": stream, "topic": topic}).fetchone()
    return str(row.topic_id) if row else ""


def lock(cur: Cursor, attempts: Sequence[AttemptId]) -> None:
    """Holds the publish lanes of these attempts until the transaction ends."""
    cur.execute(sql.lock, {"attempts": list(attempts)})


def republish(cur: Cursor, attempts: Sequence[AttemptId], windows: Iterable[WindowId]) -> None:
    """Queues what is withheld of these attempts, in the plan's own transaction; their lanes go on by themselves."""
    cur.execute(sql.queue, {"attempts": list(attempts)})
    failpoint("republish.after_queue")
    steps.touch(cur, windows)
