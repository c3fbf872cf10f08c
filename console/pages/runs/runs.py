"""Runs: the list, one run, its window, its verdicts."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse

from audit.core.check import Check
from audit.core.diagnosis import checks_in, told
from audit.models import Verdict
from audit.notices import notices_of
from console import links
from console.pages.frame import checks
from console.pages.frame import contexts as c
from console.pages.frame.charts import LedgerBar
from console.pages.frame.shell import ENDED, RUNNING, STEADY, needs, page
from console.pages.plans.requests import beside_a_fail, requests
from console.pages.runs import run_parts
from console.permissions import Act, may, permitted
from console.phrases import notice_words, window_words
from console.reads import attempts, plans, quarantine, reruns
from console.reads import runs as reads
from console.whole import whole
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId, WindowId
from ingest.core.reason import Reason
from ingest.models import RunState, Stream, WindowPin, WindowState

MOST_STREAMS = 100
MOST_PLANS = 10


def number_in(request: HttpRequest, name: str) -> int | None:
    """A number of the query, or None where it is absent or not one."""
    return whole(request.GET.get(name, ""))


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
        links.with_query(url, state=state, stream=stream, before=shown[-1].id) if len(found) > len(shown) else ""
    )
    context = c.RunsPage(
        tabs=tuple(
            c.Tab(words, links.with_query(url, state=word, stream=stream), word == state, counts[word])
            for word, (words, _) in reads.STATES.items()
        ),
        rows=run_parts.rows(shown),
        streams=_stream_tabs(url, state, stream),
        pager=c.Pager(
            len(shown),
            links.with_query(url, state=state, stream=stream) if number_in(request, "before") else "",
            following,
        ),
        empty=_no_runs(state, stream) if not shown else (),
        rows_key=" ".join(str(run.id) for run in shown),
    )
    return page(request, "runs/runs", context, here="runs", pace=STEADY)


def _stream_tabs(url: str, state: str, chosen: str) -> tuple[c.Tab, ...]:
    names = Stream.objects.order_by("name").values_list("name", flat=True)[:MOST_STREAMS]
    return tuple(
        c.Tab(name, links.with_query(url, state=state, stream="" if name == chosen else name), name == chosen)
        for name in names
    )


def _no_runs(state: str, stream: str) -> tuple[str, ...]:
    if state:
        return (f"No run{f' of {stream}' if stream else ''} is {reads.STATES[state][0].lower()}.",)
    return ("No run yet.", "Load a contract and open one: passgate stream load FILE, passgate run open STREAM/RUN.")


def scope_or_404(
    request: HttpRequest, stream: str, run: str, window: int | None = None, rerun: int | None = None
) -> reads.Scope:
    """The run of a path, and what of it is looked at. Raises Http404."""
    found = reads.scope(stream, run, window if window is not None else number_in(request, "window"), rerun)
    if found is None:
        raise Http404
    return found


@needs(Act.LOOK)
def run(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """`/runs/{s}/{run}/`: the sentence, the next act, checks, ledger bar, gate, history."""
    seen = scope_or_404(request, stream, run)
    verdicts = reads.history(seen.run, seen.window if seen.older else None)
    view = window_view(request, seen)
    key = seen.window.id if seen.window else 0
    offered = requests(request, seen, view.offering)
    context = c.RunPage(
        strip=run_parts.strip(seen, view.durability),
        tabs=run_parts.tabs(seen, "run"),
        said=beside_a_fail(view.said, offered, run_parts.proven_by(seen)) if view.failed else view.said,
        buttons=_buttons(request, seen, view.standing),
        requests=offered,
        runbook=_runbook(seen),
        bar=bar_of(seen),
        checks=view.checks,
        stands=view.standing is not None,
        gate=gate_line(seen),
        verdicts=run_parts.verdict_lines(seen, verdicts),
        reasons=_reasons(seen),
        joins=_joins(view.live, view.shown),
        pins=_pins(seen),
        measuring=view.measuring,
        trouble=view.trouble,
        plans=_plans(seen),
        reruns=run_parts.rerun_lists(seen, [key], reruns.BESIDE).get(key),
        notices=tuple(map(notice_words, notices_of(RunId(seen.run.pk)))),
    )
    return page(request, "runs/run", context, here="runs", pace=view.pace)


@dataclass(frozen=True)
class WindowView:
    """The checks of a window or a rerun as a page shows them: of the verdict that stands, or measured now.

    `shown` is the verdict that is shown: the one that stands, or the newest while the checks are measured anew.
    """

    standing: Verdict | None
    shown: Verdict | None
    live: checks.CheckedWindow | None
    checks: c.Checks | None
    said: c.DiagnosisBox
    measuring: bool
    trouble: str
    durability: str
    pace: int

    @property
    def failed(self) -> bool:
        """Whether the window is FAIL for good, and what is offered about it is known."""
        if self.standing is not None:
            return self.standing.state == "FAIL"
        return self.live is not None and not self.live.anew and self.live.verdict.state == "FAIL"

    @property
    def offering(self) -> tuple[Check, ...]:
        """What plans are offered by; none while it is measured anew, for what it asks for may be done."""
        if self.standing is not None:
            return checks_in(self.standing.body)
        return self.live.verdict.checks if self.live is not None and not self.live.anew else ()


def window_view(request: HttpRequest, seen: reads.Scope) -> WindowView:
    """What a page says of the window, or rerun, that is looked at."""
    newest = newest_verdict(seen)
    standing = None if "now" in request.GET else _standing(seen, newest)
    now = None
    if standing is None and seen.window is not None:
        now = checks.now(WindowId(seen.window.id), evidence(seen), permitted(request.user))
    trouble = str(now) if isinstance(now, PassgateError) else _unjudged(seen)
    live = now if isinstance(now, checks.CheckedWindow) else None
    measuring = isinstance(now, checks.PendingChecks)
    anew = live is not None and live.anew
    shown = standing or (newest if measuring else None)
    return WindowView(
        standing,
        shown,
        live,
        _checks(live, shown, evidence(seen)),
        verdict_said(shown) if shown else _said(seen, live, trouble),
        measuring,
        trouble,
        _durability(live, shown),
        RUNNING if measuring or anew else _pace(seen, standing),
    )


def _unjudged(seen: reads.Scope) -> str:
    """Why the window could not be judged the last time somebody tried, as its row says."""
    win = seen.window
    if win is None or not win.unjudged_why:
        return ""
    return f"It could not be judged at {win.unjudged_at:%H:%M:%S} UTC: {win.unjudged_why}. It is tried again by itself."


def _pace(seen: reads.Scope, standing: Verdict | None) -> int:
    """Faster while something runs; no more after a FAIL, which nothing changes. A PASS ends, its gate does not."""
    if standing is not None:
        return ENDED if standing.state == "FAIL" else STEADY
    return RUNNING if seen.run.state == RunState.CUT else STEADY


def newest_verdict(seen: reads.Scope) -> Verdict | None:
    """The newest verdict of the window that is looked at, however many windows were judged since."""
    return reads.newest_verdict(seen.window) if seen.window and seen.verdict else None


def _standing(seen: reads.Scope, newest: Verdict | None) -> Verdict | None:
    """The newest verdict, if it is not BLOCKED and no fact of the window has changed since it was decided."""
    win = seen.window
    if win is None or newest is None or newest.state == "BLOCKED":
        return None
    return newest if newest.state == "FAIL" or win.revision == win.judged_revision else None


def _plans(seen: reads.Scope) -> tuple[c.Todo, ...]:
    """A line for each plan about the run that is not over."""
    return tuple(
        c.Todo(plans.asks(each), links.plan_url(each.pk), each.state, "", each.requested_at)
        for each in plans.waiting_about(seen.run, MOST_PLANS)
    )


def _durability(live: checks.CheckedWindow | None, standing: Verdict | None) -> str:
    if standing is not None:
        return str(standing.body.get("durability", ""))
    return live.verdict.durability if live else ""


def _checks(live: checks.CheckedWindow | None, standing: Verdict | None, link: checks.Linker) -> c.Checks | None:
    """A verdict that stands shows what it was decided on; what is measured now is one click away."""
    if standing is not None:
        return checks.checks_of_body(standing.body, verdict_title(standing), link)
    return live.checks if live else None


def _said(seen: reads.Scope, live: checks.CheckedWindow | None, trouble: str) -> c.DiagnosisBox:
    """What is known now; without that, that it is being found out."""
    if live is not None:
        return _all_hold(seen, live) if live.verdict.state == "PASS" else live.said
    if trouble and not _unjudged(seen):
        return c.DiagnosisBox("The checks could not be measured.", "look again in a moment.")
    if seen.window is not None:
        of = window_words(seen.window.number, seen.rerun)
        words = f"The checks of {of} are being measured: every receipt is counted."
        return c.DiagnosisBox(words, "wait; this page shows them as soon as they are there.")
    return c.DiagnosisBox("No window yet: this run has not begun.")


def _all_hold(seen: reads.Scope, live: checks.CheckedWindow) -> c.DiagnosisBox:
    """Checks that hold now are not a PASS, and the page must not say the word before a verdict does."""
    latest = f"the latest one, #{seen.verdict.number}, is {seen.verdict.title}" if seen.verdict else "there is none yet"
    words = f"All {len(live.checks.holding)} checks hold now. That is not a verdict: {latest}."
    if live.anew:
        return c.DiagnosisBox(words, checks.anew_words(live.verdict))
    if seen.contract and seen.contract.close.auto:
        return c.DiagnosisBox(words, "wait; the window is judged by itself.")
    return c.DiagnosisBox(words, "close the window.", "This contract closes when somebody asks.")


def _buttons(request: HttpRequest, seen: reads.Scope, standing: Verdict | None) -> tuple[c.Button, ...]:
    """What can be done here, the most urgent one first."""
    name = f"{seen.stream}/{seen.run.name}"
    lost, held = attempts.unknown_of_run(seen.run.id), quarantine.open_of_run(seen.run.id)
    facts = []
    if lost:
        url = links.with_query(reverse("reconcile"), run=name)
        facts.append((f"Reconcile {lost}", url, Act.RECONCILE))
    if held:
        facts.append((f"Triage {held:,}", links.with_query(reverse("quarantine"), run=name), Act.RESOLVE))
    if seen.window and seen.window.state == WindowState.OPEN:
        facts.append(("Cut", reverse("cut", args=[seen.stream, seen.run.name]), Act.CUT))
        facts.append(("Cut and go on", reverse("go-on", args=[seen.stream, seen.run.name]), Act.CUT))
    elif seen.window and not standing:
        facts.append(("Close", close_url(seen), Act.CLOSE))
    return tuple(
        c.Button(words, url, may(request.user, act), main=at == 0) for at, (words, url, act) in enumerate(facts)
    )


def close_url(seen: reads.Scope) -> str:
    """Where the window, or the rerun, that is looked at is closed."""
    return links.with_query(reverse("close", args=[seen.stream, seen.run.name]), window=seen.older, rerun=seen.rerun)


def _runbook(seen: reads.Scope) -> str:
    terms = seen.contract
    url = (terms.runbook or "") if terms else ""
    return url if url.startswith(("https://", "http://")) else ""


def _reasons(seen: reads.Scope) -> tuple[tuple[str, int, str], ...]:
    if seen.window is None:
        return ()
    return tuple(
        (name, items, links.group_url(seen.run.id, name) if name in Reason.__members__ else "")
        for name, items in quarantine.reasons_of_window(seen.window.id)
    )


def _joins(live: checks.CheckedWindow | None, standing: Verdict | None) -> tuple[c.Fact, ...]:
    """How the projection's joins came out: now, or as the standing verdict has them."""
    found = live.verdict.joins if live else None
    counts = {"MATCHED": found.matched, "MISSING": found.missing, "AMBIGUOUS": found.ambiguous} if found else {}
    if standing is not None:
        counts = standing.body.get("joins") or {}
    return tuple(c.Fact(word, counts[word], "number") for word in ("MATCHED", "MISSING", "AMBIGUOUS") if word in counts)


def _pins(seen: reads.Scope) -> tuple[c.Link, ...]:
    if seen.window is None:
        return ()
    pins = WindowPin.objects.filter(win=seen.window).select_related("pinned_win__run__stream")
    return tuple(_pin(pin) for pin in pins[:20])


def _pin(pin: WindowPin) -> c.Link:
    run = pin.pinned_win.run
    number = whole(pin.verdict.rpartition("#")[2])
    if number is None:
        return c.Link(pin.verdict, links.run_url(run.stream.name, run.name))
    return c.Link(pin.verdict, links.verdict_url(run.stream.name, run.name, number))


def gate_line(seen: reads.Scope) -> c.GateLine:
    """The gate of the window that is looked at, as a reader would be answered, with why it is shut."""
    return run_parts.gate_line(seen, seen.gate, seen.verdict)


# --- what pages of a run share


def evidence(seen: reads.Scope) -> checks.Linker:
    """Links to what stands behind each check of the window that is looked at."""
    number = seen.window.number if seen.window else 1
    newest = seen.window is not None and seen.older is None
    return checks.evidence_links(seen.stream, seen.run.name, number, newest, seen.rerun)


def bar_of(seen: reads.Scope) -> LedgerBar:
    """The ledger bar of the window that is looked at."""
    return LedgerBar(*(reads.ledger_of_windows([seen.window.id]) if seen.window else reads.Ledger()))


def verdict_title(found: Verdict) -> str:
    """ "Verdict #7, decided 02:31"; "sealed" once verdicts are signed, which the body itself says."""
    return f"Verdict #{found.number}, {'sealed' if found.body.get('sealed') else 'decided'} {found.decided_at:%H:%M}"


def verdict_said(found: Verdict) -> c.DiagnosisBox:
    """What a verdict says, with the act that it asked for then."""
    diagnosis = told(found.body)
    return c.DiagnosisBox(diagnosis.finding, diagnosis.following)
