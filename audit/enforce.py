"""The gate at work: re-checks what open gates stand on, shuts them, and answers who may read. No PASS, no read."""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

import psycopg

from audit import capture as look
from audit import gate
from audit.core import completeness
from audit.core import facts as f
from audit.core import gate as core
from audit.core import phrases as w
from audit.core.gate import Code, GateDecision
from audit.core.snapshot import read_basis
from audit.measure import lanes_of
from ingest.core.errors import PassgateError
from ingest.core.ids import StreamId, WindowId
from ingest.db import ConstraintViolated, DatabaseGone, fetch_one, prepared, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Partition, Start
from ingest.streams import compiled_contract

__all__ = ["Code", "GateCheck", "GateDecision", "decide_gate", "enforce_due"]

log = logging.getLogger(__name__)
sql = statements("audit", "enforce")


@dataclass(frozen=True)
class GateCheck:
    """What became of one open gate: "extended", "shut" or "unmeasured", and why."""

    win: WindowId
    outcome: str
    why: str = ""


# ---- re-checking ----------------------------------------------------------------------------------------------------


def enforce_due() -> list[GateCheck]:
    """Re-checks gates whose `recheck` is over, or that are contradicted. Kafka and the database are asked once for all
    of them; only what has to be shut is done one by one.

    What shut since, by whomever, and leases that ran out come first: readers that began before are ended.
    """
    with read() as cur:
        rows = cur.execute(sql.gates).fetchall()
    return _enforce(_by_contract([row for row in rows if _is_due(row)]))


def _is_due(row: Any) -> bool:
    """By the shortest of its own re-check time and its contexts', whose leases bound its own.

    Checked at a time to come: the database's clock has stepped back since, and the lease does not hold.
    """
    recheck = min(map(_recheck, [row.contract_id, *row.contracts]))
    return bool(row.contradictions or row.lapsed) or not timedelta(0) <= row.age < recheck


Contracted = tuple[int, int, bool]
"""A stream, the contract of some of its windows (another version may name other topics), and whether a plan ended the
re-checks of their inbox."""


def _by_contract(rows: Iterable[Any]) -> dict[Contracted, list[Any]]:
    due: dict[Contracted, list[Any]] = defaultdict(list)
    for row in rows:
        due[_key(row)].append(row)
    return due


def _key(row: Any) -> Contracted:
    return row.stream_id, row.contract_id, row.ended


def _enforce(due: Mapping[Contracted, list[Any]]) -> list[GateCheck]:
    """`due`: gates by their stream and contract."""
    gate.end_readers()
    failpoint("enforce.after_readers")
    found = []
    for looked in _rounds(due):
        found += _enforced(looked)
        failpoint("enforce.after_round")
    return found


@lru_cache(maxsize=4096)
def _recheck(contract_id: int) -> timedelta:
    return compiled_contract(contract_id).contract.gate.recheck


@dataclass
class _Round:
    """Streams that are looked at together: one consumer probes all their partitions, each at one place."""

    gates: dict[Contracted, list[Any]] = field(default_factory=dict)
    starts: dict[Partition, Start] = field(default_factory=dict)

    def admits(self, starts: Sequence[Start]) -> bool:
        return all(self.starts.get(_place(start), start) == start for start in starts)

    def add(self, stream: Contracted, gates: list[Any], starts: Sequence[Start]) -> None:
        self.gates[stream] = gates
        self.starts |= {_place(start): start for start in starts}

    @property
    def full(self) -> bool:
        return len(self.gates) >= ROUND_STREAMS or sum(map(len, self.gates.values())) >= ROUND_GATES


ROUND_STREAMS, ROUND_GATES = 200, 2_000


def _place(start: Start) -> Partition:
    return Partition(start.topic, start.partition)


def _rounds(due: Mapping[Contracted, list[Any]]) -> list[_Round]:
    """Positions are the sources', whatever the window: those of a contract's newest window are probed. Of the bus those
    of the newest that a gate stands on: a rerun proves a window on the bus of now."""
    newest = {key: _newest(gates) for key, gates in due.items()}
    proven = {key: max(newest[key], *(row.judged for row in gates)) for key, gates in due.items()}
    standing = lanes_of([*newest.values(), *proven.values()])
    rounds: list[_Round] = []
    for stream, gates in due.items():
        starts = standing[newest[stream]]
        if stream[2] or proven[stream] != newest[stream]:
            bus = compiled_contract(stream[1]).contract.bus.topic
            inbox = [] if stream[2] else [start for start in starts if start.topic != bus]
            starts = [*inbox, *(start for start in standing[proven[stream]] if start.topic == bus)]
        into = next((known for known in rounds if not known.full and known.admits(starts)), None)
        if into is None:
            into = _Round()
            rounds.append(into)
        into.add(stream, gates, starts)
    return rounds


def _newest(gates: Sequence[Any]) -> WindowId:
    """One that lanes filled, if there is one: it has the inbox's partitions, where a plan's has the bus's alone."""
    return WindowId(next((row for row in reversed(gates) if not row.by_plan), gates[-1]).win)


def _enforced(looked: _Round) -> list[GateCheck]:
    """One stream's trouble extends none of its gates, and leaves the others' alone."""
    captured = _asked(looked)
    failpoint("enforce.after_capture")
    rows = [row for gates in looked.gates.values() for row in gates]
    bases, ranges = _standing(rows)
    checks: dict[WindowId, GateCheck] = {}
    for depth in sorted({row.depth for row in rows}):  # a context's lease is extended before what was built on it
        some = [row for row in rows if row.depth == depth]
        contexts = _contexts([row.win for row in some]) if depth else {}
        seen = {
            row.win: _seen(
                row,
                captured[_key(row)],
                bases.get(row.win),
                ranges[row.win],
                contexts.get(row.win, []),
            )
            for row in some
        }
        checks |= _follow(some, seen, captured)
        failpoint("enforce.after_depth")
    failpoint("enforce.after_depths")
    gate.end_readers()
    failpoint("enforce.after_ending")
    answers = [checks[row.win] for row in rows]
    _write_down(rows, answers)
    return answers


def _asked(looked: _Round) -> dict[Contracted, look.Capture]:
    """What Kafka says of the topics that these gates are re-checked by."""
    contracts = {key: compiled_contract(key[1]).contract for key in looked.gates}
    return look.logs(contracts, looked.starts.values(), bus_only={key for key in contracts if key[2]})


def seen_now(wins: Sequence[WindowId]) -> dict[WindowId, GateCheck]:
    """What a re-check of these gates would find now, those among them that were not shut. Nothing is written."""
    with read() as cur:
        rows = [row for row in cur.execute(sql.gates).fetchall() if row.win in set(wins)]
    return {check.win: check for looked in _rounds(_by_contract(rows)) for check in _seen_of(looked)}


def _seen_of(looked: _Round) -> Iterator[GateCheck]:
    captured = _asked(looked)
    rows = [row for gates in looked.gates.values() for row in gates]
    bases, ranges = _standing(rows)
    contexts = _contexts([row.win for row in rows])
    for row in rows:
        yield _seen(row, captured[_key(row)], bases.get(row.win), ranges[row.win], contexts.get(row.win, []))


def _follow(
    rows: Sequence[Any], seen: dict[WindowId, GateCheck], captured: Mapping[Contracted, look.Capture]
) -> dict[WindowId, GateCheck]:
    """What was seen becomes so: gates are shut, and the others' leases extended."""
    for row in rows:
        if seen[row.win].outcome == "shut":
            seen[row.win] = _shut(row, seen[row.win].why)
            failpoint("enforce.after_shutting")
    failpoint("enforce.after_shuts")
    holding = [row for row in rows if seen[row.win].outcome == "extended"]
    overtaken = {row.win for row in holding} - _extend(holding, captured)
    return seen | {win: GateCheck(win, "unmeasured", OVERTAKEN) for win in overtaken}


OVERTAKEN = "what was seen is too old, or a verdict, a contradiction or a context's end came in between"


def _contexts(wins: list[WindowId]) -> dict[WindowId, list[tuple[core.Context, datetime]]]:
    """What these windows were joined with, and the database's time at the look."""
    found: dict[WindowId, list[tuple[core.Context, datetime]]] = defaultdict(list)
    with read() as cur:
        for row in cur.execute(sql.contexts, {"wins": wins}).fetchall():
            context = core.Context(row.verdict, row.fallen, row.checked_at, row.open_until)
            found[row.win].append((context, row.now))
    return found


def _standing(rows: Sequence[Any]) -> tuple[dict[WindowId, f.Basis | None], dict[WindowId, list[core.Range]]]:
    """What the gates' windows were judged against, and their ranges: of the bus, where re-checks of the inbox ended.
    A window that a rerun proves on another bus than its own is held against that one, and no more against its own."""
    wins, ended = sorted({win for row in rows for win in (row.win, row.judged)}), {row.win for row in rows if row.ended}
    generations: dict[WindowId, list[tuple[int, Any]]] = defaultdict(list)
    ranges: dict[tuple[WindowId, str], list[core.Range]] = defaultdict(list)
    with read() as cur:
        for row in cur.execute(sql.bases, {"wins": wins}).fetchall():
            generations[row.win].append((row.generation, row.facts))
        for row in cur.execute(sql.ranges, {"wins": wins}).fetchall():
            ranges[row.win, row.role].append(_range(row))
    bases = {win: read_basis(found, frozenset()) for win, found in generations.items()}
    held = {row.win: _held_to(row, bases) for row in rows}
    found = {win: core.of_the_bus(basis) if basis and win in ended else basis for win, (basis, _) in held.items()}
    inbox = {win: [] if win in ended else ranges[win, "inbox"] for win in held}
    return found, {win: [*inbox[win], *ranges[of, "bus"]] for win, (_, of) in held.items()}


def _held_to(row: Any, bases: Mapping[WindowId, f.Basis | None]) -> tuple[f.Basis | None, WindowId]:
    """A gate's basis, and the window whose ranges of the bus are its."""
    own, proven = bases.get(row.win), bases.get(row.judged)
    if own is None or proven is None or not core.on_another_bus(own, proven):
        return own, row.win
    return core.with_bus_of(own, proven), row.judged


def _range(row: Any) -> core.Range:
    return core.Range(look.source_label(row), row.topic, row.partition, row.start_offset, row.end_offset, row.kept_to)


def _seen(
    row: Any,
    captured: look.Capture,
    basis: f.Basis | None,
    ranges: Sequence[core.Range],
    contexts: Sequence[tuple[core.Context, datetime]],
) -> GateCheck:
    """Decides on what was asked of Kafka and read of the ledger whether a gate is extended or shut. Writes nothing."""
    fallen = core.fallen([context for context, _ in contexts])
    if fallen:  # whatever Kafka says
        return GateCheck(row.win, "shut", w.listed(fallen))
    if row.lapsed:  # and the verdict stays what it is
        return GateCheck(row.win, "shut", row.lapsed)
    if captured.broker is None:
        return GateCheck(row.win, "unmeasured", captured.why)
    if basis is None:
        return GateCheck(row.win, "unmeasured", "the basis has a shape this version does not know")
    broker = captured.broker.value
    objections = core.objections(basis, broker, ranges, row.contradictions)
    if objections:
        return GateCheck(row.win, "shut", w.listed(objections))
    silent = core.unanswered(broker, ranges)
    if silent:
        return GateCheck(row.win, "unmeasured", w.sources(silent))
    unsure = [said for context, now in contexts for said in core.unsure([context], now)]
    if unsure:
        return GateCheck(row.win, "unmeasured", w.listed(unsure))
    lost = core.lost_anchors(broker, ranges)
    return GateCheck(row.win, "extended", f"REPLAY_ANCHOR_LOST {w.sources(lost)}" if lost else "")


def _extend(rows: Sequence[Any], captured: Mapping[Contracted, look.Capture]) -> set[int]:
    """The windows whose gates stay open: none where a verdict or a contradiction came in this very moment, and none by
    what was seen longer ago than a re-check may take. All at once; where the database refuses one of them, each half of
    the streams for itself, so that one stream's refusal ends no other's lease."""
    looks = [captured[_key(row)].broker for row in rows]
    values = {
        "wins": [row.win for row in rows],
        "verdicts": [row.verdict_id for row in rows],
        "measured": [seen.measured_at for seen in looks if seen is not None],
        "leases": [gate.lease(compiled_contract(row.contract_id).contract) for row in rows],
        "rechecks": [_recheck(row.contract_id) for row in rows],
    }
    if not rows:
        return set()
    try:
        return retry_transaction(lambda: _extended(values))
    except ConstraintViolated as refused:
        some, others = _halves(rows)
        if others:
            return _extend(some, captured) | _extend(others, captured)
        log.warning("gates of %s not extended, the next look tries again: %s", rows[0].stream, refused)
        return set()


def _halves(rows: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """Gates of one half of the streams, and of the other, which is empty where there is one stream."""
    streams = sorted({row.stream_id for row in rows})
    half = set(streams[: (len(streams) + 1) // 2])
    return [row for row in rows if row.stream_id in half], [row for row in rows if row.stream_id not in half]


def _extended(values: Mapping[str, Any]) -> set[int]:
    with write() as cur:
        return {row.win for row in cur.execute(sql.extend, values).fetchall()}


def _write_down(rows: Sequence[Any], found: Sequence[GateCheck]) -> None:
    """Notes on each stream's row when its gates were re-checked and with what outcome: System shows it."""
    outcomes: dict[StreamId, set[str]] = defaultdict(set)
    for row, answer in zip(rows, found, strict=True):
        outcomes[row.stream_id].add(f"{answer.outcome}: {answer.why}" if answer.why else answer.outcome)
    values = {"streams": list(outcomes), "outcomes": [w.listed(sorted(said)) for said in outcomes.values()]}
    retry_transaction(lambda: _write_looks(values))


def _write_looks(values: dict[str, Any]) -> None:
    with write() as cur:
        cur.execute(sql.looked, values)


def _shut(row: Any, why: str) -> GateCheck:
    """Shuts for good. Who reads is ended after the commit, and the act's row is written then (gate.end_readers)."""
    try:
        retry_transaction(lambda: _write_shut(row.win, why))
    except DatabaseGone:
        raise
    except PassgateError as error:  # one gate's trouble is not another's
        log.warning("gate of window %s not shut: %s", row.win, error)
        return GateCheck(row.win, "unmeasured", str(error))
    return GateCheck(row.win, "shut", why)


def _write_shut(win: WindowId, why: str) -> None:
    with write() as cur:
        cur.execute(sql.shut, {"win": win, "why": why})


# ---- answering ------------------------------------------------------------------------------------------------------


def decide_gate(
    stream: str, run_name: str, window: int | None = None, who: str = "", rerun: int | None = None
) -> GateDecision:
    """May `who` read this run (or this window of it, or what this rerun of the window brought)? Logged, granted or not;
    what cannot be logged is a 503.

    Whoever asks may be stopped between any two steps. A yes is written down only while its gates are still open, and is
    given only within the lease that it was said of: else it is looked at again.
    """
    try:
        for _ in range(LOOKS):
            asked = time.monotonic()
            decision, now = _decide(stream, run_name, window, rerun)
            failpoint("decide.after_looking")
            logged = _log(decision, (stream, run_name, window, rerun), who)
            if logged and not _is_over(decision, now, time.monotonic() - asked):
                return decision
        log.warning("gate %s/%s not answered: it changed at each of %s looks", stream, run_name, LOOKS)
    except (PassgateError, psycopg.Error) as error:
        log.warning("gate %s/%s not answered: %s", stream, run_name, error)
    return core.refuse(Code.UNAVAILABLE, "the gate cannot evaluate or log this now")


LOOKS = 3

#: What the log calls a yes about a span of time: `run` says the span then, and `verdict` is its last window's.
SPAN = "open_span"
#: Windows that one question about a span of time may reach over: a year of hours.
MOST_SPANNED = 10_000
#: The most that clock_skew may be: a window cut as much earlier may hold what was appended later.
MOST_SKEW = timedelta(hours=1)


@dataclass(frozen=True)
class SpanDecision:
    """The answer about a span of time: status and code as of a gate, and the windows it lies in if it may be read."""

    code: Code
    retry: bool
    detail: str
    windows: tuple[completeness.SpanWindow, ...] = ()
    open_until: datetime | None = None
    ended: tuple[f.RecheckEnd, ...] = ()

    @property
    def status(self) -> int:
        return core.STATUS[self.code]


def decide_span(stream: str, since: datetime, until: datetime, who: str = "") -> SpanDecision:
    """May `who` read everything that was appended in [since, until)? Only where consecutive windows hold all of it.

    Logged as every answer of a gate is; `since` and `until` are aware.
    """
    try:
        for _ in range(LOOKS):
            asked = time.monotonic()
            answer, now = _decide_span(stream, since, until)
            failpoint("decide.after_spanning")
            logged = _log_span(answer, stream, f"{since.isoformat()}..{until.isoformat()}", who)
            if logged and not _is_over(answer, now, time.monotonic() - asked):
                return answer
        log.warning("gate %s not answered for a span: it changed at each of %s looks", stream, LOOKS)
    except (PassgateError, psycopg.Error) as error:
        log.warning("gate %s not answered for a span: %s", stream, error)
    return SpanDecision(Code.UNAVAILABLE, True, "the gate cannot evaluate or log this now")


def _decide_span(stream: str, since: datetime, until: datetime) -> tuple[SpanDecision, datetime]:
    with read() as cur:
        values = {"stream": stream, "since": since - MOST_SKEW, "most": MOST_SPANNED}
        rows = cur.execute(sql.span, values).fetchall()
        known = rows or cur.execute(sql.stream, {"stream": stream}).fetchone()
    if not known:
        return SpanDecision(Code.NOT_FOUND, False, "there is no such stream"), look.now()
    now = rows[0].now if rows else look.now()
    spanned = completeness.span([_span_window(row) for row in rows], since, until)
    if spanned.why:
        code = Code.NOT_CLOSED if spanned.retry else Code.BLOCKED
        return SpanDecision(code, spanned.retry, spanned.why), now
    detail = f"{spanned.windows[0].name} to {spanned.windows[-1].name}"
    held = {window.win for window in spanned.windows}
    ended = core.ends(gate.recheck_end(row) for row in rows if row.id in held)
    return SpanDecision(Code.OPEN, False, detail, spanned.windows, spanned.open_until, ended), now


def _span_window(row: Any) -> completeness.SpanWindow:
    state = "is not judged yet" if row.state is None else f"is {row.state}"
    standing = row.shut_why or (f"{state}, and its gate is not open" if row.state == "PASS" else state)
    return completeness.SpanWindow(
        row.id,
        row.name,
        row.verdict,
        row.opened_at,
        row.cut_at,
        row.complete_until,
        row.complete_why or "",
        row.follows,
        bool(row.live),
        standing,
        row.open_until,
        compiled_contract(row.contract_id).contract.window.clock_skew,
    )


def _log_span(answer: SpanDecision, stream: str, span: str, who: str) -> bool:
    values = {
        "who": who[:200],
        "stream": stream[:200],
        "span": span[:200],
        "status": answer.status,
        "code": SPAN if answer.windows else str(answer.code),
        "last": answer.windows[-1].verdict if answer.windows else None,
        "wins": [window.win for window in answer.windows],
    }
    with read() as cur:  # one statement is its own transaction
        return prepared(cur, sql.log_span, values).fetchone() is not None


def _is_over(decision: GateDecision | SpanDecision, now: datetime, seconds: float) -> bool:
    """Whether the lease that a yes was said of, at the database's `now`, has run out `seconds` later."""
    return decision.open_until is not None and decision.open_until - now <= timedelta(seconds=seconds)


def _decide(stream: str, run_name: str, window: int | None, rerun: int | None) -> tuple[GateDecision, datetime]:
    """The answer, and the database's time of it."""
    with read() as cur:
        values = {"stream": stream, "run_name": run_name, "window": window, "rerun": rerun}
        rows = prepared(cur, sql.run_gates, values).fetchall()
    windows = [gate.window_gate(row) for row in rows]
    closed = window is not None or all(row.run_state == "CLOSED" for row in rows)
    now = rows[0].now if rows else look.now()
    decision = core.decide(windows, closed, now)
    if len(rows) > 1 and decision.verdict is not None:
        decision = core.decide(_with_body(rows, windows, decision.verdict), closed, now)
    return decision, now


def _with_body(rows: Sequence[Any], windows: Sequence[core.WindowGate], verdict: str) -> list[core.WindowGate]:
    """The windows, the one that this verdict is of with what the verdict says."""
    of = next(row for row in rows if verdict in (row.verdict, row.proof))
    number = of.verdict_id if of.verdict == verdict else of.proof_id
    with read() as cur:
        body = fetch_one(prepared(cur, sql.body, {"verdict": number})).body
    return [_saying(window, verdict, body) for window in windows]


def _saying(window: core.WindowGate, verdict: str, body: Mapping[str, Any]) -> core.WindowGate:
    if window.proof is not None and window.proof.verdict == verdict:
        return replace(window, proof=replace(window.proof, body=body))
    return replace(window, body=body) if window.verdict == verdict else window


def _log(decision: GateDecision, asked: tuple[str, str, int | None, int | None], who: str) -> bool:
    """False: nothing was written, for a gate that the answer says is open is not any more."""
    stream, run_name, window, rerun = asked
    values = {
        "who": who[:200],
        "stream": stream[:200],
        "run_name": run_name[:200],
        "window": window,
        "rerun": rerun,
        "status": decision.status,
        "code": str(decision.code),
        "verdict": decision.verdict,
    }
    with read() as cur:  # one statement is its own transaction
        return prepared(cur, sql.log_decision, values).fetchone() is not None
