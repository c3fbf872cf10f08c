"""Strict, bounded JSON: what a record's value must be before anybody looks into it (RFC 8259, less what hurts).

msgspec already refuses bad UTF-8, lone surrogates, NaN, 1e400, bad escapes and trailing bytes. It keeps the last of two
equal keys, takes integers of any size and lets \\u0000 through; these are found here without a second parse in the
usual case: the decoded value is encoded again, and a key that was dropped is missing from it.

What is decided here is the same under every interpreter: no regular expression with a possessive quantifier or an
atomic group (Python 3.11.2 misjudges them over alternations), no class of characters that an interpreter's tables
define, and no reason that is read from the words of somebody's error message.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from itertools import accumulate
from math import isfinite
from typing import Annotated, Any

import msgspec

from ingest.core.reason import Flag, Reason

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode

MIN_INTEGER, MAX_INTEGER = -(2**63), 2**64 - 1
EXACT_INTEGER = 2**53
DOUBLE_DIGITS = 310
"""No integer that a double holds is written with more characters: the largest has 309 digits, and may have a sign."""

_Whole = Annotated[int, msgspec.Meta(ge=-EXACT_INTEGER, le=EXACT_INTEGER)]
_Flat = _Whole | float | str | bool | None
_Level2 = _Flat | list[_Flat] | dict[str, _Flat]
_Level3 = _Flat | list[_Level2] | dict[str, _Level2]
_Level4 = _Flat | list[_Level3] | dict[str, _Level3]
_USUAL_DEPTH = 4
# Decodes what the untyped decoder does, as fast, but stops at integers beyond 2^53 and at more than four levels.
_decode_usual = msgspec.json.Decoder(dict[str, _Level4]).decode

_INTEGER_TEXT = 20
"""No 64-bit integer is written with more characters, so longer ones are refused before int() reads 140,000 digits."""

# Two regular expressions for all that is looked for in escapes. Both go forward only, and take linear time.
_ESCAPE = re.compile(rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|.)", re.DOTALL)
_ESCAPED_NUL = re.compile(rb"(?<!\\)\\+u0000")
_HALF = re.compile(rb"\\u[dD][89a-fA-F]")
_PAIR_BYTES = 12
_NUL_BYTES = len(b"\\u0000")
_NOT_BRACKETS = bytes(byte for byte in range(256) if byte not in b'[]{}"')
_NOT_OUTLINE = bytes(byte for byte in range(256) if byte not in b'[]{},"')
_STEP = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1}
# Digits and points become "0": sixteen in a row are a number that may not fit a double, and so are small exponents.
_NUMBERS = bytes(0x30 if byte in b"0123456789." else byte for byte in range(256)).replace(b"E", b"e")
_LONG = b"0" * 16
_TINY = b"0e-000"
_BACKSLASH = ord("\\")
_BYTE = re.compile(r"\(byte ([0-9]+)\)")
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_.-]{1,200}")
_BLANK, _BLANK_TEXT = b" \t\r\n", " \t\r\n"
_MALFORMED = "JSON is malformed: "
_BOM = b"\xef\xbb\xbf"


class Fault(msgspec.Struct, frozen=True, gc=False):
    """Why a value is refused: a sentence for people, and the byte it is about where that is known."""

    reason: Reason
    detail: str
    at: int | None = None


class _Refused(Exception):
    """Carries a Fault out of the standard parser's callbacks."""

    def __init__(self, fault: Fault) -> None:
        super().__init__(fault.detail)
        self.fault = fault


Decode = Callable[[bytes], Any]


def read(value: bytes, depth: int) -> tuple[dict[str, Any], int] | Fault:
    """The object in `value` and its flags (Flag.INEXACT_NUMBER), or why it is refused. Never raises."""
    usual = _usual(value) if depth >= _USUAL_DEPTH else None
    document = usual if usual is not None else _any(value, depth)
    if isinstance(document, Fault):
        return document
    encoded = _encode(document)
    # The same bytes: no key was dropped and no decimal rounded. Integers are never rounded, only too large.
    if encoded == value and _BACKSLASH not in value and (usual is not None or _LONG not in value.translate(_NUMBERS)):
        return document, 0
    checked = verify(value, encoded)
    return checked if isinstance(checked, Fault) else (document, checked)


def _usual(value: bytes) -> dict[str, Any] | None:
    """The object, if it is flat enough and its integers small; None says nothing."""
    try:
        return _decode_usual(value)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


def _any(value: bytes, depth: int) -> dict[str, Any] | Fault:
    if value.count(b"{") + value.count(b"[") > depth and (fault := too_deep(value, depth)):
        return fault
    try:
        document = _decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        return diagnose(value, str(error))
    if type(document) is not dict:
        return Fault(Reason.NOT_OBJECT, f"a JSON object is expected, this is {_json_type(document)}", 0)
    return document


def same_strings(value: bytes, encoded: bytes) -> bool:
    """Whether valid JSON and what it was decoded to hold equally many strings, so that no key was dropped.

    False also means "cannot tell". Why True is sure: count quotes, less `\\"`. A string adds its two ends; quotes in it
    add nothing, written `\\"` or `\\u0022`; only one that ends in a backslash written `\\\\` adds one less. The encoder
    writes it so: a kept string never adds more in `encoded` than in `value`, and a dropped one adds at least one.
    """
    if _BACKSLASH not in value:
        return value.count(b'"') == encoded.count(b'"')
    return value.count(b'"') - value.count(b'\\"') == encoded.count(b'"') - encoded.count(b'\\"')


def verify(value: bytes, encoded: bytes) -> int | Fault:
    """Flags of a value that decodes to what `encoded` says, or its fault: NUL, duplicate key, number range."""
    if b"\\u0000" in value and (nul := _escaped_nul(value)) is not None:
        return Fault(Reason.NUL, "an escaped NUL (\\u0000)", nul)
    if same_strings(value, encoded) and not odd_numbers(value):
        return 0
    return _exact(value)


def _escaped_nul(value: bytes) -> int | None:
    """Where \\u0000 stands whose backslash is not itself escaped: the last of an odd number of them."""
    runs = (run for run in _ESCAPED_NUL.finditer(value) if (run.end() - run.start() - _NUL_BYTES) % 2 == 0)
    return next((run.end() - _NUL_BYTES for run in runs), None)


def odd_numbers(value: bytes) -> bool:
    """Whether a number in `value` may be beyond what a double holds; digits inside strings count, which only costs."""
    numbers = value.translate(_NUMBERS)
    return _LONG in numbers or (b"e-" in numbers and _TINY in numbers)


def _exact(value: bytes) -> int | Fault:
    """Looks at every key and every number as written: the slow way, for the few that need it."""
    flags = 0

    def integer(text: str) -> int:
        nonlocal flags
        number = _integer(text, value)
        if abs(number) > EXACT_INTEGER:
            flags = int(Flag.INEXACT_NUMBER)
        return number

    def decimal(text: str) -> float:
        nonlocal flags
        number = float(text)
        if not _exact_decimal(text, number):
            flags = int(Flag.INEXACT_NUMBER)
        return number

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        if len(members := dict(pairs)) != len(pairs):
            raise _Refused(_duplicate(pairs, value))
        return members

    try:
        json.loads(value, parse_int=integer, parse_float=decimal, object_pairs_hook=unique)
    except _Refused as refused:
        return refused.fault
    return flags


def _exact_decimal(text: str, number: float) -> bool:
    """Whether the double is what the text says, or the text is what the double is written as."""
    try:
        said = Decimal(text)
    except InvalidOperation:  # an exponent beyond what decimal holds, so the double is 0.0
        return False
    return said == Decimal(repr(number)) or said == Decimal(number)


def _integer(text: str, value: bytes) -> int:
    if len(text) <= _INTEGER_TEXT and MIN_INTEGER <= (number := int(text)) <= MAX_INTEGER:
        return number
    if is_double(text):
        return int(text)
    shown = text if len(text) <= 40 else f"{text[:20]}... ({len(text)} digits)"
    what = f"the integer {shown} is beyond 64 bits, and no double holds it exactly"
    raise _Refused(Fault(Reason.NUMBER_RANGE, what, _only(text.encode(), value)))


def is_double(text: str) -> bool:
    """Whether a double holds this integer exactly, as JavaScript and Go write 1e20. Bounded, whatever the text."""
    if len(text) > DOUBLE_DIGITS:
        return False
    number = float(text)
    return isfinite(number) and int(number) == int(text)


def _duplicate(pairs: list[tuple[str, Any]], value: bytes) -> Fault:
    seen: set[str] = set()
    key = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
    return Fault(Reason.DUPLICATE_KEY, f"the key {shown(key)} stands twice in one object", _second(key, value))


def _second(key: str, value: bytes) -> int | None:
    """Where the key stands the second time, if it stands exactly twice in the whole value."""
    if not _PLAIN_KEY.fullmatch(key):
        return None
    found = [match.start() for match in re.finditer(b'"%b"[ \\t\\r\\n]*:' % re.escape(key.encode()), value)]
    return found[1] if len(found) == 2 else None


def _only(text: bytes, value: bytes) -> int | None:
    return value.index(text) if value.count(text) == 1 else None


def too_deep(value: bytes, depth: int) -> Fault | None:
    """Counts brackets outside strings, before any parser recurses into them."""
    brackets = _outside_strings(value, _NOT_BRACKETS)
    deepest = max(accumulate(map(_STEP.__getitem__, brackets)), default=0)
    if deepest <= depth:
        return None
    return Fault(Reason.TOO_DEEP, f"nested {deepest} deep; limits.depth is {depth}")


def outline(value: bytes) -> bytes:
    """Brackets and commas outside strings, in order: the shape of a value that nobody has parsed yet."""
    return _outside_strings(value, _NOT_OUTLINE)


def _outside_strings(value: bytes, dropped: bytes) -> bytes:
    """`value` without its strings and without the bytes of `dropped`, which holds all but quotes and what is wanted.

    With escapes gone (`\\\\` first, because it may stand before a quote that ends a string) every quote begins or ends
    one. Linear in the length, whatever the value; behind a string that never ends there is nothing.
    """
    if _BACKSLASH in value:
        value = value.replace(b"\\\\", b"").replace(b'\\"', b"")
    return b"".join(value.translate(None, dropped).split(b'"')[::2])


def diagnose(value: bytes, said: str) -> Fault:
    """Why msgspec refused `value`. What it `said` gives the sentence and the place, never the reason."""
    return _encoding_fault(value) or _escape_fault(value) or _grammar_fault(value, said)


def _encoding_fault(value: bytes) -> Fault | None:
    if not value.strip(_BLANK):
        return Fault(Reason.EMPTY, "white space only" if value else "no bytes at all", 0)
    if value.startswith(_BOM):
        return Fault(Reason.BOM, "the value begins with a byte order mark", 0)
    try:
        value.decode()
    except UnicodeDecodeError as error:
        return Fault(Reason.NOT_UTF8, "bytes that are not UTF-8", error.start)
    if b"\x00" in value:
        return Fault(Reason.NUL, "a raw NUL byte", value.index(b"\x00"))
    return None


def _escape_fault(value: bytes) -> Fault | None:
    """Half of a surrogate pair. Escapes are walked from the left, so an escaped backslash hides what follows it."""
    halves = (e.start() for e in _ESCAPE.finditer(value) if e.end() - e.start() < _PAIR_BYTES)
    at = next((at for at in halves if _HALF.match(value, at)), None)
    return None if at is None else Fault(Reason.SURROGATE, "half of a surrogate pair", at)


def _grammar_fault(value: bytes, said: str) -> Fault:
    """The reason is how far the standard parser comes: all of it, its beginning, a word that is no number, nowhere."""
    byte_named = _BYTE.search(said)
    at = int(byte_named[1]) if byte_named else len(value)
    try:
        end = _parsed_until(value)
    except _Refused:
        return Fault(Reason.NUMBER_RANGE, "NaN and Infinity are not JSON", at)
    except ValueError:
        what = _BYTE.sub("", said.removeprefix(_MALFORMED)).strip() if byte_named else "the value ends in the middle"
        return Fault(Reason.NOT_JSON, what, at)
    if end is None:
        return Fault(Reason.NUMBER_RANGE, "a number that no double and no 64-bit integer holds")
    return Fault(Reason.TRAILING, "something stands behind the end of the value", end)


def _parsed_until(value: bytes) -> int | None:
    """The byte at which something stands behind the first JSON value; None: nothing does, so its grammar is sound.

    Raises ValueError where there is no JSON value, _Refused where one is NaN or Infinity. Nothing is computed from
    numbers here: one of 140,000 digits costs nothing.
    """
    text = value.decode()
    start = len(text) - len(text.lstrip(_BLANK_TEXT))
    _, end = _GRAMMAR.raw_decode(text, start)
    rest = text[end:].lstrip(_BLANK_TEXT)
    return len(value) - len(rest.encode()) if rest else None


def _no_number(name: str) -> Any:
    raise _Refused(Fault(Reason.NUMBER_RANGE, f"{name} is not JSON"))


_GRAMMAR = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=_no_number)


def shown(text: str) -> str:
    """A producer's text inside a sentence: escaped, and cut after 80 characters."""
    return json.dumps(text if len(text) <= 80 else text[:80] + "...")


def _json_type(value: Any) -> str:
    names = {type(None): "null", bool: "a boolean", int: "a number", float: "a number", str: "a string"}
    return names.get(type(value), "an array")
