"""The one sentence: what is wrong, what to do next, and who may do it.

`{window} is {STATE}: {cause}, {cause} and {n more}. Next: {act}. {You can do this | Needs an approver}.`
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from audit.core import checks as c
from audit.core import facts as f
from audit.core import phrases as w
from audit.core.snapshot import read_behind
from audit.core.verdict import SCHEMA, State, Verdict, read_waiver
from ingest.core.stored import known

MOST_CAUSES = 3


@dataclass(frozen=True)
class Diagnosis:
    """The sentence and its parts. `act` is None when nothing is to be done (PASS) or nothing can be (FAIL).

    `finding` is the sentence without the next act and who may do it, `why` the same without window and state, and
    `following` what comes after it.
    """

    sentence: str
    causes: tuple[c.Cause, ...]
    act: c.Act | None
    finding: str = ""
    why: str = ""
    following: str = ""

    def __str__(self) -> str:
        return self.sentence


def diagnose(v: Verdict, number: int | None = None, permissions: Collection[str] | None = None) -> Diagnosis:
    """`number`: the verdict's, once it has one. `permissions`: the viewer's; None leaves out who can do it."""
    diagnosis = _diagnosed(v, number, permissions)
    left = left_behind(v.behind)
    sentence = f"{diagnosis.sentence} {left}." if left else diagnosis.sentence
    finding = diagnosis.finding if diagnosis.act else sentence
    following = [f"{text}." for text in (diagnosis.act.text, left) if text] if diagnosis.act else []
    return replace(
        diagnosis, sentence=sentence, finding=finding, why=finding.removeprefix(_head(v)), following=" ".join(following)
    )


def _head(v: Verdict) -> str:
    rerun = f" rerun {v.window.rerun.number}" if v.window.rerun and v.window.is_rerun else ""
    return f"Window {v.window.number}{rerun} is {v.title}: "


def _diagnosed(v: Verdict, number: int | None, permissions: Collection[str] | None) -> Diagnosis:
    causes = ranked(v)
    if v.state is State.PASS:
        return Diagnosis(_passed(v), (), None)
    head = f"{_head(v)}{_listed(causes)}."
    if v.state is State.FAIL:
        stays = f"; #{number} stays" if number is not None else ""
        # which plan would be taken is for later to say: what the inbox still has changes, and this is sealed
        next_ = "Open a new run, or ask for a replay where one is offered"
        return Diagnosis(f"{head} This cannot be cleared. {next_}{stays}.", causes, None)
    act = causes[0].act if causes else None
    return Diagnosis(" ".join([head, *_next(act, permissions)]), causes, act, head)


def left_behind(behind: Sequence[f.RangeBehindCut]) -> str:
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
        waived = [_waived(waiver) for waiver in v.waivers]
        said = w.listed([w.count(holding, "check holds", "checks hold"), *waived])
    else:
        said = f"all {holding} checks hold"
    records = w.count(v.counts.records, "record") if v.counts else "0 records"
    return f"{_head(v)}{said}. {w.sentence_case(records)}, every one accounted for."


def _waived(waiver: f.Waiver) -> str:
    until = w.moment(waiver.until.astimezone(UTC))
    who = f"asked for by {waiver.requested_by}, approved by {waiver.approved_by}"
    return f"{waiver.check} is waived until {until} by plan {waiver.plan} ({who}: {waiver.reason})"


# ---- of a stored verdict --------------------------------------------------------------------------------------------


def told(body: Mapping[str, Any]) -> Diagnosis:
    """What a stored verdict says, from the state, checks and causes in its body; nothing is parsed from its sentence.

    Of a shape, or with words, that this version does not know there is the sentence, and nothing else.
    """
    sentence = str(body.get("sentence", ""))
    if body.get("schema") != SCHEMA:
        return Diagnosis(sentence, (), None, sentence, sentence)
    if words := not_known(body):
        following = f"look with the version that stored it: this one does not know {w.listed(words)}."
        return Diagnosis(sentence, (), None, sentence, sentence, following)
    found = diagnose(_judged(body), body.get("number"))
    return replace(found, sentence=sentence)


def checks_in(body: Mapping[str, Any]) -> tuple[c.Check, ...]:
    """The checks of a stored verdict; none of a shape, or with a word, that this version does not know."""
    return _judged(body).checks if body.get("schema") == SCHEMA and not not_known(body) else ()


def not_known(body: Mapping[str, Any]) -> list[str]:
    """Words of a stored verdict, of a shape that is known, that this version does not know: a later one wrote them.

    What such a check requires nobody can say here, so nothing follows from the verdict but what it says itself.
    """
    words = [(State, body["state"]), (f.WindowState, body["window"]["state"])]
    for check in body["checks"]:
        words += [(c.CheckName, check["check"]), (c.State, check["state"])]
        words += [(c.CheckName, check[key]) for key in ("follows_from",) if key in check]
        words += [(c.Severity, x["severity"]) for x in (check, *check["causes"]) if "severity" in x]
    return list(dict.fromkeys(str(said) for kind, said in words if known(kind, said) is None))


def _judged(body: Mapping[str, Any]) -> Verdict:
    """As much of a verdict as is said about it."""
    window, counts = body["window"], body.get("counts")
    name = f.WindowName(
        window["stream"],
        window["run"],
        window["number"],
        f.WindowState(window["state"]),
        window["revision"],
        window["contract"]["version"],
        window["contract"]["digest"],
        rerun=_rerun(window["rerun"], body["rerun"]) if "rerun" in window else None,
    )
    return Verdict(
        state=State(body["state"]),
        window=name,
        checks=tuple(map(_check, body["checks"])),
        not_listed=(),
        judged_at=datetime.fromisoformat(body["judged_at"]),
        counts=_counts(counts) if counts else None,
        behind=read_behind({"behind": body.get("behind_the_cut", ())}),
    )


def _rerun(number: int, x: Mapping[str, Any]) -> f.RerunName:
    people = x["requested_by"], x["approved_by"], x["reason"]
    contract = x["contract"]["version"], x["contract"]["digest"]
    return f.RerunName(number, x["plan"], x["kind"], *people, *contract, x.get("out_of_order", False))


def _check(x: Mapping[str, Any]) -> c.Check:
    waiver = x.get("waiver")
    return c.Check(
        c.CheckName(x["check"]),
        c.State(x["state"]),
        x["required"],
        x["observed"],
        None,
        x.get("source"),
        tuple(_cause(cause, x) for cause in x["causes"]),
        c.CheckName(x["follows_from"]) if "follows_from" in x else None,
        read_waiver(waiver) if waiver else None,
    )


def _cause(x: Mapping[str, Any], check: Mapping[str, Any]) -> c.Cause:
    """Bodies of before say only of a whole check how bad it is."""
    severity = x.get("severity", check.get("severity", c.Severity.BLOCKED))
    return c.Cause(x["text"], c.Act(x["next"], x["permission"], x["needs_approver"]), c.Severity(severity))


def _counts(x: Mapping[str, Any]) -> f.Counts:
    sums = x["admitted"], x["duplicates"], x["quarantined"]
    return f.Counts(x["records"], *sums, *sums, x["admitted_by_class"])
