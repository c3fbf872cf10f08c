"""Feeds the parser whatever comes: `python -m tests.hostile.fuzz --minutes 10`.

Both formats, with and without schemas, with keys and headers. Inputs are mutations of the table and of sound events,
and soups of the pieces that meet in hostile JSON. What must hold for every one of them is `check`.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from ingest.core.canonical import canonical, same_event
from ingest.core.contract.shape import Format
from ingest.core.decide import arrive, decide
from ingest.core.identity import identity_digest
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.record import NotUnderstood, Parser, Understood
from tests.core.ingest.reference_json import Refused, reference
from tests.core.ingest.samples import FLIGHT_SCHEMA, contract, encoded, flight, flight_class
from tests.hostile.table import CASES

Headers = list[tuple[str, bytes | None]]
DEPTH = 32
MOST = 4_096
"""Bytes of a value: longer ones find nothing that shorter ones do not, and the reference is slow."""
MOST_SECONDS = 1.0
MOST_GROWN = 256 * 1024 * 1024

PARSERS = {
    "plain": Parser(contract()),
    "schema": Parser(contract(flight_class(FLIGHT_SCHEMA))),
    "closed": Parser(contract(flight_class({**FLIGHT_SCHEMA, "additionalProperties": False}))),
    "rich": Parser(contract(flight_class({"oneOf": [{"required": ["a"]}, {"required": ["type"]}]}))),
    "cloudevents": Parser(contract(kind=Format.CLOUDEVENTS)),
}
PIECES = [
    b"{", b"}", b"[", b"]", b",", b":", b'"', b'"a":', b'"type":"flight"', b'"carrier":"UA"', b'"flight":1',
    b'"time_hour":"t"', b'"run":"r"', b'"delay":', b'"plane":{', b'"data":', b'"id":"1"', b'"source":"/s"',
    b'"specversion":"1.0"', b"1", b"-0", b"0.", b"e", b"E-", b"+", b"true", b"null", b"NaN", b"-Infinity", b"1e400",
    b"1e-400", b"9007199254740993", b"18446744073709551616", b"-9223372036854775809", b"0.1234567890123456789", b"\\",
    b'\\"', b"\\u0000", b"\\u0061", b"\\ud83d", b"\\ude00", b"\\n", b"\\x", b" ", b"\n", b"\x00", b"\x1f", b"\x7f",
    b"\xff", b"\xc3\xa9", b"\xed\xa0\x80", b"\xf0\x9f\x98\x80", b"\xef\xbb\xbf", b"\xe2\x80\xae", b"//", b"01",
]  # fmt: skip
SOUND = [
    encoded(flight()),
    encoded(flight(delay=None, plane={"tail": "N1", "seats": 3}, via=["EWR"], status="late")),
    encoded({"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data": {"a": [1, 2.5, None]}}),
    encoded({"specversion": "1.0", "type": "t", "source": "/s", "id": "1", "data_base64": "AA=="}),
]
CORPUS = [*SOUND, *(case.value for case in CASES if case.value is not None and len(case.value) <= MOST)]
NAMES = [
    "pg-run",
    "pg-identity",
    "content-type",
    "ce_id",
    "ce_type",
    "ce_source",
    "ce_specversion",
    "ce_time",
    "",
    "a",
    "\x00",
]
RAWS = [
    None, b"", b"r1", b"1.0", b"application/cloudevents+json", b"application/json; charset=utf-7", b"\xff", b"/s",
    b"application/json", b"2013-01-01T00:00:00Z", b"x" * 300, b"\x00", b"\xe2\x80\xae",
]  # fmt: skip


@dataclass(frozen=True)
class Input:
    value: bytes | None
    key: bytes | None
    headers: Headers | None


@dataclass
class Tally:
    runs: int = 0
    understood: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    slowest: float = 0.0


def made(chance: random.Random) -> Input:
    value = None if chance.random() < 0.01 else _value(chance)
    key = chance.choice([b"k", None, b"", b"\xff", b"k" * 5_000])
    return Input(value, key, _headers(chance) if chance.random() < 0.6 else None)


def _value(chance: random.Random) -> bytes:
    kind = chance.random()
    if kind < 0.15:
        return b"".join(chance.choices(PIECES, k=chance.randrange(1, 30)))
    if kind < 0.2:
        return chance.randbytes(chance.randrange(40))
    value = chance.choice(SOUND if kind < 0.6 else CORPUS)
    for _ in range(chance.choice([0, 1, 1, 2, 4, 8])):
        value = _mutated(value, chance)
    return value[:MOST]


def _mutated(value: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(value) + 1)
    kind = chance.randrange(7)
    if kind == 0:
        return value[:at] + chance.choice(PIECES) + value[at:]
    if kind == 1:
        return value[:at] + chance.choice(PIECES) + value[at + chance.randrange(1, 6) :]
    if kind == 2:
        return value[:at] + value[at + chance.randrange(1, 12) :]
    if kind == 3:
        return value[:at] + bytes([chance.randrange(256)]) + value[at + 1 :]
    if kind == 4:
        end = at + chance.randrange(1, 60)
        return value[:end] + value[at:end] * chance.choice([1, 1, 2, 40]) + value[end:]
    if kind == 5:
        other = chance.choice(CORPUS)
        return value[:at] + other[chance.randrange(len(other) + 1) :]
    return value[:at]


def _headers(chance: random.Random) -> Headers:
    if chance.random() < 0.4:  # a sound envelope, in either mode, to be spoilt a little
        sound: Headers = [("content-type", b"application/cloudevents+json")]
        binary: Headers = [("ce_specversion", b"1.0"), ("ce_type", b"t"), ("ce_source", b"/s"), ("ce_id", b"1")]
        found = chance.choice([sound, binary, [*binary, ("content-type", b"application/json")]])[:]
        if chance.random() < 0.5:
            return found
        found[chance.randrange(len(found))] = (chance.choice(NAMES), chance.choice(RAWS))
        return found
    return [(chance.choice(NAMES), chance.choice(RAWS)) for _ in range(chance.choice([0, 1, 2, 3, 70]))]


# ---- what must hold


def check(sent: Input, tally: Tally) -> None:
    """parse() never raises and is quick; what it understands is what a plain parser reads, and can be decided on."""
    for name, parser in PARSERS.items():
        started = time.perf_counter()
        parsed = parser.parse(sent.value, sent.key, sent.headers)
        took = time.perf_counter() - started
        assert took < MOST_SECONDS, f"{name} took {took:.2f} s"
        tally.runs += 1
        tally.slowest = max(tally.slowest, took)
        if isinstance(parsed, Understood):
            tally.understood += 1
            _sound(name, sent, parsed)
        else:
            tally.reasons[parsed.reason.name] += 1
            _named(sent, parsed)
        _decided(sent, parsed)


def _sound(name: str, sent: Input, parsed: Understood) -> None:
    value = sent.value
    assert value is not None and parsed.value == value
    read = reference(value, DEPTH)
    assert _same(msgspec.json.decode(value), read)
    digest = identity_digest("s", "r", parsed.class_name, parsed.parts)
    assert len(digest) == 32
    assert all(type(part) in (str, int) for part in parsed.parts)
    assert "\x00" not in "".join(str(part) for part in parsed.parts)
    if name != "cloudevents":
        assert parsed.parts == (read["carrier"], read["flight"], read["time_hour"])
        assert parsed.class_name == read["type"] == "flight"
    # What the ledger, the publisher, a comparison and a page do with it next.
    msgspec.json.encode(parsed.parts).decode().encode()
    canonical(value)
    assert same_event(value, value)


def _same(ours: Any, theirs: Any) -> bool:
    """Equal, with True apart from 1 and 1.0 apart from 1."""
    return repr(ours) == repr(theirs)


def _named(sent: Input, parsed: NotUnderstood) -> None:
    assert parsed.reason is not Reason.NONE
    assert parsed.detail.isprintable() and len(parsed.detail) < 600
    assert parsed.at is None or 0 <= parsed.at <= len(sent.value or b"")
    assert parsed.run is None or (0 < len(parsed.run.encode()) <= 200 and "\x00" not in parsed.run)
    assert Flag(parsed.flags) is not None


def _decided(sent: Input, parsed: Understood | NotUnderstood) -> None:
    """Twice in one batch: whatever the first was, the second is a duplicate of it or set aside as well."""
    arrivals = arrive("s", "r", [1, 2], [sent.value] * 2, [parsed] * 2)
    first, second = decide(arrivals, {}, "r", 1, lambda run: False).outcomes
    if first.decision is Decision.ADMITTED:
        assert second.decision is Decision.DUPLICATE
    else:
        assert (first.decision, first.reason) == (Decision.QUARANTINED, second.reason)


def plain_agrees(sent: Input) -> None:
    """What the reference refuses the parser refuses too, and the other way round where only JSON decides."""
    if sent.value is None:
        return
    got = PARSERS["plain"].parse(sent.value, b"k", None)
    try:
        reference(sent.value, DEPTH)
    except Refused:
        assert isinstance(got, NotUnderstood)
    else:
        assert isinstance(got, Understood) or got.reason >= Reason.TOO_LARGE, got


# ---- running it


def run(seconds: float, seed: int) -> Tally:
    """Raises what the first bad input raises, with the input and the seed in its notes."""
    chance, tally = random.Random(seed), Tally()
    until, grown = time.monotonic() + seconds, _peak()
    while time.monotonic() < until:
        sent = made(chance)
        try:
            check(sent, tally)
            plain_agrees(sent)
        except BaseException as error:
            error.add_note(f"seed {seed}, after {tally.runs} runs: {sent!r}")
            raise
    assert _peak() - grown < MOST_GROWN
    return tally


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(argv: Sequence[str]) -> None:
    options = argparse.ArgumentParser(prog="python -m tests.hostile.fuzz", description=__doc__.split("\n")[0])
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    given = options.parse_args(argv)
    tally = run(given.minutes * 60, given.seed)
    print(f"seed {given.seed}: {tally.runs:,} executions, {tally.understood:,} understood, nothing found")
    print(f"slowest {tally.slowest * 1000:.1f} ms; {dict(tally.reasons.most_common())}")


if __name__ == "__main__":
    main(sys.argv[1:])
