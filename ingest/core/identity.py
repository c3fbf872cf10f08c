"""Digests: which event this is (identity), and what exactly it said (payload digest)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import msgspec

Part = str | int
Parts = tuple[Part, ...]

DIGEST_BYTES = 32
MAGIC = b"passgate-identity-1:"

_encode = msgspec.msgpack.Encoder().encode


def payload_digest(value: bytes | None) -> bytes:
    """SHA-256 of the record's raw value, 32 bytes. A tombstone counts as no bytes."""
    return hashlib.sha256(value or b"").digest()


def identity_digest(stream: str, run_name: str, event_class: str, parts: Parts) -> bytes:
    """32 bytes: SHA-256 over type-tagged, length-prefixed raw parts, so no two tuples collide by joining.

    The bytes are `MAGIC`, then stream, run and class as MessagePack strings, then the parts as a MessagePack array of
    strings and integers, each in its shortest form: tag, length and raw UTF-8 for a string, tag and fixed width for an
    integer. Nothing is normalised: NFC and NFD are two identities, and so are "1" and 1.
    """
    return identifier(stream, run_name, event_class)(parts)


def identifier(stream: str, run_name: str, event_class: str) -> Callable[[Parts], bytes]:
    """`identity_digest` with stream, run and class fixed: what a batch calls once per event.

    MessagePack because msgspec writes it in 0.1 microseconds, a tenth of what joining in Python takes.
    """
    prefix = MAGIC + b"".join(map(_encode, (stream, run_name, event_class)))
    sha256 = hashlib.sha256
    encode = _encode

    def digest(parts: Parts) -> bytes:
        return sha256(prefix + encode(parts)).digest()

    return digest
