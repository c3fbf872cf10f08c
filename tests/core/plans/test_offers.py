"""Which plans a window offers, over facts as they can be: a rule without a database."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.core.anchors import Anchor, AnchorSource, Reach
from audit.core.check import Act, Cause, Check, CheckName, State
from plans.core.offers import FRESH, PROVE, OfferFacts, PlaceFacts, ReasonCount, offers
from plans.core.plan import Kind


def broken(name: str, act: str = "open a new run", permission: str = "open", follows: str = "") -> Check:
    cause = Cause("something is wrong", Act(act, permission))
    root = CheckName(follows) if follows else None
    return Check(CheckName(name), State.BROKEN, "", "", None, None, (cause,), root)


def facts(*checks: Check, **more: Any) -> OfferFacts:
    """A window that is cut and BLOCKED, of a contract that asks for one approval."""
    known: dict[str, Any] = {
        "number": 2, "is_rerun": False, "is_cut": True, "verdict": "BLOCKED", "failed": False, "waived": False,
        "empty_waivable": True, "checks": checks,
    }  # fmt: skip
    return OfferFacts(**known | more)


def failed(*checks: Check, **more: Any) -> OfferFacts:
    return facts(*(checks or (broken("APPLIED"),)), verdict="FAIL", failed=True, **more)


def log(reach: Reach = Reach.ALL, first: int | None = 0, number: int = 0) -> Anchor:
    """The first ten offsets of an inbox partition."""
    label = f"inbox/{number}"
    source = AnchorSource(label, "inbox", "topic", "cluster", "topic", "inbox", number, 0, 10)
    return Anchor(source, reach, first, first or 0)


def offered(of: OfferFacts, *inbox: Anchor) -> list[str]:
    """Each as its kind and what of the window it is about."""
    return [f"{offer.kind} {offer.about}".strip() for offer in offers(of, inbox or (log(),))]


BASIS = broken("BASIS", "set retention.ms of bus back, or ask for a basis plan", "operate")
FELL = broken("CONTEXT", "open a new run, on a context that stands")
MANY = [ReasonCount("TOO_LARGE", 3), ReasonCount("SCHEMA", 1)]


@pytest.mark.parametrize(
    ("of", "wanted"),
    [
        (facts(), []),
        (facts(broken("QUARANTINE")), ["waive QUARANTINE"]),
        (facts(broken("EXPECTED"), broken("NOT_EMPTY")), ["waive EXPECTED", "waive NOT_EMPTY"]),
        (facts(broken("NOT_EMPTY"), empty_waivable=False), []),
        (facts(broken("QUARANTINE", follows="CAUGHT_UP")), []),
        (facts(broken("QUARANTINE"), is_cut=False), []),
        (facts(broken("QUARANTINE"), failed=True), []),
        (facts(broken("QUARANTINE"), is_rerun=True), []),
        (facts(replace(broken("QUARANTINE"), state=State.UNMEASURED)), []),
        (facts(BASIS), ["basis"]),
        (facts(BASIS, is_cut=False), ["basis"]),
        (facts(BASIS, verdict="PASS"), []),
        (facts(BASIS, verdict="PASS", waived=True), ["basis"]),
        (failed(BASIS), []),
        (facts(reasons=MANY), ["redrive 3 TOO_LARGE", "redrive 1 SCHEMA"]),
        (facts(reasons=MANY, is_cut=False), ["redrive 3 TOO_LARGE", "redrive 1 SCHEMA"]),
        (facts(reasons=MANY, reruns=False), []),
        (facts(reasons=MANY, is_rerun=True), []),
        (facts(reasons=MANY, place=PlaceFacts(taken=True)), []),
        (facts(undecidable=[7], withheld=[8]), ["decide attempt 7", "republish"]),
        (facts(undecidable=[7], withheld=[8], is_rerun=True), ["decide attempt 7", "republish"]),
        (failed(lost=[3]), ["republish", "replay fresh", "replay prove"]),
        (failed(lost=[3], moved=True), ["republish", "replay prove", "replay fresh"]),
        (failed(moved=True), ["replay prove", "replay fresh"]),
        (failed(lost=[3], withheld=[2]), ["republish", "replay fresh", "replay prove"]),
        (failed(), ["replay fresh", "replay prove"]),
        (failed(broken("ACCOUNTED")), ["replay prove", "replay fresh"]),
        (failed(is_cut=False), []),
        (failed(is_rerun=True), []),
        (failed(place=PlaceFacts(taken=True)), []),
        (failed(place=PlaceFacts(filling=True)), []),
        (failed(place=PlaceFacts(readable=True)), []),
        (failed(place=PlaceFacts(left_out=2)), ["replay prove"]),
        (failed(reruns=False), ["replay fresh"]),
        (facts(FELL), ["replay fresh", "replay prove"]),
        (facts(FELL, verdict="PASS"), ["replay fresh", "replay prove"]),
        (facts(broken("DEGRADED")), ["waive DEGRADED", "replay fresh", "replay prove"]),
        (facts(broken("PUBLISHED", "reconcile the publish", "reconcile")), []),
    ],
)  # fmt: skip
def test_what_is_offered(of: OfferFacts, wanted: list[str]) -> None:
    assert offered(of) == wanted


@pytest.mark.parametrize(
    ("inbox", "wanted"),
    [
        ([log(), log(number=1)], ["replay fresh", "replay prove"]),
        ([log(), log(Reach.EMPTY, None, 1)], ["replay fresh", "replay prove"]),
        ([log(Reach.EMPTY, None)], []),
        ([log(), log(Reach.UNMEASURED, None, 1)], []),
        ([log(Reach.NOTHING, None)], []),
        ([log(), log(Reach.NOTHING, None, 1)], ["replay prove"]),
        ([log(Reach.FROM, 4)], ["replay prove"]),
    ],
)
def test_only_what_is_there_is_read_again(inbox: list[Anchor], wanted: list[str]) -> None:
    assert offered(failed(), *inbox) == wanted


def test_a_run_in_its_place_is_not_offered_where_it_would_be_without_events() -> None:
    assert offered(failed(place=PlaceFacts(left_out=2))) == ["replay prove"]


def test_nothing_is_read_again_while_nobody_says_what_is_there() -> None:
    assert offered(failed(), log(), log(Reach.UNMEASURED, None, 1)) == []


def test_a_window_that_can_be_read_keeps_its_place() -> None:
    assert offered(facts(FELL, place=PlaceFacts(readable=True))) == []


def test_a_proof_names_what_is_still_there() -> None:
    (offer,) = offers(failed(), [log(Reach.FROM, 4), log(Reach.NOTHING, None, 1)])
    assert offer.asked == {"window": 2, "mode": PROVE, "ranges": [{"source": "inbox/0", "from": 4, "to": 10}]}


def test_a_proof_of_all_of_it_is_offered_where_receipts_stand_in_for_what_is_gone() -> None:
    """For each source of which something is gone; and something must be there."""
    inbox = [log(Reach.FROM, 4), log(Reach.NOTHING, None, 1), log(number=2)]
    (offer,) = offers(failed(), inbox, {"inbox/0", "inbox/1"})
    assert offer.asked == {"window": 2, "mode": PROVE, "whole": True}
    assert offer.why == "a rerun shows what of it was missed, and receipts stand in for what is gone"
    (part,) = offers(failed(), inbox, {"inbox/0"})
    assert "ranges" in part.asked
    assert offers(failed(), [log(Reach.NOTHING, None)], {"inbox/0"}) == ()


def test_a_fresh_run_is_asked_for_under_a_contract_of_the_same_inbox() -> None:
    offer = offers(failed(place=PlaceFacts(contract=1)), [log()])[0]
    assert offer.asked == {"window": 2, "mode": FRESH, "whole": True, "contract": 1}


def test_a_window_that_holds_nothing_is_not_read_again() -> None:
    assert offers(failed(), []) == ()


@pytest.mark.parametrize("more", [{"is_rerun": True, "withheld": [8, 9]}, {"withheld": range(2_000)}])
def test_attempts_are_named_where_the_window_does_not_say_them(more: dict[str, Any]) -> None:
    """A rerun has its window's number; and one plan takes a thousand at most."""
    (offer,) = offers(facts(**more), [])
    assert offer.asked == {"attempts": list(more["withheld"][:50])}
    assert offers(facts(withheld=[8]), [])[0].asked == {"window": 2}


def test_what_asking_takes_and_what_is_left_to_say() -> None:
    (waiver,) = offers(facts(broken("QUARANTINE")), [])
    assert (waiver.kind, waiver.permission, waiver.lacks) == (Kind.WAIVE, "waive", ("until",))
    assert [each.permission for each in offers(facts(BASIS, reasons=MANY[:1]), [])] == ["basis", "replay"]
