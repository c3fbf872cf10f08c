"""Who works on what: permits, slices and samples (docs/design.md#workers).

A Celery task is a permit, not an assignment. A slice goes on with the lanes this process holds, takes free ones, and
lets the lease decide; a doubled, late or lost task changes nothing but the time.
"""

from __future__ import annotations

import logging
import time
import traceback
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from ingest.admit.lane import AdmissionLane
from ingest.behind import tell_generation
from ingest.core.errors import BrokerError, LeaseError, PassgateError
from ingest.core.group import group_of
from ingest.core.lane import Lane, LaneWaits, Meanwhile
from ingest.core.lease import Lease
from ingest.core.stops import WAITS
from ingest.db import DatabaseGone, again, one, read, statements, write
from ingest.failpoints import failpoint
from ingest.install import install_id
from ingest.kafka import MOST_MEMBERS, Admin, Cluster, Committed, LogEnds, Partition
from ingest.lanes.gc_pause import no_collecting
from ingest.lanes.lease import release, stop, take
from ingest.retire import retire_replaced

log = logging.getLogger(__name__)
sql = statements("ingest", "dispatch")

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
#: A lane whose failing takes long (a broker that does not answer) rests so many times as long as it took.
REST_SHARE = 5.0
#: With others waiting for room: when a lane is idle, and how long a turn of one at work lasts.
IDLE_CROWDED, TURN_SECONDS = 0.2, 20.0


@dataclass
class Held:
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
    held: dict[tuple[str, int], Held] = field(default_factory=dict)
    resting: dict[tuple[str, int], float] = field(default_factory=dict)
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
        with no_collecting():
            return sum(self._step(key, wait) for key in list(self.held) if time.monotonic() < self._end)

    def _step(self, key: tuple[str, int], wait: float) -> int:
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

    def _meanwhile(self, key: tuple[str, int]) -> Meanwhile:
        """While PostgreSQL works on this lane's batch, the lane whose turn comes next goes on, or the one after it.

        Whatever lanes a process holds, about one batch is there ahead of its turn. Were it each lane's own, memory
        would be of as many batches as there are lanes, now and then all at once.
        """
        keys = list(self.held)
        turns = keys.index(key) + 1
        following = [self.held[other].lane for other in keys[turns:] + keys[:turns]]

        def go_on() -> bool:
            for lane in following:
                if lane.go_on():
                    return True
                if lane.has_batch():
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

    def _take(self, free: list[tuple[str, int]]) -> None:
        for key in free:
            lease = take(*key)
            if lease is None:
                continue
            failpoint("lane.after_lease")
            self._open(key, lease)

    def _free(self, rows: Sequence[Any]) -> list[tuple[str, int]]:
        now = time.monotonic()
        self.resting = {key: until for key, until in self.resting.items() if until > now}
        keys = [(row.lane, row.source_id) for row in rows if row.owner is None or row.expired]
        return [key for key in keys if key not in self.held and key not in self.resting and self._may_take(*key)]

    def _give_back(self, key: tuple[str, int]) -> None:
        if not self.held[key].was_busy:
            self.resting[key] = time.monotonic() + REST_EMPTY
        self._drop(key, give_back=True)

    def _may_take(self, lane: str, source: int) -> bool:
        return lane in self.lanes and (self.only is None or source in self.only)

    def _open(self, key: tuple[str, int], lease: Lease) -> None:
        begun = time.monotonic()
        try:
            lane = self.lanes[key[0]](lease, self.cluster, self.admin)
        except LeaseError as lost:
            log.info("lease lost while opening: %s", lost)
            return
        except PassgateError as error:
            stop(lease, error.code, str(error), _rest(error, begun))
            return
        self.held[key] = Held(lease, lane, time.monotonic())

    def _stop(self, key: tuple[str, int], code: str, detail: str, rest: float) -> None:
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

    def _drop(self, key: tuple[str, int], give_back: bool) -> None:
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
    return max(REST_RETRY if error.retry else REST_OTHER, REST_SHARE * (time.monotonic() - begun))


def work() -> list[Any]:
    """Positions with something to do: rows (lane, source_id, owner, expired)."""
    with read() as cur:
        return cur.execute(sql.work).fetchall()


def take_permit() -> object | None:
    """One issued permit, or None: this task is a double of one already served."""
    return again(_take_permit)


def _take_permit() -> object | None:
    with write() as cur:
        row = cur.execute(sql.take_permit).fetchone()
    return None if row is None else row.id


def end_permit(permit: object) -> None:
    again(lambda: _end_permit(permit))


def _end_permit(permit: object) -> None:
    with write() as cur:
        cur.execute(sql.end_permit, {"id": permit})


def dispatch(slots: int) -> int:
    """Issues as many permits as there are slots with work for them; returns how many tasks to queue.

    Counted in the table: what the Celery broker lost is replaced after 10 s, and nothing is issued twice.
    """
    return again(lambda: _dispatch(slots))


def _dispatch(slots: int) -> int:
    with write() as cur:
        if not one(cur.execute(sql.try_lock)).mine:
            return 0
        failpoint("dispatch.after_lock")
        cur.execute(sql.forget_permits)
        failpoint("dispatch.after_forgetting")
        wanted = min(slots, len(work()))
        missing = max(0, wanted - int(one(cur.execute(sql.open_permits)).n))
        for _ in range(missing):
            cur.execute(sql.issue)
            failpoint("dispatch.after_permit")
        failpoint("dispatch.before_commit")
    return missing


def sample(admin: Admin, stream: str | None = None) -> int:
    """Asks the broker for the offsets of every source (of `stream`, or of all) and writes down the answers.

    Unanswered is null, never 0. Offsets of all topics take four questions; committed offsets take one a stream, so
    where there are many streams each is asked in its turn.
    """
    with read() as cur:
        rows = cur.execute(sql.sampled_sources, {"stream": stream}).fetchall()
    if not rows:
        return 0
    ends, replaced = _ends(admin, rows)
    retired = set(retire_replaced(*replaced))
    failpoint("sample.after_retiring")
    rows = [row for row in rows if row.id not in retired]
    if not rows:
        return 0
    committed = _committed(admin, [row for row in rows if Partition(row.topic, row.partition) in ends])
    answers = [_answer(row, ends.get(Partition(row.topic, row.partition)), committed.get(row.id)) for row in rows]
    names = ("sources", "log_starts", "lsos", "hws", "epochs", "committed", "states", "nexts")
    columns = dict(zip(names, map(list, zip(*answers, strict=True)), strict=True))
    again(lambda: _write_samples(columns))
    if ends:  # who had no answer to that would wait for this one, too
        tell_generation(admin)
    return len(answers)


def _write_samples(columns: dict[str, list[Any]]) -> None:
    with write() as cur:
        cur.execute(sql.insert_samples, columns)
        failpoint("sample.after_rows")
        cur.execute(sql.forget_samples, {"hours": settings.PASSGATE_KEEP_SAMPLES_HOURS})
        failpoint("sample.before_commit")


#: Streams whose committed offsets one sample asks for, once there are more than an Admin keeps connections for.
COMMITTED_A_TURN = 8
COMMITTED_SECONDS = 1.0
_turn = 0


def _ends(admin: Admin, rows: list[Any]) -> tuple[dict[Partition, LogEnds], tuple[dict[int, str], str]]:
    """By (topic, partition); and, by source, the other id that its topic has now, with the cluster that says so.

    Another topic of the same name is not an answer about this one (K5).
    """
    replaced: dict[int, str] = {}
    try:
        facts = admin.topics({row.topic for row in rows})
        wanted: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            found = facts[row.topic]
            if found is not None and found.topic_id == row.topic_id:
                wanted[row.topic].append(row.partition)
            elif found is not None:
                replaced[row.id] = found.topic_id
        return admin.ends_of(wanted), (replaced, admin.cluster_id() if replaced else "")
    except BrokerError as error:
        log.info("not sampled: %s", error)
        return {}, ({}, "")


def _committed(admin: Admin, rows: list[Any]) -> dict[int, Committed]:
    """By source, of the streams whose turn it is."""
    by_topic: dict[tuple[str, str], list[Any]] = defaultdict(list)
    streams = _whose_turn(sorted({row.stream for row in rows}))
    for row in rows:
        if row.stream in streams:
            by_topic[row.stream, row.topic].append(row)
    found: dict[int, Committed] = {}
    until, install = time.monotonic() + COMMITTED_SECONDS, install_id()
    for (stream, topic), sources in by_topic.items():
        if time.monotonic() > until:
            break  # offsets matter more than what was told to Kafka: the rest is unmeasured this time
        answers = admin.committed(group_of(install, stream), topic, [row.partition for row in sources])
        found.update({row.id: answers[row.partition] for row in sources if row.partition in answers})
    return found


def _whose_turn(streams: list[str]) -> set[str]:
    global _turn
    if len(streams) <= MOST_MEMBERS:
        return set(streams)
    start = _turn % len(streams)
    _turn += COMMITTED_A_TURN
    return set((streams[start:] + streams[:start])[:COMMITTED_A_TURN])


def _answer(row: Any, end: LogEnds | None, committed: Committed | None) -> tuple[Any, ...]:
    log_end, said = end or LogEnds(None, None, None, None), committed or Committed("UNMEASURED")
    return (
        row.id, log_end.earliest, log_end.lso, log_end.hw, log_end.leader_epoch, said.offset, said.state,
        row.next_offset,
    )  # fmt: skip
