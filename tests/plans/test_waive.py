"""A waiver from end to end on the real stack: BLOCKED, a plan, a second person, PASS (waived), and what ends it."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from audit.capture import now
from audit.close import PassStands, close_due, close_run, window_of
from audit.core import verdict as v
from audit.core.gate import Code
from audit.enforce import decide_gate, enforce_due
from audit.fsck import fsck
from audit.waive import NotWaivable
from ingest.db import ConstraintViolated, write
from ingest.models import Resolution
from ingest.quarantine import resolve
from plans.core.plan import State
from plans.errors import PlanChanged, PlanRefused
from plans.preview import preview
from plans.submit import submit
from tests.audit.test_gate import gate_row
from tests.flow.world import Flow, thing
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes

MakeFlow = Callable[..., Flow]
HOUR = timedelta(hours=1)


def blocked(flow: Flow, values: list[bytes], **more: Any) -> Flow:
    """A run read and applied to its cut, whose verdict is BLOCKED."""
    flow.open()
    flow.produce(values)
    flow.work()
    flow.cut(**more)
    flow.work()
    assert flow.judge().verdict.state is v.State.BLOCKED
    return flow


def asked(flow: Flow, check: str, until: datetime | timedelta = HOUR, **more: Any) -> dict[str, Any]:
    end = now() + until if isinstance(until, timedelta) else until
    return {"stream": flow.name, "run": "r1", "check": check, "until": end, **more}


def waived(crowd: Crowd, flow: Flow, check: str, until: timedelta = HOUR) -> int:
    """Asked for, approved and run."""
    number = submit("waive", asked(flow, check, until), crowd.asker, "a broken client", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def open_items(flow: Flow) -> list[int]:
    rows = flow.rows(
        "SELECT q.id FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND q.state = 'OPEN' ORDER BY q.id"
    )
    return [row.id for row in rows]


def test_items_that_are_open_are_waived_and_the_gate_names_it(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json"])
    seen = preview("waive", asked(flow, "QUARANTINE"))
    assert seen.prediction.verdict == "PASS (waived)"
    assert decide_gate(flow.name, "r1").code is Code.BLOCKED
    number = waived(crowd, flow, "QUARANTINE")
    stored = flow.judge()
    assert stored.verdict.title == seen.prediction.verdict
    row = plan_row(number)
    who = f"(asked for by {crowd.asker.name}, approved by {crowd.approver.name}: a broken client)"
    assert f"QUARANTINE is waived until {waived_until(flow):%Y-%m-%d %H:%M} by plan {number} {who}" in stored.sentence
    decision = decide_gate(flow.name, "r1")
    assert decision.granted and stored.sentence == decision.detail
    (waiver,) = decision.waivers
    assert (waiver["plan"], waiver["requested_by"], waiver["approved_by"]) == (
        number, crowd.asker.name, crowd.approver.name,
    )  # fmt: skip
    assert row.state == "DONE" and items(number) == [("QUARANTINE", "DONE")]


def waived_until(flow: Flow) -> datetime:
    (row,) = flow.rows(
        "SELECT x.until FROM waiver x JOIN run_window w ON w.id = x.win JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    return row.until  # type: ignore[no-any-return]


def test_a_run_in_which_nothing_was_admitted(flow: Flow, crowd: Crowd) -> None:
    """S1, S6: zero events prove nothing, and two people may let that stand."""
    blocked(flow, [])
    waived(crowd, flow, "NOT_EMPTY")
    assert flow.judge().verdict.title == "PASS (waived)"


def test_totals_that_were_not_reached(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.cut(totals={"thing": 7})
    flow.work_until(lambda: flow.count("effect") == 1)
    assert flow.judge().verdict.state is v.State.BLOCKED
    waived(crowd, flow, "EXPECTED")
    assert flow.judge().verdict.title == "PASS (waived)"


def test_more_discards_than_the_contract_allows(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(make_flow(close="discard_max = 1"), [thing(1), b"x", b"y", b"z"])
    resolve(open_items(flow), "ana", Resolution.DISCARDED, "a broken client", [f"{flow.name}/r1"])
    assert flow.judge().verdict.state is v.State.BLOCKED
    waived(crowd, flow, "QUARANTINE")
    assert flow.judge().verdict.title == "PASS (waived)"


def test_another_check_still_blocks(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [b"not json"])
    seen = preview("waive", asked(flow, "QUARANTINE"))
    assert seen.prediction.verdict == "BLOCKED"
    assert any("0 admitted" in line for line in seen.prediction.lines)
    waived(crowd, flow, "QUARANTINE")
    assert flow.judge().verdict.title == "BLOCKED"
    waived(crowd, flow, "NOT_EMPTY")
    stored = flow.judge()
    assert stored.verdict.title == "PASS (waived)"
    assert [waiver.check for waiver in stored.verdict.waivers] == ["QUARANTINE", "NOT_EMPTY"]


# ---- what ends it ---------------------------------------------------------------------------------------------------


def test_a_fact_that_changes_shuts_the_gate_in_its_own_transaction(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json", b"nor this"])
    number = waived(crowd, flow, "QUARANTINE")
    assert flow.judge().verdict.title == "PASS (waived)"
    resolve(open_items(flow)[:1], "ana", Resolution.DISCARDED, "seen")
    assert gate_row(flow).shut_why == f"what plan {number} waived of QUARANTINE has changed"
    decision = decide_gate(flow.name, "r1")
    assert (decision.code, decision.verdict) == (Code.SHUT, f"{flow.name}/r1#2")
    with pytest.raises(PassStands):  # the verdict stays what it was
        flow.judge()
    assert fsck(stream=flow.name) == []


def test_once_the_items_are_resolved_the_window_passes_without_a_waiver(make_flow: MakeFlow, crowd: Crowd) -> None:
    """Nobody is left with a gate that nothing opens: a PASS may follow one that leaned on a waiver."""
    flow = blocked(make_flow(close="discard_max = 5"), [thing(1), b"not json"])
    waived(crowd, flow, "QUARANTINE")
    flow.judge()
    resolve(open_items(flow), "ana", Resolution.DISCARDED, "seen")
    flow.sample()
    assert [stored.verdict.title for stored in close_due()] == ["PASS"]
    assert decide_gate(flow.name, "r1").granted
    with pytest.raises(AssertionError, match="stands"):  # and after that one nothing but a FAIL
        assert not flow.judge().new, "the PASS stands"
        raise AssertionError("stands")


def test_a_waiver_that_is_over_shuts_the_gate(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json"])
    number = waived(crowd, flow, "QUARANTINE", timedelta(seconds=8))
    assert flow.judge().verdict.title == "PASS (waived)"
    until = waived_until(flow)
    assert gate_row(flow).open_until <= until
    assert decide_gate(flow.name, "r1").granted
    while now() < until:
        enforce_due()
        row = gate_row(flow)
        assert row.open_until <= until, "the gate would be open longer than it is waived"
        time.sleep(0.5)
    assert not decide_gate(flow.name, "r1").granted
    enforce_due()
    assert gate_row(flow).shut_why == f"the waiver of QUARANTINE by plan {number} is over"
    assert decide_gate(flow.name, "r1").code is Code.SHUT
    (row,) = flow.rows(
        "SELECT v.state FROM verdict v WHERE v.win = %(win)s ORDER BY number DESC LIMIT 1", win=gate_row(flow).win
    )
    assert row.state == "PASS"
    # and another plan opens it again, by a verdict of its own
    waived(crowd, flow, "QUARANTINE")
    assert flow.judge().verdict.title == "PASS (waived)"
    assert decide_gate(flow.name, "r1").verdict == f"{flow.name}/r1#3"


def test_no_lease_lasts_longer_than_the_waiver(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json"])
    waived(crowd, flow, "QUARANTINE", timedelta(seconds=20))
    flow.judge()
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() + interval '1 minute' WHERE win = %s",
            (gate_row(flow).win,),
        )
    assert refused.value.constraint == "gate_follows_waiver"


# ---- void and refused -----------------------------------------------------------------------------------------------


def test_what_changed_before_it_ran_makes_it_void(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json", b"nor this"])
    number = submit("waive", asked(flow, "QUARANTINE"), crowd.asker, "why", crowd.people)
    late = submit("waive", asked(flow, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    resolve(open_items(flow)[:1], "ana", Resolution.DISCARDED, "seen")
    run_to(crowd, number, State.VOID)
    assert "QUARANTINE open: 2 → 1" in plan_row(number).void_why
    with pytest.raises(PlanChanged, match="open: 2 → 1"):
        say_yes(crowd, late)
    assert flow.judge().verdict.state is v.State.BLOCKED


def test_what_cannot_be_waived(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1), b"x"])
    with pytest.raises(NotWaivable, match="the window is OPEN"):
        preview("waive", asked(flow, "QUARANTINE"))
    flow.work()
    flow.cut()
    flow.work()
    with pytest.raises(NotWaivable, match="holds"):
        preview("waive", asked(flow, "NOT_EMPTY"))
    with pytest.raises(NotWaivable, match="not asked for"):
        preview("waive", asked(flow, "DEGRADED"))
    for check in ("PUBLISHED", "ACCOUNTED", "nothing"):
        with pytest.raises(PlanRefused, match="NOT_EMPTY"):
            preview("waive", asked(flow, check))
    for until in (timedelta(0), timedelta(days=-1), timedelta(days=401)):
        with pytest.raises(PlanRefused, match="a time to come"):
            preview("waive", asked(flow, "QUARANTINE", until))
    with pytest.raises(PlanRefused, match="with its zone"):
        preview("waive", asked(flow, "QUARANTINE", datetime(2099, 1, 1)))  # noqa: DTZ001


def test_a_contract_may_forbid_it(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(make_flow(close='empty = "never"'), [])
    with pytest.raises(NotWaivable, match="never"):
        preview("waive", asked(flow, "NOT_EMPTY"))


def test_the_waiver_of_one_window_is_not_another_s(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json"])
    waived(crowd, flow, "QUARANTINE")
    assert flow.judge().verdict.title == "PASS (waived)"
    flow.open("r2")
    flow.produce([thing(2), b"x"])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert close_run(flow.name, "r2", "test").verdict.title == "BLOCKED"
    assert window_of(flow.name, "r2") != window_of(flow.name, "r1")
