"""The contract of a stream: reading it, its digest, what of it is not yet in force, and how two of them differ."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from ingest.core.contract.lines import Path
from ingest.core.contract.read import read_contract
from ingest.core.contract.shape import (
    Bus,
    Close,
    Context,
    Contract,
    EmptyWindowRule,
    EventClass,
    Format,
    Gate,
    GateUnit,
    HttpInbox,
    Inbox,
    KafkaInbox,
    Limits,
    Notify,
    Payload,
    PinTime,
    Plans,
    Projection,
    Reconcile,
    Republish,
    RunRule,
    Schema,
    Totals,
    WindowRule,
    contract_digest,
    extends_identities,
    identity_digest,
    normalised,
)
from ingest.core.contract.table import dotted
from ingest.core.errors import ContractError, ContractErrors

__all__ = [
    "Bus", "Close", "Context", "Contract", "ContractError", "ContractErrors", "EmptyWindowRule", "EventClass", "Format",
    "Gate", "GateUnit", "HttpInbox", "Inbox", "KafkaInbox", "Limits", "Notify", "Payload", "PinTime", "Plans",
    "Projection", "Reconcile", "Republish", "RunRule", "Schema", "Totals", "WindowRule",
    "contract_digest", "diff", "extends_identities", "identity_digest", "normalised", "not_in_force", "parse_contract",
    "who_reads",
]  # fmt: skip


def parse_contract(
    text: bytes, file: str, read_file: Callable[[str], bytes], allowed_projections: frozenset[str] | None = None
) -> Contract:
    """The contract in `text`; `file` names it in errors; `read_file` reads a schema by the name the contract gives it.

    `read_file` raises OSError where there is no such file. `allowed_projections` None: not checked.
    Raises ContractErrors with every fault found.
    """
    return read_contract(text, file, read_file, allowed_projections)


def not_in_force(contract: Contract) -> list[str]:
    """The parts the file wrote that are read and kept, but do nothing yet: `payload.keep`, `[[notify]]`, ..."""
    written = {
        "gate.readers": bool(contract.gate.readers),
        "plans.free_records": contract.plans.approvals > 1 and contract.plans.free_records > 0,
        "payload.keep": "payload.keep" in contract.given,
        "[[notify]]": bool(contract.notify),
    }
    return [part for part, is_written in written.items() if is_written]


def who_reads(contract: Contract) -> str:
    """What is true of `[gate] readers` as long as nothing enforces it; empty where the contract names none."""
    named = ", ".join(contract.gate.readers)
    if not named:
        return ""
    return (
        f"gate.readers names {named}, and nothing keeps others away yet: once the gate is open, every login that is a "
        "member of passgate_reader reads this stream's rows, and every person and token that may ask a gate is let in."
    )


def diff(old: Contract, new: Contract) -> list[str]:
    """Every change from `old` to `new`, one line each: `close.discard_max: 50 -> 60`. Durations in milliseconds."""
    before, after = _flat(normalised(old)), _flat(normalised(new))
    keys = [*before, *(key for key in after if key not in before)]
    return [_change(key, before.get(key), after.get(key)) for key in keys if before.get(key) != after.get(key)]


def _change(key: str, before: str | None, after: str | None) -> str:
    if before is None:
        return f"{key}: added {after}"
    return f"{key}: removed, was {before}" if after is None else f"{key}: {before} -> {after}"


def _flat(value: Any, path: Path = ()) -> dict[str, str]:
    """Leaves as JSON text by dotted key; a pointer list is one leaf, for its order is its meaning."""
    if isinstance(value, dict) and value:
        return {key: text for name, item in value.items() for key, text in _flat(item, (*path, name)).items()}
    return {dotted(path): json.dumps(value)}
