"""A TCP proxy that knows Kafka's frames, so that a test can hold exactly one request or one response.

A frame is a 4-byte length and that many bytes; a request begins with its api key (int16), version (int16) and
correlation id (int32), a response with the correlation id. Only addresses of the loopback interface are used.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

PRODUCE, END_TXN = 0, 26
Wanted = Callable[[int], bool]


class FrameProxy:
    """Between clients at `listen` and the broker at `upstream`. `hold_*` stops frames; `release` lets them go."""

    def __init__(self, listen: int, upstream: int) -> None:
        self._upstream = upstream
        self._closing = False
        self._open = threading.Event()
        self._open.set()
        self._held_requests: set[int] = set()
        self._held_responses: set[int] = set()
        self.caught = threading.Event()
        self._sockets: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", listen))

    def __enter__(self) -> Self:
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing = True
        self.release()
        for each in [self._server, *self._sockets]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def hold_requests(self, *apis: int) -> None:
        """From now on a request of these apis waits, and all behind it on its connection."""
        self.caught.clear()
        self._open.clear()
        self._held_requests = set(apis)

    def hold_responses(self, *apis: int) -> None:
        """The broker gets the request; the client does not get the answer."""
        self.caught.clear()
        self._open.clear()
        self._held_responses = set(apis)

    def release(self) -> None:
        self._held_requests = set()
        self._held_responses = set()
        self._open.set()

    def _spawn(self, work: Callable[..., None], *args: object) -> None:
        threading.Thread(target=work, args=args, daemon=True).start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                client, _ = self._server.accept()
                broker = socket.create_connection(("127.0.0.1", self._upstream))
            except OSError:
                return
            self._sockets += [client, broker]
            asked: dict[int, int] = {}
            self._spawn(self._requests, client, broker, asked)
            self._spawn(self._responses, broker, client, asked)

    def _requests(self, client: socket.socket, broker: socket.socket, asked: dict[int, int]) -> None:
        for frame in _frames(client):
            api, _, correlation = struct.unpack_from(">hhi", frame, 4)
            asked[correlation] = api
            if api in self._held_requests:
                self.caught.set()
                self._open.wait()
            if not _send(broker, frame):
                break
        _shut(broker)

    def _responses(self, broker: socket.socket, client: socket.socket, asked: dict[int, int]) -> None:
        for frame in _frames(broker):
            (correlation,) = struct.unpack_from(">i", frame, 4)
            if asked.pop(correlation, None) in self._held_responses:
                self.caught.set()
                self._open.wait()
            if not _send(client, frame):
                break
        _shut(client)


def _frames(source: socket.socket) -> Iterator[bytes]:
    while True:
        head = _exactly(source, 4)
        if not head:
            return
        body = _exactly(source, struct.unpack(">i", head)[0])
        if not body:
            return
        yield head + body


def _exactly(source: socket.socket, size: int) -> bytes:
    parts = []
    while size:
        try:
            part = source.recv(min(size, 1 << 20))
        except OSError:
            return b""
        if not part:
            return b""
        parts.append(part)
        size -= len(part)
    return b"".join(parts)


def _send(target: socket.socket, frame: bytes) -> bool:
    try:
        target.sendall(frame)
    except OSError:
        return False
    return True


def _shut(target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
