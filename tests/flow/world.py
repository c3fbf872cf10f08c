"""A stream of its own on the real stack: topics, contract, runs, and lanes stepped in this process or in others."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg import sql

from audit.close import close_run
from audit.cut import cut_run
from audit.fsck import fsck
from audit.open import OpenedRun, open_run
from ingest.core.record import Decision, Reason
from ingest.db import fetch_one, read, write
from ingest.kafka import Admin, BusMessage, Cluster, PlainProducer
from ingest.lanes import lease as leases
from ingest.sample import sample
from ingest.streams import load
from ingest.worker import Worker
from tests.patience import stretched

CONTRACT = """
contract = 1
stream = "{name}"
[inbox.kafka]
topic = "{name}.inbox"
format = "json"
[bus]
topic = "{name}.bus"
partitions = {bus_partitions}
delivery_timeout = "{delivery_timeout}"
[run]
from = ["header:pg-run", "/run"]
[class]
from = "/type"
[event.thing]
match = "thing"
id = ["/id"]
required = true
[limits]
value_bytes = 4096
[close]
quarantine_open_max = {quarantine_open_max}
{close}
[reconcile]
automatic = {automatic}
after = "{after}"
"""

CLOUDEVENTS = """
contract = 1
stream = "{name}"
[inbox.kafka]
topic = "{name}.inbox"
format = "cloudevents"
[inbox.http]
enabled = true
[bus]
topic = "{name}.bus"
partitions = 2
"""

Value = bytes | None


def thing(number: int | str, **more: Any) -> bytes:
    """An event of the class `thing`."""
    return json.dumps({"type": "thing", "id": number, **more}).encode()


MADE: list[str] = []
"""All streams of this session, in the order of their making. By name: their clients go with their tests."""


def leave(names: Sequence[str]) -> None:
    """Shuts these streams' gates: no later look re-checks them, and none that runs out ends another test's readers.

    Where they ask for several approvals, they do no more: an adoption needs as many as the strictest stream asks for.
    """
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = least(open_until, clock_timestamp()),"
            " checked_at = clock_timestamp(), shut_why = 'the test is over'"
            " WHERE shut_why IS NULL AND win IN (SELECT w.id FROM run_window w"
            " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = ANY(%s))",
            (list(names),),
        )
        cur.execute(
            "INSERT INTO contract (stream_id, version, digest, source_text, files, loaded_by)"
            " SELECT c.stream_id, c.version + 1, c.digest, c.source_text, c.files, 'test' FROM contract c"
            " JOIN stream s ON s.id = c.stream_id WHERE s.name = ANY(%s) AND c.approvals > 1"
            " AND NOT EXISTS (SELECT FROM contract n WHERE n.stream_id = c.stream_id AND n.version > c.version)",
            (list(names),),
        )


def leave_all_but(*flows: Flow) -> None:
    """Shuts all other streams' gates: a look re-checks none of them, and none that runs out takes readers away."""
    kept = {flow.name for flow in flows}
    leave([name for name in MADE if name not in kept])


def seen_by_readers(reader_url: str, table: str, wins: Collection[int]) -> int:
    """How many rows of these windows a reader's login sees now. A connection of its own: what runs out ends readers."""
    with psycopg.connect(reader_url, autocommit=True) as reader:
        query = sql.SQL("SELECT count(*) FROM truth.{} WHERE win = ANY(%s)").format(sql.Identifier(table))
        return int(fetch_one(reader.execute(query, (list(wins),)))[0])


@dataclass
class Flow:
    """One stream. Every name is new, so that what other tests left in the ledger does not matter."""

    partitions: int = 1
    bus_partitions: int = 2
    quarantine_open_max: int = 0
    automatic: str = "true"
    after: str = "1s"
    delivery_timeout: str = "15s"
    close: str = ""
    contract: str = CONTRACT
    name: str = field(default_factory=lambda: f"t{uuid.uuid4().hex[:10]}")

    def __post_init__(self) -> None:
        MADE.append(self.name)
        self.cluster = Cluster.from_settings()
        self.admin = Admin(self.cluster)
        self.admin.create_topic(self.inbox, self.partitions)
        self.admin.create_topic(self.bus, self.bus_partitions)
        self.producer = PlainProducer(self.cluster)
        self.load()

    @property
    def inbox(self) -> str:
        return f"{self.name}.inbox"

    @property
    def bus(self) -> str:
        return f"{self.name}.bus"

    def load(self, **changes: Any) -> None:
        values = {
            "name": self.name, "bus_partitions": self.bus_partitions, "quarantine_open_max": self.quarantine_open_max,
            "automatic": self.automatic, "after": self.after, "delivery_timeout": self.delivery_timeout,
            "close": self.close, **changes,
        }  # fmt: skip
        load(self.contract.format(**values).encode(), f"{self.name}.toml", {}, "test")

    # ---- what a producer does

    def produce(
        self, values: Iterable[Value], *, partition: int = 0, key: bytes | None = b"k", run: str | None = None,
        headers: list[tuple[str, str | bytes | None]] | None = None, topic: str | None = None,
    ) -> list[int]:  # fmt: skip
        """Sends values in order; returns their offsets."""
        named = [("pg-run", run.encode())] if run else []
        messages = [BusMessage(partition, key, value, [*named, *(headers or [])]) for value in values]
        reports = self.producer.send(topic or self.inbox, messages)
        assert all(report.fault is None for report in reports)
        return [int(report.offset or 0) for report in reports]

    # ---- what a person does

    def open(self, run_name: str = "r1", **more: Any) -> OpenedRun:
        return open_run(self.name, run_name, "test", **more)

    def cut(self, run_name: str = "r1", totals: Mapping[str, int] | None = None) -> Any:
        return cut_run(self.name, run_name, "test", totals)

    def judge(self, run_name: str = "r1") -> Any:
        """The verdict of now: samples are taken first, as beat does."""
        self.sample()
        return close_run(self.name, run_name, "test")

    # ---- what workers do

    def worker(self, *lanes: str) -> Worker:
        """A worker that takes this stream's sources only, and of these lanes only (all: none named)."""
        worker = Worker.make()
        worker.only = frozenset(self.sources())
        if lanes:
            worker.lanes = {name: made for name, made in worker.lanes.items() if name in lanes}
        return worker

    def work(self, *lanes: str, seconds: float = 20.0) -> None:
        """Everything there is to do, then lets go."""
        until = time.monotonic() + stretched(seconds)
        self.sample()
        worker = self.worker(*lanes)
        try:
            while worker.slice(max(0.5, until - time.monotonic())) and time.monotonic() < until:
                self.sample()
        finally:
            worker.close()
        self.sample()

    def sample(self) -> None:
        """What beat asks of the broker every other second."""
        sample(self.admin, self.name)

    def step_once(self, lane: str) -> None:
        """A worker takes the lane although no sample says that there is something to do."""
        source = self.sources("inbox")[0]
        lease = leases.take(lane, source)
        assert lease is not None
        worker = self.worker(lane)
        worker._open((lane, source), lease)
        worker._round()
        worker.close()

    def work_until(self, holds: Any, *lanes: str, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < until, "the flow did not get there in time"
            self.work(*lanes, seconds=2.0)

    # ---- what the ledger says

    def sources(self, role: str | None = None) -> list[int]:
        rows = self.rows(
            "SELECT c.id FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
            " AND (%(role)s::text IS NULL OR c.role = %(role)s) ORDER BY c.id",
            role=role,
        )
        return [row.id for row in rows]

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """Rows of a statement that may use %(name)s, the stream's name."""
        with read() as cur:
            return cur.execute(statement, {"name": self.name, **values}).fetchall()

    def receipts(self, run_name: str | None = None) -> list[tuple[int, int, Decision, Reason]]:
        """(partition, offset, decision, reason) in order."""
        rows = self.rows(
            'SELECT c.partition, t."offset", t.decision, t.reason FROM receipt t JOIN batch b ON b.id = t.batch_id'
            " JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id JOIN source c ON c.id = t.source_id"
            " WHERE s.name = %(name)s AND (%(run)s::text IS NULL OR r.name = %(run)s) ORDER BY 1, 2",
            run=run_name,
        )
        return [(row.partition, row.offset, Decision(row.decision), Reason(row.reason)) for row in rows]

    def decisions(self, run_name: str | None = None) -> list[str]:
        return [decision.name for _, _, decision, _ in self.receipts(run_name)]

    def position(self, lane: str, index: int = 0) -> Any:
        role = "bus" if lane == "effects" else "inbox"
        source = self.sources(role)[index]
        where = "SELECT * FROM position WHERE lane = %(lane)s AND source_id = %(source)s"
        return self.rows(where, lane=lane, source=source)[0]

    def attempts(self) -> list[str]:
        rows = self.rows(
            "SELECT a.state FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
            " WHERE s.name = %(name)s ORDER BY a.id"
        )
        return [row.state for row in rows]

    def count(self, table: str) -> int:
        """Rows of event or effect of this stream."""
        rows = self.rows(
            f"SELECT count(*) AS n FROM {table} e JOIN run r ON r.id = e.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s"
        )
        return int(rows[0].n)

    def wins(self) -> set[int]:
        """Its windows, reruns too."""
        rows = self.rows(
            "SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s"
        )
        return {row.id for row in rows}

    def check(self) -> None:
        """The invariants of this stream: run after every scenario."""
        findings = fsck(stream=self.name)
        assert findings == [], findings
