"""A basis grows by generations: what one has that the one before had not, in words. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit.core import facts as f
from audit.core import phrases as w
from audit.core.snapshot import BASIS, read_broker


@dataclass(frozen=True)
class Generation:
    """One generation as it was recorded. `digest` is over `body`, hexadecimal."""

    number: int
    digest: str
    why: str
    recorded_at: datetime
    body: Mapping[str, Any]


def differences(before: Generation, after: Generation) -> list[str]:
    """What the later one says otherwise. Of one that this version cannot read nobody says that it is the same."""
    for each in (before, after):
        if each.body.get("schema") != BASIS:
            return [f"generation {each.number} has a shape this version does not know"]
    was, is_ = read_broker(before.body["broker"]), read_broker(after.body["broker"])
    changed = [] if was.cluster_id == is_.cluster_id else [f"the cluster was {was.cluster_id} and is {is_.cluster_id}"]
    changed += _sources(before.body, after.body)
    for then, now in ((was.inbox, is_.inbox), (was.bus, is_.bus)):
        if then is not None and now is not None:
            changed += _topic(then, now)
    if before.body["database"] != after.body["database"]:
        changed.append("Postgres' identity is another")
    return changed


def _sources(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterable[str]:
    was, is_ = _labels(before), _labels(after)
    added, gone = [x for x in is_ if x not in was], [x for x in was if x not in is_]
    if added:
        yield f"{w.sources(added, 6)} {w.were(len(added))} added"
    if gone:
        yield f"{w.sources(gone, 6)} {w.be(len(gone))} not in it any more"


def _labels(body: Mapping[str, Any]) -> list[str]:
    return [source["label"] for role in ("inbox", "bus") for source in body[role]]


def _topic(was: f.Topic, is_: f.Topic) -> Iterable[str]:
    if was.topic_id != is_.topic_id:
        yield f"the id of {was.name} was {was.topic_id} and is {is_.topic_id}"
    before, after = was.posture or {}, is_.posture or {}
    for key in sorted({*before, *after}):
        if before.get(key) != after.get(key):
            yield f"{key} of {was.name} was {before.get(key, 'not measured')} and is {after.get(key, 'not measured')}"
    yield from _epochs(was, is_)


def _epochs(was: f.Topic, is_: f.Topic) -> Iterable[str]:
    """Partitions that both have, and whose leader changed."""
    moved = [
        (number, was.partitions[number].leader_epoch, log.leader_epoch)
        for number, log in sorted(is_.partitions.items())
        if number in was.partitions and was.partitions[number].leader_epoch != log.leader_epoch
    ]
    yield from (f"the leader epoch of {was.name}/{n} was {_said(a)} and is {_said(b)}" for n, a, b in moved)


def _said(epoch: int | None) -> str:
    return "not measured" if epoch is None else str(epoch)


def steps(generations: Sequence[Generation]) -> tuple[tuple[str, ...], ...]:
    """For each generation, the oldest first, what it says otherwise than the one before; nothing for the first."""
    pairs = zip(generations, generations[1:], strict=False)
    return ((), *(tuple(differences(a, b)) for a, b in pairs)) if generations else ()
