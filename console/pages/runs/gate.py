"""`…/gate`: may I read, and who asked."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponseBase

from audit.core.phrases import be, count
from audit.gate import NAMED, RunStanding, standing_of
from audit.models import Enforcement, GateDecision
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import scope_or_404
from console.permissions import Act
from console.phrases import numbers_listed, window_words
from console.reads import runs, windows
from ingest.core.ids import WindowId

MOST_DECISIONS = 30
LISTED = 20  # windows, beside those that are not open


@needs(Act.LOOK)
def gate(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """The gate of the run and of each window, who asked lately, and how to ask."""
    seen = scope_or_404(request, stream, run)
    enforced = Enforcement.objects.filter(stream=seen.run.stream).first()
    terms, lines = seen.contract, _windows(seen)
    context = c.GatePage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "gate"),
        run=_of_run(seen),
        covers=_covers(seen.standing),
        windows=lines,
        left_out=seen.standing.windows - len(lines) if seen.standing else 0,
        readers=terms.gate.readers if terms else (),
        tables=terms.projection.tables if terms and terms.projection else (),
        snippets=snippets(seen.stream, seen.run.name),
        decisions=tuple(
            (
                each.at,
                each.who,
                window_words(each.window_number, each.rerun) if each.window_number else "run",
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
    word = run_parts.gate_word(standing.granted)
    return c.GateLine(word, word, _why(standing), left=standing.left)


def _why(standing: RunStanding) -> str:
    if standing.granted:
        return "The run is closed and the latest verdict of every window is a live PASS."
    if standing.open < standing.windows:
        return "Not every window is open."
    return "Every window is open, but the run is not closed yet."


def _covers(standing: RunStanding | None) -> str:
    """Which windows a reader of the run would read, and which are not open."""
    if standing is None:
        return ""
    are = f"{standing.open:,} of {count(standing.windows, 'window')} {be(standing.windows)} open to readers."
    shut = standing.windows - standing.open
    return f"{are} Not open: {numbers_listed(shut, standing.not_open, NAMED)}." if shut else are


def _windows(seen: runs.Scope) -> tuple[tuple[c.Link, c.GateLine], ...]:
    """Of the newest windows, and of the first ones that are not open."""
    not_open = seen.standing.not_open if seen.standing else ()
    found = windows.some(seen.run, LISTED, not_open)
    keys = [WindowId(each.id) for each in found]
    standing, verdicts = standing_of(keys), runs.latest_verdicts(keys)
    return tuple(
        (
            c.Link(f"window {each.number:,}", links.window_url(seen.stream, seen.run.name, each.number)),
            run_parts.gate_line(seen, standing.get(WindowId(each.id)), verdicts.get(each.id)),
        )
        for each in found
    )


def snippets(stream: str, run_name: str) -> tuple[tuple[str, str], ...]:
    """How to ask before reading."""
    return (
        ("Shell: the command runs only on PASS", f"passgate gate {stream}/{run_name} --wait 30m -- ./read.sh"),
        ("HTTP: 200 only on an open gate", f"GET /api/v1/gate/{stream}/{run_name}\nAuthorization: Token …"),
        ("SQL: role passgate_reader sees open windows only", "SET ROLE passgate_reader;\nSELECT … FROM truth.…;"),
    )
