"""PUBLISHED, APPLIED, DEGRADED, CONTEXT: is every event on the bus once, its effect with us once, its join sound?"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import datetime

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.check import (
    MEASURE_LEDGER,
    RERUN,
    WAIT_LANES,
    Act,
    Cause,
    Check,
    CheckName,
    Severity,
    State,
    following,
    judged,
    no_basis,
    not_measured,
    unfinished,
    unmeasured,
)
from audit.core.progress import all_admitted, bus_caught_up
from audit.core.stopped import publish_causes


def published(facts: f.WindowFacts, now: datetime) -> Check:
    name, required = CheckName.PUBLISHED, "one ACKED place for every event, 0 unknown, 0 foreign"
    causes = no_basis(facts) + unmeasured(facts, now, "publishing")
    if causes or not (facts.basis and facts.publishing):
        return not_measured(name, required, causes, facts.publishing)
    p, bus = facts.publishing.value, facts.basis.value.broker.bus.name
    observed = f"{w.number(p.placed_once)} of {w.count(p.events, 'event')} at one place{_copies(p, facts.decisions)}"
    broken = (*_contradicted(p), *_over(p, bus), *_unsettled(p), *publish_causes(p), *_misplaced(p, bus))
    check = judged(name, required, observed, facts.publishing, broken)
    if check.state is State.HOLDS and not all_admitted(facts):
        return unfinished(check, "the events up to the cut were not admitted yet")
    if check.state is State.HOLDS and not bus_caught_up(facts, now):
        return unfinished(check, f"{bus} was not read to its end yet")
    return check


def _copies(p: f.PublishFacts, decisions: Sequence[f.AttemptDecision]) -> str:
    """A copy is no cause of anything: it changed nothing. But no attempt of ours writes an event twice, unless people
    decided that it had not, or that it was lost."""
    if not p.copies or p.first_copy is None:
        return ""
    partition, offset = p.first_copy
    where = f"{'the first ' * (p.copies > 1)}at partition {partition}, offset {offset}"
    absent = any(decision.absent for decision in decisions)
    whose = "of what was decided absent, or by somebody else" if absent else "by somebody else"
    whose = "of what was published again" if p.lost else whose
    return f", and {w.count(p.copies, 'further copy', 'further copies')} {whose}, {where}"


def _contradicted(p: f.PublishFacts) -> Iterable[Cause]:
    if p.contradictions:
        n = p.contradictions
        text = f"{w.count(n, 'settled publish', 'settled publishes')} {w.be(n)} contradicted by the bus"
        yield Cause(text, RERUN, Severity.FAIL)


def _publishes(pair: tuple[int, int]) -> str:
    return f"{w.count(pair[0], 'publish', 'publishes')} ({w.count(pair[1], 'event')})"


def _the_publishes(n: int) -> str:
    return "the publish" if n == 1 else f"the {w.number(n)} publishes"


def went_to(bus: str) -> str:
    """How a verdict says it, for good: the rule of a cover goes by it, and the database's."""
    return f" went to a {bus} that is gone"


def _over(p: f.PublishFacts, bus: str) -> Iterable[Cause]:
    """Their log is gone: nobody can look any more, so nobody can settle them."""
    if p.over[0]:
        attempts = w.listed([str(number) for number in p.over_names])
        more = f" and {w.number(p.over[0] - len(p.over_names))} more" if p.over[0] > len(p.over_names) else ""
        name = "attempt" if p.over[0] == 1 else "attempts"
        text = f"{name} {attempts}{more} ({w.count(p.over[1], 'event')}){went_to(bus)}"
        yield Cause(text, RERUN, Severity.FAIL)


def _unsettled(p: f.PublishFacts) -> Iterable[Cause]:
    if p.unknown[0]:
        act = Act(f"reconcile {_the_publishes(p.unknown[0])}", "reconcile")
        yield Cause(f"{_publishes(p.unknown)} {w.have(p.unknown[0])} no known outcome", act)
    if p.undecidable[0]:
        act = Act(f"reconcile {_the_publishes(p.undecidable[0])} again, or ask for a decide plan", "reconcile")
        yield Cause(f"{_publishes(p.undecidable)} {w.be(p.undecidable[0])} UNDECIDABLE", act)
    if p.withheld[0]:
        act = Act("ask for a republish plan", "replay", needs_approver=True)
        yield Cause(f"{_publishes(p.withheld)} {w.have(p.withheld[0])} been proven ABSENT", act)
    if p.in_flight[0]:
        yield Cause(f"{_publishes(p.in_flight)} {w.be(p.in_flight[0])} in flight", WAIT_LANES)
    if p.queued:
        yield Cause(f"{w.count(p.queued, 'event')} wait{'s' * (p.queued == 1)} to be published", WAIT_LANES)


def _misplaced(p: f.PublishFacts, bus: str) -> Iterable[Cause]:
    look = Act(f"find who writes to {bus}, then open a new run", "open")
    lost = p.unplaced - p.unsettled
    if lost > 0:
        yield Cause(f"{w.count(lost, 'event')} {w.have(lost)} no place on {bus}", RERUN)
    if p.placed_more:
        yield Cause(f"{w.count(p.placed_more, 'event')} {w.have(p.placed_more)} more than one ACKED place", RERUN)
    if p.foreign:
        yield Cause(f"{w.count(p.foreign, 'record')} of {bus} {w.be(p.foreign)} FOREIGN", look)
    if p.mismatching:
        do = "does" if p.mismatching == 1 else "do"
        yield Cause(f"{w.count(p.mismatching, 'record')} of {bus} {do} not match the ledger's digest", look)


def applied(facts: f.WindowFacts, now: datetime) -> Check:
    """Identities, not ranges: neighbours' records lie inside a bus range. Judged after the bus was read to its end.

    What readers read is compared with the effects, too: a row that no effect made is there whatever is still to come.
    """
    name, required = CheckName.APPLIED, "events = effects of these events = what readers read of them"
    causes = unmeasured(facts, now, "application", "publishing")
    if causes or not (facts.application and facts.publishing):
        return not_measured(name, required, causes, facts.application)
    a = facts.application.value
    observed = ", ".join([f"{w.number(a.applied)} of {w.count(a.events, 'event')} applied", *map(_shown, a.tables)])
    check = judged(name, required, observed, facts.application, _unapplied(a))
    if a.surplus or any(table.missing or table.surplus for table in a.tables):
        return check
    root = _applied_root(facts, now)
    if root is None:
        return check
    return following(check, root) if a.missing else unfinished(check, "the effects were not all read yet", root)


def _shown(table: f.TruthTable) -> str:
    return f"{w.number(table.taken - table.missing)} of {w.number(table.taken)} in {table.name}"


def _applied_root(facts: f.WindowFacts, now: datetime) -> CheckName | None:
    """The check that APPLIED waits for: None where all was published, read and admitted."""
    if facts.publishing and facts.publishing.value.unsettled:
        return CheckName.PUBLISHED
    return None if bus_caught_up(facts, now) and all_admitted(facts) else CheckName.CAUGHT_UP


_OF_MISSING = re.compile(
    r"[0-9,]+ (?:(?:event is|events are) not applied|(?:effect is|effects are) not in truth\.[a-z0-9_]+)"
)


def of_missing_effects(text: str) -> bool:
    """Whether a cause of APPLIED says that effects, or rows of them, were missing: as a verdict says it, for good. The
    rule of a cover goes by it, and the database's."""
    return _OF_MISSING.fullmatch(text) is not None


def _unapplied(a: f.Application) -> Iterable[Cause]:
    if a.missing:
        yield Cause(f"{w.count(a.missing, 'event')} {w.be(a.missing)} not applied", RERUN, Severity.FAIL)
    if a.surplus:
        yield Cause(f"{w.count(a.surplus, 'effect')} {w.have(a.surplus)} no event", RERUN, Severity.FAIL)
    if not a.missing and not a.surplus and a.applied != a.events:
        yield Cause(f"{w.count(a.applied, 'effect')} for {w.count(a.events, 'event')}", RERUN, Severity.FAIL)
    for table in a.tables:
        yield from _untrue(table)


def _untrue(table: f.TruthTable) -> Iterable[Cause]:
    """Its rows are written in the transaction of the effects: what differs was written, or lost, elsewhere."""
    if table.missing:
        text = f"{w.count(table.missing, 'effect')} {w.be(table.missing)} not in {table.name}"
        yield Cause(text, RERUN, Severity.FAIL)
    if table.surplus:
        text = f"{w.count(table.surplus, 'identity', 'identities')} of {table.name} {w.have(table.surplus)} no effect"
        yield Cause(text, RERUN, Severity.FAIL)


def degraded(facts: f.WindowFacts, now: datetime) -> Check | None:
    """The check DEGRADED; None, and so not in the list, where the contract's projection joins nothing."""
    if not facts.rules.joins:
        return None
    name = CheckName.DEGRADED
    required = f"MISSING ≤ {facts.rules.missing_max}, AMBIGUOUS ≤ {facts.rules.ambiguous_max} of the joins"
    causes = unmeasured(facts, now, "joins", "application")
    if causes or not (facts.joins and facts.application):
        return not_measured(name, required, causes, facts.joins)
    j, silent = facts.joins.value, facts.application.value.applied - facts.joins.value.total
    observed = f"{w.number(j.matched)} MATCHED, {w.number(j.missing)} MISSING, {w.number(j.ambiguous)} AMBIGUOUS"
    text = f"{w.count(abs(silent), 'effect')} say{'s' * (abs(silent) == 1)} nothing of the join"
    unknown = [Cause(text, MEASURE_LEDGER)] if silent else []
    # Of all events to come, so that a part of them applied is not BROKEN by what came first.
    joins = max(j.total, facts.application.value.events)
    check = judged(name, required, observed, facts.joins, _degraded(j, joins, facts.rules), unknown)
    root = _applied_root(facts, now)
    if check.state is State.HOLDS and root is not None:
        return unfinished(check, "the effects were not all read yet", root)
    return check


def _degraded(j: f.Joins, joins: int, rules: f.CloseRules) -> Iterable[Cause]:
    bounds = (("MISSING", j.missing, rules.missing_max), ("AMBIGUOUS", j.ambiguous, rules.ambiguous_max))
    for word, found, share in bounds:
        allowed = int(share * joins)
        if found > allowed:
            text = f"{w.count(found, 'join')} {word}, {w.number(allowed)} allowed"
            yield Cause(text, RERUN)


def context(facts: f.WindowFacts, now: datetime) -> Check | None:
    """None without a projection that joins: then it is not listed. What a join found rests on a verdict of another
    stream, and stands as long as that does."""
    if not facts.rules.contexts:
        return None
    name, required = CheckName.CONTEXT, "every pinned verdict the newest of its window, PASS, and its gate open"
    causes = unmeasured(facts, now, "context")
    if causes or not facts.context:
        return not_measured(name, required, causes, facts.context)
    pins = facts.context.value
    standing = [pin.reference for pin in pins if not pin.why]
    observed = f"{w.listed(standing)} {'stands' if len(standing) == 1 else 'stand'}" if standing else "none stands"
    broken = [
        Cause(pin.why, ANOTHER_CONTEXT if pin.reference else FRESH_CONTEXT) for pin in pins if pin.why and pin.fallen
    ]
    broken += [
        Cause(f"no verdict of {x} is pinned", ANOTHER_CONTEXT) for x in facts.rules.contexts if x not in _named(pins)
    ]
    unknown = [
        Cause(pin.why, LOOK_AGAIN if pin.reference else AWAIT_CONTEXT) for pin in pins if pin.why and not pin.fallen
    ]
    return judged(name, required, observed, facts.context, broken, unknown)


ANOTHER_CONTEXT = Act("open a new run, on a context that stands", "open")
FRESH_CONTEXT = Act("ask for a replay plan of the context's window, mode fresh", "replay")
AWAIT_CONTEXT = Act("wait until that window has PASS")
LOOK_AGAIN = Act("wait for that gate to be looked at again")


def _named(pins: Iterable[f.PinnedVerdict]) -> frozenset[str]:
    return frozenset(pin.name for pin in pins)
