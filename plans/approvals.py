"""How many approvals a plan needs, by the contracts as they are, and which it has; and writing one down."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ingest.core.ids import StreamId, WindowId
from ingest.db import Cursor, fetch_one, read, statements
from plans.core.approvals import Approval, Approvals, approvals_in, more_asked
from plans.core.people import Actor
from plans.core.plan import Kind

sql = statements("plans", "approvals")


def approvals_needed(kind: Kind, stream: StreamId, win: WindowId | None) -> int:
    """How many a plan of this kind about this window needs now, as the database says."""
    with read() as cur:
        return _needed(cur, kind, stream, win)


def approvals_changed(cur: Cursor, plan: Any) -> list[str]:
    """Whether a contract asks for more by now than the plan binds, in words; empty: none does."""
    return more_asked(plan.binds, _needed(cur, plan.kind, plan.stream_id, plan.win))


def _needed(cur: Cursor, kind: str, stream: int, win: int | None) -> int:
    return int(fetch_one(cur.execute(sql.needed, {"kind": kind, "stream": stream, "win": win})).needed)


def approvals_of(cur: Cursor, plan: Any) -> Approvals:
    """Of one plan, inside its own transaction."""
    found = _given(cur, [plan.id]).get(plan.id, ())
    return Approvals(approvals_in(plan.binds), found)


def approvals_given(numbers: Iterable[int]) -> Mapping[int, tuple[Approval, ...]]:
    """By plan, those that it has: in one query, and in none where there are no plans."""
    wanted = list(numbers)
    if not wanted:
        return {}
    with read() as cur:
        return _given(cur, wanted)


def _given(cur: Cursor, numbers: list[int]) -> dict[int, tuple[Approval, ...]]:
    found: dict[int, tuple[Approval, ...]] = {}
    for row in cur.execute(sql.given, {"plans": numbers}).fetchall():
        approval = Approval(Actor(row.who, row.person), row.at, row.why)
        found[row.plan_id] = (*found.get(row.plan_id, ()), approval)
    return found


def give(cur: Cursor, number: int, actor: Actor, digest: bytes, why: str) -> None:
    """Writes one down. The database refuses it to whoever asked, twice to one person, and of another digest."""
    values = {"plan": number, "who": actor.name, "person": actor.person, "digest": digest, "why": why}
    cur.execute(sql.give, values)
