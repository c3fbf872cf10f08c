"""Acts of people on pages, all alike: a page says what will be done and asks, its form does it.

An act declares itself as a `Confirmation`; what follows from that stands here once. The page is shown on GET. On POST
the permission is looked up, a refusal is written to the audit log, what the form lacks is said, the verb is called, and
the person is told and led on, or reads on the same page what went wrong, under the status that the API gives it.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Concatenate, ParamSpec

from django.contrib import messages
from django.http import HttpRequest, HttpResponseBase, HttpResponseRedirect

from console.pages.frame import contexts as c
from console.pages.frame.shell import View, needs, page
from console.permissions import NOT_KNOWN, Act, Answer, may
from console.problems import status_of
from console.reads import measuring
from console.refusals import refused
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId

P = ParamSpec("P")

NO_REASON = "Say why, so that whoever reads the verdict understands."
MOST_REASON = 2_000


class Errors(tuple[str, ...]):
    """What is wrong, in sentences, and the status that the page answers with; without any, all went well."""

    status: int = 200

    @classmethod
    def of(cls, words: Iterable[str], status: int = 422) -> Errors:
        """422: the form was understood, and something in it is missing or cannot be."""
        found = cls(words)
        found.status = status if found else 200
        return found


@dataclass(frozen=True, slots=True)
class Done:
    """What was done: the message, where the person goes, and the windows that pages must measure anew."""

    message: str
    url: str
    windows: Sequence[WindowId] = ()


class Confirmation(ABC):
    """One act of a person, as one request asks for it.

    `url` is where its form goes, `back` where its page leads those who do not act.
    """

    permission: ClassVar[Act]
    template: ClassVar[str]
    here: ClassVar[str]
    url: str
    back: str

    @property
    @abstractmethod
    def button(self) -> str:
        """The words on the one button."""

    @abstractmethod
    def same(self) -> c.SameAct:
        """The same act as a command line and as an API call."""

    @abstractmethod
    def page(self, confirm: c.Confirm) -> object:
        """The context of the page: the question, its arithmetic, and `confirm`, which every such page has."""

    @abstractmethod
    def act(self, actor: str) -> Done | Errors:
        """Calls the verb. A named error of it is shown; several things done at once may say theirs as Errors."""

    def allowed(self, user: Any) -> Answer:
        """Whether this person may: by the permission, and by what else only a person can be refused for."""
        return may(user, self.permission)

    def nothing(self) -> str:
        """Why there is nothing to do; "" where there is. The verb is asked all the same: it knows better."""
        return ""

    def lacks(self) -> Errors:
        """What the form lacks, or names that cannot be."""
        return Errors()

    def only_looks(self) -> bool:
        """Whether the form was sent to be looked at, because a URL is no place for what it holds: nothing is done."""
        return False

    def hidden(self) -> tuple[tuple[str, str], ...]:
        """The selection as the form carries it, so that confirming means exactly what was shown."""
        return ()


def confirmed(view: Callable[Concatenate[HttpRequest, P], Confirmation]) -> View[P]:
    """The view of a page that acts: the only one of the console's own that takes a POST."""

    @needs(Act.LOOK, acts=True)
    def answered(request: HttpRequest, /, *args: P.args, **kwargs: P.kwargs) -> HttpResponseBase:
        return _answer(request, view(request, *args, **kwargs))

    return functools.update_wrapper(answered, view)


def _answer(request: HttpRequest, act: Confirmation) -> HttpResponseBase:
    allowed = act.allowed(request.user)
    errors = Errors()
    if request.method == "POST" and not act.only_looks():
        done = _act(request, act, allowed)
        if isinstance(done, Done):
            for window in done.windows:
                measuring.forget(window)
            messages.success(request, done.message)
            return HttpResponseRedirect(done.url)
        errors = done
    confirm = c.Confirm(
        url=act.url,
        back=act.back,
        button=act.button,
        nothing=act.nothing(),
        answer=allowed,
        errors=errors,
        same=act.same(),
        hidden=act.hidden(),
    )
    return page(request, act.template, act.page(confirm), here=act.here, status=errors.status)


def _act(request: HttpRequest, act: Confirmation, allowed: Answer) -> Done | Errors:
    if not allowed:
        return _refuse(request, act.permission, allowed)
    lacks = act.lacks()
    if lacks:
        return lacks
    try:
        return act.act(request.user.get_username())
    except PassgateError as error:
        return Errors.of([str(error)], status_of(error))


def _refuse(request: HttpRequest, act: Act, answer: Answer) -> Errors:
    """Write a refused act to the audit log; 403. What could not be looked up names nobody, and may be asked again."""
    if answer.code == NOT_KNOWN.code:
        return Errors.of([answer.reason], 503)
    refused(request.user.get_username(), f"console.{act.value}", request.path, answer.reason, {"code": answer.code})
    return Errors.of([answer.reason], 403)


def reason_in(request: HttpRequest) -> str:
    """The reason of a form, trimmed and bounded."""
    return request.POST.get("reason", "").replace("\x00", "").strip()[:MOST_REASON]
