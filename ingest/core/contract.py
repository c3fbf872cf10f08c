"""The contract of a stream: reading it, its digest, what of it is not yet in force, and how two of them differ."""

from __future__ import annotations

from collections.abc import Callable

from ingest.core.contract_shape import (
    Bus,
    Close,
    Context,
    Contract,
    Empty,
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
    Plans,
    Projection,
    Reconcile,
    Republish,
    RunRule,
    Schema,
    Totals,
    contract_digest,
    normalised,
)
from ingest.core.errors import ContractError, ContractErrors

__all__ = [
    "Bus", "Close", "Context", "Contract", "ContractError", "ContractErrors", "Empty", "EventClass", "Format", "Gate",
    "GateUnit", "HttpInbox", "Inbox", "KafkaInbox", "Limits", "Notify", "Payload", "Plans", "Projection", "Reconcile",
    "Republish", "RunRule", "Schema", "Totals", "contract_digest", "diff", "normalised", "not_in_force", "parse_contract",
]  # fmt: skip


def parse_contract(
    text: bytes, file: str, read_file: Callable[[str], bytes], allowed_projections: frozenset[str] | None = None
) -> Contract:
    """The contract in `text`; `file` names it in errors; `read_file` reads a schema by the name the contract gives it.

    `read_file` raises OSError where there is no such file. `allowed_projections` None: not checked.
    Raises ContractErrors with every fault found.
    """
    raise NotImplementedError


def not_in_force(contract: Contract) -> list[str]:
    """The parts the file wrote that are read and kept, but do nothing yet: `[inbox.http]`, `[[notify]]`, ..."""
    raise NotImplementedError


def diff(old: Contract, new: Contract) -> list[str]:
    """Every change from `old` to `new`, one line each: `close.discard_max: 50 -> 60`."""
    raise NotImplementedError
