"""Publishing again: what was proven absent, where the contract does not do it by itself; and what was lost with a bus
that was deleted and created again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar

from audit import capture as look
from audit.close import window_of
from audit.core.phrases import count, were
from audit.measure import window_row
from ingest.core.attempt import BusAnswer, bus_is_there
from ingest.core.contract import Contract
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.db import Cursor, read, statements
from ingest.publish import loss
from ingest.publish import republish as withheld
from ingest.streams import compiled_contract
from plans.core.binding import Subject, difference
from plans.core.plan import MOST_ATTEMPTS, Kind, Outcome
from plans.errors import PlanChanged, PlanRefused
from plans.kinds.base import Bindings, ItemOutcome, PlanKind, Prediction, Step
from plans.kinds.order import keeps_order

sql = statements("plans.kinds", "republish")


class RepublishPlan(PlanKind):
    """Asked: stream, run; window, where it is not the run's newest; attempts, where not all of the window's that wait
    for it."""

    kind: ClassVar[Kind] = Kind.REPUBLISH

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        named = asked.get("attempts")
        win = self._window(asked, named)
        with read() as cur:
            row = window_row(cur, win)
            contract = compiled_contract(row.contract_id).contract
            stream, run = StreamId(row.stream_id), RunId(row.run_id)
            lost = _lost(cur, win, named)
            wanted = sorted(set(map(AttemptId, named))) if named else withheld.withheld_of(cur, stream, run, win)
            wanted = sorted({*wanted, *(each.id for each in lost)})
            facts = withheld.facts_of(cur, wanted)
            bus = withheld.bus_topic_id(cur, stream, contract.bus.topic)
            _check(wanted, facts, lost, win, f"{row.stream}/{row.run_name} window {row.number}")
            _check_lost(cur, contract, row, lost)
        if lost:
            _check_gone(lost, ask(contract.bus.topic))
        return Bindings(
            kind=self.kind,
            stream=stream,
            run=run,
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked={"attempts": [int(each) for each in sorted(set(named))]} if named else {},
            facts={"bus": {"topic": contract.bus.topic, "topic_id": bus}, "attempts": _facts(facts, lost)},
            items=tuple(str(each.id) for each in facts),
            expire=contract.plans.expire,
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
        attempts, bus = bound.facts["attempts"].values(), bound.facts["bus"]["topic"]
        lines = (
            *_absent_again([each["withheld"] for each in attempts if "withheld" in each], bus),
            *_lost_again([each["lost"] for each in attempts if "lost" in each], bus),
        )
        return Prediction({Outcome.DONE: len(bound.items)}, lines)

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        bound, left = step.binds["facts"], [item.subject for item in step.items]
        found = _facts(withheld.facts_of(cur, _numbers(left)), loss.facts_of(cur, _lost_among(step)))
        bus = withheld.bus_topic_id(cur, step.plan.stream_id, bound["bus"]["topic"])
        before = {f"attempt {each}": bound["attempts"][each] for each in left}
        after = {f"attempt {each}": found[each] for each in left if each in found}
        return difference(
            before | {"bus": bound["bus"]}, after | {"bus": {"topic": bound["bus"]["topic"], "topic_id": bus}}
        )

    def prepare(self, plan: Any, most: int) -> Any:
        """The first of two answers about the bus, where something was lost with it."""
        facts = plan.binds["facts"]
        is_lost = any("lost" in each for each in facts["attempts"].values())
        return ask(facts["bus"]["topic"]) if is_lost else None

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        attempts = _numbers(item.subject for item in step.items)
        withheld.lock(cur, attempts)
        changes = self.changed(cur, step)
        if changes:  # by a lane that was at work until just now
            raise PlanChanged(
                expected="what was approved", found="; ".join(changes), next_step="cancel it, and submit it anew"
            )
        lost = _lost_among(step)
        absent = [each for each in attempts if each not in lost]
        if absent:
            withheld.republish(cur, absent, [WindowId(step.plan.win)])
        if lost:
            loss.lose(cur, loss.facts_of(cur, lost), _grant(step))
        return [ItemOutcome(item.ordinal, Outcome.DONE) for item in step.items]


def ask(topic: str) -> BusAnswer:
    """Which topic of that name Kafka has now. Raises BrokerError."""
    at, client = look.now(), look.admin()
    return BusAnswer(client.cluster_id(), client.topic_id(topic), at)


def _grant(step: Step) -> loss.LossGrant:
    plan = step.plan
    now = ask(step.binds["facts"]["bus"]["topic"])
    return loss.LossGrant(
        win=WindowId(plan.win),
        plan=plan.id,
        requested_by=plan.requested_by,
        approved_by=plan.approved_by,
        reason=plan.reason,
        before=step.prepared or now,
        now=now,
    )


def _absent_again(events: Sequence[int], bus: str) -> Iterator[str]:
    if events:
        yield (
            f"{count(sum(events), 'event')} of {count(len(events), 'publish', 'publishes')} that "
            f"{were(len(events))} proven absent would be queued again."
        )
        yield f"They go to {bus} in the order of their offsets; the lane that waits goes on."


def _lost_again(events: Sequence[int], bus: str) -> Iterator[str]:
    if events:
        yield (
            f"{count(len(events), 'publish', 'publishes')} ({count(sum(events), 'event')}) went to a {bus} that was "
            f"deleted and created again: {'it' if len(events) == 1 else 'they'} would be LOST."
        )
        yield f"Their events would be published again to the {bus} of now. What was applied already is applied once."
        yield "The window's gate opens when a replay of all of it has proven it then, mode prove."


def _numbers(subjects: Iterable[str]) -> list[AttemptId]:
    return [AttemptId(int(each)) for each in subjects]


def _lost_among(step: Step) -> list[AttemptId]:
    """Those of a step's attempts that the plan says are lost."""
    bound = step.binds["facts"]["attempts"]
    return _numbers(item.subject for item in step.items if "lost" in bound[item.subject])


def _lost(cur: Cursor, win: WindowId, named: Sequence[int] | None) -> list[loss.BoundAttempt]:
    """Attempts of a window that failed that are bound to a bus that is gone; those that were named, if any were."""
    if cur.execute(sql.failed, {"win": win}).fetchone() is None:
        return []
    found = loss.facts_of(cur, loss.lost_of(cur, win))
    return [each for each in found if not named or each.id in named]


def _facts(found: Iterable[withheld.WithheldAttempt], lost: Iterable[loss.BoundAttempt]) -> dict[str, Any]:
    """By the attempt's number: its state, the topic it was sent to, and how many events of it are withheld, or lost."""
    gone = {each.id: each.events for each in lost}
    return {
        str(each.id): {
            "state": each.state,
            "topic_id": each.topic_id,
            **({"lost": gone[each.id]} if each.id in gone else {"withheld": each.withheld}),
        }
        for each in found
    }


def _check(
    wanted: Sequence[AttemptId],
    found: Sequence[withheld.WithheldAttempt],
    lost: Sequence[loss.BoundAttempt],
    win: WindowId,
    window: str,
) -> None:
    """Raises NotWithheld where nothing, or not all that was asked for, waits for a plan; PlanRefused for too much."""
    if not wanted:
        raise withheld.NotWithheld(expected=f"a publish of {window} that was proven absent and waits", found="none")
    if len(wanted) > MOST_ATTEMPTS:
        raise PlanRefused(expected=f"at most {MOST_ATTEMPTS:,} attempts", found=f"{len(wanted):,}")
    here = {each.id for each in found if each.win == win}
    odd = [number for number in wanted if number not in here]
    if odd:
        raise withheld.NotWithheld(expected=f"attempts of {window}", found=f"attempt {odd[0]} is none of them")
    gone = {each.id for each in lost}
    settled = [each for each in found if not each.withheld and each.id not in gone]
    if settled:
        raise withheld.NotWithheld(
            expected=f"attempt {settled[0].id} withheld",
            found=f"it is {settled[0].state}, and nothing of it waits for a plan",
        )


def _check_lost(cur: Cursor, contract: Contract, row: Any, lost: Sequence[loss.BoundAttempt]) -> None:
    """Raises PlanRefused for what its lane could not publish again, or would publish too late."""
    if not lost:
        return
    bare = next((each.id for each in lost if each.bare), None)
    if bare is not None:
        raise PlanRefused(expected=f"the payloads of attempt {bare}", found="some were erased", next_step=FRESH)
    if apart := loss.split_from(cur, [each.id for each in lost]):
        raise PlanRefused(
            expected=f"attempt {apart[0]}, too", found="it holds a part of the same batches", next_step=FRESH
        )
    known = loss.partitions_of(cur, StreamId(row.stream_id), contract.bus.topic, lost[0].bus)
    if not known >= set(range(contract.bus.partitions)):
        expected = f"{contract.bus.topic} with {contract.bus.partitions} partitions"
        raise PlanRefused(expected=expected, found=str(len(known)), next_step="add the missing ones, or a fresh run")
    if keeps_order(contract) and loss.applies_late(cur, RunId(row.run_id), WindowId(row.id)):
        raise PlanRefused(
            expected="events that are all applied, for a projection that keeps the order of each key",
            found="some are not, and would come behind later ones",
            next_step=FRESH,
        )


FRESH = "ask for a replay, mode fresh"


def _check_gone(lost: Sequence[loss.BoundAttempt], answer: BusAnswer) -> None:
    """Raises BusStillThere where Kafka says otherwise than the ledger."""
    for each in lost:
        if why := bus_is_there(each.sent, answer):
            raise loss.BusStillThere(
                expected=f"{each.topic} with another id than {each.topic_id}",
                found=why,
                next_step="look at the topic; nothing is published again while that is so",
            )
