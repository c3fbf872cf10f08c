"""The one sentence: what is wrong, what to do next, and who may do it.

`{window} is {STATE}: {cause}, {cause} and {n more}. Next: {act}. {You can do this | Needs an approver}.`
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from audit.core import checks as c
from audit.core import facts as f
from audit.core import words as w
from audit.core.verdict import State, Verdict

MOST_CAUSES = 3


@dataclass(frozen=True)
class Diagnosis:
    """The sentence and its parts. `act` is None when nothing is to be done (PASS) or nothing can be (FAIL)."""

    sentence: str
    causes: tuple[c.Cause, ...]
    act: c.Act | None

    def __str__(self) -> str:
        return self.sentence


def diagnose(v: Verdict, number: int | None = None, permissions: Collection[str] | None = None) -> Diagnosis:
    """`number`: the verdict's, once it has one. `permissions`: the viewer's; None leaves out who can do it."""
    found = _diagnosed(v, number, permissions)
    left = left_behind(v.behind)
    return replace(found, sentence=f"{found.sentence} {left}.") if left else found


def _diagnosed(v: Verdict, number: int | None, permissions: Collection[str] | None) -> Diagnosis:
    causes = ranked(v)
    if v.state is State.PASS:
        return Diagnosis(_passed(v), (), None)
    head = f"Window {v.window.number} is {v.state}: {_listed(causes)}."
    if v.state is State.FAIL:
        stays = f"; #{number} stays" if number is not None else ""
        return Diagnosis(f"{head} This cannot be cleared. Open a new run{stays}.", causes, None)
    act = causes[0].act if causes else None
    return Diagnosis(" ".join([head, *_next(act, permissions)]), causes, act)


def left_behind(behind: Sequence[f.Behind]) -> str:
    """What a cut left to the next window, as a sentence without its stop; "" where it left nothing."""
    if not behind:
        return ""
    n, since = sum(each.offsets for each in behind), min((each.since for each in behind if each.since), default=None)
    of = w.sources([each.label for each in behind])
    seen = f" since {w.clock(since)}" if since else ""
    wait, go = ("waits", "goes") if n == 1 else ("wait", "go")
    what = "an open transaction" if len(behind) == 1 else "open transactions"
    return f"{w.count(n, 'offset')} of {of} {wait} behind {what}{seen} and {go} to the next window"


def ranked(v: Verdict) -> tuple[c.Cause, ...]:
    """What cannot be cleared, what somebody has to do something about, what lanes are still at work on, what was not
    measured. What follows from another check stays out, and a cause that several checks share is said once."""
    ranks: tuple[list[c.Cause], ...] = ([], [], [], [])
    for check in v.failed():
        if check.follows_from is None:
            for cause in check.causes:
                ranks[_rank(check, cause)].append(cause)
    causes = [cause for rank in ranks for cause in rank] or [cause for check in v.failed() for cause in check.causes]
    first: dict[str, c.Cause] = {}
    for cause in causes:
        first.setdefault(cause.text, cause)
    return tuple(first.values())


def _rank(check: c.Check, cause: c.Cause) -> int:
    if check.state is c.State.UNMEASURED:
        return 3
    if cause.severity is c.Severity.FAIL:
        return 0
    return 1 if cause.act.permission else 2


def _listed(causes: Sequence[c.Cause]) -> str:
    texts = [cause.text for cause in causes]
    if len(texts) > MOST_CAUSES:
        texts = [*texts[: MOST_CAUSES - 1], f"{w.number(len(texts) - MOST_CAUSES + 1)} more"]
    return w.listed(texts)


def _next(act: c.Act | None, permissions: Collection[str] | None) -> list[str]:
    if act is None:
        return []
    said = [f"Next: {act.text}."]
    if permissions is None or not act.permission:
        return said
    if act.needs_approver:
        return [*said, "Needs an approver."]
    return [*said, "You can do this."] if act.permission in permissions else said


def _passed(v: Verdict) -> str:
    """A waived check is named in the sentence itself: nobody may overlook it."""
    holding = sum(check.state is c.State.HOLDS for check in v.checks)
    if v.waived:
        waived = [f"{waiver.check} is waived by {waiver.by} ({waiver.reason})" for waiver in v.waivers]
        said = w.listed([w.count(holding, "check holds", "checks hold"), *waived])
    else:
        said = f"all {holding} checks hold"
    records = w.count(v.counts.records, "record") if v.counts else "0 records"
    return f"Window {v.window.number} is {v.title}: {said}. {w.sentence_case(records)}, every one accounted for."
