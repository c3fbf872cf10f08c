"""Fences: a worker paused for longer than its lease changes nothing when it wakes up; races have one winner each.

The pauses are SIGSTOP of a real worker process at a named point, and real time: leases are 3 s here instead of 30.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ingest.lanes import lease as leases
from ingest.permits import dispatch, take_permit
from stack import Stack
from tests.failpoints.ground import Ground
from tests.failpoints.processes import Workers
from tests.flow.world import Flow, thing
from tests.patience import stretched

GetGround = Callable[..., Ground]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]
LEASE = 3


def picture(flow: Flow) -> dict[str, Any]:
    """All that a worker could have changed: positions and their fences, every ledger table, and the bus itself."""
    tables = {
        "positions": "SELECT lane, source_id, next_offset, fence, cut, win,"
        " CASE WHEN until > clock_timestamp() THEN owner END FROM position p"
        " JOIN stream s ON s.id = p.stream_id WHERE s.name = %(name)s ORDER BY 1, 2",
        "attempts": "SELECT a.id, a.state, a.fence FROM attempt a JOIN source c ON c.id = a.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY 1",
        "batches": "SELECT b.id FROM batch b JOIN source c ON c.id = b.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY 1",
        "bus batches": "SELECT b.id FROM bus_batch b JOIN source c ON c.id = b.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY 1",
        "places": 'SELECT p.source_id, p."offset", p.bus_source_id, p.bus_offset FROM place p'
        " JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s ORDER BY 1, 2",
        "windows": "SELECT w.id, w.state, w.revision, w.judged_revision FROM run_window w JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY 1",
        "verdicts": "SELECT v.id, v.state FROM verdict v JOIN run r ON r.id = v.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY 1",
    }
    seen = {name: [tuple(row) for row in flow.rows(statement)] for name, statement in tables.items()}
    ends = flow.admin.ends(flow.bus, range(flow.bus_partitions))
    return seen | {"receipts": flow.receipts(), "counts": (flow.count("event"), flow.count("effect")), "bus": ends}


def paused(stream: Ground, do: str, point: str, **more: Any) -> None:
    """A worker of a short lease stops at the point, and stays stopped until the lease has run out.

    How short depends on how busy the machine is: the worker has to get to the point while it still holds it.
    """
    lease = stretched(LEASE)
    stream.workers.start(do, f"{point}:1:STOP", **stream.job(lease=lease, **more))
    stream.workers.stopped()
    time.sleep(lease + 0.5)


LANES = [
    "lane.after_lease", "admit.after_read", "admit.before_commit", "admit.before_kafka_commit",
    "publish.after_fence", "prepare.before_commit", "publish.after_prepared", "bus.after_begin", "bus.before_commit",
    "publish.after_send", "acked.before_commit", "consume.after_read", "consume.before_commit",
    "consume.before_kafka_commit",
]  # fmt: skip


@pytest.mark.parametrize("point", LANES)
def test_a_lane_worker_paused_for_longer_than_its_lease_changes_nothing(
    ground: GetGround, other_workers: Workers, tmp_path: Path, point: str
) -> None:
    """Between PREPARED and begin above all. What it began is settled by the new owner before it wakes up."""
    stream, made = ground(), tmp_path / "producers"
    stream.new_run()
    paused(stream, "work", point, producers=str(made))
    producers = made.read_text() if made.exists() else ""
    works_elsewhere(stream, other_workers)
    before = picture(stream.flow)
    stream.workers.wake()
    assert stream.workers.ended() == 0
    assert picture(stream.flow) == before
    assert (made.read_text() if made.exists() else "") == producers, "it started a producer"
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


def works_elsewhere(stream: Ground, others: Workers) -> None:
    """Another process takes over and goes on to the end, while the first one is still stopped."""
    until = time.monotonic() + 60
    while not stream.at_rest():
        assert time.monotonic() < until, (stream.counts(), stream.flow.attempts())
        assert others.run("work", **stream.job()) == 0
        time.sleep(0.2)


@pytest.mark.parametrize("point", ["publish.before_init", "publish.after_init"])
def test_a_worker_paused_around_its_fencing_ends_what_the_new_owner_sends_and_nothing_is_lost(
    ground: GetGround, other_workers: Workers, point: str
) -> None:
    """Between looking at the lease and init_transactions() lies no time that could be made zero. Whoever is paused just
    there fences the new owner when it wakes up: that makes an UNKNOWN, which its owner settles. Nothing else changes.
    """
    stream = ground()
    stream.new_run()
    paused(stream, "work", point)
    works_elsewhere(stream, other_workers)
    before = picture(stream.flow)
    stream.workers.wake()
    assert stream.workers.ended() == 0
    after = picture(stream.flow)
    assert {k: v for k, v in after.items() if k != "bus"} == {k: v for k, v in before.items() if k != "bus"}
    stream.produce()
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


@pytest.mark.parametrize("point", ["cut.after_capture", "cut.after_position_locks", "cut.before_commit"])
def test_a_cutter_paused_for_long_holds_nobody_up_and_changes_nothing(
    ground: GetGround, other_workers: Workers, point: str
) -> None:
    """S16: also where it was paused inside of its transaction, holding the positions' rows."""
    stream = ground()
    stream.new_run()
    paused(stream, "cut", point)
    assert other_workers.run("cut", **stream.job()) == 0
    works_elsewhere(stream, other_workers)
    before = picture(stream.flow)
    stream.workers.wake()
    stream.workers.ended()
    assert picture(stream.flow) == before
    stream.is_whole()
    stream.passes()


@pytest.mark.parametrize("point", ["close.after_judging", "verdict.after_revision", "verdict.before_commit"])
def test_a_closer_paused_for_long_stores_no_second_verdict(
    ground: GetGround, other_workers: Workers, point: str
) -> None:
    stream = ground()
    stream.new_run()
    stream.does("cut")
    stream.works_to_the_end()
    paused(stream, "close", point)
    assert other_workers.run("close", **stream.job()) == 0
    assert stream.verdicts() == ["PASS"]
    before = picture(stream.flow)
    stream.workers.wake()
    stream.workers.ended()
    assert picture(stream.flow) == before
    stream.is_whole()


def test_a_worker_frozen_in_its_transaction_holds_up_no_lane_but_its_own(
    ground: GetGround, live: Stack, other_workers: Workers
) -> None:
    """It still holds the position's row, so nobody can take its lane until the server ends its transaction, after the
    length of a lease. Whoever would take it leaves it alone meanwhile, and serves the other streams.
    """
    frozen, other = ground(), Ground(live, other_workers)
    frozen.new_run()
    other.new_run()
    paused(frozen, "work", "admit.before_commit", idle=60)
    began = time.monotonic()
    both = {"sources": frozen.flow.sources() + other.flow.sources(), "seconds": 8}
    assert other_workers.run("work", **other.job(**both)) == 0
    assert other.at_rest()
    assert time.monotonic() - began < 20, "it waited for the frozen one's row"
    frozen.workers.wake()
    frozen.workers.ended()
    for stream in (frozen, other):
        stream.works_to_the_end()
        stream.is_whole()
        stream.passes()


def test_s16_contention_in_the_audit_log_never_stops_admission(
    live: Stack, ground: GetGround, other_workers: Workers
) -> None:
    """The audit log's head is locked, and the window's row shared, as by somebody who closes for a long time."""
    stream = ground()
    stream.new_run()
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"]) as connection:
        connection.execute("SELECT FROM audit_head WHERE id = 1 FOR UPDATE")
        connection.execute(
            "SELECT FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %s AND r.name = %s FOR SHARE OF w",
            (stream.flow.name, stream.run_name),
        )
        stream.works_to_the_end(seconds=30)
    stream.is_whole()
    stream.passes()


def test_s22_a_worker_that_only_looks_alive_blocks_the_window(ground: GetGround) -> None:
    """It holds every lease and renews it, and does nothing: that is no progress, and no PASS."""
    stream = ground()
    stream.new_run()
    positions = stream.flow.rows(
        "SELECT p.lane, p.source_id FROM position p JOIN stream s ON s.id = p.stream_id WHERE s.name = %(name)s"
    )
    held = [leases.take(row.lane, row.source_id) for row in positions]
    stream.does("work", seconds=2)
    stream.flow.cut(stream.run_name)
    for lease in held:
        assert lease is not None
        leases.renew(lease)
    stored = stream.flow.judge(stream.run_name)
    assert str(stored.verdict.state) == "BLOCKED"
    assert "CAUGHT_UP" in {str(check.name) for check in stored.verdict.failed()}
    for lease in held:
        assert lease is not None
        leases.release(lease)
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


# ---- races ----------------------------------------------------------------------------------------------------------


def test_two_workers_on_one_source_take_turns(ground: GetGround, other_workers: Workers) -> None:
    """Both want every lane of the stream; each lane has one owner at a time, and each event is there once."""
    stream = ground()
    stream.new_run()
    for _ in range(4):
        stream.workers.start("work", **stream.job())
        other_workers.start("work", **stream.job())
        stream.produce()
        assert stream.workers.ended() == 0
        assert other_workers.ended() == 0
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


def test_s4_two_workers_that_race_on_one_identity_admit_it_once(
    live: Stack, workers: Workers, other_workers: Workers
) -> None:
    """The same events on two partitions, the first worker stopped right before its COMMIT: the second waits for it,
    loses the race at the unique index, and finds duplicates. Nothing is quarantined.
    """
    flow = Flow(partitions=2)
    flow.open()
    for partition in (0, 1):
        flow.produce(map(thing, range(50)), partition=partition)
    first, second = flow.sources("inbox")
    job = {"stream": flow.name, "run": "r1", "lanes": ["admission"]}
    workers.start("work", "admit.before_commit:1:STOP", sources=[first], **job)
    workers.stopped()
    other_workers.start("work", sources=[second], **job)
    wait_until_blocked(live)
    workers.wake()
    assert (workers.ended(), other_workers.ended()) == (0, 0)
    assert [(p, d.name) for p, _, d, _ in flow.receipts()] == [(0, "ADMITTED")] * 50 + [(1, "DUPLICATE")] * 50
    flow.work()
    flow.cut()
    flow.work()
    assert str(flow.judge().verdict.state) == "PASS"
    flow.check()


def wait_until_blocked(stack: Stack) -> None:
    until = time.monotonic() + 30
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        while not connection.execute(
            "SELECT FROM pg_stat_activity WHERE usename = 'passgate_login_app' AND wait_event_type = 'Lock'"
        ).fetchall():
            assert time.monotonic() < until, "nobody waits for the first worker"
            time.sleep(0.05)


# ---- permits --------------------------------------------------------------------------------------------------------


@pytest.fixture
def no_permits(live: Stack) -> psycopg.Connection[Any]:
    """No permit is out: those of earlier tests are ended."""
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute("UPDATE permit SET ended_at = clock_timestamp() WHERE ended_at IS NULL")
        yield connection


def permits(connection: psycopg.Connection[Any]) -> tuple[int, int]:
    """(not taken, taken and not ended)."""
    row = connection.execute(
        "SELECT count(*) FILTER (WHERE taken_at IS NULL), count(*) FILTER (WHERE taken_at IS NOT NULL)"
        " FROM permit WHERE ended_at IS NULL"
    ).fetchone()
    assert row is not None
    return row[0], row[1]


def test_two_dispatchers_issue_each_permit_once(
    ground: GetGround, other_workers: Workers, no_permits: psycopg.Connection[Any]
) -> None:
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    stream.workers.start("dispatch", "dispatch.after_lock:1:STOP", **stream.job(slots=1))
    stream.workers.stopped()
    assert other_workers.run("dispatch", **stream.job(slots=1)) == 0
    assert permits(no_permits) == (0, 0), "the second dispatcher went on beside the first"
    stream.workers.wake()
    assert stream.workers.ended() == 0
    assert permits(no_permits) == (1, 0)
    assert other_workers.run("dispatch", **stream.job(slots=1)) == 0
    assert permits(no_permits) == (1, 0)
    stream.works_to_the_end()
    stream.passes()


def test_a_permit_delivered_twice_is_served_once(ground: GetGround, no_permits: psycopg.Connection[Any]) -> None:
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    assert dispatch(1) == 1
    assert take_permit() is not None
    assert take_permit() is None
    stream.does("permit")  # a third delivery, by the task itself: it finds no permit, and ends
    assert permits(no_permits) == (0, 1)
    stream.works_to_the_end()
    stream.passes()


def test_a_permit_delivered_late_does_what_is_left_to_do(
    ground: GetGround, no_permits: psycopg.Connection[Any]
) -> None:
    """After 10 s it counts as lost and another one is issued; then both come."""
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    assert dispatch(1) == 1
    ages(no_permits, "11 s")
    assert dispatch(1) == 1
    stream.does("permit")
    stream.does("permit")
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


def test_a_permit_that_never_comes_is_replaced(ground: GetGround, no_permits: psycopg.Connection[Any]) -> None:
    """Whether the Celery broker lost it or whoever took it died with it."""
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    assert dispatch(1) == 1
    assert dispatch(1) == 0
    ages(no_permits, "11 s")
    assert dispatch(1) == 1
    assert take_permit() is not None
    ages(no_permits, "61 s")
    assert dispatch(1) == 1
    stream.works_to_the_end()
    stream.passes()


def ages(connection: psycopg.Connection[Any], by: str) -> None:
    """Time passes for the permits that are out."""
    connection.execute(
        "UPDATE permit SET issued_at = issued_at - %s::interval, taken_at = taken_at - %s::interval"
        " WHERE ended_at IS NULL",
        (by, by),
    )
