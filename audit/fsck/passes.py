"""Every standing PASS is judged again, by the pure verdict, from facts that are read for that alone.

The ledger is recounted from receipts, events, places and effects; Kafka is asked where it answers. What Kafka is now
may have moved on (a topic created again, a partition added): that is drift, said as not looked at, and no finding.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from audit import capture as look
from audit.core import checks as c
from audit.core import facts as f
from audit.core import phrases as w
from audit.core import snapshot as s
from audit.core import verdict as v
from audit.core.diagnosis import not_known
from audit.core.finding import BlindSpot, Finding, Said
from audit.fsck.looking import Check, Scope, paged, rows
from audit.measure import committed_beside, read_waiver, rules
from ingest.core.contract import Contract
from ingest.core.stored import WordNotKnown, word
from ingest.db import statements
from ingest.kafka import Start
from ingest.streams import compiled_contract

sql = statements("audit.fsck", "passes")

#: What these say is of Kafka as it is now.
DRIFT = frozenset({c.CheckName.BASIS, c.CheckName.COVERAGE})
TRIES = 3


def _passes(scope: Scope) -> Iterator[Said]:
    answers = _Kafka()
    for row in paged(sql.standing, scope.values):
        yield from _judged_again(row, answers)


def _judged_again(row: Any, answers: _Kafka) -> Iterator[Said]:
    """Facts are read one after the other: where the window moved on meanwhile, they are read again.

    What a check of a later version requires nobody can say here: such a PASS is not judged again.
    """
    if words := _not_known(row.body):
        yield BlindSpot(row.verdict, f"this version does not know {w.listed(words)} of it")
        return
    for _ in range(TRIES):
        before = rows(sql.revision, {"win": row.id})[0].revision
        try:
            facts = _Facts(row).read(answers)
        except WordNotKnown as error:
            yield BlindSpot(row.verdict, str(error))
            return
        after = rows(sql.revision, {"win": row.id})[0]
        if before == after.revision:
            yield from _compare(row, facts, v.verdict(facts, after.now))
            return
    yield BlindSpot(row.verdict, "its window moved on while it was judged again")


def _not_known(body: Mapping[str, Any]) -> list[str]:
    """What of a stored verdict this version does not know: its shape, or words in it."""
    schema = body.get("schema")
    return not_known(body) if schema == v.SCHEMA else [f"the shape {str(schema)[:100]!r}"]


def _compare(row: Any, facts: f.WindowFacts, now: v.Verdict) -> Iterator[Said]:
    lapsed = {waiver.check: waiver.plan for waiver in facts.waivers if not waiver.stands(now.judged_at)}
    yield from _waived(row, facts, lapsed)
    for check in now.checks:
        if check.name in lapsed and check.state is c.State.BROKEN:
            continue  # the verdict stays what it is, and its gate is over
        if check.state is c.State.BROKEN and check.name not in DRIFT:
            yield Finding("I8", row.verdict, f"{check.name} does not hold: {check.cause}")
        elif check.state in (c.State.BROKEN, c.State.UNMEASURED):
            yield BlindSpot(f"{check.name} of {row.verdict}", check.cause)
    if row.body.get("decisions", []) != [v.decision_body(decision) for decision in facts.decisions]:
        yield Finding("I8", row.verdict, "it names other decisions than were made about its publishes")
    if other := _other_sources(facts):
        yield Finding("I8", row.verdict, f"its basis and the ledger differ in {', '.join(sorted(other))}")
    said = row.body.get("counts")
    found = v.counts_body(facts.counts.value) if facts.counts else None
    if found is not None and said != found:
        counted = f"it counted {_told(said)}" if said else "it tells no counts"
        yield Finding("I8", row.verdict, f"{counted}, and there are {_told(found)}")
    told, gone = _told_gone(row.body), now.gone or f.StandIn()
    if told != (counted_gone := (gone.offsets, gone.receipts, gone.empty)):
        yield Finding("I8", row.verdict, f"it says that {told} were gone, and {counted_gone} were")
    pins = facts.context.value if facts.context else ()
    rerun = facts.window.rerun
    if row.body.get("rerun") != (v.rerun_body(rerun) if rerun else None):
        yield Finding("I8", row.verdict, "it names another rerun than its window is")
    if row.body.get("context", []) != [_pinned(pin) for pin in pins]:
        yield Finding("I8", row.verdict, "it names another context than its window is pinned to")


def _told_gone(body: Mapping[str, Any]) -> tuple[int, ...]:
    """Offsets that were gone, and how many of them have a receipt and how many held no record; as the verdict says."""
    said = body.get("gone", {})
    return tuple(int(said.get(name, 0)) for name in ("offsets", "receipts", "empty"))


def _waived(row: Any, facts: f.WindowFacts, lapsed: Mapping[str, int]) -> Iterator[Said]:
    """A verdict leans on waivers that a plan gave, and its gate is open while each of them stands."""
    if row.body.get("waivers", []) != [v.waiver_body(waiver) for waiver in facts.waivers]:
        yield Finding("I8", row.verdict, "it names a waiver that no plan gave")
    for check, plan in lapsed.items():
        if row.is_open:
            yield Finding("I10", row.verdict, f"its gate is open, and what plan {plan} waived of {check} is over")


def _other_sources(facts: f.WindowFacts) -> set[str]:
    """Sources of the ledger that the basis does not know, and those of the basis that the ledger does not have."""
    if not (facts.basis and facts.inbox and facts.bus):
        return set()
    ledger = {source.label for source in facts.inbox.value} | {position.label for position in facts.bus.value}
    return ledger ^ facts.basis.value.labels()


def _told(counts: Mapping[str, Any]) -> str:
    classes = sorted(counts["admitted_by_class"].items())
    return ", ".join(f"{n:,} {name}" for name, n in [*((k, counts[k]) for k in _TOLD), *classes])


_TOLD = ("records", "admitted", "duplicates", "quarantined")


def _pinned(pin: f.PinnedVerdict) -> dict[str, str]:
    return {"name": pin.name, "verdict": pin.reference, "digest": pin.digest}


def _pin(row: Any) -> f.PinnedVerdict:
    return f.PinnedVerdict(row.context, row.verdict, bytes(row.digest).hex(), row.why or "", row.fallen)


@dataclass
class _Kafka:
    """What Kafka says of a stream, asked again once it is half as old as a sample may be."""

    _asked: dict[int, look.Capture] = field(default_factory=dict)

    def of(self, contract_id: int, contract: Contract, lanes: list[Start]) -> look.Capture:
        known = self._asked.get(contract_id)
        bound = contract.close.sample_max_age / 2
        if known is None or known.broker is None or look.now() - known.broker.measured_at > bound:
            known = look.capture(contract, lanes)
            self._asked = {contract_id: known}
        return known


class _Facts:
    """The facts of one window."""

    def __init__(self, row: Any) -> None:
        self._row = row
        self._keys = {"win": row.id, "run": row.run_id, "stream_id": row.stream_id}

    def read(self, answers: _Kafka) -> f.WindowFacts:
        row, contract = self._row, compiled_contract(self._row.contract_id).contract
        inbox_rows, bus_rows = self._rows(sql.inbox), self._rows(sql.bus)
        captured = answers.of(row.contract_id, contract, _lanes([*inbox_rows, *bus_rows]))
        if row.by_plan:
            captured = captured.without_inbox()
        # positions are read again after the commits they are held against: a lane at work was never behind its own
        inbox_rows, bus_rows = self._rows(sql.inbox), self._rows(sql.bus)
        at = look.now()
        inbox = f.MeasuredValue(self._inbox(inbox_rows), at, "ledger")
        bus = f.MeasuredValue(tuple(_position(x) for x in bus_rows), at, "ledger")
        applied = self._rows(sql.applied)[0]
        ours = rules(contract)
        return f.WindowFacts(
            window=self._name(),
            rules=ours,
            basis=self._basis(),
            broker=captured.broker,
            database=f.MeasuredValue(self._database(), at, "postgres"),
            inbox=inbox,
            bus=bus,
            counts=f.MeasuredValue(self._counts(), at, "ledger"),
            totals=f.MeasuredValue({x.event_class: x.declared for x in self._rows(sql.totals)}, at, "ledger"),
            publishing=f.MeasuredValue(self._publishing(), at, "ledger"),
            application=f.MeasuredValue(
                f.Application(applied.events, applied.applied, applied.missing, applied.surplus), at, "ledger"
            ),
            committed=committed_beside(captured, inbox, bus),
            quarantine=f.MeasuredValue(self._items(), at, "ledger"),
            joins=self._joins(applied, at) if ours.joins else None,
            end=self._end(),
            context=f.MeasuredValue(tuple(_pin(x) for x in self._rows(sql.pins)), at, "ledger"),
            waivers=self._waivers(),
            decisions=tuple(f.AttemptDecision(*x) for x in self._rows(sql.decisions)),
        )

    def _rows(self, statement: str) -> list[Any]:
        return rows(statement, self._keys)

    def _name(self) -> f.WindowName:
        row = self._row
        state, digest = word(f.WindowState, row.state), bytes(row.digest).hex()
        return f.WindowName(
            row.stream, row.run_name, row.number, state, row.revision, row.version, digest, row.cut_at, self._rerun()
        )

    def _rerun(self) -> f.RerunName | None:
        if not self._row.by_plan:
            return None
        names = [
            (x.plan, x.kind, x.requested_by, x.approved_by, x.reason, x.version, bytes(x.digest).hex(), x.out_of_order)
            for x in self._rows(sql.rerun)
        ]
        return f.RerunName(self._row.rerun, *names[0]) if names else None

    def _inbox(self, found: list[Any]) -> tuple[f.SourceLedger, ...]:
        strays = {row.source_id: row.n for row in self._rows(sql.outside)}
        origins = {row.source_id: row for row in self._rows(sql.origins)} if self._row.by_plan else {}
        unread = {row.source_id: row.unread for row in self._rows(sql.unread)} if self._row.by_plan else {}
        gone = {row.source_id: _stand_in(row) for row in self._rows(sql.gone)} if self._row.by_plan else {}
        known = tuple(
            replace(
                _source(row, strays.pop(row.source_id, 0), origins.get(row.source_id)),
                unread=unread.get(row.source_id, 0),
                stand_in=gone.get(row.source_id),
            )
            for row in found
        )
        rest = sum(strays.values())
        if not rest and None not in unread:
            return known
        other = f.SourceLedger("sources outside of the basis", 0, 0, 0, 0, 0, 0, rest, 0, 0, look.now())
        return (*known, replace(other, unread=unread.get(None, 0)))

    def _counts(self) -> f.Counts:
        d = self._rows(sql.decided)[0]
        return f.Counts(
            d.records, d.admitted, d.duplicates, d.quarantined, d.receipts_admitted, d.receipts_duplicate,
            d.receipts_quarantined, {row.name: row.n for row in self._rows(sql.classes)}, d.newest,
        )  # fmt: skip

    def _publishing(self) -> f.PublishFacts:
        p, unsettled = self._rows(sql.published)[0], self._rows(sql.unsettled)[0]
        return f.PublishFacts(
            events=p.events, placed_once=p.placed, placed_more=0, queued=p.queued,
            unknown=(unsettled.attempts, unsettled.events), foreign=p.foreign_records, contradictions=p.contradictions,
        )  # fmt: skip

    def _waivers(self) -> tuple[f.Waiver, ...]:
        """Those that the verdict names, in its order."""
        given = {row.plan: read_waiver(row) for row in self._rows(sql.waivers)}
        named = [said.get("plan") for said in self._row.body.get("waivers", [])]
        return tuple(given[plan] for plan in named if plan in given)

    def _items(self) -> f.Quarantine:
        q = self._rows(sql.items)[0]
        return f.Quarantine(q.open, q.resolved, q.discarded, q.unsigned)

    @staticmethod
    def _joins(applied: Any, at: datetime) -> f.MeasuredValue[f.Joins]:
        return f.MeasuredValue(f.Joins(applied.matched, applied.unmatched, applied.ambiguous), at, "ledger")

    def _database(self) -> f.DatabaseIdentity:
        found = self._rows(sql.database)[0]
        return f.DatabaseIdentity(found.system_identifier, found.timeline)

    def _basis(self) -> f.MeasuredValue[f.Basis] | None:
        generations = self._rows(sql.basis)
        later = frozenset(look.source_label(row) for row in self._rows(sql.later))
        basis = s.read_basis([(row.generation, row.facts) for row in generations], later)
        return f.MeasuredValue(basis, generations[-1].recorded_at, "ledger") if basis else None

    def _end(self) -> f.MeasuredValue[f.Broker] | None:
        for row in self._rows(sql.end):
            if row.facts.get("schema") == s.SNAPSHOT and "broker" in row.facts:
                return f.MeasuredValue(s.read_broker(row.facts["broker"]), row.taken_at, "end snapshot")
        return None


def _lanes(found: list[Any]) -> list[Start]:
    return [Start(x.topic, x.partition, x.next_offset, x.leader_epoch) for x in found if x.kind == "topic"]


def _source(row: Any, strays: int, origin: Any | None) -> f.SourceLedger:
    return f.SourceLedger(
        label=look.source_label(row), start=row.start_offset, position=row.next_offset, cut=row.end_offset,
        receipts=row.filed, missing=row.missing, doubled=row.doubled, outside=strays, claimed=row.claimed, refuted=0,
        moved_at=row.progressed_at, differing=origin.unlike if origin else 0, gone=origin.absent if origin else 0,
        kept_to=row.kept_to,
    )  # fmt: skip


def _stand_in(row: Any) -> f.StandIn:
    """Digests of batches, events and items are the business of checks of their own."""
    return f.StandIn(row.offsets, row.receipts, row.empty, row.neither, kept=row.receipts)


def _position(row: Any) -> f.BusPosition:
    label = look.source_label(row)
    return f.BusPosition(label, row.partition, row.start_offset, row.next_offset, row.end_offset, row.progressed_at)


CHECKS = (Check("passes", "I8", _passes),)
