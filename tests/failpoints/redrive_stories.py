"""Whoever redrives dies at each failpoint on the way: each item ends once and is one event at most."""

from __future__ import annotations

import base64

import pytest

from audit.close import close_run
from audit.enforce import decide_gate
from audit.fsck import examine, fsck
from plans.core.plan import State
from plans.submit import submit
from tests.failpoints.ground import Ground
from tests.failpoints.pool import GetGround
from tests.failpoints.processes import KILLED
from tests.flow.inbox import hide
from tests.flow.world import leave, thing
from tests.plans.crowd import Crowd, as_owner, items, plan_row, run_to, say_yes


def redrive_dies(point: str, ground: GetGround) -> None:
    stream = _with_a_run(ground)
    number = _asked_for(stream, Crowd())
    stream.dies("run_plan", point, plan=number)
    stream.does("run_plan", plan=number)
    _is_whole(stream, number)
    _passes(stream)


def closing_a_rerun_dies(point: str, ground: GetGround) -> None:
    stream, crowd = _with_a_run(ground), Crowd()
    number = _asked_for(stream, crowd)
    run_to(crowd, number, State.DONE)
    _is_whole(stream, number)
    stream.dies("close_rerun", point)
    _passes(stream)


def _with_a_run(ground: GetGround) -> Ground:
    """Judged: it holds bytes that are no event, and another payload of one."""
    stream = ground(fresh=True)
    stream.new_run()
    stream.works_to_the_end()
    stream.passes()
    return stream


def _asked_for(stream: Ground, crowd: Crowd) -> int:
    """Both of its items, each corrected to the same new event: the second is a duplicate of the first."""
    ids = [
        row.id
        for row in stream.flow.rows(
            "SELECT q.id FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s AND q.state = 'OPEN' ORDER BY q.id"
        )
    ]
    right = base64.b64encode(thing("right")).decode()
    asked = {
        "stream": stream.flow.name, "run": stream.run_name, "window": 1, "items": ids,
        "corrections": {str(item): right for item in ids},
    }  # fmt: skip
    number = submit("redrive", asked, crowd.asker, "a broken client", crowd.people)
    say_yes(crowd, number)
    stream.admitted += 1
    return number


def _is_whole(stream: Ground, number: int) -> None:
    assert plan_row(number).state == State.DONE
    assert [outcome for _, outcome in items(number)] == ["ADMITTED", "DUPLICATE"]
    (rerun,) = stream.flow.rows(
        "SELECT w.state FROM rerun x JOIN run_window w ON w.id = x.win WHERE x.plan = %(n)s", n=number
    )
    assert rerun.state == "CUT"
    stream.works_to_the_end()
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def _passes(stream: Ground) -> None:
    stream.flow.sample()
    stored = close_run(stream.flow.name, stream.run_name, "test", 1, rerun=1)
    assert stored.verdict.title == "PASS", stored.sentence
    assert decide_gate(stream.flow.name, stream.run_name, 1, "test", rerun=1).granted
    assert decide_gate(stream.flow.name, stream.run_name, who="test").granted
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def replay_dies(point: str, ground: GetGround) -> None:
    """In the same run: duplicates and no events, holes proven at their origin, whatever died."""
    stream, crowd = _with_a_run(ground), Crowd()
    number = _replay(stream, crowd, "prove")
    stream.dies("run_plan", point, plan=number)
    stream.does("run_plan", plan=number)
    assert [outcome for _, outcome in items(number)] == ["DONE"]
    stream.works_to_the_end()
    _passes(stream)


def fresh_run_dies(point: str, ground: GetGround) -> None:
    """Under another run's name: what the window admitted is admitted once more, and once."""
    stream, crowd = _with_a_run(ground), Crowd()
    leave([stream.flow.name])  # the window cannot be read
    number = _replay(stream, crowd, "fresh")
    taken = f"{stream.run_name}.r1"
    if not point.startswith("gate."):
        stream.dies("run_plan", point, plan=number)
    stream.does("run_plan", plan=number)
    assert [outcome for _, outcome in items(number)] == ["DONE"]
    stream.admitted *= 2
    stream.works_to_the_end()
    if point.startswith("gate."):
        before = stream.workers.run("close", point, **(stream.job() | {"run": taken}))
        assert before == KILLED
    stream.flow.sample()
    stored = close_run(stream.flow.name, taken, "test")
    assert stored.verdict.title == "PASS", stored.sentence
    assert decide_gate(stream.flow.name, taken, who="test").granted
    assert not decide_gate(stream.flow.name, stream.run_name, who="test").granted
    assert [str(x) for x in fsck(stream=stream.flow.name)] == []


def covering_dies(point: str, ground: GetGround) -> None:
    """A window failed, and a rerun has read all of it again: its PASS opens both, or neither."""
    stream, crowd = ground(fresh=True), Crowd()
    stream.new_run()
    with pytest.MonkeyPatch.context() as patched:
        hide(patched, stream.flow, 1)
        stream.flow.work()
        stream.flow.cut(stream.run_name)
        stream.flow.work()
    assert stream.flow.judge(stream.run_name).verdict.title == "FAIL"
    leave([stream.flow.name])  # a record without receipt stays one
    run_to(crowd, _replay(stream, crowd, "prove"), State.DONE)
    stream.works_to_the_end()
    stream.dies("close_rerun", point)
    assert not decide_gate(stream.flow.name, stream.run_name, who="test").granted
    stream.flow.sample()
    stored = close_run(stream.flow.name, stream.run_name, "test", 1, rerun=1)
    assert stored.verdict.title == "PASS", stored.sentence
    assert decide_gate(stream.flow.name, stream.run_name, 1, "test", rerun=1).granted
    assert decide_gate(stream.flow.name, stream.run_name, who="test").granted
    assert [str(x) for x in examine(stream.flow.name, names={"covers", "open_gates", "roots"}).findings] == []


def mending_dies(point: str, ground: GetGround) -> None:
    """Effects went missing before their window was judged: they stand again, once, whoever died writing them."""
    stream, crowd = ground(fresh=True), Crowd()
    stream.new_run()
    stream.works_to_the_end()
    stream.flow.cut(stream.run_name)
    stream.does("work")
    before = stream.flow.rows(EFFECTS)
    with as_owner() as connection:
        connection.execute(
            "DELETE FROM effect x USING run r, stream s WHERE r.id = x.run_id AND s.id = r.stream_id AND s.name = %s"
            " AND x.bus_offset = 0",
            (stream.flow.name,),
        )
    assert stream.flow.judge(stream.run_name).verdict.title == "FAIL"
    number = _replay(stream, crowd, "prove")
    stream.dies("run_plan", point, plan=number)
    stream.does("run_plan", plan=number)
    assert [outcome for _, outcome in items(number)] == ["DONE"]
    assert 0 < stream.flow.count("mended_effect") < len(before) and stream.flow.rows(EFFECTS) == before
    _passes(stream)


EFFECTS = (
    "SELECT x.* FROM effect x JOIN run r ON r.id = x.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    " ORDER BY x.identity"
)


def proving_what_is_gone_dies(point: str, ground: GetGround) -> None:
    """A rerun passed over what retention took: its second look is whole, or is made again."""
    stream, crowd = _with_a_run(ground), Crowd()
    number = _replay(stream, crowd, "prove")
    stream.flow.admin.delete_records(stream.flow.inbox, {0: 6})
    run_to(crowd, number, State.DONE)
    stream.works_to_the_end()
    stream.dies("close_rerun", point)
    _passes(stream)
    proofs = stream.flow.rows(
        "SELECT g.proof FROM gap g JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND g.why = 'GONE' AND g.state = 'PROVEN'"
    )
    assert [(row.proof["log_start_before"], row.proof["log_start_after"]) for row in proofs] == [(6, 6)]


def proving_what_was_taken_dies(point: str, ground: GetGround) -> None:
    """Retention took a gap that a rerun had read: the first reading's proof holds; the other one is read again."""
    stream, crowd = _with_a_run(ground), Crowd()
    run_to(crowd, _replay(stream, crowd, "prove"), State.DONE)
    stream.works_to_the_end()
    stream.flow.admin.delete_records(stream.flow.inbox, {0: 6})
    stream.dies("close_rerun", point)
    _passes(stream)
    proofs = stream.flow.rows(
        "SELECT g.proof FROM gap g JOIN source c ON c.id = g.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND c.kind = 'plan' AND g.state = 'PROVEN' ORDER BY g.from_offset"
    )
    assert [row.proof.get("log_start_after") for row in proofs] == [6, None]


def _replay(stream: Ground, crowd: Crowd, mode: str) -> int:
    asked = {"stream": stream.flow.name, "run": stream.run_name, "window": 1, "whole": True, "mode": mode}
    number = submit("replay", asked, crowd.asker, "is it whole", crowd.people)
    say_yes(crowd, number)
    return number
