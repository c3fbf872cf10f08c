"""Lets age what no verdict stands on: the gate's answers, and raw bytes of records that strangers wrote to the bus.

How long each is kept is a setting (docs/settings.md says what is kept for ever). The database refuses to forget
what is younger than a week, whoever asks.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.conf import settings

from ingest.db import fetch_one, retry_transaction, statements, write

sql = statements("audit", "forget")

#: Rows of a table at once: a transaction of moments, and more an hour than a gate is asked.
MOST = 50_000


@dataclass(frozen=True)
class ForgottenRows:
    """Rows that were let go of."""

    gate_decisions: int
    foreign_bytes: int


def forget() -> ForgottenRows:
    """One bounded step of each."""
    decisions = _after(settings.PASSGATE_KEEP_GATE_DECISIONS_DAYS)
    foreign = _after(settings.PASSGATE_KEEP_FOREIGN_BYTES_DAYS)
    done = retry_transaction(lambda: _run(sql.gate_decisions, decisions))
    return ForgottenRows(done, retry_transaction(lambda: _run(sql.foreign_bytes, foreign)))


def _after(days: int) -> timedelta | None:
    return timedelta(days=days) if days else None


def _run(statement: str, older: timedelta | None) -> int:
    if older is None:
        return 0
    with write() as cur:
        return int(fetch_one(cur.execute(statement, {"older": older, "most": MOST})).n)
