"""Does a rerun prove all of the window that it reruns? Then its PASS opens that window: docs/windows.md.

The window is judged again on what is there now, by the checks of every verdict; what the rerun read again stands in for
what the window's own lanes did not. What was not measured is missing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from audit.core import checks as c
from audit.core import facts as f
from audit.core import phrases as w
from audit.core.basis import created_again
from audit.core.bus import of_missing_effects, went_to
from audit.core.gone import accounted_for
from audit.core.verdict import State, Verdict

#: What only a replay that proves is asked for.
REPLAY = "replay"
#: In these a window may have failed: that not all was read, or that Kafka was told more than was. Any other way to fail
#: says that the ledger, the bus or their names are broken, which no reading of the inbox mends.
MENDED = frozenset({c.CheckName.ACCOUNTED, c.CheckName.COMMITTED})
#: And in these by its bus alone, that was created again, once nothing of it is bound to the one that is gone.
BY_ITS_BUS = frozenset({c.CheckName.BASIS, c.CheckName.PUBLISHED})
#: And in this by what was missing alone, for a rerun writes that again; it holds then, or the window stays shut.
BY_WHAT_WAS_MISSING = c.CheckName.APPLIED
#: These count the window's events and those that the rerun found missing.
OVER_ALL = frozenset({c.CheckName.EXPECTED, c.CheckName.NOT_EMPTY})


@dataclass(frozen=True)
class ReadRange:
    """[start, end) of one inbox source of the window, and whether the rerun's plan reads all of it."""

    label: str
    start: int
    end: int | None
    read: bool


@dataclass(frozen=True)
class EventSets:
    """The window's events, held against receipts by identity.

    `referred`: events that the records of the rerun refer to. `admitted`: events with a receipt of the window that
    admitted them; `receipts`: such receipts. `by_class`: events of window and reruns that the records refer to.
    """

    events: int
    referred: int
    admitted: int
    receipts: int
    by_class: Mapping[str, int]


@dataclass(frozen=True)
class BatchRoots:
    """Batches of the window, and those whose digest is not the root over their receipts."""

    batches: int
    differing: int


@dataclass(frozen=True)
class PlaceCount:
    """Places of the window's events, and those at which a reader of committed data met that very event now."""

    places: int
    met: int


@dataclass(frozen=True)
class OtherRerun:
    """Another rerun of the window that events were admitted in, and its newest verdict."""

    number: int
    state: str | None


@dataclass(frozen=True)
class BusOfNow:
    """The bus that a rerun was judged on, where the window's own was deleted and created again.

    `topic` and `sources` are of the rerun's basis; `bound`: attempts of the window that went to another, and
    `bound_reruns`: those of its other reruns. `positions`: where the lanes that read it stand, and how far they must
    have come, and `commits`: what Kafka was told of them. None: not read yet.
    """

    topic: f.Topic
    sources: tuple[f.BasisSource, ...]
    bound: int
    bound_reruns: int = 0
    positions: tuple[f.BusPosition, ...] | None = None
    commits: tuple[f.CommitFact, ...] = ()


@dataclass(frozen=True)
class CoverFacts:
    """What is known of the window that a rerun may cover. None: it was not measured.

    `failed`: the body of its newest verdict. `window`: its facts as they are now. `bus`: None where it is the window's.
    `mended`: effects of it that reruns wrote again, or rows of.
    """

    number: int
    revision: int
    failed: Mapping[str, Any] | None
    contract_digest: str
    ranges: Sequence[ReadRange]
    others: Sequence[OtherRerun] = ()
    taken_by: str | None = None
    contradictions: int = 0
    window: f.WindowFacts | None = None
    sets: EventSets | None = None
    roots: BatchRoots | None = None
    places: PlaceCount | None = None
    bus: BusOfNow | None = None
    mended: int = 0


@dataclass(frozen=True)
class MendedAhead:
    """What a rerun would write again of its window: `effects`, and by table the rows of how many effects that stand."""

    effects: int = 0
    tables: Mapping[str, int] = field(default_factory=dict)


NOTHING_MENDED = MendedAhead()


def may_cover(name: f.WindowName) -> bool:
    """Whether a window is a rerun that may open the one that it reruns."""
    return name.rerun is not None and name.is_rerun and name.rerun.kind == REPLAY


def covering(verdict: Verdict, facts: CoverFacts, now: datetime) -> f.Cover:
    """Whether the rerun of `verdict` covers the window of `facts`, judged at `now`.

    What is dear to measure is asked for where nothing else is missing.
    """
    first = [*_of_rerun(verdict), *before_reading(facts, verdict.window.contract_digest)]
    facts = _on_the_bus_of_now(facts)
    lacks = first or [*_judged(facts, now)] or [*_measured(facts, now)]
    cover = f.Cover(facts.number, facts.revision, tuple(lacks))
    if lacks or not (facts.window and facts.window.application and facts.sets and facts.roots and facts.places):
        return cover if lacks else replace(cover, lacks=("it was not measured",))
    return replace(
        cover,
        events=facts.sets.events,
        referred=facts.sets.referred,
        effects=facts.window.application.value.applied,
        places=facts.places.met,
        batches=facts.roots.batches,
        mended=facts.mended,
    )


def before_reading(facts: CoverFacts, contract_digest: str) -> list[str]:
    """What is missing that no measurement changes."""
    return [*_failed(facts), *_ranges(facts), *_beside(facts, contract_digest)]


def foreseen(facts: CoverFacts, contract_digest: str, now: datetime, mended: MendedAhead = NOTHING_MENDED) -> list[str]:
    """What is missing before anything is read again, for a rerun under that contract that would write this again. What
    the joins of these would find is not known before."""
    facts = _on_the_bus_of_now(facts)
    unknown = frozenset({c.CheckName.DEGRADED}) if mended.effects else frozenset()
    mends = replace(facts, window=_mended_ahead(facts.window, mended))
    return [*before_reading(facts, contract_digest), *_judged(mends, now, unknown)]


def _mended_ahead(window: f.WindowFacts | None, mended: MendedAhead) -> f.WindowFacts | None:
    if window is None or window.application is None:
        return window
    was = window.application.value
    tables = tuple(replace(t, missing=max(t.missing - mended.tables.get(t.name, 0), 0)) for t in was.tables)
    effects = min(mended.effects, was.missing)
    now = replace(was, applied=was.applied + effects, missing=was.missing - effects, tables=tables)
    return replace(window, application=replace(window.application, value=now))


def _of_rerun(verdict: Verdict) -> Iterable[str]:
    if not may_cover(verdict.window):
        yield "only a replay that proves covers a window"
    if verdict.state is not State.PASS or verdict.waived:
        yield f"the rerun is {verdict.title}"
    if verdict.gone is not None and not accounted_for(verdict.gone):
        yield "what is gone from the inbox was not all received"


def _failed(facts: CoverFacts) -> Iterable[str]:
    """A FAIL stands for good, so what opens its window beside it can never be overtaken by a verdict of its own."""
    state = str((facts.failed or {}).get("state", "not judged yet"))
    if state != State.FAIL:
        yield f"window {facts.number} has not failed: it is {state}"
        return
    checks = (facts.failed or {}).get("checks", ())
    broken = [x["check"] for x in checks if x.get("severity") == "FAIL" and not _mended(x, facts.bus)]
    if broken:
        yield f"window {facts.number} failed by {w.listed(broken)}, which no reading again mends"
    if (facts.failed or {}).get("waivers"):
        yield f"the verdict of window {facts.number} names a waiver"


def _mended(check: Mapping[str, Any], bus: BusOfNow | None) -> bool:
    """Whether a window may have failed by this check. Also by effects that were missing, or by its bus, of which
    another has the name now; and by nothing else that the check says."""
    worst = [x["text"] for x in check.get("causes", ()) if x.get("severity") == "FAIL"]
    if check["check"] == BY_WHAT_WAS_MISSING:
        return bool(worst) and all(map(of_missing_effects, worst))
    if bus is None or check["check"] not in BY_ITS_BUS:
        return check["check"] in MENDED
    name = bus.topic.name
    return bool(worst) and all(text == created_again(name) or text.endswith(went_to(name)) for text in worst)


def _ranges(facts: CoverFacts) -> Iterable[str]:
    for each in facts.ranges:
        if not each.read:
            end = "?" if each.end is None else w.number(each.end)
            yield f"not all of {each.label} is read again, which is [{w.number(each.start)}, {end})"
    if not facts.ranges:
        yield f"window {facts.number} has no range of the inbox"


def _beside(facts: CoverFacts, contract_digest: str) -> Iterable[str]:
    if facts.contract_digest != contract_digest:
        yield f"the rerun is under another contract than window {facts.number}"
    if facts.taken_by:
        yield f"{facts.taken_by} takes the place of window {facts.number}"
    if facts.contradictions:
        n = facts.contradictions
        yield f"{w.count(n, 'settled publish', 'settled publishes')} {w.be(n)} contradicted by the bus"
    if facts.bus is not None and facts.bus.bound:
        n, name = facts.bus.bound, facts.bus.topic.name
        yield f"{w.count(n, 'publish', 'publishes')} of it{went_to(name)}: ask for a republish plan first"
    if facts.bus is not None and facts.bus.bound_reruns:
        yield f"events of another rerun of it{went_to(facts.bus.topic.name)}"
    for other in facts.others:
        if other.state != State.PASS:
            yield f"rerun {other.number} admitted events and is {other.state or 'not judged yet'}"


def _judged(facts: CoverFacts, now: datetime, unknown: frozenset[c.CheckName] = frozenset()) -> Iterable[str]:
    """The window's own checks, now and without its waivers: each must hold, but for what is counted once all was read
    again. Of ACCOUNTED, what reading again cannot make good."""
    if facts.window is None or facts.window.inbox is None:
        yield f"window {facts.number} was not measured"
        return
    lines = facts.window.inbox.value
    if any(line.doubled or line.outside for line in lines):
        yield f"ACCOUNTED of window {facts.number}: receipts lie twice, or outside of its ranges"
    if any(line.lost for line in lines):
        yield f"ACCOUNTED of window {facts.number}: records were deleted before anybody read them"
    skipped = OVER_ALL | {c.CheckName.ACCOUNTED} | unknown
    yield from _not_holding(facts, replace(facts.window, waivers=()), now, skipped)


def _measured(facts: CoverFacts, now: datetime) -> Iterable[str]:
    """The sets, once the rerun has read: every pair of them is equal, by identity."""
    sets, roots, places = facts.sets, facts.roots, facts.places
    if sets is None or roots is None or places is None or facts.window is None or facts.window.counts is None:
        yield "its events, batches and places were not read again"
        return
    n = sets.events
    if sets.referred != n:
        yield f"{w.count(n - sets.referred, 'event')} of it {w.be(n - sets.referred)} in no record that was read again"
    if sets.admitted != n or sets.receipts != n:
        yield f"its receipts admitted {w.number(sets.receipts)}, and it has {w.count(n, 'event')}"
    if roots.differing:
        yield f"{w.count(roots.differing, 'batch', 'batches')} of it {w.have(roots.differing)} another digest"
    if places.places != n or places.met != n:
        yield f"{w.number(places.met)} of {w.count(n, 'event')} were met on the bus"
    counts = replace(facts.window.counts.value, by_class=sets.by_class, receipts_admitted=sum(sets.by_class.values()))
    over_all = replace(facts.window, waivers=(), counts=replace(facts.window.counts, value=counts))
    yield from _not_holding(facts, over_all, now, frozenset(c.CheckName) - OVER_ALL)


def _on_the_bus_of_now(facts: CoverFacts) -> CoverFacts:
    """The window's facts as they are to be judged: on its own basis, but for a bus that was created again. Its events
    lie on the one of now, so it is that one whose log, lanes and commits count. What it was when the window was cut
    says which partitions of the inbox came later, and nothing of this bus."""
    bus, window = facts.bus, facts.window
    if bus is None or window is None or window.basis is None or window.broker is None or window.bus is None:
        return facts
    was = window.basis.value
    basis = replace(was, broker=replace(was.broker, bus=bus.topic), bus=bus.sources)
    end = window.end and replace(window.end, value=replace(window.end.value, bus=window.broker.value.bus))
    return replace(
        facts,
        window=replace(
            window,
            basis=replace(window.basis, value=basis),
            bus=replace(window.bus, value=bus.positions or ()),
            committed=_committed(window, was.inbox, bus.commits),
            end=end,
        ),
    )


def _committed(
    window: f.WindowFacts, inbox: Sequence[f.BasisSource], commits: Sequence[f.CommitFact]
) -> f.MeasuredValue[tuple[f.CommitFact, ...]] | None:
    """Of the inbox as they were measured; of the bus those of the one of now."""
    if window.committed is None:
        return None
    labels = {source.label for source in inbox}
    pairs = tuple(pair for pair in window.committed.value if pair.label in labels)
    return replace(window.committed, value=(*pairs, *commits))


def _not_holding(
    facts: CoverFacts, window: f.WindowFacts, now: datetime, skipped: frozenset[c.CheckName]
) -> Iterable[str]:
    for name, judge in c.ALL:
        check = judge(window, now) if name not in skipped else None
        if check is not None and check.state is not c.State.HOLDS:
            yield f"{name} of window {facts.number}: {check.cause or 'it does not hold'}"
