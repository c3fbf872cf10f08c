"""Looking while faults are played: the ledger read-only, Kafka's commits, and the bus by a consumer of our own."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.rows import namedtuple_row

from ingest.core.errors import BrokerError
from ingest.core.group import group_of
from ingest.db import statements
from ingest.kafka import Admin, Cluster, Partition, PartitionReader, Start
from trials.demo.ledger import READ_ONLY

sql = statements("trials.drill", "drill")
LOOK_EVERY = 0.3
SILENCE = 60.0


class Looks:
    """One statement on a fresh connection: the database may have been killed since the last one."""

    def __init__(self, url: str, stream: str) -> None:
        self._url, self._stream = url, stream

    @contextmanager
    def _connection(self) -> Iterator[psycopg.Connection[Any]]:
        options = f"{READ_ONLY} -c role=passgate_app"
        with psycopg.connect(
            self._url, autocommit=True, options=options, row_factory=namedtuple_row, connect_timeout=5
        ) as connection:
            yield connection

    def rows(self, name: str) -> list[Any]:
        """Raises psycopg.Error while the database is not there."""
        with self._connection() as connection:
            return connection.execute(getattr(sql, name).encode(), {"stream": self._stream}).fetchall()

    def row(self, name: str) -> Any:
        (found,) = self.rows(name)
        return found

    def try_rows(self, name: str) -> list[Any]:
        """None of them while the database is not there."""
        try:
            return self.rows(name)
        except psycopg.Error:
            return []


class Watch:
    """Looks at one stream all the time: which lanes stop and why, and whether Kafka's commit is ever ahead."""

    def __init__(self, looks: Looks, cluster: Cluster, stream: str) -> None:
        self._looks, self._admin = looks, Admin(cluster, timeout=2.0)
        self._group = group_of(looks.row("install").install_id, stream)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look_on, daemon=True)
        self.stops: set[str] = set()
        self.early: set[str] = set()
        self._thread.start()

    def end(self) -> None:
        """A last look, and no more."""
        self._over.set()
        self._thread.join()
        self._look()

    def _look_on(self) -> None:
        while not self._over.wait(LOOK_EVERY):
            self._look()

    def _look(self) -> None:
        rows = self._looks.try_rows("positions")
        self.stops |= {row.stopped_code for row in rows if row.stopped_code}
        here = [row for row in rows if row.lane != "publish"]
        committed = {(row.topic, row.partition): self._committed(row.topic, row.partition) for row in here}
        # The position is read after the commit, and only grows: a commit ahead of it was ahead when it was made.
        for row in self._looks.try_rows("positions") if any(committed.values()) else ():
            ahead = committed.get((row.topic, row.partition))
            if row.lane != "publish" and ahead is not None and ahead > row.next_offset:
                self.early.add(f"{row.topic}/{row.partition}: Kafka has {ahead:,}, durable are {row.next_offset:,}")

    def _committed(self, topic: str, partition: int) -> int | None:
        try:
            return self._admin.committed(self._group, topic, [partition])[partition].offset
        except BrokerError:
            return None


def read_bus(cluster: Cluster, topic: str, partitions: int) -> tuple[Counter[str], int]:
    """How often each id lies on the bus, and how many records there have none. Raises BrokerError."""
    ids: Counter[str] = Counter()
    strange = 0
    left = {Partition(topic, number) for number in range(partitions)}
    until = time.monotonic() + SILENCE
    with PartitionReader(cluster, fetch_wait=0.05) as reader:
        reader.assign([Start(topic, number, 0) for number in range(partitions)])
        while left:
            if time.monotonic() > until:
                raise BrokerError(expected=f"{topic} to be read to its end", found=f"silence for {SILENCE:.0f} s")
            for here, chunk in reader.read(5000, 0.2).items():
                if chunk.fault is not None:
                    raise chunk.fault
                for record in chunk.records:
                    found = _id_of(record.value)
                    ids[found] += 1 if found else 0
                    strange += not found
                left -= {here} if chunk.at_end else set()
    return +ids, strange


def _id_of(value: bytes | None) -> str:
    try:
        document = json.loads(value or b"")
        return str(document["id"]) if document.get("drill") is True else ""
    except (ValueError, KeyError, AttributeError):
        return ""
