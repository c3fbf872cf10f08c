"""Whoever acts on a plan dies at each failpoint on the way; somebody else does it again, and everything is so once."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping

from plans.core.plan import FINAL, State
from plans.submit import submit
from tests.failpoints.ground import Ground
from tests.failpoints.pool import GetGround
from tests.failpoints.processes import KILLED, Workers
from tests.flow.test_behind import commit
from tests.patience import stretched
from tests.plans.crowd import Crowd, a_stream, acts, history, items, let_expire, plan_row, say_yes

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


# ---- what a kind's step writes --------------------------------------------------------------------------------------


def refresher_dies(point: str, ground: GetGround) -> None:
    """A basis takes in what a topic promises less, once, and the window passes on it."""
    stream, crowd = ground(), Crowd()
    stream.new_run()
    stream.works_to_the_end()
    admin, bus = stream.flow.admin, stream.flow.bus
    less = str(int(admin.posture(bus)["retention.ms"]) - 1_000)
    admin.set_topic(bus, "retention.ms", less)
    end = time.monotonic() + stretched(30)
    while admin.posture(bus)["retention.ms"] != less:
        assert time.monotonic() < end
    asked = {"stream": stream.flow.name, "run": stream.run_name}
    _step_dies(stream, crowd, submit("basis", asked, crowd.asker, "why", crowd.people), point)
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()
    rows = stream.flow.rows(
        "SELECT b.generation, b.plan IS NOT NULL AS given FROM basis b JOIN run_window w ON w.id = b.win"
        " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND r.name = %(run)s ORDER BY 1",
        run=stream.run_name,
    )
    assert [row.given for row in rows].count(True) == 1 and rows[-1].generation == len(rows)


def recheck_ender_dies(point: str, ground: GetGround) -> None:
    stream, crowd = ground(), Crowd()
    stream.new_run()
    stream.works_to_the_end()
    stream.passes()
    asked = {"stream": stream.flow.name, "topic": stream.flow.inbox}
    number = submit("retire", asked, crowd.asker, "why", crowd.people)
    _step_dies(stream, crowd, number, point)
    rows = stream.flow.rows("SELECT plan FROM recheck_end WHERE plan = %(plan)s", plan=number)
    assert len(rows) == 1


def adopter_dies(point: str, ground: GetGround) -> None:
    """The ledger is another installation once, and the stream goes on as that."""
    stream, crowd = ground(), Crowd()
    stream.new_run()
    stream.works_to_the_end()
    stream.passes()
    commit(stream.flow, stream.flow.inbox, 1_000_000)
    number = submit("adopt", {"stream": stream.flow.name}, crowd.asker, "why", crowd.people)
    _step_dies(stream, crowd, number, point)
    assert len(stream.flow.rows("SELECT id FROM install WHERE plan = %(plan)s", plan=number)) == 1
    stream.new_run()
    stream.works_to_the_end()
    stream.is_whole()
    stream.passes()


def _step_dies(stream: Ground, crowd: Crowd, number: int, point: str) -> None:
    """Approved, and run by a process that dies there; others go on."""
    say_yes(crowd, number)
    job = {"verb": "run", "plan": number, "items": (), "asker": crowd.asker.name, "approver": crowd.approver.name}
    stream.dies("plan", point, **job)
    end = time.monotonic() + stretched(30)
    while plan_row(number).state != State.DONE:
        assert time.monotonic() < end, plan_row(number)
        stream.does("plan", **job)
    assert Counter(act for act, _ in acts(number))["plan.done"] == 1


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
