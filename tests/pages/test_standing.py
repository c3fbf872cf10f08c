"""What stands still is seen, however many lanes there are, with its own reason and the act that ends it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from datetime import datetime, timedelta, tzinfo
from typing import Any

import pytest
from django.db import transaction
from django.http import HttpRequest, HttpResponse
from django.test import Client

from audit.close import checks_now, window_of
from audit.core.checks import CheckName
from console.reads import lanes as reads
from console.reads.lanes import said_of
from console.reads.needs import LISTED, needs
from ingest import processes
from ingest.db import write
from tests.audit.test_close import passed
from tests.audit.test_contexts import lapses
from tests.audit.test_gate import contradict
from tests.flow.bus import never_sent, once
from tests.flow.many import lanes_of_a_kind
from tests.flow.world import Flow, leave, thing


def stop(sources: list[int]) -> None:
    with write() as cur:
        cur.execute(
            "UPDATE position SET stopped_code = 'bus_compacts', stopped_at = clock_timestamp() - interval '1 h',"
            " stopped_detail = 'the bus topic compacts: expected delete; found compact; next: set it'"
            " WHERE source_id = ANY(%s)",
            (sources,),
        )


@pytest.mark.parametrize("stopped", [1, LISTED + 3])
def test_lanes_that_stopped_beyond_the_first_hundreds_are_on_now_and_on_the_lanes_page(
    live: object, operator: Client, stopped: int
) -> None:
    with transaction.atomic():  # rolled back: workers of other tests would look at so many lanes in vain
        stream, sources = lanes_of_a_kind(700)
        stop(sources[-stopped:])
        now = operator.get("/").content.decode()
        lanes = operator.get("/system/lanes").content.decode()
        transaction.set_rollback(True)
    last = f"{stream}.bus/700"
    told = "stopped: bus_compacts: the bus topic compacts: expected delete; found compact. Next: set cleanup.policy"
    assert told in now
    if stopped > LISTED:
        assert "more lane" in now
    else:
        assert last in now
    assert "the bus topic compacts: expected delete; found compact; next: set it" in lanes  # in full
    assert "Next: set cleanup.policy=delete on the bus." in lanes
    well = lanes.find('<tr data-row class="">')
    assert well == -1 or lanes.index("bus_compacts") < well
    assert 'rel="next"' in lanes


def test_a_lane_of_a_log_that_is_gone_is_retired_and_nothing_is_the_matter_with_it(live: object) -> None:
    with transaction.atomic():
        stream, sources = lanes_of_a_kind(2)
        before = reads.counts(stream)
        with write() as cur:
            cur.execute("INSERT INTO retirement (source_id, why) VALUES (%s, 'made again')", (sources[0],))
        lines = reads.lines(stream=stream)
        after = reads.counts(stream)
        only = reads.lines(stream=stream, after=lines[0].key)
        transaction.set_rollback(True)
    assert before == {"UNMEASURED": 2}
    assert after == {"UNMEASURED": 1, "RETIRED": 1}
    assert [(line.source_id, line.state) for line in lines] == [(sources[1], "UNMEASURED"), (sources[0], "RETIRED")]
    assert [line.state for line in only] == ["RETIRED"]
    assert said_of({"CAUGHT UP": 3, "RETIRED": 1}) == ("All 4 lanes are well: 0 moving, 3 caught up, 1 retired.", True)
    assert said_of(after)[1] is False


def test_an_attempt_that_is_over_holds_no_publish_lane(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its log is gone, nobody will know its outcome, and the lane has nothing else before it."""
    flow = Flow(automatic="false")
    flow.open()
    flow.produce([thing(1)])
    once(monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["UNKNOWN"])
    with transaction.atomic():
        with write() as cur:
            cur.execute(
                "UPDATE position SET stopped_code = NULL, stopped_detail = NULL, stopped_at = NULL,"
                " stopped_until = NULL WHERE source_id = ANY(%s)",
                (flow.sources(),),
            )
        held = publishing(flow)
        with write() as cur:
            cur.execute(
                "INSERT INTO retirement (source_id, why) SELECT s, 'made again' FROM unnest(%s::integer[]) s",
                (flow.sources("bus"),),
            )
            cur.execute("UPDATE attempt SET over_at = clock_timestamp() WHERE source_id = ANY(%s)", (flow.sources(),))
        over = publishing(flow)
        transaction.set_rollback(True)
    assert (held, over) == ("STALLED", "CAUGHT UP")


def publishing(flow: Flow) -> str:
    """The state of its publish lane, as lists have it."""
    lines = reads.lines(stream=flow.name, bounds=reads.Bounds(stalled_after=timedelta(0)))
    (state,) = [each.state for each in lines if (each.lane, each.position) == ("publish", 0)]
    return state


def test_a_worker_that_died_in_its_slice_is_told_on_system(live: object, operator: Client) -> None:
    """Celery starts another process, and says so in its log alone."""
    with transaction.atomic():
        with write() as cur:
            cur.execute("UPDATE permit SET ended_at = clock_timestamp() WHERE ended_at IS NULL")
            cur.execute(
                "INSERT INTO permit (id, issued_at, taken_at) SELECT gen_random_uuid(), at, at"
                " FROM (SELECT clock_timestamp() - interval '90 s' AS at) x"
            )
        told = operator.get("/system/lanes").content.decode()
        with write() as cur:
            cur.execute("UPDATE permit SET ended_at = clock_timestamp() WHERE ended_at IS NULL")
        well = operator.get("/system/lanes").content.decode()
        transaction.set_rollback(True)
    assert "In ten minutes 1 slice has not ended: a worker&#x27;s process died or hung" in told
    assert "not ended: a worker" not in well


def test_a_process_that_died_is_told_on_system(live: object, operator: Client) -> None:
    """Killed as the kernel does where memory ends: it says nothing itself. One that ends is no news."""
    for ends in (True, False):
        done = subprocess.run(
            [sys.executable, "-c", PROCESS.format(ends=ends)], capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr
    gone = processes.begin("control@here")
    processes.end()
    assert len(gone) == 1
    page = operator.get("/system/lanes").content.decode()
    assert re.search(r"In 24 hours [\d,]+ process(es of workers| of a worker) died or hung; see below", page)
    assert gone[0] in page
    assert processes.begin("control@here") == []  # told once


PROCESS = """
import os, signal, django
django.setup()
from ingest import processes
processes.begin("watch@here")
{ends} and processes.end()
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_lane_stands_by_the_databases_clock_and_alike_on_every_page(
    live: object, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ahead(datetime):
        """The web process's clock, a day ahead of the database's."""

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Ahead:
            return cls.fromtimestamp(time.time() + 86_400, tz)

    flow = Flow(automatic="false")
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    seen: list[Any] = []

    def kept(request: HttpRequest, name: str, context: Any, **_: Any) -> HttpResponse:
        seen.append(context)
        return HttpResponse()

    with monkeypatch.context() as patch:
        patch.setattr("console.pages.runs.sources.datetime", Ahead, raising=False)
        patch.setattr("console.pages.runs.sources.page", kept)
        operator.get(f"/runs/{flow.name}/r1/sources")
    (row,) = [each for each in seen[0].rows if each.lane == "admission"]
    (line,) = [each for each in reads.lines(stream=flow.name) if each.lane == "admission"]
    assert (row.state, row.stale) == (line.state, line.stale) == ("MOVING", False)
    assert row.lag == line.behind == 1
    late = reads.lines(stream=flow.name, bounds=reads.Bounds(stalled_after=timedelta(0)))
    assert [each.state for each in late if each.lane == "admission"] == ["STALLED"]


@pytest.mark.parametrize(
    ("lso", "stood", "behind"),
    [
        ("NULL", 2, None),  # the topic is not there, or nobody answered
        ("0", 2, None),  # the log is lost: it ends before where the lane stood when it was asked
        ("1", 1, 0),  # the lane has moved on since
        ("5", 2, 3),
    ],
)
def test_a_lag_that_nobody_can_know_is_not_0(live: object, lso: str, stood: int, behind: int | None) -> None:
    flow = Flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work("admission")
    source = flow.sources("inbox")[0]
    with write() as cur:
        cur.execute(
            "INSERT INTO sample (source_id, log_start, lso, hw, committed_state, next_offset)"
            f" VALUES (%s, 0, {lso}, {lso}, 'UNMEASURED', %s)",
            (source, stood),
        )
    (line,) = [each for each in reads.lines(stream=flow.name) if each.lane == "admission"]
    assert line.behind == behind
    assert line.state == {None: "UNMEASURED", 0: "CAUGHT UP"}.get(behind, "MOVING")
    assert reads.recent([source])[source][-1].lag == (behind if behind is None else max(int(lso) - stood, 0))
    if lso == "0":
        assert observed_lag(flow) == "not measured"


def test_a_log_that_is_gone_is_measured_no_more(live: object) -> None:
    flow = Flow()
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.sample()
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.sample()
    (line,) = [each for each in reads.lines(stream=flow.name) if each.lane == "admission"]
    assert (line.state, line.behind) == ("RETIRED", None)
    assert observed_lag(flow) == "not measured"


def observed_lag(flow: Flow) -> str:
    """What the checks of its open window say of how far the lanes are."""
    check = checks_now(window_of(flow.name, "r1")).check(CheckName.CAUGHT_UP)
    assert check is not None
    return check.observed


def test_a_run_that_failed_and_a_gate_that_shut_need_somebody(live: object, operator: Client) -> None:
    """The newest of all of them are on Now, with the reason; a run that passed and is open is not."""
    failed, shut, lapsed, well = Flow(), Flow(), Flow(), Flow()
    for flow in (failed, shut, lapsed, well):
        assert passed(flow).verdict.state == "PASS"
    before = {found.run.stream for found in needs().fallen}
    assert not before & {failed.name, shut.name, lapsed.name, well.name}
    contradict(failed)
    lapses(lapsed)
    assert failed.judge().verdict.state == "FAIL"
    leave([shut.name])
    found = {each.run.stream: each for each in needs().fallen}
    assert {name: found[name].state for name in (failed.name, shut.name, lapsed.name)} == {
        failed.name: "FAIL", shut.name: "GATE SHUT", lapsed.name: "GATE UNMEASURED",
    }  # fmt: skip
    assert well.name not in found
    now = operator.get("/").content.decode()
    assert f"{failed.name}/r1#2 is FAIL: " in now
    assert f"{shut.name}/r1#1 is PASS, and its gate is shut: the test is over." in now
    assert f"{lapsed.name}/r1#1 is PASS, and nobody has looked again since its lease ran out" in now
    leave([failed.name, lapsed.name, well.name])


def test_a_window_that_cannot_be_judged_says_so_on_its_page(
    live: object, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from audit import close
    from ingest.core.errors import NotFound

    flow = Flow()
    opened = flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    with monkeypatch.context() as patch:
        patch.setattr(close, "judge", lambda win: (_ for _ in ()).throw(NotFound(expected="a basis", found="none")))
        assert close._close_due_window(opened.win, time.monotonic()) is None
    page = operator.get(f"/runs/{flow.name}/r1/").content.decode()
    assert "It could not be judged at" in page and "not_found: there is no such thing: expected a basis" in page
    close._pauses.clear()
    flow.sample()
    stored = close._close_due_window(opened.win, time.monotonic())
    assert stored is not None and stored.verdict.state == "PASS"
    assert "It could not be judged" not in operator.get(f"/runs/{flow.name}/r1/").content.decode()
    flow.check()


def test_an_undecidable_publish_can_be_asked_for_again_on_its_page(
    live: object, operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.flow.bus import answer_lost
    from tests.flow.test_reconcile import unknown
    from tests.flow.test_resting import broken_scan
    from tests.pages.test_pages import post

    flow = Flow(automatic="false")
    broken_scan(monkeypatch, "the broker went away")
    unknown(flow, monkeypatch, answer_lost)
    (attempt,) = flow.rows(
        "SELECT a.id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    for expected in ("UNDECIDABLE", "ACKED"):
        page = operator.get(f"/attempts/{attempt.id}").content.decode()
        assert "Waits for a person: reconcile" in page
        post(operator, f"/attempts/{attempt.id}/reconcile", attempt=attempt.id)
        flow.work_until(lambda state=expected: flow.attempts() == [state], "publish")  # type: ignore[misc]
    flow.check()
