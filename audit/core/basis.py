"""BASIS: is what the window was judged against still there, and still the same thing?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.check import (
    MEASURE_KAFKA,
    RERUN,
    WAIT_LANES,
    Act,
    Cause,
    Check,
    CheckName,
    Severity,
    judged,
    no_basis,
    not_measured,
    unmeasured,
)
from ingest.core.posture import Change, changes, unfit_inbox

FAIL = Severity.FAIL


@dataclass(frozen=True)
class Part:
    """One Kafka source of the window: its range, how far its lane is, and what the ledger says was deleted unread.

    `kept_to`: its log was cut there and goes on as another one, which a later window is about.
    """

    label: str
    partition: int
    start: int
    end: int | None
    position: int
    lost: int
    first: bool = False
    kept_to: int | None = None


def basis(facts: f.WindowFacts, now: datetime) -> Check:
    """What the window was judged against is still there, and is the same thing (S1, K5 to K8)."""
    name, required = CheckName.BASIS, "the cluster, topics, posture, ranges and database of the basis"
    causes = no_basis(facts) + unmeasured(facts, now, "broker", "database", "inbox", "bus")
    if causes or not (facts.basis and facts.broker and facts.database and facts.inbox and facts.bus):
        return not_measured(name, required, causes, facts.broker)
    was, is_ = facts.basis.value, facts.broker.value
    broken = [*other_cluster(was.broker, is_), *other_database(was.database, facts.database.value)]
    unknown = [Cause(facts.ended.said(), RERUN)] if facts.ended else []
    for then, now_, parts in _topics(facts, was, is_):
        broken += [*other_topic(then, now_), *_other_posture(then, now_, facts.window.is_rerun)]
        unknown += _no_posture(then, now_)
        for part in parts:
            broken += [*_lost(part, now_), *_other_log(part, then, now_)]
            unknown += unread_log(part, then, now_)
    observed = "the same" if not broken and not unknown else w.count(len(broken) + len(unknown), "difference")
    said = "; ".join([observed, *_harmless(_topics(facts, was, is_)), *_refreshed(was)])
    return judged(name, f"{required}, generation {was.generation}", said, facts.broker, broken, unknown)


def _topics(facts: f.WindowFacts, was: f.Basis, is_: f.Broker) -> list[tuple[f.Topic, f.Topic, list[Part]]]:
    """Each topic of the basis, what stands under its name now, and the window's parts of it. An inbox whose re-checks
    were ended is held against nothing: whatever has its name breaks no verdict, and lets none pass."""
    if facts.ended:
        was = replace(was, broker=replace(was.broker, inbox=None))
    members = {was.broker.bus.name: was.bus} | ({was.broker.inbox.name: was.inbox} if was.broker.inbox else {})
    pairs = [(then, now_, members[then.name]) for then, now_ in _pairs(was.broker, is_)]
    found = _parts(facts, {s.label: s.partition for _, _, members in pairs for s in members if s.partition is not None})
    return [(then, now_, [found[s.label] for s in members if s.label in found]) for then, now_, members in pairs]


def _pairs(was: f.Broker, is_: f.Broker) -> list[tuple[f.Topic, f.Topic]]:
    inbox = [(was.inbox, is_.inbox or f.Topic(was.inbox.name, None))] if was.inbox is not None else []
    return [(was.bus, is_.bus), *inbox]


def _parts(facts: f.WindowFacts, partitions: Mapping[str, int]) -> dict[str, Part]:
    """By label, of the sources that have a partition."""
    inbox = facts.inbox.value if facts.inbox else ()
    bus = facts.bus.value if facts.bus else ()
    ours = [Part(s.label, -1, s.start, s.cut, s.position, s.lost, s.first, s.kept_to) for s in inbox]
    ours += [Part(b.label, -1, b.start, b.end, b.position, b.lost) for b in bus]
    return {part.label: replace(part, partition=partitions[part.label]) for part in ours if part.label in partitions}


def drift(was: f.Basis, is_: f.Broker, database: f.DatabaseIdentity) -> list[str]:
    """What differs between a basis and what is there now, as a whole; what became of single logs is their anchors' to
    say. Of another cluster nothing else is said."""
    texts = [c.text for c in (*other_cluster(was.broker, is_), *other_database(was.database, database))]
    if was.broker.cluster_id != is_.cluster_id:
        return texts
    for then, now_ in _pairs(was.broker, is_):
        causes = (*other_topic(then, now_), *_other_posture(then, now_), *_no_posture(then, now_))
        texts += [*(cause.text for cause in causes), *_promises_more(then, now_), *_added(then, now_)]
    return texts


def _added(was: f.Topic, is_: f.Topic) -> Iterable[str]:
    """Partitions that the basis does not have, of the same incarnation."""
    more = [f"{is_.name}/{number}" for number in sorted(is_.partitions) if number not in was.partitions]
    if more and was.topic_id == is_.topic_id:
        yield f"{w.sources(more)} {w.were(len(more))} added since"


def other_cluster(was: f.Broker, is_: f.Broker) -> Iterable[Cause]:
    if was.cluster_id != is_.cluster_id:
        yield Cause(f"the Kafka cluster was {was.cluster_id} and is {is_.cluster_id}", RERUN, Severity.FAIL)


def other_database(was: f.DatabaseIdentity, is_: f.DatabaseIdentity) -> Iterable[Cause]:
    if was.system_identifier != is_.system_identifier:
        yield Cause("the database is not the one the window opened in", RERUN)
    elif was.timeline != is_.timeline:
        text = f"Postgres was on timeline {was.timeline} and is on {is_.timeline}"
        yield Cause(text, RERUN)


def created_again(topic: str) -> str:
    """How a verdict says it, for good: the rule of a cover goes by it, and the database's."""
    return f"{topic} was deleted and created again"


def other_topic(was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    if is_.topic_id is None:
        yield Cause(f"{was.name} is gone", Act(f"find out who deleted {was.name}, then open a new run", "open"))
    elif was.topic_id != is_.topic_id:
        yield Cause(created_again(was.name), RERUN, Severity.FAIL)


def _other_posture(was: f.Topic, is_: f.Topic, is_rerun: bool = False) -> Iterable[Cause]:
    """What a topic promises no more; what it promises in addition breaks nothing. No plan refreshes a rerun's basis."""
    if is_.posture is None or was.posture is None or is_.topic_id != was.topic_id:
        return
    compacts = unfit_inbox(is_.posture) is not None
    for key, way in changes(was.posture, is_.posture).items():
        if way is Change.WORSE:
            text = f"{key} of {was.name} was {was.posture[key]} and is {is_.posture[key]}"
            act = _set_back if compacts or is_rerun else _set_back_or_refresh
            yield Cause(text, act(key, was.name))
    if compacts and was.posture.get(POLICY) == is_.posture[POLICY]:  # whatever a basis says, such a topic forgets
        yield Cause(f"{was.name} compacts", _set_back(POLICY, was.name))


POLICY = "cleanup.policy"


def _set_back(key: str, topic: str) -> Act:
    return Act(f"set {key} of {topic} back", "operate")


def _set_back_or_refresh(key: str, topic: str) -> Act:
    """What a refresh may take in; of a topic that compacts nothing is."""
    return Act(f"set {key} of {topic} back, or ask for a basis plan", "operate")


def offers_refresh(act: str) -> bool:
    """Whether a refresh of the basis is among what these words of an act name, also as verdicts of before say it."""
    return act.endswith(("or ask for a basis plan", "or ask for a refresh of the basis"))


def _no_posture(was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    """Two answers are compared, or nothing is known: that nobody looked is not "the same"."""
    if is_.topic_id is None:
        return
    if was.posture is None:
        yield Cause(f"the posture of {was.name} is not in the basis", RERUN)
    if is_.posture is None:
        yield Cause(f"the posture of {is_.name} was not measured", MEASURE_KAFKA)
    if was.posture is None or is_.posture is None:
        return
    for key, way in changes(was.posture, is_.posture).items():
        if way is Change.UNKNOWN and key in was.posture:
            yield Cause(f"{key} of {is_.name} was not measured", MEASURE_KAFKA)
        elif way is Change.UNKNOWN:
            yield Cause(f"{key} of {was.name} is not in the basis", RERUN)


def lost_offsets(label: str, n: int) -> Cause:
    """Nobody read them and nobody can: no receipt says what they were."""
    return Cause(f"{w.count(n, 'offset')} of {label} {w.were(n)} deleted before anybody read {w.them(n)}", RERUN, FAIL)


def _lost(part: Part, topic: f.Topic) -> Iterable[Cause]:
    """Offsets that the log does not have any more and no lane has passed. What was read may go (REPLAY_ANCHOR_LOST)."""
    if part.lost:
        yield lost_offsets(part.label, part.lost)
    log = topic.partitions.get(part.partition)
    start = log.log_start if log else None
    if start is not None:
        unread = (start if part.end is None else min(start, part.end)) - max(part.position, part.start)
        if unread > 0:
            said = f"{w.count(unread, 'offset')} of {part.label} {w.be(unread)} gone unread"
            yield Cause(f"{said}: its log starts at {w.number(start)}", WAIT_LANES)


def _other_log(part: Part, was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    """What became of the log. Of a topic that was created again it is another one: nothing follows from that."""
    if part.kept_to is not None and is_.topic_id == was.topic_id:
        yield from _cut_log(part, part.kept_to, is_)
    elif is_.topic_id in (None, was.topic_id):
        yield from (*broken_log(part, is_), *lower_epoch(part, was, is_))


def _cut_log(part: Part, kept_to: int, topic: f.Topic) -> Iterable[Cause]:
    """What lies below the cut was looked at when the next window began, and is as it was received."""
    if part.end is None or part.end > kept_to:
        yield Cause(f"{part.label} {w.cut_at(kept_to)}", RERUN, FAIL)
    else:
        yield from _too_short(part, topic)


def broken_log(part: Part, topic: f.Topic) -> Iterable[Cause]:
    yield from _too_short(part, topic)
    log = topic.partitions.get(part.partition)
    if log is not None and log.diverged:
        yield Cause(f"{part.label} was truncated: {log.diverged}", _goes_on(part, topic))


def _too_short(part: Part, topic: f.Topic) -> Iterable[Cause]:
    log, label, end = topic.partitions.get(part.partition), part.label, part.end
    if log is None:
        if topic.topic_id is not None:
            yield Cause(f"{label} is gone", Act(f"find out what became of {label}, then open a new run", "open"))
    elif end is not None and log.high_watermark is not None and log.high_watermark < end:
        text = f"{label} ends at {w.number(log.high_watermark)}, before the window's {w.number(end)}"
        yield Cause(text, _goes_on(part, topic))


def _goes_on(part: Part, topic: f.Topic) -> Act:
    """An inbox is read on by the next window, from where its log is another one. What lay on the bus is the ledger's to
    publish again, and on the bus as it is now no lane goes on: a position never moves back."""
    if part.label.startswith(f"{topic.name}/"):
        return Act(f"create {topic.name} anew, with what nobody read of it, then open a new run", "open")
    return RERUN


def lower_epoch(part: Part, was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    """Leader epochs only rise: a lower one is another log under the same name and id, or one that was put back."""
    then, now_ = _epoch(was, part.partition), _epoch(is_, part.partition)
    if then is not None and now_ is not None and now_ < then:
        yield Cause(f"the leader epoch of {part.label} was {then} and is {now_}", RERUN)


def _epoch(topic: f.Topic, partition: int) -> int | None:
    log = topic.partitions.get(partition)
    return log.leader_epoch if log else None


def unread_log(part: Part, was: f.Topic, is_: f.Topic) -> Iterable[Cause]:
    log = is_.partitions.get(part.partition)
    if log is None or part.kept_to is not None:
        return
    if log.log_start is None or log.high_watermark is None:
        yield Cause(f"{part.label} was not measured", MEASURE_KAFKA)
    if log.diverged is None:
        yield Cause(f"the leader epoch of {part.label} was not probed", MEASURE_KAFKA)
    if log.leader_epoch is None:
        yield Cause(f"the leader epoch of {part.label} was not measured", MEASURE_KAFKA)
    if _epoch(was, part.partition) is None:
        yield Cause(f"the leader epoch of {part.label} is not in the basis", RERUN)


# ---- what is worth saying and breaks nothing ------------------------------------------------------------------------


def _harmless(topics: Sequence[tuple[f.Topic, f.Topic, list[Part]]]) -> Iterable[str]:
    for was, is_, parts in topics:
        yield from _began_late(parts)
        yield from _anchors_lost(parts, is_)
        yield from _promises_more(was, is_)


def _refreshed(basis: f.Basis) -> Iterable[str]:
    """Whoever reads the verdict is told who let the window stand on another basis than it began with."""
    yield from (f"generation {each.generation} is {each.why}" for each in basis.refreshes)


def _began_late(parts: Sequence[Part]) -> Iterable[str]:
    """Only a topic's very first window may start where its log began; whoever reads the verdict is told."""
    for part in parts:
        if part.first and part.start:
            yield f"{part.label} begins at {w.number(part.start)}, where its log began"


def _anchors_lost(parts: Sequence[Part], topic: f.Topic) -> Iterable[str]:
    """Read and receipted records may expire; they cannot be read again."""
    lost = [part.label for part in parts if _is_lost(part, topic.partitions.get(part.partition))]
    if lost:
        yield f"REPLAY_ANCHOR_LOST: {w.sources(lost)} {'starts' if len(lost) == 1 else 'start'} later now"


def _is_lost(part: Part, log: f.PartitionLog | None) -> bool:
    """Whether the log keeps less than all that was read of the window."""
    read_to = part.position if part.end is None else min(part.position, part.end)
    first = f.first_kept(log, part.start, read_to) if log is not None else None
    return first is not None and first > part.start


def _promises_more(was: f.Topic, is_: f.Topic) -> Iterable[str]:
    if was.posture is None or is_.posture is None or was.topic_id != is_.topic_id:
        return
    for key, way in changes(was.posture, is_.posture).items():
        if way is Change.BETTER:
            yield f"{key} of {was.name} was {was.posture[key]} and is {is_.posture[key]}, which promises more"
