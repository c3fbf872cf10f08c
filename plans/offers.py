"""What can be asked for about a window now: its facts are read here, and `plans.core.offers` says what they offer.

Reads, and changes nothing. Kafka is asked only where reading the window again may be called for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from audit import anchors, gate, stand_in
from audit.core.check import Check, CheckName, State
from audit.measure import rules, window_row
from audit.rerun import LookedBackOn, check_not_looked_back_on
from ingest.admit.lane import KEPT_BYTES
from ingest.admit.redrive import kept_items
from ingest.core.contract import extends_identities
from ingest.core.errors import PassgateError
from ingest.core.ids import AttemptId, RunId, StreamId, WindowId
from ingest.core.ledger_rows import packed_headers
from ingest.core.reason import Reason
from ingest.core.record import UNREADABLE_NAME
from ingest.db import Cursor, fetch_one, read, statements
from ingest.publish import loss, republish
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from plans.core.offers import (
    ItemFacts,
    Offer,
    OfferFacts,
    PlaceFacts,
    ReasonCount,
    attempt_offers,
    broken_for_good,
    calls_for_replay,
    item_offer,
    offers,
)
from plans.kinds.order import keeps_order
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
    facts = _facts_of(win, checks, _ALL)
    if facts is None:
        return ()
    inbox: tuple[anchors.SourceReplay, ...] = ()
    if calls_for_replay(facts):
        sources = ask(anchors.processed(win)).sources
        inbox = tuple(x for x in sources if x.anchor.source.role == "inbox" and x.anchor.source.kind == "topic")
    return offers(facts, [each.anchor for each in inbox], _stood_in(win, inbox))


def _stood_in(win: WindowId, inbox: Sequence[anchors.SourceReplay]) -> frozenset[str]:
    """Sources of which something is gone, by its log's start, and receipts stand in for all of that."""
    gone = {
        x.anchor.source.label: x.stand_ins.gaps
        for x in inbox
        if x.anchor.by_start and x.stand_ins is not None and not x.stand_ins.neither
    }
    if not gone:
        return frozenset()
    with read() as cur:
        return frozenset() if stand_in.refusal(cur, win, sum(gone.values())) else frozenset(gone)


def redrives_of(win: WindowId) -> tuple[Offer, ...]:
    """Those of them that redrive all open items of a reason, for pages that ask for nothing else. Raises NotFound."""
    facts = _facts_of(win, (), _REDRIVE)
    return offers(facts, ()) if facts is not None else ()


def republishes_of(win: WindowId) -> tuple[Offer, ...]:
    """Those of them that publish again. Raises NotFound."""
    facts = _facts_of(win, (), _WITHHELD)
    return offers(facts, ()) if facts is not None else ()


def offers_of_attempt(win: WindowId, attempt: AttemptId) -> tuple[Offer, ...]:
    """What two people can do about an attempt of the window, or rerun: decide, or publish it again. Raises NotFound."""
    facts = _facts_of(win, (), _UNDECIDABLE | _WITHHELD, attempt)
    return attempt_offers(facts, attempt) if facts is not None else ()


def offer_of_items(win: WindowId, items: Sequence[int]) -> Offer | None:
    """A redrive of these items into a rerun of the window, if it would be taken. Raises NotFound."""
    with read() as cur:
        row = window_row(cur, win)
        kept = kept_items(cur, items).values()
        events = fetch_one(cur.execute(sql.events_among, {"items": list(items)})).events
        taken, reruns = _taken(cur, win).taken, not _looked_back_on(cur, RunId(row.run_id))
    newest = _newest(row.stream)
    with read() as cur:
        alike = newest is not None and _named_alike(cur, RunId(row.run_id), newest)
    return item_offer(
        ItemFacts(
            [each.id for each in kept],
            wanting=sum(each.cut or each.reason in (None, Reason.PAYLOAD_MISMATCH) for each in kept),
            events=events,
            taken=taken,
            reruns=reruns,
            newest=newest is not None,
            alike=alike,
        )
    )


#: What is read for which offers: a page that shows some asks for no others.
_REDRIVE, _UNDECIDABLE, _WITHHELD = frozenset({"redrive"}), frozenset({"undecidable"}), frozenset({"withheld"})
_ALL = frozenset({"checks"}) | _REDRIVE | _UNDECIDABLE | _WITHHELD


def _facts_of(
    win: WindowId, checks: Sequence[Check], wanted: frozenset[str], attempt: AttemptId | None = None
) -> OfferFacts | None:
    with read() as cur:
        row = window_row(cur, win)
    own = _contract(row.contract_id)
    newest = _newest(row.stream) if wanted & (_REDRIVE | {"checks"}) else None
    if own is None:
        return None
    with read() as cur:
        return _facts(cur, row, checks, own, newest or own, wanted, attempt)


def _contract(contract_id: int) -> CompiledContract | None:
    try:
        return compiled_contract(contract_id)
    except PassgateError:
        return None


def _keeps_order(loaded: CompiledContract) -> bool:
    """A projection that is not there any more keeps nothing."""
    try:
        return keeps_order(loaded.contract)
    except PassgateError:
        return False


def _newest(stream: str) -> CompiledContract | None:
    try:
        return newest_contract(stream)
    except PassgateError:
        return None


def _facts(
    cur: Cursor,
    row: Any,
    checks: Sequence[Check],
    own: CompiledContract,
    newest: CompiledContract,
    wanted: frozenset[str],
    attempt: AttemptId | None,
) -> OfferFacts:
    win, run, stream = WindowId(row.id), RunId(row.run_id), StreamId(row.stream_id)
    judged = fetch_one(cur.execute(sql.verdicts, {"win": win})) if "checks" in wanted else None
    undecidable, withheld = _waiting(cur, win, run, stream, wanted, attempt) if _may_wait(checks) else ([], [])
    failed = judged is not None and judged.failed
    moved = cur.execute(sql.moved, {"win": win}).fetchone() if failed and wanted & _WITHHELD else None
    redrives = bool(wanted & _REDRIVE)
    return OfferFacts(
        number=row.number,
        is_rerun=row.rerun is not None,
        is_cut=row.state == "CUT",
        verdict=judged.state if judged is not None else "",
        failed=failed,
        waived=judged is not None and judged.waived,
        empty_waivable=rules(own.contract).empty_waivable,
        checks=checks,
        undecidable=undecidable,
        withheld=withheld,
        lost=loss.lost_of(cur, win) if moved is not None else (),
        moved=moved is not None,
        reasons=_reasons(cur, win, run, newest) if redrives else (),
        reruns=not redrives or not _looked_back_on(cur, run),
        own_ordered=_keeps_order(own),
        newest_ordered=_keeps_order(newest),
        place=_place_of(cur, win, checks, own, newest) if redrives else PlaceFacts(),
    )


def _may_wait(checks: Sequence[Check]) -> bool:
    """Whether an attempt may wait for people: every one that does keeps PUBLISHED from holding."""
    return not any(check.name is CheckName.PUBLISHED and check.state is State.HOLDS for check in checks)


def _waiting(
    cur: Cursor, win: WindowId, run: RunId, stream: StreamId, wanted: frozenset[str], attempt: AttemptId | None
) -> tuple[list[int], list[int]]:
    """Attempts of the window that want a decision, or whether the one does; and those to be published again."""
    keys = {"stream": stream, "win": win, "most": MOST_DECISIONS, "attempt": attempt}
    rows = cur.execute(sql.undecidable, keys).fetchall() if wanted & _UNDECIDABLE else []
    withheld = republish.withheld_of(cur, stream, run, win) if wanted & _WITHHELD else []
    return [row.id for row in rows], list(withheld)


def _place_of(
    cur: Cursor, win: WindowId, checks: Sequence[Check], own: CompiledContract, newest: CompiledContract
) -> PlaceFacts:
    return _place(cur, win, own, newest) if broken_for_good(checks) else _taken(cur, win)


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
