"""Clocks that step by an hour, forwards and back: leases, permits, samples, rests and gates recover within seconds.

All durable times are the database's (`clock_timestamp()`). A step of that clock is the same as the opposite step of
every time written before it, which is how it is made here: a server's clock cannot be set for one test. Beside that
nothing in the flow may read a machine's wall clock; Celery's beat gets one that does not step.
"""

from __future__ import annotations

import ast
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest

from audit.enforce import decide_gate, enforce_due
from console.celery import app, steady
from console.reads.lanes import newest_samples
from ingest.lanes import lease as leases
from ingest.permits import dispatch
from stack import Stack
from tests.flow.world import Flow, thing

ROOT = Path(__file__).parents[2]
MakeFlow = Callable[..., Flow]
STEPS = [pytest.param("1 h", id="back"), pytest.param("-1 h", id="forwards")]
WALL = {"time", "time_ns", "now", "utcnow", "today", "localtime", "gmtime"}


@pytest.fixture
def server(live: Stack) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")  # append-only tables too: it is time that changes
        yield connection


def step(server: psycopg.Connection[Any], flow: Flow, by: str) -> None:
    """Every time of this stream that something is decided by moves by `by`: the clock moves the other way."""
    sources = flow.sources()
    server.execute(
        "UPDATE position SET until = until + %(by)s::interval, stopped_at = stopped_at + %(by)s::interval,"
        " stopped_until = stopped_until + %(by)s::interval, progressed_at = progressed_at + %(by)s::interval"
        " WHERE source_id = ANY(%(sources)s)",
        {"by": by, "sources": sources},
    )
    server.execute("UPDATE sample SET at = at + %s::interval WHERE source_id = ANY(%s)", (by, sources))
    server.execute(
        "UPDATE gate_open SET open_until = open_until + %s::interval, checked_at = checked_at + %s::interval"
        " WHERE win IN (SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %s)",
        (by, by, flow.name),
    )


@pytest.mark.parametrize("by", STEPS)
def test_lanes_go_on(live: Stack, flow: Flow, server: psycopg.Connection[Any], by: str) -> None:
    """A lease of a process that died before the step, a lane that rests, a sample of before: none holds the flow up."""
    flow.open()
    flow.produce([thing(n) for n in range(20)])
    flow.work()
    dead = leases.take("admission", flow.sources("inbox")[0])
    assert dead is not None
    server.execute(
        "UPDATE position SET owner = 'a process that died', stopped_until = clock_timestamp() + interval '20 s'"
        " WHERE lane = 'admission' AND source_id = ANY(%s)",
        (flow.sources(),),
    )
    step(server, flow, by)
    flow.produce([thing(n) for n in range(20, 40)])
    flow.work_until(lambda: flow.count("effect") == 40, seconds=20)
    flow.cut()
    flow.work()
    assert str(flow.judge().verdict.state) == "PASS"
    (now,) = server.execute("SELECT clock_timestamp()").fetchone() or ()
    newest = newest_samples(flow.sources())
    assert newest and all(sample.at <= now for sample in newest.values())


@pytest.mark.parametrize("by", STEPS)
def test_a_gate_is_looked_at_again_and_its_lease_is_as_long_as_ever(
    live: Stack, flow: Flow, server: psycopg.Connection[Any], by: str
) -> None:
    """Set back by an hour, a gate would stand open for an hour without a look: no PASS, no read."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert str(flow.judge().verdict.state) == "PASS"
    step(server, flow, by)
    enforce_due()
    row = flow.rows(
        "SELECT g.open_until - clock_timestamp() AS left FROM gate_open g JOIN run_window w ON w.id = g.win"
        " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )[0]
    assert timedelta(seconds=20) < row.left <= timedelta(seconds=30)
    assert decide_gate(flow.name, "r1", who="test").status == 200


def test_a_permit_lost_before_the_step_is_replaced(live: Stack, flow: Flow, server: psycopg.Connection[Any]) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    server.execute("UPDATE permit SET ended_at = clock_timestamp() WHERE ended_at IS NULL")
    assert dispatch(1) == 1
    server.execute("UPDATE permit SET issued_at = issued_at + interval '1 h' WHERE ended_at IS NULL")
    assert dispatch(1) == 1
    assert dispatch(1) == 0
    flow.work()


def test_beat_does_not_rest_for_the_hour_that_the_clock_was_set_back_by(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its schedules go by a clock that only ever runs on."""
    entry = app.conf.beat_schedule["dispatch"]["schedule"]
    ran_at = steady()
    real = time.monotonic
    monkeypatch.setattr(time, "time", lambda: 0.0)  # the wall clock, back by more than an hour
    monkeypatch.setattr(app, "now", lambda: datetime.now(UTC) - timedelta(hours=1))
    assert not entry.is_due(ran_at).is_due
    monkeypatch.setattr(time, "monotonic", lambda: real() + 2.5)
    assert entry.is_due(ran_at).is_due
    assert app.conf.beat_scheduler == "celery.beat:Scheduler"


def test_the_flow_reads_no_wall_clock() -> None:
    """What a worker decides does not depend on what its machine thinks the time is."""
    read = []
    for file in [*(ROOT / "ingest").rglob("*.py"), *(ROOT / "audit").rglob("*.py"), *(ROOT / "plans").rglob("*.py")]:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in WALL:
                owner = node.func.value
                if isinstance(owner, ast.Name) and owner.id in {"time", "datetime", "date", "timezone", "dt"}:
                    read.append(f"{file.relative_to(ROOT)}:{node.lineno}")
    assert read == []
