"""Receipts as documents, with their run, class and place on the bus."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import reduce
from operator import or_

from django.db.models import Q

from console.documents import Document, hexed
from console.phrases import decision_name, flag_bits, reason_name
from console.reads.receipts import standing_places
from ingest.core.reason import Decision, Flag
from ingest.models import Batch, EventClass, Receipt, Source, Window


def receipt_documents(receipts: Sequence[Receipt]) -> list[Document]:
    """Receipts with their run, class and place on the bus: a query each for all of them."""
    batches = Batch.objects.in_bulk({receipt.batch_id for receipt in receipts})
    windows = Window.objects.select_related("run__stream").in_bulk({batch.win_id for batch in batches.values()})
    sources = Source.objects.in_bulk({receipt.source_id for receipt in receipts})
    classes = EventClass.objects.in_bulk({receipt.class_id for receipt in receipts if receipt.class_id})
    places = _places(receipts)
    return [
        _receipt_document(r, windows.get(batches[r.batch_id].win_id) if r.batch_id in batches else None)
        | {
            "source_name": sources[r.source_id].name if r.source_id in sources else None,
            "event_class": classes[r.class_id].name if r.class_id in classes else None,
            "place": places.get((r.source_id, r.offset)),
        }
        for r in receipts
    ]


def _receipt_document(receipt: Receipt, window: Window | None) -> Document:
    return {
        "source": receipt.source_id,
        "offset": receipt.offset,
        "decision": decision_name(receipt.decision),
        "reason": reason_name(receipt.reason) if receipt.reason else None,
        "flags": flag_names(receipt.flags),
        "identity": hexed(receipt.identity),
        "payload_digest": hexed(receipt.payload_digest),
        "batch": receipt.batch_id,
        "stream": window.run.stream.name if window else None,
        "run": window.run.name if window else None,
        "window": window.number if window else None,
        "rerun": window.rerun if window else None,
    }


def flag_names(flags: int) -> list[str]:
    """By name; one that this version does not know keeps its number: "flag 1024"."""
    return [Flag(bit).name or f"flag {bit}" for bit in flag_bits(flags)]


def _places(receipts: Sequence[Receipt]) -> dict[tuple[int, int], Document]:
    offsets: dict[int, list[int]] = defaultdict(list)
    for receipt in receipts:
        if receipt.decision == Decision.ADMITTED:
            offsets[receipt.source_id].append(receipt.offset)
    of = [Q(source_id=source, offset__in=some) for source, some in offsets.items()]
    found = standing_places().filter(reduce(or_, of)) if of else ()
    return {
        (place.source_id, place.offset): {
            "attempt": place.attempt_id,
            "bus_source": place.bus_source_id,
            "bus_offset": place.bus_offset,
        }
        for place in found
    }
