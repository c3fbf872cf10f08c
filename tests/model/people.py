"""Opening, cutting, closing and reading a run, effect by effect, judged by the real verdict and the real gate."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from audit.core import facts as f
from audit.core import gate as gates
from audit.core import verdict as v
from ingest.core import binding
from ingest.core.reason import Decision
from tests.model.ledger import Gate, Position, Range, Run, Verdict, Window
from tests.model.world import BUS, DOOR, RUNS, WAITS, Doing, World

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
POSTURE = {"cleanup.policy": "delete", "replication.factor": "1"}
DATABASE = f.DatabaseIdentity("1", 1)
RULES = f.CloseRules(required=("thing",))
LEASE, RECHECK = 30.0, 10.0


def at(seconds: float) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


# ---- opening and cutting --------------------------------------------------------------------------------------------


def open_run(world: World, door: bool = True) -> Doing:
    """The next run, if none is open: its window begins where the earlier one was cut (S19)."""
    ledger = world.ledger
    number = len(ledger.windows) + 1
    if number > len(RUNS) or any(w.run.state == "OPEN" for w in ledger.windows.values()):
        return
    earliest = {1: 0, 2: 0}
    ends = {bus: world.logs[bus].hw for bus in BUS}
    yield "asks Kafka for the topics"
    with ledger.begin("opener") as tx:
        for source in sorted({*earliest, *world.inbox}):
            while not tx.lock(("admission", source)):
                yield WAITS
        tx.then(lambda: _open(world, number, earliest, ends))
        tx.commit()
    if door:
        _bind_door(world, number)
    yield f"opens run {RUNS[number - 1]}"


def _open(world: World, number: int, earliest: dict[int, int], ends: dict[int, int]) -> None:
    ledger = world.ledger
    ledger.windows[number] = Window(number, Run(number, RUNS[number - 1]))
    for source, start in earliest.items():
        world.ensure("admission", source, start)
        world.ensure("publish", source, start)
        _bind(world, source, number)
    for bus, hw in ends.items():
        world.ensure("effects", bus, hw)
        _chain_bus_range(world, number, bus)


def _bind(world: World, source: int, win: int) -> None:
    row = world.ledger.positions["admission", source]
    row.bound, start = binding.bind(row.bound, win)
    world.ledger.ranges[win, source] = Range(start)


def _bind_door(world: World, win: int) -> None:
    """As ingest.admit.http does with the first request of a window, before its cut or not at all."""
    world.ensure("admission", DOOR, 0)
    world.ensure("publish", DOOR, 0)
    _bind(world, DOOR, win)


def _chain_bus_range(world: World, win: int, bus: int) -> None:
    """chain_bus_range of open.sql."""
    known = [spread for (_, source), spread in sorted(world.ledger.ranges.items()) if source == bus]
    if any(spread.end is None for spread in known):
        return
    start = known[-1].end if known else world.ledger.positions["effects", bus].next_offset
    world.ledger.ranges[win, bus] = Range(start or 0)


def cut_run(world: World) -> Doing:
    """Cuts every inbox source of the open window at max(position, LSO), in one transaction."""
    ledger = world.ledger
    window = next((w for w in ledger.windows.values() if w.run.state == "OPEN"), None)
    if window is None:
        return
    lsos = {source: world.logs[source].lso for source in (1, 2)}
    if not world.silent.isdisjoint(lsos):
        yield "asks Kafka for the last stable offsets: no answer, so nothing is cut"
        return
    yield f"asks Kafka for the last stable offsets: {lsos}"
    with ledger.begin("cutter") as tx:
        sources = sorted(source for win, source in ledger.ranges if win == window.number and source not in BUS)
        for source in sources:
            while not tx.lock(("admission", source)):
                yield WAITS
        if window.state == "CUT":
            yield "finds it cut"
            return
        rows = [ledger.positions["admission", source] for source in sources]
        try:
            bounds = [binding.cut(row.bound, window.number, lsos.get(row.source, 0)) for row in rows]
        except binding.CutPending:
            yield "must wait: an earlier cut has not been reached"
            return
        tx.then(lambda: _cut(world, window, rows, bounds))
        tx.commit()
    yield f"cuts {window.run.name} at {[bound.cut for bound in bounds]}"


def _cut(world: World, window: Window, rows: list[Position], bounds: list[binding.SourceBinding]) -> None:
    for row, bound in zip(rows, bounds, strict=True):
        row.bound = bound
        world.ledger.ranges[window.number, row.source].end = bound.cut
    window.state, window.run.state = "CUT", "CUT"
    window.cut_at = world.ledger.now
    window.revision += 1


# ---- closing --------------------------------------------------------------------------------------------------------


def close_run(world: World, win: int, who: str) -> Doing:
    """Reads the bus's end, proves gaps, looks at Kafka, measures, judges, and stores with a compare-and-set."""
    ledger = world.ledger
    window = ledger.windows[win]
    if window.state != "CUT" or any(x.state == "FAIL" for x in ledger.verdicts if x.win == win):
        return
    for earlier in range(1, win + 1):  # bus ranges chain, whatever became of the earlier windows
        ready = not ledger.windows[earlier].bus_end_known and ready_for_bus_end(world, earlier)
        ready = ready and world.silent.isdisjoint(BUS)
        yield f"looks whether the end of the bus can be read for {ledger.windows[earlier].run.name}"
        if ready:
            ends = {bus: world.logs[bus].hw for bus in BUS}
            yield f"reads the end of the bus: {list(ends.values())}"
            _write_bus_end(world, earlier, ends)
            yield "writes it down"
        if not ledger.windows[earlier].bus_end_known:
            break
    refuted = prove_gaps(world, win)
    yield "reads the gaps again, with a second reader"
    broker, committed, seen_at, unheard = look(world), dict(world.broker.committed), ledger.now, set(world.silent)
    yield "looks at Kafka"
    facts, now = measure(world, win, broker, committed, seen_at, refuted), at(ledger.now)
    verdict = v.verdict(facts, now)
    yield f"measures at revision {facts.window.revision}, and judges: {verdict.state}"
    if window.revision != facts.window.revision and "two closers" not in world.flaws:
        yield "finds that the window moved on: nothing is stored"
        return
    age = timedelta(seconds=ledger.now - seen_at)
    if age > RULES.sample_max_age and "stored however old" not in world.flaws:
        yield f"finds that what it saw is {age.total_seconds():g} s old: nothing is stored"
        return
    _store(world, window, verdict, facts.window.revision, who, seen_at)
    long_silent = any(
        ledger.now - since > RULES.sample_max_age.total_seconds() for since in world.silent_since.values()
    )
    if (unheard or long_silent) and verdict.state is v.State.PASS:
        world.passed_unheard.append(window.run.name)
    yield f"stores {window.run.name}#{len(ledger.verdicts)}: {verdict.state}"


def ready_for_bus_end(world: World, win: int) -> bool:
    """ready_for_bus_end of close.sql."""
    ledger = world.ledger
    for (w, source), spread in ledger.ranges.items():
        if w != win or source in BUS:
            continue
        if spread.end is None or ledger.positions["admission", source].next_offset < spread.end:
            return False
    batches = {b.id for b in ledger.batches.values() if b.win == win}
    unsettled = any(a.live and a.state != "ACKED" for a in ledger.attempts.values() if a.win == win)
    return not batches & ledger.queue and not unsettled and not ledger.without_place(batches)


def _write_bus_end(world: World, win: int, ends: dict[int, int]) -> None:
    """All partitions or none; the next window's bus ranges begin here (chain_next of close.sql)."""
    ledger = world.ledger
    open_ones = [bus for bus in BUS if (win, bus) in ledger.ranges and ledger.ranges[win, bus].end is None]
    if not open_ones:
        return
    for bus in open_ones:
        spread = ledger.ranges[win, bus]
        spread.end = max(ends[bus], spread.start)
        if win + 1 in ledger.windows:
            ledger.ranges.setdefault((win + 1, bus), Range(spread.end))
    ledger.windows[win].bus_end_known = True
    ledger.windows[win].revision += 1
    ledger.version += 1


def prove_gaps(world: World, win: int) -> dict[int, int]:
    """Offsets, by source, at which a second reader found records in a gap; the other gaps are PROVEN now."""
    ledger = world.ledger
    refuted: dict[int, int] = {}
    for (source, start), gap in ledger.gaps.items():
        spread = ledger.ranges.get((win, source))
        if spread is None or source in BUS or gap.state != "CLAIMED" or not _meets(start, gap.end, spread):
            continue
        if source in world.silent:
            continue  # proves nothing and refutes nothing
        again = world.logs[source].read(start, until=gap.end)
        found = len(again.records)
        refuted[source] = refuted.get(source, 0) + found
        if again.end >= gap.end and not found:
            gap.state = "PROVEN"
            ledger.touch([win])
    return {source: n for source, n in refuted.items() if n}


def _meets(start: int, end: int, spread: Range) -> bool:
    return end > spread.start and (spread.end is None or start < spread.end)


def look(world: World) -> f.Broker:
    def topic(name: str, sources: Iterable[int]) -> f.Topic:
        return f.Topic(name, f"{name} id", {n: ends(s) for n, s in enumerate(sources)}, POSTURE)

    def ends(source: int) -> f.PartitionLog:
        log = world.logs[source]
        if source in world.silent and "cached answers" not in world.flaws:
            return f.PartitionLog()
        return f.PartitionLog(0, log.lso, log.hw, log.epoch, "")

    return f.Broker("c", bus=topic("bus", BUS), inbox=topic("inbox", (1, 2)))


_NO_LOG = f.PartitionLog(0, 0, 0, 0)
_ORIGIN = f.Broker(
    "c",
    bus=f.Topic("bus", "bus id", {0: _NO_LOG, 1: _NO_LOG}, POSTURE),
    inbox=f.Topic("inbox", "inbox id", {0: _NO_LOG, 1: _NO_LOG}, POSTURE),
)
_KAFKA = tuple(f.BasisSource(f.inbox_label(p), p) for p in (0, 1))
_BUS = tuple(f.BasisSource(f.bus_label("bus", p), p) for p in (0, 1))
BASES = {
    False: f.Basis(1, "ba515", _ORIGIN, DATABASE, _KAFKA, _BUS),
    True: f.Basis(1, "ba515", _ORIGIN, DATABASE, (*_KAFKA, f.BasisSource("door/0")), _BUS),
}


def measure(
    world: World, win: int, broker: f.Broker, committed: dict[str, int], seen_at: float, refuted: dict[int, int]
) -> f.WindowFacts:
    """As audit.measure does, in one snapshot: here, at one moment."""
    ledger, now = world.ledger, at(world.ledger.now)
    window = ledger.windows[win]
    sources = sorted(source for w, source in ledger.ranges if w == win and source not in BUS)
    inbox = tuple(source_ledger(world, win, source, refuted.get(source, 0)) for source in sources)
    bus = tuple(bus_position(world, win, b) for b in BUS)
    cut_at = at(window.cut_at) if window.cut_at is not None else None
    counts = count(world, win)
    return f.WindowFacts(
        window=f.WindowName(
            "things", window.run.name, 1, f.WindowState(window.state), window.revision, 1, "c0", cut_at
        ),
        rules=RULES,
        basis=f.MeasuredValue(BASES[(win, DOOR) in ledger.ranges], at(0), "basis"),
        broker=f.MeasuredValue(broker, at(seen_at), "kafka"),
        database=f.MeasuredValue(DATABASE, now, "postgres"),
        inbox=f.MeasuredValue(inbox, now, "ledger"),
        bus=f.MeasuredValue(bus, now, "ledger"),
        counts=f.MeasuredValue(counts, now, "ledger"),
        totals=f.MeasuredValue({}, now, "ledger"),
        publishing=f.MeasuredValue(publishing(world, win), now, "ledger"),
        application=f.MeasuredValue(application(world, win), now, "ledger"),
        committed=f.MeasuredValue(commits(world, win, committed), at(seen_at), "kafka"),
        quarantine=f.MeasuredValue(quarantine(world, win), now, "ledger"),
    )


def source_ledger(world: World, win: int, source: int, refuted: int) -> f.SourceLedger:
    """What measure.sql counts of one inbox source."""
    ledger = world.ledger
    spread, row = ledger.ranges[win, source], ledger.positions["admission", source]
    upto = row.next_offset if spread.end is None else min(row.next_offset, spread.end)
    span = range(spread.start, upto)
    filed = [o for (s, o) in ledger.receipts if s == source and _within(world, win, source, o)]
    gaps = [(start, gap) for (s, start), gap in ledger.gaps.items() if s == source]
    in_gaps = {o for start, gap in gaps for o in range(start, gap.end) if o in span}
    claimed = sum(1 for start, gap in gaps if gap.state == "CLAIMED" for o in range(start, gap.end) if o in span)
    if "gap taken as proven" in world.flaws:
        claimed = refuted = 0
    doubled = len(in_gaps & set(filed))
    missing = len(span) - len(filed) - len(in_gaps) + doubled
    misfiled = sum(1 for o in filed if ledger.batches[ledger.receipts[source, o].batch].win != win)
    strays = sum(
        b.records
        for b in ledger.batches.values()
        if (b.win, b.source) == (win, source)
        and not (_within(world, win, source, b.start) and _within(world, win, source, b.end - 1))
    )
    return f.SourceLedger(
        label(world, source), spread.start, row.next_offset, spread.end, len(filed), max(missing, 0), doubled,
        misfiled + strays + max(-missing, 0), max(claimed - refuted, 0), refuted, at(row.moved_at),
    )  # fmt: skip


def label(world: World, source: int) -> str:
    return f.bus_label("bus", world.partition(source)) if source in BUS else world.name(source)


def bus_position(world: World, win: int, bus: int) -> f.BusPosition:
    row, spread = world.ledger.positions["effects", bus], world.ledger.ranges.get((win, bus))
    start, end = (spread.start, spread.end) if spread else (row.next_offset, None)
    return f.BusPosition(label(world, bus), world.partition(bus), start, row.next_offset, end, at(row.moved_at))


def count(world: World, win: int) -> f.Counts:
    ledger = world.ledger
    batches = [b for b in ledger.batches.values() if b.win == win]
    spreads = {source: spread for (w, source), spread in ledger.ranges.items() if w == win and source not in BUS}
    filed = [
        receipt.decision
        for (source, offset), receipt in ledger.receipts.items()
        if (spread := spreads.get(source)) and offset >= spread.start and (spread.end is None or offset < spread.end)
    ]
    admitted, duplicates, quarantined = (filed.count(d) for d in Decision)
    return f.Counts(
        sum(b.records for b in batches), sum(b.admitted for b in batches), sum(b.duplicates for b in batches),
        sum(b.quarantined for b in batches), admitted, duplicates, quarantined, {"thing": admitted},
        at(max((b.at for b in batches), default=0.0)),
    )  # fmt: skip


def publishing(world: World, win: int) -> f.PublishFacts:
    ledger = world.ledger
    batches = {b.id for b in ledger.batches.values() if b.win == win}
    events = [e for (run, _), e in ledger.events.items() if run == win]
    placed = sum(1 for e in events if (e.source, e.offset) in ledger.places)
    pairs = {"PREPARED": (0, 0), "UNKNOWN": (0, 0), "UNDECIDABLE": (0, 0)}
    for a in ledger.attempts.values():
        if a.win == win and a.state in pairs:
            state = "UNKNOWN" if a.state == "PREPARED" and not _lane_lives(world, a.source, a.fence) else a.state
            pairs[state] = (pairs[state][0] + 1, pairs[state][1] + len(a.letters))
    in_range = sum(1 for bus, offset in ledger.foreign if _within(world, win, bus, offset))
    return f.PublishFacts(
        len(events), placed, 0, len(ledger.without_place(batches & ledger.queue)), pairs["PREPARED"], pairs["UNKNOWN"],
        pairs["UNDECIDABLE"], foreign=in_range, contradictions=sum(1 for w, _ in ledger.contradictions if w == win),
    )  # fmt: skip


def _lane_lives(world: World, source: int, fence: int) -> bool:
    row = world.ledger.positions["publish", source]
    return row.owner is not None and row.fence == fence and row.until > world.ledger.now


def _within(world: World, win: int, source: int, offset: int) -> bool:
    spread = world.ledger.ranges.get((win, source))
    return spread is not None and offset >= spread.start and (spread.end is None or offset < spread.end)


def application(world: World, win: int) -> f.Application:
    events = {i for (run, i) in world.ledger.events if run == win}
    done = {i for (run, i) in world.ledger.effects if run == win}
    return f.Application(len(events), len(done), len(events - done), len(done - events))


def commits(world: World, win: int, committed: dict[str, int]) -> tuple[f.CommitFact, ...]:
    """Positions are read after the commits."""
    ledger = world.ledger
    found = []
    for lane, sources in (("admission", (1, 2)), ("effects", BUS)):
        for s in sources:
            position = ledger.positions[lane, s].next_offset
            ours = world.committed_by_us.get(s)
            found.append(f.CommitFact(label(world, s), committed.get(world.name(s)), position, ours))
    return tuple(found)


def quarantine(world: World, win: int) -> f.Quarantine:
    items = [item for item in world.ledger.items if item.win == win]
    opened = sum(1 for item in items if item.resolved_by is None)
    return f.Quarantine(opened, len(items) - opened, 0)


def _store(world: World, window: Window, verdict: v.Verdict, revision: int, who: str, seen_at: float) -> None:
    """The verdict, the revision, the run's state and the gate, or nothing. The lease counts from the look at Kafka."""
    ledger = world.ledger
    window.revision += 1
    body = v.body(verdict, 1, "")
    stored = Verdict(len(ledger.verdicts) + 1, window.number, revision, str(verdict.state), body, who)
    ledger.verdicts.append(stored)
    window.run.state = "CLOSED"
    ledger.version += 1
    if verdict.state is v.State.PASS and not any(w == window.number for w, _ in ledger.contradictions):
        ledger.gates[window.number] = Gate(stored.number, _leased(world, seen_at), seen_at)
    elif window.number in ledger.gates:
        _shut(world, window.number, "a newer verdict is not PASS")


def _shut(world: World, win: int, why: str) -> None:
    gate = world.ledger.gates[win]
    gate.open_until, gate.shut_why = min(gate.open_until, world.ledger.now), why


# ---- the gate -------------------------------------------------------------------------------------------------------


def _leased(world: World, seen_at: float) -> float:
    return (world.ledger.now if "lease from writing" in world.flaws else seen_at) + LEASE


def enforce(world: World) -> Doing:
    """Re-checks what open gates stand on (audit.enforce): looks once, then writes for all of them."""
    ledger, broker, seen_at = world.ledger, look(world), world.ledger.now
    looked = {win: gate.verdict for win, gate in ledger.gates.items() if gate.shut_why is None}
    yield "looks at Kafka"
    late = ledger.now - seen_at > RECHECK and "lease from writing" not in world.flaws
    for win, number in looked.items():
        gate = ledger.gates[win]
        if gate.shut_why is not None or gate.verdict != number:
            continue
        ranges = [
            gates.Range(label(world, s), *_topic_of(world, s), r.start, r.end or 0)
            for (w, s), r in ledger.ranges.items()
            if w == win and s != DOOR
        ]
        basis = BASES[(win, DOOR) in ledger.ranges]
        objections = gates.objections(basis, broker, ranges, sum(1 for w, _ in ledger.contradictions if w == win))
        if objections:
            _shut(world, win, objections[0])
        elif not late and not gates.unanswered(broker, ranges) and seen_at >= gate.checked_at:
            gate.open_until, gate.checked_at = _leased(world, seen_at), seen_at
    ledger.version += 1
    yield "re-checks the gates" if not late else "was stopped for too long: extends nothing"


def _topic_of(world: World, source: int) -> tuple[str, int]:
    return ("bus", world.partition(source)) if source in BUS else ("inbox", source - 1)


def may_read(world: World, win: int) -> gates.GateDecision:
    """What the real gate answers to a reader of the run."""
    ledger = world.ledger
    newest, gate, window = ledger.newest_verdict(win), ledger.gates.get(win), ledger.windows[win]
    row = gates.WindowGate(
        1, f"#{newest.number}" if newest else None, newest.state if newest else None, newest.body if newest else None,
        f"#{gate.verdict}" if gate else None, at(gate.open_until) if gate else None,
        at(gate.checked_at) if gate else None, gate.shut_why if gate else None,
    )  # fmt: skip
    return gates.decide([row], window.run.state == "CLOSED", at(ledger.now))


def resolve(world: World, who: str) -> int:
    """Every open item, with a name and a reason."""
    ledger = world.ledger
    opened = [item for item in ledger.items if item.resolved_by is None]
    for item in opened:
        item.resolved_by = who
    ledger.touch(item.win for item in opened)
    ledger.version += 1
    return len(opened)
