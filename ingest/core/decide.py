"""The admission decision: given what is known, what becomes of each record of a batch. Order is offset order."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import msgspec

from ingest.core.identity import Parts
from ingest.core.record import Decision, Parsed, Reason


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A parsed record on its way to a decision. `identity` is None where it is not understood or names another run."""

    offset: int
    parsed: Parsed
    payload_digest: bytes
    identity: bytes | None


class Known(msgspec.Struct, frozen=True, gc=False):
    """An event admitted before: `source` and `offset` of its record. `payload` only for `disputed` identities."""

    payload_digest: bytes
    source: int
    offset: int
    payload: bytes | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One record's receipt. `item` is an index into Decisions.items; the first place is set for known identities."""

    offset: int
    decision: Decision
    reason: Reason
    flags: int
    identity: bytes | None
    payload_digest: bytes
    first_source: int | None
    first_offset: int | None
    item: int | None


class NewEvent(msgspec.Struct, frozen=True, gc=False):
    """An admitted event, to be stored under `identity` at `offset`."""

    offset: int
    identity: bytes
    payload_digest: bytes
    class_name: str
    class_number: int
    parts: Parts
    value: bytes


class Item(msgspec.Struct, frozen=True, gc=False):
    """Something for a person. `count` records of this batch are it; `offset` is the first of them.

    A PAYLOAD_MISMATCH is one item per (identity, payload_digest): where the ledger already has it, its count rises.
    """

    offset: int
    reason: Reason
    detail: str
    at: int | None
    run: str | None
    flags: int
    identity: bytes | None
    payload_digest: bytes
    first_source: int | None
    first_offset: int | None
    count: int


class Decisions(msgspec.Struct, frozen=True):
    """What a batch becomes. `counts` is by (class name, "" if unknown; decision; reason)."""

    outcomes: list[Outcome]
    events: list[NewEvent]
    items: list[Item]
    counts: dict[tuple[str, Decision, Reason], int]


def arrive(
    stream: str, run_id: str, offsets: Sequence[int], values: Sequence[bytes | None], parsed: Sequence[Parsed]
) -> list[Arrival]:
    """Digests for a batch: payload digest for all, identity for what is understood and names this run or none."""
    raise NotImplementedError


def disputed(arrivals: Sequence[Arrival], known: Mapping[bytes, Known]) -> set[bytes]:
    """Known identities that arrived with another payload digest: fetch their stored payload before `decide`."""
    raise NotImplementedError


def decide(
    arrivals: Sequence[Arrival],
    known: Mapping[bytes, Known],
    run_id: str,
    source: int,
    is_closed: Callable[[str], bool],
) -> Decisions:
    """Pure. `source` is where the arrivals come from; `is_closed(run)` tells LATE from OTHER_RUN."""
    raise NotImplementedError
