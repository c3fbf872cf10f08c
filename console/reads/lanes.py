"""Positions and samples: how far each lane is, how far it could be, and since when it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import OuterRef, Subquery
from django.db.models.functions import Now

from ingest.core import stops
from ingest.db import read, statements
from ingest.models import Lane, Position, Sample, Source

sql = statements("console.reads", "lanes")

HISTORY = timedelta(minutes=10)
MOST_SAMPLES = 6_000  # of one page; sources share them
PAGE_SIZE = 100


@dataclass(frozen=True, slots=True)
class Measure:
    """One sample of one source, as the charts want it."""

    at: datetime
    lso: int | None
    next_offset: int | None

    @property
    def lag(self) -> int | None:
        if self.lso is None or self.next_offset is None or self.lso < self.next_offset:
            return None  # not measured, or the log ends before where the lane stood: it is lost
        return self.lso - self.next_offset


@dataclass(frozen=True, slots=True)
class Bounds:
    """How old a sample may be, and how long a lane may stand with something before it; a contract says otherwise."""

    sample_max_age: timedelta = timedelta(seconds=30)
    stalled_after: timedelta = timedelta(seconds=60)

    def seconds(self) -> dict[str, float]:
        """As the statement's parameters."""
        return {
            "sample_max_age": self.sample_max_age.total_seconds(),
            "stalled_after": self.stalled_after.total_seconds(),
        }


@dataclass(frozen=True, slots=True)
class LaneLine:
    """One lane as lists have it. `behind` None: not measured; `stale`: what Kafka said last is too old to be believed.

    `state` is STOPPED or WAITS (`reason` says why and for what), STALLED (a backlog and no progress, S18), UNMEASURED,
    MOVING, CAUGHT UP, or RETIRED: it read a log that is gone, and nothing is the matter with it. `act` is what ends it.
    """

    rank: int
    source_id: int
    stream: str
    lane: str
    source: str
    role: str
    state: str
    position: int
    behind: int | None
    stale: bool
    moved_at: datetime
    stands_since: datetime | None
    stands_for: timedelta | None
    owner: str
    until: datetime | None
    fence: int
    code: str
    detail: str
    stopped_at: datetime | None

    @property
    def key(self) -> str:
        """Where the next page goes on."""
        return f"{self.rank}.{self.source_id}.{self.lane}"

    @property
    def reason(self) -> str:
        """What it says itself, in full: `topic_changed: the topic is not …`; what it waits for; or nothing."""
        if not self.code:
            return ""
        return self.detail if stops.waits_for(self.code) else f"{self.code}: {self.detail}"

    @property
    def act(self) -> str:
        """What ends it: of a lane that only stands, nobody knows more than where to look."""
        if self.code:
            return stops.stop_of(self.code).act
        return "look into the workers' log: no process moves it" if self.state == "STALLED" else ""


USUAL = Bounds()
TROUBLE = ("STOPPED", "STALLED")
WORDS = {"STOPPED": "stopped", "STALLED": "stalled", "WAITS": "waiting for somebody", "UNMEASURED": "unmeasured"}


def lines(
    *,
    stream: str | None = None,
    sources: Sequence[int] | None = None,
    states: Sequence[str] | None = None,
    after: str = "",
    size: int = PAGE_SIZE,
    bounds: Bounds = USUAL,
) -> list[LaneLine]:
    """Lanes, trouble first; `after` is the key of the last line of the page before. Anything else begins anew."""
    rank, source, lane = _key(after)
    lanes = {"stream": stream, "sources": None if sources is None else list(sources), **bounds.seconds()}
    keys = {"states": states and list(states), "size": size, "rank": rank, "source": source, "lane": lane}
    with read() as cur:
        rows = cur.execute(sql.states + sql.page, {**lanes, **keys})
        return [_line(row) for row in rows.fetchall()]


def counts(stream: str | None = None) -> dict[str, int]:
    """How many lanes are in which state, of all there are."""
    with read() as cur:
        rows = cur.execute(sql.states + sql.counts, {"stream": stream, "sources": None, **USUAL.seconds()}).fetchall()
    return {row.state: row.n for row in rows}


def said_of(counts: Mapping[str, int]) -> tuple[str, bool]:
    """The machine in one sentence. Lanes that were not measured are not well."""
    total = sum(counts.values())
    if not total:
        return "No lane yet: no stream has a source.", False
    wrong = [f"{counts[state]:,} {words}" for state, words in WORDS.items() if counts.get(state)]
    if wrong:
        return f"Of {total:,} lanes, {', '.join(wrong)}.", False
    moving, retired = counts.get("MOVING", 0), counts.get("RETIRED", 0)
    gone = f", {retired:,} retired" if retired else ""
    return f"All {total:,} lanes are well: {moving:,} moving, {total - moving - retired:,} caught up{gone}.", True


def owners(size: int) -> list[tuple[str, int, datetime | None]]:
    """Processes that hold leases now: how many, and until when the last of them runs."""
    with read() as cur:
        rows = cur.execute(sql.owners, {"size": size}).fetchall()
    return [(row.owner, row.leases, row.until) for row in rows]


_KEY = re.compile(r"([1-7])\.([0-9]{1,9})\.(admission|effects|publish)")


def _key(text: str) -> tuple[int | None, int | None, str | None]:
    found = _KEY.fullmatch(text)
    return (int(found[1]), int(found[2]), found[3]) if found else (None, None, None)


def _line(row: Any) -> LaneLine:
    return LaneLine(
        row.rank, row.source_id, row.stream, row.lane, row.source, row.role, row.state, row.next_offset, row.behind,
        row.stale, row.progressed_at, row.stands_since if row.behind else None, row.stands_for if row.behind else None,
        row.owner or "", row.until, row.fence,
        row.stopped_code or "", row.stopped_detail or "", row.stopped_at,
    )  # fmt: skip


def newest_samples(sources: Iterable[int]) -> dict[int, Sample]:
    """The newest sample of each source: one look into the index a source, however many samples there are.

    None of a time to come: the clock has stepped back since, and it would look fresh until then.
    """
    newest = Sample.objects.filter(source=OuterRef("pk"), at__lte=Now()).order_by("-at").values("id")[:1]
    wanted = Source.objects.filter(id__in=set(sources)).annotate(newest=Subquery(newest)).values("newest")
    return {each.source_id: each for each in Sample.objects.filter(id__in=wanted)}


def admitted_to(sources: Iterable[int]) -> dict[int, int]:
    """Where admission stands, per source."""
    found = Position.objects.filter(source__in=set(sources), lane=Lane.ADMISSION)
    return dict(found.values_list("source_id", "next_offset"))


def recent(sources: Iterable[int]) -> dict[int, list[Measure]]:
    """Ten minutes of samples per source, oldest first."""
    wanted = sorted(set(sources))
    samples = (
        Sample.objects.filter(source__in=wanted, at__gt=Now() - HISTORY)
        .order_by("-at")
        .values_list("source_id", "at", "lso", "next_offset")[:MOST_SAMPLES]
    )
    series: dict[int, list[Measure]] = {}
    for source, at, lso, next_offset in samples:
        series.setdefault(source, []).append(Measure(at, lso, next_offset))
    return {source: measures[::-1] for source, measures in series.items()}
