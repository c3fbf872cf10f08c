"""Which worker processes there are, which ended, and which are gone without a word: killed, or hung and then ended.

Celery starts another one in place of a process that dies, and says so in its log alone. The one that follows on the
same host finds the pid gone, and writes it down: `/system/lanes` shows it.
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import psutil

from ingest.db import retry_transaction, statements, write
from ingest.lanes.lease import owner

sql = statements("ingest", "processes")

KEPT = timedelta(days=7)
#: Rows kept at most, and looked at or let go of at once.
MOST_KEPT, MOST = 10_000, 1_000


def begin(node: str) -> list[str]:
    """Says that this process takes tasks of Celery's worker `node`; the owners on this host that are gone."""
    return retry_transaction(lambda: _begin(node))


def end() -> None:
    """Says that this process takes no more tasks."""
    retry_transaction(_end)


def _begin(node: str) -> list[str]:
    host = socket.gethostname()
    with write() as cur:
        cur.execute(sql.begin, {"owner": owner(), "node": node[:200]})
        there = cur.execute(sql.there, {"host": host, "most": MOST}).fetchall()
        gone = [row.owner for row in there if row.owner != owner() and _is_gone(row.pid)]
        if gone:
            cur.execute(sql.gone, {"owners": gone})
        cur.execute(sql.forget, {"older": KEPT, "rows": MOST_KEPT, "most": MOST})
    return gone


def _is_gone(pid: int) -> bool:
    """Another owner with our pid was before us. A pid that somebody else has by now is told late: when it is free."""
    return pid == os.getpid() or not psutil.pid_exists(pid)


def _end() -> None:
    with write() as cur:
        cur.execute(sql.end, {"owner": owner()})
