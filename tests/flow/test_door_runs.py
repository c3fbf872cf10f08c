"""A request that was read while one run was open and comes to its turn in the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit import go_on as verb
from audit.go_on import go_on
from ingest.admit import http as door
from ingest.admit.http import DoorRecord, receive
from tests.flow.test_door import OPEN_DOOR, Waiting
from tests.flow.world import Flow, thing
from tests.patience import until


def test_a_group_never_holds_requests_that_were_read_under_two_runs(
    make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its identities would be the old run's in the new run: the same event sent again would be admitted again."""
    flow = make_flow(contract=OPEN_DOOR)
    flow.open("r1")
    sent(flow, thing("first"))
    read, go = threading.Event(), threading.Event()
    understand = door.arrivals_of

    def late(loaded: Any, run_name: str, records: Any) -> Any:
        understood = understand(loaded, run_name, records)
        if run_name == "r1" and records[0].value == thing("late"):
            read.set()
            assert go.wait(30)
        return understood

    monkeypatch.setattr(door, "arrivals_of", late)
    with ThreadPoolExecutor(3) as pool:
        slow = pool.submit(sent, flow, thing("late"))
        assert read.wait(30)
        flow.cut("r1")
        flow.open("r2")
        waiting = Waiting(flow, monkeypatch)
        leader = pool.submit(sent, flow, thing("leads"))
        assert waiting._in.wait(30)
        beside = pool.submit(sent, flow, thing("beside"))
        waiting._until_waiting(1)
        go.set()
        waiting._until_waiting(2)
        waiting._go.set()
        answers = [future.result(60) for future in (leader, beside, slow)]
    assert [(received.run, received.outcomes[0].decision.name) for received in answers] == [("r2", "ADMITTED")] * 3
    again = sent(flow, thing("late"))
    assert again.outcomes[0].decision.name == "DUPLICATE"
    until(lambda: flow.count("event") == 4)


def test_a_door_that_waits_for_a_window_to_be_cut_is_bound_to_the_next(
    make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by tests/model: it was told that no run is open, which at no moment was so."""
    flow = make_flow(contract=OPEN_DOOR)
    flow.open("r1")
    waits = []

    def point(name: str) -> None:
        if name == "go_on.before_commit" and not waits:
            waits.append(pool.submit(sent, flow, thing(1)))
            pool.submit(waits_for_the_window, flow).result(60)

    monkeypatch.setattr(verb, "failpoint", point)
    with ThreadPoolExecutor(2) as pool:
        go_on(flow.name, "r1", "test")
        received = waits[0].result(60)
    assert (received.run, received.outcomes[0].decision.name) == ("r1", "ADMITTED")
    (bound,) = flow.rows(
        "SELECT w.number FROM window_range g JOIN run_window w ON w.id = g.win JOIN source c ON c.id = g.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND c.kind = 'door'"
    )
    assert bound.number == 2


def waits_for_the_window(flow: Flow) -> None:
    """Asked by a connection of its own: within a transaction the first answer is every answer."""
    try:
        until(lambda: flow.rows(LOCKED))
    finally:
        connection.close()


LOCKED = (
    "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    " AND query LIKE '%%FOR SHARE OF w%%'"
)


def sent(flow: Flow, value: bytes) -> Any:
    try:
        return receive(flow.name, [DoorRecord(0, None, None, value, None)])
    finally:
        if threading.current_thread() is not threading.main_thread():
            connection.close()
