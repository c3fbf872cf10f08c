"""Windows that follow one another: the cut that goes on, by hand, by clock and by count, and what follows."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Any

import pytest

from audit import capture as look
from audit import go_on as verb
from audit.close import Judgement, close_due, close_run, judge, store, window_of
from audit.core import verdict as v
from audit.cut import cut_run
from audit.go_on import RunNotOpen, WindowNotThere, go_on, go_on_due
from ingest.db import ConstraintViolated, write
from tests.audit.test_gate import broker_away
from tests.flow.world import Flow, thing

ROLLING = '[window]\nevery = "1h"\n'
EMPTY = 'empty = "pass"\n'


def ranges(flow: Flow, role: str = "inbox") -> dict[int, list[tuple[int, int, int | None]]]:
    """By source: (window number, start, end) in order."""
    rows = flow.rows(
        "SELECT x.source_id, w.number, x.start_offset, x.end_offset FROM window_range x"
        " JOIN run_window w ON w.id = x.win JOIN source c ON c.id = x.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND c.role = %(role)s ORDER BY x.source_id, x.win",
        role=role,
    )
    found: dict[int, list[tuple[int, int, int | None]]] = {}
    for row in rows:
        found.setdefault(row.source_id, []).append((row.number, row.start_offset, row.end_offset))
    return found


def windows(flow: Flow, run: str = "r1") -> list[tuple[int, str]]:
    rows = flow.rows(
        "SELECT w.number, w.state FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND r.name = %(run)s ORDER BY w.number",
        run=run,
    )
    return [(row.number, row.state) for row in rows]


def runs(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT r.name, r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY r.id"
    )


def test_the_next_window_begins_where_the_lanes_stand(make_flow: Any) -> None:
    flow = make_flow(partitions=2)
    flow.open()
    flow.produce([thing(n) for n in range(5)])
    flow.produce([thing(f"b{n}") for n in range(3)], partition=1)
    flow.work()
    flow.produce([thing("not read yet")])
    done = go_on(flow.name, "r1", "test")
    assert (done.cut.result, done.cut.window, done.next_window, done.next_run) == ("cut", 1, 2, "r1")
    assert done.cut.cuts == {"inbox/0": 5, "inbox/1": 3}, "nothing lies ahead of a lane"
    assert done.notes == ()
    assert windows(flow) == [(1, "CUT"), (2, "OPEN")]
    flow.work()
    assert sorted(ranges(flow).values()) == [[(1, 0, 3), (2, 3, None)], [(1, 0, 5), (2, 5, None)]]
    verdict = close_run(flow.name, "r1", "test", window=1)
    assert (verdict.verdict.state, verdict.number) == (v.State.PASS, 1)
    flow.cut()
    flow.work()
    flow.sample()
    second = close_run(flow.name, "r1", "test")
    assert (second.verdict.state, second.number, second.verdict.window.number) == (v.State.PASS, 2, 2)
    assert second.verdict.counts is not None
    assert second.verdict.counts.admitted == 1


def test_a_duplicate_across_the_border_is_found(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    go_on(flow.name, "r1", "test")
    flow.produce([thing(2), thing(3), thing(1, more="another payload")])
    flow.work()
    assert flow.decisions() == ["ADMITTED", "ADMITTED", "DUPLICATE", "ADMITTED", "QUARANTINED"]


def test_cut_by_its_number_it_is_cut_once(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    first = go_on(flow.name, "r1", "test", window=1)
    again = go_on(flow.name, "r1", "test", window=1)
    assert (first.cut.result, again.cut.result) == ("cut", "same")
    assert (again.cut.cuts, again.next_window) == (first.cut.cuts, 2)
    assert windows(flow) == [(1, "CUT"), (2, "OPEN")]
    with pytest.raises(WindowNotThere):
        go_on(flow.name, "r1", "test", window=3)
    flow.cut()
    with pytest.raises(RunNotOpen):
        go_on(flow.name, "r1", "test")


def test_two_at_once_cut_it_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    both = threading.Barrier(2)
    asked = look.capture

    def together(*args: Any, **more: Any) -> Any:
        both.wait(20)
        return asked(*args, **more)

    monkeypatch.setattr(look, "capture", together)
    results = []
    threads = [threading.Thread(target=lambda: results.append(go_on(flow.name, "r1", "test"))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found.cut.result for found in results) == ["cut", "same"]
    assert windows(flow) == [(1, "CUT"), (2, "OPEN")]


def test_a_run_that_goes_on_while_it_is_being_cut_is_cut(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Found by tests/model: whoever cut it was told that it is cut, and it went on."""
    flow.open()
    asked, gone = look.capture, []

    def goes_on(*args: Any, **more: Any) -> Any:
        captured = asked(*args, **more)
        if not gone:
            gone.append(True)
            go_on(flow.name, "r1", "the clock")
        return captured

    monkeypatch.setattr(look, "capture", goes_on)
    done = cut_run(flow.name, "r1", "test")
    assert (done.result, done.window) == ("cut", 2)
    assert [(row.name, row.state) for row in runs(flow)] == [("r1", "CUT")]
    assert windows(flow) == [(1, "CUT"), (2, "CUT")]


def test_an_earlier_cut_that_is_not_reached_stays_where_it_is(flow: Flow) -> None:
    """A person ended a run at the LSO and opened the next one, which is cut before the lane has come to it."""
    flow.open("r1")
    flow.produce([thing(n) for n in range(4)])
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing("r2's")])
    done = go_on(flow.name, "r2", "test")
    assert done.cut.cuts == {"inbox/0": 4}, "an empty range"
    flow.work()
    assert list(ranges(flow).values()) == [[(1, 0, 4), (1, 4, 4), (2, 4, None)]]
    assert len(flow.receipts("r1")) == 4
    assert len(flow.receipts("r2")) == 1


def test_kafka_need_not_answer(flow: Flow) -> None:
    """The end is looked at when it does: until then nothing says that the window's logs were there at its end."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    with broker_away():
        done = go_on(flow.name, "r1", "test")
    assert done.cut.result == "cut"
    assert [note.partition(":")[0] for note in done.notes] == ["the basis is that of window 1"]
    assert windows(flow) == [(1, "CUT"), (2, "OPEN")]
    assert flow.rows(
        "SELECT b.why FROM basis b JOIN run_window w ON w.id = b.win JOIN run r ON r.id = w.run_id JOIN stream s"
        " ON s.id = r.stream_id WHERE s.name = %(name)s AND w.number = 2"
    )[0].why.startswith("as it was for window 1")
    flow.produce([thing(2)])
    flow.work()
    assert close_run(flow.name, "r1", "test", window=1).verdict.state is v.State.PASS
    ends = flow.rows(
        "SELECT count(*) AS n FROM snapshot x JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s AND x.kind = 'END' AND w.number = 1"
    )
    assert ends[0].n == 1
    flow.cut()
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test").verdict.state is v.State.PASS


def test_a_newer_contract_holds_from_the_next_window(flow: Flow) -> None:
    flow.open()
    flow.load(quarantine_open_max=7)
    assert go_on(flow.name, "r1", "test").notes == ()
    rows = flow.rows(
        "SELECT w.number, c.version FROM run_window w JOIN contract c ON c.id = w.contract_id JOIN stream s"
        " ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY w.number"
    )
    assert [(row.number, row.version) for row in rows] == [(1, 1), (2, 2)]


def test_within_a_run_what_identifies_an_event_stays(flow: Flow) -> None:
    flow.open()
    flow.contract = flow.contract.replace('id = ["/id"]', 'id = ["/id", "/part"]')
    flow.load()
    done = go_on(flow.name, "r1", "test")
    assert done.notes == ("contract v1 holds on: v2 identifies events otherwise, which takes a new run",)
    flow.contract = flow.contract.replace('id = ["/id", "/part"]', 'id = ["/id"]').replace(
        "partitions = {bus_partitions}", "partitions = 5"
    )
    flow.load()
    done = go_on(flow.name, "r1", "test")
    assert done.notes == ("contract v1 holds on: v3 names other topics or partitions, which takes a new run",)


def test_the_clock_ends_a_window_and_nothing_is_left_without_one(make_flow: Any) -> None:
    flow = make_flow(close=EMPTY + '[window]\nevery = "1s"\n')
    flow.open()
    until = time.monotonic() + 20
    while len(windows(flow)) < 4:
        assert time.monotonic() < until
        go_on_due()
        time.sleep(0.2)
    states = [state for _, state in windows(flow)]
    assert states == ["CUT"] * (len(states) - 1) + ["OPEN"]
    flow.cut()


def test_the_count_ends_a_window(make_flow: Any) -> None:
    flow = make_flow(close="[window]\nrecords = 3\n")
    flow.open()
    flow.produce([thing(n) for n in range(2)])
    flow.work()
    go_on_due()
    assert windows(flow) == [(1, "OPEN")]
    flow.produce([thing("third")])
    flow.work()
    go_on_due()
    assert windows(flow) == [(1, "CUT"), (2, "OPEN")]


def test_runs_open_and_end_by_the_clock(make_flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one transaction: all lanes of the run before stand at their cuts when the next begins."""
    flow = make_flow(contract=make_flow().contract.replace("[run]", '[run]\nname = "%Y-%m-%dT%H.%M"'))
    go_on_due()
    (first,) = flow.rows(
        "SELECT r.name, r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert first.state == "OPEN"
    flow.produce([thing(1)], run=first.name)
    flow.work()
    with monkeypatch.context() as later:
        later.setattr(verb, "is_run_over", lambda pattern, opened, now: True)
        later.setattr(verb, "run_name_at", lambda pattern, at: first.name)
        done = go_on_due()
    mine = [found for found in done if found.cut.win in flow.wins() and found.next_run == f"{first.name}.2"]
    assert [(found.cut.result, found.next_window) for found in mine] == [("cut", 1)], "a name used up is numbered"
    rows = flow.rows(
        "SELECT r.name, r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY r.id"
    )
    assert [row.state for row in rows] == ["CUT", "OPEN"]
    assert list(ranges(flow).values()) == [[(1, 0, 1), (1, 1, None)]]
    flow.cut(f"{first.name}.2")
    flow.work()


def test_windows_close_by_themselves_and_one_that_waits_for_people_holds_back_nobody(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    go_on(flow.name, "r1", "test")
    flow.produce([thing(2)])
    flow.work()
    go_on(flow.name, "r1", "test")
    flow.produce([thing(3)])
    flow.work()
    until = time.monotonic() + 60
    states: dict[int, str] = {}
    while states.get(1) != "BLOCKED" or states.get(2) != "PASS":
        assert time.monotonic() < until, states
        flow.sample()
        close_due()
        rows = flow.rows(
            "SELECT w.number, v.state FROM verdict v JOIN run_window w ON w.id = v.win JOIN run r ON r.id = v.run_id"
            " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY v.number"
        )
        states = {row.number: row.state for row in rows}
        time.sleep(0.2)
    assert [row.state for row in runs(flow)] == ["OPEN"]


def test_where_windows_open_together_each_lease_counts_from_what_its_window_rests_on(make_flow: Any) -> None:
    """Found by tests/model: those of the windows judged before counted from their judgement, however old its facts."""
    flow = make_flow(close='[gate]\nunit = "run"')
    flow.open()
    for number in range(2):
        flow.produce([thing(number)])
        flow.work()
        go_on(flow.name, "r1", "test") if number == 0 else flow.cut()
        flow.work()
    flow.sample()
    judged = judge(window_of(flow.name, "r1", 1))
    broker = judged.measurement.facts.broker
    assert broker is not None
    time.sleep(1)  # whoever judges is stopped between looking at Kafka and judging
    measurement = replace(judged.measurement, at=look.now())
    first = store(Judgement.of(measurement), "test")
    assert first.verdict.state is v.State.PASS, first.sentence
    assert close_run(flow.name, "r1", "test").verdict.state is v.State.PASS
    rows = flow.rows(
        "SELECT g.checked_at FROM gate_open g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY w.number"
    )
    assert rows[0].checked_at <= broker.measured_at < rows[1].checked_at


def test_a_topic_created_again_is_where_the_next_window_begins(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    done = go_on(flow.name, "r1", "test")
    assert done.notes == ()
    flow.produce([thing(2)])
    flow.work()
    (old, new) = ranges(flow).values()
    assert (old, new) == ([(1, 0, 1)], [(2, 0, None)])
    assert close_run(flow.name, "r1", "test", window=1).verdict.state is v.State.FAIL
    flow.cut()
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test").verdict.state is v.State.PASS


def test_the_database_keeps_ranges_in_a_chain_and_one_window_open(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    go_on(flow.name, "r1", "test")
    values = {"name": flow.name, "source": flow.sources("inbox")[0]}
    window = (
        "INSERT INTO run_window (run_id, number, contract_id, state, revision)"
        " SELECT r.id, 9, r.contract_id, %(state)s, 0 FROM run r JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s RETURNING id"
    )
    with pytest.raises(ConstraintViolated, match="window_one_open"), write() as cur:
        cur.execute(window, values | {"state": "OPEN"})
    for start in (0, 2):
        with pytest.raises(ConstraintViolated, match="window_range_chain"), write() as cur:
            win = cur.execute(window, values | {"state": "CUT"}).fetchone()
            assert win is not None
            insert = "INSERT INTO window_range (win, source_id, start_offset) VALUES (%(win)s, %(source)s, %(start)s)"
            cur.execute(insert, values | {"win": win.id, "start": start})


def test_a_window_says_which_one_holds_back_its_end_on_the_bus(make_flow: Any) -> None:
    flow = make_flow(close=EMPTY + ROLLING)
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    go_on(flow.name, "r1", "test")
    flow.cut()
    second = close_run(flow.name, "r1", "test")
    assert second.verdict.window.number == 2
    held = f"the end of {flow.bus}/0 and {flow.bus}/1 waits for that of r1 window 1"
    assert held in second.sentence
    assert second.sentence.endswith("Next: see to r1 window 1 first.")
    flow.work()
    flow.sample()
    assert [close_run(flow.name, "r1", "test", window=number).verdict.state for number in (1, 2)] == ["PASS", "PASS"]
