"""Waivers: what of a window may be waived, what its verdict would then be, and writing one down.

Who may have one is for plans to say: here is what it is of. `waiver_facts`, a function of the database, is the one rule
of which facts those are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, ClassVar

from psycopg.types.json import Jsonb

from audit import capture as look
from audit.core import checks as c
from audit.core import facts as f
from audit.core import verdict as v
from audit.measure import lanes, measure, window_row
from audit.now import facts_now
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId
from ingest.core.stored import known
from ingest.db import Cursor, fetch_one, read, statements
from ingest.streams import compiled_contract
from ingest.windows import raise_revisions

sql = statements("audit", "waive")


class NotWaivable(PassgateError):
    """The check may not be waived, or there is nothing to waive."""

    code: ClassVar[str] = "not_waivable"
    what: ClassVar[str] = "this cannot be waived"


@dataclass(frozen=True)
class WaiverForecast:
    """What a waiver would be of, and what the window's verdict would be with it and is without it."""

    facts: Mapping[str, Any]
    before: v.Verdict
    after: v.Verdict


def facts_of(cur: Cursor, win: WindowId, check: str) -> Mapping[str, Any]:
    """What a waiver of this check would be of, as it is now. Raises NotWaivable for a window that is past that."""
    row = fetch_one(cur.execute(sql.facts, {"win": win, "check": check}))
    if row.facts is None:
        raise NotWaivable(expected=f"one of {', '.join(sorted(c.WAIVABLE))}", found=check)
    if row.state != "CUT":
        raise NotWaivable(expected="a cut window", found=f"the window is {row.state}", next_step="cut it")
    if row.failed is not None:
        raise NotWaivable(expected="a window that has not failed", found=f"#{row.failed} is FAIL")
    facts: Mapping[str, Any] = row.facts
    return facts


def foresee(win: WindowId, check: str, until: datetime) -> WaiverForecast:
    """What waiving would do, on the facts as they are. Nothing is stored. Raises NotFound, NotWaivable."""
    with read() as cur:
        waived = facts_of(cur, win, check)
    facts, now = facts_now(win)
    before = v.verdict(facts, now)
    if any(check.state is c.State.UNMEASURED for check in before.checks):
        # what a page is shown may lack an answer of Kafka's, for it waits for one no longer than a page may
        with read() as cur:
            contract = compiled_contract(window_row(cur, win).contract_id).contract
        measurement = measure(win, look.capture(contract, lanes(win)))
        facts, now = measurement.facts, measurement.at
        before = v.verdict(facts, now)
    _check_waivable(before, facts, check)
    trial = f.Waiver(check, 0, "", "", "", until, "", "")
    after = v.verdict(replace(facts, waivers=(trial, *facts.waivers)), now)
    return WaiverForecast(waived, before, after)


def _check_waivable(now: v.Verdict, facts: f.WindowFacts, check: str) -> None:
    name = known(c.CheckName, check)
    if name is None:
        raise NotWaivable(expected="a check that this version knows", found=check[:100])
    if not v.waivable(name, facts.rules):
        raise NotWaivable(expected="what the contract lets be waived", found='close.empty = "never"')
    judged = now.check(name)
    if judged is None:
        raise NotWaivable(expected=f"{name} among the window's checks", found="it is not asked for")
    if judged.state is c.State.UNMEASURED or judged.follows_from is not None:
        raise NotWaivable(
            expected=f"{name} measured", found=judged.cause or "not measured", next_step="wait, then ask again"
        )
    if judged.state is c.State.HOLDS:
        raise NotWaivable(expected=f"{name} broken", found=f"{name} holds: {judged.observed}")


@dataclass(frozen=True)
class WaiverGrant:
    """A plan's waiver, as the approver saw it."""

    win: WindowId
    check: str
    facts: Mapping[str, Any]
    until: datetime
    plan: int
    requested_by: str
    approved_by: str
    reason: str


def waive(cur: Cursor, grant: WaiverGrant) -> None:
    """Writes the waiver in the plan's own transaction, and tells the window that a fact of it has changed.

    The window's row comes first: whoever changes a fact of it meanwhile is waited for, and then seen.
    """
    raise_revisions(cur, [grant.win])
    values = {
        "win": grant.win, "check": grant.check, "facts": Jsonb(dict(grant.facts)), "until": grant.until,
        "plan": grant.plan, "requested_by": grant.requested_by, "approved_by": grant.approved_by,
        "reason": grant.reason,
    }  # fmt: skip
    cur.execute(sql.write, values)
