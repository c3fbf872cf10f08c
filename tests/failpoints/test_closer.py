"""A closer stopped between any two of its steps while the world changes: nothing rests on what it saw before.

A real process, stopped by SIGSTOP for longer than a sample may be old (4 s here) and than the gate's lease, then woken.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest

from audit.close import window_of
from audit.enforce import decide_gate
from ingest.db import write
from ingest.windows import raise_revisions
from stack import Stack
from tests.failpoints.ground import MORE, Ground
from tests.failpoints.processes import Workers
from tests.flow.world import CONTRACT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(180)]
OLD = 4
SETTINGS = {
    "close": f'sample_max_age = "{OLD}s"',
    "contract": CONTRACT + MORE.replace("[gate]", '[gate]\nrecheck = "2s"'),
}
OUTSIDE = ["close.after_bus_end", "close.after_gaps", "close.after_reading", "close.after_judging"]
INSIDE = [
    "verdict.after_revision", "verdict.after_row", "verdict.after_gate", "verdict.after_run", "verdict.after_fallen",
    "verdict.before_commit",
]  # fmt: skip


@pytest.fixture
def stream(live: Stack, workers: Workers) -> Ground:
    """Cut, read and applied to its end, and its bus's end known: only the verdict is missing."""
    made = Ground(live, workers, **SETTINGS)
    made.new_run()
    made.does("cut")
    made.works_to_the_end()
    return made


def stopped(stream: Ground, point: str) -> None:
    """The server leaves a transaction that says nothing alone: what is tried is not its patience."""
    stream.workers.start("close", f"{point}:1:STOP", **stream.job(lease=30, idle=120))
    stream.workers.stopped()


def woken(stream: Ground, after: float) -> datetime:
    """What it does when it goes on; returns the database's time at which it did."""
    time.sleep(after)
    (row,) = stream.flow.rows("SELECT clock_timestamp() AS now")
    stream.workers.wake()
    stream.workers.ended()
    now: datetime = row.now
    return now


def verdicts(stream: Ground) -> list[Any]:
    return stream.flow.rows(
        "SELECT v.state, v.measured_at FROM verdict v WHERE v.win = %(win)s ORDER BY v.number", win=window(stream)
    )


def window(stream: Ground) -> int:
    return window_of(stream.flow.name, stream.run_name)


def status(stream: Ground) -> int:
    return decide_gate(stream.flow.name, stream.run_name, who="test").status


@pytest.mark.parametrize("point", [*OUTSIDE, *INSIDE])
def test_nothing_is_stored_on_a_sample_that_has_aged_meanwhile(stream: Ground, point: str) -> None:
    """Outside of its transaction and in it, up to the very COMMIT: what it stores it has measured after it woke up."""
    stopped(stream, point)
    since = woken(stream, OLD + 1)
    assert all(found.measured_at >= since for found in verdicts(stream))
    if point in INSIDE or point == "close.after_judging":
        assert verdicts(stream) == []
        assert status(stream) == 403
    stream.passes()


def inbox_is_made_again(stream: Ground) -> None:
    stream.flow.admin.delete_topic(stream.flow.inbox)
    stream.flow.admin.create_topic(stream.flow.inbox, 1)


def is_contradicted(stream: Ground) -> None:
    """As the effects lane would record it."""
    with write() as cur:
        cur.execute("SET LOCAL lock_timeout = '2s'")
        cur.execute(
            'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
            " SELECT %s, min(a.id), 'ACKED_NOT_FOUND', min(a.source_id), 0, 'for a test' FROM attempt a"
            " WHERE a.source_id = ANY(%s)",
            (window(stream), stream.flow.sources()),
        )
        raise_revisions(cur, [window(stream)])


@pytest.mark.parametrize("point", ["close.after_gaps", "close.after_reading", "close.after_judging"])
@pytest.mark.parametrize("happens", [inbox_is_made_again, is_contradicted])
def test_no_gate_opens_on_a_world_that_is_gone(stream: Ground, point: str, happens: Callable[[Ground], None]) -> None:
    stopped(stream, point)
    happens(stream)
    woken(stream, OLD + 1)
    assert "PASS" not in [found.state for found in verdicts(stream)]
    assert status(stream) == 403


@pytest.mark.parametrize("point", INSIDE[:1] + INSIDE[-1:])
def test_no_gate_opens_on_an_inbox_made_again_while_it_stored(stream: Ground, point: str) -> None:
    stopped(stream, point)
    inbox_is_made_again(stream)
    woken(stream, OLD + 1)
    assert verdicts(stream) == []
    assert status(stream) == 403
