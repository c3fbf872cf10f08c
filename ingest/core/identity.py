"""Digests: which event this is (identity), and what exactly it said (payload digest)."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

Part = str | int
Parts = tuple[Part, ...]

DIGEST_BYTES = 32


def payload_digest(value: bytes | None) -> bytes:
    """SHA-256 of the record's raw value, 32 bytes; a tombstone's is that of no bytes, its reason tells it from EMPTY."""
    return hashlib.sha256(value or b"").digest()


def identity_digest(stream: str, run_id: str, event_class: str, parts: Parts) -> bytes:
    """32 bytes: SHA-256 over type-tagged, length-prefixed raw parts, so no two tuples collide by joining.

    Each of stream, run, class and the id parts is `tag length ":" bytes`, tag "s" for a string's UTF-8 and "i" for an
    integer's decimal digits, length in decimal. Nothing is normalised: NFC and NFD are two identities.
    """
    return hashlib.sha256(_prefix(stream, run_id, event_class) + _tail(parts)).digest()


def identifier(stream: str, run_id: str, event_class: str) -> Callable[[Parts], bytes]:
    """`identity_digest` with stream, run and class fixed: what a batch calls once per event."""
    prefix = _prefix(stream, run_id, event_class)
    sha256 = hashlib.sha256

    def digest(parts: Parts) -> bytes:
        return sha256(prefix + _tail(parts)).digest()

    return digest


def _prefix(stream: str, run_id: str, event_class: str) -> bytes:
    return b"passgate-identity-1:" + _tail((stream, run_id, event_class))


def _tail(parts: Parts) -> bytes:
    return b"".join([_tagged(part) for part in parts])


def _tagged(part: Part) -> bytes:
    if type(part) is str:
        raw = part.encode()
        return b"s%d:%b" % (len(raw), raw)
    digits = b"%d" % part
    return b"i%d:%b" % (len(digits), digits)
