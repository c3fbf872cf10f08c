"""Cuts a run: every inbox source of its window gets a cut, and offsets from there on belong to the next window."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from audit.partitions import notice_partitions, take_in_doors
from ingest.auditlog import record_act
from ingest.core.contract import Contract, Totals
from ingest.core.errors import BrokerError, NotFound, RunError
from ingest.core.ids import RunId, SourceId, WindowId
from ingest.db import ConstraintViolated, Cursor, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.streams import compiled_contract
from ingest.windows import cut_position, leave_position

sql = statements("audit", "cut")


class TotalsRequired(RunError):
    """The contract wants the producer's counts before the run is cut."""

    code: ClassVar[str] = "totals_required"
    what: ClassVar[str] = "the contract requires control totals"


class TotalsInvalid(RunError):
    """A total is negative, or names a class that the contract does not have."""

    code: ClassVar[str] = "totals_invalid"
    what: ClassVar[str] = "the control totals cannot be used"


class TotalsStand(RunError):
    """After the cut one person could make any window's total fit: what was declared before it stands."""

    code: ClassVar[str] = "totals_stand"
    what: ClassVar[str] = "the window is cut, and its control totals stand"


#: Between two looks whether the open transactions have ended.
WAIT_PAUSE = 0.25


@dataclass(frozen=True)
class WindowCut:
    """`result`: "cut" or "same". `cuts` by source label: offsets from there on belong to the next window.

    `behind`: what lay behind a cut already, for an open transaction hid it; it goes to the next window.
    """

    result: str
    win: WindowId
    window: int
    cuts: dict[str, int]
    behind: tuple[f.RangeBehindCut, ...] = ()


def cut_run(
    stream: str,
    run_name: str,
    actor: str,
    totals: Mapping[str, int] | None = None,
    wait: timedelta = timedelta(0),
    clock: Callable[[], float] = time.monotonic,
) -> WindowCut:
    """Cuts the run's open window at max(position, LSO) of each source; a second time changes nothing.

    `wait`: how long open transactions on the inbox may take to end before the cut; it is made then all the same, and
    says what lies behind it. Raises NotFound, TotalsRequired, TotalsInvalid, TotalsStand, CutPending (an earlier cut is
    not reached yet: try again) and BrokerError (an LSO was not answered: try again).
    """
    row = find_window(stream, run_name)
    if row.state == "CUT":
        return _same(row, totals or {})
    if totals:
        declare_totals(stream, run_name, totals, actor)
    check_declared(row)
    failpoint("cut.after_totals")
    contract = compiled_contract(row.contract_id).contract
    _wait_for_transactions(contract, clock() + wait.total_seconds(), clock)
    failpoint("cut.after_waiting")
    notice_partitions(row.win, contract)
    failpoint("cut.after_partitions")
    captured = look.capture(contract)
    failpoint("cut.after_capture")
    if captured.broker is None:
        raise BrokerError(expected="the last stable offsets", found=captured.why, next_step="see whether Kafka is up")
    broker = captured.broker.value
    done = retry_transaction(lambda: _cut_window(row, actor, captured, broker))
    failpoint("cut.after_commit")
    # somebody was faster: the run is cut, or it went on, and what is open now is to be cut; of that nothing is declared
    return done or cut_run(stream, run_name, actor, clock=clock)


def _wait_for_transactions(contract: Contract, until: float, clock: Callable[[], float]) -> None:
    """Until nothing is hidden on the inbox, or the time is over. A Kafka that does not answer is the cut's to name."""
    while clock() < until:
        captured = look.capture(contract)
        inbox = captured.broker.value.inbox if captured.broker else None
        if inbox is None or not any(f.is_held(log) for log in inbox.partitions.values()):
            return
        time.sleep(WAIT_PAUSE)


def find_window(stream: str, run_name: str, number: int | None = None) -> Any:
    """The run's window that a cut is about: the newest, or the one of this number. Raises NotFound."""
    with read() as cur:
        keys = {"stream": stream, "run_name": run_name, "window": number}
        row = cur.execute(sql.window, keys).fetchone()
    if row is None and number is not None:
        raise NotFound(expected=f"window {number} of {stream}/{run_name}", found="none")
    if row is None:
        raise NotFound(expected=f"run {stream}/{run_name}", found="none", next_step="open it first")
    return row


def is_cut(cur: Cursor, win: WindowId) -> bool:
    """Asked after the locks: a statement that waited for them would still see the state from before it waited."""
    state: Any = cur.execute(sql.state, {"win": win}).fetchone()
    return state.state == "CUT"  # type: ignore[no-any-return]


def inbox_ranges(cur: Cursor, win: WindowId) -> list[Any]:
    """The window's inbox sources with their ranges, in source order."""
    return cur.execute(sql.inbox_ranges, {"win": win}).fetchall()


def end_range(cur: Cursor, win: WindowId, source: SourceId, end: int) -> None:
    cur.execute(sql.end_range, {"win": win, "source": source, "end": end})


def note_cut(cur: Cursor, win: WindowId) -> None:
    """The window's row says that it is cut."""
    cur.execute(sql.cut_window, {"win": win})


def note_run_cut(cur: Cursor, run: RunId) -> None:
    """The run's row says that its last window is cut."""
    cur.execute(sql.cut_run, {"run": run})


def _same(row: Any, totals: Mapping[str, int]) -> WindowCut:
    """It was cut before: totals that say something else are not taken in, nor passed over in silence."""
    if totals:
        _check_totals(row, totals)
        _check_same(row, totals)
    with read() as cur:
        return WindowCut("same", row.win, row.number, cuts_of(cur, row.win), look.read_behind(cur, row.win))


def _check_same(row: Any, totals: Mapping[str, int]) -> None:
    stand = declared_totals(row.win)
    other = sorted(name for name, declared in totals.items() if stand.get(name) != declared)
    if other:
        said = ", ".join(f"{name}={stand[name]:,}" if name in stand else f"no {name}" for name in other)
        raise TotalsStand(
            expected=f"what was declared before the cut: {said}",
            found=", ".join(f"{name}={totals[name]:,}" for name in other),
            next_step="open another run for what is to be counted anew",
        )


def cuts_of(cur: Cursor, win: WindowId) -> dict[str, int]:
    """Where the window was cut, by source label."""
    rows = inbox_ranges(cur, win)
    return {look.source_label(row): row.end_offset for row in rows if row.end_offset is not None}


def _cut_window(row: Any, actor: str, captured: look.Capture, broker: f.Broker) -> WindowCut | None:
    """Position rows are locked in source order, so a batch under way lands wholly on one side of its cut.

    None: the window was cut in between, and nothing is done here.
    """
    with write() as cur:
        cur.execute(sql.lock_window, {"win": row.win})  # a door binds its source under a share lock on this row
        failpoint("cut.after_window_lock")
        cur.execute(sql.lock_positions, {"win": row.win})
        failpoint("cut.after_position_locks")
        if is_cut(cur, row.win):
            return None
        sources = inbox_ranges(cur, row.win)
        for source in sources:
            cut = _cut(cur, source, row.win, broker)
            failpoint("cut.after_position")
            end_range(cur, row.win, source.source_id, cut)
        failpoint("cut.after_ranges")
        take_in_doors(cur, row.win, captured)
        failpoint("cut.after_doors")
        cuts = cuts_of(cur, row.win)
        note_cut(cur, row.win)
        failpoint("cut.after_window")
        note_run_cut(cur, row.run_id)
        failpoint("cut.after_run")
        behind = _behind(cur, sources, cuts, broker)
        look.store_snapshot(cur, row.win, "END", captured, look.database_identity(cur), behind)
        failpoint("cut.after_snapshot")
        detail = {"window": row.number, "cuts": cuts, "behind": {b.label: b.offsets for b in behind}}
        record_act(cur, actor, "run.cut", f"{row.stream}/{row.run_name}", detail=detail)
        failpoint("cut.before_commit")
    return WindowCut("cut", row.win, row.number, cuts, behind)


def _cut(cur: Cursor, source: Any, win: WindowId, broker: f.Broker) -> int:
    """Where a log is gone nothing more will be read: an earlier cut on it cannot be reached, and is not waited for."""
    if is_gone(source, broker):
        return leave_position(cur, source.source_id, win)
    return cut_position(cur, source.source_id, win, _lso(source, broker))


def is_gone(source: Any, broker: f.Broker) -> bool:
    """Offsets of another incarnation of the topic are nobody's: the position is the cut, and BASIS says why."""
    if source.kind != "topic" or broker.inbox is None:
        return False
    return (source.cluster_id, source.topic_id) != (broker.cluster_id, broker.inbox.topic_id)


def _lso(source: Any, broker: f.Broker) -> int:
    if source.kind != "topic" or broker.inbox is None:
        return 0
    log = broker.inbox.partitions.get(source.partition)
    if log is None:
        return 0
    if log.lso is None:
        raise BrokerError(expected=f"the last stable offset of {source.topic}/{source.partition}", found="no answer")
    return log.lso


def _behind(
    cur: Cursor, sources: Sequence[Any], cuts: Mapping[str, int], broker: f.Broker
) -> tuple[f.RangeBehindCut, ...]:
    """Acknowledged offsets that the cut leaves to the next window because an open transaction stood before them."""
    logs = broker.inbox.partitions if broker.inbox else {}
    ranges_behind = []
    for source in sources:
        log, cut = logs.get(source.partition), cuts.get(look.source_label(source))
        if source.kind != "topic" or is_gone(source, broker) or log is None or cut is None or not f.is_held(log):
            continue
        if (end := log.high_watermark or 0) > cut:
            ranges_behind.append((source, f.RangeBehindCut(look.source_label(source), cut, end)))
    return tuple(replace(behind, since=_held_since(cur, source, logs)) for source, behind in ranges_behind)


def _held_since(cur: Cursor, source: Any, logs: Mapping[int, f.PartitionLog]) -> Any:
    """Since when samples saw the log held at this offset: the database's clock, not a producer's."""
    keys = {"source": source.source_id, "lso": logs[source.partition].lso}
    row: Any = cur.execute(sql.held_since, keys).fetchone()
    return row.at


# ---- control totals -------------------------------------------------------------------------------------------------


def declare_totals(stream: str, run_name: str, totals: Mapping[str, int], actor: str) -> None:
    """What the producer says it sent, per class; a later declaration of a class replaces the earlier one's effect.

    After the cut the same again is no change, and anything else is refused: TotalsStand. TotalsInvalid, NotFound.
    """
    row = find_window(stream, run_name)
    _check_totals(row, totals)
    if row.state == "CUT":
        _check_same(row, totals)
        return
    try:
        retry_transaction(lambda: _declare(row, totals, actor))
    except ConstraintViolated as refused:
        if refused.constraint != "control_total_before_cut":
            raise
        _check_same(row, totals)  # somebody cut it in between


def check_declared(row: Any) -> None:
    """Raises TotalsRequired where the window's contract wants totals before its cut, and none are declared."""
    if compiled_contract(row.contract_id).contract.close.totals is Totals.REQUIRED and not declared_totals(row.win):
        raise TotalsRequired(expected="totals per class", found="none", next_step="declare them, then cut")


def _declare(row: Any, totals: Mapping[str, int], actor: str) -> None:
    with write() as cur:
        for event_class, declared in sorted(totals.items()):
            values = {"win": row.win, "class": event_class, "declared": declared, "actor": actor}
            cur.execute(sql.insert_total, values)
            failpoint("totals.after_class")
        failpoint("totals.after_classes")
        record_act(cur, actor, "run.totals", f"{row.stream}/{row.run_name}", detail=dict(totals))
        failpoint("totals.before_commit")


def _check_totals(row: Any, totals: Mapping[str, int]) -> None:
    contract = compiled_contract(row.contract_id).contract
    known = {event.name for event in contract.events}
    for event_class, declared in totals.items():
        if known and event_class not in known:
            raise TotalsInvalid(expected=f"one of {', '.join(sorted(known))}", found=event_class[:80])
        if not 0 <= declared < 2**63:
            raise TotalsInvalid(expected=f"a count of {event_class}", found=str(declared)[:40])


def declared_totals(win: WindowId) -> dict[str, int]:
    with read() as cur:
        return {row.event_class: row.declared for row in cur.execute(sql.totals, {"win": win}).fetchall()}
