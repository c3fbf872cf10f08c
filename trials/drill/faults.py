"""The faults, in the order they are played. Each brings itself about on a stage and says in words what it did."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from itertools import count, islice

import psycopg
import redis

from ingest.core.lease import LEASE_SECONDS
from ingest.kafka import BusMessage
from trials.demo.disturb import freeze_in_mid_publish, kill_any, kill_in_mid_batch, wait_until
from trials.demo.ledger import Ledger
from trials.drill.judgement import Expectation
from trials.drill.scenario import Stage

PIECE, TRIES = 1_500, 6
LOOK, MOST_LOOKING = 1.0, 40.0
FEW = 300
ALL_AT_ONCE = ("lanes", "control", "watch", "beat", "valkey", "kafka", "postgres")
Play = Callable[[Stage], str]
"""Brings the fault about; returns what was done, "" where it could not be."""


@dataclass(frozen=True)
class Fault:
    """`waits`: it is over only when leases have ended; other faults are played in the meantime."""

    name: str
    play: Play
    expected: Expectation = Expectation()
    quick: bool = False
    waits: bool = False


def looks(stage: Stage) -> Iterator[None]:
    """Looks of a second each at lanes at work; the next piece of events is sent when the last has been worked off."""
    ids = count()
    for _ in range(TRIES):
        stage.send(islice(ids, PIECE))
        until = time.monotonic() + MOST_LOOKING
        while time.monotonic() < until:
            yield
            if stage.applied():
                break


def worker_killed(stage: Stage) -> str:
    for _ in looks(stage):
        with suppress(psycopg.Error):
            if killed := kill_in_mid_batch(stage.stack, stage.ground.database, seconds=LOOK):
                return f"SIGKILL to lane worker {killed.pid}: receipts written, not committed"
    stage.send(range(100_000, 100_000 + PIECE))
    with stage.demo_ledger() as ledger:
        other = kill_any(stage.stack, ledger, stage.name)
    return f"SIGKILL to lane worker {other.pid}, between batches" if other else ""


def worker_frozen(stage: Stage) -> str:
    """Longer than its leases: others go on, and on waking it changes nothing."""
    for _ in looks(stage):
        pid = _owner(stage, LOOK)
        if pid:
            _freeze(pid, LEASE_SECONDS + 4.0)
            return f"SIGSTOP to lane worker {pid} for {LEASE_SECONDS + 4:.0f} s, leases last {LEASE_SECONDS:.0f} s"
    return ""


def _owner(stage: Stage, seconds: float) -> int:
    offsets: list[int] = []
    with stage.demo_ledger() as ledger:

        def holds() -> bool:
            workers = stage.stack.pids("lanes")[1:]
            offsets.extend(row.pid for row in ledger.rows("owners", stream=stage.name) if row.pid in workers)
            return bool(offsets)

        wait_until(holds, seconds, every=0.005)
    return offsets[0] if offsets else 0


def _freeze(pid: int, seconds: float) -> None:
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(seconds)
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def broker_frozen(stage: Stage) -> str:
    """Until a publish has timed out: sent, and nobody knows."""
    for _ in looks(stage):
        with stage.demo_ledger() as ledger:
            caught = freeze_in_mid_publish(stage.stack, ledger, stage.name, seconds=LOOK)
            if caught:
                timed_out = _wait_out(stage, ledger, caught)
                return f"SIGSTOP to the broker with a publish on its way, {_ended(timed_out)}"
    return ""


def _wait_out(stage: Stage, ledger: Ledger, caught: tuple[int, ...]) -> bool:
    try:
        return wait_until(lambda: _unknown(ledger, caught), 40.0)
    finally:
        stage.stack.thaw("kafka")


def _unknown(ledger: Ledger, ids: tuple[int, ...]) -> bool:
    return any(row.state == "UNKNOWN" for row in ledger.rows("attempts", ids=list(ids)))


def _ended(timed_out: bool) -> str:
    return "until it had timed out" if timed_out else "for 40 s"


def at_work(stage: Stage) -> str:
    """Events are sent, and a worker has taken their lane; what comes next, comes while it is at work."""
    stage.send(range(PIECE))
    return "with a worker at its lanes" if _owner(stage, MOST_LOOKING) else "before a worker took its lanes"


def part_killed(part: str) -> Play:
    """SIGKILL in mid-work; the stack starts the part again."""

    def play(stage: Stage) -> str:
        when = at_work(stage)
        stage.stack.kill(part)
        stage.stack.wait_up(part, 90.0)
        stage.send(range(PIECE, PIECE + FEW))
        return f"SIGKILL to {part} {when}, started again"

    return play


def valkey_emptied(stage: Stage) -> str:
    """Queued tasks are gone; permits are in the ledger and are issued again."""
    when = at_work(stage)
    stage.stack.kill("valkey")
    stage.stack.wait_up("valkey", 60.0)
    with closing(redis.Redis.from_url(stage.stack.env()["CELERY_BROKER_URL"])) as client:
        client.flushall()
    stage.send(range(PIECE, PIECE + FEW))
    return f"SIGKILL to Valkey {when}, started again, emptied"


def all_killed(stage: Stage) -> str:
    when = at_work(stage)
    for part in ALL_AT_ONCE:
        stage.stack.kill(part)
    for part in reversed(ALL_AT_ONCE):
        stage.stack.wait_up(part, 120.0)
    stage.send(range(PIECE, PIECE + FEW))
    return f"SIGKILL to {', '.join(ALL_AT_ONCE)}, all at once, {when}"


def conflicts(stage: Stage) -> str:
    """The same again, the same serialised another way, and the same identity with another payload."""
    stage.send(range(FEW))
    stage.send(range(FEW))
    stage.send(range(20), other="payload")
    return f"{FEW} events sent again, 20 with another payload"


def foreign_record(stage: Stage) -> str:
    """Somebody writes to the bus past the boundary."""
    stage.send(range(FEW))
    stage.wait_applied()
    stage.send_raw(stage.bus, [BusMessage(0, b"key", b'{"hello": "bus"}', [])])
    return "a record that no attempt explains, written to the bus"


def topic_recreated(stage: Stage) -> str:
    """Everything was admitted; then the inbox is another topic of the same name (K5)."""
    stage.send(range(FEW))
    stage.wait_applied()
    stage.recreate(stage.inbox)
    return "the inbox deleted and created again"


FAULTS = (
    Fault("worker-killed", worker_killed, quick=True, waits=True),
    Fault("conflicts", conflicts, Expectation(("BLOCKED", "PASS"), "quarantine items are open"), quick=True),
    Fault("foreign-record", foreign_record, Expectation(("BLOCKED",), "FOREIGN", foreign=1), quick=True),
    Fault("topic-recreated", topic_recreated, Expectation(("FAIL",), "deleted and created again"), quick=True),
    Fault("broker-frozen", broker_frozen, quick=True),
    Fault("worker-frozen", worker_frozen),
    Fault("broker-killed", part_killed("kafka")),
    Fault("postgres-killed", part_killed("postgres")),
    Fault("valkey-emptied", valkey_emptied),
    Fault("all-killed", all_killed, waits=True),
)


def chosen(quick: bool) -> Iterable[Fault]:
    return [fault for fault in FAULTS if fault.quick or not quick]
