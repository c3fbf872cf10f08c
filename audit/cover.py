"""Reads what tells whether a rerun proves all of its window (audit/core/cover.py): nothing is written.

The window is measured as it is for a verdict. Beside that its batches' digests are computed again, its events are held
against the records that the rerun read, and its places are read on the bus with a second reader.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from audit import capture as look
from audit.core import cover as core
from audit.core import facts as f
from audit.core import verdict as v
from audit.core.gate import on_another_bus
from audit.measure import Measurement, committed_beside, lanes_of, measure, renewed, window_row
from audit.roots import digested_again
from ingest.core.attempt import Mark, read_mark
from ingest.core.errors import BrokerError
from ingest.core.identity import payload_digest
from ingest.core.ids import WindowId
from ingest.db import Cursor, fetch_one, read, statements
from ingest.kafka import Cluster, LoggedRecord, LogWalk, Partition, Start
from ingest.streams import compiled_contract

sql = statements("audit", "cover")

#: [start, end) of an inbox source, by its number.
Span = tuple[int, int, int]


@dataclass(frozen=True)
class CoverReading:
    """Facts of a window that a rerun may cover. `at`: when they are held against the rule; `measured_at`: when
    Kafka was asked for them."""

    win: WindowId
    facts: core.CoverFacts
    at: datetime
    measured_at: datetime


def covered_by(cur: Cursor, rerun: WindowId) -> WindowId | None:
    """The window that a rerun is of."""
    row = cur.execute(sql.covered, {"rerun": rerun}).fetchone()
    return WindowId(row.win) if row is not None else None


def see_cover(rerun: WindowId, verdict: v.Verdict, judged: f.WindowFacts) -> CoverReading | None:
    """What there is to know of the window of a rerun with this verdict; None: it is no rerun that covers any.
    `judged`: the facts that the rerun was judged on.

    What is dear is read only where nothing else is missing, and before the window is measured: that is young then. The
    window's revision is asked for first of all, and where it has moved since, nothing is stored.
    """
    if not core.may_cover(verdict.window) or verdict.state is not v.State.PASS:
        return None
    with read() as cur:
        win = covered_by(cur, rerun)
        spans = [(x.source, x.start, x.end) for x in cur.execute(sql.read_again, {"rerun": rerun}).fetchall()]
    if win is None:
        return None
    facts, at = _about(win, spans, rerun)
    facts = replace(facts, bus=_bus_of_now(win, judged, rerun))
    if core.before_reading(facts, verdict.window.contract_digest):
        return CoverReading(win, facts, at, at)
    with read() as cur:
        run = window_row(cur, win).run_id
        places = cur.execute(sql.places, {"win": win, "run": run}).fetchall()
    facts = replace(facts, sets=_sets(win, rerun, run), roots=_roots(win), places=_places(places, win, run))
    measured, captured = _measured(win, rerun)
    if facts.bus is not None:
        facts = replace(facts, bus=_read_now(facts.bus, rerun, places, captured))
    seen = measured.facts.broker.measured_at if measured.facts.broker else measured.at
    return CoverReading(win, replace(facts, window=measured.facts), measured.at, seen)


def foresee(win: WindowId, spans: Sequence[Span]) -> CoverReading:
    """What there is to know, as it looks now, of a window of which a rerun reads these ranges again: `core.foreseen`
    says what is missing for that to cover it once it has passed."""
    facts, _ = _about(win, spans, None)
    with read() as cur:
        newest = WindowId(fetch_one(cur.execute(sql.newest, {"win": win})).win)
    measured, captured = _measured(win, newest)
    bus = _bus_foreseen(win, measured.facts)
    if bus is not None:
        facts = replace(facts, bus=_read_now(bus, newest, (), captured))
    return CoverReading(win, replace(facts, window=measured.facts), measured.at, measured.at)


def _measured(win: WindowId, beside: WindowId) -> tuple[Measurement, look.Capture]:
    """The window as it is measured for a verdict, whatever its own says. `beside`: a later window, which knows the bus
    that is there now, if the window's own is gone."""
    with read() as cur:
        contract = compiled_contract(window_row(cur, win).contract_id).contract
    captured = look.capture(contract, _starts(win, beside, contract.bus.topic))
    measurement = measure(win, captured)
    if measurement.ages():
        captured = look.capture(contract, _starts(win, beside, contract.bus.topic))
        measurement = renewed(measurement, captured)
    return measurement, captured


def _starts(win: WindowId, beside: WindowId, bus: str) -> list[Start]:
    """Where the lanes stand that read the window's inbox, and those that read the bus of now."""
    found = lanes_of([win, beside])
    inbox = [start for start in found[win] if start.topic != bus]
    return [*inbox, *(start for start in found[beside] if start.topic == bus)]


# ---- a bus that was created again -----------------------------------------------------------------------------------


def _bus_of_now(win: WindowId, judged: f.WindowFacts, rerun: WindowId) -> core.BusOfNow | None:
    """The bus that the rerun was judged on, if the window was judged on another."""
    if judged.basis is None:
        return None
    return _if_another(win, judged.basis.value.broker, judged.basis.value.bus, rerun)


def _bus_foreseen(win: WindowId, facts: f.WindowFacts) -> core.BusOfNow | None:
    """The bus that a rerun would be judged on: the one that Kafka has now."""
    if facts.broker is None or facts.broker.value.bus.topic_id is None:
        return None
    broker = look.unprobed(facts.broker.value)
    sources = tuple(f.BasisSource(f.bus_label(broker.bus.name, p), p) for p in sorted(broker.bus.partitions))
    return _if_another(win, broker, sources, None)


def _if_another(
    win: WindowId, broker: f.Broker, sources: tuple[f.BasisSource, ...], but: WindowId | None
) -> core.BusOfNow | None:
    """Only another topic of the same name, on the same cluster: all else is what the window's own checks say of it."""
    with read() as cur:
        own = look.read_basis(cur, win)
        if own is None:
            return None
        if not on_another_bus(own.value, replace(own.value, broker=broker)):
            return None
        bound = fetch_one(cur.execute(sql.bound, {"win": win, "but": but, "topic_id": broker.bus.topic_id}))
    return core.BusOfNow(broker.bus, sources, bound.own, bound.of_reruns)


def _read_now(bus: core.BusOfNow, beside: WindowId, places: Sequence[Any], captured: look.Capture) -> core.BusOfNow:
    """Where the lanes of that bus stand now, after Kafka was asked, and how far they must be: as far as the rerun, and
    beyond the last place of the window."""
    last = {row.partition: row.last + 1 for row in places if row.topic_id == bus.topic.topic_id}
    with read() as cur:
        rows = cur.execute(sql.positions, {"beside": beside, "topic_id": bus.topic.topic_id}).fetchall()
    positions = tuple(
        f.BusPosition(
            look.source_label(row),
            row.partition,
            row.next_offset,
            row.next_offset,
            max(row.end_offset or 0, last.get(row.partition, 0)),
            row.progressed_at,
        )
        for row in rows
    )
    at = captured.broker.measured_at if captured.broker else look.now()
    pairs = committed_beside(captured, None, f.MeasuredValue(positions, at, "ledger"))
    return replace(bus, positions=positions, commits=pairs.value if pairs else ())


def _about(win: WindowId, spans: Sequence[Span], rerun: WindowId | None) -> tuple[core.CoverFacts, datetime]:
    with read() as cur:
        row: Any = cur.execute(sql.about, {"win": win}).fetchone()
        others = cur.execute(sql.others, {"win": win, "rerun": rerun}).fetchall()
        ranges = [_range(x, set(spans)) for x in cur.execute(sql.ranges, {"win": win}).fetchall()]
    facts = core.CoverFacts(
        number=row.number,
        revision=row.revision,
        failed=row.body,
        contract_digest=bytes(row.digest).hex(),
        ranges=ranges,
        others=[core.OtherRerun(x.rerun, x.state) for x in others],
        taken_by=row.taken_by,
        contradictions=row.contradictions,
        mended=row.mended,
    )
    return facts, row.now


def _range(row: Any, spans: set[Span]) -> core.ReadRange:
    """A range without an offset needs no reading. What came in by HTTP cannot be read again."""
    whole = row.start_offset == row.end_offset
    whole = whole or (row.kind == "topic" and (row.source_id, row.start_offset, row.end_offset) in spans)
    return core.ReadRange(look.source_label(row), row.start_offset, row.end_offset, whole)


def _sets(win: WindowId, rerun: WindowId, run: int) -> core.EventSets:
    keys = {"win": win, "rerun": rerun, "run": run}
    with read() as cur:
        row: Any = cur.execute(sql.sets, keys).fetchone()
        classes = {x.name: x.n for x in cur.execute(sql.classes, keys).fetchall()}
    return core.EventSets(row.events, row.referred, row.admitted, row.receipts, classes)


def _roots(win: WindowId) -> core.BatchRoots:
    with read() as cur:
        return core.BatchRoots(*digested_again(cur, sql.batches, {"win": win}))


# ---- places on the bus ----------------------------------------------------------------------------------------------


def _places(rows: Sequence[Any], win: WindowId, run: int) -> core.PlaceCount:
    """A place on an incarnation that is gone, or that was not read to its end, is none."""
    met = 0
    for row in rows:
        with suppress(BrokerError):
            met += _met(row, win, run)
    return core.PlaceCount(sum(row.places for row in rows), met)


def _met(row: Any, win: WindowId, run: int) -> int:
    """How many of the window's events lie at their places on one partition of the bus that is there now."""
    if (look.admin().cluster_id(), look.admin().topic_id(row.topic)) != (row.cluster_id, row.topic_id):
        return 0
    ends = look.admin().ends(row.topic, [row.partition])[row.partition]
    if ends.earliest is None or ends.lso is None or ends.earliest > row.first or ends.lso <= row.last:
        return 0
    with LogWalk(Cluster.from_settings(), Partition(row.topic, row.partition)) as walk:
        pieces = walk.pieces(row.first, row.last + 1)
        met = sum(_met_in(list(_marked(piece.records)), row.source_id, win, run) for piece in pieces)
    return met if look.admin().topic_id(row.topic) == row.topic_id else 0


def _met_in(ours: Sequence[tuple[LoggedRecord, Mark]], bus: int, win: WindowId, run: int) -> int:
    if not ours:
        return 0
    values = {
        "win": win, "run": run, "bus": bus,
        "offsets": [logged.record.offset for logged, _ in ours],
        "attempts": [mark.attempt for _, mark in ours],
        "installs": [mark.install for _, mark in ours],
        "identities": [mark.identity for _, mark in ours],
        "digests": [mark.digest for _, mark in ours],
        "values": [payload_digest(logged.record.value) for logged, _ in ours],
    }  # fmt: skip
    with read() as cur:
        row: Any = cur.execute(sql.met, values).fetchone()
    return int(row.n)


def _marked(records: Iterable[LoggedRecord]) -> Iterator[tuple[LoggedRecord, Mark]]:
    """What a reader of committed data is given, and carries an installation's marks. Whose attempt it is says the
    attempt's row: a ledger that was adopted has some of what it was before."""
    for logged in records:
        mark = read_mark(logged.record.headers) if logged.visible else None
        if isinstance(mark, Mark):
            yield logged, mark
