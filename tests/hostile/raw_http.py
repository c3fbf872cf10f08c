"""HTTP by hand: requests that no client library would send, and connections that die in the middle of one."""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPResponse
from typing import Any
from urllib.parse import urlsplit

PATIENCE = 60.0


@dataclass(frozen=True)
class Said:
    """An answer; `status` 0 where the server closed the connection without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        kind = self.headers.get("content-type", "")
        return str(self.json()["code"]) if kind == "application/problem+json" else ""


def chunked(*parts: bytes, end: bool = True) -> bytes:
    """A body in chunks; without its `end` the client died."""
    framed = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts)
    return framed + b"0\r\n\r\n" if end else framed


def exchange(url: str, method: str, path: str, headers: Mapping[str, object], body: bytes = b"") -> Said:
    """Sends exactly these bytes, then says that nothing more comes, and reads the answer."""
    where = urlsplit(url)
    lines = [f"{method} {path} HTTP/1.1", f"Host: {where.netloc}", "Connection: close"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    with socket.create_connection((str(where.hostname), int(where.port or 80)), timeout=PATIENCE) as connection:
        connection.sendall("\r\n".join([*lines, "", ""]).encode("latin-1") + body)
        with suppress(OSError):  # it may have answered and closed already
            connection.shutdown(socket.SHUT_WR)
        answer = HTTPResponse(connection, method=method)
        try:
            answer.begin()
        except (ConnectionError, OSError):
            return Said(0, {}, b"")
        return Said(answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read())


def cut(url: str, method: str, path: str, headers: Mapping[str, object], body: bytes, of: int) -> Said:
    """A client that said `of` bytes and died before they were sent."""
    return exchange(url, method, path, {**headers, "Content-Length": of}, body)


def in_chunks(
    url: str, method: str, path: str, headers: Mapping[str, object], parts: Sequence[bytes], end: bool = True
) -> Said:
    return exchange(url, method, path, {**headers, "Transfer-Encoding": "chunked"}, chunked(*parts, end=end))
