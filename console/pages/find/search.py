"""The filter box: qualifiers and what they mean. What no index answers is no qualifier, and is said. Pure.

`decision:quarantined class:flight source:inbox/3 offset:88201 id:UA/1545/2013-01-01T05:00:00Z`
"""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from console.whole import LARGEST, whole
from ingest.core.identity import Part, Parts
from ingest.core.reason import Decision

QUALIFIERS = ("decision", "class", "source", "offset", "id", "reason")
MOST_CHARACTERS = 1_200
MOST_READINGS = 32  # of one id: each part that looks like an integer may be a string, too

_HALF = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """A search, understood. `wrong` says what was not."""

    decision: Decision | None = None
    class_name: str = ""
    source: str = ""
    offset: int | None = None
    ids: tuple[Parts, ...] = ()
    id_text: str = ""
    wrong: tuple[str, ...] = field(default=())

    @property
    def is_empty(self) -> bool:
        return not (self.decision or self.class_name or self.source or self.ids or self.offset is not None)


def understand(q: str) -> SearchQuery:
    """Read a filter. Words without a qualifier are said to be not searched, never dropped in silence."""
    wrong: list[str] = []
    filters: dict[str, str] = {}
    if len(q) > MOST_CHARACTERS:
        wrong.append(f"Only the first {MOST_CHARACTERS:,} characters were read.")
    for word in _words(q[:MOST_CHARACTERS]):
        name, colon, value = word.partition(":")
        if not colon or name.lower() not in QUALIFIERS:
            known = ", ".join(f"{each}:" for each in QUALIFIERS if each != "reason")
            wrong.append(f"{word[:80]!r} was not searched: no index answers it. Qualifiers are {known}.")
        elif not value:
            wrong.append(f"{name}: has no value, so it was left out.")
        else:
            filters[name.lower()] = value
    return _asked(filters, wrong)


def _words(q: str) -> list[str]:
    """Words at white space; an id in JSON or quotes may hold some."""
    words: list[str] = []
    rest = q.strip()
    while rest:
        if rest.lower().startswith("id:["):
            end = rest.find("]")
            cut = end + 1 if end > 0 else len(rest)
        elif rest.lower().startswith('id:"'):
            end = rest.find('"', 4)
            cut = end + 1 if end > 0 else len(rest)
        else:
            cut = len(rest.split(None, 1)[0])
        words.append(rest[:cut])
        rest = rest[cut:].strip()
    return words


def _asked(found: dict[str, str], wrong: list[str]) -> SearchQuery:
    decision = None
    if "decision" in found:
        decision = Decision.__members__.get(found["decision"].upper())
        if decision is None:
            wrong.append(f"decision:{found['decision'][:40]} is none of admitted, duplicate, quarantined.")
    offset = None
    if "offset" in found:
        offset = whole(found["offset"].replace(",", ""))
        if offset is None:
            wrong.append(f"offset:{found['offset'][:40]} is not an offset.")
    if "reason" in found:
        wrong.append("reason: is not indexed on receipts; Quarantine lists items by reason.")
    ids = readings(found["id"]) if "id" in found else ()
    if "id" in found and not ids:
        wrong.append(f"id:{found['id'][:80]} has no readable parts.")
    return SearchQuery(
        decision, found.get("class", ""), found.get("source", ""), offset, ids, found.get("id", ""), tuple(wrong)
    )


def readings(text: str) -> tuple[Parts, ...]:
    """What an id may mean: a JSON array says it exactly; else parts at "/", with integers as such or as strings."""
    text = text.strip().strip('"')
    if text.startswith("["):
        return _json_parts(text)
    parts = text.split("/")
    if not text or len(parts) > 16:
        return ()
    choices = [_choices(part) for part in parts]
    return tuple(itertools.islice(itertools.product(*choices), MOST_READINGS))


def _choices(part: str) -> Sequence[Part]:
    """An integer first, for a contract's ids are usually of the type they look like."""
    digits = part.removeprefix("-")
    number = whole(digits)
    if number is None or str(number) != digits or part == "-0":
        return (part,)
    return (number if digits == part else -number, part)


def _json_parts(text: str) -> tuple[Parts, ...]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return ()
    fits = isinstance(value, list) and value and all(_is_part(part) for part in value)
    return (tuple(value),) if fits and len(value) <= 16 else ()


def _is_part(part: object) -> bool:
    """What an identity can hold: text that UTF-8 can, and integers of 64 bits."""
    if isinstance(part, str):
        return not _HALF.search(part)
    return type(part) is int and -LARGEST - 1 <= part <= LARGEST
