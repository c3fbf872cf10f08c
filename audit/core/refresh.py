"""What a refresh may add to a basis, and what none ever does. Pure.

It takes in what a topic promises now and leader epochs that rose. Where a partition begins, which topic and cluster it
is of, and which PostgreSQL the ledger lies in stay what the first generation says; partitions are taken in by
themselves, by the window that is open when they are first seen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from audit.core import facts as f
from audit.core import snapshot as s
from audit.core.basis import Part, broken_log, lower_epoch, other_cluster, other_database, other_topic
from ingest.core.contract.shape import Limits
from ingest.core.posture import Change, TopicFault, changes, unfit_bus, unfit_inbox

OTHER_TIMELINE = "what another timeline of Postgres has lost nobody has looked for, so no refresh takes it in"


@dataclass(frozen=True)
class Additions:
    """`posture`: by topic and key, what the basis says (None: nothing) and what is so now. `epochs`: likewise, by topic
    and partition. `needed`: BASIS does not hold without them.
    """

    posture: Mapping[str, Mapping[str, tuple[str | None, str]]]
    epochs: Mapping[str, Mapping[int, tuple[int | None, int]]]
    needed: bool

    def document(self) -> dict[str, Any]:
        """As a plan binds it; no key is null."""
        return {
            "posture": {topic: {key: _pair(*pair) for key, pair in x.items()} for topic, x in self.posture.items()},
            "epochs": {topic: {str(n): _pair(*pair) for n, pair in x.items()} for topic, x in self.epochs.items()},
        }

    def lines(self) -> Iterator[str]:
        """A sentence each, for whoever has to say yes."""
        for topic, keys in self.posture.items():
            yield from (f"{key} of {topic}: {_said(was)} → {is_}." for key, (was, is_) in keys.items())
        for topic, logs in self.epochs.items():
            yield from (f"leader epoch of {topic}/{n}: {_said(was)} → {is_}." for n, (was, is_) in logs.items())

    def no_later_than(self, bound: Mapping[str, Any]) -> Additions:
        """These, with no newer epochs than the document `bound` has: an election that comes later changes nothing of
        what was asked for, and a lower epoch does."""
        epochs = {
            topic: {
                n: (was, min(is_, _after(bound, topic, n))) for n, (was, is_) in logs.items() if _has(bound, topic, n)
            }
            for topic, logs in self.epochs.items()
        }
        return replace(self, epochs={topic: logs for topic, logs in epochs.items() if logs})


def _pair(before: str | int | None, after: str | int) -> dict[str, Any]:
    return {"after": after} if before is None else {"before": before, "after": after}


def _said(value: object) -> str:
    return "not in the basis" if value is None else str(value)


def _has(bound: Mapping[str, Any], topic: str, partition: int) -> bool:
    return str(partition) in bound["epochs"].get(topic, {})


def _after(bound: Mapping[str, Any], topic: str, partition: int) -> int:
    return int(bound["epochs"][topic][str(partition)]["after"])


def additions(basis: f.Basis, now: f.Broker) -> Additions:
    """What is otherwise in a way that a refresh may take in; of topics that are the basis' own."""
    pairs = [(was, is_) for was, is_ in _pairs(basis.broker, now) if was.topic_id == is_.topic_id]
    posture = {was.name: dict(_posture(was, is_)) for was, is_ in pairs}
    epochs = {was.name: dict(_epochs(was, is_)) for was, is_ in pairs}
    worse = any(_breaks(was, is_) for was, is_ in pairs)
    unknown = any(before is None for logs in epochs.values() for before, _ in logs.values())
    return Additions(
        {topic: keys for topic, keys in posture.items() if keys},
        {topic: logs for topic, logs in epochs.items() if logs},
        needed=worse or unknown,
    )


def _pairs(was: f.Broker, is_: f.Broker) -> list[tuple[f.Topic, f.Topic]]:
    inbox = [(was.inbox, is_.inbox or f.Topic(was.inbox.name, None))] if was.inbox is not None else []
    return [(was.bus, is_.bus), *inbox]


def _posture(was: f.Topic, is_: f.Topic) -> Iterator[tuple[str, tuple[str | None, str]]]:
    before, after = was.posture or {}, is_.posture or {}
    for key in changes(before, after):
        if key in after:
            yield key, (before.get(key), after[key])


def _breaks(was: f.Topic, is_: f.Topic) -> bool:
    """Whether BASIS does not hold for what the topic promises."""
    before, after = was.posture or {}, is_.posture or {}
    return any(way is Change.WORSE or key not in before for key, way in changes(before, after).items())


def _epochs(was: f.Topic, is_: f.Topic) -> Iterator[tuple[int, tuple[int | None, int]]]:
    for number, log in sorted(was.partitions.items()):
        now = is_.partitions.get(number)
        if now is None or now.leader_epoch is None:
            continue
        if log.leader_epoch is None or now.leader_epoch > log.leader_epoch:
            yield number, (log.leader_epoch, now.leader_epoch)


# ---- what is never refreshed ----------------------------------------------------------------------------------------


def objections(
    basis: f.Basis, now: f.Broker, database: f.DatabaseIdentity, parts: Mapping[str, Sequence[Part]], limits: Limits
) -> list[str]:
    """Why no refresh may go with what is there now; `parts`: by topic. Empty: one may.

    What a run could not begin on, no window goes on with.
    """
    if any(other_cluster(basis.broker, now)):
        return [cause.text for cause in other_cluster(basis.broker, now)]
    said = list(_of_the_database(basis.database, database))
    for was, is_ in _pairs(basis.broker, now):
        said += [cause.text for cause in other_topic(was, is_)]
        if was.topic_id == is_.topic_id:
            said += [*_of_logs(was, is_, parts.get(was.name, ())), *_unfit(was, is_, is_.name == now.bus.name, limits)]
    return said


def _of_the_database(was: f.DatabaseIdentity, is_: f.DatabaseIdentity) -> Iterator[str]:
    for cause in other_database(was, is_):
        yield cause.text
        if was.system_identifier == is_.system_identifier:
            yield OTHER_TIMELINE


def _of_logs(was: f.Topic, is_: f.Topic, parts: Sequence[Part]) -> Iterator[str]:
    for part in parts:
        for cause in (*broken_log(part, is_), *lower_epoch(part, was, is_)):
            yield cause.text
        log = is_.partitions.get(part.partition)
        if log is not None and (log.high_watermark is None or log.diverged is None or log.leader_epoch is None):
            yield f"{part.label} was not measured"


def _unfit(was: f.Topic, is_: f.Topic, is_bus: bool, limits: Limits) -> Iterator[str]:
    if is_.posture is None:
        yield f"the posture of {is_.name} was not measured"
        return
    yield from (f"{key} of {is_.name} was not measured" for key in was.posture or {} if key not in is_.posture)
    fault: TopicFault | None = unfit_bus(is_.posture, limits) if is_bus else unfit_inbox(is_.posture)
    if fault is not None:
        yield f"{is_.name} is not what a run could begin on: expected {fault.expected}; found {fault.found}"


# ---- the next generation --------------------------------------------------------------------------------------------


def grown(basis: f.Basis, more: Additions) -> f.Broker:
    """What the next generation says of the broker: what this one says, with the additions and nothing else."""
    inbox = _topic(basis.broker.inbox, more) if basis.broker.inbox else None
    return replace(basis.broker, bus=_topic(basis.broker.bus, more), inbox=inbox)


def _topic(was: f.Topic, more: Additions) -> f.Topic:
    posture = {**(was.posture or {}), **{key: is_ for key, (_, is_) in more.posture.get(was.name, {}).items()}}
    epochs = more.epochs.get(was.name, {})
    logs = {
        n: replace(log, leader_epoch=epochs[n][1] if n in epochs else log.leader_epoch, diverged=None)
        for n, log in was.partitions.items()
    }
    return replace(was, partitions=logs, posture=posture if posture or was.posture is not None else None)


def next_body(basis: f.Basis, more: Additions) -> dict[str, Any]:
    """The next generation as it will be stored: it follows from this one and the additions, so that its digest can be
    approved before it is there."""
    return s.basis_body(grown(basis, more), basis.database, basis.inbox, basis.bus)


def bound(basis: f.Basis, more: Additions) -> dict[str, Any]:
    """What a plan binds: the generation that was seen, what is added, and the digest of what follows."""
    seen = {"generation": basis.generation, "digest": basis.digest}
    return seen | more.document() | {"next": s.digest(next_body(basis, more)).hex()}


def parts_by_topic(found: Iterable[tuple[str, Part]]) -> dict[str, list[Part]]:
    """By topic, in order."""
    out: dict[str, list[Part]] = {}
    for topic, part in found:
        out.setdefault(topic, []).append(part)
    return out
