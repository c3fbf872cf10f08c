"""A broker that says what one says that has just been fenced: that there are no brokers, and no controller.

It knows two questions, by Kafka's protocol: which versions there are (api 18), and the metadata (api 3, version 5).
"""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from types import TracebackType
from typing import Self

METADATA, API_VERSIONS = 3, 18
UNSUPPORTED_VERSION, UNKNOWN_TOPIC = 35, 3
NODE = 1


class FencedBroker:
    """Listens on a free loopback port. It names itself until `fenced` is set."""

    def __init__(self) -> None:
        self.fenced = False
        self.cluster = "a-cluster"
        self._server = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []

    @property
    def bootstrap(self) -> str:
        return f"127.0.0.1:{self._port}"

    @property
    def _port(self) -> int:
        return int(self._server.getsockname()[1])

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, raised: BaseException | None, trace: TracebackType | None
    ) -> None:
        for each in [self._server, *self._open]:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                self._open.append(client)
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with contextlib.suppress(OSError, struct.error), client.makefile("rb") as asked:
            while True:
                (size,) = struct.unpack(">i", asked.read(4))
                frame = asked.read(size)
                api, version, correlation = struct.unpack_from(">hhi", frame)
                body = self._versions(version) if api == API_VERSIONS else self._metadata(frame)
                answer = struct.pack(">i", correlation) + body
                client.sendall(struct.pack(">i", len(answer)) + answer)

    def _versions(self, version: int) -> bytes:
        """In the shape of version 0, which a broker answers whatever it was asked in."""
        known = ((METADATA, 0, 5), (API_VERSIONS, 0, 0))
        ranges = b"".join(struct.pack(">hhh", *each) for each in known)
        return struct.pack(">hi", UNSUPPORTED_VERSION if version else 0, len(known)) + ranges

    def _metadata(self, frame: bytes) -> bytes:
        brokers = (
            [] if self.fenced else [struct.pack(">i", NODE) + _text("127.0.0.1") + struct.pack(">ih", self._port, -1)]
        )
        topics = [
            struct.pack(">h", UNKNOWN_TOPIC) + _text(name) + struct.pack(">?i", False, 0) for name in _topics(frame)
        ]
        controller = struct.pack(">i", -1 if self.fenced else NODE)
        return struct.pack(">i", 0) + _array(brokers) + _text(self.cluster) + controller + _array(topics)


def _topics(frame: bytes) -> list[str]:
    """The names a metadata request asks for; none where it asks for all, or for no topic."""
    (client_id,) = struct.unpack_from(">h", frame, 8)
    at = 10 + max(client_id, 0)
    (count,) = struct.unpack_from(">i", frame, at)
    names, at = [], at + 4
    for _ in range(max(count, 0)):
        (size,) = struct.unpack_from(">h", frame, at)
        names.append(frame[at + 2 : at + 2 + size].decode())
        at += 2 + size
    return names


def _text(text: str) -> bytes:
    return struct.pack(">h", len(text)) + text.encode()


def _array(items: list[bytes]) -> bytes:
    return struct.pack(">i", len(items)) + b"".join(items)
