"""Whoever acts on a plan dies at each failpoint on the way; somebody else does it again, and everything is so once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from plans.core.plan import FINAL, State
from tests.failpoints.pool import GetGround
from tests.failpoints.processes import KILLED, Workers
from tests.patience import stretched
from tests.plans.crowd import Crowd, a_stream, acts, history, items, let_expire, plan_row

ITEMS = ("a1", "q2", "d3", "a4", "a5", "d6", "a7", "a8")
TROUBLE = ("a1", "a2", "a3", "boom")

#: By area: what is done before, by processes that nothing is wrong with, and what dies.
WAYS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "plan_submit": ((), "submit"),
    "plan_approve": (("submit",), "approve"),
    "plan_decline": (("submit",), "decline"),
    "plan_begin": (("submit", "approve"), "run"),
    "plan_run": (("submit", "approve"), "run"),
    "plan_step": (("submit", "approve"), "run"),
    "plan_move": (("submit", "approve"), "run"),
    "plan_hold": (("submit", "approve"), "run"),
    "plan_pause": (("submit", "approve", "run_once"), "pause"),
    "plan_resume": (("submit", "approve", "run_once", "pause"), "resume"),
    "plan_cancel": (("submit", "approve", "run_once"), "cancel"),
    "plan_expire": (("submit",), "expire"),
}
#: What a plan is then, where nothing died.
ENDS = {
    "submit": State.SUBMITTED, "approve": State.APPROVED, "decline": State.DECLINED, "run": State.DONE,
    "pause": State.HELD, "resume": State.RUNNING, "cancel": State.CANCELLED, "expire": State.EXPIRED,
}  # fmt: skip


def plan_dies(point: str, ground: GetGround) -> None:
    """One outcome for every item, one row of the audit log for every step, whatever died."""
    area = point.split(".")[0]
    before, verb = WAYS[area]
    story = _Story(ground().workers, TROUBLE if area == "plan_hold" else ITEMS)
    for each in before:
        story.does(each)
    if verb == "expire":
        let_expire(story.number)
    story.dies(verb, point)
    story.does(verb)
    wanted = State.HELD if area == "plan_hold" else ENDS[verb]
    story.until(wanted, verb)
    story.is_whole()


class _Story:
    def __init__(self, workers: Workers, subjects: tuple[str, ...]) -> None:
        crowd = Crowd()
        self._workers = workers
        self._subjects = subjects
        self._stream = a_stream()
        self._names = {"asker": crowd.asker.name, "approver": crowd.approver.name}

    @property
    def number(self) -> int:
        """The stream's one plan."""
        from ingest.db import read

        with read() as cur:
            rows = cur.execute(
                "SELECT p.id FROM plan p JOIN stream s ON s.id = p.stream_id WHERE s.name = %s", (self._stream,)
            ).fetchall()
        assert len(rows) == 1, rows
        return int(rows[0].id)

    def _run(self, verb: str, point: str = "") -> int:
        number = 0 if verb == "submit" else self.number
        job = {"verb": verb, "stream": self._stream, "items": self._subjects, "plan": number, **self._names}
        return self._workers.run("plan", point, **job)

    def dies(self, verb: str, point: str) -> None:
        code = self._run(verb, point)
        assert code == KILLED, f"{verb} was not ended by {point}: exit code {code}"

    def does(self, verb: str) -> None:
        assert self._run(verb) == 0, verb

    def until(self, wanted: State, verb: str) -> None:
        end = time.monotonic() + stretched(30)
        while plan_row(self.number).state != wanted:
            assert time.monotonic() < end, plan_row(self.number)
            self.does(verb)

    def is_whole(self) -> None:
        number, state = self.number, State(plan_row(self.number).state)
        steps = history(number)
        assert [before for before, _ in steps[1:]] == [after for _, after in steps[:-1]]
        assert steps[-1][1] == state
        counts = Counter(act for act, _ in acts(number))
        moves = sum(n for act, n in counts.items() if act != "plan.step")
        assert moves == len(steps), (counts, steps)
        ended = [outcome for _, outcome in items(number)]
        assert [subject for subject, _ in items(number)] == list(self._subjects)
        assert state not in FINAL or None not in ended
        if state is State.DONE:
            assert Counter(ended) == {"ADMITTED": 5, "DUPLICATE": 2, "QUARANTINED": 1}
