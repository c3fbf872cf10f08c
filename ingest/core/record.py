"""One record: what it says once understood, or why it was not understood.

Strict and bounded: nothing a producer sends raises, and every refusal has a reason. The usual record takes the fast
path of its class (schema.py) or one decode and one encode (strictjson.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from ingest.core import cloudevents, schema, strictjson
from ingest.core.contract.shape import Contract, EventClass, Format
from ingest.core.identity import Parts
from ingest.core.pointer import MISSING, Header, Pointer, resolve
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.strictjson import Fault, shown

__all__ = ["Decision", "Flag", "Headers", "NotUnderstood", "Parsed", "Parser", "Reason", "Understood"]

Headers = list[tuple[str, bytes | None]]

OWN_PREFIX = "pg-"
"""Headers so named are ours: pg-run on the inbox; pg-identity, pg-attempt, pg-digest on the bus."""
UNREADABLE_NAME = "\x00"
"""Stands for headers whose names are not UTF-8: no name that a client can give us holds a NUL."""
RUN_BYTES = 200

_encode = msgspec.json.Encoder().encode
_BACKSLASH = ord("\\")
"""As a number, because that is looked for four times as fast as a string of one byte."""
_INEXACT = Flag.INEXACT_NUMBER.value
"""Without it there is no integer beyond 2^53."""
_NO_HEADERS: Mapping[str, str] = {}


class Understood(msgspec.Struct, frozen=True, gc=False):
    """An event: class (`class_number` as in the contract, 0 if it does not list it), id parts, the run it names."""

    class_name: str
    class_number: int
    parts: Parts
    run: str | None
    value: bytes
    flags: int


class NotUnderstood(msgspec.Struct, frozen=True, gc=False):
    """Why not, in a sentence for people; `at` is the byte offset in the value, where one is known.

    `class_name` is "" where the class is not known either.
    """

    reason: Reason
    detail: str
    at: int | None
    run: str | None
    flags: int
    class_name: str = ""


Parsed = Understood | NotUnderstood


def _keys(places: list[tuple[str, ...]]) -> tuple[str, ...]:
    """The places as keys of the event itself, which need no walking; none of them if one lies deeper."""
    return tuple(tokens[0] for tokens in places) if all(len(tokens) == 1 for tokens in places) else ()


class _Class:
    """One event class, ready to be applied to documents."""

    def __init__(self, event: EventClass, depth: int) -> None:
        self.name = event.name
        self.number = event.number
        self.match = event.match
        self.places = [pointer.tokens for pointer in event.id]
        self.keys = _keys(self.places)
        self.schema = event.schema
        self.check = schema.validator(event.schema) if event.schema else None
        fast = schema.fast(event.schema) if event.schema else None
        self.fast = fast if fast and fast.depth <= depth else None

    def ordered(self, sample: Any) -> schema.FastStruct | None:
        """The same fast path with its fields in the order of a sample."""
        return schema.fast(self.schema, sample) if self.schema and self.fast else None

    def breaks(self, document: Any) -> str | None:
        """How the document breaks the class's schema; None where it does not, or there is none."""
        if self.check is None or (self.fast and self.fast.proves(document)):
            return None
        return self.check(document)


@dataclass(frozen=True, slots=True)
class _FastPath:
    """Everything of one class in one struct: the schema proven, the class, the id and the run read from it."""

    decode: Callable[[bytes], Any]
    get: Callable[[Any], tuple[Any, ...]]
    match: str | None
    """What the place of the class must hold; None where the class is known by a header, or the struct sees to it."""
    reads_run: bool
    sure: bool
    """The struct sees to it that the id's parts are strings and integers."""
    exact: bool
    quotes: Callable[[Any], int] | None
    ordered: bool
    name: str
    number: int
    found: str
    """The class's match, by which the parser knows it."""


class Parser:
    """Parses the records of one contract; built once per contract.

    All that it keeps from one record to the next is the order of a class's fields, which changes its speed only.
    """

    def __init__(self, contract: Contract) -> None:
        self.contract = contract
        self._limits = contract.limits
        self._cloudevents = contract.inbox.kafka.format is Format.CLOUDEVENTS
        self._class_from = contract.class_from
        self._classes = {event.match: _Class(event, contract.limits.depth) for event in contract.events}
        self._any_class = self._cloudevents and not contract.events
        places = [*contract.run.places, *([contract.class_from] if contract.class_from else [])]
        self._wanted = frozenset(place.name for place in places if isinstance(place, Header))
        self._fast, self._peek = _fast_paths(contract, self._classes)

    @property
    def is_cloudevents(self) -> bool:
        """Whether records are CloudEvents: then headers may be part of an event."""
        return self._cloudevents

    @property
    def takes_any_class(self) -> bool:
        """Whether a record may be of a class that the contract does not list."""
        return self._any_class

    def parse(self, value: bytes | None, key: bytes | None, headers: Headers | None) -> Parsed:
        """What the record says, or why it is not understood. Never raises for anything a producer can send."""
        limits = self._limits
        if not headers and key and len(key) <= limits.key_bytes and value and len(value) <= limits.value_bytes:
            return (self._fast and self._parse_fast(value, _NO_HEADERS, 0)) or self._parse_plain(value)
        return self._parse_any(value, key, headers)

    def _parse_plain(self, value: bytes) -> Parsed:
        """A record that has a key and a value within the limits, and no headers."""
        if self._cloudevents:
            return self._parse_cloudevent(value, _NO_HEADERS, 0)
        return self._parse_json(value, _NO_HEADERS, 0)

    def _parse_any(self, value: bytes | None, key: bytes | None, headers: Headers | None) -> Parsed:
        flags = 0
        if not key:
            flags = Flag.NO_KEY.value if key is None else Flag.EMPTY_KEY.value
        texts = _NO_HEADERS
        if headers:
            taken = self._take(headers)
            if isinstance(taken, Fault):
                return _refusal(taken, None, flags)
            texts, more = taken
            flags |= more
        if fault := self._too_large(value, key):
            return _refusal(fault, self._header_run(texts), flags)
        if self._cloudevents:
            return self._parse_cloudevent(value, texts, flags)
        if value is None:
            return _refusal(Fault(Reason.TOMBSTONE, "the record has no value"), self._header_run(texts), flags)
        return (self._fast and self._parse_fast(value, texts, flags)) or self._parse_json(value, texts, flags)

    def _take(self, headers: Headers) -> tuple[Mapping[str, str], int] | Fault:
        """The text of the headers we read, and flags about the others."""
        limits = self._limits
        if headers[0][0] == UNREADABLE_NAME:
            return Fault(Reason.HEADER_ANOMALY, "a header's name is not UTF-8, so its headers cannot be read")
        if len(headers) > limits.headers:
            return Fault(Reason.TOO_MANY_HEADERS, f"{len(headers)} headers; limits.headers is {limits.headers}")
        texts: dict[str, str] = {}
        seen: set[str] = set()
        flags = size = 0
        for name, raw in headers:
            size += len(name) + len(raw or b"")
            if not self._is_ours(name):
                flags |= _header_flags(name, raw, seen)
            elif fault := _anomaly(name, raw, seen, name in self._wanted or self._cloudevents):
                return fault
            elif raw is not None:
                texts[name] = raw.decode(errors="replace")
            seen.add(name)
        if size > limits.value_bytes:
            most = f"limits.value_bytes, which holds for them too, is {limits.value_bytes}"
            return Fault(Reason.HEADERS_TOO_LARGE, f"{size} bytes of headers; {most}")
        return texts, flags

    def _is_ours(self, name: str) -> bool:
        if name.startswith(OWN_PREFIX) or name in self._wanted:
            return True
        return self._cloudevents and (name == cloudevents.CONTENT_TYPE or name.startswith(cloudevents.HEADER_PREFIX))

    def _too_large(self, value: bytes | None, key: bytes | None) -> Fault | None:
        limits = self._limits
        if key is not None and len(key) > limits.key_bytes:
            return Fault(Reason.KEY_TOO_LARGE, f"a key of {len(key)} bytes; limits.key_bytes is {limits.key_bytes}")
        if value is not None and len(value) > limits.value_bytes:
            return Fault(Reason.TOO_LARGE, f"a value of {len(value)} bytes; limits.value_bytes is {limits.value_bytes}")
        return None

    def _parse_fast(self, value: bytes, texts: Mapping[str, str], flags: int) -> Understood | None:
        """The event, if the class's struct proves everything about it; None says nothing: take the other way."""
        path = self._fast.get(None) or self._path(value, texts)
        if path is None:
            return None
        try:
            event = path.decode(value)
            got = path.get(event)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, AttributeError):
            return None
        if path.quotes is not None and _BACKSLASH not in value:
            # Nothing was dropped if there are no other strings, and nothing rounded if no number is odd.
            if value.count(b'"') != path.quotes(event) or (not path.exact and strictjson.odd_numbers(value)):
                return None
        elif not self._is_proven(path, event, value):
            return None
        return self._from_fast(path, got, value, texts, flags)

    def _is_proven(self, path: _FastPath, event: Any, value: bytes) -> bool:
        """Whether nothing in `value` was dropped or rounded on the way to the struct: its encoding shows it."""
        encoded = _encode(event)
        if encoded == value and _BACKSLASH not in value:
            return True
        if not _proven(value, encoded, path.exact):
            return False
        if not path.ordered:
            self._order(path, value)
        return True

    def _order(self, path: _FastPath, value: bytes) -> None:
        """Once per class: fields in the order in which its first event has them (see schema.fast)."""
        sample = msgspec.json.decode(value)
        for key, old in self._fast.items():
            if old is path:
                self._fast[key] = _fast_path(self.contract, self._classes[path.found], sample) or path

    def _path(self, value: bytes, texts: Mapping[str, str]) -> _FastPath | None:
        if self._peek is None:
            match = texts.get(self._class_from.name) if isinstance(self._class_from, Header) else None
            return self._fast.get(match)
        try:
            return self._fast.get(self._peek(value).match)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None

    def _from_fast(
        self, path: _FastPath, got: tuple[Any, ...], value: bytes, texts: Mapping[str, str], flags: int
    ) -> Understood | None:
        run = None
        if texts:
            run = self._header_run(texts)
            if run is None and self._names_run(texts):
                return None  # a header names a run that cannot be used: the value's own does not count
        if path.reads_run:
            got, named = got[:-1], got[-1]
            if run is None and named is not msgspec.UNSET:
                run = named
        if path.match is not None:
            got, match = got[:-1], got[-1]
            if match != path.match:
                return None
        if (run is not None and _bad_run(run)) or not (path.sure or not _bad_parts(got)):
            return None
        if len(value) > self._limits.id_bytes and _size(got) > self._limits.id_bytes:
            return None
        return Understood(path.name, path.number, got, run, value, flags)

    def _parse_json(self, value: bytes, texts: Mapping[str, str], flags: int) -> Parsed:
        got = strictjson.read(value, self._limits.depth)
        if isinstance(got, Fault):
            return _refusal(got, self._header_run(texts), flags)
        document, more = got
        return self._apply(value, document, document, texts, flags | more)

    def _parse_cloudevent(self, value: bytes | None, texts: Mapping[str, str], flags: int) -> Parsed:
        got = cloudevents.envelope(value, texts, self._limits.depth)
        if isinstance(got, Fault):
            return _refusal(got, self._header_run(texts), flags)
        return self._apply(value or b"", got.document, got.data, texts, flags | got.flags)

    def _apply(self, value: bytes, document: Any, data: Any, texts: Mapping[str, str], flags: int) -> Parsed:
        """Run, class, id and schema of a document; `data` is the part of it that the schema is about."""
        run = self._run(document, texts)
        if run is not None and (bad := _bad_run(run)):
            return NotUnderstood(Reason.BAD_RUN, bad, None, None, flags)
        match = self._match(document, texts)
        event_class = self._classes.get(match) if type(match) is str else None
        if event_class is None and not (self._any_class and cloudevents.is_type(match)):
            return _refusal(_no_class(match, self._class_from, self._any_class), run, flags)
        parts = self._parts(event_class, document)
        if fault := self._bad_id(parts, event_class, value, flags):
            return _refusal(fault, run, flags, event_class.name if event_class else match)
        if event_class and (broken := event_class.breaks(None if data is MISSING else data)):
            return NotUnderstood(Reason.SCHEMA, broken, None, run, flags, event_class.name)
        name, number = (event_class.name, event_class.number) if event_class else (match, 0)
        return Understood(name, number, parts, run, value, flags)

    def _run(self, document: Any, texts: Mapping[str, str]) -> Any:
        """What the first place present says; null is as good as absent."""
        for place in self.contract.run.places:
            named = texts.get(place.name) if isinstance(place, Header) else resolve(document, place.tokens)
            if named is not None and named is not MISSING:
                return named
        return None

    def _header_run(self, texts: Mapping[str, str]) -> str | None:
        """The run a record names by header: known even where its value is not understood."""
        if not texts:
            return None
        names = [place.name for place in self.contract.run.places if isinstance(place, Header)]
        run = next((texts[name] for name in names if name in texts), None)
        return None if run is None or _bad_run(run) else run

    def _names_run(self, texts: Mapping[str, str]) -> bool:
        return any(isinstance(place, Header) and place.name in texts for place in self.contract.run.places)

    def _match(self, document: Any, texts: Mapping[str, str]) -> Any:
        place = self._class_from
        if isinstance(place, Header):
            return texts.get(place.name, MISSING)
        tokens = place.tokens if place else ("type",)
        return document.get(tokens[0], MISSING) if len(tokens) == 1 else resolve(document, tokens)

    def _parts(self, found: _Class | None, document: dict[str, Any]) -> tuple[Any, ...]:
        if found is None or not found.places:
            return (document.get("source", MISSING), document.get("id", MISSING))
        if found.keys:
            get = document.get
            return tuple([get(key, MISSING) for key in found.keys])
        return tuple([resolve(document, tokens) for tokens in found.places])

    def _bad_id(self, parts: tuple[Any, ...], found: _Class | None, value: bytes, flags: int) -> Fault | None:
        if _bad_parts(parts):
            return _id_fault(parts, found)
        if flags & _INEXACT and (fault := _too_long(parts, found)):
            return fault
        # A part is never longer than the text it was read from; binary CloudEvents have theirs in headers.
        if (self._cloudevents or len(value) > self._limits.id_bytes) and (size := _size(parts)) > self._limits.id_bytes:
            return Fault(Reason.ID_TOO_LARGE, f"an id of {size} bytes; limits.id_bytes is {self._limits.id_bytes}")
        return None


def _fast_paths(
    contract: Contract, classes: Mapping[str, _Class]
) -> tuple[dict[str | None, _FastPath], Callable[[bytes], Any] | None]:
    """The fast path by class match (None: the only class, no need to look), and what looks a class up in a value."""
    place = contract.class_from
    if contract.inbox.kafka.format is not Format.JSON or place is None:
        return {}, None
    made: dict[str | None, _FastPath] = {
        match: path for match, found in classes.items() if (path := _fast_path(contract, found))
    }
    if isinstance(place, Header):
        return made, None
    if len(classes) == 1:
        return {None: path for path in made.values()}, None  # noqa: B035 - there is one
    if len(place.tokens) != 1 or not made:
        return {}, None
    peek = msgspec.defstruct("Peek", [("match", str)], rename={"match": place.tokens[0]}, gc=False)
    return made, msgspec.json.Decoder(peek).decode


def _fast_path(contract: Contract, found: _Class, sample: Any = None) -> _FastPath | None:
    fast = found.ordered(sample) if sample else found.fast
    run = [place.tokens for place in contract.run.places if isinstance(place, Pointer)]
    headers_first = not any(isinstance(place, Header) for place in contract.run.places[-len(run) :]) if run else True
    if fast is None or len(run) > 1 or not headers_first:
        return None
    # A place the struct does not know at all is absent from whatever the struct takes: an unknown key is noticed.
    run = [tokens for tokens in run if tokens[:1] in fast.fields]
    place = contract.class_from.tokens if isinstance(contract.class_from, Pointer) else None
    looks = place is not None and fast.constants.get(place) != found.match
    get = fast.getter([*found.places, *([place] if place and looks else []), *run])
    if get is None or (place is not None and place not in fast.fields):
        return None
    return _FastPath(
        fast.decode, get,
        match=found.match if looks else None,
        reads_run=bool(run),
        sure=fast.sure.issuperset(found.places),
        exact=fast.exact,
        quotes=fast.quotes,
        ordered=bool(sample),
        name=found.name, number=found.number, found=found.match,
    )  # fmt: skip


def _proven(value: bytes, encoded: bytes, exact: bool) -> bool:
    """Whether nothing in `value` was dropped or rounded on the way to what `encoded` says (see strictjson)."""
    if _BACKSLASH in value and b"\\u0000" in value:
        return False
    if not strictjson.same_strings(value, encoded):
        return False
    return exact or not strictjson.odd_numbers(value)


def _header_flags(name: str, raw: bytes | None, seen: set[str]) -> int:
    if name and raw and name not in seen and raw.isascii():
        return 0
    flags = Flag.REPEATED_HEADER.value if name in seen else 0
    if not name:
        flags |= Flag.EMPTY_HEADER_NAME.value
    if raw is None:
        return flags | Flag.NULL_HEADER.value
    return flags if _is_utf8(raw) else flags | Flag.HEADER_NOT_UTF8.value


def _anomaly(name: str, raw: bytes | None, seen: set[str], is_read: bool) -> Fault | None:
    if name in seen:
        return Fault(Reason.HEADER_ANOMALY, f"the header {shown(name)} is repeated")
    if is_read and raw is None:
        return Fault(Reason.HEADER_ANOMALY, f"the header {shown(name)} has no value")
    if is_read and not _is_utf8(raw or b""):
        return Fault(Reason.HEADER_ANOMALY, f"the header {shown(name)} is not UTF-8")
    return None


def _is_utf8(raw: bytes) -> bool:
    try:
        raw.decode()
    except UnicodeDecodeError:
        return False
    return True


def _bad_run(run: Any) -> str | None:
    if type(run) is not str:
        return "a run id is a string"
    if not run or "\x00" in run:
        return "a run id is not empty and holds no NUL"
    if len(run) > RUN_BYTES // 4 and len(run.encode()) > RUN_BYTES:
        return f"a run id has at most {RUN_BYTES} bytes"
    return None


def _bad_parts(parts: tuple[Any, ...]) -> bool:
    for part in parts:  # noqa: SIM110 - any() with a generator takes twice as long, on the hottest path there is
        if type(part) is not str and type(part) is not int:
            return True
    return False


def _too_long(parts: Parts, found: _Class | None) -> Fault | None:
    """An identity is made of integers of 64 bits; a payload may hold larger ones that a double holds."""
    for number, part in enumerate(parts):
        if type(part) is int and not strictjson.MIN_INTEGER <= part <= strictjson.MAX_INTEGER:
            name = "/".join(["", *found.places[number]]) if found else ""
            return Fault(Reason.NUMBER_RANGE, f"{shown(name)} is part of the id and an integer beyond 64 bits")
    return None


def _size(parts: Parts) -> int:
    return sum([len(part.encode() if type(part) is str else str(part)) for part in parts])


def _id_fault(parts: tuple[Any, ...], found: _Class | None) -> Fault:
    names = ["/" + "/".join(tokens) for tokens in found.places] if found and found.places else ["/source", "/id"]
    name, part = next((name, part) for name, part in zip(names, parts, strict=True) if type(part) not in (str, int))
    if part is MISSING:
        return Fault(Reason.NO_ID, f"{shown(name)} is part of the id and is not there")
    return Fault(Reason.ID_TYPE, f"{shown(name)} is part of the id and is neither a string nor an integer")


def _no_class(match: Any, place: Header | Pointer | None, any_class: bool) -> Fault:
    if match is MISSING:
        return Fault(Reason.NO_CLASS, f"{place or '/type'} names the class and is not there")
    if type(match) is not str:
        return Fault(Reason.UNKNOWN_CLASS, f"{place or '/type'} names the class and is not a string")
    if any_class:
        return Fault(Reason.UNKNOWN_CLASS, f"{place} names the class and is no type of CloudEvents: {shown(match)}")
    return Fault(Reason.UNKNOWN_CLASS, f"no event class of the contract matches {shown(match)}")


def _refusal(fault: Fault, run: Any, flags: int, class_name: str = "") -> NotUnderstood:
    return NotUnderstood(fault.reason, fault.detail, fault.at, run, flags, class_name)
