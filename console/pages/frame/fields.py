"""Two payloads field by field: what differs, what is equal, what may not be seen. Pure and bounded.

Numbers stay the text they were written as, so nothing is rounded on the way to the page and 1 beside 1.0 shows.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from console.pages.frame.contexts import Difference, DiffRow
from ingest.core.masking import MASKED, Masks, covers
from ingest.core.pointer import escape

MOST_FIELDS = 500
MOST_BYTES = 1_048_576
NO_MASKS = (Masks(), Masks())
MASKED_DIFFERS = "masked, differs"


def difference(first: bytes | None, arrived: bytes | None, masks: tuple[Masks, Masks] = NO_MASKS) -> Difference:
    """The difference of two payloads, each with its masks. Where one cannot be read so, that is said instead."""
    if first is None:
        return Difference((), (), only_digests="The first payload's bytes are no longer kept; its digest stands.")
    if arrived is None:
        return Difference((), (), only_digests="This record has no value to compare.")
    was, now = flat(first), flat(arrived)
    if was is None or now is None:
        return Difference((), (), only_digests="One of the payloads cannot be read field by field; the raw bytes can.")
    pointers = list(dict.fromkeys((*was, *now)))
    rows = [_row(pointer, was.get(pointer), now.get(pointer), masks) for pointer in pointers[:MOST_FIELDS]]
    return Difference(
        differing=tuple(row for row, equal in rows if not equal),
        equal=tuple(row for row, equal in rows if equal),
        left_out=max(len(pointers) - MOST_FIELDS, 0),
    )


def _row(pointer: str, first: str | None, arrived: str | None, masks: tuple[Masks, Masks]) -> tuple[DiffRow, bool]:
    equal = first == arrived
    if any(covers(each, pointer) for each in masks):
        words = MASKED if equal else MASKED_DIFFERS
        return DiffRow(pointer, words if first is not None else None, words if arrived is not None else None), equal
    return DiffRow(pointer, first, arrived), equal


def flat(raw: bytes) -> dict[str, str] | None:
    """Fields by JSON Pointer, each value as JSON text; None where the bytes are not JSON that can be walked."""
    if len(raw) > MOST_BYTES:
        return None
    try:
        # Numbers stay text: no digit is lost, and none of 5,000 digits is computed with.
        document = json.loads(raw, parse_int=_Number, parse_float=_Number, parse_constant=_Number)
        return dict(_walk("", document))
    except (ValueError, RecursionError):
        return None


class _Number(str):
    """A number as it was written."""

    __slots__ = ()


def _walk(pointer: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from _walk(f"{pointer}/{escape(key)}", inner)
    elif isinstance(value, list) and value:
        for at, inner in enumerate(value):
            yield from _walk(f"{pointer}/{at}", inner)
    else:
        yield pointer or "/", _text(value)


def _text(value: Any) -> str:
    if isinstance(value, _Number):
        return str(value)
    # surrogates and control characters stay escapes here; `shown` deals with what still does not print
    return json.dumps(value, ensure_ascii=False)
