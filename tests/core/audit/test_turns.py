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
from audit.core import completeness
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.gate import Code, GateDecision, Proof, WindowGate
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
    ("age", "contradictions", "lapsed", "due"),
    [
        (9, 0, None, False), (10, 0, None, True), (11, 0, None, True), (0, 0, None, False), (-1, 0, None, True),
        (1, 1, None, True), (1, 0, "the waiver of plan 7 is over", True),
    ],
)  # fmt: skip
def test_a_gate_is_looked_at_after_its_recheck_or_at_once_where_something_has_shut_it(
    monkeypatch: pytest.MonkeyPatch, age: int, contradictions: int, lapsed: str | None, due: bool
) -> None:
    monkeypatch.setattr(enforce, "_recheck", {1: timedelta(seconds=30), 2: timedelta(seconds=10)}.__getitem__)
    row = SimpleNamespace(
        age=timedelta(seconds=age), contradictions=contradictions, lapsed=lapsed, contract_id=1, contracts=[2]
    )
    assert enforce._is_due(row) is due


@pytest.mark.parametrize(("left", "over"), [(5, False), (3, True), (2, True), (None, False)])
def test_a_yes_is_over_once_its_lease_is(left: int | None, over: bool) -> None:
    until = None if left is None else w.NOW + timedelta(seconds=left)
    yes = GateDecision(200, Code.OPEN, False, "", open_until=until)
    assert enforce._is_over(yes, w.NOW, 3.0) is over


def row(win: int, *, by_plan: bool = False, judged: int | None = None) -> Any:
    return SimpleNamespace(win=win, by_plan=by_plan, judged=judged or win)


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


@pytest.mark.parametrize(
    ("gates", "newest"),
    [([row(1), row(2)], 2), ([row(1), row(2, by_plan=True)], 1), ([row(1, by_plan=True), row(2, by_plan=True)], 2)],
)
def test_lanes_are_probed_where_the_newest_window_that_lanes_filled_left_them(gates: list[Any], newest: int) -> None:
    assert enforce._newest(gates) == newest


@pytest.mark.parametrize(
    ("gate", "ended", "probed"),
    [
        (row(1), False, [("inbox", 10), ("bus", 20)]),
        (row(1), True, [("bus", 20)]),
        (row(1, judged=2), False, [("inbox", 10), ("bus", 99)]),
        (row(1, judged=2), True, [("bus", 99)]),
    ],
)
def test_the_inbox_is_probed_for_the_window_and_the_bus_for_what_proves_it(
    monkeypatch: pytest.MonkeyPatch, gate: Any, ended: bool, probed: list[tuple[str, int]]
) -> None:
    """Each partition once, of streams that agree in one look: a window's own position on the bus is nothing to a gate
    that a rerun opened."""
    stands = {
        1: [Start("inbox", 0, 10, 1), Start("bus", 0, 20, 1)],
        2: [Start("inbox", 0, 88, 1), Start("bus", 0, 99, 1)],
    }
    contract = SimpleNamespace(contract=SimpleNamespace(bus=SimpleNamespace(topic="bus")))
    monkeypatch.setattr(enforce, "lanes_of", lambda wins: {win: stands[win] for win in wins})
    monkeypatch.setattr(enforce, "compiled_contract", lambda number: contract)
    (looked,) = enforce._rounds({(1, 1, ended): [gate], (2, 1, ended): [gate]})
    assert [(start.topic, start.offset) for start in looked.starts.values()] == probed


MADE_AGAIN = replace(w.BASIS, broker=replace(w.BROKER, bus=replace(w.BROKER.bus, topic_id="made-again")))
MIXED = replace(w.BASIS, broker=replace(w.BROKER, bus=MADE_AGAIN.broker.bus))


@pytest.mark.parametrize(
    ("own", "proven", "held"),
    [
        (w.BASIS, w.BASIS, (w.BASIS, 1)),
        (w.BASIS, MADE_AGAIN, (MIXED, 2)),
        (None, MADE_AGAIN, (None, 1)),
        (w.BASIS, None, (w.BASIS, 1)),
    ],
)
def test_a_gate_is_held_to_the_bus_of_the_rerun_that_proves_it(
    own: f.Basis | None, proven: f.Basis | None, held: tuple[f.Basis | None, int]
) -> None:
    """Its own where that is the same one, and where either basis has a shape that this version does not know."""
    assert enforce._held_to(row(1, judged=2), {1: own, 2: proven}) == held


def test_an_answer_says_the_body_of_the_verdict_it_rests_on() -> None:
    """The rerun's, where that proves the window; of windows beside it nothing."""
    proof = Proof(1, 1, "s/r.1#1", True)
    failed = WindowGate(1, "s/r#1", "FAIL", None, "s/r.1#1", w.NOW, w.NOW, None, proof=proof)
    other = replace(failed, number=2, verdict="s/r#9", proof=replace(proof, verdict="s/r.2#1"))
    said = {"sentence": "as the rerun says"}
    assert enforce._saying(failed, "s/r.1#1", said) == replace(failed, proof=replace(proof, body=said))
    assert enforce._saying(failed, "s/r#1", said) == replace(failed, body=said)
    assert enforce._saying(other, "s/r.1#1", said) == other


@pytest.mark.parametrize(
    ("state", "shut_why", "said"),
    [
        (None, None, "is not judged yet"),
        ("FAIL", None, "is FAIL"),
        ("PASS", None, "is PASS, and its gate is not open"),
        ("PASS", "the bus was made again", "the bus was made again"),
    ],
)
def test_a_span_that_may_not_be_read_says_what_became_of_its_window(
    monkeypatch: pytest.MonkeyPatch, state: str | None, shut_why: str | None, said: str
) -> None:
    contract = SimpleNamespace(contract=SimpleNamespace(window=SimpleNamespace(clock_skew=timedelta(0))))
    monkeypatch.setattr(enforce, "compiled_contract", lambda number: contract)
    found = enforce._span_window(
        SimpleNamespace(
            id=1, name="s/r window 1", verdict="s/r#1", state=state, shut_why=shut_why, opened_at=w.NOW, cut_at=w.NOW,
            complete_until=w.NOW, complete_why=None, follows=True, live=False, open_until=None, contract_id=1,
        )
    )  # fmt: skip
    assert completeness.span([found], w.NOW, w.NOW).why == f"s/r window 1: {said}"
    assert found.complete_why == ""


def test_what_a_lapsed_waiver_gave_is_over_whatever_kafka_says() -> None:
    gate = SimpleNamespace(win=7, contradictions=0, lapsed="the waiver of plan 7 is over")
    for captured in (enforce.look.Capture(w.seen(w.BROKER, "kafka")), enforce.look.Capture(why="away")):
        found = enforce._seen(gate, captured, w.BASIS, [], [])
        assert (found.outcome, found.why) == ("shut", "the waiver of plan 7 is over")


def test_a_pass_stands_on_a_basis_that_this_version_reads() -> None:
    captured = enforce.look.Capture(w.seen(w.BROKER, "kafka"))
    gate = SimpleNamespace(win=7, contradictions=0, lapsed=None)
    said = enforce._seen(gate, captured, None, [], [])
    assert (said.outcome, said.why) == ("unmeasured", "the basis has a shape this version does not know")
    assert enforce._seen(gate, replace(captured, broker=None, why="away"), w.BASIS, [], []).why == "away"
    assert enforce._seen(gate, captured, w.BASIS, [], []).outcome == "extended"
