"""Mending: effects of a window that failed, and rows that readers read, are written again where they went missing.

A step inside the transaction of a plan that proves the window, for events to which the records read again refer. The
effects lane has passed their places, and its positions never move back. An effect is written as the lane wrote it: at
the event's place, under the bus batch that read it, with the payload that the ledger keeps and the window's own pins.
Each is a row of `mended_effect`, too, which the database holds against the plan.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from psycopg import sql as pgsql

from ingest.consume.transaction import answer_columns, run_projection
from ingest.core.cloudevents import digest_as_said
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId, SourceId, WindowId
from ingest.core.leaf import table_partition
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.mending import MissingPart, StoredEvent, Takes, lack, tables_of, unusable
from ingest.db import Cursor, fetch_one, statements
from ingest.failpoints import failpoint
from ingest.projections.base import AppliedEvent, Joined, Projection, load_projection
from ingest.publish import attempts
from ingest.streams import CompiledContract

sql = statements("ingest.consume", "mending")


class AnswersOtherwise(PassgateError):
    """Rows of an effect that stands would be written with another answer of the join than it has."""

    code: ClassVar[str] = "answers_otherwise"
    what: ClassVar[str] = "the projection answers otherwise than the effect says"


@dataclass(frozen=True)
class MendOrder:
    """Whose effects: of window `win`, under its contract. `source`: the plan's, whose records refer to its events."""

    run: RunId
    win: WindowId
    loaded: CompiledContract
    source: SourceId


@dataclass(frozen=True)
class MissingEvent:
    """What can be written again of an event: its effect with all its rows, or the rows alone."""

    identity: bytes
    class_name: str
    payload: bytes
    missing: MissingPart
    bus_source: SourceId | None
    bus_offset: int | None
    bus_batch: int | None
    answer: tuple[int | None, str | None]


@dataclass
class Lacking:
    """What is missing of a window's events. `why`: nothing of the window is written again; `refused`: events that are
    not, by reason. `tables`: by table, how many events' rows are missing that can be written again alone."""

    why: str = ""
    events: list[MissingEvent] = field(default_factory=list)
    refused: Counter[str] = field(default_factory=Counter)
    tables: Counter[str] = field(default_factory=Counter)

    def count(self, missing: MissingPart) -> int:
        return sum(event.missing is missing for event in self.events)


def unmendable(cur: Cursor, win: WindowId) -> str:
    """Why nothing of this window is written again; "" where it may be."""
    return fetch_one(cur.execute(sql.unmendable, {"win": win})).why or ""


def look(cur: Cursor, order: MendOrder, identities: Iterable[bytes]) -> Lacking:
    """What is missing of the window's events among these; nothing is written."""
    projection = _projection(order.loaded)
    lacking = Lacking(unmendable(cur, order.win) or _unrepeatable(projection))
    wanted = list(dict.fromkeys(identities))
    lacks = _lacks(cur, order, wanted, projection, lacking) if wanted else {}
    for row in _stored(cur, order, list(lacks)):
        missing, class_name, tables = lacks[bytes(row.identity)]
        event = _event(row)
        if missing is MissingPart.EFFECT and event.placed and not event.read and not event.apart:
            continue  # it lies ahead of the effects lane, which applies it
        if why := unusable(event, missing):
            lacking.refused[why] += 1
            continue
        lacking.events.append(_missing(row, class_name, missing))
        lacking.tables.update(tables)
    return lacking


def mend(cur: Cursor, order: MendOrder, offsets: Mapping[bytes, int]) -> int:
    """The step: writes what is missing of these events, by the offset of the record that refers to each; returns how
    many there were. The window's row is locked first, so that of two plans that find the same one writes it.

    Raises AnswersOtherwise, ContextNotOpen, ProjectionFailed.
    """
    if unmendable(cur, order.win) or not look(cur, order, offsets).events:
        return 0
    cur.execute(sql.lock, {"win": order.win})
    failpoint("mend.after_lock")
    lacking = look(cur, order, offsets)
    if lacking.why or not lacking.events:
        return 0
    answers = _project(cur, order, lacking.events)
    failpoint("mend.after_projection")
    cur.execute(sql.insert_effects, _effect_rows(order, lacking.events, answers))
    failpoint("mend.after_effects")
    cur.execute(sql.insert_mended, _mended_rows(order, lacking.events, offsets))
    failpoint("mend.after_rows")
    attempts.touch(cur, [order.win])
    return len(lacking.events)


# ---- what is missing ------------------------------------------------------------------------------------------------


def _projection(loaded: CompiledContract) -> Projection | None:
    named = loaded.contract.projection
    return load_projection(named.class_path) if named is not None else None


def _unrepeatable(projection: Projection | None) -> str:
    """A projection may keep a state of its own, in which the event is counted already."""
    if projection is None or (projection.repeatable and not projection.order):
        return ""
    return "its projection does not say that it can be"


Lacks = dict[bytes, tuple[MissingPart, str, Sequence[str]]]


def _lacks(
    cur: Cursor, order: MendOrder, identities: Sequence[bytes], projection: Projection | None, lacking: Lacking
) -> Lacks:
    """By identity what is missing, the event's class, and the tables whose rows alone are; others go to `lacking`."""
    takes: Takes = {t: projection.takes.get(t) for t in projection.tables} if projection is not None else {}
    keys = {
        "run": order.run, "win": order.win, "identities": b"".join(identities), "n": len(identities),
        "every": bool(takes),
    }  # fmt: skip
    leaf = table_partition("event", order.run)
    standing = cur.execute(sql.standing.format(leaf=leaf), keys).fetchall()
    rows = _rows(cur, order.win, [identities[row.i] for row in standing], takes)
    names = {number: name for name, number in order.loaded.class_ids.items()}
    lacks: Lacks = {}
    for row in standing:
        identity, name = identities[row.i], names.get(row.class_id, "")
        one = lack(row.applied, name, rows[identity], takes)
        if one is None:
            continue
        if one.why:
            lacking.refused[one.why] += 1
            continue
        lacks[identity] = one.missing, name, tables_of(name, takes) if one.missing is MissingPart.ROWS else ()
    return lacks


def _rows(cur: Cursor, win: WindowId, identities: Sequence[bytes], takes: Takes) -> Mapping[bytes, set[str]]:
    """The tables that have rows of these events."""
    found: dict[bytes, set[str]] = defaultdict(set)
    for table in takes if identities else ():
        named = pgsql.Identifier(*table.split(".")).as_string(cur)
        for row in cur.execute(sql.rows.format(table=named), {"win": win, "identities": list(identities)}).fetchall():
            found[bytes(row.identity)].add(table)
    return found


def _stored(cur: Cursor, order: MendOrder, identities: Sequence[bytes]) -> list[Any]:
    if not identities:
        return []
    keys = {"run": order.run, "win": order.win, "identities": b"".join(identities), "n": len(identities)}
    return cur.execute(sql.stored.format(leaf=table_partition("event", order.run)), keys).fetchall()


def _event(row: Any) -> StoredEvent:
    digest = bytes(row.payload_digest)
    found = digest_as_said(row.payload, unpacked_headers(row.headers), digest)
    apart = "the record at its place was set aside" if row.aside else "nothing was read at its place" if row.gap else ""
    read = row.bus_batch_id is not None
    return StoredEvent(row.payload, digest, found, row.bus_offset is not None, read, apart, row.copied)


def _missing(row: Any, class_name: str, missing: MissingPart) -> MissingEvent:
    return MissingEvent(
        bytes(row.identity), class_name, bytes(row.payload), missing, row.bus_source_id, row.bus_offset,
        row.bus_batch_id, (row.context_state, row.context_reason),
    )  # fmt: skip


# ---- writing --------------------------------------------------------------------------------------------------------


def _project(cur: Cursor, order: MendOrder, events: Sequence[MissingEvent]) -> Sequence[Joined | None]:
    """The projection's answers, with the window's own pins; of an effect that stands it is the one that it has."""
    named = order.loaded.contract.projection
    if named is None:
        return [None] * len(events)
    applied = [AppliedEvent(event.identity, event.class_name, event.payload) for event in events]
    answers = run_projection(cur, named.class_path, order.win, applied)
    for event, answer in zip(events, answers, strict=True):
        if event.missing is MissingPart.ROWS and answer_columns(answer) != event.answer:
            raise AnswersOtherwise(
                expected=f"{event.answer[0]}, {event.answer[1]} of identity {event.identity.hex()}",
                found=", ".join(map(str, answer_columns(answer))),
                next_step="cancel the plan, and ask for a fresh run",
            )
    return answers


def _effect_rows(
    order: MendOrder, events: Sequence[MissingEvent], answers: Sequence[Joined | None]
) -> dict[str, object]:
    pairs = [(e, answer_columns(a)) for e, a in zip(events, answers, strict=True) if e.missing is MissingPart.EFFECT]
    pairs.sort(key=lambda pair: pair[0].identity)
    return {
        "run": order.run, "win": order.win,
        "identities": [event.identity for event, _ in pairs],
        "sources": [event.bus_source for event, _ in pairs],
        "offsets": [event.bus_offset for event, _ in pairs],
        "batches": [event.bus_batch for event, _ in pairs],
        "states": [state for _, (state, _) in pairs],
        "reasons": [reason for _, (_, reason) in pairs],
    }  # fmt: skip


def _mended_rows(order: MendOrder, events: Sequence[MissingEvent], offsets: Mapping[bytes, int]) -> dict[str, object]:
    return {
        "source": order.source, "run": order.run, "win": order.win,
        "offsets": [offsets[event.identity] for event in events],
        "identities": [event.identity for event in events],
        "effects": [event.missing is MissingPart.EFFECT for event in events],
    }  # fmt: skip


__all__ = ["AnswersOtherwise", "Lacking", "MendOrder", "MissingEvent", "look", "mend", "unmendable"]
