"""COVERAGE, CAUGHT_UP, ACCOUNTED, COMMITTED: has everything been read that was there to read?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from audit.core import facts as f
from audit.core import gone, stopped
from audit.core import phrases as w
from audit.core.basis import lost_offsets
from audit.core.check import (
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
    not_seen,
    unfinished,
    unmeasured,
)
from ingest.core import stops

TAKEN_IN = Act("wait until they are taken in")
OPEN_THE_NEXT = Act("open the next run: they belong to it", "open")


def _sampled(broker: f.Broker) -> frozenset[str]:
    inbox = {f.inbox_label(p) for p in broker.inbox.partitions} if broker.inbox else set()
    return frozenset(inbox | {f.bus_label(broker.bus.name, p) for p in broker.bus.partitions})


def coverage(facts: f.WindowFacts, now: datetime) -> Check:
    """Sets, not counts: one source missing and one too many would make the same number."""
    name, required = CheckName.COVERAGE, "the sources of the basis, no more and no fewer"
    causes = no_basis(facts) + unmeasured(facts, now, "broker", "inbox", "bus")
    if causes or not (facts.basis and facts.broker and facts.inbox and facts.bus):
        return not_measured(name, required, causes, facts.broker)
    basis = facts.basis.value
    ledger = frozenset(s.label for s in facts.inbox.value) | frozenset(b.label for b in facts.bus.value)
    sampled = _sampled(facts.broker.value)
    kafka = frozenset(source.label for source in (*basis.inbox, *basis.bus) if source.partition is not None)
    later = basis.later | _added_since(facts, sampled)
    extra = (ledger | sampled) - basis.labels() - later
    absent = (basis.labels() - ledger) | (kafka - sampled)
    none = (
        () if basis.inbox else (Cause("the window has no inbox source", Act("connect the stream's inbox", "operate")),)
    )
    seen = len((ledger | sampled) - later)
    observed = f"{w.number(len(basis.labels() - absent))} of {w.count(len(basis.labels()), 'source')} measured"
    return judged(name, required, observed, facts.broker, _extra(facts, extra, seen), (*none, *not_seen(absent)))


def _added_since(facts: f.WindowFacts, sampled: frozenset[str]) -> frozenset[str]:
    """Partitions that were not there when the window was cut: they belong to the window that is open when they are
    first seen, which this one is not any more."""
    then, now_ = facts.end.value if facts.end else None, facts.broker.value if facts.broker else None
    if then is None or now_ is None or facts.window.state is not f.WindowState.CUT:
        return frozenset()
    if _topic_ids(then) != _topic_ids(now_):
        return frozenset()
    return sampled - _sampled(then)


def _topic_ids(broker: f.Broker) -> tuple[str | None, str | None]:
    return broker.bus.topic_id, broker.inbox.topic_id if broker.inbox else None


def _extra(facts: f.WindowFacts, extra: frozenset[str], seen: int) -> Iterable[Cause]:
    """An open window takes them in by itself, one that is cut leaves them to the next."""
    if extra:
        text = f"{w.number(len(extra))} of {w.count(seen, 'source')} {w.be(len(extra))} not in the basis"
        is_open = facts.window.state is f.WindowState.OPEN
        yield Cause(text, TAKEN_IN if is_open else OPEN_THE_NEXT)


@dataclass(frozen=True)
class Lag:
    """How far one lane is from where it must be, and why it may not move."""

    label: str
    behind: int
    stalled_since: datetime | None = None
    held_at: int | None = None
    stop: f.LaneStop | None = None

    def text(self) -> str:
        if self.stop is not None:
            return stopped.lane_text(self.stop)
        if self.held_at is not None:
            return f"{self.label} is held at {w.number(self.held_at)} by an open transaction"
        stalled = f" and STALLED since {w.clock(self.stalled_since)}" if self.stalled_since else ""
        return f"{self.label} is {w.number(self.behind)} behind{stalled}"

    def act(self) -> Act:
        if self.stop is not None:
            return stopped.lane_act(self.stop)
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
    stop: f.LaneStop | None = None,
) -> Lag:
    """A position that stands still with a backlog is STALLED, whatever any heartbeat says (S18, S22); a lane that
    stopped with one says why."""
    behind = max(target - position, 0)
    if behind and stop is not None and not stops.is_brief(stop.code):
        return Lag(label, behind, stop=stop)
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
    unknown = set(_lags_unknown(facts))
    lags = []
    for source in facts.inbox.value if facts.inbox else ():
        if source.label in unknown:
            continue
        target = source.cut if source.cut is not None else source.target
        log = _log(topic, partitions.get(source.label))
        if target is not None:
            at = source.moved_at
            lags.append(lag(source.label, source.position, target, at, log, now, bound, source.stop))
    return [found for found in lags if found.behind]


def _lags_unknown(facts: f.WindowFacts) -> list[str]:
    """Of an open window: partitions whose log is gone, is another topic's by now, or ends before where the lane stood.

    How far a lane is from the end of that nobody can say, and 0 would be green.
    """
    if facts.window.state is not f.WindowState.OPEN or not (facts.basis and facts.broker and facts.inbox):
        return []
    partitions = {s.label for s in facts.basis.value.inbox if s.partition is not None}
    was, is_ = facts.basis.value.broker, facts.broker.value
    other = was.cluster_id != is_.cluster_id or bool(
        was.inbox and was.inbox.topic_id != (is_.inbox and is_.inbox.topic_id)
    )
    ledger = (s for s in facts.inbox.value if s.label in partitions and s.cut is None)
    return [s.label for s in ledger if other or s.target is None or s.ends_before]


def _behind(facts: f.WindowFacts, lags: Sequence[Lag]) -> str:
    """What is known of it; where nothing is, that."""
    unknown = _lags_unknown(facts)
    if unknown and len(unknown) == len([s for s in facts.inbox.value if s.cut is None] if facts.inbox else []):
        return "not measured"
    measured = f"{w.number(sum(found.behind for found in lags))} behind"
    return f"{measured}, and {w.sources(unknown)} not measured" if unknown else measured


def _bus_lags(facts: f.WindowFacts, now: datetime) -> list[Lag]:
    topic = facts.broker.value.bus if facts.broker else None
    bound = facts.rules.stalled_after
    lags = []
    for bus in facts.bus.value if facts.bus else ():
        log = _log(topic, bus.partition)
        if bus.end is not None:
            lags.append(lag(bus.label, bus.position, bus.end, bus.moved_at, log, now, bound, bus.stop))
    return [found for found in lags if found.behind]


def bus_caught_up(facts: f.WindowFacts, now: datetime) -> bool:
    """Every bus partition of the basis has been read to bus_end by the effects lane, by a fresh measurement."""
    if not facts.bus or not facts.basis or unmeasured(facts, now, "bus", "broker"):
        return False
    ended = {bus.label for bus in facts.bus.value if bus.end is not None and bus.position >= bus.end}
    return {source.label for source in facts.basis.value.bus} <= ended


def all_admitted(facts: f.WindowFacts) -> bool:
    return facts.inbox is not None and all(s.cut is not None and s.position >= s.cut for s in facts.inbox.value)


def once_admitted(facts: f.WindowFacts, check: Check) -> Check:
    """What is counted over admitted events follows from CAUGHT_UP until all of them are there."""
    if all_admitted(facts):
        return check
    if check.state is State.BROKEN:
        return following(check, CheckName.CAUGHT_UP)
    return unfinished(check, "the events up to the cut were not admitted yet")


def _lag_causes(lags: Sequence[Lag]) -> Iterable[Cause]:
    """Lanes that merely run are one cause; what stands still is named one by one."""
    odd = [found for found in lags if found.stalled_since or found.held_at is not None or found.stop]
    plain = [found for found in lags if found not in odd]
    yield from (Cause(found.text(), found.act()) for found in odd)
    if len(plain) == 1:
        yield Cause(plain[0].text(), WAIT_LANES)
    elif plain:
        total = sum(found.behind for found in plain)
        yield Cause(f"{w.sources([found.label for found in plain])} are {w.number(total)} behind", WAIT_LANES)


def _not_cut(facts: f.WindowFacts) -> Iterable[Cause]:
    if facts.window.state is f.WindowState.OPEN:
        yield Cause("the window is not cut", Act("cut the window", "cut"))


def _ends_unread(facts: f.WindowFacts) -> list[str]:
    inbox = [s.label for s in facts.inbox.value if s.cut is None] if facts.inbox else []
    return inbox + ([b.label for b in facts.bus.value if b.end is None] if facts.bus else [])


def caught_up(facts: f.WindowFacts, now: datetime) -> Check:
    """Judged by cut and bus_end, never by today's end of the log: later records belong to a later window."""
    name = CheckName.CAUGHT_UP
    required = f"every lane at its end, at most {w.age(facts.rules.sample_max_age)} old"
    causes = no_basis(facts) + unmeasured(facts, now, "broker", "inbox", "bus")
    if causes or not (facts.broker and facts.inbox and facts.bus):
        return not_measured(name, required, causes, facts.broker)
    lags = _inbox_lags(facts, now) + _bus_lags(facts, now)
    observed = _behind(facts, lags)
    broken = (*_not_cut(facts), *_lag_causes(lags))
    cut = facts.window.state is f.WindowState.CUT
    unread = _ends_unread(facts) if cut and not lags else []  # behind its cut, nobody could know the bus's end
    unknown = _unread(unread, facts.window.behind)
    return _wait_for_publishing(facts, judged(name, required, observed, facts.broker, broken, unknown))


def _unread(labels: Sequence[str], behind: str | None) -> Iterable[Cause]:
    """Ranges of the bus chain: a window whose publish has no known outcome holds back the end of those after it."""
    if labels and behind:
        text = f"the end of {w.sources(labels)} waits for that of {behind}"
        yield Cause(text, Act(f"see to {behind} first"))
    elif labels:
        yield Cause(f"the end of {w.sources(labels)} was not measured", WAIT_LANES)


def _wait_for_publishing(facts: f.WindowFacts, check: Check) -> Check:
    """The bus's end is read only when every attempt is settled; until then its absence says nothing new."""
    publishing = facts.publishing.value if facts.publishing else None
    if check.state is State.UNMEASURED and publishing and publishing.unsettled:
        return following(check, CheckName.PUBLISHED)
    return check


def accounted(facts: f.WindowFacts, now: datetime) -> Check:
    """Judged once every cut is reached: a state in motion is not a broken invariant. What was deleted unread is."""
    name, required = CheckName.ACCOUNTED, "one receipt or a proven gap for every offset"
    causes = no_basis(facts) + unmeasured(facts, now, "inbox")
    if causes or not (facts.basis and facts.inbox):
        return not_measured(name, required, causes, facts.inbox)
    ledger = facts.inbox.value
    absent = {source.label for source in facts.basis.value.inbox} - {source.label for source in ledger}
    moving = not all_admitted(facts)
    receipts = w.count(sum(s.receipts for s in ledger), "receipt")
    observed = f"{receipts}{_stood_in(ledger)}"
    observed += " so far" if moving else f", {w.number(_unaccounted(ledger))} unaccounted"
    broken = [lost_offsets(source.label, source.lost) for source in ledger if source.lost]
    broken += [cause for source in ledger for cause in _unaccounted_causes(source) if not moving]
    unknown = [*not_seen(frozenset(absent)), *_claimed(ledger, facts.window.rerun is not None)]
    check = judged(name, required, observed, facts.inbox, broken, unknown)
    if check.state is State.HOLDS and moving:
        return unfinished(check, "the offsets up to the cut were not read yet")
    return check


def _unaccounted(ledger: Sequence[f.SourceLedger]) -> int:
    lacks = (s.missing + s.doubled + s.outside + s.refuted + s.lost + s.differing + s.gone + s.unread for s in ledger)
    return sum(lacks) + sum(gone.unaccounted(s.stand_in) for s in ledger)


def _stood_in(ledger: Sequence[f.SourceLedger]) -> str:
    """Of a rerun: receipts of its own, and beside them those that stand in for what is gone."""
    found = [s.stand_in for s in ledger if s.stand_in is not None]
    n = sum(each.receipts for each in found)
    empty = sum(each.empty for each in found)
    held = f" ({w.number(empty)} held no record)" if empty else ""
    return f", {w.number(n)} of the first reading stand in{held}" if found else ""


def _unaccounted_causes(s: f.SourceLedger) -> Iterable[Cause]:
    fail = Severity.FAIL
    if s.missing:
        yield Cause(f"{w.count(s.missing, 'offset')} of {s.label} {w.have(s.missing)} no receipt", RERUN, fail)
    if s.doubled:
        yield Cause(f"{w.count(s.doubled, 'offset')} of {s.label} {w.have(s.doubled)} two receipts", RERUN, fail)
    if s.outside:
        lie = "lies" if s.outside == 1 else "lie"
        yield Cause(f"{w.count(s.outside, 'receipt')} of {s.label} {lie} outside the basis", RERUN, fail)
    if s.differing:
        text = f"{w.count(s.differing, 'record')} of {s.label} {w.be(s.differing)} not what the inbox said before"
        yield Cause(text, RERUN, fail)
    if s.unread:  # read in the window's place, the rest of its events would be missed by nobody
        text = f"{w.count(s.unread, 'offset')} of {s.label} {w.were(s.unread)} not read again"
        yield Cause(text, RERUN, fail)
    if s.gone:
        text = f"{w.count(s.gone, 'record')} that {w.have(s.gone)} a receipt {w.be(s.gone)} not there any more"
        yield Cause(f"{text}, of {s.label}", RERUN)
    yield from gone.causes(s.label, s.stand_in)
    if s.refuted:
        n = w.count(s.refuted, "offset")
        text = f"{n} of {s.label} {w.be(s.refuted)} {gone.REFUTED}"
        yield Cause(text, RERUN, fail)


def _claimed(ledger: Sequence[f.SourceLedger], by_plan: bool) -> Iterable[Cause]:
    """What retention took before a second reader came nobody can prove: a plan is asked for anew, without it."""
    overtaken = [s for s in ledger if s.overtaken]
    if overtaken:
        n = sum(s.overtaken for s in overtaken)
        where = f"{w.count(n, 'offset')} of {w.sources([s.label for s in overtaken])}"
        text = f"{where} {w.be(n)} in a gap that nobody can prove any more: {'it is' if n == 1 else 'they are'}"
        act = Act("ask for a replay plan of what is still there", "replay", needs_approver=True)
        yield Cause(f"{text} gone from the inbox", act if by_plan else RERUN)
    claimed = [s for s in ledger if s.claimed > s.overtaken]
    if claimed:
        n = sum(s.claimed - s.overtaken for s in claimed)
        text = f"{w.count(n, 'offset')} of {w.sources([s.label for s in claimed])} {w.be(n)} in a gap not proven yet"
        yield Cause(text, Act("wait for the gaps to be proven"))


def committed(facts: f.WindowFacts, now: datetime) -> Check:
    """ "Nothing committed" holds: Postgres is the authority, Kafka's commit serves other tools (K9, K10)."""
    name, required = CheckName.COMMITTED, "Kafka's commit ≤ the durable position"
    causes = no_basis(facts) + unmeasured(facts, now, "committed")
    if causes or not (facts.basis and facts.committed):
        return not_measured(name, required, causes, facts.committed)
    basis = facts.basis.value
    gone = _of_another_topic(facts)
    cut = {source.label for source in (facts.inbox.value if facts.inbox else ()) if source.kept_to is not None}
    pairs = [pair for pair in facts.committed.value if pair.label not in gone | cut]
    kafka = {s.label for s in (*basis.inbox, *basis.bus) if s.partition is not None}
    ahead = max((pair.committed - pair.position for pair in pairs if pair.committed is not None), default=0)
    observed = f"{w.number(max(ahead, 0))} ahead on {w.count(len(pairs), 'source')}"
    broken = [cause for pair in pairs for cause in _ahead(pair)]
    absent = frozenset(kafka - {pair.label for pair in pairs} - cut)  # of a log that was cut it was set back before
    check = judged(name, required, observed, facts.committed, broken, not_seen(absent))
    return following(check, CheckName.BASIS) if gone and not broken else check


def _of_another_topic(facts: f.WindowFacts) -> frozenset[str]:
    """Sources whose topic was created again: a commit of now is about that one, not about where our lane stood."""
    if not (facts.basis and facts.broker):
        return frozenset()
    was, is_ = facts.basis.value, facts.broker.value
    gone: set[str] = set()
    if was.broker.bus.topic_id != is_.bus.topic_id:
        gone |= {source.label for source in was.bus}
    if was.broker.inbox and was.broker.inbox.topic_id != (is_.inbox and is_.inbox.topic_id):
        gone |= {source.label for source in was.inbox}
    return frozenset(gone)


def _ahead(pair: f.CommitFact) -> Iterable[Cause]:
    ahead = (pair.committed or 0) - pair.position
    if ahead <= 0:
        return
    text = f"Kafka's commit of {pair.label} is {w.number(ahead)} ahead of the durable position"
    if pair.ours is not None and pair.ours > pair.position:
        yield Cause(text, RERUN, Severity.FAIL)
    else:
        yield Cause(text, Act(f"set Kafka's commit of {pair.label} back", "operate"))
