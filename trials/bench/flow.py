"""The whole flow, inbox to effects, by the stack's own Celery workers and beat: nothing of the benchmark takes part."""

from __future__ import annotations

import time
from typing import Any

from trials.bench.child import parts
from trials.bench.ends import BenchEnded
from trials.bench.meter import Meter
from trials.bench.streams import Bound, admitted_to, applied, counts, found, opened, unpublished, wait_until

SILENT = 120.0
"""Seconds without any progress after which a flow stands still."""


class StandsStill(BenchEnded):
    """Some lane does not go on."""


def measure(topic: str, records: int) -> dict[str, Any]:
    """Sustained: the clock starts when the first effect is durable, and ends with the last.

    Only records are counted that were not even admitted when it started. Where that leaves less than half of them,
    there were too few to sustain anything, and the clock is that of the run's opening.
    """
    began = time.monotonic()
    stream = opened(topic)
    with Meter(parts()) as whole:
        wait_until(lambda: applied(stream) > 0, SILENT, "the first effect")
        first = time.monotonic() - began
        left = records - admitted_to(stream)
        with Meter(parts()) as sustained:
            reached = drain(stream, records)
    meter, counted = (sustained, left) if left >= records / 2 else (whole, records)
    return meter.document(
        counted, counts=counts(stream), applied=applied(stream), reached=reached, stream=stream.name,
        first_effect=round(first, 2), whole=whole.document(records),
    )  # fmt: skip


def drained(stream: str, records: int) -> dict[str, float]:
    """Waits until so many records of the run are through."""
    return drain(found(stream), records)


def progress(stream: str) -> dict[str, int]:
    """Where each lane stands."""
    run = found(stream)
    return {"admission": admitted_to(run), "effects": applied(run)}


def drain(stream: Bound, records: int) -> dict[str, float]:
    """Waits for every record's receipt, place and effect; seconds after which each lane had done its part."""
    began = moved = time.monotonic()
    reached: dict[str, float] = {}
    stood = (0, 0, 0)
    while "effects" not in reached:
        now = time.monotonic()
        stands = (admitted_to(stream), unpublished(stream), applied(stream))
        done = {
            "admission": stands[0] >= records,
            "publish": stands[0] >= records and not stands[1],
            "effects": stands[0] >= records and not stands[1] and stands[2] >= counts(stream)["admitted"],
        }
        for lane in (lane for lane, is_done in done.items() if is_done):
            reached.setdefault(lane, round(now - began, 2))
        moved, stood = (moved, stood) if stands == stood else (now, stands)
        if now - moved > SILENT:
            raise StandsStill(f"{stands[0]:,} of {records:,} admitted, {stands[1]} unpublished, {stands[2]:,} applied")
        time.sleep(0.1)
    return reached
