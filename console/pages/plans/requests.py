"""What can be asked for about a window, a button each. A kind of plan that is asked for there adds a function to
`REQUESTS`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from django.http import HttpRequest
from django.urls import reverse

from console import links
from console.pages.frame import contexts as c
from console.permissions import Act, Answer, may
from console.reads import plans, quarantine
from console.reads.runs import Scope
from ingest.core.reason import Reason

#: Reasons of a window that have a button each: the others are found in quarantine.
MOST_REASONS = 5

Requesting = Callable[[HttpRequest, Scope, c.Checks | None], Iterator[c.Button]]


def requests(request: HttpRequest, seen: Scope, shown: c.Checks | None) -> tuple[c.Button, ...]:
    """Everything that can be asked for about the window that is looked at, whose checks are `shown`."""
    return tuple(button for each in REQUESTS for button in each(request, seen, shown))


def waivers(request: HttpRequest, seen: Scope, shown: c.Checks | None) -> Iterator[c.Button]:
    """Letting a broken check stand, where that can be asked for."""
    if seen.window is None or shown is None:
        return
    verdict = seen.verdict.state if seen.verdict else ""
    for check in plans.waivable(seen.window, verdict, [line.name for line in _broken(shown)], seen.contract):
        url = _new(seen, kind="waive", check=check)
        yield c.Button(f"Request waiver of {check}", url, may(request.user, Act.WAIVE))


def refreshes(request: HttpRequest, seen: Scope, shown: c.Checks | None) -> Iterator[c.Button]:
    """Appending to the basis, where a check says that this helps."""
    if seen.window is None or shown is None:
        return
    verdict = seen.verdict.state if seen.verdict else ""
    if plans.refreshable(verdict, [act for line in _broken(shown) for act in line.acts]):
        yield c.Button("Request basis refresh", _new(seen, kind="basis"), may(request.user, Act.REFRESH_BASIS))


def _broken(shown: c.Checks) -> list[c.CheckLine]:
    return [line for line in shown.lines if line.state == "BROKEN" and not line.follows]


def redrives(request: HttpRequest, seen: Scope, shown: c.Checks | None) -> Iterator[c.Button]:
    """Sending what was set aside through admission again, by its reason."""
    if seen.window is None:
        return
    reasons = quarantine.reasons_of_window(seen.window.id)[:MOST_REASONS]
    known = [each for each in reasons if each[0] in Reason.__members__]
    redriven = [(name, items) for name, items in known if Reason[name] not in quarantine.NO_SELECTION]
    why = plans.why_not_read_again(seen.window) if redriven else ""
    for name, items in redriven:
        url = _new(seen, kind="redrive", reason_code=name)
        yield c.Button(f"Request redrive of {items:,} {name}", url, _unless(why, may(request.user, Act.REPLAY)))


def replays(request: HttpRequest, seen: Scope, shown: c.Checks | None) -> Iterator[c.Button]:
    """Reading the window again: to prove it, or, where it failed, in a run that takes its place."""
    if seen.window is None or seen.rerun is not None or not plans.has_inbox(seen.window):
        return
    failed = seen.verdict is not None and seen.verdict.state == "FAIL"
    why = plans.why_not_read_again(seen.window, in_its_place=failed)
    url = _new(seen, kind="replay", mode="fresh" if failed else "prove", ranges="whole")
    words = "Request replay in a run of its own" if failed else "Request replay that proves it"
    yield c.Button(words, url, _unless(why, may(request.user, Act.REPLAY)))


def _unless(why: str, answer: Answer) -> Answer:
    """What a person may not do at all is said first."""
    return Answer(False, why, "plan_refused") if answer and why else answer


def _new(seen: Scope, kind: str, **asked: str) -> str:
    number = seen.window.number if seen.window else None
    return links.with_query(reverse("plan-new"), kind=kind, run=seen.name, window=number, **asked)


REQUESTS: tuple[Requesting, ...] = (refreshes, waivers, redrives, replays)
