"""Measures until when a cut window is complete, once: the rule is audit/core/completeness.py."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from audit import capture as look
from audit.core import completeness as c
from audit.core import facts as f
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError
from ingest.core.ids import WindowId
from ingest.db import read, retry_transaction, statements, write
from ingest.kafka import Cluster, LogEnds, Partition, first_appends

sql = statements("audit", "complete")


def see_completeness(win: WindowId, contract: Contract) -> None:
    """Writes down until when a cut window is complete, or why that is never known.

    Where Kafka does not answer nothing is written: the next look asks again.
    """
    with read() as cur:
        row = cur.execute(sql.unmeasured, {"win": win}).fetchone()
        if row is None:
            return
        sources = cur.execute(sql.sources, {"win": win}).fetchall()
        basis = look.read_basis(cur, win)
    never = _never(basis.value.broker.inbox) if basis else ""
    found = c.Completeness(None, never, True) if never else _measured(row.cut_at, sources, contract)
    if found.until is not None or found.for_good:
        retry_transaction(lambda: _write(win, found))


def _never(inbox: f.Topic | None) -> str:
    """Why no window on such an inbox is ever known to be complete; empty where one may be."""
    posture = (inbox.posture or {}) if inbox else {}
    if "compact" in posture.get("cleanup.policy", ""):
        return "the inbox compacts: what came first behind a cut may be gone"
    if inbox and posture.get("message.timestamp.type") != "LogAppendTime":
        return "the inbox stamps the producer's time: set message.timestamp.type=LogAppendTime"
    return ""


def _write(win: WindowId, found: c.Completeness) -> None:
    with write() as cur:
        cur.execute(sql.write, {"win": win, "until": found.until, "why": found.why[:500] or None})


def _measured(cut_at: datetime, sources: list[Any], contract: Contract) -> c.Completeness:
    doors = [c.SourceEnd(look.source_label(row), nothing_at=cut_at) for row in sources if row.kind == "door"]
    logs = [row for row in sources if row.kind == "topic"]
    try:
        asked_at, ends = look.now(), _logs(logs, contract) if logs else []
    except BrokerError as error:
        return c.Completeness(None, str(error))
    return c.completeness([*doors, *ends], asked_at, contract.window.clock_skew)


def _logs(rows: list[Any], contract: Contract) -> list[c.SourceEnd]:
    """Two looks at the logs, and a reading of what lies first behind the cuts between them."""
    topic, admin = contract.inbox.kafka.topic, look.admin(5.0)
    asked_at = look.now()
    there = admin.topics([topic])[topic]
    if there is None:
        return [c.SourceEnd(topic, why="is not there")]
    now = (admin.cluster_id(), there.topic_id)
    gone = [row for row in rows if (row.cluster_id, row.topic_id) != now]
    if gone:
        return [c.SourceEnd(look.source_label(row), why="is another topic now", for_good=True) for row in gone]
    cuts = {Partition(topic, number): 0 for number in there.partitions}  # those that came later
    cuts |= {Partition(topic, row.partition): int(row.end_offset) for row in rows}
    before = admin.ends_of({topic: [here.partition for here in cuts]})
    behind = {here: cut for here, cut in cuts.items() if not _is_empty_behind(before[here], cut)}
    first = first_appends(Cluster.from_settings(), behind)
    after = admin.ends_of({topic: [here.partition for here in cuts]})
    return [
        c.source_end(
            f.inbox_label(here.partition), cut, _seen(before[here]), _seen(after[here]), first.get(here), asked_at
        )
        for here, cut in cuts.items()
    ]


def _is_empty_behind(log: LogEnds, cut: int) -> bool:
    return log.lso == log.hw == cut


def _seen(log: LogEnds) -> tuple[int | None, int | None, int | None]:
    return log.earliest, log.lso, log.hw
