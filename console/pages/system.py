"""`/system/lanes`: is the machine well."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from django.db.models import Count, Max, Min, Sum
from django.http import HttpRequest, HttpResponseBase

from audit.models import Enforcement
from console.pages import contexts as c
from console.pages.reads import lanes as reads
from console.pages.shell import STEADY, needs, page
from console.people import Act
from ingest.models import Lane, Permit, Position, PublishQueue, Sample

# A contract's own bounds hold on its run's page.
SAMPLE_MAX_AGE = timedelta(seconds=30)
MOST_OWNERS = 100


@needs(Act.LOOK)
def lanes(request: HttpRequest) -> HttpResponseBase:
    """Every lane of the installation, who owns it, the queue and the permits."""
    found = reads.positions()
    samples = reads.newest_samples([each.source_id for each in found])
    reached = reads.admitted_to(found)
    now = datetime.now(UTC)
    rows = tuple(_row(each, _lag(each, samples.get(each.source_id), reached, now), now) for each in found)
    said, well = _said(rows)
    context = c.LanesPage(
        said=said,
        well=well,
        rows=rows,
        owners=_owners(found, now),
        queue=_queue(),
        permits=_permits(),
        enforcement=tuple(
            (each.stream.name, each.looked_at, each.outcome)
            for each in Enforcement.objects.select_related("stream").order_by("stream__name")[:200]
        ),
    )
    return page(request, "lanes", context, here="system", pace=STEADY)


def _lag(position: Position, sample: Sample | None, reached: Mapping[int, int], now: datetime) -> int | None:
    stale = reads.is_stale(position, sample, now, SAMPLE_MAX_AGE)
    return reads.lag(position, None if stale else sample, reached)


def _row(position: Position, behind: int | None, now: datetime) -> c.LaneRow:
    held = position.until is not None and position.until > now
    return c.LaneRow(
        lane=Lane(position.lane).value,
        source=position.source.name,
        stream=position.stream.name,
        state=reads.state(position, behind, now, reads.STALLED_AFTER),
        position=position.next_offset,
        lag=behind,
        moved_at=position.progressed_at,
        owner=(position.owner or "") if held else "",
        until=position.until,
        fence=position.fence,
        detail=f"{position.stopped_code}: {position.stopped_detail or ''}" if position.stopped_code else "",
    )


def _said(rows: Sequence[c.LaneRow]) -> tuple[str, bool]:
    """The machine in one sentence. Lanes that were not measured are not well."""
    if not rows:
        return "No lane yet: no stream has a source.", False
    counts = {state: sum(row.state == state for row in rows) for state in ("STOPPED", "STALLED", "UNMEASURED")}
    words = {"STOPPED": "stopped", "STALLED": "stalled", "UNMEASURED": "unmeasured"}
    wrong = [f"{count} {words[state]}" for state, count in counts.items() if count]
    if wrong:
        return f"Of {len(rows)} lanes, {', '.join(wrong)}.", False
    moving = sum(row.state == "MOVING" for row in rows)
    return f"All {len(rows)} lanes are well: {moving} moving, {len(rows) - moving} caught up.", True


def _owners(found: Sequence[Position], now: datetime) -> tuple[tuple[str, int, datetime | None], ...]:
    """Processes that hold leases now, and until when the last of them runs."""
    held: dict[str, list[datetime]] = {}
    for each in found:
        if each.owner and each.until and each.until > now:
            held.setdefault(each.owner, []).append(each.until)
    return tuple((owner, len(untils), max(untils)) for owner, untils in sorted(held.items())[:MOST_OWNERS])


def _queue() -> tuple[c.Fact, ...]:
    sums = PublishQueue.objects.aggregate(batches=Count("batch"), events=Sum("events"), oldest=Min("queued_at"))
    return (
        c.Fact("batches that wait for an attempt", sums["batches"], "number"),
        c.Fact("events in them", sums["events"] or 0, "number"),
        c.Fact("oldest", sums["oldest"], "age") if sums["oldest"] else c.Fact("oldest", "none waits"),
    )


def _permits() -> tuple[c.Fact, ...]:
    waiting = Permit.objects.filter(ended_at__isnull=True)
    sums = waiting.aggregate(issued=Count("id"), taken=Count("taken_at"), oldest=Min("issued_at"))
    last = Permit.objects.aggregate(last=Max("issued_at"))["last"]
    return (
        c.Fact("permits out", sums["issued"], "number"),
        c.Fact("of them taken", sums["taken"], "number"),
        c.Fact("last issued", last, "age") if last else c.Fact("last issued", "never"),
    )
