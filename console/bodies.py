"""The body of a request: read whole and within bounds, or not at all. One place for the API, the door and the forms.

A body that a client began and did not finish is not a smaller body, and one whose length nobody said is not an empty
one. Whatever acts asks here, so nothing acts on bytes that were not read to their end.

- With Content-Length, so many bytes come, or reading raises BodyCut.
- In chunks, the server says where the end is (`wsgi.input_terminated`); one that cannot is told to ask for a length.
- Packed with gzip, every member is unpacked, to a bound; what is behind the last one is refused.
"""

from __future__ import annotations

import zlib
from io import IOBase
from tempfile import SpooledTemporaryFile
from typing import Any

from django.http import HttpRequest
from gunicorn.http.errors import ParseException  # type: ignore[import-untyped]

from console.problems import BadRequest, TooLarge
from ingest.core.batching import BATCH_BYTES

MOST_CHUNKED = BATCH_BYTES
"""Bytes of a body in chunks: the largest that anything here takes. Each endpoint's own limit counts after that."""

MOST_FORM = 65_536
"""Bytes of a page's form: the largest ticks 200 items and gives a reason of 2,000 characters."""

MOST_MEMBERS = 1_000
"""Members of a gzip body: each costs a new unpacker, and 20 bytes are one."""

_WBITS_GZIP = 31
_STEP = 65_536
_IN_MEMORY = 1_048_576
# gunicorn's words for a connection that ended, and for chunks that are none; other servers raise OSError
_BROKEN = (OSError, ParseException)


class BodyCut(BadRequest):
    """The client went away, or miscounted: what came is not what it wanted to say, and nothing was done with it."""

    code = "body_cut"
    what = "the request's body ends before its end"


class LengthRequired(BadRequest):
    """This server cannot tell where a body in chunks ends."""

    code = "length_required"
    what = "the body's length must be said"


class BodyUnreadable(BadRequest):
    """The bytes are there, and do not mean what the request says they mean."""

    code = "body_unreadable"
    what = "the request body cannot be read"


class MediaRefused(BadRequest):
    """Another charset or packing than those that are read here."""

    code = "media_type_unsupported"
    what = "the body is not encoded in a way that is read here"


class PromisedBody(IOBase):
    """The bytes that Content-Length promises: all of them, or BodyCut."""

    def __init__(self, source: Any, length: int) -> None:
        self._source, self._length, self._left = source, length, length

    def readable(self) -> bool:
        return True

    def read(self, size: int | None = -1) -> bytes:
        """`size` bytes, or as many as are left. Raises BodyCut where the client sent fewer."""
        wanted = self._left if size is None or size < 0 else min(size, self._left)
        parts: list[bytes] = []
        while wanted:
            part = _read(self._source, wanted)
            if not part:
                found = f"{self._length - self._left} bytes"
                raise BodyCut(expected=f"{self._length} bytes, as Content-Length says", found=found)
            parts.append(part)
            wanted -= len(part)
            self._left -= len(part)
        return b"".join(parts)


def _read(source: Any, size: int) -> bytes:
    try:
        return bytes(source.read(size))
    except _BROKEN as error:
        raise BodyCut(expected="a body to its end", found=type(error).__name__) from error


def check_charset(request: HttpRequest) -> None:
    """UTF-8 only. Django would decode even the query by the charset of a body that is not there."""
    charset = (request.content_params or {}).get("charset", "utf-8")
    if charset.strip().strip('"').lower() not in {"utf-8", "utf8"}:
        raise MediaRefused(("Content-Type", "UTF-8 is the only charset"), found=charset.strip())


def put_stream(request: HttpRequest) -> None:
    source = request.META["wsgi.input"]
    coding = request.META.pop("HTTP_TRANSFER_ENCODING", "")
    if not coding:
        request._stream = PromisedBody(source, length_of(request))  # type: ignore[assignment]
        return
    request.META["CONTENT_LENGTH"] = "0"
    request._stream = PromisedBody(source, 0)  # type: ignore[assignment]  # until it is known what there is
    if coding.strip().lower() != "chunked":
        raise MediaRefused(("Transfer-Encoding", "chunked, or none"), found=coding)
    if not request.META.get("wsgi.input_terminated"):
        raise LengthRequired(("Content-Length", "a length is expected"), next_step="send the body with Content-Length")
    kept, length = _unchunked(source)
    request._stream, request.META["CONTENT_LENGTH"] = kept, str(length)  # type: ignore[assignment]


def _unchunked(source: Any) -> tuple[SpooledTemporaryFile[bytes], int]:
    """The body and its length. A large one waits in a file: whoever sends it is not known yet."""
    kept, length = SpooledTemporaryFile(max_size=_IN_MEMORY), 0  # noqa: SIM115  it outlives this
    while part := _read(source, _STEP):
        length += len(part)
        if length > MOST_CHUNKED:
            raise TooLarge(expected=f"at most {MOST_CHUNKED} bytes", next_step="send them in parts")
        kept.write(part)
    kept.seek(0)
    return kept, length


def read_form(request: HttpRequest) -> None:
    if length_of(request) > MOST_FORM:
        raise TooLarge(expected=f"a form of at most {MOST_FORM} bytes")
    if _packing(request) not in {"", "identity"}:
        raise MediaRefused(("Content-Encoding", "none, for a form"))
    _ = request.body


def length_of(request: HttpRequest) -> int:
    """How long the body is: what was said, or what was counted where it came in chunks."""
    said = str(request.META.get("CONTENT_LENGTH") or "0")
    return int(said) if said.isascii() and said.isdigit() else 0


def _packing(request: Any) -> str:
    return str(request.headers.get("Content-Encoding", "")).strip().lower()


def read_body(request: Any, stream: Any, most: int) -> bytes:
    """The whole body, unpacked: at most `most` bytes, packed and unpacked alike.

    Raises:
        TooLarge, BodyCut, MediaRefused, BodyUnreadable: nothing may be done with it.
    """
    raw = stream.read(most + 1)
    if len(raw) > most:
        raise TooLarge(expected=f"at most {most} bytes", next_step="send them in parts")
    packing = _packing(request)
    if packing in {"", "identity"}:
        return bytes(raw)
    if packing != "gzip":
        raise MediaRefused(("Content-Encoding", "gzip, or none"), found=packing)
    return unpacked(raw, most)


def unpacked(raw: bytes, most: int) -> bytes:
    """Every member of a gzip body (RFC 1952), one after the other; at most `most` bytes, whatever they promise.

    DEFLATE packs 1,032 to 1 at best, so the bound on what comes out is one on the ratio too.
    """
    chunks: list[bytes] = []
    unpacking, members, left = zlib.decompressobj(_WBITS_GZIP), 1, most
    for at in range(0, len(raw), _STEP):
        piece = raw[at : at + _STEP]
        while piece:
            if unpacking.eof:  # what follows a member is the next one
                unpacking, members = zlib.decompressobj(_WBITS_GZIP), members + 1
            body = _step(unpacking, piece, left + 1)
            left -= len(body)
            if left < 0 or members > MOST_MEMBERS:
                raise TooLarge(expected=f"at most {most} bytes unpacked, of {MOST_MEMBERS} members")
            chunks.append(body)
            piece = unpacking.unused_data
    if not unpacking.eof:
        raise BodyUnreadable(("", "the gzip body ends too early"))
    return b"".join(chunks)


def _step(unpacking: Any, piece: bytes, most: int) -> bytes:
    try:
        return bytes(unpacking.decompress(piece, most))
    except zlib.error as error:
        raise BodyUnreadable(("", str(error)), expected="a gzip body and nothing behind it") from None
