"""BASIS: is what the window was judged against still there, and still the same thing?"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from audit.core import facts as f
from audit.core import words as w
from audit.core.check import (
    MEASURE_KAFKA,
    RERUN,
    Act,
    Cause,
    Check,
    CheckName,
    Severity,
    judged,
    no_basis,
    not_measured,
    unmeasured,
    waive_act,
)

Part = tuple[str, int, int, int | None]  # label, partition, start, end


def basis(facts: f.WindowFacts, now: datetime) -> Check:
    """What the window was judged against is still there, and is the same thing (S1, K5 to K8)."""
    name, required = CheckName.BASIS, "the cluster, topics, posture, ranges and database of the basis"
    causes = no_basis(facts) + unmeasured(facts, now, "broker", "database", "inbox", "bus")
    if causes or not (facts.basis and facts.broker and facts.database and facts.inbox and facts.bus):
        return not_measured(name, required, causes, facts.broker)
    was, is_ = facts.basis.value, facts.broker.value
    broken = [*other_cluster(was.broker, is_), *_other_database(was.database, facts.database.value)]
    unknown: list[Cause] = []
    for then, now_, parts in _topics(facts, was, is_):
        broken += [*other_topic(then, now_), *_other_posture(then, now_)]
        unknown += _no_posture(then, now_)
        for label, partition, start, end in parts:
            broken += _broken_log(label, _as_cut(facts, now_), partition, start, end)
            broken += _lower_epoch(label, then.partitions.get(partition), now_.partitions.get(partition))
            unknown += _unread_log(label, now_, partition)
    observed = "the same" if not broken and not unknown else w.count(len(broken) + len(unknown), "difference")
    return judged(name, f"{required}, generation {was.generation}", observed, facts.broker, broken, unknown)


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


def _no_posture(was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    """Two postures that nobody read are not the same posture."""
    if is_.topic_id is not None and is_.posture is None:
        yield Cause(f"the posture of {is_.name} was not measured", MEASURE_KAFKA)
    if was.posture is None:
        act = Act("ask for a basis refresh", "basis", needs_approver=True)
        yield Cause(f"the posture of {was.name} was not measured when the window opened", act)


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
        yield Cause(text, waive_act(CheckName.BASIS))
    if end is not None and log.high_watermark is not None and log.high_watermark < end:
        yield Cause(f"{label} ends at {w.number(log.high_watermark)}, before the window's {w.number(end)}", RERUN)
    if log.diverged:
        yield Cause(f"{label} was truncated: {log.diverged}", RERUN)


def _lower_epoch(label: str, was: f.PartitionLog | None, is_: f.PartitionLog | None) -> Iterable[Cause]:
    """Leader epochs only rise: a lower one is another log under the same name and id, or one that was put back."""
    then, now_ = (log.leader_epoch if log else None for log in (was, is_))
    if then is not None and now_ is not None and now_ < then:
        yield Cause(f"the leader epoch of {label} was {then} and is {now_}", RERUN)


def _unread_log(label: str, topic: f.Topic, partition: int) -> Iterable[Cause]:
    """Kafka names an epoch with every end of a log, of an empty one, too."""
    log = topic.partitions.get(partition)
    if log is None:
        return
    if log.log_start is None or log.high_watermark is None:
        yield Cause(f"{label} was not measured", MEASURE_KAFKA)
    elif log.leader_epoch is None:
        yield Cause(f"the leader epoch of {label} was not measured", MEASURE_KAFKA)
    if log.diverged is None:
        yield Cause(f"the leader epoch of {label} was not probed", MEASURE_KAFKA)
