"""When a window or a run ends by the clock, and what a run is called then. Pure; every time is UTC and aware."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta

#: Written here and not left to strftime, which asks the locale for names and pads years as the platform likes.
DIRECTIVES: Mapping[str, Callable[[datetime], str]] = {
    "%Y": lambda at: f"{at.year:04}",
    "%m": lambda at: f"{at.month:02}",
    "%d": lambda at: f"{at.day:02}",
    "%H": lambda at: f"{at.hour:02}",
    "%M": lambda at: f"{at.minute:02}",
    "%j": lambda at: f"{at.timetuple().tm_yday:03}",
    "%G": lambda at: f"{at.isocalendar().year:04}",
    "%V": lambda at: f"{at.isocalendar().week:02}",
}
_PART = re.compile(r"%.?|[^%]+")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def pattern_fault(pattern: str) -> str:
    """What is wrong with a pattern of run names, in words; empty if nothing is."""
    parts = _PART.findall(pattern)
    unknown = [part for part in parts if part.startswith("%") and part not in DIRECTIVES]
    if unknown:
        return f"which has {unknown[0]}"
    return "" if any(part in DIRECTIVES for part in parts) else "which names every run the same"


def run_name_at(pattern: str, at: datetime) -> str:
    """The name of the run that is open at this time."""
    at = at.astimezone(UTC)
    return "".join(DIRECTIVES[part](at) if part in DIRECTIVES else part for part in _PART.findall(pattern))


def is_window_over(opened_at: datetime, now: datetime, every: timedelta) -> bool:
    """Whether a full multiple of `every` lies between the two. A clock that stepped back ends nothing."""
    return (now - _EPOCH) // every > (opened_at - _EPOCH) // every


def is_run_over(pattern: str, opened_at: datetime, now: datetime) -> bool:
    """Whether runs have another name now than when this one opened. A clock that stepped back ends nothing."""
    return now > opened_at and run_name_at(pattern, now) != run_name_at(pattern, opened_at)


def free_name(name: str, taken: Collection[str]) -> str:
    """`2026-11`, or the first of `2026-11.2`, `2026-11.3` … that no run has yet."""
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free


def _day(at: datetime) -> datetime:
    return at.replace(hour=0, minute=0, second=0, microsecond=0)


#: The part of a run's name that changes first, from the finest: to what a time is cut down to find where it changed.
_FLOORS: Mapping[str, Callable[[datetime], datetime]] = {
    "%M": lambda at: at.replace(second=0, microsecond=0),
    "%H": lambda at: at.replace(minute=0, second=0, microsecond=0),
    "%d": _day,
    "%j": _day,
    "%V": lambda at: _day(at) - timedelta(days=at.weekday()),
    "%m": lambda at: _day(at).replace(day=1),
    "%G": lambda at: datetime.fromisocalendar(at.isocalendar().year, 1, 1).replace(tzinfo=UTC),
    "%Y": lambda at: _day(at).replace(month=1, day=1),
}


def moment_of_cut(opened_at: datetime, cut_at: datetime, every: timedelta | None, run_name: str | None) -> datetime:
    """The time that a cut is of: the clock's own, where a clock cut the window, else when it was made.

    What cuts two streams at 14:00 comes to the one a little before the other. Were a cut of the second that it was made
    in, the window of 13:00 would be of the other's hour before or after, as it happens.
    """
    cut = cut_at.astimezone(UTC)
    moments = [cut - (cut - _EPOCH) % every] if every is not None else []
    if run_name is not None:
        parts = _PART.findall(run_name)
        moments += [floor(cut) for part, floor in _FLOORS.items() if part in parts][:1]
    return max((moment for moment in moments if opened_at < moment <= cut), default=cut)
