"""Proves gaps with a second consumer: what one claimed to be empty, another one must find empty too (K1, K12).

A proof is a row like others, and whoever can write to the ledger can write one. So a process believes the proofs that
it made itself; those of others it reads again before it judges by them.
"""

from __future__ import annotations

import bisect
import time
from collections import OrderedDict, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import stand_in
from audit.capture import admin
from ingest.admit.replay import LogStart, OriginLog, start_of
from ingest.core.batching import GONE
from ingest.core.errors import BrokerError
from ingest.core.ids import SourceId, WindowId
from ingest.core.posture import unfit_inbox
from ingest.db import fetch_one, read, retry_transaction, statements, write_apart
from ingest.failpoints import failpoint
from ingest.kafka import Cluster, OffsetOutOfRange, Partition, PartitionReader, Start
from ingest.windows import raise_revisions

sql = statements("audit", "gaps")

#: Of one source, and after which no further one is begun: a task has to end, and what is proven is durable.
SECONDS, SECONDS_IN_ALL = 20.0, 30.0
END = 2**63
MOST_SEEN = 1024
Span = tuple[int, int]


@dataclass(frozen=True)
class _Proofs:
    """The proven gaps of a window's source as one value: how many, and when the newest was proven."""

    number: int = 0
    newest: datetime | None = None

    def __or__(self, more: _Proofs) -> _Proofs:
        newest = max(filter(None, (self.newest, more.newest)), default=None)
        return _Proofs(self.number + more.number, newest)


def _proofs(rows: Iterable[Any]) -> _Proofs:
    found = _Proofs()
    for row in rows:
        found |= _Proofs(1, row.proven_at)
    return found


#: By window and source: the proofs that this process made or read again, the windows it looked at last.
_seen: OrderedDict[tuple[int, int], _Proofs] = OrderedDict()


def prove(win: WindowId) -> dict[SourceId, int]:
    """Turns CLAIMED gaps of the window's inbox ranges into PROVEN ones where a second reader says so too.

    Returns, by source, how many offsets of a gap turned out to hold records, in those that others proved, too. A broker
    that does not answer proves nothing and refutes nothing; nor does a log that no longer reaches back to a proven gap.
    """
    with read() as cur:
        rows = cur.execute(sql.gaps, {"win": win}).fetchall()
    by_source: dict[SourceId, list[Any]] = defaultdict(list)
    for row in rows:
        by_source[row.source_id].append(row)
    until = time.monotonic() + SECONDS_IN_ALL
    refuted = {}
    for source, found in by_source.items():
        if time.monotonic() > until:
            break  # what stays CLAIMED is proven at the next look
        gone = [row for row in found if row.why == GONE]
        refuted[source] = _look_at(win, source, [row for row in found if row.why != GONE]) + _look_at_gone(
            win, source, gone
        )
        failpoint("gaps.after_source")
    return {source: n for source, n in refuted.items() if n}


def _look_at(win: WindowId, source: SourceId, rows: Sequence[Any]) -> int:
    """Claimed gaps of one source, and proven ones where not all of them are known here."""
    claimed = [row for row in rows if row.state == "CLAIMED"]
    proven = _proofs(row for row in rows if row.state == "PROVEN")
    if proven.number and _seen.get((win, source)) != proven:
        refuted = _prove_source(win, source, rows, proven)
    else:
        refuted = _prove_source(win, source, claimed, proven) if claimed else 0
    return refuted


def _look_at_gone(win: WindowId, source: SourceId, rows: Sequence[Any]) -> int:
    """What a plan passed over as gone must lie below its log's start: looked at each time, for that costs little.

    Returns how many records a reader is given of what does not. A log that is another topic's by now proves nothing.
    """
    if not rows:
        return 0
    try:
        start = _log_start(source, rows[0])
        if start is None:
            return 0
        kept = [(max(row.from_offset + row.shift, start.least), row.to_offset + row.shift) for row in rows]
        kept = [span for span in kept if span[0] < span[1]]
        filled = _read(rows[0].topic, rows[0].partition, kept)[1] if kept else 0
    except BrokerError:
        return 0
    failpoint("gone.after_reading")
    below = _claimed_below(rows, start)
    if below:
        retry_transaction(lambda: _write_gone(win, source, below, start))
    return filled


def _log_start(source: SourceId, row: Any) -> LogStart | None:
    return start_of(OriginLog(source, row.topic, row.topic_id, row.partition, 0, 0), admin())


def _claimed_below(rows: Sequence[Any], start: LogStart) -> list[Any]:
    return [row for row in rows if row.to_offset + row.shift <= start.least and row.state == "CLAIMED"]


def _remember(win: WindowId, source: SourceId, proofs: _Proofs) -> None:
    _seen[win, source] = proofs
    _seen.move_to_end((win, source))
    if len(_seen) > MOST_SEEN:
        _seen.popitem(last=False)


def _prove_source(win: WindowId, source: SourceId, rows: Sequence[Any], proven: _Proofs) -> int:
    """Offsets of another incarnation of the topic are nobody's: they prove nothing (K5)."""
    try:
        if admin().topic_id(rows[0].topic) != rows[0].topic_id:
            return 0
        try:
            return _read_again(win, source, rows, proven)
        except OffsetOutOfRange:
            return _overtaken(win, source, rows, proven)
    except BrokerError:
        return 0


def _read_again(win: WindowId, source: SourceId, rows: Sequence[Any], proven: _Proofs) -> int:
    spans = [(row.from_offset + row.shift, row.to_offset + row.shift) for row in rows]
    empty, filled, ended = _read(rows[0].topic, rows[0].partition, spans)
    if _forgets(rows[0]):
        return 0
    failpoint("gaps.after_reading")
    covered = [row for row, span in zip(rows, spans, strict=True) if _covered(span, empty)]
    fresh = [row for row in covered if row.state == "CLAIMED"]
    if fresh:
        proven |= retry_transaction(lambda: _write(win, source, fresh, ended))
    if not filled and len(covered) == len(rows):
        _remember(win, source, proven)
    return filled


def _forgets(row: Any) -> bool:
    """Such a log forgets what was never received, and no basis of a rerun's says so."""
    return row.again and unfit_inbox(admin().posture(row.topic)) is not None


def _overtaken(win: WindowId, source: SourceId, rows: Sequence[Any], proven: _Proofs) -> int:
    """Retention has taken some of them: what the log still has is read all the same.

    Of a plan's source, a gap that is gone is proven where the first reading's gaps were, over all of its offsets, while
    the log had them. Nothing else proves one, ever.
    """
    start = _log_start(source, rows[0])
    if start is None:
        return 0
    gone = [row for row in _claimed_below(rows, start) if row.again]
    if gone and not _forgets(gone[0]) and _believed(win):
        proven |= retry_transaction(lambda: _write_gone(win, source, gone, start))
    failpoint("overtaken.after_proofs")
    there = [row for row in rows if row.from_offset + row.shift >= start.least]
    return _read_again(win, source, there, proven) if there else 0


def _believed(win: WindowId) -> bool:
    """Whether proofs of the window that is read again are worth anything."""
    with read() as cur:
        first = fetch_one(cur.execute(sql.read_first, {"win": win})).win
        return first is not None and not stand_in.refusal(cur, WindowId(first), empty=1)


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
    """Whether one of the spans holds the offset. They must be sorted by their start and must not overlap."""
    index = bisect.bisect_right(spans, (offset, END)) - 1
    return index >= 0 and offset < spans[index][1]


def _covered(span: Span, empty: Iterable[Span]) -> bool:
    return any(start <= span[0] and span[1] <= end for start, end in empty)


def _write(win: WindowId, source: SourceId, rows: Sequence[Any], ended: int) -> _Proofs:
    """On a connection of its own: in one process the lane that claimed a gap may have written through ours."""
    with write_apart() as cur:
        values: Mapping[str, object] = {"source": source, "starts": [row.from_offset for row in rows], "read_to": ended}
        done = _proofs(cur.execute(sql.proven, values).fetchall())
        failpoint("gaps.after_proofs")
        raise_revisions(cur, [win])
        failpoint("gaps.before_commit")
    return done


def _write_gone(win: WindowId, source: SourceId, rows: Sequence[Any], start: LogStart) -> _Proofs:
    """On a connection of its own, as `_write`. What stands in is counted here, and once more by the trigger."""
    with write_apart() as cur:
        values: Mapping[str, object] = {
            "source": source, "before": start.before, "after": start.after,
            "starts": [row.from_offset for row in rows], "ends": [row.to_offset for row in rows],
        }  # fmt: skip
        done = _proofs(cur.execute(sql.proven_gone, values).fetchall())
        failpoint("gone.after_proofs")
        raise_revisions(cur, [win])
        failpoint("gone.before_commit")
    return done
