"""Until when a window is complete: every event appended before that time is in it, or in a window before it. Pure.

The time is of the clock that stamps appends (the broker's, of a door the database's), less what the contract allows
between clocks. What was not measured is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from ingest.core.ids import WindowId


@dataclass(frozen=True)
class SourceEnd:
    """What was measured of one source behind its cut.

    `first_at`: when the first record at or after the cut was appended; `nothing_at`: a time before it was seen that
    nothing lies there. One of them, or `why` neither is known; `for_good`: asking again will not help.
    """

    label: str
    first_at: datetime | None = None
    nothing_at: datetime | None = None
    why: str = ""
    for_good: bool = False


@dataclass(frozen=True)
class Completeness:
    """`until`, or `why` it is not claimed; `for_good`: it never will be."""

    until: datetime | None
    why: str = ""
    for_good: bool = False


def completeness(ends: Sequence[SourceEnd], asked_at: datetime, skew: timedelta) -> Completeness:
    """The minimum over all sources, and over `asked_at`: when it was asked which partitions there are."""
    unknown = [end for end in ends if end.first_at is None and end.nothing_at is None]
    if unknown:
        why = "; ".join(f"{end.label} {end.why}" for end in unknown[:3])
        return Completeness(None, why, any(end.for_good for end in unknown))
    times = [at for end in ends for at in (end.first_at, end.nothing_at) if at is not None]
    return Completeness(min([*times, asked_at]) - skew)


def source_end(
    label: str,
    cut: int,
    before: tuple[int | None, int | None, int | None],
    after: tuple[int | None, int | None, int | None],
    first: tuple[int, datetime | None] | None,
    asked_at: datetime,
) -> SourceEnd:
    """What two looks at a log's (start, last stable offset, high watermark) and a reading between them say.

    `first`: offset and append time of the first record that was read from the cut on; a time of None is CreateTime.
    """
    if None in before or None in after:
        return SourceEnd(label, why="was not measured")
    if (before[0] or 0) > cut or (after[0] or 0) > cut:
        return SourceEnd(label, why="was deleted beyond the cut before its end was seen", for_good=True)
    if first is not None:
        if first[1] is None:
            return SourceEnd(label, why="stamps the producer's time (CreateTime)", for_good=True)
        return SourceEnd(label, first_at=first[1])
    if before[1] == before[2] == cut:
        return SourceEnd(label, nothing_at=asked_at)
    return SourceEnd(label, why="has something behind the cut that no reader was given")


# ---- the gate's question --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SpanWindow:
    """A window of a stream as the question about a span of time sees it, in the order of their opening.

    `follows`: whether each of its sources goes on where the window before ended. `live`: its gate is open now.
    """

    win: WindowId
    name: str
    verdict: str | None
    opened_at: datetime
    cut_at: datetime | None
    complete_until: datetime | None
    complete_why: str
    follows: bool
    live: bool
    said: str
    open_until: datetime | None
    skew: timedelta


@dataclass(frozen=True)
class Span:
    """Windows that a span of time lies in, or `why` it is not known to lie in windows that may be read.

    `retry`: whether asking again can help.
    """

    windows: tuple[SpanWindow, ...] = ()
    why: str = ""
    retry: bool = False

    @property
    def open_until(self) -> datetime | None:
        return min((w.open_until for w in self.windows if w.open_until), default=None)


def span(windows: Sequence[SpanWindow], since: datetime, until: datetime) -> Span:
    """The consecutive windows that hold everything appended in [since, until), if all their gates are open.

    A window may hold what was appended up to its cut; it is complete only until `complete_until`. So the first one is
    the first that was cut at `since` or later, and the last one the first that is complete until `until`.
    """
    if not windows or windows[0].opened_at > since:
        begin = windows[0].opened_at.isoformat() if windows else ""
        return Span(why=f"the stream is known since {begin}" if windows else "the stream has no window")
    last = next((at for at, w in enumerate(windows) if w.complete_until and w.complete_until >= until), None)
    if last is None:
        return Span(why=_not_complete(windows), retry=True)
    first = next(at for at, w in enumerate(windows) if w.cut_at is None or w.cut_at + w.skew >= since)
    chosen = tuple(windows[min(first, last) : last + 1])
    apart = next((w for w in chosen[1:] if not w.follows), None)
    if apart is not None:
        return Span(why=f"{apart.name} does not begin where the window before it ends")
    shut = [w for w in chosen if not w.live]
    if shut:
        more = f", and {len(shut) - 1} more" if len(shut) > 1 else ""
        return Span(why=f"{shut[0].name}: {shut[0].said}{more}", retry=True)
    return Span(chosen)


def _not_complete(windows: Sequence[SpanWindow]) -> str:
    known = [w for w in windows if w.complete_until]
    if known:
        newest = known[-1]
        assert newest.complete_until is not None
        return f"complete until {newest.complete_until.isoformat()}, by {newest.name}"
    why = next((w.complete_why for w in reversed(windows) if w.complete_why), "no window is cut yet")
    return f"no window says until when it is complete: {why}"
