"""Guards of the effects lane and of the basis, each by what it guards: on the real bus, with nothing counted."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from audit import capture, close
from audit.close import AnotherCloser, judge, store, window_of
from audit.core import verdict as v
from audit.partitions import notice_partitions
from ingest.consume import EffectsLane
from ingest.db import read
from ingest.kafka import TopicChanged
from ingest.lanes.lease import take
from ingest.streams import newest_contract
from tests.audit.test_close import grow
from tests.flow.bus import lease_runs_out
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def test_a_verdict_measured_before_effects_came_is_not_stored_after_them(flow: Flow) -> None:
    """What the effects lane makes durable changes a fact of the cut window: its revision rises with it."""
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission", "publish")
    flow.cut()
    win = window_of(flow.name, "r1")
    judge(win)  # the bus's end is known from here on
    judged = judge(win)
    assert judged.verdict.state is v.State.BLOCKED
    flow.work("effects")
    assert flow.count("effect") == 4
    with pytest.raises(AnotherCloser):
        store(judged, "test")
    stored = close._close_due_window(win, time.monotonic())
    assert stored is not None and stored.verdict.state is v.State.PASS


def test_effects_of_a_bus_that_was_made_again_are_not_committed(make_flow: MakeFlow) -> None:
    """What was read was read from the topic of the basis; by the time of its commit that topic is another one."""
    flow = make_flow(bus_partitions=1)
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission", "publish")
    lease = take("effects", flow.sources("bus")[0])
    assert lease is not None
    lane = EffectsLane(lease, flow.cluster, flow.admin)
    until = time.monotonic() + 20
    while len(lane.gathering.pending.records) < 4:
        assert time.monotonic() < until
        lane.gathering.fill(1.0, 100, 1_000_000)
    flow.admin.delete_topic(flow.bus)
    flow.admin.create_topic(flow.bus, 1)
    with pytest.raises(TopicChanged):
        while not lane.step(0.5).records:
            assert time.monotonic() < until
    lane.close()
    assert (flow.count("effect"), flow.position("effects").next_offset) == (0, 0)
    lease_runs_out(flow, "effects")


def test_a_grown_basis_keeps_the_starts_and_epochs_that_it_had(flow: Flow) -> None:
    """S1: a later generation adds what is new. What it knew already stays as it was when the window opened."""
    flow.open()
    win = window_of(flow.name, "r1")
    flow.produce([thing(1), thing(2)])
    flow.work()
    with read() as cur:
        before = capture.read_basis(cur, win)
    flow.admin.delete_records(flow.inbox, {0: 1})
    grow(flow, 2)
    assert notice_partitions(win, newest_contract(flow.name).contract) == 1
    with read() as cur:
        after = capture.read_basis(cur, win)
    assert before is not None and after is not None
    was, is_ = before.value.broker.inbox, after.value.broker.inbox
    assert was is not None and is_ is not None
    assert (after.value.generation, sorted(is_.partitions)) == (2, [0, 1])
    assert is_.partitions[0] == was.partitions[0]
