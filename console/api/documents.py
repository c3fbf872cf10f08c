"""What the API answers and `passgate … --json` prints: rows of the ledger as plain JSON. The same words in both.

Digests are lower-case hex, times ISO 8601 in UTC with microseconds, payload bytes base64. Null says "not so, or not
known"; a number is never a stand-in for silence.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from audit.models import GateOpen, Verdict
from console.permissions import Role
from ingest.core.contract import Contract, Format
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.masking import Masks, masked, masks_of
from ingest.core.reason import Decision, Flag, Reason
from ingest.models import (
    Attempt,
    AttemptBatch,
    Batch,
    EventClass,
    Place,
    QuarantineItem,
    Receipt,
    ReconcileRequest,
    Run,
    Scan,
    Source,
    Window,
)
from ingest.models import Contract as ContractRow
from ingest.streams import compiled

Document = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    """2026-01-31T02:14:07.000012Z"""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def hexed(digest: bytes | memoryview | None) -> str | None:
    return bytes(digest).hex() if digest is not None else None


# ---- streams and runs -----------------------------------------------------------------------------------------------


def contract_document(row: ContractRow) -> Document:
    return {
        "version": row.version,
        "digest": hexed(row.digest),
        "loaded_by": row.loaded_by,
        "loaded_at": stamp(row.loaded_at),
    }


def stream_document(row: ContractRow, open_run: str | None) -> Document:
    """A stream by its newest contract."""
    contract = compiled(row.pk).contract
    return {
        "stream": contract.stream,
        "owner": contract.owner,
        "runbook": contract.runbook,
        "contract": contract_document(row),
        "inbox": {"topic": contract.inbox.kafka.topic, "format": str(contract.inbox.kafka.format)},
        "bus": {"topic": contract.bus.topic, "partitions": contract.bus.partitions},
        "event_classes": [event.name for event in contract.events],
        "open_run": open_run,
    }


def run_documents(runs: Sequence[Run]) -> list[Document]:
    """Runs with their windows, each with its newest verdict and its gate's lease. Three queries, however many runs."""
    windows = list(Window.objects.filter(run__in=runs).order_by("run_id", "number"))
    newest = Verdict.objects.filter(win__in=windows).order_by("win_id", "-number").distinct("win_id")
    verdicts = {verdict.win_id: verdict for verdict in newest}
    gates = {gate.win_id: gate for gate in GateOpen.objects.filter(win__in=windows)}
    by_run: dict[int, list[Document]] = {run.pk: [] for run in runs}
    names = {run.pk: run.run_id for run in runs}
    streams = {run.pk: run.stream.name for run in runs}
    for window in windows:
        name = (streams[window.run_id], names[window.run_id])
        verdict, gate = verdicts.get(window.pk), gates.get(window.pk)
        by_run[window.run_id].append(_window_document(window, name, verdict, gate))
    return [_run_document(run, by_run[run.pk]) for run in runs]


def _run_document(run: Run, windows: list[Document]) -> Document:
    return {
        "stream": run.stream.name,
        "run": run.run_id,
        "state": run.state,
        "contract": {"version": run.contract.version, "digest": hexed(run.contract.digest)},
        "opened_by": run.opened_by,
        "opened_at": stamp(run.opened_at),
        "sealed_at": stamp(run.sealed_at),
        "closed_at": stamp(run.closed_at),
        "windows": windows,
    }


def _window_document(window: Window, run: tuple[str, str], verdict: Verdict | None, gate: GateOpen | None) -> Document:
    return {
        "number": window.number,
        "state": window.state,
        "opened_at": stamp(window.opened_at),
        "cut_at": stamp(window.cut_at),
        "reruns": window.reruns,
        "verdict": verdict_line(verdict, *run) if verdict else None,
        "gate": {"open_until": stamp(gate.open_until), "checked_at": stamp(gate.checked_at), "shut_why": gate.shut_why}
        if gate
        else None,
    }


def verdict_name(stream: str, run_id: str, number: int) -> str:
    """flights/2013-01#7"""
    return f"{stream}/{run_id}#{number}"


def verdict_line(verdict: Verdict, stream: str, run_id: str) -> Document:
    """A verdict in a list: what it says, without its checks."""
    return {
        "verdict": verdict_name(stream, run_id, verdict.number),
        "number": verdict.number,
        "state": verdict.state,
        "waived": verdict.waived,
        "sentence": verdict.body.get("sentence", ""),
        "basis_generation": verdict.basis_generation,
        "contract_digest": hexed(verdict.contract_digest),
        "digest": hexed(verdict.digest),
        "decided_by": verdict.decided_by,
        "decided_at": stamp(verdict.decided_at),
    }


def verdict_document(verdict: Verdict, stream: str, run_id: str) -> Document:
    """A verdict whole. `body` is exactly what its digest is over (RFC 8785)."""
    return verdict_line(verdict, stream, run_id) | {"window": verdict.win.number, "body": verdict.body}


# ---- sources and receipts -------------------------------------------------------------------------------------------


def source_document(source: Source) -> Document:
    return {
        "source": source.pk,
        "name": source.name,
        "role": source.role,
        "kind": source.kind,
        "cluster_id": source.cluster_id,
        "topic_id": source.topic_id,
        "topic": source.topic,
        "partition": source.partition,
    }


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
        "decision": Decision(receipt.decision).name,
        "reason": Reason(receipt.reason).name if receipt.reason else None,
        "flags": flag_names(receipt.flags),
        "identity": hexed(receipt.identity),
        "payload_digest": hexed(receipt.payload_digest),
        "batch": receipt.batch_id,
        "stream": window.run.stream.name if window else None,
        "run": window.run.run_id if window else None,
        "window": window.number if window else None,
    }


def flag_names(flags: int) -> list[str]:
    return [str(flag.name) for flag in Flag(flags)]


def _places(receipts: Sequence[Receipt]) -> dict[tuple[int, int], Document]:
    keys = [(receipt.source_id, receipt.offset) for receipt in receipts if receipt.decision == Decision.ADMITTED]
    found = Place.objects.filter(pk__in=keys)
    return {
        (place.source_id, place.offset): {
            "attempt": place.attempt_id,
            "bus_source": place.bus_source_id,
            "bus_offset": place.bus_offset,
        }
        for place in found
    }


# ---- quarantine -----------------------------------------------------------------------------------------------------


def item_document(item: QuarantineItem, run: Run, window: int) -> Document:
    """An item of `named.sized_items`, without its bytes. `seen` counts how often the same mismatch arrived."""
    return {
        "item": item.pk,
        "stream": run.stream.name,
        "run": run.run_id,
        "window": window,
        "source": item.source_id,
        "source_name": item.source.name,
        "offset": item.offset,
        "reason": Reason(item.reason).name,
        "detail": item.detail,
        "event_id": json.loads(item.event_id) if item.event_id else None,
        "identity": hexed(item.identity),
        "payload_digest": hexed(item.payload_digest),
        "payload_bytes": item.size,  # type: ignore[attr-defined]  # annotated
        "first": {"source": item.first_source_id, "offset": item.first_offset} if item.first_source_id else None,
        "seen": item.seen,
        "arrived_at": stamp(item.arrived_at),
        "state": item.state,
        "resolution": _resolution(item),
    }


def _resolution(item: QuarantineItem) -> Document | None:
    if item.resolution is None:
        return None
    return {
        "resolution": item.resolution,
        "by": item.resolved_by,
        "reason": item.resolved_reason,
        "at": stamp(item.resolved_at),
    }


def hidden_because(contract: Contract, roles: Iterable[Role], may_see: str) -> str:
    """Why these roles do not see payloads of this contract; "" when they do. `may_see` is may()'s reason."""
    if may_see:
        return may_see
    if not {role.value for role in roles} & set(contract.payload.visible_to):
        return f"The contract shows payloads to {' and '.join(contract.payload.visible_to)} only."
    return ""


def masks_for(contract: Contract, headers: bytes | None) -> Masks:
    """What the contract masks in a record with these (packed) headers."""
    return masks_of(contract.payload.mask, contract.inbox.kafka.format is Format.CLOUDEVENTS, pairs_of(headers))


def payload_document(value: bytes | None, key: bytes | None, headers: bytes | None, contract: Contract) -> Document:
    """What arrived, for people who may see it. Where the contract masks fields, bytes are given only with these masked:
    a value that cannot be read as JSON cannot be masked and stays hidden."""
    masks = masks_for(contract, headers)
    shown, hidden = masked(value, masks)
    return {
        "value": _b64(shown),
        "text": _text(shown),
        "key": _b64(key),
        "headers": _headers(headers, masks),
        "hidden": hidden or None,
    }


def _text(value: bytes | None) -> str | None:
    try:
        return value.decode("utf-8") if value is not None else None
    except UnicodeDecodeError:
        return None


def pairs_of(packed: bytes | None) -> list[tuple[str, bytes | None]]:
    """Headers in their order, repeats and nulls included."""
    try:
        return unpacked_headers(packed) or []
    except (msgspec.DecodeError, UnicodeDecodeError):  # a name that is no text makes all of them unreadable
        return [("not readable", packed)]


def _headers(packed: bytes | None, masks: Masks) -> list[Document]:
    """Null for a header that is masked, too: its name tells of it."""
    return [
        {"name": name, "value": None if name.lower() in masks.headers else _b64(value)}
        for name, value in pairs_of(packed)
    ]


def _b64(value: bytes | None) -> str | None:
    return base64.b64encode(value).decode() if value is not None else None


# ---- attempts -------------------------------------------------------------------------------------------------------


def attempt_documents(attempts: Sequence[Attempt]) -> list[Document]:
    """Attempts with the windows they hold back, whether somebody asked to reconcile, and the last scan's answer."""
    waiting = {
        request.attempt_id: request
        for request in ReconcileRequest.objects.filter(attempt__in=attempts, served_at__isnull=True)
    }
    scans: dict[int, Scan] = {
        scan.attempt_id: scan for scan in Scan.objects.filter(attempt__in=attempts).order_by("pk")
    }
    windows = _windows_of(attempts)
    return [_attempt_document(a, waiting.get(a.pk), scans.get(a.pk), windows.get(a.pk, [])) for a in attempts]


def _windows_of(attempts: Sequence[Attempt]) -> dict[int, list[str]]:
    pairs = (
        AttemptBatch.objects.filter(attempt__in=attempts)
        .values_list("attempt_id", "batch__win__run__stream__name", "batch__win__run__run_id", "batch__win__number")
        .distinct()
    )
    found: dict[int, list[str]] = {}
    for attempt, stream, run, number in sorted(pairs):
        found.setdefault(attempt, []).append(f"{stream}/{run}/{number}")
    return found


def _attempt_document(
    attempt: Attempt, waiting: ReconcileRequest | None, scan: Scan | None, windows: list[str]
) -> Document:
    return {
        "attempt": attempt.pk,
        "state": attempt.state,
        "why": attempt.why,
        "source": attempt.source_id,
        "topic": attempt.topic,
        "transactional_id": attempt.transactional_id,
        "fence": attempt.fence,
        "events": attempt.events,
        "bytes": attempt.bytes,
        "windows": windows,
        "prepared_at": stamp(attempt.prepared_at),
        "unknown_at": stamp(attempt.unknown_at),
        "settled_at": stamp(attempt.settled_at),
        "over_at": stamp(attempt.over_at),
        "reconcile_requested": {"by": waiting.requested_by, "at": stamp(waiting.requested_at)} if waiting else None,
        "scan": _scan_document(scan) if scan else None,
    }


def _scan_document(scan: Scan) -> Document:
    return {
        "answer": scan.answer,
        "why": scan.why,
        "expected": scan.expected,
        "found": scan.found,
        "fence": scan.fence,
        "asked_by": scan.asked_by,
        "ended_at": stamp(scan.ended_at),
    }
