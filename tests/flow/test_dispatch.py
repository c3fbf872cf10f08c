"""Which lanes are taken next."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import SimpleNamespace
from unittest.mock import Mock

import pytest

from ingest import worker as lane_worker
from ingest.core.errors import BrokerError, PassgateError
from ingest.core.lane import BackgroundWork, Step
from ingest.core.lease import Lease
from ingest.lanes.lease import release, take
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
        return [mine[row.source_id] for row in lane_worker.work() if row.lane == "admission" and row.source_id in mine]

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
    monkeypatch.setattr(lane_worker, "TURN_SECONDS", 0.0)
    monkeypatch.setattr(lane_worker, "IDLE_CROWDED", 60.0)
    monkeypatch.setattr(lane_worker, "IDLE_SECONDS", 2.0)
    worker = flow.worker()
    try:
        worker.slice(10.0, slots=99)
    finally:
        worker.close()
    assert flow.attempts() == ["ACKED"]


Rows = list[SimpleNamespace]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch) -> Rows:
    """The lanes that have work, in place of the database's; each that is taken is had."""
    found: Rows = []
    monkeypatch.setattr(lane_worker, "work", lambda: found)
    monkeypatch.setattr(lane_worker, "take", lambda lane, source: Lease(lane, source, 1, "me", 1, 0, None))
    return found


def _free(*lanes: str) -> Rows:
    """Four of each, which nobody holds."""
    return [SimpleNamespace(lane=lane, source_id=n, owner=None, expired=False) for lane in lanes for n in range(4)]


def test_a_process_takes_its_share_of_the_work_there_is_now(rows: Rows) -> None:
    """A backlog begins with admission alone: what it gives publishing and effects to do must not wait for its slice."""
    waiting = Mock(step=lambda wait, meanwhile: Step(0, idle=False))
    worker = lane_worker.Worker(Mock(), dict.fromkeys(("admission", "publish", "effects"), lambda *_: waiting), Mock())
    for lanes, share in ((["admission"], 2), (["admission", "publish", "effects"], 6)):
        rows[:] = _free(*lanes)
        worker._take_free(slots=2)
        assert len(worker.held) == share


@pytest.fixture
def crowded(rows: Rows, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Four lanes with work, room for two, and each step takes longer than an idle lane is kept; who was given back."""
    rows += _free("admission")
    given_back: list[tuple[str, int]] = []
    monkeypatch.setattr(lane_worker, "release", lambda lease: given_back.append((lease.lane, lease.source)))
    monkeypatch.setattr(lane_worker, "MOST_LANES", 2)
    monkeypatch.setattr(lane_worker, "IDLE_CROWDED", 0.01)
    monkeypatch.setattr(lane_worker, "IDLE_SECONDS", 0.02)
    return given_back


def _stepping(idle: bool) -> Mock:
    def step(wait: float, meanwhile: BackgroundWork) -> Step:
        time.sleep(0.05)
        return Step(0, idle=idle)

    return Mock(step=step)


def test_a_lane_is_not_idle_while_its_neighbours_take_their_time(crowded: list[tuple[str, int]]) -> None:
    """Sixteen lanes that store a batch each make a round of seconds: who was first in it has not been asked since.

    It would be given back with all that it has gathered, its consumer closed, and opened anew: in a trial with 64
    partitions each was opened three times for its single batch.
    """
    worker = lane_worker.Worker(Mock(), {"admission": lambda *_: _stepping(idle=False)}, Mock())
    worker.slice(0.3)
    worker._take_free(slots=1)  # with two that wait for room
    assert (sorted(source for _, source in worker.held), crowded) == ([0, 1], [])


def test_a_lane_that_says_it_is_idle_makes_room_for_one_that_waits(crowded: list[tuple[str, int]]) -> None:
    lanes = iter([_stepping(idle=True), _stepping(idle=False)])
    worker = lane_worker.Worker(Mock(), {"admission": lambda *_: next(lanes)}, Mock())
    worker._take_free(slots=1)
    worker._round()
    worker._take_free(slots=1)
    assert crowded == []  # its consumer has only just begun to fetch
    worker._round()
    worker._take_free(slots=1)
    assert crowded == [("admission", 0)]
    assert list(worker.held) == [("admission", 1)]


def test_room_that_was_made_is_taken_at_once(crowded: list[tuple[str, int]], monkeypatch: pytest.MonkeyPatch) -> None:
    """With 64 lanes for 32 places, each lane that had ended left its place empty until the next look."""
    monkeypatch.setattr(lane_worker, "LOOK_SECONDS", 0.3)
    held: list[int] = []
    round_ = lane_worker.Worker._round
    monkeypatch.setattr(lane_worker.Worker, "_round", lambda self: held.append(len(self.held)) or round_(self))
    lanes = iter([_stepping(idle=True), *[_stepping(idle=False) for _ in range(3)]])
    worker = lane_worker.Worker(Mock(), {"admission": lambda *_: next(lanes)}, Mock())
    worker.slice(1.0)
    assert crowded[:1] == [("admission", 0)]
    assert held.count(1) == 1, "one round between making room and taking"


def test_a_slice_that_ends_with_nothing_to_do_gives_all_back(crowded: list[tuple[str, int]]) -> None:
    """Another process may have the next permit, and must not wait until these leases end by themselves."""
    worker = lane_worker.Worker(Mock(), {"admission": lambda *_: _stepping(idle=True)}, Mock())
    worker.slice(5.0)
    assert worker.held == {}
    assert {source for _, source in crowded} >= {0, 1}


@pytest.mark.parametrize(("retry", "least"), [(True, lane_worker.REST_RETRY), (False, lane_worker.REST_OTHER)])
def test_a_lane_rests_in_proportion_to_what_its_failing_took(retry: bool, least: float) -> None:
    error: PassgateError = BrokerError(expected="an answer", found="none")
    error.retry = retry  # type: ignore[misc]
    now = time.monotonic()
    assert lane_worker._rest(error, now) == least
    assert lane_worker._rest(error, now - 5.9) >= 5.9 * lane_worker.REST_SHARE
    assert lane_worker._rest(error, now - 100) == lane_worker.REST_MOST, "it was gone for long, and came back"
