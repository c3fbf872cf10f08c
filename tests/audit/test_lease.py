"""The lease: what it counts from, what ends it, for how long it can be, and that HTTP and rows go by one rule."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from confluent_kafka.admin import AdminClient, NewPartitions
from django.db import connections

from audit import capture, enforce, gate
from audit.close import AnotherCloser, judge, store, window_of
from audit.core import gate as core
from audit.core.gate import Code
from audit.enforce import decide_gate
from ingest.db import ConstraintViolated, read, write
from ingest.kafka import Admin, BusMessage, PlainProducer
from stack import Stack
from tests.audit.test_close import passed
from tests.audit.test_gate import broker_away, contradict, due_now, enforced, gate_row, reader_url
from tests.flow.bus import read_bus
from tests.flow.test_projections import FLIGHTS, WEATHER, flight, report
from tests.flow.world import CONTRACT, Flow, thing

MakeFlow = Callable[..., Flow]
LEASE = timedelta(seconds=30)


# ---- what it counts from --------------------------------------------------------------------------------------------


def slow_look(monkeypatch: pytest.MonkeyPatch, seconds: float) -> list[datetime]:
    """Looks of the enforcer take that long after Kafka has answered; the database's time when each was over."""
    over: list[datetime] = []
    logs = capture.logs

    def slow(*args: Any, **more: Any) -> Any:
        found = logs(*args, **more)
        over.append(capture.now())
        time.sleep(seconds)
        return found

    monkeypatch.setattr(capture, "logs", slow)
    return over


def test_a_lease_counts_from_when_kafka_was_asked(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)
    over = slow_look(monkeypatch, 1.5)
    assert enforced(flow).outcome == "extended"
    row = gate_row(flow)
    assert row.checked_at <= over[0]
    assert row.open_until == row.checked_at + LEASE


def test_a_verdict_opens_for_a_lease_from_when_kafka_was_asked(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    flow.sample()
    judged = judge(window_of(flow.name, "r1"))
    over = capture.now()
    time.sleep(1.0)
    store(judged, "test")
    row = gate_row(flow)
    assert row.checked_at <= over
    assert row.open_until == row.checked_at + LEASE


def test_what_was_seen_longer_ago_than_a_re_check_may_take_extends_nothing(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(close='[gate]\nrecheck = "2s"')
    passed(flow)
    before = gate_row(flow).open_until
    slow_look(monkeypatch, 2.3)
    found = enforced(flow)
    assert (found.outcome, found.why) == ("unmeasured", enforce.OVERTAKEN)
    assert gate_row(flow).open_until == before


def test_a_look_that_a_later_one_has_overtaken_changes_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)
    due_now(flow)
    rows = _gates(flow)
    logs, late = capture.logs, []

    def overtaken(*args: Any, **more: Any) -> Any:
        found = logs(*args, **more)
        monkeypatch.setattr(capture, "logs", logs)
        enforce._enforce(rows)  # begins later, and is done first
        late.append(gate_row(flow))
        return found

    monkeypatch.setattr(capture, "logs", overtaken)
    enforce._enforce(rows)
    assert gate_row(flow) == late[0]


def _gates(flow: Flow) -> Any:
    with read() as cur:
        rows = cur.execute(enforce.sql.gates).fetchall()
    return enforce._by_contract([row for row in rows if row.stream == flow.name])


def test_no_answer_about_one_partition_extends_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Kafka answers, and knows the topics; about one log's end or epoch it says nothing."""
    passed(flow)
    before = gate_row(flow).open_until
    ends_of = Admin.ends_of

    def silent(self: Admin, wanted: Any) -> Any:
        found = dict(ends_of(self, wanted))
        for here, end in found.items():
            if (here.topic, here.partition) == (flow.bus, 1):
                found[here] = end._replace(hw=None) if hasattr(end, "_replace") else _without_end(end)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(Admin, "ends_of", silent)
        found = enforced(flow)
    assert (found.outcome, found.why) == ("unmeasured", f"{flow.bus}/1")
    with monkeypatch.context() as patch:
        patch.setattr(capture, "probe", lambda starts, timeout=0: {})
        found = enforced(flow)
    assert found.outcome == "unmeasured"
    assert gate_row(flow).open_until == before


def _without_end(end: Any) -> Any:
    from dataclasses import replace

    return replace(end, hw=None)


# ---- one rule -------------------------------------------------------------------------------------------------------

MOMENT = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize("checked", [-60, -1, 1, 60])
@pytest.mark.parametrize("until", [-30, -1, 1, 30])
def test_http_and_rows_have_one_rule(live: Stack, checked: int, until: int) -> None:
    """Seconds from now: row security asks `lease_holds`, the answer over HTTP `core.gate.holds`."""
    with read() as cur:
        said = cur.execute(
            "SELECT lease_holds(clock_timestamp() + %s, clock_timestamp() + %s) AS holds",
            (timedelta(seconds=checked), timedelta(seconds=until)),
        ).fetchone()
    assert said is not None
    assert said.holds == core.holds(MOMENT + timedelta(seconds=checked), MOMENT + timedelta(seconds=until), MOMENT)


@pytest.fixture
def weather(live: Stack) -> Flow:
    """A passed run with six rows in truth.weather."""
    flow = Flow(contract=WEATHER, name=f"weather{uuid.uuid4().hex[:8]}")
    flow.open()
    flow.produce([report(hour) for hour in range(6)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 6)
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return flow


@pytest.fixture
def flights(weather: Flow) -> Flow:
    """A passed run of two flights, joined with `weather`."""
    flow = Flow(contract=FLIGHTS.replace("{weather}", weather.name), name=f"flights{uuid.uuid4().hex[:8]}")
    flow.open()
    flow.produce([flight(1, 1), flight(2, 2)])
    flow.work_until(lambda: flow.count("effect") == 2)
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return flow


def rows_read(flow: Flow, table: str = "weather") -> int:
    """By a session of its own, as a reader."""
    with psycopg.connect(reader_url()) as reader:
        return _count(reader, flow, table)


def _count(reader: psycopg.Connection[Any], flow: Flow, table: str = "weather") -> int:
    row = reader.execute(f"SELECT count(*) FROM truth.{table} WHERE win = %s", (window_of(flow.name, "r1"),)).fetchone()
    assert row is not None
    return int(row[0])


def answer(flow: Flow) -> core.GateDecision:
    return decide_gate(flow.name, "r1", who="mart")


def _set(flow: Flow, what: str) -> None:
    with write() as cur:
        cur.execute(f"UPDATE gate_open SET {what} WHERE win = %s", (window_of(flow.name, "r1"),))


def test_what_http_says_is_what_rows_do(weather: Flow) -> None:
    assert (answer(weather).status, rows_read(weather)) == (200, 6)
    _set(weather, "open_until = clock_timestamp()")
    assert (answer(weather).status, rows_read(weather)) == (503, 0)
    due_now(weather)
    assert enforced(weather).outcome == "extended"
    assert (answer(weather).status, rows_read(weather)) == (200, 6)
    _set(weather, "shut_why = 'by a test', open_until = checked_at")
    assert (answer(weather).status, rows_read(weather)) == (403, 0)


def test_a_lease_measured_at_a_time_to_come_does_not_hold(weather: Flow, live: Stack) -> None:
    """The database's clock was set back by an hour, and nobody looks any more."""
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"]) as server:
        server.execute("SET session_replication_role = replica")
        server.execute(
            "UPDATE gate_open SET checked_at = checked_at + interval '1 h', open_until = open_until + interval '1 h'"
            " WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
    assert (answer(weather).status, rows_read(weather)) == (503, 0)


# ---- what ends it ---------------------------------------------------------------------------------------------------


def test_a_contradiction_shuts_rows_and_http_in_its_own_transaction(weather: Flow) -> None:
    contradict(weather)
    assert (answer(weather).code, rows_read(weather)) == (Code.SHUT, 0)
    due_now_is_refused(weather)
    assert (answer(weather).code, rows_read(weather)) == (Code.SHUT, 0)


def due_now_is_refused(flow: Flow) -> None:
    """Nobody takes the reason away again, or extends."""
    for what in ("shut_why = NULL", "open_until = clock_timestamp() + interval '20 s', shut_why = NULL"):
        with pytest.raises(ConstraintViolated) as refused:
            _set(flow, what)
        assert refused.value.constraint == "gate_stays_shut"


def test_a_contradiction_that_meets_a_verdict_on_its_way_shuts_it(weather: Flow, live: Stack) -> None:
    """Recorded while a PASS is being stored: either the verdict is not stored, or its gate is shut with it."""
    weather.open("r2")
    weather.produce([report(9)])
    weather.work()
    weather.cut("r2")
    weather.work_until(lambda: weather.count("effect") == 7)
    weather.sample()
    judged = judge(window_of(weather.name, "r2"))
    statement = (
        'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
        " SELECT b.win, ab.attempt_id, 'ABSENT_APPEARED', %s, 0, 'by a test' FROM attempt_batch ab"
        " JOIN batch b ON b.id = ab.batch_id WHERE b.win = %s LIMIT 1"
    )
    with psycopg.connect(live.env()["DATABASE_URL"]) as lane:
        lane.execute("SET role = passgate_app")
        lane.execute(statement, (weather.sources("bus")[0], judged.win))
        stored, thread = _in_thread(lambda: store(judged, "test"))
        time.sleep(0.5)
        assert stored == [], "it waits for the contradiction's transaction"
        lane.commit()
    thread.join(20)
    assert isinstance(stored[0], AnotherCloser)
    assert decide_gate(weather.name, "r2", who="mart").status == 403


def _in_thread(act: Callable[[], Any]) -> tuple[list[Any], threading.Thread]:
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(act())
        except Exception as error:  # noqa: BLE001 - what it was is what the test looks at
            done.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return done, thread


def test_what_is_harmless_shuts_nothing(flow: Flow) -> None:
    """Kafka away, partitions added, one more copy of a record on the bus."""
    stored = passed(flow)
    until = gate_row(flow).open_until
    with broker_away():
        assert enforced(flow).outcome == "unmeasured"
    assert (gate_row(flow).open_until, gate_row(flow).shut_why) == (until, None)
    client = AdminClient({"bootstrap.servers": flow.cluster.bootstrap})
    for future in client.create_partitions([NewPartitions(flow.inbox, 2), NewPartitions(flow.bus, 3)]).values():
        future.result(10)
    for topic in (flow.inbox, flow.bus):
        flow.admin._wait_for_leaders(topic)
    assert enforced(flow).outcome == "extended"
    copies(flow)
    flow.work("effects")
    assert enforced(flow).outcome == "extended"
    found = answer(flow)
    assert (found.status, found.verdict) == (200, stored.name)


def copies(flow: Flow) -> None:
    """A record of the bus once more, as a producer that was not ours could bring it."""
    (partition, records), *_ = [(p, found) for p, found in read_bus(flow).items() if found]
    record = records[0]
    message = BusMessage(partition, record.key, record.value, list(record.headers or []))
    assert all(report.fault is None for report in PlainProducer(flow.cluster).send(flow.bus, [message]))


def test_gates_are_looked_at_by_the_contract_of_their_window(flow: Flow) -> None:
    """A new version names another bus and another inbox: what the older one's windows stand on is where it was."""
    passed(flow)
    older = gate_row(flow).win
    flow.contract = CONTRACT.replace("{name}.bus", "{name}.bus2").replace("{name}.inbox", "{name}.inbox2")
    for topic, partitions in ((f"{flow.name}.bus2", flow.bus_partitions), (f"{flow.name}.inbox2", 1)):
        flow.admin.create_topic(topic, partitions)
    flow.load()
    flow.open("r2")
    flow.produce([thing(1)], topic=f"{flow.name}.inbox2")
    flow.work()
    flow.cut("r2")
    flow.work()
    assert str(flow.judge("r2").verdict.state) == "PASS"
    newer = window_of(flow.name, "r2")
    with write() as cur:
        cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = ANY(%s)",
                    ([older, newer],))  # fmt: skip
    found = {each.win: (each.outcome, each.why) for each in enforce.enforce_due() if each.win in (older, newer)}
    assert found == {older: ("extended", ""), newer: ("extended", "")}
    flow.admin.delete_topic(f"{flow.name}.bus")
    flow.admin.create_topic(f"{flow.name}.bus", flow.bus_partitions)
    with write() as cur:
        cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = ANY(%s)",
                    ([older, newer],))  # fmt: skip
    found = {each.win: (each.outcome, each.why) for each in enforce.enforce_due() if each.win in (older, newer)}
    assert found == {older: ("shut", f"{flow.name}.bus was deleted and created again"), newer: ("extended", "")}


# ---- contexts -------------------------------------------------------------------------------------------------------


def test_a_context_that_is_contradicted_shuts_what_was_built_on_it_by_name(weather: Flow, flights: Flow) -> None:
    assert (answer(flights).status, rows_read(flights, "flights_weather")) == (200, 2)
    contradict(weather)
    refused = answer(flights)
    assert (refused.code, rows_read(flights, "flights_weather")) == (Code.SHUT, 0)
    assert f"the gate of {weather.name}/r1#1 is shut: 1 settled publish contradicted by the bus" in refused.detail
    due_now_is_refused(flights)


def test_a_context_that_fails_shuts_what_was_built_on_it(weather: Flow, flights: Flow) -> None:
    contradict(weather)
    assert str(weather.judge().verdict.state) == "FAIL"
    assert f"the gate of {weather.name}/r1#1 is shut" in answer(flights).detail


def test_a_context_that_the_enforcer_shuts_shuts_what_was_built_on_it(weather: Flow, flights: Flow) -> None:
    weather.admin.delete_topic(weather.bus)
    weather.admin.create_topic(weather.bus, weather.bus_partitions)
    assert enforced(weather).outcome == "shut"
    refused = answer(flights)
    assert (refused.code, rows_read(flights, "flights_weather")) == (Code.SHUT, 0)
    assert f"the gate of {weather.name}/r1#1 is shut: {weather.bus} was deleted and created again" in refused.detail


def test_a_lease_lasts_no_longer_than_its_contexts(weather: Flow, flights: Flow) -> None:
    assert gate_row(flights).open_until <= gate_row(weather).open_until
    _set(weather, "open_until = clock_timestamp() + interval '5 s'")
    assert enforced_alone(flights).outcome == "extended"
    assert gate_row(flights).open_until == gate_row(weather).open_until
    _set(weather, "open_until = clock_timestamp()")
    until = gate_row(flights).open_until
    alone = enforced_alone(flights)
    lapsed = gate_row(weather).open_until
    said = f"the gate of {weather.name}/r1#1 was not re-checked since {lapsed:%Y-%m-%d %H:%M}"
    assert (alone.outcome, alone.why) == ("unmeasured", said)
    assert gate_row(flights).open_until == until
    with pytest.raises(ConstraintViolated) as refused:
        _set(flights, "open_until = clock_timestamp() + interval '20 s'")
    assert refused.value.constraint == "gate_follows_context"
    for flow in (weather, flights):
        due_now(flow)
    outcomes = {found.win: found.outcome for found in enforce.enforce_due()}
    assert outcomes[gate_row(weather).win] == outcomes[gate_row(flights).win] == "extended"
    assert (answer(flights).status, rows_read(flights, "flights_weather")) == (200, 2)


def enforced_alone(flow: Flow) -> enforce.GateCheck:
    """A look at this stream's gates only."""
    (found,) = enforce._enforce(_gates(flow))
    return found


def test_a_context_that_is_not_the_newest_pass_shuts_at_the_next_look(
    live: Stack, weather: Flow, flights: Flow
) -> None:
    """However it came to be: what shut its gate did not reach this one. Only a superuser gets past the triggers."""
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"], autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute(
            "INSERT INTO verdict (run_id, number, win, revision, state, basis_generation, contract_digest, body,"
            " digest, decided_by) SELECT run_id, number + 1, win, revision, 'FAIL', basis_generation, contract_digest,"
            " body, digest, 'test' FROM verdict WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
    found = enforced(flights)
    assert (found.outcome, found.why) == (
        "shut",
        f"{weather.name}/r1#2 is FAIL",
    )
    assert (answer(flights).code, rows_read(flights, "flights_weather")) == (Code.SHUT, 0)


def test_a_gate_whose_context_fell_while_it_was_judged_is_born_shut(weather: Flow) -> None:
    flow = Flow(contract=FLIGHTS.replace("{weather}", weather.name), name=f"flights{uuid.uuid4().hex[:8]}")
    flow.open()
    flow.produce([flight(1, 1)])
    flow.work_until(lambda: flow.count("effect") == 1)
    flow.cut()
    flow.work()
    flow.sample()
    judged = judge(window_of(flow.name, "r1"))
    contradict(weather)
    try:
        store(judged, "test")
    except AnotherCloser:  # that its context fell is a fact of its own
        return
    assert answer(flow).status == 403
    assert rows_read(flow, "flights_weather") == 0


# ---- readers of before ----------------------------------------------------------------------------------------------


@pytest.fixture
def reader(live: Stack) -> Iterator[psycopg.Connection[Any]]:
    connection = psycopg.connect(reader_url())
    yield connection
    connection.close()


def test_a_newer_verdict_ends_readers(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    assert _count(reader, weather) == 6
    contradict(weather)
    assert str(weather.judge().verdict.state) == "FAIL"
    was_ended(reader)
    assert rows_read(weather) == 0
    acts = weather.rows("SELECT reason, detail FROM audit_log WHERE act = 'gate.shut' AND subject = %(name)s || '/r1'")
    assert [(act.reason, act.detail["readers_ended"] > 0) for act in acts] == [
        ("1 settled publish contradicted by the bus", True)
    ]


def was_ended(reader: psycopg.Connection[Any]) -> None:
    """The server has closed this session."""
    with pytest.raises(psycopg.OperationalError):
        reader.execute("SELECT 1")


def test_a_fail_ends_readers_whoever_stores_it(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    """Here its gate was not shut by anything before."""
    weather.admin.delete_topic(weather.bus)
    weather.admin.create_topic(weather.bus, weather.bus_partitions)
    weather.sample()
    judged = judge(window_of(weather.name, "r1"))
    assert str(judged.verdict.state) == "FAIL"
    assert _count(reader, weather) == 6
    store(judged, "test")
    was_ended(reader)
    assert rows_read(weather) == 0


def test_a_contradiction_ends_readers_at_the_next_look(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    assert _count(reader, weather) == 6
    contradict(weather)
    enforce.enforce_due()
    was_ended(reader)


def test_a_lease_that_runs_out_ends_readers(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    with broker_away():
        assert _count(reader, weather) == 6
        _set(weather, "open_until = clock_timestamp()")
        enforce.enforce_due()
        was_ended(reader)
        with psycopg.connect(reader_url()) as later:
            assert _count(later, weather) == 0
            enforce.enforce_due()  # the same lease ends nobody twice
            assert _count(later, weather) == 0
            later.rollback()
    acts = weather.rows("SELECT reason, detail FROM audit_log WHERE act = 'gate.shut' AND subject = %(name)s || '/r1'")
    ended = [(act.reason, act.detail["readers_ended"]) for act in acts if act.detail["readers_ended"]]
    assert ended == [("its lease ran out and was not renewed", 1)]


def test_a_held_cursor_reads_no_further(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    """Its rows were taken when its transaction ended; it shows them without one."""
    reader.execute("DECLARE rest CURSOR WITH HOLD FOR SELECT * FROM truth.weather")
    reader.commit()
    contradict(weather)
    enforce.enforce_due()
    with pytest.raises(psycopg.OperationalError):
        reader.execute("FETCH ALL FROM rest")


def test_who_begins_between_the_shutting_and_its_commit_reads_no_further(weather: Flow, live: Stack) -> None:
    """It began after the gate's time, and before anybody could see that: it is ended after the commit, not before."""
    with psycopg.connect(live.env()["DATABASE_URL"]) as shutting:
        shutting.execute("SET role = passgate_app")
        shutting.execute(
            "UPDATE gate_open SET open_until = clock_timestamp(), checked_at = clock_timestamp(),"
            " shut_why = 'by a test' WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
        assert gate.end_readers() >= 0  # whoever looks now sees no shut gate
        with psycopg.connect(reader_url()) as between:
            between.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            assert _count(between, weather) == 6
            shutting.commit()
            gate.end_readers()
            was_ended(between)
    assert rows_read(weather) == 0


def test_who_begins_after_the_gate_was_seen_shut_is_not_ended(weather: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """It sees the gate shut, and reads on what else is open."""
    contradict(weather)
    real, looks, later = gate.read, list[bool](), list[psycopg.Connection[Any]]()

    def look() -> Any:
        looks.append(True)
        if len(looks) == 2:  # whoever is to be ended is looked for now
            later.append(psycopg.connect(reader_url()))
        return real()

    monkeypatch.setattr(gate, "read", look)
    gate.end_readers()
    (reading,) = later
    with reading:
        assert _count(reading, weather) == 0


def test_nobody_is_ended_before_the_commit(weather: Flow, reader: psycopg.Connection[Any]) -> None:
    assert _count(reader, weather) == 6
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp(), checked_at = clock_timestamp(),"
            " shut_why = 'by a test' WHERE win = %s",
            (window_of(weather.name, "r1"),),
        )
        assert gate.end_readers() == 0
        assert _count(reader, weather) == 6
    assert gate.end_readers() >= 1
    was_ended(reader)


def test_only_readers_are_ended(weather: Flow, live: Stack) -> None:
    others = [psycopg.connect(live.env()[name]) for name in ("DATABASE_URL", "PASSGATE_AUDITOR_URL")]
    for other in others:
        other.execute("SELECT 1")
    contradict(weather)
    enforce.enforce_due()
    for other in others:
        other.execute("SELECT 1")
        other.close()


# ---- the tables that readers read -----------------------------------------------------------------------------------

_ROW = "INSERT INTO truth.weather (win, identity, origin) VALUES (%s, %s, 'EWR')"


def test_no_row_comes_into_a_table_once_its_gate_has_been_open(weather: Flow) -> None:
    win = window_of(weather.name, "r1")
    for _ in range(2):  # open, and shut
        with pytest.raises(ConstraintViolated) as refused, write() as cur:
            cur.execute(_ROW, (win, uuid.uuid4().bytes))
        assert refused.value.constraint == "truth_comes_before_its_gate"
        _set(weather, "shut_why = 'by a test', open_until = checked_at")


def test_a_row_on_its_way_is_waited_for_by_whoever_stores_the_verdict(weather: Flow, live: Stack) -> None:
    """Written, not committed, when the window is judged: readers would see it, and no check has."""
    weather.open("r2")
    weather.produce([report(9)])
    weather.work()
    weather.cut("r2")
    weather.work_until(lambda: weather.count("effect") == 7)
    weather.sample()
    judge(window_of(weather.name, "r2"))  # the bus's end is known from now on: a judge writes nothing any more
    with psycopg.connect(live.env()["DATABASE_URL"]) as lane:
        lane.execute("SET role = passgate_app")
        lane.execute(_ROW, (window_of(weather.name, "r2"), uuid.uuid4().bytes))
        judged = judge(window_of(weather.name, "r2"))
        stored, thread = _in_thread(lambda: store(judged, "test"))
        time.sleep(0.5)
        assert stored == []
        lane.commit()
    thread.join(20)
    assert isinstance(stored[0], AnotherCloser)
