"""The HTTP door: events in, a decision and a receipt for each, and no 2xx before they are durable (S24)."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple
from urllib.parse import unquote_to_bytes

import msgspec
from django.urls import reverse
from drf_spectacular.utils import OpenApiExample, OpenApiRequest, extend_schema
from rest_framework.exceptions import UnsupportedMediaType
from rest_framework.parsers import BaseParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint
from console.api.idempotency import once
from console.api.schema import BODY, IDEMPOTENCY, answers
from console.bodies import BodyUnreadable, read_body
from console.permissions import Act
from ingest.admit.http import DoorReceipts, DoorRecord, TooManyEvents, receive
from ingest.core.batching import BATCH_BYTES
from ingest.core.decide import Outcome
from ingest.core.reason import Decision, Flag, Reason
from ingest.core.strictjson import outline

MOST_BYTES = BATCH_BYTES
"""Of a request's body, packed and unpacked alike: no more than one batch can hold."""

MOST_EVENTS = 10_000
"""More than any contract allows: a body of 8 MB could hold four million, each many times its size in memory."""

_COMMA = ord(",")
_QUOTED = re.compile(r"\\(.)")


class SentEvent(NamedTuple):
    """One event of a body, its bytes as they were sent."""

    value: bytes
    headers: list[tuple[str, bytes | None]] | None


class EventsParser(BaseParser):
    """Bounded bytes of a body, unpacked if gzip, cut into the raw bytes of each event. Nothing is decoded yet.

    BodyUnreadable: not one event can be told from another; whatever can be told gets a receipt instead.
    """

    envelope: ClassVar[bytes | None] = None  # the content type each event gets, where the body is of CloudEvents
    binary: ClassVar[bool] = False  # whether a request with ce- headers is one CloudEvent in binary mode

    def parse(  # type: ignore[override]  # DRF hands on whatever a parser returns; its stubs know only mappings
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> list[SentEvent]:
        request = (parser_context or {})["request"]
        attributes = binary_attributes(request.headers, media_type or "") if self.binary else None
        if attributes is None:
            self.check_media(media_type or "")
        body = read_body(request, stream, MOST_BYTES)
        if attributes is not None:
            return [SentEvent(body, attributes)]
        named: list[tuple[str, bytes | None]] | None = [("content-type", self.envelope)] if self.envelope else None
        return [SentEvent(value, named) for value in self.cut(body)]

    def check_media(self, media_type: str) -> None:
        """Raises where the media type is one this parser reads for CloudEvents in binary mode only."""

    def cut(self, body: bytes) -> list[bytes]:
        """The raw bytes of each event, in order."""
        raise NotImplementedError


class JSONEvents(EventsParser):
    """An array of events, or one event; with ce- headers, the data of one CloudEvent in binary mode."""

    media_type = "application/json"
    binary = True

    def cut(self, body: bytes) -> list[bytes]:
        if body.lstrip()[:1] != b"[":
            return [body]
        return _array(body)


class LineEvents(EventsParser):
    """One event a line (NDJSON). A line that is no event gets a receipt that says so, like a record of a topic."""

    media_type = "application/x-ndjson"

    def cut(self, body: bytes) -> list[bytes]:
        if body.count(b"\n") <= MOST_EVENTS:
            return [line for line in body.removesuffix(b"\r").replace(b"\r\n", b"\n").split(b"\n") if line.strip()]
        lines: list[bytes] = []  # mostly empty lines, which make no objects this way
        for part in io.BytesIO(body):
            line = part.removesuffix(b"\n").removesuffix(b"\r")
            if line.strip():
                lines.append(line)
                _check_count(len(lines))
        return lines


class CloudEvent(EventsParser):
    """One CloudEvent in structured form."""

    media_type = "application/cloudevents+json"
    envelope = b"application/cloudevents+json"

    def cut(self, body: bytes) -> list[bytes]:
        return [body]


class CloudEventsBatch(EventsParser):
    """An array of CloudEvents in structured form (CloudEvents JSON format, section 4)."""

    media_type = "application/cloudevents-batch+json"
    envelope = CloudEvent.envelope

    def cut(self, body: bytes) -> list[bytes]:
        return _array(body)


class CloudEventData(EventsParser):
    """The data of one CloudEvent in binary mode, of any other media type: admission says whether it is read."""

    media_type = "*/*"
    binary = True

    def check_media(self, media_type: str) -> None:
        raise UnsupportedMediaType(media_type)

    def cut(self, body: bytes) -> list[bytes]:
        return [body]


PARSERS: Sequence[type[EventsParser]] = (JSONEvents, LineEvents, CloudEvent, CloudEventsBatch)


def binary_attributes(headers: Mapping[str, str], media_type: str) -> list[tuple[str, bytes | None]] | None:
    """A CloudEvent's attributes as a Kafka record's headers would say them; None of a request without any.

    One event has one form, whichever door it came through, so what HTTP adds on the way is taken off: quotes and
    percent-encoding (CloudEvents' HTTP protocol binding, 3.1.3.2).
    """
    found: list[tuple[str, bytes | None]] = [
        (f"ce_{name[3:].lower()}", _decoded(text)) for name, text in headers.items() if name[:3].lower() == "ce-"
    ]
    if not found:
        return None
    return [("content-type", media_type.encode("latin-1", "replace")), *found] if media_type else found


def _decoded(text: str) -> bytes:
    if len(text) > 1 and text[0] == text[-1] == '"':
        text = _QUOTED.sub(r"\1", text[1:-1])
    return unquote_to_bytes(text.encode("latin-1", "replace"))


def _check_count(events: int) -> None:
    if events > MOST_EVENTS:
        raise TooManyEvents(expected=f"at most {MOST_EVENTS} events", found="more", next_step="send them in parts")


def _array(body: bytes) -> list[bytes]:
    if body.count(b",") > MOST_EVENTS:
        _check_elements(body)
    try:
        return [bytes(raw) for raw in msgspec.json.decode(body, type=list[msgspec.Raw])]
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        found = str(error)
        raise BodyUnreadable(
            ("", found), expected="a JSON array", next_step="send one event a line to get a receipt for each"
        ) from None


def _check_elements(body: bytes) -> None:
    """Counts the array's elements without making any of them."""
    depth = events = 0
    for byte in outline(body):
        if byte == _COMMA:
            events += depth == 1
            _check_count(events)
        else:
            depth += 1 if byte in b"[{" else -1


class Answers(JSONRenderer):
    """The same JSON, by msgspec: an answer has as many results as the request had events."""

    def render(
        self, data: Any, accepted_media_type: str | None = None, renderer_context: Mapping[str, Any] | None = None
    ) -> Any:
        if "indent" in (accepted_media_type or ""):
            return super().render(data, accepted_media_type, renderer_context)
        try:
            return msgspec.json.encode(data)
        except TypeError:  # an error with something in it that only DRF knows
            return super().render(data, accepted_media_type, renderer_context)


CLOUD_EVENT: dict[str, Any] = {
    "type": "object",
    "description": "A CloudEvent in structured form (CloudEvents 1.0, JSON format).",
    "required": ["specversion", "id", "source", "type"],
    "properties": {
        "specversion": {"const": "1.0"},
        **{name: {"type": "string", "minLength": 1} for name in ("id", "source", "type", "subject", "datacontenttype")},
        "time": {"type": "string", "format": "date-time"},
        "data": {},
        "data_base64": {"type": "string"},
    },
}
EVENT: dict[str, Any] = {
    "type": "object",
    "description": "One event; where its class, id and run stand is for the stream's contract to say.",
}
_EVENT = {"type": "flight", "id": 1545, "carrier": "UA"}
_CLOUD_EVENT = {"specversion": "1.0", "id": "1545", "source": "/ua", "type": "flight", "data": {"carrier": "UA"}}
_LINES = {
    "type": "string",
    "minLength": 1,
    "maxLength": MOST_BYTES,
    "description": f"One event a line, each a JSON object; at most {MOST_EVENTS} lines.",
}


def _listed(event: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": event, "maxItems": MOST_EVENTS}


def _sample(value: Any) -> list[OpenApiExample]:
    return [OpenApiExample("example", value=value, request_only=True)]


def _body(schema: dict[str, Any], example: Any) -> OpenApiRequest:
    return OpenApiRequest(schema, examples=_sample(example))


BODIES = {
    JSONEvents.media_type: _body({"oneOf": [_listed(EVENT), EVENT]}, [_EVENT]),
    LineEvents.media_type: _body(_LINES, json.dumps(_EVENT) + "\n"),
    CloudEvent.media_type: _body(CLOUD_EVENT, _CLOUD_EVENT),
    CloudEventsBatch.media_type: _body(_listed(CLOUD_EVENT), [_CLOUD_EVENT]),
}
"""What the OpenAPI document says of each kind of body: at most MOST_BYTES bytes, packed with gzip or not."""


class Events(Endpoint):
    acts = {"POST": Act.SEND_EVENTS}
    parser_classes = (*PARSERS, CloudEventData)
    renderer_classes = (Answers,)

    @extend_schema(
        operation_id="send_events",
        parameters=[IDEMPOTENCY],
        request=BODIES,
        responses=answers(shapes.Admissions, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, stream: str) -> Response:
        """Admits events. 200 when every one of them is durable, with what became of each, in the order sent.

        Sending the same events again is safe: each is then a DUPLICATE.
        """
        sent: Sequence[SentEvent] = _sent(request)
        records = [DoorRecord(0, None, None, event.value, event.headers) for event in sent]
        return Response(admissions(stream, receive(stream, records)))


def _sent(request: Request) -> Sequence[SentEvent]:
    """Without a body DRF asks no parser and calls it an empty form; nothing sent is not nothing to send."""
    found: Any = request.data
    if not isinstance(found, list):
        raise BodyUnreadable(("", "no bytes at all"), expected="events")
    return found


def admissions(stream: str, received: DoorReceipts) -> dict[str, Any]:
    """The answer: `results` in input order."""
    own = receipts_of(received.source)
    return {
        "stream": stream,
        "run": received.run,
        "results": [_result(own, outcome) for outcome in received.outcomes],
    }


def _result(own: str, outcome: Outcome) -> dict[str, Any]:
    result = {
        "decision": _DECISIONS[outcome.decision],
        "reason": _REASONS[outcome.reason],
        "flags": _flags(outcome.flags),
        "receipt": f"{own}{outcome.offset}",
    }
    if outcome.first_source is not None and outcome.first_offset is not None:
        result["first"] = f"{receipts_of(outcome.first_source)}{outcome.first_offset}"
    return result


# What stands in every result is made once: naming an enum's member and reversing a path took a third of a request.
_DECISIONS = {int(decision): decision.name for decision in Decision}
_REASONS = {int(reason): reason.name for reason in Reason}


@lru_cache(maxsize=256)
def _flags(flags: int) -> list[str]:
    return [flag.name or "" for flag in Flag if flag & flags]


@lru_cache(maxsize=4096)
def receipts_of(source: int) -> str:
    """Where the receipts of a source are: an offset after it makes the path of one."""
    return reverse("api:receipt", kwargs={"source": source, "offset": 0}).removesuffix("0")
