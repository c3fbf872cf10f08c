"""S2 and S27 by chance: workers that die, stall and mishear anywhere, a broker that freezes; then a PASS, exactly."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from stack import Stack
from tests.flow.bus import bus_counts, read_bus
from tests.flow.world import Flow, thing

SECONDS, WAIT, WORKERS = 25, 120, 2


class Workers:
    """Processes that are replaced when they die. Each has a seed of its own."""

    def __init__(self, flow: Flow, seed: int) -> None:
        self._sources = ",".join(map(str, flow.sources()))
        self._seeds = iter(range(seed * 1000, seed * 1000 + 999))
        self._running = [self._spawn() for _ in range(WORKERS)]
        self.deaths = 0

    def _spawn(self) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.flow.dying_worker", self._sources, str(next(self._seeds))]
        env = {**os.environ, "PYTHONPATH": ".", "PASSGATE_LOG_LEVEL": "ERROR"}
        return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL)

    def replace_dead(self) -> None:
        for index, process in enumerate(self._running):
            if process.poll() is not None:
                self.deaths += 1
                self._running[index] = self._spawn()

    def stop(self) -> None:
        for process in self._running:
            process.kill()
            process.wait(10)


@pytest.fixture
def workers(make_flow: Callable[..., Flow]) -> Iterator[tuple[Flow, Workers]]:
    flow = make_flow(partitions=2, bus_partitions=3, delivery_timeout="2s")
    flow.open()
    made = Workers(flow, seed=27)
    yield flow, made
    made.stop()


def produce_for(flow: Flow, workers: Workers, broker: Stack) -> int:
    """Resends, several keys, a freeze in the middle; returns how many different events were sent."""
    chance = random.Random(27)
    events, frozen, until = 0, False, time.monotonic() + SECONDS
    while (now := time.monotonic()) < until:
        numbers = [*range(events, events + chance.randint(1, 200)), *chance.sample(range(events), min(events, 5))]
        events = max(numbers) + 1
        flow.produce(map(thing, numbers), partition=chance.randrange(2), key=b"key-%d" % chance.randrange(20))
        flow.sample()
        workers.replace_dead()
        if not frozen and until - now < SECONDS / 2:
            frozen = True
            broker.freeze("kafka")
            time.sleep(3)
            broker.thaw("kafka")
        time.sleep(0.2)
    return events


def at_rest(flow: Flow, events: int) -> bool:
    """All admitted, all applied, no attempt without an outcome: effects may come before their attempt is settled."""
    settled = set(flow.attempts()) <= {"ACKED", "ABSENT", "PARTIAL", "NOT_SENT"}
    return settled and (flow.count("event"), flow.count("effect")) == (events, events)


def order_inversions(flow: Flow) -> int:
    """Events of one key and one inbox partition that lie on the bus in another order than they came in."""
    rows = flow.rows(
        'SELECT e.key, p.source_id, p."offset" FROM place p JOIN source c ON c.id = p.bus_source_id'
        ' JOIN event e ON e.source_id = p.source_id AND e."offset" = p."offset" JOIN stream s ON s.id = c.stream_id'
        " WHERE s.name = %(name)s ORDER BY p.bus_source_id, p.bus_offset"
    )
    last: dict[tuple[bytes, int], int] = {}
    inverted = 0
    for row in rows:
        place = (bytes(row.key), row.source_id)
        inverted += last.get(place, -1) > row.offset
        last[place] = row.offset
    return inverted


@pytest.mark.slow
def test_whatever_dies_each_event_is_admitted_published_and_applied_once(
    workers: tuple[Flow, Workers], live: Stack
) -> None:
    flow, processes = workers
    events = produce_for(flow, processes, live)
    flow.cut()
    until = time.monotonic() + WAIT
    while not at_rest(flow, events):
        assert time.monotonic() < until, (events, flow.count("event"), flow.count("effect"), flow.attempts())
        processes.replace_dead()
        flow.sample()
        time.sleep(0.5)
    processes.stop()
    assert processes.deaths > 0
    assert sum(map(len, read_bus(flow).values())) == events
    counts = bus_counts(flow)
    assert (counts["records"], counts["applied"]) == (events, events)
    assert order_inversions(flow) == 0
    flow.work_until(lambda: flow.judge().verdict.state == "PASS", seconds=60)
