"""Which plans a window offers: those that would be taken as it stands, and that something in its way calls for. Pure.

What is not offered is either refused where somebody asks for it all the same, or has nothing to do.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from audit.core.anchors import Anchor, Reach
from audit.core.basis import offers_refresh
from audit.core.bus import of_missing_effects
from audit.core.check import WAIVABLE, Check, CheckName, State
from plans.core.plan import ASKING, FRESH, MOST_ATTEMPTS, PROVE, Kind

#: What a run in the window's place would meet again: what the producer sent, and what was set aside.
MET_AGAIN = frozenset(
    {CheckName.COVERAGE, CheckName.CAUGHT_UP, CheckName.EXPECTED, CheckName.QUARANTINE, CheckName.NOT_EMPTY}
)
OPEN = "open"
LOST_WITH_ITS_BUS = "what was published went to a bus that was created again"
_CONSENT = ("out_of_order",)
#: Attempts that a republish names, where it does not take all of a window.
MOST_NAMED = 50


@dataclass(frozen=True)
class Offer:
    """A plan that can be asked for. `asked`: its members besides stream and run; `lacks`: those a person has to say.

    `why` is what it is for, as a part of a sentence, and `about` what of the window it is about, where that is a part.
    """

    kind: Kind
    asked: Mapping[str, Any]
    why: str
    about: str = ""
    lacks: tuple[str, ...] = ()

    @property
    def permission(self) -> str:
        return ASKING[self.kind]


@dataclass(frozen=True)
class ReasonCount:
    """Open items of a reason, all of which one redrive would take."""

    name: str
    items: int


@dataclass(frozen=True)
class PlaceFacts:
    """What keeps another run from a window's place, or from being the whole of it; and `contract`, which such a run is
    asked for under where the newest is not of the window's inbox."""

    taken: bool = False
    filling: bool = False
    left_out: int = 0
    readable: bool = False
    contract: int | None = None


@dataclass(frozen=True)
class OfferFacts:
    """A window, or a rerun of one, as far as plans about it go.

    `verdict`: the state of its newest one, "" before there is one. `checks`: as a verdict has them, or as of now.
    `moved`: the window failed, and its bus was created again since it opened; `lost`: attempts of it that are bound to
    the one that is gone. `own_ordered` and `newest_ordered`: whether their projection keeps the order of each key, so
    that what comes late wants a consent. `reruns` false: nothing more is admitted into its run.
    """

    number: int
    is_rerun: bool
    is_cut: bool
    verdict: str
    failed: bool
    waived: bool
    empty_waivable: bool
    checks: Sequence[Check]
    undecidable: Sequence[int] = ()
    withheld: Sequence[int] = ()
    lost: Sequence[int] = ()
    moved: bool = False
    reasons: Sequence[ReasonCount] = ()
    reruns: bool = True
    own_ordered: bool = False
    newest_ordered: bool = False
    place: PlaceFacts = field(default_factory=PlaceFacts)

    def broken(self) -> Iterator[Check]:
        return broken(self.checks)


@dataclass(frozen=True)
class ItemFacts:
    """Items that somebody has named, as far as a redrive of them goes into the window that they belong in.

    `wanting`: how many of them become events only if corrected, `events`: how many are events by now. `alike`: the
    newest contract names events as that window's run does; there is none that can be used without `newest`.
    """

    items: Sequence[int]
    wanting: int = 0
    events: int = 0
    taken: bool = False
    reruns: bool = True
    newest: bool = True
    alike: bool = True


def item_offer(facts: ItemFacts) -> Offer | None:
    """A redrive of these items: a correction is of one item alone, so of several none may want one."""
    refused = facts.taken or facts.events or not (facts.reruns and facts.newest and facts.alike)
    if refused or facts.wanting and len(facts.items) > 1:
        return None
    why = "what was set aside goes through admission again"
    lacks = ("corrections",) if facts.wanting else ()
    return Offer(Kind.REDRIVE, {"items": list(facts.items)}, why, f"{len(facts.items):,}", lacks)


def attempt_offers(facts: OfferFacts, attempt: int) -> tuple[Offer, ...]:
    """What two people can do about one attempt of the window, or rerun, that these facts are of."""
    return tuple(_publishing(replace(facts, **_only(facts, attempt), is_rerun=True)))  # by its own name


def _only(facts: OfferFacts, attempt: int) -> dict[str, Any]:
    return {
        "undecidable": [each for each in facts.undecidable if each == attempt],
        "withheld": [each for each in facts.withheld if each == attempt],
        "lost": [each for each in facts.lost if each == attempt],
    }


def broken(checks: Iterable[Check]) -> Iterator[Check]:
    """What does not hold, and follows from nothing else."""
    return (check for check in checks if check.state is State.BROKEN and check.follows_from is None)


def broken_for_good(checks: Iterable[Check]) -> tuple[Check, ...]:
    """What nothing mends in a window, and a run in its place does not meet again."""
    return tuple(
        check
        for check in broken(checks)
        if check.name not in MET_AGAIN and any(cause.act.permission == OPEN for cause in check.causes)
    )


def offers(facts: OfferFacts, inbox: Sequence[Anchor], stood_in: Collection[str] = ()) -> tuple[Offer, ...]:
    """All of them, the nearest first. `inbox`: what can be read again of the window's ranges of inbox topics, by whose
    labels `stood_in` are those where receipts stand in for all that is gone."""
    replays = _replays(facts, inbox, stood_in)
    return (*_publishing(facts), *_basis(facts), *_waivers(facts), *_redrives(facts), *replays)


def _publishing(facts: OfferFacts) -> Iterator[Offer]:
    """Of a rerun, too: an attempt says itself whose it is."""
    for attempt in facts.undecidable:
        yield Offer(Kind.DECIDE, {"attempt": attempt}, "no scan can say what became of it", f"attempt {attempt}")
    waiting = sorted({*facts.withheld, *facts.lost})
    if waiting:
        by_name = facts.is_rerun or len(waiting) > MOST_ATTEMPTS
        asked = {"attempts": waiting[:MOST_NAMED]} if by_name else _window(facts)
        yield Offer(Kind.REPUBLISH, asked, LOST_WITH_ITS_BUS if facts.lost else "what was proven ABSENT waits for it")


def _basis(facts: OfferFacts) -> Iterator[Offer]:
    settled = facts.verdict == "FAIL" or (facts.verdict == "PASS" and not facts.waived)
    if settled or facts.is_rerun:
        return
    if any(offers_refresh(cause.act.text) for check in facts.broken() for cause in check.causes):
        yield Offer(Kind.BASIS, _window(facts), "a topic promises less than when the window opened")


def _waivers(facts: OfferFacts) -> Iterator[Offer]:
    if facts.failed or facts.is_rerun or not facts.is_cut:
        return
    for check in facts.broken():
        if check.name in WAIVABLE and (check.name is not CheckName.NOT_EMPTY or facts.empty_waivable):
            asked = {**_window(facts), "check": str(check.name)}
            yield Offer(Kind.WAIVE, asked, "it may stand broken until then", str(check.name), ("until",))


def _redrives(facts: OfferFacts) -> Iterator[Offer]:
    if facts.is_rerun or facts.place.taken or not facts.reruns:
        return
    for reason in facts.reasons:
        asked = {**_window(facts), "reason_code": reason.name}
        yield Offer(
            Kind.REDRIVE,
            asked,
            "what was set aside goes through admission again",
            f"{reason.items:,} {reason.name}",
            _CONSENT if facts.newest_ordered else (),
        )


def calls_for_replay(facts: OfferFacts) -> bool:
    """Whether reading the window again may be called for, as far as the ledger goes: then Kafka is asked."""
    place = facts.place
    if facts.is_rerun or not facts.is_cut or place.taken or place.filling or place.readable:
        return False
    return bool(broken_for_good(facts.checks))


def _replays(facts: OfferFacts, inbox: Sequence[Anchor], stood_in: Collection[str]) -> Iterator[Offer]:
    """Proven first where offsets have no receipt: a run in its place admits nothing that the window's run has not."""
    held = [anchor for anchor in inbox if anchor.reach is not Reach.EMPTY]
    if not held or not calls_for_replay(facts) or any(anchor.reach is Reach.UNMEASURED for anchor in held):
        return
    found = [*_fresh(facts, held), *_proofs(facts, held, stood_in)]
    found_broken = broken_for_good(facts.checks)
    missed = any(check.name is CheckName.ACCOUNTED or _by_what_is_missing(check) for check in found_broken)
    yield from reversed(found) if missed or facts.moved else found  # and a bus that was created again is mended so


def _by_what_is_missing(check: Check) -> bool:
    """Effects that went missing are written again while the window is proven."""
    return check.name is CheckName.APPLIED and all(of_missing_effects(cause.text) for cause in check.causes)


def _fresh(facts: OfferFacts, held: Iterable[Anchor]) -> Iterator[Offer]:
    place = facts.place
    if place.left_out or any(anchor.reach is not Reach.ALL for anchor in held):
        return
    asked: dict[str, Any] = {**_window(facts), "mode": FRESH, "whole": True}
    if place.contract is not None:
        asked["contract"] = place.contract
    yield Offer(Kind.REPLAY, asked, "a run of its own takes the window's place", FRESH)


def _proofs(facts: OfferFacts, held: Sequence[Anchor], stood_in: Collection[str]) -> Iterator[Offer]:
    if not facts.reruns:
        return
    there = [anchor for anchor in held if anchor.first is not None and anchor.first < anchor.source.end]
    if not there:
        return
    members: dict[str, Any] = {**_window(facts), "mode": PROVE}
    lacking = [anchor for anchor in held if anchor.reach is not Reach.ALL]
    if all(anchor.source.label in stood_in for anchor in lacking):
        members["whole"] = True
        why = "a rerun shows what of it was missed" + (", and receipts stand in for what is gone" if lacking else "")
    else:
        members["ranges"] = [{"source": each.source.label, "from": each.first, "to": each.source.end} for each in there]
        why = "a rerun reads what is still there of it"
    yield Offer(Kind.REPLAY, members, why, PROVE, _CONSENT if facts.own_ordered else ())


def _window(facts: OfferFacts) -> dict[str, Any]:
    return {"window": facts.number}
