"""Pins windows to their contexts where the contract says so once they are cut: `[context] pin = "cut"`.

A pin is written once, when the context's window of that time has PASS and its gate is open, and never changes. Until
then the effects lane waits; admission and publishing go on.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ingest.auditlog import record_act
from ingest.core.errors import PassgateError
from ingest.core.ids import WindowId
from ingest.core.stops import CONTEXT, FALLEN_CONTEXT
from ingest.db import Cursor, DatabaseGone, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.pinned import ContextAtCut, unpinned
from ingest.streams import compiled_contract
from ingest.windows import raise_revisions

log = logging.getLogger(__name__)
sql = statements("audit", "pins")

#: Who pins by itself.
PINNER = "passgate"


@dataclass(frozen=True)
class PinnedWindow:
    """A window, and the verdicts of its contexts that it is pinned to from now on, by context."""

    win: WindowId
    verdicts: dict[str, str]


def pin_due() -> list[PinnedWindow]:
    """Pins every window that is cut and whose contexts are there. One window's trouble is not another's."""
    with read() as cur:
        rows = cur.execute(sql.waiting).fetchall()
    pinned = []
    for win in [row.win for row in rows if row.pins < len(compiled_contract(row.contract_id).contract.contexts)]:
        try:
            window = pin_window(win)
        except DatabaseGone:
            raise
        except PassgateError as error:
            log.warning("window %s is pinned later: %s", win, error)
            continue
        if window.verdicts:
            pinned.append(window)
            failpoint("pin_due.after_window")
    return pinned


def pin_window(win: WindowId) -> PinnedWindow:
    """Pins this window to what is there of its contexts; nothing where it is not cut, or was pinned before.

    Where nothing is to be pinned the window's row is not locked: a judge waits for nobody who writes under it.
    """
    with read() as cur:
        row = cur.execute(sql.window, {"win": win}).fetchone()
        if row is None or not _ready(cur, win, row.contract_id):
            return PinnedWindow(win, {})
    return retry_transaction(lambda: _pin(win))


def _ready(cur: Cursor, win: WindowId, contract: int) -> Sequence[ContextAtCut]:
    return [found for found in unpinned(cur, win, compiled_contract(contract).contract) if found.win is not None]


def _pin(win: WindowId) -> PinnedWindow:
    with write() as cur:
        row: Any = cur.execute(sql.lock_window, {"win": win}).fetchone()
        failpoint("pin.after_lock")
        ready = _ready(cur, win, row.contract_id) if row is not None else ()
        if not ready:
            return PinnedWindow(win, {})
        done = PinnedWindow(win, {found.context: found.verdict for found in ready})
        write_pins_at_cut(cur, win, ready)
        failpoint("pin.after_pins")
        raise_revisions(cur, [win])
        failpoint("pin.after_revision")
        cur.execute(sql.wake, {"stream": row.stream_id, "codes": [CONTEXT, FALLEN_CONTEXT]})
        failpoint("pin.after_waking")
        detail = {"window": row.number, "pins": done.verdicts}
        record_act(cur, PINNER, "run.pin", f"{row.stream}/{row.run_name}", detail=detail)
        failpoint("pin.before_commit")
    return done


def write_pins_at_cut(cur: Cursor, win: WindowId, ready: Sequence[ContextAtCut]) -> None:
    cur.execute(
        sql.insert_pins,
        {
            "win": win,
            "contexts": [found.context for found in ready],
            "pinned": [found.win for found in ready],
            "verdicts": [found.verdict for found in ready],
            "moments": [found.moment for found in ready],
        },
    )
