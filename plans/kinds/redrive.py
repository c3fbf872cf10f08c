"""A redrive: quarantined records go through admission again, under a contract that takes them, or corrected.

Its records are of a rerun of the window that they belong to (audit/rerun.py): they are published, applied and judged as
all others are, and readable with the rerun's own PASS.
"""

from __future__ import annotations

import base64
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from audit import capture as look
from audit.close import window_of
from audit.measure import window_row
from audit.rerun import (
    Rerun,
    RerunOrder,
    check_not_looked_back_on,
    check_place,
    cut_rerun,
    open_rerun,
    place_faults,
    rerun_of,
)
from ingest.admit import redrive as admission
from ingest.admit.later import later_than_items
from ingest.admit.redrive import KeptItem, RedrivenItem, RedriveOrder
from ingest.core.contract import extends_identities
from ingest.core.ids import RunId, SourceId, StreamId, WindowId
from ingest.core.reason import Decision, Reason
from ingest.db import Cursor, read, statements
from ingest.failpoints import failpoint
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from ingest.windows import Binding
from plans.core.binding import Subject
from plans.core.plan import Kind, Outcome
from plans.errors import PlanRefused
from plans.kinds.base import Bindings, Item, ItemOutcome, PlanKind, Prediction, Step
from plans.kinds.order import consent, consented, lacks_consent, late_words

sql = statements("plans.kinds", "redrive")

#: Items of one plan, and how often one of them is taken by a selection that does not name it.
MOST_ITEMS, MOST_TIMES = 10_000, 3
#: Bytes of all corrections of one plan: they are part of what is approved.
MOST_CORRECTED = 1024 * 1024
#: A sample's size: what would become of more items than this is foreseen of the first of them.
MOST_FORESEEN = 100_000

_ELSEWHERE = (Reason.LATE, Reason.OTHER_RUN)
#: Reasons of which no window's items are redriven together: a mismatch wants a correction, and these name another run.
NO_SELECTION = (Reason.PAYLOAD_MISMATCH, *_ELSEWHERE)
_OUTCOMES = {
    Decision.ADMITTED: Outcome.ADMITTED,
    Decision.DUPLICATE: Outcome.DUPLICATE,
    Decision.QUARANTINED: Outcome.QUARANTINED,
}


class RedrivePlan(PlanKind):
    """Asked: stream, run; window (else the run's newest); items, or a reason of which all open ones are taken; contract
    (a version, else the newest); corrections, by item: other bytes, base64; out_of_order: a consent.
    """

    kind: ClassVar[Kind] = Kind.REDRIVE
    batch: ClassVar[int] = 500

    def bind(self, asked: Mapping[str, Any]) -> Bindings:
        win = window_of(asked["stream"], asked["run"], asked.get("window"))
        with read() as cur:
            row = window_row(cur, win)
            check_not_looked_back_on(cur, RunId(row.run_id))
            check_place(cur, win)
            loaded = _contract(row, asked.get("contract"))
            corrections = _corrections(asked.get("corrections") or {})
            ids = _chosen(cur, win, asked)
            states = _looked_at(cur, row, loaded, ids, corrections)
        wanted: dict[str, Any] = {"contract": loaded.version} | consent(loaded.contract, asked)
        if corrections:
            wanted["corrections"] = {str(item): base64.b64encode(raw).decode() for item, raw in corrections.items()}
        plans = loaded.contract.plans
        return Bindings(
            kind=self.kind,
            stream=StreamId(row.stream_id),
            run=RunId(row.run_id),
            win=win,
            subject=Subject(row.stream, row.run_name, row.number),
            asked=wanted,
            facts={"contract": loaded.digest.hex(), "resolved": states},
            items=tuple(str(item) for item in ids),
            expire=plans.expire,
            lacks_consent=lacks_consent(loaded.contract, wanted),
        )

    def foresee(self, bound: Bindings) -> Prediction:
        assert bound.win is not None
        with read() as cur:
            row = window_row(cur, bound.win)
            loaded = compiled_contract(_version(cur, bound.stream, bound.asked["contract"]))
            binding = Binding(SourceId(0), 0, None, bound.win, row.run_id, row.run_name, loaded.id)
            order = RedriveOrder(0, SourceId(0), StreamId(row.stream_id), binding, loaded, "", "")
            items = [Item(number, subject) for number, subject in enumerate(bound.items)]
            seen = admission.foresee(cur, order, _records(items, bound.asked)[:MOST_FORESEEN], self.batch)
            late = later_than_items(cur, RunId(row.run_id), seen.admitted)
        outcomes = {_OUTCOMES[decision]: n for decision, n in sorted(seen.decisions.items())}
        return Prediction(outcomes, (*_told(row, loaded, seen), *late_words(late, loaded.contract, bound.asked)))

    def changed(self, cur: Cursor, step: Step) -> list[str]:
        """Items that somebody resolved since, and a contract that is another one."""
        lines = []
        loaded = compiled_contract(_version(cur, step.plan.stream_id, step.binds["asked"]["contract"]))
        if loaded.digest.hex() != step.binds["facts"]["contract"]:
            lines.append(f"contract {loaded.version} has another digest")
        if lacks_consent(loaded.contract, step.binds["asked"]):
            lines.append("the projection keeps the order of each key now, and nobody has consented")
        resolved = set(step.binds["facts"]["resolved"])
        rows = cur.execute(sql.states, {"ids": [int(item.subject) for item in step.items]}).fetchall()
        was = Counter("RESOLVED" if row.id in resolved else "OPEN" for row in rows)
        other = [row for row in rows if row.state != ("RESOLVED" if row.id in resolved else "OPEN")]
        if other:
            first = other[0]
            by = f", item {first.id} by {first.resolved_by}" if first.resolved_by else f", item {first.id}"
            now = Counter(row.state for row in rows)
            lines.append(f"items OPEN: {was['OPEN']:,} → {now['OPEN']:,}{by}")
        if rerun_of(cur, step.plan.id) is None:
            lines += place_faults(cur, WindowId(step.plan.win), whole=False)
        return lines

    def prepare(self, plan: Any, most: int) -> Any:
        """A rerun stands on what Kafka says of the bus when it opens: asked once, before the first step."""
        with read() as cur:
            if rerun_of(cur, plan.id) is not None:
                return None
            loaded = compiled_contract(_version(cur, plan.stream_id, plan.binds["asked"]["contract"]))
        return look.capture(loaded.contract)

    def do(self, cur: Cursor, step: Step) -> Sequence[ItemOutcome]:
        plan = step.plan
        rerun = rerun_of(cur, plan.id) or self._open(cur, step)
        failpoint("redrive.after_rerun")
        order = RedriveOrder(
            plan.id, rerun.sources[0].id, rerun.stream, rerun.binding, compiled_contract(rerun.binding.contract),
            plan.requested_by, plan.reason,
        )  # fmt: skip
        results = admission.redrive(cur, order, _records(step.items, step.binds["asked"]))
        return [ItemOutcome(each.ordinal, _OUTCOMES[each.decision], _why(each.reason, each.detail)) for each in results]

    def _open(self, cur: Cursor, step: Step) -> Rerun:
        plan = step.plan
        loaded = compiled_contract(_version(cur, plan.stream_id, step.binds["asked"]["contract"]))
        order = RerunOrder(
            WindowId(plan.win), loaded, plan.id, str(self.kind), bytes(plan.digest), plan.requested_by,
            plan.approved_by, plan.reason, out_of_order=consented(step.binds),
        )  # fmt: skip
        return open_rerun(cur, order, step.prepared or look.Capture(why="nobody asked Kafka"))

    def ended(self, cur: Cursor, plan: Any, who: str) -> None:
        cut_rerun(cur, plan.id, who)


# ---- what is asked for ----------------------------------------------------------------------------------------------


def _contract(row: Any, asked: Any) -> CompiledContract:
    """The version that admits again: it names every event of the run as the run does."""
    with read() as cur:
        loaded = (
            newest_contract(row.stream)
            if asked is None
            else compiled_contract(_version(cur, row.stream_id, int(asked)))
        )
        run = cur.execute(sql.contract_of_run, {"run": row.run_id}).fetchone()
    assert run is not None
    if not extends_identities(compiled_contract(run.contract_id).contract, loaded.contract):
        raise PlanRefused(
            expected=f"a contract that names events as {row.stream}/{row.run_name} does",
            found=f"version {loaded.version}: another class, run or id rule",
            next_step="open another run under it, and produce these records to that",
        )
    return loaded


def _version(cur: Cursor, stream: StreamId, version: int) -> int:
    found = cur.execute(sql.version, {"stream": stream, "version": version}).fetchone()
    if found is None:
        raise PlanRefused(expected="a version of the stream's contract", found=str(version))
    return int(found.id)


def _corrections(said: Mapping[str, Any]) -> dict[int, bytes]:
    """Other bytes by item."""
    corrected: dict[int, bytes] = {}
    for item, raw in sorted(said.items()):
        try:
            corrected[int(item)] = base64.b64decode(raw, validate=True) if isinstance(raw, str) else bytes(raw)
        except (ValueError, TypeError):
            raise PlanRefused(expected="corrections by item, in base64", found=f"{item}: {str(raw)[:60]}") from None
    size = sum(map(len, corrected.values()))
    if size > MOST_CORRECTED:
        raise PlanRefused(expected=f"corrections of at most {MOST_CORRECTED:,} bytes", found=f"{size:,}")
    return corrected


def _chosen(cur: Cursor, win: WindowId, asked: Mapping[str, Any]) -> list[int]:
    """The items, by number: those that are named, or all open ones of a reason that no plan has tried too often."""
    named, reason = asked.get("items"), asked.get("reason")
    if bool(named) == bool(reason):
        raise PlanRefused(expected="items, or a reason of which all open ones are meant", found="both or neither")
    if named:
        ids = sorted({int(item) for item in named})
    else:
        if str(reason) not in Reason.__members__:
            raise PlanRefused(expected="a reason such as SCHEMA", found=str(reason)[:100])
        values = {"win": win, "reason": int(Reason[str(reason)]), "times": MOST_TIMES, "most": MOST_ITEMS + 1}
        ids = [row.id for row in cur.execute(sql.open_of_reason, values).fetchall()]
    if not 1 <= len(ids) <= MOST_ITEMS:
        found = f"{len(ids):,}" if len(ids) <= MOST_ITEMS else "more"
        raise PlanRefused(expected=f"1 to {MOST_ITEMS:,} items", found=found)
    return ids


def _looked_at(
    cur: Cursor, row: Any, loaded: CompiledContract, ids: Sequence[int], corrections: Mapping[int, bytes]
) -> list[int]:
    """Which of them are resolved already. Raises PlanRefused for what cannot be redriven, or not into this window."""
    unknown = sorted(set(corrections) - set(ids))
    if unknown:
        raise PlanRefused(expected="corrections of items that the plan redrives", found=f"item {unknown[0]}")
    states: list[int] = []
    for at in range(0, len(ids), RedrivePlan.batch):
        part = ids[at : at + RedrivePlan.batch]
        kept = admission.kept_items(cur, part)
        missing = [item for item in part if item not in kept]
        if missing:
            raise PlanRefused(expected=f"item {missing[0]}", found="none of that number")
        for item in part:
            _check(row, loaded, kept[item], item in corrections)
        states += [item for item in part if kept[item].state == "RESOLVED"]
    return states


def _check(row: Any, loaded: CompiledContract, kept: KeptItem, corrected: bool) -> None:
    window = f"{row.stream}/{row.run_name} window {row.number}"
    if kept.reason is Reason.PAYLOAD_MISMATCH and not corrected:
        raise PlanRefused(
            expected="records that can become events",
            found=f"item {kept.id}: another payload of an event that stands",
            next_step="resolve it, or correct it under an identity of its own",
        )
    if kept.reason is None and not corrected:
        raise PlanRefused(
            expected="records that were set aside for a reason that this version knows",
            found=f"item {kept.id}, of another",
            next_step="ask with the version that set it aside, or correct it",
        )
    if kept.cut and not corrected:
        raise PlanRefused(expected="records that are kept whole", found=f"item {kept.id}: only its first bytes are")
    elsewhere = kept.reason in _ELSEWHERE and not corrected
    if elsewhere and admission.named_run(loaded, kept) != row.run_name:
        raise PlanRefused(
            expected=f"records of {row.stream}/{row.run_name}",
            found=f"item {kept.id} names {admission.named_run(loaded, kept)}",
            next_step="ask for a plan of the run that it names",
        )
    if not elsewhere and kept.win != row.id:
        raise PlanRefused(expected=f"items of {window}", found=f"item {kept.id} is another window's")


def _records(items: Sequence[Item], asked: Mapping[str, Any]) -> list[RedrivenItem]:
    corrections = asked.get("corrections", {})
    return [RedrivenItem(each.ordinal, int(each.subject), _raw(corrections.get(each.subject))) for each in items]


def _raw(said: str | None) -> bytes | None:
    return None if said is None else base64.b64decode(said)


# ---- words ----------------------------------------------------------------------------------------------------------


def _told(row: Any, loaded: CompiledContract, seen: admission.Foreseen) -> list[str]:
    counts = seen.decisions
    lines = [
        f"Under contract version {loaded.version}: {counts[Decision.ADMITTED]:,} would be admitted,"
        f" {counts[Decision.DUPLICATE]:,} are known already, {counts[Decision.QUARANTINED]:,} would stay quarantined.",
        f"They would be read with the PASS of a rerun of window {row.number}; its own verdict counts them as resolved.",
    ]
    refused = seen.refused.most_common(5)
    lines += [f"Still refused, {n:,}: {reason.name}: {detail}." for (reason, detail), n in refused]
    return lines


def _why(reason: Reason, detail: str | None) -> str | None:
    return None if reason is Reason.NONE else f"{reason.name}: {detail}"[:500] if detail else reason.name
