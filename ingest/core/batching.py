"""From what one read brought to batches: offsets stay dense, a batch never crosses a cut, nothing grows unbounded."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from operator import attrgetter
from typing import NamedTuple, Protocol

from ingest.core.errors import BrokerError

BATCH_RECORDS = 5_000
BATCH_BYTES = 8 * 1024 * 1024
HEADER_BYTES = 100
"""What one header costs beside its bytes: a record of 1 MB may be half a million empty ones."""


class PollSkip(BrokerError):
    """A poll did not start at the position, or skipped offsets without a claim (K1)."""

    code = "poll_skip"
    what = "the poll does not continue the position"
    retry = True


class ReaderRecord(Protocol):
    """A record as the reader gives it."""

    @property
    def offset(self) -> int: ...
    @property
    def leader_epoch(self) -> int | None: ...
    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def headers(self) -> list[tuple[str, bytes | None]] | None: ...


def weight(record: ReaderRecord) -> int:
    """Bytes of a record in memory: value, key and headers. What bounds a read, a batch and an attempt."""
    size = len(record.value or b"") + len(record.key or b"")
    return size + headers_weight(record.headers) if record.headers else size


def headers_weight(headers: Sequence[tuple[str, bytes | None]]) -> int:
    return sum(HEADER_BYTES + len(name) + len(raw or b"") for name, raw in headers)


#: Why a hole is there that no reader can prove to be empty: its offsets were deleted before anybody read them.
DELETED = "DELETED"
#: Why a plan's source has a hole where its origin has receipts: the origin's log has these offsets no more.
GONE = "GONE"


class Hole(NamedTuple):
    """Offsets [start, end) that a consumer was given nothing at."""

    start: int
    end: int
    leader_epoch: int | None
    isolation: str
    why: str


@dataclass(frozen=True)
class OffsetRange:
    """Records and holes of one source that tile [start, end), in offset order. `size` is reckoned once."""

    start: int
    end: int
    leader_epoch: int | None
    records: Sequence[ReaderRecord]
    holes: Sequence[Hole]

    @cached_property
    def size(self) -> int:
        """Bytes of values, keys and headers."""
        return sum(map(weight, self.records))


_offset = attrgetter("offset")


def empty(at: int, leader_epoch: int | None) -> OffsetRange:
    return OffsetRange(at, at, leader_epoch, (), ())


def sized(poll: OffsetRange, size: int) -> OffsetRange:
    """With the size that is known already: weighing each record again costs as much as deciding about it."""
    poll.__dict__["size"] = size
    return poll


def joined(first: OffsetRange, second: OffsetRange) -> OffsetRange:
    """Two polls, the second where the first ended. Raises PollSkip where it does not."""
    if first.end != second.start:
        raise PollSkip(expected=f"a poll from offset {first.end}", found=f"one from {second.start}")
    records, holes = [*first.records, *second.records], [*first.holes, *second.holes]
    return sized(OffsetRange(first.start, second.end, second.leader_epoch, records, holes), first.size + second.size)


def before(poll: OffsetRange, offset: int) -> OffsetRange:
    """What of a poll lies before this offset, which is a record's."""
    records = [record for record in poll.records if record.offset < offset]
    holes = [hole for hole in poll.holes if hole.end <= offset]
    return OffsetRange(poll.start, offset, poll.leader_epoch, records, holes)


def check_dense(poll: OffsetRange, position: int) -> None:
    """Every offset of [start, end) is a record's or a hole's, exactly once, and start is the position."""
    if poll.start != position:
        raise PollSkip(expected=f"offset {position}", found=f"offset {poll.start}", next_step="the lane starts again")
    if not poll.holes and [r.offset for r in poll.records] == list(range(poll.start, poll.end)):
        return  # the usual one
    spans = sorted([(r.offset, r.offset + 1) for r in poll.records] + [(h.start, h.end) for h in poll.holes])
    at = poll.start
    for start, end in spans:
        if start != at:
            raise PollSkip(expected=f"offset {at}", found=f"offset {start}", next_step="the lane starts again")
        at = end
    if at != poll.end:
        raise PollSkip(expected=f"offsets up to {poll.end}", found=f"up to {at}", next_step="the lane starts again")


def split(poll: OffsetRange, at: int) -> tuple[OffsetRange, OffsetRange]:
    """The parts of a poll below and from `at` on: a cut, or a limit. A hole across it is claimed in two parts."""
    if at >= poll.end:
        return poll, empty(poll.end, poll.leader_epoch)
    index = bisect_left(poll.records, at, key=_offset)
    below, above = poll.records[:index], poll.records[index:]
    low = [h._replace(end=min(h.end, at)) for h in poll.holes if h.start < at]
    high = [h._replace(start=max(h.start, at)) for h in poll.holes if h.end > at]
    epoch = below[-1].leader_epoch if below else poll.leader_epoch
    head = OffsetRange(poll.start, at, epoch, below, low)
    return head, sized(OffsetRange(at, poll.end, poll.leader_epoch, above, high), poll.size - head.size)


def bounded(poll: OffsetRange, records: int, size: int) -> tuple[OffsetRange, OffsetRange]:
    """The longest head within both limits (at least one record), and the rest."""
    if poll.size <= size:
        return split(poll, poll.records[records].offset) if len(poll.records) > records else split(poll, poll.end)
    total = 0
    for index, record in enumerate(poll.records):
        total += weight(record)
        if index and (index >= records or total > size):
            return split(poll, record.offset)
    return split(poll, poll.end)


def next_batch(pending: OffsetRange, cut: int | None, records: int, size: int) -> tuple[OffsetRange, OffsetRange]:
    """The next batch of what was read, and the rest: within both limits, and never across the cut ahead."""
    head, tail = (pending, None) if cut is None else split(pending, cut)
    batch, rest = bounded(head, records, size)
    return batch, rest if tail is None else joined(rest, tail)
