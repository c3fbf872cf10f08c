"""Geometry of the charts: numbers in, coordinates out. Drawn on the server from the rows of the table beside them.

The strict CSP forbids inline style, so a template writes these numbers into SVG attributes. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a ledger bar: x and width in per cent of the bar."""

    kind: str
    count: int
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class LedgerBar:
    """READ = ADMITTED + DUPLICATE + QUARANTINED; what is left over is `missing` (records without a receipt)."""

    read: int
    admitted: int
    duplicate: int
    quarantined: int

    @property
    def missing(self) -> int:
        """Records that no receipt accounts for; negative when there are more receipts than records."""
        return self.read - self.admitted - self.duplicate - self.quarantined

    @property
    def state(self) -> str:
        """BALANCED, NOT BALANCED, or UNMEASURED while nothing was read."""
        if not self.read and not self.missing:
            return "UNMEASURED"
        return "NOT BALANCED" if self.missing else "BALANCED"

    @property
    def parts(self) -> tuple[Part, ...]:
        """The parts in drawing order. One that is not empty is at least 1.5 per cent wide, or it could not be seen."""
        counts = [
            ("admitted", self.admitted),
            ("duplicate", self.duplicate),
            ("quarantined", self.quarantined),
            ("missing", max(self.missing, 0)),
        ]
        return _laid_out([(kind, count) for kind, count in counts if count > 0])


def progress(outcomes: Sequence[tuple[str, int]], left: int) -> tuple[Part, ...]:
    """How far a plan is, in parts of a bar: its items by outcome, and those without one."""
    counts = [*((name.lower(), count) for name, count in outcomes), ("left", left)]
    return _laid_out([(kind, count) for kind, count in counts if count > 0])


def _laid_out(counts: Sequence[tuple[str, int]], least: float = 1.5) -> tuple[Part, ...]:
    total = sum(count for _, count in counts)
    widths = [max(100 * count / total, least) for _, count in counts]
    scale = 100 / sum(widths) if widths else 1
    parts, x = [], 0.0
    for (kind, count), width in zip(counts, widths, strict=True):
        parts.append(Part(kind, count, round(x, 2), round(width * scale, 2)))
        x += width * scale
    return tuple(parts)


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement: `value` None where nothing could be measured."""

    at: datetime
    value: int | None


@dataclass(frozen=True, slots=True)
class LineChart:
    """Samples over time in a box of `width` x `height`; a hole in the measurements is a hole in the line.

    The box is stretched to the page, so words stand beside it in HTML and strokes keep their width.
    """

    width: int
    height: int
    lines: tuple[str, ...]
    areas: tuple[str, ...]
    dots: tuple[tuple[float, float], ...]
    first: datetime | None
    last: datetime | None
    most: int

    @property
    def drawn(self) -> bool:
        """Whether there is anything to draw."""
        return bool(self.lines or self.dots)


def line_chart(samples: Sequence[Sample], width: int = 640, height: int = 120) -> LineChart:
    """Lay out samples, oldest first. An empty sequence gives a chart that is not drawn."""
    measured = [sample for sample in samples if sample.value is not None]
    if not measured:
        return LineChart(width, height, (), (), (), None, None, 0)
    most = max(1, *(sample.value or 0 for sample in measured))
    first, last = samples[0].at, samples[-1].at
    span = max((last - first).total_seconds(), 1.0)

    def place(sample: Sample) -> tuple[float, float]:
        x = width * (sample.at - first).total_seconds() / span
        return round(x, 1), round(height - height * (sample.value or 0) / most, 1)

    runs = _runs(samples)
    places = [[place(sample) for sample in run] for run in runs]
    lines = tuple(" ".join(f"{x},{y}" for x, y in run) for run in places if len(run) > 1)
    areas = tuple(_area(run, height) for run in places if len(run) > 1)
    dots = tuple(run[0] for run in places if len(run) == 1) + (places[-1][-1],)
    return LineChart(width, height, lines, areas, dots, first, last, most)


def _runs(samples: Sequence[Sample]) -> list[list[Sample]]:
    runs: list[list[Sample]] = []
    fresh = True
    for sample in samples:
        if sample.value is None:
            fresh = True
            continue
        if fresh:
            runs.append([])
            fresh = False
        runs[-1].append(sample)
    return runs


def _area(run: Sequence[tuple[float, float]], height: int) -> str:
    inner = " ".join(f"{x},{y}" for x, y in run)
    return f"{run[0][0]},{height} {inner} {run[-1][0]},{height}"
