"""What a contract masks in a payload: one reading of its pointers, for the API, the pages and the command line.

A pointer names a place in the event as the contract sees it. A CloudEvent in binary mode is seen in its structured
form, so `/data/tailnum` names `/tailnum` of its value, and `/subject` its header `ce_subject`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.core.errors import RecordError
from ingest.core.pointer import Pointer, escape, index_of, parse_pointer

MASKED = "masked"
NOT_READ = "the contract masks fields, and this value cannot be read to mask them"
NO_OBJECT = "the contract masks fields, and this value is not an object"
WHOLE = "the contract masks this value as a whole"

Tokens = tuple[str, ...]
Header = tuple[str, bytes | None]


@dataclass(frozen=True, slots=True)
class Masks:
    """Places of one record: `value` below its value, `headers` by name; `whole` where all of the value is masked."""

    value: tuple[Tokens, ...] = ()
    headers: frozenset[str] = frozenset()
    whole: bool = False


def parse_mask(text: str) -> Pointer:
    """A pointer that can be read in one way only. Raises RecordError.

    RFC 6901 knows no array index with a leading zero, and `-` is the element after the last: whoever writes `/a/01`
    means `/a/1`, and a mask that silently hits nothing shows what it was written to hide.
    """
    pointer = parse_pointer(text)
    for token in pointer.tokens:
        if token == "-" or (len(token) > 1 and token[0] == "0" and token.isascii() and token.isdigit()):
            raise RecordError(expected="array indices without leading zeros, and no `-`", found=repr(text))
    return pointer


def masks_of(pointers: Iterable[Pointer], cloudevents: bool, headers: Sequence[Header]) -> Masks:
    """The masks of one record; `cloudevents`: its contract's format is."""
    tokens = tuple(pointer.tokens for pointer in pointers)
    if not cloudevents or _is_structured(headers):
        return Masks(tokens)
    below = tuple(each[1:] for each in tokens if each[0] == "data" and len(each) > 1)
    named = frozenset(name for each in tokens if len(each) == 1 for name in _headers_of(each[0]))
    return Masks(below, named, any(each in {("data",), ("data_base64",)} for each in tokens))


def _headers_of(attribute: str) -> tuple[str, ...]:
    return ("content-type",) if attribute == "datacontenttype" else (f"ce_{attribute}", f"ce-{attribute}")


def _is_structured(headers: Sequence[Header]) -> bool:
    kinds = [value or b"" for name, value in headers if name.lower() == "content-type"]
    return any(kind.strip().lower().startswith(b"application/cloudevents") for kind in kinds)


def masked(value: bytes | None, masks: Masks) -> tuple[bytes | None, str]:
    """The value with the places replaced, and why something is hidden; "" where nothing is.

    A value that cannot be read in one way cannot be masked, and stays hidden: of a key that stands twice, the bytes
    hold both.
    """
    if value is None or not (masks.value or masks.whole):
        return value, ""
    if masks.whole:
        return None, WHOLE
    try:
        document = json.loads(value, object_pairs_hook=_once)
    except (ValueError, RecursionError):
        return None, NOT_READ
    if not isinstance(document, dict):
        return None, NO_OBJECT
    hits = sorted(place for tokens in masks.value if (place := _replace(document, tokens)))
    if not hits:
        return value, ""
    return json.dumps(document, ensure_ascii=False).encode("utf-8", "surrogatepass"), f"masked: {', '.join(hits)}"


def masked_headers(pairs: Iterable[Header], masks: Masks) -> list[Header]:
    """Headers with null for the value of each that is masked, however its name is written: its name tells of it."""
    return [(name, None if name.lower() in masks.headers else value) for name, value in pairs]


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key stands twice")
    return found


def _replace(document: Any, tokens: Tokens) -> str:
    """Masks what is at the place; the place as a canonical pointer, or "" where there is nothing."""
    node, last = document, len(tokens) - 1
    for at, token in enumerate(tokens):
        key = step(node, token)
        if key is None:
            return ""
        if at == last:
            node[key] = MASKED
        else:
            node = node[key]
    return pointer_of(tokens)


def step(node: Any, token: str) -> str | int | None:
    """The key or index that a token names in `node`; None where there is none."""
    if isinstance(node, dict):
        return token if token in node else None
    if isinstance(node, list):
        number = index_of(token)
        return number if number is not None and number < len(node) else None
    return None


def pointer_of(tokens: Tokens) -> str:
    return "".join(f"/{escape(token)}" for token in tokens)


def covers(masks: Masks, pointer: str) -> bool:
    """Whether the field at a canonical pointer is masked, or lies in something that is."""
    if masks.whole:
        return True
    places = map(pointer_of, masks.value)
    return any(pointer == place or pointer.startswith(f"{place}/") for place in places)
