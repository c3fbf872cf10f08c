"""Positions and samples: how far each lane is, how far it could be, and since when it stands."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models.functions import Now

from console.pages import charts
from ingest.models import Lane, Position, Sample

HISTORY = timedelta(minutes=10)
MOST_SAMPLES = 6_000  # of one page; sources share them
MOST_POSITIONS = 500
POINTS = 120  # of one line


@dataclass(frozen=True, slots=True)
class Measure:
    """One sample of one source, as the charts want it."""

    at: datetime
    lso: int | None
    next_offset: int | None

    @property
    def lag(self) -> int | None:
        if self.lso is None or self.next_offset is None:
            return None
        return max(self.lso - self.next_offset, 0)


def positions(*, stream: int | None = None, sources: Sequence[int] | None = None) -> list[Position]:
    """Lanes of a stream, of some sources, or of everything."""
    found = Position.objects.select_related("source", "stream").order_by("stream__name", "lane", "source")
    if stream is not None:
        found = found.filter(stream=stream)
    if sources is not None:
        found = found.filter(source__in=sources)
    return list(found[:MOST_POSITIONS])


def newest_samples(sources: Iterable[int]) -> dict[int, Sample]:
    """The newest sample of each source."""
    wanted = sorted(set(sources))
    found = Sample.objects.filter(source__in=wanted, at__gt=Now() - timedelta(days=1))
    return {each.source_id: each for each in found.order_by("source", "-at").distinct("source")}


def recent(sources: Iterable[int]) -> dict[int, list[Measure]]:
    """Ten minutes of samples per source, oldest first."""
    wanted = sorted(set(sources))
    found = (
        Sample.objects.filter(source__in=wanted, at__gt=Now() - HISTORY)
        .order_by("-at")
        .values_list("source_id", "at", "lso", "next_offset")[:MOST_SAMPLES]
    )
    series: dict[int, list[Measure]] = {}
    for source, at, lso, next_offset in found:
        series.setdefault(source, []).append(Measure(at, lso, next_offset))
    return {source: measures[::-1] for source, measures in series.items()}


def is_stale(position: Position, sample: Sample | None, now: datetime, max_age: timedelta) -> bool:
    """Whether what Kafka said is too old to be believed (S10). A publish lane reads the ledger instead."""
    return position.lane != Lane.PUBLISH and (sample is None or now - sample.at > max_age)


def lag(position: Position, sample: Sample | None, admitted_to: Mapping[int, int]) -> int | None:
    """Records between a lane and what it could have reached; None where that was not measured.

    A publish lane can reach what admission has: it reads the ledger, not Kafka. Give no sample that is stale.
    """
    if position.lane == Lane.PUBLISH:
        reached = admitted_to.get(position.source_id)
        return None if reached is None else max(reached - position.next_offset, 0)
    if sample is None or sample.lso is None:
        return None
    return max(sample.lso - position.next_offset, 0)


def admitted_to(found: Iterable[Position]) -> dict[int, int]:
    """Where admission stands, per source."""
    return {each.source_id: each.next_offset for each in found if each.lane == Lane.ADMISSION}


def state(position: Position, behind: int | None, now: datetime, stalled_after: timedelta) -> str:
    """STOPPED (it says why), STALLED (a backlog and no progress, S18), MOVING, CAUGHT UP, or UNMEASURED."""
    if position.stopped_code:
        return "STOPPED"
    if behind is None:
        return "UNMEASURED"
    if behind == 0:
        return "CAUGHT UP"
    return "STALLED" if now - position.progressed_at > stalled_after else "MOVING"


def behind_since(position: Position, measures: Sequence[Measure]) -> datetime | None:
    """When the record this lane stands before was first seen to be there: the lag in seconds starts here."""
    return next((each.at for each in measures if each.lso is not None and each.lso > position.next_offset), None)


def line(measures: Sequence[Measure], width: int = 640, height: int = 120) -> charts.LineChart:
    """Lag over time."""
    thinned = measures[:: max(1, len(measures) // POINTS)]
    return charts.line_chart([charts.Sample(each.at, each.lag) for each in thinned], width, height)


def total(series: Mapping[int, Sequence[Measure]], every: int = 5) -> list[charts.Sample]:
    """The lag of all sources together, in steps of `every` seconds. A step that one of them lacks is a hole."""
    steps: dict[int, dict[int, int | None]] = {}
    for source, measures in series.items():
        for each in measures:
            steps.setdefault(int(each.at.timestamp()) // every, {})[source] = each.lag
    found = []
    for step in sorted(steps):
        lags = list(steps[step].values())
        whole = len(lags) == len(series) and None not in lags
        at = datetime.fromtimestamp(step * every, next(iter(series.values()))[0].at.tzinfo)
        found.append(charts.Sample(at, sum(lag or 0 for lag in lags) if whole else None))
    return found[-POINTS:]
