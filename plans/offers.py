"""What can be asked for about a window now: its facts are read here, and `plans.core.offers` says what they offer.

Reads, and changes nothing. Kafka is asked only where reading the window again may be called for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from audit import anchors, gate
from audit.core.anchors import Anchor
from audit.core.check import Check, CheckName, State
from audit.measure import rules, window_row
from audit.rerun import LookedBackOn, check_not_looked_back_on
from ingest.admit.lane import KEPT_BYTES
from ingest.core.contract import extends_identities
from ingest.core.errors import PassgateError
from ingest.core.ids import RunId, StreamId, WindowId
from ingest.core.ledger_rows import packed_headers
from ingest.core.reason import Reason
from ingest.core.record import UNREADABLE_NAME
from ingest.db import Cursor, fetch_one, read, statements
from ingest.publish import republish
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from plans.core.offers import Offer, OfferFacts, PlaceFacts, ReasonCount, broken_for_good, calls_for_replay, offers
from plans.kinds.redrive import MOST_ITEMS, MOST_TIMES, NO_SELECTION

#: Attempts about which each a decision is offered.
MOST_DECISIONS = 20

sql = statements("plans", "offers")

Asking = Callable[[anchors.WindowAccount], anchors.Replay]


def offers_of(win: WindowId, checks: Sequence[Check], ask: Asking = anchors.replay) -> tuple[Offer, ...]:
    """Plans that would be taken for this window, or rerun, whose checks are these; the nearest first.

    `ask`: how Kafka is asked what can be read again. Nothing is offered about a window under a contract that cannot be
    read any more. Raises NotFound.
    """
    with read() as cur:
        row = window_row(cur, win)
    own, newest = _contract(row.contract_id), _newest(row.stream)
    if own is None:
        return ()
    with read() as cur:
        facts = _facts(cur, row, checks, own, newest or own)
    inbox: tuple[Anchor, ...] = ()
    if calls_for_replay(facts):
        found = ask(anchors.processed(win)).sources
        inbox = tuple(
            each.anchor for each in found if each.anchor.source.role == "inbox" and each.anchor.source.kind == "topic"
        )
    return offers(facts, inbox)


def _contract(contract_id: int) -> CompiledContract | None:
    try:
        return compiled_contract(contract_id)
    except PassgateError:
        return None


def _newest(stream: str) -> CompiledContract | None:
    try:
        return newest_contract(stream)
    except PassgateError:
        return None


def _facts(
    cur: Cursor, row: Any, checks: Sequence[Check], own: CompiledContract, newest: CompiledContract
) -> OfferFacts:
    win, run, stream = WindowId(row.id), RunId(row.run_id), StreamId(row.stream_id)
    judged = fetch_one(cur.execute(sql.verdicts, {"win": win}))
    undecidable, withheld = _waiting(cur, win, run, stream) if _may_wait(checks) else ([], [])
    return OfferFacts(
        number=row.number,
        is_rerun=row.rerun is not None,
        is_cut=row.state == "CUT",
        verdict=judged.state,
        failed=judged.failed,
        waived=judged.waived,
        empty_waivable=rules(own.contract).empty_waivable,
        checks=checks,
        undecidable=undecidable,
        withheld=withheld,
        reasons=_reasons(cur, win, run, newest),
        reruns=not _looked_back_on(cur, run),
        own=own.contract.plans.approvals == 1,
        newest=newest.contract.plans.approvals == 1,
        place=_place(cur, win, own, newest) if broken_for_good(checks) else _taken(cur, win),
    )


def _may_wait(checks: Sequence[Check]) -> bool:
    """Whether an attempt may wait for people: every one that does keeps PUBLISHED from holding."""
    return not any(check.name is CheckName.PUBLISHED and check.state is State.HOLDS for check in checks)


def _waiting(cur: Cursor, win: WindowId, run: RunId, stream: StreamId) -> tuple[list[int], list[int]]:
    """Attempts of the window that want a decision, and those that want to be published again."""
    rows = cur.execute(sql.undecidable, {"stream": stream, "win": win, "most": MOST_DECISIONS}).fetchall()
    return [row.id for row in rows], list(republish.withheld_of(cur, stream, run, win))


def _reasons(cur: Cursor, win: WindowId, run: RunId, newest: CompiledContract) -> list[ReasonCount]:
    """Reasons of which a redrive takes all open items: one that was cut has to be named, and corrected."""
    values = {
        "win": win, "times": MOST_TIMES, "most": MOST_ITEMS + 1, "kept": KEPT_BYTES,
        "unreadable": packed_headers([(UNREADABLE_NAME, None)]),
    }  # fmt: skip
    rows = cur.execute(sql.reasons, values).fetchall()
    if not rows or not _named_alike(cur, run, newest):
        return []
    return [
        ReasonCount(Reason(row.reason).name, row.items)
        for row in rows
        if row.reason in _KNOWN and Reason(row.reason) not in NO_SELECTION and row.items <= MOST_ITEMS and not row.cut
    ]


_KNOWN = frozenset(map(int, Reason))


def _named_alike(cur: Cursor, run: RunId, newest: CompiledContract) -> bool:
    """Whether the newest contract names the run's events as the run does."""
    opened = _contract(fetch_one(cur.execute(sql.run_contract, {"run": run})).contract_id)
    return opened is not None and extends_identities(opened.contract, newest.contract)


def _looked_back_on(cur: Cursor, run: RunId) -> bool:
    try:
        check_not_looked_back_on(cur, run)
    except LookedBackOn:
        return True
    return False


def _taken(cur: Cursor, win: WindowId) -> PlaceFacts:
    """What little of its place matters where no run is called for."""
    return PlaceFacts(taken=fetch_one(cur.execute(sql.taken, {"win": win})).taken)


def _place(cur: Cursor, win: WindowId, own: CompiledContract, newest: CompiledContract) -> PlaceFacts:
    row = fetch_one(cur.execute(sql.place, {"win": win}))
    standing = gate.standing_of([win]).get(win)
    same = own.contract.inbox.kafka.topic == newest.contract.inbox.kafka.topic
    return PlaceFacts(
        taken=row.taken,
        filling=row.filling,
        left_out=row.left_out,
        readable=standing is not None and standing.decision.granted,
        contract=None if same else own.version,
    )
