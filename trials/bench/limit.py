"""The limit: COPY of the very same rows, packed before the clock starts, into the very same tables.

The rows are those of a run that was admitted: its events and its receipts, with the numbers of a fresh run that was
opened the regular way. Indexes, constraints, triggers and the partition are the ledger's own; parsing, digests, looking
identities up, deciding, quarantine, batches and positions are left out.
"""

from __future__ import annotations

import os
from typing import Any

import psycopg
from psycopg import sql as s

from ingest.core.leaf import table_partition
from trials.bench.child import parts
from trials.bench.meter import Meter
from trials.bench.streams import Bound, found, opened

Pair = tuple[bytes, bytes]
RECEIPTS = "receipt"


def measure(stream: str, batches: int = 1) -> dict[str, Any]:
    """Both tables by COPY, with the rows of so many admitted batches in one transaction."""
    source = found(stream)
    target = opened(source.inbox_topic)
    leaf = table_partition("event", target.run)
    with psycopg.connect(os.environ["DATABASE_URL"]) as database:
        packed = list(_packed(database, source, target, batches))
        statements = {table: _into(database, table) for table in (leaf, RECEIPTS)}
        database.commit()
        with Meter(parts()) as meter:
            for events, receipts in packed:
                for table, rows in ((leaf, events), (RECEIPTS, receipts)):
                    with database.cursor().copy(statements[table]) as copy:
                        copy.write(rows)
                database.commit()
        records = _count(database, target)
    return meter.document(records, transactions=len(packed), bytes=sum(len(e) + len(r) for e, r in packed))


def _packed(database: psycopg.Connection[Any], source: Bound, target: Bound, together: int) -> list[Pair]:
    """(events, receipts) of each transaction, as COPY writes and reads them in binary."""
    batches = [
        row[0]
        for row in database.execute("SELECT id FROM batch WHERE run_id = %s ORDER BY id", (source.run,)).fetchall()
    ]
    groups = [batches[n : n + together] for n in range(0, len(batches), together)]
    shift = _shift(database, batches)
    values = _values(source, target, shift)
    event = _out(database, table_partition("event", source.run), values, f"run_id = {source.run} AND", "identity")
    receipt = _out(database, RECEIPTS, values, "", 'source_id, "offset"')
    return [(_read(database, event, group), _read(database, receipt, group)) for group in groups]


def _shift(database: psycopg.Connection[Any], batches: list[int]) -> int:
    """What is added to a batch's number to give one that is nobody's, taken from the sequence as admission does."""
    wanted = max(batches) - min(batches) + 1
    row = database.execute("SELECT max(nextval('batch_id_seq')) FROM generate_series(1, %s)", (wanted,)).fetchone()
    assert row is not None
    return int(row[0]) - max(batches)


def _values(source: Bound, target: Bound, shift: int) -> dict[str, str]:
    """Columns that name something of the run, and what stands for them in the fresh one."""
    cases = " ".join(f"WHEN {a} THEN {b}" for a, b in zip(source.inbox, target.inbox, strict=True))
    return {
        "run_id": f"{target.run}::integer",
        "win": f"{target.win}::integer",
        "source_id": f"CASE source_id {cases} END::integer",
        "batch_id": f"batch_id + {shift}",
    }


def _columns(database: psycopg.Connection[Any], table: str) -> list[str]:
    rows = database.execute(
        "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped"
        " AND attgenerated = '' ORDER BY attnum",
        (table,),
    ).fetchall()
    return [row[0] for row in rows]


def _out(database: psycopg.Connection[Any], table: str, values: dict[str, str], where: str, order: str) -> str:
    columns = ", ".join(values.get(name, f'"{name}"') for name in _columns(database, table))
    rows = f"SELECT {columns} FROM {table} WHERE {where} batch_id = ANY('{{%s}}') ORDER BY {order}"
    return f"COPY ({rows}) TO STDOUT (FORMAT BINARY)"


def _read(database: psycopg.Connection[Any], statement: str, batches: list[int]) -> bytes:
    asked = statement % ",".join(map(str, batches))
    with database.cursor().copy(asked.encode()) as copy:
        return b"".join(bytes(part) for part in copy)


def _into(database: psycopg.Connection[Any], table: str) -> s.Composed:
    columns = s.SQL(", ").join(map(s.Identifier, _columns(database, table)))
    return s.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(s.Identifier(table), columns)


def _count(database: psycopg.Connection[Any], target: Bound) -> int:
    row = database.execute("SELECT count(*) FROM receipt WHERE source_id = ANY(%s)", (list(target.inbox),)).fetchone()
    assert row is not None
    return int(row[0])
