"""What time does to a verdict: old facts store nothing, a PASS ends by a FAIL alone, one process judges a window."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from audit import close, gate
from audit.close import AnotherCloser, FactsTooOld, PassStands, close_due, close_run, judge, store, window_of
from audit.core import verdict as v
from audit.enforce import decide_gate
from ingest.db import beside, write
from ingest.streams import newest_contract
from ingest.windows import raise_revisions
from tests.audit.test_close import grow, mine, passed
from tests.audit.test_gate import broker_away, gate_row
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def numbers(flow: Flow) -> list[str]:
    rows = flow.rows("SELECT v.state FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
                     " WHERE s.name = %(name)s ORDER BY v.number")  # fmt: skip
    return [row.state for row in rows]


def touched(flow: Flow) -> None:
    """A fact of the window has changed, says whoever changed it."""
    with write() as cur:
        raise_revisions(cur, [window_of(flow.name, "r1")])


def cut_window(flow: Flow) -> int:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    return window_of(flow.name, "r1")


# ---- the age of facts -----------------------------------------------------------------------------------------------


def test_facts_that_have_aged_store_nothing(make_flow: MakeFlow) -> None:
    """The closer was held up between judging and storing for longer than a sample may be old."""
    flow = make_flow(close='sample_max_age = "4s"')
    win = cut_window(flow)
    judge(win)
    judged = judge(win)
    assert judged.verdict.state is v.State.PASS
    time.sleep(4.5)
    with pytest.raises(FactsTooOld) as refused:
        store(judged, "test")
    assert refused.value.retry
    assert numbers(flow) == []
    assert decide_gate(flow.name, "r1", who="test").status == 403
    assert close_run(flow.name, "r1", "test").verdict.state is v.State.PASS


def test_a_lease_counts_from_the_measurement(flow: Flow) -> None:
    win = cut_window(flow)
    judge(win)
    judged = judge(win)
    time.sleep(2)
    store(judged, "test")
    oldest = judged.verdict.measured_at
    assert oldest is not None
    assert gate_row(flow).open_until == oldest + gate.lease(newest_contract(flow.name).contract)
    assert gate_row(flow).checked_at == oldest


# ---- after a PASS ---------------------------------------------------------------------------------------------------


def test_a_pass_judged_again_is_the_one_that_stands(flow: Flow) -> None:
    first = passed(flow)
    again = flow.judge()
    assert (again.number, again.id, again.new) == (first.number, first.id, False)
    assert numbers(flow) == ["PASS"]


def test_a_broker_that_is_away_takes_no_pass_back(flow: Flow) -> None:
    passed(flow)
    touched(flow)
    with broker_away():
        with pytest.raises(PassStands) as refused:
            close_run(flow.name, "r1", "test")
        close._pauses.clear()
        assert mine(flow, close_due()) == []
    assert "#1 is PASS" in str(refused.value)
    assert numbers(flow) == ["PASS"]
    assert decide_gate(flow.name, "r1", who="test").status == 200


def test_an_added_partition_takes_no_pass_back(flow: Flow) -> None:
    passed(flow)
    grow(flow, 2)
    touched(flow)
    close._pauses.clear()
    assert mine(flow, close_due()) == []
    assert numbers(flow) == ["PASS"]
    assert decide_gate(flow.name, "r1", who="test").status == 200


def test_facts_that_changed_after_a_pass_still_find_the_fail(flow: Flow) -> None:
    """The inbox topic is another one now, and a fact has changed since the PASS: it is judged again by itself."""
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    touched(flow)
    close._pauses.clear()
    (found,) = mine(flow, close_due())
    assert found.verdict.state is v.State.FAIL
    assert numbers(flow) == ["PASS", "FAIL"]
    assert decide_gate(flow.name, "r1", who="test").status == 403


def test_what_could_not_be_measured_after_a_pass_is_judged_once_it_can(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    touched(flow)
    close._pauses.clear()
    with broker_away():
        assert mine(flow, close_due()) == []
    for pause in close._pauses.values():
        pause.until = 0.0  # its time has come
    assert [found.verdict.state for found in mine(flow, close_due())] == [v.State.FAIL]


def test_a_pass_that_was_looked_at_again_is_not_looked_at_for_ever(flow: Flow) -> None:
    passed(flow)
    touched(flow)
    win = window_of(flow.name, "r1")
    assert close._close_due_window(win, time.monotonic()) is None
    (row,) = flow.rows("SELECT revision, judged_revision FROM run_window WHERE id = %(win)s", win=win)
    assert row.revision == row.judged_revision
    assert numbers(flow) == ["PASS"]


def test_s12_of_two_closers_of_a_blocked_window_one_wins(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    win = window_of(flow.name, "r1")
    judge(win)
    one, other = judge(win), judge(win)
    store(one, "ana")
    with pytest.raises(AnotherCloser):
        store(other, "ben")
    assert numbers(flow) == ["BLOCKED"]


# ---- one judge a window ---------------------------------------------------------------------------------------------


def test_another_process_goes_on_to_another_window(make_flow: MakeFlow) -> None:
    """One long count does not take both: whoever finds the window being judged leaves it alone."""
    busy, free = make_flow(), make_flow()
    other, win = (
        cut_window(free),
        cut_window(busy),
    )  # the busy one last: what its lanes measured is new, and it would PASS
    close._pauses.clear()
    at = time.monotonic()
    with close.alone(win) as mine_alone:
        assert mine_alone
        assert close._close_due_window(win, at) is None
        assert numbers(busy) == []
        free.sample()
        assert close._close_due_window(other, at) is not None
    close._pauses.clear()
    assert [found.verdict.state for found in mine(busy, close_due())] == [v.State.PASS]


def test_who_dies_while_judging_leaves_the_window_to_others(flow: Flow) -> None:
    win = cut_window(flow)
    with close.alone(win):
        pass
    with close.alone(win) as again:
        assert again


def test_a_person_is_not_turned_away_by_a_judge_that_got_stuck(flow: Flow) -> None:
    win = cut_window(flow)
    with close.alone(win):
        assert close_run(flow.name, "r1", "ana").verdict.state is v.State.PASS


def test_what_is_held_beside_ends_with_its_block(flow: Flow) -> None:
    with beside(60) as cur:
        (row,) = cur.execute("SELECT current_setting('idle_in_transaction_session_timeout') AS idle").fetchall()
    assert row.idle == "1min"
