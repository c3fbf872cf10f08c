"""A window, and a verdict: what was fixed, and what was decided on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase

from audit.core.diagnosis import checks_in
from audit.core.verdict import changes
from audit.models import Basis, Verdict
from console import links
from console.pages.frame import checks
from console.pages.frame import contexts as c
from console.pages.frame.charts import LedgerBar
from console.pages.frame.shell import STEADY, needs, page
from console.pages.plans.requests import requests
from console.pages.runs import run_parts
from console.pages.runs.runs import (
    bar_of,
    evidence,
    newest_verdict,
    number_in,
    scope_or_404,
    verdict_said,
    verdict_title,
)
from console.permissions import Act
from console.phrases import window_words
from console.reads import reruns
from console.reads import runs as reads
from console.whole import whole
from ingest.models import ControlTotal, WindowRange


@needs(Act.LOOK)
def window(request: HttpRequest, stream: str, run: str, window: int) -> HttpResponseBase:
    """`…/windows/{w}/`: its ranges, basis, totals and verdicts."""
    seen = scope_or_404(request, stream, run, window)
    if seen.window is None:
        raise Http404
    win = seen.window
    newest = newest_verdict(seen)
    context = c.WindowPage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "window"),
        facts=_window_facts(seen),
        ranges=_ranges(win.id),
        bar=bar_of(seen),
        verdicts=run_parts.verdict_lines(seen, reads.history(seen.run, win)),
        basis=tuple(
            (each.generation, bytes(each.digest).hex(), each.why, each.recorded_at)
            for each in Basis.objects.filter(win=win).order_by("generation")[:20]
        ),
        totals=tuple(
            (each.event_class, each.declared, each.declared_by, each.declared_at)
            for each in ControlTotal.objects.filter(win=win).order_by("event_class", "-id").distinct("event_class")[:50]
        ),
        requests=requests(request, seen, checks_in(newest.body) if newest else ()),
        reruns=run_parts.rerun_lists(seen, [win.id], reruns.SHOWN).get(win.id),
    )
    return page(request, "runs/window", context, here="runs", pace=STEADY)


def _window_facts(seen: reads.Scope) -> tuple[c.Fact, ...]:
    win = seen.window
    assert win is not None
    return (
        c.Fact("state", win.state, "state"),
        c.Fact("opened", win.opened_at, "time"),
        c.Fact("cut", win.cut_at, "time"),
        c.Fact("bus end read", win.bus_end_at, "time"),
        c.Fact(
            "contract",
            f"v{win.contract.version}",
            url=links.with_query(links.stream_url(seen.stream), version=win.contract.version),
        ),
        c.Fact("contract digest", bytes(win.contract.digest), "digest"),
        c.Fact("revision", win.revision, "number"),
        c.Fact("judged at revision", win.judged_revision, "number"),
    )


def _ranges(win: int) -> tuple[tuple[str, str, int, int | None, int], ...]:
    found = WindowRange.objects.filter(win=win).select_related("source").order_by("source__role", "source")[:500]
    return tuple(
        (each.source.name, each.source.role, each.start_offset, each.end_offset, each.source_id) for each in found
    )


# --- a verdict


@needs(Act.LOOK)
def verdict(request: HttpRequest, stream: str, run: str, number: int) -> HttpResponseBase:
    """`…/verdicts/{n}?compare=`: what was decided, as it was decided."""
    named_run = links.find_run(stream, run)
    verdicts = Verdict.objects.select_related("win")
    stored_verdict = verdicts.filter(run=named_run, number=number).first() if named_run else None
    if named_run is None or stored_verdict is None:
        raise Http404
    seen = scope_or_404(request, stream, run, stored_verdict.win.number, stored_verdict.win.rerun)
    before = _compared(request, seen, stored_verdict)
    name = f"{seen.name}#{number}"
    sealed = bool(stored_verdict.body.get("sealed"))
    context = c.VerdictPage(
        strip=run_parts.strip(seen, stored_verdict.body.get("durability", "")),
        tabs=run_parts.tabs(seen, "verdict"),
        name=name,
        state=run_parts.verdict_word(stored_verdict),
        sealed=sealed,
        at=stored_verdict.decided_at,
        said=verdict_said(stored_verdict),
        checks=checks.checks_of_body(stored_verdict.body, verdict_title(stored_verdict), evidence(seen)),
        bar=_body_bar(stored_verdict.body),
        facts=_verdict_facts(seen, stored_verdict),
        since=tuple(changes(before.body, stored_verdict.body)) if before else (),
        compare=f"#{before.number}" if before else "",
        others=tuple(
            c.Link(f"#{each}", links.verdict_url(seen.stream, seen.run.name, each))
            for each in sorted({verdict.number for verdict in reads.history(seen.run)} - {number}, reverse=True)
        ),
    )
    return page(request, "runs/verdict", context, here="runs")


def _compared(request: HttpRequest, seen: reads.Scope, found: Verdict) -> Verdict | None:
    """The verdict that is asked for, else the one before it of the same window, however many of others lie between."""
    asked = number_in(request, "compare")
    if asked is not None and asked != found.number:
        return Verdict.objects.filter(run=seen.run, number=asked).first()
    return Verdict.objects.filter(win=found.win, number__lt=found.number).order_by("-number").first()


def _body_bar(body: dict[str, Any]) -> LedgerBar:
    counts = body.get("counts") or {}
    return LedgerBar(
        counts.get("records", 0), counts.get("admitted", 0), counts.get("duplicates", 0), counts.get("quarantined", 0)
    )


def _verdict_facts(seen: reads.Scope, found: Verdict) -> tuple[c.Fact, ...]:
    context: Sequence[dict[str, str]] = found.body.get("context", ())
    decided: datetime = found.decided_at
    win = found.win
    words = window_words(win.number, win.rerun).removeprefix("window ")
    return (
        c.Fact("window", words, url=links.either_url(seen.stream, seen.run.name, win.number, win.rerun)),
        *_rerun_facts(found.body.get("rerun")),
        *_gone_facts(found.body),
        c.Fact("decided", decided, "time"),
        c.Fact("decided by", found.decided_by, "outside", links.find_url(found.decided_by)),
        c.Fact("at revision", found.revision, "number"),
        c.Fact("basis generation", found.basis_generation, "number"),
        c.Fact("contract digest", bytes(found.contract_digest), "digest"),
        c.Fact("verdict digest", bytes(found.digest), "digest"),
        *(
            c.Fact(f"joined with {pin['name']}", pin["verdict"], "outside", _named_verdict_url(pin["verdict"]))
            for pin in context
        ),
        *(
            c.Fact(f"attempt {each['attempt']}", _decided(each), "outside", links.plan_url(each["plan"]))
            for each in found.body.get("decisions", ())
        ),
    )


def _decided(said: Mapping[str, Any]) -> str:
    """What two people decided about a publish, as a verdict names it."""
    return (
        f"{said['present']:,} present and {said['absent']:,} absent as decided by plan {said['plan']}, asked for by "
        f"{said['requested_by']}, approved by {said['approved_by']}: {said['reason']}"
    )


def _rerun_facts(rerun: dict[str, Any] | None) -> tuple[c.Fact, ...]:
    """Whose rerun the verdict is of, as its body says."""
    if rerun is None:
        return ()
    return (
        c.Fact("rerun by plan", rerun["plan"], url=links.plan_url(rerun["plan"])),
        c.Fact("kind", rerun["kind"]),
        c.Fact("asked for by", rerun["requested_by"], "outside", links.find_url(rerun["requested_by"])),
        c.Fact("approved by", rerun["approved_by"], "outside", links.people_url(rerun["approved_by"])),
        c.Fact("reason", rerun["reason"], "outside"),
        *run_parts.order_facts(
            rerun["requested_by"], rerun["approved_by"], out_of_order=rerun.get("out_of_order", False)
        ),
        c.Fact("contract of the window", f"v{rerun['contract']['version']}"),
        c.Fact("its digest", rerun["contract"]["digest"], "digest"),
    )


def _gone_facts(body: dict[str, Any]) -> tuple[c.Fact, ...]:
    """Of a rerun: how much it read itself, how much was gone, and what stands in for that."""
    gone = body.get("gone")
    if gone is None:
        return ()
    facts = [
        c.Fact("records read again", (body.get("counts") or {}).get("records", 0), "number"),
        c.Fact("offsets gone from the inbox", gone["offsets"], "number"),
        c.Fact("receipts that stand in", gone["receipts"], "number"),
        c.Fact("of these without payload", gone["unkept"], "number"),
        c.Fact("batches digested again", gone["batches"], "number"),
    ]
    return (*facts, c.Fact("of it held no record", gone["empty"], "number")) if gone["empty"] else tuple(facts)


def _named_verdict_url(name: str) -> str:
    head, _, number = name.rpartition("#")
    stream, _, run_name = head.partition("/")
    found = whole(number)
    return links.verdict_url(stream, run_name, found) if found is not None and stream and run_name else ""
