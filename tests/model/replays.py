"""Replays, effect by effect: a rerun that reads a window's inbox again, and a fresh run that takes its place.

As plans/kinds/replay.py with audit/rerun.py and ingest/admit/replay.py. Who asks for one, who approves it and what it
binds is not the model's: here it is approved, and a worker runs it.
"""

from __future__ import annotations

from ingest.core.batching import Hole, OffsetRange
from ingest.core.decide import Arrival, KnownEvent, arrive, decide
from ingest.core.identity import identifier
from ingest.core.lease import Lease
from ingest.core.reason import Reason
from ingest.core.record import NotUnderstood, Understood
from tests.model.broker import Record
from tests.model.lanes import known_of, lock, write_batch
from tests.model.ledger import Binding, Origin, Plan, Position, Range, Run, UniqueViolation, Window
from tests.model.world import DOOR, PLAN_WINDOWS, STREAM, WAITS, Doing, World, parse, plan_source

MOST = 3
FOREVER = 1e18


def refusal(world: World, win: int, *, fresh: bool, readable: bool) -> str | None:
    """Why nobody may ask for a replay of this window now; None: it may be asked for. `bind` of replay.py."""
    ledger = world.ledger
    window = ledger.windows[win]
    if window.state != "CUT" or window.plan is not None:
        return "not a cut window"
    spreads = [spread for (w, source), spread in ledger.ranges.items() if w == win and source in (1, 2)]
    if not any((spread.end or 0) > spread.start for spread in spreads):
        return "no records"
    if taken_by(world, win) is not None and "place taken twice" not in world.flaws:
        return "its place is taken"
    if fresh:
        return "its gate is open" if readable else left_out(world, win)
    return None


def taken_by(world: World, win: int) -> Run | None:
    """place_taken_by of places.sql."""
    ledger = world.ledger
    for run in ledger.runs.values():
        if run.supersedes == win:
            (own,) = ledger.windows_of(run.id)
            if not any(x.win == own.id and x.state == "FAIL" for x in ledger.verdicts):
                return run
    return None


def left_out(world: World, win: int) -> str | None:
    """What a run in its place would be without, or might be: place_leaves_out, and reruns that are not over."""
    ledger = world.ledger
    if any(w.reruns == win and w.state == "OPEN" for w in ledger.windows.values()):
        return "a rerun of it is not over"
    if any(b.win == win and b.source == DOOR and b.admitted for b in ledger.batches.values()):
        return None if "door left out" in world.flaws else "events of it came in by HTTP"
    return None


def ask(world: World, win: int, *, fresh: bool, part: str) -> Plan:
    """The plan's row, approved and RUNNING. `part`: "first" or "last", and of each range that offset alone is read."""
    ledger = world.ledger
    number = len(ledger.plans) + 1
    origins = {}
    for source in (1, 2):
        spread = ledger.ranges.get((win, source))
        if spread is not None and spread.end is not None and spread.end > spread.start:
            start, end = spread.start, spread.end
            if not fresh and part:
                start, end = (start, start + 1) if part == "first" else (end - 1, end)
            origins[plan_source(number, source)] = Origin(source, start, end)
    plan = Plan(number, win, fresh, origins)
    ledger.plans[number] = plan
    return plan


def overlaps(world: World, win: int) -> bool:
    """Of two plans over the same offsets one runs: the database refuses the other."""
    return any(plan.state == "RUNNING" and plan.of == win for plan in world.ledger.plans.values())


def run_plan(world: World, number: int) -> Doing:
    """A worker's turn with a plan, from where it stands: any of them may die anywhere, and two may have it at once."""
    ledger = world.ledger
    plan = ledger.plans[number]
    while plan.state == "RUNNING":
        if plan.win is None:
            yield from _open(world, plan)
            continue
        source = next((s for s in plan.origins if _at(world, s) < plan.origins[s].length), None)
        if source is None:
            yield from end(world, plan, "DONE")
            return
        yield from _read_on(world, plan, source)


def _at(world: World, source: int) -> int:
    return world.ledger.positions["admission", source].next_offset


def _open(world: World, plan: Plan) -> Doing:
    """Window, sources and ranges in one transaction, under the lock of the window that is read again."""
    ledger = world.ledger
    with ledger.begin(f"plan {plan.id}") as tx:
        yield from lock(tx, ("plan", plan.id))
        yield from lock(tx, ("window", plan.of))
        if plan.win is not None or plan.state != "RUNNING":
            return
        first = ledger.windows[plan.of]
        if (taken_by(world, plan.of) is not None and "place taken twice" not in world.flaws) or (
            plan.fresh and left_out(world, plan.of) is not None
        ):
            tx.then(lambda: setattr(plan, "state", "CANCELLED"))
            tx.commit()
            yield f"plan {plan.id} is held, and cancelled: its window's place is taken, or not to be taken"
            return
        tx.then(lambda: _opened(world, plan, first))
        tx.commit()
    yield f"plan {plan.id} opens {'a fresh run for' if plan.fresh else 'a rerun of'} window {plan.of}"


def _opened(world: World, plan: Plan, first: Window) -> None:
    ledger = world.ledger
    win, run, number, rerun = PLAN_WINDOWS + plan.id, first.run, first.number, None
    if plan.fresh:
        run = Run(PLAN_WINDOWS + plan.id, f"{first.run.name}.r{plan.id}", "CUT", first.id)
        ledger.runs[run.id] = run
        number = 1
    else:
        rerun = 1 + sum(w.reruns == first.id for w in ledger.windows.values())
    ledger.windows[win] = Window(win, run, number, reruns=None if plan.fresh else first.id, rerun=rerun, plan=plan.id)
    for source in plan.origins:
        ledger.positions["admission", source] = Position(
            "admission", source, 0, fence=1, owner=f"plan {plan.id}", until=FOREVER, win=win
        )
        ledger.positions["publish", source] = Position("publish", source, 0)
        ledger.ranges[win, source] = Range(0)
    plan.win = win


def _read_on(world: World, plan: Plan, source: int) -> Doing:
    """One batch: read before its transaction, admitted in it, if the plan still stands where it was read for."""
    ledger, origin = world.ledger, plan.origins[source]
    at = _at(world, source)
    read = world.read_origin(source, origin, origin.start + at, MOST)
    if read.end == read.start:
        yield "is given nothing of its origin"
        return
    yield f"plan {plan.id} reads [{read.start}, {read.end}) of {world.logs[origin.source].name} again"
    with ledger.begin(f"plan {plan.id}") as tx:
        yield from lock(tx, ("plan", plan.id))
        if plan.state != "RUNNING" or plan.win is None or _at(world, source) != at:
            yield "finds that another worker went on, or that the plan is over: nothing happened"
            return
        if _at(world, origin.source) < read.end and "overtakes its lane" not in world.flaws:
            yield "finds that the lane of its origin is not there yet: nothing happened"
            return
        row = ledger.positions["admission", source]
        poll = _shifted(read, origin.start)
        lease = Lease("admission", source, 1, row.owner or "", row.fence, at, None)
        assert ledger.advance(tx, lease, poll, plan.win), (
            f"a plan's position moved under its lock: {row} {poll.start} {plan}"
        )
        window = ledger.windows[plan.win]
        binding = Binding(at, None, plan.win, ledger.horizon(plan.win), window.run.name)
        arrivals, elsewhere = _arrivals(world, plan, binding, poll)
        known = elsewhere | known_of(world, binding, arrivals)
        yield "moves the plan's position and looks up what is known"
        ended = {run.name for run in ledger.runs.values() if run.state != "OPEN"}
        decided = decide(arrivals, known, binding.run_name, source, ended.__contains__)
        kept = [i for i in decided.items if plan.fresh or not _has_item(world, binding.run, origin, i)]
        write_batch(world, tx, lease, binding, poll, decided, kept)
        try:
            tx.commit()
        except UniqueViolation as lost:
            yield f"loses the race for {lost}: all of it once more"
            return
    yield f"commits [{poll.start}, {poll.end}) of plan {plan.id}"


def _shifted(read: OffsetRange, start: int) -> OffsetRange:
    records = [Record(r.offset - start, None, r.key, r.value, r.headers) for r in read.records]  # type: ignore[union-attr]
    holes = [Hole(h.start - start, h.end - start, None, h.isolation, h.why) for h in read.holes]
    return OffsetRange(read.start - start, read.end - start, None, records, holes)


def _has_item(world: World, run: int, origin: Origin, item: object) -> bool:
    """known_items of replay.sql: the record has its item, where it came or as the same mismatch."""
    offset, reason = item.offset + origin.start, item.reason  # type: ignore[attr-defined]
    for there in world.ledger.items:
        if world.ledger.horizon(there.win) != run:
            continue
        if (there.source, there.offset) == (origin.source, offset):
            return True
        same = (there.identity, there.digest) == (item.identity, item.payload_digest)  # type: ignore[attr-defined]
        if there.reason == reason == Reason.PAYLOAD_MISMATCH and same:
            return True
    return False


def _arrivals(
    world: World, plan: Plan, binding: Binding, poll: OffsetRange
) -> tuple[list[Arrival], dict[bytes, KnownEvent]]:
    """In the same run as a lane has them; under a fresh run's name the window's events, and no others."""
    ledger, first = world.ledger, world.ledger.windows[plan.of]
    offsets, values = [r.offset for r in poll.records], [r.value for r in poll.records]
    before = arrive(STREAM, first.run.name, offsets, values, [parse(r) for r in poll.records])  # type: ignore[arg-type]
    if not plan.fresh:
        return before, {}
    mine = {first.id} | {w.id for w in ledger.windows.values() if w.reruns == first.id}
    arrivals, elsewhere = [], {}
    for was in before:
        if was.identity is None or not isinstance(was.parsed, Understood):
            arrivals.append(was)
            continue
        held = ledger.events.get((first.run.id, was.identity))
        name = was.parsed.class_name
        identity = identifier(STREAM, binding.run_name, name)(was.parsed.parts)
        if held is None:
            refused = NotUnderstood(Reason.OTHER_RUN, "of no window", None, was.parsed.run, was.parsed.flags, name)
            arrivals.append(Arrival(was.offset, refused, was.payload_digest, None))
            continue
        if held.win not in mine:
            elsewhere[identity] = KnownEvent(held.digest, held.source, held.offset, held.payload, was.identity)
        arrivals.append(Arrival(was.offset, was.parsed, was.payload_digest, identity))
    return arrivals, elsewhere


def end(world: World, plan: Plan, state: str) -> Doing:
    """The plan is over: its window is cut where it stands, in the same transaction."""
    ledger = world.ledger
    with ledger.begin(f"plan {plan.id}") as tx:
        yield from lock(tx, ("plan", plan.id))
        if plan.state != "RUNNING":
            return
        tx.then(lambda: _ended(world, plan, state))
        tx.commit()
    yield f"plan {plan.id} is {state}"


def _ended(world: World, plan: Plan, state: str) -> None:
    plan.state = state
    if plan.win is None:
        return
    ledger, window = world.ledger, world.ledger.windows[plan.win]
    for source in plan.origins:
        row = ledger.positions["admission", source]
        ledger.ranges[plan.win, source].end = row.cut = row.next_offset
    window.state, window.cut_at = "CUT", ledger.now
    window.revision += 1


__all__ = ["WAITS", "ask", "end", "left_out", "overlaps", "refusal", "run_plan", "taken_by"]
