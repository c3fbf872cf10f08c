"""`/runs/{s}/{run}/seal`: cut the open window. What arrives from then on belongs to the next one."""

from __future__ import annotations

import shlex

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from audit.core.diagnosis import left_behind
from audit.cut import seal_run
from console import links
from console.pages import contexts as c
from console.pages import run_parts
from console.pages.acting import Errors, failed, refuse
from console.pages.runs import scope_or_404
from console.pages.shell import needs, page
from console.permissions import Act, Answer, may
from console.reads import lanes, measuring, runs
from ingest.core.contract import Totals
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId
from ingest.models import ControlTotal, WindowRange, WindowState


@needs(Act.LOOK, acts=True)
def seal(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """Confirm on GET, seal on POST. Sealing twice changes nothing, and the verb says so."""
    seen = scope_or_404(request, stream, run)
    answer = may(request.user, Act.SEAL)
    errors = Errors()
    if request.method == "POST":
        errors = _seal(request, seen, answer)
        if not errors:
            return HttpResponseRedirect(links.run_url(seen.stream, seen.run.run_id))
    return page(request, "seal", _page(seen, answer, errors), here="runs", status=errors.status)


def _seal(request: HttpRequest, seen: runs.Scope, answer: Answer) -> Errors:
    if not answer:
        return refuse(request, Act.SEAL, answer)
    try:
        done = seal_run(seen.stream, seen.run.run_id, request.user.get_username())
    except PassgateError as error:
        return failed(error)
    if seen.window:
        measuring.forget(WindowId(seen.window.id))
    words = "was sealed before; nothing changed" if done.result == "same" else "is sealed; it is judged by itself"
    left = left_behind(done.behind)
    messages.success(request, f"Window {done.window} {words}.{f' {left}.' if left else ''}")
    return Errors()


def _page(seen: runs.Scope, answer: Answer, errors: tuple[str, ...]) -> c.SealPage:
    name = f"{seen.stream}/{seen.run.run_id}"
    ranges, behind, hidden = _ranges(seen)
    return c.SealPage(
        strip=run_parts.strip(seen),
        url=reverse("seal", args=[seen.stream, seen.run.run_id]),
        ranges=ranges,
        behind=behind,
        hidden=hidden,
        totals=_totals(seen),
        errors=errors,
        answer=answer,
        same=c.SameAct(
            f"passgate run seal {shlex.quote(name)}",
            f"POST /api/v1/streams/{seen.stream}/runs/{links.run_segment(seen.run.run_id)}/seal",
        ),
        back=links.run_url(seen.stream, seen.run.run_id),
        done=_done(seen),
    )


def _done(seen: runs.Scope) -> str:
    if seen.window is None:
        return "This run has no window."
    if seen.window.state != WindowState.OPEN:
        return f"Window {seen.window.number} is sealed already."
    return ""


def _ranges(seen: runs.Scope) -> tuple[tuple[tuple[str, int, int | None, int | None], ...], int | None, int]:
    """Per inbox source: start, position, and the cut by the newest sample; then what is still to be read, and what an
    open transaction hides behind the cuts: it would go to the next window."""
    if seen.window is None:
        return (), None, 0
    found = {
        each.source_id: each
        for each in WindowRange.objects.filter(win=seen.window, source__role="inbox").select_related("source")[:500]
    }
    reached = lanes.admitted_to(found)
    samples = lanes.newest_samples(found)
    rows: list[tuple[str, int, int | None, int | None]] = []
    missing: int | None = 0
    hidden = 0
    for source, covers in sorted(found.items()):
        at = reached.get(source)
        lso = samples[source].lso if source in samples else None
        cut = max(at, lso) if at is not None and lso is not None else None
        rows.append((covers.source.name, covers.start_offset, at, cut))
        end = samples[source].hw if source in samples else None
        hidden += max(end - cut, 0) if end is not None and cut is not None else 0
        missing = missing + cut - at if cut is not None and at is not None and missing is not None else None
    return tuple(rows), missing, hidden


def _totals(seen: runs.Scope) -> str:
    """What is said about control totals."""
    declared = ControlTotal.objects.filter(win=seen.window).exists() if seen.window else False
    if declared:
        return "The producer declared control totals; EXPECTED will compare them."
    terms = seen.contract
    if terms and terms.close.totals is Totals.REQUIRED:
        return "The contract requires control totals, and none are declared: sealing will be refused until they are."
    return "No control totals are declared, so EXPECTED will not be listed."
