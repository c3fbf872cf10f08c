"""What the closer and the enforcer look at by themselves, and when: on values, by the rules alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from audit import close, enforce
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.gate import Code, GateDecision
from ingest.kafka import Start
from tests.core.audit import world as w

MOVING = w.source("inbox/3", position=8, moved_at=w.NOW)
STALLED = w.source("inbox/3", position=8)
ITEM = w.changed("quarantine", open=1)
FAILED = w.source("inbox/3", missing=1)


def judged(facts: f.WindowFacts) -> v.Verdict:
    return v.verdict(facts, w.NOW)


# ---- what a verdict waits for ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("facts", "waits"),
    [
        (MOVING, True),
        (STALLED, False),
        (ITEM, False),
        (w.changed("quarantine", MOVING, open=1), False),
        (FAILED, False),
        (w.GOOD, False),
    ],
)
def test_a_close_waits_where_every_cause_is_a_lane_at_work(facts: f.WindowFacts, waits: bool) -> None:
    assert close.only_waiting(judged(facts)) is waits


def publishing(**more: Any) -> f.WindowFacts:
    return w.changed("publishing", **more)


@pytest.mark.parametrize(
    ("facts", "works"),
    [
        (MOVING, True),
        (w.changed("quarantine", MOVING, open=1), True),
        (w.source("inbox/0", MOVING, position=8), True),
        (STALLED, False),
        (ITEM, False),
        (publishing(placed_once=88, queued=12), True),
        (publishing(placed_once=76, queued=12, unknown=(1, 12)), False),
        (publishing(placed_once=88, unknown=(1, 12)), False),
        (w.GOOD, False),
    ],
)
def test_nothing_is_stored_while_lanes_move_it_but_what_a_publish_holds_does_not_move(
    facts: f.WindowFacts, works: bool
) -> None:
    assert close.still_working(judged(facts)) is works


# ---- when a window is looked at again --------------------------------------------------------------------------------


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> dict[int, close._Pause]:
    monkeypatch.setattr(close, "_pauses", made := {})
    return made


@pytest.mark.parametrize(
    ("verdict", "revision", "until", "looked_at"),
    [
        ("PASS", 5, 20.0, False),
        ("PASS", 6, 20.0, True),
        ("PASS", 5, 9.0, True),
        ("BLOCKED", 5, 20.0, True),
        (None, 5, 20.0, True),
    ],
)
def test_what_has_passed_is_looked_at_again_once_it_may_say_more(
    pauses: dict[int, close._Pause], verdict: str | None, revision: int, until: float, looked_at: bool
) -> None:
    pauses[7] = close._Pause(until=until, revision=5)
    row = SimpleNamespace(id=7, verdict=verdict, revision=revision)
    assert close._may_say_more(row, 10.0) is looked_at


def test_a_look_in_vain_is_taken_more_and_more_rarely() -> None:
    pause = close._Pause()
    waits = []
    for _ in range(6):
        pause.begin(100.0, 0.1)
        waits.append(pause.until - 100.0)
    assert waits == [4.0, 8.0, 16.0, 32.0, 60.0, 60.0]
    assert pause.rests == 0.0


def test_what_took_long_rests_for_a_multiple_of_it() -> None:
    pause = close._Pause()
    pause.begin(100.0, 30.0)
    assert (pause.rests, pause.until) == (190.0, 190.0)
    pause.begin(200.0, 0.1)
    assert pause.rests == 0.0


def test_turns_end_when_the_time_is_over_and_go_on_where_they_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(close._Turns, "_stood", {})
    now = [0.0]

    def taken() -> Iterator[int]:
        for win in close._Turns(lambda: now[0]).of("moved", [3, 5, 8]):
            now[0] += close.CLOSE_DUE_SECONDS * 0.6
            yield win

    assert [list(taken()) for _ in range(3)] == [[3, 5], [8, 3], [5, 8]]
    now[0] = 0.0
    late = close._Turns(lambda: now[0])
    now[0] = 2 * close.CLOSE_DUE_SECONDS
    assert list(late.of("blocked", [3, 5])) == [3]


def known(state: str, verdict: v.Verdict) -> Any:
    """A verdict that is stored: the newest of its window."""
    return SimpleNamespace(state=state, number=1, body=v.body(verdict, 1, ""))


BLOCKED, WORKING = judged(ITEM), judged(MOVING)


@pytest.mark.parametrize(
    ("verdict", "newest", "since_cut", "worth"),
    [
        (BLOCKED, None, 10, True),
        (BLOCKED, known("BLOCKED", BLOCKED), 10, False),
        (BLOCKED, known("BLOCKED", judged(STALLED)), 10, True),
        (BLOCKED, known("PASS", judged(w.GOOD)), 10, False),
        (judged(w.GOOD), known("PASS", judged(w.GOOD)), 10, True),
        (judged(FAILED), known("PASS", judged(w.GOOD)), 10, True),
        (judged(w.GOOD), known("BLOCKED", BLOCKED), 10, True),
        (WORKING, None, 10, False),
        (WORKING, None, 60, False),
        (WORKING, None, 61, True),
        (WORKING, None, None, False),
    ],
)
def test_what_is_new_is_worth_storing_once_lanes_had_the_time_to_move_it(
    monkeypatch: pytest.MonkeyPatch, verdict: v.Verdict, newest: Any, since_cut: int | None, worth: bool
) -> None:
    cursor = SimpleNamespace(execute=lambda *asked: SimpleNamespace(fetchone=lambda: newest))
    monkeypatch.setattr(close, "read", lambda: nullcontext(cursor))
    cut_at = None if since_cut is None else w.NOW - timedelta(seconds=since_cut)
    measured: Any = SimpleNamespace(at=w.NOW, facts=w.GOOD, row=SimpleNamespace(cut_at=cut_at))
    assert close.worth_storing(close.Judgement(7, verdict, measured)) is worth


# ---- the enforcer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age", "contradictions", "due"),
    [(9, 0, False), (10, 0, True), (11, 0, True), (0, 0, False), (-1, 0, True), (1, 1, True)],
)
def test_a_gate_is_looked_at_after_its_recheck_or_at_once_where_a_publish_is_contradicted(
    monkeypatch: pytest.MonkeyPatch, age: int, contradictions: int, due: bool
) -> None:
    monkeypatch.setattr(enforce, "_recheck", {1: timedelta(seconds=30), 2: timedelta(seconds=10)}.__getitem__)
    row = SimpleNamespace(
        age=timedelta(seconds=age), contradictions=contradictions, lapsed=None, contract_id=1, contracts=[2]
    )
    assert enforce._is_due(row) is due


@pytest.mark.parametrize(("left", "over"), [(5, False), (3, True), (2, True), (None, False)])
def test_a_yes_is_over_once_its_lease_is(left: int | None, over: bool) -> None:
    until = None if left is None else w.NOW + timedelta(seconds=left)
    yes = GateDecision(200, Code.OPEN, False, "", open_until=until)
    assert enforce._is_over(yes, w.NOW, 3.0) is over


def row(win: int) -> Any:
    return SimpleNamespace(win=win, by_plan=False, judged=win)


def test_streams_whose_lanes_stand_at_other_places_are_looked_at_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    """One consumer probes each partition at one place; two contracts of one stream may share their topics."""
    here, ahead, other = Start("bus", 0, 10, 1), Start("bus", 0, 20, 1), Start("other", 0, 5, 1)
    stands = {1: [here], 2: [ahead], 3: [here, other]}
    monkeypatch.setattr(enforce, "lanes_of", lambda wins: {win: stands[win] for win in wins})
    rounds = enforce._rounds({(1, 1, False): [row(1)], (1, 2, False): [row(2)], (2, 3, False): [row(3)]})
    assert [list(each.gates) for each in rounds] == [[(1, 1, False), (2, 3, False)], [(1, 2, False)]]


def test_a_round_that_is_full_takes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enforce, "ROUND_STREAMS", 2)
    monkeypatch.setattr(enforce, "lanes_of", lambda wins: dict.fromkeys(wins, []))
    rounds = enforce._rounds({(n, n, False): [row(n)] for n in (1, 2, 3)})
    assert [list(each.gates) for each in rounds] == [[(1, 1, False), (2, 2, False)], [(3, 3, False)]]


@pytest.mark.parametrize(("gates", "full"), [((3, 3), False), ((3, 4), True), ((1, 1, 1), True), ((8,), True)])
def test_a_round_is_full_of_streams_or_of_gates(
    monkeypatch: pytest.MonkeyPatch, gates: tuple[int, ...], full: bool
) -> None:
    monkeypatch.setattr(enforce, "ROUND_STREAMS", 3)
    monkeypatch.setattr(enforce, "ROUND_GATES", 7)
    made = enforce._Round()
    for number, n in enumerate(gates):
        made.add((number, number, False), [row(n)] * n, [])
    assert made.full is full


def test_a_pass_stands_on_a_basis_that_this_version_reads() -> None:
    captured = enforce.look.Capture(w.seen(w.BROKER, "kafka"))
    gate = SimpleNamespace(win=7, contradictions=0, lapsed=None)
    said = enforce._seen(gate, captured, None, [], [])
    assert (said.outcome, said.why) == ("unmeasured", "the basis has a shape this version does not know")
    assert enforce._seen(gate, replace(captured, broker=None, why="away"), w.BASIS, [], []).why == "away"
    assert enforce._seen(gate, captured, w.BASIS, [], []).outcome == "extended"
