"""What a replay would write again, has written, or leaves as it is, of effects that went missing, in words. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from audit.core import phrases as w


def told(number: int, effects: int, rows: int) -> list[str]:
    """What would be written again of window `number`: the effects of so many events, and of so many the rows alone."""
    lines = []
    if effects:
        they = "it is" if effects == 1 else "they are"
        lines.append(f"{_effects(effects)} of window {number} {w.be(effects)} missing; {they} applied again.")
    if rows:
        lines.append(f"Rows of {_effects(rows)} of window {number} are missing; they are written again.")
    return lines


def told_refused(number: int, why: str, effects: int, rows: int, whys: Mapping[str, int]) -> list[str]:
    """What is missing and stays so: `why` of the whole window, or by event, how many for which reason."""
    lines = []
    if why and effects:
        are = w.be(effects)
        lines.append(f"{_effects(effects)} of window {number} {are} missing, and {are} not applied again: {why}.")
    if why and rows:
        lines.append(f"Rows of {_effects(rows)} of window {number} are missing, and are not written again: {why}.")
    for each, n in sorted(whys.items()):
        lines.append(f"{w.count(n, 'event')} of window {number} cannot be applied again: {each}.")
    return lines


def told_done(number: int, effects: int, rows: int) -> str | None:
    """The same of what was written again, for an outcome; None: nothing was."""
    lines = []
    if effects:
        were = w.were(effects)
        lines.append(f"{_effects(effects)} of window {number} {were} missing, and {were} applied again")
    if rows:
        lines.append(f"rows of {_effects(rows)} of window {number} were missing, and were written again")
    return "; ".join(lines) or None


def _effects(n: int) -> str:
    return w.count(n, "effect")
