"""Samples: what Kafka says of every source's offsets, written down; unanswered is null, never 0."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from typing import Any

from django.conf import settings

from ingest.behind import tell_generation
from ingest.core.errors import BrokerError
from ingest.core.group import group_of
from ingest.db import read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.install import install_id
from ingest.kafka import MOST_MEMBERS, Admin, CommittedOffset, LogEnds, Partition
from ingest.retire import retire_replaced

log = logging.getLogger(__name__)
sql = statements("ingest", "sample")


def sample(admin: Admin, stream: str | None = None) -> int:
    """Asks the broker for the offsets of every source (of `stream`, or of all) and writes down the answers.

    Unanswered is null, never 0. Offsets of all topics take four questions; committed offsets take one a stream, so
    where there are many streams each is asked in its turn.
    """
    with read() as cur:
        rows = cur.execute(sql.sampled_sources, {"stream": stream}).fetchall()
    if not rows:
        return 0
    ends, replaced = _ends(admin, rows)
    retired = set(retire_replaced(*replaced))
    failpoint("sample.after_retiring")
    rows = [row for row in rows if row.id not in retired]
    if not rows:
        return 0
    committed = _committed(admin, [row for row in rows if Partition(row.topic, row.partition) in ends])
    answers = [_answer(row, ends.get(Partition(row.topic, row.partition)), committed.get(row.id)) for row in rows]
    names = ("sources", "log_starts", "lsos", "hws", "epochs", "committed", "states", "nexts")
    columns = dict(zip(names, map(list, zip(*answers, strict=True)), strict=True))
    retry_transaction(lambda: _write_samples(columns))
    if ends:  # who had no answer to that would wait for this one, too
        tell_generation(admin)
    return len(answers)


def _write_samples(columns: dict[str, list[Any]]) -> None:
    with write() as cur:
        cur.execute(sql.insert_samples, columns)
        failpoint("sample.after_rows")
        cur.execute(sql.forget_samples, {"hours": settings.PASSGATE_KEEP_SAMPLES_HOURS})
        failpoint("sample.before_commit")


#: Streams whose committed offsets one sample asks for, once there are more than an Admin keeps connections for.
COMMITTED_A_TURN = 8
COMMITTED_SECONDS = 1.0
_turn = 0


def _ends(admin: Admin, rows: list[Any]) -> tuple[dict[Partition, LogEnds], tuple[dict[int, str], str]]:
    """By (topic, partition); and, by source, the other id that its topic has now, with the cluster that says so.

    Another topic of the same name is not an answer about this one (K5).
    """
    replaced: dict[int, str] = {}
    try:
        facts = admin.topics({row.topic for row in rows})
        wanted: dict[str, list[int]] = defaultdict(list)
        for row in rows:
            found = facts[row.topic]
            if found is not None and found.topic_id == row.topic_id:
                wanted[row.topic].append(row.partition)
            elif found is not None:
                replaced[row.id] = found.topic_id
        return admin.ends_of(wanted), (replaced, admin.cluster_id() if replaced else "")
    except BrokerError as error:
        log.info("not sampled: %s", error)
        return {}, ({}, "")


def _committed(admin: Admin, rows: list[Any]) -> dict[int, CommittedOffset]:
    """By source, of the streams whose turn it is."""
    by_topic: dict[tuple[str, str], list[Any]] = defaultdict(list)
    streams = _whose_turn(sorted({row.stream for row in rows}))
    for row in rows:
        if row.stream in streams:
            by_topic[row.stream, row.topic].append(row)
    committed: dict[int, CommittedOffset] = {}
    until, install = time.monotonic() + COMMITTED_SECONDS, install_id()
    for (stream, topic), sources in by_topic.items():
        if time.monotonic() > until:
            break  # offsets matter more than what was told to Kafka: the rest is unmeasured this time
        answers = admin.committed(group_of(install, stream), topic, [row.partition for row in sources])
        committed.update({row.id: answers[row.partition] for row in sources if row.partition in answers})
    return committed


def _whose_turn(streams: list[str]) -> set[str]:
    global _turn
    if len(streams) <= MOST_MEMBERS:
        return set(streams)
    start = _turn % len(streams)
    _turn += COMMITTED_A_TURN
    return set((streams[start:] + streams[:start])[:COMMITTED_A_TURN])


def _answer(row: Any, end: LogEnds | None, committed: CommittedOffset | None) -> tuple[Any, ...]:
    log_end, said = end or LogEnds(None, None, None, None), committed or CommittedOffset("UNMEASURED")
    return (
        row.id, log_end.earliest, log_end.lso, log_end.hw, log_end.leader_epoch, said.offset, said.state,
        row.next_offset,
    )  # fmt: skip
