"""CloudEvents 1.0 in Kafka records: the structured and the binary mode, without any mapping.

One event, one form: a binary event's attributes are part of its payload digest, and two events are compared in the
structured form, whichever mode each came in.

Source: CloudEvents 1.0.2, its JSON event format and its Kafka protocol binding.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ingest.core.identity import payload_digest
from ingest.core.pointer import MISSING
from ingest.core.reason import Reason
from ingest.core.strictjson import Fault, read, shown

HEADER_PREFIX = "ce_"
CONTENT_TYPE = "content-type"
_STRUCTURED = "application/cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
# Digits by name: \\d means whatever an interpreter's Unicode tables call one.
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})")
_JSON_TYPE = re.compile(r"application/json|text/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json")
_TYPE_BYTES = 200
_INT32 = 2**31
_DATA = ("data", "data_base64")
_JSON = "application/json"
MAGIC = b"passgate-cloudevent-1:"
"""Begins what a binary event's payload digest is taken over. No JSON begins so: it is nobody's raw value."""

Headers = Sequence[tuple[str, bytes | None]]

_decode_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode
_pack = msgspec.msgpack.Encoder().encode


class Envelope(msgspec.Struct, frozen=True, gc=False):
    """A CloudEvent: its attributes, and the document that JSON Pointers of a contract look into.

    The document is the event in JSON format, whatever the mode: `/data/carrier` is right for both. `flags` as `read`'s.
    """

    attributes: Mapping[str, Any]
    document: dict[str, Any]
    flags: int

    @property
    def data(self) -> Any:
        """The event's JSON data; MISSING where there is none or it is binary."""
        return self.document.get("data", MISSING)


def envelope(value: bytes | None, headers: Mapping[str, str], depth: int) -> Envelope | Fault:
    """The event in a record; `headers` holds the content type and the ce_ headers. Never raises."""
    media, charset = _media_type(headers.get(CONTENT_TYPE))
    if charset not in ("", "utf-8"):
        return Fault(Reason.CONTENT_TYPE, f"charset {shown(charset)}; only UTF-8 is read")
    if media.startswith(_STRUCTURED):
        return _structured(value, media, depth)
    if not any(name.startswith(HEADER_PREFIX) for name in headers):
        return Fault(Reason.NO_CONTENT_TYPE, "neither a content type of CloudEvents nor ce_ headers")
    return _binary(value, media, headers, depth)


def _structured(value: bytes | None, media: str, depth: int) -> Envelope | Fault:
    if media != _STRUCTURED + "+json":
        return Fault(Reason.CONTENT_TYPE, f"{shown(media)}; only {_STRUCTURED}+json is read")
    if value is None:
        return Fault(Reason.TOMBSTONE, "the record has no value")
    got = read(value, depth)
    if isinstance(got, Fault):
        return got
    document, flags = got
    attributes = {name: item for name, item in document.items() if name not in _DATA}
    # The JSON format lets an attribute be null and calls that absent.
    attributes = {name: item for name, item in attributes.items() if item is not None}
    return _bad_data(document) or _bad(attributes) or Envelope(attributes, document, flags)


def _binary(value: bytes | None, media: str, headers: Mapping[str, str], depth: int) -> Envelope | Fault:
    if media and not _JSON_TYPE.fullmatch(media):
        return Fault(Reason.CONTENT_TYPE, f"{shown(media)}; only JSON data is read")
    if value is None:
        return Fault(Reason.TOMBSTONE, "the record has no value")
    attributes = {
        name.removeprefix(HEADER_PREFIX): text for name, text in headers.items() if name.startswith(HEADER_PREFIX)
    }
    if media:
        attributes["datacontenttype"] = headers[CONTENT_TYPE]
    if bad := _bad(attributes):
        return bad
    got = read(value, depth)
    return got if isinstance(got, Fault) else Envelope(attributes, {**attributes, "data": got[0]}, got[1])


def _media_type(header: str | None) -> tuple[str, str]:
    """Media type and charset, lower case; empty where not given."""
    media, *parameters = _lower(header or "").split(";")
    pairs = [parameter.partition("=") for parameter in parameters]
    charset = next((text.strip(_BLANK).strip('"') for name, _, text in pairs if name.strip(_BLANK) == "charset"), "")
    return media.strip(_BLANK), charset


_BLANK = " \t"
_LOWER = {upper: upper + 32 for upper in range(ord("A"), ord("Z") + 1)}


def _lower(text: str) -> str:
    """ASCII letters only: what else has a small letter is for an interpreter's tables to say."""
    return text.translate(_LOWER)


def _bad(attributes: Mapping[str, Any]) -> Fault | None:
    """What breaks the specification's rules for attributes, if anything."""
    for name in _REQUIRED:
        if type(attributes.get(name)) is not str or not attributes[name]:
            return _fault(name, "is required, a string that is not empty")
    if attributes["specversion"] != "1.0":
        return _fault("specversion", f'must be "1.0", not {shown(attributes["specversion"])}')
    if len(attributes["type"].encode()) > _TYPE_BYTES:
        return _fault("type", f"is longer than {_TYPE_BYTES} bytes")
    return next(filter(None, map(_bad_attribute, attributes.items())), None) or _bad_optional(attributes)


def is_type(name: Any) -> bool:
    """Whether an event's `type` could say this, wherever it is said: what names a class is stored, and in an index."""
    return type(name) is str and 0 < len(name.encode()) <= _TYPE_BYTES and not _CONTROL.search(name)


def _bad_attribute(attribute: tuple[str, Any]) -> Fault | None:
    name, value = attribute
    if not _NAME.fullmatch(name):
        return _fault(shown(name), "is not a name: lower-case letters and digits")
    if type(value) is int and not -_INT32 <= value < _INT32:
        return _fault(name, "is an integer beyond 32 bits")
    if type(value) is str and _CONTROL.search(value):
        return _fault(name, "holds a control character")
    return None if type(value) in (str, int, bool) else _fault(name, "is neither a string, an integer nor a boolean")


def _bad_optional(attributes: Mapping[str, Any]) -> Fault | None:
    for name in ("subject", "time", "dataschema", "datacontenttype"):
        if name in attributes and (type(attributes[name]) is not str or not attributes[name]):
            return _fault(name, "must be a string that is not empty")
    if "time" in attributes and not _TIME.fullmatch(attributes["time"]):
        return _fault("time", "is not a time as RFC 3339 writes it")
    return _fault("source", "holds a space") if " " in attributes["source"] else None


def _bad_data(document: Mapping[str, Any]) -> Fault | None:
    if "data_base64" not in document:
        return None
    if "data" in document:
        return _fault("data_base64", "stands beside data; only one of them may")
    try:
        base64.b64decode(document["data_base64"], validate=True)
    except (binascii.Error, TypeError, ValueError):
        return _fault("data_base64", "is not base64")
    return None


def _fault(name: str, what: str) -> Fault:
    return Fault(Reason.CLOUDEVENTS, f"attribute {name} {what}")


# ---- one event, one form --------------------------------------------------------------------------------------------


def attribute_headers(headers: Headers | None) -> list[tuple[str, bytes | None]] | None:
    """The headers that are part of a binary event, sorted; None of a record that is not in binary mode."""
    if not headers:
        return None
    event_headers = [header for header in headers if header[0] == CONTENT_TYPE or header[0].startswith(HEADER_PREFIX)]
    media = next((raw or b"" for name, raw in event_headers if name == CONTENT_TYPE), b"")
    if media.strip(b" \t").lower().startswith(_STRUCTURED.encode()):
        return None
    if not any(name.startswith(HEADER_PREFIX) for name, _ in event_headers):
        return None
    return sorted(event_headers, key=lambda header: (header[0], header[1] or b""))


def event_digest(value: bytes | None, headers: Headers | None) -> bytes:
    """The payload digest of a record of a CloudEvents stream, 32 bytes: in binary mode its attributes are in it.

    There it is SHA-256 over `MAGIC`, the attribute headers as they came, sorted, as a MessagePack array of [name, bytes
    or nil], and the raw value; else over the raw value alone.
    """
    attributes = attribute_headers(headers)
    if attributes is None:
        return payload_digest(value)
    return hashlib.sha256(MAGIC + _pack(attributes) + (value or b"")).digest()


def digest_as_said(value: bytes | None, headers: Headers | None, said: bytes | None) -> bytes:
    """The payload digest of a record of which only its bytes are known, not its stream's format.

    A record with a binary event's headers has two: of the event, and of the plain value. `said` is what somebody
    says it is; it only chooses between them, so what is returned is always the digest of these very bytes.
    """
    plain = payload_digest(value)
    if said == plain or attribute_headers(headers) is None:
        return plain
    of_event = event_digest(value, headers)
    return of_event if said == of_event else plain


def structured_form(value: bytes, headers: Headers | None) -> bytes:
    """An event that was understood, as JSON in structured mode: what events are compared in, and shown beside another.

    Attributes are strings, as the binary mode writes them; one that is null is absent; a data content type that is not
    said is application/json, which CloudEvents calls exactly equivalent. Data stays as it was written.
    """
    binary = attribute_headers(headers)
    if binary is None:
        members = _decode_members(value)
        data = {name: members.pop(name) for name in _DATA if name in members}
        attributes = {name: _as_text(_decode(raw)) for name, raw in members.items()}
    else:
        data = {"data": msgspec.Raw(value)}
        texts = {name: (raw or b"").decode(errors="replace") for name, raw in binary}
        attributes = {name.removeprefix(HEADER_PREFIX): text for name, text in texts.items() if name != CONTENT_TYPE}
        attributes["datacontenttype"] = texts.get(CONTENT_TYPE)
    said = {name: text for name, text in attributes.items() if text is not None}
    return bytes(_encode({**said, "datacontenttype": _same_media(said.get("datacontenttype")), **data}))


def _as_text(value: Any) -> str | None:
    """CloudEvents' canonical strings of its integers and booleans (CloudEvents 1.0.2, type system)."""
    if value is None or type(value) is str:
        return value
    return {True: "true", False: "false"}[value] if type(value) is bool else str(value)


def _same_media(said: str | None) -> str:
    """JSON's media types in one spelling: letters small, without the only charset there is."""
    media, charset = _media_type(said)
    if said is None or (media == _JSON and charset in ("", "utf-8") and said.count(";") <= (charset != "")):
        return _JSON
    return said
