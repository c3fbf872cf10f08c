"""Ending re-checks from end to end on the real broker: an inbox topic moves, its gates stand on the ledger."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit import capture
from audit.close import PassStands, close_due, close_run, window_of
from audit.core import verdict as v
from audit.core.gate import Code
from audit.enforce import decide_gate, decide_span, enforce_due
from audit.fsck import fsck
from audit.go_on import go_on
from audit.recheck_end import NotEnded
from console.documents.gate import span_document
from ingest.core.errors import BrokerError, NotFound
from ingest.db import ConstraintViolated, write
from ingest.models import Stream
from ingest.windows import raise_revisions
from plans.core.plan import State
from plans.errors import PlanRefused
from plans.preview import preview
from plans.submit import submit
from tests.audit.test_close import passed
from tests.audit.test_complete import PASSES, SKEW, complete, judged, stamps
from tests.audit.test_drift import created_anew
from tests.audit.test_fsck import cheat
from tests.audit.test_gate import broker_away, contradict, enforced, gate_row
from tests.flow.world import CONTRACT, Flow, leave_all_but, thing
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes

MakeFlow = Callable[..., Flow]
MOVED = CONTRACT.replace('topic = "{name}.inbox"', 'topic = "{name}.moved"')


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "topic": flow.inbox, **more}


def submitted(crowd: Crowd, flow: Flow) -> int:
    return submit("retire", asked(flow), crowd.asker, "it moved to another topic", crowd.people)


def retired(crowd: Crowd, flow: Flow) -> int:
    """Asked for, approved and run."""
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def gone(flow: Flow) -> None:
    """The old topic is deleted on the broker, and the broker says so."""
    flow.admin.delete_topic(flow.inbox)
    until = time.monotonic() + 30
    while flow.admin.topic_id(flow.inbox) is not None:
        assert time.monotonic() < until
        time.sleep(0.05)


def moves_on(flow: Flow) -> None:
    """The next run reads another topic."""
    flow.contract = MOVED
    flow.admin.create_topic(f"{flow.name}.moved", 1)
    flow.load()
    flow.open("r2")
    flow.produce([thing("moved")], topic=f"{flow.name}.moved")
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.PASS


def stops(flow: Flow) -> list[str]:
    rows = flow.rows(
        "SELECT p.stopped_code FROM position p JOIN source c ON c.id = p.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s AND p.stopped_code IS NOT NULL"
    )
    return [row.stopped_code for row in rows]


def first_gate(flow: Flow) -> Any:
    where = "SELECT * FROM gate_open WHERE win = %(win)s"
    return flow.rows(where, win=window_of(flow.name, "r1"))[0]


def looked_at(flow: Flow) -> str:
    """What the enforcer's next look makes of the gate of r1."""
    win = window_of(flow.name, "r1")
    leave_all_but(flow)
    with write() as cur:
        cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = %s", (win,))
    (found,) = [each for each in enforce_due() if each.win == win]
    return f"{found.outcome} {found.why}".strip()


def test_a_topic_that_was_moved_is_deleted_and_its_gate_stays_open(flow: Flow, crowd: Crowd) -> None:
    stored = passed(flow)
    moves_on(flow)
    seen = preview("retire", asked(flow))
    assert seen.binds["facts"]["gates"] == [stored.name]
    assert "1 gate would stand on the ledger, and say so" in seen.prediction.lines[1]
    number = retired(crowd, flow)
    assert items(number) == [(f"{flow.inbox} {seen.binds['facts']['topic_id']}", "DONE")]
    gone(flow)
    with pytest.MonkeyPatch.context() as patch:
        names: list[str] = []
        real = capture._topics
        patch.setattr(capture, "_topics", lambda asked, found: names.extend(found) or real(asked, found))
        assert looked_at(flow) == "extended"
        assert flow.bus in names and flow.inbox not in names
    decision = decide_gate(flow.name, "r1")
    assert decision.granted and first_gate(flow).shut_why is None
    day = plan_row(number).ended_at.date()
    said = f"Re-checks of {flow.inbox} were ended by plan {number} on {day}: it stands on the ledger."
    assert decision.detail == f"{stored.sentence} {said}"
    (ended,) = decision.ended
    assert (ended.plan, ended.requested_by, ended.approved_by) == (number, crowd.asker.name, crowd.approver.name)
    flow.work()
    assert stops(flow) == [], "no lane has anything to say about a topic that is not read any more"
    assert decide_gate(flow.name, "r2").granted and decide_gate(flow.name, "r2").ended == ()
    assert fsck(stream=flow.name) == []


def test_a_yes_about_a_span_of_time_says_it_too(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = make_flow(close=PASSES + SKEW)
    stamps(flow, message_timestamp_type="LogAppendTime")
    flow.open()
    begin = datetime.now(UTC) + timedelta(seconds=0.2)
    time.sleep(0.3)
    for number in (1, 2):
        flow.produce([thing(number)])
        flow.work()
        go_on(flow.name, "r1", "test")
        judged(flow, number)
    end = complete(flow, 2)[0]
    assert end is not None
    assert decide_span(flow.name, begin, end).ended == ()
    flow.cut()
    judged(flow, 3)
    plan = retired(crowd, flow)
    found = decide_span(flow.name, begin, end)
    assert (found.status, [each.plan for each in found.ended]) == (200, [plan])
    assert [each["plan"] for each in span_document(found, flow.name)["rechecks_ended"]] == [plan]


def test_without_the_plan_the_gate_shuts(flow: Flow) -> None:
    """What the plan is for."""
    passed(flow)
    moves_on(flow)
    gone(flow)
    assert looked_at(flow) == f"shut {flow.inbox} is gone"
    assert decide_gate(flow.name, "r1").code is Code.SHUT


def test_a_topic_of_the_same_name_shuts_nothing_either(flow: Flow, crowd: Crowd) -> None:
    """Created again and retired as gone, the window judged again: its PASS stands, and no other can follow it."""
    passed(flow)
    retired(crowd, flow)
    created_anew(flow, flow.inbox, 1)
    flow.sample()
    flow.open("r2")
    flow.produce([thing(f"again-{n}") for n in range(9)])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.PASS
    win = window_of(flow.name, "r1")
    with write() as cur:
        raise_revisions(cur, [win])
    with pytest.raises(PassStands, match="it stands on the ledger"):
        close_run(flow.name, "r1", "test")
    close_due()
    assert looked_at(flow) == "extended"
    assert decide_gate(flow.name, "r1").granted
    with pytest.raises(NotEnded, match="another topic has its name"):
        preview("retire", asked(flow, topic_id=first_topic_id(flow)))


def first_topic_id(flow: Flow) -> str:
    where = "SELECT topic_id FROM source WHERE id = %(id)s"
    return str(flow.rows(where, id=flow.sources("inbox")[0])[0].topic_id)


def test_a_later_window_of_the_same_incarnation_is_re_checked(flow: Flow, crowd: Crowd) -> None:
    """The topic was not moved after all: what comes later stands on Kafka as everything does."""
    passed(flow)
    retired(crowd, flow)
    passed(flow, "r2")
    assert decide_gate(flow.name, "r1").ended and not decide_gate(flow.name, "r2").ended
    gone(flow)
    win = window_of(flow.name, "r2")
    with write() as cur:
        cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = %s", (win,))
    (found,) = [each for each in enforce_due() if each.win == win]
    assert (found.outcome, found.why) == ("shut", f"{flow.inbox} is gone")
    assert looked_at(flow) == "extended"


# ---- what shuts it as before ----------------------------------------------------------------------------------------


def test_the_bus_shuts_it_as_before(flow: Flow, crowd: Crowd) -> None:
    passed(flow)
    retired(crowd, flow)
    gone(flow)
    created_anew(flow, flow.bus, 2)
    assert looked_at(flow) == f"shut {flow.bus} was deleted and created again"
    assert decide_gate(flow.name, "r1").code is Code.SHUT


def test_a_contradiction_shuts_it_as_before(flow: Flow, crowd: Crowd) -> None:
    passed(flow)
    retired(crowd, flow)
    gone(flow)
    contradict(flow)
    assert not decide_gate(flow.name, "r1").granted
    assert first_gate(flow).shut_why == "1 settled publish contradicted by the bus"
    with cheat(flow) as connection:  # what other tests look at holds no contradiction
        connection.execute("DELETE FROM contradiction WHERE win = %s", (gate_row(flow).win,))


def test_a_broker_that_is_away_extends_nothing(flow: Flow, crowd: Crowd) -> None:
    """The bus is asked for, and did not answer."""
    passed(flow)
    retired(crowd, flow)
    with broker_away():
        assert enforced(flow).outcome == "unmeasured"
    assert gate_row(flow).shut_why is None


# ---- what is refused ------------------------------------------------------------------------------------------------


def test_a_window_that_is_not_judged_yet(flow: Flow) -> None:
    passed(flow)
    flow.open("r2")
    with pytest.raises(NotEnded, match="r2 window 1 is not judged yet"):
        preview("retire", asked(flow))
    flow.produce([thing("r2")])
    flow.work()
    flow.cut("r2")
    with pytest.raises(NotEnded, match="r2 window 1 is not judged yet"):
        preview("retire", asked(flow))


def test_a_log_that_does_not_answer_any_more(flow: Flow, crowd: Crowd) -> None:
    """Only while the old logs still answer: after that nobody knows what would be left as it is."""
    passed(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    gone(flow)
    with pytest.raises(NotEnded, match=f"{flow.inbox} is gone"):
        preview("retire", asked(flow))
    run_to(crowd, number, State.VOID)
    assert f"{flow.inbox} is gone" in plan_row(number).void_why
    assert looked_at(flow) == f"shut {flow.inbox} is gone"


def test_without_kafka_it_is_not_asked_for(flow: Flow) -> None:
    passed(flow)
    with broker_away(), pytest.raises(BrokerError):
        preview("retire", asked(flow))


def test_a_topic_that_is_replaced_already(flow: Flow) -> None:
    passed(flow)
    created_anew(flow, flow.inbox, 1)
    flow.sample()
    with pytest.raises(NotEnded, match="another topic has its name"):
        preview("retire", asked(flow))


def test_a_gate_that_opens_meanwhile_makes_it_void(flow: Flow, crowd: Crowd) -> None:
    passed(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    passed(flow, "r2")
    run_to(crowd, number, State.VOID)
    assert "gates: 0 gone, 1 new" in plan_row(number).void_why


def test_what_cannot_pass_after_it_is_foreseen(flow: Flow) -> None:
    passed(flow)
    flow.open("r2")
    flow.produce([b"not json"])
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state is v.State.BLOCKED
    lines = preview("retire", asked(flow)).prediction.lines
    assert "r2 window 1 is BLOCKED, and could not pass any more." in lines


@pytest.mark.parametrize(
    ("wrong", "error"),
    [({"topic": "nothing"}, NotFound), ({"topic_id": "other"}, NotFound), ({"run": "r1"}, PlanRefused)],
)
def test_what_is_not_there(flow: Flow, wrong: dict[str, str], error: type[Exception]) -> None:
    passed(flow)
    with pytest.raises(error):
        preview("retire", asked(flow, **wrong))
    with pytest.raises(NotFound):
        preview("retire", {"stream": "nothing", "topic": flow.inbox})


def test_no_gate_no_re_checks(flow: Flow) -> None:
    flow.open()
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state is v.State.BLOCKED
    with pytest.raises(NotEnded, match="none of this topic"):
        preview("retire", asked(flow))


# ---- what the database refuses --------------------------------------------------------------------------------------

INSERT = """
INSERT INTO recheck_end
       (stream_id, role, topic, cluster_id, topic_id, last_win, plan, requested_by, approved_by, reason)
SELECT p.stream_id, {role}, f.topic, f.cluster_id, {topic_id}, {last}, p.id, p.requested_by, {by}, p.reason
  FROM plan p, jsonb_to_record(p.binds -> 'facts') AS f(topic text, cluster_id text, topic_id text, last_window integer)
 WHERE p.id = %s"""
AS_BOUND = {"role": "'inbox'", "topic_id": "f.topic_id", "last": "f.last_window", "by": "p.approved_by"}


def refused(number: int, **forged: str) -> str:
    with pytest.raises(ConstraintViolated) as caught, write() as cur:
        cur.execute(INSERT.format(**AS_BOUND | forged), (number,))
    return caught.value.constraint


def test_no_row_without_its_running_plan(flow: Flow, crowd: Crowd) -> None:
    passed(flow)
    number = submitted(crowd, flow)
    assert refused(number, by="'me'") == "recheck_end_of_its_plan"
    say_yes(crowd, number)
    assert refused(number) == "recheck_end_of_its_plan"
    with write() as cur:
        cur.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me', acted_why = '' WHERE id = %s", (number,))
    for forged in ({"by": "'me'"}, {"topic_id": "'another'"}, {"last": "f.last_window - 1"}):
        assert refused(number, **forged) == "recheck_end_of_its_plan", forged
    run_to(crowd, number, State.DONE)
    assert refused(number) == "recheck_end_of_its_plan"
    assert Stream.objects.filter(name=flow.name).exists()


def test_nor_while_a_window_of_it_is_not_judged(flow: Flow, crowd: Crowd) -> None:
    passed(flow)
    number = submitted(crowd, flow)
    say_yes(crowd, number)
    with write() as cur:
        cur.execute("UPDATE plan SET state = 'RUNNING', acted_by = 'me', acted_why = '' WHERE id = %s", (number,))
    flow.open("r2")
    assert refused(number) == "recheck_end_of_its_plan"
    run_to(crowd, number, State.HELD)
    assert "r2 window 1 is not judged yet" in plan_row(number).held_why
