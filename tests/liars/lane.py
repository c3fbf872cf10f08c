"""The publish lane with something that goes wrong at a named step of it, and what an auditor counts afterwards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from typing import Any, ClassVar

import pytest

from ingest.core.attempt import read_mark
from ingest.core.outcome import Outcome, SendReport, judge
from ingest.kafka import BusMessage, Cluster, TransactionalProducer
from ingest.kafka import producer as kafka
from tests.flow.bus import read_bus
from tests.flow.world import Flow, thing

HALF = 1001
"""`bus.while_producing` is reached after so many events: what was produced by then is the attempt's first half."""
FIRST, SECOND = b"k3", b"k1"
"""Keys of the two partitions of the bus; a test sees to that."""
Act = Callable[[Any], None]
"""Gets the client of the attempt that is being sent."""


def two_halves(start: int = 0, second: bytes = SECOND) -> list[tuple[bytes, bytes]]:
    """Key and value of the events of one attempt; the second half of it goes to the other partition."""
    keys = [FIRST] * HALF + [second] * 99
    return [(key, thing(start + number)) for number, key in enumerate(keys)]


def produce(flow: Flow, events: list[tuple[bytes, bytes]]) -> None:
    for key in dict.fromkeys(key for key, _ in events):
        flow.produce([value for mine, value in events if mine == key], key=key)


class Steps:
    """Acts at steps of the publish lane: `at(step, act)` for the next time that an attempt reaches it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._acts: list[tuple[str, Act]] = []
        self._producer: Any = None
        self._seen: Counter[str] = Counter()
        monkeypatch.setattr(kafka, "failpoint", self._reached)
        real = kafka._Transaction.run

        def run(transaction: Any, topic: str, messages: Sequence[BusMessage]) -> SendReport:
            self._producer, self._seen = transaction._producer, Counter()
            return real(transaction, topic, messages)

        monkeypatch.setattr(kafka._Transaction, "run", run)

    def at(self, step: str, act: Act) -> None:
        self._acts.append((step, act))

    def _reached(self, name: str) -> None:
        self._seen[name] += 1
        if name == "bus.while_producing" and self._seen[name] == 1:
            return  # after the first event; the second time is the half
        if self._acts and self._acts[0][0] == name:
            _, act = self._acts.pop(0)
            act(self._producer)

    @property
    def left(self) -> int:
        """Acts that were not played: a test that ends with one has tested nothing."""
        return len(self._acts)


def flushed(producer: Any) -> None:
    """What was produced is on the broker before anything else happens."""
    assert producer.flush(10) == 0


class Reused(TransactionalProducer):
    """THE MUTATION: after an abort the instance goes on. One for each transactional.id, however often one is made."""

    kept: ClassVar[dict[str, Reused]] = {}

    @classmethod
    def made(cls, cluster: Cluster, name: str, **settings: Any) -> Reused:
        if name not in cls.kept:
            cls.kept[name] = cls(cluster, name, **settings)
            TransactionalProducer.init(cls.kept[name])
        return cls.kept[name]

    @classmethod
    def ended(cls) -> None:
        for one in cls.kept.values():
            TransactionalProducer.destroy(one)
        cls.kept.clear()

    def init(self, timeout: float = 30.0) -> None:
        """It was initialised when it was made; it sees no need to do it again."""

    def send(self, topic: str, messages: Any) -> Outcome:
        transaction = kafka._Transaction(self._alive(), self._clock, self._clock() + self.delivery_timeout)
        outcome = judge(transaction.run(topic, messages))
        if not transaction.committed:
            self._alive().abort_transaction(20)
        return outcome

    def destroy(self) -> None:
        """Kept for the next attempt."""


# ---- counted by a consumer of the test's own ------------------------------------------------------------------------


def visible(flow: Flow) -> dict[int, int]:
    """How many records of each attempt read_committed sees."""
    found: Counter[int] = Counter()
    for records in read_bus(flow).values():
        for record in records:
            mark = read_mark(record.headers)
            assert not isinstance(mark, str), mark
            found[mark.attempt] += 1
    return dict(found)


def torn(flow: Flow) -> Iterator[str]:
    """Every attempt that is not what its state says: ACKED all of it, ABSENT none, PARTIAL some; in words."""
    found = visible(flow)
    for attempt in attempts(flow):
        there = found.pop(attempt.id, 0)
        bounds = {"ACKED": (attempt.events, attempt.events), "ABSENT": (0, 0), "PARTIAL": (1, attempt.events - 1)}
        least, most = bounds.get(attempt.state, (-1, -1))
        if not least <= there <= most:
            yield f"{attempt.state}: {there} of {attempt.events} events are on the bus"
    yield from (f"{count} records of an attempt that nobody knows" for count in found.values())


def attempts(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT a.id, a.state, a.events, a.why FROM attempt a JOIN source c ON c.id = a.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY a.id"
    )
