"""Replay anchors: from where on each source of a window can be read again, by what was seen of its log. Pure.

By the rules of BASIS: what breaks a basis leaves nothing to replay, and what was not measured is neither "all" nor
"nothing". A log's start only ever moves on, so what an older look found gone stays gone; all else may have changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.basis import Part, broken_log, lower_epoch, other_cluster, other_topic, unread_log
from audit.core.check import Cause


class Reach(StrEnum):
    """How much of a source's range can be read again."""

    ALL = "ALL"  # every offset of it
    FROM = "FROM"  # what lies at `first` and behind
    NOTHING = "NOTHING"  # no offset of it
    EMPTY = "EMPTY"  # it holds no offset
    UNMEASURED = "UNMEASURED"  # nobody can say


@dataclass(frozen=True)
class LogStart:
    """Where a log began when it was last sampled with an answer. A sample asks for no other incarnation's."""

    offset: int
    at: datetime


@dataclass(frozen=True)
class AnchorSource:
    """One source of a window as the ledger knows it, and its range [start, end).

    `end`: the cut, of a bus its bus_end; while that is not known, where the source's lane stands. `epoch`: the leader
    epoch of the basis. `retired`: why the source's incarnation is gone for good, "" where it is not.
    """

    label: str
    role: str
    kind: str
    cluster_id: str
    topic_id: str
    topic: str
    partition: int
    start: int
    end: int
    epoch: int | None = None
    retired: str = ""
    sampled: LogStart | None = None

    @property
    def offsets(self) -> int:
        return max(self.end - self.start, 0)


@dataclass(frozen=True)
class Look:
    """What Kafka answered now; where it did not, `why`."""

    broker: f.MeasuredValue[f.Broker] | None
    why: str = ""


@dataclass(frozen=True)
class Anchor:
    """The answer about one source.

    `first`: the first offset that can be read again, of ALL and FROM. `gone_to`: [start, gone_to) cannot be read again;
    of UNMEASURED at least these, and None where nobody knows of any. `measured_at` and `measured_by`: when and by what
    that was seen (kafka, sample, ledger); neither where nothing was.
    """

    source: AnchorSource
    reach: Reach
    first: int | None
    gone_to: int | None
    why: tuple[str, ...] = ()
    measured_at: datetime | None = None
    measured_by: str = ""
    by_start: bool = False
    """Whether all that is gone lies below the log's start, by this look; what lies behind it is there."""

    @property
    def gone(self) -> int | None:
        """How many offsets of the range cannot be read again; None where nobody knows."""
        return None if self.gone_to is None else max(self.gone_to - self.source.start, 0)


def anchors(sources: Iterable[AnchorSource], look: Look) -> tuple[Anchor, ...]:
    """One for each source, in the order given."""
    return tuple(_anchor(source, look) for source in sources)


def _anchor(source: AnchorSource, look: Look) -> Anchor:
    if source.offsets == 0:
        return Anchor(source, Reach.EMPTY, None, source.start, measured_by="ledger")
    if source.kind != "topic":
        return _nothing(source, [_NO_LOG.get(source.kind, f"{source.label} has no log")])
    if source.retired:
        return _nothing(source, [f"{source.label} is retired: {source.retired}"])
    if look.broker is None:
        return _unmeasured(source, [look.why or "Kafka was not asked"])
    return _of_log(source, look.broker)


_NO_LOG = {
    "door": "a door keeps no log: who sent its events may send them again",
    "plan": "a plan keeps no log: its records lie at their origins",
}


def _of_log(source: AnchorSource, broker: f.MeasuredValue[f.Broker]) -> Anchor:
    was = f.Topic(source.topic, source.topic_id, {source.partition: f.PartitionLog(leader_epoch=source.epoch)})
    is_ = broker.value.bus if source.role == "bus" else broker.value.inbox
    if is_ is None or is_.name != source.topic:
        return _unmeasured(source, [f"Kafka was not asked for {source.topic}: the contract names another topic"])
    part = Part(source.label, source.partition, source.start, source.end, source.end, 0)
    broken = _first(
        other_cluster(f.Broker(source.cluster_id, bus=was), broker.value),
        other_topic(was, is_),
        (*broken_log(part, is_), *lower_epoch(part, was, is_)),
    )
    if broken:
        return _nothing(source, broken, broker)
    log = is_.partitions[source.partition]
    unknown = [*_texts(unread_log(part, was, is_)), *_not_whole(is_)]
    first = f.first_kept(log, source.start, source.end)
    if unknown or first is None:
        return _unmeasured(source, unknown, first, broker)
    return _kept_from(source, first, log, broker)


def _first(*groups: Iterable[Cause]) -> list[str]:
    """The first group that says something: what follows from another cluster or topic is not said beside it."""
    return next((texts for group in groups if (texts := _texts(group))), [])


def _texts(causes: Iterable[Cause]) -> list[str]:
    return [cause.text for cause in causes]


def _not_whole(topic: f.Topic) -> Iterable[str]:
    """A log that compacts forgets records between others: its start does not say what is there (K7)."""
    policy = topic.posture.get("cleanup.policy") if topic.posture is not None else None
    if policy is None:
        yield f"the cleanup policy of {topic.name} was not measured"
    elif "compact" in policy:
        yield f"{topic.name} compacts: which of its records are still there was not measured"


def _kept_from(source: AnchorSource, first: int, log: f.PartitionLog, broker: f.MeasuredValue[f.Broker]) -> Anchor:
    at, by = broker.measured_at, broker.source
    if first == source.start:
        return Anchor(source, Reach.ALL, first, first, (), at, by)
    why = (f"the log of {source.label} starts at {w.number(log.log_start or 0)} now",)
    if first == source.end:
        return Anchor(source, Reach.NOTHING, None, first, why, at, by, by_start=True)
    return Anchor(source, Reach.FROM, first, first, why, at, by, by_start=True)


def _nothing(source: AnchorSource, why: Sequence[str], broker: f.MeasuredValue[f.Broker] | None = None) -> Anchor:
    at, by = (broker.measured_at, broker.source) if broker else (None, "ledger")
    return Anchor(source, Reach.NOTHING, None, source.end, tuple(why), at, by)


def _unmeasured(
    source: AnchorSource,
    why: Sequence[str],
    first: int | None = None,
    broker: f.MeasuredValue[f.Broker] | None = None,
) -> Anchor:
    """What is gone all the same: by this look, where it said where the log starts, else by the last sample. Where that
    is the whole range it is measured: none of it comes back."""
    at, by = (broker.measured_at, broker.source) if broker else (None, "")
    if first is None and source.sampled is not None:
        kept = f.PartitionLog(log_start=source.sampled.offset)
        first, at, by = f.first_kept(kept, source.start, source.end), source.sampled.at, "sample"
    if first is None:
        return Anchor(source, Reach.UNMEASURED, None, None, tuple(why))
    if first == source.end:
        return Anchor(
            source, Reach.NOTHING, None, first, (f"the log of {source.label} starts behind this range",), at, by
        )
    return Anchor(source, Reach.UNMEASURED, None, first, tuple(why), at, by)


# ---- what receipts could stand in for -------------------------------------------------------------------------------


@dataclass(frozen=True)
class StandIns:
    """What the ledger holds of a range that cannot be read again: receipts, and offsets in proven gaps, where no record
    was. `neither`: offsets of which nothing says what they were, or that were not read; no replay covers a window
    that has any."""

    receipts: int
    gaps: int
    neither: int


# ---- in words -------------------------------------------------------------------------------------------------------


def said(anchor: Anchor) -> str:
    """What can be replayed of the source: "all", "from 18,000", "nothing", "nothing to read", "unmeasured"."""
    if anchor.reach is Reach.FROM and anchor.first is not None:
        return f"from {w.number(anchor.first)}"
    return _WORDS[anchor.reach]


_WORDS = {
    Reach.ALL: "all",
    Reach.FROM: "from",
    Reach.NOTHING: "nothing",
    Reach.EMPTY: "nothing to read",
    Reach.UNMEASURED: "unmeasured",
}


def sentence(found: Sequence[Anchor]) -> str:
    """The window's inbox in one sentence; what was not measured is said first, and is never left out."""
    inbox = [anchor for anchor in found if anchor.source.role == "inbox" and anchor.reach is not Reach.EMPTY]
    if not inbox:
        return "There is nothing to replay: no source of the inbox has an offset in this window."
    named = {reach: [a.source.label for a in inbox if a.reach is reach] for reach in Reach}
    if named[Reach.UNMEASURED]:
        return (
            f"What is safe to replay of {w.sources(named[Reach.UNMEASURED])} is unmeasured{_rest(inbox, named, '; ')}."
        )
    if len(named[Reach.ALL]) == len(inbox):
        return f"All of the window can be replayed: {w.count(len(inbox), 'source')}, every offset is there."
    if len(named[Reach.NOTHING]) == len(inbox):
        return "Nothing of the window can be replayed."
    return f"Part of the window can be replayed{_rest(inbox, named, ': ')}."


def _rest(inbox: Sequence[Anchor], named: dict[Reach, list[str]], joint: str) -> str:
    parts = [f"{w.sources(named[Reach.ALL])} whole"] if named[Reach.ALL] else []
    parts += [f"{anchor.source.label} {said(anchor)}" for anchor in inbox if anchor.reach is Reach.FROM][:3]
    if len(named[Reach.FROM]) > 3:
        parts.append(f"{w.count(len(named[Reach.FROM]) - 3, 'more source')} in part")
    parts += [f"of {w.sources(named[Reach.NOTHING])} nothing"] if named[Reach.NOTHING] else []
    return f"{joint}{w.listed(parts)}" if parts else ""
