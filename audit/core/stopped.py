"""Why a lane stands still, as a cause of the sentence: its own reason and the act that ends it, not "wait"."""

from __future__ import annotations

from collections.abc import Iterable

from audit.core import facts as f
from audit.core.check import Act, Cause
from ingest.core import stops


def lane_text(stop: f.LaneStop) -> str:
    """`inbox/0 stopped: topic_gone: the topic …`, or what the lane waits for."""
    waits = stops.waits_for(stop.code)
    return f"{stop.label} {waits}" if waits else f"{stop.label} stopped: {stops.why(stop.code, stop.detail)}"


def lane_act(stop: f.LaneStop) -> Act:
    known = stops.stop_of(stop.code)
    return Act(known.act, known.permission)


def publish_causes(p: f.PublishFacts) -> Iterable[Cause]:
    """Stopped publish lanes of the window, where the window's own attempts do not say it already."""
    if not p.unsettled:
        return
    for stop in p.stopped:
        own = p.unknown[0] or p.undecidable[0] or p.withheld[0]
        if stops.is_brief(stop.code) or (stop.code in stops.WAITS and own):
            continue
        yield Cause(lane_text(stop), lane_act(stop))
