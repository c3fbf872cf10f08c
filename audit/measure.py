"""Reads a window's facts from the ledger, in one REPEATABLE READ, READ ONLY transaction.

Rows are counted where they are: no memory here grows with the number of receipts (S13). Time does, and a reading may
take longer than a sample may be old: then what was counted is shown to be true still, and Kafka is asked again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal as Share
from typing import Any, TypeVar

from psycopg import sql as pgsql

from audit import capture as look
from audit.core import facts as f
from audit.gate import recheck_end
from audit.stand_in import stand_ins
from ingest.core.contract import Contract, EmptyWindowRule, Totals
from ingest.core.errors import NotFound
from ingest.core.ids import SourceId, WindowId
from ingest.core.leaf import table_partition
from ingest.core.pinning import ContextWait
from ingest.core.reason import Decision
from ingest.core.stored import word
from ingest.db import Cursor, read, read_snapshot, statements
from ingest.kafka import Start
from ingest.pinned import ContextAtCut, unpinned
from ingest.projections.base import load_projection
from ingest.streams import compiled_contract

sql = statements("audit", "measure")
T = TypeVar("T")


@dataclass(frozen=True)
class Measurement:
    """Facts, and the database's time right after they were read. `row` is the window as it was then."""

    facts: f.WindowFacts
    at: datetime
    row: Any

    def at_revision(self, revision: int) -> Measurement:
        """This measurement for a later revision of the window, where it is known that its facts did not change."""
        return replace(self, row=self.row._replace(revision=revision))

    def ages(self) -> bool:
        """Half of the time for which its oldest fact counts has gone by already."""
        return self.at - (self.facts.oldest() or self.at) > self.facts.rules.sample_max_age / 2


def window_row(cur: Cursor, win: WindowId) -> Any:
    row = cur.execute(sql.window, {"win": win}).fetchone()
    if row is None:
        raise NotFound(expected=f"window {win}", found="none")
    return row


def lanes(win: WindowId) -> list[Start]:
    """Where the lanes of a window stand: what an epoch probe asks about."""
    return lanes_of([win])[win]


def lanes_of(wins: Sequence[WindowId]) -> dict[WindowId, list[Start]]:
    """`lanes` for many windows, with one statement."""
    with read() as cur:
        rows = cur.execute(sql.positions, {"wins": list(wins)}).fetchall()
    found: dict[WindowId, list[Start]] = {win: [] for win in wins}
    for row in rows:
        found[row.win].append(Start(row.topic, row.partition, row.next_offset, row.leader_epoch, row.anchor))
    return found


def measure(win: WindowId, captured: look.Capture, refuted: Mapping[SourceId, int] | None = None) -> Measurement:
    """`captured` was asked of Kafka before; `refuted` are offsets by source that a second reader found in gaps."""
    with read_snapshot() as cur:
        cur.execute(sql.room)
        row = window_row(cur, win)
        captured = _of_its_sources(row, captured)
        contract = compiled_contract(row.contract_id).contract
        facts = _WindowReading(cur, row, look.clock(cur)).facts(contract, captured, refuted or {})
        at = look.clock(cur)
    return Measurement(facts, at, row)


def _of_its_sources(row: Any, captured: look.Capture) -> look.Capture:
    """What a plan brought stands on receipts: what became of the inbox since is not its window's business."""
    return captured.without_inbox() if row.by_plan else captured


def renewed(measurement: Measurement, captured: look.Capture) -> Measurement:
    """The same counts at a later time, beside `captured`, which was asked of Kafka after they were made.

    Whatever changes a fact of a cut window raises its revision in its own transaction, so one that has not moved says
    that the counts are true still. As it was where it has moved: no verdict is stored of that (S12).
    """
    before = measurement.row
    with read() as cur:
        at = look.clock(cur)
    facts = restamped(before, measurement.facts, captured, at)
    with read() as cur:  # at last: what was read before it was not overtaken
        row = window_row(cur, before.id)
    if row.state != f.WindowState.CUT or row.revision != before.revision:
        return measurement
    return Measurement(facts, at, before)


def restamped(row: Any, facts: f.WindowFacts, captured: look.Capture, at: datetime) -> f.WindowFacts:
    """Counts that are known to be unchanged at `at`, with Kafka's new answers.

    Which Postgres this is, where lanes stand, and whether the context does, is read anew: nobody's revision says that a
    server was promoted or that a gate was not re-checked, and lanes go on with the next window. Positions must be read
    after the commits they are held against.
    """
    captured = _of_its_sources(row, captured)
    bus = facts.basis.value.broker if facts.basis else None
    with read() as cur:
        database = f.MeasuredValue(look.database_identity(cur), at, "postgres")
        stand = _positions(cur, row, bus)
        pinned = _pins(cur, row)
        stopped, ended = _stopped_publishing(cur, row.id), _ended(cur, row.id)
    held = {name: replace(getattr(facts, name), measured_at=at) for name in f.LEDGER if getattr(facts, name)}
    if facts.context:
        held["context"] = replace(held["context"], value=pinned)
    ends = _ends(captured)
    if facts.inbox:
        sources = [_moved(source, stand) for source in facts.inbox.value]
        sources = [replace(s, ends_before=s.label in stand and stand[s.label].ends_before) for s in sources]
        held["inbox"] = replace(held["inbox"], value=tuple(replace(s, target=ends.get(s.label)) for s in sources))
    if facts.publishing:
        held["publishing"] = replace(held["publishing"], value=replace(facts.publishing.value, stopped=stopped))
    if facts.bus:
        held["bus"] = replace(held["bus"], value=tuple(_moved(position, stand) for position in facts.bus.value))
    committed = committed_beside(captured, held.get("inbox"), held.get("bus"))
    return replace(facts, **held, database=database, broker=captured.broker, committed=committed, ended=ended)


def _stop(row: Any, label: str = "{}") -> f.LaneStop | None:
    if row.stopped_code is None:
        return None
    return f.LaneStop(label.format(look.source_label(row)), row.stopped_code, row.stopped_detail or "")


def _stopped_publishing(cur: Cursor, win: WindowId) -> tuple[f.LaneStop, ...]:
    rows = cur.execute(sql.stopped_publishing, {"win": win}).fetchall()
    return tuple(stop for row in rows if (stop := _stop(row, "the publish lane of {}")))


def _positions(cur: Cursor, row: Any, bus: f.Broker | None) -> dict[str, Any]:
    """Where the window's lanes stand, by label: rows (next_offset, stopped_code, stopped_detail)."""
    cluster, topic = (bus.cluster_id, bus.bus.topic_id) if bus else (None, None)
    keys = {"win": row.id, "stream": row.stream_id, "cluster_id": cluster, "topic_id": topic}
    return {look.source_label(found): found for found in cur.execute(sql.standing, keys).fetchall()}


Standing = TypeVar("Standing", f.SourceLedger, f.BusPosition)


def _moved(source: Standing, stand: Mapping[str, Any]) -> Standing:
    row = stand.get(source.label)
    if row is None:
        return source
    return replace(source, position=max(source.position, row.next_offset), stop=_stop(row))


def _ends(captured: look.Capture) -> dict[str, int | None]:
    """Where an open window's lanes could be now, by label."""
    inbox = captured.broker.value.inbox if captured.broker else None
    return {f.inbox_label(number): log.lso for number, log in inbox.partitions.items()} if inbox else {}


def rules(contract: Contract) -> f.CloseRules:
    """The contract's [close], and what else of it a verdict must know."""
    close = contract.close
    return f.CloseRules(
        sample_max_age=close.sample_max_age,
        stalled_after=close.stalled_after,
        quarantine_open_max=close.quarantine_open_max,
        discard_max=close.discard_max,
        missing_max=Share(str(close.missing_max)),
        ambiguous_max=Share(str(close.ambiguous_max)),
        empty_waivable=close.empty is not EmptyWindowRule.NEVER,
        empty_passes=close.empty is EmptyWindowRule.PASS,
        totals_required=close.totals is Totals.REQUIRED,
        required=tuple(event.name for event in contract.events if event.required),
        contexts=tuple(context.name for context in contract.contexts),
    )


def rerun_name(cur: Cursor, row: Any) -> f.RerunName | None:
    """Which plan filled the window, in whose place; None: its lanes did."""
    if not row.by_plan:
        return None
    of: Any = cur.execute(sql.rerun, {"win": row.id}).fetchone()
    names = (of.plan, of.kind, of.requested_by, of.approved_by, of.reason, of.version)
    return f.RerunName(row.rerun, *names, bytes(of.digest).hex(), of.out_of_order)


class _WindowReading:
    """One reading of one window: every value carries the time at which its transaction began to look."""

    def __init__(self, cur: Cursor, row: Any, at: datetime) -> None:
        self._cur = cur
        self._row = row
        self._at = at
        self._keys = {"win": row.id, "run": row.run_id, "stream": row.stream_id}

    def facts(self, contract: Contract, captured: look.Capture, refuted: Mapping[SourceId, int]) -> f.WindowFacts:
        basis = look.read_basis(self._cur, self._row.id)
        receipts = self._rows(sql.receipts)
        inbox = self._seen(self._inbox(receipts, captured, refuted))
        bus = self._seen(self._bus(basis.value.broker) if basis else ())
        ours = rules(contract)
        return f.WindowFacts(
            window=self._name(),
            rules=ours,
            basis=basis,
            broker=captured.broker,
            database=self._seen(look.database_identity(self._cur), "postgres"),
            inbox=inbox,
            bus=bus,
            counts=self._seen(self._counts(receipts)),
            totals=self._seen({row.event_class: row.declared for row in self._rows(sql.totals)}),
            publishing=self._seen(self._publishing()),
            application=self._seen(replace(self._application(), tables=self._truth(contract))),
            committed=committed_beside(captured, inbox, bus),
            quarantine=self._seen(self._quarantine()),
            joins=self._seen(self._joins()) if ours.joins else None,
            end=look.read_end(self._cur, self._row.id),
            context=self._seen(_pins(self._cur, self._row)),
            behind=look.read_behind(self._cur, self._row.id),
            waivers=_waivers(self._cur, self._row.id),
            ended=_ended(self._cur, self._row.id),
            decisions=tuple(f.AttemptDecision(*row) for row in self._rows(sql.decisions)),
        )

    def _seen(self, value: T, source: str = "ledger") -> f.MeasuredValue[T]:
        return f.MeasuredValue(value, self._at, source)

    def _rows(self, statement: str, **more: object) -> list[Any]:
        return self._cur.execute(statement, self._keys | more).fetchall()

    def _row_of(self, statement: str) -> Any:
        return self._rows(statement)[0]

    def _in_leaf(self, statement: str) -> str:
        """The statement with the name of the table partition that holds this run's events filled in for {leaf}."""
        return statement.format(leaf=table_partition("event", self._row.run_id))

    def _name(self) -> f.WindowName:
        row = self._row
        return f.WindowName(
            row.stream,
            row.run_name,
            row.number,
            word(f.WindowState, row.state),
            row.revision,
            row.version,
            bytes(row.digest).hex(),
            cut_at=row.cut_at,
            rerun=rerun_name(self._cur, row),
            complete_until=row.complete_until,
            complete_why=row.complete_why or "",
            behind=row.behind,
        )

    def _inbox(
        self, receipts: list[Any], captured: look.Capture, refuted: Mapping[SourceId, int]
    ) -> tuple[f.SourceLedger, ...]:
        strays = {row.source_id: row for row in self._rows(sql.strays)}
        ends = _ends(captured)
        origins = {row.source_id: row for row in self._rows(sql.origins)} if self._row.by_plan else {}
        unread = {row.source_id: row.unread for row in self._rows(sql.unread)} if self._row.by_plan else {}
        stood_in = stand_ins(self._cur, self._row.id) if self._row.by_plan else {}
        lines = []
        for row in self._rows(sql.inbox):
            mine = [x for x in receipts if x.source_id == row.source_id]
            stray = strays.pop(row.source_id, None)
            ledger = _ledger(row, mine, stray.n if stray else 0, refuted.get(row.source_id, 0))
            ledger = replace(ledger, target=ends.get(ledger.label), unread=unread.get(row.source_id, 0))
            ledger = replace(ledger, stand_in=stood_in.get(row.source_id))
            if (origin := origins.get(row.source_id)) is not None:
                ledger = replace(ledger, differing=origin.differing, gone=origin.gone)
            lines.append(ledger)
        return (*lines, *(_only_strays(row, self._at) for row in strays.values()))

    def _bus(self, broker: f.Broker) -> tuple[f.BusPosition, ...]:
        rows = self._rows(sql.bus, cluster_id=broker.cluster_id, topic_id=broker.bus.topic_id)
        return tuple(
            f.BusPosition(
                look.source_label(row),
                row.partition,
                row.start_offset,
                row.next_offset,
                row.end_offset,
                row.stands_since,
                row.lost,
                _stop(row),
            )
            for row in rows
        )

    def _counts(self, receipts: list[Any]) -> f.Counts:
        names = {row.id: row.name for row in self._rows(sql.classes)}
        batches = self._row_of(sql.batches)
        decided = dict.fromkeys(Decision, 0)
        by_class: dict[str, int] = {}
        for row in receipts:
            decided[word(Decision, row.decision)] += row.n
            if row.decision == Decision.ADMITTED:
                name = names.get(row.class_id, "?")
                by_class[name] = by_class.get(name, 0) + row.n
        return f.Counts(
            batches.records,
            batches.admitted,
            batches.duplicates,
            batches.quarantined,
            decided[Decision.ADMITTED],
            decided[Decision.DUPLICATE],
            decided[Decision.QUARANTINED],
            by_class,
            batches.newest,
        )

    def _publishing(self) -> f.PublishFacts:
        places = self._row_of(self._in_leaf(sql.places))
        rows = self._rows(sql.attempts)
        attempts = {row.state: (row.attempts, row.events) for row in rows}
        copies = self._row_of(sql.copies)
        return f.PublishFacts(
            events=places.events,
            placed_once=places.placed - places.more,
            placed_more=places.more,
            queued=self._row_of(sql.queued).events,
            in_flight=attempts.get("PREPARED", (0, 0)),
            unknown=attempts.get("UNKNOWN", (0, 0)),
            undecidable=attempts.get("UNDECIDABLE", (0, 0)),
            withheld=self._withheld(),
            over=attempts.get("OVER", (0, 0)),
            over_names=tuple(next((row.first for row in rows if row.state == "OVER"), ())),
            foreign=self._row_of(sql.foreign_records).n,
            copies=copies.n,
            first_copy=(copies.partition, copies.offset) if copies.n else None,
            lost=copies.lost,
            contradictions=self._row_of(sql.contradictions).n,
            stopped=_stopped_publishing(self._cur, self._row.id),
        )

    def _withheld(self) -> tuple[int, int]:
        row = self._row_of(self._in_leaf(sql.withheld))
        return row.attempts, row.events

    def _application(self) -> f.Application:
        row = self._row_of(self._in_leaf(sql.application))
        return f.Application(row.events, row.applied, row.missing, row.surplus)

    def _truth(self, contract: Contract) -> tuple[f.TruthTable, ...]:
        """What readers read of this window, table by table."""
        if contract.projection is None:
            return ()
        projection = load_projection(contract.projection.class_path)
        return tuple(self._truth_table(table, projection.takes.get(table)) for table in projection.tables)

    def _truth_table(self, table: str, classes: Sequence[str] | None) -> f.TruthTable:
        named = pgsql.Identifier(*table.split(".")).as_string(self._cur)
        leaves = {
            "leaf": table_partition("event", self._row.run_id),
            "effects": table_partition("effect", self._row.run_id),
        }
        (row,) = self._rows(sql.truth.format(table=named, **leaves), classes=None if classes is None else list(classes))
        return f.TruthTable(table, row.taken, row.missing, row.surplus)

    def _joins(self) -> f.Joins:
        row = self._row_of(sql.joins)
        return f.Joins(row.matched, row.missing, row.ambiguous)

    def _quarantine(self) -> f.Quarantine:
        row = self._row_of(sql.quarantine)
        return f.Quarantine(row.open, row.resolved, row.discarded, row.unsigned)


def _pins(cur: Cursor, of: Any) -> tuple[f.PinnedVerdict, ...]:
    """What the window was joined with, and whether that stands; and what it waits to be joined with, and why."""
    rows = cur.execute(sql.pins, {"win": of.id}).fetchall()
    pinned = [
        f.PinnedVerdict(row.context, row.verdict, bytes(row.digest).hex(), row.why or "", row.fallen) for row in rows
    ]
    waits = unpinned(cur, of.id, compiled_contract(of.contract_id).contract)
    return (*pinned, *map(_awaited, waits))


def _awaited(found: ContextAtCut) -> f.PinnedVerdict:
    wait = found.wait or ContextWait(f"waits for {found.context}: {found.verdict} is about to be pinned")
    return f.PinnedVerdict(found.context, "", "", wait.text, wait.failed)


def _ended(cur: Cursor, win: WindowId) -> f.RecheckEnd | None:
    row = cur.execute(sql.recheck_end, {"win": win}).fetchone()
    return recheck_end(row) if row is not None else None


def _waivers(cur: Cursor, win: WindowId) -> tuple[f.Waiver, ...]:
    """What was waived of the window and is not over, the one that lasts longest first."""
    return tuple(read_waiver(row) for row in cur.execute(sql.waivers, {"win": win}).fetchall())


def read_waiver(row: Any) -> f.Waiver:
    """A waiver as the pure rule takes it, of a row of `waivers`."""
    return f.Waiver(
        row.check_name, row.plan, row.requested_by, row.approved_by, row.reason, row.until, row.bound, row.measured
    )


def committed_beside(
    captured: look.Capture,
    inbox: f.MeasuredValue[tuple[f.SourceLedger, ...]] | None,
    bus: f.MeasuredValue[tuple[f.BusPosition, ...]] | None,
) -> f.MeasuredValue[tuple[f.CommitFact, ...]] | None:
    """Positions must have been read after the commits, so that a lane at work is never seen behind its own commit."""
    if captured.committed is None:
        return None
    said = captured.committed.value
    positions = {s.label: s.position for s in (inbox.value if inbox else ())}
    positions |= {b.label: b.position for b in (bus.value if bus else ())}
    pairs = tuple(
        f.CommitFact(label, said[label], at, said[label] if label in captured.ours else None)
        for label, at in positions.items()
        if label in said
    )
    return f.MeasuredValue(pairs, captured.committed.measured_at, captured.committed.source)


def _ledger(row: Any, receipts: list[Any], strays: int, refuted: int) -> f.SourceLedger:
    """`missing` by counting: receipts and gaps that lie apart must fill the range up to the position."""
    filed = sum(x.n for x in receipts)
    missing = (row.upto - row.start_offset) - filed - (row.gaps - row.doubled)
    return f.SourceLedger(
        label=look.source_label(row),
        start=row.start_offset,
        position=row.next_offset,
        cut=row.end_offset,
        receipts=filed,
        missing=max(missing, 0),
        doubled=row.doubled,
        outside=strays + sum(x.misfiled for x in receipts) + max(-missing, 0),
        claimed=max(row.claimed - refuted, 0),
        refuted=refuted,
        moved_at=row.stands_since,
        lost=row.lost,
        overtaken=min(row.overtaken, max(row.claimed - refuted, 0)),
        first=row.first,
        stop=_stop(row),
        ends_before=row.ends_before,
        kept_to=row.kept_to,
    )


def _only_strays(row: Any, at: datetime) -> f.SourceLedger:
    """A source that the window's batches name and its ranges do not: COVERAGE and ACCOUNTED both say so."""
    return f.SourceLedger(look.source_label(row), 0, 0, 0, 0, 0, 0, row.n, 0, 0, at)
