"""The table of input that must not hurt: every row of the paper, every bullet of it a case, at both doors.

A case says what is sent, byte for byte, and what becomes of it at the Kafka inbox and at the HTTP door. Where a door
cannot carry it, the cell holds the reason instead. Every case is followed by a good event, which must be ADMITTED.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ingest.core.reason import Decision, Flag, Reason

#: The paper's rows, by our name for each.
ROWS = {
    "nul": r"`\u0000` in JSON, raw NUL",
    "surrogates": "lone or reversed surrogates",
    "nonfinite": "NaN, Infinity, 1e400",
    "huge-integers": "integers of 400, 5,000, 140,000 digits",
    "inexact-numbers": "integers above 2^53, long decimals",
    "duplicate-keys": "duplicate keys",
    "deep": "nesting 5,000 or 100,000 deep",
    "encodings": "invalid UTF-8, overlong, BOM, UTF-16, `charset=utf-7`",
    "not-an-object": "empty, whitespace, `null`, trailing garbage, top-level scalar",
    "keys-and-headers": "tombstone, no key, empty key, null header, repeated header, empty header name, header bytes"
    " not UTF-8",
    "sizes": "value above the limit, 1 MB key in JSON, 10,000 headers, gzip bomb",
    "identity-tricks": "identity tricks: NFC and NFD, case, trailing space, RTL and zero-width characters, ids of 3,000"
    " bytes, separators inside ids",
    "same-id": "same id other payload; same id other run; id replayed after closing",
    "timestamps": "timestamps negative, year 292277026, in the future",
    "formulas": "`=1+1`, `@SUM`, tab or CR first, in CSV exports",
    "markup": "`<script>`, `hx-get=`, `{{ }}`, `javascript:` in payload, key, header, topic or group name",
    "log-forging": "CR, LF, ANSI escapes in what reaches logs",
    "broker-lies": "the broker lies: offsets or epochs go back, cluster id flips, topic id missing, partitions shrink"
    " or repeat",
}

#: Bullets of the paper that are no record and no request, and why.
NOT_INPUT = {
    ("formulas", "CSV exports"): "there is no CSV export yet: test_no_csv fails when one comes without its escaping",
    ("markup", "topic or group name"): "Kafka allows letters, digits, '.', '_' and '-' in topics, contracts in streams,"
    " and groups are named by streams: test_names_are_refused",
}

NO_KEY = "the door's events have no key"
NO_HEADERS = "the door's events have no headers"
NO_TOMBSTONE = "every event of a body has bytes"
NO_TIMESTAMP = "the door's events have no timestamp beside them"
NO_BATCH = "see BODIES: a packed body is unpacked within the door's limit"

Headers = Sequence[tuple[bytes, bytes | None]]


class Fate(NamedTuple):
    """What becomes of a record."""

    decision: Decision
    reason: Reason
    flags: int = 0


TAKEN = Fate(Decision.ADMITTED, Reason.NONE)
INEXACT = Fate(Decision.ADMITTED, Reason.NONE, Flag.INEXACT_NUMBER)
SAME = Fate(Decision.DUPLICATE, Reason.NONE)


def aside(reason: Reason, flags: int = 0) -> Fate:
    return Fate(Decision.QUARANTINED, reason, flags)


def taken(flags: int) -> Fate:
    return Fate(Decision.ADMITTED, Reason.NONE, flags)


@dataclass(frozen=True)
class Case:
    """One thing sent. `kafka` and `door` hold its fate there, or why it cannot be sent there."""

    row: str
    name: str
    value: bytes | None
    kafka: Fate | str
    door: Fate | str
    key: bytes | None = b"k"
    headers: Headers = ()
    before: tuple[bytes, ...] = ()
    """Events admitted right before it."""
    cloudevents: bool = False
    timestamp: int | None = None
    packed: bool = False
    kept_headers: list[tuple[str, bytes | None]] | None = field(default=None)
    """What is kept of headers that the client library cannot give us as they are."""
    kind: str = "application/cloudevents+json"
    """The content type: of a CloudEvents record's header, and of a CloudEvents request."""

    @property
    def id(self) -> str:
        return f"{self.row}: {self.name}"


def inside(name: str, fragment: bytes) -> bytes:
    """An event whose id is unique, with something in it."""
    return b'{"type":"thing","id":' + json.dumps(name).encode() + b"," + fragment + b"}"


def thing(event_id: Any, **more: Any) -> bytes:
    return json.dumps({"type": "thing", "id": event_id, **more}, ensure_ascii=False).encode("utf-8", "surrogatepass")


def within(row: str, name: str, fragment: bytes, fate: Fate) -> Case:
    """The same at both doors, inside an event that is sound but for it."""
    return Case(row, name, inside(f"{row} {name}", fragment), fate, fate)


def whole(row: str, name: str, value: bytes, fate: Fate, **more: Any) -> Case:
    """The same at both doors: the value as it is."""
    return Case(row, name, value, fate, fate, **more)


def headed(row: str, name: str, headers: Headers, fate: Fate, **more: Any) -> Case:
    return Case(row, name, thing(f"{row} {name}"), fate, NO_HEADERS, headers=headers, **more)


def keyed(row: str, name: str, key: bytes | None, fate: Fate) -> Case:
    return Case(row, name, thing(f"{row} {name}"), fate, NO_KEY, key=key)


def cloud(row: str, name: str, fate: Fate, /, **attributes: Any) -> Case:
    """A CloudEvent in structured form."""
    event = {"specversion": "1.0", "type": "t", "source": "/s", "id": f"{row} {name}", "data": {}, **attributes}
    value = json.dumps(event).encode()
    return Case(row, name, value, fate, fate, cloudevents=True)


R = Reason
_MISMATCH = aside(R.PAYLOAD_MISMATCH)

NUL = [
    within("nul", "escaped in a string", b'"x":"\\u0000"', aside(R.NUL)),
    within("nul", "escaped in a key", b'"\\u0000":1', aside(R.NUL)),
    within("nul", "escaped, upper-case digits beside it", b'"x":"\\u00E9\\u0000"', aside(R.NUL)),
    within("nul", "a backslash before u0000", b'"x":"\\\\u0000"', TAKEN),
    within("nul", "raw in a string", b'"x":"a\x00b"', aside(R.NUL)),
    whole("nul", "raw behind the object", thing("nul behind") + b"\x00", aside(R.NUL)),
    whole("nul", "in the id", b'{"type":"thing","id":"a\\u0000b"}', aside(R.NUL)),
    whole("nul", "in the class", b'{"type":"thi\\u0000ng","id":1}', aside(R.NUL)),
    keyed("nul", "in the key", b"a\x00b", TAKEN),
    headed("nul", "in a header's value", [(b"a", b"\x00")], TAKEN),
    # The client library ends names at their first NUL; what is kept is what it gives.
    headed("nul", "in a header's name", [(b"a\x00b", b"x")], TAKEN, kept_headers=[("a", b"x")]),
]

SURROGATES = [
    within("surrogates", "high alone", b'"x":"\\ud800"', aside(R.SURROGATE)),
    within("surrogates", "low alone", b'"x":"\\udfff"', aside(R.SURROGATE)),
    within("surrogates", "reversed", b'"x":"\\ude00\\ud83d"', aside(R.SURROGATE)),
    within("surrogates", "high, then a letter", b'"x":"\\ud83dA"', aside(R.SURROGATE)),
    within("surrogates", "in a key", b'"\\ud800":1', aside(R.SURROGATE)),
    whole("surrogates", "in the id", b'{"type":"thing","id":"\\ud800"}', aside(R.SURROGATE)),
    within("surrogates", "as raw bytes", b'"x":"\xed\xa0\x80"', aside(R.NOT_UTF8)),
    within("surrogates", "a pair as raw bytes (CESU-8)", b'"x":"\xed\xa0\xbd\xed\xb8\x80"', aside(R.NOT_UTF8)),
    within("surrogates", "a sound pair", b'"x":"\\ud83d\\ude00"', TAKEN),
]

NONFINITE = [
    within("nonfinite", "NaN", b'"x":NaN', aside(R.NUMBER_RANGE)),
    within("nonfinite", "Infinity", b'"x":Infinity', aside(R.NUMBER_RANGE)),
    within("nonfinite", "-Infinity", b'"x":-Infinity', aside(R.NUMBER_RANGE)),
    within("nonfinite", "1e400", b'"x":1e400', aside(R.NUMBER_RANGE)),
    within("nonfinite", "-1e400", b'"x":-1e400', aside(R.NUMBER_RANGE)),
    within("nonfinite", "1e99999999999", b'"x":1e99999999999', aside(R.NUMBER_RANGE)),
    within("nonfinite", "1e-400, which is not zero", b'"x":1e-400', INEXACT),
    whole("nonfinite", "as the id", b'{"type":"thing","id":1e400}', aside(R.NUMBER_RANGE)),
    within("nonfinite", "as text", b'"x":"NaN"', TAKEN),
]

HUGE = [
    within("huge-integers", "400 digits", b'"x":' + b"7" * 400, aside(R.NUMBER_RANGE)),
    within("huge-integers", "5,000 digits", b'"x":' + b"7" * 5_000, aside(R.NUMBER_RANGE)),
    within("huge-integers", "140,000 digits", b'"x":' + b"7" * 140_000, aside(R.NUMBER_RANGE)),
    within("huge-integers", "140,000 digits, negative", b'"x":-' + b"7" * 140_000, aside(R.NUMBER_RANGE)),
    within("huge-integers", "2^64 + 1, which no double holds", b'"x":18446744073709551617', aside(R.NUMBER_RANGE)),
    within("huge-integers", "2^64, which a double holds", b'"x":18446744073709551616', INEXACT),
    within("huge-integers", "2^64 as JavaScript rounds it", b'"x":18446744073709552000', aside(R.NUMBER_RANGE)),
    within("huge-integers", "1e20 with all its digits", b'"x":100000000000000000000', INEXACT),
    whole(
        "huge-integers",
        "1e20 as the id",
        b'{"type":"thing","id":100000000000000000000}',
        aside(R.NUMBER_RANGE, Flag.INEXACT_NUMBER),
    ),  # fmt: skip
    within("huge-integers", "-2^63 - 1", b'"x":-9223372036854775809', aside(R.NUMBER_RANGE)),
    within("huge-integers", "in an array", b'"x":[1,[' + b"7" * 400 + b"]]", aside(R.NUMBER_RANGE)),
    whole("huge-integers", "as the id", b'{"type":"thing","id":' + b"7" * 400 + b"}", aside(R.NUMBER_RANGE)),
    within("huge-integers", "5,000 digits as text", b'"x":"' + b"7" * 5_000 + b'"', TAKEN),
]

INEXACT_NUMBERS = [
    within("inexact-numbers", "2^53 + 1", b'"x":9007199254740993', INEXACT),
    within("inexact-numbers", "2^64 - 1", b'"x":18446744073709551615', INEXACT),
    within("inexact-numbers", "-2^63", b'"x":-9223372036854775808', INEXACT),
    within("inexact-numbers", "a long decimal", b'"x":0.12345678901234567890123', INEXACT),
    within("inexact-numbers", "5,000 decimals", b'"x":0.' + b"7" * 5_000, INEXACT),
    within("inexact-numbers", "1e23, which prints as itself", b'"x":1e23', TAKEN),
    whole("inexact-numbers", "as the id", b'{"type":"thing","id":9223372036854775809}', INEXACT),
    whole(
        "inexact-numbers", "its neighbour as the id", b'{"type":"thing","id":9223372036854775810}', INEXACT
    ),
]  # fmt: skip

DUPLICATE_KEYS = [
    within("duplicate-keys", "twice", b'"x":1,"x":2', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "twice, the same value", b'"x":1,"x":1', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "spelt differently", b'"x":1,"\\u0078":2', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "nested", b'"x":{"y":[{"z":1,"z":2}]}', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "the id twice", b'"id":"another"', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "the class twice", b'"type":"thing"', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "the run twice", b'"run":"r1","run":"r2"', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "that end in a backslash", b'"x\\\\":"\\\\","x\\\\":1', aside(R.DUPLICATE_KEY)),
    within("duplicate-keys", "the empty key", b'"":1,"":2', aside(R.DUPLICATE_KEY)),
]

DEEP = [
    within("deep", "32, the limit", b'"x":' + b"[" * 31 + b"]" * 31, TAKEN),
    within("deep", "33", b'"x":' + b"[" * 32 + b"]" * 32, aside(R.TOO_DEEP)),
    within("deep", "5,000 arrays", b'"x":' + b"[" * 5_000 + b"]" * 5_000, aside(R.TOO_DEEP)),
    whole("deep", "5,000 objects", b'{"a":' * 5_000 + b"1" + b"}" * 5_000, aside(R.TOO_DEEP)),
    within("deep", "100,000 arrays", b'"x":' + b"[" * 100_000 + b"]" * 100_000, aside(R.TOO_DEEP)),
    within("deep", "100,000, never closed", b'"x":' + b"[" * 100_000, aside(R.TOO_DEEP)),
    within("deep", "brackets in a string", b'"x":"' + b"[" * 100_000 + b'"', TAKEN),
    whole(
        "deep", "as the id", b'{"type":"thing","id":' + b"[" * 5_000 + b"]" * 5_000 + b"}", aside(R.TOO_DEEP)
    ),
]  # fmt: skip

ENCODINGS = [
    within("encodings", "a lone byte", b'"x":"\xff"', aside(R.NOT_UTF8)),
    within("encodings", "Latin-1", '"x":"é"'.encode("latin-1"), aside(R.NOT_UTF8)),
    within("encodings", "overlong NUL", b'"x":"\xc0\x80"', aside(R.NOT_UTF8)),
    within("encodings", "overlong quote", b'"x":"\xc0\xa2"', aside(R.NOT_UTF8)),
    within("encodings", "above U+10FFFF", b'"x":"\xf4\x90\x80\x80"', aside(R.NOT_UTF8)),
    within("encodings", "cut in a character", b'"x":"\xe2\x82"', aside(R.NOT_UTF8)),
    within("encodings", "in a key", b'"\xff":1', aside(R.NOT_UTF8)),
    whole("encodings", "byte order mark", b"\xef\xbb\xbf" + thing("bom"), aside(R.BOM)),
    whole("encodings", "UTF-16 with its mark", thing("u16").decode().encode("utf-16"), aside(R.NOT_UTF8)),
    whole("encodings", "UTF-16 without", thing("u16le").decode().encode("utf-16-le"), aside(R.NUL)),
    whole("encodings", "UTF-32", thing("u32").decode().encode("utf-32-be"), aside(R.NUL)),
    whole("encodings", "UTF-7 instead of JSON", b"+AHs-+ACI-type+ACI-", aside(R.NOT_JSON)),
    within("encodings", "UTF-7 in a string is plain text", b'"x":"+ADw-script+AD4-"', TAKEN),
    Case(
        "encodings", "charset=utf-7", b'{"specversion":"1.0","type":"t","source":"/s","id":"u7"}',
        aside(R.CONTENT_TYPE), "see BODIES: the whole request is refused", cloudevents=True,
        kind="application/cloudevents+json; charset=utf-7",
    ),
    Case(
        "encodings", "a content type that is not JSON", b"<event/>", aside(R.CONTENT_TYPE),
        "see BODIES: the whole request is refused", cloudevents=True, kind="application/cloudevents+xml",
    ),
]  # fmt: skip

NOT_AN_OBJECT = [
    Case("not-an-object", "empty", b"", aside(R.EMPTY), "see BODIES: an empty body is refused"),
    whole("not-an-object", "white space", b" \r\n\t ", aside(R.EMPTY)),
    whole("not-an-object", "null", b"null", aside(R.NOT_OBJECT)),
    whole("not-an-object", "true", b"true", aside(R.NOT_OBJECT)),
    whole("not-an-object", "a number", b"7", aside(R.NOT_OBJECT)),
    whole("not-an-object", "a string", b'"x"', aside(R.NOT_OBJECT)),
    whole("not-an-object", "an array", b'[{"type":"thing","id":"a"}]', aside(R.NOT_OBJECT)),
    whole("not-an-object", "an empty object", b"{}", aside(R.NO_CLASS)),
    whole("not-an-object", "trailing garbage", thing("garbage") + b"x", aside(R.TRAILING)),
    whole("not-an-object", "a second object", thing("one") + b" " + thing("two"), aside(R.TRAILING)),
    whole("not-an-object", "cut in the middle", b'{"type":"thing","id":"cu', aside(R.NOT_JSON)),
    whole("not-an-object", "single quotes", b"{'type':'thing'}", aside(R.NOT_JSON)),
    whole("not-an-object", "a comment", b'{"type":"thing"/**/}', aside(R.NOT_JSON)),
    whole("not-an-object", "a trailing comma", b'{"type":"thing","id":"comma",}', aside(R.NOT_JSON)),
    whole("not-an-object", "a control character in a string", b'{"type":"thing","id":"a\tb"}', aside(R.NOT_JSON)),
    whole("not-an-object", "a web page", b"<!doctype html><script>alert(1)</script>", aside(R.NOT_JSON)),
    whole("not-an-object", "something packed", gzip.compress(thing("packed"), mtime=0), aside(R.NOT_UTF8)),
    whole("not-an-object", "no class", b'{"id":"no class"}', aside(R.NO_CLASS)),
    whole("not-an-object", "an unknown class", b'{"type":"other","id":"x"}', aside(R.UNKNOWN_CLASS)),
    whole("not-an-object", "a class that is a number", b'{"type":1,"id":"x"}', aside(R.UNKNOWN_CLASS)),
    whole("not-an-object", "white space around", b" \n" + thing("blank around") + b"\r\n ", TAKEN),
]

_ROW = "keys-and-headers"
KEYS_AND_HEADERS = [
    Case(_ROW, "tombstone", None, aside(R.TOMBSTONE), NO_TOMBSTONE),
    Case(_ROW, "tombstone without key", None, aside(R.TOMBSTONE, Flag.NO_KEY), NO_TOMBSTONE, key=None),
    keyed(_ROW, "no key", None, taken(Flag.NO_KEY)),
    keyed(_ROW, "empty key", b"", taken(Flag.EMPTY_KEY)),
    keyed(_ROW, "key not UTF-8", b"\xff\xfe", TAKEN),
    headed(_ROW, "null header", [(b"a", None)], taken(Flag.NULL_HEADER)),
    headed(_ROW, "empty header", [(b"a", b"")], TAKEN),
    headed(_ROW, "repeated header", [(b"a", b"1"), (b"a", b"2")], taken(Flag.REPEATED_HEADER)),
    headed(_ROW, "empty header name", [(b"", b"x")], taken(Flag.EMPTY_HEADER_NAME)),
    headed(_ROW, "header bytes not UTF-8", [(b"a", b"\xff\xfe")], taken(Flag.HEADER_NOT_UTF8)),
    headed(
        _ROW, "header name not UTF-8", [(b"\xff\xfe", b"x"), (b"b", b"y")], aside(R.HEADER_ANOMALY),
        kept_headers=[("\x00", None)],
    ),
    headed(
        _ROW, "header name that is a surrogate", [(b"\xed\xa0\x80", b"x")], aside(R.HEADER_ANOMALY),
        kept_headers=[("\x00", None)],
    ),
    headed(_ROW, "our own repeated", [(b"pg-run", b"r1"), (b"pg-run", b"r1")], aside(R.HEADER_ANOMALY)),
    headed(_ROW, "our own null", [(b"pg-run", None)], aside(R.HEADER_ANOMALY)),
    headed(_ROW, "our own not UTF-8", [(b"pg-run", b"\xff")], aside(R.HEADER_ANOMALY)),
    headed(_ROW, "our own empty", [(b"pg-run", b"")], aside(R.BAD_RUN)),
    headed(_ROW, "a mark of the bus repeated", [(b"pg-attempt", b"1"), (b"pg-attempt", b"2")], aside(R.HEADER_ANOMALY)),
    headed(
        _ROW, "forged marks of the bus",
        [(b"pg-identity", b"0" * 64), (b"pg-digest", b"0" * 64), (b"pg-attempt", b"1/1")], TAKEN,
    ),
    headed(_ROW, "a name of 30,000 bytes", [(b"n" * 30_000, b"x")], TAKEN),
    headed(_ROW, "all at once", [(b"", None), (b"", b"\xff"), (b"a", b"")], taken(4 | 8 | 16 | 32)),
]  # fmt: skip

SIZES = [
    whole("sizes", "the limit exactly", b'{"type":"thing","id":"limit","x":"'.ljust(262_142, b"v") + b'"}', TAKEN),
    whole("sizes", "value above the limit", thing("too large", x="v" * 262_144), aside(R.TOO_LARGE)),
    whole("sizes", "a value of 1 MB", b" " * 1_000_000, aside(R.TOO_LARGE)),
    whole("sizes", "a key of 900,000 bytes in JSON", b'{"' + b"k" * 900_000 + b'":1}', aside(R.TOO_LARGE)),
    within("sizes", "a key of 200,000 bytes in JSON", b'"' + b"k" * 200_000 + b'":1', TAKEN),
    within("sizes", "10,000 keys", b",".join(b'"k%d":1' % n for n in range(10_000)), TAKEN),
    keyed("sizes", "a key above the limit", b"k" * 4_097, aside(R.KEY_TOO_LARGE)),
    keyed("sizes", "a key of 900,000 bytes", b"k" * 900_000, aside(R.KEY_TOO_LARGE)),
    headed("sizes", "64 headers, the limit", [(b"h%d" % n, b"v") for n in range(64)], TAKEN),
    headed("sizes", "65 headers", [(b"h", b"v")] * 65, aside(R.TOO_MANY_HEADERS)),
    headed("sizes", "10,000 headers", [(b"h", b"v")] * 10_000, aside(R.TOO_MANY_HEADERS)),
    # The client library refuses to look at more than 100,000 and says there are none: docs/hostile-input.md.
    headed("sizes", "400,000 empty headers", [(b"", b"")] * 400_000, TAKEN, kept_headers=[]),
    headed("sizes", "headers of 900,000 bytes", [(b"h", b"v" * 900_000)], aside(R.HEADERS_TOO_LARGE)),
    Case(
        "sizes", "a batch of 20 kB that unpacks to 20 MB", b" " * 20_000_000, aside(R.TOO_LARGE), NO_BATCH, packed=True
    ),
]  # fmt: skip

IDS: list[tuple[str, Any, Fate]] = [
    ("NFC", "caf\u00e9", TAKEN),
    ("NFD", "cafe\u0301", TAKEN),
    ("lower case", "abc", TAKEN),
    ("upper case", "ABC", TAKEN),
    ("trailing space", "abc ", TAKEN),
    ("leading space", " abc", TAKEN),
    ("no-break space", "abc\u00a0", TAKEN),
    ("right to left override", "abc\u202edef", TAKEN),
    ("right to left isolate", "abc\u2067def", TAKEN),
    ("zero width space", "ab\u200bc", TAKEN),
    ("zero width joiner", "ab\u200dc", TAKEN),
    ("soft hyphen", "ab\u00adc", TAKEN),
    ("Cyrillic", "\u0430bc", TAKEN),
    ("full width", "\uff41bc", TAKEN),
    ("a tag character", "abc\U000e0041", TAKEN),
    ("a separator", "a/b", TAKEN),
    ("a separator, escaped", "a~1b", TAKEN),
    ("unit separator", "a\x1fb", TAKEN),
    ("empty", "", TAKEN),
    ("an integer", 1, TAKEN),
    ("the same as text", "1", TAKEN),
    ("minus zero", 0, TAKEN),
    ("512 bytes, the limit", "i" * 512, TAKEN),
    ("513 bytes", "i" * 513, aside(R.ID_TOO_LARGE)),
    ("3,000 bytes", "i" * 3_000, aside(R.ID_TOO_LARGE)),
    ("172 characters of three bytes", "\u20ac" * 172, aside(R.ID_TOO_LARGE)),
    ("null", None, aside(R.ID_TYPE)),
    ("true", True, aside(R.ID_TYPE)),
    ("a decimal", 1.5, aside(R.ID_TYPE)),
    ("an object", {"a": 1}, aside(R.ID_TYPE)),
    ("an array", ["a"], aside(R.ID_TYPE)),
]
IDENTITY = [whole("identity-tricks", name, thing(event_id), fate) for name, event_id, fate in IDS] + [
    whole("identity-tricks", "no id", b'{"type":"thing"}', aside(R.NO_ID)),
    whole(
        "identity-tricks", "the same id in escapes", b'{"type":"thing","id":"\\u0041\\u0042\\u0043"}',
        Fate(Decision.DUPLICATE, Reason.NONE, Flag.RESERIALISED),
    ),
    cloud("identity-tricks", "source and id, joined differently", TAKEN, source="/a", id="b/c"),
    cloud("identity-tricks", "the same joined", TAKEN, source="/a/b", id="c"),
]  # fmt: skip

SAME_ID = [
    whole("same-id", "other payload", thing("S", a=2), _MISMATCH, before=(thing("S", a=1),)),
    whole("same-id", "1 and true are not equal", thing("B", a=True), _MISMATCH, before=(thing("B", a=1),)),
    whole(
        "same-id", "integers a double cannot tell apart", inside("D", b'"a":9007199254740993'),
        aside(R.PAYLOAD_MISMATCH, Flag.INEXACT_NUMBER), before=(inside("D", b'"a":9007199254740992'),),
    ),
    whole(
        "same-id", "1e20 with all its digits and as 1e20", b'{"type":"thing","id":"E","a":100000000000000000000}',
        Fate(Decision.DUPLICATE, Reason.NONE, Flag.RESERIALISED | Flag.INEXACT_NUMBER),
        before=(b'{"type":"thing","id":"E","a":1e20}',),
    ),
    whole("same-id", "same bytes", thing("T", a=1), SAME, before=(thing("T", a=1),)),
    whole(
        "same-id", "written differently", b'{ "id":"U" , "type":"thing" }',
        Fate(Decision.DUPLICATE, R.NONE, Flag.RESERIALISED), before=(thing("U"),),
    ),
    whole("same-id", "in an earlier run too", thing("earlier", run="r1"), TAKEN),
    whole("same-id", "replayed after closing", thing("earlier", run="r0"), aside(R.LATE)),
    headed("same-id", "replayed after closing, by header", [(b"pg-run", b"r0")], aside(R.LATE)),
    whole("same-id", "of a run nobody opened", thing("earlier", run="r9"), aside(R.OTHER_RUN)),
    whole("same-id", "of a run that looks like it", thing("earlier", run="r1 "), aside(R.OTHER_RUN)),
    whole("same-id", "of a run named backwards", thing("earlier", run="r1\u202e"), aside(R.OTHER_RUN)),
    whole("same-id", "of a run without name", thing("earlier", run=""), aside(R.BAD_RUN)),
    whole("same-id", "of a run that is a number", thing("earlier", run=1), aside(R.BAD_RUN)),
    whole("same-id", "of a run of 3,000 bytes", thing("earlier", run="r" * 3_000), aside(R.BAD_RUN)),
]  # fmt: skip

TIMESTAMPS = [
    within("timestamps", "negative", b'"at":-62135596800001', TAKEN),
    within("timestamps", "year 292277026", b'"at":"292277026-12-04T15:30:08Z"', TAKEN),
    within("timestamps", "the largest there is", b'"at":9223372036854775807', INEXACT),
    within("timestamps", "in the future", b'"at":"9999-12-31T23:59:60Z"', TAKEN),
    cloud("timestamps", "year 292277026 of a CloudEvent", aside(R.CLOUDEVENTS), time="292277026-12-04T15:30:08Z"),
    cloud("timestamps", "negative year as a CloudEvent's time", aside(R.CLOUDEVENTS), time="-0001-01-01T00:00:00Z"),
    cloud("timestamps", "a number as a CloudEvent's time", aside(R.CLOUDEVENTS), time=-1),
    cloud("timestamps", "in the future as a CloudEvent's time", TAKEN, time="9999-12-31T23:59:59Z"),
    Case("timestamps", "none on the record", thing("time none"), TAKEN, NO_TIMESTAMP, timestamp=-1),
    Case("timestamps", "zero on the record", thing("time zero"), TAKEN, NO_TIMESTAMP, timestamp=0),
    Case("timestamps", "year 292278994 on the record", thing("time far"), TAKEN, NO_TIMESTAMP, timestamp=2**63 - 1),
]  # fmt: skip

FORMULAS = [
    *(
        whole("formulas", f"id {text!r}", thing(text), TAKEN)
        for text in ("=1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "+1", "-1", "=cmd|' /C calc'!A0")
    ),
    within("formulas", "in a payload", b'"x":"=HYPERLINK(\\"http://evil/\\")"', TAKEN),
    within("formulas", "in a payload set aside", b'"x":"=1+1","x":"@SUM"', aside(R.DUPLICATE_KEY)),
    keyed("formulas", "key", b"=1+1", TAKEN),
]

MARKUP_TEXTS = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    '<a hx-get="/evil" hx-trigger="load">',
    "{{ 7*7 }}{% debug %}",
    "javascript:alert(1)",
    "</pre></bdi><svg/onload=alert(1)>",
    "<!--",
    "&lt;b&gt;",
)
MARKUP = [
    *(whole("markup", f"id {text}", thing(text), TAKEN) for text in MARKUP_TEXTS),
    *(whole("markup", f"class {text}", b'{"type":' + json.dumps(text).encode() + b"}", aside(R.UNKNOWN_CLASS))
      for text in MARKUP_TEXTS[:4]),
    *(cloud("markup", f"type {text}", TAKEN, type=text) for text in MARKUP_TEXTS),
    *(whole("markup", f"run {text}", thing("m", run=text), aside(R.OTHER_RUN)) for text in MARKUP_TEXTS[:2]),
    *(whole("markup", f"payload {text}", text.encode(), aside(R.NOT_JSON)) for text in MARKUP_TEXTS[:5]),
    keyed("markup", "key", b"<script>alert(1)</script>", TAKEN),
    headed("markup", "header", [(b"hx-get", b"/evil"), (b"<b>", b"<script>alert(1)</script>")], TAKEN),
    headed(
        "markup", "header of what is set aside", [(b"<script>alert(1)</script>", b"{{ 7*7 }}"), (b"pg-run", None)],
        aside(R.HEADER_ANOMALY),
    ),
    within("markup", "in both payloads of a mismatch", b'"x":"<script>alert(1)</script>"', TAKEN),
    whole(
        "markup", "a key of a mismatch", inside("mm", b'"<img src=x onerror=alert(1)>":2'), _MISMATCH,
        before=(inside("mm", b'"<img src=x onerror=alert(1)>":1'),),
    ),
]  # fmt: skip

FORGED = (
    "a\r\nERROR forged",
    'a\n{"event":"forged"}',
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "a\u2028b\u0085c",
    "\x9b31m",
)
LOG_FORGING = [
    *(whole("log-forging", f"id {text!r}", b'{"type":"thing","id":' + json.dumps(text).encode() + b"}", TAKEN)
      for text in FORGED),
    *(whole("log-forging", f"class {text!r}", b'{"type":' + json.dumps(text).encode() + b"}", aside(R.UNKNOWN_CLASS))
      for text in FORGED),
    *(whole("log-forging", f"run {text!r}", b'{"type":"thing","id":1,"run":' + json.dumps(text).encode() + b"}",
            aside(R.OTHER_RUN)) for text in FORGED[:3]),
    whole("log-forging", "payload", b"\x1b[2J\x1b[31mforged\r\nERROR", aside(R.NOT_JSON)),
    keyed("log-forging", "key", b"\r\n\x1b[31mforged", TAKEN),
    headed("log-forging", "header", [(b"\r\nERROR", b"\x1b[31m\r\n")], TAKEN),
    headed("log-forging", "header of what is set aside", [(b"\r\nERROR", b"\x1b[31m"), (b"pg-run", None)],
           aside(R.HEADER_ANOMALY)),
]  # fmt: skip

CASES: tuple[Case, ...] = (
    *NUL, *SURROGATES, *NONFINITE, *HUGE, *INEXACT_NUMBERS, *DUPLICATE_KEYS, *DEEP, *ENCODINGS, *NOT_AN_OBJECT,
    *KEYS_AND_HEADERS, *SIZES, *IDENTITY, *SAME_ID, *TIMESTAMPS, *FORMULAS, *MARKUP, *LOG_FORGING,
)  # fmt: skip


@dataclass(frozen=True)
class Body:
    """A request of which no event can be told apart: a 4xx, and nothing of it is admitted."""

    row: str
    name: str
    body: bytes
    status: int
    code: str
    kind: str = "application/json"
    encoding: str = ""

    @property
    def id(self) -> str:
        return f"{self.row}: {self.name}"


LIMIT = 8 * 1024 * 1024
BODIES: tuple[Body, ...] = (
    Body("not-an-object", "empty", b"", 400, "body_unreadable"),
    Body("not-an-object", "empty, packed", gzip.compress(b"", mtime=0), 200, "EMPTY", encoding="gzip"),
    Body("not-an-object", "an empty CloudEvents batch's body", b"", 400, "body_unreadable",
         "application/cloudevents-batch+json"),
    Body("not-an-object", "an array cut in the middle", b"[1,", 400, "body_unreadable"),
    Body("not-an-object", "trailing garbage", b"[]x", 400, "body_unreadable"),
    Body("not-an-object", "a batch that is an object", b"{}", 400, "body_unreadable",
         "application/cloudevents-batch+json"),
    Body("deep", "100,000 arrays, never closed", b"[" * 100_000, 400, "body_unreadable"),
    Body("deep", "100,000 arrays", b"[" * 100_000 + b"]" * 100_000, 400, "body_unreadable"),
    Body("encodings", "charset=utf-7", b"[]", 415, "media_type_unsupported", "application/json; charset=utf-7"),
    Body("encodings", "charset=utf-16", b"[]", 415, "media_type_unsupported", 'application/json; charset="UTF-16"'),
    Body("encodings", "UTF-16", '[{"type":"thing"}]'.encode("utf-16"), 200, "NOT_UTF8"),
    Body("encodings", "XML CloudEvents", b"<event/>", 415, "media_type_unsupported", "application/cloudevents+xml"),
    Body("encodings", "a form", b"a=1", 415, "media_type_unsupported", "application/x-www-form-urlencoded"),
    Body("encodings", "no content type", b"[]", 415, "media_type_unsupported", ""),
    Body("encodings", "an unknown packing", b"[]", 415, "media_type_unsupported", encoding="br"),
    Body("encodings", "two packings", b"[]", 415, "media_type_unsupported", encoding="gzip, gzip"),
    Body("sizes", "above the limit", b" " * (LIMIT + 1), 413, "request_too_large"),
    Body("sizes", "gzip bomb of 50 MB", gzip.compress(b" " * 50_000_000, mtime=0), 413, "request_too_large",
         encoding="gzip"),
    Body("sizes", "gzip bomb of lines", gzip.compress(b"{}\n" * 10_000_000, mtime=0), 413, "request_too_large",
         "application/x-ndjson", "gzip"),
    Body("sizes", "gzip cut short", gzip.compress(b"[]", mtime=0)[:-4], 400, "body_unreadable", encoding="gzip"),
    Body("sizes", "not gzip", b"nonsense", 400, "body_unreadable", encoding="gzip"),
    Body("sizes", "1,001 events", b"[" + b",".join([b"{}"] * 1_001) + b"]", 413, "too_many_events"),
    Body("sizes", "4,000,000 events", b"[" + b"0," * 4_000_000 + b"0]", 413, "too_many_events"),
    Body("sizes", "4,000,000 lines", b"0\n" * 4_000_000, 413, "too_many_events", "application/x-ndjson"),
)  # fmt: skip

#: What a broker that lies may say, and the code (of a lane) or the cause (of a verdict) that names it.
LIES = {
    "offsets go back, in what is read": "offset_went_back",
    "offsets go back, at the log's end": "inbox/3 ends at 49, before the window's 50",
    "offsets are left out without a claim": "poll_skip",
    "epochs go back, in what is read": "epoch_went_back",
    "epochs go back, at the log's end": "the leader epoch of inbox/3 was 5 and is 4",
    "the epoch was never there": "inbox/3 was truncated: No epoch found less or equal to offset",
    "the cluster id flips": "the Kafka cluster was cluster-a and is cluster-b",
    "the topic id is missing": "topic_incredible",
    "the topic id is sixteen zeros": "topic_incredible",
    "the topic id flips": "flights.inbox was deleted and created again",
    "the topic is gone": "flights.inbox is gone",
    "partitions shrink": "inbox/3 is gone",
    "partitions repeat": "topic_incredible",
    "partitions grow": "1 of 5 sources is not in the basis",
}
