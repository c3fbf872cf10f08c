"""What lanes that read a partition have in common: the lease of its source, the consumer, and what Kafka is told."""

from __future__ import annotations

import logging
import time

from ingest.behind import check_current
from ingest.core.batching import DELETED, Hole, OffsetRange
from ingest.core.errors import BrokerError
from ingest.core.group import group_of, mark_of
from ingest.core.lane import OFFSET_COMMIT_INTERVAL, Step
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.db import fetch_one, read, statements
from ingest.install import install_id
from ingest.kafka import READ_COMMITTED, Admin, Cluster, FetchResult, Partition, PartitionReader, Start, TopicChanged
from ingest.lanes.lease import clear_stop, renew
from ingest.models import Source

log = logging.getLogger(__name__)
sql = statements("ingest.lanes", "partition_lane")

_RENEW_AFTER = LEASE_SECONDS / 3


class PartitionLane:
    """Holds the lease of one source, with its consumer. Made in the process that uses it, after fork."""

    def __init__(self, lease: Lease, cluster: Cluster, admin: Admin) -> None:
        self.lease = lease
        self.source = Source.objects.select_related("stream").get(id=lease.source)
        check_current(self.source.stream, admin)
        self.here = Partition(self.source.topic, self.source.partition)
        self._cluster = cluster
        self._admin = admin
        self._reader: PartitionReader | None = None
        self._install = str(install_id())
        self._renewed = time.monotonic()
        self._told, self._untold = float("-inf"), False  # when Kafka was last told, and whether a position since waits
        clear_stop(lease)

    @property
    def group(self) -> str:
        """The group whose commits other tools watch; Postgres is the authority (K9)."""
        return group_of(self._install, self.source.stream.name)

    def prefetch(self) -> bool:
        return False

    def is_prefetched(self) -> bool:
        return False

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def _moved(self, next_offset: int, leader_epoch: int | None) -> None:
        """A transaction moved the position, and renewed the lease."""
        self.lease = self.lease.at(next_offset, leader_epoch)
        self._renewed = time.monotonic()
        self._untold = True

    def _idle(self) -> Step:
        if self._untold:
            self._commit()
        elif time.monotonic() - self._renewed > _RENEW_AFTER:
            renew(self.lease)
            self._renewed = time.monotonic()
        return Step(0, idle=True)

    def _read(self, records: int, max_wait: float, size: int) -> FetchResult | None:
        return self._open().read(records, max_wait, size).get(self.here)

    def _open(self) -> PartitionReader:
        """At the position: whatever is read before that moves was read by this consumer."""
        if self._reader is None:
            self._check_topic()
            self._reader = PartitionReader(self._cluster, group=self.group, mark=mark_of(self._install))
            self._begin(self._reader)
        return self._reader

    def _begin(self, reader: PartitionReader) -> None:
        reader.assign([self._start()])

    def _start(self) -> Start:
        at = self.lease.next_offset
        with read() as cur:
            anchor = fetch_one(cur.execute(sql.anchor, {"source": self.source.id, "next": at})).at
        return Start(self.here.topic, self.here.partition, at, self.lease.leader_epoch, anchor)

    def _check_topic(self) -> None:
        """After every read and before its commit; the check that ends one batch opens the next (K5)."""
        found = self._admin.topic_id(self.source.topic)
        if found != self.source.topic_id:
            raise TopicChanged(
                expected=f"{self.source.topic} with id {self.source.topic_id}",
                found=f"id {found}" if found else "no such topic",
                next_step="the window fails; the next one starts on the new topic",
            )

    def _deleted(self, gone: BrokerError, cut: int | None = None) -> OffsetRange:
        """The offsets from our position to where the log begins now: retention or delete-records took them (K7).

        Whoever waited for them would wait for ever, and lose more meanwhile; so they are passed, as a hole that nobody
        can prove to be empty. Raises `gone` again where this is not what happened.
        """
        self._check_topic()
        ends = self._admin.ends(self.here.topic, [self.here.partition])[self.here.partition]
        self._check_topic()
        at, start, end = self.lease.next_offset, ends.earliest, ends.hw
        if start is None or end is None or not at < start <= end:
            raise gone
        upto = start if cut is None else min(start, cut)
        log.warning("%s/%s: [%s, %s) was deleted unread", *self.here, at, upto)
        return OffsetRange(at, upto, None, (), (Hole(at, upto, None, READ_COMMITTED, DELETED),))

    def _tell(self) -> None:
        """Kafka, of the position that is durable now; not for every batch of many."""
        if self._renewed - self._told >= OFFSET_COMMIT_INTERVAL:
            self._commit()

    def _commit(self) -> None:
        """Only once it is durable, and for other tools; a failure changes nothing here."""
        assert self._reader is not None
        self._told, self._untold = time.monotonic(), False
        fault = self._reader.commit({self.here: (self.lease.next_offset, self.lease.leader_epoch)})
        if fault is not None:
            log.warning("offset commit to Kafka failed: %s", fault)
