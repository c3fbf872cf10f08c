"""A run is cut every few seconds while records come, twice and over every border, and whoever works or cuts is killed.

By hand for as long as one likes: CUTS_SECONDS=600 CUTS_EVERY=5, with `python3 manage.py test -s` and this file's name.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field

import psycopg
import pytest

from audit.close import close_run
from audit.fsck import fsck
from ingest.core.reason import Decision
from stack import Stack
from tests.failpoints import steps
from tests.failpoints.processes import KILLED, Workers
from tests.flow.bus import read_bus
from tests.flow.world import Flow, thing
from tests.patience import stretched

SECONDS, EVERY = (float(os.environ.get(name, usual)) for name, usual in (("CUTS_SECONDS", "15"), ("CUTS_EVERY", "3")))
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300 + 3 * SECONDS)]

LEASE, BATCH, PAUSE = 2.0, 20, 0.05
CUTTING = (
    "go_on.after_position_locks",
    "go_on.after_cut",
    "go_on.after_next_window",
    "go_on.before_commit",
    "go_on.after_act",
)


@dataclass
class Producer(threading.Thread):
    """Writes events to both partitions of the inbox, and each tenth of the last windows' once more."""

    flow: Flow
    over: threading.Event
    sent: int = 0
    again: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        chance = random.Random(5)  # noqa: S311
        while not self.over.wait(PAUSE):
            values = [thing(number) for number in range(self.sent, self.sent + BATCH)]
            back = [chance.randrange(self.sent) for _ in range(BATCH // 10)] if self.sent else []
            self.again.update(back)
            self.flow.produce([*values, *map(thing, back)], partition=chance.randrange(2))
            self.sent += BATCH


@dataclass
class Watcher(threading.Thread):
    """Looks all the time how many windows are open: what a lane would find."""

    stream: str
    url: str
    over: threading.Event
    seen: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        super().__init__(daemon=True)

    __hash__ = threading.Thread.__hash__

    def run(self) -> None:
        with psycopg.connect(self.url, autocommit=True) as own:
            while not self.over.wait(0.005):
                (n,) = own.execute(  # type: ignore[misc]
                    "SELECT count(*) FROM run_window w JOIN run r ON r.id = w.run_id"
                    "  JOIN stream s ON s.id = r.stream_id WHERE s.name = %s AND w.state = 'OPEN'",
                    (self.stream,),
                ).fetchone()
                self.seen[n] += 1


@contextmanager
def killed_at_work(flow: Flow, over: threading.Event) -> Iterator[Counter[str]]:
    """A worker works for some seconds, and is killed more often than not."""
    ends: Counter[str] = Counter()
    workers, chance = Workers(), random.Random(8)  # noqa: S311

    def work() -> None:
        while not over.is_set():
            process = workers.start("work", stream=flow.name, sources=flow.sources(), lease=LEASE, seconds=30)
            if not over.wait(chance.uniform(1.0, 4.0)):
                with suppress(ProcessLookupError):  # it had nothing left to do
                    os.kill(process, signal.SIGKILL)
            ends["killed" if workers.ended(60) == KILLED else "ended"] += 1

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        yield ends
    finally:
        over.set()
        thread.join(90)
        workers.close()


def test_a_run_that_is_cut_under_load_and_kills_has_every_record_once(live: Stack, stack: Stack) -> None:
    flow, over = Flow(partitions=2, automatic="true"), threading.Event()
    flow.open()
    producer, watcher = Producer(flow, over), Watcher(flow.name, stack.env()["PASSGATE_ADMIN_URL"], over)
    chance, cutters, killed = random.Random(13), Workers(), 0  # noqa: S311
    assert set(CUTTING) <= set(steps.failpoints())
    with ExitStack() as closing:
        closing.callback(cutters.close)
        deaths = closing.enter_context(killed_at_work(flow, over))
        producer.start()
        watcher.start()
        began, window = time.monotonic(), 1
        while time.monotonic() < began + SECONDS:
            time.sleep(max(0.0, began + window * EVERY - time.monotonic()))
            cut = {"stream": flow.name, "run": "r1", "window": window, "lease": LEASE}
            if chance.random() < 0.5:
                killed += cutters.run("go_on", chance.choice(CUTTING), **cut) == KILLED
            assert cutters.run("go_on", **cut) == 0
            window += 1
        over.set()
        producer.join(30)
        watcher.join(30)
    end = time.monotonic() + stretched(120)
    while flow.count("effect") < producer.sent or set(flow.attempts()) - {"ACKED", "ABSENT", "PARTIAL", "NOT_SENT"}:
        assert time.monotonic() < end, (producer.sent, flow.count("effect"), Counter(flow.attempts()))
        flow.work(seconds=5)
    flow.cut()
    flow.work()
    again = sum(producer.again.values())
    seen = f"{window} windows, {producer.sent} events, {again} again; workers: {dict(deaths)}, cutters killed: {killed}"
    print(seen)  # noqa: T201
    assert set(watcher.seen) == {1}, watcher.seen
    every_offset_is_in_one_window(flow, producer)
    every_event_is_there_once(flow, producer)
    for number in range(1, window + 1):
        flow.sample()
        stored = close_run(flow.name, "r1", "test", number)
        assert stored.verdict.title == "PASS", stored.sentence
    assert fsck(stream=flow.name) == []
    assert deaths["killed"] >= SECONDS / 12


def every_offset_is_in_one_window(flow: Flow, producer: Producer) -> None:
    """Ranges follow one another; each record has one receipt, of the window whose range has its offset."""
    ranges = flow.rows(
        "SELECT g.source_id, w.number, g.start_offset, g.end_offset"
        "  FROM window_range g JOIN source c ON c.id = g.source_id JOIN run_window w ON w.id = g.win"
        "  JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.role = 'inbox'"
        " ORDER BY g.source_id, w.number"
    )
    for before, after in zip(ranges, ranges[1:], strict=False):
        if before.source_id == after.source_id:
            assert (after.number, after.start_offset) == (before.number + 1, before.end_offset)
    records = producer.sent + sum(producer.again.values())
    assert sum(row.end_offset - row.start_offset for row in ranges) == records
    (found,) = flow.rows(
        'SELECT count(*) AS n, count(DISTINCT (t.source_id, t."offset")) AS offsets,'
        '       count(*) FILTER (WHERE t."offset" >= g.start_offset AND t."offset" < g.end_offset) AS inside'
        "  FROM receipt t JOIN batch b ON b.id = t.batch_id JOIN source c ON c.id = t.source_id"
        "  JOIN stream s ON s.id = c.stream_id JOIN window_range g ON g.win = b.win AND g.source_id = t.source_id"
        " WHERE s.name = %(name)s"
    )
    assert (found.n, found.offsets, found.inside) == (records, records, records)


def every_event_is_there_once(flow: Flow, producer: Producer) -> None:
    """On the bus, too, as somebody else reads it; what came again is a duplicate, of earlier windows as well."""
    on_bus = Counter(record.value for partition in read_bus(flow).values() for record in partition)
    assert (len(on_bus), set(on_bus.values())) == (producer.sent, {1})
    assert (flow.count("event"), flow.count("effect")) == (producer.sent, producer.sent)
    borders = flow.rows(
        "SELECT b.win, first.win AS first, count(*) AS n FROM receipt t JOIN batch b ON b.id = t.batch_id"
        "  JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id"
        "  JOIN event e ON e.identity = t.identity AND e.run_id = (SELECT run_id FROM run_window WHERE id = b.win)"
        "  JOIN batch first ON first.id = e.batch_id"
        " WHERE s.name = %(name)s AND t.decision = %(duplicate)s GROUP BY 1, 2",
        duplicate=int(Decision.DUPLICATE),
    )
    assert sum(row.n for row in borders) == sum(producer.again.values())
    wins = sorted(flow.wins())
    came_over = {row.win for row in borders if row.first < row.win}
    assert came_over >= set(wins[1:-1]), (wins, borders)
