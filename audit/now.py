"""Checks now, not a verdict: what pages show, cheap enough to be asked every few seconds.

The ledger's facts are kept as long as a fingerprint of everything they rest on is unchanged; then they are as true now
as when they were counted. They are kept in the database, for all processes: were they kept in each, two loads of a page
would show two states of one window, the older one last. While a window moves, facts may be some seconds old; they say
so.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any

import msgspec

from audit import capture as look
from audit import measure as m
from audit.core import facts as f
from audit.core import verdict as v
from ingest.core.ids import WindowId
from ingest.db import Cursor, read, retry_transaction, statements, write
from ingest.streams import compiled_contract

sql = statements("audit", "now")

PAGE_TIMEOUT = 1.5
#: What is counted quickly is counted anew at every change. What takes longer may take a twentieth of a process' time:
#: counts that took 0.7 s are kept for 14 s while the window moves.
QUICK, SHARE = 0.5, 20


@dataclass(frozen=True)
class KeptFacts:
    """Facts as somebody counted them. `age` is in seconds by the database's clock, `took` what counting took."""

    fingerprint: str
    facts: f.WindowFacts
    counted_at: datetime
    age: float
    took: float

    def may_stand(self) -> bool:
        """Old facts with their old times, while the window moves: not for longer than half of what a sample may be."""
        bound = self.facts.rules.sample_max_age.total_seconds() / 2
        return self.took > QUICK and self.age < min(self.took * SHARE, bound)

    def verdict(self) -> v.Verdict:
        """The facts judged as of the time at which they were counted, not as of now."""
        return v.verdict(self.facts, self.counted_at)


def checks_now(win: WindowId) -> v.Verdict:
    """What a verdict would say now. Nothing is judged by it, and Kafka gets little time to answer. Raises NotFound."""
    return v.verdict(*facts_now(win))


def facts_now(win: WindowId) -> tuple[f.WindowFacts, datetime]:
    """The facts that this would be said of, and as of when."""
    with read() as cur:
        row = m.window_row(cur, win)
        kept = _kept(cur, win)
    if kept is not None and kept.may_stand():
        return kept.facts, kept.counted_at + timedelta(seconds=kept.age)
    contract = compiled_contract(row.contract_id).contract
    captured = look.recent(win, contract, m.lanes(win), PAGE_TIMEOUT, _newest(win) if row.state == "CUT" else None)
    fingerprint, at = _fingerprint(win)
    if kept is not None and kept.fingerprint == fingerprint:
        now = look.now()
        facts = m.restamped(row, kept.facts, captured, at)
        _keep(win, fingerprint, facts, now, kept.took)
        return facts, now
    counting = time.monotonic()
    measurement = m.measure(win, captured)
    if measurement.row.state == "CUT" and measurement.ages():  # of an open window no revision says anything
        newer = look.recent(win, contract, m.lanes(win), PAGE_TIMEOUT, measurement.at)
        measurement = m.renewed(measurement, newer)
    _keep(win, fingerprint, measurement.facts, measurement.at, time.monotonic() - counting)
    return measurement.facts, measurement.at


def kept_checks(win: WindowId) -> tuple[KeptFacts, bool] | None:
    """What was counted last, by whichever process, and whether every fact of the ledger is still as it was then."""
    with read() as cur:
        kept = _kept(cur, win)
    return (kept, kept.fingerprint == _fingerprint(win)[0]) if kept is not None else None


def forget(win: WindowId) -> None:
    """The next look counts anew: somebody has just acted on the window."""
    retry_transaction(lambda: _write(sql.forget, {"win": win}))


def _newest(win: WindowId) -> datetime | None:
    """A cut window's sample must be younger than its cut and its newest receipt."""
    with read() as cur:
        row: Any = cur.execute(sql.newest, {"win": win}).fetchone()
    return row.at  # type: ignore[no-any-return]


def _fingerprint(win: WindowId) -> tuple[str, datetime]:
    with read() as cur:
        row: Any = cur.execute(sql.fingerprint, {"win": win}).fetchone()
    return row.fingerprint, row.at


# ---- kept for everybody ---------------------------------------------------------------------------------------------


@cache
def _shape() -> str:
    """Another version of Passgate may have other facts: what it kept is nothing to this one."""
    return hashlib.sha256(msgspec.json.encode(msgspec.json.schema(f.WindowFacts), order="sorted")).hexdigest()[:16]


@cache
def _decoder() -> msgspec.json.Decoder[f.WindowFacts]:
    return msgspec.json.Decoder(f.WindowFacts)


def _kept(cur: Cursor, win: WindowId) -> KeptFacts | None:
    row = cur.execute(sql.kept, {"win": win, "shape": _shape()}).fetchone()
    if row is None:
        return None
    facts = _decoder().decode(row.facts)
    return KeptFacts(row.fingerprint, facts, row.counted_at, (row.now - row.counted_at).total_seconds(), row.took)


def _keep(win: WindowId, fingerprint: str, facts: f.WindowFacts, at: datetime, took: float) -> None:
    values = {"win": win, "shape": _shape(), "fingerprint": fingerprint, "facts": msgspec.json.encode(facts)}
    retry_transaction(lambda: _write(sql.keep, values | {"at": at, "took": took}))


def _write(statement: str, values: Mapping[str, object]) -> None:
    with write() as cur:
        cur.execute(statement, values)
