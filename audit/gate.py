"""The gate's row: a lease that follows verdicts, is extended by re-checks, and shuts by expiry (DESIGN 8)."""

from __future__ import annotations

from datetime import timedelta

from ingest.core.contract import Contract, GateUnit
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.streams import compiled

sql = statements("audit", "gate")

RECHECKS_A_LEASE = 3


def lease(contract: Contract) -> timedelta:
    """How long a gate stays open without being re-checked."""
    return contract.gate.recheck * RECHECKS_A_LEASE


def follow(cur: Cursor, win: int, verdict: int, passed: bool) -> None:
    """In the verdict's own transaction: a PASS opens the gate, anything else shuts it."""
    row = cur.execute(sql.window, {"win": win}).fetchone()
    assert row is not None
    contract = compiled(row.contract_id).contract
    whole_run = contract.gate.unit is GateUnit.RUN
    if not passed:
        scope = {"run": row.run_id, "win": None if whole_run else win}
        cur.execute(sql.shut, scope | {"why": f"a newer verdict of window {row.number} is not PASS"})
    elif not whole_run:
        cur.execute(sql.open, {"win": win, "verdict": verdict, "lease": lease(contract)})
    else:
        _open_run(cur, row.run_id, lease(contract))


def _open_run(cur: Cursor, run: int, length: timedelta) -> None:
    """All or nothing: readers see the run's windows once every one of them has passed."""
    rows = cur.execute(sql.newest_of_run, {"run": run}).fetchall()
    if all(row.state == "PASS" for row in rows):
        for row in rows:
            cur.execute(sql.open, {"win": row.win, "verdict": row.verdict, "lease": length})
            failpoint("gate.after_window")
