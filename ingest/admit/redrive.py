"""Redriving: quarantined records go through admission again, as records of a plan's own source.

The same verb as a lane's and a door's, over bytes that the ledger keeps. A record that is understood now becomes an
event, or is known already, and its item is resolved; one that is set aside again stays the item that it was. This is a
step inside the plan's transaction, which writes the outcome of each item, too (docs/plans.md#a-redrive).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, NamedTuple

from ingest.admit.lane import KEPT_BYTES, AdmissionTransaction
from ingest.admit.read_ahead import arrivals_of
from ingest.core.batching import OffsetRange
from ingest.core.decide import Decisions, Item, KnownEvent, Outcome
from ingest.core.errors import LeaseError
from ingest.core.ids import BatchId, SourceId, StreamId, WindowId
from ingest.core.lease import Lease
from ingest.core.ledger_rows import packed_headers, unpacked_headers
from ingest.core.reason import Decision, Reason
from ingest.core.record import UNREADABLE_NAME, Understood
from ingest.core.stored import known
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.models import Source
from ingest.quarantine import resolve_redriven
from ingest.streams import CompiledContract
from ingest.windows import Binding

sql = statements("ingest.admit", "redrive")

#: Bytes of one transaction at most; at least one record is in it.
MOST_BYTES = 4 * 1024 * 1024
#: Plans have a position's fence, and never a second owner.
FENCE = 1


class RedrivenRecord(NamedTuple):
    """What an item keeps, as a reader would have given it: `offset` is the item's place in the plan's list."""

    offset: int
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes | None]] | None
    leader_epoch: int | None = None


@dataclass(frozen=True)
class RedrivenItem:
    """An item with its place in the plan, and other bytes for it where a person corrected it."""

    ordinal: int
    item: int
    correction: bytes | None = None


@dataclass(frozen=True)
class KeptItem:
    """A quarantine item as it stands. `cut`: only a part of its bytes is kept. `reason`: None for one that this version
    does not know."""

    id: int
    win: WindowId
    reason: Reason | None
    state: str
    key: bytes | None
    value: bytes | None
    headers: bytes | None
    payload_digest: bytes
    times: int

    @property
    def cut(self) -> bool:
        """What was longer was cut where it arrived (`AdmissionTransaction`), and nobody has the rest."""
        whole = all(part is None or len(part) < KEPT_BYTES for part in (self.key, self.value))
        return not whole or self.headers == packed_headers([(UNREADABLE_NAME, None)])

    def record(self, ordinal: int, correction: bytes | None = None) -> RedrivenRecord:
        value = self.value if correction is None else correction
        return RedrivenRecord(ordinal, self.key, value, unpacked_headers(self.headers))


@dataclass(frozen=True)
class RedriveOrder:
    """Which plan redrives into which window: `binding` is the rerun's, `source` the plan's own."""

    plan: int
    source: SourceId
    stream: StreamId
    binding: Binding
    loaded: CompiledContract
    requested_by: str
    reason: str


@dataclass(frozen=True)
class ItemResult:
    """What became of an item: ADMITTED, DUPLICATE, or QUARANTINED with its reason and detail."""

    ordinal: int
    item: int
    decision: Decision
    reason: Reason
    detail: str | None


def kept_items(cur: Cursor, ids: Sequence[int]) -> dict[int, KeptItem]:
    """Items by number."""
    return {row.id: _kept(row) for row in cur.execute(sql.items, {"ids": list(ids)}).fetchall()}


def _lock_items(cur: Cursor, ids: Sequence[int]) -> dict[int, KeptItem]:
    """The same: nobody resolves them until the transaction ends."""
    return {row.id: _kept(row) for row in cur.execute(sql.lock_items, {"ids": sorted(ids)}).fetchall()}


def _kept(row: Any) -> KeptItem:
    return KeptItem(
        row.id, row.win, known(Reason, row.reason), row.state, row.key, row.value, row.headers,
        bytes(row.payload_digest), row.times,
    )  # fmt: skip


def redrive(cur: Cursor, order: RedriveOrder, wanted: Sequence[RedrivenItem]) -> list[ItemResult]:
    """The step: as many of `wanted`, from the first on, as one transaction takes; a result for each of those.

    `wanted` follow each other without a hole. Raises LeaseError where the plan's position stands elsewhere.
    """
    kept = _lock_items(cur, [each.item for each in wanted])
    failpoint("redrive.after_items")
    some = _bounded(wanted, kept)
    records = [kept[each.item].record(each.ordinal, each.correction) for each in some]
    poll = OffsetRange(some[0].ordinal, some[-1].ordinal + 1, None, records, ())
    batch = _advance(cur, order, poll)
    failpoint("redrive.after_position")
    arrivals = arrivals_of(order.loaded, order.binding.run_name, records)
    source = Source.objects.get(id=order.source)
    work = _RedriveAdmission(source, _lease(order, poll.start), order.binding, order.loaded, poll, arrivals)
    decisions, _ = work.write_all(cur, batch)
    results = [_result(each, out, decisions.items) for each, out in zip(some, decisions.outcomes, strict=True)]
    failpoint("redrive.after_batch")
    _write_redrives(cur, order, some, results)
    failpoint("redrive.after_redrives")
    resolved = [r.item for r in results if r.decision is not Decision.QUARANTINED and kept[r.item].state == "OPEN"]
    resolve_redriven(cur, resolved, order.requested_by, order.reason)
    return results


def _bounded(wanted: Sequence[RedrivenItem], kept: Mapping[int, KeptItem]) -> Sequence[RedrivenItem]:
    total = 0
    for index, each in enumerate(wanted):
        total += len(each.correction or kept[each.item].value or b"")
        if index and total > MOST_BYTES:
            return wanted[:index]
    return wanted


def _lease(order: RedriveOrder, at: int) -> Lease:
    return Lease("admission", order.source, order.stream, owner_of(order.plan), FENCE, at, None)


def owner_of(plan: int) -> str:
    """Who a plan's batches say they are of."""
    return f"plan {plan}"


def _advance(cur: Cursor, order: RedriveOrder, poll: OffsetRange) -> BatchId:
    """The compare-and-set of the plan's position: each item once, in the order of the list."""
    values = {
        "source": order.source, "win": order.binding.win, "start": poll.start, "end": poll.end,
        "owner": owner_of(order.plan), "fence": FENCE,
    }  # fmt: skip
    row = cur.execute(sql.advance, values).fetchone()
    if row is None:
        raise LeaseError(
            expected=f"the position of plan {order.plan} at {poll.start}",
            found="another one",
            next_step="cancel the plan, and submit what is left anew",
        )
    return BatchId(row.batch_id)


def _result(each: RedrivenItem, outcome: Outcome, items: Sequence[Item]) -> ItemResult:
    detail = items[outcome.item].detail if outcome.item is not None else None
    return ItemResult(each.ordinal, each.item, outcome.decision, outcome.reason, detail)


def _write_redrives(
    cur: Cursor, order: RedriveOrder, some: Sequence[RedrivenItem], results: Sequence[ItemResult]
) -> None:
    cur.execute(
        sql.insert_redrives,
        {
            "source": order.source,
            "plan": order.plan,
            "offsets": [r.ordinal for r in results],
            "items": [r.item for r in results],
            "decisions": [int(r.decision) for r in results],
            "reasons": [int(r.reason) for r in results],
            "details": [r.detail for r in results],
            "corrected": [order.requested_by if each.correction is not None else None for each in some],
        },
    )


class _RedriveAdmission(AdmissionTransaction):
    """A batch of a plan source. What is set aside again is the item that it was: no second one is made of it."""

    def _write_items(self, cur: Cursor, batch: BatchId, items: Sequence[Item]) -> None:
        return


# ---- foreseeing -----------------------------------------------------------------------------------------------------


@dataclass
class Foreseen:
    """How items would end on what is there now. `refused`: how many would be set aside again, by reason and detail;
    `admitted`: the items that would become events."""

    admitted: list[int] = field(default_factory=list)
    decisions: Counter[Decision] = field(default_factory=Counter)
    refused: Counter[tuple[Reason, str]] = field(default_factory=Counter)


def foresee(cur: Cursor, order: RedriveOrder, wanted: Sequence[RedrivenItem], at_once: int) -> Foreseen:
    """Decides about the same bytes, by the same rule and in the same order, and writes nothing."""
    seen = Foreseen()
    before: dict[bytes, KnownEvent] = {}
    for part in _parts(cur, wanted, at_once):
        records = [kept.record(each.ordinal, each.correction) for each, kept in part]
        poll = OffsetRange(records[0].offset, records[-1].offset + 1, None, records, ())
        arrivals = arrivals_of(order.loaded, order.binding.run_name, records)
        source = Source(id=order.source, cluster_id="plan", topic_id="", partition=0)
        work = ForeseenAdmission(source, _lease(order, poll.start), order.binding, order.loaded, poll, arrivals)
        decisions = work.decide(cur, before)
        events = {event.offset for event in decisions.events}
        seen.admitted += [each.item for each, _ in part if each.ordinal in events]
        for outcome in decisions.outcomes:
            seen.decisions[outcome.decision] += 1
            if outcome.item is not None:
                seen.refused[outcome.reason, decisions.items[outcome.item].detail] += 1
    return seen


def _parts(cur: Cursor, wanted: Sequence[RedrivenItem], at_once: int) -> Iterator[list[tuple[RedrivenItem, KeptItem]]]:
    """With what they keep, some at a time: the bytes of ten thousand items are never here at once."""
    at = 0
    while at < len(wanted):
        part = wanted[at : at + at_once]
        kept = kept_items(cur, [each.item for each in part])
        some = _bounded(part, kept)
        yield [(each, kept[each.item]) for each in some]
        at += len(some)


class ForeseenAdmission(AdmissionTransaction):
    """An admission that can be foreseen: what earlier batches would have admitted is known to later ones."""

    _before: Mapping[bytes, KnownEvent] = MappingProxyType({})

    def decide(self, cur: Cursor, before: dict[bytes, KnownEvent]) -> Decisions:
        """Writes nothing. What would be admitted is added to `before`."""
        self._before = before
        decisions = self._decide(cur)
        for event in decisions.events:
            payload = event.value
            if self.loaded.parser.is_cloudevents:
                payload = self._structured(event.offset, payload)
            before[event.identity] = KnownEvent(event.payload_digest, self.lease.source, event.offset, payload)
        return decisions

    def _known(self, cur: Cursor) -> dict[bytes, KnownEvent]:
        return {**self._before, **super()._known(cur)}


def named_run(loaded: CompiledContract, kept: KeptItem) -> str | None:
    """The run that a record names, by this contract; None: it names none, or is not understood."""
    (arrival,) = arrivals_of(loaded, "", [kept.record(0)])
    return arrival.parsed.run if isinstance(arrival.parsed, Understood) else None


__all__ = [
    "FENCE", "Foreseen", "ForeseenAdmission", "ItemResult", "KeptItem", "RedriveOrder", "RedrivenItem", "foresee",
    "kept_items", "named_run", "owner_of", "redrive",
]  # fmt: skip
