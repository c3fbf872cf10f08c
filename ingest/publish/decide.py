"""Deciding about an attempt that no scan can answer. Who may is for plans to say: here is what it is of.

The bus answers no more, so the ledger does: an event that has an effect was read from the bus, and lies where it was
read. Every other one is taken to be absent. A copy of it that is on the bus after all changes nothing, and contradicts
nobody: the decision says so before the lanes that read the bus go on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from ingest.core.errors import NotFound, RunError
from ingest.core.ids import AttemptId, WindowId
from ingest.db import Cursor, statements
from ingest.failpoints import failpoint
from ingest.publish import attempts

sql = statements("ingest.publish", "decide")


class NotUndecidable(RunError):
    """What became of the attempt is known, can still be found out, or never will be."""

    code: ClassVar[str] = "not_undecidable"
    what: ClassVar[str] = "there is nothing to decide about this attempt"


@dataclass(frozen=True)
class DecisionGrant:
    """A plan's decision, as the approver saw it."""

    attempt: AttemptId
    scan: int
    plan: int
    requested_by: str
    approved_by: str
    reason: str


@dataclass(frozen=True)
class MadeDecision:
    """What was decided: the state that the attempt ends in, and the places of what is present."""

    outcome: str
    places: tuple[attempts.PlaceRow, ...]


def facts_of(cur: Cursor, attempt: AttemptId) -> Mapping[str, Any]:
    """What a decision would be of, as it is now. Raises NotFound."""
    row = cur.execute(sql.facts, {"attempt": attempt}).fetchone()
    if row is None or row.facts is None:
        raise NotFound(expected=f"attempt {attempt}", found="none")
    facts: Mapping[str, Any] = row.facts
    return facts


def about(cur: Cursor, attempt: AttemptId) -> Any:
    """The attempt's stream, run, window and contract. Raises NotFound."""
    row = cur.execute(sql.about, {"attempt": attempt}).fetchone()
    if row is None:
        raise NotFound(expected=f"attempt {attempt}", found="none")
    return row


def check_undecidable(facts: Mapping[str, Any]) -> None:
    """Raises NotUndecidable for an attempt that nobody has to decide about, and for one whose log is gone."""
    number = facts["attempt"]
    if facts["over"]:
        raise NotUndecidable(
            expected="an attempt whose log is there",
            found=f"attempt {number} went to a topic that is gone",
            next_step="open a new run",
        )
    if facts["state"] != "UNDECIDABLE":
        raise NotUndecidable(
            expected=f"attempt {number} UNDECIDABLE",
            found=facts["state"],
            next_step="reconcile it first" if facts["state"] in ("PREPARED", "UNKNOWN") else "nothing",
        )


def lock(cur: Cursor, attempt: AttemptId) -> None:
    """Holds the lanes whose work could change what is decided, until the transaction ends."""
    cur.execute(sql.lock, {"attempt": attempt})


def decide(cur: Cursor, grant: DecisionGrant, win: WindowId) -> None:
    """Writes the decision in the plan's own transaction; the lane's owner serves it. `lock` comes before."""
    values = {
        "attempt": grant.attempt, "scan": grant.scan, "plan": grant.plan, "requested_by": grant.requested_by,
        "approved_by": grant.approved_by, "reason": grant.reason,
    }  # fmt: skip
    cur.execute(sql.write, values)
    failpoint("decision.after_row")
    attempts.touch(cur, [win])


def made(cur: Cursor, attempt: AttemptId) -> MadeDecision | None:
    """What was decided of the attempt, if anything was."""
    row = cur.execute(sql.made, {"attempt": attempt}).fetchone()
    if row is None:
        return None
    return MadeDecision(row.outcome, tuple(zip(row.offsets, row.bus_sources, row.bus_offsets, strict=True)))
