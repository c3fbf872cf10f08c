"""Kafka's Produce request by hand: what no client library lets a producer send, and any program on the network can.

Header names that are no text, batches that unpack to a thousand times their size. Record batch v2 as in Kafka's
protocol guide; Produce version 8, the last one without tagged fields.
"""

from __future__ import annotations

import gzip
import socket
import struct
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

PRODUCE, VERSION = 0, 8
GZIP = 1


class Raw(NamedTuple):
    """A record whose every part is bytes; None is Kafka's null."""

    value: bytes | None
    key: bytes | None = None
    headers: Sequence[tuple[bytes, bytes | None]] = ()


class Refused(Exception):
    """The broker's error code, and its words."""


def produce(
    bootstrap: str, topic: str, records: Sequence[Raw], packed: bool = False, timestamp: int | None = None
) -> int:
    """Sends one batch to partition 0 of the only broker there is; returns the offset of its first record."""
    batch = batch_of(records, packed, int(time.time() * 1000) if timestamp is None else timestamp)
    body = struct.pack(">hhi", -1, -1, 30_000)
    body += struct.pack(">i", 1) + _string(topic) + struct.pack(">iii", 1, 0, len(batch)) + batch
    host, _, port = bootstrap.split(",")[0].rpartition(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        frame = struct.pack(">hhi", PRODUCE, VERSION, 1) + _string("by-hand") + body
        connection.sendall(struct.pack(">i", len(frame)) + frame)
        (size,) = struct.unpack(">i", _exactly(connection, 4))
        return _base_offset(_exactly(connection, size), topic)


def _base_offset(answer: bytes, topic: str) -> int:
    """correlation id, [topic, [partition, error, base offset, ...]]"""
    at = 4 + 4 + 2 + len(topic.encode()) + 4 + 4
    error, offset = struct.unpack_from(">hq", answer, at)
    if error:
        raise Refused(f"error {error}: {answer[at + 2 :]!r}")
    return int(offset)


def batch_of(records: Sequence[Raw], packed: bool, timestamp: int) -> bytes:
    body = b"".join(_record(record, delta) for delta, record in enumerate(records))
    if packed:
        body = gzip.compress(body, 9)
    rest = struct.pack(
        ">hiqqqhii", GZIP if packed else 0, len(records) - 1, timestamp, timestamp, -1, -1, -1, len(records)
    )  # fmt: skip
    covered = rest + body
    head = struct.pack(">ibI", -1, 2, crc32c(covered))
    return struct.pack(">qi", 0, len(head) + len(covered)) + head + covered


def _record(record: Raw, delta: int) -> bytes:
    body = b"\x00" + _varint(0) + _varint(delta) + _sized(record.key) + _sized(record.value)
    body += _varint(len(record.headers)) + b"".join(_sized(name) + _sized(raw) for name, raw in record.headers)
    return _varint(len(body)) + body


def _sized(raw: bytes | None) -> bytes:
    return _varint(-1) if raw is None else _varint(len(raw)) + raw


def _varint(number: int) -> bytes:
    """Zigzag, seven bits a byte."""
    left = (number << 1) ^ (number >> 63)
    out = bytearray()
    while left > 0x7F:
        out.append(left & 0x7F | 0x80)
        left >>= 7
    return bytes([*out, left])


def _string(text: str) -> bytes:
    raw = text.encode()
    return struct.pack(">h", len(raw)) + raw


def _exactly(connection: socket.socket, size: int) -> bytes:
    got = b""
    while len(got) < size:
        part = connection.recv(size - len(got))
        if not part:
            raise Refused("the broker ended the connection")
        got += part
    return got


def _table() -> Iterable[int]:
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        yield value


_TABLE = tuple(_table())


def crc32c(data: bytes) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
