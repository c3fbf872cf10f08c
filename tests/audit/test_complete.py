"""Until when a window is complete, on a real broker, and the gate's answer about a span of time."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from audit import enforce, gate
from audit.close import close_run
from audit.core import verdict as v
from audit.enforce import decide_span
from audit.go_on import go_on
from ingest.db import write
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


def spanned(flow: Flow, windows: int) -> tuple[datetime, datetime]:
    """A span of time that lies in so many windows, all of them open to readers; another window is open behind them."""
    begin = datetime.now(UTC) + timedelta(seconds=0.2)
    time.sleep(0.3)
    for number in range(1, windows + 1):
        flow.produce([thing(number)])
        flow.work()
        go_on(flow.name, "r1", "test")
        judged(flow, number)
    end = complete(flow, windows)[0]
    assert end is not None
    return begin, end


def lease_ends(flow: Flow, after: str) -> None:
    """The leases of the stream's gates end so much later than now."""
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() + %s::interval"
            " WHERE win IN (SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id"
            " JOIN stream s ON s.id = r.stream_id WHERE s.name = %s)",
            (after, flow.name),
        )


def spans_said(flow: Flow) -> list[tuple[int, str]]:
    rows = flow.rows("SELECT status, code FROM gate_decision WHERE stream = %(name)s ORDER BY id")
    return [(row.status, row.code) for row in rows]


def test_a_stream_that_has_no_window_yet_is_there(flow: Flow) -> None:
    """Asking again may help, unlike about a stream that nobody knows."""
    now = datetime.now(UTC)
    said = decide_span(flow.name, now - timedelta(seconds=1), now)
    assert (said.status, said.detail) == (403, "the stream has no window")


def test_a_yes_about_a_span_is_not_written_once_a_gate_of_it_has_shut(
    stamped: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread was stopped between its look and its answer, and the leases ran out meanwhile."""
    begin, end = spanned(stamped, 1)
    monkeypatch.setattr(enforce, "failpoint", lambda name: lease_ends(stamped, "0 s"))
    assert decide_span(stamped.name, begin, end).status != 200
    assert 200 not in [status for status, _ in spans_said(stamped)]
    stamped.cut()


def test_a_yes_about_a_span_is_not_given_past_the_lease_that_it_was_said_of(
    stamped: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The thread was stopped after it had written its answer down, for longer than the lease."""
    begin, end = spanned(stamped, 1)
    log = enforce._log_span

    def log_and_sleep(*given: Any) -> bool:
        logged = log(*given)
        time.sleep(0.6)
        return logged

    monkeypatch.setattr(enforce, "_log_span", log_and_sleep)
    lease_ends(stamped, "0.5 s")
    assert decide_span(stamped.name, begin, end).status != 200
    assert spans_said(stamped)[0] == (200, "open_span")
    stamped.cut()


def test_a_span_is_open_while_the_gates_of_all_its_windows_are(stamped: Flow) -> None:
    begin, end = spanned(stamped, 3)
    found = decide_span(stamped.name, begin, end, "reader")
    assert (found.status, [w.name[-1] for w in found.windows]) == (200, ["1", "2", "3"]), found.detail
    assert decide_span(stamped.name, begin, end + timedelta(seconds=60)).status == 403
    assert decide_span(stamped.name, begin - timedelta(days=1), end).status == 403
    assert decide_span("nobody", begin, end).status == 404
    logged = stamped.rows("SELECT status, code, run FROM gate_decision WHERE stream = %(name)s ORDER BY id")
    assert [(row.status, row.code) for row in logged] == [(200, "open_span"), (403, "not_closed"), (403, "blocked")]
    assert logged[0].run == f"{begin.isoformat()}..{end.isoformat()}"
    with write() as cur:
        win = stamped.rows(
            "SELECT w.id, w.run_id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s AND w.number = 2"
        )[0]
        cur.execute(gate.sql.shut, {"run": win.run_id, "win": win.id, "why": "a test says so"})
    shut = decide_span(stamped.name, begin, end)
    assert (shut.status, shut.detail) == (403, f"{stamped.name}/r1 window 2: a test says so")
    stamped.cut()
