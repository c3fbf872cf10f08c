"""Quarantine items as documents, and what of a payload somebody may see."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from typing import Any

from console.documents import Document, hexed, stamp
from console.permissions import Role
from console.phrases import decision_name, reason_name
from console.reads import reruns
from console.reads.quarantine import first_event, pairs_of
from ingest.core.contract import Contract, Format
from ingest.core.masking import Masks, masked, masked_headers, masks_of
from ingest.models import QuarantineItem, Run
from ingest.streams import compiled_contract


def item_document(item: QuarantineItem, run: Run, window: int) -> Document:
    """An item of `sized_items`, without its bytes. `seen` counts how often the same mismatch arrived."""
    return {
        "item": item.pk,
        "stream": run.stream.name,
        "run": run.name,
        "window": window,
        "source": item.source_id,
        "source_name": item.source.name,
        "offset": item.offset,
        "reason": reason_name(item.reason),
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


def _headers(packed: bytes | None, masks: Masks) -> list[Document]:
    return [{"name": name, "value": _b64(value)} for name, value in masked_headers(pairs_of(packed), masks)]


def _b64(value: bytes | None) -> str | None:
    return base64.b64encode(value).decode() if value is not None else None


def document(item: QuarantineItem) -> dict[str, Any]:
    return item_document(item, item.win.run, item.win.number)


def redrives(item: QuarantineItem) -> Document:
    """Each time that a plan sent it through admission again, and what became of it then."""
    return {
        "redrives": [
            {
                "plan": each.plan,
                "source": each.source_id,
                "offset": each.offset,
                "outcome": decision_name(each.decision),
                "reason": reason_name(each.reason) if each.reason else None,
                "detail": each.detail,
                "corrected_by": each.corrected_by,
                "at": stamp(each.redriven_at),
            }
            for each in reruns.of_item(item.pk)
        ]
    }


def payloads(item: QuarantineItem, hidden: str = "") -> dict[str, Any]:
    """What arrived and, where it disagrees with an admitted event, that one. `hidden` says why nothing is shown."""
    first = first_event(item)
    if hidden:
        nothing: dict[str, Any] = {"value": None, "text": None, "key": None, "headers": [], "hidden": hidden}
        return {"payload": nothing, "first_payload": nothing if first else None}
    contract = compiled_contract(item.win.contract_id).contract
    return {
        "payload": payload_document(_bytes(item.value), _bytes(item.key), _bytes(item.headers), contract),
        "first_payload": payload_document(_bytes(first.payload), _bytes(first.key), _bytes(first.headers), contract)
        if first
        else None,
    }


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
