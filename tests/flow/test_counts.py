"""What guards speed without a clock: statements, COPYs and questions to the broker do not grow with the events."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from ingest.consume import attempt_cache, transaction
from ingest.consume import lane as consume
from ingest.kafka import Admin, PartitionReader
from tests.flow.bus import bus_counts, places, read_bus
from tests.flow.test_consume import again
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Calls of the database and of the broker, by kind."""
    calls: Counter[str] = Counter()

    def count(owner: type, name: str, kind: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **values: Any) -> Any:
            calls[kind] += 1
            return real(*args, **values)

        patch.setattr(owner, name, call)

    with monkeypatch.context() as patch:
        count(psycopg.Cursor, "execute", "statements")
        count(psycopg.Cursor, "copy", "copies")
        count(psycopg.Copy, "write_row", "rows one by one")
        for name in ("topics", "high_watermarks"):
            count(Admin, name, "questions")
        count(PartitionReader, "commit", "offset commits")
        yield calls


def batches(flow: Flow, size: int) -> None:
    flow.open()
    flow.produce([thing(f"first{n}") for n in range(20)], key=None)
    flow.work("admission", "publish", "effects")
    for _ in range(2):
        flow.produce([thing(f"{size}-{_}-{n}") for n in range(size)], key=None)
        flow.work("admission")


def test_publishing_asks_as_much_for_thousands_of_events_as_for_a_few(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = make_flow(), make_flow()
    batches(few, 5)
    batches(many, 2500)
    less, more = steps_published(few, monkeypatch), steps_published(many, monkeypatch)
    assert less == more
    assert (more["copies"], more["rows one by one"], more["questions"]) == (1, 0, 3)
    assert len(places(many)) == 5020


def steps_published(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """The second attempt of a lane: the first one fences and looks around."""
    worker = flow.worker("publish")
    worker._take([("publish", source) for source in flow.sources("inbox")])
    (held,) = worker.held.values()
    monkeypatch.setattr("ingest.publish.lane.choose", lambda queued: list(queued[:1]))
    assert held.lane.step(0.1).records
    with counted(monkeypatch) as calls:
        assert held.lane.step(0.1).records
    monkeypatch.undo()
    while held.lane.step(0.1).records:
        pass
    worker.close()
    return calls


def test_effects_ask_as_much_for_thousands_of_events_as_for_a_few(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    few, many = make_flow(bus_partitions=1), make_flow(bus_partitions=1)
    batches(few, 5)
    batches(many, 2400)  # with the marker at the transaction's end: one more fills a batch without it
    for flow in (few, many):
        flow.work("publish")
    less, more = effects_of_one_read(few, monkeypatch), effects_of_one_read(many, monkeypatch)
    assert less == more
    assert (more["copies"], more["rows one by one"], more["questions"]) == (1, 0, 1)
    assert more["offset commits"] <= 1
    assert many.count("effect") == 4820


def effects_of_one_read(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    worker = flow.worker("effects")
    worker._take([("effects", source) for source in flow.sources("bus")])
    (held,) = worker.held.values()
    held.lane._open()  # type: ignore[attr-defined]
    done: list[Counter[str]] = []
    for _ in range(60):
        with counted(monkeypatch) as calls:
            if held.lane.step(3.0).records:
                done.append(calls)
    worker.close()
    assert done
    return done[0]


def test_copies_are_looked_for_once_some_were_met(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The index refuses the second effect, the read is done again, and for a while each read looks first."""
    flow.open()
    flow.produce([thing(n) for n in range(6)], key=None)
    flow.work()
    records = [(p, r) for p, found in read_bus(flow).items() for r in found]
    asked: list[int] = []
    real = transaction._applied

    def applied(cur: Any, keys: Any) -> Any:
        found = real(cur, keys)
        asked.append(len(found))
        return found

    monkeypatch.setattr(transaction, "_applied", applied)
    memory = attempt_cache.AttemptCache()
    monkeypatch.setattr(consume, "cache_of", lambda pid: memory)
    again(flow, records)
    flow.work("effects")
    first = len(asked)
    again(flow, records)
    flow.work("effects")
    assert first and len(asked) > first
    assert sum(asked) == 12
    assert bus_counts(flow)["duplicates"] == 12
    assert flow.count("effect") == 6
