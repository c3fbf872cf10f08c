"""What is sent in which order: a month's events, what is resent, and what is spoilt on the way. Pure and seeded.

Records of one key keep their order, in Kafka as here: what is resent stands behind its first copy, so the plan says for
every record what must become of it, and the summary holds the ledger against that.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from ingest.core.reason import Decision, Reason
from trials.demo.data import Month
from trials.demo.faults import (
    OTHER_PAYLOADS,
    Event,
    Fault,
    Outgoing,
    encode,
    lookalikes,
    quarantined,
    reserialised,
)

RESENT = 0.05
SHARE_RESERIALISED = 0.1
FARTHEST = 2_000
"""A record is resent at most so many records behind its first copy."""


@dataclass(frozen=True)
class Recipe:
    """What goes wrong in a run. `other_run` is the run that stray records name, with what must become of them."""

    mismatches: int = 0
    repeated_mismatches: int = 0
    hostile: tuple[Fault, ...] = ()
    other_run: tuple[str, Reason] | None = None


@dataclass(frozen=True)
class Plan:
    """The records of one run in the order they are sent."""

    stream: str
    run_name: str
    events: int
    records: tuple[Outgoing, ...]

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run_name}"

    def expected(self) -> Counter[tuple[Decision, Reason]]:
        """How many records must become what."""
        return Counter((record.becomes, record.reason) for record in self.records)

    def decided(self, decision: Decision) -> int:
        return sum(record.becomes is decision for record in self.records)

    def reserialised(self) -> int:
        return sum(record.why == _RESERIALISED for record in self.records)


_RESERIALISED = "resent, serialised another way"


# ---- flights --------------------------------------------------------------------------------------------------------


def flights_plan(month: Month, recipe: Recipe, partitions: int, seed: int = 13) -> Plan:
    """A month of flights with what `recipe` asks for; `partitions` of the inbox: for records that have no key."""
    rng = random.Random(f"{seed}:flights:{month.run_name}")
    events = [flight_event(flight, month.run_name) for flight in month.flights]
    behind = [*resent(events, flight_key, rng), *mismatching(events, recipe, rng)]
    strays = [
        *_hostile(events, month.run_name, recipe, partitions, rng),
        *_of_other_runs(events, recipe, partitions, rng),
    ]
    spread = [(rng.uniform(0, len(events)), stray) for stray in strays]
    return Plan("flights", month.run_name, len(events), in_order(events, flight_key, [*behind, *spread]))


def flight_event(flight: Event, run_name: str) -> Event:
    return {"type": "flight", "run": run_name, **flight}


def flight_key(event: Event) -> bytes:
    """All of one flight number in one partition, in order."""
    return f"{event['carrier']}{event['flight']}".encode()


Placed = tuple[float, Outgoing]
"""A record and where it goes, counted in first copies."""


def in_order(
    events: Sequence[Event], key_of: Callable[[Event], bytes], others: Iterable[Placed]
) -> tuple[Outgoing, ...]:
    """First copies at 0, 1, 2, ..., the others between them; equal places keep the order they are given in."""
    first = ((at, Outgoing(key_of(event), encode(event), Decision.ADMITTED)) for at, event in enumerate(events))
    return tuple(record for _, record in sorted([*first, *others], key=lambda placed: placed[0]))


def resent(events: Sequence[Event], key_of: Callable[[Event], bytes], rng: random.Random) -> Iterator[Placed]:
    """5% once more: the same bytes, or now and then the same event serialised another way. All are DUPLICATE."""
    chosen = rng.sample(range(len(events)), round(len(events) * RESENT))
    for number, at in enumerate(chosen):
        event = events[at]
        again = number % round(1 / SHARE_RESERIALISED) == 0
        value, why = (reserialised(event), _RESERIALISED) if again else (encode(event), "resent")
        yield _behind(at, rng), Outgoing(key_of(event), value, Decision.DUPLICATE, why=why)


def mismatching(events: Sequence[Event], recipe: Recipe, rng: random.Random) -> Iterator[Placed]:
    """The same identity with another payload; the first few of them come a second time."""
    for number, at in enumerate(rng.sample(range(len(events)), recipe.mismatches)):
        why, change = OTHER_PAYLOADS[number % len(OTHER_PAYLOADS)]
        record = Outgoing(
            flight_key(events[at]), encode(change(events[at])), Decision.QUARANTINED, Reason.PAYLOAD_MISMATCH, why
        )
        for _ in range(2 if number < recipe.repeated_mismatches else 1):
            yield _behind(at, rng), record


def _behind(at: int, rng: random.Random) -> float:
    return at + rng.uniform(0.5, FARTHEST)


def _hostile(
    events: Sequence[Event], run_name: str, recipe: Recipe, partitions: int, rng: random.Random
) -> Iterator[Outgoing]:
    for number, fault in enumerate(recipe.hostile):
        yield quarantined(fault, rng.choice(events), run_name, number % partitions)


def _of_other_runs(events: Sequence[Event], recipe: Recipe, partitions: int, rng: random.Random) -> Iterator[Outgoing]:
    if recipe.other_run:
        run_name, reason = recipe.other_run
        yield from lookalikes(rng.sample(events, 3), run_name, reason, rng.randrange(partitions))


# ---- weather --------------------------------------------------------------------------------------------------------


def weather_plan(month: Month, second: Sequence[tuple[str, str]], seed: int = 13) -> Plan:
    """A month of weather reports, with a second, different report for the hours in `second` (origin, time_hour)."""
    rng = random.Random(f"{seed}:weather:{month.run_name}")
    reports = [weather_event(report, month.run_name, 1) for report in month.weather]
    chosen = set(second)
    more = [other_report(report) for report in reports if (report["origin"], report["time_hour"]) in chosen]
    events = sorted([*reports, *more], key=lambda report: str(report["time_hour"]))
    return Plan("weather", month.run_name, len(events), in_order(events, weather_key, resent(events, weather_key, rng)))


def weather_event(report: Event, run_name: str, number: int) -> Event:
    return {"type": "weather", "run": run_name, "report": number, **report}


def other_report(report: Event) -> Event:
    """What a second station might have said of the same hour."""
    return {**report, "report": 2, "temp": round((report["temp"] or 50.0) + 3.6, 2), "visib": 0.5}


def weather_key(event: Event) -> bytes:
    return str(event["origin"]).encode()


def hours_to_report_twice(month: Month, hours: int, seed: int = 13) -> tuple[tuple[str, str], ...]:
    """Hours at an airport that have a report and some flights, so that their joins are AMBIGUOUS."""
    rng = random.Random(f"{seed}:hours:{month.run_name}")
    flights = Counter((flight["origin"], flight["time_hour"]) for flight in month.flights)
    known = {(report["origin"], report["time_hour"]) for report in month.weather}
    busy = sorted(hour for hour, count in flights.items() if count >= 10 and hour in known)
    return tuple(sorted(rng.sample(busy, hours)))


@dataclass(frozen=True)
class Joins:
    """What the join of a month's flights with its weather must find."""

    matched: int
    missing: int
    ambiguous: int


def expected_joins(month: Month, second: Sequence[tuple[str, str]]) -> Joins:
    """Counted from the data alone."""
    known = {(report["origin"], report["time_hour"]) for report in month.weather}
    places = [(flight["origin"], flight["time_hour"]) for flight in month.flights]
    missing = sum(place not in known for place in places)
    ambiguous = sum(place in set(second) for place in places)
    return Joins(len(places) - missing - ambiguous, missing, ambiguous)
