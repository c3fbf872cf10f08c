"""The order of it all: which stacks, which measures on them, in how many rounds; each answer is written at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from trials.bench.ground import Ground, MeasureFailed
from trials.bench.long import SERVICES, LongRun, judged, note_verdict
from trials.bench.measures import LETTERS
from trials.bench.notebook import BenchOptions, Notebook, Say

Play = Callable[[Ground, Notebook], None]
PARTITIONS = 4
MANY_PARTITIONS = 64
REPLAYED, LIVE_RATE = 200_000, 2_000
"""Records of the window that is replayed, and how many others a second come in meanwhile."""
LOOP_PART, LOOP_MOST = 0.03, 30_000
"""Message by message is slow: a part of the records tells its rate. So is bulk_create."""
BULK_PART = 0.2


def run(asked: BenchOptions, out: Path | None, say: Say) -> dict[str, Any]:
    """Everything that was asked for; the document, which `report` makes a table of.

    Each kind has a stack of its own, so that none pays for what another left in the tables. A trial has one for all;
    there the lanes come last, since the stack's workers would work off what these leave unpublished first.
    """
    book = Notebook(asked, out, say)
    kinds = [kind for kind in KINDS if asked.wants(*kind[0])]
    trial = sorted(kinds, key=lambda kind: kind[2] is side_by_side)
    for together in [[kind] for kind in kinds] if asked.apart else [trial]:
        with Ground(say) as ground:
            for _, what, play in together:
                say(what)
                _play(ground, book, what, play)
    return book.document()


def _play(ground: Ground, book: Notebook, what: str, play: Play) -> None:
    try:
        play(ground, book)
    except MeasureFailed as error:
        book.fail(what, error)


def long_run(ground: Ground, book: Notebook) -> None:
    LongRun(ground, book).play()


def side_by_side(ground: Ground, book: Notebook) -> None:
    for number in range(1, book.asked.rounds + 1):
        book.say(f"round {number} of {book.asked.rounds}")
        lanes(ground, book)


def flow(ground: Ground, book: Notebook) -> None:
    """The whole flow by the stack's own workers; the last round's run is judged."""
    options, events = book.asked, book.asked.events
    stream = ""
    for number in range(1, (options.rounds if options.wants("g") else 1) + 1):
        book.say(f"round {number} of {options.rounds}")
        topic = ground.call("trials.bench.streams:new_topic", partitions=PARTITIONS, records=events)["topic"]
        ground.calm()
        with ground.services(*SERVICES):
            answer = ground.call("trials.bench.flow:measure", topic=topic, records=events)
        stream = answer["stream"]
        if options.wants("g"):
            book.note("g", answer)
    if options.wants("j"):
        ground.call("trials.bench.verdicts:cut", stream=stream)
        note_verdict(book, judged(ground, stream), "j1", "j1m")


def door(ground: Ground, book: Notebook) -> None:
    """Half of the records, since every one of them is made and kept in memory before the clock starts."""
    topic = ground.call("trials.bench.streams:new_topic", partitions=1, records=0)["topic"]
    with ground.services("web"):
        for _ in range(book.asked.rounds):
            ground.calm()
            answer = ground.call("trials.bench.door:measure", topic=topic, events=book.asked.events // 2)
            book.note("h", answer)
            book.note("h99", answer)


def replay(ground: Ground, book: Notebook) -> None:
    """Live lanes, and a replay beside them: by the stack's own workers."""
    events = min(book.asked.events, REPLAYED)
    topic = ground.call("trials.bench.streams:new_topic", partitions=PARTITIONS, records=events)["topic"]
    ground.calm()
    with ground.services(*SERVICES):
        options = {"records": events, "rate": LIVE_RATE, "rounds": book.asked.rounds}
        options["seconds"] = 15 if events == REPLAYED else 1
        book.note("o", ground.call("trials.bench.replaying:measure", topic=topic, **options))


def lanes(ground: Ground, book: Notebook) -> None:
    """One round side by side: by hand, the limit, admission, publishing, effects."""
    options, events = book.asked, book.asked.events

    def call(key: str, where: str, **arguments: Any) -> dict[str, Any]:
        ground.calm()
        answer: dict[str, Any] = ground.call(where, **arguments)
        return book.note(key, answer)

    topic = ground.call("trials.bench.streams:new_topic", partitions=PARTITIONS, records=events)["topic"]
    if options.wants("a"):
        call("a", "trials.bench.baselines:loop", topic=topic, records=max(100, min(LOOP_MOST, int(events * LOOP_PART))))
    if options.wants("b"):
        call("b", "trials.bench.baselines:bulk", topic=topic, records=int(events * BULK_PART))
    if options.wants("c", "d", "e", "f", "i"):
        first = call("d1", "trials.bench.admission:measure", topic=topic, records=events, workers=1)["stream"]
        if options.wants("c"):
            call("c", "trials.bench.limit:measure", stream=first)
            call("c20", "trials.bench.limit:measure", stream=first, batches=20)
        second = call("d2", "trials.bench.admission:measure", topic=topic, records=events, workers=2)["stream"]
        for name, stream, workers in (("1", first, 1), ("2", second, 2)):
            if options.wants("e", "f"):
                call(f"e{name}", "trials.bench.publishing:publish", stream=stream, workers=workers)
            if options.wants("f"):
                call(f"f{name}", "trials.bench.publishing:effects", stream=stream, workers=workers)
        if options.wants("i"):
            call("i", "trials.bench.admission:again", stream=first, records=events, workers=1, partitions=PARTITIONS)
    if options.wants("d"):
        made = ground.call("trials.bench.streams:new_topic", partitions=PARTITIONS, records=events, spaced=True)
        spaced = made["topic"]
        call("d1s", "trials.bench.admission:measure", topic=spaced, records=events, workers=1)
    if options.wants("n"):
        many = ground.call("trials.bench.streams:new_topic", partitions=MANY_PARTITIONS, records=events)["topic"]
        call("n", "trials.bench.admission:measure", topic=many, records=events, workers=2)


KINDS: Sequence[tuple[str, str, Play]] = (
    ("abcdefin", "the lanes, side by side", side_by_side),
    ("gj", "the whole flow", flow),
    ("h", "the door", door),
    ("o", "a replay beside live lanes", replay),
    ("jklm", "the long run", long_run),
)


def letters(named: str | None) -> tuple[str, ...]:
    """The letters of --only, in order; raises ValueError for one that is none."""
    if named is None:
        return LETTERS
    wanted = [letter.strip() for letter in named.split(",") if letter.strip()]
    unknown = sorted(set(wanted) - set(LETTERS))
    if unknown or not wanted:
        raise ValueError(f"letters among {', '.join(LETTERS)} are expected; found {', '.join(unknown) or 'none'}")
    return tuple(letter for letter in LETTERS if letter in wanted)
