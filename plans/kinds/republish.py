"""Publishing again what was proven absent, where the contract does not do it by itself."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar

from audit.close import window_of
from audit.core.phrases import count
from audit.measure import window_row
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.db import Cursor, read
from ingest.publish import republish as withheld
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import MOST_ATTEMPTS, Kind, Outcome
from plans.errors import PlanChanged, PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step


class RepublishPlan(PlanKind):
    """Asked: stream, run; window, where it is not the run's newest; attempts, where not all of the window's that are
    withheld."""

    kind: ClassVar[Kind] = Kind.REPUBLISH

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        named = asked.get("attempts")
        win = self._window(asked, named)
        with read() as cur:
            row = window_row(cur, win)
            contract = compiled_contract(row.contract_id).contract
            stream, run = StreamId(row.stream_id), RunId(row.run_id)
            wanted = sorted(set(map(AttemptId, named))) if named else withheld.withheld_of(cur, stream, run, win)
            facts = withheld.facts_of(cur, wanted)
            bus = withheld.bus_topic_id(cur, stream, contract.bus.topic)
        _check(wanted, facts, win, f"{row.stream}/{row.run_name} window {row.number}")
        return Bindings(
            kind=self.kind,
            stream=stream,
            run=run,
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked={"attempts": [int(each) for each in sorted(set(named))]} if named else {},
            facts={"bus": {"topic": contract.bus.topic, "topic_id": bus}, "attempts": _facts(facts)},
            items=tuple(str(each.id) for each in facts),
            expire=contract.plans.expire,
            approvals=contract.plans.approvals,
        )

    @staticmethod
    def _window(asked: Mapping[str, Any], named: Sequence[int] | None) -> WindowId:
        """The window that was asked for: where none was, that of the first attempt that was named, else the newest."""
        newest = window_of(asked["stream"], asked["run"], asked.get("window"))
        if not named or asked.get("window") is not None:
            return newest
        with read() as cur:
            found = withheld.facts_of(cur, [AttemptId(min(named))])
            mine = [each.win for each in found if each.run_id == window_row(cur, newest).run_id]
        return mine[0] if mine else newest

    def foresee(self, bound: Bindings) -> Prediction:
        attempts = bound.facts["attempts"]
        events = sum(each["withheld"] for each in attempts.values())
        lines = (
            f"{count(events, 'event')} of {count(len(attempts), 'publish', 'publishes')} that "
            f"{'was' if len(attempts) == 1 else 'were'} proven absent would be queued again.",
            f"They go to {bound.facts['bus']['topic']} in the order of their offsets; the lane that waits goes on.",
        )
        return Prediction({Outcome.DONE: len(bound.items)}, lines)

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        bound, left = step.binds["facts"], [item.subject for item in step.items]
        found = _facts(withheld.facts_of(cur, _numbers(left)))
        bus = withheld.bus_topic_id(cur, step.plan.stream_id, bound["bus"]["topic"])
        before = {f"attempt {each}": bound["attempts"][each] for each in left}
        after = {f"attempt {each}": found[each] for each in left if each in found}
        return difference(
            before | {"bus": bound["bus"]}, after | {"bus": {"topic": bound["bus"]["topic"], "topic_id": bus}}
        )

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        attempts = _numbers(item.subject for item in step.items)
        withheld.lock(cur, attempts)
        changes = self.changed(cur, step)
        if changes:  # by a lane that was at work until just now
            raise PlanChanged(
                expected="what was approved", found="; ".join(changes), next_step="cancel it, and submit it anew"
            )
        withheld.republish(cur, attempts, [WindowId(step.plan.win)])
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def _numbers(subjects: Iterable[str]) -> list[AttemptId]:
    return [AttemptId(int(each)) for each in subjects]


def _facts(found: Iterable[withheld.WithheldAttempt]) -> dict[str, Any]:
    """By the attempt's number: its state, the topic it was sent to, and how many events of it are withheld."""
    return {str(each.id): {"state": each.state, "topic_id": each.topic_id, "withheld": each.withheld} for each in found}


def _check(wanted: Sequence[AttemptId], found: Sequence[withheld.WithheldAttempt], win: WindowId, window: str) -> None:
    """Raises NotWithheld where nothing, or not all that was asked for, waits for a plan; PlanRefused for too much."""
    if not wanted:
        raise withheld.NotWithheld(expected=f"a publish of {window} that was proven absent and waits", found="none")
    if len(wanted) > MOST_ATTEMPTS:
        raise PlanRefused(expected=f"at most {MOST_ATTEMPTS:,} attempts", found=f"{len(wanted):,}")
    here = {each.id for each in found if each.win == win}
    odd = [number for number in wanted if number not in here]
    if odd:
        raise withheld.NotWithheld(expected=f"attempts of {window}", found=f"attempt {odd[0]} is none of them")
    settled = [each for each in found if not each.withheld]
    if settled:
        raise withheld.NotWithheld(
            expected=f"attempt {settled[0].id} withheld",
            found=f"it is {settled[0].state}, and nothing of it waits for a plan",
        )
