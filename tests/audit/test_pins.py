"""`[context] pin = "cut"`: a window is joined with its context's window of the time of its cut, and waits for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest

from audit import go_on as going
from audit.close import close_run, judge, window_of
from audit.core import checks as c
from audit.core import verdict as v
from audit.enforce import decide_gate
from audit.fsck import fsck
from audit.open import PinnedAtCut
from audit.pins import pin_due, pin_window
from ingest.core.stops import CONTEXT, FALLEN_CONTEXT
from ingest.db import ConstraintViolated, write
from ingest.streams import ContractUnusable
from plans.core.plan import State
from plans.submit import submit
from stack import Stack
from tests.audit.test_contexts import context, contradicted
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.flow import test_projections as p
from tests.flow.world import Flow, leave
from tests.plans.crowd import Crowd, run_to, say_yes
from tests.plans.test_cover import fails_by_a_gap, proven


@pytest.fixture
def weather(live: Stack) -> Flow:
    flow = Flow(contract=p.WEATHER, name=f"weather{uuid.uuid4().hex[:8]}")
    flow.open()
    return flow


@pytest.fixture
def flights(weather: Flow) -> Flow:
    text = p.FLIGHTS.replace("{weather}", weather.name).replace(
        "[context.weather]", '[context]\npin = "cut"\n[context.weather]'
    )
    return Flow(contract=text, name=f"flights{uuid.uuid4().hex[:8]}", close="missing_max = 1.0\nambiguous_max = 0.5")


def on(flow: Flow) -> None:
    going.go_on(flow.name, "r1", "test")


def effects(flow: Flow, n: int) -> None:
    flow.work_until(lambda: flow.count("effect") == n)


def passes(flow: Flow, window: int) -> None:
    flow.sample()
    stored = close_run(flow.name, "r1", "test", window)
    assert stored.verdict.state is v.State.PASS, stored.sentence


def weather_hour(weather: Flow, hour: int) -> None:
    before = weather.count("effect")
    weather.produce([p.report(hour)])
    effects(weather, before + 1)


def wait_of(flow: Flow) -> set[tuple[str | None, str | None]]:
    rows = flow.rows(
        "SELECT stopped_code, stopped_detail FROM position WHERE lane = 'effects' AND stopped_code IS NOT NULL"
        " AND source_id = ANY(%(sources)s)",
        sources=flow.sources("bus"),
    )
    return {(row.stopped_code, row.stopped_detail) for row in rows}


def waits(flow: Flow) -> str:
    """What its effects lane says that it waits for, once it does."""
    looks_again(flow)
    flow.work_until(lambda: bool(wait_of(flow)))
    ((code, detail),) = wait_of(flow)
    assert code in (CONTEXT, FALLEN_CONTEXT)
    return detail or ""


def looks_again(flow: Flow) -> None:
    with write() as cur:
        cur.execute(
            "UPDATE position SET stopped_until = NULL, stopped_code = NULL, stopped_detail = NULL"
            " WHERE lane = 'effects' AND source_id = ANY(%s)",
            (flow.sources(),),
        )


def pins(flow: Flow) -> dict[int, str]:
    rows = flow.rows(
        "SELECT w.number, q.verdict FROM window_pin q JOIN run_window w ON w.id = q.win"
        " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY w.number"
    )
    return {row.number: row.verdict for row in rows}


def pinned() -> Sequence[Any]:
    return [done for done in pin_due() if done.verdicts]


def looked_at() -> list[int]:
    """The windows of whose contexts a look asks."""
    asked: list[int] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("audit.pins._ready", lambda cur, win, contract: asked.append(win) or ())
        pin_due()
    return asked


def states(flow: Flow) -> dict[str, str]:
    return {row.flight: row.weather_state for row in p.rows(flow, "flights_weather")}


def test_each_window_is_joined_with_what_its_own_time_brought(weather: Flow, flights: Flow) -> None:
    flights.open()
    assert pins(flights) == {}
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    assert flights.attempts() == ["ACKED"]  # admission and publishing wait for nothing
    assert waits(flights) == "waits for weather: what is joined with is known once this window is cut"
    on(flights)
    assert "which holds" not in waits(flights)
    assert waits(flights).startswith("waits for weather: the window that holds ")
    assert waits(flights).endswith(f"({weather.name}/r1 window 1) is not cut yet")
    weather_hour(weather, 1)
    on(weather)
    assert waits(flights).endswith(f"({weather.name}/r1 window 1) has no PASS yet")
    assert not pinned()
    passes(weather, 1)
    assert [done.verdicts for done in pinned()] == [{"weather": f"{weather.name}/r1#1"}]
    assert not pinned()  # once
    assert window_of(flights.name, "r1") not in looked_at()  # nor asked for again
    effects(flights, 1)  # woken, at once
    assert states(flights) == {"1": "MATCHED"}
    passes(flights, 1)
    # the next window waits for its own, whatever has a PASS already
    flights.produce([p.flight(2, 2)])
    flights.work("admission", "publish")
    assert "once this window is cut" in waits(flights)
    on(flights)
    assert waits(flights).endswith(f"({weather.name}/r1 window 2) is not cut yet")
    weather_hour(weather, 2)
    on(weather)
    passes(weather, 2)
    pin_due()
    effects(flights, 2)
    assert pins(flights) == {1: f"{weather.name}/r1#1", 2: f"{weather.name}/r1#2"}
    assert states(flights) == {"1": "MATCHED", "2": "MATCHED"}
    passes(flights, 2)
    flights.check()


def test_what_lies_before_the_first_event_that_waits_is_applied(weather: Flow, flights: Flow) -> None:
    """Two windows in one read of the bus: the first is not held back by the second."""
    flights.open()
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    on(flights)
    flights.produce([p.flight(n, 1) for n in range(2, 12)])
    flights.work("admission", "publish")
    weather_hour(weather, 1)
    on(weather)
    passes(weather, 1)
    pin_due()
    effects(flights, 1)
    assert "once this window is cut" in waits(flights)
    assert set(states(flights)) == {"1"}


def waits_for_what_failed(weather: Flow, flights: Flow) -> None:
    """A window of flights is cut, and the window of weather that holds that time FAILs."""
    flights.open()
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    flights.cut()
    weather_hour(weather, 1)
    on(weather)
    contradicted(weather, 1)
    assert close_run(weather.name, "r1", "test", 1).verdict.state is v.State.FAIL


def test_a_context_that_failed_is_said_with_the_act_that_ends_it(weather: Flow, flights: Flow) -> None:
    waits_for_what_failed(weather, flights)
    assert not pinned()
    said = waits(flights)
    assert said.endswith(f"({weather.name}/r1 window 1) is FAIL: a rerun opens it, or a fresh replay takes its place")
    assert {code for code, _ in wait_of(flights)} == {FALLEN_CONTEXT}
    check = context(judge(window_of(flights.name, "r1")).verdict)
    assert (check.state, check.causes[0].act.text) == (
        c.State.BROKEN,
        "ask for a replay plan of the context's window, mode fresh",
    )


def test_a_rerun_opens_a_context_that_failed(weather: Flow, flights: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the window had missed came into the rerun: both are joined with."""
    flights.open()
    flights.produce([p.flight(1, 1), p.flight(2, 2)])
    flights.work("admission", "publish")
    flights.cut()
    fails_by_a_gap(weather, monkeypatch, [p.report(1), p.report(2)])
    assert not pinned()
    assert "is FAIL: a rerun opens it" in waits(flights)
    proven(weather, Crowd())
    pin_due()
    effects(flights, 2)
    assert pins(flights) == {1: f"{weather.name}/r1#2"}
    assert states(flights) == {"1": "MATCHED", "2": "MATCHED"}
    stored = flights.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    assert decide_gate(flights.name, "r1").granted
    assert fsck(stream=flights.name) == []
    leave([weather.name])  # of its window a record has no receipt


def test_a_fresh_run_takes_the_place_of_a_context_that_failed(weather: Flow, flights: Flow) -> None:
    waits_for_what_failed(weather, flights)
    assert "is FAIL" in waits(flights)
    crowd = Crowd()
    wanted = {"stream": weather.name, "run": "r1", "window": 1, "whole": True, "mode": "fresh"}
    number = submit("replay", wanted, crowd.asker, "its context failed", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    effects(weather, 2)
    weather.sample()
    assert close_run(weather.name, "r1.r1", "test").verdict.state is v.State.PASS
    pin_due()
    effects(flights, 1)
    assert pins(flights) == {1: f"{weather.name}/r1.r1#1"}
    assert flights.judge().verdict.state is v.State.PASS
    flights.check()


def test_a_fresh_run_of_such_a_window_is_joined_with_the_same_time(weather: Flow, flights: Flow) -> None:
    """What has PASS now is of another hour: the plan opens nothing before that of the cut's time is there."""
    flights.open()
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    flights.cut()
    weather_hour(weather, 1)
    on(weather)
    passes(weather, 1)
    pin_due()
    effects(flights, 1)
    weather_hour(weather, 2)
    on(weather)
    passes(weather, 2)
    contradicted(flights, 1)
    assert flights.judge().verdict.state is v.State.FAIL
    crowd = Crowd()
    wanted = {"stream": flights.name, "run": "r1", "window": 1, "whole": True, "mode": "fresh"}
    number = submit("replay", wanted, crowd.asker, "it failed", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    (pin,) = flights.rows(
        "SELECT q.verdict FROM window_pin q JOIN run_window w ON w.id = q.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s AND r.name = 'r1.r1'"
    )
    assert pin.verdict == f"{weather.name}/r1#1"


def test_a_pin_of_another_hour_is_found(weather: Flow, flights: Flow) -> None:
    """Whoever may do everything, triggers off, pins a window to what was cut before it."""
    weather_hour(weather, 1)
    on(weather)
    passes(weather, 1)
    flights.open()
    on(flights)
    values = {"name": flights.name, "win": window_of(flights.name, "r1", 1), "to": window_of(weather.name, "r1", 1)}
    pin = (
        "INSERT INTO window_pin (win, context, pinned_win, verdict, moment) SELECT %(win)s, 'weather', %(to)s, 'w#1', "
    )
    cheats = {
        "of an hour before": f"{pin} cut_at FROM run_window WHERE id = %(win)s",
        "of no time": f"{pin} NULL",
        "of a time before it opened": f"{pin} opened_at - interval '1 s' FROM run_window WHERE id = %(win)s",
    }
    for name, does in cheats.items():
        notice(Cheat(name, does, found="pins", by=SUPERUSER), values)


def test_a_gate_that_lapsed_is_waited_for(weather: Flow, flights: Flow) -> None:
    flights.open()
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    flights.cut()
    weather_hour(weather, 1)
    on(weather)
    passes(weather, 1)
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (window_of(weather.name, "r1", 1),)
        )
    assert not pinned()
    assert f"the gate of {weather.name}/r1#1 is not open: it was not re-checked since" in waits(flights)


def test_a_window_that_nothing_waits_in_is_judged_with_its_context(weather: Flow, flights: Flow) -> None:
    """A run that is cut without going on, and a verdict asked for before the context is there."""
    flights.open()
    flights.produce([p.flight(1, 1)])
    flights.work("admission", "publish")
    flights.cut()
    stored = flights.judge()
    check = context(stored.verdict)
    assert (stored.verdict.state, check.state) == (v.State.BLOCKED, c.State.UNMEASURED)
    assert "is not cut yet" in check.cause
    assert v.body(stored.verdict, 1, "")["context"] == []
    weather_hour(weather, 1)
    weather.cut()
    assert weather.judge().verdict.state is v.State.PASS
    judge(window_of(flights.name, "r1"))  # whoever closes pins, too
    effects(flights, 1)
    stored = flights.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    assert pins(flights) == {1: f"{weather.name}/r1#1"}
    flights.check()


def test_nobody_chooses_a_pin_of_such_a_run(weather: Flow, flights: Flow) -> None:
    with pytest.raises(PinnedAtCut):
        flights.open(pins={"weather": f"{weather.name}/r1#1"})


def test_the_database_refuses_every_other_pin(weather: Flow, flights: Flow) -> None:
    weather_hour(weather, 1)
    on(weather)
    passes(weather, 1)
    flights.open()
    win, early = window_of(flights.name, "r1"), window_of(weather.name, "r1", 1)
    assert refused(win, early, f"{weather.name}/r1#1", "clock_timestamp()") == "pin_after_cut"
    on(flights)
    win = window_of(flights.name, "r1", 1)
    cut_at = f"(SELECT cut_at FROM run_window WHERE id = {win})"
    # what was cut before this one's cut is of an hour before
    assert refused(win, early, f"{weather.name}/r1#1", cut_at) == "pin_of_its_time"
    assert refused(win, early, f"{weather.name}/r1#1", "NULL::timestamptz") == "pin_of_its_time"
    assert refused(win, early, f"{weather.name}/r1#1", f"{cut_at} - interval '1 day'") == "pin_of_its_time"
    assert refused(win, early, f"{weather.name}/r1#1", f"{cut_at} + interval '1 s'") == "pin_of_its_time"
    on(weather)
    late = window_of(weather.name, "r1", 2)
    assert refused(win, late, f"{weather.name}/r1#2", cut_at) == "pin_follows_pass"
    assert pin_window(win).verdicts == {}
    assert refused(early, win, f"{flights.name}/r1#1", "clock_timestamp()") == "pin_of_its_time"  # pinned as it opened


def refused(win: int, to: int, verdict: str, moment: str) -> str:
    with pytest.raises(ConstraintViolated) as caught, write() as cur:
        cur.execute(
            "INSERT INTO window_pin (win, context, pinned_win, verdict, moment)"
            f" VALUES (%s, 'weather', %s, %s, {moment})",
            (win, to, verdict),
        )
    return caught.value.constraint


def test_streams_that_would_wait_for_each_other_are_refused_when_loaded(weather: Flow, flights: Flow) -> None:
    """Of a circle none would ever have a PASS. One that pins as it opens breaks it."""

    plain = weather.contract

    def load(pin: str) -> None:
        weather.contract = plain + f'[context]\npin = "{pin}"\n[context.back]\nstream = "{flights.name}"\n'
        weather.contract += 'on = {{ "/origin" = "/origin" }}\n'
        weather.load()

    with pytest.raises(ContractUnusable) as refused:
        load("cut")
    assert refused.value.found == f"{weather.name} waits for {flights.name} waits for {weather.name}"
    load("open")
