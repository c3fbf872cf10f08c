"""Refused acts in the audit log, bounded: whoever is refused again and again takes the chain's head once a second.

Every act waits for that head, so that a person, or a program with their token, who is told no a thousand times a second
would hold up everybody. The first refusal of a person and act is a row at once; those that follow within APART are
counted, and the next row says how many they were. None is lost: a count that nothing follows is written by `flush`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from ingest.auditlog import record_refusal
from ingest.core.errors import PermissionRefused
from ingest.db import retry_transaction, write

APART = timedelta(seconds=1)
FLUSHED = 100
"""Counts that one flush writes at most; the others wait for the next."""

# Counts a refusal; `due` when it is the one that is written, and then `held` is how many were only counted before it.
_COUNT = """
INSERT INTO refusal AS r (actor, act, written_at, seen, told, held)
VALUES (%(actor)s, %(act)s, clock_timestamp(), 1, 1, 0)
ON CONFLICT (actor, act) DO UPDATE SET
    seen = r.seen + 1,
    told = CASE WHEN r.written_at <= clock_timestamp() - %(apart)s THEN r.seen + 1 ELSE r.told END,
    held = CASE WHEN r.written_at <= clock_timestamp() - %(apart)s THEN r.seen - r.told ELSE r.held END,
    written_at = CASE WHEN r.written_at <= clock_timestamp() - %(apart)s THEN clock_timestamp() ELSE r.written_at END
RETURNING seen = told AS due, held
"""

# One count that no refusal has followed for a while.
_LEFT = """
UPDATE refusal AS r SET told = r.seen, held = r.seen - r.told, written_at = clock_timestamp()
 WHERE r.id = (SELECT id FROM refusal WHERE seen > told AND written_at <= clock_timestamp() - %(apart)s
                ORDER BY id LIMIT 1 FOR UPDATE SKIP LOCKED)
RETURNING actor, act, held
"""


@contextmanager
def written_down(actor: str, act: str, subject: str) -> Iterator[None]:
    """What a verb refuses to this person goes into the audit log, as what a face refuses does."""
    try:
        yield
    except PermissionRefused as error:
        refused(actor, act, subject, str(error), {"code": error.code})
        raise


def refused(actor: str, act: str, subject: str, reason: str, detail: dict[str, Any]) -> None:
    """Writes the refusal down, or counts it where the last row of this person and act is younger than APART."""
    retry_transaction(lambda: _refused(actor, act, subject, reason, detail))


def _refused(actor: str, act: str, subject: str, reason: str, detail: dict[str, Any]) -> None:
    with write() as cur:
        row = cur.execute(_COUNT, {"actor": actor, "act": act, "apart": APART}).fetchone()
        assert row is not None
        if row.due:
            record_refusal(actor, act, subject, reason, detail | ({"held_back": row.held} if row.held else {}))


def flush() -> int:
    """Writes what was only counted, once nothing follows any more; returns how many rows that took."""
    for written in range(FLUSHED):
        if not retry_transaction(_flush_one):
            return written
    return FLUSHED


def _flush_one() -> bool:
    with write() as cur:
        row = cur.execute(_LEFT, {"apart": APART}).fetchone()
        if row is not None:
            reason = f"refused {row.held} more times, faster than one a second"
            record_refusal(row.actor, row.act, "", reason, {"held_back": row.held})
    return row is not None
