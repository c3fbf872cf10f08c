"""S27: a process that dies at any point loses nothing, doubles nothing, and its run passes. S4, S16 and S22 beside it.

For every failpoint in the code: a real worker process armed with it dies there by SIGKILL; a worker goes on to the end;
then fsck is clean, inbox and bus as read again equal ledger and effects, and the run gets its PASS.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest import lease as leases
from ingest.dispatch import end_permit, take_permit
from tests.failpoints import steps
from tests.failpoints.ground import Ground, door_values

GetGround = Callable[..., Ground]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


def points(*areas: str, but: tuple[str, ...] = ()) -> list[str]:
    """The failpoints of these areas; a name with a dot is one point."""
    return [p for p in steps.failpoints() if (p in areas or p.split(".")[0] in areas) and p not in but]


LANES = points("admit", "publish", "prepare", "bus", "acked", "attempts", "consume", "slice", "lane",
               but=("lane.after_stop", "slice.while_forgetting"))  # fmt: skip
SETTLING = points("unknown", "reconcile", "settle")
NOT_SENT = points("not_sent", "lane.after_stop")
ASKING = points("request", "request_run")
SEALING = points("seal", "cut", "totals", "windows.before_cut")
CLOSING = points("close", "bus_end", "gaps", "verdict", "gate", "evaluate.after_judging")
DOOR = points("door")
OTHERS = ["windows.before_binding", "slice.while_forgetting", "evaluate.after_partitions"]
GATE = points("enforce", "shut")
BEAT = points("dispatch", "sample")
ALL = [LANES, SETTLING, NOT_SENT, ASKING, SEALING, CLOSING, DOOR, OTHERS, GATE, BEAT]


def test_every_failpoint_is_tried() -> None:
    tried = [point for group in ALL for point in group]
    assert sorted(tried) == sorted(steps.failpoints())


def ends_well(ground: Ground) -> None:
    ground.works_to_the_end()
    ground.is_whole()
    ground.passes()


@pytest.mark.parametrize("point", LANES)
def test_a_lane_worker_dies(ground: GetGround, point: str) -> None:
    stream = ground()
    stream.new_run()
    # A worker lets go of idle lanes before it closes: here it closes while it still holds them
    holding = {"idle_seconds": 30, "slice": 2, "seconds": 1} if point == "slice.while_closing" else {}
    stream.dies("work", point, **holding)
    ends_well(stream)


def test_a_lane_worker_dies_with_half_an_attempt_on_the_bus(ground: GetGround) -> None:
    """Some of the records have left when it dies, and stand in an open transaction until somebody fences it."""
    stream = ground()
    stream.new_run(events=2_500)
    stream.dies("work", "bus.while_producing:3")
    ends_well(stream)


@pytest.mark.parametrize("landed", [False, True], ids=["absent", "present"])
@pytest.mark.parametrize("point", SETTLING)
def test_a_worker_dies_while_it_settles_what_another_left(ground: GetGround, point: str, landed: bool) -> None:
    stream = ground()
    stream.new_run()
    stream.dies("work", "bus.after_commit" if landed else "publish.after_prepared")
    if not landed and point == "reconcile.while_scanning":
        pytest.skip("nothing landed: there is nothing to scan")
    stream.dies("work", point)
    ends_well(stream)


@pytest.mark.parametrize("point", NOT_SENT)
def test_a_worker_dies_whose_producer_refused(ground: GetGround, point: str) -> None:
    stream = ground()
    stream.new_run()
    stream.dies("work", point, fault="not_sent")
    ends_well(stream)


@pytest.mark.parametrize("point", ASKING)
def test_a_request_to_reconcile_dies(ground: GetGround, point: str) -> None:
    stream = ground(automatic="false")
    stream.new_run()
    stream.dies("work", "publish.after_prepared")
    stream.does("work", seconds=2)
    attempt = stream.flow.rows(
        "SELECT max(a.id) AS id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND a.state = 'UNKNOWN'"
    )[0].id
    do = point.split(".")[0]
    stream.dies(do, point, attempt=attempt)
    stream.does(do, attempt=attempt)
    ends_well(stream)


@pytest.mark.parametrize("point", SEALING)
def test_sealing_dies(ground: GetGround, point: str) -> None:
    stream = ground()
    stream.new_run()
    totals = {"thing": 8} if point.startswith("totals") else None
    stream.dies("seal", point, totals=totals)
    ends_well(stream)


@pytest.mark.parametrize("point", CLOSING)
def test_closing_dies(ground: GetGround, point: str) -> None:
    stream = ground()
    stream.new_run()
    stream.does("seal")
    stream.works_to_the_end()
    stream.dies("evaluate" if point.startswith("evaluate") else "close", point)
    ends_well(stream)


@pytest.mark.parametrize("point", DOOR)
def test_the_door_dies_and_the_client_sends_again(ground: GetGround, point: str) -> None:
    """No answer came, so the client cannot know: sent again, each event is admitted once."""
    stream = ground()
    stream.new_run()
    values = door_values(stream.admitted)
    if point == "door.after_taking":
        stream.does("door", values=values)
    stream.leases_run_out()
    if point in ADDING:
        take_all_doors(stream)
    stream.dies("door", point, values=values)
    before = len(stream.flow.receipts())
    stream.does("door", values=values)
    assert len(stream.flow.receipts()) == before + len(values)
    stream.admitted += len(values)
    stream.through_the_door |= {value.encode() for value in values}
    stream.door_receipts = door_receipts(stream)
    ends_well(stream)


ADDING = {
    "door.before_adding", "door.after_adding", "door.after_source", "door.after_position", "door.before_source_commit",
}  # fmt: skip


def take_all_doors(stream: Ground) -> None:
    """As other web processes would: a new door has to be made."""
    doors = stream.flow.rows(
        "SELECT c.id FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.kind = 'door'"
    )
    for door in doors:
        assert leases.take("admission", door.id) is not None


def door_receipts(stream: Ground) -> int:
    return int(
        stream.flow.rows(
            "SELECT count(*) AS n FROM receipt t JOIN source c ON c.id = t.source_id"
            " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.kind = 'door'"
        )[0].n
    )


def test_opening_dies(ground: GetGround) -> None:
    stream = ground()
    stream.run_id = f"opened-{stream.admitted}"
    stream.dies("open", "windows.before_binding")
    stream.does("open")
    stream.produce()
    ends_well(stream)


def test_a_worker_dies_that_has_just_lost_the_database(ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    stream.workers.start("work", "admit.before_commit:1:STOP,slice.while_forgetting", **stream.job())
    stream.workers.stopped()
    end_sessions_in_transaction(stream)
    stream.workers.wake()
    assert stream.workers.ended() == -9
    stream.leases_run_out()
    ends_well(stream)


def end_sessions_in_transaction(stream: Ground) -> None:
    with psycopg.connect(stream.stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE usename = 'passgate_login_app' AND state = 'idle in transaction' AND pid <> pg_backend_pid()"
        ).fetchall()
    assert ended


def test_beat_dies_while_it_looks_after_open_windows(ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    stream.dies("look_after", "evaluate.after_partitions")
    ends_well(stream)


@pytest.mark.parametrize("point", BEAT)
def test_the_dispatcher_dies(ground: GetGround, point: str) -> None:
    stream = ground()
    stream.new_run()
    stream.flow.sample()
    while (permit := take_permit()) is not None:  # those of earlier tests: none is out
        end_permit(permit)
    do = point.split(".")[0]
    stream.dies(do, point)
    stream.does(do)
    stream.does("permit")
    ends_well(stream)


@pytest.mark.parametrize("point", GATE)
def test_the_enforcer_dies(live: Any, workers: Any, point: str) -> None:
    """A gate that has to shut is shut by the next look; where the crash came first it was still open, and said so."""
    stream = Ground(live, workers)
    stream.new_run()
    ends_well(stream)
    if point.startswith("shut"):
        stream.flow.admin.delete_topic(stream.flow.inbox)
    stream.dies("enforce", point)
    stream.does("enforce")
    expected = 403 if point.startswith("shut") else 200
    assert decide_gate(stream.flow.name, stream.run_id, who="test").status == expected
    assert fsck(stream=stream.flow.name) == []
