"""A contract file becomes a Contract: every table, its keys, their kinds and bounds."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

from ingest.core.calendar import DIRECTIVES, pattern_fault
from ingest.core.contract.lines import Path, lines_of
from ingest.core.contract.schema import read_schema
from ingest.core.contract.shape import (
    Bus,
    Close,
    Context,
    Contract,
    EmptyWindowRule,
    EventClass,
    Format,
    Gate,
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
    RunRule,
    Schema,
    Totals,
    WindowRule,
)
from ingest.core.contract.table import Faults, Table, described
from ingest.core.errors import ContractError, ContractErrors, RecordError
from ingest.core.masking import parse_mask
from ingest.core.pointer import Place, Pointer, parse_place, parse_pointer

ReadFile = Callable[[str], bytes]

MOST_BYTES = 262_144
MOST_APPROVALS = 10  # people besides who asks: the database knows no more, either
_STREAM = r"[a-z][a-z0-9_-]{0,62}"
_TOPIC = r"(?!\.{1,2}$)[A-Za-z0-9._-]{1,249}"
_ANYTHING = r"[^\x00-\x1f\x7f]{1,200}"
_WORD = r"[A-Za-z_][A-Za-z0-9_]*"
_CLASS_PATH = rf"{_WORD}(\.{_WORD})*:{_WORD}"
_ROLES = ("viewer", "operator", "approver", "auditor", "data_engineer", "admin")
_CHANNELS = ("slack", "email", "webhook", "chat")
NOTICES = (
    "verdict.passed", "verdict.blocked", "verdict.failed", "gate.shut", "publish.unknown", "quarantine.over",
    "lane.stalled", "plan.submitted", "plan.decided", "plan.expiring",
)  # fmt: skip


def read_contract(text: bytes, file: str, read_file: ReadFile, allowed_projections: frozenset[str] | None) -> Contract:
    """See contract.parse_contract. Raises ContractErrors."""
    values, lines = _toml(text, file)
    faults = Faults(file, lines)
    contract = _contract(Table(faults, (), values), read_file, allowed_projections, _given(lines))
    if faults.errors:
        raise ContractErrors(sorted(faults.errors, key=lambda error: error.line))
    assert contract is not None, "a contract without faults"
    return contract


def _toml(text: bytes, file: str) -> tuple[dict[str, Any], dict[Path, int]]:
    if len(text) > MOST_BYTES:
        raise _not_toml(file, 1, f"a file of {len(text)} bytes", f"at most {MOST_BYTES} bytes")
    try:
        decoded = text.decode().replace("\r\n", "\n")
    except UnicodeDecodeError as error:
        line = text.count(b"\n", 0, error.start) + 1
        raise _not_toml(file, line, f"bytes that are not UTF-8 ({error.reason})", "the file as UTF-8") from error
    try:
        return tomllib.loads(decoded), lines_of(decoded)
    except tomllib.TOMLDecodeError as error:
        said = str(error)
        found = re.search(r" \(at (?:line (\d+), column \d+|end of document)\)", said)
        line = int(found[1]) if found and found[1] else decoded.rstrip("\n").count("\n") + 1
        what = said[: found.start()] if found else said
        raise _not_toml(file, line, f"text that is not TOML: {what}", "valid TOML") from error
    except RecursionError as error:
        raise _not_toml(file, 1, "arrays or tables nested too deep", "a flat contract") from error


def _not_toml(file: str, line: int, found: str, write: str) -> ContractErrors:
    return ContractErrors([ContractError(file=file, line=line, key="the file", found=found, write=write)])


def _given(lines: dict[Path, int]) -> frozenset[str]:
    return frozenset(".".join(map(str, path)) for path in lines if path and not isinstance(path[-1], int))


def _contract(
    root: Table, read_file: ReadFile, allowed_projections: frozenset[str] | None, given: frozenset[str]
) -> Contract | None:
    if root.required("contract", "contract = 1"):
        root.integer("contract", 1, 1, 1)
    stream = _stream(root)
    owner = root.text("owner", _ANYTHING, '"data-platform@example.com"')
    runbook = root.text("runbook", r"https?://[^\x00-\x20\x7f-\xa0]{1,500}", '"https://wiki.example.com/flights"')
    inbox = _inbox(root, stream)
    bus = _bus(root, inbox, stream)
    kind = inbox.kafka.format if inbox else Format.JSON
    parts = {
        "run": (run := _run(root.table("run"))),
        "window": (window := _window(root.table("window"))),
        "class_from": _class_from(root, kind),
        "events": _events(root, kind, read_file),
        "pin": _pin(contexts := root.table("context")),
        "contexts": tuple(filter(None, [_context(table, stream) for table in contexts.each("pin")])),
        "projection": _projection(root, allowed_projections),
        "limits": _limits(root.table("limits")),
        "close": _close(root.table("close"), window.by_itself or run.name is not None),
        "gate": _gate(root.table("gate")),
        "reconcile": _reconcile(root.table("reconcile")),
        "plans": (plans := _plans(root.table("plans"))),
        "payload": _payload(root.table("payload"), plans),
        "notify": tuple(_notify(table) for table in root.array("notify")),
    }
    root.done()
    if stream is None or inbox is None or bus is None:
        return None
    return Contract(1, stream, inbox, bus, owner, runbook, **parts, given=given)  # type: ignore[arg-type]


def _stream(root: Table) -> str | None:
    write = '"flights" (a letter, then letters, digits, "_" and "-", all lower case, at most 63)'
    return root.text("stream", _STREAM, write) if root.required("stream", 'stream = "flights"') else None


def _inbox(root: Table, stream: str | None) -> Inbox | None:
    if not root.required("inbox", "[inbox.kafka] with a topic"):
        return None
    table = root.table("inbox")
    http_table = table.table("http")
    http = HttpInbox(http_table.boolean("enabled", False))
    http_table.done()
    if table.required("kafka", "[inbox.kafka] with a topic (events over HTTP alone are not yet in force)"):
        kafka_table = table.table("kafka")
        topic = _topic(kafka_table, f"{stream or 'flights'}.inbox")
        kind = kafka_table.choice("format", Format.JSON)
        kafka_table.done()
    else:
        topic, kind = None, Format.JSON
    table.done()
    return Inbox(KafkaInbox(topic, kind), http) if topic else None


def _topic(table: Table, example: str) -> str | None:
    if not table.required("topic", f'topic = "{example}"'):
        return None
    return table.text("topic", _TOPIC, f'"{example}" (letters, digits, ".", "_" and "-", at most 249)')


def _bus(root: Table, inbox: Inbox | None, stream: str | None) -> Bus | None:
    if not root.required("bus", "[bus] with a topic"):
        return None
    table = root.table("bus")
    example = f"{stream or 'flights'}.bus"
    topic = _topic(table, example)
    if topic and inbox and topic == inbox.kafka.topic:
        table.fault("topic", "the topic of the inbox", f'another topic, such as topic = "{example}"')
    # The number of partitions is part of the basis: a default would make a drift of what nobody wrote.
    known = table.required("partitions", "partitions = 4")
    partitions = table.integer("partitions", 4, 1, 1_000) if known else None
    timeout = table.duration("delivery_timeout", timedelta(seconds=15), "1s", "5m", "15s")
    table.done()
    return Bus(topic, partitions, cast("timedelta", timeout)) if topic and partitions else None


def _run(table: Table) -> RunRule:
    places = table.items("from", parse_place, '["header:pg-run", "/run"]', 4)
    other = table.text("other", "quarantine", '"quarantine"') or "quarantine"
    looks_back = table.integer("looks_back", 0, 0, 1)
    name = table.text("name", r"[A-Za-z0-9._%-]{1,50}", '"%Y-%m"')
    if name is not None and (fault := pattern_fault(name)):
        table.fault("name", f'"{name}", {fault}', f'a name of {", ".join(DIRECTIVES)}, such as "%Y-%m"')
        name = None
    table.done()
    return RunRule(places, other, looks_back, name)


_DAY = timedelta(days=1)


def _window(table: Table) -> WindowRule:
    every = table.duration("every", None, "1s", "31d", "1h")
    if every is not None and _DAY % every and every % _DAY:
        table.fault("every", "a time that does not divide a day", 'one that does, or whole days, such as "1h"')
        every = None
    records = table.integer("records", 0, 0, 1_000_000_000)
    usual = WindowRule().clock_skew
    skew = cast("timedelta", table.duration("clock_skew", usual, "0s", "1h", "5s"))
    table.done()
    return WindowRule(every, records or None, skew)


def _class_from(root: Table, kind: Format) -> Place | None:
    if kind is Format.JSON and not root.required("class", '[class] with from = "/type"'):
        return None
    table = root.table("class")
    place = None
    if root.has("class") and table.required("from", 'from = "/type"'):
        text = table.text("from", r"(?s).*", '"/type"')
        place = _place(table, text) if text is not None else None
    table.done()
    return place


def _place(table: Table, text: str) -> Place | None:
    try:
        return parse_place(text)
    except RecordError as error:
        table.fault("from", described(text), error.expected)
    return None


def _events(root: Table, kind: Format, read_file: ReadFile) -> tuple[EventClass, ...]:
    tables = root.tables("event")
    if not tables and kind is Format.JSON and not root.has("event"):
        root.fault("event", "nothing", "[event.flight] with an id, for each class of event")
    events = [_event(table, number, kind, read_file) for number, table in enumerate(tables, 1)]
    for number, (table, event) in enumerate(zip(tables, events, strict=True)):
        if any(other.match == event.match for other in events[:number]):
            table.fault("match", f'"{event.match}" a second time', "another match (a record has one class)")
    return tuple(events)


def _event(table: Table, number: int, kind: Format, read_file: ReadFile) -> EventClass:
    name = str(table.path[-1])
    if not re.fullmatch(_STREAM, name):
        write = 'a letter, then letters, digits, "_" and "-", all lower case, at most 63'
        table.fault_here(f"the class name {described(name)}", write)
    match = table.text("match", _ANYTHING, f'"{name}"') or name
    places = _id(table, kind)
    schema = _schema(table, read_file)
    required = table.boolean("required", True)
    table.done()
    return EventClass(number, name, match, places, schema, required)


def _id(table: Table, kind: Format) -> tuple[Pointer, ...]:
    if kind is Format.CLOUDEVENTS and not table.has("id"):
        table.skip("id")
        return ()
    write = 'id = ["/carrier", "/flight"] (what makes an event of this class unique)'
    if not table.required("id", write):
        return ()
    places = table.items("id", parse_pointer, '["/carrier", "/flight"]', 16)
    if table.is_empty("id"):
        table.fault("id", "an empty array", write)
    return places


def _schema(table: Table, read_file: ReadFile) -> Schema | None:
    file = table.text("schema", r"(?s).+", '"flight.schema.json"')
    if file is None:
        return None
    try:
        return read_schema(file, read_file)
    except RecordError as error:
        table.fault("schema", error.found, error.expected)
    return None


def _pin(table: Table) -> PinTime:
    """Beside the contexts, which are tables: one that is called "pin" is a context, too."""
    if table.is_table("pin"):
        return PinTime.OPEN
    pin = table.choice("pin", PinTime.OPEN)
    if pin is PinTime.CUT and table.names() == ["pin"]:
        table.fault("pin", '"cut", and there is no context to pin', "a [context.NAME] table, or leave this out")
    return pin


def _context(table: Table, stream: str | None) -> Context | None:
    name = str(table.path[-1])
    known = table.required("stream", f'stream = "{name}"')
    other = table.text("stream", _STREAM, f'"{name}"') if known else None
    if other is not None and other == stream:
        table.fault("stream", f'"{other}", which is this stream', "another stream")
    on = table.pairs("on", parse_pointer, '{ "/origin" = "/origin" }')
    table.done()
    return Context(name, other, on) if other else None


def _projection(root: Table, allowed: frozenset[str] | None) -> Projection | None:
    if not root.has("projection"):
        root.skip("projection")
        return None
    table = root.table("projection")
    known = table.required("class", 'class = "module.path:Class"')
    path = table.text("class", _CLASS_PATH, '"module.path:Class"') if known else None
    if path is not None and allowed is not None and path not in allowed:
        table.fault("class", f'"{path}", which PASSGATE_PROJECTIONS does not allow', _allowed(allowed))
    tables = table.items("tables", _truth_table, '["truth.flights_weather"]')
    table.done()
    return Projection(path, tables) if path else None


def _allowed(allowed: frozenset[str]) -> str:
    return "one of " + ", ".join(sorted(allowed)) if allowed else "no [projection], or allow the class in the settings"


def _truth_table(text: str) -> str:
    if not re.fullmatch(r"truth\.[a-z_][a-z0-9_]{0,62}", text):
        raise RecordError(expected='a table readers may see, such as "truth.flights_weather"', found=text)
    return text


def _limits(table: Table) -> Limits:
    # The second number of each is a hard maximum: a contract cannot ask for more than a worker's memory is sized for.
    most = {
        "value_bytes": 4_194_304, "key_bytes": 65_536, "id_bytes": 2_048, "headers": 1_000, "depth": 64,
        "batch_records": 50_000, "batch_bytes": 134_217_728, "http_events": 10_000,
    }  # fmt: skip
    limits = Limits(**{key: table.integer(key, getattr(Limits(), key), 1, high) for key, high in most.items()})
    if limits.batch_bytes < limits.value_bytes:
        table.fault("batch_bytes", f"{limits.batch_bytes}, less than value_bytes", f"at least {limits.value_bytes}")
    table.done()
    return limits


def _close(table: Table, by_itself: bool) -> Close:
    """`by_itself`: windows end without a person, who could neither declare totals nor ask for a waiver each time."""
    usual = Close()
    close = Close(
        auto=table.boolean("auto", usual.auto),
        sample_max_age=cast("timedelta", table.duration("sample_max_age", usual.sample_max_age, "1s", "1h", "30s")),
        stalled_after=cast("timedelta", table.duration("stalled_after", usual.stalled_after, "1s", "24h", "60s")),
        quarantine_open_max=table.integer("quarantine_open_max", usual.quarantine_open_max, 0, 1_000_000),
        discard_max=table.integer("discard_max", usual.discard_max, 0, 1_000_000),
        missing_max=table.fraction("missing_max", usual.missing_max),
        ambiguous_max=table.fraction("ambiguous_max", usual.ambiguous_max),
        empty=table.choice("empty", usual.empty),
        totals=table.choice("totals", usual.totals),
    )
    if by_itself and close.totals is Totals.REQUIRED:
        table.fault("totals", '"required", where windows end by themselves', '"optional": nobody declares them then')
    if not by_itself and close.empty is EmptyWindowRule.PASS:
        write = '"waiver" or "never"; "pass" goes with [window] or run.name, where windows end by themselves'
        table.fault("empty", '"pass"', write)
    table.done()
    return close


def _gate(table: Table) -> Gate:
    usual = Gate()
    recheck = cast("timedelta", table.duration("recheck", usual.recheck, "1s", "1h", "10s"))
    gate = Gate(recheck, table.choice("unit", usual.unit), table.items("readers", _reader, '["flights_mart"]'))
    table.done()
    return gate


def _reader(text: str) -> str:
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", text):
        raise RecordError(expected='the name of a reader, such as "flights_mart"', found=text)
    return text


def _reconcile(table: Table) -> Reconcile:
    usual = Reconcile()
    reconcile = Reconcile(
        automatic=table.boolean("automatic", usual.automatic),
        after=cast("timedelta", table.duration("after", usual.after, "1s", "1h", "20s")),
        scan_records=table.integer("scan_records", usual.scan_records, 1, 1_000_000_000),
        scan_timeout=cast("timedelta", table.duration("scan_timeout", usual.scan_timeout, "1s", "1h", "5m")),
        republish=table.choice("republish", usual.republish),
    )
    table.done()
    return reconcile


def _plans(table: Table) -> Plans:
    approvals = table.integer("approvals", 1, 1, MOST_APPROVALS)
    expire = cast("timedelta", table.duration("expire", timedelta(hours=24), "1m", "30d", "24h"))
    free_records = table.integer("free_records", 0, 0, 1_000_000)
    table.done()
    return Plans(approvals, expire, free_records)


def _payload(table: Table, plans: Plans) -> Payload:
    visible = table.items("visible_to", _role, '["operator", "approver"]')
    mask = table.items("mask", parse_mask, '["/tailnum"]', 100)
    keep = table.duration("keep", None, "1d", "36500d", "400d")
    if keep is not None and keep < plans.expire:
        table.fault("keep", "less than plans.expire", "as long or longer (a plan must find the bytes it is about)")
    visible = visible if table.has("visible_to") else Payload().visible_to
    table.done()
    return Payload(visible, mask, keep)


def _role(text: str) -> str:
    if text not in _ROLES:
        raise RecordError(expected="one of " + ", ".join(_ROLES), found=text)
    return text


def _notify(table: Table) -> Notify:
    on = table.items("on", _notice, '["verdict.blocked"]') if table.required("on", 'on = ["verdict.blocked"]') else ()
    if table.is_empty("on"):
        table.fault("on", "an empty array", 'on = ["verdict.blocked"]')
    write = '"slack:flights-oncall" (a channel of kind ' + ", ".join(_CHANNELS) + ")"
    known = table.required("to", f"to = {write}")
    to = table.text("to", rf"({'|'.join(_CHANNELS)}):[A-Za-z0-9._@-]{{1,100}}", write) if known else None
    table.done()
    return Notify(on, to or "")


def _notice(text: str) -> str:
    if text not in NOTICES:
        raise RecordError(expected="one of " + ", ".join(NOTICES), found=text)
    return text
