"""Contracts and records that the tests of ingest's core share."""

from __future__ import annotations

import json
from typing import Any

from ingest.core.contract.shape import (
    Bus,
    Contract,
    EventClass,
    Format,
    Inbox,
    KafkaInbox,
    Limits,
    RunRule,
    Schema,
)
from ingest.core.pointer import Header, Place, Pointer, parse_pointer
from ingest.core.record import Parser

FLIGHT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["type", "carrier", "flight", "time_hour"],
    "properties": {
        "type": {"const": "flight"},
        "carrier": {"type": "string", "minLength": 1},
        "flight": {"type": "integer"},
        "time_hour": {"type": "string"},
        "delay": {"type": ["number", "null"]},
        "status": {"enum": ["on-time", "late"]},
        "plane": {"type": "object", "properties": {"tail": {"type": "string"}, "seats": {"type": "integer"}}},
        "via": {"type": "array", "items": {"type": "string"}, "maxItems": 3},
    },
}


def schema(document: Any) -> Schema:
    return Schema("s.json", json.dumps(document).encode(), b"\x01" * 32, document)


def flight_class(document: Any = None) -> EventClass:
    places = (parse_pointer("/carrier"), parse_pointer("/flight"), parse_pointer("/time_hour"))
    return EventClass(1, "flight", "flight", places, schema(document) if document is not None else None)


def contract(
    *events: EventClass,
    limits: Limits | None = None,
    run: tuple[Place, ...] = (Header("pg-run"), Pointer("/run", ("run",))),
    class_from: Place | None = None,
    kind: Format = Format.JSON,
) -> Contract:
    """A flights contract; without `events` it has one class `flight` and no schema (none for CloudEvents)."""
    if not events and kind is Format.JSON:
        events = (flight_class(),)
    place = class_from or (parse_pointer("/type") if kind is Format.JSON else None)
    return Contract(
        1,
        "flights",
        Inbox(KafkaInbox("flights.inbox", kind)),
        Bus("flights.bus", 4),
        run=RunRule(run),
        class_from=place,
        events=events,
        limits=limits or Limits(),
    )


def flight(**changed: Any) -> dict[str, Any]:
    return {"type": "flight", "carrier": "UA", "flight": 1545, "time_hour": "2013-01-01T10:00:00Z", **changed}


def encoded(document: Any) -> bytes:
    return json.dumps(document).encode()


def without_fast_path(made: Contract) -> Parser:
    """What every record must come to, whichever way it goes."""
    parser = Parser(made)
    parser._fast = {}
    for found in parser._classes.values():
        found.fast = None
    return parser
