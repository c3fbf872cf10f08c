"""`/runs/{s}/{run}/close`: ask for a verdict now, whatever it will say."""

from __future__ import annotations

import json
import shlex
from collections.abc import Collection
from dataclasses import dataclass
from typing import ClassVar

from django.http import HttpRequest

from audit.close import close_run
from console import links
from console.pages.frame import checks
from console.pages.frame import contexts as c
from console.pages.frame.confirm import Confirmation, Done, confirmed
from console.pages.runs import run_parts
from console.pages.runs.runs import close_url, evidence, number_in, scope_or_404
from console.permissions import Act, permitted
from console.reads import runs
from ingest.core.ids import WindowId
from ingest.models import WindowState


@confirmed
def close(request: HttpRequest, stream: str, run: str) -> Closing:
    """A POST judges and stores a numbered verdict that is never edited."""
    seen = scope_or_404(request, stream, run, rerun=number_in(request, "rerun"))
    return Closing(
        seen,
        asked=number_in(request, "window"),
        older=seen.older,
        permitted=permitted(request.user),
        url=close_url(seen),
        back=_back(seen),
    )


def _back(seen: runs.Scope) -> str:
    if seen.window and seen.rerun:
        return links.rerun_url(seen.stream, seen.run.name, seen.window.number, seen.rerun)
    return links.run_url(seen.stream, seen.run.name)


@dataclass(frozen=True)
class Closing(Confirmation):
    """Closing a window: the one that was `asked` for, or the newest. `older`: its number, if it is not the newest."""

    permission: ClassVar[Act] = Act.CLOSE
    template: ClassVar[str] = "runs/close"
    here: ClassVar[str] = "runs"
    button: ClassVar[str] = "Confirm: close"

    seen: runs.Scope
    asked: int | None
    older: int | None
    permitted: Collection[str]
    url: str
    back: str

    def nothing(self) -> str:
        return _done(self.seen)

    def same(self) -> c.SameAct:
        run, names = links.run_segment(self.seen.run.name), {"window": self.older, "rerun": self.seen.rerun}
        named = {name: value for name, value in names.items() if value}
        options = "".join(f" --{name} {value}" for name, value in named.items())
        return c.SameAct(
            f"passgate run close {shlex.quote(self.seen.name)}{options}",
            f"POST /api/v1/streams/{self.seen.stream}/runs/{run}/close",
            json.dumps(named) if named else "",
        )

    def act(self, actor: str) -> Done:
        stored = close_run(self.seen.stream, self.seen.run.name, actor, self.asked, rerun=self.seen.rerun)
        message = f"{stored.name} is {stored.verdict.title}."
        return Done(message, self.back, [WindowId(self.seen.window.id)] if self.seen.window else [])

    def page(self, confirm: c.Confirm) -> c.ClosePage:
        seen = self.seen
        now = checks.now(WindowId(seen.window.id), evidence(seen), self.permitted) if seen.window else None
        return c.ClosePage(
            confirm=confirm,
            strip=run_parts.strip(seen),
            said=now.said if isinstance(now, checks.CheckedWindow) and now.verdict.state != "PASS" else None,
            by_itself=bool(seen.contract and seen.contract.close.auto),
        )


def _done(seen: runs.Scope) -> str:
    if seen.window is None:
        return "This run has no window."
    if seen.window.state == WindowState.OPEN:
        return "The window is open: cut it first."
    if seen.verdict and seen.verdict.state == "FAIL":
        return f"#{seen.verdict.number} is FAIL. This cannot be cleared: open a new run."
    return ""
