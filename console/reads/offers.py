"""What can be asked for about a window, in the words of each face: a button, a command line, a document."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from audit.core.check import Check
from console.reads.anchors import replay_shown
from ingest.core.ids import WindowId
from plans.core.offers import Offer
from plans.core.plan import Kind
from plans.offers import offers_of


def shown_offers(win: WindowId, checks: Sequence[Check]) -> tuple[Offer, ...]:
    """For a page, which waits for Kafka no longer than a page may."""
    return offers_of(win, checks, replay_shown)


_WORDS: Mapping[Kind, str] = {
    Kind.WAIVE: "waiver of",
    Kind.BASIS: "basis refresh",
    Kind.DECIDE: "decision about",
    Kind.REDRIVE: "redrive of",
    Kind.REPLAY: "replay:",
}


def offer_words(offer: Offer) -> str:
    """What a person asks for: "waiver of QUARANTINE"."""
    return f"{_WORDS.get(offer.kind, offer.kind)} {offer.about}".strip()


def offer_fields(offer: Offer, run: str) -> dict[str, str]:
    """The same as the form of the page that asks for plans has it."""
    fields = {name: _text(value) for name, value in offer.asked.items() if name not in ("whole", "ranges")}
    if offer.kind is Kind.REPLAY:
        fields["ranges"] = "whole" if "whole" in offer.asked else ",".join(map(_range, offer.asked["ranges"]))
    return {"kind": str(offer.kind), "run": run, **fields}


def _text(value: object) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _range(said: Mapping[str, Any]) -> str:
    return f"{said['source']}={said['from']}:{said['to']}"


def offer_command(offer: Offer, run: str) -> str:
    """The same as a command line; what it lacks stands in capitals."""
    words = ["passgate", "plan", "submit", str(offer.kind), shlex.quote(run)]
    for name, value in offer.asked.items():
        words += _options(name, value)
    words += ["--out-of-order" if name == "out_of_order" else f"--{name} {name.upper()}" for name in offer.lacks]
    return " ".join([*words, "--because …", "--as NAME"])


def _options(name: str, value: Any) -> list[str]:
    if name == "whole":
        return ["--whole"]
    if name == "ranges":
        return [f"--range {shlex.quote(_range(each))}" for each in value]
    if name == "attempts":
        return [f"--attempt {each}" for each in value]
    return [f"--{name.replace('_', '-')} {shlex.quote(str(value))}"]
