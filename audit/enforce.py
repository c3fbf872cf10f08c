"""The gate at work: re-checks what open gates stand on, shuts them, and answers who may read. No PASS, no read."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import lru_cache
from typing import Any

import psycopg

from audit import capture as look
from audit import gate
from audit.core import facts as f
from audit.core import gate as core
from audit.core import words as w
from audit.core.gate import Code, GateDecision
from audit.core.snapshot import read_basis
from audit.measure import lanes_of
from ingest.auditlog import record_act
from ingest.core.errors import PassgateError
from ingest.db import Cursor, DatabaseGone, Refused, prepared, read, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Partition, Start
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
    """Re-checks gates whose contract's `recheck` is over, or that are contradicted. Kafka and the database are asked
    once for all of them; only what has to be shut is done one by one."""
    with read() as cur:
        rows = cur.execute(sql.gates).fetchall()
    due: dict[int, list[Any]] = defaultdict(list)
    for row in rows:
        # checked at a time to come: the database's clock has stepped back since, and the gate's lease grew by as much
        if row.contradictions or not timedelta(0) <= row.age < _recheck(row.contract_id):
            due[row.stream_id].append(row)
    return _enforce(due)


def _enforce(due: dict[int, list[Any]]) -> list[Enforced]:
    """`due`: gates by their stream."""
    found = []
    for looked in _rounds(due):
        found += _enforced(looked)
        failpoint("enforce.after_round")
    return found


@lru_cache(maxsize=4096)
def _recheck(contract_id: int) -> timedelta:
    return compiled(contract_id).contract.gate.recheck


@dataclass
class _Round:
    """Streams that are looked at together: one consumer probes all their partitions, each at one place."""

    gates: dict[int, list[Any]] = field(default_factory=dict)
    starts: dict[Partition, Start] = field(default_factory=dict)

    def admits(self, starts: Sequence[Start]) -> bool:
        return all(self.starts.get(_place(start), start) == start for start in starts)

    def add(self, stream: int, gates: list[Any], starts: Sequence[Start]) -> None:
        self.gates[stream] = gates
        self.starts |= {_place(start): start for start in starts}

    @property
    def full(self) -> bool:
        return len(self.gates) >= ROUND_STREAMS or sum(map(len, self.gates.values())) >= ROUND_GATES


ROUND_STREAMS, ROUND_GATES = 200, 2_000


def _place(start: Start) -> Partition:
    return Partition(start.topic, start.partition)


def _rounds(due: dict[int, list[Any]]) -> list[_Round]:
    """Positions are the sources', whatever the window: those of a stream's newest window are probed."""
    standing = lanes_of([gates[-1].win for gates in due.values()])
    rounds: list[_Round] = []
    for stream, gates in due.items():
        starts = standing[gates[-1].win]
        into = next((known for known in rounds if not known.full and known.admits(starts)), None)
        if into is None:
            into = _Round()
            rounds.append(into)
        into.add(stream, gates, starts)
    return rounds


def _enforced(looked: _Round) -> list[Enforced]:
    """One stream's trouble extends none of its gates, and leaves the others' alone."""
    contracts = {stream: compiled(gates[-1].contract_id).contract for stream, gates in looked.gates.items()}
    captured = look.logs(contracts, looked.starts.values())
    failpoint("enforce.after_capture")
    rows = [row for gates in looked.gates.values() for row in gates]
    bases, ranges = _standing([row.win for row in rows])
    seen = {row.win: _seen(row, captured[row.stream_id], bases.get(row.win), ranges[row.win]) for row in rows}
    for row in rows:
        if seen[row.win].outcome == "shut":
            seen[row.win] = _shut(row, seen[row.win].why)
            failpoint("enforce.after_shutting")
    failpoint("enforce.after_shuts")
    holding = [row for row in rows if seen[row.win].outcome == "extended"]
    overtaken = {row.win for row in holding} - _extend(holding)
    failpoint("enforce.after_extending")
    seen |= {win: Enforced(win, "unmeasured", "a verdict or a contradiction came in between") for win in overtaken}
    found = [seen[row.win] for row in rows]
    _write_down(rows, found)
    return found


def _standing(wins: list[int]) -> tuple[dict[int, f.Basis | None], dict[int, list[core.Range]]]:
    """What the gates' windows were judged against, and their ranges."""
    generations: dict[int, list[tuple[int, Any]]] = defaultdict(list)
    ranges: dict[int, list[core.Range]] = defaultdict(list)
    with read() as cur:
        for row in cur.execute(sql.bases, {"wins": wins}).fetchall():
            generations[row.win].append((row.generation, row.facts))
        for row in cur.execute(sql.ranges, {"wins": wins}).fetchall():
            ranges[row.win].append(_range(row))
    return {win: read_basis(found, frozenset()) for win, found in generations.items()}, ranges


def _range(row: Any) -> core.Range:
    return core.Range(look.source_label(row), row.topic, row.partition, row.start_offset, row.end_offset)


def _seen(row: Any, captured: look.Captured, basis: f.Basis | None, ranges: Sequence[core.Range]) -> Enforced:
    """What is to become of a gate: nothing is written yet."""
    if captured.broker is None:
        return Enforced(row.win, "unmeasured", captured.why)
    if basis is None:
        return Enforced(row.win, "unmeasured", "the basis has a shape this version does not know")
    broker = captured.broker.value
    objections = core.objections(basis, broker, ranges, row.contradictions)
    if objections:
        return Enforced(row.win, "shut", w.listed(objections))
    silent = core.unanswered(broker, ranges)
    if silent:
        return Enforced(row.win, "unmeasured", w.sources(silent))
    lost = core.lost_anchors(broker, ranges)
    return Enforced(row.win, "extended", f"REPLAY_ANCHOR_LOST {w.sources(lost)}" if lost else "")


def _extend(rows: Sequence[Any]) -> set[int]:
    """The windows whose gates stay open: none where a verdict or a contradiction came in this very moment."""
    values = {
        "wins": [row.win for row in rows],
        "verdicts": [row.verdict_id for row in rows],
        "leases": [gate.lease(compiled(row.contract_id).contract) for row in rows],
    }
    try:
        with write() as cur:
            return {row.win for row in cur.execute(sql.extend, values).fetchall()}
    except Refused as refused:
        log.info("gates not extended, the next look will: %s", refused)
        return set()


def _write_down(rows: Sequence[Any], found: Sequence[Enforced]) -> None:
    """When each stream was looked at, and what was found."""
    outcomes: dict[int, set[str]] = defaultdict(set)
    for row, answer in zip(rows, found, strict=True):
        outcomes[row.stream_id].add(f"{answer.outcome}: {answer.why}" if answer.why else answer.outcome)
    values = {"streams": list(outcomes), "outcomes": [w.listed(sorted(said)) for said in outcomes.values()]}
    with write() as cur:
        cur.execute(sql.looked, values)


def _shut(row: Any, why: str) -> Enforced:
    try:
        return _shut_for_good(row, why)
    except DatabaseGone:
        raise
    except PassgateError as error:  # one gate's trouble is not another's
        log.warning("gate of window %s not shut: %s", row.win, error)
        return Enforced(row.win, "unmeasured", str(error))


def _shut_for_good(row: Any, why: str) -> Enforced:
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
        values = {"stream": stream, "run_id": run_id, "window": window}
        rows = prepared(cur, sql.run_gates, values).fetchall()
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
    with read() as cur:  # one statement is its own transaction
        prepared(cur, sql.log_decision, values)
