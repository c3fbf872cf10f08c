"""Runs, their windows, verdicts and gates: what a page of one, or a list of them, is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import (
    Count,
    Exists,
    OuterRef,
    Q,
    QuerySet,
    Sum,
)

from audit import gate
from audit.gate import RunStanding, Standing
from audit.models import Verdict
from console import links
from console.reads.named import stream_named
from ingest.core.contract import Contract
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId, WindowId
from ingest.models import Batch, Run, RunState, Window
from ingest.streams import compiled_contract

PAGE_SIZE = 50
HISTORY = 20

# Tabs of /runs/: the word in the URL, on the tab, and which runs. Every window of a run counts, not its newest alone.
STATES: Mapping[str, tuple[str, Q]] = {
    "": ("All", Q()),
    "open": ("Open", Q(state=RunState.OPEN)),
    "blocked": ("Blocked", Q(has_blocked=True)),
    "failed": ("Failed", Q(has_failed=True)),
    "passed": ("Passed", Q(state=RunState.CLOSED, has_blocked=False, has_failed=False)),
}
GOING_ON = ~Q(state=RunState.CLOSED) | Q(has_blocked=True)


class Ledger(NamedTuple):
    """READ = ADMITTED + DUPLICATE + QUARANTINED, as batches sum it up."""

    read: int = 0
    admitted: int = 0
    duplicate: int = 0
    quarantined: int = 0


@dataclass(frozen=True, slots=True)
class VerdictSummary:
    """A verdict without its body."""

    number: int
    win: int
    state: str
    waived: bool
    at: datetime
    by: str
    revision: int

    @property
    def title(self) -> str:
        return "PASS (waived)" if self.waived and self.state == "PASS" else self.state


@dataclass(frozen=True, slots=True)
class Scope:
    """A run, the window of it that is looked at, the newest one, and what stands about them and about the run.

    What is looked at may be a rerun of a window; the newest is never one.
    """

    run: Run
    window: Window | None
    newest: Window | None
    verdict: VerdictSummary | None
    gate: Standing | None
    standing: RunStanding | None

    @property
    def stream(self) -> str:
        return self.run.stream.name

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run.name}"

    @property
    def rerun(self) -> int | None:
        """Which rerun of its window is looked at; None: the window itself."""
        return self.window.rerun if self.window else None

    @property
    def older(self) -> int | None:
        """The number of the window that is looked at, where a later one follows; else None."""
        return self.window.number if self.window and self.newest and self.window != self.newest else None

    @property
    def contract(self) -> Contract | None:
        """The contract of that window; None where it can no longer be read, which a page survives."""
        stored = self.window.contract_id if self.window else self.run.contract_id
        try:
            return compiled_contract(stored).contract
        except PassgateError:
            return None


def scope(stream: str, segment: str, window: int | None = None, rerun: int | None = None) -> Scope | None:
    """Everything a page of a run needs around it: six queries, however many windows there are.

    None where there is no such run, window, or rerun of the window.
    """
    run = links.find_run(stream, segment)
    if run is None:
        return None
    windows = Window.objects.filter(run=run).select_related("contract")
    newest = windows.filter(reruns=None).order_by("-number").first()
    chosen = newest
    if newest and (rerun or window and window != newest.number):
        number = window or newest.number
        known = number < 2**31 and (rerun or 0) < 2**31
        chosen = windows.filter(number=number, rerun=rerun or None).first() if known else None
    if (window or rerun) and chosen is None:
        return None
    verdict = standing = None
    if chosen is not None:
        verdict = latest_verdicts([chosen.id]).get(chosen.id)
        standing = gate.standing_of([WindowId(chosen.id)]).get(WindowId(chosen.id))
    return Scope(run, chosen, newest, verdict, standing, gate.standing([RunId(run.id)]).get(RunId(run.id)))


def latest_verdicts(windows: Sequence[int]) -> dict[int, VerdictSummary]:
    """The latest verdict of each window, by window id."""
    rows = _seen(Verdict.objects.filter(win__in=windows).order_by("win", "-number").distinct("win"))
    return {row.win: row for row in rows}


def verdicts_told(standings: Iterable[RunStanding]) -> dict[int, Verdict]:
    """By window id, with its body: the verdict that says most about each run."""
    windows = [each.told for each in standings if each.told is not None]
    found = Verdict.objects.filter(win__in=windows).select_related("win").order_by("win", "-number").distinct("win")
    return {verdict.win_id: verdict for verdict in found}


def newest_verdict(window: Window) -> Verdict | None:
    """The newest verdict of a window, with its body."""
    return Verdict.objects.filter(win=window).select_related("win").order_by("-number").first()


def history(run: Run, window: Window | None = None) -> list[Verdict]:
    """The newest verdicts of a run, of reruns, too, or of one window or rerun of it, with their bodies, newest first.

    Each has `is_first`: no verdict of its window came before it.
    """
    before = Verdict.objects.filter(win=OuterRef("win"), number__lt=OuterRef("number"))
    found = Verdict.objects.filter(win=window) if window else Verdict.objects.filter(run=run)
    return list(found.annotate(is_first=~Exists(before)).select_related("win").order_by("-number")[:HISTORY])


def _seen(verdicts: QuerySet[Verdict]) -> list[VerdictSummary]:
    rows = verdicts.values_list("number", "win_id", "state", "waived", "decided_at", "decided_by", "revision")
    return [VerdictSummary(*row) for row in rows]


# --- counts


def ledger_of_windows(windows: Sequence[int]) -> Ledger:
    """What the batches of these windows sum up to."""
    sums = Batch.objects.filter(win__in=windows).aggregate(
        read=Sum("records"), admitted=Sum("admitted"), duplicate=Sum("duplicates"), quarantined=Sum("quarantined")
    )
    return Ledger(**{name: int(value or 0) for name, value in sums.items()})


def ledgers_of_runs(runs: Iterable[int]) -> dict[int, Ledger]:
    """The same for many runs at once, by run id. What a rerun read was read before, and is counted once."""
    rows = (
        Batch.objects.filter(win__run__in=list(runs), win__reruns=None)
        .values("run_id")
        .annotate(read=Sum("records"), admitted=Sum("admitted"), duplicate=Sum("duplicates"), held=Sum("quarantined"))
    )
    return {row["run_id"]: Ledger(row["read"], row["admitted"], row["duplicate"], row["held"]) for row in rows}


# --- the list


def listed(state: str = "", stream: str = "", before: int | None = None, size: int = PAGE_SIZE) -> list[Run]:
    """Runs, newest first, below run id `before`; one more than `size` when there is a next page."""
    runs = _told_apart(stream).filter(STATES[state][1]).select_related("stream")
    if before is not None:
        runs = runs.filter(id__lt=before)
    return list(runs.order_by("-id")[: size + 1])


def going_on(size: int) -> list[Run]:
    """Runs that are open, cut, or have a window that is blocked, the newest first."""
    return list(_told_apart("").filter(GOING_ON).select_related("stream").order_by("-id")[:size])


def runs_of(stream: str, state: str | None = None) -> QuerySet[Run]:
    """The runs of a stream, the newest first."""
    runs = Run.objects.select_related("stream", "contract").filter(stream=stream_named(stream))
    return (runs.filter(state=state) if state else runs).order_by("-pk")


def counts_by_state(stream: str = "") -> dict[str, int]:
    """How many runs stand under each tab."""
    named = {word or "all": Count("id", filter=which) if word else Count("id") for word, (_, which) in STATES.items()}
    found = _told_apart(stream).aggregate(**named)
    return {word: found[word or "all"] for word in STATES}


def _told_apart(stream: str) -> QuerySet[Run]:
    """Runs with `has_failed` and `has_blocked`: whether that is the newest verdict of any of their windows. A rerun is
    none of these."""
    runs = Run.objects.annotate(has_failed=Exists(_standing("FAIL")), has_blocked=Exists(_standing("BLOCKED")))
    return runs.filter(stream__name=stream) if stream else runs


def _standing(state: str) -> QuerySet[Verdict]:
    later = Verdict.objects.filter(win=OuterRef("win"), number__gt=OuterRef("number"))
    return Verdict.objects.filter(~Exists(later), run=OuterRef("pk"), state=state, win__reruns=None)
