"""`…/windows/{w}/reruns/{k}/`: a rerun, as its run's page has a window, and whose it is."""

from __future__ import annotations

from django.http import Http404, HttpRequest, HttpResponseBase

from audit.models import Rerun
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import needs, page
from console.pages.plans.requests import requests
from console.pages.runs import run_parts
from console.pages.runs.receipts import receipt_rows
from console.pages.runs.runs import WindowView, bar_of, close_url, gate_line, scope_or_404, window_view
from console.permissions import Act, may
from console.phrases import window_words
from console.reads import receipts, runs
from console.reads.reruns import of_rerun
from ingest.models import Window, WindowState

FIRST_RECEIPTS = 10


@needs(Act.LOOK)
def rerun(request: HttpRequest, stream: str, run: str, window: int, rerun: int) -> HttpResponseBase:
    """Its checks now or the verdict that stands, its gate, its plan, and the receipts of that plan's source."""
    seen = scope_or_404(request, stream, run, window, rerun)
    again = of_rerun(seen.window) if seen.window else None
    if seen.window is None or again is None:
        raise Http404
    view = window_view(request, seen)
    context = c.RerunPage(
        strip=run_parts.strip(seen, view.durability),
        tabs=run_parts.tabs(seen, "rerun"),
        words=window_words(window, rerun),
        window=c.Link(window_words(window), links.window_url(seen.stream, seen.run.name, window)),
        said=view.said,
        buttons=_buttons(request, seen, view),
        bar=bar_of(seen),
        checks=view.checks,
        stands=view.standing is not None,
        gate=gate_line(seen),
        verdicts=run_parts.verdict_lines(seen, runs.history(seen.run, seen.window)),
        facts=_facts(seen, seen.window, again),
        receipts=_receipts(seen, seen.window),
        receipts_url=links.with_query(
            links.run_url(seen.stream, seen.run.name, "receipts"), window=window, rerun=rerun
        ),
        measuring=view.measuring,
        trouble=view.trouble,
        requests=requests(request, seen, view.offering),
    )
    return page(request, "runs/rerun", context, here="runs", pace=view.pace)


def _buttons(request: HttpRequest, seen: runs.Scope, view: WindowView) -> tuple[c.Button, ...]:
    """A rerun is cut by its plan, when that is over; closing it by hand is all that is left to people."""
    if seen.window is None or seen.window.state != WindowState.CUT or view.standing is not None:
        return ()
    return (c.Button("Close", close_url(seen), may(request.user, Act.CLOSE), main=True),)


def _facts(seen: runs.Scope, win: Window, again: Rerun) -> tuple[c.Fact, ...]:
    first = Window.objects.select_related("contract").get(pk=again.win.reruns_id or 0)
    stream = links.stream_url(seen.stream)
    return (
        c.Fact("plan", again.plan, url=links.plan_url(again.plan)),
        c.Fact("kind", again.kind),
        c.Fact("asked for by", again.requested_by, "outside", links.find_url(again.requested_by)),
        c.Fact("approved by", again.approved_by, "outside", links.people_url(again.approved_by)),
        c.Fact("reason", again.reason, "outside"),
        *run_parts.order_facts(again.requested_by, again.approved_by, out_of_order=again.out_of_order),
        c.Fact("reruns", window_words(first.number), url=links.window_url(seen.stream, seen.run.name, first.number)),
        c.Fact("its contract", f"v{win.contract.version}", url=links.with_query(stream, version=win.contract.version)),
        c.Fact("its digest", bytes(win.contract.digest), "digest"),
        c.Fact(
            "contract of the window",
            f"v{first.contract.version}",
            url=links.with_query(stream, version=first.contract.version),
        ),
        c.Fact("digest of that", bytes(first.contract.digest), "digest"),
        c.Fact("state", win.state, "state"),
        c.Fact("opened", again.opened_at, "time"),
        c.Fact("cut", win.cut_at, "time"),
        c.Fact("bus end read", win.bus_end_at, "time"),
        c.Fact("revision", win.revision, "number"),
    )


def _receipts(seen: runs.Scope, win: Window) -> tuple[c.ReceiptRow, ...]:
    """The first receipts of the plan's source: what became of each of its items, in the order of its list."""
    ranges = receipts.ranges(win.id)
    rows = receipts.walk(ranges, None).rows[:FIRST_RECEIPTS]
    names = {each.source: each.name for each in ranges}
    return receipt_rows(seen, rows, names, receipts.class_names(seen.run.stream_id))
