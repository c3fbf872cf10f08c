"""The events: about 450 bytes of JSON, 5% sent twice, 0.5% sent again with another payload, the same in every run.

Written compactly, as most serialisers write, unless `spaced`. Ids carry time and rise, as UUIDv7 and sequences do. What
comes twice comes in the partition of the first copy and some thousand records after it.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from confluent_kafka import Producer

DUPLICATES = 0.05
MISMATCHES = 0.005
BACK = 4_000
"""How far back at most lies what is sent a second time."""
_BEGAN_MS = 1_767_225_600_000  # 2026-01-01
_COMPACT = (
    b'{"type":"reading","id":"%s","at":"2026-01-%02dT%02d:%02d:%02d.%03dZ","station":"station-%03d","sequence":%d,'
    b'"value":%d.%02d,"unit":"celsius","quality":"good","firmware":"4.11.2","position":{"lat":52.52,"lon":13.405},'
    b'"note":"%s"}'
)
_SPACED = _COMPACT.replace(b'":', b'": ').replace(b',"', b', "')


class Record(NamedTuple):
    """What a producer sends."""

    partition: int
    key: bytes
    value: bytes


@dataclass(frozen=True)
class Recipe:
    """`records` of them, from the event numbered `start` on. Without `repeats` none comes twice."""

    records: int
    partitions: int = 4
    spaced: bool = False
    start: int = 0
    seed: int = 7
    repeats: bool = True


@dataclass
class RecipeOutput:
    """What a recipe made: what admission has to find in it."""

    records: int = 0
    events: int = 0
    duplicates: int = 0
    mismatches: int = 0
    bytes: int = 0

    def document(self) -> dict[str, Any]:
        return asdict(self)


def make(recipe: Recipe, sent: RecipeOutput | None = None) -> Iterator[Record]:
    """The records, in the order they are sent; `sent` is counted up on the way."""
    counted = sent if sent is not None else RecipeOutput()
    chance = random.Random(recipe.seed + recipe.start)
    notes = [chance.randbytes(98).hex().encode() for _ in range(512)]
    template = _SPACED if recipe.spaced else _COMPACT
    number = first = recipe.start
    for _ in range(recipe.records):
        drawn = chance.random()
        again = recipe.repeats and drawn < DUPLICATES + MISMATCHES and number > first
        if again:
            which = number - 1 - chance.randrange(min(BACK, number - first))
            other = drawn < MISMATCHES
            counted.mismatches += other
            counted.duplicates += not other
        else:
            which, other = number, False
            number += 1
            counted.events += 1
        value = _value(template, which, notes, counted.mismatches if other else 0)
        counted.records += 1
        counted.bytes += len(value)
        yield Record(which % recipe.partitions, event_id(which), value)


def event_id(number: int) -> bytes:
    """A UUIDv7's form: milliseconds first, then a counter."""
    ms = _BEGAN_MS + number // 16
    return b"%08x-%04x-7%03x-8%03x-%012x" % (ms >> 16, ms & 0xFFFF, number % 16, number >> 48 & 0xFFF, number)


def _value(template: bytes, number: int, notes: list[bytes], twist: int) -> bytes:
    ms = number // 16
    day, hour, minute, second = ms // 86_400_000 % 28 + 1, ms // 3_600_000 % 24, ms // 60_000 % 60, ms // 1000 % 60
    return template % (
        event_id(number), day, hour, minute, second, ms % 1000, number * 7919 % 1000, number + twist,
        number * 31 % 60, number * 17 % 100, notes[number * 2_654_435_761 % 512],
    )  # fmt: skip


def preload(bootstrap: str, topic: str, recipe: Recipe) -> RecipeOutput:
    """Sends a recipe's records to a topic and waits until all are there."""
    sent = RecipeOutput()
    failed: list[str] = []
    producer = Producer(
        {
            "bootstrap.servers": bootstrap,
            "compression.type": "lz4",
            "linger.ms": 50,
            "batch.size": 1_000_000,
            "enable.idempotence": True,
            "queue.buffering.max.messages": 200_000,
            "queue.buffering.max.kbytes": 200_000,
            "error_cb": lambda error: failed.append(str(error)),
            "log_level": 0,
        }
    )
    for record in make(recipe, sent):
        while True:
            try:
                producer.produce(topic, record.value, record.key, record.partition)
                break
            except BufferError:
                producer.poll(0.02)
    until = time.monotonic() + 120
    while producer.flush(1.0) and time.monotonic() < until:
        pass
    if len(producer) or failed:
        raise RuntimeError(f"{len(producer)} records of {topic} were not delivered: {failed[:1]}")
    return sent
