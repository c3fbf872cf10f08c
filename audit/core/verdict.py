"""The verdict: a pure function of measured facts, and its rendering for storage.

| state | when |
|---|---|
| PASS | every listed check HOLDS by a positive measurement, or is WAIVED; the window is cut |
| FAIL | a check is BROKEN in a way that nothing can clear |
| BLOCKED | everything else |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

import rfc8785

from audit.core import checks as c
from audit.core import facts as f
from audit.core.snapshot import behind_body, stamp

SCHEMA = "passgate.verdict/1"


class State(StrEnum):
    PASS = "PASS"
    BLOCKED = "BLOCKED"
    FAIL = "FAIL"


@dataclass(frozen=True)
class UnlistedCheck:
    """A check that the contract does not ask for: named with the reason, never shown as holding."""

    name: str
    why: str


@dataclass(frozen=True)
class Verdict:
    """`judged_at` is the database's time at which the facts were held against each other; `measured_at` the oldest of
    them, `valid_until` until when that one is young enough to store a verdict on.
    """

    state: State
    window: f.WindowName
    checks: tuple[c.Check, ...]
    not_listed: tuple[UnlistedCheck, ...]
    judged_at: datetime
    basis_generation: int | None = None
    basis_digest: str | None = None
    counts: f.Counts | None = None
    publishing: f.PublishFacts | None = None
    joins: f.Joins | None = None
    durability: str = "unmeasured"
    context: tuple[f.PinnedVerdict, ...] = ()
    measured_at: datetime | None = None
    valid_until: datetime | None = None
    behind: tuple[f.RangeBehindCut, ...] = ()
    refreshes: tuple[f.Refresh, ...] = ()
    decisions: tuple[f.AttemptDecision, ...] = ()
    gone: f.StandIn | None = None
    """Of a rerun: what was gone when it was read again, and what stands in for it."""
    cover: f.Cover | None = None
    """Of a rerun: whether it proves all of its window."""

    @property
    def waivers(self) -> tuple[f.Waiver, ...]:
        return tuple(check.waiver for check in self.checks if check.waiver)

    @property
    def waived(self) -> bool:
        return self.state is State.PASS and bool(self.waivers)

    @property
    def title(self) -> str:
        """PASS, PASS (waived), BLOCKED or FAIL."""
        return f"{self.state} (waived)" if self.waived else str(self.state)

    def check(self, name: c.CheckName) -> c.Check | None:
        return next((check for check in self.checks if check.name is name), None)

    def failed(self) -> tuple[c.Check, ...]:
        """Every check that keeps the window from passing."""
        return tuple(check for check in self.checks if check.severity is not None)


def verdict(facts: f.WindowFacts, now: datetime) -> Verdict:
    """Judge `facts` at `now` (the database's clock). No side effects, no look at anything else."""
    answers = [(name, judge(facts, now)) for name, judge in c.ALL]
    checks = tuple(waive(check, facts, now) for _, check in answers if check is not None)
    basis = facts.basis.value if facts.basis else None
    oldest = facts.oldest()
    return Verdict(
        state=_state(checks, facts),
        window=facts.window,
        checks=checks,
        not_listed=_not_listed(tuple(name for name, check in answers if check is None)),
        judged_at=now,
        basis_generation=basis.generation if basis else None,
        basis_digest=basis.digest if basis else None,
        counts=facts.counts.value if facts.counts else None,
        publishing=facts.publishing.value if facts.publishing else None,
        joins=facts.joins.value if facts.joins and facts.rules.joins else None,
        decisions=facts.decisions,
        durability=durability(basis),
        context=tuple(pin for pin in facts.context.value if pin.reference) if facts.context else (),
        measured_at=oldest,
        valid_until=oldest + facts.rules.sample_max_age if oldest else None,
        behind=facts.behind,
        refreshes=basis.refreshes if basis else (),
        gone=_gone(facts),
    )


def _gone(facts: f.WindowFacts) -> f.StandIn | None:
    found = [s.stand_in for s in facts.inbox.value if s.stand_in is not None] if facts.inbox else []
    return sum(found, f.StandIn()) if found else None


def _not_listed(names: tuple[c.CheckName, ...]) -> tuple[UnlistedCheck, ...]:
    sealed = UnlistedCheck("SEALED", "verdicts are not sealed yet")
    return (*(UnlistedCheck(name, c.NOT_LISTED[name]) for name in names), sealed)


def _state(checks: tuple[c.Check, ...], facts: f.WindowFacts) -> State:
    severities = {check.severity for check in checks}
    if c.Severity.FAIL in severities:
        return State.FAIL
    if c.Severity.BLOCKED in severities or facts.window.state is not f.WindowState.CUT:
        return State.BLOCKED
    return State.PASS


def waive(check: c.Check, facts: f.WindowFacts, now: datetime) -> c.Check:
    """An approved waiver lets a BROKEN check stand. It reaches neither UNMEASURED nor what cannot be cleared, nor
    anything once it is over, or once the facts are others than those it was approved for."""
    waiver = next((w for w in facts.waivers if w.check == check.name and w.stands(now)), None)
    broken = check.state is c.State.BROKEN and check.severity is c.Severity.BLOCKED and check.follows_from is None
    if waiver is None or not broken or not waivable(check.name, facts.rules):
        return check
    return replace(check, state=c.State.WAIVED, waiver=waiver)


def waivable(name: c.CheckName, rules: f.CloseRules) -> bool:
    if name is c.CheckName.NOT_EMPTY:
        return rules.empty_waivable
    return name in c.WAIVABLE


def durability(basis: f.Basis | None) -> str:
    """A bus with one replica is labelled on every verdict: it is a development install."""
    posture = basis.broker.bus.posture if basis else None
    replicas = (posture or {}).get("replication.factor")
    if replicas is None:
        return "unmeasured"
    return "development" if replicas == "1" else "replicated"


# ---- rendering ------------------------------------------------------------------------------------------------------


def body(v: Verdict, number: int | None, sentence: str) -> dict[str, Any]:
    """JSON of strings, integers and booleans only: its RFC 8785 form is the same everywhere. No key is ever null."""
    out: dict[str, Any] = {
        "schema": SCHEMA,
        "state": str(v.state),
        "waived": v.waived,
        "sentence": sentence,
        "window": _window(v.window),
        "judged_at": stamp(v.judged_at),
        "checks": [check_body(check) for check in v.checks],
        "not_listed": [{"check": n.name, "why": n.why} for n in v.not_listed],
        "waivers": [waiver_body(w) for w in v.waivers],
        "durability": v.durability,
        "sealed": False,
        "context": [{"name": p.name, "verdict": p.reference, "digest": p.digest} for p in v.context],
    }
    return out | _optional(v, number)


def _optional(v: Verdict, number: int | None) -> dict[str, Any]:
    """Keys that a body has only where they were measured: a missing key says "not measured", never 0."""
    out: dict[str, Any] = {}
    if number is not None:
        out["number"] = number
    if v.measured_at is not None and v.valid_until is not None:
        out["facts"] = {"measured_at": stamp(v.measured_at), "valid_until": stamp(v.valid_until)}
    if v.basis_generation is not None and v.basis_digest is not None:
        out["basis"] = {"generation": v.basis_generation, "digest": v.basis_digest}
        if v.refreshes:
            out["basis"]["refreshes"] = [
                {"generation": x.generation, "plan": x.plan, "why": x.why} for x in v.refreshes
            ]
    if v.window.complete_until is not None:  # by the clock that stamps appends, less the contract's clock_skew
        out["complete_until"] = stamp(v.window.complete_until)
    elif v.window.complete_why:
        out["not_known_complete"] = v.window.complete_why
    if v.window.rerun is not None:
        out["rerun"] = rerun_body(v.window.rerun)
    if v.gone is not None:
        out["gone"] = gone_body(v.gone)
    if v.cover is not None:
        out |= cover_body(v.cover)
    if v.counts:
        out["counts"] = counts_body(v.counts)
    if v.publishing:
        out["published"] = {"events": v.publishing.events, "placed": v.publishing.placed_once}
        if v.publishing.copies:
            out["published"]["copies"] = v.publishing.copies
    if v.decisions:
        out["decisions"] = [decision_body(decision) for decision in v.decisions]
    if v.behind:
        out["behind_the_cut"] = [behind_body(each) for each in v.behind]
    if v.joins:
        out["joins"] = {"MATCHED": v.joins.matched, "MISSING": v.joins.missing, "AMBIGUOUS": v.joins.ambiguous}
    return out


def counts_body(counts: f.Counts) -> dict[str, Any]:
    return {
        "records": counts.records,
        "admitted": counts.admitted,
        "duplicates": counts.duplicates,
        "quarantined": counts.quarantined,
        "admitted_by_class": dict(counts.by_class),
    }


def check_body(check: c.Check) -> dict[str, Any]:
    out: dict[str, Any] = {
        "check": str(check.name),
        "state": str(check.state),
        "required": check.required,
        "observed": check.observed,
        "causes": [cause_body(cause) for cause in check.causes],
    }
    optional = {
        "severity": str(check.severity) if check.severity else None,
        "measured_at": stamp(check.measured_at) if check.measured_at else None,
        "source": check.source,
        "follows_from": str(check.follows_from) if check.follows_from else None,
        "waiver": waiver_body(check.waiver) if check.waiver else None,
    }
    return out | {key: value for key, value in optional.items() if value is not None}


def cause_body(cause: c.Cause) -> dict[str, Any]:
    return {
        "text": cause.text,
        "next": cause.act.text,
        "permission": cause.act.permission,
        "needs_approver": cause.act.needs_approver,
        "severity": str(cause.severity),
    }


def _window(window: f.WindowName) -> dict[str, Any]:
    out: dict[str, Any] = {
        "stream": window.stream,
        "run": window.run_name,
        "number": window.number,
        "state": str(window.state),
        "revision": window.revision,
        "contract": {"version": window.contract_version, "digest": window.contract_digest},
    }
    if window.cut_at:
        out["cut_at"] = stamp(window.cut_at)
    if window.rerun is not None and window.rerun.number is not None:
        out |= {"reruns": window.number, "rerun": window.rerun.number}
    return out


def rerun_body(rerun: f.RerunName) -> dict[str, Any]:
    """Who asked for a rerun and who approved it, and the contract of the window that it reruns, beside its own; and
    that its events come out of their keys' order, where whoever asked consented to that."""
    consent = {"out_of_order": True} if rerun.out_of_order else {}
    return consent | {
        "plan": rerun.plan,
        "kind": rerun.kind,
        "requested_by": rerun.requested_by,
        "approved_by": rerun.approved_by,
        "reason": rerun.reason,
        "contract": {"version": rerun.contract_version, "digest": rerun.contract_digest},
    }


def gone_body(gone: f.StandIn) -> dict[str, Any]:
    """How much was gone; receipts that stand in for it, how many of these without their payload, and of how many
    batches; and how much of it held no record."""
    return {name: getattr(gone, name) for name in ("offsets", "receipts", "empty", "unkept", "batches")}


def cover_body(cover: f.Cover) -> dict[str, Any]:
    """`covers` where the rerun opens its window, with what was counted of that, and `mended` where effects of it were
    written again; else what is missing."""
    if not cover.whole:
        return {"does_not_cover": list(cover.lacks)}
    counted = {name: getattr(cover, name) for name in ("events", "referred", "effects", "places", "batches")}
    mended = {"mended": cover.mended} if cover.mended else {}
    return {"covers": {"window": cover.window, "revision": cover.revision, **counted, **mended}}


def waiver_body(waiver: f.Waiver) -> dict[str, Any]:
    return {
        "check": waiver.check,
        "plan": waiver.plan,
        "requested_by": waiver.requested_by,
        "approved_by": waiver.approved_by,
        "reason": waiver.reason,
        "until": stamp(waiver.until.astimezone(UTC)),
        "facts": waiver.bound,
    }


def decision_body(decision: f.AttemptDecision) -> dict[str, Any]:
    return {
        "attempt": decision.attempt,
        "plan": decision.plan,
        "requested_by": decision.requested_by,
        "approved_by": decision.approved_by,
        "reason": decision.reason,
        "present": decision.present,
        "absent": decision.absent,
    }


def read_waiver(said: Mapping[str, Any]) -> f.Waiver:
    """A waiver of a stored body."""
    facts, until = str(said["facts"]), datetime.fromisoformat(said["until"])
    names = (said["check"], said["plan"], said["requested_by"], said["approved_by"], said["reason"])
    return f.Waiver(*names, until, facts, facts)


def passes_anew(before: Mapping[str, Any], now: Verdict) -> bool:
    """Whether a PASS is stored after the one in the body `before`: only where that one leaned on a waiver, and this one
    leans on another, or on none. A waiver ends; without this nobody could ever open such a window again."""
    leans = [waiver_body(waiver) for waiver in now.waivers]
    return bool(before.get("waived")) and now.state is State.PASS and before["waivers"] != leans


def digest(body: Mapping[str, Any]) -> bytes:
    """SHA-256 over the canonical form (RFC 8785) of a body: 32 bytes."""
    return hashlib.sha256(rfc8785.dumps(dict(body))).digest()


def unchanged(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether two bodies say the same: state and every check's state and causes, whatever the times."""
    return _gist(before) == _gist(after)


def _gist(body: Mapping[str, Any]) -> tuple[Any, ...]:
    if body.get("schema") != SCHEMA:
        return ("unknown shape",)
    checks = [(x["check"], x["state"], tuple(cause["next"] for cause in x["causes"])) for x in body["checks"]]
    return (body["state"], body["waived"], tuple(checks), body.get("basis", {}).get("generation"))


def changes(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """What changed from one verdict's checks to the next one's, a line per check: "PUBLISHED broken → holds"."""
    was = {check["check"]: check for check in before.get("checks", ())}
    lines: list[str] = []
    for check in after.get("checks", ()):
        old = was.get(check["check"])
        if old is None:
            lines.append(f"{check['check']} is new")
        elif old["state"] != check["state"]:
            lines.append(f"{check['check']} {old['state'].lower()} → {check['state'].lower()}")
        elif check["state"] == "BROKEN" and old["observed"] != check["observed"] and check.get("follows_from") is None:
            lines.append(f"{check['check']} {old['observed']} → {check['observed']}")
    lines += [
        f"{name} is no longer listed" for name in was if name not in {x["check"] for x in after.get("checks", ())}
    ]
    return lines or ["nothing changed"]
