"""What is measured, what it is held against, and what a table says of it. Pure: values in, values out."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Rounds = Mapping[str, Sequence[Mapping[str, Any]]]
"""The answers of every round, by the measure's key."""


@dataclass(frozen=True)
class Measure:
    """One line of the table. `letter` is what --only names; `unit` says what `value` of a round means."""

    key: str
    letter: str
    title: str
    unit: str = "records/s"
    value: str = "rate"


MEASURES = (
    Measure("a", "a", "by hand: INSERT … ON CONFLICT, commit per message"),
    Measure("b", "b", "Django bulk_create(ignore_conflicts), 1,000 at a time"),
    Measure("c", "c", "the limit: packed COPY of the same rows, our transactions"),
    Measure("c20", "c", "the limit, 20 of our batches in one transaction"),
    Measure("d1", "d", "**admission**, one worker"),
    Measure("d1s", "d", "admission, one worker, JSON with spaces"),
    Measure("d2", "d", "**admission**, two workers"),
    Measure("e1", "e", "publishing, one worker", "events/s"),
    Measure("e2", "e", "publishing, two workers", "events/s"),
    Measure("f1", "f", "effects, one worker", "events/s"),
    Measure("f2", "f", "effects, two workers", "events/s"),
    Measure("g", "g", "**the whole flow**, inbox to effects, two workers"),
    Measure("h", "h", "**the HTTP door**, 500 events a request", "events/s"),
    Measure("h99", "h", "the HTTP door, p99 of a request", "ms", "p99_ms"),
    Measure("i", "i", "all duplicates, one worker"),
    Measure("j1", "j", "a verdict over a run of (g)", "s", "seconds"),
    Measure("j1m", "j", "its peak memory", "MiB", "peak_mib"),
    Measure("j10", "j", "a verdict over the long run, ten times as many", "s", "seconds"),
    Measure("j10m", "j", "its peak memory", "MiB", "peak_mib"),
    Measure("k", "k", "pages on it, p95 of the slowest page", "ms", "p95_ms"),
    Measure("kg", "k", "the gate at 500 requests/s, p99", "ms", "p99_ms"),
    Measure("l", "l", "admission with many events in the run already: slowest against emptiest", "×", "ratio"),
    Measure("m", "m", "memory over the long run: last fifth against second, worst process", "×", "ratio"),
    Measure("mb", "m", "the same, while PostgreSQL is slow", "×", "ratio"),
    Measure("n", "n", "admission from 64 partitions, two workers"),
    Measure("o", "o", "live lag beside a replay of 200,000 records, against alone", "×", "ratio"),
)
LETTERS = tuple(dict.fromkeys(measure.letter for measure in MEASURES))
BY_KEY = {measure.key: measure for measure in MEASURES}


@dataclass(frozen=True)
class Line:
    """A measure over its rounds. `cpu` is in seconds a million records, by group of processes; `said` is
    what an answer says of itself besides its number."""

    measure: Measure
    median: float
    low: float
    high: float
    rounds: int
    cpu: Mapping[str, float]
    said: str = ""


def lines(rounds: Rounds) -> list[Line]:
    """One line for each measure that was made, in the table's order."""
    return [_line(measure, rounds[measure.key]) for measure in MEASURES if rounds.get(measure.key)]


def _line(measure: Measure, answers: Sequence[Mapping[str, Any]]) -> Line:
    values = [float(answer[measure.value]) for answer in answers]
    groups = sorted({name for answer in answers for name in answer.get("cpu", {})})
    cpu = {
        name: statistics.median(
            answer["cpu"].get(name, 0.0) * 1e6 / answer["records"] for answer in answers if answer.get("records")
        )
        for name in groups
        if any(answer.get("records") for answer in answers)
    }
    said = "; ".join(answer["said"] for answer in answers if answer.get("said"))
    return Line(measure, statistics.median(values), min(values), max(values), len(values), cpu, said)


@dataclass(frozen=True)
class Target:
    """What is to be reached on two cores; `found` takes the lines by key and answers a number, or None if not made."""

    text: str
    found: Callable[[Mapping[str, float]], float | None]
    least: float | None = None
    most: float | None = None
    form: str = "{:,.0f}"
    needs: str = "events"
    """What has to be as large as the target says, for it to be judged: the events of a round, or the long run."""
    large: int = 0
    """How large; 0: as LARGE says."""

    @property
    def enough(self) -> int:
        return self.large or LARGE[self.needs]


LARGE = {"events": 1_000_000, "long": 10_000_000}


def _of(key: str) -> Callable[[Mapping[str, float]], float | None]:
    return lambda medians: medians.get(key)


def _ratio(over: str, *under: str) -> Callable[[Mapping[str, float]], float | None]:
    """Against the largest of `under`: of two limits the higher one counts."""

    def found(medians: Mapping[str, float]) -> float | None:
        below = [medians[key] for key in under if medians.get(key)]
        return medians[over] / max(below) if below and over in medians else None

    return found


TARGETS = (
    Target("one worker against the loop by hand, d/a, at least 10", _ratio("d1", "a"), least=10, form="{:.1f}"),
    Target("one worker against the limit, d/c, at least 0.28", _ratio("d1", "c", "c20"), least=0.28, form="{:.3f}"),
    Target("two workers, at least 150,000 records/s", _of("d2"), least=150_000),
    Target("two workers against the limit, d/c, at least 0.45", _ratio("d2", "c", "c20"), least=0.45, form="{:.3f}"),
    Target("the whole flow, at least 50,000 records/s", _of("g"), least=50_000),
    Target("all duplicates not slower than admission, i/d, at least 1", _ratio("i", "d1"), least=1, form="{:.2f}"),
    Target("the HTTP door, at least 30,000 events/s", _of("h"), least=30_000),
    Target("a request of the door, p99 below 100 ms", _of("h99"), most=100),
    Target("a verdict over 1,000,000 records, below 5 s", _of("j1"), most=5, form="{:.1f}"),
    Target("its memory, below 256 MiB", _of("j1m"), most=256),
    Target("a verdict over 10,000,000 records, below 60 s", _of("j10"), most=60, form="{:.1f}", needs="long"),
    Target("its memory, below 256 MiB", _of("j10m"), most=256, needs="long"),
    Target("pages, p95 below 150 ms", _of("k"), most=150, needs="long"),
    Target("the gate at 500 requests/s, p99 below 20 ms", _of("kg"), most=20, form="{:.1f}", needs="long"),
    Target(
        "cost of a record with 10,000,000 events there, at most 1.3 of an empty run's",
        _of("l"),
        most=1.3,
        form="{:.2f}",
        needs="long",
    ),
    Target("memory flat over the long run, at most 1.1", _of("m"), most=1.1, form="{:.2f}", needs="long"),
    Target("memory flat while PostgreSQL is slow, at most 1.1", _of("mb"), most=1.1, form="{:.2f}", needs="long"),
    Target(
        "live lag beside a replay of 200,000, at most 1.1 of alone", _of("o"), most=1.1, form="{:.2f}", large=200_000
    ),
    Target("64 partitions against 4, n/d, at least 0.95", _ratio("n", "d2"), least=0.95, form="{:.2f}"),
)


@dataclass(frozen=True)
class TargetResult:
    """A target and what came of it."""

    text: str
    found: str
    word: str


def judged(found: Sequence[Line], asked: Mapping[str, Any]) -> list[TargetResult]:
    """Every target, reached or not. Fewer records than it speaks of judge nothing."""
    medians = {line.measure.key: line.median for line in found}
    return [_judge(target, target.found(medians), asked[target.needs]) for target in TARGETS]


def _judge(target: Target, value: float | None, records: int) -> TargetResult:
    if value is None:
        return TargetResult(target.text, "-", "not measured")
    if records < target.enough:
        return TargetResult(target.text, target.form.format(value), f"not judged: fewer than {target.enough:,} records")
    good = (target.least is None or value >= target.least) and (target.most is None or value < target.most)
    return TargetResult(target.text, target.form.format(value), "reached" if good else "**not reached**")
