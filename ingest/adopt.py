"""Adopting an older copy of the database as the ledger, where the newest one is lost: it goes on as another
installation.

Whatever the lost ledger wrote carries the installation that it was: its commits are in groups that nobody asks for any
more, its attempts on the bus are foreign, and its producers have transactional ids of their own. All numbers jump
beyond those that it may have given, by a trigger. Lanes read on from the copy's positions: what the lost ledger
admitted since is admitted, and published, once more.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ingest.auditlog import record_act
from ingest.behind import commits_ahead, generation_ahead
from ingest.core.errors import LedgerError
from ingest.db import Cursor, fetch_one, statements
from ingest.failpoints import failpoint
from ingest.install import install_id
from ingest.kafka import Admin
from ingest.models import Stream

sql = statements("ingest", "install")


class NotBehind(LedgerError):
    """There is nothing to adopt: Kafka was told of nothing that this ledger lacks."""

    code: ClassVar[str] = "ledger_not_behind"
    what: ClassVar[str] = "the ledger is the newest that Kafka knows of"


@dataclass(frozen=True)
class AdoptGrant:
    """A plan to adopt, as the approver saw it."""

    facts: Mapping[str, Any]
    plan: int
    requested_by: str
    reason: str


def lost(stream: Stream, admin: Admin) -> dict[str, Any]:
    """What Kafka was told that this ledger lacks, and the installation that it is.

    {"install": id, "generation": the newest that was told beside any stream, or 0, "ahead": commits of this
    stream, as in "flights.inbox/0: 15 there, 10 here"}. Raises NotBehind, BrokerUnavailable.
    """
    facts = {
        "install": str(install_id()),
        "generation": generation_ahead(None, admin),
        "ahead": [str(commit) for commit in commits_ahead(stream, admin)],
    }
    if not facts["generation"] and not facts["ahead"]:
        raise NotBehind(
            expected="an older copy of the database",
            found="positions and a generation at or beyond all that Kafka was told",
        )
    return facts


def adopt(cur: Cursor, grant: AdoptGrant) -> str:
    """In the plan's own transaction. Every lease is lost with it: what works on works as the installation that was.

    Returns the id of the installation that the ledger is from now on.
    """
    cur.execute(sql.lock_positions)
    failpoint("adopt.after_locks")
    made = str(fetch_one(cur.execute(sql.adopt, {"plan": grant.plan})).install_id)
    failpoint("adopt.after_row")
    cur.execute(sql.fence_off)
    failpoint("adopt.after_fences")
    detail = {"plan": grant.plan, "install": made, **grant.facts}
    record_act(cur, grant.requested_by, "ledger.adopted", grant.facts["install"], grant.reason, detail)
    return made
