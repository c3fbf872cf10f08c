"""Reruns: windows whose only source is a plan. Opened by the plan's first step, cut when the plan is over.

A rerun stands beside the window that it reruns, outside of the chain of windows: it takes no offset of the inbox from
anybody, and what lies on the bus is the windows'. These are steps inside a plan's transaction; the verdict on a rerun
is made as every other (close.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from audit import capture as look
from audit.core import facts as f
from audit.open import ContextPin, insert_range, newest_pass, write_pins
from ingest.auditlog import record_act
from ingest.core.errors import BrokerError, RunError
from ingest.core.ids import SourceId, StreamId, WindowId
from ingest.db import Cursor, fetch_one, statements
from ingest.failpoints import failpoint
from ingest.streams import CompiledContract
from ingest.windows import Binding, ensure_position

sql = statements("audit", "rerun")

LABEL = "plan"


class BusOfNoWindow(RunError):
    """The bus is none that a window of the stream stands on: it was created again since."""

    code = "bus_of_no_window"
    what = "no window of the stream stands on this bus"


class ContextOfRerun(RunError):
    """What the projection joins with has no PASS now."""

    code = "context_not_passed"
    what = "the context of the rerun has no verdict that stands"
    retry = True


@dataclass(frozen=True)
class RerunOrder:
    """What a plan asks for: `win` is rerun under `loaded`, from `origin`, which the source is named after."""

    win: WindowId
    loaded: CompiledContract
    plan: int
    kind: str
    digest: bytes
    requested_by: str
    approved_by: str
    reason: str


@dataclass(frozen=True)
class Rerun:
    """A rerun that is open: window `number` rerun `rerun`, and the plan's source in it."""

    win: WindowId
    number: int
    rerun: int
    source: SourceId
    stream: StreamId
    run: str
    binding: Binding


def rerun_of(cur: Cursor, plan: int) -> Rerun | None:
    """The rerun that a plan has opened; None: none yet."""
    row = cur.execute(sql.of_plan, {"plan": plan}).fetchone()
    return None if row is None else _rerun(row)


def _rerun(row: Any) -> Rerun:
    binding = Binding(row.source_id, row.next_offset, None, row.win, row.run_id, row.run_name, row.contract_id)
    return Rerun(row.win, row.number, row.rerun, row.source_id, row.stream_id, f"{row.stream}/{row.run_name}", binding)


def open_rerun(cur: Cursor, order: RerunOrder, captured: look.Capture) -> Rerun:
    """`captured` was asked of Kafka before. Raises BrokerError, BusOfNoWindow, ContextOfRerun."""
    captured = captured.without_inbox()
    if captured.broker is None:
        raise BrokerError(expected="topics and offsets", found=captured.why, next_step="see whether Kafka is up")
    broker = captured.broker.value
    first = fetch_one(cur.execute(sql.lock_first, {"win": order.win}))
    failpoint("rerun.after_lock")
    bus = _bus(cur, first.stream_id, broker)
    win = WindowId(fetch_one(cur.execute(sql.insert_window, _window_row(order))).id)
    failpoint("rerun.after_window")
    cur.execute(sql.insert_rerun, _rerun_row(win, order))
    failpoint("rerun.after_row")
    _add_source(cur, win, order, StreamId(first.stream_id))
    failpoint("rerun.after_source")
    write_pins(cur, win, _pins(cur, order.loaded))
    failpoint("rerun.after_pins")
    origin = look.store_snapshot(cur, win, "ORIGIN", captured, look.database_identity(cur))
    failpoint("rerun.after_snapshot")
    sources = ((f.BasisSource(label_of(order.plan)),), bus)
    look.append_basis(cur, win, origin, look.unprobed(broker), sources, "the rerun opened")
    failpoint("rerun.after_basis")
    opened = rerun_of(cur, order.plan)
    assert opened is not None
    told = {"window": opened.number, "rerun": opened.rerun, "plan": order.plan, "contract": order.loaded.version}
    record_act(cur, order.requested_by, "rerun.open", f"{first.stream}/{first.run_name}", order.reason, told)
    return opened


def label_of(plan: int) -> str:
    """What a rerun calls its source, as `source_label` says it."""
    return f"{LABEL}/{plan}"


def _window_row(order: RerunOrder) -> dict[str, object]:
    return {"win": order.win, "contract": order.loaded.id}


def _rerun_row(win: WindowId, order: RerunOrder) -> dict[str, object]:
    return {
        "win": win, "plan": order.plan, "kind": order.kind, "requested_by": order.requested_by,
        "approved_by": order.approved_by, "reason": order.reason,
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


def _add_source(cur: Cursor, win: WindowId, order: RerunOrder, stream: StreamId) -> None:
    """Offsets of a plan's source count from 0. Its key's bytes name plan and origin, so that receipts' leaves do."""
    values = {"stream": stream, "plan": order.plan, "origin": order.digest.hex()}
    source = SourceId(fetch_one(cur.execute(sql.insert_source, values)).id)
    failpoint("rerun.after_source_row")
    for lane in ("admission", "publish"):
        ensure_position(cur, lane, source, stream, 0)
        failpoint("rerun.after_position")
    failpoint("rerun.after_positions")
    cur.execute(sql.bind, {"source": source, "win": win})
    failpoint("rerun.after_binding")
    insert_range(cur, win, source, 0)


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
    """The plan is over: its rerun ends where it stands, and is judged on what ran. Nothing where there is none."""
    rerun = rerun_of(cur, plan)
    if rerun is None:
        return
    end = fetch_one(cur.execute(sql.cut_position, {"source": rerun.source})).next_offset
    failpoint("rerun_cut.after_position")
    cur.execute(sql.end_range, {"win": rerun.win, "source": rerun.source, "end": end})
    failpoint("rerun_cut.after_range")
    cur.execute(sql.cut_window, {"win": rerun.win})
    failpoint("rerun_cut.after_window")
    told = {"window": rerun.number, "rerun": rerun.rerun, "plan": plan, "cuts": {label_of(plan): end}}
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
    "BusOfNoWindow", "ContextOfRerun", "Rerun", "RerunOrder", "cut_rerun", "label_of", "open_rerun",
    "rerun_of", "write_bus_end",
]  # fmt: skip
