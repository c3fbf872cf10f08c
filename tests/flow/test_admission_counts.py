"""What guards admission's speed: a batch costs the same few statements however many records it has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import psycopg
import pytest

from ingest.admit import admit
from ingest.core.batching import OffsetRange
from ingest.core.ledger_rows import ROWS
from ingest.kafka import Record
from ingest.lanes import lease as leases
from ingest.models import Source
from ingest.windows import bindings
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """How often a statement was executed, a COPY begun, and a part of one written."""
    counts: Counter[str] = Counter()

    def count(owner: type[Any], name: str) -> None:
        before = getattr(owner, name)

        def counted(self: Any, *args: Any, **more: Any) -> Any:
            counts[name] += 1
            return before(self, *args, **more)

        monkeypatch.setattr(owner, name, counted)

    for owner, name in (
        (psycopg.Cursor, "execute"), (psycopg.Cursor, "executemany"), (psycopg.Cursor, "copy"),
        (psycopg.Copy, "write"), (psycopg.Copy, "write_row"),
    ):  # fmt: skip
        count(owner, name)
    return counts


def admitted(flow: Flow, values: Sequence[bytes], told: Counter[str]) -> Counter[str]:
    """What admitting these as one batch took."""
    offsets = flow.produce(values)
    (source,) = flow.sources("inbox")
    lease = leases.take("admission", source)
    assert lease is not None
    binding = bindings("admission", [source])[source]
    records = [Record(offset, 0, b"k", value, None, None) for offset, value in zip(offsets, values, strict=True)]
    poll = OffsetRange(lease.next_offset, offsets[-1] + 1, 0, records, ())
    told.clear()
    done = admit(Source.objects.get(id=source), lease, binding, poll)
    took = Counter(told)
    assert done is not None
    assert done.records == len(values)
    leases.release(lease.at(done.again_from, 0))
    return took


def batch(first: int, size: int) -> list[bytes]:
    """New events, one in ten a duplicate, and one mismatch and one that is no event in each hundred."""
    made = []
    for number in range(size):
        it = first + number - (number % 10 == 9)
        made.append(b"no event" if number % 100 == 50 else thing(it, odd=True) if number % 100 == 99 else thing(it))
    return made


def test_a_batch_of_any_size_takes_the_same_statements(make_flow: MakeFlow, told: Counter[str]) -> None:
    flow = make_flow(partitions=1)
    flow.open()
    admitted(flow, batch(0, 100), told)  # prepares, and learns the class
    small, large = admitted(flow, batch(1_000, 1_000), told), admitted(flow, batch(10_000, 5_000), told)
    for name in ("execute", "copy"):
        assert small[name] == large[name], name
    assert small["execute"] <= 10
    assert small["copy"] == 2
    assert large["executemany"] == large["write_row"] == 0


def test_copies_are_written_many_rows_at_once(make_flow: MakeFlow, told: Counter[str]) -> None:
    flow = make_flow(partitions=1)
    flow.open()
    took = admitted(flow, [thing(number) for number in range(2_000)], told)
    assert took["write"] <= 2 * (2_000 // ROWS + 2)


def test_nothing_but_duplicates_takes_no_more(make_flow: MakeFlow, told: Counter[str]) -> None:
    flow = make_flow(partitions=1)
    flow.open()
    values = [thing(number) for number in range(1_000)]
    new, again = admitted(flow, values, told), admitted(flow, values, told)
    assert again["copy"] == 1
    assert again["execute"] <= new["execute"]
