"""What a lane has read of its partition and not yet made durable."""

from __future__ import annotations

import time
from collections.abc import Callable

from ingest.core.batching import BATCH_BYTES, Hole, OffsetRange, empty, joined, next_batch, sized
from ingest.core.errors import BrokerError
from ingest.core.lane import GATHER_SECONDS
from ingest.kafka import FetchResult

_FIRST_READ, _LARGEST_READ = 500, 2000

Read = Callable[[int, float, int], FetchResult | None]
"""(most records, seconds to wait, most bytes): what that brought, if anything."""


class RecordBuffer:
    """Records from the position on, gathered until they are worth a transaction.

    A fault of the partition waits until what was read before it is durable.
    """

    def __init__(self, start: int, leader_epoch: int | None, read: Read) -> None:
        self.pending = empty(start, leader_epoch)
        self._read = read
        self._read_size = _FIRST_READ
        self._fault: BrokerError | None = None
        self._at_end = False
        self._since = 0.0  # when the first of what is pending came

    def fill(self, max_wait: float, records: int, size: int) -> None:
        """Reads in turns until a batch is full, its time is over, or the end is reached; turns bound the memory."""
        until = time.monotonic() + max_wait
        while len(self.pending.records) < records:
            more = self._more(max(0.0, until - time.monotonic()), records, size)
            if not more or time.monotonic() >= until:
                break
        if self._fault is not None and not self.moved():
            raise self._fault

    def read_on(self, records: int, size: int) -> bool:
        """What is there of the next batch, without waiting, up to one read. False: it is whole, or nothing was there.

        Called inside another lane's transaction: a fault waits for this lane's turn.
        """
        before = self.pending.end
        if not self._at_end:
            self._more(0.0, records, size)
        return self.pending.end > before

    def moved(self) -> bool:
        """Whether there is anything: records, or offsets that hold none."""
        return self.pending.end > self.pending.start

    def is_ripe(self, records: int, size: int) -> bool:
        """Whether waiting brings no better batch: it is full, nothing more is there, or it waited long enough."""
        if self.is_full(records, size) or self._at_end or self._fault is not None:
            return True
        return time.monotonic() - self._since > GATHER_SECONDS

    def is_full(self, records: int, size: int) -> bool:
        return len(self.pending.records) >= records or self.pending.size >= size

    def next_batch(self, cut: int | None, records: int, size: int) -> OffsetRange:
        """Takes it out of what is pending."""
        batch, self.pending = next_batch(self.pending, cut, records, size)
        return batch

    def close(self) -> None:
        """Drops what was read. A lane and what it gathers know each other, and such pairs Python frees late."""
        self.pending = empty(self.pending.start, self.pending.leader_epoch)

    def _more(self, max_wait: float, records: int, size: int) -> bool:
        """One read, up to what makes a batch. False: there is no more at the moment."""
        most, room = records - len(self.pending.records), size - self.pending.size
        if self._fault is not None or most <= 0 or room <= 0:
            return False
        try:
            chunk = self._read(min(most, self._read_size), max_wait, room)
            if chunk is None:
                return False
            self._add(chunk)
        except BrokerError as error:  # a skip, too: what is pending is older, and sound
            self._fault = error
            return False
        return not chunk.at_end

    def _add(self, chunk: FetchResult) -> None:
        if chunk.moved():
            since = self._since if self.pending.records else time.monotonic()
            self.pending, self._since = joined(self.pending, _poll(chunk)), since
            average = max(1, chunk.size // max(1, len(chunk.records)))
            self._read_size = max(20, min(_LARGEST_READ, BATCH_BYTES // (4 * average)))
        self._fault, self._at_end = chunk.fault, chunk.at_end


def _poll(chunk: FetchResult) -> OffsetRange:
    holes = [Hole(g.from_offset, g.to_offset, g.leader_epoch, g.isolation, g.why) for g in chunk.gaps]
    return sized(OffsetRange(chunk.start, chunk.next_offset, chunk.leader_epoch, chunk.records, holes), chunk.size)
