"""What happens to every broker in a year raises no alarm: restarts, elections, and retention behind what was judged."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from stack import Stack
from tests.patience import stretched

if TYPE_CHECKING:
    from ingest.worker import Worker
    from tests.flow.world import Flow

WINDOWS, TURN = 100, 10
RESTARTS, RETENTION = frozenset({30, 70}), frozenset({20, 50, 80})
"""After which window."""


@pytest.mark.slow
def test_a_hundred_clean_windows_raise_no_alarm_and_stop_no_lane(
    make_flow: Callable[..., Flow], live: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One worker lives through all of it, and every gate that was opened is open at the end."""
    from audit.close import close_run
    from audit.enforce import enforce_due
    from audit.go_on import go_on
    from ingest.db import write
    from tests.flow.test_stuck import stop_codes
    from tests.flow.world import thing

    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.05)
    stops = stop_codes(monkeypatch)
    flow = make_flow(close='[window]\nevery = "1h"\n')
    flow.open()
    worker = flow.worker()
    for number in range(1, WINDOWS + 1):
        flow.produce([thing(f"{number}-{n}") for n in range(3)])
        works(flow, worker, "event", 3 * number)
        go_on(flow.name, "r1", "test", window=number)
        if number % TURN:
            continue
        if number in RESTARTS:
            live.restart("kafka")
        works(flow, worker, "effect", 3 * number)
        for judged in range(number - TURN + 1, number + 1):
            stored = once_measured(flow, lambda judged=judged: close_run(flow.name, "r1", "test", window=judged))  # type: ignore[misc]
            assert stored.verdict.state == "PASS", (judged, stored.sentence)
        if number in RETENTION:
            for topic, partitions in ((flow.inbox, 1), (flow.bus, flow.bus_partitions)):
                ends = flow.admin.high_watermarks(topic, range(partitions))
                flow.admin.delete_records(topic, {partition: ends[partition][0] for partition in ends})
        assert {found.outcome for found in enforce_due() if found.win in wins(flow)} <= {"extended"}
    worker.close()
    with write() as cur:
        cur.execute("UPDATE gate_open SET checked_at = checked_at - interval '1 h' WHERE win = ANY(%s)", (wins(flow),))
    looked = [found for found in enforce_due() if found.win in wins(flow)]
    assert [found.outcome for found in looked] == ["extended"] * WINDOWS, looked
    assert [row.shut_why for row in flow.rows(GATES)] == [None] * WINDOWS
    assert (stops, set(flow.attempts())) == ([], {"ACKED"})


def works(flow: Flow, worker: Worker, table: str, rows: int) -> None:
    """Slice by slice, each after what beat asks of the broker, until there are so many events or effects."""
    ends = time.monotonic() + stretched(60)
    while flow.count(table) < rows:
        assert time.monotonic() < ends
        flow.sample()
        worker.slice(2.0)


def once_measured(flow: Flow, judge: Callable[[], Any]) -> Any:
    """Right after a restart Kafka answers not all that is asked: that is BLOCKED for a moment, and no alarm."""
    ends = time.monotonic() + stretched(30)
    while (stored := judge()).verdict.state == "BLOCKED" and time.monotonic() < ends:
        time.sleep(0.2)
        flow.sample()
    return stored


def wins(flow: Flow) -> list[int]:
    return [row.win for row in flow.rows(GATES)]


GATES = (
    "SELECT g.win, g.shut_why FROM gate_open g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id"
    " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY w.number"
)
