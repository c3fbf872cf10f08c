"""Seals a run: every inbox source of its window gets a cut, and offsets from there on belong to the next window."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from audit.partitions import notice_partitions, take_in_doors
from ingest.auditlog import record_act
from ingest.core.contract import Totals
from ingest.core.errors import BrokerError, NotFound, RunError
from ingest.db import Cursor, again, read, statements, write
from ingest.failpoints import failpoint
from ingest.streams import compiled
from ingest.windows import cut_position, raise_revisions

sql = statements("audit", "cut")


class TotalsRequired(RunError):
    """The contract wants the producer's counts before the run is sealed."""

    code: ClassVar[str] = "totals_required"
    what: ClassVar[str] = "the contract requires control totals"


class TotalsInvalid(RunError):
    """A total is negative, or names a class that the contract does not have."""

    code: ClassVar[str] = "totals_invalid"
    what: ClassVar[str] = "the control totals cannot be used"


@dataclass(frozen=True)
class Sealed:
    """`result`: "sealed" or "same". `cuts` by source label: offsets from there on belong to the next window."""

    result: str
    win: int
    window: int
    cuts: dict[str, int]


def seal_run(stream: str, run_id: str, actor: str, totals: Mapping[str, int] | None = None) -> Sealed:
    """Seals the run's open window at max(position, LSO) of each source; a second time changes nothing.

    Raises NotFound, TotalsRequired, TotalsInvalid, CutPending (an earlier cut is not reached yet: try again) and
    BrokerError (an LSO was not answered: try again).
    """
    row = _window(stream, run_id)
    if row.state == "CUT":
        return _same(row)
    if totals:
        declare_totals(stream, run_id, totals, actor)
    contract = compiled(row.contract_id).contract
    if contract.close.totals is Totals.REQUIRED and not declared_totals(row.win):
        raise TotalsRequired(expected="totals per class", found="none", next_step="declare them, then seal")
    failpoint("seal.after_totals")
    notice_partitions(row.win, contract)
    failpoint("seal.after_partitions")
    captured = look.capture(contract)
    failpoint("seal.after_capture")
    if captured.broker is None:
        raise BrokerError(expected="the last stable offsets", found=captured.why, next_step="see whether Kafka is up")
    broker = captured.broker.value
    return again(lambda: _seal(row, actor, captured, broker))


def _window(stream: str, run_id: str) -> Any:
    """The run's window that a seal is about: the newest."""
    with read() as cur:
        row = cur.execute(sql.window, {"stream": stream, "run_id": run_id}).fetchone()
    if row is None:
        raise NotFound(expected=f"run {stream}/{run_id}", found="none", next_step="open it first")
    return row


def _same(row: Any) -> Sealed:
    with read() as cur:
        return Sealed("same", row.win, row.number, _cuts(cur, row.win))


def _cuts(cur: Cursor, win: int) -> dict[str, int]:
    rows = cur.execute(sql.inbox_ranges, {"win": win}).fetchall()
    return {look.source_label(row): row.end_offset for row in rows if row.end_offset is not None}


def _seal(row: Any, actor: str, captured: look.Captured, broker: f.Broker) -> Sealed:
    """Position rows are locked in source order, so a batch under way lands wholly on one side of its cut."""
    with write() as cur:
        cur.execute(sql.lock_window, {"win": row.win})  # a door binds its source under a share lock on this row
        failpoint("cut.after_window_lock")
        cur.execute(sql.lock_positions, {"win": row.win})
        failpoint("cut.after_position_locks")
        state: Any = cur.execute(sql.state, {"win": row.win}).fetchone()
        if state.state == "CUT":
            return Sealed("same", row.win, row.number, _cuts(cur, row.win))
        for source in cur.execute(sql.inbox_ranges, {"win": row.win}).fetchall():
            cut = cut_position(cur, source.source_id, row.win, _lso(source, broker))
            failpoint("cut.after_position")
            cur.execute(sql.end_range, {"win": row.win, "source": source.source_id, "end": cut})
        failpoint("cut.after_ranges")
        take_in_doors(cur, row.win, captured)
        failpoint("cut.after_doors")
        cuts = _cuts(cur, row.win)
        cur.execute(sql.cut_window, {"win": row.win})
        failpoint("cut.after_window")
        cur.execute(sql.seal_run, {"run": row.run_number})
        failpoint("cut.after_run")
        look.store_snapshot(cur, row.win, "END", captured, look.database_identity(cur))
        failpoint("cut.after_snapshot")
        record_act(cur, actor, "run.seal", f"{row.stream}/{row.run_id}", detail={"window": row.number, "cuts": cuts})
        failpoint("cut.before_commit")
    return Sealed("sealed", row.win, row.number, cuts)


def _lso(source: Any, broker: f.Broker) -> int:
    """Offsets of another incarnation of the topic are nobody's: there the position is the cut, and BASIS says why."""
    topic = broker.inbox
    if source.kind != "topic" or topic is None or topic.topic_id != source.topic_id:
        return 0
    log = topic.partitions.get(source.partition)
    if log is None:
        return 0
    if log.lso is None:
        raise BrokerError(expected=f"the last stable offset of {source.topic}/{source.partition}", found="no answer")
    return log.lso


# ---- control totals -------------------------------------------------------------------------------------------------


def declare_totals(stream: str, run_id: str, totals: Mapping[str, int], actor: str) -> None:
    """What the producer says it sent, per class; a later declaration of a class replaces the earlier one's effect."""
    row = _window(stream, run_id)
    _check_totals(row, totals)
    again(lambda: _declare(row, totals, actor))


def _declare(row: Any, totals: Mapping[str, int], actor: str) -> None:
    with write() as cur:
        for event_class, declared in sorted(totals.items()):
            values = {"win": row.win, "class": event_class, "declared": declared, "actor": actor}
            cur.execute(sql.insert_total, values)
            failpoint("totals.after_class")
        failpoint("totals.after_classes")
        raise_revisions(cur, [row.win])
        failpoint("totals.after_revision")
        record_act(cur, actor, "run.totals", f"{row.stream}/{row.run_id}", detail=dict(totals))
        failpoint("totals.before_commit")


def _check_totals(row: Any, totals: Mapping[str, int]) -> None:
    contract = compiled(row.contract_id).contract
    known = {event.name for event in contract.events}
    for event_class, declared in totals.items():
        if known and event_class not in known:
            raise TotalsInvalid(expected=f"one of {', '.join(sorted(known))}", found=event_class[:80])
        if not 0 <= declared < 2**63:
            raise TotalsInvalid(expected=f"a count of {event_class}", found=str(declared)[:40])


def declared_totals(win: int) -> dict[str, int]:
    with read() as cur:
        return {row.event_class: row.declared for row in cur.execute(sql.totals, {"win": win}).fetchall()}
