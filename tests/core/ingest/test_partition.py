"""The partition of a key is Java's: values from Apache Kafka's own UtilsTest, and properties of the rest."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.core.partition import murmur2, partition_for

IDENTITY = bytes(range(32))


@pytest.mark.parametrize(
    ("key", "signed"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_is_kafkas_murmur2(key: bytes, signed: int) -> None:
    assert murmur2(key) == signed % 2**32


@given(st.binary(max_size=40), st.integers(1, 64))
def test_a_key_goes_where_java_sends_it(key: bytes, partitions: int) -> None:
    assert partition_for(key, IDENTITY, partitions) == (murmur2(key) & 0x7FFFFFFF) % partitions
    assert 0 <= murmur2(key) < 2**32


@given(st.binary(min_size=32, max_size=32), st.integers(1, 64))
def test_without_a_key_the_identity_decides(identity: bytes, partitions: int) -> None:
    found = partition_for(None, identity, partitions)
    assert 0 <= found < partitions
    assert found == partition_for(None, identity, partitions)


def test_an_empty_key_is_a_key() -> None:
    assert {partition_for(b"", bytes([n]) * 32, 7) for n in range(50)} == {partition_for(b"", IDENTITY, 7)}
    assert len({partition_for(None, bytes([n]) * 32, 7) for n in range(50)}) > 1
