"""Identity digests: no two tuples share one, whatever separators, types and lengths their parts have."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from ingest.core.identity import MAGIC, Part, identifier, identity_digest, payload_digest

TEXTS = st.text(st.characters(codec="utf-8"), max_size=300)
INTEGERS = st.integers(-(2**63), 2**64 - 1)
PARTS = st.lists(TEXTS | INTEGERS, min_size=1, max_size=5).map(tuple)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
# Texts that meet when joined carelessly.
TRICKY = st.sampled_from(
    ["", "a", "b", "ab", "a:b", "a|b", ",", "\x1f", "1", "01", "s1:a", "i1:1", "é", "e\u0301", "A"]
)
TRICKY_PARTS = st.lists(TRICKY | st.sampled_from([0, 1, -1, 10, 255, 256]), min_size=1, max_size=4).map(tuple)
KEYS = st.tuples(TRICKY, TRICKY, TRICKY, TRICKY_PARTS)


def packed(part: Part) -> bytes:
    """MessagePack of a string or an integer, written from its specification: what an auditor would write."""
    if isinstance(part, str):
        raw = part.encode()
        size = len(raw)
        if size < 32:
            return bytes([0xA0 | size]) + raw
        if size < 256:
            return b"\xd9" + size.to_bytes(1, "big") + raw
        return (b"\xda" + size.to_bytes(2, "big") if size < 65536 else b"\xdb" + size.to_bytes(4, "big")) + raw
    if -32 <= part < 128:
        return part.to_bytes(1, "big", signed=part < 0)
    if part >= 0:
        tag, width = next(
            (tag, width) for tag, width in zip(b"\xcc\xcd\xce\xcf", (1, 2, 4, 8), strict=True) if part < 256**width
        )
        return bytes([tag]) + part.to_bytes(width, "big")
    tag, width = next(
        (tag, width) for tag, width in zip(b"\xd0\xd1\xd2\xd3", (1, 2, 4, 8), strict=True) if part >= -(256**width) // 2
    )
    return bytes([tag]) + part.to_bytes(width, "big", signed=True)


def by_hand(stream: str, run_name: str, event_class: str, parts: Sequence[Part]) -> bytes:
    said = (
        MAGIC
        + b"".join(map(packed, (stream, run_name, event_class)))
        + bytes([0x90 | len(parts)])
        + b"".join(map(packed, parts))
    )
    return hashlib.sha256(said).digest()


@given(NAMES, NAMES, NAMES, PARTS)
def test_is_what_the_docstring_says(stream: str, run_name: str, event_class: str, parts: tuple[Part, ...]) -> None:
    digest = identity_digest(stream, run_name, event_class, parts)
    assert digest == by_hand(stream, run_name, event_class, parts)
    assert digest == identifier(stream, run_name, event_class)(parts)
    assert len(digest) == 32


@given(KEYS, KEYS)
def test_different_tuples_never_collide(
    one: tuple[str, str, str, tuple[Part, ...]], other: tuple[str, str, str, tuple[Part, ...]]
) -> None:
    assert (identity_digest(*one) == identity_digest(*other)) == (one == other)


@given(st.lists(TRICKY, min_size=2, max_size=4))
def test_moving_a_border_between_parts_changes_the_identity(texts: list[str]) -> None:
    joined = "".join(texts)
    splits = {(joined[:at], joined[at:]) for at in range(len(joined) + 1)}
    assert len({identity_digest("s", "r", "c", parts) for parts in splits}) == len(splits)


def test_types_are_tagged() -> None:
    assert identity_digest("s", "r", "c", ("1",)) != identity_digest("s", "r", "c", (1,))


def test_the_run_is_part_of_it() -> None:
    """S5, S9: the same event in two runs has two identities."""
    assert identity_digest("s", "2013-01", "c", ("a",)) != identity_digest("s", "2013-02", "c", ("a",))


def test_is_pinned() -> None:
    """Ledgers hold it: a change here would admit every stored event once more."""
    digest = identity_digest("flights", "2013-01", "flight", ("UA", 1545, "2013-01-01T10:00:00Z"))
    assert digest.hex() == "44b35a38a1d1c8829034a0b87a07d6a5393c09329597833892276cc878a36fcf"


def test_payload_digest_is_of_the_raw_bytes() -> None:
    assert payload_digest(b'{"a":1}') == hashlib.sha256(b'{"a":1}').digest()
    assert payload_digest(b'{"a": 1}') != payload_digest(b'{"a":1}')
    assert payload_digest(None) == payload_digest(b"")
