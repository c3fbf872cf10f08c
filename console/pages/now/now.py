"""`/`: what needs me first, then what goes on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from audit.core.diagnosis import told
from audit.core.phrases import count
from audit.models import Verdict
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page, waiting_for
from console.pages.plans.plans import buttons
from console.pages.runs import run_parts
from console.permissions import Act, may
from console.phrases import window_words
from console.reads import needs as waiting
from console.reads import plans, runs
from console.reads.named import RunName
from console.reads.plans import WaitingPlans
from ingest.core.stops import why
from plans.models import Plan

LATELY = 8
GOING_ON = 10


@needs(Act.LOOK)
def now(request: HttpRequest) -> HttpResponseBase:
    """What waits, split by whether this person may do something about it."""
    what_waits = waiting_for(request)
    lines = [
        *_unknown(request, what_waits.unknown),
        *_quarantine(request, what_waits.quarantine),
        *_stopped(request, what_waits),
        *_fallen(request, what_waits),
    ]
    mine = (*_plans(request, what_waits.plans, True), *(todo for todo in lines if todo.act and todo.act.answer))
    others = (
        *(todo for todo in lines if not (todo.act and todo.act.answer)),
        *_plans(request, what_waits.plans, False),
    )
    context = c.NowPage(
        needs=mine,
        others=others,
        going_on=run_parts.rows(runs.going_on(GOING_ON)),
        lately=_lately(),
        empty=_nothing(len(others)) if not mine else (),
    )
    return page(request, "now/now", context, here="now", pace=STEADY)


def _nothing(others: int) -> tuple[str, ...]:
    if others:
        return ("Nothing waits for you.", f"{others} wait{'s' if others == 1 else ''} for other people.")
    return (
        "Nothing waits for you.",
        "No publish is unknown, no item is open, no lane has stopped, no plan waits, and no run judged lately is shut.",
    )


def _where(run: RunName | None) -> tuple[str, str]:
    return (f"{run.stream}/{run.name}", links.run_url(run.stream, run.name)) if run else ("no run", "")


def _unknown(request: HttpRequest, groups: Sequence[waiting.UnknownOf]) -> list[c.Todo]:
    return [_unknown_todo(request, group) for group in groups]


def _unknown_todo(request: HttpRequest, group: waiting.UnknownOf) -> c.Todo:
    where, _ = _where(group.run)
    what = f"{group.attempts} publish{'' if group.attempts == 1 else 'es'} ({group.events:,} events)"
    listed = links.with_query(reverse("unknown"), run=where if group.run else "")
    confirm = links.with_query(reverse("reconcile"), run=where) if group.run else links.attempt_url(group.first)
    button = c.Button(f"Reconcile {group.attempts}", confirm, may(request.user, Act.RECONCILE), main=True)
    has = "has" if group.attempts == 1 else "have"
    return c.Todo(f"{what} of {where} {has} no known outcome.", listed, "UNKNOWN", where, group.since, button)


def _quarantine(request: HttpRequest, groups: Sequence[waiting.QuarantineOf]) -> list[c.Todo]:
    todos = []
    for group in groups:
        where, _ = _where(group.run)
        url = links.with_query(reverse("quarantine"), run=where if group.run else "")
        are = "item is" if group.items == 1 else "items are"
        button = c.Button("Triage", url, may(request.user, Act.RESOLVE))
        todos.append(
            c.Todo(f"{group.items:,} quarantine {are} open in {where}.", url, "ITEM OPEN", where, group.since, button)
        )
    return todos


def _stopped(request: HttpRequest, found: waiting.Needs) -> list[c.Todo]:
    url, may_look = reverse("lanes"), may(request.user, Act.OPERATE)
    lines = [
        c.Todo(
            f"The {lane.lane} lane of {lane.source} {_stands(lane)}",
            url,
            lane.state,
            lane.stream,
            lane.since,
            c.Button("Look", url, may_look),
        )
        for lane in found.stopped
    ]
    more = found.stopped_in_all - len(found.stopped)
    if more > 0:
        words = f"{more:,} more lane{' stands' if more == 1 else 's stand'} still."
        lines.append(c.Todo(words, url, "STOPPED", "", None, c.Button("Look", url, may_look)))
    return lines


def _stands(lane: waiting.StoppedLane) -> str:
    if lane.state != "STOPPED":
        return "has a backlog and does not move."
    return f"stopped: {why(lane.code, lane.detail)}. Next: {lane.act}."


def _fallen(request: HttpRequest, found: waiting.Needs) -> list[c.Todo]:
    may_act = may(request.user, Act.OPERATE)
    lines = []
    for fallen in found.fallen:
        where, url = _where_fallen(fallen)
        button = c.Button("Look", url, may_act)
        lines.append(c.Todo(_is_shut(fallen, where), url, fallen.state, where, fallen.since, button))
    more = found.fallen_in_all - len(found.fallen)
    if more > 0:
        words = f"{more:,} more run{' is' if more == 1 else 's are'} shut."
        lines.append(c.Todo(words, reverse("runs"), "GATE SHUT", "", None, c.Button("Look", reverse("runs"), may_act)))
    return lines


def _where_fallen(fallen: waiting.FallenRun) -> tuple[str, str]:
    """A run of one window is its own page; of several, the window that fell; of several that fell, the list of them."""
    where, url = _where(fallen.run)
    if fallen.rerun:
        return where, links.rerun_url(fallen.run.stream, fallen.run.name, fallen.window, fallen.rerun)
    if fallen.windows > 1:
        listed = links.run_url(fallen.run.stream, fallen.run.name, "windows")
        return where, links.with_query(listed, verdict="FAIL" if fallen.state == "FAIL" else "PASS")
    return where, url if fallen.alone else links.with_query(url, window=fallen.window)


def _is_shut(fallen: waiting.FallenRun, where: str) -> str:
    name, more = f"{where}#{fallen.verdict}", ""
    if fallen.rerun or not fallen.alone:
        name = f"{name} ({window_words(fallen.window, fallen.rerun)})"
    if fallen.windows > 1:
        others = fallen.windows - 1
        what = "more rerun" if fallen.rerun else "more window"
        more = f" So {'is' if others == 1 else 'are'} {count(others, what)} of the run."
    if fallen.state == "FAIL":
        return f"{name} is FAIL: {fallen.why}{more}"
    if fallen.why:
        return f"{name} is PASS, and its gate is shut: {fallen.why}.{more}"
    return f"{name} is PASS, and nobody has looked again since its lease ran out: its gate is shut.{more}"


def _plans(request: HttpRequest, found: WaitingPlans, mine: bool) -> list[c.Todo]:
    """Plans that wait for whoever looks, or for other people: each with the act that it waits for."""
    shown = [each.plan for each in found.listed if each.mine is mine]
    signing = plans.signing_of(shown)
    lines = [
        c.Todo(
            plans.asks(each), links.plan_url(each.pk), each.state, "", _since(each),
            _first(request, each, signing[each.pk]),
        )
        for each in shown
    ]  # fmt: skip
    more = (found.mine if mine else found.in_all - found.mine) - len(shown)
    if more > 0:
        url = links.with_query(reverse("plans"), state="" if mine else "waiting")
        words = f"{count(more, 'more plan')} wait{'s' if more == 1 else ''}."
        lines.append(c.Todo(words, url, "SUBMITTED", "", None, c.Button("Look", url, may(request.user, Act.LOOK))))
    return lines


def _since(plan: Plan) -> datetime:
    return plan.approved_at or plan.requested_at


def _first(request: HttpRequest, plan: Plan, signing: plans.Signing) -> c.Button | None:
    """The act that it waits for: the page that does it shows everything that is signed."""
    return next(iter(buttons(request, plan, signing)), None)


def _lately() -> tuple[c.VerdictLine, ...]:
    """The newest verdicts of all runs."""
    found = Verdict.objects.select_related("run__stream", "win").order_by("-id")[:LATELY]
    return tuple(
        c.VerdictLine(
            name=f"{each.run.stream.name}/{each.run.name}#{each.number}",
            url=links.verdict_url(each.run.stream.name, each.run.name, each.number),
            state=run_parts.verdict_word(each),
            window=window_words(each.win.number, each.win.rerun).removeprefix("window "),
            at=each.decided_at,
            by=each.decided_by,
            since=told(each.body).why,
        )
        for each in found
    )
