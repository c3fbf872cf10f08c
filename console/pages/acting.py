"""What every page that acts shares: a refusal is written down, a reason is asked for."""

from __future__ import annotations

from collections.abc import Iterable

from django.http import HttpRequest

from console.permissions import NOT_KNOWN, Act, Answer
from console.problems import status_of
from console.refusals import refused
from ingest.core.errors import PassgateError

NO_REASON = "Say why, so that whoever reads the verdict understands."
MOST_REASON = 2_000


def reason_in(request: HttpRequest) -> str:
    """The reason of a form, trimmed and bounded."""
    return request.POST.get("reason", "").replace("\x00", "").strip()[:MOST_REASON]


class Errors(tuple[str, ...]):
    """What is wrong, in sentences, and the status that the page answers with; without any, all went well."""

    status: int = 200

    @classmethod
    def of(cls, words: Iterable[str], status: int = 422) -> Errors:
        """422: the form was understood, and something in it is missing or cannot be."""
        found = cls(words)
        found.status = status if found else 200
        return found


def refuse(request: HttpRequest, act: Act, answer: Answer) -> Errors:
    """Write a refused act to the audit log; 403. What could not be looked up names nobody, and may be asked again."""
    if answer.code == NOT_KNOWN.code:
        return Errors.of([answer.reason], 503)
    refused(request.user.get_username(), f"console.{act.value}", request.path, answer.reason, {"code": answer.code})
    return Errors.of([answer.reason], 403)


def failed(error: PassgateError) -> Errors:
    """A named error of a verb, with the status the API gives it."""
    return Errors.of([str(error)], status_of(error))
