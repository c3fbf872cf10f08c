"""What a run's windows go on without, said while it is so: one sentence each, and what ends it.

A window always opens (go_on.py): on the contract of before, with the pins of before, without an end that Kafka did not
tell. Nothing of this is stored. It is asked of what is there now, so that it goes away with its reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit.core.bus import AWAIT_CONTEXT, FRESH_CONTEXT
from audit.go_on import contract_held
from audit.open import newest_pass
from ingest.core.contract import Contract
from ingest.core.ids import RunId
from ingest.db import read, statements
from ingest.pinned import unpinned
from ingest.streams import compiled_contract

sql = statements("audit", "notices")

MOST = 20


@dataclass(frozen=True)
class WindowNotice:
    """`window`: its number in the run. `act`: what ends it."""

    window: int
    text: str
    act: str


def notices_of(run: RunId) -> tuple[WindowNotice, ...]:
    """What the run's windows lack now, the oldest window first."""
    with read() as cur:
        rows = cur.execute(sql.windows, {"run": run, "most": MOST}).fetchall()
    return tuple(notice for row in rows for notice in _notices(row))


def _notices(row: Any) -> Iterator[WindowNotice]:
    contract = compiled_contract(row.contract_id).contract
    if row.without_end:
        text = "what Kafka says of its end is not known, for it did not answer at the cut"
        yield WindowNotice(row.number, text, "make Kafka reachable: its end is then looked at by itself")
    if row.state == "OPEN":
        yield from _of_the_open(row, contract)
        return
    with read() as cur:
        contexts = unpinned(cur, row.win, contract)
    for wait in (context.wait for context in contexts):
        if wait is not None:
            yield WindowNotice(row.number, wait.text, (FRESH_CONTEXT if wait.failed else AWAIT_CONTEXT).text)


def _of_the_open(row: Any, contract: Contract) -> Iterator[WindowNotice]:
    """What the open window goes on with for want of another, and the next one would, too, as things are."""
    held = contract_held(row)
    if held:
        yield WindowNotice(row.number, held, "load a version that can be used, or open a new run under this one")
    streams = {context.name: context.stream for context in contract.contexts}
    with read() as cur:
        pins = cur.execute(sql.inherited, {"win": row.win, "stream": row.stream_id}).fetchall()
        none = {stream for stream in streams.values() if pins and newest_pass(cur, stream) is None}
    for pin in pins:
        stream = streams.get(pin.context, "")
        if stream in none:
            text = f"context {pin.context} is {pin.verdict}, as for the window before: no PASS of {stream} stands"
            yield WindowNotice(row.number, text, f"see to {stream}: the next window takes its next PASS")
