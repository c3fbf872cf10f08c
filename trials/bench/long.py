"""The long run: ten times the events through the whole flow, and what is asked of it at the end.

On its way: what a record costs when a million, five and ten are there already (l), and whether memory grows (m): the
workers stay up from the beginning to the end, and hold nothing while (l) is measured. At its end: backpressure under a
slow PostgreSQL, the verdict (j), the pages and the gate (k).
"""

from __future__ import annotations

import statistics
from typing import Any

from trials.bench.ground import Ground, MeasureFailed
from trials.bench.memory import Watch
from trials.bench.notebook import Notebook
from trials.bench.slow import SlowedProcess

PARTITIONS = 4
SERVICES = ("lanes", "control", "watch", "beat")
STAGES: tuple[float, ...] = (0.1, 0.5, 1.0)
CHUNKS = 3
TRIAL = 1_000_000
"""Fewer are a trial: one stage, few requests."""
FEED = 1_000_000
EVERY = 1.0
"""Seconds between two looks at memory: often enough for minutes, and too seldom to be felt."""
WARM = 5.0


class LongRun:
    """One stream with one run, fed step by step."""

    def __init__(self, ground: Ground, book: Notebook) -> None:
        self.ground = ground
        self.book = book
        self.total = book.asked.long
        self.chunk = max(500, self.total // 100)
        self.trial = self.total < TRIAL
        self.stages = (1.0,) if self.trial else STAGES
        self.chunks = 1 if self.trial else CHUNKS
        made = ground.call("trials.bench.streams:new_stream", partitions=PARTITIONS)
        self.stream, self.topic = made["stream"], made["topic"]
        self.records = self.events = 0

    def play(self) -> None:
        options = self.book.asked
        costs = [self._cost()] if options.wants("l") else []
        with self.ground.services(*SERVICES):
            with Watch(self.ground.groups(), EVERY / 4 if self.trial else EVERY) as watch:
                for part in self.stages:
                    self._through(int(self.total * part))
                    if options.wants("l") and part < 1:
                        costs.append(self._cost_meanwhile())
            if options.wants("m"):
                self._note("m", watch, records=self.records)
            if options.wants("l"):
                costs.append(self._cost_meanwhile())
                self.book.note("l", _flatness(costs))
            if options.wants("m"):
                self._backpressure()
            if options.wants("j", "k"):
                self.ground.call("trials.bench.verdicts:cut", stream=self.stream)
            self._drain()
            self.ground.call("trials.bench.streams:rest")
        if options.wants("j", "k"):
            self._judged()
        if options.wants("k"):
            self._read()

    def _cost_meanwhile(self) -> dict[str, Any]:
        """As `_cost`, while the stack's workers are there and have nothing to do."""
        with self.ground.paused():
            return self._cost()

    def _cost(self) -> dict[str, Any]:
        """Some further records by one worker while nothing else runs: the cost of one at this size of the run.

        One checkpoint before them: the first part pays for writing pages in full, as one part in many does in life.
        Before that a VACUUM: autovacuum would come in the middle of one part or of none, for the records before.
        """
        there = self.records
        vacuum = self.ground.vacuum()
        self.ground.calm()
        answers = [self._more() for _ in range(self.chunks)]
        costs = [answer["seconds"] * 1e6 / answer["records"] for answer in answers]
        micros = statistics.median(costs)
        self.book.say(f"   with {there:,} records there, one costs {micros:.1f} µs; after a checkpoint {costs[0]:.1f}")
        return {
            "there": there,
            "us": round(micros, 2),
            "us_after_checkpoint": round(costs[0], 2),
            "vacuum_seconds": round(vacuum, 2),
            "chunks": answers,
        }

    def _more(self) -> dict[str, Any]:
        answer: dict[str, Any] = self.ground.call(
            "trials.bench.admission:more", stream=self.stream, start=self.events, records=self.chunk, workers=1,
            partitions=PARTITIONS,
        )  # fmt: skip
        self._count(answer["sent"])
        return answer

    def _count(self, sent: dict[str, Any]) -> None:
        self.records += sent["records"]
        self.events += sent["events"]

    def _feed(self, records: int) -> None:
        for left in range(records, 0, -FEED):
            sent = self.ground.call(
                "trials.bench.streams:feed", topic=self.topic, records=min(FEED, left), partitions=PARTITIONS,
                start=self.events,
            )  # fmt: skip
            self._count(sent)

    def _through(self, to: int) -> None:
        """The whole flow by the stack's own workers until so many records are through."""
        self._feed(max(0, to - self.records))
        self._drain()
        self.book.say(f"   {self.records:,} records are through")

    def _note(self, key: str, watch: Watch, **more: Any) -> None:
        """Memory of processes that ended says nothing; the other measures go on."""
        try:
            self.book.note(key, watch.document() | more)
        except MeasureFailed as error:
            self.book.fail(f"memory ({key})", error)

    def _drain(self) -> None:
        self.ground.call("trials.bench.flow:drained", stream=self.stream, records=self.records)

    def _backpressure(self) -> None:
        """A backlog, and a PostgreSQL that stands still for four fifths of the time: lanes slow down, nothing grows."""
        self._feed(max(1_000, self.total // 10))
        seconds = 2.0 if self.trial else 60.0
        self.ground.stack.wait(1.0 if self.trial else WARM)
        before = self.ground.call("trials.bench.flow:progress", stream=self.stream)
        with SlowedProcess(self.ground.groups()["postgres"][0]), Watch(self.ground.groups()) as watch:
            self.ground.stack.wait(seconds)
        after = self.ground.call("trials.bench.flow:progress", stream=self.stream)
        self._drain()
        done = {lane: after[lane] - before[lane] for lane in after}
        self._note("mb", watch, progress=done)

    def _judged(self) -> None:
        answer = judged(self.ground, self.stream)
        if self.book.asked.wants("j"):
            note_verdict(self.book, answer, "j10", "j10m")

    def _read(self) -> None:
        with self.ground.services("control", "watch", "beat", "web"):
            arguments = {"requests": 5} if self.trial else {}
            self.book.note("k", self.ground.call("trials.bench.reading:pages", stream=self.stream, **arguments))
            arguments = {"seconds": 1} if self.trial else {}
            self.book.note("kg", self.ground.call("trials.bench.reading:gate", stream=self.stream, **arguments))


def judged(ground: Ground, stream: str) -> dict[str, Any]:
    """The verdict, in a process of its own, while no lane works."""
    ground.call("trials.bench.verdicts:sample", stream=stream)
    ground.calm()
    answer: dict[str, Any] = ground.call("trials.bench.verdicts:close", stream=stream)
    return answer


def note_verdict(book: Notebook, answer: dict[str, Any], *keys: str) -> None:
    """Only a PASS says how long it takes to prove a run: another verdict is no measure, and is said."""
    if answer["verdict"] != "PASS":
        causes = "; ".join(f"{name}: {cause}" for name, cause in answer["not_holding"].items())
        why = f"{answer['verdict']} after {answer['seconds']} s: {causes}"
        book.fail("the verdict", MeasureFailed(why))
        return
    for key in keys:
        book.note(key, answer)


def _flatness(costs: list[dict[str, Any]]) -> dict[str, Any]:
    ratios = {f"ratio{more}": _worst([cost[f"us{more}"] for cost in costs]) for more in ("", "_after_checkpoint")}
    return ratios | {"sizes": costs}


def _worst(costs: list[float]) -> float:
    """Against the first."""
    return round(max(costs) / costs[0], 3)
