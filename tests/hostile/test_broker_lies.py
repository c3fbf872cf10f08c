"""A broker that lies: each lie has a code of a lane or a cause of a verdict, and what it is about is closed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import pytest

from audit.core import facts as f
from audit.core.check import Check, Severity, State
from audit.core.checks import ALL
from ingest.core.batching import OffsetRange, check_dense
from ingest.core.errors import BrokerError
from ingest.kafka import Admin, FetchResult, Partition, PartitionReader, Record
from ingest.kafka.reader import _Progress
from tests.core.audit import world as w
from tests.hostile.table import LIES

HERE = Partition("t", 0)


@dataclass(frozen=True)
class Said:
    """A message as a client gives it."""

    at: int
    epoch: int | None = 0

    def topic(self) -> str:
        return HERE.topic

    def partition(self) -> int:
        return HERE.partition

    def offset(self) -> int:
        return self.at

    def leader_epoch(self) -> int | None:
        return self.epoch

    def timestamp(self) -> tuple[int, int]:
        return 1, -(2**63)

    def key(self) -> bytes:
        return b"k"

    def value(self) -> bytes:
        return b"v"

    def headers(self) -> None:
        return None

    def error(self) -> None:
        return None


def heard(*messages: Said, epoch: int | None = 0) -> FetchResult:
    """What a reader at offset 10 makes of these messages."""
    reader = PartitionReader.__new__(PartitionReader)
    reader.isolation, reader._bytes = "read_committed", 0
    reader._progress = {HERE: _Progress(10, epoch, 10)}
    chunks: dict[Partition, FetchResult] = {}
    reader._take(messages, chunks)  # type: ignore[arg-type]
    return chunks[HERE]


def lane(chunk: FetchResult) -> str:
    """The lane's code. What came after the lie is not taken."""
    assert chunk.fault is not None
    assert not chunk.fault.retry
    assert chunk.next_offset <= 12
    return chunk.fault.code


def skipped() -> str:
    record = Record(12, 0, None, b"v", None, None)
    with pytest.raises(BrokerError) as raised:
        check_dense(OffsetRange(10, 13, 0, [record], ()), 10)
    return raised.value.code


def described(topic_id: object, partitions: Sequence[int]) -> str:
    """What asking about a topic makes of such an answer."""
    parts = [SimpleNamespace(id=p, leader=None, replicas=[1], isr=[1]) for p in partitions]
    admin = Admin.__new__(Admin)
    admin._answer = lambda asked: asked  # type: ignore[method-assign,assignment,return-value]
    answer: Any = SimpleNamespace(topic_id=topic_id, partitions=parts)
    with pytest.raises(BrokerError) as raised:
        admin._topic("t", answer)
    return raised.value.code


def verdict(name: str, facts: f.WindowFacts, severity: Severity = Severity.BLOCKED) -> str:
    """The cause a verdict names."""
    check = judge(name, facts, w.NOW)
    assert check.state is State.BROKEN
    assert check.severity is severity
    return check.cause.removesuffix(" and inbox/3 was not measured")


def judge(name: str, facts: f.WindowFacts, now: datetime) -> Check:
    (found,) = (check for each, check in ALL if each == name)
    judged = found(facts, now)
    assert judged is not None
    return judged


def with_epochs(then: int, now_: int) -> f.WindowFacts:
    basis = w.GOOD.basis
    assert basis is not None and basis.value.broker.inbox is not None
    inbox = basis.value.broker.inbox
    parts = {**inbox.partitions, 3: replace(inbox.partitions[3], leader_epoch=then)}
    broker = replace(basis.value.broker, inbox=replace(inbox, partitions=parts))
    return w.partition("inbox", 3, w.changed("basis", broker=broker), leader_epoch=now_)


def without_partition(number: int) -> f.WindowFacts:
    assert w.BROKER.inbox is not None
    parts = {n: log for n, log in w.BROKER.inbox.partitions.items() if n != number}
    return w.topic("inbox", partitions=parts)


def with_partition(number: int) -> f.WindowFacts:
    return w.partition("inbox", number, high_watermark=0)


TOLD: dict[str, Callable[[], str]] = {
    "offsets go back, in what is read": lambda: lane(heard(Said(10), Said(11), Said(9), Said(12))),
    "offsets go back, at the log's end": lambda: verdict("BASIS", w.partition("inbox", 3, high_watermark=49)),
    "offsets are left out without a claim": skipped,
    "epochs go back, in what is read": lambda: lane(heard(Said(10, 5), Said(11, 4), Said(12, 5), epoch=5)),
    "epochs go back, at the log's end": lambda: verdict("BASIS", with_epochs(5, 4)),
    "the epoch was never there": lambda: verdict(
        "BASIS", w.partition("inbox", 3, diverged="No epoch found less or equal to offset")
    ),
    "the cluster id flips": lambda: verdict("BASIS", w.changed("broker", cluster_id="cluster-b"), Severity.FAIL),
    "the topic id is missing": lambda: described(None, [0, 1]),
    "the topic id is sixteen zeros": lambda: described("AAAAAAAAAAAAAAAAAAAAAA", [0, 1]),
    "the topic id flips": lambda: verdict("BASIS", w.topic("inbox", topic_id="other"), Severity.FAIL),
    "the topic is gone": lambda: verdict("BASIS", w.topic("inbox", topic_id=None)),
    "partitions shrink": lambda: verdict("BASIS", without_partition(3)),
    "partitions repeat": lambda: described("abcdefghijklmnopqrstuv", [0, 1, 1]),
    "partitions grow": lambda: verdict("COVERAGE", with_partition(7)),
}


def test_every_lie_of_the_table_is_told() -> None:
    assert TOLD.keys() == LIES.keys()


@pytest.mark.parametrize("lie", LIES)
def test_a_lie_has_its_code(lie: str) -> None:
    assert TOLD[lie]() == LIES[lie]


def test_what_is_true_is_believed() -> None:
    """The same questions, answered by a broker that does not lie."""
    chunk = heard(Said(10, 5), Said(12, 6), epoch=5)
    assert (chunk.fault, chunk.next_offset, len(chunk.gaps)) == (None, 13, 1)
    for name in ("BASIS", "COVERAGE"):
        assert judge(name, with_epochs(5, 6), w.NOW).state is State.HOLDS


def test_a_topic_made_again_gives_nothing_and_fails_its_window(live: object) -> None:
    """A real broker: same name, same partitions, same offsets, another topic."""
    from tests.flow.world import Flow, thing

    flow = Flow()
    flow.open()
    flow.produce([thing(n) for n in range(3)])
    flow.work()
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.produce([thing(n) for n in range(10, 15)])
    flow.work("admission")
    assert flow.decisions() == ["ADMITTED"] * 3
    flow.cut()
    stored = flow.judge()
    assert str(stored.verdict.state) == "FAIL"
    assert "deleted and created again" in stored.sentence
    flow.check()
