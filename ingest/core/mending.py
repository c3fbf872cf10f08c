"""Effects that went missing: what of an event is gone, and whether it can be applied again as it was. Pure.

The effects lane writes an effect and the rows that readers read of it in one transaction, once: one without the other,
or neither behind the lane's position, was taken away by somebody. What stands in part is nobody's to add to.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Set
from dataclasses import dataclass
from enum import StrEnum

#: A projection's tables, each with the classes of which it has rows; None: of all.
Takes = Mapping[str, Collection[str] | None]


class MissingPart(StrEnum):
    """What of an event is gone."""

    EFFECT = "EFFECT"  # its effect, and with that all its rows
    ROWS = "ROWS"  # all its rows, and not its effect


@dataclass(frozen=True)
class Lack:
    """What is missing of an event; `why` it cannot be written again as it was, if it cannot."""

    missing: MissingPart
    why: str = ""


@dataclass(frozen=True)
class StoredEvent:
    """An event as the ledger holds it: its payload's digest as it is now, and where it lies on the bus.

    `read`: whether a bus batch spans its place; `apart`: nothing was read there, or it was set aside; `copied`: that
    batch read copies of the window's events, too.
    """

    payload: bytes | None
    digest: bytes
    found_digest: bytes
    placed: bool
    read: bool
    apart: str = ""
    copied: bool = False


def tables_of(class_name: str, takes: Takes) -> list[str]:
    """The tables that have rows of such an event."""
    return [table for table, classes in takes.items() if classes is None or class_name in classes]


def lack(applied: bool, class_name: str, rows: Set[str], takes: Takes) -> Lack | None:
    """None: nothing is missing of the event. `rows`: the tables that have rows of it."""
    wanted = set(tables_of(class_name, takes))
    if not applied:
        return Lack(MissingPart.EFFECT, f"rows of it stand in {_listed(rows)} without an effect" if rows else "")
    if wanted <= rows:
        return None
    return Lack(MissingPart.ROWS, f"rows of it stand in {_listed(rows)}, and others are gone" if rows else "")


def unusable(event: StoredEvent, missing: MissingPart) -> str:
    """Why what the ledger holds of the event does not do to apply it again; "" where it does.

    A batch of the bus that read copies does not say which record had the effect.
    """
    if event.payload is None:
        return "its payload is not kept"
    if event.found_digest != event.digest:
        return "its payload has another digest"
    if missing is MissingPart.ROWS:
        return ""
    if not event.placed:
        return "it has no place on the bus that counts"
    if event.apart:
        return event.apart
    return "a copy of an event of the window was read beside it" if event.copied else ""


def _listed(tables: Collection[str]) -> str:
    return ", ".join(sorted(tables))
