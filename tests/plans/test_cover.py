"""A rerun that proves all of a window that failed opens it: on the real stack, from the failure to whoever reads."""

from __future__ import annotations

from typing import Any

import pytest

from audit.core.gate import Code
from audit.enforce import decide_gate
from tests.flow.inbox import hide
from tests.flow.world import Flow, leave, thing
from tests.plans.crowd import Crowd, as_owner
from tests.plans.test_replay import judge_rerun, replayed


@pytest.fixture
def left_out(live: object, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A window that failed: its lane claimed a gap where a record is, and another reader found that."""
    flow = Flow()  # its invariants do not hold, by intent
    with monkeypatch.context() as patched:
        missed(flow, patched)
    yield flow
    leave([flow.name])


def missed(flow: Flow, patched: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    hide(patched, flow, 1)
    flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.title == "FAIL" and "second reader found records" in stored.sentence, stored.sentence


def win_of(flow: Flow, rerun: int | None = None) -> int:
    (row,) = flow.rows(
        "SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND r.name = 'r1' AND w.rerun IS NOT DISTINCT FROM %(rerun)s",
        rerun=rerun,
    )
    return int(row.id)


def test_a_rerun_of_all_of_it_opens_a_window_that_failed(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    replayed(crowd, flow, whole=True)
    flow.work()
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED, "not before the rerun is judged"
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.verdict.cover is not None and stored.verdict.cover.lacks == ()
    for asked_window in (1, None):
        answer = decide_gate(flow.name, "r1", asked_window)
        assert answer.granted, answer
        assert answer.verdict == stored.name
        assert f"Window 1, proven by rerun 1 ({stored.name})." in answer.detail
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted


def test_what_its_inbox_says_otherwise_later_shuts_it(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    replayed(crowd, flow, whole=True)
    flow.work()
    judge_rerun(flow)
    assert decide_gate(flow.name, "r1", 1).granted
    with as_owner() as connection:
        connection.execute(
            "UPDATE receipt SET payload_digest = sha256('else') WHERE source_id = %s AND \"offset\" = 2",
            (flow.sources("inbox")[0],),
        )
    replayed(crowd, flow, whole=True)
    flow.work()
    assert judge_rerun(flow, 2).verdict.title == "FAIL"
    answer = decide_gate(flow.name, "r1", 1)
    assert answer.code is Code.SHUT and "rerun 2 of it failed" in answer.detail, answer
