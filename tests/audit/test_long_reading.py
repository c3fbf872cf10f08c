"""A ledger that takes longer to read than a sample may be old: what is true still is shown to be, or is UNMEASURED."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from audit import capture as look
from audit import close, measure, now
from audit.close import AnotherCloser, checks_now, close_due, judge, store, window_of
from audit.core import verdict as v
from audit.core.check import CheckName
from ingest.db import write
from ingest.streams import newest_contract
from ingest.windows import raise_revisions
from tests.audit.test_close import MakeFlow, discard_all, mine, states
from tests.audit.test_races import both
from tests.flow.world import Flow, thing

BOUND, READING = "1s", 1.3


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """A run that is all there and cut; a sample of it counts for a second."""
    return cut_window(make_flow, [thing(n) for n in range(5)])


@pytest.fixture
def blocked(make_flow: MakeFlow) -> Flow:
    """The same with an open item, which somebody may resolve."""
    return cut_window(make_flow, [*(thing(n) for n in range(5)), b"not json"])


def cut_window(make_flow: MakeFlow, values: list[bytes]) -> Flow:
    flow = make_flow(close=f'sample_max_age = "{BOUND}"')
    flow.open()
    flow.produce(values)
    flow.work()
    flow.cut()
    flow.work()
    flow.sample()
    return flow


@pytest.fixture
def slow(monkeypatch: pytest.MonkeyPatch) -> list[Callable[[], Any]]:
    """Reading the ledger takes longer than that; what is in the list happens meanwhile, once."""
    meanwhile: list[Callable[[], Any]] = []
    application = measure._WindowReading._application

    def slowly(self: Any) -> Any:
        self._cur.execute("SELECT pg_sleep(%s)", (READING,))
        while meanwhile:
            (said,) = both(meanwhile.pop())  # on another connection: this one is in its snapshot
            assert not isinstance(said, Exception), said
        return application(self)

    monkeypatch.setattr(measure._WindowReading, "_application", slowly)
    return meanwhile


def test_a_run_that_takes_long_to_read_passes(flow: Flow, slow: object) -> None:
    stored = flow.judge()
    assert stored.verdict.state is v.State.PASS, stored.sentence
    ages = [stored.verdict.judged_at - check.measured_at for check in stored.verdict.checks]
    assert max(age.total_seconds() for age in ages) < 1


def test_kafka_must_answer_again_after_a_long_reading(
    flow: Flow, slow: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """S10: an answer from before the reading is too old by then."""
    asked, capture = [], look.capture

    def once(*args: Any, **more: Any) -> look.Capture:
        asked.append(args)
        return capture(*args, **more) if len(asked) == 1 else look.Capture(why="away")

    judge(window_of(flow.name, "r1"))  # the bus's end is known from here on
    asked.clear()
    monkeypatch.setattr(look, "capture", once)
    verdict = judge(window_of(flow.name, "r1")).verdict
    assert len(asked) == 2
    assert verdict.state is v.State.BLOCKED
    assert {name for name, state in states(verdict).items() if state == "UNMEASURED"} == {
        "COVERAGE", "CAUGHT_UP", "PUBLISHED", "APPLIED", "COMMITTED", "BASIS",
    }  # fmt: skip


def test_a_source_that_has_no_lane_any_more_stays_as_it_was_counted(flow: Flow) -> None:
    """A batch strayed there, and the window has no range of it: nobody stands on it now."""
    win = window_of(flow.name, "r1")
    counted = judge(win).measurement
    assert counted.facts.inbox is not None
    (own,) = counted.facts.inbox.value
    stray = replace(own, label="inbox/7", start=0, cut=0, position=0, receipts=0, outside=3)
    facts = replace(counted.facts, inbox=replace(counted.facts.inbox, value=(own, stray)))
    again = measure.renewed(replace(counted, facts=facts), look.capture(newest_contract(flow.name).contract, []))
    assert again.facts.inbox is not None
    assert [(source.position, source.outside) for source in again.facts.inbox.value] == [(own.position, 0), (0, 3)]
    assert v.verdict(again.facts, again.at).state is v.State.FAIL


def something_changes(flow: Flow) -> None:
    """What every fact's own transaction does to its window."""
    with write() as cur:
        raise_revisions(cur, [window_of(flow.name, "r1")])


def test_what_changed_during_a_long_reading_refuses_the_verdict(flow: Flow, slow: list[Callable[[], Any]]) -> None:
    """S12: nothing is said to be true still when the revision has moved."""
    slow.append(lambda: something_changes(flow))
    judged = judge(window_of(flow.name, "r1"))
    assert judged.verdict.state is v.State.BLOCKED
    with pytest.raises(AnotherCloser):
        store(judged, "ana")


def test_lanes_that_go_on_with_the_next_run_are_not_seen_behind_their_commit(
    flow: Flow, slow: list[Callable[[], Any]]
) -> None:
    """The positions beside Kafka's commits are read anew, after the commits."""

    def next_run() -> None:
        flow.open("r2")
        flow.produce([thing(f"next-{n}") for n in range(7)])
        flow.work()
        time.sleep(1.2)  # a lane tells Kafka once a second

    slow.append(next_run)
    judged = judge(window_of(flow.name, "r1"))
    committed = judged.measurement.facts.committed
    assert committed is not None
    assert max(pair.committed or 0 for pair in committed.value if pair.label == "inbox/0") > 5
    assert store(judged, "ana").verdict.state is v.State.PASS


def test_a_page_shows_a_run_that_takes_long_to_read(flow: Flow, slow: object) -> None:
    win = window_of(flow.name, "r1")
    judge(win)
    now.forget(win)
    assert checks_now(win).state is v.State.PASS
    time.sleep(2.1)
    assert checks_now(win).state is v.State.PASS, "unchanged, and known to be"


def test_a_large_blocked_window_is_not_counted_again_without_a_change(
    blocked: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is looked after, for Kafka may have come back; its millions of receipts are the same as before."""
    flow = blocked
    monkeypatch.setattr(close, "LONG", 0.0)
    counted: list[int] = []
    real = close.measure

    def counting(win: int, *args: Any) -> Any:
        counted.append(win)
        return real(win, *args)

    monkeypatch.setattr(close, "measure", counting)
    win = window_of(flow.name, "r1")
    assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.BLOCKED]
    assert counted.count(win) == 1
    for pause in close._pauses.values():
        pause.until = pause.rests = 0.0
    assert mine(flow, close_due()) == []
    assert counted.count(win) == 1
    discard_all(flow)
    for pause in close._pauses.values():
        pause.until = pause.rests = 0.0
    assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.PASS]
    assert counted.count(win) == 2


def test_a_large_blocked_window_passes_once_kafka_is_back(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is new is worth a count of its own: nothing is stored that was not measured for it."""
    monkeypatch.setattr(close, "LONG", 0.0)
    judge(window_of(flow.name, "r1"))
    with monkeypatch.context() as away:
        away.setattr(look, "capture", lambda *_, **__: look.Capture(why="away"))
        assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.BLOCKED]
    for pause in close._pauses.values():
        pause.until = pause.rests = 0.0
    (passed,) = mine(flow, close_due())
    assert passed.verdict.state is v.State.PASS
    assert passed.verdict.check(CheckName.CAUGHT_UP).state == "HOLDS"  # type: ignore[union-attr]
