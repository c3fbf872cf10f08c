"""Gaps as a lane claims them: offsets at which it was given nothing, in the transaction that moves over them."""

from __future__ import annotations

from collections.abc import Sequence

from ingest.core.batching import Hole
from ingest.core.lease import Lease
from ingest.db import Cursor, statements

sql = statements("ingest.lanes", "gap_claims")


def claim_gaps(cur: Cursor, lease: Lease, holes: Sequence[Hole]) -> None:
    """CLAIMED, under the lease's fence; closing proves them with a second reader (K1, K12)."""
    if holes:
        cur.execute(
            sql.insert,
            {
                "source": lease.source, "fence": lease.fence, "froms": [h.start for h in holes],
                "tos": [h.end for h in holes], "epochs": [h.leader_epoch for h in holes],
                "isolations": [h.isolation for h in holes], "whys": [h.why for h in holes],
            },
        )  # fmt: skip
