"""The order of it all: which stacks, which measures on them, in how many rounds; each answer is written at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.ground import Ground
from bench.machine import describe
from bench.measures import BY_KEY, LETTERS

Say = Callable[[str], None]
PARTITIONS = 4
MANY_PARTITIONS = 64
LOOP_PART, LOOP_MOST = 0.03, 30_000
"""Message by message is slow: a part of the records tells its rate. So is bulk_create."""
BULK_PART = 0.2


@dataclass(frozen=True)
class Asked:
    """What was asked for. `long` is the number of records of the long run."""

    events: int = 1_000_000
    rounds: int = 3
    only: tuple[str, ...] = LETTERS
    long: int = 10_000_000

    def wants(self, *letters: str) -> bool:
        return any(letter in self.only for letter in letters)


@dataclass
class Notebook:
    """What was found, in a file after every measure: who interrupts a long run keeps what there is."""

    asked: Asked
    out: Path | None
    say: Say
    machine: dict[str, Any] = field(default_factory=describe)
    rounds: dict[str, list[dict[str, Any]]] = field(default_factory=dict)

    def note(self, key: str, answer: dict[str, Any]) -> dict[str, Any]:
        self.rounds.setdefault(key, []).append(answer)
        measure = BY_KEY[key]
        self.say(f"{measure.letter:2} {measure.title.replace('**', '')}: {answer[measure.value]:,} {measure.unit}")
        if self.out is not None:
            self.out.write_text(json.dumps(self.document(), indent=1) + "\n", encoding="utf-8")
        return answer

    def document(self) -> dict[str, Any]:
        return {"format": 1, "asked": asdict(self.asked), "machine": self.machine, "rounds": self.rounds}


def run(asked: Asked, out: Path | None, say: Say) -> dict[str, Any]:
    """Everything that was asked for; the document, which `report` makes a table of."""
    book = Notebook(asked, out, say)
    if asked.wants("a", "b", "c", "d", "e", "f", "i", "n"):
        with Ground(say) as ground:
            for number in range(1, asked.rounds + 1):
                say(f"lanes, round {number} of {asked.rounds}")
                lanes(ground, book)
    return book.document()


def lanes(ground: Ground, book: Notebook) -> None:
    """One round side by side: by hand, the limit, admission, publishing, effects."""
    asked, events = book.asked, book.asked.events

    def call(key: str, where: str, **arguments: Any) -> dict[str, Any]:
        ground.calm()
        answer: dict[str, Any] = ground.call(where, **arguments)
        return book.note(key, answer)

    topic = ground.call("bench.streams:new_topic", partitions=PARTITIONS, records=events)["topic"]
    if asked.wants("a"):
        call("a", "bench.baselines:loop", topic=topic, records=max(100, min(LOOP_MOST, int(events * LOOP_PART))))
    if asked.wants("b"):
        call("b", "bench.baselines:bulk", topic=topic, records=int(events * BULK_PART))
    if asked.wants("c", "d", "e", "f", "i"):
        first = call("d1", "bench.admission:measure", topic=topic, records=events, workers=1)["stream"]
        if asked.wants("c"):
            call("c", "bench.limit:measure", stream=first)
            call("c20", "bench.limit:measure", stream=first, batches=20)
        second = call("d2", "bench.admission:measure", topic=topic, records=events, workers=2)["stream"]
        for name, stream, workers in (("1", first, 1), ("2", second, 2)):
            if asked.wants("e", "f"):
                call(f"e{name}", "bench.publishing:publish", stream=stream, workers=workers)
            if asked.wants("f"):
                call(f"f{name}", "bench.publishing:effects", stream=stream, workers=workers)
        if asked.wants("i"):
            call("i", "bench.admission:again", stream=first, records=events, workers=1, partitions=PARTITIONS)
    if asked.wants("d"):
        spaced = ground.call("bench.streams:new_topic", partitions=PARTITIONS, records=events, spaced=True)["topic"]
        call("d1s", "bench.admission:measure", topic=spaced, records=events, workers=1)
    if asked.wants("n"):
        many = ground.call("bench.streams:new_topic", partitions=MANY_PARTITIONS, records=events)["topic"]
        call("n", "bench.admission:measure", topic=many, records=events, workers=2)


def letters(named: str | None) -> tuple[str, ...]:
    """The letters of --only, in order; raises ValueError for one that is none."""
    if named is None:
        return LETTERS
    wanted = [letter.strip() for letter in named.split(",") if letter.strip()]
    unknown = sorted(set(wanted) - set(LETTERS))
    if unknown or not wanted:
        raise ValueError(f"letters among {', '.join(LETTERS)} are expected; found {', '.join(unknown) or 'none'}")
    return tuple(letter for letter in LETTERS if letter in wanted)
