"""Merkle trees as in RFC 9162 section 2.1, and the leaf that a receipt becomes."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable, Sequence
from typing import Protocol

EMPTY_ROOT = hashlib.sha256(b"").digest()

_RECEIPT = struct.Struct(">QBHB32s")
_NO_IDENTITY = b""


class SourceName(Protocol):
    """What names a source in leaves: a row or a model."""

    cluster_id: str
    topic_id: str
    partition: int
    incarnation: int


def source_key(source: SourceName) -> bytes:
    """Bytes that name a source in receipts' leaves, whatever its number in this database."""
    key = f"{source.cluster_id}/{source.topic_id}/{source.partition}"
    return (key if source.incarnation == 1 else f"{key}/{source.incarnation}").encode()


def leaf_hash(data: bytes) -> bytes:
    """RFC 9162: SHA-256(0x00 || data)."""
    return hashlib.sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """RFC 9162: SHA-256(0x01 || left || right)."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def merkle_root(leaves: Iterable[bytes]) -> bytes:
    """The tree head over the leaves' data, in order; EMPTY_ROOT for none."""
    sha256 = hashlib.sha256
    return root_of_hashes([sha256(b"\x00" + leaf).digest() for leaf in leaves])


def root_of_hashes(hashes: Sequence[bytes]) -> bytes:
    """The tree head over leaf hashes.

    Pairing neighbours level by level and carrying an odd last one up unchanged builds the same tree as RFC 9162's split
    at the largest power of two, without recursion.
    """
    if not hashes:
        return EMPTY_ROOT
    sha256 = hashlib.sha256
    level = list(hashes)
    while len(level) > 1:
        odd = level[-1:] if len(level) & 1 else []
        # An iterator zipped with itself yields neighbours as pairs and drops an odd last one.
        halves = iter(level)
        level = [sha256(b"\x01" + left + right).digest() for left, right in zip(halves, halves, strict=False)] + odd
    return level[0]


class Receipt(Protocol):
    """What a receipt's leaf is made of."""

    @property
    def offset(self) -> int: ...
    @property
    def decision(self) -> int: ...
    @property
    def reason(self) -> int: ...
    @property
    def identity(self) -> bytes | None: ...
    @property
    def payload_digest(self) -> bytes: ...


def receipts_root(source_key: bytes, receipts: Iterable[Receipt]) -> bytes:
    """The tree head over the receipts' leaves: `receipt_leaf` and `merkle_root`, with what they share made once."""
    start = b"\x00" + len(source_key).to_bytes(4, "big") + source_key
    sha256, fixed = hashlib.sha256, _RECEIPT.pack
    hashes = []
    for receipt in receipts:
        identity = receipt.identity
        middle = fixed(receipt.offset, receipt.decision, receipt.reason, identity is not None, receipt.payload_digest)
        hashes.append(sha256(start + middle + (identity or _NO_IDENTITY)).digest())
    return root_of_hashes(hashes)


def receipt_leaf(
    source_key: bytes, offset: int, decision: int, reason: int, identity: bytes | None, payload_digest: bytes
) -> bytes:
    """The bytes of one receipt that digests and roots stand on.

    `length(source_key) source_key offset:u64 decision:u8 reason:u16 has_identity:u8 payload_digest:32 [identity:32]`,
    big-endian. The source key is length-prefixed, all else is of fixed size: no two receipts share a leaf.
    """
    has_identity = identity is not None
    fixed = _RECEIPT.pack(offset, decision, reason, has_identity, payload_digest)
    return len(source_key).to_bytes(4, "big") + source_key + fixed + (identity or _NO_IDENTITY)
