"""Checks as pages show them: measured now by audit, or as a verdict's body has them. Nothing is judged here."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.urls import reverse

from audit.core.check import CheckName, State
from audit.core.diagnosis import diagnose
from audit.core.verdict import Verdict
from console import links
from console.pages.frame import contexts as c
from console.reads import measuring
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId
from ingest.core.stored import known

Linker = Callable[[str], c.Link | None]

# Where the rows behind a check are: the words of the link, and the page.
EVIDENCE: Mapping[str, tuple[str, str]] = {
    "COVERAGE": ("sources →", "sources"),
    "CAUGHT_UP": ("sources →", "sources"),
    "ACCOUNTED": ("receipts →", "receipts"),
    "BALANCED": ("receipts →", "receipts"),
    "EXPECTED": ("window →", "window"),
    "PUBLISHED": ("attempts →", "unknown"),
    "APPLIED": ("sources →", "sources"),
    "COMMITTED": ("sources →", "sources"),
    "QUARANTINE": ("items →", "quarantine"),
    "DEGRADED": ("window →", "window"),
    "CONTEXT": ("window →", "window"),
    "BASIS": ("window →", "window"),
    "NOT_EMPTY": ("receipts →", "receipts"),
}


@dataclass(frozen=True, slots=True)
class CheckedWindow:
    """The checks of a window as counted last, and what the diagnosis says about them.

    `anew`: they are older than ten seconds, and are being measured again.
    """

    checks: c.Checks
    said: c.DiagnosisBox
    verdict: Verdict
    anew: bool = False


class PendingChecks:
    """The checks are being measured: a first look at a window of millions of receipts takes longer than a page may."""


def now(window: WindowId, link: Linker, permissions: Collection[str]) -> CheckedWindow | PendingChecks | PassgateError:
    """What audit says about a window now. An error is an answer too: the page shows it instead of checks."""
    try:
        shown = measuring.measured(window)
    except PassgateError as error:
        return error
    if shown is None:
        return PendingChecks()
    verdict = shown.verdict
    said = said_before(verdict) if shown.anew else said_of(verdict, permissions)
    return CheckedWindow(checks_of(verdict, link), said, verdict, shown.anew)


def said_before(verdict: Verdict) -> c.DiagnosisBox:
    """What was so when it was counted. What it asked for may be done since: nothing is offered."""
    return c.DiagnosisBox(diagnose(verdict).finding, anew_words(verdict))


def anew_words(verdict: Verdict) -> str:
    return f"wait; this is what was counted at {verdict.judged_at:%H:%M:%S}, and it is being measured anew."


def said_of(verdict: Verdict, permissions: Collection[str]) -> c.DiagnosisBox:
    """The sentence in its parts: cause, next act, whether the person looking can do it."""
    diagnosis = diagnose(verdict)
    sentence, act = diagnosis.finding, diagnosis.act
    if act is None:
        return c.DiagnosisBox(sentence)
    if not act.permission:
        return c.DiagnosisBox(sentence, f"{act.text}.")
    if act.needs_approver:
        return c.DiagnosisBox(sentence, f"{act.text}.", "Needs an approver.")
    can = "You can do this." if act.permission in permissions else "Your role cannot do this."
    return c.DiagnosisBox(sentence, f"{act.text}.", can)


def checks_of(verdict: Verdict, link: Linker) -> c.Checks:
    """Measured now."""
    lines = tuple(
        c.CheckLine(
            name=str(check.name),
            state=str(check.state),
            required=check.required,
            observed=check.observed,
            at=check.measured_at,
            source=check.source or "",
            evidence=link(str(check.name)),
            follows=str(check.follows_from) if check.follows_from else "",
            acts=tuple(cause.act.text for cause in check.causes),
        )
        for check in verdict.checks
    )
    unlisted = tuple(f"{each.name} is not listed: {each.why}." for each in verdict.not_listed)
    return c.Checks(lines, verdict.judged_at, not_listed=unlisted)


def checks_of_body(body: Mapping[str, Any], title: str, link: Linker) -> c.Checks:
    """As a verdict has them. A body of an unknown shape shows no checks rather than guessed ones (S15)."""
    if body.get("schema") != "passgate.verdict/1":
        return c.Checks(
            (),
            None,
            verdict=title,
            failed=f"This verdict has the shape {body.get('schema')!r}, "
            "which this console does not know: its checks are unmeasured here.",
        )
    lines = tuple(
        c.CheckLine(
            name=check["check"],
            state=_stored_state(check),
            required=check["required"],
            observed=check["observed"],
            at=moment(check.get("measured_at")),
            source=check.get("source", ""),
            evidence=link(check["check"]),
            follows=check.get("follows_from", ""),
            acts=tuple(cause["next"] for cause in check["causes"]),
        )
        for check in body["checks"]
    )
    unlisted = tuple(f"{each['check']} is not listed: {each['why']}." for each in body.get("not_listed", ()))
    return c.Checks(lines, moment(body.get("judged_at")), verdict=title, not_listed=unlisted)


def _stored_state(check: Mapping[str, Any]) -> str:
    """As a verdict has it. That a check of a later version holds this one cannot say: it is drawn as nobody's state."""
    state = str(check["state"])
    return state if known(CheckName, check["check"]) and known(State, state) else f"{state} (not known here)"


def moment(text: str | None) -> datetime | None:
    """A time as verdict bodies write it."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")) if text else None


def evidence_links(stream: str, run_name: str, window: int, newest: bool, rerun: int | None = None) -> Linker:
    """Where the evidence of each check of this window, or rerun of it, is."""

    def link(check: str) -> c.Link | None:
        if check not in EVIDENCE:
            return None
        words, where = EVIDENCE[check]
        if where == "unknown":
            return c.Link(words, links.with_query(reverse("unknown"), run=f"{stream}/{run_name}", state="all"))
        if where == "quarantine":
            return c.Link(words, links.with_query(reverse("quarantine"), run=f"{stream}/{run_name}", by="item"))
        if where == "window" or rerun and where == "sources":
            words = "rerun →" if rerun else words
            return c.Link(words, links.either_url(stream, run_name, window, rerun))
        url = links.run_url(stream, run_name, where)
        if rerun:
            return c.Link(words, links.with_query(url, window=window, rerun=rerun))
        return c.Link(words, url if newest else links.with_query(url, window=window))

    return link
