"""Proves gaps with a second consumer: what one claimed to be empty, another one must find empty too (K1, K12)."""

from __future__ import annotations

import bisect
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from psycopg.types.json import Jsonb

from audit.capture import admin
from ingest.core.errors import BrokerError
from ingest.db import again, read, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Cluster, Partition, PartitionReader, Start
from ingest.windows import raise_revisions

sql = statements("audit", "gaps")

#: Of one source, and after which no further one is begun: a task has to end, and what is proven is durable.
SECONDS, SECONDS_IN_ALL = 20.0, 30.0
END = 2**63
Span = tuple[int, int]


def prove(win: int) -> dict[int, int]:
    """Turns CLAIMED gaps of the window's inbox ranges into PROVEN ones where a second reader says so too.

    Returns, by source, how many offsets of a gap turned out to hold records. A broker that does not answer proves
    nothing and refutes nothing.
    """
    with read() as cur:
        rows = cur.execute(sql.claimed, {"win": win}).fetchall()
    by_source: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        by_source[row.source_id].append(row)
    until = time.monotonic() + SECONDS_IN_ALL
    refuted = {}
    for source, found in by_source.items():
        if time.monotonic() > until:
            break  # what stays CLAIMED is proven at the next look
        refuted[source] = _prove_source(win, found)
        failpoint("gaps.after_source")
    return {source: n for source, n in refuted.items() if n}


def _prove_source(win: int, rows: Sequence[Any]) -> int:
    """Offsets of another incarnation of the topic are nobody's: they prove nothing (K5)."""
    spans = [(row.from_offset, row.to_offset) for row in rows]
    try:
        if admin().topic_id(rows[0].topic) != rows[0].topic_id:
            return 0
        empty, filled, ended = _read(rows[0].topic, rows[0].partition, spans)
    except BrokerError:
        return 0
    failpoint("gaps.after_reading")
    proven = [row for row, span in zip(rows, spans, strict=True) if _covered(span, empty)]
    if proven:
        again(lambda: _write(win, proven, ended))
    return filled


def _read(topic: str, partition: int, spans: Sequence[Span]) -> tuple[list[Span], int, int]:
    """A fresh consumer over all spans: where it was given nothing, how many records lay inside them, where it ended."""
    here, at, end = Partition(topic, partition), spans[0][0], spans[-1][1]
    empty: list[Span] = []
    filled = 0
    until = time.monotonic() + SECONDS
    with PartitionReader(Cluster.from_settings(), fetch_wait=0.02) as reader:
        reader.assign([Start(topic, partition, at)])
        while at < end and time.monotonic() < until:
            chunk = reader.read(2000, 0.2).get(here)
            if chunk is None:
                continue
            empty += [(gap.from_offset, gap.to_offset) for gap in chunk.gaps]
            filled += sum(1 for record in chunk.records if _inside(record.offset, spans))
            at = chunk.next_offset
            if chunk.fault is not None:
                raise chunk.fault
            if chunk.at_end and not chunk.moved():
                break
    return empty, filled, at


def _inside(offset: int, spans: Sequence[Span]) -> bool:
    """Spans are sorted and lie apart."""
    index = bisect.bisect_right(spans, (offset, END)) - 1
    return index >= 0 and offset < spans[index][1]


def _covered(span: Span, empty: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in empty)


def _write(win: int, rows: Sequence[Any], ended: int) -> None:
    with write() as cur:
        proofs = [{"reader": "second", "isolation": row.isolation, "read_to": ended} for row in rows]
        values = {
            "source": rows[0].source_id,
            "starts": [row.from_offset for row in rows],
            "proofs": list(map(Jsonb, proofs)),
        }
        cur.execute(sql.proven, values)
        failpoint("gaps.after_proofs")
        raise_revisions(cur, [win])
        failpoint("gaps.before_commit")
