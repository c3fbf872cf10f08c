"""What an admission lane has read and understood before it is admitted.

PostgreSQL works on a batch for about as long as the worker does. So while the server stores one, the worker reads and
understands the next, a little at a time; nothing of that is decided or kept before its turn.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ingest.core.batching import BATCH_BYTES, Held, Hole, Poll, empty, joined, next_batch
from ingest.core.decide import Arrival, arrive
from ingest.core.errors import BrokerError
from ingest.core.lane import GATHER_SECONDS
from ingest.kafka import Chunk
from ingest.streams import Loaded

#: Understood between two parts of a COPY: for less time than the server needs for a part.
STEP_RECORDS = 150
_FIRST_READ, _LARGEST_READ = 500, 2000

Read = Callable[[int, float, int], Chunk | None]
"""(most records, seconds to wait, most bytes): what that brought, if anything."""


def arrivals_of(loaded: Loaded, run_id: str, records: Sequence[Held]) -> list[Arrival]:
    """What each record says, with its digests, ready to be decided.

    Strict, bounded, and never an exception for anything a producer can send.
    """
    parsed = [loaded.parser.parse(r.value, r.key, r.headers) for r in records]
    offsets, values = [r.offset for r in records], [r.value for r in records]
    return arrive(loaded.contract.stream, run_id, offsets, values, parsed)


class Ahead:
    """Records from the position on, and the arrivals of the first of them, which hold for one contract and run.

    A fault of the partition waits until what was read before it is admitted.
    """

    def __init__(self, start: int, leader_epoch: int | None, read: Read) -> None:
        self.pending = empty(start, leader_epoch)
        self._read = read
        self._read_size = _FIRST_READ
        self._fault: BrokerError | None = None
        self._taken = empty(start, leader_epoch), list[Arrival]()
        self._arrivals: list[Arrival] = []
        self._loaded: Loaded | None = None
        self._run = ""
        self._limits = (0, 0)
        self._at_end = False
        self._since = 0.0  # when the first of what is pending came

    def fill(self, max_wait: float, records: int, size: int) -> None:
        """Reads in turns until a batch is full, its time is over, or the end is reached; turns bound the memory."""
        until = time.monotonic() + max_wait
        while len(self.pending.records) < records:
            more = self._more(max(0.0, until - time.monotonic()), size - self.pending.size)
            if not more or time.monotonic() >= until:
                break
        if self._fault is not None and not self.pending.records:
            raise self._fault

    def is_ripe(self, records: int, size: int) -> bool:
        """Whether waiting brings no better batch: it is full, nothing more is there, or it waited long enough."""
        pending = self.pending
        full = len(pending.records) >= records or pending.size >= size
        return full or self._at_end or self._fault is not None or time.monotonic() - self._since > GATHER_SECONDS

    def take(self, loaded: Loaded, run_id: str, cut: int | None, records: int, size: int) -> tuple[Poll, list[Arrival]]:
        """The next batch, understood. It is given back, or followed by the next."""
        if loaded is not self._loaded or run_id != self._run:
            self._loaded, self._run, self._arrivals = loaded, run_id, []
        self._limits = records, size
        batch, self.pending = next_batch(self.pending, cut, records, size)
        self._understand(batch.records, len(batch.records))
        arrivals, self._arrivals = self._arrivals[: len(batch.records)], self._arrivals[len(batch.records) :]
        self._taken = batch, arrivals
        return self._taken

    def give_back(self) -> None:
        """The batch that was taken is not admitted: it comes again."""
        batch, arrivals = self._taken
        self.pending = joined(batch, self.pending)
        self._arrivals = arrivals + self._arrivals

    def go_on(self) -> None:
        """A little of the next batch. Called inside the transaction of this one: what reading meets waits its turn."""
        records, size = self._limits
        upto = len(self._arrivals) + STEP_RECORDS
        if upto > len(self.pending.records) and not self._at_end and len(self.pending.records) < records:
            self._more(0.0, size - self.pending.size)
        self._understand(self.pending.records, upto)

    def _understand(self, records: Sequence[Held], upto: int) -> None:
        """Arrivals of the records up to this one, as far as they are missing."""
        assert self._loaded is not None
        missing = records[len(self._arrivals) : upto]
        if missing:
            self._arrivals += arrivals_of(self._loaded, self._run, missing)

    def _more(self, max_wait: float, room: int) -> bool:
        """One read. False: there is no more at the moment."""
        if self._fault is not None or room <= 0:
            return False
        try:
            chunk = self._read(self._read_size, max_wait, room)
        except BrokerError as error:
            self._fault = error
            return False
        if chunk is None:
            return False
        self._fault = chunk.fault
        if chunk.moved():
            holes = [Hole(g.from_offset, g.to_offset, g.leader_epoch, g.isolation, g.why) for g in chunk.gaps]
            poll = Poll(chunk.start, chunk.next_offset, chunk.leader_epoch, chunk.records, holes)
            self._since = self._since if self.pending.records else time.monotonic()
            self.pending = joined(self.pending, poll)
            average = max(1, chunk.size // max(1, len(chunk.records)))
            self._read_size = max(20, min(_LARGEST_READ, BATCH_BYTES // (4 * average)))
        self._at_end = chunk.at_end
        return not chunk.at_end
