"""A replay: offsets of a window's inbox are read again.

*prove* reads them in the same run, into a rerun of the window: what was admitted is a duplicate, what was missed is
admitted. *fresh* admits the events of one window anew, in a run of its own that takes its place: for what no reading
again can mend, such as rows that nothing explains, or a context that fell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, NamedTuple

from audit import anchors, gate, stand_in
from audit import capture as look
from audit.close import window_of
from audit.core import gone
from audit.core.anchors import Reach
from audit.core.cover import MendedAhead, foreseen
from audit.cover import CoverReading
from audit.cover import foresee as foresee_cover
from audit.measure import window_row
from audit.rerun import (
    OriginRange,
    PlanSource,
    Rerun,
    RerunOrder,
    check_not_looked_back_on,
    check_place,
    check_replaceable,
    cut_rerun,
    open_rerun,
    place_faults,
    rerun_of,
)
from ingest.admit import replay as admission
from ingest.admit.later import later_than_records
from ingest.admit.replay import OriginLog, OriginReader, ReplayOrder
from ingest.consume import mending
from ingest.consume.mending import Lacking, MendOrder
from ingest.core.batching import OffsetRange, next_batch
from ingest.core.contract import extends_identities
from ingest.core.decide import KnownEvent
from ingest.core.errors import BrokerError
from ingest.core.ids import RunId, SourceId, StreamId, WindowId
from ingest.core.mending import MissingPart
from ingest.core.reason import Decision
from ingest.db import Cursor, fetch_one, read, statements
from ingest.failpoints import failpoint
from ingest.kafka import OffsetOutOfRange
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from ingest.windows import Binding
from plans.core.binding import Origin, Subject
from plans.core.mending import told, told_done, told_refused
from plans.core.plan import FRESH, PROVE, Kind, Outcome
from plans.errors import PlanRefused, UnreceivedOffset
from plans.kinds.base import Bindings, Item, ItemOutcome, PlanKind, Prediction, Step
from plans.kinds.order import consent, consented, lacks_consent, late_words

sql = statements("plans.kinds", "replay")

#: What would become of more records than this is foreseen of the first of them.
MOST_FORESEEN = 100_000
#: Events of the plan that wait to be published: beyond this it rests, for the bus has one order.
MOST_QUEUED = 10_000
_OUTCOMES = {
    Decision.ADMITTED: Outcome.ADMITTED,
    Decision.DUPLICATE: Outcome.DUPLICATE,
    Decision.QUARANTINED: Outcome.QUARANTINED,
}


class ReplayPlan(PlanKind):
    """Asked: stream, run, window; mode, prove or fresh; ranges (each source, from and to), or whole = true;
    contract (a version; else the window's own to prove, the newest for a fresh run); out_of_order: a consent.

    An item is a range; `first`, `rate` and outcomes count records.
    """

    kind: ClassVar[Kind] = Kind.REPLAY
    batch: ClassVar[int] = 5_000
    by_items: ClassVar[bool] = False

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        win = window_of(asked["stream"], asked["run"], asked.get("window"))
        mode = str(asked.get("mode") or PROVE)
        if mode not in (PROVE, FRESH):
            raise PlanRefused(expected="mode prove or fresh", found=mode[:100])
        with read() as cur:
            row = window_row(cur, win)
            if mode == PROVE:
                check_not_looked_back_on(cur, RunId(row.run_id))
                check_place(cur, win)
            loaded = _contract(cur, row, mode, asked.get("contract"))
            rows = {look.source_label(x): x for x in cur.execute(sql.ranges, {"win": win}).fetchall()}
            fresh = _fresh_name(cur, row) if mode == FRESH else None
        if row.state != "CUT":
            raise PlanRefused(expected="a cut window", found=f"window {row.number} is {row.state}", next_step="cut it")
        ranges = _ranges(asked, rows)
        if mode == FRESH:
            _check_whole(ranges, rows)
            with read() as cur:
                check_replaceable(cur, win)
            _check_shut(win)
        _check_there(win, ranges, mode)
        wanted: dict[str, Any] = {"mode": mode, "contract": loaded.version}
        if mode == PROVE:
            wanted |= consent(loaded.contract, asked)
        wanted["ranges"] = [{"source": label, "from": start, "to": end} for label, (start, end) in ranges.items()]
        facts: dict[str, Any] = {
            "contract": loaded.digest.hex(),
            "topics": {label: rows[label].topic_id for label in ranges},
        }
        if fresh is not None:
            facts["fresh"] = fresh
        plans = loaded.contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(row.stream_id),
            run=RunId(row.run_id),
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked=wanted,
            facts=facts,
            items=tuple(f"{label} [{start}, {end})" for label, (start, end) in ranges.items()),
            expire=plans.expire,
            lacks_consent=mode == PROVE and lacks_consent(loaded.contract, wanted),
            origin=tuple(Origin(rows[label].source_id, start, end) for label, (start, end) in ranges.items()),
        )

    def foresee(self, bound: Bindings) -> Prediction:
        assert bound.win is not None
        counts: Counter[Decision] = Counter()
        before: dict[bytes, KnownEvent] = {}
        read_ = late = 0
        with read() as cur:
            row = window_row(cur, bound.win)
            loaded = compiled_contract(_version(cur, bound.stream, bound.asked["contract"]))
            orders = [_foreseen_order(cur, row, bound, loaded, origin) for origin in bound.origin]
        ahead = _looked_ahead(bound)
        below, lacking = ahead.below, _MissingAhead(row, bound)
        for order in orders:
            admitted: list[tuple[bytes, int]] = []
            first = below[order.log.source].gone_to if order.log.source in below else order.log.start
            for batch in _batches(order.log, first, MOST_FORESEEN - read_):
                with read() as cur:
                    seen = admission.foresee(cur, order, batch, before)
                counts += seen.decisions
                admitted += seen.admitted
                lacking.look(seen.duplicates)
                read_ += len(batch.records)
            if admitted and "fresh" not in bound.facts:  # a fresh run reads in the order of its offsets
                with read() as cur:
                    late += later_than_records(cur, RunId(row.run_id), order.log.source, admitted)
        outcomes = {_OUTCOMES[decision]: n for decision, n in sorted(counts.items())}
        lines = [*_told(row, bound, counts, read_), *(f"{gone.said(found)}." for found in below.values())]
        if "fresh" not in bound.facts:
            lines += late_words(late, loaded.contract, bound.asked)
            lines += lacking.lines()
        if ahead.seen is not None:
            lines.append(_opening(ahead.seen, loaded, lacking.foreseen()))
        return Prediction(outcomes, tuple(lines))

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """The contract, the incarnations, and whether a fresh run is still called for."""
        plan, facts = step.plan, step.binds["facts"]
        lines = []
        loaded = compiled_contract(_version(cur, plan.stream_id, step.binds["asked"]["contract"]))
        if loaded.digest.hex() != facts["contract"]:
            lines.append(f"contract {loaded.version} has another digest")
        if "fresh" not in facts and lacks_consent(loaded.contract, step.binds["asked"]):
            lines.append("the projection keeps the order of each key now, and nobody has consented")
        for row in cur.execute(sql.retired, {"plan": plan.id}).fetchall():
            lines.append(f"{row.topic}/{row.partition} is retired: {row.why}")
        if "fresh" in facts and (open_ := _open_verdict(WindowId(plan.win))):
            lines.append(f"{open_} stands, and its gate is open")
        if cur.execute(sql.opened, {"plan": plan.id}).fetchone() is None:
            lines += place_faults(cur, WindowId(plan.win), whole="fresh" in facts)
            name = _fresh_name(cur, window_row(cur, WindowId(plan.win))) if "fresh" in facts else None
            if name is not None and name != facts["fresh"]:
                lines.append(f"the run would be named {name}, not {facts['fresh']}")
        return lines

    def prepare(self, plan: Any, most: int) -> Any:
        """What follows of the first range that is not read to its end; before the first step, what Kafka says, too."""
        with read() as cur:
            rerun = rerun_of(cur, plan.id)
            loaded = compiled_contract(_version(cur, plan.stream_id, plan.binds["asked"]["contract"]))
            source = _next(rerun)
            if rerun is not None and source is None:
                return None
            log = _log(cur, source.origin if source is not None and source.origin else _first(plan))
        at = log.start + (source.next_offset if source is not None else 0)
        captured = look.capture(loaded.contract) if rerun is None else None
        failpoint("replay.after_capture")
        return captured, _next_batch(plan, log, at, most)

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan = step.plan
        captured, batch = step.prepared or (None, None)
        rerun = rerun_of(cur, plan.id) or self._open(cur, step, captured)
        failpoint("replay.after_rerun")
        source = _next(rerun)
        if source is None or source.origin is None:
            return _done(cur, rerun, step.items)
        log = _log(cur, source.origin)
        if batch is None or batch.start != log.start + source.next_offset:
            return ()  # somebody else read it meanwhile: the next step begins where that ended
        batch = next_batch(batch, log.end, step.most, batch.size + 1)[0] if batch.records else batch
        if admission.is_gone(batch):
            _check_received(cur, plan, source.origin, batch)
        if batch.end > batch.start:
            read_again = admission.replay(cur, _order(cur, plan, rerun, source, log), batch)
            failpoint("replay.after_batch")
            if rerun.rerun is not None:
                mending.mend(cur, _mend_order(window_row(cur, plan.win), source.id), read_again.duplicates)
        again = rerun_of(cur, plan.id)
        assert again is not None
        return _done(cur, again, step.items)

    def _open(self, cur: Cursor, step: Step, captured: look.Capture | None) -> Rerun:
        plan = step.plan
        loaded = compiled_contract(_version(cur, plan.stream_id, step.binds["asked"]["contract"]))
        origins = tuple(OriginRange(SourceId(x["source"]), x["from"], x["to"]) for x in step.binds["origin"])
        order = RerunOrder(
            WindowId(plan.win), loaded, plan.id, str(self.kind), bytes(plan.digest), plan.requested_by,
            plan.approved_by, plan.reason, origins, step.binds["facts"].get("fresh"), consented(step.binds),
        )  # fmt: skip
        return open_rerun(cur, order, captured or look.Capture(why="nobody asked Kafka"))

    def rests(self, cur: Cursor, plan: Any) -> bool:
        return int(fetch_one(cur.execute(sql.queued, {"plan": plan.id})).events) > MOST_QUEUED

    def tally(self, cur: Cursor, plan: Any) -> Mapping[str, int]:
        row = fetch_one(cur.execute(sql.tally, {"plan": plan.id}))
        counts = {"ADMITTED": row.admitted, "DUPLICATE": row.duplicates, "QUARANTINED": row.quarantined}
        return {outcome: int(n) for outcome, n in counts.items() if n}

    def lately(self, cur: Cursor, plan: Any) -> int:
        return int(fetch_one(cur.execute(sql.tally, {"plan": plan.id})).lately)

    def ended(self, cur: Cursor, plan: Any, who: str) -> None:
        cut_rerun(cur, plan.id, who)
        _forget(plan.id)


# ---- what is asked for ----------------------------------------------------------------------------------------------


def _contract(cur: Cursor, row: Any, mode: str, asked: Any) -> CompiledContract:
    if asked is not None:
        loaded = compiled_contract(_version(cur, row.stream_id, int(asked)))
    elif mode == PROVE:
        loaded = compiled_contract(row.contract_id)
    else:
        loaded = newest_contract(row.stream)
    own = compiled_contract(row.contract_id)
    if mode == PROVE and not extends_identities(own.contract, loaded.contract):
        raise PlanRefused(
            expected=f"a contract that names events as {row.stream}/{row.run_name} does",
            found=f"version {loaded.version}: another class, run or id rule",
            next_step="ask for a fresh run",
        )
    if own.contract.inbox.kafka.topic != loaded.contract.inbox.kafka.topic:
        raise PlanRefused(expected=f"inbox {own.contract.inbox.kafka.topic}", found=loaded.contract.inbox.kafka.topic)
    return loaded


def _version(cur: Cursor, stream: StreamId, version: int) -> int:
    found = cur.execute(sql.version, {"stream": stream, "version": version}).fetchone()
    if found is None:
        raise PlanRefused(expected="a version of the stream's contract", found=str(version))
    return int(found.id)


def _fresh_name(cur: Cursor, row: Any) -> str:
    names = {
        found.name for found in cur.execute(sql.named_alike, {"stream": row.stream_id, "like": row.run_name}).fetchall()
    }
    return next(name for n in range(1, len(names) + 2) if (name := f"{row.run_name}.r{n}") not in names)


def _ranges(asked: Mapping[str, Any], rows: Mapping[str, Any]) -> dict[str, tuple[int, int]]:
    """Both ends of every range are said, or that all of the window is meant; nothing stands for "all" by itself."""
    wanted = asked.get("ranges") or []
    if bool(wanted) == bool(asked.get("whole")):
        raise PlanRefused(expected="ranges with both ends, or whole = true", found="both or neither")
    if asked.get("whole"):
        return {label: (row.start_offset, row.end_offset) for label, row in rows.items() if _holds(row)}
    ranges: dict[str, tuple[int, int]] = {}
    for each in wanted:
        label, start, end = str(each["source"]), int(each["from"]), int(each["to"])
        row = rows.get(label)
        if row is None or label in ranges:
            raise PlanRefused(expected=f"one of {', '.join(sorted(rows))}, once", found=label[:100])
        if not row.start_offset <= start < end <= row.end_offset:
            whole = f"[{row.start_offset:,}, {row.end_offset:,})"
            raise PlanRefused(expected=f"a part of {whole} of {label}", found=f"[{start:,}, {end:,})")
        ranges[label] = (start, end)
    return dict(sorted(ranges.items()))


def _holds(row: Any) -> bool:
    return bool(row.end_offset > row.start_offset)


def _check_whole(ranges: Mapping[str, tuple[int, int]], rows: Mapping[str, Any]) -> None:
    whole = {label: (row.start_offset, row.end_offset) for label, row in rows.items() if _holds(row)}
    if dict(ranges) != whole:
        raise PlanRefused(expected="all of the window, whose place is taken", found="a part of it")


def _check_shut(win: WindowId) -> None:
    """In no moment are both open: a window that may be read keeps its place."""
    if verdict := _open_verdict(win):
        raise PlanRefused(expected="a window that cannot be read", found=f"{verdict} stands, and its gate is open")


def _open_verdict(win: WindowId) -> str | None:
    """The verdict by which the window may be read now; None: it may not."""
    standing = gate.standing_of([win]).get(win)
    return standing.decision.verdict if standing is not None and standing.decision.granted else None


def _check_there(win: WindowId, ranges: Mapping[str, tuple[int, int]], mode: str) -> None:
    """Raises PlanRefused for what the inbox does not have any more, and BrokerError where nobody says.

    A replay that proves passes over what lies below a log's start, where something stands in for all of it.
    """
    if not ranges:
        raise PlanRefused(expected="records to read again", found="the window has none")
    below = []
    for source, anchor in _anchors(win, ranges):
        wanted = ranges[anchor.source.label]
        if anchor.reach is Reach.UNMEASURED:
            raise BrokerError(expected=f"the log of {anchor.source.label}", found="; ".join(anchor.why))
        if anchor.first is not None and wanted[0] >= anchor.first:
            continue
        found = _gone(win, source, anchor, wanted) if mode == PROVE and anchor.by_start else None
        if found is None or not found.stands_in:
            raise _not_there(anchor, wanted, found)
        below.append(found)
    if below and sum(found.offsets for found in below) == sum(end - start for start, end in ranges.values()):
        raise PlanRefused(expected="records to read again", found="; ".join(map(gone.said, below)))
    _check_believed(win, below)


def _not_there(anchor: anchors.Anchor, wanted: tuple[int, int], found: gone.GoneRange | None) -> PlanRefused:
    there = "nothing of it" if anchor.first is None else f"its log begins at {anchor.first:,}"
    told = [gone.said(found)] if found is not None else []
    return PlanRefused(
        expected=f"[{wanted[0]:,}, {wanted[1]:,}) of {anchor.source.label}",
        found="; ".join([there, *anchor.why, *told]),
        next_step="ask for what is still there",
    )


def _check_believed(win: WindowId, below: Sequence[gone.GoneRange]) -> None:
    """Raises PlanRefused where no receipt of the window stands in for anything."""
    with read() as cur:
        why = stand_in.refusal(cur, win, sum(found.empty for found in below)) if below else ""
    if why:
        raise PlanRefused(
            expected="receipts that stand in for what is gone", found=why, next_step="ask for what is still there"
        )


def _anchors(win: WindowId, ranges: Mapping[str, tuple[int, int]]) -> list[tuple[SourceId, anchors.Anchor]]:
    """Of the inbox sources that are asked for, each with its number."""
    account = anchors.processed(win)
    found = zip(account.accounts, anchors.replay(account).sources, strict=True)
    return [
        (SourceId(mine.source_id), each.anchor)
        for mine, each in found
        if mine.role == "inbox" and each.anchor.source.label in ranges
    ]


def _gone(win: WindowId, source: SourceId, anchor: anchors.Anchor, wanted: tuple[int, int]) -> gone.GoneRange | None:
    """What of a range that is asked for lies below its log's start; None where nothing does."""
    upto = min(anchor.gone_to or 0, wanted[1])
    if upto <= wanted[0] or not anchor.by_start:
        return None
    with read() as cur:
        return stand_in.gone_range(cur, win, anchor.source.label, source, wanted, upto)


# ---- reading and admitting ------------------------------------------------------------------------------------------


def _first(plan: Any) -> OriginRange:
    first = plan.binds["origin"][0]
    return OriginRange(SourceId(first["source"]), first["from"], first["to"])


def _next(rerun: Rerun | None) -> PlanSource | None:
    """The first source that is not read to its end."""
    sources = rerun.sources if rerun is not None else ()
    return next((x for x in sources if x.origin and x.next_offset < x.origin.end - x.origin.start), None)


def _log(cur: Cursor, origin: OriginRange) -> OriginLog:
    return admission.origin_log(cur, origin.source, origin.start, origin.end)


def _done(cur: Cursor, rerun: Rerun, items: Sequence[Item]) -> list[ItemOutcome]:
    """Ranges that are read to their ends now, and have no outcome yet; each says what was written again by it."""
    ended = {
        index: x.id
        for index, x in enumerate(rerun.sources)
        if x.origin and x.next_offset >= x.origin.end - x.origin.start
    }
    done = {item.ordinal: ended[item.ordinal] for item in items if item.ordinal in ended}
    if not done:
        return []
    found = cur.execute(sql.mended, {"sources": list(done.values())}).fetchall()
    mended = {row.source_id: told_done(rerun.number, row.effects, row.alone) for row in found}
    return [ItemOutcome(ordinal, Outcome.DONE, mended.get(source)) for ordinal, source in done.items()]


def _mend_order(row: Any, source: SourceId) -> MendOrder:
    """What went missing of a window is written again under the window's own contract."""
    return MendOrder(RunId(row.run_id), WindowId(row.id), compiled_contract(row.contract_id), source)


def _order(cur: Cursor, plan: Any, rerun: Rerun, source: PlanSource, log: OriginLog) -> ReplayOrder:
    loaded = compiled_contract(rerun.binding.contract)
    place = None
    if rerun.rerun is None:
        place = admission.place_of(cur, plan.win, compiled_contract(window_row(cur, plan.win).contract_id))
    return ReplayOrder(plan.id, source.id, rerun.stream, rerun.binding, loaded, log, place)


def _foreseen_order(cur: Cursor, row: Any, bound: Bindings, loaded: CompiledContract, origin: Origin) -> ReplayOrder:
    fresh = bound.facts.get("fresh")
    name = fresh or row.run_name  # under a new name the run knows none of them
    binding = Binding(SourceId(0), 0, None, WindowId(row.id), RunId(row.run_id), name, loaded.id)
    log = _log(cur, OriginRange(SourceId(origin.source), origin.start, origin.end))
    place = admission.place_of(cur, WindowId(row.id), compiled_contract(row.contract_id)) if fresh else None
    return ReplayOrder(0, SourceId(0), bound.stream, binding, loaded, log, place)


class _LookAhead(NamedTuple):
    """What is gone, by source, and what is known of the window that the rerun might open. Of a fresh run neither is."""

    below: Mapping[SourceId, gone.GoneRange]
    seen: CoverReading | None


def _looked_ahead(bound: Bindings) -> _LookAhead:
    return _LookAhead({}, None) if "fresh" in bound.facts else _LookAhead(_below(bound), _seen(bound))


def _seen(bound: Bindings) -> CoverReading:
    assert bound.win is not None
    return foresee_cover(bound.win, [(origin.source, origin.start, origin.end) for origin in bound.origin])


class _MissingAhead:
    """What is missing of the window that is read again, and would be written again; of a fresh run nothing is said."""

    def __init__(self, row: Any, bound: Bindings) -> None:
        self._number: int = row.number
        self._order = None if "fresh" in bound.facts else _mend_order(row, SourceId(0))
        self._seen: set[bytes] = set()
        self._found = Lacking()

    def look(self, identities: Sequence[bytes]) -> None:
        """Events to which records of a batch refer: each counts once."""
        new = [identity for identity in identities if identity not in self._seen]
        if self._order is None or not new:
            return
        self._seen.update(new)
        with read() as cur:
            found = mending.look(cur, self._order, new)
        self._found.why = found.why
        self._found.events += [replace(event, payload=b"") for event in found.events]
        self._found.refused += found.refused
        self._found.tables += found.tables

    def lines(self) -> list[str]:
        found = self._found
        effects, rows = found.count(MissingPart.EFFECT), found.count(MissingPart.ROWS)
        again = [] if found.why else told(self._number, effects, rows)
        return [*again, *told_refused(self._number, found.why, effects, rows, found.refused)]

    def foreseen(self) -> MendedAhead:
        found = self._found
        return MendedAhead() if found.why else MendedAhead(found.count(MissingPart.EFFECT), found.tables)


def _below(bound: Bindings) -> dict[SourceId, gone.GoneRange]:
    """What is gone of the ranges, by source."""
    assert bound.win is not None
    ranges = {each["source"]: (each["from"], each["to"]) for each in bound.asked["ranges"]}
    found = {
        source: _gone(bound.win, source, anchor, ranges[anchor.source.label])
        for source, anchor in _anchors(bound.win, ranges)
    }
    return {source: below for source, below in found.items() if below is not None}


def _batches(log: OriginLog, first: int, most: int) -> Any:
    """Batches of a log for a look ahead, from `first` on; nothing is kept of them."""
    reader = OriginReader(log, first, look.admin())
    try:
        while most > 0 and reader.at < log.end:
            batch = reader.batch(min(most, ReplayPlan.batch))
            if batch.end == batch.start:
                raise BrokerError(expected=f"records of {log.topic}/{log.partition} at {batch.start:,}", found="none")
            most -= max(1, len(batch.records))
            yield batch
    finally:
        reader.close()


def _next_batch(plan: Any, log: OriginLog, at: int, most: int) -> OffsetRange:
    """What follows of a log; where that is gone since, by its start, that it is. A fresh run passes over nothing."""
    try:
        return _reader(plan.id, log, at).batch(most)
    except OffsetOutOfRange:
        _forget(plan.id)
        hole = admission.gone_from(log, at, look.admin()) if "fresh" not in plan.binds["facts"] else None
        if hole is None:
            raise
        return hole


def _check_received(cur: Cursor, plan: Any, origin: OriginRange, batch: OffsetRange) -> None:
    """Raises UnreceivedOffset for what was never received, and PlanRefused where no receipt of the window stands in."""
    win, span = WindowId(plan.win), (batch.start, batch.end)
    label = look.source_label(fetch_one(cur.execute(sql.source, {"source": origin.source})))
    part = stand_in.gone_range(cur, win, label, origin.source, span, batch.end)
    if not part.stands_in:
        raise UnreceivedOffset(
            expected=f"a receipt for each of [{batch.start:,}, {batch.end:,}) of {label}",
            found=gone.said(part),
            next_step="cancel the plan, and ask for what is still there",
        )
    why = stand_in.refusal(cur, win, part.empty)
    if why:
        raise PlanRefused(
            expected="receipts that stand in for what is gone", found=why, next_step="cancel the plan: it cannot go on"
        )


#: The reader of the plan that this process ran last, where it stands.
_readers: dict[int, OriginReader] = {}


def _reader(plan: int, log: OriginLog, at: int) -> OriginReader:
    known = _readers.get(plan)
    if known is not None and known.log == log and known.at == at:
        return known
    for other in list(_readers):
        _forget(other)
    _readers[plan] = OriginReader(log, at, look.admin())
    return _readers[plan]


def _forget(plan: int) -> None:
    reader = _readers.pop(plan, None)
    if reader is not None:
        reader.close()


# ---- words ----------------------------------------------------------------------------------------------------------


def _told(row: Any, bound: Bindings, counts: Mapping[Decision, int], seen: int) -> list[str]:
    total = sum(origin.end - origin.start for origin in bound.origin)
    admitted, known, aside = (counts.get(decision, 0) for decision in Decision)
    sums = f"{admitted:,} would be admitted, {known:,} are known already, {aside:,} set aside"
    lines = [f"Of {seen:,} records in {total:,} offsets: {sums}."]
    if seen >= MOST_FORESEEN:
        lines.append(f"That is a sample: the first {MOST_FORESEEN:,} records.")
    fresh = bound.facts.get("fresh")
    if fresh:
        lines.append(f"{row.stream}/{fresh} would take the place of window {row.number}, which stays shut.")
    else:
        lines.append(f"What is admitted is read with the PASS of a rerun of window {row.number}.")
    return lines


def _opening(seen: CoverReading, loaded: CompiledContract, mended: MendedAhead) -> str:
    """Whether the rerun would open its window, too, as far as that can be told before it has run."""
    number = seen.facts.number
    lacks = foreseen(seen.facts, loaded.digest.hex(), seen.at, mended)
    if lacks:
        return f"It would not open window {number}: {'; '.join(lacks)}."
    return f"Its PASS would open window {number}, too, if nothing is missing then."
