"""Unknown publishes: the list, and one attempt with its timeline."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

from django.http import Http404, HttpRequest, HttpResponseBase
from django.urls import reverse

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import RUNNING, STEADY, needs, page
from console.pages.plans.requests import request_button
from console.pages.runs.runs import number_in
from console.permissions import Act, may
from console.phrases import span_words, window_words
from console.reads import attempts as reads
from console.reads import quarantine
from console.reads.attempts import LOST
from ingest.core.ids import AttemptId, WindowId
from ingest.models import AttemptDecision, AttemptLoss, AttemptState, Run, Scan
from plans.core.plan import Kind
from plans.offers import offers_of_attempt, republishes_of

MOST_WINDOWS = 5  # that have a button each
NOTHING_UNKNOWN = "No publish has an unknown outcome."


@needs(Act.LOOK)
def unknown(request: HttpRequest) -> HttpResponseBase:
    """`/unknown/?state=&run=`: what nobody knows, oldest first."""
    state = request.GET.get("state", "")
    state = state if state in reads.STATES else ""
    name = request.GET.get("run", "")
    run = quarantine.run_named(name) if name else None
    if name and run is None:
        raise Http404
    number = run.id if run else None
    found = reads.listed(state, number, number_in(request, "after"))
    shown = found[: reads.PAGE_SIZE]
    counts = reads.counts(number)
    url = reverse("unknown")
    following = (
        links.with_query(url, state=state, run=name, after=shown[-1].attempt.id) if len(found) > len(shown) else ""
    )
    lost = reads.lost_of_run(run.id) if run and state == "" else []
    context = c.UnknownPage(
        tabs=tuple(
            c.Tab(words, links.with_query(url, state=word, run=name), word == state, counts.get(word))
            for word, (words, _) in reads.STATES.items()
        ),
        rows=rows(shown),
        buttons=(*_all_buttons(request, name, len(lost)), *(_again_buttons(request, run) if run else ())),
        pager=c.Pager(
            len(shown), links.with_query(url, state=state, run=name) if number_in(request, "after") else "", following
        ),
        empty=_nothing(state, counts["flight"]) if not shown else (),
        rows_key=" ".join(str(each.attempt.id) for each in shown),
    )
    return page(request, "unknown/unknown", context, here="unknown", pace=STEADY)


def _all_buttons(request: HttpRequest, run: str, lost: int) -> tuple[c.Button, ...]:
    if not lost:
        return ()
    url = links.with_query(reverse("reconcile"), run=run)
    return (c.Button(f"Reconcile all {lost}", url, may(request.user, Act.RECONCILE), main=True),)


def _again_buttons(request: HttpRequest, run: Run) -> tuple[c.Button, ...]:
    """Asking to publish again what was proven absent and waits for that: a plan is about one window."""
    name = f"{run.stream.name}/{run.name}"
    return tuple(
        request_button(request, name, offer, f"Request republish of {window_words(win.number, win.rerun)}")
        for win in reads.withheld_windows(run, MOST_WINDOWS)
        for offer in republishes_of(WindowId(win.pk))
    )


def _nothing(state: str, in_flight: int) -> tuple[str, ...]:
    if state == "":
        return (NOTHING_UNKNOWN, f"In flight now: {in_flight:,}. Each batch has at most one unsettled attempt.")
    return ("No attempt is here.",)


def rows(found: Sequence[reads.AttemptListing]) -> tuple[c.AttemptRow, ...]:
    """Attempts as a table has them."""
    return tuple(_row(each) for each in found)


def _row(listed: reads.AttemptListing) -> c.AttemptRow:
    attempt, run = listed.attempt, listed.run
    return c.AttemptRow(
        id=attempt.id,
        url=links.attempt_url(attempt.id),
        source=attempt.source.name,
        stream=run.stream if run else "",
        run=run.name if run else "",
        run_url=links.run_url(run.stream, run.name) if run else "",
        state=attempt.state,
        why=attempt.why or "",
        events=attempt.events,
        since=attempt.unknown_at or attempt.prepared_at,
        waiting=f"asked by {listed.asked.requested_by}" if listed.asked else "",
        blocks=_blocked(listed),
    )


def _blocked(listed: reads.AttemptListing) -> str:
    unsettled = listed.attempt.state in (*LOST, AttemptState.PREPARED)
    return window_words(listed.window, listed.rerun) if listed.window and unsettled else ""


# --- one attempt


@needs(Act.LOOK)
def attempt(request: HttpRequest, number: int) -> HttpResponseBase:
    """`/attempts/{id}`: the timeline, and what it blocks."""
    stored_attempt = reads.one(number)
    if stored_attempt is None:
        raise Http404
    around = reads.around(stored_attempt.attempt)
    withheld = reads.withheld(number) if stored_attempt.attempt.state in ("ABSENT", "PARTIAL") else 0
    context = c.AttemptPage(
        id=number,
        state=stored_attempt.attempt.state,
        headline=_headline(stored_attempt, around),
        next=_next(stored_attempt, around, withheld),
        facts=_facts(stored_attempt),
        moments=_moments(stored_attempt, around),
        partitions=tuple(
            (
                each.partition,
                each.lo,
                str(each.leader_epoch) if each.leader_epoch is not None else "none known",
                each.bus_source.name,
            )
            for each in around.partitions
        ),
        batches=tuple(
            (each.from_offset, each.to_offset, each.admitted, links.receipt_url(each.source_id, each.from_offset))
            for each in around.batches
        ),
        blocks=_blocks(stored_attempt),
        buttons=_one_buttons(request, stored_attempt, around, withheld),
    )
    unsettled = stored_attempt.attempt.state in (*LOST, AttemptState.PREPARED)
    return page(request, "unknown/attempt", context, here="unknown", pace=RUNNING if unsettled else 0)


def _one_buttons(
    request: HttpRequest, found: reads.AttemptListing, around: reads.AttemptSurroundings, withheld: int
) -> tuple[c.Button, ...]:
    """Looking for it once more, and what two people can do where that does not help."""
    attempt = found.attempt
    lost = attempt.state in LOST and not attempt.over_at and not around.decision
    url = reverse("reconcile-one", args=[attempt.id])
    reconcile = (c.Button("Reconcile", url, may(request.user, Act.RECONCILE), main=True),) if lost else ()
    asks = withheld or attempt.state == AttemptState.UNDECIDABLE
    return (*reconcile, *(_plan_buttons(request, found, main=not lost) if asks else ()))


_PLANS = {Kind.REPUBLISH: "Request republish", Kind.DECIDE: "Request decision"}


def _plan_buttons(request: HttpRequest, found: reads.AttemptListing, *, main: bool) -> tuple[c.Button, ...]:
    """The plans that are offered about the attempt."""
    if found.run is None or not found.win:
        return ()
    name = f"{found.run.stream}/{found.run.name}"
    return tuple(
        replace(request_button(request, name, offer, _PLANS[offer.kind]), main=main)
        for offer in offers_of_attempt(WindowId(found.win), AttemptId(found.attempt.id))
    )


def _headline(found: reads.AttemptListing, around: reads.AttemptSurroundings) -> str:
    attempt = found.attempt
    count = f"{attempt.events:,} event{'' if attempt.events == 1 else 's'}"
    scan = around.scans[-1] if around.scans else None
    if around.loss:
        return f"LOST: {attempt.topic} was deleted and created again, {_lost(around.loss)}."
    if around.decision and attempt.state != AttemptState.UNDECIDABLE:
        return f"{attempt.state}: {_decided(around.decision)}."
    if attempt.over_at:
        return f"We sent {count} to a {attempt.topic} that is gone. Nobody will learn whether they landed."
    words: dict[str, str] = {
        AttemptState.PREPARED: f"We are about to send {count}, or have just sent them.",
        AttemptState.UNKNOWN: f"We sent {count} and never learned whether they landed. They may be on the bus.",
        AttemptState.ACKED: f"PRESENT: all {attempt.events:,} found."
        if scan
        else f"All {count} have their place on the bus.",
        AttemptState.ABSENT: _absent(scan),
        AttemptState.PARTIAL: f"PARTIAL: {scan.found:,} of {scan.expected:,} found; the rest was queued again."
        if scan
        else "PARTIAL: some were found; the rest was queued again.",
        AttemptState.UNDECIDABLE: f"UNDECIDABLE: {(scan and scan.why) or attempt.why}.",
        AttemptState.NOT_SENT: "Nothing left this process; its batches were queued again.",
    }
    return words.get(attempt.state, attempt.state)


def _decided(decision: AttemptDecision) -> str:
    return (
        f"decided by plan {decision.plan}, asked for by {decision.requested_by}, approved by {decision.approved_by}: "
        f"{len(decision.offsets):,} present, {decision.absent:,} absent"
    )


def _lost(loss: AttemptLoss) -> str:
    return f"by plan {loss.plan}, asked for by {loss.requested_by}, approved by {loss.approved_by}"


def _absent(scan: Scan | None) -> str:
    if scan is None:
        return "ABSENT: none landed; its batches were queued again."
    read_to = ", ".join(f"{each.get('hi'):,}" for each in scan.partitions[:4] if isinstance(each.get("hi"), int))
    return f"ABSENT: fenced {scan.fenced_at:%H:%M:%S}, read to {read_to or 'the end'}, none found. Safe to republish."


def _next(found: reads.AttemptListing, around: reads.AttemptSurroundings, withheld: int) -> str:
    attempt = found.attempt
    if withheld:
        return f"{withheld:,} of its events wait for a plan that publishes them again."
    if around.decision and attempt.state == AttemptState.UNDECIDABLE:
        return "Two people have decided; its lane's owner ends it next."
    if around.loss:
        return "Its events are published again to the bus of now, as other attempts."
    if attempt.over_at:
        return "It is over: its window has failed, and its lane goes on with later runs."
    if attempt.state in LOST:
        if found.asked:
            ago = span_words((datetime.now(UTC) - found.asked.requested_at).total_seconds())
            return f"{found.asked.requested_by} asked to reconcile {ago} ago; its lane's owner serves that next."
        again = " again, in case what kept the answer away has passed" if attempt.state == "UNDECIDABLE" else ""
        decide = " Or two people decide." if attempt.state == "UNDECIDABLE" else ""
        return f"Waits for a person: reconcile fences the old producer first, then looks{again}.{decide}"
    words: dict[str, str] = {
        AttemptState.PREPARED: "If its lane dies, the next owner settles it before anything else is sent.",
    }
    return words.get(attempt.state, "")


def _facts(found: reads.AttemptListing) -> tuple[c.Fact, ...]:
    attempt = found.attempt
    return (
        c.Fact("state", attempt.state, "state"),
        c.Fact("events", attempt.events, "number"),
        c.Fact("bytes", attempt.bytes, "bytes"),
        c.Fact("inbox source", attempt.source.name, "outside"),
        c.Fact("bus", attempt.topic, "outside"),
        c.Fact("topic id", attempt.topic_id, "code"),
        c.Fact("transactional.id", attempt.transactional_id, "code"),
        c.Fact("fence", attempt.fence, "number"),
        c.Fact("owner", attempt.owner, "outside"),
        *((c.Fact("why", attempt.why, "outside"),) if attempt.why else ()),
    )


def _blocks(found: reads.AttemptListing) -> tuple[c.Link, ...]:
    run = found.run
    if run is None or not found.window or found.attempt.state not in (*LOST, AttemptState.PREPARED):
        return ()
    words = f"{run.stream}/{run.name}, {window_words(found.window, found.rerun)}"
    return (c.Link(words, links.either_url(run.stream, run.name, found.window, found.rerun)),)


def _moments(found: reads.AttemptListing, around: reads.AttemptSurroundings) -> tuple[c.Moment, ...]:
    """Intent, sent, silence, fence, scan, answer; in the order of their times."""
    attempt = found.attempt
    moments = [
        c.Moment(
            attempt.prepared_at,
            "Intent",
            f"PREPARED under fence {attempt.fence} by {attempt.owner}: "
            f"{attempt.events:,} events of {attempt.source.name}.",
        )
    ]
    if attempt.unknown_at:
        moments.append(
            c.Moment(
                attempt.unknown_at, "Silence", f"UNKNOWN: {attempt.why or 'no answer'}. They may be on the bus.", "wait"
            )
        )
    for asked in around.requests:
        served = " Not served yet." if asked.served_at is None else ""
        moments.append(c.Moment(asked.requested_at, "Asked", f"{asked.requested_by} asked to reconcile.{served}"))
    for scan in around.scans:
        moments += _scan_moments(scan)
    if attempt.settled_at:
        good = attempt.state in (AttemptState.ACKED, AttemptState.ABSENT, AttemptState.NOT_SENT)
        title = "Settled" if around.loss else f"Settled: {attempt.state}"
        moments.append(c.Moment(attempt.settled_at, title, "", "good" if good else "wait"))
    if around.decision:
        text = f"{_decided(around.decision)}. {around.decision.reason}"
        moments.append(c.Moment(around.decision.decided_at, "Decided", text, "wait"))
    if around.loss:
        text = f"Kafka said twice that {attempt.topic} has id {around.loss.found_topic_id} now; {_lost(around.loss)}."
        moments.append(c.Moment(around.loss.lost_at, "Lost", f"{text} {around.loss.reason}", "wait"))
    for each in around.contradictions:
        moments.append(c.Moment(each.seen_at, "Contradiction", each.detail, "bad"))
    ordered = sorted(moments, key=lambda moment: moment.at or attempt.prepared_at)
    if attempt.over_at:
        ordered.append(c.Moment(attempt.over_at, "Over", f"{attempt.topic} was deleted and created again.", "bad"))
    elif attempt.state in (AttemptState.UNKNOWN, AttemptState.UNDECIDABLE):
        ordered.append(c.Moment(None, "No answer yet", "", "silence"))
    return tuple(ordered)


def _scan_moments(scan: Scan) -> list[c.Moment]:
    read = ", ".join(_scanned(each) for each in scan.partitions[:16])
    kind = {"PRESENT": "good", "ABSENT": "good", "PARTIAL": "wait"}.get(scan.answer, "bad")
    why = f" {scan.why}." if scan.why else ""
    return [
        c.Moment(scan.fenced_at, "Fence", f"Fence {scan.fence}: the old producer can send nothing more."),
        c.Moment(scan.started_at, "Scan", f"Looked on {read}. Asked by {scan.asked_by}."),
        c.Moment(scan.ended_at, scan.answer, f"{scan.found:,} of {scan.expected:,} found.{why}", kind),
    ]


def _scanned(partition: dict[str, object]) -> str:
    """One entry of a scan's record, whatever of it is there."""
    return (
        f"partition {partition.get('partition')} [{partition.get('lo')}, {partition.get('hi')}), "
        f"{partition.get('scanned')} records"
    )
