"""A waiver: one check of a window may stand broken, until a time, on the facts that were approved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar

from audit import capture as look
from audit import waive as waivers
from audit.close import window_of
from audit.core import checks as c
from audit.core.snapshot import stamp
from audit.measure import window_row
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId, StreamId, WindowId
from ingest.db import Cursor, read
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import Kind, Outcome
from plans.errors import PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step

LONGEST = timedelta(days=400)


class WaivePlan(PlanKind):
    """Asked: stream, run, check, until; window, where it is not the run's newest."""

    kind: ClassVar[Kind] = Kind.WAIVE

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        win = window_of(asked["stream"], asked["run"], asked.get("window"))
        check, until = str(asked["check"]), _until(asked["until"])
        if check not in c.WAIVABLE:
            raise PlanRefused(expected=f"one of {', '.join(sorted(c.WAIVABLE))}", found=check)
        with read() as cur:
            row = window_row(cur, win)
            facts = waivers.facts_of(cur, win, check)
        plans = compiled_contract(row.contract_id).contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(row.stream_id),
            run=RunId(row.run_id),
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked={"check": check, "until": stamp(until)},
            facts=facts,
            items=(check,),
            expire=plans.expire,
        )

    def foresee(self, bound: Bindings) -> Prediction:
        assert bound.win is not None
        check, until = bound.asked["check"], datetime.fromisoformat(bound.asked["until"])
        seen = waivers.foresee(bound.win, check, until)
        broken = seen.before.check(c.CheckName(check))
        left = [cause.text for each in seen.after.failed() if each.follows_from is None for cause in each.causes]
        lines = [
            f"{check} does not hold: {broken.cause}." if broken else f"{check} does not hold.",
            f"Until {bound.asked['until'][:16].replace('T', ' ')} it would be waived, on these facts and no others.",
            f"The window's next verdict would be {seen.after.title}.",
            *(f"Still in its way: {text}." for text in left),
        ]
        return Prediction({Outcome.DONE: 1}, tuple(lines), seen.after.title)

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        check, until = step.binds["asked"]["check"], step.binds["asked"]["until"]
        now: datetime = look.clock(cur)
        if datetime.fromisoformat(until) <= now:
            return [f"it was to last until {until}, which is over"]
        try:
            facts = waivers.facts_of(cur, WindowId(step.plan.win), check)
        except PassgateError as refused:
            return [f"{refused.what}: {refused.found}"]
        return difference({check: step.binds["facts"]}, {check: facts})

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan, wanted = step.plan, step.binds["asked"]
        grant = waivers.WaiverGrant(
            win=WindowId(plan.win),
            check=wanted["check"],
            facts=step.binds["facts"],
            until=datetime.fromisoformat(wanted["until"]),
            plan=plan.id,
            requested_by=plan.requested_by,
            approved_by=plan.approved_by,
            reason=plan.reason,
        )
        waivers.waive(cur, grant)
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def _until(said: Any) -> datetime:
    """An aware time in the next 400 days, by the database's clock."""
    try:
        until = said if isinstance(said, datetime) else datetime.fromisoformat(str(said))
    except ValueError:
        raise PlanRefused(expected="a time such as 2026-02-01T12:00:00Z", found=str(said)[:100]) from None
    if until.tzinfo is None:
        raise PlanRefused(expected="a time with its zone, as in 2026-02-01T12:00:00Z", found=str(said)[:100])
    now = look.now()
    if not now < until <= now + LONGEST:
        raise PlanRefused(expected=f"a time to come, within {LONGEST.days} days", found=until.isoformat())
    return until.astimezone(UTC)
