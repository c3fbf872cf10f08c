"""The admission decision: given what is known, what becomes of each record of a batch. Order is offset order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence

import msgspec

from ingest.core.canonical import same_event
from ingest.core.identity import Parts, identifier
from ingest.core.ids import SourceId
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.record import NotUnderstood, Parsed, Understood

# An enumeration's member costs a tenth of a microsecond each time it is named, which is much for every record.
_ADMITTED, _DUPLICATE, _NONE = Decision.ADMITTED, Decision.DUPLICATE, Reason.NONE


Form = Callable[[int, bytes], bytes]


def as_it_is(offset: int, value: bytes) -> bytes:
    """The value itself, for streams whose records are no CloudEvents and have one form only."""
    return value


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """A parsed record on its way to a decision. `identity` is None where it is not understood or names another run."""

    offset: int
    parsed: Parsed
    payload_digest: bytes
    identity: bytes | None


class KnownEvent(msgspec.Struct, frozen=True, gc=False):
    """An event admitted before: `source` and `offset` of its record.

    `payload` is needed for `disputed` identities only, in the form they are compared in (`decide`'s `form`); None there
    means that its bytes are no longer kept. `under`: its identity in the run before, where it is that run's event.
    """

    payload_digest: bytes
    source: SourceId
    offset: int
    payload: bytes | None = None
    under: bytes | None = None


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """One record's receipt. `item` is an index into Decisions.items; the first place is set for known identities.

    `identity` is the one the record names: of an ADMITTED, a DUPLICATE or a PAYLOAD_MISMATCH, else None.
    """

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
    class_name: str
    identity: bytes | None
    payload_digest: bytes
    first_source: int | None
    first_offset: int | None
    count: int


class Decisions(msgspec.Struct, frozen=True):
    """What a batch becomes: one outcome a record, in their order."""

    outcomes: list[Outcome]
    events: list[NewEvent]
    items: list[Item]


def arrive(
    stream: str,
    run_name: str,
    offsets: Sequence[int],
    values: Sequence[bytes | None],
    parsed: Sequence[Parsed],
    digests: Sequence[bytes] | None = None,
) -> list[Arrival]:
    """Digests for a batch: payload digest for all, identity for what is understood and names this run or none.

    `digests` are the payload digests where more than the values is in them.
    """
    sha256 = hashlib.sha256
    digests = [sha256(value or b"").digest() for value in values] if digests is None else digests
    identify: dict[str, Callable[[Parts], bytes]] = {}
    arrivals = []
    for offset, payload, record in zip(offsets, digests, parsed, strict=True):
        identity = None
        if type(record) is Understood and (record.run is None or record.run == run_name):
            digest = identify.get(record.class_name)
            if digest is None:
                digest = identify[record.class_name] = identifier(stream, run_name, record.class_name)
            identity = digest(record.parts)
        arrivals.append(Arrival(offset, record, payload, identity))
    return arrivals


def disputed(arrivals: Sequence[Arrival], known: Mapping[bytes, KnownEvent]) -> set[bytes]:
    """Known identities that arrived with another payload digest: fetch their stored payload before `decide`."""
    return {
        arrival.identity
        for arrival in arrivals
        if arrival.identity is not None
        and (first := known.get(arrival.identity)) is not None
        and first.payload_digest != arrival.payload_digest
    }


def earlier_identities(
    stream: str, earlier_run: str, arrivals: Sequence[Arrival], known: Collection[bytes]
) -> dict[bytes, bytes]:
    """What the arrivals that are not known would be in the run before: that run's identity -> this run's."""
    identify: dict[str, Callable[[Parts], bytes]] = {}
    earlier: dict[bytes, bytes] = {}
    for arrival in arrivals:
        identity, record = arrival.identity, arrival.parsed
        if identity is None or identity in known or type(record) is not Understood:
            continue
        digest = identify.get(record.class_name)
        if digest is None:
            digest = identify[record.class_name] = identifier(stream, earlier_run, record.class_name)
        earlier[digest(record.parts)] = identity
    return earlier


def decide(
    arrivals: Sequence[Arrival],
    known: Mapping[bytes, KnownEvent],
    run_name: str,
    source: SourceId,
    is_closed: Callable[[str], bool],
    form: Form = as_it_is,
) -> Decisions:
    """What becomes of `arrivals`, which are of one source and in offset order. Pure.

    `known` holds the identities admitted before in this run; one that is new here counts for the later arrivals.
    `is_closed(run)` tells LATE from OTHER_RUN. `form` makes what two payloads are compared in of an arrival's offset
    and value; it is asked for disputed ones only.
    """
    batch = _Batch(known, source, is_closed, form)
    for arrival in arrivals:
        batch.take(arrival)
    return batch.decisions()


def admitted(decisions: Decisions, source: SourceId) -> dict[bytes, KnownEvent]:
    """What a batch of `source` adds to `known`, for the next batch of the same transaction."""
    events = decisions.events
    return {event.identity: KnownEvent(event.payload_digest, source, event.offset, event.value) for event in events}


class _Batch:
    """The decisions of one batch as they grow: the one place here that changes in place, for speed."""

    def __init__(
        self, known: Mapping[bytes, KnownEvent], source: SourceId, is_closed: Callable[[str], bool], form: Form
    ) -> None:
        self._known = known
        self._source = source
        self._is_closed = is_closed
        self._form = form
        self._own: dict[bytes, NewEvent] = {}
        self._outcomes: list[Outcome] = []
        self._items: list[Item] = []
        # What was found out about (identity, payload digest), so that a flood of one mismatch is compared once.
        self._same: dict[tuple[bytes, bytes], bool] = {}
        self._mismatches: dict[tuple[bytes, bytes], int] = {}

    def take(self, arrival: Arrival) -> None:
        identity, record = arrival.identity, arrival.parsed
        if identity is None or type(record) is not Understood:
            self._set_aside(arrival)
            return
        first = self._own.get(identity) or self._known.get(identity)
        if first is None:
            self._admit(arrival, identity, record)
        elif first.payload_digest == arrival.payload_digest:
            self._duplicate(arrival, first, record, record.flags)
        else:
            self._compare(arrival, identity, first, record)

    def _admit(self, arrival: Arrival, identity: bytes, record: Understood) -> None:
        digest = arrival.payload_digest
        self._own[identity] = NewEvent(
            arrival.offset, identity, digest, record.class_name, record.class_number, record.parts, record.value
        )
        self._outcomes.append(
            Outcome(arrival.offset, _ADMITTED, _NONE, record.flags, identity, digest, None, None, None)
        )

    def _duplicate(self, arrival: Arrival, first: KnownEvent | NewEvent, record: Understood, flags: int) -> None:
        source, offset = self._place(first)
        identity, looked_back = _under(arrival, first)
        digest = arrival.payload_digest
        self._outcomes.append(
            Outcome(arrival.offset, _DUPLICATE, _NONE, flags | looked_back, identity, digest, source, offset, None)
        )

    def _compare(self, arrival: Arrival, identity: bytes, first: KnownEvent | NewEvent, record: Understood) -> None:
        """Raw digests differ: the same event written differently, or a mismatch."""
        payload = first.value if type(first) is NewEvent else first.payload  # type: ignore[union-attr]
        pair = (identity, arrival.payload_digest)
        if pair not in self._same:
            if type(first) is NewEvent:
                payload = self._form(first.offset, first.value)
            self._same[pair] = payload is not None and same_event(payload, self._form(arrival.offset, record.value))
        if self._same[pair]:
            self._duplicate(arrival, first, record, record.flags | Flag.RESERIALISED.value)
            return
        flags = record.flags if payload is not None else record.flags | Flag.FIRST_ERASED.value
        item = self._mismatches.get(pair)
        if item is None:
            item = self._mismatches[pair] = len(self._items)
            self._items.append(self._item(arrival, Reason.PAYLOAD_MISMATCH, record, flags, first))
        else:
            self._items[item] = msgspec.structs.replace(self._items[item], count=self._items[item].count + 1)
        self._quarantine(arrival, Reason.PAYLOAD_MISMATCH, flags, item, first)

    def _set_aside(self, arrival: Arrival) -> None:
        """Not understood, or of another run: an item of its own, without identity."""
        record = arrival.parsed
        if isinstance(record, NotUnderstood):
            reason = record.reason
        else:
            reason = Reason.LATE if record.run is not None and self._is_closed(record.run) else Reason.OTHER_RUN
        self._items.append(self._item(arrival, reason, record, record.flags, None))
        self._quarantine(arrival, reason, record.flags, len(self._items) - 1, None)

    def _item(
        self, arrival: Arrival, reason: Reason, record: Parsed, flags: int, first: KnownEvent | NewEvent | None
    ) -> Item:
        detail, at = (record.detail, record.at) if isinstance(record, NotUnderstood) else (_DETAILS[reason], None)
        source, offset = self._place(first)
        identity, looked_back = _under(arrival, first)
        return Item(
            arrival.offset, reason, detail, at, record.run, flags | looked_back, record.class_name, identity,
            arrival.payload_digest, source, offset, 1,
        )  # fmt: skip

    def _quarantine(
        self, arrival: Arrival, reason: Reason, flags: int, item: int, first: KnownEvent | NewEvent | None
    ) -> None:
        source, offset = self._place(first)
        identity, looked_back = _under(arrival, first)
        digest, flags = arrival.payload_digest, flags | looked_back
        self._outcomes.append(
            Outcome(arrival.offset, Decision.QUARANTINED, reason, flags, identity, digest, source, offset, item)
        )

    def _place(self, first: KnownEvent | NewEvent | None) -> tuple[int | None, int | None]:
        if first is None:
            return None, None
        return (first.source if isinstance(first, KnownEvent) else self._source), first.offset

    def decisions(self) -> Decisions:
        return Decisions(self._outcomes, list(self._own.values()), self._items)


def _under(arrival: Arrival, first: KnownEvent | NewEvent | None) -> tuple[bytes | None, int]:
    """The identity that a receipt carries, and its flag: under the name of the run before, if that has the event."""
    if type(first) is KnownEvent and first.under is not None:
        return first.under, Flag.LOOKED_BACK.value
    return arrival.identity, 0


_DETAILS = {
    Reason.PAYLOAD_MISMATCH: "same identity, different payload: the first one stands, this one was set aside",
    Reason.OTHER_RUN: "the record names a run that is not the open one",
    Reason.LATE: "the record names a run that is closed",
}
