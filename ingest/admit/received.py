"""Whether a log still holds what was received of it last: looked at before a lane goes on reading.

Offsets and leader epochs tell of a log that was cut or elected anew. A broker whose whole disk was put back from a copy
gives both again: what is written then stands where others stood, and a position behind them would pass it unread. The
receipt of the newest record has its digest (docs/kafka-facts.md#a-log-that-was-put-back).
"""

from __future__ import annotations

from dataclasses import dataclass

from ingest.core.cloudevents import digest_as_said
from ingest.core.ids import SourceId
from ingest.db import read, statements
from ingest.kafka import FetchResult, LogPutBack

sql = statements("ingest.admit", "received")


@dataclass(frozen=True, slots=True)
class ReceivedRecord:
    """The newest record below a position that has a receipt: where it stood, and the digest of its payload."""

    offset: int
    digest: bytes

    def check(self, found: FetchResult) -> None:
        """`found`: what a read from its offset brought first. Retention may have taken it; then nothing is compared.

        Raises:
            LogPutBack: another record is there.
        """
        for record in found.records[:1]:
            if record.offset != self.offset:
                return
            digest = digest_as_said(record.value, record.headers, self.digest)
            if digest != self.digest:
                raise LogPutBack(
                    expected=f"at offset {self.offset} the record that was received, {self.digest.hex()[:16]}",
                    found=f"another one there, {digest.hex()[:16]}",
                    next_step="find out who put the log back, and copy what nobody read of it to a topic created anew",
                )


def newest_received(source: SourceId, position: int) -> ReceivedRecord | None:
    with read() as cur:
        row = cur.execute(sql.newest, {"source": source, "position": position}).fetchone()
    return None if row is None else ReceivedRecord(row.offset, bytes(row.payload_digest))
