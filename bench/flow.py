"""The whole flow, inbox to effects, by the stack's own Celery workers and beat: nothing of the benchmark takes part."""

from __future__ import annotations

import time
from typing import Any

from bench.child import parts
from bench.meter import Meter
from bench.streams import Bound, admitted_to, applied, counts, opened, unpublished, wait_until

SECONDS = 1_800


def measure(topic: str, records: int, bus_partitions: int = 4) -> dict[str, Any]:
    """The clock starts when the run opens and ends when the last event's effect is durable."""
    stream = opened(topic, bus_partitions)
    with Meter(parts()) as meter:
        reached = drain(stream, records)
    return meter.document(records, counts=counts(stream), applied=applied(stream), reached=reached, stream=stream.name)


def drain(stream: Bound, records: int, seconds: float = SECONDS) -> dict[str, float]:
    """Waits for every record's receipt, place and effect; seconds after which each lane had done its part."""
    began = time.monotonic()
    reached: dict[str, float] = {}

    def note(lane: str) -> None:
        reached.setdefault(lane, round(time.monotonic() - began, 2))

    def done() -> bool:
        if "admission" not in reached:
            if admitted_to(stream) < records:
                return False
            note("admission")
        if "publish" not in reached:
            if unpublished(stream):
                return False
            note("publish")
        return applied(stream) >= counts(stream)["admitted"]

    wait_until(done, seconds, "every event has its effect", every=0.1)
    note("effects")
    return reached
