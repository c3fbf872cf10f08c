"""A stream on which runs follow one another, with a process that dies in each; and a re-reading with no code of ours.

Every run holds what a run may: new events, a duplicate, another payload under a known identity, bytes that are no
event, and holes between offsets, which the markers of the producer's transaction leave.
"""

from __future__ import annotations

import json
import time
from collections import Counter
from typing import Any

import confluent_kafka as ck
from confluent_kafka.admin import AdminClient, NewPartitions

from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest.db import write
from ingest.kafka import BusMessage, TransactionalProducer
from stack import Stack
from tests.failpoints.processes import Workers
from tests.flow.world import CONTRACT, Flow, thing

MORE = """
[inbox.http]
enabled = true
[gate]
unit = "run"
"""


class Ground:
    """One stream, its runs, and the worker processes that serve it."""

    def __init__(self, stack: Stack, workers: Workers, **settings: Any) -> None:
        self.stack = stack
        self.workers = workers
        settings = {"bus_partitions": 2, "quarantine_open_max": 50, "contract": CONTRACT + MORE} | settings
        self.flow = Flow(**settings)
        self._inbox = TransactionalProducer(self.flow.cluster, f"inbox-{self.flow.name}")
        self._inbox.init()
        self._next = 0
        self.run_name = ""
        self.admitted = 0  # different events that were sent, in all runs

    # ---- a run

    def new_run(self, events: int = 8) -> None:
        """Opens a run and puts records for it into the inbox."""
        self.run_name = f"r{self._next}"
        self.flow.open(self.run_name)
        self.produce(events)

    def produce(self, events: int = 8) -> None:
        first = self._next * 100_000
        self._next += 1
        values = [thing(first + n) for n in range(events)]
        self._send(values[: events // 2])  # each transaction ends with a marker: a hole
        self._send([*values[events // 2 :], values[0], thing(first, other=True), b"{"])
        self.admitted += events

    def _send(self, values: list[bytes]) -> None:
        messages = [BusMessage(0, b"key-%d" % (n % 3), value, None) for n, value in enumerate(values)]
        assert str(self._inbox.send(self.flow.inbox, messages).kind) == "ACKED"

    def brings(self, values: list[bytes]) -> None:
        """These events and nothing else."""
        self._send(values)
        self.admitted += len(values)

    def pins(self) -> dict[int, str]:
        """What the windows of its run are joined with, by number."""
        rows = self.flow.rows(
            "SELECT w.number, q.verdict FROM window_pin q JOIN run_window w ON w.id = q.win"
            " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
            " ORDER BY w.number"
        )
        return {row.number: row.verdict for row in rows}

    def inbox_grows(self) -> None:
        """A partition more, with nothing in it."""
        client = AdminClient({"bootstrap.servers": self.flow.cluster.bootstrap})
        for grown in client.create_partitions([NewPartitions(self.flow.inbox, 2)]).values():
            grown.result(10)
        self.flow.admin._wait_for_leaders(self.flow.inbox)

    def job(self, **more: Any) -> dict[str, Any]:
        return {"stream": self.flow.name, "sources": self.flow.sources(), "run": self.run_name, **more}

    def dies(self, do: str, failpoint: str, **more: Any) -> None:
        """A worker process armed with `failpoint` dies there. Then its leases run out, as 30 s would have it."""
        before = self.workers.run(do, failpoint, **self.job(**more))
        assert before == -9, f"{do} was not ended by {failpoint}: exit code {before}"
        self.leases_run_out()

    def does(self, do: str, **more: Any) -> None:
        """The same by a process that nothing is wrong with."""
        assert self.workers.run(do, **self.job(**more)) == 0

    def leases_run_out(self) -> None:
        """Time passes for the leases of this stream. What else waits (a stopped lane, a silence) really waits."""
        with write() as cur:
            cur.execute(
                "UPDATE position SET until = clock_timestamp() WHERE owner IS NOT NULL AND source_id = ANY(%s)",
                (self.flow.sources(),),
            )

    def works_to_the_end(self, seconds: float = 60) -> None:
        """Unarmed workers, until every event has its effect and every attempt its outcome."""
        until = time.monotonic() + seconds
        while True:
            self.does("work")
            if self.at_rest():
                return
            assert time.monotonic() < until, (self.counts(), self.flow.attempts())
            time.sleep(0.2)

    def at_rest(self) -> bool:
        settled = set(self.flow.attempts()) <= {"ACKED", "ABSENT", "PARTIAL", "NOT_SENT", "LOST"}
        return settled and self.counts() == (self.admitted, self.admitted)

    def counts(self) -> tuple[int, int]:
        return self.flow.count("event"), self.flow.count("effect")

    # ---- its end

    def passes(self) -> None:
        """Cut, judged: PASS, and readers may read."""
        self.flow.cut(self.run_name)
        until = time.monotonic() + 60
        while str(self.flow.judge(self.run_name).verdict.state) != "PASS":
            assert time.monotonic() < until, self.sentence()
            self.does("work")
        assert decide_gate(self.flow.name, self.run_name, who="test").status == 200

    def verdicts(self) -> list[str]:
        return [row.state for row in self._verdicts()] or ["none"]

    def sentence(self) -> str:
        return str([row.body["sentence"] for row in self._verdicts()])

    def _verdicts(self) -> list[Any]:
        return self.flow.rows(
            "SELECT v.state, v.body FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s AND r.name = %(run)s ORDER BY v.number",
            run=self.run_name,
        )

    def is_whole(self) -> None:
        """fsck is clean, and what lies on inbox and bus equals the ledger and the effects, by a reading of our own."""
        assert [str(x) for x in fsck(stream=self.flow.name)] == []
        sent = Counter(record for _, record in reread(self.flow.cluster.bootstrap, self.flow.inbox, 1))
        bus = reread(self.flow.cluster.bootstrap, self.flow.bus, self.flow.bus_partitions)
        published = Counter(value for _, value in bus)
        assert set(published.values()) <= {1}, "an event lies on the bus twice"
        assert self.counts() == (len(published), len(published))
        assert len(published) == self.admitted
        assert set(published) <= set(sent) | self.through_the_door
        assert len(self.flow.receipts()) == sum(sent.values()) + self.door_receipts

    through_the_door: frozenset[bytes] = frozenset()
    door_receipts: int = 0


def reread(bootstrap: str, topic: str, partitions: int) -> list[tuple[list[tuple[str, bytes]], bytes]]:
    """(headers, value) of every record of a topic, by the plain client and nothing of this project."""
    consumer = ck.Consumer({
        "bootstrap.servers": bootstrap, "group.id": "reread", "enable.auto.commit": False,
        "auto.offset.reset": "earliest", "isolation.level": "read_committed", "enable.partition.eof": True,
        "fetch.wait.max.ms": 20,
    })  # fmt: skip
    try:
        consumer.assign([ck.TopicPartition(topic, p, 0) for p in range(partitions)])
        found: list[tuple[list[tuple[str, bytes]], bytes]] = []
        ended: set[int] = set()
        until = time.monotonic() + 30
        while len(ended) < partitions:
            assert time.monotonic() < until, f"{topic} was not read to its end"
            for message in consumer.consume(500, 0.03):
                if message.error() is None:
                    found.append((message.headers() or [], message.value() or b""))
                elif message.error().code() == ck.KafkaError._PARTITION_EOF:
                    ended.add(message.partition())
        return found
    finally:
        consumer.close()


def door_values(first: int, events: int = 4) -> list[str]:
    return [json.dumps({"type": "thing", "id": f"door-{first}-{n}"}) for n in range(events)]
