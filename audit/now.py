"""Checks now, not a verdict: what pages show, cheap enough to be asked every few seconds.

The ledger's facts are kept as long as a fingerprint of everything they rest on is unchanged; then they are as true now
as when they were counted. While a window moves, facts may be some seconds old, and say so.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import capture as look
from audit import measure as m
from audit.core import facts as f
from audit.core import verdict as v
from ingest.db import read, statements
from ingest.streams import compiled

sql = statements("audit", "now")

PAGE_TIMEOUT = 1.5
#: What is counted quickly is counted anew at every change. What takes longer may take a twentieth of a process' time:
#: counts that took 0.7 s are kept for 14 s while the window moves.
QUICK, SHARE = 0.5, 20
_MOST = 256


@dataclass(frozen=True)
class _Kept:
    fingerprint: str
    facts: f.WindowFacts
    counted: float
    took: float

    def may_stand(self, now: float) -> bool:
        """Old facts with their old times, while the window moves: not for longer than half of what a sample may be."""
        bound = self.facts.rules.sample_max_age.total_seconds() / 2
        return self.took > QUICK and now - self.counted < min(self.took * SHARE, bound)


_kept: dict[tuple[int, int], _Kept] = {}


def checks_now(win: int) -> v.Verdict:
    """What a verdict would say now. Nothing is stored, and Kafka gets little time to answer. Raises NotFound."""
    key, began = (os.getpid(), win), time.monotonic()
    with read() as cur:
        row = m.window_row(cur, win)
    kept = _kept.get(key)
    if kept is not None and kept.may_stand(began):
        return v.verdict(kept.facts, look.now())
    contract = compiled(row.contract_id).contract
    captured = look.recent(contract, m.lanes(win), PAGE_TIMEOUT, _newest(win) if row.state == "CUT" else None)
    fingerprint, at = _fingerprint(win)
    if kept is not None and kept.fingerprint == fingerprint:
        return v.verdict(m.restamped(row, kept.facts, captured, at), look.now())
    counting = time.monotonic()
    measurement = m.measure(win, captured)
    if measurement.row.state == "CUT" and measurement.ages():  # of an open window no revision says anything
        again = look.recent(contract, m.lanes(win), PAGE_TIMEOUT, measurement.at)
        measurement = m.renewed(measurement, again)
    if len(_kept) >= _MOST:
        _kept.clear()
    _kept[key] = _Kept(fingerprint, measurement.facts, time.monotonic(), time.monotonic() - counting)
    return v.verdict(measurement.facts, measurement.at)


def _newest(win: int) -> datetime | None:
    """A cut window's sample must be younger than its cut and its newest receipt."""
    with read() as cur:
        row: Any = cur.execute(sql.newest, {"win": win}).fetchone()
    return row.at  # type: ignore[no-any-return]


def _fingerprint(win: int) -> tuple[str, datetime]:
    with read() as cur:
        row: Any = cur.execute(sql.fingerprint, {"win": win}).fetchone()
    return row.fingerprint, row.at


def forget() -> None:
    """For tests: count anew."""
    _kept.clear()
