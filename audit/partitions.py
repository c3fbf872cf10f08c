"""What an open window's basis takes in, each time as its next generation, never changing an earlier one.

A partition added while the window is open belongs to it from offset 0; so does a door, the source of a web process,
that was bound to it since; and where a topic promises more than it did, it is held to that from then on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit import capture as look
from audit.core import facts as f
from audit.core import phrases as w
from audit.core import snapshot as s
from audit.open import bind_bus, bind_inbox, is_measured
from ingest.auditlog import record_act
from ingest.core.contract import Contract
from ingest.core.ids import WindowId
from ingest.core.posture import improved
from ingest.db import Cursor, read, retry_transaction, statements, write
from ingest.kafka import TopicFacts

sql = statements("audit", "partitions")

QUICK = 2.0  # seconds: it is asked again soon


def grown(windows: Sequence[WindowId]) -> list[WindowId]:
    """Which of these windows' topics have partitions that their bases do not know: `notice_partitions` takes them in.

    One question to the database and one to Kafka, however many windows are open. Without an answer: none.
    """
    if not windows:
        return []
    with read() as cur:
        rows = cur.execute(sql.known, {"wins": list(windows), "schema": s.BASIS}).fetchall()
    now = look.topics({row.topic for row in rows}, QUICK)
    more = {row.win for row in rows if _has_more(row, now.get(row.topic))}
    return [win for win in windows if win in more]


def _has_more(row: Any, found: look.Said) -> bool:
    return (
        isinstance(found, TopicFacts)
        and found.topic_id == row.topic_id
        and not set(found.partitions) <= set(row.partitions)
    )


def notice_partitions(win: WindowId, contract: Contract) -> int:
    """Looks whether inbox or bus have grown since the basis, or promise more; returns how many partitions were new.

    Only growth of the very topics of the basis is taken in: it never changes a start, a topic id or a range. Any other
    drift is the verdict's to name, and a person's to answer.
    """
    captured = look.capture(contract, timeout=QUICK)
    if captured.broker is None:
        return 0
    broker = captured.broker.value
    with read() as cur:
        basis = look.read_basis(cur, win)
    if basis is None or not _Growth.of(basis.value, broker):
        return 0
    return retry_transaction(lambda: _take_in(win, captured, broker))


@dataclass(frozen=True)
class _Growth:
    """Partitions that the basis does not know, and the topics that promise more. A recreated topic is not growth."""

    inbox: frozenset[int] = frozenset()
    bus: frozenset[int] = frozenset()
    better: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.inbox or self.bus or self.better)

    @classmethod
    def of(cls, basis: f.Basis, broker: f.Broker) -> _Growth:
        if basis.broker.cluster_id != broker.cluster_id:
            return cls()
        pairs = ((basis.broker.inbox, broker.inbox), (basis.broker.bus, broker.bus))
        better = {was.name for was, is_ in pairs if was and is_ and _promises_more(was, is_)}
        return cls(_new(*pairs[0]), _new(*pairs[1]), frozenset(better))

    def why(self) -> str:
        said = ["partitions were added"] if self.inbox or self.bus else []
        said += [f"{name} promises more" for name in sorted(self.better)]
        return w.listed(said)


def _new(was: f.Topic | None, is_: f.Topic | None) -> frozenset[int]:
    """Of one incarnation. A partition about which Kafka does not say enough yet is taken in at a later look."""
    if was is None or is_ is None or was.topic_id != is_.topic_id:
        return frozenset()
    measured = {number for number, log in is_.partitions.items() if is_measured(log)}
    return frozenset(measured - set(was.partitions))


def _promises_more(was: f.Topic, is_: f.Topic) -> bool:
    known = was.topic_id == is_.topic_id and was.posture is not None and is_.posture is not None
    return known and improved(was.posture or {}, is_.posture or {}) is not None


def _take_in(win: WindowId, captured: look.Capture, broker: f.Broker) -> int:
    with write() as cur:
        row: Any = cur.execute(sql.lock_window, {"win": win}).fetchone()
        basis = look.read_basis(cur, win)
        growth = _Growth.of(basis.value, broker) if basis else _Growth()
        if row.state != "OPEN" or basis is None or not growth:
            return 0
        added = [bind_inbox(cur, row.stream_id, win, broker, partition) for partition in sorted(growth.inbox)]
        more = bind_bus(cur, row.stream_id, win, broker, growth.bus) if growth.bus else ()
        sources = ((*basis.value.inbox, *added), (*basis.value.bus, *more))
        _append(cur, win, captured, basis.value, broker, growth, sources)
        detail = {"inbox": sorted(growth.inbox), "bus": sorted(growth.bus), "posture": sorted(growth.better)}
        record_act(cur, "passgate", "basis.grown", f"{row.stream}/{row.run_name}", growth.why(), detail)
    return len(growth.inbox) + len(growth.bus)


def take_in_doors(cur: Cursor, win: WindowId, captured: look.Capture) -> int:
    """Doors bound since the newest generation become part of the next one; the caller has locked the window's row."""
    basis = look.read_basis(cur, win)
    labels = [look.source_label(row) for row in cur.execute(sql.doors, {"win": win}).fetchall()]
    known = {source.label for source in basis.value.inbox} if basis else set()
    new = [label for label in labels if label not in known]
    if basis is None or not new:
        return 0
    sources = ((*basis.value.inbox, *(f.BasisSource(label) for label in new)), basis.value.bus)
    snapshot = look.store_snapshot(cur, win, "CHECK", captured, look.database_identity(cur))
    broker = look.unprobed(basis.value.broker)
    look.append_basis(cur, win, snapshot, broker, basis.value.database, sources, "doors were bound")
    return len(new)


def _append(
    cur: Cursor,
    win: WindowId,
    captured: look.Capture,
    basis: f.Basis,
    broker: f.Broker,
    growth: _Growth,
    sources: tuple[tuple[f.BasisSource, ...], tuple[f.BasisSource, ...]],
) -> None:
    """The new generation takes in what grew and nothing else: what was promised before and is no more still shows."""
    was, is_ = basis.broker, broker
    kept = f.Broker(
        was.cluster_id,
        bus=_grown(was.bus, is_.bus, growth.bus),
        inbox=_grown(was.inbox, is_.inbox, growth.inbox) if was.inbox and is_.inbox else None,
    )
    snapshot = look.store_snapshot(cur, win, "CHECK", captured, look.database_identity(cur))
    look.append_basis(cur, win, snapshot, look.unprobed(kept), basis.database, sources, growth.why())


def _grown(was: f.Topic, is_: f.Topic, new: frozenset[int]) -> f.Topic:
    """What was known of a partition stays: a start, an end or an epoch of now is no basis for what came before."""
    if was.topic_id != is_.topic_id:
        return was
    partitions = {**was.partitions, **{number: is_.partitions[number] for number in new}}
    posture = was.posture and (improved(was.posture, is_.posture or {}) or was.posture)
    return f.Topic(was.name, was.topic_id, partitions, posture)
