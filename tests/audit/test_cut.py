"""The cut: what it says of itself, what it leaves behind, and what stands from then on."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from audit import capture, cut
from audit.core import verdict as v
from audit.core.diagnosis import left_behind
from audit.cut import TotalsStand, cut_run, declare_totals
from audit.fsck import fsck
from ingest.auditlog import record_act
from ingest.core.errors import BrokerError
from ingest.db import ConstraintViolated, Cursor, write
from tests.audit.test_gate import broker_away
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing


def test_what_lies_behind_the_cut_is_said_by_all_who_answer(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(3)])
    flow.work()
    with strangers_transaction(flow, thing("strange")):
        flow.produce([thing(f"late-{n}") for n in range(4)])
        flow.sample()
        cut = flow.cut("r1")
        assert cut.cuts == {"inbox/0": 3}
        (behind,) = cut.behind
        assert (behind.label, behind.start, behind.end) == ("inbox/0", 3, 8)
        assert behind.since is not None
        said = left_behind(cut.behind)
        assert said.startswith("5 offsets of inbox/0 wait behind an open transaction since ")
        assert said.endswith(" and go to the next window")
        assert flow.cut("r1").behind == cut.behind, "cut again, it says the same"
        flow.work()
        stored = flow.judge("r1")
        assert stored.verdict.state is v.State.PASS
        assert stored.sentence.endswith(f"every one accounted for. {said}.")
        body = flow.rows("SELECT v.body FROM verdict v WHERE v.id = %(id)s", id=stored.id)[0].body
        assert [(x["source"], x["from"], x["to"]) for x in body["behind_the_cut"]] == [("inbox/0", 3, 8)]
        flow.open("r2")
    flow.work_until(lambda: flow.position("admission").next_offset >= 8, "admission")
    assert len(flow.receipts("r2")) == 5
    assert flow.cut("r2").behind == ()


def test_cutting_may_wait_for_open_transactions(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    with strangers_transaction(flow, thing(2)) as commit:
        began = time.monotonic()
        committing = threading.Timer(0.7, commit)
        committing.start()
        cut = cut_run(flow.name, "r1", "test", wait=timedelta(seconds=30))
        committing.join()
    assert time.monotonic() - began < 25
    assert cut.behind == ()
    assert cut.cuts["inbox/0"] >= 3


def test_the_wait_is_bounded_and_then_it_is_cut_all_the_same(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    with strangers_transaction(flow, thing(2)):
        began = time.monotonic()
        cut = cut_run(flow.name, "r1", "test", wait=timedelta(seconds=1))
        assert time.monotonic() - began >= 1
    assert cut.cuts == {"inbox/0": 1}
    assert [behind.offsets for behind in cut.behind] == [1]


def test_after_the_cut_totals_stand(flow: Flow) -> None:
    """One person lowers the total, and a window of 27 of 31 passes: not any more."""
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    declare_totals(flow.name, "r1", {"thing": 4}, "ana")
    declare_totals(flow.name, "r1", {"thing": 3}, "ana")
    flow.cut(totals={"thing": 3})
    flow.work()
    assert flow.judge().sentence.startswith("Window 1 is BLOCKED: 3 things declared, 2 seen.")
    declare_totals(flow.name, "r1", {"thing": 3}, "ana")
    for change in (
        lambda: declare_totals(flow.name, "r1", {"thing": 2}, "ana"),
        lambda: flow.cut(totals={"thing": 2}),
    ):
        with pytest.raises(TotalsStand) as refused:
            change()
        assert (refused.value.expected, refused.value.found) == (
            "what was declared before the cut: thing=3",
            "thing=2",
        )
    assert flow.cut(totals={"thing": 3}).result == "same"
    assert flow.judge().verdict.state is v.State.BLOCKED
    rows = flow.rows("SELECT t.declared FROM control_total t JOIN run_window w ON w.id = t.win JOIN run r"
                     " ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")  # fmt: skip
    assert [row.declared for row in rows][-1] == 3


def test_the_database_refuses_a_total_after_the_cut(flow: Flow) -> None:
    opened = flow.open()
    flow.cut()
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "INSERT INTO control_total (win, event_class, declared, declared_by) VALUES (%s, 'thing', 1, 'ana')",
            (opened.win,),
        )
    assert refused.value.constraint == "control_total_before_cut"


def test_a_cut_that_the_audit_log_has_under_its_name_of_before_is_explained(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Acts of earlier versions stand in the chain as they were written: `run.seal`."""

    def as_before(cur: Cursor, actor: str, act: str, *more: Any, **rest: Any) -> None:
        record_act(cur, actor, {"run.cut": "run.seal"}[act], *more, **rest)

    monkeypatch.setattr("audit.cut.record_act", as_before)
    flow.open()
    flow.cut()
    name = f"{flow.name}/r1"
    assert {row.act for row in flow.rows("SELECT act FROM audit_log WHERE subject = %(run)s", run=name)} == {
        "run.open", "run.seal"
    }  # fmt: skip
    assert fsck(stream=flow.name) == []


def test_a_cut_that_may_wait_says_that_kafka_is_away(flow: Flow) -> None:
    """Without the last stable offsets there is no cut, however long it may wait for transactions."""
    flow.open()
    flow.produce([thing(1)])
    for wait in (timedelta(0), timedelta(seconds=5)):
        with broker_away(), pytest.raises(BrokerError, match="the last stable offsets"):
            cut_run(flow.name, "r1", "test", wait=wait)
    assert flow.cut().cuts == {"inbox/0": 1}


def test_what_else_the_database_refuses_of_a_total_is_said_as_it_is(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only that somebody cut in between makes it a question of what stands."""
    flow.open()

    def refuses(*_: object, **__: object) -> None:
        raise ConstraintViolated("audit_row_at_head", "for a test")

    monkeypatch.setattr(cut, "record_act", refuses)
    with pytest.raises(ConstraintViolated, match="audit_row_at_head"):
        declare_totals(flow.name, "r1", {"thing": 3}, "test")


def test_a_transaction_that_ends_while_it_is_asked_about_leaves_nothing_behind(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka named the last stable offset before it ended and the log's end after; the lane has read all of it since."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    real = capture.capture
    with strangers_transaction(flow, thing(2)) as commit:

        def ends(*args: Any, **more: Any) -> capture.Capture:
            captured = real(*args, **more)
            if "timeout" in more:  # that is no cut's question
                return captured
            commit()
            flow.work_until(lambda: len(flow.receipts()) == 2, "admission")
            position = flow.position("admission").next_offset
            assert captured.broker is not None and captured.broker.value.inbox is not None
            inbox = captured.broker.value.inbox
            log = replace(inbox.partitions[0], high_watermark=position)
            assert log.lso == 1 < position
            broker = replace(captured.broker.value, inbox=replace(inbox, partitions={0: log}))
            return replace(captured, broker=replace(captured.broker, value=broker))

        with monkeypatch.context() as patch:
            patch.setattr(capture, "capture", ends)
            cut = flow.cut()
    assert cut.cuts["inbox/0"] >= 2
    assert cut.behind == ()


def test_a_partition_that_kafka_says_nothing_of_is_cut_where_its_lane_stands(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    real = capture.capture

    def without(*args: Any, **more: Any) -> capture.Capture:
        captured = real(*args, **more)
        assert captured.broker is not None and captured.broker.value.inbox is not None
        inbox = replace(captured.broker.value.inbox, partitions={})
        broker = replace(captured.broker, value=replace(captured.broker.value, inbox=inbox))
        return replace(captured, broker=broker)

    with monkeypatch.context() as patch:
        patch.setattr(capture, "capture", without)
        cut = flow.cut()
    assert (cut.cuts, cut.behind) == ({"inbox/0": 1}, ())
