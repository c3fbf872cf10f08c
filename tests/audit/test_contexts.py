"""A pin is a fact that is measured: a context whose gate is not open keeps PASS away, and shuts what rests on it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from audit import close
from audit.close import checks_now, judge, store, window_of
from audit.core import checks as c
from audit.core import verdict as v
from audit.enforce import decide_gate, enforce_due
from ingest.db import ConstraintViolated, retry_transaction, write
from ingest.windows import raise_revisions
from tests.flow import test_projections as p
from tests.flow.world import Flow

weather = p.weather


@pytest.fixture
def flights(weather: Flow) -> Iterator[Flow]:
    """Joined with that PASS, read and applied to its cut; not judged."""
    flow = p.joined(weather)
    flow.open()
    flow.produce([p.flight(1, 1), p.flight(2, 3)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 2)
    yield flow


def fails(weather: Flow) -> None:
    """The bus contradicts what weather's PASS stands on, and weather is judged again."""
    contradicted(weather)
    assert weather.judge().verdict.state is v.State.FAIL


def contradicted(weather: Flow, window: int = 1) -> None:
    """As the effects lane records it: again, where the database settles who of two goes first."""
    retry_transaction(lambda: _contradict(weather, window_of(weather.name, "r1", window)))


def _contradict(weather: Flow, win: int) -> None:
    with write() as cur:
        cur.execute(
            'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
            " SELECT %s, a.id, 'ACKED_NOT_FOUND', a.source_id, 0, 'for a test' FROM attempt a"
            " WHERE a.source_id = ANY(%s) LIMIT 1",
            (win, weather.sources()),
        )
        raise_revisions(cur, [win])


def lapses(weather: Flow) -> None:
    """Nobody could re-check the context's gate: its lease is over, and no reason is given."""
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (window_of(weather.name, "r1"),)
        )


def gate_of(flow: Flow) -> Any:
    (row,) = flow.rows(
        "SELECT g.*, clock_timestamp() AS now FROM gate_open g WHERE g.win = %(win)s", win=window_of(flow.name, "r1")
    )
    return row


def context(verdict: v.Verdict) -> c.Check:
    check = verdict.check(c.CheckName.CONTEXT)
    assert check is not None
    return check


def test_a_context_that_stands_is_measured_and_named(weather: Flow, flights: Flow) -> None:
    stored = flights.judge()
    assert stored.verdict.state is v.State.PASS
    assert context(stored.verdict).observed == f"{weather.name}/r1#1 stands"
    assert decide_gate(flights.name, "r1", who="test").status == 200


def test_a_run_may_be_joined_with_a_verdict_that_is_not_the_newest(weather: Flow) -> None:
    weather.open("r2")
    weather.produce([p.report(9)])
    weather.work()
    weather.cut("r2")
    weather.work()
    assert weather.judge("r2").verdict.state is v.State.PASS
    flow = p.joined(weather)
    flow.open(pins={"weather": f"{weather.name}/r1#1"})
    pinned = flow.rows("SELECT verdict FROM window_pin WHERE win = %(win)s", win=window_of(flow.name, "r1"))
    assert [row.verdict for row in pinned] == [f"{weather.name}/r1#1"]


def test_a_page_that_is_looked_at_again_shows_the_context_that_stands(weather: Flow, flights: Flow) -> None:
    """What one process counted, the next one reads."""
    win = window_of(flights.name, "r1")
    for _ in range(2):
        assert context(checks_now(win)).observed == f"{weather.name}/r1#1 stands"


def test_a_context_that_fell_keeps_pass_away_by_name(weather: Flow, flights: Flow) -> None:
    fails(weather)
    stored = flights.judge()
    assert stored.verdict.state is v.State.BLOCKED
    assert f"{weather.name}/r1#2 is FAIL" in stored.sentence


def test_a_context_that_falls_shuts_what_was_built_on_it_in_its_own_transaction(weather: Flow, flights: Flow) -> None:
    assert flights.judge().verdict.state is v.State.PASS
    fails(weather)
    answer = decide_gate(flights.name, "r1", who="test")
    assert answer.status == 403
    assert f"{weather.name}/r1#" in answer.detail
    assert gate_of(flights).open_until <= gate_of(flights).now
    found = enforce_due()
    assert [x.outcome for x in found if x.win == gate_of(flights).win] == []  # it is shut, and stays so
    assert flights.rows("SELECT count(*) AS n FROM verdict WHERE win = %(win)s", win=gate_of(flights).win)[0].n == 1


def test_the_fall_of_a_context_stands_in_the_audit_log(weather: Flow, flights: Flow) -> None:
    flights.judge()
    fails(weather)
    said = flights.rows(
        "SELECT FROM audit_log WHERE act = 'gate.shut' AND detail::text LIKE %(like)s", like=f"%{flights.name}/r1#1%"
    )
    assert said


def test_a_verdict_measured_before_its_context_fell_is_not_stored_after(weather: Flow, flights: Flow) -> None:
    win = window_of(flights.name, "r1")
    judge(win)
    judged = judge(win)
    assert judged.verdict.state is v.State.PASS
    fails(weather)
    with pytest.raises(close.AnotherCloser):
        store(judged, "test")


def test_a_context_nobody_could_re_check_is_unmeasured_and_waited_for(weather: Flow, flights: Flow) -> None:
    lapses(weather)
    judged = judge(window_of(flights.name, "r1"))
    assert context(judged.verdict).state is c.State.UNMEASURED
    assert f"the gate of {weather.name}/r1#1 was not re-checked since" in context(judged.verdict).cause
    assert not close.worth_storing(judged)


def test_no_lease_is_longer_than_its_context_stands(weather: Flow, flights: Flow) -> None:
    """The database itself extends nothing on a context that does not stand, whoever asks."""
    flights.judge()
    extend = "UPDATE gate_open SET open_until = open_until + interval '1 s' WHERE win = %s"
    before = gate_of(flights)
    lapses(weather)
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(extend, (before.win,))
    assert refused.value.constraint == "gate_follows_context"
    assert gate_of(flights).open_until == before.open_until
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET shut_why = 'for a test', checked_at = clock_timestamp() WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
    assert f"the gate of {weather.name}/r1#1 is shut: for a test" == gate_of(flights).shut_why
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(extend.replace("SET", "SET shut_why = NULL,"), (before.win,))
    assert refused.value.constraint == "gate_stays_shut"


# ---- the projection reads under the gate's rule ---------------------------------------------------------------------


def unread(weather: Flow) -> Flow:
    """Flights on the bus, their effects still to come."""
    flow = p.joined(weather)
    flow.open()
    flow.produce([p.flight(1, 1)])
    flow.work("admission", "publish")
    return flow


def test_rows_that_are_shut_are_not_joined_with(weather: Flow) -> None:
    flow = unread(weather)
    fails(weather)
    flow.work_until(lambda: flow.count("effect") == 1)
    (row,) = p.rows(flow, "flights_weather")
    assert (row.weather_state, row.temp) == ("MISSING", None)
    assert row.weather_reason == f"{weather.name}/r1#2 is FAIL"


def test_the_lane_waits_while_its_context_cannot_be_re_checked(weather: Flow) -> None:
    flow = unread(weather)
    lapses(weather)
    flow.work("effects", seconds=2)
    assert "context_not_open" in [flow.position("effects", n).stopped_code for n in range(flow.bus_partitions)]
    assert flow.count("effect") == 0
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() + interval '30 s' WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
    flow.work_until(lambda: flow.count("effect") == 1)
    (row,) = p.rows(flow, "flights_weather")
    assert row.weather_state == "MATCHED"
