"""What one attempt carries: which queued batches, and what every record on the bus says about itself. Pure."""

from __future__ import annotations

from binascii import unhexlify
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache, partial
from itertools import chain, groupby
from typing import Any, NamedTuple
from uuid import UUID

from ingest.core.cloudevents import digest_as_said
from ingest.core.ids import AttemptId, BatchId, RunId, SourceId, WindowId

EVENTS_MOST = 5_000
BYTES_MOST = 8 * 1024 * 1024

IDENTITY, ATTEMPT, DIGEST = "pg-identity", "pg-attempt", "pg-digest"
OURS = frozenset({IDENTITY, ATTEMPT, DIGEST})

#: States of attempts whose places count: of all others an event has none.
STANDING = frozenset({"ACKED", "PARTIAL"})

RawHeaders = Iterable[tuple[str, bytes | None]]


@dataclass(frozen=True, slots=True)
class QueuedBatch:
    """A batch that waits for an attempt. `partly` says that an earlier attempt placed some of its events."""

    batch: BatchId
    from_offset: int
    to_offset: int
    events: int
    bytes: int
    win: WindowId
    run_id: RunId
    contract: int
    partly: bool = False


def choose(
    queued: Sequence[QueuedBatch], events_most: int = EVENTS_MOST, bytes_most: int = BYTES_MOST
) -> list[QueuedBatch]:
    """The longest beginning of the queue, in offset order, that one attempt may carry; always at least one batch.

    An attempt belongs to exactly one window and one contract, as its batches do.
    """
    chosen: list[QueuedBatch] = []
    events = size = 0
    for batch in sorted(queued, key=lambda batch: batch.from_offset):
        events += batch.events
        size += batch.bytes
        if chosen and (
            events > events_most
            or size > bytes_most
            or (batch.win, batch.contract) != (chosen[0].win, chosen[0].contract)
        ):
            break
        chosen.append(batch)
    return chosen


@dataclass(frozen=True, slots=True)
class BusAnswer:
    """What Kafka answered about a bus at `at`: on which cluster, and which topic has the name. None: none has it."""

    cluster_id: str
    topic_id: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class SentTo:
    """The bus that an attempt went to, and `known`: the topic of that name that the stream's lanes publish to now."""

    cluster_id: str
    topic_id: str
    known: str


def bus_is_there(sent: SentTo, answer: BusAnswer) -> str:
    """Why an attempt is not lost, by one answer; "" where it is.

    Only another topic of that name is proof, on the same cluster: one that is missing, or another cluster, may be a
    mistake that somebody takes back. And it is the one that the ledger knows.
    """
    if answer.cluster_id != sent.cluster_id:
        return f"Kafka is cluster {answer.cluster_id}, and it was sent to {sent.cluster_id}"
    if answer.topic_id is None:
        return "no topic has that name now"
    if answer.topic_id == sent.topic_id:
        return f"topic id {sent.topic_id} is there"
    if answer.topic_id != sent.known:
        return f"topic id {answer.topic_id} is none that a run was opened on"
    return ""


def not_lost(sent: SentTo, before: BusAnswer, now: BusAnswer) -> str:
    """Why an attempt is not LOST, by two answers one after the other; "" where it is."""
    once = "" if before.at < now.at else "Kafka was asked once"
    return bus_is_there(sent, before) or bus_is_there(sent, now) or once


def transactional_id(install: UUID, source: SourceId) -> str:
    """One per publish lane; the install keeps two installations on one cluster from fencing each other."""
    return f"passgate.{install}.{source}"


def attempt_mark(install: UUID, attempt: AttemptId) -> bytes:
    """The value of pg-attempt: attempts are numbered per installation, and a bus may outlive one."""
    return f"{install}/{attempt}".encode()


def marked(
    original: RawHeaders | None, identity: bytes, mark: bytes, digest: bytes
) -> list[tuple[str, str | bytes | None]]:
    """Headers of a record on the bus: the original ones in their order, without any of our names, then ours."""
    ours: list[tuple[str, str | bytes | None]] = [
        (IDENTITY, identity.hex()), (ATTEMPT, mark), (DIGEST, digest.hex()),
    ]  # fmt: skip
    if not original:
        return ours
    return [header for header in original if header[0] not in OURS] + ours


def marked_all(
    originals: Iterable[RawHeaders | None], identities: Iterable[bytes], mark: bytes, digests: Iterable[bytes]
) -> Iterator[list[tuple[str, str | bytes | None]]]:
    """`marked` for each event of an attempt, one after the other."""
    sender = (ATTEMPT, mark)
    for original, identity, digest in zip(originals, identities, digests, strict=True):
        if original:
            yield marked(original, identity, mark, digest)
        else:
            yield [(IDENTITY, identity.hex()), sender, (DIGEST, digest.hex())]


class Mark(NamedTuple):
    """What a record on the bus says about itself."""

    install: str
    attempt: AttemptId
    identity: bytes
    digest: bytes


def digest_of(value: bytes | None, headers: Sequence[tuple[str, bytes | None]] | None) -> bytes:
    """The payload digest of what is really there, whatever its mark says. It may be a CloudEvent in binary mode."""
    said = next((raw for name, raw in headers or () if name == DIGEST), None)
    return digest_as_said(value, headers, _digest(said))


_BAD = "a header of ours does not say what it must"


def read_mark(headers: Sequence[tuple[str, bytes | None]] | None) -> Mark | str:
    """The record's mark, or why it has none. Each of our headers must be there exactly once."""
    ours: dict[str, bytes | None] = {}
    for name, value in headers or ():
        if name in OURS:
            if name in ours:
                return f"{name} is repeated"
            ours[name] = value
    if len(ours) < 3:
        return f"{', '.join(sorted(OURS - ours.keys()))} missing"
    sender = _sender(ours[ATTEMPT] or b"")
    identity, digest = _digest(ours[IDENTITY]), _digest(ours[DIGEST])
    if sender is None or identity is None or digest is None:
        return _BAD
    return Mark(sender[0], sender[1], identity, digest)


@lru_cache(maxsize=1024)
def _sender(mark: bytes) -> tuple[str, AttemptId] | None:
    """(install, attempt): thousands of records in a row carry the same one."""
    install, _, number = mark.partition(b"/")
    if not number.isdigit() or len(number) > 18 or not install.isascii():
        return None
    return install.decode(), AttemptId(int(number))


def _digest(text: bytes | None) -> bytes | None:
    """The 32 bytes that 64 hexadecimal digits stand for."""
    if text is None or len(text) != 64:
        return None
    try:
        return unhexlify(text)
    except ValueError:
        return None


# Without the class's own constructor, which is a function in Python called once a record.
_as_mark: Callable[[Iterable[Any]], Mark] = partial(tuple.__new__, Mark)


def read_marks(all_headers: Iterable[Sequence[tuple[str, bytes | None]] | None]) -> list[Mark | str]:
    """`read_mark` of each record, with a short way for those that carry our headers and nothing else."""
    marks: list[Mark | str] = []
    for headers in all_headers:
        if headers is not None and len(headers) == 3:
            (first, identity), (second, attempt), (third, digest) = headers
            if first == IDENTITY and second == ATTEMPT and third == DIGEST and identity and attempt and digest:
                sender = _sender(attempt)
                if sender is not None and len(identity) == len(digest) == 64:
                    try:
                        marks.append(_as_mark((*sender, unhexlify(identity), unhexlify(digest))))
                        continue
                    except ValueError:
                        pass  # the long way says so
        marks.append(read_mark(headers))
    return marks


@dataclass(frozen=True, slots=True)
class Columns:
    """The marks of neighbouring records, by columns of 32 bytes a record.

    `senders` are (install, attempt, how many records in a row say so), in the records' order.
    """

    senders: Sequence[tuple[str, AttemptId, int]]
    identities: bytes
    digests: bytes


def read_columns(all_headers: Sequence[Sequence[tuple[str, bytes | None]] | None]) -> Columns | None:
    """`read_mark` of all records at once; None unless each has one, behind as many other headers as the rest have."""
    widths = {len(headers) if headers else 0 for headers in all_headers}
    width = widths.pop() if len(widths) == 1 else 0
    if width < len(OURS):
        return None
    parts: list[Any] = list(chain.from_iterable(chain.from_iterable(filter(None, all_headers))))
    names = [parts[at :: 2 * width] for at in range(0, 2 * width, 2)]
    ours = zip(names[-3:], (IDENTITY, ATTEMPT, DIGEST), strict=True)
    if any(column.count(name) != len(column) for column, name in ours):
        return None
    if not all(OURS.isdisjoint(column) for column in names[:-3]):
        return None
    identities, digests = (_all_digests(parts[2 * width - n :: 2 * width]) for n in (5, 1))
    told = [(_sender(mark or b""), len(list(same))) for mark, same in groupby(parts[2 * width - 3 :: 2 * width])]
    senders = [(*sender, count) for sender, count in told if sender is not None]
    if identities is None or digests is None or len(senders) < len(told):
        return None
    return Columns(senders, identities, digests)


def _all_digests(texts: Sequence[Any]) -> bytes | None:
    """`_digest` of each, joined; None if one is none."""
    try:
        return unhexlify(b"".join(texts)) if set(map(len, texts)) == {64} else None
    except (TypeError, ValueError):
        return None
