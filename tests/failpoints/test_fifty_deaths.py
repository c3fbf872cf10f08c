"""A worker is killed fifty times while it runs one plan: sums are equal, and nothing is there twice."""

from __future__ import annotations

import base64
import random
from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from audit.close import close_run
from audit.fsck import fsck
from plans.core.plan import State
from plans.submit import submit
from tests.failpoints import steps
from tests.failpoints.processes import KILLED
from tests.flow.world import thing
from tests.plans.crowd import Crowd, items, plan_row, say_yes

if TYPE_CHECKING:
    from tests.failpoints.ground import Ground

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEATHS, RECORDS, BATCH = 50, 400, 5
STEP = (
    "plan_step.after_lock",
    "plan_step.after_doing",
    "plan_step.after_outcomes",
    "plan_step.before_commit",
    "plan_run.after_step",
)
ADMITS = ("admit.after_events", "admit.after_receipts", "admit.after_items", "admit.after_gaps", "admit.after_batch")
#: Points that every step of a plan passes.
REACHED = {
    "redrive": (
        "redrive.after_rerun",
        "redrive.after_items",
        "redrive.after_position",
        "redrive.after_batch",
        *STEP,
        *ADMITS,
    ),
    "replay": ("replay.after_rerun", "replay.after_position", *STEP, *ADMITS),
}


@pytest.mark.parametrize("kind", ["redrive", "replay"])
def test_fifty_deaths_lose_and_double_nothing(ground: Callable[..., Ground], kind: str) -> None:
    stream, crowd = ground(fresh=True, quarantine_open_max=1_000), Crowd()
    flow = stream.flow
    flow.open("r0")
    flow.produce([thing(n) for n in range(RECORDS)] if kind == "replay" else [b"{%d" % n for n in range(RECORDS)])
    flow.produce([thing("known")])
    flow.work()
    flow.cut("r0")
    flow.work()
    assert flow.judge("r0").verdict.title == "PASS"
    number = submit(kind, asked(flow, kind), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    died = 0
    chance = random.Random(50)  # noqa: S311
    assert set(REACHED[kind]) <= set(steps.failpoints())
    while died < DEATHS:
        armed = f"{chance.choice(REACHED[kind])}:{chance.randint(1, 2)}"
        died += stream.workers.run("run_plan", armed, plan=number, batch=BATCH) == KILLED
        assert plan_row(number).state in ("APPROVED", "RUNNING"), "more deaths than batches: none was in the middle"
    assert stream.workers.run("run_plan", plan=number, batch=500) == 0
    assert plan_row(number).state == State.DONE
    ended = Counter(outcome for _, outcome in items(number))
    rows = flow.rows(
        "SELECT t.decision, count(*) AS n FROM receipt t JOIN source c ON c.id = t.source_id AND c.kind = 'plan'"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s GROUP BY 1 ORDER BY 1"
    )
    receipts = {row.decision: row.n for row in rows}
    if kind == "redrive":
        assert ended == {"ADMITTED": RECORDS - 1, "DUPLICATE": 1} and receipts == {1: RECORDS - 1, 2: 1}
    else:
        assert ended == {"DONE": 1} and receipts == {2: RECORDS + 1}
    flow.work()
    assert flow.count("event") == flow.count("effect") == (RECORDS if kind == "redrive" else RECORDS + 1)
    flow.sample()
    stored = close_run(flow.name, "r0", "test", 1, rerun=1)
    assert stored.verdict.title == "PASS", stored.sentence
    assert [str(x) for x in fsck(stream=flow.name)] == []


def asked(flow: Any, kind: str) -> dict[str, Any]:
    about = {"stream": flow.name, "run": "r0", "window": 1}
    if kind == "replay":
        return about | {"whole": True}
    rows = flow.rows(
        "SELECT q.id FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s ORDER BY q.id"
    )
    right = {str(row.id): base64.b64encode(thing(n or "known")).decode() for n, row in enumerate(rows)}
    return about | {"items": [row.id for row in rows], "corrections": right}
