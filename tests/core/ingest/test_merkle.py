"""Merkle roots against RFC 9162's own recursion, and receipt leaves that no two receipts share."""

from __future__ import annotations

import hashlib
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from ingest.core.decide import Outcome
from ingest.core.merkle import (
    EMPTY_ROOT,
    leaf_hash,
    merkle_root,
    node_hash,
    receipt_leaf,
    receipts_root,
    root_of_hashes,
)
from ingest.core.reason import Decision, Reason


def recursive(leaves: list[bytes]) -> bytes:
    """RFC 9162 section 2.1.1, as it is written there."""
    if not leaves:
        return hashlib.sha256(b"").digest()
    if len(leaves) == 1:
        return hashlib.sha256(b"\x00" + leaves[0]).digest()
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return hashlib.sha256(b"\x01" + recursive(leaves[:k]) + recursive(leaves[k:])).digest()


@given(st.lists(st.binary(max_size=8), max_size=70))
def test_is_the_root_of_rfc_9162(leaves: list[bytes]) -> None:
    assert merkle_root(leaves) == recursive(leaves)
    assert root_of_hashes([leaf_hash(leaf) for leaf in leaves]) == recursive(leaves)


def test_every_size_up_to_a_few_levels() -> None:
    for size in range(140):
        leaves = [bytes([at]) for at in range(size)]
        assert merkle_root(leaves) == recursive(leaves)


def test_known_values() -> None:
    """The test vectors of Certificate Transparency implementations: inputs of 0, 1, 2 and 3 leaves."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert merkle_root([b""]).hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    assert merkle_root([b"", b"\x00"]).hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"
    assert (
        merkle_root([b"", b"\x00", b"\x10"]).hex() == "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"
    )


def test_a_leaf_is_not_a_node() -> None:
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)


DIGESTS = st.binary(min_size=32, max_size=32)
RECEIPTS = st.tuples(
    st.binary(max_size=6),
    st.integers(0, 2**64 - 1),
    st.sampled_from(Decision),
    st.sampled_from(Reason),
    st.none() | DIGESTS,
    DIGESTS,
)


@given(RECEIPTS, RECEIPTS)
def test_no_two_receipts_share_a_leaf(
    one: tuple[bytes, int, int, int, bytes | None, bytes], other: tuple[bytes, int, int, int, bytes | None, bytes]
) -> None:
    assert (receipt_leaf(*one) == receipt_leaf(*other)) == (one == other)


@given(st.binary(max_size=6), st.lists(RECEIPTS, max_size=9))
def test_a_batch_has_the_root_of_its_receipts_leaves(
    key: bytes, made: list[tuple[bytes, int, int, int, Any, bytes]]
) -> None:
    outcomes = [
        Outcome(offset, Decision(decision), Reason(reason), 0, identity, digest, None, None, None)
        for _, offset, decision, reason, identity, digest in made
    ]
    leaves = [receipt_leaf(key, o.offset, o.decision, o.reason, o.identity, o.payload_digest) for o in outcomes]
    assert receipts_root(key, outcomes) == merkle_root(leaves)


def test_a_leaf_is_written_as_documented() -> None:
    leaf = receipt_leaf(b"k", 7, Decision.ADMITTED, Reason.NONE, b"i" * 32, b"p" * 32)
    assert leaf.hex() == "00000001" + "6b" + "0000000000000007" + "01" + "0000" + "01" + "70" * 32 + "69" * 32
