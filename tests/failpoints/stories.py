"""For every failpoint a story in which a worker process gets there: it dies, another goes on, and all is well again."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import psutil
import psycopg

from audit.close import close_run
from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest.lanes import lease as leases
from tests.audit import test_drift as drift
from tests.audit.test_fsck import cheat
from tests.failpoints import steps
from tests.failpoints.ground import Ground, door_values
from tests.failpoints.plan_stories import WAYS, plan_dies, recheck_ender_dies, refresher_dies
from tests.failpoints.pool import GetGround, Story
from tests.failpoints.processes import KILLED
from tests.failpoints.redrive_stories import (
    closing_a_rerun_dies,
    covering_dies,
    fresh_run_dies,
    mending_dies,
    proving_what_is_gone_dies,
    proving_what_was_taken_dies,
    redrive_dies,
    replay_dies,
)
from tests.flow.test_projections import FLIGHTS, WEATHER, flight, report
from tests.patience import stretched


def points(*areas: str, but: tuple[str, ...] = ()) -> list[str]:
    """The failpoints of these areas; a name with a dot is one point."""
    return [p for p in steps.failpoints() if (p in areas or p.split(".")[0] in areas) and p not in but]


def ends_well(stream: Ground) -> None:
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


def lane_worker_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    # A worker lets go of idle lanes before it closes: here it closes while it still holds them
    holding = {"idle_seconds": 30, "slice": 2, "seconds": 1} if point == "slice.while_closing" else {}
    stream.dies("work", point, **holding)
    ends_well(stream)


def half_an_attempt(point: str, ground: GetGround) -> None:
    """Some of the records have left when it dies, and stand in an open transaction until somebody fences it."""
    stream = ground()
    stream.new_run(events=2_500)
    stream.dies("work", f"{point}:3")
    ends_well(stream)


def settler_dies(point: str, ground: GetGround, left: str = "publish.after_prepared") -> None:
    """A worker left an attempt without outcome, and the one that settles it dies too."""
    stream = ground()
    stream.new_run()
    stream.dies("work", left)
    stream.dies("work", point)
    ends_well(stream)


def refused_sender_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    stream.dies("work", point, fault="not_sent")
    ends_well(stream)


def wary_consumer_dies(point: str, ground: GetGround) -> None:
    """The long way of consuming: each record by itself, after a copy was met."""
    stream = ground()
    stream.new_run()
    stream.dies("work", point, fault="met_copies")
    ends_well(stream)


def asking_dies(point: str, ground: GetGround) -> None:
    """A person's request; the contract lets nothing be settled without one."""
    stream = ground(automatic="false")
    stream.new_run()
    stream.dies("work", "publish.after_prepared")
    stream.does("work", seconds=2)
    attempt = newest_attempt(stream)
    do = point.split(".")[0]
    stream.dies(do, point, attempt=attempt)
    stream.does(do, attempt=attempt)
    ends_well(stream)


def decision_dies(point: str, ground: GetGround) -> None:
    """What becomes of an attempt is decided by two people, for no scan can answer. Whoever runs their plan dies, or the
    lane's owner who serves it."""
    stream = ground(automatic="false")
    number = decided(stream)
    if point in SERVING:
        runs_plan(stream, number)
        stream.dies("work", point)
    else:
        runs_plan(stream, number, point)
        runs_plan(stream, number)
    ends_well(stream)


def decided(stream: Ground) -> int:
    """An approved plan that decides about an attempt of which nothing landed."""
    stream.new_run()
    stream.dies("work", "publish.after_prepared")
    stream.does("work", seconds=2)
    attempt = newest_attempt(stream)
    stream.does("request", attempt=attempt)
    end = time.monotonic() + stretched(30)
    while stream.flow.attempts()[-1] != "UNDECIDABLE":
        assert time.monotonic() < end, stream.flow.attempts()
        stream.does("work", fault="another_epoch", seconds=2)
    return approved(stream, "decide", attempt=attempt)


def republish_dies(point: str, ground: GetGround) -> None:
    """The contract lets nothing be published again by itself: a plan does, and whoever runs it dies."""
    stream = ground(after='1s"\nrepublish = "plan')
    stream.new_run()
    stream.dies("work", "publish.after_prepared")
    stream.does("work")
    assert stream.flow.attempts()[-1] == "ABSENT"
    number = approved(stream, "republish")
    runs_plan(stream, number, point)
    runs_plan(stream, number)
    ends_well(stream)


def loser_dies(point: str, ground: GetGround) -> None:
    """The bus was created again, and what lay there is lost. A plan has it published again; whoever runs it dies."""
    stream = ground(fresh=True)
    stream.new_run()
    stream.works_to_the_end()
    stream.flow.cut(stream.run_name)
    drift.created_anew(stream.flow, stream.flow.bus, stream.flow.bus_partitions)
    assert str(stream.flow.judge(stream.run_name).verdict.state) == "FAIL"
    lost = stream.run_name
    stream.new_run()
    stream.works_to_the_end()
    number = approved(stream, "republish", run=lost)
    runs_plan(stream, number, point)
    runs_plan(stream, number)
    assert stream.flow.attempts().count("LOST") == 1
    ends_well(stream)


def newest_attempt(stream: Ground) -> int:
    (row,) = stream.flow.rows(
        "SELECT max(a.id) AS id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND a.state = 'UNKNOWN'"
    )
    return int(row.id)


def approved(stream: Ground, kind: str, **more: object) -> int:
    """A plan about the stream's run, asked for by one person and approved by another."""
    from plans.submit import submit
    from tests.plans.crowd import Crowd, say_yes

    crowd = Crowd()
    asked = {"stream": stream.flow.name, "run": stream.run_name, **more}
    number = submit(kind, asked, crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    return number


def runs_plan(stream: Ground, number: int, point: str = "") -> None:
    """A process that runs the plan, and dies at `point`."""
    from tests.plans.crowd import plan_row

    row = plan_row(number)
    names = {"asker": row.requested_by, "approver": row.approved_by}
    code = stream.workers.run("plan", point, verb="run", plan=number, stream=stream.flow.name, **names)
    assert code == (KILLED if point else 0), code
    assert plan_row(number).state == ("RUNNING" if point else "DONE")


def cutting_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    stream.dies("cut", point, totals={"thing": 8} if point.startswith("totals") else None)
    ends_well(stream)


def works_in_window_1(ground: GetGround) -> Ground:
    stream = ground()
    stream.new_run()
    stream.works_to_the_end()
    return stream


def going_on_dies(point: str, ground: GetGround) -> None:
    """Before the commit nothing of it has happened, and after it all: done again, it is done once."""
    stream = works_in_window_1(ground)
    stream.dies("go_on", point, window=1, totals={"thing": 8} if point.endswith("totals") else None)
    stream.does("go_on", window=1)
    stream.produce()
    ends_in_windows(stream, 2)


def next_run_dies(point: str, ground: GetGround) -> None:
    """The window is the run's last, and the next one another run's first."""
    stream = works_in_window_1(ground)
    following = f"{stream.run_name}-next"
    stream.dies("go_on", point, window=1, next_run=following)
    stream.does("go_on", window=1, next_run=following)
    ended, stream.run_name = stream.run_name, following
    stream.produce()
    ends_well(stream)
    assert str(stream.flow.judge(ended).verdict.state) == "PASS"


def next_partition_dies(point: str, ground: GetGround) -> None:
    """The inbox grew while nobody looked: the next window is the first that has the new partition."""
    stream = ground(fresh=True)
    stream.new_run()
    stream.works_to_the_end()
    stream.inbox_grows()
    stream.dies("go_on", point, window=1)
    stream.does("go_on", window=1)
    stream.produce()
    ends_in_windows(stream, 2)


def next_incarnation_dies(point: str, ground: GetGround) -> None:
    """The inbox was created again: the window before it fails, and the next one begins on the new topic and passes."""
    stream = created_anew(ground)
    stream.dies("go_on", point, window=1)
    stream.does("go_on", window=1)
    stream.produce()
    stream.works_to_the_end()
    stream.does("cut")
    judged = [close_run(stream.flow.name, stream.run_name, "test", window=number) for number in (1, 2)]
    assert [str(stored.verdict.state) for stored in judged] == ["FAIL", "PASS"]
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def who_follows_a_cut_log_dies(point: str, ground: GetGround) -> None:
    """The end of the inbox's log is not what was received: the next window, of this run or the next, begins there."""
    stream = ground(fresh=True)
    stream.new_run()
    goes_on = point.startswith("go_on")
    with the_newest_record_is_another(stream, stopped=goes_on):
        if goes_on:
            stream.dies("go_on", point, window=1)
            stream.does("go_on", window=1)
        else:
            stream.flow.cut(stream.run_name)
            stream.run_name = "next"
            stream.dies("open", point)
            stream.does("open")
    stream.works_to_the_end()
    stream.does("cut")
    judged = [close_run(stream.flow.name, *window) for window in windows_of(stream, goes_on)]
    assert [str(stored.verdict.state) for stored in judged] == ["FAIL", "PASS"]
    assert len(stream.flow.sources("inbox")) == 2
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def windows_of(stream: Ground, one_run: bool) -> list[tuple[str, str, int]]:
    return [("r0", "test", 1), ("r0", "test", 2) if one_run else (stream.run_name, "test", 1)]


@contextmanager
def the_newest_record_is_another(stream: Ground, stopped: bool) -> Iterator[None]:
    """As the ledger has it, which is easier to change than a broker's log; at last it says what it said."""
    stream.works_to_the_end()
    (source,) = stream.flow.sources("inbox")
    newest = stream.flow.position("admission").next_offset
    say_otherwise = (
        "UPDATE receipt SET payload_digest = set_byte(payload_digest, 0, get_byte(payload_digest, 0) # 1)"
        ' WHERE source_id = %s AND "offset" = (SELECT max(r."offset") FROM receipt r'
        ' WHERE r.source_id = %s AND r."offset" < %s)'
    )
    with cheat(stream.flow) as connection:
        connection.execute(say_otherwise, [source, source, newest])
    stream.produce()
    if stopped:
        stream.does("work", lanes=["admission"], seconds=5)
        assert stream.flow.position("admission").stopped_code == "log_put_back"
    yield
    with cheat(stream.flow) as connection:
        connection.execute(say_otherwise, [source, source, newest])


def going_on_in_silence_dies(point: str, ground: GetGround) -> None:
    """Kafka says nothing: the next window rests on what the one before rested on, and its end is looked at later."""
    stream = works_in_window_1(ground)
    if point.startswith("end"):
        stream.does("go_on", window=1, silent=True)
        stream.dies("close", point, window=1)
    else:
        stream.dies("go_on", point, window=1, silent=True)
        stream.does("go_on", window=1, silent=True)
    stream.produce()
    ends_in_windows(stream, 2)


def clock_dies(point: str, ground: GetGround) -> None:
    stream = works_in_window_1(ground)
    stream.dies("go_on_due", point)
    stream.produce()
    ends_in_windows(stream, 2)


def opening_clock_dies(point: str, ground: GetGround) -> None:
    """Somebody has ended the run by hand, and the clock opens the next."""
    stream = ground(fresh=True)
    stream.new_run()
    stream.flow.contract = stream.flow.contract.replace("[run]", '[run]\nname = "%Y"')
    stream.flow.load()
    ends_well(stream)
    stream.dies("go_on_due", point)
    (opened,) = stream.flow.rows(
        "SELECT r.name FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s AND r.state = 'OPEN'"
    )
    stream.run_name = opened.name
    stream.produce()
    ends_well(stream)


#: Whoever pins does so for all streams: another story that is told meanwhile would leave this one nothing to die at.
PINNING = threading.Lock()


def pinner_dies(point: str, ground: GetGround) -> None:
    """Windows are joined with what has PASS since their cut. Whoever pins the first dies; or the lane that has read it
    and the second together, and applies what does not wait."""
    weather = ground(fresh=True, contract=WEATHER)
    weather.run_name = "r1"
    weather.flow.open("r1")
    contract = FLIGHTS.replace("{weather}", weather.flow.name).replace(
        "[context.w", '[context]\npin = "cut"\n[context.w'
    )
    stream = ground(fresh=True, contract=contract, close="missing_max = 1.0")
    stream.run_name = "r1"
    stream.flow.open("r1")
    for window in (1, 2):
        stream.brings([flight(n, window) for n in range(4)])
        stream.does("work", lanes=["admission", "publish"], seconds=5)
        if window == 1:
            stream.does("go_on", window=1)
    with PINNING:
        weather_passes(weather, 1)
        if point.startswith("pin"):
            stream.dies("pin_due", point)
        stream.does("pin_due")
        if point.startswith("consume"):
            stream.dies("work", point, lanes=["effects"], seconds=5)
        stream.does("cut")
        weather_passes(weather, 2)
        stream.does("pin_due")
    ends_in_windows(stream, 2)
    assert stream.pins() == {1: f"{weather.flow.name}/r1#1", 2: f"{weather.flow.name}/r1#2"}


def weather_passes(weather: Ground, window: int) -> None:
    weather.brings([report(window)])
    weather.works_to_the_end()
    weather.does("go_on", window=window)
    weather.flow.sample()
    stored = close_run(weather.flow.name, "r1", "test", window=window)
    assert str(stored.verdict.state) == "PASS", stored.sentence


def ends_in_windows(stream: Ground, newest: int) -> None:
    """All windows of the run pass: each is judged by itself, and then the run's gate is open."""
    stream.works_to_the_end()
    rows = stream.flow.rows(
        "SELECT w.number FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND r.name = %(run)s ORDER BY w.number",
        run=stream.run_name,
    )
    assert [row.number for row in rows] == list(range(1, newest + 1))
    for number in range(1, newest):
        stream.flow.sample()
        stored = close_run(stream.flow.name, stream.run_name, "test", window=number)
        assert str(stored.verdict.state) == "PASS", stored.sentence
    stream.passes()
    stream.is_whole()


def closing_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    stream.does("cut")
    stream.works_to_the_end()
    stream.dies("close_due" if point.startswith(("close_due", "alone")) else "close", point)
    ends_well(stream)


def opening_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.run_name = f"opened-{stream.admitted}"
    stream.dies("open", point)
    stream.does("open")
    stream.produce()
    ends_well(stream)


def leaving_dies(point: str, ground: GetGround) -> None:
    """The inbox is created again while its run is open: nobody passes it, and the next one goes on."""
    stream = created_anew(ground)
    stream.dies("cut", point)
    begins_again(stream)


def retiring_dies(point: str, ground: GetGround) -> None:
    """Whoever samples finds that the inbox was created again, and dies while it writes that down."""
    stream = created_anew(ground)
    stream.dies("sample", point)
    stream.does("sample")
    (retired,) = stream.flow.rows(
        "SELECT count(*) AS n FROM retirement r JOIN source c ON c.id = r.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    assert retired.n == 1
    begins_again(stream)


def created_anew(ground: GetGround) -> Ground:
    stream = ground(fresh=True)
    stream.new_run()
    stream.works_to_the_end()
    stream.flow.admin.delete_topic(stream.flow.inbox)
    stream.flow.admin.create_topic(stream.flow.inbox, 1)
    return stream


def begins_again(stream: Ground) -> None:
    stream.does("cut")
    assert str(stream.flow.judge(stream.run_name).verdict.state) == "FAIL"
    stream.new_run()
    stream.works_to_the_end()
    stream.passes()


def looking_after_dies(point: str, ground: GetGround) -> None:
    """The inbox grew while its run was open: only then there is something to look after."""
    stream = ground(fresh=True)
    stream.new_run()
    stream.inbox_grows()
    stream.dies("look_after", point)
    ends_well(stream)


# ---- the door -------------------------------------------------------------------------------------------------------

ADDING = {
    "door.before_adding", "door.after_adding", "door.after_source", "door.after_position", "door.before_source_commit",
}  # fmt: skip


def door_dies(point: str, ground: GetGround) -> None:
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


def take_all_doors(stream: Ground) -> None:
    """As other web processes would: a new door has to be made."""
    doors = stream.flow.rows(
        "SELECT c.id FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.kind = 'door'"
    )
    for door in doors:
        assert leases.take("admission", door.id) is not None


def door_receipts(stream: Ground) -> int:
    rows = stream.flow.rows(
        "SELECT count(*) AS n FROM receipt t JOIN source c ON c.id = t.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.kind = 'door'"
    )
    return int(rows[0].n)


# ---- the database, the gate -----------------------------------------------------------------------------------------


def forgetting_dies(point: str, ground: GetGround) -> None:
    """A worker has just lost the database, and lets go of its lanes."""
    stream = ground()
    stream.new_run()
    stream.workers.start("work", f"admit.before_commit:1:STOP,{point}", **stream.job())
    end_sessions_of(stream, stream.workers.stopped())
    stream.workers.wake()
    assert stream.workers.ended() == -9
    stream.leases_run_out()
    ends_well(stream)


def end_sessions_of(stream: Ground, pid: int) -> None:
    ports = [c.laddr.port for c in psutil.Process(pid).net_connections("tcp")]
    with psycopg.connect(stream.stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        ended = connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE client_port = ANY(%s)", (ports,)
        ).fetchall()
    assert ended


def enforcer_dies(point: str, ground: GetGround) -> None:
    """A gate that has to shut is shut by the next look; where the crash came first it was still open, and said so."""
    shuts = point.startswith("readers") or point == "enforce.after_shutting"
    stream = ground(fresh=shuts)
    stream.new_run()
    ends_well(stream)
    if shuts:
        stream.flow.admin.delete_topic(stream.flow.inbox)
    stream.dies("enforce", point)
    stream.does("enforce")
    assert decide_gate(stream.flow.name, stream.run_name, who="test").status == (403 if shuts else 200)
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def deciding_dies(point: str, ground: GetGround) -> None:
    """Who asked got no answer, and asks again."""
    stream = ground()
    stream.new_run()
    ends_well(stream)
    stream.dies("decide", point)
    stream.does("decide")
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def spanning_dies(point: str, ground: GetGround) -> None:
    stream = ground()
    stream.new_run()
    ends_well(stream)
    stream.dies("span", point)
    stream.does("span")
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


# ---- all of them ----------------------------------------------------------------------------------------------------

#: Only a read of events that wait for their context, behind others that do not, comes there.
PARTED = ["consume.after_what_waits_not"]
FORGETTING = ["slice.while_forgetting", "slice.while_giving_back"]
LANES = points("admit", "publish", "prepare", "bus", "acked", "attempts", "consume", "slice", "lane",
               but=("lane.after_stop", *FORGETTING, "consume.before_window", *PARTED))  # fmt: skip
SETTLING = points("unknown", "reconcile", "settle")
SERVING = points("decided")
#: Told by tests of their own, one after another: they hand out permits that any stream's workers may be given.
BEAT = points("dispatch", "sample")
#: And so is what every lane of the ledger feels.
ADOPTING = points("adopt")

RUN_ENDS = ["go_on.after_run_cut", "go_on.after_run_row", "go_on.after_act"]
GROWS = ["go_on.after_binding"]
LEAVES = ["go_on.after_leaving"]
#: Only a run that takes a window's place comes there.
FRESH_ALONE = (
    "rerun.after_run", "rerun.after_partitions", "rerun.after_fresh_window", "rerun.after_totals",
    "gate.after_superseded", "gate.after_superseding",
)  # fmt: skip
IN_SILENCE = ["go_on.after_bus_lock", "go_on.after_kept_origin"]
FOLLOWS = [*points("incarnations"), "open.after_commits", "go_on.after_cut_logs", "go_on.after_retiring_cut"]

TELLERS: list[tuple[Callable[[str, GetGround], None], list[str]]] = [
    (lane_worker_dies, LANES),
    (settler_dies, list(SETTLING)),  # nothing landed
    (partial(settler_dies, left="bus.after_commit"), SETTLING),
    (wary_consumer_dies, ["consume.before_window"]),
    (refused_sender_dies, points("not_sent", "lane.after_stop")),
    (asking_dies, points("request", "request_run")),
    (cutting_dies, points("cut", "totals", "windows.before_cut")),
    (
        closing_dies,
        points(
            "close",
            "bus_end",
            "gaps",
            "verdict",
            "gate",
            "close_due",
            "alone",
            but=("close_due.after_partitions", "gate.after_superseded", "gate.after_superseding"),
        ),
    ),
    (
        going_on_dies,
        points("go_on", "windows.before_going_on", but=(*RUN_ENDS, *GROWS, *LEAVES, *IN_SILENCE, *FOLLOWS)),
    ),
    (next_run_dies, RUN_ENDS),
    (next_partition_dies, GROWS),
    (next_incarnation_dies, LEAVES),
    (who_follows_a_cut_log_dies, FOLLOWS),
    (going_on_in_silence_dies, [*IN_SILENCE, *points("end")]),
    (clock_dies, ["go_on_due.after_window", "go_on_due.after_windows"]),
    (opening_clock_dies, ["go_on_due.after_run"]),
    (pinner_dies, [*points("pin", "pin_due"), *PARTED]),
    (opening_dies, ["windows.before_binding"]),
    (looking_after_dies, ["close_due.after_partitions"]),
    (leaving_dies, ["windows.before_leaving"]),
    (retiring_dies, points("retire")),
    (door_dies, points("door")),
    (forgetting_dies, FORGETTING),
    (enforcer_dies, points("enforce", "readers")),
    (deciding_dies, points("decide", but=("decide.after_spanning",))),
    (spanning_dies, ["decide.after_spanning"]),
    (half_an_attempt, ["bus.while_producing"]),
    (plan_dies, points(*WAYS)),
    (redrive_dies, points("redrive", "rerun", "rerun_cut", but=FRESH_ALONE)),
    (replay_dies, points("replay")),
    (fresh_run_dies, list(FRESH_ALONE)),
    (closing_a_rerun_dies, points("rerun_end")),
    (proving_what_is_gone_dies, points("gone")),
    (proving_what_was_taken_dies, points("overtaken")),
    (mending_dies, points("mend")),
    (covering_dies, points("cover", "verdict.after_covered")),
    (refresher_dies, points("refresh")),
    (recheck_ender_dies, points("recheck_end")),
    (decision_dies, [*points("decision"), *SERVING]),
    (republish_dies, points("republish")),
    (loser_dies, points("loss")),
]


def stories() -> Iterator[tuple[str, Story]]:
    """(name, story): the name is the failpoint's, and more where one point has several."""
    for teller, tried in TELLERS:
        more = "-present" if isinstance(teller, partial) else "-half" if teller is half_an_attempt else ""
        for point in tried:
            yield point + more, partial(teller, point)


def tried() -> set[str]:
    return {point for _, points_ in TELLERS for point in points_} | set(BEAT) | set(ADOPTING)
