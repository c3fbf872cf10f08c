"""`…/sources`: is it moving. Offsets, lag in records and seconds, trend; every number with its age."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from django.http import HttpRequest, HttpResponseBase

from console import links
from console.pages.frame import contexts as c
from console.pages.frame.charts import LineChart, line_chart
from console.pages.frame.charts import Sample as Step
from console.pages.frame.shell import STEADY, needs, page
from console.pages.runs import run_parts
from console.pages.runs.runs import scope_or_404
from console.permissions import Act
from console.phrases import span_words
from console.reads import lanes, runs
from ingest.models import Gap, Lane, Sample, WindowRange

MOST_LANES = 500
MOST_GAPS = 50
POINTS = 120  # of one line


@needs(Act.LOOK)
def sources(request: HttpRequest, stream: str, run: str) -> HttpResponseBase:
    """The lanes of the window that is looked at."""
    seen = scope_or_404(request, stream, run)
    ranges = _ranges(seen)
    close = seen.contract.close if seen.contract else None
    bounds = lanes.Bounds(close.sample_max_age, close.stalled_after) if close else lanes.USUAL
    which = {"sources": list(ranges)} if ranges else {"stream": seen.stream}
    lane_lines = lanes.lines(**which, size=MOST_LANES, bounds=bounds)
    ids = [each.source_id for each in lane_lines]
    samples, series = lanes.newest_samples(ids), lanes.recent(ids)
    inbox = {each.source_id for each in lane_lines if each.lane == Lane.ADMISSION}
    steps = _total({source: measures for source, measures in series.items() if source in inbox})
    context = c.SourcesPage(
        strip=run_parts.strip(seen),
        tabs=run_parts.tabs(seen, "sources"),
        rows=_rows(lane_lines, samples, series, ranges, seen),
        chart=line_chart(steps, width=1120),
        samples=tuple((step.at, step.value) for step in steps[-12:][::-1]),
        max_age=span_words(bounds.sample_max_age.total_seconds()),
        gaps=_gaps(ids),
    )
    return page(request, "runs/sources", context, here="runs", pace=STEADY)


def _ranges(seen: runs.Scope) -> dict[int, WindowRange]:
    if seen.window is None:
        return {}
    return {each.source_id: each for each in WindowRange.objects.filter(win=seen.window)[:500]}


def _gaps(sources: Sequence[int]) -> tuple[tuple[str, int, int, str, str], ...]:
    found = Gap.objects.filter(source__in=sources).select_related("source").order_by("-claimed_at")[:MOST_GAPS]
    return tuple((each.source.name, each.from_offset, each.to_offset, each.state, each.why) for each in found)


def _rows(
    found: Sequence[lanes.LaneLine],
    samples: Mapping[int, Sample],
    series: Mapping[int, Sequence[lanes.Measure]],
    ranges: Mapping[int, WindowRange],
    seen: runs.Scope,
) -> tuple[c.SourceRow, ...]:
    order = {str(lane): at for at, lane in enumerate((Lane.ADMISSION, Lane.PUBLISH, Lane.EFFECTS))}
    ordered = sorted(found, key=lambda each: (order.get(each.lane, len(order)), each.source, each.source_id))
    return tuple(
        _row(
            each,
            samples.get(each.source_id),
            series.get(each.source_id, ()),
            ranges.get(each.source_id),
            seen,
        )
        for each in ordered
    )


def _row(
    line: lanes.LaneLine,
    sample: Sample | None,
    measures: Sequence[lanes.Measure],
    covers: WindowRange | None,
    seen: runs.Scope,
) -> c.SourceRow:
    kafka = line.lane != Lane.PUBLISH
    receipts = links.with_query(links.run_url(seen.stream, seen.run.name, "receipts"), q=f"source:{line.source}")
    return c.SourceRow(
        name=line.source,
        role=line.role,
        lane=line.lane,
        url=receipts if line.lane == Lane.ADMISSION else "",
        state=line.state,
        log_start=sample.log_start if sample and kafka else None,
        window_start=covers.start_offset if covers and kafka else None,
        cut=covers.end_offset if covers and kafka else None,
        committed=sample.kafka_committed if sample and kafka else None,
        committed_words=_committed_words(sample) if kafka else "",
        position=line.position,
        lso=sample.lso if sample and kafka else None,
        hw=sample.hw if sample and kafka else None,
        lag=line.behind,
        lag_words=_lag_words(line),
        seconds=f"stands for {span_words(line.stands_for.total_seconds())}" if line.stands_for else "",
        trend=_trend(measures, 96, 20) if kafka else _trend((), 96, 20),
        moved_at=line.moved_at,
        sampled_at=sample.at if sample and kafka else None,
        stale=line.stale,
        owner=line.owner,
        fence=line.fence,
        stopped=f"{line.code}: {line.detail}" if line.code else "",
    )


def _committed_words(sample: Sample | None) -> str:
    if sample is None:
        return "not measured"
    return {"NONE": "nothing yet", "UNMEASURED": "not measured"}.get(sample.committed_state, "")


def _lag_words(line: lanes.LaneLine) -> str:
    if line.lane == Lane.PUBLISH and line.behind:
        return "not settled on the bus"
    return ""


def _trend(measures: Sequence[lanes.Measure], width: int = 640, height: int = 120) -> LineChart:
    """Lag over time."""
    thinned = measures[:: max(1, len(measures) // POINTS)]
    return line_chart([Step(each.at, each.lag) for each in thinned], width, height)


def _total(series: Mapping[int, Sequence[lanes.Measure]], every: int = 5) -> list[Step]:
    """The lag of all sources together, in steps of `every` seconds. A step that one of them lacks is a hole."""
    steps: dict[int, dict[int, int | None]] = {}
    for source, measures in series.items():
        for each in measures:
            steps.setdefault(int(each.at.timestamp()) // every, {})[source] = each.lag
    rows = []
    for step in sorted(steps):
        lags = list(steps[step].values())
        whole = len(lags) == len(series) and None not in lags
        at = datetime.fromtimestamp(step * every, next(iter(series.values()))[0].at.tzinfo)
        rows.append(Step(at, sum(lag or 0 for lag in lags) if whole else None))
    return rows[-POINTS:]
