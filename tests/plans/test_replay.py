"""Replays on the real stack: proving a window by reading it again, and a fresh run that takes a window's place."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from audit.close import close_run
from audit.core.gate import Code
from audit.enforce import decide_gate, decide_span, enforce_due
from audit.fsck import fsck
from audit.go_on import go_on
from audit.rerun import PlaceNotWhole, PlaceTaken
from console.permissions import Role
from ingest.admit.http import DoorRecord, receive
from ingest.admit.replay import NOT_OF_WINDOW
from ingest.db import ConstraintViolated, write
from ingest.kafka import BusMessage, TransactionalProducer
from ingest.models import Resolution
from ingest.quarantine import resolve
from plans.core.binding import NO_LIMITS, Limits
from plans.core.plan import Outcome, State
from plans.errors import PlanRefused
from plans.preview import preview
from plans.run import run_plan
from plans.steer import cancel, resume
from plans.submit import submit
from tests.api.caller import caller
from tests.audit.test_complete import SKEW, complete, stamps
from tests.audit.test_contexts import contradicted
from tests.cli.typed import typed
from tests.flow import test_projections as p
from tests.flow.world import CONTRACT, Flow, leave, leave_all_but, thing
from tests.pages.conftest import signed_in
from tests.plans.crowd import Crowd, as_owner, items, plan_row, run_to, say_yes
from tests.plans.test_waive import open_items

weather = p.weather
MakeFlow = Callable[..., Flow]


@pytest.fixture
def forged(live: object) -> Iterator[Flow]:
    """A stream whose ledger a test forges: nobody looks at its invariants afterwards."""
    flow = Flow()
    yield flow
    leave([flow.name])


def passed(flow: Flow, values: list[bytes]) -> Flow:
    """A run that is read, applied and judged PASS."""
    flow.open()
    flow.produce(values)
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    return flow


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", "window": 1, **more}


def replayed(crowd: Crowd, flow: Flow, limits: Limits = NO_LIMITS, **more: Any) -> int:
    number = submit("replay", asked(flow, **more), crowd.asker, "is it whole", crowd.people, limits)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def judge_rerun(flow: Flow, rerun: int = 1) -> Any:
    flow.sample()
    return close_run(flow.name, "r1", "test", 1, rerun=rerun)


def test_a_replay_of_an_undisturbed_window_changes_nothing_but_counts_of_duplicates(flow: Flow, crowd: Crowd) -> None:
    """S7."""
    passed(flow, [thing(n) for n in range(20)])
    before = (flow.count("event"), flow.count("effect"), flow.attempts())
    seen = preview("replay", asked(flow, whole=True))
    assert seen.prediction.outcomes == {Outcome.DUPLICATE: 20}
    number = replayed(crowd, flow, whole=True)
    assert items(number) == [("inbox/0 [0, 20)", "DONE")]
    flow.work()
    assert (flow.count("event"), flow.count("effect"), flow.attempts()) == before
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.verdict.counts is not None and stored.verdict.counts.duplicates == 20
    assert decide_gate(flow.name, "r1").granted
    leave_all_but(flow)
    with write() as cur:  # as if the re-check time had passed: both are looked at together, under one contract
        cur.execute(
            "UPDATE gate_open g SET checked_at = clock_timestamp() - interval '30 s' FROM run_window w, run r, stream s"
            " WHERE w.id = g.win AND r.id = w.run_id AND s.id = r.stream_id AND s.name = %s",
            (flow.name,),
        )
    looked = [check for check in enforce_due() if check.win in flow.wins()]
    assert [check.outcome for check in looked] == ["extended"] * 2, looked
    assert fsck(stream=flow.name) == []


def fail_window(flow: Flow, number: int = 1) -> None:
    """Judged FAIL: a row that readers would read and that nothing explains, or here an effect of no event."""
    (win,) = flow.rows(
        "SELECT w.id, w.run_id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND w.reruns IS NULL AND w.number = %(number)s",
        number=number,
    )
    with as_owner() as connection:
        connection.execute(
            "INSERT INTO effect (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id)"
            " VALUES (%s, sha256('nobody'), %s, %s, 99, 1)",
            (win.run_id, win.id, flow.sources("bus")[0]),
        )


def unforged() -> None:
    """What the test forged is no finding of the product's."""
    with as_owner() as connection:
        connection.execute("DELETE FROM effect WHERE identity = sha256('nobody')")


def failed(flow: Flow, values: list[bytes]) -> Flow:
    flow.open()
    flow.produce(values)
    flow.work()
    fail_window(flow)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    return flow


def fresh(flow: Flow) -> Any:
    flow.sample()
    return close_run(flow.name, "r1.r1", "test")


def test_a_fresh_run_takes_the_place_of_a_window_that_failed(flow: Flow, crowd: Crowd) -> None:
    """A surplus row keeps the window shut for good. The same events under another run's name pass, and are read."""
    failed(flow, [thing(n) for n in range(12)])
    seen = preview("replay", asked(flow, whole=True, mode="fresh"))
    assert seen.prediction.outcomes == {Outcome.ADMITTED: 12}
    number = replayed(crowd, flow, whole=True, mode="fresh")
    assert [outcome for _, outcome in items(number)] == ["DONE"]
    flow.work()
    stored = fresh(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.name == f"{flow.name}/r1.r1#1"
    assert decide_gate(flow.name, "r1.r1").granted
    shut = decide_gate(flow.name, "r1")
    assert shut.code is Code.FAILED and f"superseded by {flow.name}/r1.r1" in shut.detail
    unforged()
    assert fsck(stream=flow.name) == []


# ---- proving --------------------------------------------------------------------------------------------------------


def test_gaps_of_a_transactional_producer_are_proven_at_their_origin(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    inbox = TransactionalProducer(flow.cluster, f"inbox-{flow.name}")
    inbox.init()
    for first in (0, 5):
        sent = inbox.send(flow.inbox, [BusMessage(0, b"k", thing(first + n), None) for n in range(5)])
        assert str(sent.kind) == "ACKED"
    flow.produce([thing(99)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    replayed(crowd, flow, whole=True)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    rows = flow.rows(
        "SELECT g.state FROM gap g JOIN source c ON c.id = g.source_id AND c.kind = 'plan'"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    assert [row.state for row in rows] == ["PROVEN"] * 2


def test_what_is_set_aside_has_its_item_already(flow: Flow, crowd: Crowd) -> None:
    """No second item, no further count of a mismatch, and a resolution that stands."""
    flow.open()
    flow.produce([thing(1), thing(1, other=True), b"{"])
    flow.work()
    for item in open_items(flow):
        resolve([item], "ana", Resolution.DISCARDED, "seen", [f"{flow.name}/r1"])
    before = flow.rows(
        "SELECT q.id, q.seen, q.state FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s"
        " ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY q.id"
    )
    flow.cut()
    flow.work()
    seen = preview("replay", asked(flow, whole=True))
    assert seen.prediction.outcomes == {Outcome.DUPLICATE: 1, Outcome.QUARANTINED: 2}
    replayed(crowd, flow, whole=True)
    after = flow.rows(
        "SELECT q.id, q.seen, q.state FROM quarantine_item q JOIN run r ON r.id = q.run_id JOIN stream s"
        " ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY q.id"
    )
    assert after == before
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"


def test_a_mismatch_that_came_before_counts_where_it_is_read_again(flow: Flow, crowd: Crowd) -> None:
    """Its item lies at the first of these records, which the plan does not read: it is open all the same."""
    flow.open()
    flow.produce([thing(1), thing(1, other=True), thing(2), thing(1, other=True)])
    flow.work()
    (item,) = open_items(flow)
    flow.cut()
    flow.work()
    replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 2, "to": 4}])
    stored = judge_rerun(flow)
    assert {str(check.name) for check in stored.verdict.failed()} == {"QUARANTINE"}, stored.sentence
    before = revision_of_rerun(flow)
    resolve([item], "ana", Resolution.DISCARDED, "seen", [f"{flow.name}/r1"])
    assert revision_of_rerun(flow) > before, "a verdict measured before is not stored after it"
    assert judge_rerun(flow).verdict.title == "PASS"


def revision_of_rerun(flow: Flow) -> int:
    (row,) = flow.rows(
        "SELECT w.revision FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND w.rerun = 1"
    )
    return int(row.revision)


def test_an_inbox_that_says_something_else_fails_the_rerun(forged: Flow, crowd: Crowd) -> None:
    flow = forged
    passed(flow, [thing(n) for n in range(3)])
    source = flow.sources("inbox")[0]
    with as_owner() as connection:
        connection.execute(
            "UPDATE receipt SET payload_digest = sha256('else') WHERE source_id = %s AND \"offset\" = 1", (source,)
        )
    replayed(crowd, flow, whole=True)
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.title == "FAIL"
    assert "1 record of plan" in stored.sentence and "not what the inbox said before" in stored.sentence
    assert decide_gate(flow.name, "r1").granted, "a rerun that fails takes nothing back from its window"


def test_what_was_missed_is_admitted_and_read_with_the_rerun(forged: Flow, crowd: Crowd) -> None:
    """A record without receipt, as if a lane had lost it: the window fails, and the rerun admits it, once."""
    flow = forged
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work("admission")
    source = flow.sources("inbox")[0]
    with as_owner() as connection:
        for table in ("event", "receipt"):
            connection.execute(f'DELETE FROM {table} WHERE source_id = %s AND "offset" = 3', (source,))
        connection.execute("UPDATE publish_queue SET events = 3 WHERE source_id = %s", (source,))
        connection.execute("UPDATE batch SET records = 3, admitted = 3 WHERE source_id = %s", (source,))
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    seen = preview("replay", asked(flow, ranges=[{"source": "inbox/0", "from": 2, "to": 4}]))
    assert seen.prediction.outcomes == {Outcome.ADMITTED: 1, Outcome.DUPLICATE: 1}
    replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 2, "to": 4}])
    flow.work()
    assert flow.count("event") == flow.count("effect") == 4
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted
    assert decide_gate(flow.name, "r1").code is Code.FAILED, "what a part of it proves does not open the window"


# ---- what is refused ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "both or neither"),
        ({"whole": True, "ranges": [{"source": "inbox/0", "from": 0, "to": 1}]}, "both or neither"),
        ({"ranges": [{"source": "inbox/7", "from": 0, "to": 1}]}, "inbox/7"),
        ({"ranges": [{"source": "inbox/0", "from": 0, "to": 99}]}, "a part of"),
        ({"ranges": [{"source": "inbox/0", "from": 1, "to": 1}]}, "a part of"),
        ({"whole": True, "mode": "again"}, "prove or fresh"),
        ({"whole": True, "contract": 9}, "found 9"),
        ({"whole": True, "mode": "fresh"}, "its gate is open"),
    ],
)
def test_what_cannot_be_replayed(flow: Flow, more: dict[str, Any], said: str) -> None:
    passed(flow, [thing(n) for n in range(3)])
    with pytest.raises(PlanRefused, match=said):
        preview("replay", asked(flow, **more))


def test_an_open_window_is_not_read_again(flow: Flow) -> None:
    flow.open()
    with pytest.raises(PlanRefused, match="is OPEN"):
        preview("replay", asked(flow, whole=True))


def test_what_retention_took_is_named_before_anybody_asks(flow: Flow, crowd: Crowd) -> None:
    """Proving, receipts stand in for it (test_gone.py); or what is still there is asked for."""
    passed(flow, [thing(n) for n in range(6)])
    flow.admin.delete_records(flow.inbox, {0: 4})
    lines = preview("replay", asked(flow, whole=True)).prediction.lines
    assert any("4 of 6 offsets of inbox/0 are gone from the inbox" in line for line in lines), lines
    number = replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 4, "to": 6}])
    assert items(number) == [("inbox/0 [4, 6)", "DONE")]
    assert judge_rerun(flow).verdict.title == "PASS"


def test_an_inbox_created_again_is_not_taken_for_the_one_that_was_approved(flow: Flow, crowd: Crowd) -> None:
    passed(flow, [thing(n) for n in range(4)])
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.produce([thing(n) for n in range(4)])
    run_to(crowd, number, State.HELD)
    assert "cancel the plan: what it would read again is gone" in plan_row(number).held_why
    assert flow.rows("SELECT 1 FROM rerun WHERE plan = %(plan)s", plan=number) == []
    cancel(number, crowd.asker, crowd.people, "it is gone")


# ---- mercy ----------------------------------------------------------------------------------------------------------


def test_records_are_counted_and_not_ranges(make_flow: MakeFlow, crowd: Crowd) -> None:
    """The first n records, then the rest; two partitions are two sources of one rerun."""
    flow = make_flow(partitions=2)
    flow.open()
    flow.produce([thing(n) for n in range(7)])
    flow.produce([thing(n) for n in range(10, 15)], partition=1)
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    limits = Limits(first=3, stop_when="duplicate > 5")
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, limits)
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    assert plan_row(number).held_why == "the first 3 are done"
    assert read_so_far(flow) == 3
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.HELD)
    assert plan_row(number).held_why == "it was to stop when duplicate > 5"
    while plan_row(number).state == "HELD":
        resume(number, crowd.asker, crowd.people)
        run_plan(number, crowd.people, lambda: True)
    assert plan_row(number).state == "DONE" and read_so_far(flow) == 12
    assert judge_rerun(flow).verdict.title == "PASS"


def read_so_far(flow: Flow) -> int:
    (row,) = flow.rows(
        "SELECT coalesce(sum(b.records), 0) AS n FROM batch b JOIN source c ON c.id = b.source_id AND c.kind = 'plan'"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    return int(row.n)


def test_a_cancelled_replay_is_judged_on_what_it_read(flow: Flow, crowd: Crowd) -> None:
    passed(flow, [thing(n) for n in range(9)])
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=4))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    cancel(number, crowd.asker, crowd.people, "enough")
    assert items(number) == [("inbox/0 [0, 9)", "NOT_RUN")]
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and stored.verdict.counts is not None
    assert stored.verdict.counts.records == 4


# ---- a fresh run ----------------------------------------------------------------------------------------------------


def test_a_fresh_run_admits_the_events_of_its_window_and_no_others(forged: Flow, crowd: Crowd) -> None:
    """What another window of the run has is a duplicate of that; what none has is for a replay in the run itself."""
    flow = forged
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    go_on(flow.name, "r1", "ana")
    flow.produce([thing(2), thing(3), thing(4)])
    flow.work()
    source = flow.sources("inbox")[0]
    flow.cut()
    flow.work()
    with as_owner() as connection:
        connection.execute('DELETE FROM event WHERE source_id = %s AND "offset" = 4', (source,))
    assert flow.judge().verdict.title == "FAIL"
    seen = preview("replay", {"stream": flow.name, "run": "r1", "window": 2, "whole": True, "mode": "fresh"})
    assert seen.prediction.outcomes == {Outcome.ADMITTED: 1, Outcome.DUPLICATE: 1, Outcome.QUARANTINED: 1}
    number = submit(
        "replay", {"stream": flow.name, "run": "r1", "window": 2, "whole": True, "mode": "fresh"}, crowd.asker, "why",
        crowd.people,
    )  # fmt: skip
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    stored = fresh(flow)
    assert {str(check.name) for check in stored.verdict.failed()} == {"QUARANTINE"}
    (item,) = flow.rows(
        "SELECT q.detail FROM quarantine_item q JOIN run r ON r.id = q.run_id AND r.name = 'r1.r1'"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert item.detail == NOT_OF_WINDOW


def test_a_window_whose_place_is_taken_is_never_opened_again(flow: Flow, crowd: Crowd) -> None:
    """It was BLOCKED, and could pass later: by then its events are read elsewhere."""
    flow.open()
    flow.produce([thing(1), b"{"])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "BLOCKED"
    replayed(crowd, flow, whole=True, mode="fresh")
    flow.work()
    with pytest.raises(PlaceTaken, match="r1.r1 does"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    first, again = open_items(flow)
    resolve([again], "ana", Resolution.DISCARDED, "seen")
    assert fresh(flow).verdict.title == "PASS"
    assert decide_gate(flow.name, "r1.r1").granted
    resolve([first], "ana", Resolution.DISCARDED, "seen")
    own = flow.judge()
    assert own.verdict.title == "PASS", own.sentence
    decision = decide_gate(flow.name, "r1")
    assert not decision.granted and f"superseded by {flow.name}/r1.r1" in decision.detail
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "INSERT INTO gate_open (win, verdict_id, open_until, checked_at) SELECT v.win, v.id,"
            " clock_timestamp() + interval '9 s', clock_timestamp() FROM verdict v WHERE v.id = %s",
            (own.id,),
        )
    assert refused.value.constraint == "gate_superseded"


def test_a_fresh_run_that_was_cancelled_takes_no_place(forged: Flow, crowd: Crowd) -> None:
    """It holds a part of the window's events: read as the whole, the rest would be lost without a word."""
    flow = forged
    failed(flow, [thing(n) for n in range(9)])
    limits = Limits(first=4)
    number = submit("replay", asked(flow, whole=True, mode="fresh"), crowd.asker, "why", crowd.people, limits)
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    cancel(number, crowd.asker, crowd.people, "enough")
    flow.work()
    stored = fresh(flow)
    assert stored.verdict.title == "FAIL", stored.sentence
    assert f"5 offsets of plan {number}/0 were not read again" in stored.sentence
    with as_owner() as connection, pytest.raises(psycopg.Error, match="was not read again"):
        connection.execute("SELECT verdict_pass_earned(v) FROM verdict v WHERE v.id = %s", (stored.id,))
    assert not decide_gate(flow.name, "r1.r1").granted
    assert "superseded" not in decide_gate(flow.name, "r1").detail
    again = replayed(crowd, flow, whole=True, mode="fresh")
    assert [outcome for _, outcome in items(again)] == ["DONE"]
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1.r2", "test").verdict.title == "PASS"
    assert decide_gate(flow.name, "r1.r2").granted
    with as_owner() as connection, pytest.raises(psycopg.Error, match="another run has taken the place since"):
        connection.execute("SELECT verdict_pass_earned(v) FROM verdict v WHERE v.id = %s", (stored.id,))
    with as_owner() as connection:  # as if the window had been longer than what was read again
        connection.execute(
            "UPDATE window_range SET end_offset = 12 WHERE source_id = %s AND end_offset = 9",
            (flow.sources("inbox")[0],),
        )
    assert "3 offsets of plan" in str([found for found in fsck(stream=flow.name) if found.invariant == "I8"])


def test_a_fresh_run_is_not_asked_for_without_what_came_by_http(make_flow: MakeFlow, crowd: Crowd) -> None:
    """The inbox is read again, and a request is not there: the run in its place would be without its events."""
    flow = make_flow(contract=CONTRACT + "[inbox.http]\nenabled = true\n")
    flow.open()
    flow.produce([thing(1)])
    receive(flow.name, [DoorRecord(0, None, None, thing(n), None) for n in (2, 3)])
    flow.work()
    fail_window(flow)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    with pytest.raises(PlaceNotWhole, match="2 of its events came in by HTTP"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    unforged()


def test_a_fresh_run_is_not_asked_for_without_what_was_redriven_from_elsewhere(
    make_flow: MakeFlow, crowd: Crowd
) -> None:
    """A late record lies in another window's range, which nobody reads again."""
    flow = make_flow()
    failed(flow, [thing(1)])
    flow.open("r2")
    flow.produce([thing(2)], run="r2")
    flow.produce([thing(3)], run="r1")
    flow.work()
    (late,) = open_items(flow)
    number = submit("redrive", {"stream": flow.name, "run": "r1", "items": [late]}, crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    with pytest.raises(PlaceNotWhole, match="1 of its events was redriven from elsewhere or corrected"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    unforged()


def test_no_fresh_run_is_asked_for_where_a_correction_made_an_event(make_flow: MakeFlow, crowd: Crowd) -> None:
    """Read again it is set aside again: a run that lets such items be would pass without the event."""
    flow = make_flow(quarantine_open_max=9)
    failed(flow, [thing(1), b"{"])
    (broken,) = open_items(flow)
    right = {str(broken): base64.b64encode(thing(8)).decode()}
    redrive = {"stream": flow.name, "run": "r1", "items": [broken], "corrections": right}
    number = submit("redrive", redrive, crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    with pytest.raises(PlaceNotWhole, match="1 of its events was redriven from elsewhere or corrected"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "INSERT INTO run (stream_id, name, contract_id, state, opened_by, supersedes)"
            " SELECT s.id, 'fresh', w.contract_id, 'CUT', 'eve', w.id FROM run_window w JOIN run r ON r.id = w.run_id"
            " JOIN stream s ON s.id = r.stream_id WHERE s.name = %s AND w.reruns IS NULL",
            (flow.name,),
        )
    assert refused.value.constraint == "run_place_is_free"
    unforged()


def test_nothing_more_is_admitted_into_a_window_whose_place_is_taken(forged: Flow, crowd: Crowd) -> None:
    """It could be read nowhere: the window and its reruns stay shut."""
    flow = forged
    failed(flow, [thing(1), b"{"])
    redrive = {"stream": flow.name, "run": "r1", "items": open_items(flow), "corrections": {}}
    redrive["corrections"] = {str(item): base64.b64encode(thing(7)).decode() for item in redrive["items"]}
    early = submit("redrive", redrive, crowd.asker, "why", crowd.people)
    say_yes(crowd, early)
    replayed(crowd, flow, whole=True, mode="fresh")
    run_to(crowd, early, State.VOID)
    assert f"{flow.name}/r1.r1 takes its place" in plan_row(early).void_why
    for kind, more in (("redrive", redrive), ("replay", asked(flow, whole=True))):
        with pytest.raises(PlaceTaken, match="r1.r1 does"):
            preview(kind, more)
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "INSERT INTO run_window (run_id, number, contract_id, state, revision, by_plan, reruns, rerun)"
            " SELECT w.run_id, w.number, w.contract_id, 'OPEN', 0, true, w.id, 9 FROM run_window w JOIN run r"
            " ON r.id = w.run_id AND r.name = 'r1' JOIN stream s ON s.id = r.stream_id WHERE s.name = %s",
            (flow.name,),
        )
    assert refused.value.constraint == "window_place_taken"


def test_a_fresh_run_waits_for_a_rerun_that_is_not_over(forged: Flow, crowd: Crowd) -> None:
    """What that may still admit is the window's: it would be read neither there nor in the fresh run."""
    flow = forged
    failed(flow, [thing(n) for n in range(6)])
    prove = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=2))
    say_yes(crowd, prove)
    run_to(crowd, prove, State.HELD)
    with pytest.raises(PlaceNotWhole, match="rerun 1 of it is not over"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    cancel(prove, crowd.asker, crowd.people, "enough")
    replayed(crowd, flow, whole=True, mode="fresh")


def test_a_run_whose_windows_open_together_opens_beside_what_took_a_place(make_flow: MakeFlow, crowd: Crowd) -> None:
    """unit = "run": the window that failed kept the others shut, and its gate was asked for with theirs."""
    flow = make_flow(close='[gate]\nunit = "run"')
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    fail_window(flow)
    go_on(flow.name, "r1", "ana")
    flow.produce([thing(3)])
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1).verdict.title == "FAIL"
    replayed(crowd, flow, whole=True, mode="fresh")
    flow.work()
    assert fresh(flow).verdict.title == "PASS"
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS", "and it can be stored"
    assert decide_gate(flow.name, "r1", 2).granted and decide_gate(flow.name, "r1.r1").granted
    assert f"superseded by {flow.name}/r1.r1" in decide_gate(flow.name, "r1").detail
    unforged()


def test_the_other_windows_of_a_run_open_when_one_takes_the_last_ones_place(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = make_flow(close='[gate]\nunit = "run"')
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    fail_window(flow)
    go_on(flow.name, "r1", "ana")
    flow.produce([thing(3)])
    flow.work()
    flow.cut()
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1).verdict.title == "FAIL"
    assert flow.judge().verdict.title == "PASS"
    assert not decide_gate(flow.name, "r1", 2).granted
    replayed(crowd, flow, whole=True, mode="fresh")
    flow.work()
    assert fresh(flow).verdict.title == "PASS"
    enforce_due()  # where the other verdicts were stored long ago, it looks before they are read
    assert decide_gate(flow.name, "r1", 2).granted
    unforged()


def joined_and_passed(weather: Flow) -> Flow:
    """Flights that are joined with this weather, and have passed."""
    flow = p.joined(weather)
    flow.open()
    flow.produce([p.flight(1, 1), p.flight(2, 3)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 2)
    assert flow.judge().verdict.title == "PASS"
    return flow


def context_falls(weather: Flow) -> None:
    """There is a newer PASS of it, and the one that was joined with fails."""
    weather.open("r2")
    weather.produce([p.report(1), p.report(3)])
    weather.work()
    weather.cut("r2")
    weather.work()
    assert weather.judge("r2").verdict.title == "PASS"
    contradicted(weather)
    assert weather.judge().verdict.title == "FAIL"


def test_a_context_that_fell_is_answered_by_a_fresh_run_with_new_pins(weather: Flow, crowd: Crowd) -> None:
    flow = joined_and_passed(weather)
    context_falls(weather)
    assert decide_gate(flow.name, "r1").code is Code.SHUT
    replayed(crowd, flow, whole=True, mode="fresh")
    flow.work_until(lambda: flow.count("effect") == 4)
    stored = fresh(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert [pin.reference for pin in stored.verdict.context] == [f"{weather.name}/r2#1"]
    assert decide_gate(flow.name, "r1.r1").granted
    assert f"superseded by {flow.name}/r1.r1" in decide_gate(flow.name, "r1").detail


def test_a_span_of_time_is_read_over_a_window_whose_place_is_taken(make_flow: MakeFlow, crowd: Crowd) -> None:
    """It was complete until then, and the fresh run has all of it: the answer names what is to be read."""
    flow = make_flow(close=SKEW)
    stamps(flow, message_timestamp_type="LogAppendTime")
    flow.open()
    begin = datetime.now(UTC) + timedelta(seconds=0.2)
    time.sleep(0.3)
    for number in (1, 2, 3):
        flow.produce([thing(number)])
        flow.work()
        if number == 2:
            fail_window(flow, 2)
        go_on(flow.name, "r1", "test")
        flow.work()
        flow.sample()
        assert close_run(flow.name, "r1", "test", number).verdict.title == ("FAIL" if number == 2 else "PASS")
    end = complete(flow, 3)[0]
    assert end is not None and decide_span(flow.name, begin, end).status == 403
    flow.cut()
    flow.work()
    wanted = {"stream": flow.name, "run": "r1", "window": 2, "whole": True, "mode": "fresh"}
    number = submit("replay", wanted, crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    assert fresh(flow).verdict.title == "PASS"
    found = decide_span(flow.name, begin, end)
    names = [f"{flow.name}/{name}" for name in ("r1 window 1", "r1.r1 window 1", "r1 window 3")]
    assert (found.status, [window.name for window in found.windows]) == (200, names), found.detail
    unforged()
    assert fsck(stream=flow.name) == []


def test_what_was_joined_with_a_window_falls_with_its_place(weather: Flow, crowd: Crowd) -> None:
    """Also where the window's gate was never opened: nobody waits for what never comes."""
    flow = p.joined(weather)
    flow.open()
    with as_owner() as connection:
        connection.execute(
            "DELETE FROM gate_open g USING verdict v, run r, stream s WHERE v.id = g.verdict_id AND r.id = v.run_id"
            " AND s.id = r.stream_id AND s.name = %s",
            (weather.name,),
        )
    number = submit(
        "replay", {"stream": weather.name, "run": "r1", "window": 1, "whole": True, "mode": "fresh"}, crowd.asker,
        "why", crowd.people,
    )  # fmt: skip
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    weather.work()
    weather.sample()
    assert close_run(weather.name, "r1.r1", "test").verdict.title == "PASS"
    (pin,) = flow.rows(
        "SELECT c.why, c.fallen FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id,"
        " LATERAL context_standing(w.id) c WHERE s.name = %(name)s"
    )
    assert pin.fallen and pin.why == f"{weather.name}/r1#1 is superseded by {weather.name}/r1.r1"


# ---- faces ----------------------------------------------------------------------------------------------------------


def test_the_three_faces_ask_for_the_same(flow: Flow) -> None:
    """A page, a body and a command line: one digest."""
    passed(flow, [thing(n) for n in range(6)])
    wanted = [{"source": "inbox/0", "from": 1, "to": 4}]
    digest = preview("replay", asked(flow, ranges=wanted)).digest.hex()
    told = caller("data engineer").post("plans/preview", {"kind": "replay", **asked(flow, ranges=wanted)})
    assert (told.status_code, told.json()["digest"]) == (200, digest), told.json()
    line = f"plan preview replay {flow.name}/r1 --window 1 --range inbox/0=1:4 --json"
    typed_ = typed(line)
    assert (typed_.code, json.loads(typed_.out)["digest"]) == (0, digest), typed_
    both = typed(f"{line} --whole")
    assert both.code == 2 and "--range, or --whole" in both.err
    client = signed_in("dora", Role.DATA_ENGINEER)
    about = f"/plans/new?kind=replay&run={flow.name}/r1&window=1"
    assert digest in client.get(f"{about}&mode=prove&ranges=inbox/0=1:4").content.decode()
    assert "Say ranges" in client.get(about).content.decode()
    assert "Ranges are a source with both ends" in client.get(f"{about}&ranges=inbox/0").content.decode()
