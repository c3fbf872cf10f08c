"""Receipts of a run: keyset pages by (source, offset) over the ranges of its windows, and one receipt with its places.

Receipts carry no run: it is the batch's. A run's receipts are those inside its windows' ranges, so a page walks the
ranges in source order and takes at most one page from each by the primary key; nothing is counted or sorted beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from django.db import connection
from django.db.models import Count, Max, Min, Q, QuerySet

from ingest.core.attempt import STANDING
from ingest.core.identity import Parts, identity_digest
from ingest.core.ids import RunId
from ingest.core.reason import Decision, Flag
from ingest.models import (
    Attempt,
    Batch,
    Effect,
    Event,
    EventClass,
    Place,
    QuarantineItem,
    Receipt,
    Redrive,
    Source,
    WindowRange,
    source_name,
)
from ingest.windows import run_before

PAGE_SIZE = 50
SCANNED = 1_000  # of one range at most, where a filter has no index of its own

_WALK = """
SELECT r.source_id, r."offset", r.batch_id, r.decision, r.reason, r.flags, r.class_id, r.identity
  FROM unnest(%(sources)s::integer[], %(starts)s::bigint[], %(ends)s::bigint[]) WITH ORDINALITY w(source, lo, hi, n)
 CROSS JOIN LATERAL (
       SELECT source_id, "offset", batch_id, decision, reason, flags, class_id, identity
         FROM receipt
        WHERE source_id = w.source AND "offset" >= w.lo AND (w.hi IS NULL OR "offset" < w.hi) {decision}
        ORDER BY source_id, "offset"
        LIMIT %(limit)s) r
 ORDER BY w.n, r."offset"
 LIMIT %(limit)s
"""


@dataclass(frozen=True, slots=True)
class Range:
    """[start, end) of one source; `end` None while the window is open."""

    source: int
    name: str
    start: int
    end: int | None


@dataclass(frozen=True, slots=True)
class Row:
    """One receipt as the walk returns it."""

    source: int
    offset: int
    batch: int
    decision: int
    reason: int
    flags: int
    class_id: int | None
    identity: bytes | memoryview | None

    @property
    def digest(self) -> bytes | None:
        """The identity as bytes."""
        return None if self.identity is None else bytes(self.identity)


@dataclass(frozen=True, slots=True)
class ReceiptSlice:
    """A page. `after` is the place the next page begins behind; None when nothing is left."""

    rows: tuple[Row, ...]
    after: tuple[int, int] | None


MOST_RANGES = 2_000


def ranges(window: int) -> list[Range]:
    """The inbox ranges of a window, in walking order."""
    found = WindowRange.objects.filter(win=window, source__role="inbox").select_related("source").order_by("source")
    return [Range(each.source_id, each.source.name, each.start_offset, each.end_offset) for each in found[:MOST_RANGES]]


def ranges_of_run(run: int) -> list[Range]:
    """The inbox ranges of a run, one a source: its windows' begin each where the one before ends. What reruns read is
    of their plans' sources: `ranges` of a rerun has it."""
    found = (
        WindowRange.objects.filter(win__run=run, win__reruns=None, source__role="inbox")
        .values("source_id", "source__topic", "source__partition", "source__incarnation")
        .annotate(
            start=Min("start_offset"), end=Max("end_offset"), going=Count("start_offset", filter=Q(end_offset=None))
        )
        .order_by("source_id")
    )
    return [
        Range(
            row["source_id"],
            source_name(row["source__topic"], row["source__partition"], row["source__incarnation"]),
            row["start"],
            None if row["going"] else row["end"],
        )
        for row in found[:MOST_RANGES]
    ]


def behind(found: Sequence[Range], after: tuple[int, int] | None) -> list[Range]:
    """What of the ranges is left behind (source, offset)."""
    if after is None:
        return list(found)
    source, offset = after
    rest = [each for each in found if each.source >= source]
    return [
        Range(each.source, each.name, max(each.start, offset + 1), each.end) if each.source == source else each
        for each in rest
        if each.source != source or each.end is None or each.end > offset + 1
    ]


def walk(found: Sequence[Range], decision: Decision | None, class_id: int | None = None) -> ReceiptSlice:
    """A page of receipts. Where no index helps, the walk looks at SCANNED receipts a page.

    The decision is written into the statement, for only a literal meets the partial indexes.
    """
    if not found:
        return ReceiptSlice((), None)
    only = f"AND decision = {int(decision)}" if decision in (Decision.DUPLICATE, Decision.QUARANTINED) else ""
    # ADMITTED is nearly every receipt, so skipping the others costs nothing; it is done behind the scan.
    picky = class_id is not None or decision is Decision.ADMITTED
    limit = SCANNED if picky else PAGE_SIZE + 1
    with connection.cursor() as cursor:
        cursor.execute(
            _WALK.format(decision=only),
            {
                "sources": [each.source for each in found],
                "starts": [each.start for each in found],
                "ends": [each.end for each in found],
                "limit": limit,
            },
        )
        rows = [Row(*row) for row in cursor.fetchall()]
    kept = [row for row in rows if _fits(row, decision, class_id)] if picky else rows
    return _page(rows, kept, limit)


def _fits(row: Row, decision: Decision | None, class_id: int | None) -> bool:
    return (decision is None or row.decision == decision) and (class_id is None or row.class_id == class_id)


def _page(rows: Sequence[Row], kept: Sequence[Row], limit: int) -> ReceiptSlice:
    shown = tuple(kept[:PAGE_SIZE])
    if len(kept) > PAGE_SIZE:
        return ReceiptSlice(shown, (shown[-1].source, shown[-1].offset))
    if len(rows) >= limit:
        return ReceiptSlice(shown, (rows[-1].source, rows[-1].offset))
    return ReceiptSlice(shown, None)


# --- by identity


def identities(stream: str, run_name: str, classes: Iterable[str], ids: Iterable[Parts]) -> list[bytes]:
    """The digests an id may have in a run: one per class and reading. No index of ids is needed."""
    wanted = list(ids)
    return [identity_digest(stream, run_name, name, parts) for name in classes for parts in wanted][:500]


def of_identities(run: int, digests: Sequence[bytes]) -> list[Row]:
    """The receipts an identity is known by: its admission, and what was set aside under it."""
    places = list(Event.objects.filter(run_id=run, identity__in=digests).values_list("source_id", "offset")[:100])
    places += QuarantineItem.objects.filter(run_id=run, identity__in=digests).values_list("source_id", "offset")[:100]
    return at(places)


def at(places: Sequence[tuple[int, int]]) -> list[Row]:
    """The receipts of these places."""
    wanted = Q(pk__in=[])
    for source, offset in places[:200]:
        wanted |= Q(source_id=source, offset=offset)
    found = Receipt.objects.filter(wanted).order_by("source_id", "offset") if places else ()
    return [
        Row(
            each.source_id,
            each.offset,
            each.batch_id,
            each.decision,
            each.reason,
            each.flags,
            each.class_id,
            each.identity,
        )
        for each in found
    ]


def event_ids(run: int, rows: Sequence[Row]) -> dict[bytes, str]:
    """The ids of the events these receipts are about, by identity."""
    wanted = [row.digest for row in rows if row.digest is not None]
    earlier = run_before(RunId(run)) if any(row.flags & Flag.LOOKED_BACK for row in rows) else None
    runs = [run, earlier.run_id] if earlier else [run]
    found = Event.objects.filter(run_id__in=runs, identity__in=wanted).values_list("identity", "event_id")
    return {bytes(identity): event_id for identity, event_id in found} if wanted else {}


def class_names(stream: int) -> dict[int, str]:
    """Class names by number."""
    return dict(EventClass.objects.filter(stream=stream).values_list("id", "name")[:1_000])


# --- one receipt


@dataclass(frozen=True, slots=True)
class ReceiptDetail:
    """One receipt and everything that hangs on it."""

    receipt: Receipt
    batch: Batch | None
    event: Event | None
    place: Place | None
    effect: Effect | None
    item: QuarantineItem | None
    class_name: str
    redrive: Redrive | None = None


def standing_places() -> QuerySet[Place]:
    """Places that count: not those that were lost with a bus."""
    return Place.objects.filter(attempt_id__in=Attempt.objects.filter(state__in=STANDING).values("id"))


def whole(source: int, offset: int) -> ReceiptDetail | None:
    """Everything about one receipt: at most eight look-ups by key."""
    receipt = Receipt.objects.filter(source_id=source, offset=offset).first()
    if receipt is None:
        return None
    batch = (
        Batch.objects.select_related("source", "win__run__stream", "win__contract").filter(id=receipt.batch_id).first()
    )
    event = effect = None
    if receipt.identity is not None and batch is not None:
        key = {"run_id": _run_of_event(receipt, batch), "identity": receipt.identity}
        event = Event.objects.defer("payload", "headers", "key").filter(**key).first()
        effect = Effect.objects.filter(**key).first()
    held = receipt.decision == Decision.QUARANTINED
    redrive = _redrive(receipt) if batch is not None and batch.source.kind == "plan" else None
    item = redrive.item if redrive else _item(receipt, batch) if held else None
    place = standing_places().filter(source_id=event.source_id, offset=event.offset).first() if event else None
    names = dict(EventClass.objects.filter(id=receipt.class_id).values_list("id", "name")) if receipt.class_id else {}
    return ReceiptDetail(receipt, batch, event, place, effect, item, names.get(receipt.class_id or 0, ""), redrive)


def _redrive(receipt: Receipt) -> Redrive | None:
    """Which item a record of a plan's source is."""
    found = Redrive.objects.select_related("item").defer("item__value", "item__key", "item__headers")
    return found.filter(source=receipt.source_id, offset=receipt.offset).first()


def _run_of_event(receipt: Receipt, batch: Batch) -> int:
    """The batch's run, or the one before it, whose event a receipt that LOOKED_BACK is about."""
    earlier = run_before(RunId(batch.run_id)) if receipt.flags & Flag.LOOKED_BACK else None
    return earlier.run_id if earlier else batch.run_id


def _item(receipt: Receipt, batch: Batch | None) -> QuarantineItem | None:
    """The item of this record, or the item that a repeated mismatch points to."""
    items = QuarantineItem.objects.only("id", "state", "detail", "seen", "event_id")
    own = items.filter(source=receipt.source_id, offset=receipt.offset).first()
    if own is not None or receipt.identity is None or batch is None:
        return own
    return items.filter(run_id=batch.run_id, identity=receipt.identity, payload_digest=receipt.payload_digest).first()


def source_names(numbers: Iterable[int]) -> Mapping[int, str]:
    """Names of sources by number."""
    found = Source.objects.filter(id__in=set(numbers)).only("topic", "partition", "incarnation")
    return {each.pk: each.name for each in found}
