"""Whose turn it is when windows are judged by themselves, who rests meanwhile, and what their pages say of trouble."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from audit import close
from audit.close import close_due, judge, window_of
from audit.core import verdict as v
from ingest.core.errors import BrokerError
from tests.audit.test_after_a_pass import cut_window, numbers, touched
from tests.audit.test_close import discard_all, mine, passed
from tests.audit.test_gate import broker_away
from tests.audit.test_races import both
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def at(seconds: float) -> Callable[[], float]:
    """A clock that stands."""
    return lambda: seconds


def blocked(flow: Flow) -> int:
    """Cut, with one item that somebody may resolve."""
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    return window_of(flow.name, "r1")


def without_pauses() -> None:
    for pause in close._pauses.values():
        pause.until = pause.rests = 0.0


# ---- turns and pauses -----------------------------------------------------------------------------------------------


def test_a_contract_may_keep_a_window_from_being_judged_by_itself(make_flow: MakeFlow) -> None:
    flow = make_flow(close="auto = false")
    cut_window(flow)
    assert mine(flow, close_due()) == []
    assert numbers(flow) == []
    assert flow.judge().verdict.state is v.State.PASS


def test_a_blocked_window_is_asked_about_again_when_its_pause_is_over(flow: Flow) -> None:
    """Kafka is back at once, but a broker that is away is not asked at every look."""
    cut_window(flow)
    with broker_away():
        assert [found.verdict.state for found in mine(flow, close_due(at(1000.0)))] == [v.State.BLOCKED]
    assert mine(flow, close_due(at(1001.0))) == []
    assert numbers(flow) == ["BLOCKED"]
    assert [found.verdict.state for found in mine(flow, close_due(at(9000.0)))] == [v.State.PASS]


def test_a_pass_that_could_not_be_looked_at_again_pauses_too(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    touched(flow)
    close._pauses.clear()
    with broker_away():
        assert mine(flow, close_due(at(1000.0))) == []
    assert mine(flow, close_due(at(1001.0))) == []
    assert numbers(flow) == ["PASS"]
    assert [found.verdict.state for found in mine(flow, close_due(at(9000.0)))] == [v.State.FAIL]


def test_a_large_window_rests_though_facts_change(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Others have their turns while it would be counted again and again."""
    monkeypatch.setattr(close, "LONG", 0.0)
    monkeypatch.setattr(close, "REST", 1000)
    blocked(flow)
    assert [found.verdict.state for found in mine(flow, close_due(at(1000.0)))] == [v.State.BLOCKED]
    discard_all(flow)
    assert mine(flow, close_due(at(1001.0))) == []
    assert numbers(flow) == ["BLOCKED"]
    assert [found.verdict.state for found in mine(flow, close_due(at(9e9)))] == [v.State.PASS]


def test_a_blocked_window_has_its_turn_beside_those_that_move(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long the others take: of what moved one is judged, and then one of what only Kafka held up."""
    first, second, held = make_flow(), make_flow(), make_flow()
    for flow in (first, second, held):
        cut_window(flow)
    with broker_away():
        assert {stored.verdict.state for stored in close_due()} == {v.State.BLOCKED}
    touched(first)
    touched(second)
    without_pauses()
    monkeypatch.setattr(close, "CLOSE_DUE_SECONDS", -1.0)
    monkeypatch.setattr(close._Turns, "_stood", {})
    assert [stored.name.split("/")[0] for stored in close_due()] == [first.name, held.name]


def test_a_fail_is_said_at_once_though_lanes_still_work(flow: Flow) -> None:
    """Whatever they come to, it cannot be cleared."""
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.cut()
    assert flow.count("effect") == 0
    assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.FAIL]


# ---- what took long to count ----------------------------------------------------------------------------------------


class Killed(BaseException):
    """The process of a lane ends."""


def test_a_publish_that_nobody_is_left_to_tell_of_is_named_though_no_fact_moved(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was in flight when a large window was counted; then its lane was gone."""
    monkeypatch.setattr(close, "LONG", 0.0)
    flow = make_flow(automatic="false", close='stalled_after = "1s"')
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.cut()
    time.sleep(1.1)
    said: list[Any] = []

    def in_flight(*_: object) -> None:
        said.extend(both(close_due))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("ingest.kafka.TransactionalProducer.send", in_flight)
        with pytest.raises(Killed):
            flow.work("publish")
    (first,) = mine(flow, said[0])
    assert "no known outcome" not in first.sentence
    without_pauses()
    (second,) = mine(flow, close_due())
    assert "1 publish (1 event) has no known outcome" in second.sentence


def test_a_gap_that_is_refuted_later_is_named_though_no_fact_moved(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large window was counted while no second reader could look."""
    monkeypatch.setattr(close, "LONG", 0.0)
    blocked(flow)
    assert len(mine(flow, close_due())) == 1
    (source,) = flow.sources("inbox")
    monkeypatch.setattr(close.gaps, "prove", lambda _: {source: 2})
    without_pauses()
    (stored,) = mine(flow, close_due())
    assert stored.verdict.state is v.State.FAIL
    assert "2 offsets" in stored.sentence


# ---- trouble --------------------------------------------------------------------------------------------------------


def said_of(flow: Flow) -> Any:
    (row,) = flow.rows(
        "SELECT unjudged_why, unjudged_at FROM run_window WHERE id = %(win)s", win=window_of(flow.name, "r1")
    )
    return row


def test_why_a_window_could_not_be_judged_stands_on_its_own_row_until_it_is(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    troubled, other = make_flow(), make_flow()
    win = cut_window(troubled)
    cut_window(other)

    def trouble(found: int) -> close.Judgement:
        if found == win:
            raise BrokerError(expected="an answer", found="nonsense " * 500)
        return judge(found)

    with monkeypatch.context() as patch:
        patch.setattr(close, "judge", trouble)
        stored = close_due(at(1000.0))
    assert (mine(troubled, stored), len(mine(other, stored))) == ([], 1)
    said = said_of(troubled)
    assert said.unjudged_why.startswith("broker_failed: ") and "expected an answer; found nonsense" in said.unjudged_why
    assert len(said.unjudged_why) == 2000 and said.unjudged_at is not None
    assert (said_of(other).unjudged_why, said_of(other).unjudged_at) == (None, None)
    assert [found.verdict.state for found in mine(troubled, close_due(at(9000.0)))] == [v.State.PASS]
    assert (said_of(troubled).unjudged_why, said_of(troubled).unjudged_at) == (None, None)
