"""Resolving quarantine items: a person decides, with a reason, once.

A discard beyond the contract's `close.discard_max` cannot be undone and keeps the window from passing. So it is
refused, with its arithmetic, unless whoever asks names the run.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.auditlog import record_act
from ingest.core.errors import NotFound, PassgateError
from ingest.core.ids import RunId, WindowId
from ingest.core.reason import Reason
from ingest.db import Cursor, read, retry_transaction, statements, write
from ingest.models import Resolution
from ingest.streams import compiled_contract
from ingest.windows import raise_revisions

sql = statements("ingest", "quarantine")

#: One transaction resolves at most this many items; a group of more takes several.
MOST_ITEMS = 10_000


class ResolutionRefused(PassgateError):
    """A resolution lacks a reason, or an item is resolved already."""

    code = "resolution_refused"
    what = "the items cannot be resolved"


class DiscardBeyondBound(PassgateError):
    """More would be discarded than the contract allows, and nobody said by name that this is meant."""

    code = "discard_beyond_bound"
    what = "the contract allows fewer discards"


@dataclass(frozen=True)
class ResolvedItems:
    items: int
    windows: tuple[WindowId, ...]


@dataclass(frozen=True)
class Discards:
    """What discarding a selection means for one window. `run` is `flights/2013-01`."""

    win: WindowId
    window: int
    run: str
    allowed: int
    used: int
    more: int

    @property
    def beyond(self) -> bool:
        return self.used + self.more > self.allowed

    def __str__(self) -> str:
        return f"{self.allowed:,} allowed, {self.used:,} used, this makes {self.used + self.more:,}"


@dataclass(frozen=True)
class Group:
    """The open items of one reason in one run (by its number), up to the last one a person was shown."""

    run: RunId
    reason: Reason
    upto: int

    @property
    def keys(self) -> dict[str, int]:
        return {"run": self.run, "code": int(self.reason), "upto": self.upto}


def discards_of(items: Iterable[int]) -> tuple[Discards, ...]:
    """What discarding these items would make, by window."""
    with read() as cur:
        return _counted(cur, cur.execute(sql.open_of_items, {"ids": sorted(set(items))}).fetchall())


def discards_of_group(group: Group) -> tuple[Discards, ...]:
    """The same of a group."""
    with read() as cur:
        return _counted(cur, cur.execute(sql.open_of_group, group.keys).fetchall())


def _counted(cur: Cursor, rows: Sequence[Any]) -> tuple[Discards, ...]:
    return tuple(_discards(cur, {row.win: row.items for row in rows}))


def _discards(cur: Cursor, more: Mapping[WindowId, int], counted: bool = False) -> list[Discards]:
    """`counted`: the items are discarded already, in this transaction."""
    found = []
    for row in cur.execute(sql.discarded, {"windows": list(more)}).fetchall():
        allowed = compiled_contract(row.contract_id).contract.close.discard_max
        used = row.discarded - (more[row.win] if counted else 0)
        found.append(Discards(row.win, row.number, f"{row.stream}/{row.run_name}", allowed, used, more[row.win]))
    return found


def resolve(
    items: Iterable[int], actor: str, resolution: Resolution, reason: str, beyond: Collection[str] = ()
) -> ResolvedItems:
    """Resolves all of these open items or none, at most 10,000.

    `beyond` names runs (`flights/2013-01`) in which more may be discarded than the contract allows. Raises NotFound,
    ResolutionRefused or DiscardBeyondBound.
    """
    wanted = sorted(set(items))
    because = _because(reason)
    if not 0 < len(wanted) <= MOST_ITEMS:
        raise ResolutionRefused(expected=f"1 to {MOST_ITEMS:,} items", found=f"{len(wanted):,}")
    return retry_transaction(lambda: _resolve(wanted, actor, resolution, because, beyond))


def resolve_group(
    group: Group, actor: str, resolution: Resolution, reason: str, beyond: Collection[str] = ()
) -> ResolvedItems:
    """Resolves every open item of a group, in transactions of 10,000; what a crash leaves is still open.

    The bound on discards is looked at for the whole group before the first of them. Raises as `resolve` does.
    """
    because = _because(reason)
    if resolution is Resolution.DISCARDED:
        refuse_beyond(discards_of_group(group), beyond)
    total, windows = 0, set[WindowId]()
    while True:
        part = retry_transaction(lambda: _resolve_part(group, actor, resolution, because, beyond))
        total += part.items
        windows |= set(part.windows)
        if part.items < MOST_ITEMS:
            return ResolvedItems(total, tuple(sorted(windows)))


def _because(reason: str) -> str:
    if not reason.strip():
        raise ResolutionRefused(expected="a reason", found="none", next_step="say why, for whoever audits this")
    return reason.strip()


def _resolve(
    wanted: list[int], actor: str, resolution: Resolution, reason: str, beyond: Collection[str]
) -> ResolvedItems:
    keys = {"ids": wanted, "actor": actor, "resolution": resolution.value, "reason": reason}
    with write() as cur:
        rows = cur.execute(sql.resolve, keys).fetchall()
        if len(rows) != len(wanted):
            _refuse(cur.execute(sql.states, {"ids": wanted}).fetchall(), wanted)
        return _finish(cur, rows, actor, resolution, reason, beyond)


def _resolve_part(
    group: Group, actor: str, resolution: Resolution, reason: str, beyond: Collection[str]
) -> ResolvedItems:
    keys = group.keys | {"actor": actor, "resolution": resolution.value, "reason": reason, "most": MOST_ITEMS}
    with write() as cur:
        return _finish(cur, cur.execute(sql.resolve_group, keys).fetchall(), actor, resolution, reason, beyond)


def _finish(
    cur: Cursor, rows: Sequence[Any], actor: str, resolution: Resolution, reason: str, beyond: Collection[str]
) -> ResolvedItems:
    """What every resolution ends with: its bounds, its windows' revisions, its row of the audit log."""
    if not rows:
        return ResolvedItems(0, ())
    _check_first(rows, resolution)
    more = _by_window(rows)
    windows = tuple(sorted(more))
    if resolution is Resolution.DISCARDED:
        cur.execute(sql.lock_windows, {"windows": list(windows)})
        refuse_beyond(_discards(cur, more, counted=True), beyond)
    raise_revisions(cur, [*windows, *_reruns(cur, rows)])
    _record(cur, rows, actor, resolution, reason)
    return ResolvedItems(len(rows), windows)


def _reruns(cur: Cursor, rows: Sequence[Any]) -> list[WindowId]:
    """Reruns that set these items aside again, or may have: they wait for the same person."""
    return [WindowId(row.win) for row in cur.execute(sql.reruns, {"ids": [row.id for row in rows]}).fetchall()]


def _record(cur: Cursor, rows: Sequence[Any], actor: str, resolution: Resolution, reason: str) -> None:
    detail = {"items": [row.id for row in rows[:100]], "count": len(rows), "resolution": resolution.value}
    for subject in sorted({f"{row.stream}/{row.run_name}" for row in rows}):
        record_act(cur, actor, "quarantine.resolve", subject, reason, detail)


def resolve_redriven(cur: Cursor, items: Sequence[int], actor: str, reason: str) -> None:
    """A step of a redrive, which has locked these items: what is an event now waits for nobody any more.

    One that a person resolved before keeps that resolution.
    """
    keys = {"ids": list(items), "actor": actor, "resolution": Resolution.REDRIVEN.value, "reason": reason}
    rows = cur.execute(sql.resolve, keys).fetchall()
    raise_revisions(cur, [*_by_window(rows), *_reruns(cur, rows)])
    if rows:
        _record(cur, rows, actor, Resolution.REDRIVEN, reason)


def _by_window(rows: Sequence[Any]) -> dict[WindowId, int]:
    more: dict[WindowId, int] = {}
    for row in rows:
        more[row.win] = more.get(row.win, 0) + 1
    return more


def refuse_beyond(discards: Iterable[Discards], beyond: Collection[str]) -> None:
    """Raises DiscardBeyondBound for the first window whose bound would be exceeded, unless `beyond` names its run."""
    for found in discards:
        if found.beyond and found.run not in beyond:
            raise DiscardBeyondBound(
                expected=f"at most {found.allowed:,} discarded in window {found.window} of {found.run}",
                found=str(found),
                next_step=f"leave them open, or name {found.run} to discard them all the same: "
                "a discard cannot be undone, and the window can then never pass",
            )


#: What a person may say of an item; REDRIVEN is said by a plan's step alone.
OF_PEOPLE = (Resolution.DISCARDED, Resolution.ACCEPTED_FIRST)


def _check_first(rows: Sequence[Any], resolution: Resolution) -> None:
    """Only a mismatch has a first payload that could stand, and only a plan redrives."""
    if resolution is Resolution.REDRIVEN:
        raise ResolutionRefused(
            expected="a decision of a person", found="REDRIVEN, which a plan alone says", next_step="ask for a redrive"
        )
    other = [row.id for row in rows if row.reason != Reason.PAYLOAD_MISMATCH]
    if resolution is Resolution.ACCEPTED_FIRST and other:
        raise ResolutionRefused(
            expected="items of reason PAYLOAD_MISMATCH", found=f"item {other[0]}, which has no first payload",
            next_step=f"resolve it as {Resolution.DISCARDED.value}",
        )  # fmt: skip


def _refuse(found: Sequence[Any], wanted: list[int]) -> None:
    states: Mapping[int, str] = dict(found)
    missing = [item for item in wanted if item not in states]
    if missing:
        raise NotFound(expected=f"quarantine item {missing[0]}", found="none")
    resolved = [item for item, state in states.items() if state != "OPEN"]
    raise ResolutionRefused(expected="open items", found=f"item {resolved[0]} is resolved already")


__all__ = [
    "MOST_ITEMS", "OF_PEOPLE", "DiscardBeyondBound", "Discards", "Group", "ResolvedItems", "ResolutionRefused",
    "discards_of", "discards_of_group", "refuse_beyond", "resolve", "resolve_group", "resolve_redriven",
]  # fmt: skip
