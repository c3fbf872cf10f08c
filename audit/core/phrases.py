"""How numbers, ages and lists are written, so that every sentence, page and API says them alike."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

MINUTE, HOUR, DAY = 60, 3600, 86400


def number(n: int) -> str:
    """10002 -> "10,002": exact, never 10k."""
    return f"{n:,}"


def count(n: int, one: str, many: str | None = None) -> str:
    """(1, "publish", "publishes") -> "1 publish"; without `many` an s is added."""
    return f"{number(n)} {one if n == 1 else many or one + 's'}"


def be(n: int) -> str:
    return "is" if n == 1 else "are"


def have(n: int) -> str:
    return "has" if n == 1 else "have"


def were(n: int) -> str:
    return "was" if n == 1 else "were"


def them(n: int) -> str:
    return "it" if n == 1 else "them"


def age(span: timedelta) -> str:
    """45 s, 6 min, 2 h, 3 d: the largest unit of which there is at least one (and a half for minutes)."""
    seconds = max(int(span.total_seconds()), 0)
    if seconds < 90:
        return f"{seconds} s"
    if seconds < HOUR:
        return f"{seconds // MINUTE} min"
    if seconds < 2 * DAY:
        return f"{seconds // HOUR} h"
    return f"{seconds // DAY} d"


def clock(at: datetime) -> str:
    """Hour and minute; the exact time stands beside it as a value."""
    return at.strftime("%H:%M")


def cut_at(offset: int) -> str:
    """What became of a log of which the end is lost, as verdicts and gates say it."""
    return f"was cut at {number(offset)}, and is another log from there on"


def moment(at: datetime) -> str:
    """Day, hour and minute, where no value stands beside it; it may be of another day."""
    return at.strftime("%Y-%m-%d %H:%M")


def listed(parts: Sequence[str]) -> str:
    """["a", "b", "c"] -> "a, b and c"."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


def sources(labels: Sequence[str], most: int = 2) -> str:
    """At most `most` labels by name: "inbox/1 and inbox/3", "inbox/1, inbox/3 and 4 more sources"."""
    if len(labels) <= most:
        return listed(labels)
    return listed([*labels[:most], count(len(labels) - most, "more source")])


def sentence_case(text: str) -> str:
    return text[:1].upper() + text[1:]
