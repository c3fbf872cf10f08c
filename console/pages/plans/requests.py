"""What can be asked for about a window, a button each: as `plans.core.offers` has it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from django.http import HttpRequest
from django.urls import reverse

from audit.core.check import Check
from console import links
from console.pages.frame import contexts as c
from console.permissions import Act, may
from console.reads.offers import offer_fields, offer_words, shown_offers
from console.reads.runs import Scope
from ingest.core.ids import WindowId
from plans.core.offers import Offer


def requests(request: HttpRequest, seen: Scope, checks: Sequence[Check]) -> tuple[c.Button, ...]:
    """Everything that can be asked for about the window, or rerun, that is looked at, and whose checks are these."""
    if seen.window is None:
        return ()
    found = shown_offers(WindowId(seen.window.id), checks)
    return tuple(request_button(request, seen.name, offer, f"Request {offer_words(offer)}") for offer in found)


def beside_a_fail(said: c.DiagnosisBox, found: Sequence[c.Button], proven_by: int | None) -> c.DiagnosisBox:
    """What is offered now, beside what a FAIL says for ever. Its buttons are those of the page."""
    if proven_by is not None:
        return replace(said, next=f"nothing. Rerun {proven_by} has proven this window, and readers can read it.")
    if not found:
        return replace(said, next="open a new run. No plan is offered for this window now.")
    words = " or ".join(button.text[0].lower() + button.text[1:] for button in found)
    return replace(said, next=f"{words}. {'It is' if len(found) == 1 else 'They are'} offered now.")


def request_button(request: HttpRequest, run: str, offer: Offer, words: str) -> c.Button:
    """`run`: "flights/2013-01"."""
    url = links.with_query(reverse("plan-new"), **offer_fields(offer, run))
    return c.Button(words, url, may(request.user, Act(offer.permission)))
