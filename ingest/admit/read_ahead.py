"""What an admission lane has read and understood before it is admitted.

PostgreSQL works on a batch for about as long as the worker does. So while the server stores one, the worker reads and
understands the next, a little at a time; nothing of that is decided or kept before its turn.
"""

from __future__ import annotations

from collections.abc import Sequence

from ingest.core.batching import OffsetRange, ReaderRecord, joined
from ingest.core.cloudevents import event_digest
from ingest.core.decide import Arrival, arrive
from ingest.lanes.record_buffer import Read, RecordBuffer
from ingest.streams import CompiledContract

#: Understood between two parts of a COPY: for less time than the server needs for a part.
STEP_RECORDS = 150


def arrivals_of(loaded: CompiledContract, run_name: str, records: Sequence[ReaderRecord]) -> list[Arrival]:
    """What each record says, with its digests, ready to be decided.

    Strict, bounded, and never an exception for anything a producer can send.
    """
    parsed = [loaded.parser.parse(r.value, r.key, r.headers) for r in records]
    offsets, values = [r.offset for r in records], [r.value for r in records]
    digests = [event_digest(r.value, r.headers) for r in records] if loaded.parser.is_cloudevents else None
    return arrive(loaded.contract.stream, run_name, offsets, values, parsed, digests)


class ReadAhead(RecordBuffer):
    """What an admission lane gathers, with the arrivals of its first records, which hold for one contract and run."""

    def __init__(self, start: int, leader_epoch: int | None, read: Read) -> None:
        super().__init__(start, leader_epoch, read)
        self._arrivals: list[Arrival] = []
        self._loaded: CompiledContract | None = None
        self._run = ""
        self._limits = (0, 0)

    def take(
        self, loaded: CompiledContract, run_name: str, cut: int | None, records: int, size: int
    ) -> tuple[OffsetRange, list[Arrival]]:
        """The next batch, understood. Not kept here: admitted, it is gone as soon as its transaction is."""
        if loaded is not self._loaded or run_name != self._run:
            self._loaded, self._run, self._arrivals = loaded, run_name, []
        self._limits = records, size
        batch = self.next_batch(cut, records, size)
        self._understand(batch.records, len(batch.records))
        arrivals, self._arrivals = self._arrivals[: len(batch.records)], self._arrivals[len(batch.records) :]
        return batch, arrivals

    def give_back(self, batch: OffsetRange, arrivals: list[Arrival]) -> None:
        """The batch that was taken is not admitted: it comes again."""
        self.pending = joined(batch, self.pending)
        self._arrivals = arrivals + self._arrivals

    def prefetch(self) -> bool:
        """A little of the next batch. Called inside a transaction, mostly another's: what reading meets waits its turn.

        False: nothing was done. Its batch is whole, or there is nothing more to read at the moment.
        """
        if self._loaded is None:
            return False
        upto = len(self._arrivals) + STEP_RECORDS
        if upto > len(self.pending.records):
            self.read_on(*self._limits)
        return self._understand(self.pending.records, upto)

    def is_prefetched(self) -> bool:
        """Whether what is there fills a batch."""
        return self._loaded is not None and self.is_full(*self._limits)

    def close(self) -> None:
        super().close()
        self._arrivals = []

    def _understand(self, records: Sequence[ReaderRecord], upto: int) -> bool:
        """Arrivals of the records up to this one, as far as they are missing: whether any were."""
        assert self._loaded is not None
        missing = records[len(self._arrivals) : upto]
        if missing:
            self._arrivals += arrivals_of(self._loaded, self._run, missing)
        return bool(missing)
