"""Stored numbers and spans of time in words, the same in every face. Looks of states: console/pages/frame/words.py."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit.core.phrases import listed, number
from audit.gate import RunStanding, Some
from audit.notices import WindowNotice
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.stored import known, name_of
from ingest.models import ContextState

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
    Flag.LOOKED_BACK: "an event of the run before",
    Flag.FIRST_ERASED: "compared by digest only: the first payload is erased",
}


def window_words(window: int | None, rerun: int | None = None) -> str:
    """ "window 1", "window 1 rerun 2" """
    return f"window {window:,}" + (f" rerun {rerun:,}" if rerun else "")


def notice_words(notice: WindowNotice) -> str:
    """ "Window 3: contract v1 holds on: …. Next: …." """
    return f"Window {notice.window:,}: {notice.text}. Next: {notice.act}."


def reason_name(number: int) -> str:
    """A stored reason by name; a number this version does not know keeps its number."""
    return name_of(Reason, number, "reason")


def decision_name(number: int) -> str:
    """A stored decision by name, in the same way."""
    return name_of(Decision, number, "decision")


def reason_words(number: int) -> str:
    """A stored reason as a sentence."""
    found = known(Reason, number)
    return "A reason this console does not know." if found is None else REASONS[found]


def flag_words(flags: int) -> tuple[str, ...]:
    """The flags of a receipt in words."""
    return tuple(FLAGS.get(Flag(bit), f"flag {bit}, which this console does not know") for bit in flag_bits(flags))


def flag_bits(flags: int) -> list[int]:
    """Each flag that is set, known here or not."""
    return [1 << n for n in range(flags.bit_length()) if flags >> n & 1]


def join_name(number: int) -> str:
    """What a look-up in a context gave, as it is stored with an effect, by name."""
    found = known(ContextState, number)
    return f"join {number}" if found is None else str(found.label)


def age_words(seconds: float) -> str:
    """An age as people say it: "4 s ago", "6 min 02 s ago", "3 h 12 min ago", "2 d 4 h ago", "in 4 s"."""
    words = span_words(abs(seconds))
    return f"in {words}" if seconds <= -1 else f"{words} ago"


def span_words(seconds: float) -> str:
    """A stretch of time in at most two units."""
    whole = int(seconds)
    if seconds < 10:
        return f"{seconds:.1f} s" if seconds < 1 else f"{whole} s"
    if whole < 60:
        return f"{whole} s"
    if whole < 3_600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86_400:
        return f"{whole // 3_600} h {whole % 3_600 // 60:02d} min"
    return f"{whole // 86_400} d {whole % 86_400 // 3_600} h"


# ---- windows of a run

NAMED = 3


def standing_words(found: RunStanding) -> str:
    """ "window 3 FAIL, 41 PASS, window 45 open": everything that stands, the worst first."""
    parts = [
        f"{_windows(some)} {word}" for some, word in ((found.failed, "FAIL"), (found.blocked, "BLOCKED")) if some.count
    ]
    if found.shut.count:
        parts.append(f"the gate{'' if found.shut.count == 1 else 's'} of {_windows(found.shut)} shut")
    if found.passed:
        parts.append(f"{number(found.passed)} PASS")
    if found.awaited.count:
        parts.append(f"{_windows(found.awaited)} not judged")
    if found.going is not None:
        parts.append(f"window {number(found.going)} open")
    return ", ".join(parts)


def _windows(some: Some) -> str:
    """ "window 3", "windows 3, 8 and 9", "windows 3, 8, 9 and 40 more"."""
    word = "window" if some.count == 1 else "windows"
    return f"{word} {numbers_listed(some.count, some.first, NAMED)}"


def numbers_listed(count: int, first: Sequence[int], most: int) -> str:
    """The first of so many numbers, and how many more there are."""
    named = [number(each) for each in first[:most]]
    more = count - len(named)
    return listed([*named, f"{number(more)} more"] if more else named)
