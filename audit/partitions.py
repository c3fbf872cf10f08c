"""A partition added while a window is open belongs to that window from offset 0, and to its basis' next generation.

So does a door, the source of a web process, that was bound to the window since.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from audit import capture as look
from audit.core import facts as f
from audit.core import snapshot as s
from audit.open import bind_bus, bind_inbox
from ingest.auditlog import record_act
from ingest.core.contract import Contract
from ingest.db import Cursor, again, read, statements, write
from ingest.kafka import TopicFacts

sql = statements("audit", "partitions")

QUICK = 2.0  # seconds: it is asked again soon


def grown(windows: Sequence[int]) -> list[int]:
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


def notice_partitions(win: int, contract: Contract) -> int:
    """Looks whether inbox or bus have grown since the basis; returns how many partitions were new.

    Only growth of the very topics of the basis is taken in: it never changes a start, a topic id or a range. Any other
    drift is the verdict's to name, and a person's to answer.
    """
    captured = look.capture(contract, timeout=QUICK)
    if captured.broker is None:
        return 0
    broker = captured.broker.value
    with read() as cur:
        basis = look.read_basis(cur, win)
    if basis is None or not _grown(basis.value, broker):
        return 0
    return again(lambda: _take_in(win, captured, broker))


def _grown(basis: f.Basis, broker: f.Broker) -> bool:
    """New partitions of the same incarnation; a recreated topic is not growth."""
    return bool(_new(basis.broker.inbox, broker.inbox) or _new(basis.broker.bus, broker.bus)) and (
        basis.broker.cluster_id == broker.cluster_id
    )


def _new(was: f.Topic | None, is_: f.Topic | None) -> set[int]:
    if was is None or is_ is None or was.topic_id != is_.topic_id:
        return set()
    return set(is_.partitions) - set(was.partitions)


def _take_in(win: int, captured: look.Captured, broker: f.Broker) -> int:
    with write() as cur:
        row: Any = cur.execute(sql.lock_window, {"win": win}).fetchone()
        basis = look.read_basis(cur, win)
        if row.state != "OPEN" or basis is None:
            return 0
        inbox, bus = _new(basis.value.broker.inbox, broker.inbox), _new(basis.value.broker.bus, broker.bus)
        added = [bind_inbox(cur, row.stream_id, win, broker, partition) for partition in sorted(inbox)]
        if bus:
            bind_bus(cur, row.stream_id, win, broker)
        sources = (
            (*basis.value.inbox, *added),
            (*basis.value.bus, *(f.BasisSource(f.bus_label(broker.bus.name, p), p) for p in sorted(bus))),
        )
        _append(cur, win, captured, basis.value, broker, sources)
        detail = {"inbox": sorted(inbox), "bus": sorted(bus)}
        record_act(cur, "passgate", "basis.grown", f"{row.stream}/{row.run_id}", "partitions were added", detail)
    return len(inbox) + len(bus)


def _take_in_doors(win: int, captured: look.Captured) -> None:
    with write() as cur:
        row: Any = cur.execute(sql.lock_window, {"win": win}).fetchone()
        if row.state == "OPEN":
            take_in_doors(cur, win, captured)


def take_in_doors(cur: Cursor, win: int, captured: look.Captured) -> int:
    """Doors bound since the newest generation become part of the next one; the caller has locked the window's row."""
    basis = look.read_basis(cur, win)
    labels = [look.source_label(row) for row in cur.execute(sql.doors, {"win": win}).fetchall()]
    known = {source.label for source in basis.value.inbox} if basis else set()
    new = [label for label in labels if label not in known]
    if basis is None or not new:
        return 0
    sources = ((*basis.value.inbox, *(f.BasisSource(label) for label in new)), basis.value.bus)
    snapshot = look.store_snapshot(cur, win, "CHECK", captured, look.database_identity(cur))
    look.append_basis(cur, win, snapshot, look.unprobed(basis.value.broker), sources, "doors were bound")
    return len(new)


def _append(
    cur: Cursor,
    win: int,
    captured: look.Captured,
    basis: f.Basis,
    broker: f.Broker,
    sources: tuple[tuple[f.BasisSource, ...], tuple[f.BasisSource, ...]],
) -> None:
    """The new generation takes in the partitions and nothing else: the old posture stays, so its drift still shows."""
    kept = f.Broker(
        basis.broker.cluster_id,
        bus=_with_partitions(basis.broker.bus, broker.bus),
        inbox=_with_partitions(basis.broker.inbox, broker.inbox) if basis.broker.inbox and broker.inbox else None,
    )
    snapshot = look.store_snapshot(cur, win, "CHECK", captured, look.database_identity(cur))
    look.append_basis(cur, win, snapshot, look.unprobed(kept), sources, "partitions were added")


def _with_partitions(was: f.Topic, is_: f.Topic) -> f.Topic:
    if was.topic_id != is_.topic_id:
        return was
    return f.Topic(was.name, was.topic_id, {**is_.partitions, **was.partitions}, was.posture)
