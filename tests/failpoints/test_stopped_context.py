"""What was joined with a verdict of another stream, while that verdict falls and whoever looks is stopped.

Real processes, a real pin: weather's PASS that flights were joined with. Weather is judged again and is a FAIL, or
nobody looks at its gate for its time, between any two steps of a process that is stopped by SIGSTOP and woken. Where
the stopped one holds the rows that this needs, the change waits for it, and finds what it left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import contextmanager
from typing import Any

import pytest
from django.db import connection

from audit.close import window_of
from audit.enforce import decide_gate
from tests.audit.test_contexts import fails, gate_of, lapses
from tests.failpoints.processes import Workers
from tests.failpoints.test_stopped_gate import LOOKING, OPENING
from tests.flow import test_projections as p
from tests.flow.world import Flow, leave

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
weather = p.weather
LEASE = 6.0


@pytest.fixture
def flights(weather: Flow) -> Iterator[Flow]:
    """Joined, read and applied to its cut, its bus's end known: only the verdict is missing."""
    flow = p.joined(weather)
    flow.contract += '[gate]\nrecheck = "2s"\n'
    flow.load()
    flow.open()
    flow.produce([p.flight(1, 1), p.flight(2, 3)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 2)
    yield flow
    leave([flow.name, weather.name])


def job(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "sources": flow.sources(), "run": "r1"} | {"idle": 120, "lease": 30} | more


Falling = Callable[[Flow], None]


def each_falls(points: list[str], *lapsing: str) -> list[Any]:
    """A fall at each of these points; at some, too, a context that nobody looks at."""
    assert set(lapsing) <= set(points)
    cases = [(point, fails) for point in points] + [(point, lapses) for point in lapsing]
    return [pytest.param(*case, id=f"{case[0]}-{case[1].__name__}") for case in cases]


@contextmanager
def meanwhile(falling: Falling, weather: Flow) -> Iterator[None]:
    """The change happens, or waits for the stopped process; afterwards it has happened."""

    def change() -> None:
        try:
            falling(weather)
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as pool:
        changed = pool.submit(change)
        wait([changed], 1.5)
        yield
        changed.result(60)


def is_shut(flights: Flow) -> None:
    row = gate_of(flights) if flights.rows(GATE, win=window_of(flights.name, "r1")) else None
    assert row is None or row.open_until <= row.now, row
    assert decide_gate(flights.name, "r1", who="test").status != 200


def outlasts(flights: Flow) -> None:
    """What was written before nobody looked any more lasts for its own time, and no longer than a lease."""
    rows = flights.rows(GATE, win=window_of(flights.name, "r1"))
    if rows:
        left = (gate_of(flights).open_until - gate_of(flights).now).total_seconds()
        assert left <= LEASE
        time.sleep(max(0.0, left))


GATE = "SELECT FROM gate_open WHERE win = %(win)s"


@pytest.mark.parametrize(("point", "falling"), each_falls(OPENING, "close.after_judging", "verdict.after_gate"))
def test_a_closer_stopped_while_its_context_falls_opens_nothing(
    workers: Workers, weather: Flow, flights: Flow, point: str, falling: Falling
) -> None:
    workers.start("close", f"{point}:1:STOP", **job(flights))
    workers.stopped()
    with meanwhile(falling, weather):
        workers.wake()
        workers.ended()
    if falling is lapses:
        outlasts(flights)
    is_shut(flights)
    workers.run("enforce", **job(flights, unsure=True))
    is_shut(flights)


@pytest.mark.parametrize(("point", "falling"), each_falls(LOOKING, "enforce.after_capture", "enforce.after_depth"))
def test_a_look_stopped_while_its_context_falls_extends_nothing(
    workers: Workers, weather: Flow, flights: Flow, point: str, falling: Falling
) -> None:
    assert flights.judge().verdict.state == "PASS"
    assert decide_gate(flights.name, "r1", who="test").status == 200
    workers.start("enforce", f"{point}:1:STOP", **job(flights, unsure=True))
    workers.stopped()
    with meanwhile(falling, weather):
        workers.wake()
        workers.ended()
    if falling is lapses:
        outlasts(flights)
    is_shut(flights)
    workers.run("enforce", **job(flights, unsure=True))
    is_shut(flights)


def test_a_request_stopped_while_the_context_falls_is_refused(workers: Workers, weather: Flow, flights: Flow) -> None:
    assert flights.judge().verdict.state == "PASS"
    workers.start("decide", "decide.after_looking:1:STOP", **job(flights, status=403))
    workers.stopped()
    fails(weather)
    workers.wake()
    assert workers.ended() == 0


#: PostgreSQL's patience with the stopped transaction, in seconds: longer than the lease, which is over, too, when the
#: context falls. The whole of it is waited out.
OUTWAITED = 36


@pytest.mark.parametrize("point", ["consume.after_projection", "consume.before_commit"])
def test_a_lane_stopped_while_its_context_falls_makes_no_pass(workers: Workers, weather: Flow, point: str) -> None:
    """Effects that it joined stay what they are: final in their window. The window does not pass."""
    flow = p.joined(weather)
    flow.open()
    flow.produce([p.flight(1, 1), p.flight(2, 3)])
    flow.work("admission", "publish")
    flow.sample()
    workers.start("work", f"{point}:1:STOP", **job(flow, idle=OUTWAITED))
    workers.stopped()
    fails(weather)
    workers.wake()
    workers.ended()
    flow.work_until(lambda: flow.count("effect") == 2)
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "BLOCKED"
    assert f"{weather.name}/r1#2 is FAIL" in stored.sentence
    assert decide_gate(flow.name, "r1", who="test").status != 200
    leave([flow.name, weather.name])
