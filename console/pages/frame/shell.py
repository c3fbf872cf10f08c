"""Rendering: one template, one context, two ways. The whole page, or only its live part when htmx asks for it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Concatenate, ParamSpec

from django.conf import settings
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import BadRequest
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import render
from django.urls import reverse

from console.pages.frame.contexts import Entry, Person, Problem, Shell
from console.permissions import NOT_KNOWN, Act, Answer, either, may, roles_of
from console.reads import needs as reads

P = ParamSpec("P")

SHEETS = tuple(f"console/css/{name}.css" for name in ("tokens", "base", "shell", "status", "table", "form", "parts"))
THEMES = ("", "light", "dark")
THEME_COOKIE = "passgate_theme"

# How often an open page asks again, in seconds.
STEADY = 5
RUNNING = 1
ENDED = 0

TONES = {"production": "production", "prod": "production", "staging": "staging", "stage": "staging"}


def page(
    request: HttpRequest,
    template: str,
    context: Any,
    *,
    here: str = "",
    pace: int | None = None,
    status: int = 200,
    **more: Any,
) -> HttpResponse:
    """Render `pages/{template}.html` with `context` as `page`.

    `here` is the entry that is lit, `pace` how often the live part asks again (None: the page has no live part). The
    answer is never stored by a cache: what it shows was true once.
    """
    name = f"pages/{template}.html"
    if pace is not None and asks_for_part(request):
        name += "#live"
    rendered = render(
        request,
        name,
        {"page": context, "shell": shell(request, here, pace or 0), "sheets": SHEETS, **more},
        status=status,
    )
    rendered["Cache-Control"] = "no-store"
    rendered["Vary"] = "Cookie, HX-Request"
    return rendered


def asks_for_part(request: HttpRequest) -> bool:
    """Whether only the live part is wanted: what stands around it is not to be worked out again."""
    return request.headers.get("HX-Request") == "true" and request.headers.get("HX-Target") == "page"


def shell(request: HttpRequest, here: str = "", pace: int = 0) -> Shell:
    """Header and index for whoever looks; nobody without a role learns a count."""
    answer = may(request.user, Act.LOOK)
    waiting = waiting_for(request) if answer else None
    environment: str = settings.PASSGATE_ENVIRONMENT
    return Shell(
        now=datetime.now(UTC),
        environment=environment,
        tone=TONES.get(environment.lower(), "other"),
        theme=theme_of(request),
        entries=_entries(here, waiting),
        needs=waiting.mine(request.user) if waiting else None,
        person=_person(request) if request.user.is_authenticated else None,
        path=request.get_full_path(),
        pace=pace,
    )


def waiting_for(request: HttpRequest) -> reads.Needs:
    """What waits, asked once a request: the header counts it, and Now lists it."""
    found: reads.Needs | None = getattr(request, "_passgate_needs", None)
    if found is None:
        found = reads.needs(request.user)
        request._passgate_needs = found  # type: ignore[attr-defined]
    return found


def theme_of(request: HttpRequest) -> str:
    """The theme chosen on /me/, or "" for the system's."""
    chosen = request.COOKIES.get(THEME_COOKIE, "")
    return chosen if chosen in THEMES else ""


def _entries(here: str, waiting: reads.Needs | None) -> tuple[Entry, ...]:
    quarantined = waiting.items_open if waiting else None
    unknown = waiting.attempts_unknown if waiting else None
    plans = waiting.plans if waiting else None
    return (
        Entry("Now", reverse("now"), here == "now"),
        Entry("Runs", reverse("runs"), here == "runs"),
        Entry("Quarantine", reverse("quarantine"), here == "quarantine", quarantined, bool(quarantined)),
        Entry("Unknown", reverse("unknown"), here == "unknown", unknown, bool(unknown)),
        Entry("Plans", reverse("plans"), here == "plans", plans.in_all if plans else None, bool(plans and plans.mine)),
        Entry("Evidence", "", False),
        Entry("System", reverse("lanes"), here == "system"),
    )


def _person(request: HttpRequest) -> Person:
    try:
        roles = either(roles_of(request.user), "no role", ", ")
    except DatabaseError:  # the header stands without it; the page itself was refused by may()
        roles = "roles unknown"
    return Person(request.user.get_username(), roles)


View = Callable[Concatenate[HttpRequest, P], HttpResponseBase]


def needs(act: Act, acts: bool = False) -> Callable[[View[P]], View[P]]:
    """A view for people who may do `act`: others sign in first, or read why not. Only one that `acts` takes a POST."""
    methods = ["GET", "HEAD", "POST"] if acts else ["GET", "HEAD"]

    def wrap(view: View[P]) -> View[P]:
        def guarded(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
            if request.method not in methods:
                return HttpResponseNotAllowed(methods)
            if "\x00" in request.path or any("\x00" in value for value in request.GET.values()):
                raise BadRequest("a NUL character is no name of anything, and PostgreSQL refuses it")
            answer = may(request.user, act)
            if answer:
                return view(request, *args, **kwargs)
            if answer.code == "not_signed_in":
                return redirect_to_login(request.get_full_path())
            return refused(request, answer)

        return functools.update_wrapper(guarded, view)

    return wrap


def refused(request: HttpRequest, answer: Answer) -> HttpResponse:
    """The page of a no. 503 when permissions could not be looked up: the same person may be let in later."""
    status = 503 if answer.code == NOT_KNOWN.code else 403
    problem = Problem(status, "You cannot do this", answer.reason, "What you may do stands on your own page.")
    return page(request, "frame/problem", problem, status=status)


def missing(request: HttpRequest, words: str, next_words: str = "") -> HttpResponse:
    """The page of something that is not there."""
    return page(request, "frame/problem", Problem(404, "Not found", words, next_words), status=404)
