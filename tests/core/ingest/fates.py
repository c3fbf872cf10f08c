"""What becomes of one table of records, a line each: `python tests/core/ingest/fates.py`, from any folder.

The lines are pinned in fates.txt, and every Python there is must write the same, whatever its locale, time zone,
working directory and hash seed. `--pin` writes that file anew: do it where a rule was meant to change, and look at the
difference.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[3]
PINNED = Path(__file__).with_suffix(".txt")
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from ingest.core.canonical import canonical, same_event  # noqa: E402
from ingest.core.cloudevents import event_digest, structured_form  # noqa: E402
from ingest.core.contract.shape import EventClass, Format  # noqa: E402
from ingest.core.errors import RecordError  # noqa: E402
from ingest.core.identity import identity_digest, payload_digest  # noqa: E402
from ingest.core.pattern import portable  # noqa: E402
from ingest.core.pointer import Header, parse_pointer  # noqa: E402
from ingest.core.record import UNREADABLE_NAME, Headers, Parser, Understood  # noqa: E402
from ingest.core.visible import is_printable  # noqa: E402
from tests.core.ingest.samples import contract, schema  # noqa: E402
from tests.hostile.table import CASES, Case, Fate  # noqa: E402

THING = EventClass(1, "thing", "thing", (parse_pointer("/id"),))
#: Digits of Unicode 1.1, 15.0 and 17.0, letters whose small ones differ, signs that some tables call letters.
LETTERS = (
    "7",
    "\u0667",
    "\U0001e4f0",
    "\U00011de0",
    "k",
    "\u212a",
    "\u0130",
    "\xb2",
    "\ua7cb",
    "\u1c89",
    "_",
    "a\n",
    "",
)
PATTERNS = (
    r"^\d+$",
    r"^\w$",
    r"(?i)^[k]$",
    r"\bk\b",
    r"^\S$",
    r"^[^\W\d]$",
    r"^(?:[^k]|k)*$",
    r"^\D$",
    "7++",
    "(?>7)",
    "(?u)7",
)
NUMBERS = (
    b"0", b"-0", b"0.0", b"1e-400", b"5e-324", b"0.1", b"0.10000000000000001", b"0.1000000000000000055511151231257827",
    b"333333333.33333329", b"333333333.3333333", b"9007199254740992", b"9007199254740993", b"9007199254740993.0",
    b"9007199254740994", b"18446744073709551615", b"18446744073709551616", b"18446744073709551616.0",
    b"18446744073709551617", b"1.8446744073709552e19", b"18446744073709552000", b"100000000000000000000", b"1e20",
    b"1E+20", b"100000000000000000001", b"1e21", b"1" + b"0" * 22, b"1" + b"0" * 23, b"1e23", b"1e400", b"-1e-7",
    b"7" * 400, b"7" * 5_000, b"0." + b"7" * 5_000,
)  # fmt: skip
TIMES = (
    "2013-01-01T10:00:00Z",
    "2013-01-01t10:00:00.5+01:00",
    "\u0662013-01-01T10:00:00Z",
    "201\U0001e4f3-01-01T10:00:00Z",
)
MEDIA = ("application/json", "APPLICATION/JSON; charset=UTF-8", "application/json;\u2003charset=utf-8", "TEXT/JSON",
         "application/\u212a+json", "application/json; charset=\u017ftf-8", "text/plain")  # fmt: skip


def lines() -> Iterator[str]:
    for name, outcome in outcomes():
        # Digests are in the outcome; bytes and long texts are digested, so that a line stays a line.
        said = json.dumps(outcome, ensure_ascii=True, sort_keys=True)
        yield f"{json.dumps(name)}\t{said if len(said) <= 160 else hashlib.sha256(said.encode()).hexdigest()}"


def outcomes() -> Iterator[tuple[str, Any]]:
    plain = Parser(contract(THING, run=(Header("pg-run"), parse_pointer("/run"))))
    cloud = Parser(contract(kind=Format.CLOUDEVENTS))
    for case in CASES:
        if isinstance(case.kafka, Fate):
            yield case.id, became(cloud if case.cloudevents else plain, case.value, case.key, _headers(case))
    for number in NUMBERS:
        name = f"number {number.decode()[:40]} ({len(number)})"
        yield name, became(plain, b'{"type":"thing","id":1,"x":%s}' % number, b"k", None)
        yield f"{name} as the id", became(plain, b'{"type":"thing","id":%s}' % number, b"k", None)
        yield f"{name}, the same", _same(number)
    for pattern in PATTERNS:
        yield f"pattern {pattern}", _pattern(pattern)
    for number, letters in enumerate(LETTERS):
        yield f"letters {number}, printable", is_printable(letters)
    for time in TIMES:
        yield f"time {time}", became(cloud, b"{}", b"k", [*_binary("7"), ("ce_time", time.encode())])
    for media in MEDIA:
        headers = [*_binary("7"), ("content-type", media.encode())]
        yield f"media {media}", became(cloud, b'{"a":1.0}', b"k", headers)
        form = hashlib.sha256(canonical(structured_form(b'{"a":1.0}', headers))).hexdigest()
        yield f"media {media}, form", [form, event_digest(b'{"a":1.0}', headers).hex()]


def became(parser: Parser, value: bytes | None, key: bytes | None, headers: Headers | None) -> list[Any]:
    got = parser.parse(value, key, headers)
    if isinstance(got, Understood):
        identity = identity_digest("flights", got.run or "r", got.class_name, got.parts).hex()
        return ["ADMITTED", got.class_name, got.class_number, got.run, got.flags, identity, payload_digest(value).hex()]
    return [got.reason.name, got.detail, got.at, got.run, got.flags, got.class_name]


def _headers(case: Case) -> Headers | None:
    found: Headers = [("content-type", case.kind.encode())] if case.cloudevents else []
    for name, raw in case.headers:
        try:
            found.append((name.decode(), raw))
        except UnicodeDecodeError:
            return [(UNREADABLE_NAME, None)]
    return found or None


def _binary(event: str) -> Headers:
    said = {"specversion": "1.0", "id": event, "source": "/s", "type": "t"}
    return [(f"ce_{name}", text.encode()) for name, text in said.items()]


def _same(number: bytes) -> list[str]:
    """Which of the numbers it is the same as."""
    return [n.decode()[:40] for n in NUMBERS if same_event(b'{"x":%s}' % number, b'{"x":%s}' % n)]


def _pattern(pattern: str) -> Any:
    """What it takes, by the validator and by the generated struct; None where it is refused when it is loaded."""
    try:
        portable(pattern)
    except RecordError:
        return None
    rules = {"type": "object", "properties": {"x": {"type": "string", "pattern": pattern}, "id": {"type": "integer"},
                                              "type": {"const": "thing"}}, "required": ["id", "type"]}  # fmt: skip
    deep = {"allOf": [rules], "patternProperties": {pattern: {"type": ["string", "integer"]}}, "maxProperties": 9}
    found = []
    for made in (rules, deep):
        parser = Parser(contract(EventClass(1, "thing", "thing", (parse_pointer("/id"),), schema(made))))
        values = [json.dumps({"type": "thing", "id": 1, "x": letters}).encode() for letters in LETTERS]
        found.append([parser.parse(value, b"k", None).__class__ is Understood for value in values])
    return found


if __name__ == "__main__":
    text = "".join(f"{line}\n" for line in lines())
    if "--pin" in sys.argv:
        PINNED.write_text(text, encoding="ascii")
    else:
        sys.stdout.write(text)
