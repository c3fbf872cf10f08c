"""Runs: the list, one run, its window, its verdicts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse

from audit.models import Basis, Verdict
from console.pages import contexts as c
from console.pages import paths
from console.pages.charts import LedgerBar
from console.pages.reads import attempts, judged, quarantine
from console.pages.reads import runs as reads
from console.pages.shell import ENDED, RUNNING, STEADY, needs, page
from console.people import Act, may, permissions
from ingest.core.errors import PassgateError
from ingest.models import ControlTotal, RunState, Source, Stream, WindowPin, WindowRange

MOST_STREAMS = 100


def number_in(request: HttpRequest, name: str) -> int | None:
    """A number of the query, or None where it is absent or not one."""
    text = request.GET.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 19 else None


@needs(Act.LOOK)
def runs(request: HttpRequest) -> HttpResponseBase:
    """`/runs/`: tabs with counts, newest first, by keyset of the run's number."""
    state = request.GET.get("state", "")
    state = state if state in reads.STATES else ""
    stream = request.GET.get("stream", "")
    found = reads.listed(state, stream, number_in(request, "before"))
    shown = found[: reads.PAGE_SIZE]
    counts = reads.counts_by_state(stream)
    url = reverse("runs")
    following = (
        paths.with_query(url, state=state, stream=stream, before=shown[-1].id) if len(found) > len(shown) else ""
    )
    context = c.RunsPage(
        tabs=tuple(
            c.Tab(words, paths.with_query(url, state=word, stream=stream), word == state, counts[word])
            for word, (words, _) in reads.STATES.items()
        ),
        rows=reads.rows(shown),
        streams=_stream_tabs(url, state, stream),
        pager=c.Pager(
            len(shown),
            paths.with_query(url, state=state, stream=stream) if number_in(request, "before") else "",
            following,
        ),
        empty=_no_runs(state, stream) if not shown else (),
        rows_key=" ".join(str(run.id) for run in shown),
    )
    return page(request, "runs", context, here="runs", pace=STEADY)


def _stream_tabs(url: str, state: str, chosen: str) -> tuple[c.Tab, ...]:
    names = Stream.objects.order_by("name").values_list("name", flat=True)[:MOST_STREAMS]
    return tuple(
        c.Tab(name, paths.with_query(url, state=state, stream="" if name == chosen else name), name == chosen)
        for name in names
    )


def _no_runs(state: str, stream: str) -> tuple[str, ...]:
    if state:
        return (f"No run{f' of {stream}' if stream else ''} is {reads.STATES[state][0].lower()}.",)
    return ("No run yet.", "Load a contract and open one: passgate stream load FILE, passgate run open STREAM/RUN.")


def scope_or_404(request: HttpRequest, stream: str, run: str, window: int | None = None) -> reads.Scope:
    """The run of a path. Raises Http404."""
    found = reads.scope(stream, run, window if window is not None else number_in(request, "window"))
    if found is None:
        raise Http404
    return found


def evidence(seen: reads.Scope, win: int | None = None) -> Any:
    """Links to what stands behind each check of the window that is looked at."""
    number = win if win is not None else (seen.window.number if seen.window else 1)
    newest = bool(seen.windows) and seen.windows[-1].number == number
    return judged.links(seen.stream, seen.run.run_id, number, newest)


@needs(Act.LOOK)
def run(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """`/runs/{s}/{run}/`: the sentence, the next act, checks, ledger bar, gate, history."""
    seen = scope_or_404(request, stream, run)
    now = judged.now(seen.window.id, evidence(seen), permissions(request.user)) if seen.window else None
    trouble = str(now) if isinstance(now, PassgateError) else ""
    live = now if isinstance(now, judged.Judged) else None
    verdicts = reads.history(seen.run)
    context = c.RunPage(
        strip=reads.strip(seen, live.verdict.durability if live else ""),
        tabs=reads.tabs(seen, "run"),
        said=_said(seen, live, trouble),
        buttons=_buttons(request, seen),
        runbook=_runbook(seen),
        bar=_bar(seen),
        checks=live.checks if live else None,
        gate=gate_line(seen),
        verdicts=reads.verdict_lines(seen, verdicts),
        reasons=_reasons(seen),
        joins=_joins(live),
        pins=_pins(seen),
        trouble=trouble,
    )
    return page(request, "run", context, here="runs", pace=_pace(seen))


def _pace(seen: reads.Scope) -> int:
    """Faster while something runs; no more once a verdict stands that nothing changes."""
    if seen.run.state == RunState.CLOSED and seen.verdict is not None and seen.verdict.state != "BLOCKED":
        return ENDED
    return RUNNING if seen.run.state == RunState.SEALED else STEADY


def _said(seen: reads.Scope, live: judged.Judged | None, trouble: str) -> c.Said:
    """A PASS that stands is said as the verdict said it: checks of now are not a verdict."""
    verdict = seen.verdict
    if verdict is not None and verdict.state == "PASS":
        return c.Said(verdict.sentence.split(" Next: ")[0])
    if live is not None:
        return live.said
    if trouble:
        return c.Said("The checks could not be measured.", "look again in a moment.")
    return c.Said("No window yet: this run has not begun.")


def _buttons(request: HttpRequest, seen: reads.Scope) -> tuple[c.Button, ...]:
    found = []
    name = f"{seen.stream}/{seen.run.run_id}"
    lost = attempts.unknown_of_run(seen.run.id)
    if lost:
        url = paths.with_query(reverse("reconcile"), run=name)
        found.append(c.Button(f"Reconcile {lost}", url, may(request.user, Act.RECONCILE), main=True))
    held = quarantine.open_of_run(seen.run.id)
    if held:
        url = paths.with_query(reverse("quarantine"), run=name)
        found.append(c.Button(f"Triage {held:,}", url, may(request.user, Act.RESOLVE), main=not lost))
    return tuple(found)


def _runbook(seen: reads.Scope) -> str:
    terms = seen.contract
    url = (terms.runbook or "") if terms else ""
    return url if url.startswith(("https://", "http://")) else ""


def _bar(seen: reads.Scope) -> LedgerBar:
    return reads.ledger_of_windows([seen.window.id]) if seen.window else LedgerBar(0, 0, 0, 0)


def _reasons(seen: reads.Scope) -> tuple[tuple[str, int, str], ...]:
    if seen.window is None:
        return ()
    return quarantine.reasons_of_window(seen.window.id, seen.run.id)


def _joins(live: judged.Judged | None) -> tuple[c.Fact, ...]:
    joins = live.verdict.joins if live else None
    if joins is None:
        return ()
    return (
        c.Fact("MATCHED", joins.matched, "number"),
        c.Fact("MISSING", joins.missing, "number"),
        c.Fact("AMBIGUOUS", joins.ambiguous, "number"),
    )


def _pins(seen: reads.Scope) -> tuple[c.Link, ...]:
    if seen.window is None:
        return ()
    pins = WindowPin.objects.filter(win=seen.window).select_related("pinned_win__run__stream")
    return tuple(_pin(pin) for pin in pins[:20])


def _pin(pin: WindowPin) -> c.Link:
    run = pin.pinned_win.run
    number = pin.verdict.rpartition("#")[2]
    if not number.isdigit():
        return c.Link(pin.verdict, paths.run_url(run.stream.name, run.run_id))
    return c.Link(pin.verdict, paths.verdict_url(run.stream.name, run.run_id, int(number)))


def gate_line(seen: reads.Scope, win: int | None = None) -> c.GateLine:
    """The gate of a window, with why it is shut."""
    win = win if win is not None else (seen.window.id if seen.window else None)
    gate, verdict = seen.gates.get(win or 0), seen.verdicts.get(win or 0)
    if reads.is_open(gate):
        why = "The latest verdict is PASS and its basis was checked. Readers can read."
    elif gate is not None:
        why = gate.shut_why or "Its lease ran out and was not renewed."
    elif verdict is None:
        why = "Not judged yet. Until it says PASS, nothing downstream can read it."
    else:
        why = f"The latest verdict is {verdict.title}. Nothing downstream can read it."
    link = None
    if verdict:
        link = c.Link(f"{seen.name}#{verdict.number}", paths.verdict_url(seen.stream, seen.run.run_id, verdict.number))
    word = "GATE OPEN" if reads.is_open(gate) else "GATE SHUT"
    return c.GateLine(word, word, why, gate.open_until if gate else None, gate.checked_at if gate else None, link)


# --- a window


@needs(Act.LOOK)
def window(request: HttpRequest, stream: str, run: str, window: int) -> HttpResponseBase:
    """`…/windows/{w}/`: its ranges, basis, totals and verdicts."""
    seen = scope_or_404(request, stream, run, window)
    if seen.window is None:
        raise Http404
    win = seen.window
    context = c.WindowPage(
        strip=reads.strip(seen),
        tabs=reads.tabs(seen, "window"),
        facts=_window_facts(seen),
        ranges=_ranges(win.id),
        bar=_bar(seen),
        verdicts=reads.verdict_lines(seen, [each for each in reads.history(seen.run) if each.win_id == win.id]),
        basis=tuple(
            (each.generation, bytes(each.digest).hex(), each.why, each.recorded_at)
            for each in Basis.objects.filter(win=win).order_by("generation")[:20]
        ),
        totals=tuple(
            (each.event_class, each.declared, each.declared_by, each.declared_at)
            for each in ControlTotal.objects.filter(win=win).order_by("event_class", "-id").distinct("event_class")[:50]
        ),
    )
    return page(request, "window", context, here="runs", pace=STEADY)


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
            url=paths.with_query(paths.stream_url(seen.stream), version=win.contract.version),
        ),
        c.Fact("contract digest", bytes(win.contract.digest), "digest"),
        c.Fact("revision", win.revision, "number"),
        c.Fact("judged at revision", win.judged_revision, "number"),
        *((c.Fact("reruns window", win.reruns, "number"),) if win.reruns else ()),
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
    seen = scope_or_404(request, stream, run)
    verdicts = {each.number: each for each in reads.history(seen.run)}
    found = verdicts.get(number) or Verdict.objects.select_related("win").filter(run=seen.run, number=number).first()
    if found is None:
        raise Http404
    seen = scope_or_404(request, stream, run, found.win.number)
    before = _compared(request, seen, found, verdicts)
    name = f"{seen.name}#{number}"
    # DESIGN 7 seals every verdict; until it does, the body itself says so.
    sealed = bool(found.body.get("sealed"))
    context = c.VerdictPage(
        strip=reads.strip(seen, found.body.get("durability", "")),
        tabs=reads.tabs(seen, "verdict"),
        name=name,
        state="PASS (waived)" if found.waived else found.state,
        sealed=sealed,
        at=found.decided_at,
        said=_verdict_said(found),
        checks=judged.checks_of_body(found.body, _title(found, sealed), evidence(seen)),
        bar=_body_bar(found.body),
        facts=_verdict_facts(seen, found),
        since=tuple(reads.changes(before.body, found.body)) if before else (),
        compare=f"#{before.number}" if before else "",
        others=tuple(
            c.Link(f"#{each}", paths.verdict_url(seen.stream, seen.run.run_id, each))
            for each in verdicts
            if each != number
        ),
    )
    return page(request, "verdict", context, here="runs")


def _title(found: Verdict, sealed: bool) -> str:
    return f"Verdict #{found.number}, {'sealed' if sealed else 'decided'} {found.decided_at:%H:%M}"


def _verdict_said(found: Verdict) -> c.Said:
    sentence, _, following = str(found.body.get("sentence", "")).partition(" Next: ")
    return c.Said(sentence, following)


def _compared(request: HttpRequest, seen: reads.Scope, found: Verdict, verdicts: dict[int, Verdict]) -> Verdict | None:
    asked = number_in(request, "compare")
    if asked is not None and asked != found.number:
        return verdicts.get(asked) or Verdict.objects.filter(run=seen.run, number=asked).first()
    earlier = [each for each in verdicts.values() if each.number < found.number and each.win_id == found.win_id]
    return max(earlier, key=lambda each: each.number, default=None)


def _body_bar(body: dict[str, Any]) -> LedgerBar:
    counts = body.get("counts") or {}
    return LedgerBar(
        counts.get("records", 0), counts.get("admitted", 0), counts.get("duplicates", 0), counts.get("quarantined", 0)
    )


def _verdict_facts(seen: reads.Scope, found: Verdict) -> tuple[c.Fact, ...]:
    context: Sequence[dict[str, str]] = found.body.get("context", ())
    decided: datetime = found.decided_at
    return (
        c.Fact("window", found.win.number, "number", paths.window_url(seen.stream, seen.run.run_id, found.win.number)),
        c.Fact("decided", decided, "time"),
        c.Fact("decided by", found.decided_by, "outside", paths.find_url(found.decided_by)),
        c.Fact("at revision", found.revision, "number"),
        c.Fact("basis generation", found.basis_generation, "number"),
        c.Fact("contract digest", bytes(found.contract_digest), "digest"),
        c.Fact("verdict digest", bytes(found.digest), "digest"),
        *(
            c.Fact(f"joined with {pin['name']}", pin["verdict"], "outside", _named_verdict_url(pin["verdict"]))
            for pin in context
        ),
    )


def _named_verdict_url(name: str) -> str:
    head, _, number = name.rpartition("#")
    stream, _, run_id = head.partition("/")
    return paths.verdict_url(stream, run_id, int(number)) if number.isdigit() and stream and run_id else ""


def sources_of(win: int) -> list[Source]:
    """The sources of a window, inbox first."""
    return [
        each.source
        for each in WindowRange.objects.filter(win=win)
        .select_related("source")
        .order_by("-source__role", "source")[:500]
    ]
