"""Many lanes without a topic behind them: for what looks at positions and never at Kafka."""

from __future__ import annotations

import uuid

from ingest.db import write


def lanes_of_a_kind(number: int) -> tuple[str, list[int]]:
    """A stream with `number` effects lanes, and their sources in order."""
    name = f"many{uuid.uuid4().hex[:10]}"
    with write() as cur:
        cur.execute("INSERT INTO stream (name) VALUES (%s) RETURNING id", (name,))
        stream = cur.fetchone().id  # type: ignore[union-attr]
        cur.execute(
            "INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition)"
            " SELECT %s, 'bus', 'topic', 'c', %s, %s, n FROM generate_series(1, %s) n RETURNING id",
            (stream, name, f"{name}.bus", number),
        )
        sources = sorted(row.id for row in cur.fetchall())
        cur.execute(
            "INSERT INTO position (lane, source_id, stream_id, next_offset, fence)"
            " SELECT 'effects', s, %s, 0, 0 FROM unnest(%s::integer[]) s",
            (stream, sources),
        )
    return name, sources
