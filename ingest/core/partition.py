"""Which bus partition an event goes to: Java's default partitioner, so other producers' keys land beside ours.

Source: Apache Kafka, org.apache.kafka.common.utils.Utils.murmur2 and BuiltInPartitioner.partitionForKey.
"""

from __future__ import annotations

from struct import unpack_from

_SEED = 0x9747B28C
_M = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The unsigned 32-bit hash Kafka's Java clients use."""
    length = len(data)
    m, mask = _M, _MASK
    h = _SEED ^ length
    for word in unpack_from(f"<{length >> 2}I", data):
        k = word * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = data[length & ~3 :]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * _M & _MASK
    h = (h ^ h >> 13) * _M & _MASK
    return h ^ h >> 15


def partition_for(key: bytes | None, identity: bytes, partitions: int) -> int:
    """The partition of `key` among `partitions`; an event without key goes by its identity digest.

    Java's producer spreads keyless records by load, which nobody could repeat; the identity makes a republish of the
    same event land in the same place. An empty key is a key.
    """
    if key is None:
        return int.from_bytes(identity[:8], "big") % partitions
    return (murmur2(key) & 0x7FFFFFFF) % partitions
