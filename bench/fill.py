"""A run of many records made by the server alone, consistent as far as verdicts, pages and the gate look at it.

`fill` needs an open run with nothing in it and an owner's connection. Every twentieth record is a duplicate, every two
hundredth is quarantined; all events are published and applied. Kafka holds none of it, so BASIS and COVERAGE say so.
"""

from __future__ import annotations

from typing import Any

import psycopg

from bench.streams import Bound

BATCH = 5_000
EVENT = 450

#: Of `%(first)s` to `%(past)s` of one source: offset, what became of it, its number among the source's events.
_RECORDS = """
CREATE TEMP TABLE made ON COMMIT DROP AS
SELECT o, CASE WHEN o %% 200 = 0 THEN 3 WHEN o %% 20 = 19 THEN 2 ELSE 1 END AS decision,
       sha256(convert_to(concat(%(source)s::integer, '/', o - (o %% 20 = 19)::integer), 'UTF8')) AS identity,
       (%(batch)s::bigint + o / %(size)s::bigint) AS batch_id
  FROM generate_series(%(first)s::bigint, %(past)s::bigint - 1) o
"""
_STEPS = (
    """
    INSERT INTO batch (id, source_id, win, run_number, contract_id, from_offset, to_offset, leader_epoch, records,
                       admitted, duplicates, quarantined, bytes, digest, fence, owner)
    SELECT batch_id, %(source)s, %(win)s, %(run)s, (SELECT contract_id FROM run_window WHERE id = %(win)s), min(o),
           max(o) + 1, 0, count(*), count(*) FILTER (WHERE decision = 1), count(*) FILTER (WHERE decision = 2),
           count(*) FILTER (WHERE decision = 3), count(*) * 450, sha256(int8send(batch_id)), 1, 'filler'
      FROM made GROUP BY batch_id
    """,
    """
    INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, class_id, identity, payload_digest)
    SELECT %(source)s, o, batch_id, decision, CASE decision WHEN 1 THEN 0 WHEN 2 THEN 1 ELSE 20 END, 0,
           CASE WHEN decision < 3 THEN %(class)s END, CASE WHEN decision < 3 THEN identity END, sha256(int8send(o))
      FROM made ORDER BY o
    """,
    """
    INSERT INTO event (run_number, identity, win, class_id, source_id, "offset", batch_id, payload_digest, event_id,
                       payload)
    SELECT %(run)s, identity, %(win)s, %(class)s, %(source)s, o, batch_id, sha256(int8send(o)),
           concat('[', %(source)s::integer, ',', o, ']'),
           convert_to(rpad(concat('{"id":', o, ',"text":"'), %(bytes)s, 'x'), 'UTF8')
      FROM made WHERE decision = 1 ORDER BY o
    """,
    """
    INSERT INTO place (source_id, "offset", attempt_id, bus_source_id, bus_offset)
    SELECT %(source)s, o, batch_id, %(bus)s, o FROM made WHERE decision = 1 ORDER BY o
    """,
    """
    INSERT INTO effect (run_number, identity, win, bus_source_id, bus_offset, bus_batch_id)
    SELECT %(run)s, identity, %(win)s, %(bus)s, o, batch_id FROM made WHERE decision = 1 ORDER BY o
    """,
    """
    INSERT INTO bus_batch (id, source_id, from_offset, to_offset, records, applied, duplicates, foreign_records,
                           mismatching, gaps, fence, owner)
    SELECT batch_id, %(bus)s, min(o), max(o) + 1, count(*) FILTER (WHERE decision = 1),
           count(*) FILTER (WHERE decision = 1), 0, 0, 0, 0, 1, 'filler' FROM made GROUP BY batch_id
    """,
    """
    INSERT INTO attempt (id, source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events,
                         bytes, state, settled_at)
    SELECT batch_id, %(source)s, 'filler', 1, 'filler', (SELECT install_id FROM install), b.cluster_id, b.topic_id,
           b.topic, count(*) FILTER (WHERE decision = 1), 1, 'ACKED', clock_timestamp()
      FROM made, source b WHERE b.id = %(bus)s GROUP BY batch_id, b.cluster_id, b.topic_id, b.topic
    """,
    """
    INSERT INTO attempt_batch (attempt_id, batch_id, offsets, partitions)
    SELECT batch_id, batch_id, array_agg(o ORDER BY o) FILTER (WHERE decision = 1),
           array_agg(0 ORDER BY o) FILTER (WHERE decision = 1) FROM made GROUP BY batch_id
    """,
    """
    INSERT INTO quarantine_item (win, run_number, source_id, "offset", batch_id, reason, detail, payload_digest, value,
                                 seen)
    SELECT %(win)s, %(run)s, %(source)s, o, batch_id, 20, 'by the filler', sha256(int8send(o)), '\\x7b', 1
      FROM made WHERE decision = 3
    """,
)
_KEYS = {
    "batch": "id", "attempt": "id", "bus_batch": "id",
}  # fmt: skip


def fill(connection: psycopg.Connection[Any], stream: Bound, records: int, chunk: int = 250_000) -> None:
    """Puts `records` records into the run, the same number of each source. Triggers rest meanwhile."""
    each = records // len(stream.inbox)
    row = connection.execute(
        "SELECT coalesce(max(b.id), 0) + 1 AS batch, (SELECT min(c.id) FROM event_class c"
        " JOIN run r ON r.stream_id = c.stream_id WHERE r.id = %s) FROM batch b",
        (stream.run,),
    ).fetchone()
    assert row is not None
    batch, class_ = row
    connection.execute("SET session_replication_role = replica")
    for source, bus in zip(stream.inbox, stream.bus, strict=True):
        values = {"win": stream.win, "run": stream.run, "class": class_, "source": source, "bus": bus, "batch": batch,
                  "size": BATCH, "bytes": EVENT}  # fmt: skip
        for first in range(0, each, chunk):
            with connection.transaction():
                connection.execute(_RECORDS, values | {"first": first, "past": min(each, first + chunk)})
                for step in _STEPS:
                    connection.execute(step, values)
        batch += -(-each // BATCH)
        for lane, of in (("admission", source), ("publish", source), ("effects", bus)):
            connection.execute(
                "UPDATE position SET next_offset = %s WHERE lane = %s AND source_id = %s", (each, lane, of)
            )
    for table, key in _KEYS.items():
        connection.execute(
            f"SELECT setval(pg_get_serial_sequence('{table}', '{key}'), (SELECT max({key}) FROM {table}))"
        )
    connection.execute("SET session_replication_role = DEFAULT")
