"""The gate at work: re-checks what open gates stand on, shuts them, and answers who may read. No PASS, no read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg

from audit import capture as look
from audit import gate
from audit.core import gate as core
from audit.core import words as w
from audit.core.gate import Code, GateDecision
from audit.measure import lanes
from ingest.auditlog import record_act
from ingest.core.contract import Contract
from ingest.core.errors import PassgateError
from ingest.db import Cursor, DatabaseGone, Refused, read, statements, write
from ingest.failpoints import failpoint
from ingest.streams import compiled

__all__ = ["Code", "Enforced", "GateDecision", "decide_gate", "enforce_due"]

log = logging.getLogger(__name__)
sql = statements("audit", "enforce")

ENFORCER = "passgate"


@dataclass(frozen=True)
class Enforced:
    """What became of one open gate: "extended", "shut" or "unmeasured", and why."""

    win: int
    outcome: str
    why: str = ""


# ---- re-checking ----------------------------------------------------------------------------------------------------


def enforce_due() -> list[Enforced]:
    """Re-checks gates whose contract's `recheck` is over, or that are contradicted; Kafka is asked once a stream."""
    with read() as cur:
        rows = cur.execute(sql.gates).fetchall()
    due: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        recheck = compiled(row.contract_id).contract.gate.recheck
        # checked at a time to come: the database's clock has stepped back since, and the gate's lease grew by as much
        if row.contradictions or not timedelta(0) <= row.age < recheck:
            due[row.stream_id].append(row)
    return [found for stream, gates in due.items() for found in _enforced(stream, gates)]


def _enforced(stream: int, gates: Sequence[Any]) -> list[Enforced]:
    """One stream's trouble extends none of its gates, and leaves the others' alone."""
    try:
        return _enforce_stream(stream, gates)
    except DatabaseGone:
        raise
    except PassgateError as error:
        log.warning("gates of stream %s not re-checked: %s", stream, error)
        return [Enforced(row.win, "unmeasured", str(error)) for row in gates]


def _enforce_stream(stream: int, gates: Sequence[Any]) -> list[Enforced]:
    contract = compiled(gates[-1].contract_id).contract
    captured = look.capture(contract, lanes(gates[-1].win))  # positions are the sources', whatever the window
    failpoint("enforce.after_capture")
    found = [_enforce(row, compiled(row.contract_id).contract, captured) for row in gates]
    failpoint("enforce.after_gates")
    outcome = w.listed(sorted({x.outcome if not x.why else f"{x.outcome}: {x.why}" for x in found}))
    with write() as cur:
        cur.execute(sql.looked, {"stream": stream, "outcome": outcome})
    return found


def _enforce(row: Any, contract: Contract, captured: look.Captured) -> Enforced:
    if captured.broker is None:
        return Enforced(row.win, "unmeasured", captured.why)
    with read() as cur:
        basis = look.read_basis(cur, row.win)
        ranges = [_range(x) for x in cur.execute(sql.ranges, {"win": row.win}).fetchall()]
    if basis is None:
        return Enforced(row.win, "unmeasured", "the basis has a shape this version does not know")
    broker = captured.broker.value
    objections = core.objections(basis.value, broker, ranges, row.contradictions)
    if objections:
        return _shut(row, w.listed(objections))
    silent = core.unanswered(broker, ranges)
    if silent:
        return Enforced(row.win, "unmeasured", w.sources(silent))
    return _extend(row, contract, core.lost_anchors(broker, ranges))


def _range(row: Any) -> core.Range:
    return core.Range(look.source_label(row), row.topic, row.partition, row.start_offset, row.end_offset)


def _extend(row: Any, contract: Contract, lost: list[str]) -> Enforced:
    values = {"win": row.win, "verdict": row.verdict_id, "lease": gate.lease(contract)}
    try:
        with write() as cur:
            extended = cur.execute(sql.extend, values).fetchone() is not None
    except Refused as refused:  # a verdict or a contradiction came in between: the next look sees it
        return Enforced(row.win, "unmeasured", refused.found)
    why = f"REPLAY_ANCHOR_LOST {w.sources(lost)}" if lost else ""
    return Enforced(row.win, "extended" if extended else "unmeasured", why)


def _shut(row: Any, why: str) -> Enforced:
    """Shuts, says so in the audit log, and ends readers that began before: their snapshot would outlive the gate."""
    with write() as cur:
        shut = cur.execute(sql.shut, {"win": row.win, "why": why}).fetchone()
        failpoint("shut.after_row")
        if shut is not None:
            ended = _end_readers(cur)
            failpoint("shut.after_readers")
            detail = {"window": row.number, "verdict": row.verdict, "readers_ended": ended}
            record_act(cur, ENFORCER, "gate.shut", f"{row.stream}/{row.run_id}", why, detail)
        failpoint("shut.before_commit")
    return Enforced(row.win, "shut", why)


def _end_readers(cur: Cursor) -> int:
    row = cur.execute(sql.end_readers).fetchone()
    return int(row.ended) if row else 0


# ---- answering ------------------------------------------------------------------------------------------------------


def decide_gate(stream: str, run_id: str, window: int | None = None, who: str = "") -> GateDecision:
    """May `who` read this run (or this window of it)? Logged, granted or not; what cannot be logged is a 503."""
    try:
        decision = _decide(stream, run_id, window)
        _log(decision, stream, run_id, window, who)
    except (PassgateError, psycopg.Error) as error:
        log.warning("gate %s/%s not answered: %s", stream, run_id, error)
        return core.refuse(Code.UNAVAILABLE, "the gate cannot evaluate or log this now")
    return decision


def _decide(stream: str, run_id: str, window: int | None) -> GateDecision:
    with read() as cur:
        rows = cur.execute(sql.run_gates, {"stream": stream, "run_id": run_id, "window": window}).fetchall()
    windows = [
        core.WindowGate(
            row.number,
            row.verdict,
            row.state,
            row.body,
            row.gate_verdict,
            row.open_until,
            row.checked_at,
            row.shut_why,
        )
        for row in rows
    ]
    closed = window is not None or all(row.run_state == "CLOSED" for row in rows)
    return core.decide(windows, closed, rows[0].now if rows else look.now())


def _log(decision: GateDecision, stream: str, run_id: str, window: int | None, who: str) -> None:
    values = {
        "who": who[:200],
        "stream": stream[:200],
        "run_id": run_id[:200],
        "window": window,
        "status": decision.status,
        "code": str(decision.code),
        "verdict": decision.verdict,
    }
    with write() as cur:
        cur.execute(sql.log_decision, values)
