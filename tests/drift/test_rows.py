"""Each row of the table on the real broker: brought about, seen in time, ended by its act; then the stream goes on."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ingest.core.stops import stop_of
from tests.drift.table import DONE_HERE, DRIFTS, EVENTS, TABLE, Row

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
def test_on_a_log_that_was_lost_a_new_run_alone_goes_nowhere(scene: Scene) -> None:
    """Its lanes stand behind the end of what is there now: the topic has to be created anew, and the lane says so."""
    row = next(row for row in DONE_HERE if row.name == "log_lost-inbox-passed")
    scene.begin(row)
    scene.bring_about(row)
    scene.goes_on(2 * EVENTS)  # the first of them lie below the position
    scene.flow.work_until(lambda: scene.flow.position("admission").stopped_code is not None, "admission")
    lane = scene.flow.position("admission")
    assert (lane.next_offset, lane.stopped_code) == (EVENTS, "log_truncated")
    assert scene.flow.decisions("r2") == []
    assert stop_of(lane.stopped_code).act == LOST
    scene.is_cut()
    sentence = scene.judged("r2").sentence
    assert f"Next: {LOST}" in sentence or f"Next: {LOST.replace('the topic', scene.flow.inbox)}" in sentence
    scene.create_again(row)
    scene.flow.sample()
    assert scene.judged("r2").verdict.state == "FAIL"  # as whoever judges by itself does: nothing waits for r2 then
    scene.is_looked_at("r1")
    scene.after(row)


LOST = "create the topic anew, with what nobody read of it, then open a new run"


def test_every_difference_has_a_row_and_every_row_its_name() -> None:
    assert {row.code for row in TABLE} == {drift.code for drift in DRIFTS}
    assert len({row.name for row in TABLE}) == len(TABLE)
