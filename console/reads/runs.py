"""Runs, their windows, verdicts and gates: what a page of one, or a list of them, is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from django.db.models import (
    Count,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)

from audit import gate
from audit.models import Verdict
from console import links
from console.reads.named import stream_named
from ingest.core.contract import Contract
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId
from ingest.models import Batch, Run, RunState, Window
from ingest.streams import compiled_contract

PAGE_SIZE = 50
HISTORY = 20
MOST_WINDOWS = 200

# Tabs of /runs/: the word in the URL, on the tab, and which runs.
STATES: Mapping[str, tuple[str, Q]] = {
    "": ("All", Q()),
    "open": ("Open", Q(state=RunState.OPEN)),
    "blocked": ("Blocked", Q(latest="BLOCKED")),
    "failed": ("Failed", Q(latest="FAIL")),
    "passed": ("Passed", Q(latest="PASS")),
}


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
    """A run, its windows, the one that is looked at, and what stands about it."""

    run: Run
    windows: tuple[Window, ...]
    window: Window | None
    verdicts: Mapping[int, VerdictSummary]
    standing: gate.RunStanding | None

    @property
    def stream(self) -> str:
        return self.run.stream.name

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run.name}"

    @property
    def verdict(self) -> VerdictSummary | None:
        """The latest verdict of the window that is looked at."""
        return self.verdicts.get(self.window.id) if self.window else None

    @property
    def contract(self) -> Contract | None:
        """The contract of that window; None where it can no longer be read, which a page survives."""
        stored = self.window.contract_id if self.window else self.run.contract_id
        try:
            return compiled_contract(stored).contract
        except PassgateError:
            return None

    def gate_of(self, number: int | None = None) -> gate.Standing | None:
        """How the gate of a window stands, by its number: of the one that is looked at, if none is named."""
        chosen = number if number is not None else (self.window.number if self.window else 0)
        return self.standing.windows.get(chosen) if self.standing else None


def scope(stream: str, segment: str, window: int | None = None) -> Scope | None:
    """Everything a page of a run needs around it: four queries. None where there is no such run or window."""
    run = links.find_run(stream, segment)
    if run is None:
        return None
    windows = tuple(Window.objects.filter(run=run).select_related("contract").order_by("-number")[:MOST_WINDOWS])[::-1]
    if window and all(each.number != window for each in windows):  # one that so many have followed
        windows = (*Window.objects.filter(run=run, number=window).select_related("contract"), *windows)
    chosen = next((each for each in windows if each.number == window), None) if window else (windows or (None,))[-1]
    if window and chosen is None:
        return None
    numbers = [each.id for each in windows]
    return Scope(run, windows, chosen, latest_verdicts(numbers), gate.standing([RunId(run.id)]).get(RunId(run.id)))


def latest_verdicts(windows: Sequence[int]) -> dict[int, VerdictSummary]:
    """The latest verdict of each window, by window id."""
    rows = _seen(Verdict.objects.filter(win__in=windows).order_by("win", "-number").distinct("win"))
    return {row.win: row for row in rows}


def newest_verdicts(runs: Sequence[int]) -> dict[int, Verdict]:
    """The newest verdict of each run, of whichever window, with its body; by run id."""
    found = Verdict.objects.filter(run__in=runs).order_by("run", "-number").distinct("run")
    return {verdict.run_id: verdict for verdict in found}


def newest_windows(runs: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Number and state of the newest window of each run, by run id."""
    found = Window.objects.filter(run__in=runs).order_by("run", "-number").distinct("run")
    return {run: (number, state) for run, number, state in found.values_list("run_id", "number", "state")}


def history(run: Run) -> list[Verdict]:
    """The newest verdicts of a run, with their bodies, newest first."""
    return list(Verdict.objects.filter(run=run).select_related("win").order_by("-number")[:HISTORY])


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
    """The same for many runs at once, by run id."""
    rows = (
        Batch.objects.filter(win__run__in=list(runs))
        .values("run_id")
        .annotate(read=Sum("records"), admitted=Sum("admitted"), duplicate=Sum("duplicates"), held=Sum("quarantined"))
    )
    return {row["run_id"]: Ledger(row["read"], row["admitted"], row["duplicate"], row["held"]) for row in rows}


# --- the list


def listed(state: str = "", stream: str = "", before: int | None = None, size: int = PAGE_SIZE) -> list[Run]:
    """Runs, newest first, below run id `before`; one more than `size` when there is a next page."""
    runs = _with_latest(stream).filter(STATES[state][1]).select_related("stream")
    if before is not None:
        runs = runs.filter(id__lt=before)
    return list(runs.order_by("-id")[: size + 1])


def runs_of(stream: str, state: str | None = None) -> QuerySet[Run]:
    """The runs of a stream, the newest first."""
    runs = Run.objects.select_related("stream", "contract").filter(stream=stream_named(stream))
    return (runs.filter(state=state) if state else runs).order_by("-pk")


def counts_by_state(stream: str = "") -> dict[str, int]:
    """How many runs stand under each tab."""
    named = {word or "all": Count("id", filter=which) if word else Count("id") for word, (_, which) in STATES.items()}
    found = _with_latest(stream).aggregate(**named)
    return {word: found[word or "all"] for word in STATES}


def _with_latest(stream: str) -> QuerySet[Run]:
    latest = Verdict.objects.filter(run=OuterRef("pk")).order_by("-number").values("state")[:1]
    runs = Run.objects.annotate(latest=Subquery(latest))
    return runs.filter(stream__name=stream) if stream else runs
