"""`/runs/{s}/{run}/cut`: cut the open window. What arrives from then on belongs to the next one."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest
from django.urls import reverse

from audit.core.diagnosis import left_behind
from audit.cut import cut_run
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, confirmed
from console.pages.runs import run_parts
from console.pages.runs.runs import scope_or_404
from console.permissions import Act
from console.reads import lanes, runs
from ingest.core.contract import Totals
from ingest.core.ids import WindowId
from ingest.models import ControlTotal, WindowRange, WindowState


@confirmed
def cut(request: HttpRequest, stream: str, run: str) -> Cutting:
    """Cutting twice changes nothing, and the verb says so."""
    seen = scope_or_404(request, stream, run)
    return Cutting(
        seen,
        url=reverse("cut", args=[seen.stream, seen.run.name]),
        back=links.run_url(seen.stream, seen.run.name),
    )


@dataclass(frozen=True)
class Cutting(Confirmation):
    """Cutting the open window of a run."""

    permission: ClassVar[Act] = Act.CUT
    template: ClassVar[str] = "runs/cut"
    here: ClassVar[str] = "runs"
    button: ClassVar[str] = "Confirm: cut"

    seen: runs.Scope
    url: str
    back: str

    def nothing(self) -> str:
        return _done(self.seen)

    def same(self) -> c.SameAct:
        run = links.run_segment(self.seen.run.name)
        return c.SameAct(
            f"passgate run cut {shlex.quote(self.seen.name)}",
            f"POST /api/v1/streams/{self.seen.stream}/runs/{run}/cut",
        )

    def act(self, actor: str) -> Done:
        done = cut_run(self.seen.stream, self.seen.run.name, actor)
        words = "was cut before; nothing changed" if done.result == "same" else "is cut; it is judged by itself"
        left = left_behind(done.behind)
        message = f"Window {done.window} {words}.{f' {left}.' if left else ''}"
        return Done(message, self.back, [WindowId(self.seen.window.id)] if self.seen.window else [])

    def page(self, confirm: c.Confirm) -> c.CutPage:
        ranges, behind, hidden = _ranges(self.seen)
        return c.CutPage(
            confirm=confirm,
            strip=run_parts.strip(self.seen),
            ranges=ranges,
            behind=behind,
            hidden=hidden,
            totals=said_of_totals(self.seen),
        )


def _done(seen: runs.Scope) -> str:
    if seen.window is None:
        return "This run has no window."
    if seen.window.state != WindowState.OPEN:
        return f"Window {seen.window.number} is cut already."
    return ""


def _ranges(seen: runs.Scope) -> tuple[tuple[tuple[str, int, int | None, int | None], ...], int | None, int]:
    """Per inbox source: start, position, and the cut by the newest sample; then what is still to be read, and what an
    open transaction hides behind the cuts: it would go to the next window."""
    if seen.window is None:
        return (), None, 0
    by_source = _by_source(seen)
    reached = lanes.admitted_to(by_source)
    samples = lanes.newest_samples(by_source)
    rows: list[tuple[str, int, int | None, int | None]] = []
    missing: int | None = 0
    hidden = 0
    for source, covers in sorted(by_source.items()):
        at = reached.get(source)
        lso = samples[source].lso if source in samples else None
        cut = max(at, lso) if at is not None and lso is not None else None
        rows.append((covers.source.name, covers.start_offset, at, cut))
        end = samples[source].hw if source in samples else None
        hidden += max(end - cut, 0) if end is not None and cut is not None else 0
        missing = missing + cut - at if cut is not None and at is not None and missing is not None else None
    return tuple(rows), missing, hidden


def positions(seen: runs.Scope) -> tuple[tuple[str, int, int | None], ...]:
    """Per inbox source: its name, where the window starts on it, and where its lane stands."""
    by_source = _by_source(seen)
    reached = lanes.admitted_to(by_source)
    return tuple(
        (each.source.name, each.start_offset, reached.get(source)) for source, each in sorted(by_source.items())
    )


def _by_source(seen: runs.Scope) -> dict[int, WindowRange]:
    """The window's inbox ranges by source."""
    found = WindowRange.objects.filter(win=seen.window, source__role="inbox").select_related("source")[:500]
    return {each.source_id: each for each in found}


def said_of_totals(seen: runs.Scope) -> str:
    """What is said about control totals."""
    declared = ControlTotal.objects.filter(win=seen.window).exists() if seen.window else False
    if declared:
        return "The producer declared control totals; EXPECTED will compare them."
    terms = seen.contract
    if terms and terms.close.totals is Totals.REQUIRED:
        return "The contract requires control totals, and none are declared: cutting will be refused until they are."
    return "No control totals are declared, so EXPECTED will not be listed."
