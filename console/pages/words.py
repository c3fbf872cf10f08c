"""How each state looks: an icon, a word, a colour and a shape, one line per state (docs/console.md#look).

Nothing is green for lack of data: a word that is not listed here is drawn as unmeasured.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass


class Tone(enum.StrEnum):
    """The colour, as a CSS class suffix."""

    PASS = "pass"
    FAIL = "fail"
    BLOCKED = "blocked"
    RUNNING = "running"
    UNMEASURED = "unmeasured"
    ACCENT = "accent"
    MUTED = "muted"
    INK = "ink"


class Shape(enum.StrEnum):
    """The outline, as a CSS class suffix: what is left when a person sees no colour."""

    OUTLINE = "outline"
    SOLID = "solid"
    BAR = "bar"
    TINT = "tint"
    DASHED = "dashed"
    HATCH = "hatch"
    PLAIN = "plain"


@dataclass(frozen=True, slots=True)
class Look:
    """One state as it stands on a page."""

    word: str
    icon: str
    tone: Tone
    shape: Shape

    @property
    def classes(self) -> str:
        """The CSS classes of this look."""
        return f"status tone-{self.tone} shape-{self.shape}"


LOOKS: Mapping[str, Look] = {
    # verdicts, and what a window would get now
    "PASS": Look("PASS", "check", Tone.PASS, Shape.OUTLINE),
    "PASS (waived)": Look("PASS (waived)", "waived", Tone.PASS, Shape.DASHED),
    "BLOCKED": Look("BLOCKED", "diamond", Tone.BLOCKED, Shape.BAR),
    "FAIL": Look("FAIL", "cross", Tone.FAIL, Shape.SOLID),
    "NOT JUDGED": Look("not judged", "ring", Tone.MUTED, Shape.DASHED),
    # checks
    "HOLDS": Look("holds", "check", Tone.PASS, Shape.PLAIN),
    # checks that hold now are no verdict: the same word, without a verdict's colour
    "HOLDS NOW": Look("holds", "check", Tone.INK, Shape.PLAIN),
    "BROKEN": Look("broken", "cross", Tone.FAIL, Shape.PLAIN),
    "UNMEASURED": Look("unmeasured", "hatch", Tone.UNMEASURED, Shape.HATCH),
    "WAIVED": Look("waived", "waived", Tone.ACCENT, Shape.DASHED),
    # runs and windows
    "OPEN": Look("open", "ring", Tone.RUNNING, Shape.TINT),
    "CUT": Look("cut", "cut", Tone.RUNNING, Shape.OUTLINE),
    "CLOSED": Look("closed", "lock", Tone.INK, Shape.OUTLINE),
    # the gate
    "GATE OPEN": Look("Gate OPEN", "gate-open", Tone.PASS, Shape.OUTLINE),
    "GATE SHUT": Look("Gate SHUT", "gate-shut", Tone.INK, Shape.TINT),
    # its lease ran out on an open page, which then knows nothing of it
    "GATE UNMEASURED": Look("Gate not re-checked", "hatch", Tone.UNMEASURED, Shape.HATCH),
    # receipts
    "ADMITTED": Look("ADMITTED", "check", Tone.PASS, Shape.PLAIN),
    "DUPLICATE": Look("DUPLICATE", "twice", Tone.MUTED, Shape.PLAIN),
    "QUARANTINED": Look("QUARANTINED", "diamond", Tone.BLOCKED, Shape.PLAIN),
    # quarantine items
    "ITEM OPEN": Look("open", "diamond", Tone.BLOCKED, Shape.BAR),
    "RESOLVED": Look("resolved", "check", Tone.PASS, Shape.OUTLINE),
    # attempts
    "PREPARED": Look("PREPARED", "ring", Tone.RUNNING, Shape.TINT),
    "ACKED": Look("ACKED", "check", Tone.PASS, Shape.OUTLINE),
    "UNKNOWN": Look("UNKNOWN", "question", Tone.BLOCKED, Shape.BAR),
    "PRESENT": Look("PRESENT", "check", Tone.PASS, Shape.OUTLINE),
    "ABSENT": Look("ABSENT", "empty", Tone.RUNNING, Shape.OUTLINE),
    "PARTIAL": Look("PARTIAL", "half", Tone.BLOCKED, Shape.BAR),
    "UNDECIDABLE": Look("UNDECIDABLE", "question", Tone.FAIL, Shape.SOLID),
    "NOT_SENT": Look("NOT SENT", "empty", Tone.MUTED, Shape.OUTLINE),
    # gaps: a claim is not yet a measurement
    "CLAIMED": Look("claimed", "hatch", Tone.UNMEASURED, Shape.HATCH),
    "PROVEN": Look("proven", "check", Tone.PASS, Shape.PLAIN),
    # lanes and their sources
    "MOVING": Look("moving", "arrow", Tone.RUNNING, Shape.PLAIN),
    "CAUGHT UP": Look("caught up", "check", Tone.PASS, Shape.PLAIN),
    "STALLED": Look("STALLED", "cross", Tone.FAIL, Shape.SOLID),
    "WAITS": Look("waits", "pause", Tone.BLOCKED, Shape.DASHED),
    "STOPPED": Look("stopped", "pause", Tone.FAIL, Shape.BAR),
    "FREE": Look("free", "ring", Tone.MUTED, Shape.PLAIN),
    "RETIRED": Look("retired", "empty", Tone.MUTED, Shape.PLAIN),
    # what may be said of a set of counts, or of a sample
    "BALANCED": Look("balanced", "check", Tone.PASS, Shape.PLAIN),
    "NOT BALANCED": Look("not balanced", "cross", Tone.FAIL, Shape.SOLID),
    "STALE": Look("stale", "clock", Tone.UNMEASURED, Shape.HATCH),
    # joins of a projection
    "MATCHED": Look("MATCHED", "check", Tone.PASS, Shape.PLAIN),
    "MISSING": Look("MISSING", "empty", Tone.BLOCKED, Shape.PLAIN),
    "AMBIGUOUS": Look("AMBIGUOUS", "question", Tone.BLOCKED, Shape.PLAIN),
    # the services under the console
    "UP": Look("up", "check", Tone.PASS, Shape.PLAIN),
    "DOWN": Look("down", "cross", Tone.FAIL, Shape.SOLID),
}


def look(state: str) -> Look:
    """How a state looks. A state nobody described is hatched, with its own word."""
    return LOOKS.get(state) or Look(state, "hatch", Tone.UNMEASURED, Shape.HATCH)
