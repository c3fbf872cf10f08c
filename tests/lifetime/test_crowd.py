"""Lanes that fail or wait for somebody, in any number, do not keep others from their work."""

from __future__ import annotations

import pytest

from console.stack import Stack
from tests.flow.world import Flow, thing
from tests.lifetime.patience import Stretch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CROWD = 14  # of each kind, so that each lane worker could be full of them twice over


def without_inbox() -> None:
    """Its admission and effects lanes fail each time they are taken."""
    flow = Flow()
    flow.open()
    flow.produce([thing(n) for n in range(3)])
    flow.admin.delete_topic(flow.inbox)


def without_bus() -> None:
    """What was admitted cannot be published."""
    flow = Flow()
    flow.open()
    flow.produce([thing(n) for n in range(3)])
    flow.work("admission")
    flow.admin.delete_topic(flow.bus)


def with_a_compacted_bus() -> None:
    """The bus compacts, which somebody has to change before anything is published."""
    flow = Flow()
    flow.open()
    flow.produce([thing(n) for n in range(3)])
    flow.work("admission")
    flow.admin.set_topic(flow.bus, "cleanup.policy", "compact")


def test_a_crowd_of_broken_streams_costs_the_others_their_turns_only(live: Stack, serving: Stack) -> None:
    for _ in range(CROWD):
        without_inbox()
        without_bus()
        with_a_compacted_bus()
    run = Stretch()
    run.produce()
    run.wait_applied(1)
    run.produce()
    run.ends_whole()
