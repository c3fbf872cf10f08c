"""Refreshing a basis: what a window stands on takes in what its topics promise now, as two people approved it.

Who may have that is for plans to say; here is what it is of, and how it is written down. A generation is appended and
none is changed. A refresh judges nothing: the window is judged again, against what two people have seen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from audit.core import refresh as core
from audit.core import verdict as v
from audit.core.basis import Part
from audit.measure import lanes, measure
from audit.now import facts_now
from ingest.auditlog import record_act
from ingest.core.errors import BrokerError, PassgateError
from ingest.core.ids import WindowId
from ingest.db import Cursor, fetch_one, read, statements
from ingest.failpoints import failpoint
from ingest.streams import compiled_contract
from ingest.windows import raise_revisions

sql = statements("audit", "refresh")

QUICK = 2.0  # seconds that Kafka is given: where a plan is approved or begins, its row is held meanwhile


class NotRefreshable(PassgateError):
    """No refresh of this window's basis may be asked for now, or there is nothing that one may add."""

    code: ClassVar[str] = "not_refreshable"
    what: ClassVar[str] = "this basis cannot be refreshed"


@dataclass(frozen=True)
class RefreshForecast:
    """What a refresh would be of; and what the window's next verdict would be with it, None while it is open."""

    facts: Mapping[str, Any]
    lines: tuple[str, ...]
    after: v.Verdict | None


@dataclass(frozen=True)
class _RefreshView:
    """A window's basis, what may be added to it, and what Kafka said of it."""

    row: Any
    basis: f.Basis
    more: core.Additions
    captured: look.Capture

    def facts(self) -> dict[str, Any]:
        return core.bound(self.basis, self.more)


def ask(win: WindowId) -> look.Capture:
    """What Kafka says now of the window's topics. Raises BrokerError where it says nothing."""
    with read() as cur:
        contract = compiled_contract(fetch_one(cur.execute(sql.window, {"win": win})).contract_id).contract
    captured = look.capture(contract, lanes(win), QUICK)
    if captured.broker is None:
        raise BrokerError(expected="what Kafka says now", found=captured.why, next_step="make Kafka reachable")
    return captured


def facts_of(win: WindowId, captured: look.Capture, bound: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """What a refresh would be of now: the generation seen and what is added. `bound`: what it was once, whose epochs
    count for as long as none has gone back. Raises NotRefreshable.
    """
    with read() as cur:
        return _seen(cur, win, captured, bound).facts()


def _seen(cur: Cursor, win: WindowId, captured: look.Capture, bound: Mapping[str, Any] | None = None) -> _RefreshView:
    row = fetch_one(cur.execute(sql.window, {"win": win}))
    _check_not_settled(row)
    basis = look.read_basis(cur, win)
    if basis is None or captured.broker is None:
        raise NotRefreshable(expected="a basis that this version can read", found="none")
    parts = core.parts_by_topic((x.topic, _part(x)) for x in cur.execute(sql.parts, {"win": win}).fetchall())
    limits = compiled_contract(row.contract_id).contract.limits
    broker = captured.broker.value
    objections = core.objections(basis.value, broker, look.database_identity(cur), parts, limits)
    if objections:
        raise NotRefreshable(expected="what a refresh may add", found="; ".join(objections), next_step="open a new run")
    more = core.additions(basis.value, broker)
    if not more.needed:
        raise NotRefreshable(expected="a topic that promises less", found="nothing that a refresh may add")
    return _RefreshView(row, basis.value, more if bound is None else more.no_later_than(bound), captured)


def _check_not_settled(row: Any) -> None:
    """A verdict that stands needs no other basis, and one that cannot be cleared gets none."""
    if row.verdict_state == "FAIL" or row.verdict_state == "PASS" and not row.waived:
        raise NotRefreshable(
            expected="a window that neither passed nor failed", found=f"#{row.verdict} is {row.verdict_state}"
        )


def _part(row: Any) -> Part:
    return Part(look.source_label(row), row.partition, row.start_offset, row.end_offset, row.next_offset, 0)


def foresee(win: WindowId) -> RefreshForecast:
    """What a refresh would do, on what is there now. Nothing is stored. Raises NotRefreshable, BrokerError."""
    captured = ask(win)
    with read() as cur:
        seen = _seen(cur, win, captured)
    lines = tuple(seen.more.lines())
    if seen.row.state != f.WindowState.CUT:
        return RefreshForecast(seen.facts(), lines, None)
    facts, now = facts_now(win)
    if facts.broker is None or any(check.state == "UNMEASURED" for check in v.verdict(facts, now).checks):
        # what a page is shown may lack an answer of Kafka's, for it waits for one no longer than a page may
        measurement = measure(win, seen.captured)
        facts, now = measurement.facts, measurement.at
    trial = replace(seen.basis, generation=seen.basis.generation + 1, broker=core.grown(seen.basis, seen.more))
    basis = facts.basis and replace(facts.basis, value=trial)
    return RefreshForecast(seen.facts(), lines, v.verdict(replace(facts, basis=basis), now))


@dataclass(frozen=True)
class RefreshGrant:
    """A plan's refresh, as the approver saw it. `facts` are what the plan binds."""

    win: WindowId
    facts: Mapping[str, Any]
    plan: int
    requested_by: str
    approved_by: str
    reason: str

    def why(self) -> str:
        """As the generation says it, and the database holds it against the plan."""
        return f"plan {self.plan} (asked for by {self.requested_by}, approved by {self.approved_by}: {self.reason})"


def refresh(cur: Cursor, grant: RefreshGrant, captured: look.Capture) -> int:
    """Appends the generation in the plan's own transaction, and tells a cut window that a fact has changed; returns its
    number. Raises NotRefreshable where anything is otherwise than it was approved.

    `captured` was asked of Kafka before; what the ledger says is read once the window's row is locked.
    """
    cur.execute(sql.lock, {"win": grant.win})
    failpoint("refresh.after_lock")
    seen = _seen(cur, grant.win, captured, grant.facts)
    if seen.facts() != grant.facts:
        raise NotRefreshable(expected="what was approved", found="the basis or its topics have changed since")
    snapshot = look.store_snapshot(cur, grant.win, "CHECK", captured, look.database_identity(cur))
    failpoint("refresh.after_snapshot")
    sources = (seen.basis.inbox, seen.basis.bus)
    broker = core.grown(seen.basis, seen.more)
    number = look.append_basis(cur, grant.win, snapshot, broker, seen.basis.database, sources, grant.why(), grant.plan)
    failpoint("refresh.after_generation")
    raise_revisions(cur, [grant.win])
    failpoint("refresh.after_revision")
    row = seen.row
    detail = {"window": row.number, "generation": number, "plan": grant.plan, "digest": grant.facts["next"]}
    record_act(cur, grant.requested_by, "basis.refreshed", f"{row.stream}/{row.run_name}", grant.reason, detail)
    return number
