"""Positions and samples: how far each lane is, how far it could be, and since when it stands."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Exists, OuterRef, Subquery
from django.db.models.functions import Greatest, Now

from console.reads.attempts import UNSETTLED
from ingest.core import stops
from ingest.db import read, statements
from ingest.models import Attempt, Lane, Position, PublishQueue, Retirement, Sample, Source

sql = statements("console.reads", "lanes")

HISTORY = timedelta(minutes=10)
WATCHED = timedelta(hours=1)  # a lane that stands for longer is stalled all the same
MOST_SAMPLES = 6_000  # of one page; sources share them
MOST_POSITIONS = 500
STALLED_AFTER = timedelta(seconds=60)  # where no contract says otherwise
SAMPLE_MAX_AGE = timedelta(seconds=30)  # the same
PAGE_SIZE = 100


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


def positions(*, stream: int | None = None, sources: Sequence[int] | None = None) -> list[Any]:
    """Lanes of a stream, of some sources, or of everything, each with since when something lies before it.

    `seen_behind` is the first sample, after the last progress, that showed records before the lane; `queued` and
    `unsettled` are the oldest batch and attempt that a publish lane has to deal with.
    """
    after = Greatest(OuterRef("progressed_at"), Now() - WATCHED)
    behind = Sample.objects.filter(source=OuterRef("source"), at__gt=after, lso__gt=OuterRef("next_offset"))
    queue = PublishQueue.objects.filter(source=OuterRef("source")).order_by("queued_at")
    unsettled = Attempt.objects.filter(source=OuterRef("source"), state__in=UNSETTLED, over_at=None).order_by(
        "prepared_at"
    )
    found = Position.objects.select_related("source", "stream").annotate(
        seen_behind=Subquery(behind.order_by("at").values("at")[:1]),
        queued=Subquery(queue.values("queued_at")[:1]),
        unsettled=Subquery(unsettled.values("prepared_at")[:1]),
        retired=Exists(Retirement.objects.filter(source=OuterRef("source"))),
    )
    if stream is not None:
        found = found.filter(stream=stream)
    if sources is not None:
        found = found.filter(source__in=sources)
    return list(found.order_by("stream__name", "lane", "source")[:MOST_POSITIONS])


@dataclass(frozen=True, slots=True)
class LaneLine:
    """One lane as lists have it. `behind` None: not measured. `stop` is its own reason, `act` what ends it."""

    rank: int
    source_id: int
    stream: str
    lane: str
    source: str
    state: str
    position: int
    behind: int | None
    moved_at: datetime
    stands_since: datetime | None
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


TROUBLE = ("STOPPED", "STALLED")
WORDS = {"STOPPED": "stopped", "STALLED": "stalled", "WAITS": "waiting for somebody", "UNMEASURED": "unmeasured"}
_BOUNDS = {"sample_max_age": SAMPLE_MAX_AGE.total_seconds(), "stalled_after": STALLED_AFTER.total_seconds()}


def lines(
    *, stream: str | None = None, states: Sequence[str] | None = None, after: str = "", size: int = PAGE_SIZE
) -> list[LaneLine]:
    """Lanes, trouble first; `after` is the key of the last line of the page before. Anything else begins anew."""
    rank, source, lane = _key(after)
    keys = {"stream": stream, "states": states and list(states), "size": size}
    with read() as cur:
        rows = cur.execute(sql.states + sql.page, {**keys, **_BOUNDS, "rank": rank, "source": source, "lane": lane})
        return [_line(row) for row in rows.fetchall()]


def counts(stream: str | None = None) -> dict[str, int]:
    """How many lanes are in which state, of all there are."""
    with read() as cur:
        rows = cur.execute(sql.states + sql.counts, {"stream": stream, **_BOUNDS}).fetchall()
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
        row.rank, row.source_id, row.stream, row.lane, row.source, row.state, row.next_offset, row.behind,
        row.progressed_at, row.stands_since if row.behind else None, row.owner or "", row.until, row.fence,
        row.stopped_code or "", row.stopped_detail or "", row.stopped_at,
    )  # fmt: skip


def newest_samples(sources: Iterable[int]) -> dict[int, Sample]:
    """The newest sample of each source: one look into the index a source, however many samples there are.

    None of a time to come: the clock has stepped back since, and it would look fresh until then.
    """
    newest = Sample.objects.filter(source=OuterRef("pk"), at__lte=Now()).order_by("-at").values("id")[:1]
    wanted = Source.objects.filter(id__in=set(sources)).annotate(newest=Subquery(newest)).values("newest")
    return {each.source_id: each for each in Sample.objects.filter(id__in=wanted)}


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

    A publish lane reads the ledger, not Kafka: with no batch queued and no attempt unsettled nothing lies before it,
    whatever the offsets of the last duplicates were. Give no sample that is stale.
    """
    if position.lane == Lane.PUBLISH:
        if _waits_since(position) is None:
            return 0
        reached = admitted_to.get(position.source_id)
        return None if reached is None else max(reached - position.next_offset, 0)
    if sample is None or sample.lso is None:
        return None
    return max(sample.lso - position.next_offset, 0)


def _waits_since(position: Any) -> datetime | None:
    """Since when something lies before a lane."""
    if position.lane == Lane.PUBLISH:
        return min((each for each in (position.queued, position.unsettled) if each), default=None)
    found: datetime | None = position.seen_behind
    return found


def stands_since(position: Position) -> datetime | None:
    """Since when a lane stands still with something before it: for hours before that there may have been nothing."""
    waits = _waits_since(position)
    return max(position.progressed_at, waits) if waits else None


def admitted_to(found: Iterable[Position]) -> dict[int, int]:
    """Where admission stands, per source."""
    return {each.source_id: each.next_offset for each in found if each.lane == Lane.ADMISSION}


def state(position: Position, behind: int | None, now: datetime, stalled_after: timedelta) -> str:
    """STOPPED and WAITS (it says why and for what), STALLED (a backlog and no progress, S18), MOVING, CAUGHT UP, or
    UNMEASURED.

    RETIRED: it read a log that is gone, and nothing is the matter with it.
    """
    if position.lane != Lane.PUBLISH and getattr(position, "retired", False):
        return "RETIRED"
    if position.stopped_code:
        return "WAITS" if position.stopped_code in stops.WAITS else "STOPPED"
    if behind is None:
        return "UNMEASURED"
    if behind == 0:
        return "CAUGHT UP"
    since = stands_since(position)
    return "STALLED" if since is not None and now - since > stalled_after else "MOVING"
