"""Cuts a window and goes on: its sources' next offsets belong to the next window from that very transaction on.

Every cut is a position: nothing lies ahead of a lane, nothing waits, and Kafka need not answer. No offset is in two
windows or in none, and in no moment is none open (docs/windows.md). The next window always opens: on the contract of
before where a newer one cannot be used, and on the basis of before where Kafka says nothing.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from audit.cut import (
    WindowCut,
    check_declared,
    cuts_of,
    declare_totals,
    end_range,
    find_window,
    inbox_ranges,
    is_cut,
    is_gone,
    note_cut,
    note_run_cut,
)
from audit.incarnations import CutLog, commit_back, cut_logs, retire_cut_logs
from audit.open import (
    MEASURE_PAUSE,
    ContextNotPassed,
    ContextPin,
    EarlierRunAtWork,
    bind_bus,
    bind_inbox,
    chain_bus_ranges,
    check_no_plan_at_work,
    check_run_name,
    ensure_partitions,
    inbox_of,
    insert_range,
    insert_run,
    insert_window,
    is_measured,
    lock_bus_ranges,
    newest_pass,
    open_run,
    retire_former,
    unfit_topics,
    write_pins,
)
from audit.partitions import QUICK, take_in_doors
from ingest.auditlog import record_act
from ingest.core.calendar import free_name, is_run_over, is_window_over, run_name_at
from ingest.core.contract import Contract, PinTime, identity_digest
from ingest.core.errors import BrokerError, PassgateError, RunError
from ingest.core.ids import RunId, StreamId, WindowId
from ingest.core.posture import unmeasured
from ingest.db import ConstraintViolated, Cursor, DatabaseGone, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.streams import CompiledContract, check_usable, compiled_contract
from ingest.windows import go_on_position, is_known, leave_position

log = logging.getLogger(__name__)
sql = statements("audit", "go_on")

#: Who cuts by the clock.
CLOCK = "passgate"


class RunNotOpen(RunError):
    """Nothing follows the last window of a run that is cut: what comes is another run's."""

    code: ClassVar[str] = "run_not_open"
    what: ClassVar[str] = "the run is not open, so that no window follows in it"


class RunNameTaken(RunError):
    """The next run's name has been given before."""

    code: ClassVar[str] = "run_name_taken"
    what: ClassVar[str] = "a run of this name is there"


class WindowNotThere(RunError):
    """The run has not come to a window of this number yet."""

    code: ClassVar[str] = "window_not_open"
    what: ClassVar[str] = "the run has not come to this window"


@dataclass(frozen=True)
class GoneOn:
    """A window that was cut and the one that follows it. `notes`: what the next one does not begin with, and why."""

    cut: WindowCut
    next_window: int
    next_run: str
    notes: tuple[str, ...] = ()


def go_on(
    stream: str,
    run_name: str,
    actor: str,
    window: int | None = None,
    next_run: str | None = None,
    totals: Mapping[str, int] | None = None,
) -> GoneOn:
    """Cuts the run's open window at the positions of its lanes and opens the next one, in one transaction.

    `window`: the number of the window that is meant; where that is cut already it is "same", and nothing happens.
    `next_run`: the run ends with this window, and the next window is the first of a run of this name.
    Raises NotFound, RunNotOpen, WindowNotThere, RunNameInvalid, RunNameTaken, and of totals what a cut raises.
    """
    if next_run is not None:
        check_run_name(next_run)
    row = find_window(stream, run_name)
    if window is not None and window > row.number:
        raise WindowNotThere(expected=f"window {window} of {stream}/{run_name}", found=f"window {row.number}")
    if window is not None and window < row.number:
        return _same(find_window(stream, run_name, window))
    if row.state != "OPEN":
        raise RunNotOpen(expected=f"{stream}/{run_name} open", found=f"{row.run_state}", next_step="open another run")
    if totals:
        declare_totals(stream, run_name, totals, actor)
    failpoint("go_on.after_totals")
    check_declared(row)
    try:
        return _go_on(row, actor, next_run)
    except ConstraintViolated as refused:
        if refused.constraint != "run_name_unique":
            raise
        raise RunNameTaken(expected=f"no run {stream}/{next_run}", found="one", next_step="name another") from refused


def _same(row: Any) -> GoneOn:
    with read() as cur:
        return _already(cur, row)


def _already(cur: Cursor, row: Any) -> GoneOn:
    """It was cut before: what it was cut at, and the window that is open since."""
    cut = WindowCut("same", row.win, row.number, cuts_of(cur, row.win), look.read_behind(cur, row.win))
    after = cur.execute(sql.following, {"stream": row.stream_id, "win": row.win}).fetchone()
    return GoneOn(cut, after.number if after else row.number, after.run_name if after else row.run_name)


# ---- by themselves --------------------------------------------------------------------------------------------------


def go_on_due() -> list[GoneOn]:
    """Goes on wherever a contract's clock or count says so, and opens the runs that the clock opens.

    One window's trouble is not another's: it is logged, and tried again at the next look.
    """
    with read() as cur:
        rows = cur.execute(sql.open_windows).fetchall()
        counting = [row.win for row in rows if _contract(row).window.records is not None]
        counts = cur.execute(sql.records, {"wins": counting}).fetchall() if counting else []
    records = {row.win: int(row.records) for row in counts}
    over = [row for row in rows if _is_over(row, records.get(row.win, 0))]
    done = list(_go_on_all(over))
    failpoint("go_on_due.after_windows")
    _open_runs()
    return done


def _go_on_all(rows: Sequence[Any]) -> Iterator[GoneOn]:
    for row in rows:
        try:
            yield _go_on(row, CLOCK, _next_run(row))
        except DatabaseGone:
            raise
        except PassgateError as error:
            log.warning("%s/%s window %s goes on later: %s", row.stream, row.run_name, row.number, error)
        failpoint("go_on_due.after_window")


def _next_run(row: Any) -> str | None:
    """The run that the clock opens now, by name; None: the window goes on in its own.

    A run that a plan still fills ends later, where the next one would look back on it; its windows follow each other
    all the same.
    """
    if not _ends_run(row):
        return None
    old = compiled_contract(row.contract_id)
    every = old.contract.window.every
    if every is not None and is_window_over(row.opened_at, row.now, every) and _is_filled(row):
        loaded, _ = _next_contract(row, old, new_run=True)
        if loaded.contract.run.looks_back:
            return None
    return _next_name(row.stream_id, old.contract, row.now)


def _is_filled(row: Any) -> bool:
    try:
        with read() as cur:
            check_no_plan_at_work(cur, row.run_id, f"{row.stream}/{row.run_name}")
    except EarlierRunAtWork as waits:
        log.warning("%s/%s ends later: %s", row.stream, row.run_name, waits)
        return True
    return False


def _contract(row: Any) -> Contract:
    return compiled_contract(row.contract_id).contract


def _is_over(row: Any, records: int) -> bool:
    rule = _contract(row).window
    if rule.every is not None and is_window_over(row.opened_at, row.now, rule.every):
        return True
    return (rule.records is not None and records >= rule.records) or _ends_run(row)


def _ends_run(row: Any) -> bool:
    name = _contract(row).run.name
    return name is not None and is_run_over(name, row.run_opened_at, row.now)


def _open_runs() -> None:
    """Streams whose runs open by the clock and that have none open: at first, or since somebody ended one by hand."""
    with read() as cur:
        rows = cur.execute(sql.without_run).fetchall()
    for row in rows:
        if _contract(row).run.name is None:
            continue
        try:
            opened = open_run(row.stream, _next_name(row.stream_id, _contract(row), row.now), CLOCK)
            log.info("%s is open", opened.name)
        except DatabaseGone:
            raise
        except PassgateError as error:
            log.warning("no run of %s opens yet: %s", row.stream, error)
        failpoint("go_on_due.after_run")


def _next_name(stream: StreamId, contract: Contract, now: datetime) -> str:
    name = run_name_at(str(contract.run.name), now)
    with read() as cur:
        taken = {row.name for row in cur.execute(sql.names_like, {"stream": stream, "name": name}).fetchall()}
    return free_name(name, taken)


# ---- what the next window begins with -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Next:
    """What the next window begins with, as far as it is known before. `run`: the name of a run that begins with it."""

    loaded: CompiledContract
    captured: look.Capture
    broker: f.Broker | None
    notes: tuple[str, ...]
    run: str | None
    cut: Sequence[CutLog] = ()


def _go_on(row: Any, actor: str, run: str | None) -> GoneOn:
    contract = compiled_contract(row.contract_id)
    loaded, notes = _next_contract(row, contract, new_run=run is not None)
    captured, broker, why = _asked(loaded.contract)
    failpoint("go_on.after_capture")
    if broker is None:
        notes = (*notes, f"the basis is that of window {row.number}: {why}")
    cut = _cut_logs(row, loaded.contract, broker) if broker is not None else []
    failpoint("go_on.after_cut_logs")
    begins = _Next(loaded, captured, broker, notes, run, cut)
    return retry_transaction(lambda: _transact(row, actor, begins))


def _cut_logs(row: Any, contract: Contract, broker: f.Broker) -> list[CutLog]:
    """Logs of this window that were cut; where Kafka does not say, the window after the next begins on them."""
    try:
        cut = cut_logs(row.stream_id, broker, stopped_only=True)
        commit_back(contract, cut)
    except BrokerError as error:
        log.warning("%s/%s: not known whether a log was cut: %s", row.stream, row.run_name, error)
        return []
    return cut


def _asked(contract: Contract) -> tuple[look.Capture, f.Broker | None, str]:
    """What Kafka says; asked again for a moment where an election delays an answer (K4), not where it is away."""
    until = time.monotonic() + QUICK
    while True:
        captured = look.capture(contract, timeout=QUICK)
        broker, why = _usable(captured, contract)
        if broker is not None or captured.broker is None or time.monotonic() > until:
            return captured, broker, why
        time.sleep(MEASURE_PAUSE)


def _next_contract(row: Any, old: CompiledContract, *, new_run: bool) -> tuple[CompiledContract, tuple[str, ...]]:
    """The newest version, where the stream can go on under it. Identity and topics only change with a run."""
    with read() as cur:
        newest: Any = cur.execute(sql.newest_contract, {"stream": row.stream_id}).fetchone()
    if newest.id == old.id:
        return old, ()
    try:
        loaded = compiled_contract(newest.id)
        check_usable(loaded.contract)
        why = _no_pin(row, loaded.contract) or _other_run(old.contract, loaded.contract, new_run=new_run)
    except PassgateError as error:
        why = str(error)
    if not why:
        return loaded, ()
    return old, (f"contract v{old.version} holds on: v{newest.version} {why}",)


def contract_held(row: Any) -> str:
    """Why the next window of the run would not begin with the newest contract, as things are; "" if it would."""
    _, notes = _next_contract(row, compiled_contract(row.contract_id), new_run=False)
    return "".join(notes)


def _no_pin(row: Any, new: Contract) -> str:
    """A context that the window before has no pin of, and that has no PASS: the effects lane would stand."""
    if new.pin is PinTime.CUT:
        return ""
    with read() as cur:
        pinned = {found.context for found in cur.execute(sql.pins, {"win": row.win}).fetchall()}
        for context in new.contexts:
            if context.name not in pinned and newest_pass(cur, context.stream) is None:
                return f"joins with {context.name}, which has no PASS"
    return ""


def _other_run(old: Contract, new: Contract, *, new_run: bool) -> str:
    """What only a new run may change; and what identifies events not even that, where it looks back."""
    if identity_digest(old) != identity_digest(new) and (not new_run or new.run.looks_back):
        return "identifies events otherwise, which takes a new run" + " that does not look back" * new_run
    if new_run:
        return ""
    mine, theirs = ((c.inbox.kafka.topic, c.bus.topic, c.bus.partitions) for c in (old, new))
    return "names other topics or partitions, which takes a new run" if mine != theirs else ""


def _usable(captured: look.Capture, contract: Contract) -> tuple[f.Broker | None, str]:
    """What Kafka said, where it said enough for a basis; else why not."""
    if captured.broker is None:
        return None, captured.why
    broker = captured.broker.value
    for topic in filter(None, (broker.inbox, broker.bus)):
        if topic.topic_id is None:
            return None, f"there is no topic {topic.name}"
        silent = [*unmeasured(topic.posture), *(p for p, log_ in topic.partitions.items() if not is_measured(log_))]
        if silent:
            return None, f"{topic.name} was not measured"
    unfit = unfit_topics(broker, contract)
    return (None, unfit) if unfit else (broker, "")


# ---- the transaction ------------------------------------------------------------------------------------------------


def _transact(row: Any, actor: str, begins: _Next) -> GoneOn:
    """Position rows are locked in source order, so a batch under way lands wholly on one side of the cut."""
    with write() as cur:
        cur.execute(sql.lock_window, {"win": row.win})  # a door binds its source under a share lock on this row
        failpoint("go_on.after_window_lock")
        cur.execute(sql.lock_positions, {"stream": row.stream_id})
        failpoint("go_on.after_position_locks")
        if is_cut(cur, row.win):
            return _already(cur, row)
        note_cut(cur, row.win)
        failpoint("go_on.after_cut")
        run, run_name, number = _following(cur, row, begins, actor)
        failpoint("go_on.after_run")
        next_win = insert_window(cur, run, number, begins.loaded)
        failpoint("go_on.after_next_window")
        bus = _hand_over(cur, row, next_win, begins)
        failpoint("go_on.after_sources")
        take_in_doors(cur, row.win, begins.captured)
        failpoint("go_on.after_doors")
        cuts = cuts_of(cur, row.win)
        database = look.database_identity(cur)
        if begins.captured.broker is not None:  # else it is taken when Kafka answers (close.py)
            look.store_snapshot(cur, row.win, "END", begins.captured, database)
        failpoint("go_on.after_end")
        notes = (*begins.notes, *_pin(cur, row.win, next_win, begins.loaded.contract))
        failpoint("go_on.after_pins")
        _found_basis(cur, row, next_win, begins, bus, database)
        failpoint("go_on.after_basis")
        done = GoneOn(WindowCut("cut", row.win, row.number, cuts), number, run_name, notes)
        _say(cur, row, actor, begins, done)
        failpoint("go_on.before_commit")
    return done


def _say(cur: Cursor, row: Any, actor: str, begins: _Next, done: GoneOn) -> None:
    detail: dict[str, Any] = {"window": row.number, "cuts": done.cut.cuts, "behind": {}, "notes": list(done.notes)}
    detail["next"] = {"run": done.next_run, "window": done.next_window, "contract": begins.loaded.version}
    record_act(cur, actor, "run.cut", f"{row.stream}/{row.run_name}", detail=detail)
    failpoint("go_on.after_act")
    if begins.run is not None:
        opened = {"contract": begins.loaded.version, "window": 1, "digest": begins.loaded.digest.hex()}
        record_act(cur, actor, "run.open", f"{row.stream}/{done.next_run}", detail=opened)


def _following(cur: Cursor, row: Any, begins: _Next, actor: str) -> tuple[RunId, str, int]:
    """The run that the next window is of, its name, and the window's number in it."""
    if begins.run is None:
        return row.run_id, row.run_name, row.number + 1
    note_run_cut(cur, row.run_id)
    failpoint("go_on.after_run_cut")
    if begins.loaded.contract.run.looks_back:
        check_no_plan_at_work(cur, row.run_id, f"{row.stream}/{row.run_name}")
    run = insert_run(cur, begins.loaded, begins.run, actor)
    failpoint("go_on.after_run_row")
    ensure_partitions(cur, run)
    return run, begins.run, 1


def _hand_over(cur: Cursor, row: Any, next_win: WindowId, begins: _Next) -> tuple[f.BasisSource, ...]:
    """Each source ends here and goes on there; one whose log is gone or was cut, and a door, only ends.

    A door is bound to the window that is open when its next event comes: most of those that ever were are nobody's.
    Returns the sources of the bus, as far as Kafka said what they are.
    """
    carried: set[tuple[str, int]] = set()
    broker = begins.broker
    retire_cut_logs(cur, begins.cut)
    failpoint("go_on.after_retiring_cut")
    for source in inbox_ranges(cur, row.win):
        if source.kind != "topic" or source.retired or (broker is not None and is_gone(source, broker)):
            end = leave_position(cur, source.source_id, row.win)
            failpoint("go_on.after_leaving")
            end_range(cur, row.win, source.source_id, end)
            continue
        end = go_on_position(cur, source.source_id, row.win, next_win)
        failpoint("go_on.after_position")
        end_range(cur, row.win, source.source_id, end)
        failpoint("go_on.after_range")
        insert_range(cur, next_win, source.source_id, end)
        carried.add((source.topic_id, source.partition))
    failpoint("go_on.after_ranges")
    if broker is None:
        _carry_bus(cur, row, next_win)
        return ()
    return _bind(cur, row, next_win, broker, carried)


def _bind(
    cur: Cursor, row: Any, next_win: WindowId, broker: f.Broker, carried: Set[tuple[str, int]]
) -> tuple[f.BasisSource, ...]:
    """What is there now: partitions that are new, all of a topic that was created again, and the bus."""
    retire_former(cur, row.stream_id, broker)
    failpoint("go_on.after_retiring")
    inbox = inbox_of(broker)
    first = not is_known(cur, row.stream_id, "inbox", broker.cluster_id, inbox.topic_id or "")
    for partition in sorted(inbox.partitions):
        if (inbox.topic_id, partition) not in carried:
            bind_inbox(cur, row.stream_id, next_win, broker, partition, first=first)
            failpoint("go_on.after_binding")
    failpoint("go_on.after_bindings")
    return bind_bus(cur, row.stream_id, next_win, broker)


def _carry_bus(cur: Cursor, row: Any, next_win: WindowId) -> None:
    """The bus of the window before, where Kafka says nothing of it: its ranges chain as they always do."""
    sources = [found.source_id for found in cur.execute(sql.bus_sources, {"win": row.win}).fetchall()]
    lock_bus_ranges(cur, sources)
    failpoint("go_on.after_bus_lock")
    chain_bus_ranges(cur, next_win, sources)


def _found_basis(
    cur: Cursor,
    row: Any,
    next_win: WindowId,
    begins: _Next,
    bus: tuple[f.BasisSource, ...],
    database: f.DatabaseIdentity,
) -> None:
    """What Kafka says now; where it said nothing that a basis can rest on, what the window before rested on."""
    inbox = tuple(_basis_source(found) for found in inbox_ranges(cur, next_win))
    if begins.broker is not None:
        origin = look.store_snapshot(cur, next_win, "ORIGIN", begins.captured, database)
        failpoint("go_on.after_origin")
        look.append_basis(
            cur, next_win, origin, look.unprobed(begins.broker), database, (inbox, bus), "the window opened"
        )
        return
    was = look.read_basis(cur, row.win)
    if was is None:
        raise RunError(expected=f"a basis of window {row.number}", found="none that this version can read")
    seen_at: Any = cur.execute(sql.basis_seen_at, {"win": row.win}).fetchone()
    kept = look.Capture(f.MeasuredValue(was.value.broker, seen_at.taken_at, f"the basis of window {row.number}"))
    origin = look.store_snapshot(cur, next_win, "ORIGIN", kept, database)
    failpoint("go_on.after_kept_origin")
    why = f"as it was for window {row.number}: Kafka did not say enough"
    look.append_basis(cur, next_win, origin, was.value.broker, database, (inbox, was.value.bus), why)


def _basis_source(row: Any) -> f.BasisSource:
    return f.BasisSource(look.source_label(row), row.partition if row.kind == "topic" else None)


def _pin(cur: Cursor, win: WindowId, next_win: WindowId, contract: Contract) -> Sequence[str]:
    """The newest PASS of each context; where there is none that stands, the pin of the window before.

    None where the contract pins once the window is cut (pins.py).
    """
    if contract.pin is PinTime.CUT:
        return ()
    notes = []
    before: dict[str, Any] = {row.context: row for row in cur.execute(sql.pins, {"win": win}).fetchall()}
    pins: list[ContextPin] = []
    for context in contract.contexts:
        passed = newest_pass(cur, context.stream)
        old: Any = before.get(context.name)
        if passed is None and old is None:  # a PASS that _no_pin saw stands no more: the next try goes on without it
            raise ContextNotPassed(expected=f"a PASS of stream {context.stream}", found="none that stands")
        pins.append((context.name, *((passed.win, passed.name) if passed else (old.pinned_win, old.verdict))))
        if passed is None:
            notes.append(f"context {context.name} is {old.verdict} as before: no newer PASS stands")
    write_pins(cur, next_win, pins)
    return notes
