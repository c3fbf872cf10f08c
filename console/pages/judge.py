"""`/runs/{s}/{run}/judge`: ask for a verdict now, whatever it will say."""

from __future__ import annotations

import shlex

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.urls import reverse

from audit.close import close_run
from console import links
from console.pages import checks, run_parts
from console.pages import contexts as c
from console.pages.acting import Errors, failed, refuse
from console.pages.runs import evidence, number_in, scope_or_404
from console.pages.shell import needs, page
from console.permissions import Act, Answer, may, permitted
from console.reads import measuring, runs
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId
from ingest.models import WindowState


@needs(Act.LOOK, acts=True)
def judge(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """Confirm on GET; a POST judges and stores a numbered verdict that is never edited."""
    seen = scope_or_404(request, stream, run)
    answer = may(request.user, Act.CLOSE)
    errors = Errors()
    if request.method == "POST":
        errors = _judge(request, seen, answer)
        if not errors:
            return HttpResponseRedirect(links.run_url(seen.stream, seen.run.run_id))
    return page(request, "judge", _page(request, seen, answer, errors), here="runs", status=errors.status)


def _judge(request: HttpRequest, seen: runs.Scope, answer: Answer) -> Errors:
    if not answer:
        return refuse(request, Act.CLOSE, answer)
    window = number_in(request, "window")
    try:
        stored = close_run(seen.stream, seen.run.run_id, request.user.get_username(), window)
    except PassgateError as error:
        return failed(error)
    if seen.window:
        measuring.forget(WindowId(seen.window.id))
    messages.success(request, f"{stored.name} is {stored.verdict.title}.")
    return Errors()


def _page(request: HttpRequest, seen: runs.Scope, answer: Answer, errors: tuple[str, ...]) -> c.JudgePage:
    now = checks.now(WindowId(seen.window.id), evidence(seen), permitted(request.user)) if seen.window else None
    name = f"{seen.stream}/{seen.run.run_id}"
    segment = links.run_segment(seen.run.run_id)
    window = seen.window.number if seen.window and seen.window != seen.windows[-1] else None
    return c.JudgePage(
        strip=run_parts.strip(seen),
        url=links.with_query(reverse("judge", args=[seen.stream, seen.run.run_id]), window=window),
        said=now.said if isinstance(now, checks.Judged) and now.verdict.state != "PASS" else None,
        errors=errors,
        answer=answer,
        same=c.SameAct(
            f"passgate run close {shlex.quote(name)}{f' --window {window}' if window else ''}",
            f"POST /api/v1/streams/{seen.stream}/runs/{segment}/close",
        ),
        back=links.run_url(seen.stream, seen.run.run_id),
        by_itself=bool(seen.contract and seen.contract.close.auto),
        done=_done(seen),
    )


def _done(seen: runs.Scope) -> str:
    if seen.window is None:
        return "This run has no window."
    if seen.window.state == WindowState.OPEN:
        return "The window is open: seal it first."
    if seen.verdict and seen.verdict.state == "FAIL":
        return f"#{seen.verdict.number} is FAIL. This cannot be cleared: open a new run."
    return ""
