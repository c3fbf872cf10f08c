"""What every page that acts shares: a refusal is written down, a reason is asked for."""

from __future__ import annotations

from django.http import HttpRequest

from console.people import NOT_KNOWN, Act, Answer
from ingest.auditlog import record_refusal

NO_REASON = "Say why, so that whoever reads the verdict understands."
MOST_REASON = 2_000


def reason_in(request: HttpRequest) -> str:
    """The reason of a form, trimmed and bounded."""
    return request.POST.get("reason", "").replace("\x00", "").strip()[:MOST_REASON]


def refuse(request: HttpRequest, act: Act, answer: Answer) -> str:
    """Write a refused act to the audit log and return the reason. What could not be looked up names nobody."""
    if answer.code != NOT_KNOWN.code:
        record_refusal(
            request.user.get_username(), f"console.{act.value}", request.path, answer.reason, {"code": answer.code}
        )
    return answer.reason
