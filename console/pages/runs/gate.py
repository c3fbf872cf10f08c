"""`…/gate`: may I read, and who asked."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from audit.gate import RunStanding
from audit.models import Enforcement, GateDecision
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import gate_line, scope_or_404
from console.permissions import Act
from console.reads import runs

MOST_DECISIONS = 30


@needs(Act.LOOK)
def gate(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """The gate of the run and of each window, who asked lately, and how to ask."""
    seen = scope_or_404(request, stream, run)
    enforced = Enforcement.objects.filter(stream=seen.run.stream).first()
    terms = seen.contract
    context = c.GatePage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "gate"),
        run=_of_run(seen),
        windows=tuple((each.number, gate_line(seen, each)) for each in reversed(seen.windows)),
        readers=terms.gate.readers if terms else (),
        tables=terms.projection.tables if terms and terms.projection else (),
        snippets=snippets(seen.stream, seen.run.name),
        decisions=tuple(
            (
                each.at,
                each.who,
                f"window {each.window_number}" if each.window_number else "run",
                each.status,
                each.code,
                each.verdict or "",
            )
            for each in GateDecision.objects.filter(stream=seen.stream, run=seen.run.name).order_by("-at")[
                :MOST_DECISIONS
            ]
        ),
        enforced_at=enforced.looked_at if enforced else None,
        enforced=enforced.outcome if enforced else "",
    )
    return page(request, "runs/gate", context, here="runs", pace=STEADY)


def _of_run(seen: runs.Scope) -> c.GateLine:
    """Of the run: what a reader who asks for all of it would be answered."""
    standing = seen.standing
    if standing is None:
        return c.GateLine("GATE SHUT", "GATE SHUT", "The run has no window yet.")
    word = run_parts.gate_word(standing.run)
    return c.GateLine(word, word, _why(standing), left=standing.run.left)


def _why(standing: RunStanding) -> str:
    if standing.run.decision.granted:
        return "The run is closed and the latest verdict of every window is a live PASS."
    waiting = [number for number, window in standing.windows.items() if not window.decision.granted]
    if waiting:
        return f"Not every window is open: {', '.join(map(str, waiting[:10]))}."
    return "Every window is open, but the run is not closed yet."


def snippets(stream: str, run_name: str) -> tuple[tuple[str, str], ...]:
    """How to ask before reading."""
    return (
        ("Shell: the command runs only on PASS", f"passgate gate {stream}/{run_name} --wait 30m -- ./read.sh"),
        ("HTTP: 200 only on an open gate", f"GET /api/v1/gate/{stream}/{run_name}\nAuthorization: Token …"),
        ("SQL: role passgate_reader sees open windows only", "SET ROLE passgate_reader;\nSELECT … FROM truth.…;"),
    )
