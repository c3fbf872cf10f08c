"""A stream with something of everything on it: what the pages are tried on.

Records go through the real flow. An attempt that nobody knows about is then left behind as by a worker that died
between sending and learning.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import timedelta

from audit.capture import now
from ingest.db import write
from ingest.models import Attempt, AttemptState
from plans.core.plan import State
from plans.submit import submit
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, run_to, say_yes

HOSTILE = (
    b"",
    b"{",
    b'{"type": "thing", "id": 1, "id": 2}',
    b'{"type": "thing", "id": "\xff"}',
    b'{"type": "thing", "id": 1e400}',
    b'{"type": "<script>alert(1)</script>", "id": 1}',
    b'{"type": "thing"}',
    b"[1, 2]",
    "\ufeff{}".encode(),
    json.dumps(
        {"type": "thing", "id": "\u202eevil\u200b <img src=x onerror=alert(1)> {{ 7 }} ", "run": "\u202eother"}
    ).encode(),
    None,
)


def hostile_headers() -> list[tuple[str, str | bytes | None]]:
    """Headers that must not hurt a page."""
    return [("<b>", b"\xff\xfe"), ("", None), ("hx-get", b"/evil"), ("a" * 300, b"\x1b[31m")]


def busy(flow: Flow, run: str = "r1", events: int = 120) -> None:
    """A run with admitted events, duplicates, mismatches and records nobody can understand."""
    flow.open(run)
    first = [thing(number, note=f"note {number}", origin="EWR") for number in range(events)]
    flow.produce(first, run=run)
    flow.produce(first[: events // 5], run=run)
    flow.produce([thing(number, note="<i>another</i> \u202enote", gate="B7") for number in range(6)], run=run)
    flow.produce(HOSTILE, headers=hostile_headers())
    flow.work()


def leave_unknown(flow: Flow, run: str = "r1", events: Iterable[bytes] | None = None) -> int:
    """Admit a few more events, and leave their attempt as a dead worker leaves it. Returns its number."""
    flow.produce(events or [thing(f"late-{number}") for number in range(7)], run=run)
    flow.work("admission")
    with write() as cur:
        row = cur.execute(
            """
            INSERT INTO attempt (source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic,
                                 events, bytes)
            SELECT s.id, 'pg-' || s.id, 1, 'host:1:dead', i.install_id, s.cluster_id, s.topic_id, %s, q.events, q.bytes
              FROM publish_queue q JOIN source s ON s.id = q.source_id JOIN stream t ON t.id = s.stream_id,
                   (SELECT install_id FROM install ORDER BY id DESC LIMIT 1) i
             WHERE t.name = %s
            RETURNING id, source_id
            """,
            (flow.bus, flow.name),
        ).fetchone()
        assert row is not None
        cur.execute(
            """
            INSERT INTO attempt_batch (attempt_id, batch_id, offsets, partitions)
            SELECT %s, q.batch_id, array_agg(e."offset" ORDER BY e."offset"), array_agg(0)
              FROM publish_queue q JOIN event e ON e.source_id = q.source_id AND e.batch_id = q.batch_id
             WHERE q.source_id = %s GROUP BY q.batch_id
            """,
            (row.id, row.source_id),
        )
        cur.execute("DELETE FROM publish_queue WHERE source_id = %s", (row.source_id,))
    Attempt.objects.filter(id=row.id).update(
        state=AttemptState.UNKNOWN,
        why="_MSG_TIMED_OUT: flush raised: 7 messages in queue",
        unknown_at="2026-01-31T02:14:07Z",
    )
    return int(row.id)


def blocked(flow: Flow) -> Flow:
    """A run that is read and applied to its cut, and BLOCKED by an item that is open."""
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    return flow


def waiting_plan(flow: Flow, crowd: Crowd | None = None, reason: str = "a broken <b>client</b>") -> int:
    """A run that is blocked, and a plan that waits for somebody to let that stand."""
    return ask_to_waive(blocked(flow), crowd or Crowd(), reason)


def ask_to_waive(flow: Flow, crowd: Crowd, reason: str = "a broken client") -> int:
    """Asks to waive QUARANTINE of the run for an hour."""
    asked = {"stream": flow.name, "run": "r1", "check": "QUARANTINE", "until": now() + timedelta(hours=1)}
    return submit("waive", asked, crowd.asker, reason, crowd.people)


def redriven_again(flow: Flow, item: int) -> None:
    """The item has gone through admission once more, in a rerun of its window."""
    crowd = Crowd()
    number = submit("redrive", {"stream": flow.name, "run": "r1", "items": [item]}, crowd.asker, "again", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
