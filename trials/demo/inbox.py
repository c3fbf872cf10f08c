"""The producer in front of an inbox: sends what the plan says, and knows where the last record of it lies."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import ClassVar

from ingest.core.errors import PassgateError
from ingest.kafka import Admin, BusMessage, Cluster, PlainProducer
from trials.demo.faults import Outgoing

PARTITIONS = {
    "weather.inbox": 2, "weather.bus": 2, "flights.inbox": 4, "flights.bus": 4, "ticks.inbox": 1, "ticks.bus": 1,
    "airports.inbox": 1, "airports.bus": 1,
}  # fmt: skip
"""The bus' numbers are the contracts'."""


class NotDelivered(PassgateError):
    """Kafka did not take a record of the demo."""

    code: ClassVar[str] = "demo_not_delivered"
    what: ClassVar[str] = "a record did not reach the inbox"
    retry: ClassVar[bool] = True


def create_topics(cluster: Cluster) -> None:
    """What whoever runs the Kafka cluster does before streams are connected."""
    admin = Admin(cluster)
    for topic, partitions in PARTITIONS.items():
        stamped = {"message.timestamp.type": "LogAppendTime"} if topic == "ticks.inbox" else {}
        admin.create_topic(topic, partitions, config=stamped)


class Inbox:
    """One inbox topic. `ends[partition]` is the offset behind the last record sent to it."""

    def __init__(self, cluster: Cluster, topic: str) -> None:
        self.topic = topic
        self.ends: dict[int, int] = {}
        self.sent = 0
        self._producer = PlainProducer(cluster)

    def send(self, records: Sequence[Outgoing]) -> None:
        """Send and wait until Kafka has them all. Raises NotDelivered."""
        messages = [BusMessage(one.partition, one.key, one.value, list(one.headers)) for one in records]
        reports = self._producer.send(self.topic, messages)
        delivered = [report for report in reports if report.fault is None and report.offset is not None]
        if len(delivered) != len(records):
            faults = sorted({str(report.fault) for report in reports if report.fault is not None})
            raise NotDelivered(
                expected=f"{len(records)} delivered", found=f"{len(delivered)}; {', '.join(faults)[:200]}"
            )
        for report in delivered:
            self.ends[report.partition] = max(self.ends.get(report.partition, 0), int(report.offset or 0) + 1)
        self.sent += len(records)

    def close(self) -> None:
        self._producer.close()


def pieces(records: Iterable[Outgoing], size: int) -> Iterable[list[Outgoing]]:
    """The records in turns of `size`."""
    left = iter(records)
    while piece := list(islice(left, size)):
        yield piece
