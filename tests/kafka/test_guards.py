"""Guards that a broker which behaves never tries: with a client, and a cluster, that say what they are told to."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from confluent_kafka import KafkaError

from audit import capture
from ingest.core.errors import BrokerError
from ingest.core.outcome import Kind, judge
from ingest.kafka import BusMessage, LogEnds, TopicFacts
from ingest.kafka.producer import _Transaction


class _Client:
    """Delivers all but the second record, and would commit what it has."""

    def __init__(self) -> None:
        self.told: list[Callable[..., None]] = []
        self.calls: list[str] = []

    def begin_transaction(self) -> None:
        self.calls.append("begin")

    def produce(self, topic: str, value: Any, key: Any, where: int, told: Any, *rest: Any) -> None:
        self.told.append(told)

    def poll(self, seconds: float) -> int:
        return 0

    def flush(self, seconds: float) -> int:
        for number, told in enumerate(self.told):
            error = KafkaError(KafkaError.INVALID_RECORD) if number == 1 else None
            told(error, SimpleNamespace(offset=lambda: 7))
        return 0

    def commit_transaction(self, seconds: float) -> None:
        self.calls.append("commit")


def test_a_transaction_with_a_failed_delivery_is_not_committed() -> None:
    client = _Client()
    transaction = _Transaction(client, lambda: 0.0, 5.0)  # type: ignore[arg-type]
    outcome = judge(transaction.run("bus", [BusMessage(0, b"k", b"v", [])] * 3))
    assert client.calls == ["begin"], "half of an attempt would be on the bus"
    assert outcome.kind is Kind.UNKNOWN and not transaction.committed


class _Cluster:
    """Has its bus made anew between the first question about topics and the second."""

    def __init__(self) -> None:
        self.asked = 0

    def cluster_id(self) -> str:
        return "c"

    def topics(self, names: Any) -> dict[str, TopicFacts | None]:
        self.asked += 1
        ids = {"bus": f"bus-{self.asked}", "inbox": "inbox-1"}
        return {name: TopicFacts(name, ids[name], (0,), 1, {0: 1}, {0: 1}) for name in names}

    def ends(self, topic: str, partitions: Any) -> dict[int, LogEnds]:
        return {0: LogEnds(0, 5, 5, 0)}

    def posture(self, topic: str) -> dict[str, str]:
        return {}


def test_offsets_of_a_topic_made_anew_meanwhile_are_not_a_capture() -> None:
    contract: Any = SimpleNamespace(
        bus=SimpleNamespace(topic="bus"), inbox=SimpleNamespace(kafka=SimpleNamespace(topic="inbox"))
    )
    with pytest.raises(BrokerError, match="created again meanwhile"):
        capture._broker(_Cluster(), contract, {})  # type: ignore[arg-type]
