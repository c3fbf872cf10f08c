"""What the API answers and `passgate … --json` prints: rows of the ledger as plain JSON. The same words in both.

Digests are lower-case hex, times ISO 8601 in UTC with microseconds, payload bytes base64. Null says "not so, or not
known"; a number is never a stand-in for silence.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

Document = dict[str, Any]


def stamp(at: datetime | None) -> str | None:
    """2026-01-31T02:14:07.000012Z"""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ") if at else None


def hexed(digest: bytes | memoryview | None) -> str | None:
    return bytes(digest).hex() if digest is not None else None
