"""A process's slice of lane work: it goes on with the lanes it holds, takes free ones, and lets the lease decide.

A doubled, late or lost task changes nothing but the time (docs/design.md#workers).
"""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ingest.admit.lane import AdmissionLane
from ingest.core.errors import LeaseError, PassgateError
from ingest.core.ids import SourceId
from ingest.core.lane import BackgroundWork, Lane, LaneWaits
from ingest.core.lease import Lease
from ingest.core.stops import WAITS
from ingest.db import DatabaseGone, read, statements
from ingest.failpoints import failpoint
from ingest.kafka import Admin, Cluster
from ingest.lanes.gc_pause import paused_gc
from ingest.lanes.lease import release, stop, take

log = logging.getLogger(__name__)
sql = statements("ingest", "worker")

SLICE_SECONDS = 20.0
STEP_SECONDS = 0.2
IDLE_SECONDS = 1.0
MOST_LANES = 16
#: How long a stopped lane rests: where trying again makes sense, and where somebody has to look first.
REST_RETRY, REST_OTHER = 2.0, 30.0
#: How long a process leaves a lane alone that it found with nothing to do.
REST_EMPTY = 3.0
#: How often a process looks for free lanes: at work, and while none of its own has anything to do.
LOOK_SECONDS, LOOK_IDLE_SECONDS = 0.5, 0.1
#: A lane whose failing takes long (a broker that does not answer) rests so many times as long as it took, but no more
#: seconds than these: what it waited for may be back, and nothing wakes it.
REST_SHARE, REST_MOST = 5.0, 30.0
#: With others waiting for room: when a lane is idle, and how long a turn of one at work lasts.
IDLE_CROWDED, TURN_SECONDS = 0.2, 20.0


@dataclass
class HeldLane:
    """A lane this process holds, and since when each of its steps found nothing to do.

    Idle is what its own answers say: while others store their batches for seconds it is not idle, it is not asked.
    """

    lease: Lease
    lane: Lane
    since: float
    idle_since: float | None = None
    answered_at: float = 0.0
    was_busy: bool = False
    keep: bool = False  # a scan of the bus would begin again elsewhere: it has its own bound

    def answered(self, idle: bool, keep: bool = False) -> None:
        """What its newest step found."""
        self.keep = keep
        self.answered_at = time.monotonic()
        if not idle:
            self.idle_since, self.was_busy = None, True
        elif self.idle_since is None:
            self.idle_since = self.answered_at

    def is_idle(self, seconds: float) -> bool:
        """Whether more time lies between its first idle answer and its newest: one alone may be a consumer's start."""
        return self.idle_since is not None and self.answered_at - self.idle_since > seconds


Factory = Callable[[Lease, Cluster, Admin], Lane]


def factories() -> dict[str, Factory]:
    """The lane class of each lane's name, imported here so that a web process loads none of them."""
    from ingest.consume.lane import EffectsLane
    from ingest.publish.lane import PublishLane

    return {"admission": AdmissionLane, "publish": PublishLane, "effects": EffectsLane}


@dataclass
class Worker:
    """What one process keeps between slices: leases, consumers, producers. Made lazily, after fork."""

    cluster: Cluster
    lanes: dict[str, Factory]
    admin: Admin
    only: frozenset[int] | None = None  # sources it may take; None: any
    held: dict[tuple[str, SourceId], HeldLane] = field(default_factory=dict)
    resting: dict[tuple[str, SourceId], float] = field(default_factory=dict)
    unreturned: list[Lease] = field(default_factory=list)  # held when the database went
    _end: float = float("inf")  # of the slice under way

    @classmethod
    def make(cls) -> Worker:
        cluster = Cluster.from_settings()
        return cls(cluster, factories(), Admin(cluster))

    def slice(self, seconds: float = SLICE_SECONDS, slots: int = 1) -> int:
        """Works for `seconds`, or until there was nothing to do for a second; returns the records made durable.

        `slots` processes divide the lanes that have work, counted anew at each look: the first batches of a backlog
        give publishing work, and what is published effects.
        """
        self._end = end = time.monotonic() + seconds
        idle_seconds = IDLE_SECONDS
        looked = worked = 0.0
        records = 0
        done = 1
        while (now := time.monotonic()) < end:
            if now - looked > (LOOK_SECONDS if done else LOOK_IDLE_SECONDS):
                made_room = self._take_free(slots)
                looked = 0.0 if made_room else time.monotonic()
            failpoint("slice.before_round")
            done = self._round()
            records += done
            worked = time.monotonic() if done or not worked else worked
            if not done and time.monotonic() - worked > IDLE_SECONDS:
                idle_seconds = 0.0  # all of them are
                break
            if not done:
                time.sleep(0.02)
        failpoint("slice.before_letting_go")
        self._let_go_of_idle(idle_seconds)
        return records

    def close(self) -> None:
        """Lets go of everything: the process ends, or the database went."""
        for key in list(self.held):
            self._drop(key, give_back=True)
            failpoint("slice.while_closing")

    def give_back(self) -> None:
        """Leases held when the database went, once it is there again: nobody waits for them to expire."""
        while self.unreturned:
            release(self.unreturned[-1])  # once more does no harm: it names the fence
            self.unreturned.pop()
            failpoint("slice.while_giving_back")

    def _round(self) -> int:
        """A turn of each lane. Where a broker does not answer each takes seconds: none begins after the slice's end."""
        wait = STEP_SECONDS if len(self.held) <= 1 else STEP_SECONDS / (4 * len(self.held))
        with paused_gc():
            return sum(self._step(key, wait) for key in list(self.held) if time.monotonic() < self._end)

    def _step(self, key: tuple[str, SourceId], wait: float) -> int:
        held = self.held[key]
        begun = time.monotonic()
        try:
            step = held.lane.step(wait, self._meanwhile(key))
        except LeaseError as lost:
            log.info("lease lost: %s", lost)
            self._drop(key, give_back=False)
        except DatabaseGone:
            self._forget()
            raise
        except PassgateError as error:
            self._stop(key, error.code, str(error), _rest(error, begun))
        except Exception:
            # unknown: it stops the lane, is shown on its row, and is never swallowed
            log.exception("lane %s/%s stopped", *key)
            self._stop(key, "unexpected", traceback.format_exc(limit=-3), REST_OTHER)
        else:
            held.answered(step.idle, step.keep)
            return step.records or int(not step.idle)
        return 0

    def _meanwhile(self, key: tuple[str, SourceId]) -> BackgroundWork:
        """While PostgreSQL works on this lane's batch, the lane whose turn comes next goes on, or the one after it.

        Whatever lanes a process holds, about one batch is there ahead of its turn. Were it each lane's own, memory
        would be of as many batches as there are lanes, now and then all at once.
        """
        keys = list(self.held)
        turns = keys.index(key) + 1
        following = [self.held[other].lane for other in keys[turns:] + keys[:turns]]

        def go_on() -> bool:
            for lane in following:
                if lane.prefetch():
                    return True
                if lane.is_prefetched():
                    break
            return False

        return go_on

    def _take_free(self, slots: int) -> bool:
        """Free positions with work, whose turn was longest ago first, up to this process's share of all.

        Lanes that only wait (for a person, for silence) do not keep out those that have something to do: idle ones make
        room, one at work does so after its turn, and one that found nothing rests before it is looked at again.
        True: there is room now that was not there before.
        """
        rows = work()
        free = self._free(rows)
        room = min(MOST_LANES, max(1, -(-len(rows) // slots))) - len(self.held)
        if free and room <= 0:
            return self._make_room(len(free))  # and take at the next look, which is soon
        self._take(free[: max(0, room)])
        return False

    def _make_room(self, wanted: int) -> bool:
        held = len(self.held)
        free = (key for key, each in self.held.items() if not each.keep)
        longest = min(free, key=lambda key: self.held[key].since, default=None)
        if longest is not None and time.monotonic() - self.held[longest].since > TURN_SECONDS:
            self._give_back(longest)
        else:
            self._let_go_of_idle(IDLE_CROWDED, wanted)
        return len(self.held) < held

    def _take(self, free: list[tuple[str, SourceId]]) -> None:
        for key in free:
            lease = take(*key)
            if lease is None:
                continue
            failpoint("lane.after_lease")
            self._open(key, lease)

    def _free(self, rows: Sequence[Any]) -> list[tuple[str, SourceId]]:
        now = time.monotonic()
        self.resting = {key: until for key, until in self.resting.items() if until > now}
        keys = [(row.lane, row.source_id) for row in rows if row.owner is None or row.expired]
        return [key for key in keys if key not in self.held and key not in self.resting and self._may_take(*key)]

    def _give_back(self, key: tuple[str, SourceId]) -> None:
        if not self.held[key].was_busy:
            self.resting[key] = time.monotonic() + REST_EMPTY
        self._drop(key, give_back=True)

    def _may_take(self, lane: str, source: SourceId) -> bool:
        return lane in self.lanes and (self.only is None or source in self.only)

    def _open(self, key: tuple[str, SourceId], lease: Lease) -> None:
        begun = time.monotonic()
        try:
            lane = self.lanes[key[0]](lease, self.cluster, self.admin)
        except LeaseError as lost:
            log.info("lease lost while opening: %s", lost)
            return
        except PassgateError as error:
            stop(lease, error.code, str(error), _rest(error, begun))
            return
        self.held[key] = HeldLane(lease, lane, time.monotonic())

    def _stop(self, key: tuple[str, SourceId], code: str, detail: str, rest: float) -> None:
        log.log(logging.INFO if code in WAITS else logging.WARNING, "lane %s/%s stopped: %s %s", *key, code, detail)
        try:
            stop(self.held[key].lease, code, detail, rest)
            failpoint("lane.after_stop")
        finally:  # a lane that could not even say why it stopped must not be stepped again: its producer may be spent
            self._drop(key, give_back=False)

    def _let_go_of_idle(self, seconds: float, most: int = MOST_LANES) -> None:
        """An idle lane's lease goes back, so that whichever process has the next permit can take it at once."""
        idle = [key for key, held in self.held.items() if held.is_idle(seconds)]
        for key in idle[:most]:
            self._give_back(key)
            failpoint("lane.after_release")

    def _drop(self, key: tuple[str, SourceId], give_back: bool) -> None:
        held = self.held.pop(key)
        try:
            held.lane.close()
        finally:
            if give_back:
                release(held.lease)

    def _forget(self) -> None:
        """The database went: whether the last COMMIT happened is read from the position under the next lease."""
        self.unreturned += [held.lease for held in self.held.values()]
        for key in list(self.held):
            self._drop(key, give_back=False)
            failpoint("slice.while_forgetting")


def _rest(error: PassgateError, begun: float) -> float:
    """How long a lane that failed rests: not so short that failing is all a process does."""
    if isinstance(error, LaneWaits):
        return error.seconds
    return max(REST_RETRY if error.retry else REST_OTHER, min(REST_MOST, REST_SHARE * (time.monotonic() - begun)))


def work() -> list[Any]:
    """Positions with something to do: rows (lane, source_id, owner, expired)."""
    with read() as cur:
        return cur.execute(sql.work).fetchall()
