"""When a log was appended to from an offset on: what Kafka itself wrote down, not what a producer says."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

from confluent_kafka import TIMESTAMP_LOG_APPEND_TIME, Consumer, KafkaError, KafkaException, TopicPartition

from ingest.kafka.cluster import Cluster
from ingest.kafka.errors import FaultLog, broker_error, fault_of_exception
from ingest.kafka.types import READ_UNCOMMITTED, Partition


class FirstAppend(NamedTuple):
    """The first record at or after an offset. `appended_at` is None where its time is the producer's (CreateTime)."""

    offset: int
    appended_at: datetime | None


def first_appends(
    cluster: Cluster, starts: Mapping[Partition, int], timeout: float = 5.0
) -> dict[Partition, FirstAppend]:
    """The first record from each offset on, read uncommitted; a partition where none came in time is left out.

    One consumer asks for all of them. Raises BrokerError.
    """
    if not starts:
        return {}
    first: dict[Partition, FirstAppend] = {}
    silent = set(starts)
    consumer = Consumer(
        cluster.config(
            FaultLog(),
            group_id="passgate-append-time",
            enable_auto_commit=False,
            auto_offset_reset="error",
            isolation_level=READ_UNCOMMITTED,
            enable_partition_eof=True,
            fetch_wait_max_ms=50,
            queued_max_messages_kbytes=8192,
        )
    )
    try:
        consumer.assign([TopicPartition(here.topic, here.partition, offset) for here, offset in starts.items()])
        until = time.monotonic() + timeout
        while silent and time.monotonic() < until:
            message = consumer.poll(0.1)
            if message is None:
                continue
            here = Partition(str(message.topic()), int(message.partition() or 0))
            error, offset = message.error(), message.offset()
            if error is None and here in silent and offset is not None:
                kind, at = message.timestamp()
                appended = datetime.fromtimestamp(at / 1000, UTC) if kind == TIMESTAMP_LOG_APPEND_TIME else None
                first[here] = FirstAppend(offset, appended)
                consumer.pause([TopicPartition(here.topic, here.partition)])
            if error is None or error.code() == KafkaError._PARTITION_EOF or here in silent:
                silent.discard(here)
    except KafkaException as raised:
        raise broker_error(fault_of_exception(raised)) from raised
    finally:
        consumer.close()
    return first
