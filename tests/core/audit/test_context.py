"""CONTEXT, truth tables against effects, postures and epochs that nobody read: what is not measured holds nowhere."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from audit.core import checks as c
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.diagnosis import diagnose
from tests.core.audit import world as w

JUDGES = dict(c.ALL)
FELL = replace(w.PINNED, why="weather/2013-01#2 is FAIL", fallen=True)
AWAY = replace(w.PINNED, why="the gate of weather/2013-01#1 was not re-checked since 02:14")


def judge(name: str, facts: f.WindowFacts) -> c.Check:
    check = JUDGES[c.CheckName(name)](facts, w.NOW)
    assert check is not None
    return check


def pinned(*pins: f.PinnedVerdict) -> f.WindowFacts:
    return replace(w.GOOD, context=w.seen(pins))


def test_a_context_that_fell_keeps_pass_away_and_is_named() -> None:
    verdict = v.verdict(pinned(FELL), w.NOW)
    assert verdict.state is v.State.BLOCKED
    assert diagnose(verdict).sentence.startswith("Window 1 is BLOCKED: weather/2013-01#2 is FAIL.")
    assert judge("CONTEXT", pinned(FELL)).state is c.State.BROKEN


def test_a_gate_that_nobody_could_re_check_is_unmeasured_and_waited_for() -> None:
    check = judge("CONTEXT", pinned(AWAY))
    assert (check.state, check.cause) == (c.State.UNMEASURED, AWAY.why)
    assert not check.causes[0].act.permission


def test_each_of_several_contexts_must_stand() -> None:
    facts = pinned(w.PINNED, replace(FELL, name="tides"))
    assert judge("CONTEXT", replace(facts, rules=replace(w.RULES, contexts=("weather", "tides")))).cause == FELL.why


def test_a_context_that_is_not_pinned_is_missed_by_name() -> None:
    facts = replace(pinned(w.PINNED), rules=replace(w.RULES, contexts=("weather", "tides")))
    assert judge("CONTEXT", facts).cause == "no verdict of tides is pinned"


def test_it_stands_between_degraded_and_basis() -> None:
    names = [str(name) for name in c.CheckName]
    assert names[names.index("CONTEXT") - 1 : names.index("CONTEXT") + 2] == ["DEGRADED", "CONTEXT", "BASIS"]
    assert [name for name, _ in c.ALL] == list(c.CheckName)


@pytest.mark.parametrize(
    ("table", "cause"),
    [
        (f.TruthTable("truth.weather", 100, 0, 1), "1 identity of truth.weather has no effect"),
        (f.TruthTable("truth.weather", 100, 2, 0), "2 effects are not in truth.weather"),
    ],
)
def test_what_readers_read_and_no_effect_made_is_fail(table: f.TruthTable, cause: str) -> None:
    check = judge("APPLIED", w.changed("application", tables=(table,)))
    assert (check.state, check.severity, check.cause) == (c.State.BROKEN, "FAIL", cause)


def test_what_readers_read_is_judged_although_effects_are_still_to_come() -> None:
    facts = w.changed("application", tables=(f.TruthTable("truth.weather", 40, 0, 1),), applied=40, missing=60)
    check = judge("APPLIED", w.source("flights.bus/1", facts, position=40))
    assert (check.severity, check.follows_from) == ("FAIL", None)


def test_truth_tables_that_agree_are_said() -> None:
    check = judge("APPLIED", w.changed("application", tables=(f.TruthTable("truth.weather", 100, 0, 0),)))
    assert (check.state, check.observed) == (c.State.HOLDS, "100 of 100 events applied, 100 of 100 in truth.weather")


@pytest.mark.parametrize("role", ["bus", "inbox"])
def test_a_posture_that_was_not_read_when_the_window_opened_holds_nowhere(role: str) -> None:
    broker = replace(w.BROKER, **{role: replace(getattr(w.BROKER, role), posture=None)})
    check = judge("BASIS", w.changed("basis", broker=broker))
    said = f"the posture of flights.{role} is not in the basis"
    assert (check.state, check.cause) == (c.State.UNMEASURED, said)


@pytest.mark.parametrize("role", ["bus", "inbox"])
def test_a_posture_that_is_not_read_now_holds_nowhere(role: str) -> None:
    check = judge("BASIS", w.topic(role, posture=None))
    assert (check.state, check.cause) == (c.State.UNMEASURED, f"the posture of flights.{role} was not measured")


def test_an_epoch_that_was_not_read_or_not_probed_holds_nowhere() -> None:
    unread = judge("BASIS", w.partition("inbox", 3, leader_epoch=None))
    assert (unread.state, unread.cause) == (c.State.UNMEASURED, "the leader epoch of inbox/3 was not measured")
    unasked = judge("BASIS", w.partition("inbox", 3, diverged=None))
    assert (unasked.state, unasked.cause) == (c.State.UNMEASURED, "the leader epoch of inbox/3 was not probed")


def test_a_verdict_says_how_old_its_oldest_fact_is_and_until_when_it_may_be_stored() -> None:
    facts = w.aged("quarantine", timedelta(seconds=9))
    verdict = v.verdict(facts, w.NOW)
    assert verdict.measured_at == w.NOW - timedelta(seconds=9)
    assert verdict.valid_until == verdict.measured_at + w.RULES.sample_max_age
    assert v.body(verdict, 1, "")["facts"]["measured_at"] == "2026-02-01T02:19:51.000000Z"
