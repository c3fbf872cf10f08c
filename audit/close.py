"""Closes a window: reads the bus's end, proves gaps, measures, judges, and stores one numbered verdict.

A verdict is inserted together with `UPDATE run_window … WHERE revision = r`: of two closers one wins and the other is
refused, and nothing that changed between measuring and storing is overlooked (S12).
"""

from __future__ import annotations

import logging
import time
from bisect import bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any, ClassVar

from psycopg.types.json import Jsonb

from audit import capture as look
from audit import gaps, gate
from audit import rerun as reruns
from audit.complete import see_completeness
from audit.core import checks as c
from audit.core import facts as f
from audit.core import phrases as w
from audit.core import verdict as v
from audit.core.cover import covering, may_cover
from audit.core.diagnosis import Diagnosis, diagnose
from audit.cover import CoverReading, covered_by, see_cover
from audit.measure import Measurement, lanes, measure, renewed, window_row
from audit.now import checks_now
from audit.partitions import grown, notice_partitions
from audit.pins import pin_window
from ingest.auditlog import record_act
from ingest.core.contract import Contract
from ingest.core.errors import NotFound, PassgateError, RunError
from ingest.core.ids import SourceId, WindowId
from ingest.db import (
    ConstraintViolated,
    Cursor,
    DatabaseGone,
    beside,
    fetch_one,
    read,
    retry_transaction,
    statements,
    write,
)
from ingest.failpoints import failpoint
from ingest.streams import compiled_contract
from ingest.windows import raise_revisions

log = logging.getLogger(__name__)
sql = statements("audit", "close")

AUTO = "passgate"
FIRST_PAUSE, LONGEST_PAUSE = 4.0, 60.0


class NotCut(RunError):
    """Only a cut window is judged."""

    code: ClassVar[str] = "not_cut"
    what: ClassVar[str] = "the window is not cut"


class AnotherCloser(RunError):
    """Somebody else judged the window, or a fact changed, between measuring and storing: nothing was stored."""

    code: ClassVar[str] = "another_closer"
    what: ClassVar[str] = "the window moved on while it was judged"
    retry: ClassVar[bool] = True

    verdict: int | None = None
    """The number of the verdict that somebody else stored meanwhile; None: a fact changed."""


class FactsTooOld(RunError):
    """What was measured is older than the contract's sample_max_age by the time it would be stored: nothing was."""

    code: ClassVar[str] = "facts_too_old"
    what: ClassVar[str] = "the facts are too old to store a verdict on"
    retry: ClassVar[bool] = True


class PassStands(RunError):
    """After a PASS only a FAIL is stored: what may be otherwise in a moment never takes a PASS back."""

    code: ClassVar[str] = "pass_stands"
    what: ClassVar[str] = "the window has passed, and that stands"


class WindowFailed(RunError):
    """A FAIL cannot be cleared: only a rerun gets another verdict."""

    code: ClassVar[str] = "window_failed"
    what: ClassVar[str] = "the window has failed"


@dataclass(frozen=True)
class Judgement:
    """A verdict not stored yet, and the revision it was measured at."""

    win: WindowId
    verdict: v.Verdict
    measurement: Measurement
    seen: CoverReading | None = None
    """Of a rerun: what was measured of the window that it may cover."""

    @classmethod
    def of(cls, measurement: Measurement) -> Judgement:
        return cls(measurement.row.id, v.verdict(measurement.facts, measurement.at), measurement)

    @property
    def revision(self) -> int:
        return int(self.measurement.row.revision)

    @property
    def measured_at(self) -> datetime:
        """When Kafka was asked for what this rests on; a gate's lease counts from there."""
        broker = self.measurement.facts.broker
        return broker.measured_at if broker else self.measurement.at

    @property
    def covered(self) -> gate.CoveredWindow | None:
        """The window that this verdict opens beside its own, and since when what both rest on is known."""
        if self.seen is None or self.verdict.cover is None or not self.verdict.cover.whole:
            return None
        return gate.CoveredWindow(self.seen.win, min(self.seen.measured_at, self.measured_at))


@dataclass(frozen=True)
class StoredVerdict:
    """A stored verdict. `name` is `flights/2013-01#7`. `new`: False for a PASS that was judged again, and stands."""

    id: int
    name: str
    number: int
    verdict: v.Verdict
    digest: bytes
    sentence: str
    new: bool = True


def window_of(stream: str, run_name: str, window: int | None = None, rerun: int | None = None) -> WindowId:
    """The key of a window, or of a rerun of it; None: the run's newest window. Raises NotFound."""
    keys = {"stream": stream, "run_name": run_name, "window": window, "rerun": rerun}
    with read() as cur:
        row = cur.execute(sql.window_of, keys).fetchone()
    if row is None:
        name = f"{stream}/{run_name}" + (f" window {window}" if window is not None else "")
        name += f" rerun {rerun}" if rerun is not None else ""
        raise NotFound(expected=name, found="none")
    return WindowId(row.id)


# ---- verbs ----------------------------------------------------------------------------------------------------------


def close_run(
    stream: str,
    run_name: str,
    actor: str,
    window: int | None = None,
    wait: timedelta = timedelta(0),
    rerun: int | None = None,
) -> StoredVerdict:
    """Judges the run's newest window (or one of them, or a rerun of it) and stores the verdict, whatever it says.

    After a PASS only a FAIL is stored: a PASS again is the one that stands, anything else raises PassStands. `wait`:
    how long to let lanes work before judging. Raises NotFound, NotCut, WindowFailed, AnotherCloser, FactsTooOld.
    """
    win = window_of(stream, run_name, window, rerun)
    until = time.monotonic() + wait.total_seconds()
    while True:
        judged = judge(win)
        failpoint("close.after_judging")
        waiting = time.monotonic() < until
        if not (waiting and only_waiting(judged.verdict)):
            try:
                return store(judged, actor)
            except FactsTooOld:
                if not waiting:
                    raise
            except AnotherCloser as moved:
                # Lanes at work move the window on: that is what the wait is for. Somebody else's verdict stands.
                if not waiting or moved.verdict is not None:
                    raise
        time.sleep(0.25)


def judge(win: WindowId) -> Judgement:
    """Everything up to the verdict, with nothing stored but the bus's end and gaps' proofs."""
    contract, captured, refuted = _look(win)
    measurement = measure(win, captured, refuted)
    failpoint("close.after_reading")
    if measurement.ages():
        measurement = renewed(measurement, look.capture(contract, lanes(win)))
    failpoint("close.before_cover")
    return _with_cover(Judgement.of(measurement), contract)


def _with_cover(judged: Judgement, contract: Contract) -> Judgement:
    """A rerun that passes may prove all of its window. That is read after the rerun was judged, and takes its time."""
    if not may_cover(judged.verdict.window) or judged.verdict.state is not v.State.PASS:
        return judged
    with read() as cur:
        newest = cur.execute(sql.newest_verdict, {"win": judged.win}).fetchone()
    if newest is not None and newest.state == "PASS" and not v.passes_anew(newest.body, judged.verdict):
        return judged  # that one stands, whatever is read now
    _end_covered(judged.win)
    failpoint("cover.after_end")
    seen = see_cover(judged.win, judged.verdict, judged.measurement.facts)
    if seen is None:
        return judged
    failpoint("cover.after_reading")
    if judged.measurement.ages():
        judged = Judgement.of(renewed(judged.measurement, look.capture(contract, lanes(judged.win))))
    verdict = replace(judged.verdict, cover=covering(judged.verdict, seen.facts, seen.at))
    return replace(judged, verdict=verdict, seen=seen)


def _end_covered(rerun: WindowId) -> None:
    """A window that failed before all of it was settled has no end on the bus until somebody asks for it."""
    with read() as cur:
        win = covered_by(cur, rerun)
        contract = compiled_contract(window_row(cur, win).contract_id).contract if win is not None else None
    if win is not None and contract is not None:
        read_bus_end(win, contract)


def _look(win: WindowId) -> tuple[Contract, look.Capture, dict[SourceId, int]]:
    """What Kafka says of a cut window, and by source the offsets of gaps that a second reader found records in.

    What can be written down of it is: the bus's end, and gaps that are proven.
    """
    with read() as cur:
        row = window_row(cur, win)
        failed = cur.execute(sql.failed, {"win": win}).fetchone()
    if row.state != "CUT":
        raise NotCut(expected="a cut window", found=f"window {row.number} is {row.state}", next_step="cut it")
    if failed is not None:
        raise WindowFailed(expected="no FAIL", found=f"#{failed.number}", next_step="open a new run")
    contract = compiled_contract(row.contract_id).contract
    pin_window(win)
    failpoint("close.after_pins")
    _see_end(win, contract, row.by_plan)
    failpoint("close.after_end")
    see_completeness(win, contract)
    failpoint("close.after_completeness")
    read_bus_end(win, contract)
    failpoint("close.after_bus_end")
    refuted = gaps.prove(win)
    failpoint("close.after_gaps")
    return contract, look.capture(contract, lanes(win)), refuted


def _see_end(win: WindowId, contract: Contract, by_plan: bool) -> None:
    """A window that went on while Kafka was silent has no END snapshot yet: it is taken when Kafka answers."""
    with read() as cur:
        if cur.execute(sql.end_seen, {"win": win}).fetchone() is not None:
            return
    captured = look.capture(contract)
    if by_plan:
        captured = captured.without_inbox()
    failpoint("end.after_capture")
    if captured.broker is not None:
        retry_transaction(lambda: _write_end(win, captured))


def _write_end(win: WindowId, captured: look.Capture) -> None:
    with write() as cur:
        cur.execute(sql.lock_window, {"win": win})  # two judges at once: the first END is the one that counts
        failpoint("end.after_lock")
        if cur.execute(sql.end_seen, {"win": win}).fetchone() is None:
            look.store_snapshot(cur, win, "END", captured, look.database_identity(cur))
            failpoint("end.after_snapshot")
            raise_revisions(cur, [win])
        failpoint("end.before_commit")


def store(judged: Judgement, actor: str) -> StoredVerdict:
    """The verdict's transaction: it, the window's revision, the gate and the run's state, or nothing.

    A PASS that was judged again and is one is not stored: the one that stands is returned.
    """
    try:
        stored = retry_transaction(lambda: _store(judged, actor))
    except ConstraintViolated as refused:
        if refused.constraint == "verdict_covers_revision":
            raise AnotherCloser(
                expected="the window that it covers as it was measured",
                found=str(refused.found),
                next_step="close it again if still needed",
            ) from refused
        if refused.constraint != "verdict_facts_fresh":
            raise
        # whoever stored was stopped between the look at the age and COMMIT
        raise _too_old(judged, refused.found) from refused
    failpoint("verdict.after_commit")
    gate.end_readers()
    return stored


def _too_old(judged: Judgement, found: str) -> FactsTooOld:
    bound = w.age(judged.measurement.facts.rules.sample_max_age)
    return FactsTooOld(expected=f"facts at most {bound} old", found=found, next_step="close it again")


def diagnosis_now(win: WindowId, permissions: set[str] | None = None) -> Diagnosis:
    return diagnose(checks_now(win), None, permissions)


# ---- the bus's end --------------------------------------------------------------------------------------------------


def read_bus_end(win: WindowId, contract: Contract) -> bool:
    """Once every inbox source is at its cut and every attempt settled: the high watermark of every bus partition.

    Raised nothing and wrote nothing where it is not time yet or Kafka did not answer; True when the end is known. An
    earlier window's end comes first, for this one begins there: who failed early is not judged again, and has none yet.
    """
    with read() as cur:
        earlier = cur.execute(sql.earlier_without_end, {"win": win}).fetchall()
    if not all(_read_end(row.id, compiled_contract(row.contract_id).contract) for row in earlier):
        return False
    failpoint("bus_end.after_earlier")
    return _read_end(win, contract)


def _read_end(win: WindowId, contract: Contract) -> bool:
    with read() as cur:
        ready = cur.execute(sql.ready_for_bus_end, {"win": win}).fetchone()
    if ready is None:
        return False
    if ready.known:
        return True
    if not ready.settled:
        return False
    captured = look.capture(contract)
    if captured.broker is None:
        return False
    broker = captured.broker.value
    failpoint("bus_end.after_reading")
    if ready.by_plan:
        return retry_transaction(lambda: _write_rerun_end(win, broker))
    return retry_transaction(lambda: _write_bus_end(win, broker))


def _write_bus_end(win: WindowId, broker: f.Broker) -> bool:
    """All partitions or none. The next window's bus ranges begin here."""
    with write() as cur:
        ends = {}
        for row in cur.execute(sql.lock_bus_ranges, {"win": win}).fetchall():
            log = broker.bus.partitions.get(row.partition) if broker.bus.topic_id == row.topic_id else None
            if log is None or log.high_watermark is None:
                return False
            ends[row.source_id] = max(log.high_watermark, row.start_offset)
        if not ends:
            return False
        failpoint("bus_end.after_locks")
        for source, end in ends.items():
            cur.execute(sql.end_bus_range, {"win": win, "source": source, "end": end})
            failpoint("bus_end.after_range")
            cur.execute(sql.chain_next, {"win": win, "source": source, "start": end})
        failpoint("bus_end.after_ranges")
        cur.execute(sql.bus_end_known, {"win": win})
        failpoint("bus_end.after_time")
        raise_revisions(cur, [win])
        failpoint("bus_end.before_commit")
    return True


def _write_rerun_end(win: WindowId, broker: f.Broker) -> bool:
    """A rerun stands outside of the chain of bus ranges: how far the bus must be read is its own alone."""
    with write() as cur:
        if not reruns.write_bus_end(cur, win, broker):
            return False
        failpoint("rerun_end.after_ends")
        cur.execute(sql.bus_end_known, {"win": win})
        failpoint("rerun_end.after_time")
        raise_revisions(cur, [win])
        failpoint("rerun_end.before_commit")
    return True


# ---- storing --------------------------------------------------------------------------------------------------------


def _store(judged: Judgement, actor: str) -> StoredVerdict:
    row = judged.measurement.row
    with write() as cur:
        newest = cur.execute(sql.newest_verdict, {"win": judged.win}).fetchone()
        standing = newest is not None and newest.state == "PASS" and not v.passes_anew(newest.body, judged.verdict)
        if standing and judged.verdict.state is not v.State.FAIL:
            return _stands(cur, judged, newest)
        if cur.execute(sql.judged, {"win": judged.win, "revision": judged.revision}).fetchone() is None:
            raise _moved_on(cur, judged)
        failpoint("verdict.after_revision")
        number = int(fetch_one(cur.execute(sql.next_number, {"run": row.run_id})).number)
        stored = _insert(cur, judged, number, actor)
        failpoint("verdict.after_row")
        gate.follow(cur, judged.win, stored.id, judged.verdict.state is v.State.PASS, judged.measured_at)
        failpoint("verdict.after_gate")
        if judged.covered is not None:
            gate.open_covered(cur, judged.covered, stored.id)
        failpoint("verdict.after_covered")
        cur.execute(sql.close_run, {"run": row.run_id})
        failpoint("verdict.after_run")
        _record_fallen(cur, row, actor)
        failpoint("verdict.after_fallen")
        detail = {"verdict": stored.name, "state": str(judged.verdict.state), "digest": stored.digest.hex()}
        record_act(cur, actor, "run.verdict", f"{row.stream}/{row.run_name}", stored.sentence, detail)
        failpoint("verdict.before_commit")
    return stored


def _stands(cur: Cursor, judged: Judgement, newest: Any) -> StoredVerdict:
    """What shuts a gate (docs/design.md#gate) the enforcer looks for; a verdict takes nothing back but by a FAIL."""
    if newest.revision >= judged.revision:
        raise _moved_on(cur, judged)
    if judged.verdict.state is not v.State.PASS:
        raise PassStands(
            expected="a FAIL, which alone is stored after a PASS",
            found=f"#{newest.number} is PASS; now: {diagnose(judged.verdict).sentence}",
        )
    row = judged.measurement.row
    cur.execute(sql.looked, {"win": judged.win, "revision": judged.revision})
    name, digest = f"{row.stream}/{row.run_name}#{newest.number}", bytes(newest.digest)
    return StoredVerdict(newest.id, name, newest.number, judged.verdict, digest, newest.body["sentence"], new=False)


MOST_NAMED = 100


def _record_fallen(cur: Cursor, row: Any, actor: str) -> None:
    """What was joined with this run is shut by the verdict's own transaction (context_falls): that is an act, too."""
    gone = cur.execute(sql.fallen_with, {"run": row.run_id}).fetchall()
    if gone:
        detail = {"shut": [found.verdict for found in gone[:MOST_NAMED]], "count": len(gone)}
        record_act(cur, actor, "gate.shut", f"{row.stream}/{row.run_name}", gone[0].shut_why, detail)


def _insert(cur: Cursor, judged: Judgement, number: int, actor: str) -> StoredVerdict:
    row, verdict = judged.measurement.row, judged.verdict
    sentence = diagnose(verdict, number).sentence
    body = v.body(verdict, number, sentence)
    digest = v.digest(body)
    values = {
        "run": row.run_id,
        "number": number,
        "win": judged.win,
        "revision": judged.revision,
        "state": str(verdict.state),
        "waived": verdict.waived,
        "generation": verdict.basis_generation or 0,
        "contract": bytes(row.digest),
        "body": Jsonb(body),
        "digest": digest,
        "actor": actor,
        "at": verdict.judged_at,
        "measured": verdict.measured_at,
        "valid": verdict.valid_until,
        "covers": judged.covered.win if judged.covered else None,
    }
    stored = fetch_one(cur.execute(sql.insert_verdict, values))
    return StoredVerdict(stored.id, f"{row.stream}/{row.run_name}#{number}", number, verdict, digest, sentence)


def _moved_on(cur: Cursor, judged: Judgement) -> AnotherCloser:
    """Names what came in between: somebody else's verdict, or only a fact."""
    newest = cur.execute(sql.newest_verdict, {"win": judged.win}).fetchone()
    beaten = newest if newest is not None and newest.revision >= judged.revision else None
    row: Any = cur.execute(sql.revision, {"win": judged.win}).fetchone()
    by = f"; #{beaten.number} by {beaten.decided_by} stands" if beaten else ""
    moved = AnotherCloser(
        expected=f"revision {judged.revision}",
        found=f"revision {row.revision}{by}",
        next_step="close it again if still needed",
    )
    moved.verdict = beaten.number if beaten else None
    return moved


# ---- by itself ------------------------------------------------------------------------------------------------------


@dataclass
class _Pause:
    """When a window is looked at again. `until`: although no fact of the ledger has changed, for Kafka may have come
    back. `rests`: although facts change, for counting them took long and nothing came of it. `counted`: what took long.
    """

    until: float = 0.0
    length: float = FIRST_PAUSE
    rests: float = 0.0
    counted: Measurement | None = None
    revision: int = -1  # at which it was looked at

    def begin(self, now: float, took: float) -> None:
        self.rests = now + took * REST if took > LONG else 0.0
        self.until = max(now + self.length, self.rests)
        self.length = min(self.length * 2, LONGEST_PAUSE)


#: A window that is judged for longer than this in vain rests for a multiple of it: others' turns come in between.
LONG, REST = 2.0, 3
_pauses: dict[WindowId, _Pause] = {}


def close_due(clock: Callable[[], float] = time.monotonic) -> list[StoredVerdict]:
    """Judges what is due, for contracts with close.auto; stores a verdict only where it says something new.

    Due: a cut window never judged, one whose revision has moved since, and, more and more rarely, a blocked one.
    Begins nothing more after CLOSE_DUE_SECONDS and goes on there the next time: other control work waits for it.
    """
    return [stored for win in _due(clock) if (stored := _close_due_window(win, clock())) is not None]


CLOSE_DUE_SECONDS = 3.0


def _due(clock: Callable[[], float]) -> Iterator[WindowId]:
    """Windows that have moved come first, for somebody waits for their verdict; at last open ones are looked after,
    and Kafka is asked once for all of them. Of each kind at least one has its turn, however long the others take."""
    with read() as cur:
        rows = [row for row in cur.execute(sql.unsettled).fetchall() if _auto(row.contract_id)]
    _forget_others({row.id for row in rows})
    turns = _Turns(clock)
    cut = [row for row in rows if row.state != "OPEN"]
    moved = [row.id for row in cut if row.revision != row.judged_revision and _may_say_more(row, clock())]
    yield from turns.of("moved", [win for win in moved if _pause(win).rests <= clock()])
    blocked = [row.id for row in cut if row.revision == row.judged_revision and row.verdict == "BLOCKED"]
    yield from turns.of("blocked", [win for win in blocked if _pause(win).until <= clock()])
    contracts = {row.id: row.contract_id for row in rows if row.state == "OPEN" and not row.by_plan}
    for win in turns.of("open", grown(list(contracts))):
        notice_partitions(win, compiled_contract(contracts[win]).contract)
        failpoint("close_due.after_partitions")


def _may_say_more(row: Any, now: float) -> bool:
    """What was looked at after its PASS, and is neither PASS nor FAIL, is looked at again when Kafka may be back, or a
    fact has changed once more."""
    pause = _pause(row.id)
    return row.verdict != "PASS" or row.revision != pause.revision or pause.until <= now


@lru_cache(maxsize=4096)
def _auto(contract_id: int) -> bool:
    return compiled_contract(contract_id).contract.close.auto


def _pause(win: WindowId) -> _Pause:
    return _pauses.setdefault(win, _Pause())


def _forget_others(windows: set[WindowId]) -> None:
    for win in _pauses.keys() - windows:
        del _pauses[win]


class _Turns:
    """Goes through windows of one kind, on from where the last time ended, until the time is over."""

    _stood: ClassVar[dict[str, int]] = {}

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._until = clock() + CLOSE_DUE_SECONDS

    def of(self, kind: str, windows: list[WindowId]) -> Iterator[WindowId]:
        """Yields windows, which must be sorted, from behind the one that the last turn ended with, round to it again.

        One is yielded even where the time is over already: each kind of window gets on, however long the others take.
        """
        last = self._stood.get(kind, 0)
        first = bisect_right(windows, last)
        for win in windows[first:] + windows[:first]:
            self._stood[kind] = win
            yield win
            if self._clock() > self._until:
                return


def _close_due_window(win: WindowId, now: float) -> StoredVerdict | None:
    began = time.monotonic()
    try:
        with alone(win) as mine:
            return _judged_by_itself(win, began) if mine else None
    except (AnotherCloser, WindowFailed, NotCut, PassStands):
        return None
    except DatabaseGone:
        raise
    except PassgateError as error:  # one window's trouble is not another's
        log.warning("window %s not judged: %s", win, error)
        _say_unjudged(win, f"{error.code}: {error}")
        return None
    finally:
        took = time.monotonic() - began
        _pause(win).begin(now + took, took)


JUDGE_SECONDS = 600.0


@contextmanager
def alone(win: WindowId) -> Iterator[bool]:
    """Whether this process is the one that judges the window by itself; another one goes on to another window.

    Not for a person's close: it is not turned away by a judge that got stuck, and of two verdicts one is stored (S12).
    """
    retry_transaction(lambda: _write_judge(win))
    failpoint("alone.after_row")
    with beside(JUDGE_SECONDS) as held:
        yield held.execute(sql.judge_alone, {"win": win}).fetchone() is not None


def _write_judge(win: WindowId) -> None:
    with write() as cur:
        cur.execute(sql.judge_row, {"win": win})


def _judged_by_itself(win: WindowId, began: float) -> StoredVerdict | None:
    if _says_the_same(_pause(win).counted):
        return None
    failpoint("close_due.after_look")
    judged = judge(win)
    failpoint("close_due.after_judging")
    _say_unjudged(win, None)
    failpoint("close_due.after_saying")
    counted = judged.measurement if time.monotonic() - began > LONG else None
    _pause(win).counted, _pause(win).revision = counted, judged.revision
    if not worth_storing(judged):
        return None
    _pauses[win] = _Pause()
    stored = store(judged, AUTO)
    # storing raised the revision by one and let nothing come in between
    _pause(win).counted = counted and counted.at_revision(judged.revision + 1)
    return stored if stored.new else None


def _say_unjudged(win: WindowId, why: str | None) -> None:
    """Notes on the window's row why it could not be judged, for its page; None takes the note away."""
    with read() as cur:
        told = cur.execute(sql.told_unjudged, {"win": win}).fetchone()
    if told is not None and told.unjudged_why != why:
        retry_transaction(lambda: _write_unjudged(win, why))


def _write_unjudged(win: WindowId, why: str | None) -> None:
    with write() as cur:
        cur.execute(sql.unjudged, {"win": win, "why": why and why[:2000]})


def _says_the_same(counted: Measurement | None) -> bool:
    """What took long to count is not counted again to say what it said: while the revision stands, only Kafka is asked.

    A publish in flight is unknown once its lane has lost its lease, and no revision says so.
    """
    publishing = counted.facts.publishing if counted else None
    if counted is None or (publishing and publishing.value.in_flight[0]):
        return False
    _, captured, refuted = _look(counted.row.id)
    measurement = renewed(counted, captured)
    if refuted or measurement is counted:
        return False
    return not worth_storing(Judgement.of(measurement))


def worth_storing(judged: Judgement) -> bool:
    """Not while lanes merely work, and not what the newest verdict says already.

    PASS and FAIL always are; after a PASS only FAIL, and a PASS again, which is noted and not stored. A window cut
    longer ago than `stalled_after` is judged whatever it waits for.
    """
    verdict, row = judged.verdict, judged.measurement.row
    late = row.cut_at is not None and judged.measurement.at - row.cut_at > judged.measurement.facts.rules.stalled_after
    if verdict.state is v.State.BLOCKED and not late and still_working(verdict):
        return False
    with read() as cur:
        newest = cur.execute(sql.newest_verdict, {"win": judged.win}).fetchone()
    if newest is not None and newest.state == "PASS":
        return verdict.state is not v.State.BLOCKED
    return newest is None or not v.unchanged(newest.body, v.body(verdict, newest.number, ""))


def only_waiting(verdict: v.Verdict) -> bool:
    """Nothing that a person could do: every cause is a lane at work."""
    causes = diagnose(verdict).causes
    return verdict.state is v.State.BLOCKED and all(not cause.act.permission for cause in causes)


def still_working(verdict: v.Verdict) -> bool:
    """Lanes are moving something that a verdict now would have wrong in a second.

    What waits behind a publish that somebody has to see to is not moving.
    """
    return any(_moves(check) for check in verdict.failed() if check.follows_from is None)


def _moves(check: c.Check) -> bool:
    needed = [bool(cause.act.permission) for cause in check.causes]
    return not all(needed) and not (check.name is c.CheckName.PUBLISHED and any(needed))


__all__ = [
    "AnotherCloser", "FactsTooOld", "Judgement", "NotCut", "PassStands", "PassgateError", "StoredVerdict",
    "WindowFailed", "checks_now", "close_run", "diagnosis_now", "close_due", "judge", "store", "window_of",
]  # fmt: skip
