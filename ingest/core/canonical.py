"""Whether two payloads are the same event written differently, and where they differ (RFC 8785).

Costs 27 microseconds and more, so it is asked only where an identity is known and the raw digests differ.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from math import isfinite
from typing import Any

import msgspec
import rfc8785

from ingest.core.errors import RecordError
from ingest.core.pointer import MISSING, escape
from ingest.core.strictjson import DOUBLE_DIGITS, is_double

_decode = msgspec.json.Decoder().decode

# Admitted payloads hold no NUL, so a string that begins with one cannot be a producer's.
_NUMBER = "\x00number:"
_SAFE_INTEGER = 2**53 - 1
"""The largest integer that a double holds exactly: RFC 8785 writes integers up to here digit by digit."""


@dataclass(frozen=True, slots=True)
class FieldDifference:
    """One field of two payloads, as JSON text; None where it is missing. `pointer` is an RFC 6901 pointer."""

    pointer: str
    first: str | None
    arrived: str | None
    equal: bool


def canonical(payload: bytes) -> bytes:
    """The RFC 8785 form of a payload that was understood.

    What has a point or an exponent is the double it is, as RFC 8785 has it. That would round integers, too, which no
    double holds; these are kept exactly, as a string that begins with NUL, since two different integers must not become
    one event. Raises RecordError where the payload is not JSON.
    """
    return rfc8785.dumps(_load(payload))


def same_event(first: bytes, second: bytes) -> bool:
    """Whether both payloads have the same canonical form: `second` is a mere re-serialisation of `first`.

    Raises RecordError where one of them is not JSON.
    """
    return not _surely_different(first, second) and canonical(first) == canonical(second)


def _surely_different(first: bytes, second: bytes) -> bool:
    """Cheap, so that a flood of mismatches costs little: values that are equal canonically are equal in Python.

    Integers are decoded exactly and the rest to doubles, and compared as the numbers they are. The other way round it
    does not hold (True equals 1).
    """
    try:
        return bool(_decode(first) != _decode(second))
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def field_difference(first: bytes, second: bytes) -> list[FieldDifference]:
    """Every field of both payloads in the order of `first`, then what only `second` has; equal ones included.

    Objects and arrays are entered where both sides have one; otherwise they are one field.
    """
    return list(_differences("", _load_texts(first), _load_texts(second)))


def _load(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode(), parse_int=_integer, parse_float=_decimal)
    except ValueError as error:
        raise RecordError(expected="a payload that is JSON", found=type(error).__name__) from error


def _integer(text: str) -> int | float | str:
    """As it is where RFC 8785 writes it so, as the double that equals it, else exactly: one number has one form."""
    if len(text) > DOUBLE_DIGITS:
        return _NUMBER + text
    number = int(text)
    if abs(number) <= _SAFE_INTEGER:
        return number
    return float(text) if is_double(text) else _NUMBER + text


def _decimal(text: str) -> float | str:
    number = float(text)
    return number if isfinite(number) else _NUMBER + text


class _Literal(str):
    """A number as it was written."""

    __slots__ = ()


def _load_texts(payload: bytes) -> Any:
    try:
        return json.loads(payload.decode(), parse_int=_Literal, parse_float=_Literal)
    except ValueError as error:
        raise RecordError(expected="a payload that is JSON", found=type(error).__name__) from error


def _differences(pointer: str, first: Any, second: Any) -> Iterator[FieldDifference]:
    if isinstance(first, dict) and isinstance(second, dict) and (first or second):
        for key in {**first, **second}:
            yield from _differences(f"{pointer}/{escape(key)}", first.get(key, MISSING), second.get(key, MISSING))
    elif isinstance(first, list) and isinstance(second, list) and (first or second):
        for at in range(max(len(first), len(second))):
            yield from _differences(f"{pointer}/{at}", _item(first, at), _item(second, at))
    else:
        yield _field(pointer, _text(first), _text(second))


def _item(items: list[Any], at: int) -> Any:
    return items[at] if at < len(items) else MISSING


def _field(pointer: str, first: str | None, second: str | None) -> FieldDifference:
    # Most fields of a mismatch are written alike, and need no parsing.
    equal = first == second or (
        first is not None and second is not None and same_event(first.encode(), second.encode())
    )
    return FieldDifference(pointer, first, second, equal)


def _text(value: Any) -> str | None:
    """JSON text with numbers as they were written."""
    if value is MISSING:
        return None
    if isinstance(value, _Literal):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_quoted(key)}:{_text(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(f"{_text(item)}" for item in value) + "]"
    return _quoted(value)


def _quoted(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)
