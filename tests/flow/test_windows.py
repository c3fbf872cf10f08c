"""Windows follow one another under load while workers die: every offset in one window, every duplicate found.

By hand for as long as one likes: WINDOWS_SECONDS=600 WINDOWS_EVERY=5.
"""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from audit.close import close_run
from audit.core import verdict as v
from audit.go_on import go_on
from ingest.db import read
from stack import Stack
from tests.flow.test_crashes import Workers, at_rest
from tests.flow.world import Flow, thing
from tests.patience import stretched

SECONDS = float(os.environ.get("WINDOWS_SECONDS", "20"))
EVERY = float(os.environ.get("WINDOWS_EVERY", "1.5"))
RUN = "r1"


class OpenWindows(threading.Thread):
    """Looks all the time how many windows of a stream are open, and keeps what was not one."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self._stream = name
        self._over = threading.Event()
        self.looks = 0
        self.strange: list[int] = []

    def run(self) -> None:
        statement = (
            "SELECT count(*) AS n FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %s AND w.state = 'OPEN' AND r.state = 'OPEN'"
        )
        while not self._over.wait(0.02):
            with read() as cur:
                row = cur.execute(statement, (self._stream,)).fetchone()
            assert row is not None
            self.looks += 1
            if row.n != 1:
                self.strange.append(row.n)

    def stop(self) -> None:
        self._over.set()
        self.join(10)


@pytest.fixture
def workers(make_flow: Callable[..., Flow]) -> Iterator[tuple[Flow, Workers]]:
    empty = 'empty = "pass"\n[window]\nrecords = 1_000_000_000'
    flow = make_flow(partitions=2, bus_partitions=3, delivery_timeout="2s", close=empty)
    flow.open()
    made = Workers(flow, seed=14)
    yield flow, made
    made.stop()


def produce_and_cut(flow: Flow, workers: Workers, broker: Stack) -> tuple[int, int, int]:
    """How many events were sent, how many records those were, and how many windows were cut meanwhile.

    Each time some events of all windows so far come again. In the middle Kafka answers nothing for a while: windows
    are cut all the same.
    """
    chance = random.Random(14)
    events = records = windows = 0
    frozen, until, next_cut = False, time.monotonic() + SECONDS, time.monotonic() + EVERY
    while (now := time.monotonic()) < until:
        numbers = [*range(events, events + chance.randint(1, 150)), *chance.sample(range(events), min(events, 9))]
        events, records = max(numbers) + 1, records + len(numbers)
        flow.produce(map(thing, numbers), partition=chance.randrange(2), key=b"key-%d" % chance.randrange(20))
        flow.sample()
        workers.replace_dead()
        if not frozen and until - now < SECONDS / 2:
            frozen = True
            broker.freeze("kafka")
            windows += go_on(flow.name, RUN, "test").cut.result == "cut"
            broker.thaw("kafka")
        if now > next_cut:
            next_cut = now + EVERY
            windows += go_on(flow.name, RUN, "test").cut.result == "cut"
        time.sleep(0.1)
    return events, records, windows


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 600)
def test_every_offset_is_in_one_window_and_duplicates_are_found_across_borders(
    workers: tuple[Flow, Workers], live: Stack
) -> None:
    flow, processes = workers
    watch = OpenWindows(flow.name)
    watch.start()
    events, records, windows = produce_and_cut(flow, processes, live)
    watch.stop()
    assert (watch.strange, windows > 3) == ([], True)
    assert watch.looks > windows
    flow.cut()
    until = time.monotonic() + stretched(120)
    while not at_rest(flow, events):
        assert time.monotonic() < until, (events, flow.count("event"), flow.count("effect"), flow.attempts())
        processes.replace_dead()
        flow.sample()
        time.sleep(0.5)
    processes.stop()
    assert processes.deaths > 0
    assert_whole(flow, events, records, windows + 1)
    for number in range(1, windows + 2):
        judged_pass(flow, number)


def assert_whole(flow: Flow, events: int, records: int, windows: int) -> None:
    """By the ledger's own rows: ranges one behind the other from the first offset to the last, receipts inside them."""
    ends = {number: log.hw for number, log in flow.admin.ends(flow.inbox, [0, 1]).items()}
    rows = flow.rows(
        "SELECT c.partition, w.number, x.start_offset, x.end_offset FROM window_range x"
        " JOIN run_window w ON w.id = x.win JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND c.role = 'inbox' ORDER BY c.partition, w.number"
    )
    for partition, end in ends.items():
        mine = [row for row in rows if row.partition == partition]
        assert [row.number for row in mine] == list(range(1, windows + 1))
        assert [row.start_offset for row in mine] == [0, *(row.end_offset for row in mine[:-1])]
        assert mine[-1].end_offset == end
    (found,) = flow.rows(
        "SELECT count(*) AS records, count(*) FILTER (WHERE t.decision = 1) AS admitted,"
        " count(*) FILTER (WHERE t.decision = 2) AS duplicates,"
        " count(*) FILTER (WHERE t.decision = 2 AND e.win <> b.win) AS across,"
        ' count(*) FILTER (WHERE NOT (t."offset" >= x.start_offset AND t."offset" < x.end_offset)) AS astray'
        " FROM receipt t JOIN batch b ON b.id = t.batch_id JOIN run r ON r.id = b.run_id"
        " JOIN stream s ON s.id = r.stream_id JOIN event e ON e.run_id = b.run_id AND e.identity = t.identity"
        " JOIN window_range x ON x.win = b.win AND x.source_id = t.source_id WHERE s.name = %(name)s"
    )
    assert (found.records, found.admitted, found.duplicates) == (records, events, records - events)
    assert found.across > 0
    assert found.astray == 0


def judged_pass(flow: Flow, number: int) -> None:
    until = time.monotonic() + stretched(60)
    while True:
        flow.sample()
        stored = close_run(flow.name, RUN, "test", window=number)
        if stored.verdict.state is v.State.PASS:
            return
        assert time.monotonic() < until, stored.sentence
        flow.work()
