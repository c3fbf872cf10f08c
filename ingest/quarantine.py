"""Resolving quarantine items: a person decides, with a reason, once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ingest.auditlog import record_act
from ingest.core.errors import NotFound, PassgateError
from ingest.core.reason import Reason
from ingest.db import again, statements, write
from ingest.models import Resolution
from ingest.windows import raise_revisions

sql = statements("ingest", "quarantine")

#: One act resolves at most this many items; a larger selection is several acts.
MOST_ITEMS = 10_000


class ResolutionRefused(PassgateError):
    """A resolution lacks a reason, or an item is resolved already."""

    code = "resolution_refused"
    what = "the items cannot be resolved"


@dataclass(frozen=True)
class Resolved:
    items: int
    windows: tuple[int, ...]


def resolve(items: Iterable[int], actor: str, resolution: Resolution, reason: str) -> Resolved:
    """Resolves all of these open items or none. Raises NotFound or ResolutionRefused."""
    wanted = sorted(set(items))
    if not reason.strip():
        raise ResolutionRefused(expected="a reason", found="none", next_step="say why, for whoever audits this")
    if not 0 < len(wanted) <= MOST_ITEMS:
        raise ResolutionRefused(expected=f"1 to {MOST_ITEMS} items", found=str(len(wanted)))
    return again(lambda: _resolve(wanted, actor, resolution, reason.strip()))


def _resolve(wanted: list[int], actor: str, resolution: Resolution, reason: str) -> Resolved:
    with write() as cur:
        rows = cur.execute(
            sql.resolve, {"ids": wanted, "actor": actor, "resolution": resolution.value, "reason": reason}
        ).fetchall()
        if len(rows) != len(wanted):
            _refuse(cur.execute(sql.states, {"ids": wanted}).fetchall(), wanted)
        _check_first(rows, resolution)
        windows = tuple(sorted({row.win for row in rows}))
        raise_revisions(cur, windows)
        detail = {"items": wanted[:100], "count": len(wanted), "resolution": resolution.value}
        for subject in sorted({f"{row.stream}/{row.run_id}" for row in rows}):
            record_act(cur, actor, "quarantine.resolve", subject, reason, detail)
    return Resolved(len(rows), windows)


def _check_first(rows: Sequence[Any], resolution: Resolution) -> None:
    """Only a mismatch has a first payload that could stand."""
    other = [row.id for row in rows if row.reason != Reason.PAYLOAD_MISMATCH]
    if resolution is Resolution.ACCEPTED_FIRST and other:
        raise ResolutionRefused(
            expected="items of reason PAYLOAD_MISMATCH", found=f"item {other[0]}, which has no first payload",
            next_step=f"resolve it as {Resolution.DISCARDED.value}",
        )  # fmt: skip


def _refuse(found: list[tuple[int, str]], wanted: list[int]) -> None:
    states = dict(found)
    missing = [item for item in wanted if item not in states]
    if missing:
        raise NotFound(expected=f"quarantine item {missing[0]}", found="none")
    resolved = [item for item, state in states.items() if state != "OPEN"]
    raise ResolutionRefused(expected="open items", found=f"item {resolved[0]} is resolved already")
