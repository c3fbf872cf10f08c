"""Opening, cutting, closing and reading a run, effect by effect, judged by the real verdict and the real gate."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from audit.core import facts as f
from audit.core import gate as gates
from audit.core import verdict as v
from ingest.core import binding
from ingest.core.reason import Decision, Reason
from tests.model.broker import Log
from tests.model.lanes import lock
from tests.model.ledger import Gate, Item, Position, Range, Refused, Run, Tx, Verdict, Window
from tests.model.world import BUS, DOOR, MOST_WINDOWS, RUNS, Doing, World, is_plans

BEGINNING = datetime(2026, 1, 1, tzinfo=UTC)
POSTURE = {"cleanup.policy": "delete", "replication.factor": "1"}
DATABASE = f.DatabaseIdentity("1", 1)
LEASE, RECHECK = 30.0, 10.0
STOPS = ("reads the gaps", "looks at Kafka", "measures", "will be #")


def at(seconds: float) -> datetime:
    return BEGINNING + timedelta(seconds=seconds)


# ---- opening and cutting --------------------------------------------------------------------------------------------


def room(world: World, *, run: bool) -> bool:
    """Whether the schedule has room for a further window, or for one of a further run."""
    ledger = world.ledger
    return len(ledger.chain) < MOST_WINDOWS and not (run and len(ledger.live_runs) == len(RUNS))


def open_run(world: World) -> Doing:
    """The next run, if none is open: its window begins where the earlier one was cut (S19)."""
    ledger = world.ledger
    if ledger.open_run() is not None or not room(world, run=True):
        return
    earliest = {1: 0, 2: 0}
    ends = {bus: world.logs[bus].hw for bus in BUS}
    yield "asks Kafka for the topics"
    with ledger.begin("opener") as tx:
        for source in sorted({*earliest, *world.inbox}):
            yield from lock(tx, ("admission", source))
        yield from lock_bus(world, tx)
        run = _next_run(world)
        tx.then(lambda: _open(world, run, earliest, ends))
        tx.commit()
    yield f"opens run {run.name}"


def _next_run(world: World) -> Run:
    number = len(world.ledger.live_runs) + 1
    return Run(number, RUNS[number - 1])


def _open(world: World, run: Run, earliest: dict[int, int], ends: dict[int, int]) -> None:
    win = _add_window(world, run, 1)
    for source, start in earliest.items():
        world.ensure("admission", source, start)
        world.ensure("publish", source, start)
        row = world.ledger.positions["admission", source]
        bound, begin = binding.bind(row.bound, win)
        world.ledger.bind(row, bound, win, begin)
    for lane in ("admission", "publish"):
        world.ensure(lane, DOOR, 0)  # the web process has made its source; its first request binds it
    for bus, hw in ends.items():
        world.ensure("effects", bus, hw)
        _chain_bus_range(world, win, bus)


def _add_window(world: World, run: Run, number: int) -> int:
    """run_one_open and window_one_open: what they refuse is a bug of a verb."""
    ledger = world.ledger
    if ledger.open_run() not in (None, run) or any(w.state == "OPEN" for w in ledger.windows_of(run.id)):
        raise Refused(f"one_open: {run.name} window {number} opens while another is open")
    win = len(ledger.chain) + 1
    ledger.runs[run.id] = run
    ledger.windows[win] = Window(win, run, number)
    return win


def lock_bus(world: World, tx: Tx) -> Doing:
    """lock_open_bus_ranges: whoever writes an end sees this window, or is waited for, and the end is there."""
    for (win, bus), spread in list(world.ledger.ranges.items()):
        if bus in BUS and spread.end is None:
            yield from lock(tx, ("range", win, bus))


def _chain_bus_range(world: World, win: int, bus: int) -> None:
    """chain_bus_ranges of open.sql."""
    known = [spread for (_, source), spread in sorted(world.ledger.ranges.items()) if source == bus]
    if any(spread.end is None for spread in known):
        return
    start = known[-1].end if known else world.ledger.positions["effects", bus].next_offset
    world.ledger.add_range(win, bus, start or 0)


def _sources(world: World, win: int) -> list[int]:
    return sorted(source for w, source in world.ledger.ranges if w == win and source not in BUS)


def cut_run(world: World) -> Doing:
    """Cuts every inbox source of the open window at max(position, LSO), in one transaction; no window follows it."""
    ledger = world.ledger
    window = ledger.open_window()
    if window is None:
        return
    lsos = {source: world.logs[source].lso for source in (1, 2)}
    if not world.silent.isdisjoint(lsos):
        yield "asks Kafka for the last stable offsets: no answer, so nothing is cut"
        return
    yield f"asks Kafka for the last stable offsets: {lsos}"
    with ledger.begin("cutter") as tx:
        yield from lock(tx, ("window", window.id))
        for source in _sources(world, window.id):
            yield from lock(tx, ("admission", source))
        if window.state == "CUT":
            yield "finds it cut"
            if window.run.state == "OPEN" and "cut looks once" in world.flaws:
                world.untold.append(f"somebody was told that {window.run.name} is cut, which goes on")
                return
        else:
            yield from _cut_open(world, tx, window, lsos)
            return
    yield from cut_run(world)  # the run went on meanwhile, or is cut indeed


def _cut_open(world: World, tx: Tx, window: Window, lsos: dict[int, int]) -> Doing:
    ledger = world.ledger
    rows = [ledger.positions["admission", source] for source in _sources(world, window.id)]
    try:
        bounds = [binding.cut(row.bound, window.id, lsos.get(row.source, 0)) for row in rows]
    except binding.CutPending:
        yield "must wait: an earlier cut has not been reached"
        return
    ends = [bound.cut or 0 for bound in bounds]
    tx.then(lambda: _cut(world, window, rows, bounds, ends))
    tx.then(lambda: _cut_run(window.run))
    tx.commit()
    yield f"cuts {window.run.name} at {ends}"


def _cut(
    world: World, window: Window, rows: list[Position], bounds: list[binding.SourceBinding], ends: list[int]
) -> None:
    for row, bound, end in zip(rows, bounds, ends, strict=True):
        row.bound = bound
        world.ledger.ranges[window.id, row.source].end = end
    window.state = "CUT"
    window.cut_at = world.ledger.now
    window.revision += 1


def _cut_run(run: Run) -> None:
    run.state = "CUT"


# ---- cutting and going on -------------------------------------------------------------------------------------------


def go_on(world: World, who: str, new_run: bool = False) -> Doing:
    """Ends the open window where its lanes stand and opens the next one, of this run or of a new one: audit.go_on."""
    ledger = world.ledger
    window = ledger.open_window()
    if window is None or not room(world, run=new_run):
        return
    yield "asks Kafka, which says nothing" if world.silent else "asks Kafka what the next window begins with"
    with ledger.begin(who) as tx:
        yield from lock(tx, ("window", window.id))
        for source in world.inbox:  # in the order of sources
            yield from lock(tx, ("admission", source))
        yield "has locked the window and every position"
        if window.state == "CUT":
            yield "finds it cut: another one goes on"
            return
        yield from lock_bus(world, tx)
        following = _Following(world, window, _next_run(world) if new_run else window.run)
        tx.then(following.cut)
        if "two transactions" not in world.flaws:
            tx.then(following.open)
        tx.commit()
    if "two transactions" in world.flaws:
        yield "has cut, and will open"
        following.open()
    yield f"cuts {window.run.name} window {window.number} at {following.ends} and goes on"


class _Following:
    """A window that is cut and the one that follows, as computed under the locks; written in one transaction."""

    def __init__(self, world: World, window: Window, run: Run) -> None:
        self._world, self._window, self._run = world, window, run
        self._win = len(world.ledger.chain) + 1
        self._rows = [world.ledger.positions["admission", s] for s in _sources(world, window.id)]
        handed = [self._hand_over(row) for row in self._rows]
        self._bounds = [bound for bound, _ in handed]
        self.ends = [end for _, end in handed]

    def _hand_over(self, row: Position) -> tuple[binding.SourceBinding, int]:
        flaws, window = self._world.flaws, self._window.id
        if row.source == DOOR:
            if "door left bound" in flaws:
                return row.bound, row.next_offset
            return binding.leave(row.bound, window)
        if "cut at the end" in flaws and row.bound.current == window:  # as a cut that no window follows
            bound = binding.cut(row.bound, window, self._world.logs[row.source].lso)
            return bound, bound.cut or 0
        return binding.go_on(row.bound, window, self._win)

    def cut(self) -> None:
        _cut(self._world, self._window, self._rows, self._bounds, self.ends)
        if self._run is not self._window.run:
            _cut_run(self._window.run)

    def open(self) -> None:
        world, flaws = self._world, self._world.flaws
        number = 1 if self._run is not self._window.run else self._window.number + 1
        win = _add_window(world, self._run, number)
        for row, end in zip(self._rows, self.ends, strict=True):
            if row.source != DOOR and not ("one source forgotten" in flaws and row.source == 2):
                world.ledger.add_range(win, row.source, end)
        for bus in BUS:
            _chain_bus_range(world, win, bus)


# ---- closing --------------------------------------------------------------------------------------------------------


def close_run(world: World, win: int, who: str) -> Doing:
    """Reads the bus's end, proves gaps, looks at Kafka, measures, judges, and stores with a compare-and-set."""
    ledger = world.ledger
    window = ledger.windows[win]
    if window.state != "CUT" or any(x.state == "FAIL" for x in ledger.verdicts if x.win == win):
        return
    for earlier in range(1, win + 1) if window.plan is None else [win]:  # bus ranges chain, whatever became of the
        if not ledger.windows[earlier].bus_end_known:  # earlier windows; those of plans stand beside them
            yield from read_bus_end(world, earlier, who)
        if not ledger.windows[earlier].bus_end_known:
            break
    refuted = prove_gaps(world, win)
    yield "reads the gaps again, with a second reader"
    broker, committed, seen_at, unheard = look(world), dict(world.broker.committed), ledger.now, set(world.silent)
    yield "looks at Kafka"
    facts, now = measure(world, win, broker, committed, seen_at, refuted), at(ledger.now)
    verdict = v.verdict(facts, now)
    yield f"measures at revision {facts.window.revision}, and judges: {verdict.state}"
    yield from store(world, window, verdict, facts.window.revision, who, seen_at, unheard)


def read_bus_end(world: World, win: int, who: str) -> Doing:
    """Reads what is there before the transaction, and writes it in one: audit.close.read_bus_end."""
    ready = ready_for_bus_end(world, win) and world.silent.isdisjoint(BUS)
    yield f"looks whether the end of the bus can be read for {said_of(world, win)}"
    if not ready:
        return
    ends = {bus: world.logs[bus].hw for bus in BUS}
    yield f"reads the end of the bus: {list(ends.values())}"
    if world.ledger.windows[win].plan is not None:
        yield from write_rerun_end(world, win, who, ends)
        return
    ranges = world.ledger.ranges
    with world.ledger.begin(who) as tx:
        for bus in BUS:
            if (win, bus) in ranges and ranges[win, bus].end is None:
                yield from lock(tx, ("range", win, bus))
        open_ones = [bus for bus in BUS if (win, bus) in ranges and ranges[win, bus].end is None]
        if not open_ones:
            return
        following = win + 1 if win + 1 in world.ledger.windows else None
        yield f"will write it down; window {following} begins there"
        tx.then(lambda: _write_bus_end(world, win, {bus: ends[bus] for bus in open_ones}, following))
        tx.commit()
    yield "writes it down"


def said_of(world: World, win: int) -> str:
    window = world.ledger.windows[win]
    return f"{window.run.name} window {window.number}" + (f" rerun {window.rerun}" if window.rerun else "")


def ready_for_bus_end(world: World, win: int) -> bool:
    """ready_for_bus_end of close.sql."""
    ledger = world.ledger
    if ledger.windows[win].state != "CUT":
        return False
    if any(x.state == "FAIL" for x in ledger.verdicts if x.win == win):
        return True  # what failed waits for nothing: the next one begins where the bus ends now
    for (w, source), spread in ledger.ranges.items():
        if w != win or source in BUS:
            continue
        if spread.end is None or ledger.positions["admission", source].next_offset < spread.end:
            return False
    batches = {b.id for b in ledger.batches.values() if b.win == win}
    unsettled = any(a.live and a.state != "ACKED" for a in ledger.attempts.values() if a.win == win)
    return not batches & ledger.queue and not unsettled and not ledger.without_place(batches)


def _write_bus_end(world: World, win: int, ends: dict[int, int], following: int | None) -> None:
    """All partitions or none; the next window's bus ranges begin here (chain_next of close.sql)."""
    ledger = world.ledger
    for bus, end in ends.items():
        spread = ledger.ranges[win, bus]
        spread.end = max(end, spread.start)
        if following is not None and (following, bus) not in ledger.ranges and "bus not chained" not in world.flaws:
            ledger.add_range(following, bus, spread.end)
    ledger.windows[win].bus_end_known = True
    ledger.windows[win].revision += 1


def prove_gaps(world: World, win: int) -> dict[int, int]:
    """Offsets, by source, at which a second reader found records in a gap; the other gaps are PROVEN now."""
    ledger = world.ledger
    refuted: dict[int, int] = {}
    for (source, start), gap in ledger.gaps.items():
        spread = ledger.ranges.get((win, source))
        if spread is None or source in BUS or gap.state != "CLAIMED" or not _meets(start, gap.end, spread):
            continue
        if (world.origin(source).source if is_plans(source) else source) in world.silent:
            continue  # proves nothing and refutes nothing
        log, first = (world.logs[source], 0) if not is_plans(source) else _origin_of(world, source)
        again = log.read(first + start, until=first + gap.end)
        found = len(again.records)
        refuted[source] = refuted.get(source, 0) + found
        if again.end >= first + gap.end and not found:
            gap.state = "PROVEN"
            ledger.touch([win])
    return {source: n for source, n in refuted.items() if n}


def _origin_of(world: World, source: int) -> tuple[Log, int]:
    origin = world.origin(source)
    return world.logs[origin.source], origin.start


def write_rerun_end(world: World, win: int, who: str, ends: dict[int, int]) -> Doing:
    """insert_ends of rerun.sql: written once, and outside of the chain of bus ranges."""
    with world.ledger.begin(who) as tx:
        tx.then(lambda: _write_rerun_end(world, win, ends))
        tx.commit()
    yield "writes it down"


def _write_rerun_end(world: World, win: int, ends: dict[int, int]) -> None:
    ledger = world.ledger
    for bus, hw in ends.items():
        ledger.rerun_ends.setdefault((win, bus), hw)
    ledger.windows[win].bus_end_known = True
    ledger.windows[win].revision += 1


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
    if window.plan is not None:
        broker = replace(broker, inbox=None)
    return f.WindowFacts(
        window=f.WindowName(
            "things",
            window.run.name,
            window.number,
            f.WindowState(window.state),
            window.revision,
            1,
            "c0",
            cut_at,
            rerun=_rerun_name(window),
        ),
        rules=world.rules,
        basis=f.MeasuredValue(basis_of(world, win), at(0), "basis"),
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


def _rerun_name(window: Window) -> f.RerunName | None:
    if window.plan is None:
        return None
    return f.RerunName(window.rerun, window.plan, "replay", "ana", "ben", "why", 1, "c0")


def basis_of(world: World, win: int) -> f.Basis:
    """What a window stands on; one that a plan fills has the plan's sources, and no inbox."""
    plan = world.ledger.windows[win].plan
    if plan is None:
        return BASES[(win, DOOR) in world.ledger.ranges]
    sources = tuple(f.BasisSource(world.name(source)) for source in world.ledger.plans[plan].origins)
    return f.Basis(1, "ba515", replace(_ORIGIN, inbox=None), DATABASE, sources, _BUS)


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
        gone=_gone(world, source, filed) if is_plans(source) else 0,
        unread=_unread(world, win, source, spread) if is_plans(source) else 0,
    )  # fmt: skip


def _gone(world: World, source: int, filed: list[int]) -> int:
    """Records with a receipt at their origin that the plan was not given."""
    origin, ledger = world.origin(source), world.ledger
    read = range(origin.start, origin.start + ledger.positions["admission", source].next_offset)
    return sum((origin.source, o) in ledger.receipts and o - origin.start not in filed for o in read)


def _unread(world: World, win: int, source: int, spread: Range) -> int:
    """Of a fresh run: what its plan was to read and did not."""
    if world.ledger.windows[win].reruns is not None or spread.end is None or "a part is whole" in world.flaws:
        return 0
    return world.origin(source).length - spread.end


def label(world: World, source: int) -> str:
    return f.bus_label("bus", world.partition(source)) if source in BUS else world.name(source)


def bus_position(world: World, win: int, bus: int) -> f.BusPosition:
    row, spread = world.ledger.positions["effects", bus], world.ledger.ranges.get((win, bus))
    start, end = (spread.start, spread.end) if spread else (row.next_offset, None)
    if world.ledger.windows[win].plan is not None:
        end = world.ledger.rerun_ends.get((win, bus))
        start = row.next_offset if end is None else end
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
    events = [e for e in ledger.events.values() if e.win == win]
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
    events = {i for (_, i), event in world.ledger.events.items() if event.win == win}
    done = {i for (_, i), effect in world.ledger.effects.items() if effect.win == win}
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
    items = items_of(world, win)
    opened = sum(1 for item in items if item.resolved_by is None)
    return f.Quarantine(opened, len(items) - opened, 0)


def items_of(world: World, win: int) -> list[Item]:
    """A window's own; a rerun's are those that its receipts point to, too: also the mismatches that came before."""
    ledger = world.ledger
    window = ledger.windows[win]
    plan = ledger.plans[window.plan] if window.plan is not None and window.reruns is not None else None
    pointed: set[tuple[object, ...]] = set()
    for source, origin in plan.origins.items() if plan else ():
        for (s, offset), receipt in ledger.receipts.items():
            if s == source and receipt.decision == Decision.QUARANTINED:
                pointed.add((origin.source, origin.start + offset))
                if receipt.reason == Reason.PAYLOAD_MISMATCH:
                    pointed.add((receipt.identity, receipt.digest))
    run = window.run
    return [
        item
        for item in ledger.items
        if item.win == win
        or (item.source, item.offset) in pointed
        or ((item.identity, item.digest) in pointed and ledger.windows[item.win].run is run)
    ]


def store(
    world: World, window: Window, verdict: v.Verdict, revision: int, who: str, seen_at: float, unheard: set[int]
) -> Doing:
    """The verdict, the revision, the run's state and the gate, or nothing: audit.close.store."""
    ledger, flaws, passed = world.ledger, world.flaws, verdict.state is v.State.PASS
    while True:
        newest = ledger.newest_verdict(window.id)
        if newest is not None and newest.state == "PASS" and verdict.state is not v.State.FAIL:
            yield f"stores nothing: #{newest.number} is PASS, and stands"
            return
        writing = _Writing(world, window, verdict, revision, who, seen_at)
        yield f"will be #{writing.number} of {window.run.name}"
        if window.revision != revision and "two closers" not in flaws:
            yield "finds that the window moved on: nothing is stored"
            return
        age = timedelta(seconds=ledger.now - seen_at)
        if age > world.rules.sample_max_age and "stored however old" not in flaws:
            yield f"finds that what it saw is {age.total_seconds():g} s old: nothing is stored"
            return
        if writing.is_taken() and "numbers not unique" not in flaws:
            yield "loses the race for the number: all of it once more"
            continue
        break
    writing.write()
    bound = world.rules.sample_max_age.total_seconds()
    asked = set(BUS) if window.plan is not None else {1, 2, *BUS}  # a plan's window stands on receipts, not on an inbox
    late = any(ledger.now - since > bound for log, since in world.silent_since.items() if log in asked)
    if passed and (unheard & asked or late):
        world.passed_unheard.append(said_of(world, window.id))
    yield f"stores {window.run.name}#{writing.number} of window {window.number}: {verdict.state}"


class _Writing:
    """A verdict's transaction: what its statements see is what was committed when they ran; written at its commit."""

    def __init__(
        self, world: World, window: Window, verdict: v.Verdict, revision: int, who: str, seen_at: float
    ) -> None:
        ledger, run = world.ledger, window.run
        self.number = max((x.number for x in ledger.verdicts if x.run == run.id), default=0) + 1
        self._world, self._window, self._seen_at = world, window, seen_at
        self._verdict = Verdict(
            len(ledger.verdicts) + 1, run.id, self.number, window.id, revision, str(verdict.state),
            v.body(verdict, self.number, ""), who, (verdict.judged_at - BEGINNING).total_seconds(),
            (verdict.measured_at - BEGINNING).total_seconds() if verdict.measured_at else ledger.now,
        )  # fmt: skip
        self._of_run = {w.id: ledger.newest_verdict(w.id) for w in ledger.windows_of(run.id)} | {
            window.id: self._verdict
        }
        self._rerun = window.reruns is not None
        if self._rerun:  # it is read with its own PASS, and closes nothing
            self._of_run = {window.id: self._verdict}
        self._closes = (
            not self._rerun
            and run.state == "CUT"
            and ("closed by one" in world.flaws or None not in self._of_run.values())
        )

    def is_taken(self) -> bool:
        """verdict_number_unique: two windows of one run meet there."""
        return any((x.run, x.number) == (self._verdict.run, self.number) for x in self._world.ledger.verdicts)

    def write(self) -> None:
        ledger = self._world.ledger
        self._window.revision += 1
        self._verdict = replace(self._verdict, id=len(ledger.verdicts) + 1)
        self._of_run[self._window.id] = self._verdict
        ledger.verdicts.append(self._verdict)
        if self._closes:
            self._window.run.state = "CLOSED"
        self._follow()
        ledger.version += 1

    def _follow(self) -> None:
        """audit.gate.follow. A lease counts from the look at Kafka."""
        world, win = self._world, self._window.id
        if self._verdict.state == "PASS":
            self._take_place()
        superseded = superseded_by(world, win) is not None
        if self._verdict.state != "PASS":
            for shut in self._of_run if world.whole_runs and not superseded else [win]:
                if shut in world.ledger.gates:
                    _shut(world, shut, f"{NEWER} {self._window.number} is not PASS")
        elif superseded:
            return
        elif not world.whole_runs or self._rerun or "opens alone" in world.flaws:
            _open_gate(world, win, self._verdict, self._seen_at)
        else:
            self._open_run(self._of_run)

    def _open_run(self, of_run: dict[int, Verdict | None]) -> None:
        """All of its windows that no fresh run has the place of, or none."""
        world = self._world
        verdicts = {each: verdict for each, verdict in of_run.items() if superseded_by(world, each) is None}
        if not all(verdict is not None and verdict.state == "PASS" for verdict in verdicts.values()):
            return
        for each, verdict in verdicts.items():
            if verdict is not None:
                since = verdict.judged_at if "lease from judging" in world.flaws else verdict.measured_at
                _open_gate(world, each, verdict, self._seen_at if each == self._window.id else since)

    def _take_place(self) -> None:
        """A fresh run shuts what it takes the place of, its reruns too."""
        world, place = self._world, self._window.run.supersedes
        if place is None or "both open" in world.flaws:
            return
        for win, window in world.ledger.windows.items():
            gate = world.ledger.gates.get(win)
            if place in (win, window.reruns) and gate is not None and gate.shut_why is None:
                _shut(world, win, f"superseded by {self._window.run.name}")
        if world.whole_runs:
            first = world.ledger.windows[place].run
            self._open_run({w.id: world.ledger.newest_verdict(w.id) for w in world.ledger.windows_of(first.id)})


def superseded_by(world: World, win: int) -> str | None:
    """The fresh run by whose PASS this window, or this rerun, is read no more."""
    ledger = world.ledger
    if "both open" in world.flaws:
        return None
    for run in ledger.runs.values():
        if run.supersedes is not None and run.supersedes in (win, ledger.windows[win].reruns):
            (own,) = ledger.windows_of(run.id)
            newest = ledger.newest_verdict(own.id)
            if newest is not None and newest.state == "PASS":
                return run.name
    return None


NEWER = "a newer verdict of window"


def _open_gate(world: World, win: int, verdict: Verdict, seen_at: float) -> None:
    """`open` of gate.sql: what was shut for a reason of its own stays shut while its verdict stands."""
    ledger = world.ledger
    there = ledger.gates.get(win)
    stays = there is not None and there.verdict == verdict.id and not (there.shut_why or NEWER).startswith(NEWER)
    if not stays and not any(w == win for w, _ in ledger.contradictions):
        ledger.gates[win] = Gate(verdict.id, _leased(world, seen_at), seen_at)


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
            if w == win and s != DOOR and not is_plans(s)
        ]
        ranges += [
            gates.Range(label(world, bus), *_topic_of(world, bus), end, end)
            for (w, bus), end in ledger.rerun_ends.items()
            if w == win
        ]
        basis = basis_of(world, win)
        seen = replace(broker, inbox=None) if ledger.windows[win].plan is not None else broker
        objections = gates.objections(basis, seen, ranges, sum(1 for w, _ in ledger.contradictions if w == win))
        if objections:
            _shut(world, win, objections[0])
        elif not late and not gates.unanswered(seen, ranges) and seen_at >= gate.checked_at:
            gate.open_until, gate.checked_at = _leased(world, seen_at), seen_at
    ledger.version += 1
    yield "re-checks the gates" if not late else "was stopped for too long: extends nothing"


def _topic_of(world: World, source: int) -> tuple[str, int]:
    return ("bus", world.partition(source)) if source in BUS else ("inbox", source - 1)


def may_read(world: World, win: int) -> gates.GateDecision:
    """What the real gate answers to a reader of one window."""
    return gates.decide([_window_gate(world, win)], True, at(world.ledger.now))


def may_read_run(world: World, run: int) -> gates.GateDecision:
    """What the real gate answers to a reader of the run."""
    rows = [_window_gate(world, window.id) for window in world.ledger.windows_of(run)]
    return gates.decide(rows, world.ledger.runs[run].state == "CLOSED", at(world.ledger.now))


def _window_gate(world: World, win: int) -> gates.WindowGate:
    ledger = world.ledger
    newest, gate = ledger.newest_verdict(win), ledger.gates.get(win)
    return gates.WindowGate(
        ledger.windows[win].number, f"#{newest.id}" if newest else None, newest.state if newest else None,
        newest.body if newest else None, f"#{gate.verdict}" if gate else None, at(gate.open_until) if gate else None,
        at(gate.checked_at) if gate else None, gate.shut_why if gate else None, superseded_by(world, win),
    )  # fmt: skip


def resolve(world: World, who: str) -> int:
    """Every open item, with a name and a reason."""
    ledger = world.ledger
    opened = [item for item in ledger.items if item.resolved_by is None]
    for item in opened:
        item.resolved_by = who
    ledger.touch(item.win for item in opened)
    ledger.version += 1
    return len(opened)
