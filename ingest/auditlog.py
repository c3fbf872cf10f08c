"""The audit log: every act and every refusal is one row, hash-chained; no row, no act."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

import rfc8785
from psycopg.types.json import Jsonb

from ingest.db import Cursor, retry_transaction, write

_LOCK_HEAD = "SELECT last_id, digest FROM audit_head WHERE id = 1 FOR UPDATE"
_APPEND = """
INSERT INTO audit_log (id, at, actor, act, subject, reason, refused, detail, previous, digest)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""


def record_act(
    cur: Cursor, actor: str, act: str, subject: str, reason: str = "", detail: dict[str, Any] | None = None
) -> int:
    """Appends the act's row in the act's own transaction. Call it last: the chain's head is the last lock taken."""
    return _append(cur, actor, act, subject, reason, detail or {}, refused=False)


def record_refusal(actor: str, act: str, subject: str, reason: str, detail: dict[str, Any] | None = None) -> int:
    """A refusal has a transaction of its own: the act's was rolled back."""
    return retry_transaction(lambda: _record_refusal(actor, act, subject, reason, detail or {}))


def _record_refusal(actor: str, act: str, subject: str, reason: str, detail: dict[str, Any]) -> int:
    with write() as cur:
        return _append(cur, actor, act, subject, reason, detail, refused=True)


def digest_of(row: dict[str, Any], previous: bytes) -> bytes:
    """SHA-256 over the previous digest and the row in canonical form: what the chain stands on."""
    return hashlib.sha256(previous + rfc8785.dumps(row)).digest()


def chained(
    number: int, at: str, actor: str, act: str, subject: str, reason: str, refused: bool, detail: dict[str, Any]
) -> dict[str, Any]:
    """The fields a row's digest covers; `at` is ISO 8601 with microseconds, UTC."""
    return {
        "id": number, "at": at, "actor": actor, "act": act, "subject": subject, "reason": reason, "refused": refused,
        "detail": detail,
    }  # fmt: skip


def stamp(at: datetime) -> str:
    """A row's time as its digest covers it, whatever the session's time zone."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def _append(cur: Cursor, actor: str, act: str, subject: str, reason: str, detail: dict[str, Any], refused: bool) -> int:
    head = cur.execute(_LOCK_HEAD).fetchone()
    assert head is not None
    at = cur.execute("SELECT clock_timestamp() AS now").fetchone()
    assert at is not None
    number = head.last_id + 1
    row = chained(number, stamp(at.now), actor, act, subject, reason, refused, detail)
    digest = digest_of(row, bytes(head.digest))
    cur.execute(
        _APPEND, (number, at.now, actor, act, subject, reason, refused, Jsonb(detail), bytes(head.digest), digest)
    )
    cur.execute("UPDATE audit_head SET last_id = %s, digest = %s WHERE id = 1", (number, digest))
    return int(number)
