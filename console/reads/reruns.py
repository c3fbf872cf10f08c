"""Reruns beside the windows that they rerun: whose plan each is, and how it stands; and the redrives of items."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db import connection

from audit import gate
from audit.models import Rerun
from console.reads.runs import VerdictSummary, latest_verdicts
from ingest.core.ids import WindowId
from ingest.models import Redrive, Window

#: Reruns of a window that a list of windows shows, and that a page of one window does.
BESIDE, SHOWN = 5, 50

_OF_WINDOWS = """
SELECT f.id, w.id, w.number, w.rerun, w.state, c.version, encode(c.digest, 'hex'), x.plan, x.kind, x.requested_by,
       x.approved_by, x.reason, x.out_of_order, x.opened_at, w.cut_at, w.in_all
  FROM unnest(%(windows)s::integer[]) f(id)
 CROSS JOIN LATERAL (SELECT r.*, count(*) OVER () AS in_all FROM run_window r
                      WHERE r.reruns = f.id ORDER BY r.rerun DESC LIMIT %(most)s) w
  JOIN rerun x ON x.win = w.id JOIN contract c ON c.id = w.contract_id
 ORDER BY f.id, w.rerun DESC
"""


class RerunRow(NamedTuple):
    """A rerun: `win` is its key, `of` that of the window that it reruns. The contract is its own; `in_all` counts the
    window's reruns."""

    of: int
    win: int
    number: int
    rerun: int
    state: str
    contract: int
    contract_digest: str
    plan: int
    kind: str
    requested_by: str
    approved_by: str
    reason: str
    out_of_order: bool
    opened_at: datetime
    cut_at: datetime | None
    in_all: int


@dataclass(frozen=True, slots=True)
class RerunLine:
    """A rerun with its newest verdict, and what a reader of it would be answered now."""

    row: RerunRow
    verdict: VerdictSummary | None
    gate: gate.Standing | None


def rows_of(windows: Sequence[int], most: int = SHOWN) -> dict[int, list[RerunRow]]:
    """The newest reruns of each of these windows, by its key: one query, however many windows there are."""
    with connection.cursor() as cursor:
        cursor.execute(_OF_WINDOWS, {"windows": list(windows), "most": most})
        rows = [RerunRow(*row) for row in cursor.fetchall()]
    found: dict[int, list[RerunRow]] = {}
    for row in rows:
        found.setdefault(row.of, []).append(row)
    return found


def lines_of(windows: Sequence[int], most: int = SHOWN) -> Mapping[int, Sequence[RerunLine]]:
    """The same with how each stands; two more queries where there are any."""
    found = rows_of(windows, most)
    wins = [row.win for rows in found.values() for row in rows]
    if not wins:
        return {}
    verdicts, gates = latest_verdicts(wins), gate.standing_of([WindowId(win) for win in wins])
    return {
        of: [RerunLine(row, verdicts.get(row.win), gates.get(WindowId(row.win))) for row in rows]
        for of, rows in found.items()
    }


def of_rerun(window: Window) -> Rerun | None:
    """Whose plan a rerun is; None: the window is none."""
    return Rerun.objects.select_related("win").filter(win=window).first() if window.rerun else None


def of_plan(plan: int) -> Window | None:
    """The rerun that a plan has opened, if it has."""
    win = Rerun.objects.filter(plan=plan).values_list("win", flat=True).first()
    return Window.objects.select_related("run__stream", "contract").filter(id=win).first() if win else None


def taken_by(win: int) -> str:
    """The fresh run that takes a window's place, or may come to; "": none does."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(place_taken_by(%s), '')", [win])
        return str(cursor.fetchone()[0])


# --- items


def of_item(item: int) -> list[Redrive]:
    """Each time that an item went through admission again, the first one first."""
    return list(Redrive.objects.filter(item=item).select_related("source").order_by("redriven_at", "plan")[:100])


def newest_of(items: Iterable[int]) -> dict[int, Redrive]:
    """The newest time of each of these items, by item."""
    rows = Redrive.objects.filter(item__in=list(items)).order_by("item", "-redriven_at", "-plan").distinct("item")
    return {row.item_id: row for row in rows}
