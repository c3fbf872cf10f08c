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
class StateLook:
    """One state as it stands on a page."""

    word: str
    icon: str
    tone: Tone
    shape: Shape

    @property
    def classes(self) -> str:
        """The CSS classes of this look."""
        return f"status tone-{self.tone} shape-{self.shape}"


LOOKS: Mapping[str, StateLook] = {
    # verdicts, and what a window would get now
    "PASS": StateLook("PASS", "check", Tone.PASS, Shape.OUTLINE),
    "PASS (waived)": StateLook("PASS (waived)", "waived", Tone.PASS, Shape.DASHED),
    "BLOCKED": StateLook("BLOCKED", "diamond", Tone.BLOCKED, Shape.BAR),
    "FAIL": StateLook("FAIL", "cross", Tone.FAIL, Shape.SOLID),
    "NOT JUDGED": StateLook("not judged", "ring", Tone.MUTED, Shape.DASHED),
    # of a run whose windows passed as far as they are judged: no green before the last of them
    "PASS SO FAR": StateLook("PASS so far", "ring", Tone.RUNNING, Shape.OUTLINE),
    # checks
    "HOLDS": StateLook("holds", "check", Tone.PASS, Shape.PLAIN),
    # checks that hold now are no verdict: the same word, without a verdict's colour
    "HOLDS NOW": StateLook("holds", "check", Tone.INK, Shape.PLAIN),
    "BROKEN": StateLook("broken", "cross", Tone.FAIL, Shape.PLAIN),
    "UNMEASURED": StateLook("unmeasured", "hatch", Tone.UNMEASURED, Shape.HATCH),
    "WAIVED": StateLook("waived", "waived", Tone.ACCENT, Shape.DASHED),
    # runs and windows
    "OPEN": StateLook("open", "ring", Tone.RUNNING, Shape.TINT),
    "CUT": StateLook("cut", "cut", Tone.RUNNING, Shape.OUTLINE),
    "CLOSED": StateLook("closed", "lock", Tone.INK, Shape.OUTLINE),
    # the gate
    "GATE OPEN": StateLook("Gate OPEN", "gate-open", Tone.PASS, Shape.OUTLINE),
    "GATE SHUT": StateLook("Gate SHUT", "gate-shut", Tone.INK, Shape.TINT),
    # its lease ran out on an open page, which then knows nothing of it
    "GATE UNMEASURED": StateLook("Gate not re-checked", "hatch", Tone.UNMEASURED, Shape.HATCH),
    # receipts
    "ADMITTED": StateLook("ADMITTED", "check", Tone.PASS, Shape.PLAIN),
    "DUPLICATE": StateLook("DUPLICATE", "twice", Tone.MUTED, Shape.PLAIN),
    "QUARANTINED": StateLook("QUARANTINED", "diamond", Tone.BLOCKED, Shape.PLAIN),
    # quarantine items
    "ITEM OPEN": StateLook("open", "diamond", Tone.BLOCKED, Shape.BAR),
    "RESOLVED": StateLook("resolved", "check", Tone.PASS, Shape.OUTLINE),
    # plans, and what became of their items
    "SUBMITTED": StateLook("waits for approval", "question", Tone.BLOCKED, Shape.BAR),
    "APPROVED": StateLook("approved", "ring", Tone.RUNNING, Shape.OUTLINE),
    "RUNNING": StateLook("runs", "arrow", Tone.RUNNING, Shape.TINT),
    "HELD": StateLook("held", "pause", Tone.BLOCKED, Shape.DASHED),
    "DONE": StateLook("done", "check", Tone.PASS, Shape.OUTLINE),
    "DECLINED": StateLook("declined", "cross", Tone.INK, Shape.OUTLINE),
    "VOID": StateLook("void", "empty", Tone.FAIL, Shape.BAR),
    "EXPIRED": StateLook("expired", "clock", Tone.MUTED, Shape.OUTLINE),
    "CANCELLED": StateLook("cancelled", "cross", Tone.MUTED, Shape.OUTLINE),
    "NOT_RUN": StateLook("NOT RUN", "empty", Tone.MUTED, Shape.PLAIN),
    # attempts
    "PREPARED": StateLook("PREPARED", "ring", Tone.RUNNING, Shape.TINT),
    "ACKED": StateLook("ACKED", "check", Tone.PASS, Shape.OUTLINE),
    "UNKNOWN": StateLook("UNKNOWN", "question", Tone.BLOCKED, Shape.BAR),
    "PRESENT": StateLook("PRESENT", "check", Tone.PASS, Shape.OUTLINE),
    "ABSENT": StateLook("ABSENT", "empty", Tone.RUNNING, Shape.OUTLINE),
    "PARTIAL": StateLook("PARTIAL", "half", Tone.BLOCKED, Shape.BAR),
    "UNDECIDABLE": StateLook("UNDECIDABLE", "question", Tone.FAIL, Shape.SOLID),
    "NOT_SENT": StateLook("NOT SENT", "empty", Tone.MUTED, Shape.OUTLINE),
    "LOST": StateLook("LOST", "cross", Tone.BLOCKED, Shape.OUTLINE),
    # gaps: a claim is not yet a measurement
    "CLAIMED": StateLook("claimed", "hatch", Tone.UNMEASURED, Shape.HATCH),
    "PROVEN": StateLook("proven", "check", Tone.PASS, Shape.PLAIN),
    # how much of a source can be read again
    "REPLAY ALL": StateLook("all", "check", Tone.PASS, Shape.PLAIN),
    "REPLAY FROM": StateLook("from", "half", Tone.BLOCKED, Shape.PLAIN),
    "REPLAY NOTHING": StateLook("nothing", "cross", Tone.FAIL, Shape.PLAIN),
    "REPLAY EMPTY": StateLook("nothing to read", "empty", Tone.MUTED, Shape.PLAIN),
    # lanes and their sources
    "MOVING": StateLook("moving", "arrow", Tone.RUNNING, Shape.PLAIN),
    "CAUGHT UP": StateLook("caught up", "check", Tone.PASS, Shape.PLAIN),
    "STALLED": StateLook("STALLED", "cross", Tone.FAIL, Shape.SOLID),
    "WAITS": StateLook("waits", "pause", Tone.BLOCKED, Shape.DASHED),
    "STOPPED": StateLook("stopped", "pause", Tone.FAIL, Shape.BAR),
    "FREE": StateLook("free", "ring", Tone.MUTED, Shape.PLAIN),
    "RETIRED": StateLook("retired", "empty", Tone.MUTED, Shape.PLAIN),
    # what may be said of a set of counts, or of a sample
    "BALANCED": StateLook("balanced", "check", Tone.PASS, Shape.PLAIN),
    "NOT BALANCED": StateLook("not balanced", "cross", Tone.FAIL, Shape.SOLID),
    "STALE": StateLook("stale", "clock", Tone.UNMEASURED, Shape.HATCH),
    # joins of a projection
    "MATCHED": StateLook("MATCHED", "check", Tone.PASS, Shape.PLAIN),
    "MISSING": StateLook("MISSING", "empty", Tone.BLOCKED, Shape.PLAIN),
    "AMBIGUOUS": StateLook("AMBIGUOUS", "question", Tone.BLOCKED, Shape.PLAIN),
    # the services under the console
    "UP": StateLook("up", "check", Tone.PASS, Shape.PLAIN),
    "DOWN": StateLook("down", "cross", Tone.FAIL, Shape.SOLID),
}


def look(state: str) -> StateLook:
    """How a state looks. A state nobody described is hatched, with its own word."""
    return LOOKS.get(state) or StateLook(state, "hatch", Tone.UNMEASURED, Shape.HATCH)
