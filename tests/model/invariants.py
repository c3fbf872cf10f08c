"""I1 to I14 of the ledger against the logs as they really are, which no lane and no verdict may look at."""

from __future__ import annotations

import json
from collections.abc import Iterator

from ingest.core.attempt import Mark, read_mark
from ingest.core.decide import arrive
from ingest.core.identity import payload_digest
from ingest.core.merkle import merkle_root, receipt_leaf
from ingest.core.reason import Decision
from tests.model.broker import Record
from tests.model.ledger import UNSETTLED, Event, Item, Plan, Range, Receipt, Run
from tests.model.people import LEASE, items_of, may_read, may_read_run, said_of
from tests.model.world import BUS, DOOR, STREAM, World, is_plans, parse

Broken = tuple[str, str]


def broken(world: World) -> Iterator[Broken]:
    """(invariant, what was found), for whatever does not hold now."""
    truth = Truth(world)
    for check in CHECKS:
        yield from check(truth)


class Truth:
    """The logs as they are now, read once a look."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ledger = world.ledger
        sources = [source for lane, source in world.ledger.positions if lane == "admission"]
        self.given = {source: _delivered(world, source) for source in sources}
        self.bus = _on_the_bus(world)
        self.filed: dict[int, dict[int, Receipt]] = {source: {} for source in sources}
        for (source, offset), receipt in world.ledger.receipts.items():
            self.filed[source][offset] = receipt


def _delivered(world: World, source: int) -> dict[int, Record]:
    """What an independent read_committed reader is given."""
    if source == DOOR:
        return {r.offset: r for r in world.door_log}
    if is_plans(source):
        origin = world.origin(source)
        log = world.logs[origin.source]
        span = range(origin.start, min(origin.end, log.lso))
        return {o - origin.start: r for o in span if (r := log.visible(o)) is not None}
    log = world.logs[source]
    return {o: r for o in range(log.lso) if (r := log.visible(o)) is not None}


def _on_the_bus(world: World) -> dict[tuple[int, int], tuple[Mark, bytes]]:
    """(bus, offset) -> mark and digest of every record of ours that is committed, its marker written."""
    found = {}
    for bus in BUS:
        log = world.logs[bus]
        for offset, entry in enumerate(log.entries):
            if entry.record is None or entry.txn in log.aborted or entry.txn in log.open:
                continue
            mark = read_mark(entry.record.headers)
            if isinstance(mark, Mark):
                found[bus, offset] = (mark, payload_digest(entry.record.value))
    return found


def i1_acked_is_on_the_bus(t: Truth) -> Iterator[Broken]:
    world, ledger, bus = t.world, t.ledger, t.bus
    by_place = {(e.source, e.offset): (i, e) for (_, i), e in ledger.events.items()}
    for (source, offset), (attempt, there, at) in ledger.places.items():
        log = world.logs[there]
        entry = log.entries[at]
        if entry.txn in log.open:
            continue  # committed, its marker not written yet
        said = bus.get((there, at))
        identity, event = by_place[source, offset]
        if said is None or said[0].attempt != attempt or (said[0].identity, said[1]) != (identity, event.digest):
            yield "I1", f"{world.name(source)}@{offset} has a place at {log.name}@{at}, where its record is not"
    placed: dict[int, int] = {}
    for attempt, _, _ in ledger.places.values():
        placed[attempt] = placed.get(attempt, 0) + 1
    for a in ledger.attempts.values():
        n = placed.get(a.id, 0)
        if (a.state == "ACKED" and n != len(a.letters)) or (a.state not in ("ACKED", "PARTIAL") and n):
            yield "I1", f"attempt {a.id} is {a.state} with {n} places for {len(a.letters)} events"


def i2_i3_effects(t: Truth) -> Iterator[Broken]:
    """Unique by their key; and they are the admitted identities that were consumed, no more and no fewer."""
    ledger = t.ledger
    consumed = {
        (ledger.horizon(ledger.attempts[mark.attempt].win), mark.identity)
        for (bus, offset), (mark, _) in t.bus.items()
        if offset < ledger.positions["effects", bus].next_offset and (bus, offset) not in ledger.foreign
    }
    if consumed != ledger.effects.keys():
        missing, surplus = len(consumed - ledger.effects.keys()), len(ledger.effects.keys() - consumed)
        yield "I3", f"{missing} consumed without effect, {surplus} effects without a record"
    for key, effect in ledger.effects.items():
        event = ledger.events.get(key)
        if event is None or event.win != effect.win:
            yield "I3", f"an effect of run {key[0]} that is no event of its window"


def i4_commits(t: Truth) -> Iterator[Broken]:
    world, ledger = t.world, t.ledger
    for (lane, source), row in ledger.positions.items():
        if lane == "publish" or source == DOOR or is_plans(source):
            continue
        committed = world.committed_by_us.get(source, 0)
        lso = world.logs[source].lso
        if not committed <= row.next_offset <= lso:
            yield "I4", f"{world.name(source)}: commit {committed}, position {row.next_offset}, LSO {lso}"


def i5_positions(t: Truth) -> Iterator[Broken]:
    """Receipts (or bus batches) and gap rows tile everything below a position: it moved with them or not at all."""
    world, ledger = t.world, t.ledger
    for (lane, source), row in ledger.positions.items():
        if lane == "publish":
            continue
        spans = [(start, gap.end) for (s, start), gap in ledger.gaps.items() if s == source]
        known = {o for start, end in spans for o in range(start, end)}
        if lane == "admission":
            known |= t.filed[source].keys()
        else:
            known |= {o for b in ledger.bus_batches if b.source == source for o in range(b.start, b.end)}
        if known != set(range(row.next_offset)):
            yield "I5", f"{lane} of {world.name(source)} stands at {row.next_offset}, explained are {sorted(known)}"


def i6_fence_evidence(t: Truth) -> Iterator[Broken]:
    ledger = t.ledger
    for a in ledger.attempts.values():
        if a.unknown_at is None or a.state in UNSETTLED:
            continue
        answer = "PRESENT" if a.state == "ACKED" else a.state
        scans = [s for s in ledger.scans if s.attempt == a.id and s.answer == answer and s.fence > a.fence]
        if not any(a.prepared_at <= s.fenced_at <= s.started_at and s.epoch > a.epoch for s in scans):
            yield "I6", f"attempt {a.id} is {a.state} without a look after a newer fence"


def i7_absent_stays_absent(t: Truth) -> Iterator[Broken]:
    world, ledger = t.world, t.ledger
    for (bus, offset), (mark, _) in t.bus.items():
        a = ledger.attempts[mark.attempt]
        placed = {at for at in ledger.places.values() if at[0] == a.id}
        if a.state in ("ABSENT", "NOT_SENT") or (a.state == "PARTIAL" and (a.id, bus, offset) not in placed):
            yield "I7", f"{world.logs[bus].name}@{offset} is a record of attempt {a.id}, which was proven {a.state}"
    if ledger.contradictions:
        yield "I7", f"contradictions {sorted(ledger.contradictions)}"


def i8_a_pass_is_true(t: Truth) -> Iterator[Broken]:
    """What a PASS says, held against the logs: all of it read, counted, published once and applied once."""
    ledger = t.ledger
    for win in ledger.windows:
        newest = ledger.newest_verdict(win)
        if newest is None or newest.state != "PASS":
            continue
        for what in _untrue(t, win):
            yield "I8", f"{said_of(t.world, win)} has passed as #{newest.number}: {what}"


def _untrue(t: Truth, win: int) -> Iterator[str]:
    world, ledger = t.world, t.ledger
    if any(a.state in UNSETTLED for a in ledger.attempts.values() if a.win == win):
        yield "an attempt is unsettled"
    if any(item.resolved_by is None for item in items_of(t.world, win)):
        yield "a quarantine item is open"
    for (w, source), spread in ledger.ranges.items():
        if w != win:
            continue
        lane = "effects" if source in BUS else "admission"
        if spread.end is None or ledger.positions[lane, source].next_offset < spread.end:
            yield f"{world.name(source)} was not read to its end"
        elif source not in BUS:
            offsets = {o for o in t.given[source] if spread.start <= o < spread.end}
            filed = {o for o in t.filed[source] if spread.start <= o < spread.end}
            if offsets != filed:
                yield f"{world.name(source)} holds {sorted(offsets)}, receipts are {sorted(filed)}"
            if any(ledger.batches[ledger.receipts[source, o].batch].win != win for o in filed):
                yield f"receipts of {world.name(source)} are another window's"
    events = {i for (_, i), event in ledger.events.items() if event.win == win}
    if events != {i for (_, i), effect in ledger.effects.items() if effect.win == win}:
        yield "events and effects are not the same set"
    seen = [m.identity for m, _ in t.bus.values() if ledger.attempts[m.attempt].win == win]
    if sorted(seen) != sorted(events):
        yield f"{len(events)} events lie on the bus as {len(seen)} records"


def i9_roots_recompute(t: Truth) -> Iterator[Broken]:
    world, ledger = t.world, t.ledger
    for batch in ledger.batches.values():
        rows = [
            (offset, row)
            for offset in range(batch.start, batch.end)
            if (row := ledger.receipts.get((batch.source, offset))) is not None and row.batch == batch.id
        ]
        key = world.key(batch.source)
        root = merkle_root(receipt_leaf(key, o, r.decision, r.reason, r.identity, r.digest) for o, r in rows)
        if root != batch.root:
            yield "I9", f"batch {batch.id} has another root than its receipts"


def i10_no_read_without_pass(t: Truth) -> Iterator[Broken]:
    """Of a window by its own newest verdict, or by those of all its run's windows; of a run by each of its windows."""
    world, ledger = t.world, t.ledger
    passed = {win for win in ledger.windows if (x := ledger.newest_verdict(win)) is not None and x.state == "PASS"}
    granted = {win for win in ledger.gates if may_read(world, win).granted}
    for win in granted:
        mine = ledger.windows[win]
        needed = ledger.windows_of(mine.run.id) if world.whole_runs and mine.reruns is None else [mine]
        if missing := {window.id for window in needed if superseded(t, window.id) is None} - passed:
            yield "I10", f"{said_of(world, win)} may be read, and these did not pass: {sorted(missing)}"
        until = ledger.gates[win].open_until
        for log, since in world.silent_since.items():
            # whoever looked since then was told nothing of it, so no lease can have begun later
            if (win, log) in ledger.ranges and until > since + LEASE + 0.001:
                said = f"is open until {until:g} s, Kafka says nothing of {log} since {since:g} s"
                yield "I10", f"{said_of(world, win)} {said}"
    places = [run.supersedes for win in granted if (run := ledger.windows[win].run).supersedes is not None]
    if len(places) > len(set(places)):
        yield "PLACE", f"two runs that take one window's place may be read: {sorted(places)}"
    for win in granted:
        by = superseded(t, win)
        if by is not None:
            yield "PLACE", f"{said_of(world, win)} may be read, and {by.name} has its place"
    for run in ledger.runs.values() if granted else ():
        all_open = run.state == "CLOSED" and granted >= {window.id for window in ledger.windows_of(run.id)}
        if may_read_run(world, run.id).granted is not all_open:
            yield "I10", f"{run.name} {'may not' if all_open else 'may'} be read, which its windows do not say"


def i12_first_payloads(t: Truth) -> Iterator[Broken]:
    """The first one's bytes are those of its record, and a mismatch points to it."""
    world, ledger = t.world, t.ledger
    for (run, identity), event in ledger.events.items():
        record = t.given[event.source].get(event.offset)
        if record is None or (record.value, payload_digest(record.value)) != (event.payload, event.digest):
            yield "I12", f"the event of {world.name(event.source)}@{event.offset} is not what was read there"
        arrived = ledger.receipts.get((event.source, event.offset))
        if arrived is not None and (arrived.decision, arrived.identity) != (Decision.ADMITTED, identity):
            yield "I12", f"run {run}: an event whose receipt says {Decision(arrived.decision).name}"
    for item in ledger.items:
        if item.first[1] is not None and item.identity is not None:
            first = ledger.events.get((ledger.horizon(item.win), item.identity)) or _elsewhere(t, item)
            if first is None or (first.source, first.offset) != item.first or first.digest == item.digest:
                yield "I12", f"the item of {world.name(item.source)}@{item.offset} does not point to its first"


def _elsewhere(t: Truth, item: Item) -> Event | None:
    """What a fresh run has set aside is held against the event that another window of the earlier run has."""
    of = t.ledger.windows[item.win].run.supersedes
    run = t.ledger.windows[of].run.id if of is not None else None
    return next((e for (r, _), e in t.ledger.events.items() if r == run and (e.source, e.offset) == item.first), None)


def i13_one_owner_a_fence(t: Truth) -> Iterator[Broken]:
    world, ledger = t.world, t.ledger
    yield from (("I13", intruder) for intruder in ledger.intruders)
    owners: dict[tuple[str, int, int], str] = {}
    rows = [("admission", b.source, b.start, b.fence, b.owner) for b in ledger.batches.values()]
    rows += [("effects", b.source, b.start, b.fence, b.owner) for b in ledger.bus_batches]
    rows += [("publish", a.source, a.id, a.fence, a.owner) for a in ledger.attempts.values()]
    newest: dict[tuple[str, int], int] = {}
    for lane, source, _, fence, owner in sorted(rows):
        if owners.setdefault((lane, source, fence), owner) != owner:
            yield "I13", f"two owners under fence {fence} of {lane} of {world.name(source)}"
        if fence < newest.get((lane, source), 0):
            yield "I13", f"{lane} of {world.name(source)}: fence {fence} after {newest[lane, source]}"
        newest[lane, source] = fence


def i14_delivered_is_filed(t: Truth) -> Iterator[Broken]:
    """An independent re-read up to the position: each record has one receipt with its digest; nothing else has one."""
    world, ledger = t.world, t.ledger
    for (lane, source), row in ledger.positions.items():
        if lane != "admission":
            continue
        given = {o: payload_digest(r.value) for o, r in t.given[source].items() if o < row.next_offset}
        filed = {o: r.digest for o, r in t.filed[source].items()}
        for hidden, offset in world.hidden:
            if hidden == source and offset not in filed:
                given.pop(offset, None)  # claimed as a gap: the second reader's to find, before any PASS
        if given != filed:
            yield "I14", f"{world.name(source)} delivers {sorted(given)}, receipts are {sorted(filed)}"


def s4_one_admitted_an_identity(t: Truth) -> Iterator[Broken]:
    """Of the records of one identity in one run exactly one is ADMITTED, whatever its windows, and it is an event."""
    ledger = t.ledger
    run_of = {batch.id: ledger.windows[batch.win].run.id for batch in ledger.batches.values()}
    before = {run.id: ledger.windows[run.supersedes].run.id for run in ledger.runs.values() if run.supersedes}
    admitted = [(run_of[r.batch], r.identity) for r in ledger.receipts.values() if r.decision == Decision.ADMITTED]
    if len(admitted) != len(set(admitted)):
        yield "S4", "one identity was admitted twice in a run"
    events = {(ledger.windows[event.win].run.id, i) for (_, i), event in ledger.events.items()}
    if set(admitted) != events:
        yield "S4", "ADMITTED receipts and events are not the same set"
    named = {(run_of[r.batch], r.identity) for r in ledger.receipts.values() if r.decision == Decision.DUPLICATE}
    if not all((run, i) in events or (before.get(run), i) in events for run, i in named):
        yield "S4", "a DUPLICATE of nothing"


def s24_no_answer_before_the_commit(t: Truth) -> Iterator[Broken]:
    for place in t.world.answered:
        if place not in t.ledger.receipts:
            yield "S24", f"a 2xx for the door's offset {place[1]}, which has no receipt"


def every_offset_is_in_one_window(t: Truth) -> Iterator[Broken]:
    """The one whose range holds it, and whose batch its receipt is in: ranges of a source chain, none is left out."""
    world, ledger = t.world, t.ledger
    for batch in ledger.batches.values():
        spread = ledger.ranges.get((batch.win, batch.source))
        if spread is None or batch.start < spread.start or (spread.end is not None and batch.end > spread.end):
            name = world.name(batch.source)
            yield "WINDOW", f"batch [{batch.start}, {batch.end}) of {name} is not in window {batch.win}"
    by_source: dict[int, list[tuple[int, Range]]] = {}
    for (win, source), spread in sorted(ledger.ranges.items()):
        if is_plans(source):
            continue  # beside the chain: every_plan_reads_its_origin
        by_source.setdefault(source, []).append((win, spread))
    newest = len(ledger.chain)
    for source, chain in by_source.items():
        for (win, before), (later, after) in zip(chain, chain[1:], strict=False):
            if before.end != after.start:
                yield "WINDOW", f"{world.name(source)}: {win} ends at {before.end}, {later} begins at {after.start}"
            if later != win + 1 and source != DOOR:
                yield "WINDOW", f"{world.name(source)}: no window between {win} and {later} has a range"
        last, spread = chain[-1]
        # of the bus a window whose earlier end is not known has none yet; a door is bound when its next event comes
        if source != DOOR and last != newest and (source not in BUS or spread.end is not None):
            yield "WINDOW", f"{world.name(source)}: window {newest} has no range, and {last} ends at {spread.end}"
        row = ledger.positions.get(("admission", source))
        bound = None if row is None else row.win if row.cut is None else row.next_win
        if row is not None and ledger.windows[last].state == "OPEN" and last != bound:
            yield "WINDOW", f"{world.name(source)}: window {last} is open, and what comes is bound to {bound}"
        if source not in BUS and (spread.end is None) is not (ledger.windows[last].state == "OPEN"):
            yield "WINDOW", f"{world.name(source)}: window {last} is {ledger.windows[last].state}, its end {spread.end}"


def one_window_is_open(t: Truth) -> Iterator[Broken]:
    """From a run's opening to its cut exactly one of its windows, the newest; they are numbered as they come."""
    ledger = t.ledger
    for run in ledger.live_runs:
        windows = ledger.windows_of(run.id)
        states = [window.state for window in windows]
        if states.count("OPEN") != (run.state == "OPEN") or "OPEN" in states[:-1]:
            yield "OPEN", f"{run.name} is {run.state}, its windows are {states}"
        if [window.number for window in windows] != list(range(1, len(windows) + 1)):
            yield "OPEN", f"{run.name} has windows {[window.number for window in windows]}"
        judged = all(ledger.newest_verdict(window.id) is not None for window in windows)
        if (run.state == "CLOSED") is not (run.state != "OPEN" and judged):
            yield "CLOSED", f"{run.name} is {run.state}, and its windows are {'' if judged else 'not '}all judged"
    if sum(run.state == "OPEN" for run in ledger.runs.values()) > 1:
        yield "OPEN", "two runs are open"


def superseded(t: Truth, win: int) -> Run | None:
    """The fresh run that has passed in the place of this window or of what it reruns, by the verdicts alone."""
    ledger = t.ledger
    for run in ledger.runs.values():
        if run.supersedes is not None and run.supersedes in (win, ledger.windows[win].reruns):
            (own,) = ledger.windows_of(run.id)
            newest = ledger.newest_verdict(own.id)
            if newest is not None and newest.state == "PASS":
                return run
    return None


def every_plan_reads_its_origin(t: Truth) -> Iterator[Broken]:
    """Below the cut and below the lane of its origin; what one has passed on is all there, and is told as it was."""
    world, ledger = t.world, t.ledger
    for plan in ledger.plans.values():
        for source, origin in plan.origins.items() if plan.win is not None else ():
            row, spread = ledger.positions["admission", source], ledger.ranges[plan.of, origin.source]
            if row.next_offset and origin.start + row.next_offset > min(
                spread.end or 0, ledger.positions["admission", origin.source].next_offset
            ):
                yield "ORIGIN", f"plan {plan.id} has read to {row.next_offset} of {world.name(origin.source)}"
        newest = ledger.newest_verdict(plan.win) if plan.win is not None else None
        if newest is not None and newest.state == "PASS":
            yield from _not_brought(t, plan)


def _not_brought(t: Truth, plan: Plan) -> Iterator[Broken]:
    """What a plan's PASS says, held against the logs: a rerun's, that no record it read is missing in the run; a fresh
    run's, that it has every event of the window and of its reruns."""
    ledger, first = t.ledger, t.ledger.windows[plan.of]
    passed = [x for x in ledger.verdicts if x.win == first.id and x.state == "PASS"]
    if passed and not plan.fresh and any(e.win == plan.win for e in ledger.events.values()):
        yield "S7", f"plan {plan.id} admitted something that window {plan.of} had missed, and that had passed"
    run = ledger.windows[plan.win or 0].run
    for source in plan.origins:
        end = ledger.ranges[plan.win or 0, source].end or 0
        for offset, record in t.given[source].items() if not plan.fresh else ():
            (arrival,) = arrive(STREAM, run.name, [offset], [record.value], [parse(record)])
            if offset < end and arrival.identity is not None and (run.id, arrival.identity) not in ledger.events:
                yield "PROVEN", f"plan {plan.id} read {offset} of {t.world.name(source)}, which is no event"
    if plan.fresh:
        mine = {first.id} | {w.id for w in ledger.windows.values() if w.reruns == first.id}
        old = {e.payload for e in ledger.events.values() if e.win in mine}
        ours = {e.payload for (r, _), e in ledger.events.items() if r == run.id}
        if {parsed_id(p) for p in old} != {parsed_id(p) for p in ours}:
            yield "PLACE", f"{run.name} has passed with {len(ours)} of {len(old)} events of window {plan.of}"


def parsed_id(payload: bytes) -> int:
    return int(json.loads(payload)["id"])


def verdicts_are_numbered_by_run(t: Truth) -> Iterator[Broken]:
    for run in t.ledger.runs.values():
        numbers = [x.number for x in t.ledger.verdicts if x.run == run.id]
        if numbers != list(range(1, len(numbers) + 1)):
            yield "NUMBER", f"verdicts of {run.name} are numbered {numbers}"


def answers_are_true(t: Truth) -> Iterator[Broken]:
    """What people and producers were told was so when they were told."""
    for told in t.world.untold:
        yield "TOLD", told


def identities_are_the_records(t: Truth) -> Iterator[Broken]:
    """The real rules, over the record alone, give the identity that the receipt names."""
    world, ledger = t.world, t.ledger
    for (source, offset), receipt in ledger.receipts.items():
        if receipt.decision != Decision.QUARANTINED:
            window = ledger.windows[ledger.batches[receipt.batch].win]
            if window.run.supersedes is not None:
                continue  # under another name than its records': PLACE holds its events
            run = window.run.name
            record = t.given[source].get(offset)
            if record is not None:
                (said,) = arrive(STREAM, run, [offset], [record.value], [parse(record)])
                if said.identity != receipt.identity:
                    yield "IDENTITY", f"{world.name(source)}@{offset}"


def s12_one_verdict_a_revision(t: Truth) -> Iterator[Broken]:
    """Of two closers who measured the same, one has stored his."""
    said = [(verdict.win, verdict.revision) for verdict in t.ledger.verdicts]
    if len(said) != len(set(said)):
        yield "S12", f"two verdicts of one revision: {said}"


def s28_no_pass_in_silence(t: Truth) -> Iterator[Broken]:
    """What Kafka did not answer is UNMEASURED, never zero and never green."""
    for run in t.world.passed_unheard:
        yield "S28", f"{run} was judged PASS by a look that got no answer about a log"


CHECKS = (
    i1_acked_is_on_the_bus, i2_i3_effects, i4_commits, i5_positions, i6_fence_evidence, i7_absent_stays_absent,
    i8_a_pass_is_true, i9_roots_recompute, i10_no_read_without_pass, i12_first_payloads, i13_one_owner_a_fence,
    i14_delivered_is_filed, s4_one_admitted_an_identity, s24_no_answer_before_the_commit, every_offset_is_in_one_window,
    one_window_is_open, every_plan_reads_its_origin, verdicts_are_numbered_by_run, answers_are_true,
    s12_one_verdict_a_revision, s28_no_pass_in_silence,
)  # fmt: skip
