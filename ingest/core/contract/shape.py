"""What a contract says, once read: frozen values with every default filled in. Durations are timedeltas."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum
from typing import Any

import rfc8785

from ingest.core.pointer import Header, Place, Pointer


class Format(StrEnum):
    """How the inbox's records are written."""

    JSON = "json"
    """One JSON object; class and id by [class] and [event.*]."""
    CLOUDEVENTS = "cloudevents"
    """CloudEvents 1.0, structured or binary: class is `type`, id is (`source`, `id`)."""


class EmptyWindowRule(StrEnum):
    """What an empty window needs in order to pass."""

    WAIVER = "waiver"
    """An approved waiver."""
    NEVER = "never"
    """It never passes."""
    PASS = "pass"
    """Nothing: where windows follow one another by themselves, an hour in which nothing came is an hour like others."""


class Totals(StrEnum):
    """Whether cutting must declare control totals."""

    OPTIONAL = "optional"
    REQUIRED = "required"


class GateUnit(StrEnum):
    """What readers see appear at once."""

    WINDOW = "window"
    RUN = "run"


class Republish(StrEnum):
    """Who decides that a proven ABSENT attempt is published again."""

    AUTOMATIC = "automatic"
    PLAN = "plan"


@dataclass(frozen=True, slots=True)
class KafkaInbox:
    topic: str
    format: Format = Format.JSON


@dataclass(frozen=True, slots=True)
class HttpInbox:
    enabled: bool = False


@dataclass(frozen=True, slots=True)
class Inbox:
    kafka: KafkaInbox
    http: HttpInbox = HttpInbox()


@dataclass(frozen=True, slots=True)
class Bus:
    topic: str
    partitions: int
    delivery_timeout: timedelta = timedelta(seconds=15)


@dataclass(frozen=True, slots=True)
class RunRule:
    """Where a record names its run (first place present), and what happens to one that names another."""

    places: tuple[Place, ...] = ()
    other: str = "quarantine"
    looks_back: int = 0
    """1: an event of the run before is a DUPLICATE here, too."""
    name: str | None = None
    """Runs that open and end by the clock have this name, as of UTC: `%Y-%m`. None: people open runs."""


@dataclass(frozen=True, slots=True)
class WindowRule:
    """When a run's window ends by itself and the next one begins; neither: when a person says so.

    `every`: at full multiples of it, UTC. `records`: once so many were read.
    """

    every: timedelta | None = None
    records: int | None = None
    clock_skew: timedelta = timedelta(seconds=5)
    """How far clocks may be apart that stamp what is appended; `complete_until` is earlier by as much."""

    @property
    def by_itself(self) -> bool:
        return self.every is not None or self.records is not None


@dataclass(frozen=True, slots=True)
class Schema:
    """A JSON Schema 2020-12 file; `digest` is SHA-256 over its canonical form, so white space does not change it."""

    file: str
    text: bytes = field(repr=False, compare=False)
    digest: bytes
    document: Mapping[str, Any] | bool = field(repr=False, compare=False, hash=False)


@dataclass(frozen=True, slots=True)
class EventClass:
    """`number` is the place in the file, from 1. `id` is empty for CloudEvents' own (source, id)."""

    number: int
    name: str
    match: str
    id: tuple[Pointer, ...]
    schema: Schema | None = None
    required: bool = True


@dataclass(frozen=True, slots=True)
class Context:
    """Another stream to join with: pairs of (pointer in our event, pointer in theirs) that must be equal."""

    name: str
    stream: str
    on: tuple[tuple[Pointer, Pointer], ...]


class PinTime(StrEnum):
    """When a window's contexts are pinned to a PASS: as it opens, or once it is cut, to the PASS of that time."""

    OPEN = "open"
    CUT = "cut"


@dataclass(frozen=True, slots=True)
class Projection:
    class_path: str
    tables: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Limits:
    """Beyond one of these a record is QUARANTINED, naming it; the batch limits only bound a batch."""

    value_bytes: int = 262_144
    key_bytes: int = 4_096
    id_bytes: int = 512
    headers: int = 64
    depth: int = 32
    batch_records: int = 10_000
    batch_bytes: int = 33_554_432
    http_events: int = 1_000


@dataclass(frozen=True, slots=True)
class Close:
    auto: bool = True
    sample_max_age: timedelta = timedelta(seconds=30)
    stalled_after: timedelta = timedelta(seconds=60)
    quarantine_open_max: int = 0
    discard_max: int = 50
    missing_max: float = 0.005
    ambiguous_max: float = 0.0
    empty: EmptyWindowRule = EmptyWindowRule.WAIVER
    totals: Totals = Totals.OPTIONAL


@dataclass(frozen=True, slots=True)
class Gate:
    recheck: timedelta = timedelta(seconds=10)
    unit: GateUnit = GateUnit.WINDOW
    readers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reconcile:
    automatic: bool = True
    after: timedelta = timedelta(seconds=20)
    scan_records: int = 5_000_000
    scan_timeout: timedelta = timedelta(minutes=5)
    republish: Republish = Republish.AUTOMATIC


@dataclass(frozen=True, slots=True)
class Plans:
    """`approvals`: how many people, besides who asks, have to approve a plan. `free_records`: of one person, stream and
    day (UTC) for which no second person is needed; none where several have to approve."""

    approvals: int = 1
    expire: timedelta = timedelta(hours=24)
    free_records: int = 0


@dataclass(frozen=True, slots=True)
class Payload:
    """Who sees payload bytes, what is masked, and for how long they are kept (None: for ever)."""

    visible_to: tuple[str, ...] = ("operator", "approver")
    mask: tuple[Pointer, ...] = ()
    keep: timedelta | None = None


@dataclass(frozen=True, slots=True)
class Notify:
    on: tuple[str, ...]
    to: str


@dataclass(frozen=True, slots=True)
class Contract:
    """One stream's contract. `given` holds the dotted keys the file really wrote; it is not part of the digest."""

    version: int
    stream: str
    inbox: Inbox
    bus: Bus
    owner: str | None = None
    runbook: str | None = None
    run: RunRule = RunRule()
    window: WindowRule = WindowRule()
    class_from: Place | None = None
    events: tuple[EventClass, ...] = ()
    contexts: tuple[Context, ...] = ()
    pin: PinTime = PinTime.OPEN
    projection: Projection | None = None
    limits: Limits = Limits()
    close: Close = Close()
    gate: Gate = Gate()
    reconcile: Reconcile = Reconcile()
    plans: Plans = Plans()
    payload: Payload = Payload()
    notify: tuple[Notify, ...] = ()
    given: frozenset[str] = field(default=frozenset(), compare=False)

    @property
    def digest(self) -> bytes:
        """32 bytes; see `contract_digest`."""
        return contract_digest(self)

    def event(self, name: str) -> EventClass | None:
        """The event class of that name, if the contract has one."""
        return next((event for event in self.events if event.name == name), None)


def contract_digest(contract: Contract) -> bytes:
    """SHA-256 over the canonical JSON (RFC 8785) of `normalised(contract)`: 32 bytes."""
    return hashlib.sha256(rfc8785.dumps(normalised(contract))).digest()


def normalised(contract: Contract) -> dict[str, Any]:
    """The contract as plain JSON values in the file's own words, defaults included: same meaning, same value.

    Durations are milliseconds, pointers their text, a schema the hex digest of its canonical form.
    """
    plain = {f.name: _plain(getattr(contract, f.name)) for f in dataclasses.fields(contract) if f.name != "given"}
    plain["contract"] = plain.pop("version")
    plain["run"]["from"] = plain["run"].pop("places")
    _leave_out(plain["run"], "name", "looks_back")  # keys that came later: a contract without them keeps its digest
    if contract.window == WindowRule():
        del plain["window"]
    _leave_out(plain["plans"], "free_records")
    plain["class"] = {"from": plain.pop("class_from")}
    plain["event"] = {event.pop("name"): event for event in plain.pop("events")}
    plain["context"] = {context.pop("name"): context for context in plain.pop("contexts")}
    if (pin := plain.pop("pin")) != PinTime.OPEN:  # a key that came later, as those above
        plain["context"]["pin"] = pin
    if plain["projection"]:
        plain["projection"]["class"] = plain["projection"].pop("class_path")
    return plain


def _leave_out(table: dict[str, Any], *keys: str) -> None:
    for key in keys:
        if not table[key]:
            del table[key]


def identity_digest(contract: Contract) -> bytes:
    """SHA-256 over what makes an event's identity, and so holds for a whole run: 32 bytes.

    That is the format, where a record names its class and its run, and each class's own match and id.
    """
    return hashlib.sha256(rfc8785.dumps(_identity_rules(contract))).digest()


def extends_identities(before: Contract, after: Contract) -> bool:
    """Whether every event of a run under `before` has the same identity under `after`, which may know more classes."""
    was, is_ = _identity_rules(before), _identity_rules(after)
    known, now = was.pop("events"), is_.pop("events")
    return was == is_ and all(now.get(name) == rule for name, rule in known.items())


def _identity_rules(contract: Contract) -> dict[str, Any]:
    return {
        "format": contract.inbox.kafka.format.value,
        "class": _plain(contract.class_from),
        "run": _plain(contract.run.places),
        "events": {event.name: {"match": event.match, "id": _plain(event.id)} for event in contract.events},
    }


def _plain(value: Any) -> Any:
    if isinstance(value, timedelta):
        return value // timedelta(milliseconds=1)
    if isinstance(value, Pointer | Header):
        return str(value)
    if isinstance(value, Schema):
        return value.digest.hex()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    return value
