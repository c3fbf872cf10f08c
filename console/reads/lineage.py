"""The lineage of a run: the runs of its stream around it, their windows and reruns, how these stand, and what they were
joined with. Bounded, and the same few queries however much there is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.db import connection

from audit import gate
from audit.models import Rerun
from console.reads.reruns import RerunRow, rows_of
from console.reads.runs import VerdictSummary, latest_verdicts
from ingest.core.ids import WindowId
from ingest.models import Run, Window, WindowPin

#: Runs on either side, windows of the run itself, windows of each other one, and reruns of each window.
BESIDE, OWN, OTHERS, AGAIN = 2, 30, 5, 3

_WINDOWS = """
SELECT w.id, w.in_all
  FROM unnest(%(runs)s::integer[], %(most)s::integer[]) r(id, most)
 CROSS JOIN LATERAL (
       SELECT id, (SELECT max(number) FROM run_window WHERE run_id = r.id AND reruns IS NULL) AS in_all
         FROM run_window
        WHERE run_id = r.id AND reruns IS NULL AND (r.id <> %(own)s OR number <= %(upto)s)
        ORDER BY number DESC LIMIT r.most) w
"""


@dataclass(frozen=True, slots=True)
class Pin:
    """What a window was joined with."""

    context: str
    verdict: str


@dataclass(frozen=True, slots=True)
class LineageWindow:
    """A window, or a rerun (`again`), with how it stands. `reruns`: its own, the newest first; `left`: those that are
    not among them; `plan`: that filled it."""

    win: int
    number: int
    state: str
    contract: int
    verdict: VerdictSummary | None
    gate_open: bool
    pins: tuple[Pin, ...]
    again: RerunRow | None = None
    reruns: tuple[LineageWindow, ...] = ()
    left: int = 0
    plan: int | None = None


@dataclass(frozen=True, slots=True)
class LineageRun:
    """A run with its newest windows, the newest first; `before`: how many came before these, `after`: behind them."""

    run: Run
    windows: tuple[LineageWindow, ...]
    before: int
    after: int


def around(run: Run, upto: int | None = None) -> list[LineageRun]:
    """The runs around this one, the newest first. `upto`: of the run itself, windows from this one back."""
    runs = _runs(run)
    found = _windows(runs, run, upto)
    counts = dict(found)
    windows = Window.objects.select_related("contract").filter(id__in=counts).order_by("-number")
    again = rows_of(list(counts), AGAIN)
    made = _Makers([*counts, *(row.win for rows in again.values() for row in rows)], again)
    by_run: dict[int, list[Window]] = {each.id: [] for each in runs}
    for window in windows:
        by_run[window.run_id].append(window)
    return [_of_run(each, by_run[each.id], made, counts) for each in runs]


def _runs(run: Run) -> list[Run]:
    of_stream = Run.objects.select_related("stream", "supersedes__run").filter(stream=run.stream_id)
    later = list(of_stream.filter(id__gt=run.id).order_by("id")[:BESIDE])
    earlier = list(of_stream.filter(id__lt=run.id).order_by("-id")[:BESIDE])
    return [*reversed(later), run, *earlier]


def _windows(runs: Sequence[Run], own: Run, upto: int | None) -> list[tuple[int, int]]:
    """Keys of windows, each with the number of its run's newest."""
    most = [OWN if each.id == own.id else OTHERS for each in runs]
    with connection.cursor() as cursor:
        values: dict[str, Any] = {
            "runs": [each.id for each in runs],
            "most": most,
            "own": own.id,
            "upto": upto or 2**31 - 1,
        }
        cursor.execute(_WINDOWS, values)
        return [(win, in_all) for win, in_all in cursor.fetchall()]


def _of_run(run: Run, windows: Sequence[Window], made: _Makers, newest: Mapping[int, int]) -> LineageRun:
    lines = tuple(made.window(window) for window in windows)
    before = windows[-1].number - 1 if windows else 0
    return LineageRun(run, lines, before, newest[windows[0].id] - windows[0].number if windows else 0)


class _Makers:
    """Verdicts, gates and pins of all of them, asked once each."""

    def __init__(self, wins: Sequence[int], again: Mapping[int, Sequence[RerunRow]]) -> None:
        self._again = again
        self._verdicts = latest_verdicts(wins)
        self._gates = gate.standing_of([WindowId(win) for win in wins])
        self._plans = dict(Rerun.objects.filter(win__in=wins).values_list("win", "plan"))
        self._pins: dict[int, list[Pin]] = {}
        for pin in WindowPin.objects.filter(win__in=wins).order_by("win", "context"):
            self._pins.setdefault(pin.win_id, []).append(Pin(pin.context, pin.verdict))

    def window(self, window: Window) -> LineageWindow:
        rows = self._again.get(window.id, ())
        reruns = tuple(self._line(row.win, row.number, row.state, row.contract, row) for row in rows)
        line = self._line(window.id, window.number, window.state, window.contract.version)
        left = rows[0].in_all - len(rows) if rows else 0
        return replace(line, reruns=reruns, left=left)

    def _line(self, win: int, number: int, state: str, contract: int, again: RerunRow | None = None) -> LineageWindow:
        standing = self._gates.get(WindowId(win))
        is_open = standing is not None and standing.decision.granted
        pins = tuple(self._pins.get(win, ()))
        verdict, plan = self._verdicts.get(win), self._plans.get(win)
        return LineageWindow(win, number, state, contract, verdict, is_open, pins, again, plan=plan)
