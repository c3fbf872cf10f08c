"""What a window is pinned to whose contract pins its contexts when it is cut, and what it waits for until then.

Lanes, verdicts, pages and whoever pins ask here; which window of a context holds a moment is the database's own rule
(`context_at`), by which it refuses every other pin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from ingest.core.calendar import moment_of_cut
from ingest.core.contract import Contract, PinTime
from ingest.core.ids import WindowId
from ingest.core.pinning import ContextWait, ContextWindow, wait_for_context, wait_for_cut
from ingest.db import Cursor, fetch_one, statements
from ingest.streams import compiled_contract

sql = statements("ingest", "pinned")


@dataclass(frozen=True)
class ContextAtCut:
    """A context that is not pinned yet: to what it can be now, by window and verdict, or what is waited for."""

    context: str
    moment: datetime | None
    wait: ContextWait | None
    win: WindowId | None = None
    verdict: str = ""


def unpinned(cur: Cursor, win: WindowId, contract: Contract) -> Sequence[ContextAtCut]:
    """The window's contexts that are not pinned yet, under a contract that pins when a window is cut; else none."""
    if contract.pin is not PinTime.CUT or not contract.contexts:
        return ()
    row = fetch_one(cur.execute(sql.window, {"win": win}))
    missing = [context for context in contract.contexts if context.name not in row.pinned]
    if row.cut_at is None:
        return [ContextAtCut(context.name, None, wait_for_cut(context.name)) for context in missing]
    rule = compiled_contract(row.contract_id).contract
    moment = moment_of_cut(row.opened_at, row.cut_at, rule.window.every, rule.run.name)
    return [_at_cut(cur, context.name, context.stream, moment) for context in missing]


def _at_cut(cur: Cursor, name: str, stream: str, moment: datetime) -> ContextAtCut:
    row = cur.execute(sql.held, {"stream": stream, "moment": moment}).fetchone()
    found = ContextWindow(row.place, row.is_cut, row.state, row.verdict, row.shut, row.for_good) if row else None
    wait = wait_for_context(name, moment, found)
    if row is None or wait is not None:
        return ContextAtCut(name, moment, wait)
    return ContextAtCut(name, moment, None, WindowId(row.win), row.verdict)
