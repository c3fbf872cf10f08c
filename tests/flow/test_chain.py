"""Bus ranges chain from window to window, whatever became of the earlier one."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection

from audit import close
from audit.close import judge, store, window_of
from audit.core import verdict as v
from tests.flow.world import Flow, thing


def test_a_window_that_failed_before_its_bus_end_was_read_does_not_hold_up_the_next(flow: Flow) -> None:
    """Found by tests/model: nobody judges a FAIL again, so nobody read its end, and the next had no beginning."""
    flow.open("r1")
    flow.produce([thing(1)])
    flow.work("admission")
    flow.cut("r1")
    judged = judge(window_of(flow.name, "r1"))  # nothing is published yet: the bus's end is not known
    inbox = judged.measurement.facts.inbox
    assert inbox is not None
    refuted = replace(inbox, value=tuple(replace(row, refuted=1) for row in inbox.value))
    verdict = v.verdict(replace(judged.measurement.facts, inbox=refuted), judged.measurement.at)
    assert store(replace(judged, verdict=verdict), "test").verdict.state is v.State.FAIL
    flow.open("r2")
    flow.produce([thing(2)])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.PASS


def test_a_run_opened_while_the_earlier_bus_end_is_written_gets_its_beginning(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither transaction sees the other's row: unless they meet at the earlier range, nobody writes the later one."""
    flow.open("r1")
    flow.produce([thing(1)])
    flow.work()
    flow.cut("r1")
    flow.work()
    real, threads = close.raise_revisions, []

    def opens_in_between(cur: Any, windows: Any) -> None:
        threads.append(threading.Thread(target=_open_in_a_thread, args=(flow,)))
        threads[-1].start()
        threads[-1].join(2)
        real(cur, windows)

    monkeypatch.setattr(close, "raise_revisions", opens_in_between)
    assert flow.judge("r1").verdict.state is v.State.PASS
    (thread,) = threads
    thread.join(10)
    bus = flow.rows(
        "SELECT g.source_id FROM window_range g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id JOIN source c ON c.id = g.source_id"
        " WHERE s.name = %(name)s AND r.name = 'r2' AND c.role = 'bus'"
    )
    assert len(bus) == flow.bus_partitions


def _open_in_a_thread(flow: Flow) -> None:
    try:
        flow.open("r2")
    finally:
        connection.close()
