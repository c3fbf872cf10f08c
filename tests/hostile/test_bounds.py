"""What bounds memory, on values: headers weigh, a read ends at its bytes, a batch and an attempt hold what they say."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.core.batching import BATCH_BYTES, HEADER_BYTES, OffsetRange, bounded, weight
from ingest.kafka import Partition, PartitionReader, Record
from ingest.kafka.reader import _Commits, _Progress
from tests.hostile.test_broker_lies import Said

HERE = Partition("t", 0)
MANY = [("", b"")] * 10_000


def record(offset: int, value: bytes | None = b"v", headers: list[tuple[str, bytes | None]] | None = None) -> Record:
    return Record(offset, 0, b"k", value, headers, None)


def test_headers_weigh_even_where_they_are_empty() -> None:
    assert weight(record(0)) == 2
    assert weight(record(0, None)) == 1
    assert weight(record(0, b"v", [("ab", b"cde"), ("f", None)])) == 2 + 2 * HEADER_BYTES + 6
    assert weight(record(0, b"v", [*MANY])) >= 10_000 * HEADER_BYTES


def test_a_batch_of_large_headers_is_small() -> None:
    large = [record(n, b"v", [("h", b"v" * 900_000)]) for n in range(50)]
    batch, rest = bounded(OffsetRange(0, 50, 0, large, ()), 5_000, BATCH_BYTES)
    assert batch.size <= BATCH_BYTES
    assert (batch.end, rest.start, rest.end) == (len(batch.records), len(batch.records), 50)
    assert bounded(rest, 5_000, 1)[0].end == rest.start + 1, "one record goes, however large it is"


class Heavy(Said):
    """A message with a value of 1 MB."""

    def value(self) -> bytes:
        return b"v" * 1_000_000


class Endless:
    """A consumer that always has more, ten messages a turn."""

    def __init__(self) -> None:
        self.turns = 0

    def consume(self, most: int, wait: float) -> Sequence[Said]:
        self.turns += 1
        return [Heavy(10 * (self.turns - 1) + n) for n in range(min(10, most))]


def test_a_read_ends_with_the_turn_that_passes_its_bytes() -> None:
    reader = PartitionReader.__new__(PartitionReader)
    reader.isolation, reader._bytes, reader._progress = "read_committed", 0, {HERE: _Progress(0, 0, 0)}
    reader._commits = _Commits()
    reader._consumer = Endless()  # type: ignore[assignment]
    for _ in range(2):
        chunk = reader.read(5_000, 60.0)[HERE]
        assert len(chunk.records) == 10
    assert len(reader.read(5_000, 60.0, 25_000_000)[HERE].records) == 30
