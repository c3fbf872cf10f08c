"""Reconciliation: fence first, then look (decision 5). The lane's owner does it; a person only asks for it.

Looking first is unsound: bytes held in a socket land after a scan said "absent". The caller has fenced by
`init_transactions()` under its own lease; what is read here is read after that.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from psycopg.types.json import Jsonb

from ingest.auditlog import record_act
from ingest.core.attempt import ATTEMPT, IDENTITY, attempt_mark, digest_of
from ingest.core.contract.shape import Reconcile, Republish
from ingest.core.errors import NotFound, RunError
from ingest.core.ids import AttemptId, RunId, SourceId, WindowId
from ingest.core.lease import Lease
from ingest.core.reconciliation import (
    Anchor,
    Answer,
    ExpectedEvent,
    FoundRecord,
    Ground,
    Moment,
    PreparedFacts,
    ScanAnswer,
    ScanExtent,
    WaitReason,
    again_after,
    decide,
    due,
    held_back,
    passes,
    unsound,
)
from ingest.db import Cursor, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.kafka import Admin, BrokerUnavailable, Cluster, Partition, PartitionReader, Record, Start, probe_epoch
from ingest.publish import attempts
from ingest.publish.decide import made

log = logging.getLogger(__name__)
sql = statements("ingest.publish", "reconcile")

#: How long one step of a scan reads: among many lanes of a process each has to come round well within its lease.
STEP_SECONDS = 0.5


class AttemptOver(RunError):
    """The log that the attempt went to is gone: there is nothing to look at any more."""

    code = "attempt_over"
    what = "what became of this attempt cannot be found out any more"


# --- asking for it


def request(attempt: AttemptId, actor: str) -> bool:
    """A person's *Reconcile* of one attempt: a row that the lane's owner serves. False: it was asked for already."""
    return retry_transaction(lambda: _request(attempt, actor))


def _request(attempt: AttemptId, actor: str) -> bool:
    with write() as cur:
        row = cur.execute(sql.attempt_named, {"attempt": attempt}).fetchone()
        if row is None:
            raise NotFound(expected=f"attempt {attempt}", found="none")
        if row.over:
            raise AttemptOver(expected="an attempt whose log is there", found=f"attempt {attempt}")
        fresh = cur.execute(sql.request, {"attempts": [attempt], "who": actor}).fetchall()
        failpoint("request.after_row")
        record_act(cur, actor, "attempt.reconcile", row.run, detail={"attempts": [attempt]})
        failpoint("request.before_commit")
    return bool(fresh)


def request_run(stream: str, run: str, actor: str) -> list[int]:
    """The same for every unsettled attempt of a run; returns them. Raises NotFound for an unknown run."""
    return retry_transaction(lambda: _request_run(stream, run, actor))


def _request_run(stream: str, run: str, actor: str) -> list[int]:
    with write() as cur:
        keys = {"stream": stream, "run": run}
        if cur.execute(sql.run_of, keys).fetchone() is None:
            raise NotFound(expected=f"run {stream}/{run}", found="none")
        unsettled = [int(row.id) for row in cur.execute(sql.unsettled_of_run, keys).fetchall()]
        if unsettled:
            cur.execute(sql.request, {"attempts": unsettled, "who": actor})
        failpoint("request_run.after_rows")
        record_act(cur, actor, "attempt.reconcile", f"{stream}/{run}", detail={"attempts": unsettled})
        failpoint("request_run.before_commit")
    return unsettled


# --- doing it


@dataclass(frozen=True)
class UnsettledAttempt:
    """An attempt without outcome, as stored."""

    id: AttemptId
    state: str
    topic: str
    mark: bytes
    win: WindowId
    run_id: RunId
    contract: int
    to_offset: int
    silent_for: float
    requested_by: str | None
    cluster_id: str
    topic_id: str
    scan_why: str = ""  # why the newest scan could not answer, of how many, and how long ago that was (s)
    scans: int = 0
    scanned_for: float = 0.0
    decided: bool = False  # two people said what became of it: nobody looks for it any more

    def due(self, automatic: bool, after: float) -> tuple[WaitReason, float]:
        """What it waits for, and for how long where that is silence (s)."""
        undecidable = self.state == "UNDECIDABLE"
        silent_for = self.silent_for
        if undecidable and passes(self.scan_why):
            undecidable, silent_for, after = False, self.scanned_for, again_after(after, self.scans)
        asked = self.requested_by is not None
        return due(undecidable, asked, automatic, silent_for, after), max(after - silent_for, 0.0)


def unsettled_of(source: SourceId) -> UnsettledAttempt | None:
    """The one unsettled attempt of a lane, if there is one."""
    with read() as cur:
        row = cur.execute(sql.unsettled, {"source": source}).fetchone()
    if row is None:
        return None
    return UnsettledAttempt(
        row.id, row.state, row.topic, attempt_mark(row.install_id, row.id), row.win, row.run_id, row.contract_id,
        row.to_offset, row.silent_for, row.requested_by, row.cluster_id, row.topic_id,
        row.scan_why or "", row.scans or 0, row.scanned_for or 0.0, row.decided,
    )  # fmt: skip


def conclude(
    cur: Cursor,
    lease: Lease,
    attempt: UnsettledAttempt,
    state: str,
    places: Iterable[attempts.PlaceRow],
    rules: Reconcile,
) -> None:
    """What is known of the attempt now, with all that follows from it; the position is held already."""
    attempts.write_places(cur, lease.source, attempt.id, places)
    failpoint("settle.after_places")
    attempts.set_state(cur, attempt.id, state)
    failpoint("settle.after_state")
    attempts.serve_requests(cur, attempt.id)
    failpoint("settle.after_requests")
    if state == "ACKED":
        attempts.progress(cur, lease, attempt.to_offset)
    elif state != "UNDECIDABLE" and rules.republish is Republish.AUTOMATIC:
        attempts.requeue(cur, attempt.id)
    failpoint("settle.after_queue")
    attempts.touch(cur, [attempt.win])


def serve_decision(lease: Lease, attempt: UnsettledAttempt, rules: Reconcile) -> None:
    """Ends an attempt as two people decided. Only the lane's owner ends one, and it has fenced the sender before: an
    attempt is UNDECIDABLE by a scan after a newer fence."""
    retry_transaction(lambda: _serve(lease, attempt, rules))
    log.info("attempt %s ends as it was decided", attempt.id)


def _serve(lease: Lease, attempt: UnsettledAttempt, rules: Reconcile) -> None:
    with write() as cur:
        attempts.lock_position(cur, lease)
        failpoint("decided.after_hold")
        decision = made(cur, attempt.id)
        if decision is not None:
            conclude(cur, lease, attempt, decision.outcome, decision.places, rules)
        failpoint("decided.before_commit")


@dataclass
class Reconciliation:
    """One scan of one attempt. `step` returns None while an open transaction stands before `hi`: waiting is a state."""

    cluster: Cluster
    admin: Admin
    lease: Lease
    attempt: UnsettledAttempt
    rules: Reconcile
    fenced_at: datetime
    his: dict[int, int] = field(default_factory=dict)
    started_at: datetime | None = None
    begun: float = field(default_factory=time.monotonic)
    _scan: _Scan | None = None

    @property
    def is_scanning(self) -> bool:
        """It has begun to read, and who lets go of it now begins again."""
        return self._scan is not None

    def waited(self) -> float:
        """Seconds since it was begun."""
        return time.monotonic() - self.begun

    def close(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None

    def __post_init__(self) -> None:
        with read() as cur:
            rows = cur.execute(sql.expected, {"attempt": self.attempt.id}, binary=True).fetchall()
            anchors = cur.execute(sql.anchors, {"attempt": self.attempt.id}).fetchall()
        self._offsets = [row.offset for row in rows]
        self._bus_sources = {row.partition: row.bus_source_id for row in anchors}
        self.prepared = PreparedFacts(
            self.attempt.cluster_id,
            self.attempt.topic_id,
            [Anchor(row.partition, row.lo, row.leader_epoch) for row in anchors],
            [ExpectedEvent(i, row.identity, row.payload_digest, row.partition) for i, row in enumerate(rows)],
        )

    def step(self) -> ScanAnswer | None:
        """Look for a moment; once all is read decide, and write the answer down in one transaction.

        None: it goes on in the next step, so that a scan of a large bus outlasts neither lease nor task. Raises
        BrokerError where Kafka is silent.
        """
        if self._scan is None:
            return self._begin()
        ended = self._scan.go_on(STEP_SECONDS)
        failpoint("reconcile.after_scan")
        return self._end(self._scan) if ended else None

    def _begin(self) -> ScanAnswer | None:
        if self.started_at is None:
            self.started_at = attempts.clock()
        before = self._moment(may_wait=True)
        if reasons := unsound(self.prepared, before):
            return self._settle(ScanAnswer(Answer.UNDECIDABLE, "; ".join(reasons)), before, [])
        self.his = self.his or {p: ground.hi for p, ground in before.grounds.items() if ground.hi is not None}
        waiting = held_back(self._up_to_hi(before))
        if waiting:
            log.info("attempt %s waits for the last stable offset of partitions %s", self.attempt.id, waiting)
            return None
        self._scan = _Scan(self, before)
        return None

    def _end(self, scan: _Scan) -> ScanAnswer:
        after = self._moment()
        applied = self._applied()
        answer = decide(self.prepared, scan.before, after, scan.reads(), scan.found, applied)
        self.close()
        return self._settle(answer, after, scan.reads())

    def _up_to_hi(self, moment: Moment) -> Moment:
        """The moment as the scan needs it: `hi` as first read after the fence, not where the log ends by now."""
        grounds = {p: Ground(g.earliest, self.his[p], g.lso, g.diverged) for p, g in moment.grounds.items()}
        return Moment(moment.cluster_id, moment.topic_id, grounds)

    def _moment(self, may_wait: bool = False) -> Moment:
        """What the scan stands on now. An answer that does not come is no answer: BrokerUnavailable, try again.

        `may_wait`: the caller waits where an open transaction stands before `hi`. There no consumer is given anything
        that a probe could be answered by, so it is asked when the wait is over.
        """
        cluster_id = self.admin.cluster_id()
        topic_id = self.admin.topic_id(self.attempt.topic)
        if cluster_id != self.prepared.cluster_id or topic_id != self.prepared.topic_id:
            return Moment(cluster_id, topic_id, {})
        ends = self.admin.ends(self.attempt.topic, [anchor.partition for anchor in self.prepared.anchors])
        waits = may_wait and any(
            found.lso is not None and found.hw is not None and found.lso < self.his.get(partition, found.hw)
            for partition, found in ends.items()
        )
        grounds = {a.partition: self._ground(a, ends[a.partition], waits) for a in self.prepared.anchors}
        return Moment(cluster_id, topic_id, grounds)

    def _ground(self, anchor: Anchor, ends: Any, waits: bool) -> Ground:
        if ends.earliest is None or ends.hw is None or ends.lso is None:
            raise BrokerUnavailable(expected=f"the offsets of {self.attempt.topic}/{anchor.partition}", found="none")
        if ends.earliest > anchor.lo or ends.hw < anchor.lo or anchor.leader_epoch is None:
            return Ground(ends.earliest, ends.hw, ends.lso, "")  # unsound already; a probe would add nothing
        if waits:
            return Ground(ends.earliest, ends.hw, ends.lso, "")
        start = Start(self.attempt.topic, anchor.partition, anchor.lo, anchor.leader_epoch)
        diverged = probe_epoch(self.cluster, start)
        if diverged is None:
            raise BrokerUnavailable(
                expected=f"the epoch probe of {self.attempt.topic}/{anchor.partition}", found="none"
            )
        return Ground(ends.earliest, ends.hw, ends.lso, diverged)

    def _applied(self) -> list[int]:
        identities = [event.identity for event in self.prepared.expected]
        with read() as cur:
            keys = {"identities": identities, "run": self.attempt.run_id}
            return [row.index for row in cur.execute(sql.applied, keys).fetchall()]

    def _settle(self, answer: ScanAnswer, moment: Moment, reads: Sequence[ScanExtent]) -> ScanAnswer:
        retry_transaction(lambda: self._write(answer, moment, reads))
        log.info("attempt %s is %s: %s", self.attempt.id, answer.answer, answer.why)
        return answer

    def _write(self, answer: ScanAnswer, moment: Moment, reads: Sequence[ScanExtent]) -> None:
        with write() as cur:
            attempts.lock_position(cur, self.lease)
            failpoint("settle.after_hold")
            if made(cur, self.attempt.id) is not None:
                return  # decided while this scan was read: it comes too late to say anything
            cur.execute(sql.insert_scan, self._scan_row(answer, moment, reads))
            failpoint("settle.after_scan_row")
            state = "ACKED" if answer.answer is Answer.PRESENT else str(answer.answer)
            conclude(cur, self.lease, self.attempt, state, self._places(answer), self.rules)
            failpoint("settle.before_commit")

    def _places(self, answer: ScanAnswer) -> Iterable[attempts.PlaceRow]:
        for index, (partition, offset) in sorted((answer.places or {}).items()):
            yield self._offsets[index], self._bus_sources[partition], offset

    def _scan_row(self, answer: ScanAnswer, moment: Moment, reads: Sequence[ScanExtent]) -> dict[str, object]:
        by_partition = {r.partition: r for r in reads}
        partitions = [
            _as_json(anchor, moment.grounds.get(anchor.partition), by_partition.get(anchor.partition))
            for anchor in self.prepared.anchors
        ]
        return {
            "attempt": self.attempt.id, "fence": self.lease.fence, "fenced_at": self.fenced_at,
            "asked_by": self.attempt.requested_by or "the contract: reconcile.automatic", "started_at": self.started_at,
            "answer": str(answer.answer), "why": answer.why or None, "expected": len(self.prepared.expected),
            "found": len(answer.places or {}), "partitions": Jsonb(partitions),
        }  # fmt: skip


#: Why an attempt that was found PREPARED is UNKNOWN: its sender ended, or lost its lease, without writing an outcome.
NO_OUTCOME = "NO_OUTCOME: the sender ended without writing one down"


def _as_json(anchor: Anchor, ground: Ground | None, done: ScanExtent | None) -> dict[str, object]:
    return {
        "partition": anchor.partition,
        "lo": anchor.lo,
        "epoch": anchor.leader_epoch,
        "hi": done.hi if done else ground.hi if ground else None,
        "lso": ground.lso if ground else None,
        "scanned": done.scanned if done else 0,
        "ended_at": done.ended_at if done else None,
    }


class _Scan:
    """Reads [lo, hi) of every partition of the attempt, read_committed, and keeps what carries its mark."""

    def __init__(self, owner: Reconciliation, before: Moment) -> None:
        self.before = before
        self._owner = owner
        self._topic = owner.attempt.topic
        self._anchors = {Partition(self._topic, a.partition): a for a in owner.prepared.anchors}
        self._his = owner.his
        self._at = {here: anchor.lo for here, anchor in self._anchors.items()}
        self._scanned = dict.fromkeys(self._anchors, 0)
        self._faults = dict.fromkeys(self._anchors, "")
        self._until = time.monotonic() + owner.rules.scan_timeout / timedelta(seconds=1)
        self._reader: PartitionReader | None = None
        self.found: list[FoundRecord] = []

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def go_on(self, seconds: float) -> bool:
        """Reads for `seconds`, on from where it stands; True once there is nothing left that it may read."""
        reader, pause = self._open(), time.monotonic() + seconds
        while self._unread() and not self._broken(self._until):
            for here, chunk in reader.read(2000, 0.2).items():
                self._keep(here, chunk.records)
                self._at[here] = max(self._at[here], chunk.next_offset)
                self._faults[here] = str(chunk.fault) if chunk.fault else self._faults[here]
            if time.monotonic() > pause:
                break
        return not self._unread()

    def _open(self) -> PartitionReader:
        if self._reader is None:
            self._reader = PartitionReader(self._owner.cluster, fetch_wait=0.02)
            self._reader.assign([Start(h.topic, h.partition, a.lo, a.leader_epoch) for h, a in self._anchors.items()])
        return self._reader

    def reads(self) -> list[ScanExtent]:
        return [
            ScanExtent(h.partition, self._hi(h), min(self._at[h], self._hi(h)), self._scanned[h], self._faults[h])
            for h in self._anchors
        ]

    def _hi(self, here: Partition) -> int:
        return self._his[here.partition]

    def _unread(self) -> list[Partition]:
        return [h for h in self._anchors if self._at[h] < self._hi(h) and not self._faults[h]]

    def _broken(self, until: float) -> bool:
        """Bounds of the contract: beyond them the answer is UNDECIDABLE, and says which one it was."""
        most = self._owner.rules.scan_records
        why = f"beyond {most:,} records" if sum(self._scanned.values()) > most else ""
        why = why or (f"beyond {self._owner.rules.scan_timeout}" if time.monotonic() > until else "")
        for here in self._unread() if why else []:
            self._faults[here] = why
        return bool(why)

    def _keep(self, here: Partition, records: Sequence[Record]) -> None:
        hi, mark = self._hi(here), self._owner.attempt.mark
        for record in records:
            if record.offset >= hi:
                break
            self._scanned[here] += 1
            headers = record.headers or []
            if (ATTEMPT, mark) in headers:
                self.found.append(_found(here.partition, record, headers))


def _found(partition: int, record: Record, headers: Sequence[tuple[str, bytes | None]]) -> FoundRecord:
    """The identity as its header says, the digest of what is really there."""
    said = dict(headers).get(IDENTITY) or b""
    try:
        identity = bytes.fromhex(said.decode("ascii"))
    except ValueError:
        identity = b""
    return FoundRecord(partition, record.offset, identity, digest_of(record.value, headers))
