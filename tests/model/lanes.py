"""The three lanes, effect by effect, around the real decisions of ingest.core."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence

from ingest.core import consumption, reconciliation
from ingest.core.attempt import Mark, QueuedBatch, attempt_mark, choose, marked, read_mark, transactional_id
from ingest.core.batching import OffsetRange, ReaderRecord, check_dense, empty, joined, next_batch
from ingest.core.binding import bind
from ingest.core.consumption import AttemptFacts, BusRecord, EventFacts, Ruling, rule
from ingest.core.decide import Arrival, Decisions, KnownEvent, arrive, decide, disputed
from ingest.core.decide import Item as DecidedItem
from ingest.core.errors import LeaseError, PassgateError
from ingest.core.identity import payload_digest
from ingest.core.lease import Lease
from ingest.core.merkle import merkle_root, receipt_leaf
from ingest.core.outcome import Kind, Outcome, SendReport, confirm, judge
from ingest.core.partition import partition_for
from ingest.core.reason import Decision, Reason
from ingest.core.reconciliation import (
    Anchor,
    Answer,
    ExpectedEvent,
    FoundRecord,
    Ground,
    Moment,
    PreparedFacts,
    ScanExtent,
    WaitReason,
    due,
)
from tests.model.broker import Headers, Log, Message, Producer, Record
from tests.model.ledger import (
    Attempt,
    Batch,
    Binding,
    BusBatch,
    Effect,
    Event,
    Item,
    Letter,
    Receipt,
    Scan,
    Tx,
    UniqueViolation,
)
from tests.model.world import BUS, DOOR, IDLE, INSTALL, STREAM, WAITS, Doing, World, parse

READ_MOST, BATCH_MOST, ATTEMPT_MOST = 4, 3, 4
SILENCE = 1.0


class AttemptLost(PassgateError):
    """As AttemptUnknown and AttemptNotSent of ingest.publish.lane: the lane starts again under a new fence."""

    retry = True


def fenced(lease: Lease) -> LeaseError:
    return LeaseError(expected=f"{lease.owner} under fence {lease.fence}", found="somebody else")


# ---- admission ------------------------------------------------------------------------------------------------------


def admission(world: World, lease: Lease) -> Doing:
    ledger, log = world.ledger, world.logs[lease.source]
    pending = empty(lease.next_offset, lease.leader_epoch)
    while True:
        binding = ledger.binding(lease.source)
        if binding is None:
            yield from idle(world, lease)
            continue
        read = world.read(lease.source, pending.end, READ_MOST)
        pending = joined(pending, read) if read.end > read.start else pending
        if pending.end == pending.start:
            yield from idle(world, lease)
            continue
        yield f"reads [{pending.start}, {pending.end}) of {log.name} for window {binding.win}"
        batch, rest = next_batch(pending, binding.cut, BATCH_MOST, 1_000_000)
        if "kafka first" in world.flaws:
            yield tell_kafka(world, lease.source, batch.end)
        done = yield from admit(world, lease, binding, batch)
        if not done:
            continue
        pending = rest
        lease = lease.at(batch.end, batch.leader_epoch)
        yield tell_kafka(world, lease.source, lease.next_offset)


def idle(world: World, lease: Lease) -> Doing:
    if not world.ledger.renew(lease):
        raise fenced(lease)
    yield IDLE


def tell_kafka(world: World, source: int, offset: int) -> str:
    world.broker.committed[world.name(source)] = offset
    world.committed_by_us[source] = offset
    return f"commits offset {offset} to Kafka"


def admit(world: World, lease: Lease, binding: Binding, poll: OffsetRange) -> Generator[str, None, bool]:
    """The verb; True where it is durable. As `retry_transaction`: a race that a unique key settled is run once more."""
    check_dense(poll, lease.next_offset)
    arrivals = arrivals_of(binding, poll)
    while True:
        with world.ledger.begin(lease.owner) as tx:
            yield from lock(tx, ("admission", lease.source))
            if not world.ledger.advance(tx, lease, poll, binding.win):
                raise_if_fenced(world, lease, poll)
                yield "finds the source cut, or bound to another window: nothing happened"
                return False
            known = known_of(world, binding, arrivals)
            yield "moves the position and looks up what is known"
            write_batch(world, tx, lease, binding, poll, decisions_of(world, lease, binding, arrivals, known))
            try:
                tx.commit()
            except UniqueViolation as lost:
                yield f"loses the race for {lost}: all of it once more"
                continue
        yield f"commits [{poll.start}, {poll.end}) to PostgreSQL"
        return True


def lock(tx: Tx, row: object) -> Doing:
    while not tx.lock(row):
        yield WAITS


def raise_if_fenced(world: World, lease: Lease, poll: OffsetRange) -> None:
    row = world.ledger.positions["admission", lease.source]
    if row.fence != lease.fence or row.owner != lease.owner or row.next_offset != poll.start:
        raise fenced(lease)


def arrivals_of(binding: Binding, poll: OffsetRange) -> list[Arrival]:
    offsets, values = [r.offset for r in poll.records], [r.value for r in poll.records]
    return arrive(STREAM, binding.run_name, offsets, values, [parse(r) for r in poll.records])  # type: ignore[arg-type]


def known_of(world: World, binding: Binding, arrivals: list[Arrival]) -> dict[bytes, KnownEvent]:
    """`known` and `first_payloads` of admit.sql."""
    events = world.ledger.events
    keys = {a.identity for a in arrivals if a.identity is not None}
    rows = {i: events[binding.run, i] for i in keys if (binding.run, i) in events}
    known = {i: KnownEvent(row.digest, row.source, row.offset) for i, row in rows.items()}
    for i in disputed(arrivals, known):
        known[i] = KnownEvent(rows[i].digest, rows[i].source, rows[i].offset, rows[i].payload)
    return known


def decisions_of(
    world: World, lease: Lease, binding: Binding, arrivals: list[Arrival], known: dict[bytes, KnownEvent]
) -> Decisions:
    ended = {run.name for run in world.ledger.runs.values() if run.state != "OPEN"}
    return decide(arrivals, known, binding.run_name, lease.source, ended.__contains__)


def write_batch(
    world: World, tx: Tx, lease: Lease, binding: Binding, poll: OffsetRange, decided: Decisions,
    items: Sequence[DecidedItem] | None = None,
) -> None:  # fmt: skip
    """Everything that AdmissionTransaction.write_all writes. `items`: those that are new, where not all are."""
    ledger, source, win = world.ledger, lease.source, binding.win
    by_offset = {r.offset: r for r in poll.records}
    tx.claim(source, poll.holes)
    tx.then(lambda: ledger.touch([win]))
    if not decided.outcomes:
        return
    number = ledger.number()
    events = {}
    for e in decided.events:
        record = by_offset[e.offset]
        row = Event(win, source, e.offset, number, e.payload_digest, record.key, record.headers, e.value)
        events[binding.run, e.identity] = row
    receipts = {
        (source, o.offset): Receipt(number, o.decision, o.reason, o.identity, o.payload_digest)
        for o in decided.outcomes
    }
    tx.insert(ledger.events, events, "event_pkey")
    if "no receipts" not in world.flaws:
        tx.insert(ledger.receipts, receipts, "receipt_pkey")
    by_decision = [o.decision for o in decided.outcomes]
    root = merkle_root(
        receipt_leaf(world.key(source), o.offset, o.decision, o.reason, o.identity, o.payload_digest)
        for o in decided.outcomes
    )
    batch = Batch(
        number, source, win, poll.start, poll.end, len(by_decision), by_decision.count(Decision.ADMITTED),
        by_decision.count(Decision.DUPLICATE), by_decision.count(Decision.QUARANTINED), lease.fence, lease.owner, root,
        ledger.now,
    )  # fmt: skip
    tx.insert(ledger.batches, {number: batch}, "batch_pkey")
    for i in decided.items if items is None else items:
        item = Item(
            win, source, i.offset, i.reason, i.identity, i.payload_digest, (i.first_source, i.first_offset),
            by_offset[i.offset].value, i.count,
        )  # fmt: skip
        tx.then(lambda item=item: ledger.set_aside(item, item.reason == Reason.PAYLOAD_MISMATCH, binding.run))  # type: ignore[misc]
    if "first overwritten" in world.flaws:
        for i in decided.items:
            tx.then(lambda i=i: overwrite(world, binding.run, i.identity, by_offset[i.offset].value))  # type: ignore[misc]
    if events:
        tx.then(lambda: ledger.queue.add(number))


def overwrite(world: World, run: int, identity: bytes | None, value: bytes | None) -> None:
    """ON CONFLICT DO UPDATE, which no ledger may have."""
    if identity is not None and (row := world.ledger.events.get((run, identity))):
        digest = payload_digest(value or b"")
        world.ledger.events[run, identity] = Event(
            row.win, row.source, row.offset, row.batch, digest, row.key, row.headers, value or b""
        )


def request(world: World, lease: Lease, values: list[Message]) -> Doing:
    """One request to the door; where its window is another by then, it looks again (ingest.admit.http.receive)."""
    for _ in range(4):
        run = world.ledger.open_run()
        for _ in range(1 if "door looks once" in world.flaws else 4):
            if world.ledger.binding(DOOR) is None:
                yield from bind_door(world)
        binding = world.ledger.binding(DOOR)
        if binding is None:
            if run is not None and run.state == "OPEN":
                world.untold.append(f"the door said that no run is open while {run.name} was")
            yield "is answered 409: there is no open run"
            return
        yield f"is of window {binding.win}"
        if (yield from requested(world, lease, binding, values)):
            return
    yield "is answered 503: four times its window was another by then"


def bind_door(world: World) -> Doing:
    """The source is bound to the window that is open, before its cut or not at all."""
    ledger = world.ledger
    window = ledger.open_window()
    if window is None:
        return
    with ledger.begin("web") as tx:
        yield from lock(tx, ("window", window.id))
        if window.state != "OPEN" or (window.id, DOOR) in ledger.ranges:
            return  # whoever waited for the row finds it cut, and does not see the next
        yield from lock(tx, ("admission", DOOR))
        row = ledger.positions["admission", DOOR]
        bound, start = bind(row.bound, window.id)
        yield f"will be bound to window {window.id} from {start} on"
        tx.then(lambda: ledger.bind(row, bound, window.id, start))
        tx.commit()


def requested(world: World, lease: Lease, binding: Binding, values: list[Message]) -> Generator[str, None, bool]:
    """Offsets are taken inside the transaction; the 2xx leaves after the commit. False: the window is another."""
    ledger = world.ledger
    if "door answers first" in world.flaws:
        at = ledger.positions["admission", DOOR].next_offset
        world.answered += [(DOOR, at + n) for n in range(len(values))]
        yield "is answered 200"
    with ledger.begin(lease.owner) as tx:
        yield from lock(tx, ("admission", DOOR))
        start = ledger.positions["admission", DOOR].next_offset
        poll = OffsetRange(start, start + len(values), None, _numbered(start, values), ())
        if not ledger.advance(tx, lease, poll, binding.win):
            row = ledger.positions["admission", DOOR]
            if (row.owner, row.fence) == (lease.owner, lease.fence):
                return False
            yield "is answered 503: the door is not this process's any more"
            return True
        arrivals = arrivals_of(binding, poll)
        known = known_of(world, binding, arrivals)
        yield "takes its offsets and looks up what is known"
        write_batch(world, tx, lease, binding, poll, decisions_of(world, lease, binding, arrivals, known))
        try:
            tx.commit()
        except UniqueViolation as lost:
            yield f"loses the race for {lost}, and is answered 503"
            return True
    world.door_log += poll.records  # type: ignore[arg-type]
    yield f"commits [{poll.start}, {poll.end}) of the door to PostgreSQL"
    world.answered += [(DOOR, r.offset) for r in poll.records]
    yield "is answered 200"
    return True


def _numbered(start: int, values: list[Message]) -> list[Record]:
    return [Record(start + n, None, *message) for n, message in enumerate(values)]


# ---- publishing -----------------------------------------------------------------------------------------------------


def publish(world: World, lease: Lease) -> Doing:
    """Settles what is unsettled, else publishes one attempt. A lane has one producer, which only ever commits."""
    ledger = world.ledger
    producer: Producer | None = None
    fenced_at = 0.0
    while True:
        unsettled = ledger.unsettled_of(lease.source)
        if unsettled is not None and unsettled.state == "PREPARED":
            yield from write_unknown(world, lease, unsettled)
            continue
        if unsettled is not None and waits(world, unsettled) is not WaitReason.NOW:
            yield from idle(world, lease)
            continue
        queued = [] if unsettled is not None else queue_of(world, lease.source)
        if unsettled is None and not queued:
            yield from idle(world, lease)
            continue
        if unsettled is not None and "scan first" in world.flaws:
            yield from reconcile(world, lease, unsettled, ledger.now)
            continue
        if producer is None or producer.dead:
            producer = Producer(world.broker, transactional_id(INSTALL, lease.source), "reuse" in world.flaws)
            yield f"initialises a producer: epoch {producer.epoch}"
            if not ledger.renew(lease):
                raise fenced(lease)
            fenced_at = ledger.now
            yield "finds the lease still its own"
        if unsettled is not None:
            yield from reconcile(world, lease, unsettled, fenced_at)
        else:
            yield from one_attempt(world, lease, producer, queued)


def queue_of(world: World, source: int) -> list[QueuedBatch]:
    ledger = world.ledger
    rows = [ledger.batches[b] for b in ledger.queue if ledger.batches[b].source == source]
    queued = [
        QueuedBatch(b.id, b.start, b.end, len(ledger.without_place([b.id])), 10, b.win, ledger.horizon(b.win), 1)
        for b in rows
    ]
    return choose(queued, ATTEMPT_MOST)


def waits(world: World, unsettled: Attempt) -> WaitReason:
    since = unsettled.unknown_at if unsettled.unknown_at is not None else unsettled.prepared_at
    undecidable = unsettled.state == "UNDECIDABLE"
    return due(undecidable, undecidable, True, world.ledger.now - since, SILENCE)


def hold(world: World, lease: Lease, tx: Tx) -> Doing:
    yield from lock(tx, ("publish", lease.source))
    if not world.ledger.hold(lease):
        raise fenced(lease)


def write_unknown(world: World, lease: Lease, attempt: Attempt) -> Doing:
    ledger = world.ledger
    with ledger.begin(lease.owner) as tx:
        yield from hold(world, lease, tx)
        tx.then(lambda: ledger.end_attempt(attempt, "UNKNOWN"))
        tx.then(lambda: ledger.touch([attempt.win]))
        tx.commit()
    yield f"writes down that attempt {attempt.id} is UNKNOWN"


def one_attempt(world: World, lease: Lease, producer: Producer, queued: list[QueuedBatch]) -> Doing:
    ledger = world.ledger
    letters = [
        Letter(e.offset, e.batch, identity, e.digest, partition_for(e.key, identity, len(BUS)))
        for identity, e in ledger.without_place([q.batch for q in queued])
    ]
    used = sorted({letter.partition for letter in letters})
    anchors = {p: (world.logs[BUS[p]].hw, world.logs[BUS[p]].epoch) for p in used}
    yield f"reads the high watermarks {[lo for lo, _ in anchors.values()]}"
    attempt = Attempt(
        ledger.number(), lease.source, queued[0].win, lease.fence, lease.owner, tuple(letters), anchors,
        queued[-1].to_offset, ledger.now, producer.epoch,
    )  # fmt: skip
    with ledger.begin(lease.owner) as tx:
        yield from hold(world, lease, tx)
        if not attempt.batches <= ledger.queue:
            raise AttemptLost(found="batches that are not queued any more")
        tx.check(lambda: ledger.refuse_second(attempt))
        tx.then(lambda: ledger.insert_attempt(attempt))
        tx.then(lambda: ledger.touch([attempt.win]))
        tx.commit()
    yield f"commits PREPARED: attempt {attempt.id} of {len(letters)} events"
    outcome = Outcome(Kind.NOT_SENT)
    for seen in producer.send(parts_of(world, attempt)):
        if isinstance(seen, SendReport):
            outcome = confirm(judge(seen), "bus", "bus")
        else:
            yield seen
    yield from write_outcome(world, lease, attempt, outcome)


def parts_of(world: World, attempt: Attempt) -> list[tuple[Log, int, list[tuple[int, Message]]]]:
    """What each partition gets, with the events' numbers."""
    mark, events = attempt_mark(INSTALL, attempt.id), world.ledger.events
    run = world.ledger.horizon(attempt.win)
    parts: dict[int, list[tuple[int, Message]]] = {}
    for number, letter in enumerate(attempt.letters):
        event = events[run, letter.identity]
        headers: Headers = [
            (name, value.encode() if isinstance(value, str) else value)
            for name, value in marked(event.headers, letter.identity, mark, letter.digest)
        ]
        parts.setdefault(letter.partition, []).append((number, Message(event.key, event.payload, headers)))
    return [(world.logs[BUS[p]], p, messages) for p, messages in sorted(parts.items())]


def write_outcome(world: World, lease: Lease, attempt: Attempt, outcome: Outcome) -> Doing:
    ledger = world.ledger
    if outcome.kind is not Kind.ACKED:
        yield from write_unknown(world, lease, attempt)
        if "reuse" in world.flaws:
            return
        raise AttemptLost(found=outcome.why)
    with ledger.begin(lease.owner) as tx:
        yield from hold(world, lease, tx)
        spots = [(attempt.letters[p.number].offset, BUS[p.partition], p.offset) for p in outcome.places]
        settle(world, tx, attempt, "ACKED", spots)
        tx.commit()
    yield f"writes down that attempt {attempt.id} is ACKED"


def settle(world: World, tx: Tx, attempt: Attempt, state: str, spots: Iterable[tuple[int, int, int]]) -> None:
    ledger = world.ledger
    rows = {(attempt.source, offset): (attempt.id, bus, there) for offset, bus, there in spots}
    tx.insert(ledger.places, rows, "place_pkey")
    tx.then(lambda: ledger.end_attempt(attempt, state))
    tx.then(lambda: ledger.touch([attempt.win]))


# ---- reconciliation -------------------------------------------------------------------------------------------------


def reconcile(world: World, lease: Lease, attempt: Attempt, fenced_at: float) -> Doing:
    """Fence first, then look: the caller has fenced."""
    ledger = world.ledger
    started_at = ledger.now
    epoch = world.broker.coordinators[transactional_id(INSTALL, lease.source)].epoch
    prepared = PreparedFacts(
        "c", "bus",
        [Anchor(p, lo, epoch) for p, (lo, epoch) in attempt.anchors.items()],
        [ExpectedEvent(n, x.identity, x.digest, x.partition) for n, x in enumerate(attempt.letters)],
    )  # fmt: skip
    before = moment(world, attempt)
    his = {p: ground.hi or 0 for p, ground in before.grounds.items()}
    while reconciliation.held_back(up_to(world, attempt, his)):
        yield from idle(world, lease)
    yield f"looks for attempt {attempt.id} up to {sorted(his.values())}"
    found: list[FoundRecord] = []
    reads = []
    for p, (lo, _) in attempt.anchors.items():
        poll = world.logs[BUS[p]].read(lo, until=his[p])
        found += [f for record in poll.records if (f := found_of(p, record, attempt)) is not None]
        reads.append(ScanExtent(p, his[p], poll.end, len(poll.records)))
        yield f"reads {world.logs[BUS[p]].name} from {lo} to {poll.end}: {len(found)} of its records so far"
    run = ledger.horizon(attempt.win)
    applied = [n for n, x in enumerate(attempt.letters) if (run, x.identity) in ledger.effects]
    answer = reconciliation.decide(prepared, before, moment(world, attempt), reads, found, applied)
    with ledger.begin(lease.owner) as tx:
        yield from hold(world, lease, tx)
        scan = Scan(attempt.id, lease.fence, fenced_at, started_at, answer.answer, epoch)
        tx.then(lambda: ledger.scans.append(scan))
        spots = [(attempt.letters[n].offset, BUS[p], at) for n, (p, at) in (answer.places or {}).items()]
        settle(world, tx, attempt, "ACKED" if answer.answer is Answer.PRESENT else str(answer.answer), spots)
        if answer.answer in (Answer.ABSENT, Answer.PARTIAL):
            tx.then(lambda: requeue(world, attempt))
        tx.commit()
    yield f"writes down that attempt {attempt.id} is {answer.answer} {answer.why}"


def requeue(world: World, attempt: Attempt) -> None:
    world.ledger.queue |= {b for b in attempt.batches if world.ledger.without_place([b])}


def found_of(partition: int, record: ReaderRecord, attempt: Attempt) -> FoundRecord | None:
    mark = read_mark(record.headers)
    if not isinstance(mark, Mark) or (mark.install, mark.attempt) != (str(INSTALL), attempt.id):
        return None
    return FoundRecord(partition, record.offset, mark.identity, payload_digest(record.value))


def moment(world: World, attempt: Attempt) -> Moment:
    logs = {p: world.logs[BUS[p]] for p in attempt.anchors}
    return Moment("c", "bus", {p: Ground(0, log.hw, log.lso, "") for p, log in logs.items()})


def up_to(world: World, attempt: Attempt, his: dict[int, int]) -> Moment:
    grounds = {p: Ground(g.earliest, his[p], g.lso, g.diverged) for p, g in moment(world, attempt).grounds.items()}
    return Moment("c", "bus", grounds)


# ---- effects --------------------------------------------------------------------------------------------------------


def effects(world: World, lease: Lease) -> Doing:
    ledger, log = world.ledger, world.logs[lease.source]
    while True:
        poll = log.read(lease.next_offset, READ_MOST)
        if poll.end == poll.start:
            yield from idle(world, lease)
            continue
        yield f"reads [{poll.start}, {poll.end}) of {log.name}"
        check_dense(poll, lease.next_offset)
        with ledger.begin(lease.owner) as tx:
            yield from lock(tx, ("effects", lease.source))
            if not ledger.advance(tx, lease, poll):
                raise fenced(lease)
            records = [BusRecord(r.offset, read_mark(r.headers), payload_digest(r.value)) for r in poll.records]
            known = bus_known(world, records)
            yield "moves the position and looks up what is known"
            write_effects(world, tx, lease, poll, known, rule(records, known))
            try:
                tx.commit()
            except UniqueViolation as lost:
                yield f"loses the race for {lost}: all of it once more"
                continue
        lease = lease.at(poll.end, poll.leader_epoch)
        yield f"commits [{poll.start}, {poll.end}) to PostgreSQL"
        yield tell_kafka(world, lease.source, lease.next_offset)


def bus_known(world: World, records: list[BusRecord]) -> consumption.KnownAttempts:
    ledger = world.ledger
    marks = [r.mark for r in records if isinstance(r.mark, Mark)]
    facts = {m.attempt: attempt_facts(world, m.attempt) for m in marks if m.attempt in ledger.attempts}
    keys = {(facts[m.attempt].run_id, m.identity) for m in marks if m.attempt in facts}
    events = {key: ledger.events[key] for key in keys if key in ledger.events}
    return consumption.KnownAttempts(
        str(INSTALL), "bus", facts,
        {key: EventFacts(e.source, e.offset, e.win, e.digest, 1) for key, e in events.items()},
        {key for key in keys if key in ledger.effects},
    )  # fmt: skip


def attempt_facts(world: World, number: int) -> AttemptFacts:
    attempt = world.ledger.attempts[number]
    offsets = {letter.offset for letter in attempt.letters}
    placed = {offset for (_, offset), (by, _, _) in world.ledger.places.items() if by == number}
    run = world.ledger.horizon(attempt.win)
    return AttemptFacts(attempt.state, str(INSTALL), "bus", attempt.source, run, attempt.win, 1, offsets, placed)


def write_effects(
    world: World,
    tx: Tx,
    lease: Lease,
    poll: OffsetRange,
    known: consumption.KnownAttempts,
    ruled: list[consumption.RuledRecord],
) -> None:
    ledger, bus = world.ledger, lease.source
    applied = {
        r.key: Effect(known.events[r.key].win, bus, r.offset)
        for r in ruled
        if r.ruling is Ruling.APPLIED and r.key is not None
    }
    tx.insert(ledger.effects, applied, "effect_pkey")
    kept = {(bus, r.offset) for r in ruled if r.ruling in (Ruling.FOREIGN, Ruling.MISMATCHING)}
    against = {(known.attempts[r.attempt].win, r.attempt) for r in ruled if r.contradiction and r.attempt is not None}
    tx.then(lambda: ledger.foreign.update(kept))
    tx.then(lambda: ledger.contradictions.update(against))
    tx.claim(bus, poll.holes)
    batch = BusBatch(bus, poll.start, poll.end, lease.fence, lease.owner)
    tx.then(lambda: ledger.bus_batches.append(batch))
    wins = {known.events[r.key].win for r in ruled if r.key is not None}
    tx.then(lambda: ledger.touch(wins | waiting(world, bus, poll.start)))


def waiting(world: World, bus: int, start: int) -> set[int]:
    """windows_in_range of consume.sql."""
    ledger = world.ledger
    return {
        win
        for (win, source), spread in ledger.ranges.items()
        if source == bus and (spread.end is None or spread.end > start) and ledger.windows[win].state == "CUT"
    } | {win for (win, at), end in ledger.rerun_ends.items() if at == bus and end > start}


LANES = {"admission": admission, "publish": publish, "effects": effects}
