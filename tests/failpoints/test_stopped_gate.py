"""Whoever looks at gates or stores a verdict is stopped between two steps, for longer than any bound.

The world changes meanwhile. The stop is SIGSTOP of a real process at a named point, in real time; the contract's
re-check time is a second. Woken up, the process neither extends nor opens on what it saw before.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from audit.close import window_of
from audit.enforce import decide_gate
from ingest.db import write
from tests.failpoints import steps
from tests.failpoints.ground import MORE, Ground
from tests.failpoints.processes import Workers
from tests.flow.world import CONTRACT

GetGround = Callable[..., Ground]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
RECHECK = 2.0
LEASE = timedelta(seconds=6)
QUICK = CONTRACT + MORE.replace('unit = "run"', 'unit = "run"\nrecheck = "2s"')
LOOKING = [p for p in steps.failpoints() if p.startswith("enforce.") and p != "enforce.after_shutting"]
OPENING = ["close.after_judging", "verdict.after_revision", "gate.after_contexts", "verdict.after_gate",
           "verdict.before_commit", "verdict.after_commit"]  # fmt: skip


def gate_row(stream: Ground) -> Any:
    rows = stream.flow.rows(
        "SELECT open_until, checked_at, shut_why, clock_timestamp() AS now FROM gate_open WHERE win = %(win)s",
        win=window_of(stream.flow.name, stream.run_name),
    )
    return rows[0] if rows else None


def judged(ground: GetGround) -> Ground:
    stream = ground(fresh=True, contract=QUICK)
    stream.new_run()
    stream.works_to_the_end()
    stream.passes()
    return stream


def topic_made_again(stream: Ground) -> None:
    stream.flow.admin.delete_topic(stream.flow.inbox)
    stream.flow.admin.create_topic(stream.flow.inbox, 1)


def contradicted(stream: Ground) -> None:
    with write() as cur:
        cur.execute(
            'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
            " SELECT b.win, ab.attempt_id, 'ABSENT_APPEARED', %s, 0, 'by a test' FROM attempt_batch ab"
            " JOIN batch b ON b.id = ab.batch_id WHERE b.win = %s LIMIT 1",
            (stream.flow.sources("bus")[0], window_of(stream.flow.name, stream.run_name)),
        )


def context_fallen(stream: Ground) -> None:
    """A pin that names what is no PASS: the window's own context is made to be one that was never open."""
    with write() as cur:
        cur.execute(
            "INSERT INTO window_pin (win, context, pinned_win, verdict) SELECT w.id, 'x', w.id - 1, 'x/y#999'"
            " FROM run_window w WHERE w.id = %s",
            (window_of(stream.flow.name, stream.run_name),),
        )


def lease_run_out(_: Ground) -> None:
    time.sleep(3 * RECHECK)


WORLD = [topic_made_again, contradicted, context_fallen, lease_run_out]


@pytest.mark.parametrize("changes", WORLD, ids=lambda f: f.__name__)
@pytest.mark.parametrize("point", LOOKING)
def test_a_look_stopped_for_long_extends_nothing(
    ground: GetGround, point: str, changes: Callable[[Ground], None]
) -> None:
    stream = judged(ground)
    stream.workers.start("enforce", f"{point}:1:STOP", **stream.job(unsure=True))
    stream.workers.stopped()
    stopped_at = gate_row(stream).now
    changes(stream)
    time.sleep(RECHECK + 0.3)
    stream.workers.wake()
    stream.workers.ended()
    row = gate_row(stream)
    looked_anew = row.shut_why is None and row.checked_at > stopped_at
    assert not looked_anew or (point == "enforce.after_readers" and changes is lease_run_out)
    assert looked_anew or row.open_until <= stopped_at + LEASE
    if changes is not lease_run_out:
        time.sleep(max(0.0, (stopped_at + LEASE - row.now).total_seconds()))
        assert decide_gate(stream.flow.name, stream.run_name, who="test").status != 200


@pytest.mark.parametrize("changes", [topic_made_again, contradicted, context_fallen], ids=lambda f: f.__name__)
@pytest.mark.parametrize("point", OPENING)
def test_a_closer_stopped_for_long_opens_nothing(
    ground: GetGround, point: str, changes: Callable[[Ground], None]
) -> None:
    """Where it holds the window's row, what would change the ledger waits for it, and then finds its gate."""
    if changes is not topic_made_again and point in ("verdict.after_revision", "gate.after_contexts",
                                                     "verdict.after_gate", "verdict.before_commit"):  # fmt: skip
        pytest.skip(
            "wants a change that does not wait for the row that the stopped process holds: tests/audit/test_lease.py"
        )
    stream = ground(fresh=True, contract=QUICK)
    stream.new_run()
    stream.works_to_the_end()
    stream.does("cut")
    stream.works_to_the_end()
    stream.flow.sample()
    stream.workers.start("close", f"{point}:1:STOP", **stream.job())
    stream.workers.stopped()
    changes(stream)
    time.sleep(3 * RECHECK + 0.5)
    stream.workers.wake()
    stream.workers.ended()
    assert decide_gate(stream.flow.name, stream.run_name, who="test").status != 200
    stream.does("enforce", unsure=True)
    assert decide_gate(stream.flow.name, stream.run_name, who="test").status != 200


@pytest.mark.parametrize(
    ("changes", "status"),
    [(contradicted, 403), (context_fallen, 403), (lease_run_out, 503)],
    ids=lambda given: getattr(given, "__name__", str(given)),
)
def test_a_request_stopped_for_long_is_told_what_is_so_now(
    ground: GetGround, other_workers: Workers, changes: Callable[[Ground], None], status: int
) -> None:
    """The thread that answers had seen an open gate; its yes is neither written nor given on that."""
    stream = judged(ground)
    stream.does("enforce")
    stream.workers.start("decide", "decide.after_looking:1:STOP", **stream.job(status=status))
    stream.workers.stopped()
    changes(stream)
    if changes is context_fallen:
        assert other_workers.run("enforce", **stream.job()) == 0
    elif changes is lease_run_out:
        time.sleep(RECHECK + 0.5)
    logged = yeses(stream)
    stream.workers.wake()
    assert stream.workers.ended() == 0
    assert yeses(stream) == logged


def yeses(stream: Ground) -> int:
    return int(
        stream.flow.rows("SELECT count(*) AS n FROM gate_decision WHERE stream = %(name)s AND status = 200")[0].n
    )
