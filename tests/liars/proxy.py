"""A frame that comes late: caught once, its connection reset, and delivered when the test says so."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from tests.kafka.proxy import END_TXN, FrameProxy, _frames, _send, _shut

Wanted = Callable[[bytes], bool]


def api_of(frame: bytes) -> int:
    return int(struct.unpack_from(">h", frame, 4)[0])


def ends(frame: bytes, commit: bool) -> bool:
    """An EndTxn that commits, or that aborts: before version 3 its last byte says which."""
    version = int(struct.unpack_from(">h", frame, 6)[0])
    assert api_of(frame) != END_TXN or version < 3, f"EndTxn version {version} ends in tagged fields"
    return api_of(frame) == END_TXN and bool(frame[-1]) is commit


def aborts(frame: bytes) -> bool:
    return ends(frame, commit=False)


def commits(frame: bytes) -> bool:
    return ends(frame, commit=True)


@dataclass
class Late:
    """One frame on its way. `reset`: its connection is gone for the client. `error`: the answer to an EndTxn."""

    wanted: Wanted
    reset: bool
    caught: threading.Event = field(default_factory=threading.Event)
    go: threading.Event = field(default_factory=threading.Event)
    answered: threading.Event = field(default_factory=threading.Event)
    client: socket.socket | None = None
    frame: bytes = b""
    error: int | None = None

    def deliver(self, seconds: float = 10.0) -> None:
        """Let it land now, and wait until the broker has answered it."""
        self.go.set()
        assert self.answered.wait(seconds), "the broker did not answer the late frame"

    @property
    def correlation(self) -> int:
        return int(struct.unpack_from(">i", self.frame, 8)[0])


class LyingProxy(FrameProxy):
    """`late` catches the next frame of a kind; with `reset` its connection goes, and the client asks on another."""

    def __init__(self, listen: int, upstream: int) -> None:
        super().__init__(listen, upstream)
        self._late: list[Late] = []
        self._guard = threading.Lock()
        self._clients: list[socket.socket] = []

    def late(self, wanted: Wanted, reset: bool = True) -> Late:
        one = Late(wanted, reset)
        self._late.append(one)
        return one

    def release(self) -> None:
        super().release()
        for one in self._late:
            one.go.set()

    def reset_all(self) -> int:
        """Reset every client connection there is; how many there were."""
        with self._guard:
            clients, self._clients = self._clients, []
        for client in clients:
            _reset(client)
        return len(clients)

    def _requests(self, client: socket.socket, broker: socket.socket, asked: dict[int, int]) -> None:
        with self._guard:
            self._clients.append(client)
        super()._requests(client, _Noting(broker, self, client), asked)  # type: ignore[arg-type]

    def _catch(self, frame: bytes, client: socket.socket) -> None:
        """Called before a frame goes on: waits here if it is the one that comes late."""
        with self._guard:
            one = next((one for one in self._late if not one.frame and one.wanted(frame)), None)
            if one is None:
                return
            one.frame, one.client = frame, client
        if one.reset:
            _reset(client)
        one.caught.set()
        one.go.wait()

    def _responses(self, broker: socket.socket, client: socket.socket, asked: dict[int, int]) -> None:
        for frame in _frames(broker):
            (correlation,) = struct.unpack_from(">i", frame, 4)
            self._note(frame, correlation, client)
            if asked.pop(correlation, None) in self._held_responses:
                self.caught.set()
                self._open.wait()
            if not _send(client, frame) and not self._awaited(client):
                break
        _shut(client)

    def _note(self, frame: bytes, correlation: int, client: socket.socket) -> None:
        for one in self._of(client):
            if one.correlation == correlation and one.go.is_set():
                if api_of(one.frame) == END_TXN:  # correlation id, throttle time, error
                    (one.error,) = struct.unpack_from(">h", frame, 12)
                one.answered.set()

    def _awaited(self, client: socket.socket) -> bool:
        return any(not one.answered.is_set() for one in self._of(client))

    def _of(self, client: socket.socket) -> Iterator[Late]:
        return (one for one in self._late if one.client is client)


class _Noting:
    """The broker's end of a connection; every frame passes the proxy's eye first."""

    def __init__(self, broker: socket.socket, proxy: LyingProxy, client: socket.socket) -> None:
        self._broker, self._proxy, self._client = broker, proxy, client

    def sendall(self, frame: bytes) -> None:
        self._proxy._catch(frame, self._client)
        self._broker.sendall(frame)

    def shutdown(self, how: int) -> None:
        if not self._proxy._awaited(self._client):
            self._broker.shutdown(how)


def _reset(client: socket.socket) -> None:
    """The client sees its connection gone; what was sent on it and not yet read is lost."""
    with contextlib.suppress(OSError):
        client.shutdown(socket.SHUT_RDWR)
