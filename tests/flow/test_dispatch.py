"""Which lanes are taken next."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from ingest import dispatch
from ingest.core.errors import BrokerError, PassgateError
from ingest.core.lane import Step
from ingest.core.lease import Lease
from ingest.lease import release, take
from tests.flow.world import Flow, thing


def test_who_had_a_turn_goes_behind_those_that_wait(make_flow: Callable[..., Flow]) -> None:
    """A lane that fails or finds nothing each time is free again at once: it must not be the first one again, too."""
    first, second = flows = [make_flow(), make_flow()]
    for flow in flows:
        flow.open()
        flow.produce([thing(1)])
        flow.sample()

    def order() -> list[Flow]:
        mine = {flow.sources("inbox")[0]: flow for flow in flows}
        return [mine[row.source_id] for row in dispatch.work() if row.lane == "admission" and row.source_id in mine]

    assert order() == [first, second]
    lease = take("admission", first.sources("inbox")[0])
    assert lease is not None
    release(lease)
    assert order() == [second, first]
    for flow in flows:
        flow.work()


def test_a_lane_at_work_makes_room_after_its_turn(
    make_flow: Callable[..., Flow], monkeypatch: pytest.MonkeyPatch
) -> None:
    """There is room for one lane: its neighbours get theirs, however much it still has to do."""
    flow = make_flow()
    flow.open()
    flow.produce([thing(n) for n in range(100)])
    flow.sample()
    monkeypatch.setattr(dispatch, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(dispatch, "IDLE_CROWDED", 60.0)
    monkeypatch.setattr(dispatch, "IDLE_SECONDS", 2.0)
    worker = flow.worker()
    try:
        worker.slice(10.0, slots=99)
    finally:
        worker.close()
    assert flow.attempts() == ["ACKED"]


def test_a_process_takes_its_share_of_the_work_there_is_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog begins with admission alone: what it gives publishing and effects to do must not wait for its slice."""
    rows: list[SimpleNamespace] = []
    monkeypatch.setattr(dispatch, "work", lambda: rows)
    monkeypatch.setattr(dispatch, "take", lambda lane, source: Lease(lane, source, 1, "me", 1, 0, None))
    waiting = Mock(step=lambda wait: Step(0, idle=False))
    worker = dispatch.Worker(Mock(), dict.fromkeys(("admission", "publish", "effects"), lambda *_: waiting), Mock())
    for lanes, share in ((["admission"], 2), (["admission", "publish", "effects"], 6)):
        rows[:] = [
            SimpleNamespace(lane=lane, source_id=n, owner=None, expired=False) for lane in lanes for n in range(4)
        ]
        worker._take_free(slots=2)
        assert len(worker.held) == share


@pytest.mark.parametrize(("retry", "least"), [(True, dispatch.REST_RETRY), (False, dispatch.REST_OTHER)])
def test_a_lane_rests_in_proportion_to_what_its_failing_took(retry: bool, least: float) -> None:
    error: PassgateError = BrokerError(expected="an answer", found="none")
    error.retry = retry  # type: ignore[misc]
    now = time.monotonic()
    assert dispatch._rest(error, now) == least
    assert dispatch._rest(error, now - 100) >= 100 * dispatch.REST_SHARE
