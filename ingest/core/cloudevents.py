"""CloudEvents 1.0 in Kafka records: the structured and the binary mode, without any mapping.

Source: CloudEvents 1.0.2, its JSON event format and its Kafka protocol binding.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from ingest.core.pointer import MISSING
from ingest.core.reason import Reason
from ingest.core.strictjson import Fault, read, shown

HEADER_PREFIX = "ce_"
CONTENT_TYPE = "content-type"
_STRUCTURED = "application/cloudevents"
_REQUIRED = ("specversion", "id", "source", "type")
_NAME = re.compile(r"[a-z0-9]{1,40}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\ufdd0-\ufdef\ufffe\uffff]")
_TIME = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")
_JSON_TYPE = re.compile(r"application/json|text/json|[a-z0-9!#$&^_.+-]+/[a-z0-9!#$&^_.-]+\+json")
_TYPE_BYTES = 200
_INT32 = 2**31


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
    attributes = {name: item for name, item in document.items() if name not in ("data", "data_base64")}
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
    media, *parameters = (header or "").lower().split(";")
    pairs = [parameter.partition("=") for parameter in parameters]
    charset = next((text.strip().strip('"') for name, _, text in pairs if name.strip() == "charset"), "")
    return media.strip(), charset


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
