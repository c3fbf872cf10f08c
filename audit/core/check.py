"""What a check is, and the pieces that every check is made of.

A check HOLDS only by a positive measurement. What was not read, is older than its bound, or is older than what it
should cover is UNMEASURED; it is never zero and never green.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum

from audit.core import facts as f
from audit.core import phrases as w


class CheckName(StrEnum):
    """In the order pages list them."""

    COVERAGE = "COVERAGE"
    CAUGHT_UP = "CAUGHT_UP"
    ACCOUNTED = "ACCOUNTED"
    BALANCED = "BALANCED"
    EXPECTED = "EXPECTED"
    PUBLISHED = "PUBLISHED"
    APPLIED = "APPLIED"
    COMMITTED = "COMMITTED"
    QUARANTINE = "QUARANTINE"
    DEGRADED = "DEGRADED"
    CONTEXT = "CONTEXT"
    BASIS = "BASIS"
    NOT_EMPTY = "NOT_EMPTY"


#: What an approved waiver may let stand. Everything else is the ledger's own word, which nobody waives.
WAIVABLE = frozenset({CheckName.NOT_EMPTY, CheckName.QUARANTINE, CheckName.EXPECTED, CheckName.DEGRADED})


class State(StrEnum):
    HOLDS = "HOLDS"  # by a positive measurement
    BROKEN = "BROKEN"  # measured, and not so
    UNMEASURED = "UNMEASURED"  # nobody can say
    WAIVED = "WAIVED"  # broken, and an approved plan lets it stand


class Severity(StrEnum):
    BLOCKED = "BLOCKED"  # something can still be done
    FAIL = "FAIL"  # an invariant is broken; only a rerun helps


@dataclass(frozen=True)
class Act:
    """What a person does next. `permission` is what it takes ("" = only waiting)."""

    text: str
    permission: str = ""
    needs_approver: bool = False


@dataclass(frozen=True)
class Cause:
    """One reason why a check does not hold, as it stands in the sentence."""

    text: str
    act: Act
    severity: Severity = Severity.BLOCKED


@dataclass(frozen=True)
class Check:
    name: CheckName
    state: State
    required: str
    observed: str
    measured_at: datetime | None
    source: str | None
    causes: tuple[Cause, ...] = ()
    follows_from: CheckName | None = None
    waiver: f.Waiver | None = None

    @property
    def severity(self) -> Severity | None:
        """None for a check that lets a window pass. What follows from another check is never worse than BLOCKED."""
        if self.state in (State.HOLDS, State.WAIVED):
            return None
        fails = self.state is State.BROKEN and self.follows_from is None
        return Severity.FAIL if fails and any(c.severity is Severity.FAIL for c in self.causes) else Severity.BLOCKED

    @property
    def cause(self) -> str:
        return w.listed([cause.text for cause in self.causes])


WAIT_LANES = Act("wait for the lanes")
MEASURE_KAFKA = Act("make Kafka reachable", "operate")
MEASURE_LEDGER = Act("measure again", "operate")
#: What is broken in this window stays so.
RERUN = Act("open a new run", "open")


def silence(facts: f.WindowFacts, fact: f.MeasuredValue[f.T] | None, subject: str, now: datetime) -> str | None:
    """Why `fact` may not be believed, or None. A sample must be young, at or after the cut (S11), and not older than
    the newest receipt it should cover (S14)."""
    if fact is None:
        return f"{subject} was not measured"
    if fact.measured_at > now:
        return f"{subject} was measured in the future"
    if fact.age(now) > facts.rules.sample_max_age:
        return f"{subject} was not measured for {w.age(fact.age(now))}"
    if facts.window.cut_at is not None and fact.measured_at < facts.window.cut_at:
        return f"{subject} was not measured since the cut"
    cut = facts.window.state is f.WindowState.CUT  # an open window's receipts are newer than any sample
    newest = facts.counts.value.newest_receipt_at if facts.counts and cut else None
    if newest is not None and fact.measured_at < newest:
        return f"{subject} was not measured since the newest receipt"
    return None


SUBJECTS = {
    "broker": ("Kafka", MEASURE_KAFKA),
    "committed": ("Kafka's commit", MEASURE_KAFKA),
    "database": ("Postgres' identity", MEASURE_LEDGER),
    "inbox": ("the ledger of the inbox", MEASURE_LEDGER),
    "bus": ("the effects lane", MEASURE_LEDGER),
    "counts": ("the ledger's count", MEASURE_LEDGER),
    "totals": ("the declaration of totals", MEASURE_LEDGER),
    "publishing": ("the publish ledger", MEASURE_LEDGER),
    "application": ("the set of effects", MEASURE_LEDGER),
    "quarantine": ("the quarantine", MEASURE_LEDGER),
    "joins": ("the result of the joins", MEASURE_LEDGER),
    "context": ("the context", MEASURE_LEDGER),
}


def unmeasured(facts: f.WindowFacts, now: datetime, *names: str) -> tuple[Cause, ...]:
    """The causes for which the named facts cannot be used; empty when all of them can."""
    causes = []
    for name in names:
        subject, act = SUBJECTS[name]
        text = silence(facts, getattr(facts, name), subject, now)
        if text:
            causes.append(Cause(text, act))
    return tuple(causes)


def no_basis(facts: f.WindowFacts) -> tuple[Cause, ...]:
    """The basis is old by nature: it was taken when the window opened."""
    return () if facts.basis else (Cause("the basis was not captured", Act("capture the basis", "operate")),)


def not_measured(name: CheckName, required: str, causes: tuple[Cause, ...], fact: f.MeasuredValue[f.T] | None) -> Check:
    at, source = (fact.measured_at, fact.source) if fact else (None, None)
    return Check(name, State.UNMEASURED, required, "not measured", at, source, causes)


def judged(
    name: CheckName,
    required: str,
    observed: str,
    fact: f.MeasuredValue[f.T],
    broken: Iterable[Cause] = (),
    unknown: Iterable[Cause] = (),
) -> Check:
    broken, unknown = tuple(broken), tuple(unknown)
    state = State.BROKEN if broken else State.UNMEASURED if unknown else State.HOLDS
    return Check(name, state, required, observed, fact.measured_at, fact.source, broken + unknown)


def following(check: Check, root: CheckName) -> Check:
    return replace(check, follows_from=root)


def unfinished(check: Check, text: str, root: CheckName = CheckName.CAUGHT_UP) -> Check:
    """A check whose lanes are still at work: nothing is wrong so far, which is UNMEASURED and never HOLDS."""
    return replace(check, state=State.UNMEASURED, causes=(Cause(text, WAIT_LANES),), follows_from=root)


def not_seen(labels: frozenset[str]) -> Iterable[Cause]:
    """Sources that should have been measured and were not."""
    if labels:
        were = "was" if len(labels) == 1 else "were"
        yield Cause(f"{w.sources(sorted(labels))} {were} not measured", MEASURE_KAFKA)
