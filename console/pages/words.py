"""How each state looks: an icon, a word, a colour and a shape, one line per state (docs/console.md#look).

Nothing is green for lack of data: a word that is not listed here is drawn as unmeasured.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass

from ingest.core.reason import Flag, Reason


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
    # "Twelve holding checks are not green before the seal": the same word, without the colour of a verdict
    "HOLDS NOW": Look("holds", "check", Tone.INK, Shape.PLAIN),
    "BROKEN": Look("broken", "cross", Tone.FAIL, Shape.PLAIN),
    "UNMEASURED": Look("unmeasured", "hatch", Tone.UNMEASURED, Shape.HATCH),
    "WAIVED": Look("waived", "waived", Tone.ACCENT, Shape.DASHED),
    # runs and windows
    "OPEN": Look("open", "ring", Tone.RUNNING, Shape.TINT),
    "SEALED": Look("sealed", "lock", Tone.RUNNING, Shape.OUTLINE),
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


REASONS: Mapping[Reason, str] = {
    Reason.NONE: "Nothing to explain.",
    Reason.NOT_JSON: "The value is not JSON.",
    Reason.NOT_UTF8: "The value is not UTF-8.",
    Reason.BOM: "The value begins with a byte order mark.",
    Reason.EMPTY: "The value is empty, or white space only.",
    Reason.NOT_OBJECT: "The value is JSON, but not an object.",
    Reason.TRAILING: "Something stands behind the end of the object.",
    Reason.DUPLICATE_KEY: "An object names one key twice.",
    Reason.TOO_DEEP: "Nested deeper than the contract allows.",
    Reason.NUMBER_RANGE: "A number that cannot be kept exactly.",
    Reason.NUL: "A NUL character.",
    Reason.SURROGATE: "Half of a surrogate pair.",
    Reason.TOMBSTONE: "The record has no value at all.",
    Reason.TOO_LARGE: "The value is larger than the contract allows.",
    Reason.KEY_TOO_LARGE: "The key is larger than the contract allows.",
    Reason.TOO_MANY_HEADERS: "More headers than the contract allows.",
    Reason.HEADERS_TOO_LARGE: "The headers together are larger than the contract allows.",
    Reason.ID_TOO_LARGE: "The id is larger than the contract allows.",
    Reason.NO_CLASS: "The place that names the class is not there.",
    Reason.UNKNOWN_CLASS: "The contract has no such class.",
    Reason.NO_ID: "A part of the id is not there.",
    Reason.ID_TYPE: "A part of the id is neither a string nor an integer.",
    Reason.SCHEMA: "The event does not satisfy its class's schema.",
    Reason.BAD_RUN: "The run that the record names cannot be one.",
    Reason.HEADER_ANOMALY: "A header we read is repeated, empty or not UTF-8.",
    Reason.NO_CONTENT_TYPE: "Neither a structured nor a binary CloudEvent.",
    Reason.CONTENT_TYPE: "A content type, or charset, that we do not read.",
    Reason.CLOUDEVENTS: "The CloudEvents envelope breaks the specification.",
    Reason.PAYLOAD_MISMATCH: "Same identity, different payload. The first one stands; this one was set aside.",
    Reason.OTHER_RUN: "The record names a run that is not the open one.",
    Reason.LATE: "The record names a run that is closed.",
}

FLAGS: Mapping[Flag, str] = {
    Flag.NO_KEY: "no key",
    Flag.EMPTY_KEY: "empty key",
    Flag.NULL_HEADER: "a header without a value",
    Flag.REPEATED_HEADER: "a repeated header",
    Flag.EMPTY_HEADER_NAME: "a header with an empty name",
    Flag.HEADER_NOT_UTF8: "a header that is not UTF-8",
    Flag.INEXACT_NUMBER: "a number that others would round",
    Flag.RESERIALISED: "the same event, written differently",
    Flag.FIRST_ERASED: "compared by digest only: the first payload is erased",
}


def reason_name(number: int) -> str:
    """A stored reason by name; a number this version does not know keeps its number."""
    return Reason(number).name if number in Reason.__members__.values() else f"reason {number}"


def reason_words(number: int) -> str:
    """A stored reason as a sentence."""
    return REASONS[Reason(number)] if number in Reason.__members__.values() else "A reason this console does not know."


def flag_words(flags: int) -> tuple[str, ...]:
    """The flags of a receipt in words."""
    return tuple(words for flag, words in FLAGS.items() if flags & flag)
