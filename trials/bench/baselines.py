"""What people write by hand, on the same broker and the same PostgreSQL, into a table with a primary key.

Both keep the event once and record nothing else: no receipt, no conflict, no position beside the data.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterator
from typing import Any, ClassVar

import psycopg
from confluent_kafka import Consumer, TopicPartition
from django.db import connection, models

from ingest.kafka import Cluster
from trials.bench.child import parts
from trials.bench.meter import Meter

BULK = 1_000


class ByHand(models.Model):
    """The table such a consumer has; `payload` as text, which costs less than jsonb."""

    pk = models.CompositePrimaryKey("event_class", "event_id")
    event_class = models.TextField()
    event_id = models.TextField()
    payload = models.TextField()
    objects: ClassVar[models.Manager[ByHand]] = models.Manager()

    class Meta:
        app_label = "bench"
        managed = False
        db_table = "by_hand"


def loop(topic: str, records: int) -> dict[str, Any]:
    """INSERT … ON CONFLICT DO NOTHING, committed message by message: autocommit, in one round trip each."""
    _empty_table()
    with _consumer(topic) as consumer, psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as database:
        with database.cursor() as cur, Meter(parts()) as meter:
            for value in _values(consumer, records, 1):
                event = json.loads(value)
                cur.execute(
                    "INSERT INTO by_hand (event_class, event_id, payload) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
                    (event["type"], event["id"], value.decode()),
                )
    return meter.document(records, kept=_kept())


def bulk(topic: str, records: int) -> dict[str, Any]:
    """Django's bulk_create(ignore_conflicts=True), a thousand at a time, each a transaction of its own."""
    _empty_table()
    connection.ensure_connection()
    rows: list[ByHand] = []
    with _consumer(topic) as consumer, Meter(parts()) as meter:
        for value in _values(consumer, records, BULK):
            event = json.loads(value)
            rows.append(ByHand(event_class=event["type"], event_id=event["id"], payload=value.decode()))
            if len(rows) == BULK:
                ByHand.objects.bulk_create(rows, ignore_conflicts=True)
                rows.clear()
        if rows:
            ByHand.objects.bulk_create(rows, ignore_conflicts=True)
    return meter.document(records, kept=_kept())


class _consumer:  # noqa: N801 - used as a function
    """A subscribed consumer that has its partitions already, so that joining the group is not timed."""

    def __init__(self, topic: str) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": Cluster.from_settings().bootstrap,
                "group.id": f"by-hand-{uuid.uuid4().hex[:8]}",
                "auto.offset.reset": "earliest",
                "fetch.queue.backoff.ms": 5,
            }
        )
        self._consumer.subscribe([topic])

    def __enter__(self) -> Consumer:
        while not self._consumer.assignment():
            self._consumer.poll(0.1)
        # Again from the beginning. Assigned, not sought: a partition refuses to seek until its fetcher has started.
        self._consumer.assign([TopicPartition(p.topic, p.partition, 0) for p in self._consumer.assignment()])
        return self._consumer

    def __exit__(self, *_: object) -> None:
        self._consumer.close()


def _values(consumer: Consumer, records: int, most: int) -> Iterator[bytes]:
    left = records
    while left:
        for message in consumer.consume(min(most, left), 5.0):
            value = message.value()
            if message.error() is None and value is not None:
                left -= 1
                yield value


def _empty_table() -> None:
    with psycopg.connect(os.environ["PASSGATE_ADMIN_URL"], autocommit=True) as owner:
        owner.execute("DROP TABLE IF EXISTS by_hand")
        owner.execute(
            "CREATE TABLE by_hand (event_class text NOT NULL, event_id text NOT NULL, payload text NOT NULL,"
            " PRIMARY KEY (event_class, event_id))"
        )
        owner.execute("GRANT SELECT, INSERT ON by_hand TO passgate_app")


def _kept() -> int:
    return int(ByHand.objects.count())
