"""Runs and their windows as pages show them: scope, strip, list, history, gate."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db.models import (
    BooleanField,
    Count,
    DurationField,
    ExpressionWrapper,
    F,
    OuterRef,
    Q,
    QuerySet,
    Subquery,
    Sum,
)
from django.db.models.fields.json import KeyTextTransform
from django.db.models.functions import Now

from audit.models import GateOpen, Verdict
from console import links
from console.pages import contexts as c
from console.pages.charts import LedgerBar
from ingest.core.contract import Contract
from ingest.core.errors import PassgateError
from ingest.models import Batch, Run, RunState, Window, WindowState
from ingest.streams import compiled

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


@dataclass(frozen=True, slots=True)
class VerdictSeen:
    """A verdict without its body."""

    number: int
    win: int
    state: str
    waived: bool
    at: datetime
    by: str
    sentence: str
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
    verdicts: Mapping[int, VerdictSeen]
    gates: Mapping[int, GateOpen]

    @property
    def stream(self) -> str:
        return self.run.stream.name

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run.run_id}"

    @property
    def verdict(self) -> VerdictSeen | None:
        """The latest verdict of the window that is looked at."""
        return self.verdicts.get(self.window.id) if self.window else None

    @property
    def contract(self) -> Contract | None:
        """The contract of that window; None where it can no longer be read, which a page survives."""
        stored = self.window.contract_id if self.window else self.run.contract_id
        try:
            return compiled(stored).contract
        except PassgateError:
            return None

    @property
    def gate(self) -> GateOpen | None:
        return self.gates.get(self.window.id) if self.window else None


def scope(stream: str, segment: str, window: int | None = None) -> Scope | None:
    """Everything a page of a run needs around it: four queries. None where there is no such run or window."""
    run = links.find_run(stream, segment)
    if run is None:
        return None
    windows = tuple(Window.objects.filter(run=run).select_related("contract").order_by("-number")[:MOST_WINDOWS])[::-1]
    chosen = next((each for each in windows if each.number == window), None) if window else (windows or (None,))[-1]
    if window and chosen is None:
        return None
    numbers = [each.id for each in windows]
    return Scope(run, windows, chosen, latest_verdicts(numbers), gates(numbers))


def latest_verdicts(windows: Sequence[int]) -> dict[int, VerdictSeen]:
    """The latest verdict of each window, by window id."""
    rows = _seen(Verdict.objects.filter(win__in=windows).order_by("win", "-number").distinct("win"))
    return {row.win: row for row in rows}


def history(run: Run) -> list[Verdict]:
    """The newest verdicts of a run, with their bodies, newest first."""
    return list(Verdict.objects.filter(run=run).select_related("win").order_by("-number")[:HISTORY])


def _seen(verdicts: QuerySet[Verdict]) -> list[VerdictSeen]:
    rows = verdicts.annotate(sentence=KeyTextTransform("sentence", "body")).values_list(
        "number", "win_id", "state", "waived", "decided_at", "decided_by", "sentence", "revision"
    )
    return [VerdictSeen(*row) for row in rows]


def gates(windows: Sequence[int]) -> dict[int, GateOpen]:
    """The gate's rows by window id; `live` and `left` say how long the lease still holds, by the database's clock."""
    holds = ExpressionWrapper(Q(checked_at__lte=Now(), open_until__gt=Now()), output_field=BooleanField())
    left = ExpressionWrapper(F("open_until") - Now(), output_field=DurationField())
    rows = GateOpen.objects.filter(win__in=windows).annotate(live=holds, left=left).select_related("verdict")
    return {row.win_id: row for row in rows}


def is_open(gate: GateOpen | None) -> bool:
    """Whether readers can read: a lease that holds and was not shut."""
    return gate is not None and bool(getattr(gate, "live", False)) and gate.shut_why is None


def lease_left(gates: Iterable[GateOpen | None]) -> float | None:
    """Seconds for which a page may say that all of these gates are open; None where one of them is not."""
    seconds = [gate.left.total_seconds() if gate is not None and is_open(gate) else None for gate in gates]  # type: ignore[attr-defined]
    return min((left for left in seconds if left is not None), default=None) if None not in seconds else None


def strip(seen: Scope, durability: str = "") -> c.Strip:
    """Line 2 of the header."""
    run, window = seen.run, seen.window
    contract = window.contract if window else run.contract
    terms = seen.contract
    here = window.number if window else None
    return c.Strip(
        stream=seen.stream,
        stream_url=links.stream_url(seen.stream),
        run=run.run_id,
        run_url=links.run_url(seen.stream, run.run_id),
        state=run.state,
        contract=f"v{contract.version}",
        contract_url=links.with_query(links.stream_url(seen.stream), version=contract.version),
        owner=(terms.owner or "") if terms else "",
        verdict=seen.verdict.title if seen.verdict else "NOT JUDGED",
        gate="GATE OPEN" if is_open(seen.gate) else "GATE SHUT",
        gate_left=lease_left([seen.gate]),
        durability=durability,
        windows=tuple(
            c.Tab(str(each.number), links.window_url(seen.stream, run.run_id, each.number), each.number == here)
            for each in seen.windows
        ),
        window=here,
    )


def tabs(seen: Scope, here: str, receipts: int | None = None) -> tuple[c.Tab, ...]:
    """The tabs of a run; each keeps to the window that is looked at when it is not the newest."""
    newest = seen.windows[-1].number if seen.windows else None
    window = seen.window.number if seen.window and seen.window.number != newest else None

    def tab(text: str, part: str, count: int | None = None) -> c.Tab:
        url = links.with_query(links.run_url(seen.stream, seen.run.run_id, part), window=window)
        return c.Tab(text, url, part == here, count)

    found = [
        tab("Overview", "run"),
        tab("Sources", "sources"),
        tab("Receipts", "receipts", receipts),
        tab("Gate", "gate"),
    ]
    if seen.window:
        url = links.window_url(seen.stream, seen.run.run_id, seen.window.number)
        found.append(c.Tab(f"Window {seen.window.number}", url, here == "window"))
    return tuple(found)


# --- counts


def ledger_of_windows(windows: Sequence[int]) -> LedgerBar:
    """What the batches of these windows sum up to."""
    sums = Batch.objects.filter(win__in=windows).aggregate(
        read=Sum("records"), admitted=Sum("admitted"), duplicate=Sum("duplicates"), quarantined=Sum("quarantined")
    )
    return LedgerBar(**{name: int(value or 0) for name, value in sums.items()})


def ledgers_of_runs(runs: Iterable[int]) -> dict[int, LedgerBar]:
    """The same for many runs at once, by run number."""
    rows = (
        Batch.objects.filter(win__run__in=list(runs))
        .values("run_number")
        .annotate(read=Sum("records"), admitted=Sum("admitted"), duplicate=Sum("duplicates"), held=Sum("quarantined"))
    )
    return {row["run_number"]: LedgerBar(row["read"], row["admitted"], row["duplicate"], row["held"]) for row in rows}


# --- the list


def listed(state: str = "", stream: str = "", before: int | None = None, size: int = PAGE_SIZE) -> list[Run]:
    """Runs, newest first, below run number `before`; one more than `size` when there is a next page."""
    runs = _with_latest(stream).filter(STATES[state][1]).select_related("stream")
    if before is not None:
        runs = runs.filter(id__lt=before)
    return list(runs.order_by("-id")[: size + 1])


def counts_by_state(stream: str = "") -> dict[str, int]:
    """How many runs stand under each tab."""
    named = {word or "all": Count("id", filter=which) if word else Count("id") for word, (_, which) in STATES.items()}
    found = _with_latest(stream).aggregate(**named)
    return {word: found[word or "all"] for word in STATES}


def _with_latest(stream: str) -> QuerySet[Run]:
    latest = Verdict.objects.filter(run=OuterRef("pk")).order_by("-number").values("state")[:1]
    runs = Run.objects.annotate(latest=Subquery(latest))
    return runs.filter(stream__name=stream) if stream else runs


def rows(runs: Sequence[Run]) -> tuple[c.RunRow, ...]:
    """Rows of a list of runs: four queries, however many runs."""
    numbers = [run.id for run in runs]
    windows: dict[int, list[tuple[int, int, str]]] = {}
    for run, win, number, state in (
        Window.objects.filter(run__in=numbers).order_by("number").values_list("run_id", "id", "number", "state")
    ):
        windows.setdefault(run, []).append((win, number, state))
    ids = [win for found in windows.values() for win, _, _ in found]
    verdicts, open_gates, bars = latest_verdicts(ids), gates(ids), ledgers_of_runs(numbers)
    return tuple(
        _row(run, windows.get(run.id, []), verdicts, open_gates, bars.get(run.id, LedgerBar(0, 0, 0, 0)))
        for run in runs
    )


def _row(
    run: Run,
    windows: Sequence[tuple[int, int, str]],
    verdicts: Mapping[int, VerdictSeen],
    open_gates: Mapping[int, GateOpen],
    bar: LedgerBar,
) -> c.RunRow:
    found = [verdicts[win] for win, _, _ in windows if win in verdicts]
    latest = max(found, key=lambda verdict: verdict.number, default=None)
    left = lease_left(open_gates.get(win) for win, _, _ in windows)
    return c.RunRow(
        stream=run.stream.name,
        run=run.run_id,
        url=links.run_url(run.stream.name, run.run_id),
        state=run.state,
        verdict=latest.title if latest else "NOT JUDGED",
        why=cause_words(latest.sentence) if latest else _unjudged(windows),
        bar=bar,
        opened_at=run.opened_at,
        by=run.opened_by,
        gate="GATE SHUT" if left is None else "GATE OPEN",
        gate_left=left,
    )


def _unjudged(windows: Sequence[tuple[int, int, str]]) -> str:
    if not windows:
        return "no window yet"
    _, number, state = windows[-1]
    return (
        f"window {number} is open" if state == WindowState.OPEN else f"window {number} is cut, its verdict is awaited"
    )


_HEAD = re.compile(r"^Window \d+ is [A-Z]+(?: \(waived\))?: ")


def cause_words(sentence: str | None) -> str:
    """The causes of a diagnosis, without its window and its next act."""
    if not sentence:
        return ""
    return _HEAD.sub("", sentence).split(" Next: ")[0]


# --- verdicts


def verdict_lines(seen: Scope, verdicts: Sequence[Verdict]) -> tuple[c.VerdictLine, ...]:
    """A history, newest first; each line says what changed since the verdict before it of the same window."""
    found = []
    for at, verdict in enumerate(verdicts):
        before = next((each for each in verdicts[at + 1 :] if each.win_id == verdict.win_id), None)
        found.append(
            c.VerdictLine(
                name=f"{seen.name}#{verdict.number}",
                url=links.verdict_url(seen.stream, seen.run.run_id, verdict.number),
                state="PASS (waived)" if verdict.waived else verdict.state,
                window=verdict.win.number,
                at=verdict.decided_at,
                by=verdict.decided_by,
                since="; ".join(changes(before.body, verdict.body)[:3]) if before else "first verdict of the window",
            )
        )
    return tuple(found)


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed from one verdict's checks to the next one's, a line per check: "PUBLISHED broken → holds"."""
    was = {check["check"]: check for check in before.get("checks", ())}
    found = []
    for check in after.get("checks", ()):
        old = was.get(check["check"])
        if old is None:
            found.append(f"{check['check']} is new")
        elif old["state"] != check["state"]:
            found.append(f"{check['check']} {old['state'].lower()} → {check['state'].lower()}")
        elif check["state"] == "BROKEN" and old["observed"] != check["observed"] and check.get("follows_from") is None:
            found.append(f"{check['check']} {old['observed']} → {check['observed']}")
    found += [
        f"{name} is no longer listed" for name in was if name not in {x["check"] for x in after.get("checks", ())}
    ]
    return found or ["nothing changed"]
