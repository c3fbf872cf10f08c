"""One pure function per check of DESIGN 6, each answering with what it required, observed, when, and from where.

A check HOLDS only by a positive measurement. What was not read, is older than its bound, or is older than what it
should cover is UNMEASURED; it is never zero and never green. SEALED is not here: verdicts are not sealed yet.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from audit.core import facts as f
from audit.core import words as w


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
    BASIS = "BASIS"
    NOT_EMPTY = "NOT_EMPTY"


UNWAIVABLE = frozenset({CheckName.ACCOUNTED, CheckName.PUBLISHED, CheckName.APPLIED})


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
RERUN = Act("rerun the window", "replay", needs_approver=True)
WAIVE = "ask for a waiver of {}"


def _waive(name: CheckName) -> Act:
    return Act(WAIVE.format(name), "waive", needs_approver=True)


# ---- what was not measured ------------------------------------------------------------------------------------------


def _silence(facts: f.WindowFacts, fact: f.Measured[f.T] | None, subject: str, now: datetime) -> str | None:
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
    sealed = facts.window.state is f.WindowState.CUT  # an open window's receipts are newer than any sample
    newest = facts.counts.value.newest_receipt_at if facts.counts and sealed else None
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
}


def unmeasured(facts: f.WindowFacts, now: datetime, *names: str) -> tuple[Cause, ...]:
    """The causes for which the named facts cannot be used; empty when all of them can."""
    causes = []
    for name in names:
        subject, act = SUBJECTS[name]
        text = _silence(facts, getattr(facts, name), subject, now)
        if text:
            causes.append(Cause(text, act))
    return tuple(causes)


def _no_basis(facts: f.WindowFacts) -> tuple[Cause, ...]:
    """The basis is old by nature: it was taken when the window opened."""
    return () if facts.basis else (Cause("the basis was not captured", Act("capture the basis", "operate")),)


def _unmeasured(name: CheckName, required: str, causes: tuple[Cause, ...], fact: f.Measured[f.T] | None) -> Check:
    at, source = (fact.measured_at, fact.source) if fact else (None, None)
    return Check(name, State.UNMEASURED, required, "not measured", at, source, causes)


def _judged(
    name: CheckName,
    required: str,
    observed: str,
    fact: f.Measured[f.T],
    broken: Iterable[Cause] = (),
    unknown: Iterable[Cause] = (),
) -> Check:
    broken, unknown = tuple(broken), tuple(unknown)
    state = State.BROKEN if broken else State.UNMEASURED if unknown else State.HOLDS
    return Check(name, state, required, observed, fact.measured_at, fact.source, broken + unknown)


# ---- COVERAGE -------------------------------------------------------------------------------------------------------


def _sampled(broker: f.Broker) -> frozenset[str]:
    inbox = {f.inbox_label(p) for p in broker.inbox.partitions} if broker.inbox else set()
    return frozenset(inbox | {f.bus_label(broker.bus.name, p) for p in broker.bus.partitions})


def coverage(facts: f.WindowFacts, now: datetime) -> Check:
    """Sets, not counts: one source missing and one too many would make the same number."""
    name, required = CheckName.COVERAGE, "the sources of the basis, no more and no fewer"
    causes = _no_basis(facts) + unmeasured(facts, now, "broker", "inbox", "bus")
    if causes or not (facts.basis and facts.broker and facts.inbox and facts.bus):
        return _unmeasured(name, required, causes, facts.broker)
    basis = facts.basis.value
    ledger = frozenset(s.label for s in facts.inbox.value) | frozenset(b.label for b in facts.bus.value)
    sampled = _sampled(facts.broker.value)
    kafka = frozenset(source.label for source in (*basis.inbox, *basis.bus) if source.partition is not None)
    extra = (ledger | sampled) - basis.labels() - basis.later
    absent = (basis.labels() - ledger) | (kafka - sampled)
    none = (
        () if basis.inbox else (Cause("the window has no inbox source", Act("connect the stream's inbox", "operate")),)
    )
    seen = len((ledger | sampled) - basis.later)
    observed = f"{w.number(len(basis.labels() - absent))} of {w.count(len(basis.labels()), 'source')} measured"
    return _judged(name, required, observed, facts.broker, _extra(extra, seen), (*none, *_absent(absent)))


def _extra(extra: frozenset[str], seen: int) -> Iterable[Cause]:
    if extra:
        text = f"{w.number(len(extra))} of {w.count(seen, 'source')} {w.be(len(extra))} not in the basis"
        yield Cause(text, Act("ask for a basis refresh", "basis", needs_approver=True))


def _absent(absent: frozenset[str]) -> Iterable[Cause]:
    if absent:
        were = "was" if len(absent) == 1 else "were"
        yield Cause(f"{w.sources(sorted(absent))} {were} not measured", MEASURE_KAFKA)


# ---- CAUGHT_UP ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Lag:
    """How far one lane is from where it must be, and why it may not move."""

    label: str
    behind: int
    stalled_since: datetime | None = None
    held_at: int | None = None

    def text(self) -> str:
        if self.held_at is not None:
            return f"{self.label} is held at {w.number(self.held_at)} by an open transaction"
        stalled = f" and STALLED since {w.clock(self.stalled_since)}" if self.stalled_since else ""
        return f"{self.label} is {w.number(self.behind)} behind{stalled}"

    def act(self) -> Act:
        if self.held_at is not None:
            return Act(f"end the open transaction that holds {self.label}", "operate")
        return Act(f"look at the lane of {self.label}", "operate") if self.stalled_since else WAIT_LANES


def lag(
    label: str,
    position: int,
    target: int,
    moved_at: datetime,
    log: f.PartitionLog | None,
    now: datetime,
    bound: timedelta,
) -> Lag:
    """A position that stands still with a backlog is STALLED, whatever any heartbeat says (S18, S22)."""
    behind = max(target - position, 0)
    held = log is not None and log.lso is not None and log.lso < (log.high_watermark or 0) and position >= log.lso
    if behind and held:
        return Lag(label, behind, held_at=position)
    stalled = behind > 0 and now - moved_at >= bound
    return Lag(label, behind, moved_at if stalled else None)


def _log(topic: f.Topic | None, partition: int | None) -> f.PartitionLog | None:
    return topic.partitions.get(partition) if topic and partition is not None else None


def _inbox_lags(facts: f.WindowFacts, now: datetime) -> list[Lag]:
    topic = facts.broker.value.inbox if facts.broker else None
    partitions = {s.label: s.partition for s in facts.basis.value.inbox} if facts.basis else {}
    bound = facts.rules.stalled_after
    lags = []
    for source in facts.inbox.value if facts.inbox else ():
        target = source.cut if source.cut is not None else source.target
        log = _log(topic, partitions.get(source.label))
        if target is not None:
            lags.append(lag(source.label, source.position, target, source.moved_at, log, now, bound))
    return [found for found in lags if found.behind]


def _bus_lags(facts: f.WindowFacts, now: datetime) -> list[Lag]:
    topic = facts.broker.value.bus if facts.broker else None
    bound = facts.rules.stalled_after
    lags = []
    for bus in facts.bus.value if facts.bus else ():
        log = _log(topic, bus.partition)
        if bus.end is not None:
            lags.append(lag(bus.label, bus.position, bus.end, bus.moved_at, log, now, bound))
    return [found for found in lags if found.behind]


def bus_caught_up(facts: f.WindowFacts, now: datetime) -> bool:
    """Every bus partition of the basis has been read to bus_end by the effects lane, by a fresh measurement."""
    if not facts.bus or not facts.basis or unmeasured(facts, now, "bus", "broker"):
        return False
    ended = {bus.label for bus in facts.bus.value if bus.end is not None and bus.position >= bus.end}
    return {source.label for source in facts.basis.value.bus} <= ended


def _lag_causes(lags: Sequence[Lag]) -> Iterable[Cause]:
    """Lanes that merely run are one cause; what stands still is named one by one."""
    odd = [found for found in lags if found.stalled_since or found.held_at is not None]
    plain = [found for found in lags if found not in odd]
    yield from (Cause(found.text(), found.act()) for found in odd)
    if len(plain) == 1:
        yield Cause(plain[0].text(), WAIT_LANES)
    elif plain:
        total = sum(found.behind for found in plain)
        yield Cause(f"{w.sources([found.label for found in plain])} are {w.number(total)} behind", WAIT_LANES)


def _not_sealed(facts: f.WindowFacts) -> Iterable[Cause]:
    if facts.window.state is f.WindowState.OPEN:
        yield Cause("the window is not sealed", Act("seal the window", "seal"))


def _ends_unread(facts: f.WindowFacts) -> list[str]:
    inbox = [s.label for s in facts.inbox.value if s.cut is None] if facts.inbox else []
    return inbox + ([b.label for b in facts.bus.value if b.end is None] if facts.bus else [])


def caught_up(facts: f.WindowFacts, now: datetime) -> Check:
    """Judged by cut and bus_end, never by today's end of the log: later records belong to a later window."""
    name = CheckName.CAUGHT_UP
    required = f"every lane at its end, at most {w.age(facts.rules.sample_max_age)} old"
    causes = _no_basis(facts) + unmeasured(facts, now, "broker", "inbox", "bus")
    if causes or not (facts.broker and facts.inbox and facts.bus):
        return _unmeasured(name, required, causes, facts.broker)
    lags = _inbox_lags(facts, now) + _bus_lags(facts, now)
    observed = f"{w.number(sum(found.behind for found in lags))} behind"
    broken = (*_not_sealed(facts), *_lag_causes(lags))
    sealed = facts.window.state is f.WindowState.CUT
    unread = _ends_unread(facts) if sealed and not lags else []  # behind its cut, nobody could know the bus's end
    return _wait_for_publishing(facts, _judged(name, required, observed, facts.broker, broken, _unread(unread)))


def _unread(labels: Sequence[str]) -> Iterable[Cause]:
    if labels:
        yield Cause(f"the end of {w.sources(labels)} was not measured", WAIT_LANES)


def _wait_for_publishing(facts: f.WindowFacts, check: Check) -> Check:
    """The bus's end is read only when every attempt is settled; until then its absence says nothing new."""
    publishing = facts.publishing.value if facts.publishing else None
    if check.state is State.UNMEASURED and publishing and publishing.unsettled:
        return _following(check, CheckName.PUBLISHED)
    return check


def _following(check: Check, root: CheckName) -> Check:
    return replace(check, follows_from=root)


# ---- ACCOUNTED ------------------------------------------------------------------------------------------------------


def accounted(facts: f.WindowFacts, now: datetime) -> Check:
    """Judged up to the position: what lies between position and cut is CAUGHT_UP's to say."""
    name, required = CheckName.ACCOUNTED, "one receipt or a proven gap for every offset"
    causes = _no_basis(facts) + unmeasured(facts, now, "inbox")
    if causes or not (facts.basis and facts.inbox):
        return _unmeasured(name, required, causes, facts.inbox)
    ledger = facts.inbox.value
    absent = {source.label for source in facts.basis.value.inbox} - {source.label for source in ledger}
    observed = f"{w.count(sum(s.receipts for s in ledger), 'receipt')}, {w.number(_unaccounted(ledger))} unaccounted"
    broken = [cause for source in ledger for cause in _unaccounted_causes(source)]
    unknown = [*_absent(frozenset(absent)), *_claimed(ledger)]
    check = _judged(name, required, observed, facts.inbox, broken, unknown)
    if check.state is State.HOLDS and any(s.cut is None or s.position < s.cut for s in ledger):
        return _unfinished(check, "the offsets up to the cut were not read yet")
    return check


def _unfinished(check: Check, text: str, root: CheckName = CheckName.CAUGHT_UP) -> Check:
    """So far so good is not HOLDS."""
    return replace(check, state=State.UNMEASURED, causes=(Cause(text, WAIT_LANES),), follows_from=root)


def _unaccounted(ledger: Sequence[f.SourceLedger]) -> int:
    return sum(s.missing + s.doubled + s.outside + s.refuted for s in ledger)


def _unaccounted_causes(s: f.SourceLedger) -> Iterable[Cause]:
    fail = Severity.FAIL
    if s.missing:
        yield Cause(f"{w.count(s.missing, 'offset')} of {s.label} {w.have(s.missing)} no receipt", RERUN, fail)
    if s.doubled:
        yield Cause(f"{w.count(s.doubled, 'offset')} of {s.label} {w.have(s.doubled)} two receipts", RERUN, fail)
    if s.outside:
        lie = "lies" if s.outside == 1 else "lie"
        yield Cause(f"{w.count(s.outside, 'receipt')} of {s.label} {lie} outside the basis", RERUN, fail)
    if s.refuted:
        n = w.count(s.refuted, "offset")
        text = f"{n} of {s.label} {w.be(s.refuted)} in a gap where a second reader found records"
        yield Cause(text, RERUN, fail)


def _claimed(ledger: Sequence[f.SourceLedger]) -> Iterable[Cause]:
    claimed = [s for s in ledger if s.claimed]
    if claimed:
        n = sum(s.claimed for s in claimed)
        text = f"{w.count(n, 'offset')} of {w.sources([s.label for s in claimed])} {w.be(n)} in a gap not proven yet"
        yield Cause(text, Act("wait for the gaps to be proven"))


# ---- BALANCED, EXPECTED ---------------------------------------------------------------------------------------------


def balanced(facts: f.WindowFacts, now: datetime) -> Check:
    name, required = CheckName.BALANCED, "records = admitted + duplicates + quarantined = receipts"
    causes = unmeasured(facts, now, "counts")
    if causes or not facts.counts:
        return _unmeasured(name, required, causes, facts.counts)
    c = facts.counts.value
    observed = f"{w.number(c.records)} = {w.number(c.admitted)} + {w.number(c.duplicates)} + {w.number(c.quarantined)}"
    return _judged(name, required, observed, facts.counts, _unbalanced(c, facts.publishing))


def _unbalanced(c: f.Counts, publishing: f.Measured[f.Publishing] | None) -> Iterable[Cause]:
    fail, total = Severity.FAIL, c.admitted + c.duplicates + c.quarantined
    if c.records != total:
        text = f"{w.count(c.records, 'record')} {w.be(c.records)} counted as {w.number(total)} decisions"
        yield Cause(text, RERUN, fail)
    if c.records > c.receipts:
        n = c.records - c.receipts
        yield Cause(f"{w.count(n, 'counted record')} {w.have(n)} no receipt", RERUN, fail)
    elif c.records < c.receipts:
        n = c.receipts - c.records
        yield Cause(f"{w.count(n, 'receipt')} {w.be(n)} in no batch's count", RERUN, fail)
    elif n := _swapped(c):
        yield Cause(f"{w.count(n, 'receipt')} {w.be(n)} counted under another decision", RERUN, fail)
    if publishing and publishing.value.events != c.receipts_admitted:
        n = abs(publishing.value.events - c.receipts_admitted)
        yield Cause(f"{w.count(n, 'admitted receipt')} and the events do not agree", RERUN, fail)


def _swapped(c: f.Counts) -> int:
    pairs = (
        (c.admitted, c.receipts_admitted),
        (c.duplicates, c.receipts_duplicate),
        (c.quarantined, c.receipts_quarantined),
    )
    return max(abs(counted - found) for counted, found in pairs)


def expected(facts: f.WindowFacts, now: datetime) -> Check | None:
    """None when nobody declared totals and the contract does not require them: then it is not listed."""
    name, required = CheckName.EXPECTED, "the declared totals, per class"
    if facts.totals and not facts.totals.value and not facts.rules.totals_required:
        return None
    causes = unmeasured(facts, now, "totals", "counts")
    if causes or not (facts.totals and facts.counts):
        return _unmeasured(name, required, causes, facts.totals)
    declared, seen = facts.totals.value, facts.counts.value.by_class
    if not declared:
        missing = Cause("no totals are declared", Act("declare the totals", "totals"))
        return _judged(name, required, "none declared", facts.totals, [missing])
    observed = w.listed([f"{w.number(seen.get(c, 0))} of {w.number(declared[c])} {c}" for c in sorted(declared)])
    classes = sorted({*declared, *(c for c in seen if seen[c])})
    broken = [_unequal(c, declared.get(c, 0), seen.get(c, 0)) for c in classes if declared.get(c, 0) != seen.get(c, 0)]
    return _once_admitted(facts, _judged(name, required, observed, facts.totals, broken))


def _once_admitted(facts: f.WindowFacts, check: Check) -> Check:
    """What is counted over admitted events follows from CAUGHT_UP until all of them are there."""
    if _all_admitted(facts):
        return check
    if check.state is State.BROKEN:
        return _following(check, CheckName.CAUGHT_UP)
    return _unfinished(check, "the events up to the cut were not admitted yet")


def _unequal(event_class: str, declared: int, seen: int) -> Cause:
    text = f"{w.count(declared, event_class)} declared, {w.number(seen)} seen"
    return Cause(text, Act("declare corrected totals or rerun the window", "totals"))


# ---- PUBLISHED, APPLIED ---------------------------------------------------------------------------------------------


def published(facts: f.WindowFacts, now: datetime) -> Check:
    name, required = CheckName.PUBLISHED, "one ACKED place for every event, 0 unknown, 0 foreign"
    causes = _no_basis(facts) + unmeasured(facts, now, "publishing")
    if causes or not (facts.basis and facts.publishing):
        return _unmeasured(name, required, causes, facts.publishing)
    p, bus = facts.publishing.value, facts.basis.value.broker.bus.name
    observed = f"{w.number(p.placed_once)} of {w.count(p.events, 'event')} at one place"
    broken = (*_contradicted(p), *_unsettled(p), *_misplaced(p, bus))
    check = _judged(name, required, observed, facts.publishing, broken)
    if check.state is State.HOLDS and not _all_admitted(facts):
        return _unfinished(check, "the events up to the cut were not admitted yet")
    if check.state is State.HOLDS and not bus_caught_up(facts, now):
        return _unfinished(check, f"{bus} was not read to its end yet")
    return check


def _all_admitted(facts: f.WindowFacts) -> bool:
    return facts.inbox is not None and all(s.cut is not None and s.position >= s.cut for s in facts.inbox.value)


def _contradicted(p: f.Publishing) -> Iterable[Cause]:
    if p.contradictions:
        n = p.contradictions
        text = f"{w.count(n, 'settled publish', 'settled publishes')} {w.be(n)} contradicted by the bus"
        yield Cause(text, RERUN, Severity.FAIL)


def _publishes(pair: tuple[int, int]) -> str:
    return f"{w.count(pair[0], 'publish', 'publishes')} ({w.count(pair[1], 'event')})"


def _the_publishes(n: int) -> str:
    return "the publish" if n == 1 else f"the {w.number(n)} publishes"


def _unsettled(p: f.Publishing) -> Iterable[Cause]:
    if p.unknown[0]:
        act = Act(f"reconcile {_the_publishes(p.unknown[0])}", "reconcile")
        yield Cause(f"{_publishes(p.unknown)} {w.have(p.unknown[0])} no known outcome", act)
    if p.undecidable[0]:
        act = Act(f"decide {_the_publishes(p.undecidable[0])}", "decide", needs_approver=True)
        yield Cause(f"{_publishes(p.undecidable)} {w.be(p.undecidable[0])} UNDECIDABLE", act)
    if p.withheld[0]:
        act = Act("ask for a republish", "republish", needs_approver=True)
        yield Cause(f"{_publishes(p.withheld)} {w.have(p.withheld[0])} been proven ABSENT", act)
    if p.in_flight[0]:
        yield Cause(f"{_publishes(p.in_flight)} {w.be(p.in_flight[0])} in flight", WAIT_LANES)
    if p.queued:
        yield Cause(f"{w.count(p.queued, 'event')} wait{'s' * (p.queued == 1)} to be published", WAIT_LANES)


def _misplaced(p: f.Publishing, bus: str) -> Iterable[Cause]:
    look = Act(f"find who writes to {bus}, then rerun the window", "replay", needs_approver=True)
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
    """Identities, not ranges: neighbours' records lie inside a bus range. Judged after the bus was read to its end."""
    name, required = CheckName.APPLIED, "events = effects of these events"
    causes = unmeasured(facts, now, "application", "publishing")
    if causes or not (facts.application and facts.publishing):
        return _unmeasured(name, required, causes, facts.application)
    a = facts.application.value
    observed = f"{w.number(a.applied)} of {w.count(a.events, 'event')} applied"
    check = _judged(name, required, observed, facts.application, _unapplied(a))
    if a.surplus:
        return check
    root = _applied_root(facts, now)
    if root is None:
        return check
    return _following(check, root) if a.missing else _unfinished(check, "the effects were not all read yet", root)


def _applied_root(facts: f.WindowFacts, now: datetime) -> CheckName | None:
    """Which check must hold before APPLIED can be judged at all."""
    if facts.publishing and facts.publishing.value.unsettled:
        return CheckName.PUBLISHED
    return None if bus_caught_up(facts, now) and _all_admitted(facts) else CheckName.CAUGHT_UP


def _unapplied(a: f.Application) -> Iterable[Cause]:
    if a.missing:
        yield Cause(f"{w.count(a.missing, 'event')} {w.be(a.missing)} not applied", RERUN, Severity.FAIL)
    if a.surplus:
        yield Cause(f"{w.count(a.surplus, 'effect')} {w.have(a.surplus)} no event", RERUN, Severity.FAIL)
    if not a.missing and not a.surplus and a.applied != a.events:
        yield Cause(f"{w.count(a.applied, 'effect')} for {w.count(a.events, 'event')}", RERUN, Severity.FAIL)


# ---- COMMITTED ------------------------------------------------------------------------------------------------------


def committed(facts: f.WindowFacts, now: datetime) -> Check:
    """ "Nothing committed" holds: Postgres is the authority, Kafka's commit serves other tools (K9, K10)."""
    name, required = CheckName.COMMITTED, "Kafka's commit ≤ the durable position"
    causes = _no_basis(facts) + unmeasured(facts, now, "committed")
    if causes or not (facts.basis and facts.committed):
        return _unmeasured(name, required, causes, facts.committed)
    pairs, basis = facts.committed.value, facts.basis.value
    kafka = {s.label for s in (*basis.inbox, *basis.bus) if s.partition is not None}
    ahead = max((pair.committed - pair.position for pair in pairs if pair.committed is not None), default=0)
    observed = f"{w.number(max(ahead, 0))} ahead on {w.count(len(pairs), 'source')}"
    broken = [cause for pair in pairs for cause in _ahead(pair)]
    absent = frozenset(kafka - {pair.label for pair in pairs})
    return _judged(name, required, observed, facts.committed, broken, _absent(absent))


def _ahead(pair: f.Committed) -> Iterable[Cause]:
    ahead = (pair.committed or 0) - pair.position
    if ahead <= 0:
        return
    text = f"Kafka's commit of {pair.label} is {w.number(ahead)} ahead of the durable position"
    if pair.ours is not None and pair.ours > pair.position:
        yield Cause(text, RERUN, Severity.FAIL)
    else:
        yield Cause(text, Act(f"set Kafka's commit of {pair.label} back", "operate"))


# ---- QUARANTINE, DEGRADED -------------------------------------------------------------------------------------------


def quarantine(facts: f.WindowFacts, now: datetime) -> Check:
    rules = facts.rules
    name = CheckName.QUARANTINE
    required = f"at most {w.number(rules.quarantine_open_max)} open, {w.number(rules.discard_max)} discarded"
    causes = unmeasured(facts, now, "quarantine")
    if causes or not facts.quarantine:
        return _unmeasured(name, required, causes, facts.quarantine)
    q = facts.quarantine.value
    observed = f"{w.number(q.open)} open, {w.number(q.resolved)} resolved, {w.number(q.discarded)} discarded"
    return _judged(name, required, observed, facts.quarantine, _quarantined(q, rules))


def _quarantined(q: f.Quarantine, rules: f.CloseRules) -> Iterable[Cause]:
    if q.open > rules.quarantine_open_max:
        allowed = f" ({w.number(rules.quarantine_open_max)} allowed)" if rules.quarantine_open_max else ""
        items = "the item" if q.open == 1 else f"the {w.number(q.open)} items"
        text = f"{w.count(q.open, 'quarantine item')} {w.be(q.open)} open{allowed}"
        yield Cause(text, Act(f"resolve {items}", "resolve"))
    if q.discarded > rules.discard_max:
        said = f"{w.count(q.discarded, 'quarantine item')} {w.be(q.discarded)} discarded"
        text = f"{said} ({w.number(rules.discard_max)} allowed)"
        yield Cause(text, _waive(CheckName.QUARANTINE))
    if q.unsigned:
        text = f"{w.count(q.unsigned, 'resolution')} name{'s' * (q.unsigned == 1)} no person or no reason"
        yield Cause(text, _waive(CheckName.QUARANTINE))


def degraded(facts: f.WindowFacts, now: datetime) -> Check | None:
    """None without a projection that joins: then it is not listed."""
    if not facts.rules.joins:
        return None
    name = CheckName.DEGRADED
    required = f"MISSING ≤ {facts.rules.missing_max}, AMBIGUOUS ≤ {facts.rules.ambiguous_max} of the joins"
    causes = unmeasured(facts, now, "joins", "application")
    if causes or not (facts.joins and facts.application):
        return _unmeasured(name, required, causes, facts.joins)
    j, silent = facts.joins.value, facts.application.value.applied - facts.joins.value.total
    observed = f"{w.number(j.matched)} MATCHED, {w.number(j.missing)} MISSING, {w.number(j.ambiguous)} AMBIGUOUS"
    text = f"{w.count(abs(silent), 'effect')} say{'s' * (abs(silent) == 1)} nothing of the join"
    unknown = [Cause(text, MEASURE_LEDGER)] if silent else []
    # Of all events to come, so that a part of them applied is not BROKEN by what came first.
    joins = max(j.total, facts.application.value.events)
    check = _judged(name, required, observed, facts.joins, _degraded(j, joins, facts.rules), unknown)
    root = _applied_root(facts, now)
    if check.state is State.HOLDS and root is not None:
        return _unfinished(check, "the effects were not all read yet", root)
    return check


def _degraded(j: f.Joins, joins: int, rules: f.CloseRules) -> Iterable[Cause]:
    bounds = (("MISSING", j.missing, rules.missing_max), ("AMBIGUOUS", j.ambiguous, rules.ambiguous_max))
    for word, found, share in bounds:
        allowed = int(share * joins)
        if found > allowed:
            text = f"{w.count(found, 'join')} {word}, {w.number(allowed)} allowed"
            yield Cause(text, _waive(CheckName.DEGRADED))


# ---- BASIS ----------------------------------------------------------------------------------------------------------


def basis(facts: f.WindowFacts, now: datetime) -> Check:
    """What the window was judged against is still there, and is the same thing (S1, K5 to K8)."""
    name, required = CheckName.BASIS, "the cluster, topics, posture, ranges and database of the basis"
    causes = _no_basis(facts) + unmeasured(facts, now, "broker", "database", "inbox", "bus")
    if causes or not (facts.basis and facts.broker and facts.database and facts.inbox and facts.bus):
        return _unmeasured(name, required, causes, facts.broker)
    was, is_ = facts.basis.value, facts.broker.value
    broken = [*other_cluster(was.broker, is_), *_other_database(was.database, facts.database.value)]
    unknown: list[Cause] = []
    for then, now_, parts in _topics(facts, was, is_):
        broken += [*other_topic(then, now_), *_other_posture(then, now_)]
        unknown += _no_posture(now_)
        for label, partition, start, end in parts:
            broken += _broken_log(label, _as_cut(facts, now_), partition, start, end)
            unknown += _unread_log(label, now_, partition)
    observed = "the same" if not broken and not unknown else w.count(len(broken) + len(unknown), "difference")
    return _judged(name, f"{required}, generation {was.generation}", observed, facts.broker, broken, unknown)


Part = tuple[str, int, int, int | None]


def _topics(facts: f.WindowFacts, was: f.Basis, is_: f.Broker) -> list[tuple[f.Topic, f.Topic, list[Part]]]:
    ranges: dict[str, tuple[int, int | None]] = {}
    if facts.inbox and facts.bus:
        ranges.update({s.label: (s.start, s.cut) for s in facts.inbox.value})
        ranges.update({b.label: (b.start, b.end) for b in facts.bus.value})
    pairs = [(was.broker.bus, is_.bus, was.bus)]
    if was.broker.inbox is not None:
        pairs.append((was.broker.inbox, is_.inbox or f.Topic(was.broker.inbox.name, None), was.inbox))
    return [(then, now_, _parts(members, ranges)) for then, now_, members in pairs]


def _parts(members: Sequence[f.BasisSource], ranges: dict[str, tuple[int, int | None]]) -> list[Part]:
    known = [s for s in members if s.partition is not None and s.label in ranges]
    return [(s.label, s.partition or 0, *ranges[s.label]) for s in known]


def other_cluster(was: f.Broker, is_: f.Broker) -> Iterable[Cause]:
    if was.cluster_id != is_.cluster_id:
        yield Cause(f"the Kafka cluster was {was.cluster_id} and is {is_.cluster_id}", RERUN, Severity.FAIL)


def _other_database(was: f.DatabaseIdentity, is_: f.DatabaseIdentity) -> Iterable[Cause]:
    if was.system_identifier != is_.system_identifier:
        yield Cause("the database is not the one the window opened in", RERUN)
    elif was.timeline != is_.timeline:
        text = f"Postgres was on timeline {was.timeline} and is on {is_.timeline}"
        yield Cause(text, Act("ask for a basis refresh", "basis", needs_approver=True))


def other_topic(was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    if is_.topic_id is None:
        yield Cause(f"{was.name} is gone", Act(f"find out who deleted {was.name}", "operate"))
    elif was.topic_id != is_.topic_id:
        yield Cause(f"{was.name} was deleted and created again", RERUN, Severity.FAIL)


def _other_posture(was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    if is_.posture is None or was.posture is None:
        return
    changed = sorted(k for k in {*was.posture, *is_.posture} if was.posture.get(k) != is_.posture.get(k))
    for key in changed:
        text = f"{key} of {was.name} was {was.posture.get(key, 'unset')} and is {is_.posture.get(key, 'unset')}"
        yield Cause(text, Act(f"set {key} of {was.name} back or ask for a basis refresh", "basis", needs_approver=True))


def _no_posture(is_: f.Topic) -> Iterable[Cause]:
    if is_.topic_id is not None and is_.posture is None:
        yield Cause(f"the posture of {is_.name} was not measured", MEASURE_KAFKA)


def _as_cut(facts: f.WindowFacts, topic: f.Topic) -> f.Topic:
    """Log starts as they were when the window was cut: that retention moves them later is no drift of the window."""
    then = facts.end.value if facts.end else None
    was = next((t for t in (then.bus, then.inbox) if t and t.topic_id == topic.topic_id), None) if then else None
    if was is None:
        return topic
    return replace(topic, partitions={p: _started(log, was.partitions.get(p)) for p, log in topic.partitions.items()})


def _started(log: f.PartitionLog, then: f.PartitionLog | None) -> f.PartitionLog:
    return log if then is None or then.log_start is None else replace(log, log_start=then.log_start)


def _broken_log(label: str, topic: f.Topic, partition: int, start: int, end: int | None) -> Iterable[Cause]:
    log = topic.partitions.get(partition)
    if log is None:
        if topic.topic_id is not None:
            yield Cause(f"{label} is gone", Act(f"find out what became of {label}", "operate"))
        return
    if log.log_start is not None and log.log_start > start:
        text = f"{label} starts at {w.number(log.log_start)}, after the window's {w.number(start)}"
        yield Cause(text, _waive(CheckName.BASIS))
    if end is not None and log.high_watermark is not None and log.high_watermark < end:
        yield Cause(f"{label} ends at {w.number(log.high_watermark)}, before the window's {w.number(end)}", RERUN)
    if log.diverged:
        yield Cause(f"{label} was truncated: {log.diverged}", RERUN)


def _unread_log(label: str, topic: f.Topic, partition: int) -> Iterable[Cause]:
    log = topic.partitions.get(partition)
    if log is None:
        return
    if log.log_start is None or log.high_watermark is None:
        yield Cause(f"{label} was not measured", MEASURE_KAFKA)
    if log.diverged is None:
        yield Cause(f"the leader epoch of {label} was not probed", MEASURE_KAFKA)


# ---- NOT_EMPTY ------------------------------------------------------------------------------------------------------


def not_empty(facts: f.WindowFacts, now: datetime) -> Check:
    """Zero events prove nothing (S1, S6)."""
    name, classes = CheckName.NOT_EMPTY, facts.rules.required
    required = f"something admitted of {w.listed(classes)}" if classes else "something admitted"
    causes = unmeasured(facts, now, "counts")
    if causes or not facts.counts:
        return _unmeasured(name, required, causes, facts.counts)
    c = facts.counts.value
    act = _waive(name) if facts.rules.empty_waivable else RERUN
    broken = [Cause(text, act) for text in _empty(c, facts.rules.required)]
    check = _judged(name, required, f"{w.number(c.receipts_admitted)} admitted", facts.counts, broken)
    return _once_admitted(facts, check) if broken else check


def _empty(c: f.Counts, required: Sequence[str]) -> Iterable[str]:
    if c.receipts_admitted == 0:
        rest = [w.count(c.duplicates, "duplicate")] if c.duplicates else []
        rest += [f"{w.number(c.quarantined)} quarantined"] if c.quarantined else []
        yield ", ".join(["0 admitted", *rest])
        return
    for event_class in required:
        if not c.by_class.get(event_class):
            yield f"0 {event_class} admitted"


ALL: tuple[tuple[CheckName, Callable[[f.WindowFacts, datetime], Check | None]], ...] = (
    (CheckName.COVERAGE, coverage),
    (CheckName.CAUGHT_UP, caught_up),
    (CheckName.ACCOUNTED, accounted),
    (CheckName.BALANCED, balanced),
    (CheckName.EXPECTED, expected),
    (CheckName.PUBLISHED, published),
    (CheckName.APPLIED, applied),
    (CheckName.COMMITTED, committed),
    (CheckName.QUARANTINE, quarantine),
    (CheckName.DEGRADED, degraded),
    (CheckName.BASIS, basis),
    (CheckName.NOT_EMPTY, not_empty),
)

NOT_LISTED = {
    CheckName.EXPECTED: "no control totals are declared and the contract does not require them",
    CheckName.DEGRADED: "the stream has no projection that joins",
}
