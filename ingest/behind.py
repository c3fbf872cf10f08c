"""Is this ledger the newest one? Kafka is told of it only what is durable: what Kafka holds cannot be ahead.

It holds what lanes committed, and the ledger's generation, which grows every few seconds whatever the lanes do.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass
from typing import Any
from weakref import WeakKeyDictionary

from django.db import connection

from ingest.core.errors import LedgerError
from ingest.core.group import group_of, ledger_group_of, mark_of
from ingest.core.ids import StreamId
from ingest.db import fetch_one, read, statements
from ingest.install import install_id
from ingest.kafka import Admin, BrokerUnavailable, CommittedOffset, Partition
from ingest.models import Stream

sql = statements("ingest.lanes", "partition_lane")


class LedgerBehind(LedgerError):
    """Kafka was told positions that the ledger does not have: an older copy of the database was put back."""

    code = "ledger_behind"
    retry = True  # as soon as the newest copy is back
    what = "the ledger is older than what Kafka was told of it"


#: Connections of this process on which the ledger was found to be the newest, with the streams that were asked for.
_current: WeakKeyDictionary[Any, set[int]] = WeakKeyDictionary()


def is_current(stream: StreamId) -> bool:
    """Whether this thread's connection was looked at already: a database is not put back under one."""
    return stream in _current.get(connection.connection, ())


def check_current(stream: Stream, admin: Admin) -> None:
    """Before a lane of the stream starts: once a database connection.

    Raises LedgerBehind, or BrokerUnavailable where Kafka does not say what it was told.
    """
    if is_current(StreamId(stream.id)):
        return
    with read() as cur:
        looked_at = cur.connection
    if ahead := commits_ahead(stream, admin):
        found = "; ".join(map(str, ahead[:5]))
        raise LedgerBehind(expected="positions at or beyond Kafka's commits", found=found, next_step=_PUT_BACK)
    if newer := newer_generation(StreamId(stream.id), admin):
        raise LedgerBehind(expected="the newest generation of the ledger", found=newer, next_step=_PUT_BACK)
    _current.setdefault(looked_at, set()).add(stream.id)


_PUT_BACK = (
    "put the newest copy of the database back; lanes then go on by themselves. Where there is none any more, two people"
    " adopt this one: passgate plan submit adopt STREAM"
)


@dataclass(frozen=True)
class CommitAhead:
    """A partition of which Kafka was told more than the ledger has: next offsets there, and here."""

    topic: str
    partition: int
    told: int
    here: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}: {self.told:,} there, {self.here:,} here"


def commits_ahead(stream: Stream, admin: Admin) -> list[CommitAhead]:
    """Empty where Kafka was told nothing that the ledger lacks. Raises BrokerUnavailable."""
    with read() as cur:
        rows = cur.execute(sql.told, {"stream": stream.id}).fetchall()
    told = _told(stream, admin, rows)
    with read() as cur:  # after what was told, for positions only grow
        rows = cur.execute(sql.told, {"stream": stream.id}).fetchall()
    return [
        CommitAhead(row.topic, row.partition, told[row.topic, row.partition], row.next_offset)
        for row in rows
        if told.get((row.topic, row.partition), 0) > row.next_offset
    ]


# ---- the generation -------------------------------------------------------------------------------------------------

TELL_SECONDS = 10.0
_told_at = 0.0


def tell_generation(admin: Admin) -> None:
    """Every TELL_SECONDS of a process that samples. Raises nothing of Kafka's: what is not told now is told next time.

    Never a lower one: an older copy that was put back would take the trace away that shows it. And only of what is
    committed: inside a transaction nothing is told.
    """
    global _told_at
    if connection.in_atomic_block or time.monotonic() - _told_at < TELL_SECONDS:
        return
    _told_at = time.monotonic()
    places, install = _places(None), install_id()
    group, mark = ledger_group_of(install), mark_of(install)
    told = admin.told(group, places, mark) if places else None
    generation = _generation()
    if told is not None and told < generation:
        admin.tell(group, dict.fromkeys(places, generation), mark)


def newer_generation(stream: StreamId, admin: Admin) -> str:
    """What Kafka was told of a newer one than this; empty where it was not. Raises BrokerUnavailable."""
    told = generation_ahead(stream, admin)
    return f"Kafka was told of sample {told:,}, and the newest here is {_generation():,}" if told else ""


def generation_ahead(stream: StreamId | None, admin: Admin) -> int:
    """The generation that Kafka was told of (beside one stream's topics, or all), where it is newer than the ledger's;
    else 0. Raises BrokerUnavailable."""
    places, install = _places(stream), install_id()
    until = time.monotonic() + COORDINATOR_SECONDS
    while places and (generation := admin.told(ledger_group_of(install), places, mark_of(install))) is None:
        if time.monotonic() > until:
            raise BrokerUnavailable(expected=f"the ledger's generation beside {places[0]}", found="no answer")
        time.sleep(0.1)
    if not places or generation is None or generation <= _generation():  # asked after what was told: it only grows
        return 0
    return generation


def _places(stream: StreamId | None) -> list[Partition]:
    with read() as cur:
        rows = cur.execute(sql.generation_places, {"stream": stream}).fetchall()
    return [Partition(row.topic, row.partition) for row in rows]


def _generation() -> int:
    with read() as cur:
        return int(fetch_one(cur.execute(sql.generation)).generation)


def _told(stream: Stream, admin: Admin, rows: list[Any]) -> dict[tuple[str, int], int]:
    """What our lanes committed, by topic and partition; of topics that are still those that were read."""
    ids = {row.topic: row.topic_id for row in rows}
    partitions: dict[str, list[int]] = defaultdict(list)
    for row in rows:
        partitions[row.topic].append(row.partition)
    committed: dict[tuple[str, int], int] = {}
    install = install_id()
    group, mark = group_of(install, stream.name), mark_of(install)
    for topic, facts in admin.topics(partitions).items() if partitions else ():
        if facts is None or facts.topic_id != ids[topic]:
            continue  # offsets of another incarnation are nobody's (K5)
        for number, said in _answered(admin, group, topic, partitions[topic], mark).items():
            if said.ours and said.offset is not None:
                committed[topic, number] = said.offset
    return committed


#: A group that is asked about for the first time may not have found its coordinator yet.
COORDINATOR_SECONDS = 5.0


def _answered(admin: Admin, group: str, topic: str, partitions: list[int], mark: str) -> dict[int, CommittedOffset]:
    until = time.monotonic() + COORDINATOR_SECONDS
    while True:
        found = admin.committed(group, topic, partitions, mark)
        silent = [number for number, said in found.items() if said.state == "UNMEASURED"]
        if not silent:
            return found
        if time.monotonic() > until:
            raise BrokerUnavailable(expected=f"what was committed of {topic}, partitions {silent}", found="no answer")
        time.sleep(0.1)
