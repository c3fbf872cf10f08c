"""`/runs/{s}/{run}/go-on`: cut the open window and go on with the next one. The run stays open, and no lane waits."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest
from django.urls import reverse

from audit.go_on import go_on as go_on_with
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, confirmed
from console.pages.runs import run_parts
from console.pages.runs.cut import positions, said_of_totals
from console.pages.runs.runs import scope_or_404
from console.permissions import Act
from console.reads import runs
from ingest.core.ids import WindowId
from ingest.models import RunState, WindowState


@confirmed
def go_on(request: HttpRequest, stream: str, run: str) -> GoingOn:
    """The form's path names the window: confirmed twice, one window is cut."""
    seen = scope_or_404(request, stream, run)
    number = seen.window.number if seen.window else None
    return GoingOn(
        seen,
        number=number,
        url=links.with_query(reverse("go-on", args=[seen.stream, seen.run.name]), window=number),
        back=links.run_url(seen.stream, seen.run.name),
    )


@dataclass(frozen=True)
class GoingOn(Confirmation):
    """Cutting the open window of a run, and opening the next one in the same moment."""

    permission: ClassVar[Act] = Act.CUT
    template: ClassVar[str] = "runs/go_on"
    here: ClassVar[str] = "runs"
    button: ClassVar[str] = "Confirm: cut and go on"

    seen: runs.Scope
    number: int | None
    url: str
    back: str

    def nothing(self) -> str:
        if self.seen.window is None:
            return "This run has no window."
        if self.seen.window.state != WindowState.OPEN:
            return f"Window {self.number} is cut already."
        return "" if self.seen.run.state == RunState.OPEN else "The run is cut: what comes next is another run's."

    def same(self) -> c.SameAct:
        run = links.run_segment(self.seen.run.name)
        return c.SameAct(
            f"passgate run cut {shlex.quote(self.seen.name)} --go-on --window {self.number}",
            f"POST /api/v1/streams/{self.seen.stream}/runs/{run}/cut",
            f'{{"go_on": true, "window": {self.number}}}',
        )

    def act(self, actor: str) -> Done:
        done = go_on_with(self.seen.stream, self.seen.run.name, actor, self.number)
        words = "was cut before; nothing changed" if done.cut.result == "same" else "is cut; it is judged by itself"
        notes = "".join(f" {note[:1].upper()}{note[1:]}." for note in done.notes)
        message = f"Window {done.cut.window} {words}. Window {done.next_window} is open.{notes}"
        return Done(message, self.back, [WindowId(self.seen.window.id)] if self.seen.window else [])

    def page(self, confirm: c.Confirm) -> c.GoOnPage:
        return c.GoOnPage(
            confirm=confirm,
            strip=run_parts.strip(self.seen),
            ranges=positions(self.seen),
            totals=said_of_totals(self.seen),
        )
