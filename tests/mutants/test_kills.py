"""Tests that kill a mutant which no other test kills: each holds one guard to what it guards, on real parts."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from audit.close import judge, window_of
from audit.core import checks as c
from audit.core import verdict as v
from ingest.admit import AdmissionLane
from ingest.admit.http import DoorRecord, receive
from ingest.core.errors import BrokerError, LeaseError
from ingest.core.outcome import Kind, Outcome
from ingest.kafka import BusMessage, PartitionReader, TransactionalProducer
from ingest.lanes import lease as leases
from tests.core.audit import world as w
from tests.flow.bus import once, read_bus, scans
from tests.flow.inbox import hide
from tests.flow.world import CONTRACT, Flow, thing

MakeFlow = Callable[..., Flow]


def test_kafka_is_told_only_what_is_durable(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """COMMITTED, I4: at every commit to Kafka the position stands there already, by another connection's eyes."""
    told: list[tuple[int, int]] = []
    real = PartitionReader.commit

    def commit(reader: PartitionReader, offsets: Any) -> Any:
        for here, (offset, _) in offsets.items():
            lane = "effects" if here.topic == flow.bus else "admission"
            told.append((offset, flow.position(lane, here.partition).next_offset))
        return real(reader, offsets)

    monkeypatch.setattr(PartitionReader, "commit", commit)
    flow.open()
    flow.produce([thing(n) for n in range(5)])
    flow.work()
    assert told
    assert all(offset <= position for offset, position in told), told


def lane_of(flow: Flow) -> AdmissionLane:
    lease = leases.take("admission", flow.sources("inbox")[0])
    assert lease is not None
    return AdmissionLane(lease, flow.cluster, flow.admin)


def test_a_worker_whose_lease_was_taken_commits_nothing(flow: Flow) -> None:
    """I13: the new owner has not moved the position yet, so the fence alone stands between two owners."""
    flow.open()
    flow.produce([thing(1)])
    sleeper = lane_of(flow)
    sleeper.ahead.fill(3.0, 10, 10_000)
    assert sleeper.ahead.pending.records
    with pytest.MonkeyPatch.context() as another:
        another.setattr(leases, "owner", lambda: "another:1:abc")
        with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app", autocommit=True) as clock:
            expire = "UPDATE position SET until = clock_timestamp() WHERE lane = 'admission' AND source_id = %s"
            clock.execute(expire, (sleeper.lease.source,))
        taken = leases.take("admission", sleeper.lease.source)
    assert taken is not None
    with pytest.raises(LeaseError):
        sleeper.step(0.1)
    sleeper.close()
    leases.release(taken)
    assert flow.receipts() == []


def test_a_gap_that_hides_a_record_fails_the_window(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first reader claims a hole where a record is. Only a second one can tell, and it must before any PASS."""
    flow = Flow()  # its invariants do not hold afterwards, by intent
    flow.open()
    flow.produce([thing(1), thing(2), thing(3)])
    hide(monkeypatch, flow, 1)
    flow.work()
    flow.cut()
    flow.work()
    verdict = flow.judge().verdict
    accounted = verdict.check(c.CheckName.ACCOUNTED)
    assert (verdict.state, accounted and accounted.state) == (v.State.FAIL, c.State.BROKEN)
    assert accounted is not None and "a second reader found records" in accounted.cause


def test_an_end_that_nobody_measured_is_no_lag_of_zero() -> None:
    """Every attempt is settled, yet the end of one bus partition was not answered: nobody can say how far it is."""
    (check,) = [found for name, look in c.ALL if name is c.CheckName.CAUGHT_UP
                and (found := look(w.source("flights.bus/1", end=None), w.NOW)) is not None]  # fmt: skip
    assert check.state is c.State.UNMEASURED
    assert check.cause == "the end of flights.bus/1 was not measured"


def test_reconciliation_fences_before_it_looks(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the sender still holds is refused once its attempt is settled: it was fenced before anybody looked."""
    monkeypatch.setattr("ingest.streams.check_usable", lambda contract: None)  # as a version before this one stored it
    flow = make_flow(after='1s"\nrepublish = "plan')  # nothing is published again: no later producer fences it either
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    kept: list[Any] = []

    def held_in_a_socket(send: Any, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
        kept.append((producer._producer, topic, messages))
        producer._producer = None
        return Outcome(Kind.UNKNOWN, "NO_REPORT: flush left 1 without a delivery report")

    once(monkeypatch, held_in_a_socket)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    ((sender, topic, messages),) = kept
    landed = True
    try:
        sender.begin_transaction()
        for partition, key, value, headers in messages:
            sender.produce(topic, value, key, partition, headers=headers)
        sender.flush(10)
        sender.commit_transaction(10)
    except Exception as refused:  # noqa: BLE001 - whatever it is called: it was refused
        landed = False
        assert "fenced" in str(refused).lower() or "EPOCH" in str(refused)
    assert not landed, "a record of an attempt that was proven ABSENT landed"
    assert sum(map(len, read_bus(flow).values())) == 0
    (scan,) = scans(flow)
    assert scan.fenced_at <= scan.started_at


@contextmanager
def cheat() -> Iterator[psycopg.Connection[Any]]:
    """A superuser without triggers."""
    from tests.conftest import STACK

    with psycopg.connect(STACK.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


def test_receipts_are_counted_apart_from_their_batch_row(live: object) -> None:
    """BALANCED: a receipt that says something else than its batch's counts shows, for both were counted."""
    flow = Flow()
    flow.open()
    flow.produce([thing(1), thing(2), thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    with cheat() as superuser:
        turned = 'UPDATE receipt SET decision = 3 WHERE source_id = %s AND "offset" = 2'
        superuser.execute(turned, (flow.sources("inbox")[0],))
    flow.sample()
    verdict = judge(window_of(flow.name, "r1")).verdict
    balanced = verdict.check(c.CheckName.BALANCED)
    assert (verdict.state, balanced and balanced.state) == (v.State.FAIL, c.State.BROKEN)


def test_s24_the_door_answers_after_its_commit(make_flow: MakeFlow) -> None:
    """When `receive` returns, another connection sees every receipt it names."""
    flow = make_flow(contract=CONTRACT + "\n[inbox.http]\nenabled = true\n")
    flow.open()
    received = receive(flow.name, [DoorRecord(0, None, None, thing(n), None) for n in range(3)])
    with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app") as other:
        rows = other.execute('SELECT "offset" FROM receipt WHERE source_id = %s ORDER BY 1', (received.source,))
        seen = rows.fetchall()
    assert [row[0] for row in seen] == [outcome.offset for outcome in received.outcomes]


def test_an_instance_that_did_not_commit_is_never_used_again(flow: Flow) -> None:
    """What a reused one does to the next attempt is seen in tests/liars; this is the rule."""
    producer = TransactionalProducer(flow.cluster, f"{flow.name}.rule", delivery_timeout=10)
    producer.init()
    refused = producer.send(flow.bus, [BusMessage(0, b"k", os.urandom(2_000_000), [])])
    assert refused.kind is Kind.UNKNOWN
    with pytest.raises(BrokerError, match="a dead one"):
        producer.send(flow.bus, [BusMessage(0, b"k", b"next", [])])
    assert sum(map(len, read_bus(flow).values())) == 0


def test_s23_what_was_proven_absent_is_no_effect_though_it_is_read_as_it_was_sent(live: object) -> None:
    """Nothing else of it was applied before, so nothing but the attempt's own state speaks against its record."""
    flow = Flow()  # its invariants do not hold afterwards, by intent
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work("admission", "publish")
    assert flow.attempts() == ["ACKED"]
    with cheat() as superuser:
        absent = "UPDATE attempt SET state = 'ABSENT' WHERE source_id = %s RETURNING id"
        ((number,),) = superuser.execute(absent, (flow.sources("inbox")[0],)).fetchall()
    flow.work("effects")
    found = flow.rows("SELECT kind FROM contradiction WHERE attempt_id = %(attempt)s", attempt=number)
    assert {row.kind for row in found} == {"ABSENT_APPEARED"}
    assert flow.count("effect") == 0
