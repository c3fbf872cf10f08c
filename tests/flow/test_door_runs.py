"""A request that was read while one run was open and comes to its turn in the next one."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

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


def sent(flow: Flow, value: bytes) -> Any:
    try:
        return receive(flow.name, [DoorRecord(0, None, None, value, None)])
    finally:
        if threading.current_thread() is not threading.main_thread():
            connection.close()
