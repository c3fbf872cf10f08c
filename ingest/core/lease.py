"""What a lease is: one owner of a (lane, source), under one fence, until the database's clock says otherwise."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ingest.core.ids import SourceId, StreamId

LEASE_SECONDS = 30
#: An attempt ends well inside its lease and those of the process's other lanes (s).
LONGEST_ATTEMPT = LEASE_SECONDS / 2
#: How many re-checks of a gate its lease lasts for.
RECHECKS_A_LEASE = 3


@dataclass(frozen=True)
class Lease:
    """Held by `owner` (host:pid:boot nonce). `next_offset` and `leader_epoch` are as last committed under it."""

    lane: str
    source: SourceId
    stream: StreamId
    owner: str
    fence: int
    next_offset: int
    leader_epoch: int | None

    def at(self, next_offset: int, leader_epoch: int | None) -> Lease:
        return replace(self, next_offset=next_offset, leader_epoch=leader_epoch)
