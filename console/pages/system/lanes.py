"""`/system/lanes`: is the machine well."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from django.db.models import Count, Max, Min, Sum
from django.db.models.functions import Now
from django.http import HttpRequest, HttpResponseBase
from django.urls import reverse

from audit.models import Enforcement
from console import links
from console.pages.frame import contexts as c
from console.pages.frame.shell import STEADY, needs, page
from console.permissions import Act
from console.reads import lanes as reads
from ingest.models import Permit, PublishQueue, WorkerProcess

MOST_OWNERS = 100


@needs(Act.LOOK)
def lanes(request: HttpRequest) -> HttpResponseBase:
    """Every lane of the installation, trouble first, who owns it, the queue and the permits."""
    after = request.GET.get("after", "")
    lane_lines = reads.lines(after=after, size=reads.PAGE_SIZE + 1)
    shown = lane_lines[: reads.PAGE_SIZE]
    counts = reads.counts()
    sentence, well = reads.said_of(counts)
    lost, dead = _lost_slices(), _dead()
    more = [_of_lost_slices(lost)] * bool(lost) + [_of_dead(dead)] * bool(dead)
    sentence, well = " ".join([sentence, *more]), well and not more
    url = reverse("lanes")
    following = links.with_query(url, after=shown[-1].key) if len(lane_lines) > len(shown) else ""
    context = c.LanesPage(
        said=sentence,
        well=well,
        rows=tuple(map(_row, shown)),
        pager=c.Pager(len(shown), url if after else "", following, f"{sum(counts.values()):,}"),
        owners=tuple(reads.owners(MOST_OWNERS)),
        queue=_queue(),
        permits=_permits(lost),
        dead=tuple((each.node, each.owner, each.started_at, each.gone_at) for each in dead[:MOST_DEAD]),
        enforcement=tuple(
            (each.stream.name, each.looked_at, each.outcome)
            for each in Enforcement.objects.select_related("stream").order_by("stream__name")[:200]
        ),
    )
    return page(request, "system/lanes", context, here="system", pace=STEADY)


def _row(line: reads.LaneLine) -> c.LaneRow:
    return c.LaneRow(
        lane=line.lane,
        source=line.source,
        stream=line.stream,
        state=line.state,
        position=line.position,
        lag=line.behind,
        moved_at=line.moved_at,
        owner=line.owner,
        until=line.until,
        fence=line.fence,
        detail=line.reason,
        next=line.act,
    )


def _queue() -> tuple[c.Fact, ...]:
    sums = PublishQueue.objects.aggregate(batches=Count("batch"), events=Sum("events"), oldest=Min("queued_at"))
    return (
        c.Fact("batches that wait for an attempt", sums["batches"], "number"),
        c.Fact("events in them", sums["events"] or 0, "number"),
        c.Fact("oldest", sums["oldest"], "age") if sums["oldest"] else c.Fact("oldest", "none waits"),
    )


#: A slice takes 20 s, and its process is ended after 120 s. Permits are kept for ten minutes.
LOST_AFTER = timedelta(seconds=60)


def _lost_slices() -> int:
    """Permits that a process took and never gave back: it died, or hung until it was ended. Another went on."""
    return Permit.objects.filter(ended_at__isnull=True, taken_at__lt=Now() - LOST_AFTER).count()


def _of_lost_slices(lost: int) -> str:
    have = "slice has" if lost == 1 else "slices have"
    return f"In ten minutes {lost:,} {have} not ended: a worker's process died or hung; see the workers' log."


#: Deaths that are told, and how many of them are listed.
TOLD_FOR, MOST_DEAD = timedelta(hours=24), 20


def _dead() -> list[WorkerProcess]:
    """Processes of workers that were gone without a word, the newest first."""
    gone = WorkerProcess.objects.filter(gone_at__gt=Now() - TOLD_FOR).order_by("-gone_at", "-id")
    return list(gone[:1_000])


def _of_dead(dead: Sequence[WorkerProcess]) -> str:
    more = "or more " * (len(dead) == 1_000)
    processes = "process of a worker" if len(dead) == 1 else "processes of workers"
    return f"In 24 hours {len(dead):,} {more}{processes} died or hung; see below, and the workers' log."


def _permits(lost: int) -> tuple[c.Fact, ...]:
    waiting = Permit.objects.filter(ended_at__isnull=True)
    sums = waiting.aggregate(issued=Count("id"), taken=Count("taken_at"), oldest=Min("issued_at"))
    last = Permit.objects.aggregate(last=Max("issued_at"))["last"]
    return (
        c.Fact("permits out", sums["issued"], "number"),
        c.Fact("of them taken", sums["taken"], "number"),
        c.Fact("taken in ten minutes and not ended", lost, "number"),
        c.Fact("last issued", last, "age") if last else c.Fact("last issued", "never"),
    )
