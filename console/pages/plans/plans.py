"""Plans: the list, and one plan with what it binds, what became of it, and who did what."""

from __future__ import annotations

import json
import re
from base64 import b64decode
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any

from django.http import Http404, HttpRequest, HttpResponseBase, StreamingHttpResponse
from django.urls import reverse

from audit.core.phrases import count
from console import links
from console.documents.plans import corrections_hidden, item_document
from console.pages.frame import contexts as c
from console.pages.frame.charts import progress
from console.pages.frame.shell import ENDED, RUNNING, STEADY, asks_for_part, needs, page
from console.pages.runs.runs import number_in
from console.permissions import Act
from console.phrases import window_words
from console.reads import looks, reruns
from console.reads import plans as reads
from console.safe_text import text_of
from ingest.core.errors import NotFound
from plans.core.approvals import Approvals
from plans.core.plan import FINAL, Kind, State
from plans.models import Plan, PlanEvent, PlanItem

SHOWN_ITEMS = 100
MOST_NAMED = 10  # items that a fact names
SHOWN_CORRECTIONS, MOST_CORRECTED = 20, 20_000  # corrections of a page, and characters of each
DIGEST = re.compile(r"[0-9a-f]{64}")

#: What each act is called on its button.
WORDS: Mapping[str, str] = {
    "approve": "Approve", "decline": "Decline", "pause": "Pause", "resume": "Resume", "cancel": "Cancel",
}  # fmt: skip
#: States in which it still matters whether what a plan binds is as it was.
LOOKED_AT = (State.SUBMITTED, State.APPROVED, State.HELD)


@needs(Act.LOOK)
def plans(request: HttpRequest) -> HttpResponseBase:
    """`/plans/?state=`: what waits for whoever looks, what waits, what runs, what is over; newest first."""
    state = request.GET.get("state", "")
    state = state if state in reads.TABS else ""
    before = number_in(request, "before")
    found = reads.listed(state, request.user, before)
    shown = found[: reads.PAGE_SIZE]
    counts = reads.counts(request.user)
    signing = reads.signing_of(shown)
    url = reverse("plans")
    following = links.with_query(url, state=state, before=shown[-1].pk) if len(found) > len(shown) else ""
    context = c.PlansPage(
        tabs=tuple(
            c.Tab(words, links.with_query(url, state=name), name == state, counts[name])
            for name, words in reads.TABS.items()
        ),
        rows=tuple(_row(request, each, signing[each.pk]) for each in shown),
        pager=c.Pager(len(shown), links.with_query(url, state=state) if before else "", following),
        empty=_nothing(state, counts["others"]) if not shown else (),
        rows_key=" ".join(str(each.pk) for each in shown),
    )
    return page(request, "plans/plans", context, here="plans", pace=STEADY)


def _nothing(state: str, others: int) -> tuple[str, ...]:
    if state == "":
        waits = f"{count(others, 'plan')} wait{'s' if others == 1 else ''} for other people."
        return ("Nothing waits for you.", waits if others else "No plan waits for anybody.")
    return {
        "waiting": ("No plan waits.", "One that somebody asks for waits here until another person says yes or no."),
        "running": ("No plan runs.", "One that is approved runs by itself within seconds; one that is held says why."),
        "over": ("No plan is over yet.", "One that is done, declined, void, expired or cancelled stays here."),
    }[state]


def _row(request: HttpRequest, plan: Plan, signing: reads.Signing) -> c.PlanRow:
    over = plan.state in FINAL
    return c.PlanRow(
        number=plan.pk,
        url=links.plan_url(plan.pk),
        kind=plan.kind,
        does=reads.sentence(plan),
        about=about(plan),
        who=plan.requested_by,
        at=plan.requested_at,
        state=plan.state,
        ends=plan.ended_at if over else plan.expires_at,
        over=over,
        button=next(iter(buttons(request, plan, signing)), None) if plan.state == State.SUBMITTED else None,
    )


def about(plan: Plan) -> c.Link:
    """The window, run or stream that a plan is about."""
    words = reads.about(plan)
    if plan.run is None:
        return c.Link(words, links.stream_url(plan.stream.name))
    if plan.win is None:
        return c.Link(words, links.run_url(plan.stream.name, plan.run.name))
    return c.Link(words, links.window_url(plan.stream.name, plan.run.name, plan.win.number))


def buttons(request: HttpRequest, plan: Plan, signing: reads.Signing) -> tuple[c.Button, ...]:
    """What can be done about a plan, each a page of its own. What runs by itself is no button."""
    return tuple(
        c.Button(WORDS[act.name], links.plan_url(plan.pk, f"plan-{act.name}"), act.answer, main=at == 0)
        for at, act in enumerate(reads.acts_on(plan, request.user, signing))
        if act.name in WORDS
    )


# --- one plan


def plan_or_404(number: int) -> Plan:
    """Raises Http404."""
    try:
        return reads.plan_numbered(number)
    except NotFound:
        raise Http404 from None


@needs(Act.LOOK)
def plan(request: HttpRequest, plan: int) -> HttpResponseBase:
    """`/plans/{id}`"""
    stored_plan = plan_or_404(plan)
    outcomes = dict(reads.outcomes_of([stored_plan])[stored_plan.pk])
    left = outcomes.pop("", 0)
    after = number_in(request, "after")
    listed = reads.items_of(stored_plan, -1 if after is None else after, SHOWN_ITEMS + 1)
    counted = tuple(sorted(outcomes.items()))
    corrections, why_hidden = _corrections(request, stored_plan)
    signing = reads.signing_of([stored_plan])[stored_plan.pk]
    context = c.PlanPage(
        plan=box(stored_plan, signing.approvals),
        next=_next(stored_plan, signing),
        buttons=buttons(request, stored_plan, signing),
        predicted=() if asks_for_part(request) else predicted(stored_plan),
        outcomes=counted,
        in_all=sum(outcomes.values()) + left,
        left=left,
        items=tuple(_item_row(stored_plan, each) for each in listed[:SHOWN_ITEMS]),
        pager=_pager(request, listed),
        export_url=reverse("plan-items", args=[plan]),
        moments=_moments(stored_plan, signing.approvals),
        progress=progress(counted, left) if stored_plan.kind == Kind.REDRIVE and outcomes else (),
        rerun=_rerun(stored_plan),
        corrections=corrections,
        hidden=why_hidden,
    )
    return page(request, "plans/plan", context, here="plans", pace=_pace(stored_plan))


def _item_row(plan: Plan, item: PlanItem) -> c.PlanItemRow:
    """Of a redrive, an item is one of quarantine's."""
    url = links.item_url(int(item.subject)) if plan.kind == Kind.REDRIVE else ""
    return c.PlanItemRow(item.ordinal, item.subject, url, item.outcome, item.reason or "")


def _pager(request: HttpRequest, found: Sequence[PlanItem]) -> c.Pager:
    more = len(found) > SHOWN_ITEMS
    return c.Pager(
        shown=min(len(found), SHOWN_ITEMS),
        first=request.path if number_in(request, "after") is not None else "",
        next=links.with_query(request.path, after=found[SHOWN_ITEMS - 1].ordinal) if more else "",
    )


def _rerun(plan: Plan) -> c.Link | None:
    """The rerun, or the fresh run, that it has opened."""
    win = reruns.of_plan(plan.pk)
    if win is None:
        return None
    if win.rerun is None:
        return c.Link(f"{plan.stream.name}/{win.run.name}", links.run_url(plan.stream.name, win.run.name))
    url = links.rerun_url(plan.stream.name, win.run.name, win.number, win.rerun)
    return c.Link(window_words(win.number, win.rerun), url)


def _corrections(request: HttpRequest, plan: Plan) -> tuple[tuple[tuple[c.Link, str], ...], str]:
    """Other bytes, by item: what is signed must be seen by whoever may see payloads, and by nobody else."""
    said: Mapping[str, str] = plan.binds["asked"].get("corrections", {})
    if not said:
        return (), ""
    hidden = corrections_hidden(plan, request.user)
    if hidden:
        return (), hidden
    shown = [(item, b64decode(raw)[: MOST_CORRECTED * 4]) for item, raw in list(said.items())[:SHOWN_CORRECTIONS]]
    return tuple(
        (c.Link(f"item {item}", links.item_url(int(item))), text_of(raw)[:MOST_CORRECTED]) for item, raw in shown
    ), ""


@needs(Act.LOOK)
def items(request: HttpRequest, plan: int) -> HttpResponseBase:
    """`/plans/{id}/items.ndjson`: every item with what became of it, a JSON document a line."""
    stored_plan = plan_or_404(plan)
    answer = StreamingHttpResponse(_lines(stored_plan), content_type="application/x-ndjson")
    answer["Content-Disposition"] = f'attachment; filename="plan-{plan}-items.ndjson"'
    answer["X-Content-Type-Options"] = "nosniff"
    answer["Cache-Control"] = "no-store"
    return answer


def _lines(plan: Plan) -> Iterator[bytes]:
    """By keyset, a page at a time: ten thousand items are never here at once."""
    after = -1
    while rows := reads.items_of(plan, after):
        for row in rows:
            yield json.dumps(item_document(row)).encode() + b"\n"
        after = rows[-1].ordinal


def _pace(plan: Plan) -> int:
    if plan.state in FINAL:
        return ENDED
    return RUNNING if plan.state in (State.APPROVED, State.RUNNING) else STEADY


def box(plan: Plan, approvals: Approvals) -> c.PlanBox:
    """What a plan asks for and binds, with whether that is still so where it matters."""
    return c.PlanBox(
        number=plan.pk,
        kind=plan.kind,
        state=plan.state,
        asks=reads.asks(plan),
        about=about(plan),
        why=plan.reason,
        facts=facts_of(plan.binds),
        binds=(
            *asked_facts(plan.binds),
            c.Fact("asked for by", plan.requested_by, "outside"),
            c.Fact("asked for at", plan.requested_at, "time"),
            *_approved(plan, approvals),
            *((c.Fact("approved at", plan.approved_at, "time"),) if plan.approved_at else ()),
            *((c.Fact("free", _free(plan.free_records)),) if plan.free_records is not None else ()),
            *(() if plan.state in FINAL else (c.Fact("expires", plan.expires_at, "time"),)),
            *((c.Fact("ended", plan.ended_at, "time"),) if plan.ended_at else ()),
            *(c.Fact(name.replace("_", " "), value, "outside") for name, value in plan.binds["limits"].items()),
            c.Fact("digest", bytes(plan.digest), "digest"),
        ),
        since=_since(plan),
    )


def _approved(plan: Plan, approvals: Approvals) -> Iterator[c.Fact]:
    """Everybody who has approved it; and how many have to, where one is not enough."""
    if approvals.says:
        yield c.Fact("approvals", f"{len(approvals.given)} of {approvals.needed}")
    names = ", ".join(each.actor.name for each in approvals.given) or plan.approved_by
    if names:
        yield c.Fact("approved by", names, "outside")


def _free(records: int) -> str:
    return f"{count(records, 'record')}, started by its requester alone"


def asked_facts(binds: Mapping[str, Any]) -> tuple[c.Fact, ...]:
    """What was asked for beyond the sentence."""
    if binds["kind"] == Kind.REPLAY:
        return (c.Fact("ranges", _numbers(binds["items"]), "outside"), _under(binds))
    if binds["kind"] != Kind.REDRIVE:
        return ()
    corrected = binds["asked"].get("corrections", {})
    return (
        c.Fact("items", _numbers(binds["items"])),
        _under(binds),
        *((c.Fact("corrected", _numbers(list(corrected))),) if corrected else ()),
    )


def _under(binds: Mapping[str, Any]) -> c.Fact:
    return c.Fact("under contract", f"v{binds['asked']['contract']}")


def _numbers(found: Sequence[Any]) -> str:
    """ "3: 41, 42, 43", "none" """
    named = ", ".join(str(each) for each in found[:MOST_NAMED])
    more = len(found) - MOST_NAMED
    return f"{len(found):,}: {named}{f' and {more:,} more' if more > 0 else ''}" if found else "none"


def facts_of(binds: Mapping[str, Any]) -> tuple[c.Fact, ...]:
    """The facts that a binding is about."""
    return tuple(c.Fact(name.replace("_", " "), *_fact(value)) for name, value in binds["facts"].items())


def _fact(value: Any) -> tuple[object, str]:
    if isinstance(value, int) and not isinstance(value, bool):
        return value, "number"
    if isinstance(value, str) and DIGEST.fullmatch(value):
        return value, "digest"
    if isinstance(value, list):
        return _numbers(value), "outside"
    if isinstance(value, dict):
        return ", ".join(f"{name}: {each}" for name, each in value.items()), "outside"
    return (value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)), "outside"


def _since(plan: Plan) -> c.Since | None:
    if plan.state not in LOOKED_AT:
        return None
    look = looks.changes_of(plan.pk)
    return c.Since(look.changes, look.at, look.why)


def predicted(plan: Plan) -> tuple[str, ...]:
    """What a plan that still waits would do on what is there now."""
    if plan.state not in (State.SUBMITTED, State.APPROVED):
        return ()
    look = looks.foreseen_of(plan.pk)
    return look.says or (f"It cannot be foreseen: {look.why}.",)


def _next(plan: Plan, signing: reads.Signing) -> str:
    """What follows, in the plan's own words where it has some."""
    alone = f"{plan.requested_by} may start it alone, or " if signing.free.alone else ""
    words: dict[str, str] = {
        State.SUBMITTED: f"{alone}another person approves exactly this, or declines. {signing.says}".strip(),
        State.APPROVED: "it runs by itself, within seconds.",
        State.RUNNING: "it goes on by itself.",
        State.HELD: f"held: {plan.held_why}. A person goes on or cancels.",
        State.DONE: "",
        State.DECLINED: f"declined: {plan.decided_reason}",
        State.VOID: f"void: {plan.void_why}. Nothing ran. It can be asked for again.",
        State.EXPIRED: "nobody went on with it in time. It can be asked for again.",
        State.CANCELLED: "cancelled. What was done stays done.",
    }
    return words.get(plan.state, "this console does not know that state: look with the version that wrote it.")


def _moments(plan: Plan, approvals: Approvals) -> tuple[c.Moment, ...]:
    """Its steps from state to state, and between them the approvals that were not the last."""
    earlier = approvals.given[: approvals.needed - 1]
    given = [
        (each.at, c.Moment(each.at, f"approval {n} of {approvals.needed} by {each.actor.name}", each.why, "good"))
        for n, each in enumerate(earlier, 1)
    ]
    steps = [(event.at, _moment(event)) for event in reads.events_of(plan)]
    return tuple(moment for _, moment in sorted([*steps, *given], key=itemgetter(0)))


def _moment(event: PlanEvent) -> c.Moment:
    kinds = {"DONE": "good", "APPROVED": "good", "HELD": "wait", "VOID": "bad", "DECLINED": "bad", "EXPIRED": "bad"}
    return c.Moment(event.at, f"{event.to_state} by {event.who}", event.why, kinds.get(event.to_state, "plain"))
