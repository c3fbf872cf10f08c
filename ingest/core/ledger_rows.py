"""Rows of the event and receipt tables in PostgreSQL's binary COPY format. Pure.

psycopg's write_row looks at every value of every row and took two thirds of admission's own time with these two tables.
Here what does not change within a batch is packed once, and a row is one struct and its few parts of free length.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from struct import Struct, pack

import msgspec

from ingest.core.batching import ReaderRecord
from ingest.core.copying import END, HEAD
from ingest.core.decide import NewEvent, Outcome
from ingest.core.identity import DIGEST_BYTES
from ingest.core.ids import BatchId, RunId, SourceId, WindowId

ROWS = 250
"""Given to the server at once: it stores them while the next are made."""

_NULL = pack(">i", -1)
_length = Struct(">i").pack
_null_and_length = Struct(">ii").pack
_event_id = msgspec.json.Encoder().encode
_pack_headers = msgspec.msgpack.Encoder().encode
_unpack_headers = msgspec.msgpack.Decoder(list[tuple[str, bytes | None]]).decode

Headers = Sequence[tuple[str, bytes | None]]


def packed_headers(headers: Headers | None) -> bytes | None:
    """Headers as they came, in order, repeats and nulls included, as msgpack [[name, bytes|nil], ...]."""
    return _pack_headers(headers) if headers else None


def unpacked_headers(packed: bytes | None) -> list[tuple[str, bytes | None]] | None:
    """What `packed_headers` packed."""
    return _unpack_headers(packed) if packed else None


def event_id(parts: tuple[str | int, ...]) -> str:
    """The id's parts as a JSON array: readable, and exact about strings and integers."""
    return _event_id(parts).decode()


def event_rows(
    run: RunId,
    win: WindowId,
    source: SourceId,
    batch: BatchId,
    class_ids: Mapping[str, int],
    events: Iterable[tuple[NewEvent, ReaderRecord]],
) -> Iterator[bytes]:
    """(run_id, identity, win, class_id, source_id, offset, batch_id, payload_digest, event_id, key, headers,
    payload) of each event, given with its record.
    """  # fmt: skip
    before = pack(">hiii", 12, 4, run, DIGEST_BYTES)
    between = {name: pack(">iiiiiii", 4, win, 4, number, 4, source, 8) for name, number in class_ids.items()}
    behind = pack(">iqi", 8, batch, DIGEST_BYTES)
    fixed = Struct(f">{len(before)}s{DIGEST_BYTES}s28sq{len(behind)}s{DIGEST_BYTES}si").pack
    for event, record in events:
        key, headers = record.key, record.headers
        name = _event_id(event.parts)
        value = event.value
        start = fixed(
            before, event.identity, between[event.class_name], event.offset, behind, event.payload_digest, len(name)
        )
        middle = _NULL if key is None else _length(len(key)) + key
        if headers:
            yield b"".join((start, name, middle, _field(_pack_headers(headers)), _length(len(value)), value))
        else:
            yield b"".join((start, name, middle, _null_and_length(-1, len(value)), value))


def receipt_rows(
    source: SourceId, batch: BatchId, outcomes: Iterable[Outcome], class_ids: Iterable[int | None]
) -> Iterator[bytes]:
    """(source_id, offset, batch_id, decision, reason, flags, class_id, identity, payload_digest) of each outcome."""
    before, length = pack(">hiii", 9, 4, source, 8), _length(DIGEST_BYTES)
    usual = Struct(f">{len(before)}sq42s{DIGEST_BYTES}s4s{DIGEST_BYTES}s").pack
    # What was decided and the class differ little within a batch: each such middle of a row is packed once.
    middles: dict[tuple[int, int, int, int | None, bool], bytes] = {}
    for outcome, number in zip(outcomes, class_ids, strict=True):
        identity = outcome.identity
        said = (outcome.decision, outcome.reason, outcome.flags, number, identity is None)
        middle = middles.get(said)
        if middle is None:
            middle = middles[said] = _middle(batch, *said)
        if identity is not None and number is not None:
            yield usual(before, outcome.offset, middle, identity, length, outcome.payload_digest)
        else:
            start = before + pack(">q", outcome.offset)
            yield b"".join((start, middle, identity or b"", length, outcome.payload_digest))


def _middle(batch: BatchId, decision: int, reason: int, flags: int, number: int | None, unnamed: bool) -> bytes:
    """A receipt from its batch to the length of its identity."""
    said = pack(">iqihihih", 8, batch, 2, decision, 2, reason, 2, flags)
    return said + (_NULL if number is None else pack(">ii", 4, number)) + (_NULL if unnamed else _length(DIGEST_BYTES))


def copied(rows: Iterator[bytes]) -> Iterator[bytes]:
    """The whole of a COPY: its head, the rows some at a time, its end."""
    yield HEAD
    while some := b"".join(islice(rows, ROWS)):
        yield some
    yield END


def _field(value: bytes) -> bytes:
    return _length(len(value)) + value
