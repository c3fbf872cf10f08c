"""The publish lane: one inbox source, one transactional.id, one leased owner, one attempt at a time, in offset order.

PREPARED is committed before `begin_transaction()`, so a crash anywhere after it leaves an attempt that the next owner
finds, fences and looks for. The lane stops at the first unsettled attempt: a key's order never inverts. Its rules are
in docs/design.md#publishing.
"""

from __future__ import annotations

import logging
import time
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from operator import itemgetter
from typing import Any

from psycopg.rows import tuple_row

from ingest.behind import check_current
from ingest.core.attempt import QueuedBatch, attempt_mark, choose, marked_all, transactional_id
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError, PublishError
from ingest.core.ids import AttemptId, BatchId, SourceId, WindowId
from ingest.core.lane import (
    BackgroundWork,
    Step,
    WaitsForReconcile,
    WaitsForRepublish,
    WaitsForSilence,
    WaitsForTransaction,
    no_background,
)
from ingest.core.leaf import table_partition
from ingest.core.lease import LEASE_SECONDS, LONGEST_ATTEMPT, Lease
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.outcome import Kind, Outcome, confirm
from ingest.core.posture import largest_record
from ingest.core.reconciliation import WaitReason, patience
from ingest.db import Cursor, fetch_pipelined, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.install import install_id
from ingest.kafka import (
    Admin,
    BusMessages,
    Cluster,
    SentHeaders,
    TopicChanged,
    TopicFacts,
    TransactionalProducer,
    partitions_for,
)
from ingest.lanes.lease import renew
from ingest.models import Source
from ingest.publish import attempts
from ingest.publish.reconcile import NO_OUTCOME, Reconciliation, UnsettledAttempt, serve_decision, unsettled_of
from ingest.streams import compiled_contract

log = logging.getLogger(__name__)
sql = statements("ingest.publish", "lane")

_RENEW_AFTER = LEASE_SECONDS / 3
_FENCE_SECONDS = 8.0
#: The longest rest of a lane that waits: `work` takes one of more than a minute for a clock that stepped back.
_LONGEST_REST = 55.0
#: How long an open transaction is waited for with the lease in hand: most end in less, and a new fence reads a new end.
_TRANSACTION_SECONDS = 5.0


class VerificationOff(PublishError):
    """Without it a request of a fenced producer may still be appended."""

    code = "transactions_not_verified"
    what = "the brokers do not verify transactions"


class BusCompacts(PublishError):
    """A bus that compacts would lose records that reconciliation has to find."""

    code = "bus_compacts"
    what = "the bus topic compacts"


class BusMissing(PublishError):
    code = "bus_missing"
    what = "there is no bus topic to publish to"


class BusTooSmall(PublishError):
    """An event that the contract admits might not fit: its attempt would be refused for ever."""

    code = "bus_too_small"
    what = "the bus takes smaller records than the contract admits"


class BusTooNarrow(PublishError):
    """Fewer partitions than the contract says: events would go where their key's earlier ones are not."""

    code = "bus_too_narrow"
    what = "the bus has fewer partitions than the contract"


class AttemptUnknown(PublishError):
    """Nobody knows what landed. The lane starts again under a new fence, which settles it."""

    code = "publish_unknown"
    what = "the outcome of an attempt is not known"
    retry = True


class AttemptNotSent(PublishError):
    """produce() refused; nothing left this process. Its batches are queued again; the producer is gone."""

    code = "publish_not_sent"
    what = "the producer refused the attempt"
    retry = True


class PayloadGone(PublishError):
    """An event's bytes were erased before it was published; only a person can say what to do."""

    code = "payload_gone"
    what = "an event that waits to be published has no payload any more"


@dataclass(frozen=True)
class Bus:
    """The topic an attempt goes to, as it is now; `sources` are our numbers of its partitions."""

    cluster_id: str
    topic: str
    topic_id: str
    partitions: int
    sources: dict[int, SourceId]


@dataclass(frozen=True)
class OutgoingEvents:
    """The events on their way to the bus, by columns, in offset order."""

    offsets: Sequence[int]
    batches: Sequence[BatchId]
    identities: Sequence[bytes]
    digests: Sequence[bytes]
    keys: Sequence[bytes | None]
    headers: Sequence[bytes | None]
    payloads: Sequence[bytes]
    partitions: Sequence[int]

    def __len__(self) -> int:
        return len(self.offsets)


@dataclass(frozen=True)
class PreparedAttempt:
    """PREPARED is durable."""

    id: AttemptId
    bus: Bus
    batches: Sequence[QueuedBatch]
    letters: OutgoingEvents

    @property
    def win(self) -> WindowId:
        return self.batches[0].win


class PublishLane:
    """Holds the lease of one publish lane and its producer. Made in the process that uses it, after fork."""

    def __init__(self, lease: Lease, cluster: Cluster, admin: Admin) -> None:
        self.lease = lease
        self.source = Source.objects.select_related("stream").get(id=lease.source)
        check_current(self.source.stream, admin)
        self._cluster = cluster
        self._admin = admin
        self._install = install_id()
        self._producer: TransactionalProducer | None = None
        self._fenced_at: datetime | None = None
        self._bus: dict[int, Bus] = {}
        self._checked: dict[str, int] = {}  # bus topics under this lease, and what one request to each may hold
        self._scan: Reconciliation | None = None
        self._clear = False  # no unsettled attempt and nothing withheld: known since the last look
        self._renewed = time.monotonic()

    def prefetch(self) -> bool:
        return False

    def is_prefetched(self) -> bool:
        return False

    def step(self, max_wait: float, meanwhile: BackgroundWork = no_background) -> Step:
        """Settles what is unsettled, else publishes one attempt. Raises LaneWaits where something has to come first."""
        if not self._clear:
            unsettled = unsettled_of(self.lease.source)
            if unsettled is not None:
                return self._settle(unsettled)
            if self._withheld():
                raise WaitsForRepublish
            self._clear = True
        batches = self._queued()
        if not batches:
            return self._idle()
        return self._publish(batches, meanwhile)

    def close(self) -> None:
        self._end_scan()
        if self._producer is not None:
            self._producer.destroy()
            self._producer = None

    def _end_scan(self) -> None:
        if self._scan is not None:
            self._scan.close()
            self._scan = None

    # --- settling

    def _settle(self, unsettled: UnsettledAttempt) -> Step:
        contract = compiled_contract(unsettled.contract).contract
        if unsettled.state == "PREPARED":
            retry_transaction(lambda: self._write_unknown(unsettled.id, unsettled.win, NO_OUTCOME))
            return Step(0, idle=False)
        if unsettled.decided:
            self._end_scan()
            serve_decision(self.lease, unsettled, contract.reconcile)
            return Step(0, idle=False)
        rules = contract.reconcile
        waits, left = unsettled.due(rules.automatic, rules.after / timedelta(seconds=1))
        if waits is WaitReason.REQUEST:
            raise WaitsForReconcile(found=f"attempt {unsettled.id} {unsettled.state}")
        if waits is WaitReason.SILENCE:
            raise WaitsForSilence(min(left, _LONGEST_REST), found=f"attempt {unsettled.id} {unsettled.state}")
        self._fence(contract)
        failpoint("reconcile.after_fence")
        return self._reconcile(unsettled, contract)

    def _reconcile(self, unsettled: UnsettledAttempt, contract: Contract) -> Step:
        assert self._fenced_at is not None
        if self._scan is None or self._scan.attempt.id != unsettled.id:
            self._end_scan()
            self._scan = Reconciliation(
                self._cluster, self._admin, self.lease, unsettled, contract.reconcile, self._fenced_at
            )
        answer = self._scan.step()
        failpoint("reconcile.after_step")
        if answer is None and self._scan.is_scanning:
            self._idle()
            return Step(0, idle=False, keep=True)
        if answer is None:
            return self._wait_for_transaction(self._scan, unsettled)
        self._scan = None
        self._renewed = time.monotonic()
        return Step(len(answer.places or {}), idle=False)

    def _wait_for_transaction(self, scan: Reconciliation, unsettled: UnsettledAttempt) -> Step:
        """Not idle, so that a short one is waited for under this fence; behind a long one the lane rests."""
        if scan.waited() > _TRANSACTION_SECONDS:
            raise WaitsForTransaction(patience(unsettled.silent_for, _LONGEST_REST), found=f"attempt {unsettled.id}")
        time.sleep(0.05)
        self._idle()
        return Step(0, idle=False)

    def _withheld(self) -> bool:
        with read() as cur:
            return cur.execute(sql.withheld, {"source": self.lease.source}).fetchone() is not None

    # --- publishing

    def _queued(self) -> list[QueuedBatch]:
        with read() as cur:
            rows = cur.execute(sql.queued, {"source": self.lease.source}).fetchall()
        return choose([QueuedBatch(*row) for row in rows])

    def _publish(self, batches: Sequence[QueuedBatch], meanwhile: BackgroundWork) -> Step:
        """One attempt: prepare, send, write down what came of it."""
        contract = compiled_contract(batches[0].contract).contract
        producer = self._fence(contract)
        failpoint("publish.after_fence")
        bus = self._find_bus(contract)
        prepared = self._prepare(bus, batches, self._letters(batches, bus, meanwhile))
        mark = attempt_mark(self._install, prepared.id)
        failpoint("publish.after_prepared")
        outcome = producer.send(bus.topic, _messages(prepared.letters, mark))
        failpoint("publish.after_send")
        outcome = confirm(outcome, bus.topic_id, self._topic_id_after(bus, outcome))
        return self._write(prepared, outcome)

    def _letters(self, batches: Sequence[QueuedBatch], bus: Bus, meanwhile: BackgroundWork) -> OutgoingEvents:
        """The events of these batches that have no place yet, in offset order, each with its partition."""
        statement = sql.events_without_place if any(batch.partly for batch in batches) else sql.events
        leaf = table_partition("event", batches[0].run_id)
        with read() as cur:
            cur.row_factory = tuple_row
            keys = {"batches": [batch.batch for batch in batches]}
            rows = fetch_pipelined(cur, statement.format(leaf=leaf), keys, meanwhile)
        rows.sort(key=itemgetter(0))
        columns: list[Sequence[Any]] = list(zip(*rows, strict=True)) if rows else [()] * 7
        offsets, numbers, identities, digests, keys_, headers, payloads = columns
        _check_payloads(offsets, payloads)
        partitions = partitions_for(keys_, identities, bus.partitions)
        return OutgoingEvents(offsets, numbers, identities, digests, keys_, headers, payloads, partitions)

    def _prepare(self, bus: Bus, batches: Sequence[QueuedBatch], letters: OutgoingEvents) -> PreparedAttempt:
        """Commits PREPARED: what will be sent, where, under which fence, and where each partition stood before."""
        partitions = sorted(set(letters.partitions))
        marks = self._admin.high_watermarks(bus.topic, partitions)
        if self._admin.topic_id(bus.topic) != bus.topic_id:
            self._bus.clear()
            raise BusMissing(expected=f"{bus.topic} with id {bus.topic_id}", found="another topic of that name")
        attempt = retry_transaction(lambda: self._write_prepared(bus, batches, letters, marks))
        self._renewed = time.monotonic()
        self._clear = False
        return PreparedAttempt(attempt, bus, batches, letters)

    def _write_prepared(
        self, bus: Bus, batches: Sequence[QueuedBatch], letters: OutgoingEvents, marks: dict[int, tuple[int, int]]
    ) -> AttemptId:
        with write() as cur:
            attempts.lock_position(cur, self.lease)
            failpoint("prepare.after_hold")
            attempt = self._insert(cur, bus, batches, letters, marks)
            failpoint("prepare.after_attempt")
            attempts.touch(cur, [batches[0].win])
            failpoint("prepare.before_commit")
        return attempt

    def _insert(
        self,
        cur: Cursor,
        bus: Bus,
        batches: Sequence[QueuedBatch],
        letters: OutgoingEvents,
        marks: dict[int, tuple[int, int]],
    ) -> AttemptId:
        numbers = [batch.batch for batch in batches]
        taken = cur.execute(sql.dequeue, {"batches": numbers, "source": self.lease.source}).fetchall()
        if len(taken) != len(numbers):
            raise PublishError(expected=f"{len(numbers)} queued batches", found=f"{len(taken)}", next_step="look again")
        failpoint("prepare.after_dequeue")
        row = cur.execute(sql.insert_attempt, self._attempt_row(bus, letters)).fetchone()
        assert row is not None
        attempt = AttemptId(row.id)
        failpoint("prepare.after_attempt_row")
        cur.execute(sql.insert_attempt_batches, {"attempt": attempt, **_by_batch(letters)})
        failpoint("prepare.after_attempt_batches")
        cur.execute(
            sql.insert_attempt_partitions,
            {
                "attempt": attempt,
                "partitions": list(marks),
                "sources": [bus.sources[partition] for partition in marks],
                "los": [lo for lo, _ in marks.values()],
                "epochs": [epoch for _, epoch in marks.values()],
            },
        )
        return attempt

    def _attempt_row(self, bus: Bus, letters: OutgoingEvents) -> dict[str, object]:
        return {
            "source": self.lease.source, "transactional_id": transactional_id(self._install, self.lease.source),
            "fence": self.lease.fence, "owner": self.lease.owner, "install": self._install,
            "cluster_id": bus.cluster_id, "topic_id": bus.topic_id, "topic": bus.topic, "events": len(letters),
            "bytes": sum(map(len, letters.payloads)),
        }  # fmt: skip

    def _topic_id_after(self, bus: Bus, outcome: Outcome) -> str | None:
        if outcome.kind is not Kind.ACKED:
            return None
        try:
            return self._admin.topic_id(bus.topic)
        except BrokerError as error:
            log.warning("topic id not read after a commit: %s", error)
            return None

    def _write(self, prepared: PreparedAttempt, outcome: Outcome) -> Step:
        if outcome.kind is Kind.ACKED:
            retry_transaction(lambda: self._write_acked(prepared, outcome))
            return Step(len(prepared.letters), idle=False)
        self.close()
        if outcome.kind is Kind.NOT_SENT:
            retry_transaction(lambda: self._write_not_sent(prepared, outcome.why))
            raise AttemptNotSent(found=outcome.why, next_step="nothing: it is tried again under a new fence")
        retry_transaction(lambda: self._write_unknown(prepared.id, prepared.win, outcome.why))
        raise AttemptUnknown(found=outcome.why, next_step="nothing: the lane fences it and looks")

    def _write_acked(self, prepared: PreparedAttempt, outcome: Outcome) -> None:
        """Every event's place and the attempt's end in one transaction."""
        letters, sources = prepared.letters, prepared.bus.sources
        with write() as cur:
            attempts.lock_position(cur, self.lease)
            failpoint("acked.after_hold")
            numbers, partitions, offsets = zip(*outcome.places, strict=True) if outcome.places else ((), (), ())
            places = (map(letters.offsets.__getitem__, numbers), map(sources.__getitem__, partitions), offsets)
            attempts.write_places(cur, self.lease.source, prepared.id, zip(*places, strict=True))
            failpoint("acked.after_places")
            attempts.set_state(cur, prepared.id, "ACKED")
            failpoint("acked.after_state")
            attempts.serve_requests(cur, prepared.id)
            failpoint("acked.after_requests")
            attempts.progress(cur, self.lease, prepared.batches[-1].to_offset)
            failpoint("acked.after_position")
            attempts.touch(cur, [prepared.win])
            failpoint("acked.before_commit")
        self._renewed = time.monotonic()
        self._clear = True

    def _write_not_sent(self, prepared: PreparedAttempt, why: str) -> None:
        with write() as cur:
            attempts.lock_position(cur, self.lease)
            failpoint("not_sent.after_hold")
            attempts.set_state(cur, prepared.id, "NOT_SENT", why)
            failpoint("not_sent.after_state")
            attempts.requeue(cur, prepared.id)
            failpoint("not_sent.after_queue")
            attempts.serve_requests(cur, prepared.id)
            failpoint("not_sent.after_requests")
            attempts.touch(cur, [prepared.win])
            failpoint("not_sent.before_commit")

    def _write_unknown(self, attempt: AttemptId, win: WindowId, why: str) -> None:
        with write() as cur:
            attempts.lock_position(cur, self.lease)
            failpoint("unknown.after_hold")
            attempts.set_state(cur, attempt, "UNKNOWN", why)
            failpoint("unknown.after_state")
            attempts.touch(cur, [win])
            failpoint("unknown.before_commit")

    # --- producer and bus

    def _fence(self, contract: Contract) -> TransactionalProducer:
        """The producer of this lease, made at first need: fence, then look at the lease again, then use it."""
        if contract.bus.topic not in self._checked:
            self._checked[contract.bus.topic] = self._check_bus(contract)
        if self._producer is not None and self._producer.batch_bytes > self._checked[contract.bus.topic]:
            self._producer.destroy()  # a later contract's topic takes less at once
        if self._producer is None or self._producer.dead:
            seconds = min(contract.bus.delivery_timeout / timedelta(seconds=1), LONGEST_ATTEMPT)
            name = transactional_id(self._install, self.lease.source)
            renew(self.lease)  # only the lease's holder starts a producer: it would end the transaction of another's
            failpoint("publish.before_init")
            most = min(self._checked.values())
            producer = TransactionalProducer(self._cluster, name, delivery_timeout=seconds, batch_bytes=most)
            producer.init(_FENCE_SECONDS)
            failpoint("publish.after_init")
            renew(self.lease)
            self._renewed = time.monotonic()
            self._producer, self._fenced_at = producer, attempts.clock()
        return self._producer

    def _check_bus(self, contract: Contract) -> int:
        """What the algorithm stands on, read at every start of the lane because it can change while brokers run.

        Returns the most bytes that the topic takes at once.
        """
        if not self._admin.verifies_transactions():
            raise VerificationOff(
                expected="transaction.partition.verification.enable=true on every broker", next_step="set it"
            )
        if self._admin.topic_id(contract.bus.topic) is None:
            raise BusMissing(expected=f"topic {contract.bus.topic}", found="none", next_step="create it")
        posture = self._admin.posture(contract.bus.topic)
        if "compact" in posture.get("cleanup.policy", ""):
            raise BusCompacts(expected=f"{contract.bus.topic} with cleanup.policy=delete", next_step="set it")
        most, largest = int(posture.get("max.message.bytes", 0)), largest_record(contract.limits)
        if most < largest:
            raise BusTooSmall(
                expected=f"max.message.bytes of at least {largest:,}", found=f"{most:,}", next_step="raise it"
            )
        return most

    def _find_bus(self, contract: Contract) -> Bus:
        """The bus as first seen under this lease; `_prepare` checks that it still is that topic.

        Events go by the contract's number of partitions, so that a key stays where it is when partitions are added.
        """
        partitions = contract.bus.partitions
        key = hash((contract.bus.topic, partitions))
        if key not in self._bus:
            facts = self._admin.topics([contract.bus.topic])[contract.bus.topic]
            if facts is None:
                raise BusMissing(expected=f"topic {contract.bus.topic}", found="none", next_step="create it")
            if len(facts.partitions) < partitions:
                raise BusTooNarrow(expected=f"{partitions} partitions", found=f"{len(facts.partitions)}")
            self._bus[key] = self._number_bus(facts, partitions)
        return self._bus[key]

    def _number_bus(self, facts: TopicFacts, partitions: int) -> Bus:
        """The bus's sources are made when a run is opened on it: one that has none was made, or changed, since."""
        cluster_id = self._admin.cluster_id()
        keys = {"stream": self.source.stream_id, "cluster_id": cluster_id, "topic_id": facts.topic_id}
        with read() as cur:
            sources = {row.partition: row.id for row in cur.execute(sql.bus_sources, keys).fetchall()}
        if not sources.keys() >= set(range(partitions)):
            raise TopicChanged(
                expected=f"{facts.topic} as it was when the run was opened",
                found=f"cluster {cluster_id}, topic id {facts.topic_id}",
                next_step="the window fails; the next one starts on the new topic",
            )
        return Bus(cluster_id, facts.topic, facts.topic_id, partitions, sources)

    def _idle(self) -> Step:
        if time.monotonic() - self._renewed > _RENEW_AFTER:
            renew(self.lease)
            self._renewed = time.monotonic()
        return Step(0, idle=True)


def _check_payloads(offsets: Sequence[int], payloads: Sequence[bytes | None]) -> None:
    if None in payloads:
        gone = offsets[payloads.index(None)]
        raise PayloadGone(expected=f"the payload of offset {gone}", found="none", next_step="a plan decides")


def _by_batch(letters: OutgoingEvents) -> dict[str, list[Any]]:
    """Each batch's offsets and partitions as PostgreSQL reads arrays, which is less work than a parameter a number."""
    found: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for batch, offset, partition in zip(letters.batches, letters.offsets, letters.partitions, strict=True):
        found[batch].append((offset, partition))
    arrays = [[f"{{{str(list(numbers))[1:-1]}}}" for numbers in zip(*rows, strict=True)] for rows in found.values()]
    return {
        "batches": list(found),
        "offsets": [offsets for offsets, _ in arrays],
        "partitions": [partitions for _, partitions in arrays],
    }


def _messages(letters: OutgoingEvents, mark: bytes) -> BusMessages:
    def headers() -> Iterable[SentHeaders]:
        originals = map(unpacked_headers, letters.headers)
        return marked_all(originals, letters.identities, mark, letters.digests)

    return BusMessages(letters.partitions, letters.keys, letters.payloads, headers)
