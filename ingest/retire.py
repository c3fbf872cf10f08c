"""Retiring sources whose incarnation is gone: a topic that was deleted and created again never comes back (K5), nor
does the end of a log that was cut.

What is retired is sampled no more, no lane reads it, no next window carries it, and attempts that went there are over.
Only another incarnation of the same name is proof: a topic that is missing, or another cluster, may be a mistake that
somebody takes back.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ingest.auditlog import record_act
from ingest.core.ids import SourceId, StreamId
from ingest.db import Cursor, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.windows import raise_revisions

log = logging.getLogger(__name__)
sql = statements("ingest", "retire")

ACTOR = "passgate"


def retire_others(cur: Cursor, stream: StreamId, role: str, topic: str, cluster_id: str, topic_id: str) -> list[int]:
    """A run opens on this incarnation: whatever else the stream knew under the topic's name is retired.

    A step of opening, in its transaction: somebody wants the stream to go on here. Returns the sources retired.
    """
    keys = {"stream": stream, "role": role, "topic": topic, "cluster_id": cluster_id, "topic_id": topic_id}
    found = [row.id for row in cur.execute(sql.others, keys).fetchall()]
    why = f"the run opened on {topic} with id {topic_id} of cluster {cluster_id}"
    return _retire(cur, dict.fromkeys(found, why))


def retire_replaced(now: Mapping[int, str], cluster_id: str) -> list[int]:
    """Retires those of these sources (with the topic id that Kafka names now) that were replaced on this cluster."""
    if not now:
        return []
    keys = {"sources": list(now), "topic_ids": list(now.values()), "cluster_id": cluster_id}
    with read() as cur:
        if not cur.execute(sql.replaced, keys).fetchall():
            return []
    return retry_transaction(lambda: _retire_replaced(keys))


def _retire_replaced(keys: Mapping[str, Any]) -> list[int]:
    with write() as cur:
        rows = cur.execute(sql.replaced, keys).fetchall()
        return _retire(cur, {row.id: f"{row.topic} has id {row.now_id} now" for row in rows})


def retire_cut(cur: Cursor, kept: Mapping[SourceId, int]) -> list[int]:
    """Their logs were cut at these offsets, and are others from there on: the next window follows those.

    A step of opening and of going on. Windows of earlier incarnations may lie behind the cut, too.
    """
    why = "its log was cut at {:,}, and is another one from there on"
    return _retire(cur, {source: why.format(at) for source, at in kept.items()}, kept)


def _retire(cur: Cursor, whys: Mapping[int, str], kept: Mapping[SourceId, int] | None = None) -> list[int]:
    """Each once, with what it ends, and one row of the audit log a stream."""
    if not whys:
        return []
    cur.execute(sql.lock_positions, {"sources": list(whys)})
    failpoint("retire.after_locks")
    kept_to = [(kept or {}).get(SourceId(source)) for source in whys]
    values = {"sources": list(whys), "whys": list(whys.values()), "kept": kept_to}
    inserted = cur.execute(sql.insert, values).fetchall()
    done = [row.source_id for row in inserted]
    failpoint("retire.after_rows")
    cur.execute(sql.clear_stops, {"sources": done})
    failpoint("retire.after_stops")
    over = [row.id for row in cur.execute(sql.end_attempts, {"sources": done}).fetchall()]
    failpoint("retire.after_attempts")
    touched = cur.execute(sql.touched, {"sources": done, "attempts": over}).fetchall()
    raise_revisions(cur, [row.win for row in touched])
    failpoint("retire.after_revisions")
    _say(cur, done, whys, over)
    return done


def _say(cur: Cursor, done: Sequence[int], whys: Mapping[int, str], over: Sequence[int]) -> None:
    by_stream: dict[str, dict[str, str]] = {}
    for row in cur.execute(sql.streams, {"sources": list(done)}).fetchall():
        by_stream.setdefault(row.stream, {})[f"{row.topic}/{row.partition}"] = whys[row.source_id]
    for stream, gone in sorted(by_stream.items()):
        log.warning("%s: retired %s", stream, ", ".join(gone))
        detail = {"sources": gone, "attempts_over": list(over)}
        record_act(cur, ACTOR, "source.retired", stream, "their log is gone", detail)
        failpoint("retire.after_act")
