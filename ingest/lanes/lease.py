"""Taking, renewing and giving back the lease of a (lane, source)."""

from __future__ import annotations

import os
import secrets
import socket
from functools import cache
from typing import Any

from ingest.core.errors import LeaseError
from ingest.core.ids import SourceId
from ingest.core.lease import LEASE_SECONDS, Lease
from ingest.db import read, retry_transaction, statements, write

sql = statements("ingest.lanes", "lease")


@cache
def _owner_of(pid: int) -> str:
    return f"{socket.gethostname()}:{pid}:{secrets.token_hex(4)}"


def owner() -> str:
    """This process, told apart from an earlier one with the same pid by a nonce made at its first use after fork."""
    return _owner_of(os.getpid())


def take(lane: str, source: SourceId, seconds: int = LEASE_SECONDS) -> Lease | None:
    """The lease under a new fence, or None while somebody else's has not expired."""
    who = owner()
    keys = {"lane": lane, "source": source, "owner": who, "seconds": seconds}
    row = retry_transaction(lambda: _written(sql.take, keys))
    if row is None:
        return None
    return Lease(lane, source, row.stream_id, who, row.fence, row.next_offset, row.leader_epoch)


def renew(lease: Lease, seconds: int = LEASE_SECONDS) -> None:
    """Raises LeaseError if the lease is no longer ours: whoever holds it owns the work now."""
    if retry_transaction(lambda: _written(sql.renew, _keys(lease) | {"seconds": seconds})) is None:
        raise lost(lease)


def release(lease: Lease) -> None:
    retry_transaction(lambda: _written(sql.release, _keys(lease)))


def stop(lease: Lease, code: str, detail: str, seconds: float) -> None:
    """Writes down why the lane stopped, and lets go of it; nobody takes it again before `seconds` are over."""
    keys = _keys(lease) | {"code": code, "detail": detail[:2000], "seconds": seconds}
    retry_transaction(lambda: _written(sql.stop, keys))


def clear_stop(lease: Lease) -> None:
    """The lane works again."""
    retry_transaction(lambda: _written(sql.clear_stop, _keys(lease)))


def _written(statement: str, keys: dict[str, object]) -> Any:
    """One statement in a transaction of its own: the row it returns, if it returns one."""
    with write() as cur:
        cur.execute(statement, keys)
        return cur.fetchone() if cur.description else None


def lost(lease: Lease) -> LeaseError:
    with read() as cur:
        row = cur.execute(
            "SELECT owner, fence FROM position WHERE lane = %s AND source_id = %s", (lease.lane, lease.source)
        ).fetchone()
    found = f"owner {row.owner} under fence {row.fence}" if row else "no position"
    return LeaseError(
        expected=f"{lease.owner} under fence {lease.fence}", found=found, next_step="nothing: the new owner goes on"
    )


def _keys(lease: Lease) -> dict[str, object]:
    return {"lane": lease.lane, "source": lease.source, "owner": lease.owner, "fence": lease.fence}
