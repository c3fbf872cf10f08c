"""A close that waits: for lanes at work and what they move, not for a person, and not against another verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import pytest

from audit import close
from audit.close import AnotherCloser, FactsTooOld, close_run, judge, store, window_of
from audit.core import verdict as v
from ingest.db import write
from ingest.windows import raise_revisions
from tests.audit.test_close import discard_all
from tests.flow.world import Flow, thing

LONG = timedelta(seconds=600)


def cut_window(flow: Flow, *values: bytes, work: bool = True) -> int:
    flow.open()
    flow.produce(list(values))
    if work:
        flow.work()
    flow.cut()
    if work:
        flow.work()
    flow.sample()
    return window_of(flow.name, "r1")


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], object], times: int = 1) -> list[str]:
    """Does `act` between judging and storing, the first times; returns the names of these times."""
    done: list[str] = []

    def at(name: str) -> None:
        if name == "close.after_judging" and len(done) < times:
            done.append(name)
            act()

    monkeypatch.setattr(close, "failpoint", at)
    return done


def move(win: int) -> None:
    """A fact changes, as a lane at work changes one."""
    with write() as cur:
        raise_revisions(cur, [win])


def test_it_waits_for_lanes_and_stores_what_they_came_to(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    cut_window(flow, thing(1), thing(2), work=False)
    done = meanwhile(monkeypatch, flow.work)
    stored = close_run(flow.name, "r1", "ana", wait=LONG)
    assert (stored.number, stored.verdict.state, len(done)) == (1, v.State.PASS, 1)


def test_it_does_not_wait_for_what_a_person_has_to_do(flow: Flow) -> None:
    cut_window(flow, thing(1), b"not JSON")
    begun = time.monotonic()
    assert close_run(flow.name, "r1", "ana", wait=LONG).verdict.state is v.State.BLOCKED
    assert time.monotonic() - begun < LONG.total_seconds() / 2


def test_it_judges_again_where_a_fact_moved_while_it_waits(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    win = cut_window(flow, thing(1))
    done = meanwhile(monkeypatch, lambda: move(win), times=2)
    assert close_run(flow.name, "r1", "ana", wait=LONG).verdict.state is v.State.PASS
    assert len(done) == 2


def test_a_fact_that_moved_is_refused_where_it_does_not_wait(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    win = cut_window(flow, thing(1))
    meanwhile(monkeypatch, lambda: move(win))
    with pytest.raises(AnotherCloser) as refused:
        close_run(flow.name, "r1", "ana")
    assert refused.value.verdict is None


def test_a_verdict_of_before_is_nobody_elses(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fact moved on since #1: whoever judged meanwhile was not faster than anybody, and judges again."""
    win = cut_window(flow, thing(1), b"not JSON")
    assert close_run(flow.name, "r1", "ben").verdict.state is v.State.BLOCKED
    discard_all(flow)
    meanwhile(monkeypatch, lambda: move(win))
    with pytest.raises(AnotherCloser) as refused:
        close_run(flow.name, "r1", "ana")
    assert (refused.value.verdict, "stands" in str(refused.value)) == (None, False)
    meanwhile(monkeypatch, lambda: move(win))
    stored = close_run(flow.name, "r1", "ana", wait=LONG)
    assert (stored.number, stored.verdict.state) == (2, v.State.PASS)


def test_somebody_elses_verdict_stands_though_it_waits(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    win = cut_window(flow, thing(1), b"not JSON")
    meanwhile(monkeypatch, lambda: store(judge(win), "ben"))
    with pytest.raises(AnotherCloser, match="#1 by ben stands") as refused:
        close_run(flow.name, "r1", "ana", wait=LONG)
    assert refused.value.verdict == 1


@pytest.mark.parametrize("wait", [timedelta(0), LONG])
def test_facts_too_old_are_measured_again_where_it_waits(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, wait: timedelta
) -> None:
    """It was stopped for longer than a sample may be old."""
    cut_window(flow, thing(1))
    stopped: list[close.Judgement] = []

    def late(judged: close.Judgement, actor: str) -> close.StoredVerdict:
        if not stopped:
            stopped.append(judged)
            raise FactsTooOld(expected="facts at most 30 s old", found="40 s")
        return store(judged, actor)

    monkeypatch.setattr(close, "store", late)
    if wait:
        assert close_run(flow.name, "r1", "ana", wait=wait).verdict.state is v.State.PASS
    else:
        with pytest.raises(FactsTooOld):
            close_run(flow.name, "r1", "ana")
