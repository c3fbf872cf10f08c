"""Is this ledger the newest one? Kafka is told a position only once that is durable: what it holds cannot be ahead."""

from __future__ import annotations

import time
from collections import defaultdict
from typing import Any

from ingest.core.errors import LedgerError
from ingest.core.group import group_of, mark_of
from ingest.db import read, statements
from ingest.install import install_id
from ingest.kafka import Admin, BrokerUnavailable, Committed
from ingest.models import Stream

sql = statements("ingest", "reading")


class LedgerBehind(LedgerError):
    """Kafka was told positions that the ledger does not have: an older copy of the database was put back."""

    code = "ledger_behind"
    what = "the ledger is older than what Kafka was told of it"


_current: set[tuple[int, int]] = set()


def check_current(stream: Stream, admin: Admin) -> None:
    """Before a lane of the stream starts: once a database connection, since a database is not put back under one.

    Raises LedgerBehind, or BrokerUnavailable where Kafka does not say what it was told.
    """
    with read() as cur:
        key = (cur.connection.info.backend_pid, stream.id)
        if key in _current:
            return
        rows = cur.execute(sql.told, {"stream": stream.id}).fetchall()
    told = _told(stream, admin, rows)
    with read() as cur:  # after what was told, for positions only grow
        rows = cur.execute(sql.told, {"stream": stream.id}).fetchall()
    ahead = [
        f"{row.topic}/{row.partition}: {told[row.topic, row.partition]:,} there, {row.next_offset:,} here"
        for row in rows
        if told.get((row.topic, row.partition), 0) > row.next_offset
    ]
    if ahead:
        raise LedgerBehind(
            expected="positions at or beyond Kafka's commits",
            found="; ".join(ahead[:5]),
            next_step="put the newest copy of the database back; lanes then go on by themselves",
        )
    _current.add(key)


def _told(stream: Stream, admin: Admin, rows: list[Any]) -> dict[tuple[str, int], int]:
    """What our lanes committed, by topic and partition; of topics that are still those that were read."""
    ids = {row.topic: row.topic_id for row in rows}
    partitions: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        partitions[row.topic].append(row.partition)
    found: dict[tuple[str, int], int] = {}
    for topic, facts in admin.topics(partitions).items() if partitions else ():
        if facts is None or facts.topic_id != ids[topic]:
            continue  # offsets of another incarnation are nobody's (K5)
        for number, said in _committed(admin, stream, topic, partitions[topic]).items():
            if said.ours and said.offset is not None:
                found[topic, number] = said.offset
    return found


#: A group that is asked about for the first time may not have found its coordinator yet.
COORDINATOR_SECONDS = 5.0


def _committed(admin: Admin, stream: Stream, topic: str, partitions: list[int]) -> dict[int, Committed]:
    install = install_id()
    group, mark = group_of(install, stream.name), mark_of(install)
    until = time.monotonic() + COORDINATOR_SECONDS
    while True:
        found = admin.committed(group, topic, partitions, mark)
        silent = [number for number, said in found.items() if said.state == "UNMEASURED"]
        if not silent:
            return found
        if time.monotonic() > until:
            raise BrokerUnavailable(expected=f"what was committed of {topic}, partitions {silent}", found="no answer")
        time.sleep(0.1)
