"""Each row of the table on the real broker: brought about, seen in time, ended by its act; then the stream goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from audit.close import close_run, window_of
from audit.fsck import fsck
from audit.go_on import go_on
from console.reads.lanes import lines
from ingest.core.stops import stop_of
from tests.drift.table import DONE_HERE, DRIFTS, EVENTS, NEW_RUN, TABLE, Row
from tests.flow.world import thing

if TYPE_CHECKING:
    from tests.drift.scene import Scene


def _param(row: Row) -> object:
    return pytest.param(row, id=row.name, marks=[pytest.mark.slow] if row.restarts else [])


@pytest.mark.parametrize("row", [_param(row) for row in DONE_HERE])
def test_a_row(scene: Scene, row: Row) -> None:
    scene.begin(row)
    scene.bring_about(row)
    scene.known(row)
    scene.check(row)
    scene.act(row)
    scene.after(row)


@pytest.mark.slow
def test_the_next_window_goes_on_where_a_log_is_another_one(scene: Scene) -> None:
    """What was read of it is gone with its end; what lies there now is read from its beginning by a lane of its own."""
    row = next(row for row in DONE_HERE if row.name == "log_lost-inbox-passed")
    scene.begin(row)
    scene.goes_on()
    flow = scene.flow
    flow.work()
    scene.bring_about(row)
    flow.produce([thing(f"anew-{n}") for n in range(3 * EVENTS)])  # the first of them lie below the position
    flow.work_until(lambda: flow.position("admission").stopped_code is not None, "admission")
    lane = flow.position("admission")
    assert (lane.next_offset, lane.stopped_code) == (2 * EVENTS, "log_truncated")
    assert stop_of(lane.stopped_code).act.startswith(NEW_RUN)
    assert go_on(flow.name, "r2", "test").next_window == 2
    flow.work()
    first, second = flow.sources("inbox")
    ranges = flow.rows(
        "SELECT x.source_id, x.start_offset FROM window_range x JOIN source s ON s.id = x.source_id"
        " WHERE x.win = %(win)s AND s.role = 'inbox'",
        win=window_of(flow.name, "r2", 2),
    )
    assert ranges == [(second, 0)], first
    named = {(line.source, line.state) for line in lines(stream=flow.name) if line.lane == "admission"}
    assert (f"{flow.inbox}/0", "RETIRED") in named
    assert f"{flow.inbox}/0 log 2" in {name for name, _ in named}
    scene.is_cut()
    flow.work()
    assert flow.decisions("r2") == ["ADMITTED"] * 4 * EVENTS
    stored = flow.judge("r2")
    assert stored.verdict.state == "PASS", stored.sentence
    before = close_run(flow.name, "r2", "test", 1)
    cut = "inbox/0 was cut at 0, and is another log from there on"
    assert (before.verdict.state, cut in before.sentence) == ("FAIL", True), before.sentence
    scene.is_looked_at("r1")
    assert (scene.gate("r1").code, cut in scene.gate("r1").detail) == ("gate_shut", True)
    assert fsck(stream=flow.name) == []


def test_every_difference_has_a_row_and_every_row_its_name() -> None:
    assert {row.code for row in TABLE} == {drift.code for drift in DRIFTS}
    assert len({row.name for row in TABLE}) == len(TABLE)
