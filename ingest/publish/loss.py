"""Publishing again what was lost with the bus: the topic that it went to was deleted and created again.

Nobody can read a place there any more, or learn what landed. So two people say that these attempts are LOST, on what
Kafka answers twice; that frees their batches, and the lane that they are of publishes them to the bus of now. Who may
ask for it is for plans to say.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from ingest.core.attempt import BusAnswer, SentTo, not_lost
from ingest.core.errors import RunError
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.publish import attempts as steps

sql = statements("ingest.publish", "loss")


class BusStillThere(RunError):
    """Nobody shows that the bus an attempt went to is gone."""

    code: ClassVar[str] = "bus_still_there"
    what: ClassVar[str] = "a publish is not lost"


@dataclass(frozen=True)
class BoundAttempt:
    """An attempt of a window that went to a bus that is gone. `bus`: the topic that has the name now. `bare`: events
    of it whose payloads were erased, and can be published by nobody."""

    id: AttemptId
    state: str
    cluster_id: str
    topic: str
    topic_id: str
    run_id: RunId
    win: WindowId
    events: int
    bus: str
    bare: bool

    @property
    def sent(self) -> SentTo:
        return SentTo(self.cluster_id, self.topic_id, self.bus)


@dataclass(frozen=True)
class LossGrant:
    """A plan's word that attempts of a window are LOST, and the two answers that it rests on."""

    win: WindowId
    plan: int
    requested_by: str
    approved_by: str
    reason: str
    before: BusAnswer
    now: BusAnswer


def lost_of(cur: Cursor, win: WindowId) -> list[AttemptId]:
    """Attempts of a window that failed that are bound to a bus that is gone, in the order they were made."""
    return [AttemptId(row.id) for row in cur.execute(sql.lost, {"win": win}).fetchall()]


def facts_of(cur: Cursor, attempts: Iterable[AttemptId]) -> list[BoundAttempt]:
    """Those of these attempts that are bound to a bus that is gone, as they stand now."""
    rows = cur.execute(sql.facts, {"attempts": sorted(attempts)}).fetchall()
    return [BoundAttempt(*row) for row in rows]


def split_from(cur: Cursor, attempts: Sequence[AttemptId]) -> list[AttemptId]:
    """Further attempts that placed events of the batches of these: lost together, or a batch would be free in part."""
    return [AttemptId(row.id) for row in cur.execute(sql.beside, {"attempts": list(attempts)}).fetchall()]


def applies_late(cur: Cursor, run: RunId, win: WindowId) -> bool:
    """Whether an event of the window has no effect yet: published again, it is applied behind all that came since."""
    return cur.execute(sql.unapplied, {"run": run, "win": win}).fetchone() is not None


def partitions_of(cur: Cursor, stream: StreamId, topic: str, topic_id: str) -> frozenset[int]:
    """The partitions of a bus that the stream's lanes know."""
    rows = cur.execute(sql.partitions, {"stream": stream, "topic": topic, "topic_id": topic_id}).fetchall()
    return frozenset(row.partition for row in rows)


def lose(cur: Cursor, found: Sequence[BoundAttempt], grant: LossGrant) -> None:
    """They are LOST, and their batches queued again, in the plan's own transaction; their lanes are held already.

    Raises BusStillThere where Kafka's answers do not say so of each of them.
    """
    for each in found:
        if why := not_lost(each.sent, grant.before, grant.now):
            raise BusStillThere(
                expected=f"{each.topic} with another id than {each.topic_id}, twice",
                found=why,
                next_step="ask for it again once Kafka says so",
            )
    numbers = [each.id for each in found]
    cur.execute(sql.write, _row(numbers, grant))
    failpoint("loss.after_rows")
    cur.execute(sql.end, {"attempts": numbers})
    failpoint("loss.after_states")
    cur.execute(sql.queue, {"attempts": numbers})
    failpoint("loss.after_queue")
    steps.touch(cur, [grant.win])


def _row(numbers: Sequence[AttemptId], grant: LossGrant) -> dict[str, object]:
    return {
        "attempts": list(numbers), "plan": grant.plan, "found": grant.now.topic_id, "seen_at": grant.before.at,
        "measured_at": grant.now.at, "requested_by": grant.requested_by, "approved_by": grant.approved_by,
        "reason": grant.reason,
    }  # fmt: skip
