"""Publishing and effects, each alone: publish lanes over a backlog of batches, effects lanes over a filled bus."""

from __future__ import annotations

from typing import Any

from trials.bench.child import parts
from trials.bench.meter import Meter
from trials.bench.streams import applied, counts, found, look, unpublished, wait_until
from trials.bench.workers import Workers, shares

SECONDS = 900


def publish(stream: str, workers: int) -> dict[str, Any]:
    """Until no batch waits and no attempt is unsettled: every event has its place on the bus, and it is durable."""
    bound = found(stream)
    events = counts(bound)["admitted"]
    with Workers(["publish"], shares(bound.inbox, workers)) as processes:
        with Meter({**parts(), "workers": processes.pids}) as meter:
            processes.go()
            wait_until(lambda: unpublished(bound) == 0, SECONDS, "every batch is on the bus", check=processes.check)
    return meter.document(events)


def effects(stream: str, workers: int) -> dict[str, Any]:
    """Until every event of the bus has its effect."""
    bound = found(stream)
    events = counts(bound)["admitted"]
    look(bound)
    with Workers(["effects"], shares(bound.bus, workers)) as processes:
        with Meter({**parts(), "workers": processes.pids}) as meter:
            processes.go()
            wait_until(lambda: applied(bound) >= events, SECONDS, "every event has its effect", check=processes.check)
    return meter.document(events, applied=applied(bound))
