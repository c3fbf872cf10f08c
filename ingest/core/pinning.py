"""What a window waits for whose contexts are pinned when it is cut. Pure.

A context's window *of that time* is the one that holds the moment of the cut: the first of its stream that was cut then
or later. One that was cut before is of an hour before, and never that window's context.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class ContextWindow:
    """The window of a context's stream that holds a moment, or the fresh run's that took its place.

    `state` and `verdict` are those of its newest verdict. `shut`: why its gate is not open; `for_good`: nobody opens it
    again.
    """

    place: str
    is_cut: bool
    state: str | None
    verdict: str | None
    shut: str | None
    for_good: bool = False


@dataclass(frozen=True, slots=True)
class ContextWait:
    """`failed`: no time ends this, a person does."""

    text: str
    failed: bool = False


def wait_for_cut(context: str) -> ContextWait:
    return ContextWait(f"waits for {context}: what is joined with is known once this window is cut")


def wait_for_context(context: str, moment: datetime, found: ContextWindow | None) -> ContextWait | None:
    """What is waited for before this window can be pinned; None: it can be."""
    when = (
        f"{moment:%Y-%m-%d %H:%M}" if (moment.second, moment.microsecond) == (0, 0) else f"{moment:%Y-%m-%d %H:%M:%S}"
    )
    waits = f"waits for {context}: "
    if found is None:
        return ContextWait(f"{waits}no window of it holds {when} yet")
    held = f"the window that holds {when} ({found.place})"
    if not found.is_cut:
        return ContextWait(f"{waits}{held} is not cut yet")
    if found.state == "FAIL":
        return ContextWait(f"{waits}{held} is FAIL: a rerun opens it, or a fresh replay takes its place", failed=True)
    if found.state != "PASS":
        so_far = f": {found.verdict} is {found.state}" if found.verdict else ""
        return ContextWait(f"{waits}{held} has no PASS yet{so_far}")
    if found.shut:
        return ContextWait(f"{waits}the gate of {found.verdict} is not open: {found.shut}", found.for_good)
    return None


def waiting_circle(stream: str, waits_for: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
    """The shortest way from this stream back to itself over streams that wait for each other's cuts; empty: there is
    none. `waits_for`: of each stream that is pinned when it is cut, its contexts' streams.

    Each window of such a circle waits for a PASS of another, and none of them is ever judged.
    """
    ways: list[tuple[str, ...]] = [(stream,)]
    seen = {stream}
    while ways:
        longer = [(*way, other) for way in ways for other in waits_for.get(way[-1], ())]
        for way in longer:
            if way[-1] == stream:
                return way
        ways = []
        for way in longer:
            if way[-1] not in seen:
                seen.add(way[-1])
                ways.append(way)
    return ()
