"""The effects lane: reads the bus read_committed and makes each event's effect durable once.

One transaction writes effects, the projection's rows, the bus batch and the position; Kafka's commit follows and serves
other tools. A worker that was fenced changes nothing. Its rules are in docs/design.md#consuming.
"""

from __future__ import annotations

import os

from ingest.consume.attempt_cache import cache_of
from ingest.consume.transaction import consume
from ingest.core.batching import BATCH_BYTES, BATCH_RECORDS, OffsetRange, before
from ingest.core.errors import BrokerError
from ingest.core.ids import StreamId
from ingest.core.lane import BackgroundWork, Step, WaitsForContext, no_background
from ingest.core.lease import Lease
from ingest.db import read, statements
from ingest.failpoints import failpoint
from ingest.kafka import Admin, Cluster, LogTruncated, OffsetOutOfRange
from ingest.lanes.partition_lane import PartitionLane
from ingest.lanes.record_buffer import RecordBuffer
from ingest.projections.base import (
    check_guarded,
)
from ingest.streams import compiled_contract

sql = statements("ingest.consume", "lane")


class EffectsLane(PartitionLane):
    """Makes the effects of what one bus source holds."""

    def __init__(self, lease: Lease, cluster: Cluster, admin: Admin) -> None:
        super().__init__(lease, cluster, admin)
        self.gathering = RecordBuffer(lease.next_offset, lease.leader_epoch, self._read)
        self._cache = cache_of(os.getpid())
        _check_guarded(StreamId(self.source.stream_id))

    def close(self) -> None:
        super().close()
        self.gathering.close()

    def prefetch(self) -> bool:
        return self._reader is not None and self.gathering.read_on(BATCH_RECORDS, BATCH_BYTES)

    def is_prefetched(self) -> bool:
        return self.gathering.is_full(BATCH_RECORDS, BATCH_BYTES)

    def step(self, max_wait: float, meanwhile: BackgroundWork = no_background) -> Step:
        """Reads and commits one bounded batch."""
        gathering, limits = self.gathering, (BATCH_RECORDS, BATCH_BYTES)
        try:
            gathering.fill(max_wait, *limits)
        except (OffsetOutOfRange, LogTruncated) as gone:
            return self._pass_over(gone)
        failpoint("consume.after_read")
        if not gathering.moved():
            return self._idle()
        if not gathering.is_ripe(*limits):
            return Step(0, idle=False)
        self._check_topic()
        batch = gathering.next_batch(None, *limits)
        try:
            done = consume(self.source, self.lease, self._install, batch, self._cache, meanwhile)
        except WaitsForContext as waits:
            self._apply_before(batch, waits.offset, meanwhile)
            raise
        self._moved(done.next_offset, batch.leader_epoch)
        failpoint("consume.before_kafka_commit")
        self._tell()
        return Step(done.records, idle=False)

    def _apply_before(self, batch: OffsetRange, offset: int, meanwhile: BackgroundWork) -> None:
        """The windows before are not held back by one that waits for its context."""
        if offset == batch.start:
            return
        part = before(batch, offset)
        done = consume(self.source, self.lease, self._install, part, self._cache, meanwhile)
        self._moved(done.next_offset, part.leader_epoch)
        failpoint("consume.after_what_waits_not")
        self._tell()

    def _pass_over(self, gone: BrokerError) -> Step:
        """What was deleted before it was read is written down, and the lane goes on behind it."""
        poll = self._deleted(gone)
        done = consume(self.source, self.lease, self._install, poll, self._cache)
        self._moved(done.next_offset, None)
        self.close()
        self.gathering = RecordBuffer(self.lease.next_offset, None, self._read)
        return Step(0, idle=False)


def _check_guarded(stream: StreamId) -> None:
    """No lane writes into a table that readers read past the gate. Raises TruthUnguarded."""
    with read() as cur:
        for row in cur.execute(sql.contracts, {"stream": stream}).fetchall():
            check_guarded(cur, compiled_contract(row.contract_id).contract)
