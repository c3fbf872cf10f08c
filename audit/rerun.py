"""Windows that a plan fills: opened by the plan's first step, cut when the plan is over.

A *rerun* stands beside the window that it reruns, in the same run. A *fresh* run has one window, and takes the place of
a window that cannot be mended. Both stand outside of the chain of windows: they take no offset of the inbox from
anybody, and what lies on the bus is the windows'. These are steps inside a plan's transaction; the verdict on such a
window is made as every other (close.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit import capture as look
from audit.core import facts as f
from audit.open import ContextPin, ensure_partitions, insert_range, newest_pass, write_pins
from audit.pins import write_pins_at_cut
from ingest.admit.redrive import FENCE, owner_of
from ingest.auditlog import record_act
from ingest.core.contract import PinTime
from ingest.core.errors import BrokerError, RunError
from ingest.core.ids import RunId, SourceId, StreamId, WindowId
from ingest.db import Cursor, fetch_one, statements
from ingest.failpoints import failpoint
from ingest.pinned import unpinned
from ingest.streams import CompiledContract, compiled_contract
from ingest.windows import Binding, ensure_position

sql = statements("audit", "rerun")


class BusOfNoWindow(RunError):
    """The bus is none that a window of the stream stands on: it was created again since."""

    code = "bus_of_no_window"
    what = "no window of the stream stands on this bus"


class ContextOfRerun(RunError):
    """What the projection joins with has no PASS now."""

    code = "context_not_passed"
    what = "the context of the rerun has no verdict that stands"
    retry = True


class LookedBackOn(RunError):
    """A later run looks its identities up in this one: what came into this one now, it would have admitted already."""

    code = "looked_back_on"
    what = "a later run looks back on this one"


class PlaceTaken(RunError):
    """A fresh run takes the window's place: what came into that now would be read nowhere."""

    code = "place_taken"
    what = "another run takes the window's place"


class PlaceNotWhole(RunError):
    """Events of the window, or of its reruns, that a fresh run would be without."""

    code = "place_not_whole"
    what = "a fresh run would not have all events of the window"


@dataclass(frozen=True)
class OriginRange:
    """Offsets [start, end) of a source that a plan reads again."""

    source: SourceId
    start: int
    end: int


@dataclass(frozen=True)
class RerunOrder:
    """What a plan asks for: `win` is rerun under `loaded`, or a run named `fresh` takes its place.

    `origins`: what its sources read again, one each; without any it has one source, of records that it brings itself.
    `out_of_order`: whoever asked consented to events that come late for their key.
    """

    win: WindowId
    loaded: CompiledContract
    plan: int
    kind: str
    digest: bytes
    requested_by: str
    approved_by: str
    reason: str
    origins: tuple[OriginRange, ...] = ()
    fresh: str | None = None
    out_of_order: bool = False


@dataclass(frozen=True)
class PlanSource:
    """A plan's source, where it stands, and what it reads again."""

    id: SourceId
    next_offset: int
    origin: OriginRange | None = None


@dataclass(frozen=True)
class Rerun:
    """A window that a plan fills, with the plan's sources in it. `rerun`: its number as one; None: of a fresh run."""

    win: WindowId
    number: int
    rerun: int | None
    stream: StreamId
    run: str
    binding: Binding
    sources: tuple[PlanSource, ...]


def rerun_of(cur: Cursor, plan: int) -> Rerun | None:
    """The window that a plan has opened; None: none yet."""
    rows = cur.execute(sql.of_plan, {"plan": plan}).fetchall()
    return None if not rows else _rerun(rows)


def _rerun(rows: Sequence[Any]) -> Rerun:
    row = rows[0]
    binding = Binding(row.source_id, row.next_offset, None, row.win, row.run_id, row.run_name, row.contract_id)
    sources = tuple(PlanSource(SourceId(x.source_id), x.next_offset, _origin(x)) for x in rows)
    return Rerun(row.win, row.number, row.rerun, row.stream_id, f"{row.stream}/{row.run_name}", binding, sources)


def _origin(row: Any) -> OriginRange | None:
    if row.origin_source_id is None:
        return None
    return OriginRange(SourceId(row.origin_source_id), row.origin_start, row.origin_end)


def open_rerun(cur: Cursor, order: RerunOrder, captured: look.Capture) -> Rerun:
    """`captured` was asked of Kafka before. Raises BrokerError, BusOfNoWindow, ContextOfRerun."""
    captured = captured.without_inbox()
    if captured.broker is None:
        raise BrokerError(expected="topics and offsets", found=captured.why, next_step="see whether Kafka is up")
    broker = captured.broker.value
    first = fetch_one(cur.execute(sql.lock_first, {"win": order.win}))
    failpoint("rerun.after_lock")
    if order.fresh is None:
        check_not_looked_back_on(cur, RunId(first.run_id))
        check_place(cur, order.win)
    else:
        check_replaceable(cur, order.win)
    bus = _bus(cur, first.stream_id, broker)
    win = _insert_window(cur, order, first)
    failpoint("rerun.after_window")
    cur.execute(sql.insert_rerun, _rerun_row(win, order))
    failpoint("rerun.after_row")
    inbox = _add_sources(cur, win, order, StreamId(first.stream_id))
    failpoint("rerun.after_sources")
    _pin(cur, win, order.loaded)
    failpoint("rerun.after_pins")
    database = look.database_identity(cur)
    origin = look.store_snapshot(cur, win, "ORIGIN", captured, database)
    failpoint("rerun.after_snapshot")
    look.append_basis(cur, win, origin, look.unprobed(broker), database, (inbox, bus), "the rerun opened")
    failpoint("rerun.after_basis")
    opened = rerun_of(cur, order.plan)
    assert opened is not None
    told: dict[str, Any] = {"window": opened.number, "plan": order.plan, "contract": order.loaded.version}
    told |= {"rerun": opened.rerun} if opened.rerun is not None else {"fresh": order.fresh}
    record_act(cur, order.requested_by, "rerun.open", f"{first.stream}/{first.run_name}", order.reason, told)
    return opened


def check_not_looked_back_on(cur: Cursor, run: RunId) -> None:
    """Raises LookedBackOn: the later run would not know of what is admitted here, and had admitted it itself."""
    later: Any = cur.execute(sql.later_run, {"run": run}).fetchone()
    if later is not None and compiled_contract(later.contract_id).contract.run.looks_back:
        raise LookedBackOn(
            expected="a run that nothing looks back on",
            found=f"{later.stream}/{later.name} does",
            next_step=f"produce these records to {later.stream}/{later.name}, or ask for a fresh run",
        )


def check_place(cur: Cursor, win: WindowId) -> None:
    """Raises PlaceTaken where a fresh run takes the window's place, or may come to."""
    by = fetch_one(cur.execute(sql.place, {"win": win})).taken_by
    if by is not None:
        raise PlaceTaken(
            expected="a window whose place nobody takes",
            found=f"{by} does",
            next_step=f"produce these records to another run, or close {by} first",
        )


def check_replaceable(cur: Cursor, win: WindowId) -> None:
    """Raises PlaceTaken, or PlaceNotWhole for what reading the window's ranges of the inbox again does not bring."""
    check_place(cur, win)
    row = fetch_one(cur.execute(sql.place, {"win": win}))
    if row.open_rerun is not None:
        raise PlaceNotWhole(
            expected="a window that no plan fills",
            found=f"rerun {row.open_rerun} of it is not over",
            next_step="wait for its plan, or cancel it",
        )
    left = [f"{row.by_http:,} of its events came in by HTTP"] if row.by_http else []
    if row.redriven:
        were = "was" if row.redriven == 1 else "were"
        left.append(f"{row.redriven:,} of its events {were} redriven from elsewhere or corrected")
    if left:
        raise PlaceNotWhole(
            expected="events that all lie in the window's ranges of the inbox",
            found=" and ".join(left),
            next_step="ask for a replay that proves the window, or produce its records to a new run",
        )


def place_faults(cur: Cursor, win: WindowId, *, whole: bool) -> list[str]:
    """Why an approved plan is not to open its window now, in words. `whole`: it would take the place of `win`."""
    try:
        (check_replaceable if whole else check_place)(cur, win)
    except RunError as fault:
        by_another = isinstance(fault, PlaceTaken)
        return [f"{fault.found.removesuffix(' does')} takes its place" if by_another else str(fault.found)]
    return []


def label_of(plan: int, index: int = 0) -> str:
    """What a window calls a plan's source, as `source_label` says it."""
    return f"plan {plan}/{index}"


def _insert_window(cur: Cursor, order: RerunOrder, first: Any) -> WindowId:
    values = {"win": order.win, "contract": order.loaded.id}
    if order.fresh is None:
        return WindowId(fetch_one(cur.execute(sql.insert_window, values)).id)
    named = values | {"name": order.fresh, "actor": order.requested_by}
    run = RunId(fetch_one(cur.execute(sql.insert_fresh_run, named)).id)
    failpoint("rerun.after_run")
    ensure_partitions(cur, run)
    failpoint("rerun.after_partitions")
    win = WindowId(fetch_one(cur.execute(sql.insert_fresh_window, values | {"run": run})).id)
    failpoint("rerun.after_fresh_window")
    cur.execute(sql.take_over_totals, {"from": order.win, "win": win})
    failpoint("rerun.after_totals")
    of = f"{first.stream}/{first.run_name} window {first.number}"
    told = {"contract": order.loaded.version, "window": 1, "digest": order.loaded.digest.hex(), "supersedes": of}
    record_act(cur, order.requested_by, "run.open", f"{first.stream}/{order.fresh}", order.reason, told)
    return win


def _rerun_row(win: WindowId, order: RerunOrder) -> dict[str, object]:
    return {
        "win": win, "plan": order.plan, "kind": order.kind, "requested_by": order.requested_by,
        "approved_by": order.approved_by, "reason": order.reason, "out_of_order": order.out_of_order,
    }  # fmt: skip


def _bus(cur: Cursor, stream: StreamId, broker: f.Broker) -> tuple[f.BasisSource, ...]:
    """The bus partitions that lanes of the stream read already: a rerun adds none."""
    bus = broker.bus
    if bus.topic_id is None:
        raise BusOfNoWindow(expected=f"topic {bus.name}", found="none of that name", next_step="create it")
    keys = {"stream": stream, "cluster_id": broker.cluster_id, "topic_id": bus.topic_id}
    known = {row.partition for row in cur.execute(sql.bus_partitions, keys).fetchall()}
    missing = sorted(set(bus.partitions) - known)
    if missing:
        raise BusOfNoWindow(
            expected=f"a window that knows {bus.name}/{missing[0]}",
            found="none",
            next_step="open a run, or wait until the open window has taken it in",
        )
    return tuple(f.BasisSource(f.bus_label(bus.name, p), p) for p in sorted(bus.partitions))


def _add_sources(cur: Cursor, win: WindowId, order: RerunOrder, stream: StreamId) -> tuple[f.BasisSource, ...]:
    """Offsets of a plan's source count from 0. Its key's bytes name what the plan binds, and so do receipts' leaves."""
    labels = []
    for index, origin in enumerate(order.origins or (None,)):
        values = {"stream": stream, "plan": order.plan, "index": index, "binds": order.digest.hex()}
        source = SourceId(fetch_one(cur.execute(sql.insert_source, values)).id)
        failpoint("rerun.after_source_row")
        for lane in ("admission", "publish"):
            ensure_position(cur, lane, source, stream, 0)
        failpoint("rerun.after_positions")
        cur.execute(sql.bind, {"source": source, "win": win, "owner": owner_of(order.plan), "fence": FENCE})
        failpoint("rerun.after_binding")
        insert_range(cur, win, source, 0)
        failpoint("rerun.after_range")
        if origin is not None:
            cur.execute(
                sql.insert_origin,
                {"source": source, "origin": origin.source, "start": origin.start, "end": origin.end},
            )
        labels.append(f.BasisSource(label_of(order.plan, index)))
    return tuple(labels)


def _pin(cur: Cursor, win: WindowId, loaded: CompiledContract) -> None:
    """By the time of the first window's cut, where the contract goes by that; else what is newest."""
    if loaded.contract.pin is not PinTime.CUT:
        write_pins(cur, win, _pins(cur, loaded))
        return
    contexts = unpinned(cur, win, loaded.contract)
    for context in contexts:
        if context.wait is not None:
            raise ContextOfRerun(
                expected=f"a PASS of {context.context} of the time of that cut",
                found=context.wait.text,
                next_step="ask for it again once that is there",
            )
    write_pins_at_cut(cur, win, contexts)


def _pins(cur: Cursor, loaded: CompiledContract) -> Sequence[ContextPin]:
    pins = []
    for context in loaded.contract.contexts:
        row = newest_pass(cur, context.stream)
        if row is None:
            raise ContextOfRerun(
                expected=f"a PASS of stream {context.stream}", found="none that stands", next_step="close a run of it"
            )
        pins.append((context.name, WindowId(row.win), row.name))
    return pins


def cut_rerun(cur: Cursor, plan: int, actor: str) -> None:
    """The plan is over: its window ends where it stands, and is judged on what ran. Nothing where there is none."""
    rerun = rerun_of(cur, plan)
    if rerun is None:
        return
    cuts = {}
    for index, source in enumerate(rerun.sources):
        end = fetch_one(cur.execute(sql.cut_position, {"source": source.id})).next_offset
        failpoint("rerun_cut.after_position")
        cur.execute(sql.end_range, {"win": rerun.win, "source": source.id, "end": end})
        cuts[label_of(plan, index)] = end
    failpoint("rerun_cut.after_ranges")
    cur.execute(sql.cut_window, {"win": rerun.win})
    failpoint("rerun_cut.after_window")
    told: dict[str, Any] = {"window": rerun.number, "plan": plan, "cuts": cuts}
    told |= {"rerun": rerun.rerun} if rerun.rerun is not None else {}
    record_act(cur, actor, "rerun.cut", rerun.run, "", told)


def write_bus_end(cur: Cursor, win: WindowId, broker: f.Broker) -> bool:
    """How far the bus must be read before the rerun is judged: all partitions or none. False: not all were measured."""
    bus, rows = broker.bus, []
    keys = {"win": win, "cluster_id": broker.cluster_id, "topic_id": bus.topic_id}
    for row in cur.execute(sql.bus_of_rerun, keys).fetchall():
        log = bus.partitions.get(row.partition)
        if log is None or log.high_watermark is None:
            return False
        rows.append((row.source_id, log.high_watermark))
    if not rows:
        return False
    values = {"win": win, "sources": [source for source, _ in rows], "ends": [end for _, end in rows]}
    cur.execute(sql.insert_ends, values)
    return True


__all__ = [
    "BusOfNoWindow", "ContextOfRerun", "LookedBackOn", "OriginRange", "PlaceNotWhole", "PlaceTaken", "PlanSource",
    "Rerun", "RerunOrder", "check_not_looked_back_on", "check_place", "check_replaceable", "cut_rerun", "label_of",
    "place_faults",
    "open_rerun", "rerun_of", "write_bus_end",
]  # fmt: skip
