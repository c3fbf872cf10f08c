"""What shuts a window's gate, what neither shuts nor extends it, and what a run's gate answers from its windows'."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit.core import facts as f
from audit.core import gate as g
from audit.core.gate import Code, Context, Covers, Range, WindowGate, decide, holds
from tests.core.audit import world as w

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SECOND = timedelta(seconds=1)
RANGES = [Range("flights.bus/0", "flights.bus", 0, 10, 60), Range("inbox/0", "flights.inbox", 0, 10, 70)]


def window(number: int, seconds: float, state: str | None = "PASS", why: str | None = None, **more: Any) -> WindowGate:
    """One whose lease ends in so many seconds."""
    until, name = NOW + timedelta(seconds=seconds), f"s/r#{number}"
    return replace(WindowGate(number, name, state, {"sentence": name}, name, until, NOW, why), **more)


def broker(name: str = "bus", partition: int = 0, **log: Any) -> f.Broker:
    """What Kafka says now, one partition's log changed."""
    measured = w.partition(name, partition, **log).broker
    assert measured is not None
    return measured.value


# ---- a run's answer -------------------------------------------------------------------------------------------------


def test_a_runs_yes_lasts_as_long_as_the_shortest_lease_of_its_windows() -> None:
    answer = decide([window(1, 30), window(2, 5), window(3, 20)], True, NOW)
    assert answer.granted
    assert answer.open_until == NOW + timedelta(seconds=5)


def test_the_worst_window_is_the_answer_whatever_the_leases_of_others() -> None:
    assert decide([window(1, 30), window(2, 5, "FAIL"), window(3, -1)], True, NOW).code is Code.FAILED
    assert decide([window(1, 30), window(2, -1)], True, NOW).code is Code.UNAVAILABLE
    assert decide([window(1, 30), window(2, 30, why="the bus was made again")], True, NOW).code is Code.SHUT


def test_an_answer_names_the_windows_it_is_about_and_of_those_that_are_not_open_the_worst() -> None:
    windows = [window(4, 30), window(5, 30, None), window(6, -1), window(7, 30, "FAIL"), window(8, 30)]
    shut = ((7, Code.FAILED), (6, Code.UNAVAILABLE), (5, Code.NOT_CLOSED))
    assert decide(windows, True, NOW).covers == Covers(5, 4, 8, 2, shut)
    assert decide([window(1, 30)], False, NOW).covers == Covers(1, 1, 1, 1, ())
    many = decide([window(number, 30, "FAIL") for number in range(1, 1001)], True, NOW).covers
    assert many is not None and (many.windows, many.open) == (1000, 0)
    assert [number for number, _ in many.not_open] == list(range(1, 21))
    assert decide([], True, NOW).covers is None


def test_an_open_run_is_not_open_to_readers() -> None:
    assert decide([window(1, 30)], False, NOW).code is Code.NOT_CLOSED
    assert decide([], True, NOW).code is Code.NOT_FOUND


def test_what_keeps_an_open_run_shut_is_said_before_that_it_is_open() -> None:
    assert decide([window(1, 30), window(2, 30, "FAIL")], False, NOW).code is Code.FAILED


@pytest.mark.parametrize("answer", [window(1, 30, "BLOCKED", open_until=None), window(1, 30, None, open_until=None)])
def test_windows_without_a_lease_are_compared_by_their_answers(answer: WindowGate) -> None:
    """One that never had a lease beside one of the same answer that has a later one."""
    assert decide([answer, replace(answer, number=2, open_until=NOW)], True, NOW).retry


@pytest.mark.parametrize(
    ("gate", "code", "said"),
    [
        (window(1, 30, None, body=None), Code.NOT_CLOSED, "Window 1 is not judged yet."),
        (window(1, 30, "FAIL"), Code.FAILED, "s/r#1"),
        (window(1, 30, "FAIL", body=None), Code.FAILED, ""),
        (window(1, 30, "BLOCKED"), Code.BLOCKED, "s/r#1"),
        (window(1, 30), Code.OPEN, "s/r#1"),
        (window(1, 30, body=None), Code.OPEN, ""),
        (window(1, 30, why="the bus is gone"), Code.SHUT, "its gate is shut: the bus is gone"),
        (window(1, 30, gate_verdict="s/r#0"), Code.NOT_CLOSED, "opens when every window"),
        (window(1, 30, gate_verdict=None, open_until=None), Code.NOT_CLOSED, "opens when every window"),
        (window(1, 30, open_until=None), Code.NOT_CLOSED, "opens when every window"),
        (window(1, 0), Code.UNAVAILABLE, "not re-checked since"),
        (window(1, 30, checked_at=None), Code.UNAVAILABLE, "not re-checked since"),
    ],
)
def test_a_windows_answer(gate: WindowGate, code: Code, said: str) -> None:
    answer = decide([gate], True, NOW)
    assert (answer.code, answer.open_until) == (code, gate.open_until if code is Code.OPEN else None)
    assert said in answer.detail and bool(answer.detail) == bool(said)


def test_an_answer_names_the_checks_that_do_not_hold_and_the_basis() -> None:
    held, broken = {"check": "BALANCED"}, {"check": "PUBLISHED", "severity": "BLOCKED"}
    answer = decide([window(1, 30, "BLOCKED", body={"checks": [held, broken], "basis": {"digest": "ab"}})], True, NOW)
    assert (answer.failed, answer.basis_digest) == ((broken,), "ab")
    assert decide([window(1, 30, None, body=None)], True, NOW).basis_digest is None


@pytest.mark.parametrize(
    ("checked_at", "open_until", "open_"),
    [
        (NOW, NOW + SECOND, True),
        (NOW - SECOND, NOW, False),
        (NOW + SECOND, NOW + 2 * SECOND, False),
        (None, NOW + SECOND, False),
        (NOW, None, False),
    ],
)
def test_a_lease_holds_from_its_measurement_until_it_ends(
    checked_at: datetime | None, open_until: datetime | None, open_: bool
) -> None:
    assert holds(checked_at, open_until, NOW) is open_


# ---- what shuts a window's gate, and what does not extend it ---------------------------------------------------------


def test_nothing_shuts_a_gate_whose_bus_and_inbox_are_as_they_were() -> None:
    assert g.objections(w.BASIS, w.BROKER, RANGES, 0) == []
    assert g.objections(w.BASIS, broker(high_watermark=61, log_start=5), RANGES, 0) == []


@pytest.mark.parametrize(
    ("now", "said"),
    [
        (replace(w.BROKER, cluster_id="other"), ["the Kafka cluster was cluster-a and is other"]),
        (replace(w.BROKER, inbox=None), ["flights.inbox is gone"]),
        (broker(high_watermark=59), ["flights.bus/0 ends at 59, before the window's 60"]),
        (broker("inbox", high_watermark=69), ["inbox/0 ends at 69, before the window's 70"]),
        (broker(diverged="epoch 3 ends at 40"), ["flights.bus/0 was truncated: epoch 3 ends at 40"]),
        (broker(high_watermark=None), []),
        (replace(w.BROKER, bus=replace(w.BROKER.bus, partitions={1: w.log(50)})), ["flights.bus/0 is gone"]),
        (
            replace(w.BROKER, bus=replace(w.BROKER.bus, topic_id="other", partitions={})),
            ["flights.bus was deleted and created again"],
        ),
    ],
)
def test_what_shuts_a_gate(now: f.Broker, said: list[str]) -> None:
    assert g.objections(w.BASIS, now, RANGES, 0) == said


@pytest.mark.parametrize(
    ("kept_to", "said"), [(70, []), (69, ["inbox/0 was cut at 69, and is another log from there on"])]
)
def test_a_log_that_was_cut_below_a_windows_end_shuts_its_gate(kept_to: int, said: list[str]) -> None:
    """Whatever lies there by now: the log reaches as far again, and its newest lane finds nothing wrong with it."""
    ranges = [replace(r, kept_to=kept_to) if r.topic == "flights.inbox" else r for r in RANGES]
    assert g.objections(w.BASIS, broker("inbox", high_watermark=500), ranges, 0) == said


def test_a_contradiction_shuts_a_gate() -> None:
    assert g.objections(w.BASIS, w.BROKER, RANGES, 1) == ["1 settled publish contradicted by the bus"]


def test_a_stream_without_a_kafka_inbox_is_judged_by_its_bus() -> None:
    basis = replace(w.BASIS, broker=replace(w.BROKER, inbox=None))
    assert g.objections(basis, replace(w.BROKER, inbox=None), RANGES[:1], 0) == []


@pytest.mark.parametrize(
    ("now", "labels"),
    [
        (w.BROKER, []),
        (broker(high_watermark=None), ["flights.bus/0"]),
        (broker(diverged=None), ["flights.bus/0"]),
        (broker("inbox", diverged=None), ["inbox/0"]),
        (broker(diverged="epoch 3 ends at 40"), []),
        (replace(w.BROKER, bus=replace(w.BROKER.bus, partitions={})), []),
        (replace(w.BROKER, inbox=None), []),
    ],
)
def test_kafka_that_says_too_little_extends_no_lease(now: f.Broker, labels: list[str]) -> None:
    assert g.unanswered(now, RANGES) == labels


@pytest.mark.parametrize(
    ("now", "labels"),
    [
        (w.BROKER, []),
        (broker(log_start=10), []),
        (broker(log_start=11), ["flights.bus/0"]),
        (broker("inbox", log_start=11), ["inbox/0"]),
        (broker(log_start=None), []),
        (replace(w.BROKER, bus=replace(w.BROKER.bus, partitions={})), []),
        (replace(w.BROKER, inbox=None), []),
    ],
)
def test_records_that_cannot_be_read_again_are_named(now: f.Broker, labels: list[str]) -> None:
    assert g.lost_anchors(now, RANGES) == labels


def test_a_window_that_read_nothing_of_a_log_has_lost_nothing_of_it() -> None:
    assert g.lost_anchors(broker(log_start=11), [replace(RANGES[0], end=10)]) == []


def test_a_context_that_fell_shuts_and_one_that_ran_out_does_not_extend() -> None:
    good = Context("weather/a#1", None, NOW, NOW + SECOND)
    fell = Context("weather/b#1", "weather/b#1 fell", NOW, NOW)
    ran_out = Context("weather/c#1", None, NOW - SECOND, NOW)
    assert g.fallen([good, fell, ran_out]) == ["weather/b#1 fell"]
    assert g.unsure([good, fell, ran_out], NOW) == [
        f"the gate of weather/c#1 was not re-checked since {NOW:%Y-%m-%d %H:%M}"
    ]


def test_a_context_that_was_looked_at_in_a_time_to_come_was_not_looked_at() -> None:
    """The clock has stepped back since: that is said, and not that nobody looked since a time that is not there yet."""
    ahead = Context("weather/a#1", None, NOW + SECOND, NOW + 2 * SECOND)
    assert g.unsure([ahead], NOW) == ["the gate of weather/a#1 was re-checked at a time to come"]


# ---- re-checks that were ended --------------------------------------------------------------------------------------


def ended(plan: int) -> f.RecheckEnd:
    return f.RecheckEnd(plan, "flights.inbox", "Ana", "Bo", NOW)


def test_a_yes_says_what_of_it_stands_on_the_ledger() -> None:
    windows = [window(1, 30, ended=ended(8)), window(2, 5), window(3, 20, ended=ended(7)), window(4, 9, ended=ended(7))]
    answer = decide(windows, True, NOW)
    assert answer.ended == (ended(7), ended(8))
    said = "Re-checks of flights.inbox were ended by plan {} on 2026-01-01: it stands on the ledger."
    assert answer.detail == f"s/r#2 {said.format(7)} {said.format(8)}"
    assert decide([window(2, 5)], True, NOW).ended == ()


def test_a_no_stands_on_nothing() -> None:
    for no in (window(1, -1, ended=ended(7)), window(1, 5, "FAIL", ended=ended(7))):
        assert decide([no], True, NOW).ended == ()
        assert "ledger" not in decide([no], True, NOW).detail
    assert decide([window(1, 30, ended=ended(7))], False, NOW).ended == ()


@pytest.mark.parametrize("inbox", [None, f.Topic("flights.inbox", "another")])
def test_an_inbox_that_nobody_asks_for_shuts_nothing_and_the_bus_does(inbox: f.Topic | None) -> None:
    """The ranges of the inbox are left out with it (audit/enforce.py)."""
    basis, ranges = g.of_the_bus(w.BASIS), RANGES[:1]
    seen = replace(w.BROKER, inbox=inbox)
    assert g.objections(w.BASIS, seen, RANGES, 0) != []
    assert g.objections(basis, seen, ranges, 0) == g.unanswered(seen, ranges) == g.lost_anchors(seen, ranges[:0]) == []
    assert g.objections(basis, replace(seen, cluster_id="another"), ranges, 0) != []
    assert g.objections(basis, replace(seen, bus=replace(w.BROKER.bus, topic_id="x")), ranges, 0) != []
    assert g.objections(basis, seen, ranges, 1) == ["1 settled publish contradicted by the bus"]


def test_a_window_that_was_proven_on_another_bus_is_held_to_that_one() -> None:
    """Its own was created again since; its inbox is the one that it had."""
    anew = replace(w.BROKER.bus, topic_id="anew", partitions={0: w.log(9)})
    proven = replace(w.BASIS, broker=replace(w.BROKER, bus=anew, inbox=None))
    assert g.on_another_bus(w.BASIS, proven) and not g.on_another_bus(w.BASIS, w.BASIS)
    assert not g.on_another_bus(w.BASIS, replace(proven, broker=replace(proven.broker, cluster_id="other")))
    held = g.with_bus_of(w.BASIS, proven)
    ranges = [g.Range("flights.bus/0", "flights.bus", 0, 9, 9), *(r for r in RANGES if r.topic == "flights.inbox")]
    assert g.objections(held, replace(w.BROKER, bus=anew), ranges, 0) == []
    assert g.objections(held, w.BROKER, ranges, 0) == ["flights.bus was deleted and created again"]
    shorter = replace(anew, partitions={0: w.log(8)})
    said = g.objections(held, replace(w.BROKER, bus=shorter), ranges, 0)
    assert said == ["flights.bus/0 ends at 8, before the window's 9"]
    other = replace(w.BROKER, bus=anew, inbox=f.Topic("flights.inbox", "other"))
    assert g.objections(held, other, ranges, 0) == ["flights.inbox was deleted and created again"]
