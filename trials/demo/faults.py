"""What goes wrong on the way: records that nobody can understand or should believe, each with what must become of it.

Rows of docs/hostile-input.md that a Kafka producer can send. Pure: the same event and run give the same records.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec

from ingest.core.reason import Decision, Reason

Event = dict[str, Any]
Headers = tuple[tuple[str, bytes | None], ...]

BY_KEY = -1
"""The partition is chosen by the key."""

encode = msgspec.json.Encoder().encode


class Outgoing(NamedTuple):
    """One record on its way to an inbox, what must become of it there, and why we send it."""

    key: bytes | None
    value: bytes | None
    becomes: Decision
    reason: Reason = Reason.NONE
    why: str = ""
    headers: Headers = ()
    partition: int = BY_KEY


class Fault(NamedTuple):
    """A way to spoil an event: `spoil(event, run_name)` gives key, value and headers."""

    why: str
    reason: Reason
    spoil: Callable[[Event, str], tuple[bytes | None, bytes | None, Headers]]


def quarantined(fault: Fault, event: Event, run_name: str, partition: int) -> Outgoing:
    """The spoilt event. Its partition is named, for some have no key to go by."""
    key, value, headers = fault.spoil(event, run_name)
    return Outgoing(key, value, Decision.QUARANTINED, fault.reason, fault.why, headers, partition)


# ---- how to spoil an event ------------------------------------------------------------------------------------------


def _value(change: Callable[[bytes], bytes | None], key: bytes | None = b"hostile") -> Callable[[Event, str], Any]:
    """A change of the event's bytes."""
    return lambda event, run_name: (key, change(encode(event)), ())


def _field(name: str, text: bytes) -> Callable[[Event, str], Any]:
    """One field's value replaced by raw JSON text, which need not be JSON at all."""

    def change(event: Event, run_name: str) -> Any:
        rest = encode({key: value for key, value in event.items() if key != name})
        return b"hostile", b'{"%b":%b,%b' % (name.encode(), text, rest[1:]), ()

    return change


def _with(**fields: Any) -> Callable[[Event, str], Any]:
    """Fields added or replaced; None drops a field."""

    def change(event: Event, run_name: str) -> Any:
        return b"hostile", encode({k: v for k, v in {**event, **fields}.items() if v is not None}), ()

    return change


def _headers(*headers: tuple[str, bytes | None]) -> Callable[[Event, str], Any]:
    return lambda event, run_name: (b"hostile", encode(event), headers)


def _deep(levels: int) -> bytes:
    return b"[" * levels + b"]" * levels


def _twice(event: Event, run_name: str) -> tuple[bytes, bytes, Headers]:
    """The second value of a key that stands twice: every usual parser keeps it and forgets the first."""
    value = encode(event)
    return b"hostile", value[:-1] + b',"flight":%d}' % (int(event["flight"]) + 1), ()


HOSTILE: tuple[Fault, ...] = (
    Fault("no JSON at all", Reason.NOT_JSON, _value(lambda value: b"GET / HTTP/1.1\r\nHost: flights\r\n\r\n")),
    Fault("cut off in the middle", Reason.NOT_JSON, _value(lambda value: value[: len(value) // 2])),
    Fault("NaN, which is not JSON", Reason.NUMBER_RANGE, _field("air_time", b"NaN")),
    Fault("Infinity, which is not JSON", Reason.NUMBER_RANGE, _field("distance", b"-Infinity")),
    Fault("1e400, which becomes infinite", Reason.NUMBER_RANGE, _field("air_time", b"1e400")),
    Fault("an integer of 5,000 digits", Reason.NUMBER_RANGE, _field("flight", b"9" * 5000)),
    Fault("a key that stands twice", Reason.DUPLICATE_KEY, _twice),
    Fault("half of a surrogate pair", Reason.SURROGATE, _field("dest", rb'"IA\ud800H"')),
    Fault("a surrogate pair the wrong way round", Reason.SURROGATE, _field("dest", rb'"\udc00\ud800"')),
    Fault("an escaped NUL", Reason.NUL, _field("tailnum", rb'"N1\u00004228"')),
    Fault("nested 5,000 deep", Reason.TOO_DEEP, _field("tailnum", _deep(5000))),
    Fault("nested 100,000 deep", Reason.TOO_DEEP, _field("tailnum", _deep(100_000))),
    Fault("a byte that is not UTF-8", Reason.NOT_UTF8, _value(lambda value: value.replace(b'"type"', b'"typ\xff"'))),
    Fault("an overlong UTF-8 form", Reason.NOT_UTF8, _value(lambda value: value.replace(b'"flight"', b'"\xc0\xaf"'))),
    Fault("UTF-16", Reason.NOT_UTF8, _value(lambda value: b"\xff\xfe" + value.decode().encode("utf-16-le"))),
    Fault("a byte order mark", Reason.BOM, _value(lambda value: b"\xef\xbb\xbf" + value)),
    Fault("no bytes", Reason.EMPTY, _value(lambda value: b"")),
    Fault("white space only", Reason.EMPTY, _value(lambda value: b" \r\n\t ")),
    Fault("null", Reason.NOT_OBJECT, _value(lambda value: b"null")),
    Fault("a list of events", Reason.NOT_OBJECT, _value(lambda value: b"[%b]" % value)),
    Fault("something behind the event", Reason.TRAILING, _value(lambda value: value + b" {}")),
    Fault("a tombstone", Reason.TOMBSTONE, _value(lambda value: None)),
    Fault("a tombstone without a key", Reason.TOMBSTONE, _value(lambda value: None, key=None)),
    Fault("a value of 300 kB", Reason.TOO_LARGE, _with(note="x" * 300_000)),
    Fault("a key of 5,000 bytes", Reason.KEY_TOO_LARGE, _value(lambda value: value, key=b"k" * 5000)),
    Fault("an id of 3,000 bytes", Reason.ID_TOO_LARGE, _with(carrier="U" * 3000)),
    Fault("200 headers", Reason.TOO_MANY_HEADERS, _headers(*((f"h{n}", b"v") for n in range(200)))),
    Fault("a header of ours twice", Reason.HEADER_ANOMALY, _headers(("pg-run", b"2013-01"), ("pg-run", b"2013-02"))),
    Fault("a class nobody knows", Reason.UNKNOWN_CLASS, _with(type="<script>alert('class')</script>")),
    Fault("no class", Reason.NO_CLASS, _with(type=None)),
    Fault("an id with a part missing", Reason.NO_ID, _with(time_hour=None)),
    Fault("a flight number that is no number", Reason.SCHEMA, _with(flight="=1+1")),
    Fault("a delay in words", Reason.SCHEMA, _with(dep_delay="{{ 7 * 7 }}")),
    Fault("a run with a NUL in its name", Reason.BAD_RUN, _headers(("pg-run", b"2013\x00-01"))),
    Fault("markup in key and headers", Reason.NOT_JSON, lambda event, run_name: (
        b"<img src=x onerror=alert(1)>", b"\x1b[31mFORGED\x1b[0m\r\n2013-01-01 INFO all is well",
        (("<b hx-get=/sign-out/>", b"javascript:alert(1)"), ("", b"\xff\xfe"), ("nothing", None)))),
)  # fmt: skip


# ---- the same event, not the same -----------------------------------------------------------------------------------


def reserialised(event: Event) -> bytes:
    """The same event in other bytes: keys sorted, spaces, escapes where none are needed."""
    return json.dumps(event, sort_keys=True, indent=1).replace('"origin"', '"\\u006frigin"').encode()


OTHER_PAYLOADS: tuple[tuple[str, Callable[[Event], Event]], ...] = (
    ("other departure delay", lambda event: {**event, "dep_delay": (event["dep_delay"] or 0) + 15}),
    ("other aircraft", lambda event: {**event, "tailnum": "N0EGMQ" if event["tailnum"] != "N0EGMQ" else "N14228"}),
    ("other destination", lambda event: {**event, "dest": "BQN" if event["dest"] != "BQN" else "SJU"}),
    ("one field more", lambda event: {**event, "cancelled": event["dep_time"] is None}),
    ("one field fewer", lambda event: {name: value for name, value in event.items() if name != "air_time"}),
    ("markup in a field", lambda event: {**event, "tailnum": "<script>alert(1)</script>"}),
    ("a formula in a field", lambda event: {**event, "tailnum": "=1+1+cmd|' /C calc'!A0"}),
    ("a template in a field", lambda event: {**event, "dest": "{{ settings.SECRET_KEY }}"}),
    ("text that runs backwards", lambda event: {**event, "dest": "\u202eHAI\u202c"}),
    ("letters that are not seen", lambda event: {**event, "dest": f"{event['dest']}\u200b"}),
    ("an escape sequence and a forged line", lambda event: {**event, "tailnum": "\x1b[2J\r\nINFO: all is well"}),
    ("a number others round", lambda event: {**event, "distance": 2**53 + 1}),
)  # fmt: skip


LOOKALIKES: tuple[tuple[str, Callable[[Event], Event]], ...] = (
    ("a carrier with a zero-width space", lambda event: {**event, "carrier": f"{event['carrier']}\u200b"}),
    ("a carrier that runs backwards", lambda event: {**event, "carrier": f"\u202e{event['carrier']}"}),
    ("a carrier in small letters and a space", lambda event: {**event, "carrier": f"{event['carrier'].lower()} "}),
)  # fmt: skip
"""Identities that look like another one. They are other identities: nothing is normalised."""


def lookalikes(events: Iterable[Event], run_name: str, reason: Reason, partition: int) -> Iterable[Outgoing]:
    """Look-alikes of real flights that name another run by header: set aside as `reason`, OTHER_RUN or LATE."""
    for (why, change), event in zip(LOOKALIKES, events, strict=False):
        value = encode(change(event))
        key = b"lookalike"
        yield Outgoing(key, value, Decision.QUARANTINED, reason, why, (("pg-run", run_name.encode()),), partition)
