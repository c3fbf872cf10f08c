"""Ending re-checks: an inbox topic was moved on purpose, and what was judged of it goes on standing on the ledger.

Not retiring (ingest/retire.py): that takes note of a log that is gone. Here the log still answers, says what every open
gate stands on, and two people say that from now on nobody asks. Contradictions, contexts, waivers and the bus shut a
gate as before.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from audit import enforce
from ingest.auditlog import record_act
from ingest.core.errors import BrokerError, NotFound, PassgateError
from ingest.core.ids import StreamId, WindowId
from ingest.db import Cursor, read, statements
from ingest.failpoints import failpoint

sql = statements("audit", "recheck_end")

ROLE = "inbox"


class NotEnded(PassgateError):
    """The re-checks of this incarnation cannot be ended now."""

    code: ClassVar[str] = "rechecks_not_ended"
    what: ClassVar[str] = "these re-checks cannot be ended"


@dataclass(frozen=True)
class Incarnation:
    """What a plan that ends re-checks is of. `facts` are what it binds; `lost`: windows that never pass after it, and
    `waived`: those whose gate ends with a waiver, and does not open again. By name, each with its state."""

    stream: StreamId
    contract: int
    facts: Mapping[str, Any]
    lost: tuple[str, ...]
    waived: tuple[str, ...]


def incarnation(
    stream: str, topic: str, topic_id: str | None = None, cluster_id: str | None = None, asking: bool = True
) -> Incarnation:
    """The incarnation of this topic whose re-checks may be ended: of several the one that is named.

    `asking`: Kafka is asked whether the logs still say what every open gate stands on. Raises NotFound, NotEnded, and
    BrokerError where Kafka does not say enough.
    """
    with read() as cur:
        newest = cur.execute(sql.newest_contract, {"stream": stream}).fetchone()
        if newest is None:
            raise NotFound(expected=f"stream {stream}", found="none", next_step="passgate stream list")
        row = _chosen(cur, stream, topic, topic_id, cluster_id)
        windows = cur.execute(sql.windows, {"sources": row.sources}).fetchall()
    unjudged = [x.name for x in windows if x.state is None]
    if unjudged:
        raise NotEnded(
            expected="windows that are all judged",
            found=f"{_some(unjudged)} is not judged yet" if len(unjudged) == 1 else f"{_some(unjudged)} are not",
            next_step="end the run, and wait for its verdict",
        )
    checked = [x for x in windows if x.re_checked]
    if not checked:
        raise NotEnded(expected="a gate that is re-checked", found="none of this topic")
    if asking:
        _ask(checked)
    facts = {
        "role": ROLE,
        "topic": topic,
        "cluster_id": row.cluster_id,
        "topic_id": row.topic_id,
        "sources": sorted(row.sources),
        "last_window": row.last_win,
        "gates": [x.verdict for x in checked],
    }
    lost = tuple(f"{x.name} is {x.state}" for x in windows if x.state == "BLOCKED")
    return Incarnation(
        StreamId(newest.stream), newest.contract, facts, lost, tuple(x.name for x in checked if x.waived)
    )


def _chosen(cur: Cursor, stream: str, topic: str, topic_id: str | None, cluster_id: str | None) -> Any:
    keys = {"stream": stream, "topic": topic, "topic_id": topic_id, "cluster_id": cluster_id}
    found = cur.execute(sql.incarnations, keys).fetchall()
    if not found:
        raise NotFound(expected=f"an inbox topic {topic} of {stream}", found="none that a window read")
    there = [row for row in found if not row.gone]
    if not there:
        raise NotEnded(expected="a log that answers", found=f"{topic} is gone: another topic has its name")
    if len(there) > 1:
        ids = ", ".join(row.topic_id for row in there)
        raise NotEnded(expected="one incarnation, by its topic id", found=ids)
    return there[0]


def _ask(checked: Sequence[Any]) -> None:
    """What a re-check of these gates would find now: that each stands, or there is nothing to leave as it is."""
    found = enforce.seen_now([WindowId(x.win) for x in checked])
    names = {x.win: x.name for x in checked}
    shaken = [f"{names[win]}: {each.why}" for win, each in found.items() if each.outcome == "shut"]
    if shaken:
        raise NotEnded(expected="logs that say what every open gate stands on", found=_some(shaken))
    silent = [f"{names[win]}: {each.why}" for win, each in found.items() if each.outcome == "unmeasured"]
    if silent:
        raise BrokerError(
            expected="an answer about every log", found=_some(silent), next_step="make Kafka reachable, and ask again"
        )


MOST_NAMED = 5


def _some(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more:,} more" if more > 0 else "")


@dataclass(frozen=True)
class EndGrant:
    """A plan's end of re-checks, as the approver saw it."""

    stream: StreamId
    stream_name: str
    facts: Mapping[str, Any]
    plan: int
    requested_by: str
    approved_by: str
    reason: str


def end_rechecks(cur: Cursor, grant: EndGrant) -> None:
    """Writes it down in the plan's own transaction: the enforcer's next look asks Kafka for this topic no more."""
    log = {name: grant.facts[name] for name in ("role", "topic", "cluster_id", "topic_id", "last_window")}
    values = {
        "stream": grant.stream, "plan": grant.plan, "role": log["role"], "topic": log["topic"],
        "cluster_id": log["cluster_id"], "topic_id": log["topic_id"], "last_window": log["last_window"],
        "requested_by": grant.requested_by, "approved_by": grant.approved_by, "reason": grant.reason,
    }  # fmt: skip
    cur.execute(sql.write, values)
    failpoint("recheck_end.after_row")
    detail = {"plan": grant.plan, **log, "gates": len(grant.facts["gates"])}
    record_act(cur, grant.requested_by, "gate.rechecks_ended", grant.stream_name, grant.reason, detail)
