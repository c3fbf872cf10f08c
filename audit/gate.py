"""The gate's row: a lease that follows verdicts, is extended by re-checks, and shuts by expiry (docs/design.md#gate).

A reader's session may still show what it saw before a gate shut. So every gate that is over, for whatever reason, owes
the end of such sessions, after its own end is committed; `end_readers` pays, and who dies before leaves it to the next.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import connection

from audit.core import facts as f
from audit.core import gate as core
from audit.core.gate import GateDecision
from ingest.auditlog import record_act
from ingest.core.contract import Contract, GateUnit
from ingest.core.ids import RunId, WindowId
from ingest.core.lease import RECHECKS_A_LEASE
from ingest.db import Cursor, fetch_one, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.streams import compiled_contract

log = logging.getLogger(__name__)
sql = statements("audit", "gate")

ENFORCER = "passgate"
LAPSED = "its lease ran out and was not renewed"


def lease(contract: Contract) -> timedelta:
    """How long a gate stays open without being re-checked."""
    return contract.gate.recheck * RECHECKS_A_LEASE


@dataclass(frozen=True)
class CoveredWindow:
    """A window that a rerun's PASS opens, and since when what both rest on is known."""

    win: WindowId
    measured_at: datetime


def follow(cur: Cursor, win: WindowId, verdict: int, passed: bool, measured_at: datetime) -> None:
    """In the verdict's own transaction: a PASS opens the gate, anything else shuts it.

    `measured_at`: when Kafka was asked for what the verdict rests on; the lease counts from there.
    """
    row = cur.execute(sql.window, {"win": win}).fetchone()
    assert row is not None
    contract = compiled_contract(row.contract_id).contract
    # a rerun is read with its own PASS, and what a fresh run has taken the place of says nothing of its run any more
    whole_run = contract.gate.unit is GateUnit.RUN and not row.is_rerun and row.superseded_by is None
    if not passed:
        scope = {"run": row.run_id, "win": None if whole_run else win}
        cur.execute(sql.shut, scope | {"why": f"a newer verdict of window {row.number} is not PASS"})
    elif row.superseded_by is not None:
        log.info("window %s is not opened: %s has taken its place", win, row.superseded_by)
    else:
        _take_place(cur, row)
        failpoint("gate.after_place")
        if whole_run:
            _open_run(cur, row.run_id, {win: measured_at}, lease(contract))
        else:
            _open(cur, win, verdict, measured_at, lease(contract))


def open_covered(cur: Cursor, covered: CoveredWindow, verdict: int) -> None:
    """In the verdict's own transaction, after `follow`: the PASS of a rerun opens the window that it covers, too."""
    row = fetch_one(cur.execute(sql.window, {"win": covered.win}))
    length = lease(compiled_contract(row.contract_id).contract)
    if compiled_contract(row.contract_id).contract.gate.unit is GateUnit.RUN:
        _open_run(cur, RunId(row.run_id), {covered.win: covered.measured_at}, length)
    else:
        _open(cur, covered.win, verdict, covered.measured_at, length)


def _take_place(cur: Cursor, row: Any) -> None:
    """A fresh run shuts what it takes the place of: both are never open, for whoever opens either one holds the older
    window's row. Where that window alone kept its run shut, the others are read now. Other runs take no place."""
    if row.supersedes is None:
        return
    first = fetch_one(cur.execute(sql.lock_superseded, {"win": row.supersedes}))
    failpoint("gate.after_superseded")
    cur.execute(sql.shut_superseded, {"win": row.supersedes, "why": f"superseded by {row.name}"})
    failpoint("gate.after_superseding")
    contract = compiled_contract(first.contract_id).contract
    if contract.gate.unit is GateUnit.RUN:
        _open_run(cur, RunId(first.run_id), {}, lease(contract))


def _open(cur: Cursor, win: WindowId, verdict: int, measured_at: datetime, length: timedelta) -> None:
    cur.execute(sql.hold_contexts, {"win": win})
    failpoint("gate.after_contexts")
    cur.execute(sql.open, {"win": win, "verdict": verdict, "measured": measured_at, "lease": length})


def _open_run(cur: Cursor, run: RunId, measured: Mapping[int, datetime], length: timedelta) -> None:
    """All or nothing: readers see the run's windows once every one of them has passed, or another run in its place.

    The others' leases count from what they rest on, too: where that is long ago, the enforcer looks before they open.
    """
    found = cur.execute(sql.newest_of_run, {"run": run}).fetchall()
    rows = [row for row in found if row.superseded_by is None]
    if all(row.state == "PASS" for row in rows):
        for row in rows:
            _open(cur, row.win, row.verdict, measured.get(row.win, row.measured_at), length)
            failpoint("gate.after_window")


# ---- how it stands --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Standing:
    """What whoever asked at `now` would be answered. `gate` is what is known of a single window's gate."""

    decision: GateDecision
    now: datetime
    gate: core.WindowGate | None = None

    @property
    def left(self) -> float | None:
        """Seconds for which a yes holds; None for anything else."""
        until = self.decision.open_until
        return (until - self.now).total_seconds() if self.decision.granted and until is not None else None


#: Windows that a count names, the first of them.
NAMED = 20


@dataclass(frozen=True)
class Some:
    """So many windows, and the numbers of the first of them."""

    count: int = 0
    first: tuple[int, ...] = ()


@dataclass(frozen=True)
class RunStanding:
    """How a run stands over all of its windows at `now`, whatever the newest one says.

    `going`: the number of its open window; `awaited`: those that are cut and not judged; `shut`: those that passed and
    whose gate is over; `open`: those that readers may read, as long as the first of their leases lasts. `told`: the key
    of the window whose verdict says most about the run: the first that failed or is blocked, else the newest judged.
    """

    closed: bool
    now: datetime
    windows: int
    newest: int
    going: int | None
    failed: Some
    blocked: Some
    shut: Some
    awaited: Some
    waived: int
    open: int
    not_open: tuple[int, ...]
    until: datetime | None
    told: WindowId | None

    @property
    def passed(self) -> int:
        """Windows whose newest verdict is PASS, whatever their gates are."""
        return self.windows - self.failed.count - self.blocked.count - self.awaited.count - (self.going is not None)

    @property
    def not_judged(self) -> int:
        return self.awaited.count + (self.going is not None)

    @property
    def worst(self) -> str | None:
        """FAIL, BLOCKED or PASS: the worst verdict that stands; None where there is none."""
        return "FAIL" if self.failed.count else "BLOCKED" if self.blocked.count else "PASS" if self.passed else None

    @property
    def granted(self) -> bool:
        """Whether a reader who asks for the whole run is let in: closed, and every window open."""
        return self.closed and self.open == self.windows

    @property
    def left(self) -> float | None:
        """Seconds for which a yes holds; None for anything else."""
        return (self.until - self.now).total_seconds() if self.granted and self.until is not None else None


def standing(runs: Sequence[RunId]) -> dict[RunId, RunStanding]:
    """How these runs stand, by the rule that readers are answered by (`decide_gate`); by run. One row a run.

    Runs without a window are left out. For showing only: nothing is logged, and nobody may read by it.
    """
    with read() as cur:
        rows = cur.execute(sql.standing, {"runs": list(runs), "most": NAMED}).fetchall()
    return {row.run: _of_run(row) for row in rows}


def _of_run(row: Any) -> RunStanding:
    return RunStanding(
        closed=row.closed,
        now=row.now,
        windows=row.windows,
        newest=row.newest,
        going=row.going,
        failed=_some(row.failed, row.failed_first),
        blocked=_some(row.blocked, row.blocked_first),
        shut=_some(row.shut, row.shut_first),
        awaited=_some(row.awaited, row.awaited_first),
        waived=row.waived,
        open=row.open,
        not_open=tuple(row.not_open_first or ()),
        until=row.until,
        told=row.told,
    )


def _some(count: int, first: Sequence[int] | None) -> Some:
    return Some(count, tuple(first or ()))


def standing_of(windows: Sequence[WindowId]) -> dict[WindowId, Standing]:
    """How the gates of these windows stand, by the same rule; by window."""
    with read() as cur:
        rows = cur.execute(sql.standing_of_windows, {"wins": list(windows)}).fetchall()
    gates = {row.win: window_gate(row) for row in rows}
    return {row.win: Standing(core.decide([gates[row.win]], True, row.now), row.now, gates[row.win]) for row in rows}


def window_gate(row: Any) -> core.WindowGate:
    """A window's gate as the pure rule takes it, of a row of `standing_of_windows` or `run_gates`."""
    return core.WindowGate(
        row.number,
        row.verdict,
        row.state,
        row.body,
        row.gate_verdict,
        row.open_until,
        row.checked_at,
        row.shut_why,
        row.superseded_by,
        recheck_end(row),
        proof(row),
    )


def proof(row: Any) -> core.Proof | None:
    """Which rerun proves a window, of a row that joins `covering`."""
    if row.proof is None:
        return None
    return core.Proof(row.number, row.proof_rerun, row.proof, row.proof_stands, row.proof_body)


def recheck_end(row: Any) -> f.RecheckEnd | None:
    """Which plan ended the re-checks of a window's inbox, of a row that joins `recheck_end_of`."""
    if row.ended_by is None:
        return None
    return f.RecheckEnd(row.ended_by, row.ended_topic, row.ended_requested_by, row.ended_approved_by, row.ended_at)


# ---- readers of before ----------------------------------------------------------------------------------------------


def end_readers() -> int:
    """Ends the sessions of readers that began before a gate was over, and says so; returns how many.

    Called after the commit of what shut the gate: whoever connects later sees it shut. Inside of a caller's transaction
    nothing is over yet, and nothing is done.
    """
    if connection.in_atomic_block:
        return 0
    with read() as cur:
        owed = cur.execute(sql.owed).fetchall()
    if not owed:
        return 0
    with read() as cur:  # one statement is its own transaction
        ended = int(fetch_one(cur.execute(sql.end_readers, {"before": owed[0].now})).ended)
    failpoint("readers.after_ending")
    retry_transaction(lambda: _write_down(owed, ended))
    return ended


def _write_down(owed: Sequence[Any], ended: int) -> None:
    """An act for each gate that was shut for a reason; a lease that merely ran out is one if it ended somebody."""
    with write() as cur:
        values = {"wins": [row.win for row in owed], "before": owed[0].now}
        paid = {row.win for row in cur.execute(sql.paid, values).fetchall()}
        failpoint("readers.after_row")
        for row in owed:
            if row.win in paid and (row.shut_why or ended):
                detail = {"window": row.number, "verdict": row.verdict, "readers_ended": ended}
                record_act(cur, ENFORCER, "gate.shut", row.run, row.shut_why or LAPSED, detail)
                failpoint("readers.after_act")
        failpoint("readers.before_commit")
