"""Until when a window is complete, on a real broker, and the gate's answer about a span of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from audit.close import close_run
from audit.core import verdict as v
from audit.enforce import decide_span
from audit.go_on import go_on
from tests.audit.test_gate import broker_away
from tests.flow.strangers import strangers_transaction
from tests.flow.world import Flow, thing

SKEW = '[window]\nclock_skew = "0s"\nrecords = 1_000_000\n'
PASSES = 'empty = "pass"\n'


def stamps(flow: Flow, **settings: str) -> None:
    """The inbox gets these settings, as somebody with rights on it would give them."""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in settings.items()
    ]
    resource = ConfigResource(ResourceType.TOPIC, flow.inbox, incremental_configs=entries)
    client = AdminClient({"bootstrap.servers": flow.cluster.bootstrap})
    for answer in client.incremental_alter_configs([resource]).values():
        answer.result(10)
    time.sleep(0.5)


@pytest.fixture
def stamped(make_flow: Callable[..., Flow]) -> Flow:
    """A stream whose inbox is stamped by the broker."""
    flow = make_flow(partitions=2, close=PASSES + SKEW)
    stamps(flow, message_timestamp_type="LogAppendTime")
    flow.open()
    return flow


def complete(flow: Flow, number: int) -> tuple[datetime | None, str | None]:
    (row,) = flow.rows(
        "SELECT w.complete_until, w.complete_why FROM run_window w JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s AND w.number = %(number)s",
        number=number,
    )
    return row.complete_until, row.complete_why


def judged(flow: Flow, number: int) -> Any:
    flow.work()
    flow.sample()
    stored = close_run(flow.name, "r1", "test", window=number)
    assert stored.verdict.state is v.State.PASS, stored.sentence
    return flow.rows("SELECT body FROM verdict WHERE id = %(id)s", id=stored.id)[0].body


def test_the_first_that_was_appended_behind_the_cut_says_until_when(stamped: Flow) -> None:
    stamped.produce([thing(1), thing(2)])
    stamped.produce([thing("b")], partition=1)
    stamped.work()
    go_on(stamped.name, "r1", "test")
    time.sleep(0.3)
    before = datetime.now(UTC)
    stamped.produce([thing(3)])
    after = datetime.now(UTC)
    time.sleep(0.3)
    body = judged(stamped, 1)
    until, why = complete(stamped, 1)
    assert until is not None
    assert why is None
    millisecond = timedelta(milliseconds=1)
    assert before - millisecond <= until <= after + millisecond, "not when it was cut, nor when it was asked"
    assert datetime.fromisoformat(body["complete_until"]) == until
    stamped.cut()


def test_where_nothing_lies_behind_it_is_the_time_before_it_was_asked(stamped: Flow) -> None:
    stamped.produce([thing(1)])
    stamped.work()
    go_on(stamped.name, "r1", "test")
    before = datetime.now(UTC)
    judged(stamped, 1)
    until, _ = complete(stamped, 1)
    assert until is not None
    assert before <= until <= datetime.now(UTC)
    stamped.cut()


def test_what_an_open_transaction_hides_counts_too(stamped: Flow) -> None:
    stamped.produce([thing(1)])
    stamped.work()
    go_on(stamped.name, "r1", "test")
    before = datetime.now(UTC)
    with strangers_transaction(stamped, thing("strange")):
        after = datetime.now(UTC)
        time.sleep(0.5)
        judged(stamped, 1)
    until, _ = complete(stamped, 1)
    assert until is not None
    assert before - timedelta(milliseconds=1) <= until <= after + timedelta(milliseconds=1)
    stamped.cut()


def test_it_is_not_claimed_where_the_producer_stamps(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    go_on(flow.name, "r1", "test")
    body = judged(flow, 1)
    why = "the inbox stamps the producer's time: set message.timestamp.type=LogAppendTime"
    assert complete(flow, 1) == (None, why)
    assert body["not_known_complete"] == why
    span = decide_span(flow.name, datetime.now(UTC) - timedelta(seconds=1), datetime.now(UTC))
    assert (span.status, span.detail) == (403, f"no window says until when it is complete: {why}")
    flow.cut()


def test_it_is_not_claimed_where_the_topic_promised_and_the_record_is_stamped_otherwise(stamped: Flow) -> None:
    stamped.produce([thing(1)])
    stamped.work()
    go_on(stamped.name, "r1", "test")
    stamps(stamped, message_timestamp_type="CreateTime")
    stamped.produce([thing(2)])
    stamps(stamped, message_timestamp_type="LogAppendTime")
    judged(stamped, 1)
    assert complete(stamped, 1) == (None, "inbox/0 stamps the producer's time (CreateTime)")
    stamped.cut()


def test_without_kafka_nothing_is_written_and_it_is_asked_again(stamped: Flow) -> None:
    stamped.produce([thing(1)])
    stamped.work()
    go_on(stamped.name, "r1", "test")
    with broker_away():
        close_run(stamped.name, "r1", "test", window=1)
    assert complete(stamped, 1) == (None, None)
    judged(stamped, 1)
    assert complete(stamped, 1)[0] is not None
    stamped.cut()


def test_a_span_is_open_while_the_gates_of_all_its_windows_are(stamped: Flow) -> None:
    begin = datetime.now(UTC) + timedelta(seconds=0.2)
    time.sleep(0.3)
    for number in (1, 2, 3):
        stamped.produce([thing(number)])
        stamped.work()
        go_on(stamped.name, "r1", "test")
        judged(stamped, number)
    end = complete(stamped, 3)[0]
    assert end is not None
    found = decide_span(stamped.name, begin, end, "reader")
    assert (found.status, [w.name[-1] for w in found.windows]) == (200, ["1", "2", "3"]), found.detail
    assert decide_span(stamped.name, begin, end + timedelta(seconds=60)).status == 403
    assert decide_span(stamped.name, begin - timedelta(days=1), end).status == 403
    assert decide_span("nobody", begin, end).status == 404
    logged = stamped.rows("SELECT status, code, run FROM gate_decision WHERE stream = %(name)s ORDER BY id")
    assert [(row.status, row.code) for row in logged] == [(200, "open_span"), (403, "not_closed"), (403, "blocked")]
    assert logged[0].run == f"{begin.isoformat()}..{end.isoformat()}"
    from audit import gate
    from ingest.db import write

    with write() as cur:
        win = stamped.rows(
            "SELECT w.id, w.run_id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s AND w.number = 2"
        )[0]
        cur.execute(gate.sql.shut, {"run": win.run_id, "win": win.id, "why": "a test says so"})
    shut = decide_span(stamped.name, begin, end)
    assert (shut.status, shut.detail) == (403, f"{stamped.name}/r1 window 2: a test says so")
    stamped.cut()
