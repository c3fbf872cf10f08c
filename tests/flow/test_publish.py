"""The publish lane on real Kafka and PostgreSQL: places, order, S2, S3, and every way not to know."""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

import pytest

from ingest.core.attempt import read_mark
from ingest.core.errors import LeaseError
from ingest.core.outcome import Kind, Outcome
from ingest.core.posture import largest_record
from ingest.db import write
from ingest.kafka import VERIFICATION, Admin, TransactionalProducer
from ingest.lanes.lease import release, take
from ingest.publish import PublishLane
from ingest.streams import newest_contract
from stack import Stack
from tests.audit.test_fsck import cheat
from tests.flow.bus import lease_runs_out, once, places, read_bus
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def test_every_event_gets_the_place_where_it_lies(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(20)], key=None, headers=[("trace", b"t"), ("trace", None)])
    flow.produce([thing(n) for n in range(20, 30)], key=b"one-key")
    flow.work("admission", "publish")
    bus = read_bus(flow)
    found = {(row.partition, row.bus_offset): row for row in places(flow)}
    assert len(found) == 30 == sum(map(len, bus.values()))
    for partition, records in bus.items():
        for record in records:
            row = found[partition, record.offset]
            mark = read_mark(record.headers)
            assert not isinstance(mark, str)
            assert (mark.identity, mark.digest) == (bytes(row.identity), bytes(row.payload_digest))
            assert record.headers is not None
            assert record.headers[0][0] in ("trace", "pg-identity")
    keyed = [(p, r.offset) for p, records in bus.items() for r in records if r.key == b"one-key"]
    assert len({partition for partition, _ in keyed}) == 1
    assert len(keyed) == 10
    assert set(flow.attempts()) == {"ACKED"}
    assert flow.position("publish").next_offset == 30


def test_the_original_headers_come_first_and_the_key_is_kept(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)], key=b"", headers=[("trace", b"\xff"), ("trace", None), ("pg-digest", b"forged")])
    flow.work("admission", "publish")
    (record,) = [record for records in read_bus(flow).values() for record in records]
    assert record.key == b""
    assert [name for name, _ in record.headers or []] == ["trace", "trace", "pg-identity", "pg-attempt", "pg-digest"]
    assert not isinstance(read_mark(record.headers), str)


def test_s3_the_first_attempt_of_a_new_run_makes_no_unknown(flow: Flow) -> None:
    for run in ("r1", "r2", "r3"):
        flow.open(run)
        flow.produce([thing(n) for n in range(5)])
        flow.work("admission", "publish")  # a cold producer each time: `work` closes its worker
        flow.cut(run)
    assert set(flow.attempts()) == {"ACKED"}
    assert len(places(flow)) == 15


def test_attempts_are_bounded_and_belong_to_one_window(flow: Flow) -> None:
    flow.open("r1")
    flow.produce([thing(n) for n in range(6000)])
    flow.work("admission")
    flow.cut("r1")
    flow.open("r2")
    flow.produce([thing(1)])
    flow.work("admission")
    flow.work("publish")
    rows = flow.rows(
        "SELECT a.id, a.events, count(DISTINCT b.win) AS windows FROM attempt a"
        " JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id"
        " JOIN run r ON r.id = b.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
        " GROUP BY 1, 2 ORDER BY 1"
    )
    assert sum(row.events for row in rows) == 6001
    assert all(row.events <= 5000 and row.windows == 1 for row in rows)


def test_s2_a_broker_that_freezes_makes_the_attempt_unknown_and_the_lane_settles_it(
    make_flow: MakeFlow, live: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SIGSTOP while the attempt is sent; after SIGCONT it is fenced, looked for, found ABSENT and published again."""
    flow = make_flow(delivery_timeout="2s")
    flow.open()
    flow.produce([thing(n) for n in range(50)])
    flow.work("admission")

    def freeze(send: Any, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
        live.freeze("kafka")
        outcome: Outcome = send(producer, topic, messages)
        return outcome

    once(monkeypatch, freeze)
    lease = take("publish", flow.sources("inbox")[0])
    assert lease is not None
    lane = PublishLane(lease, flow.cluster, flow.admin)
    try:
        with pytest.raises(Exception, match="the outcome of an attempt is not known"):
            lane.step(0.2)
    finally:
        live.thaw("kafka")
        lane.close()
    release(lease)
    assert flow.attempts() == ["UNKNOWN"]
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"])
    flow.work_until(lambda: flow.count("effect") == 50)
    assert sum(map(len, read_bus(flow).values())) == 50


KILLED = """
import os, signal, sys
import django
django.setup()
from ingest.kafka import TransactionalProducer
from tests.flow.world import Flow
real, stage = TransactionalProducer.send, sys.argv[2]
def die(producer, topic, messages):
    if stage == "open":
        inner = producer._producer
        inner.begin_transaction()
        for where, key, value, headers in messages:
            inner.produce(topic, value, key, where, headers=headers)
        inner.flush(10)
    if stage == "committed":
        real(producer, topic, messages)
    os.kill(os.getpid(), signal.SIGKILL)
TransactionalProducer.send = die
class Known(Flow):
    def load(self, **changes): pass
flow = Known(name=sys.argv[1])
flow.work("publish")
"""


@pytest.mark.parametrize(("stage", "answer"), [("prepared", "ABSENT"), ("open", "ABSENT"), ("committed", "PRESENT")])
def test_a_worker_killed_after_prepared_leaves_an_attempt_that_the_next_owner_settles(
    flow: Flow, stage: str, answer: str
) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(10)])
    flow.work("admission")
    died = subprocess.run(
        [sys.executable, "-c", KILLED, flow.name, stage], env={**os.environ, "PYTHONPATH": "."}, timeout=60
    )
    assert died.returncode == -9
    assert flow.attempts() == ["PREPARED"]
    lease_runs_out(flow)
    states = ["ACKED"] if answer == "PRESENT" else ["ABSENT", "ACKED"]
    flow.work_until(lambda: flow.attempts() == states)
    flow.work_until(lambda: flow.count("effect") == 10)
    assert sum(map(len, read_bus(flow).values())) == 10


def test_a_worker_paused_for_longer_than_its_lease_records_nothing(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """It wakes up after its commit, fenced: the new owner finds the attempt PRESENT."""
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")

    def pause(send: Any, producer: TransactionalProducer, topic: str, messages: Any) -> Outcome:
        outcome: Outcome = send(producer, topic, messages)
        lease_runs_out(flow)
        return outcome

    once(monkeypatch, pause)
    lease = take("publish", flow.sources("inbox")[0])
    assert lease is not None
    lane = PublishLane(lease, flow.cluster, flow.admin)
    with pytest.raises(LeaseError):
        lane.step(0.2)
    lane.close()
    assert flow.attempts() == ["PREPARED"]
    assert places(flow) == []
    flow.work_until(lambda: flow.attempts() == ["ACKED"])
    assert len(places(flow)) == 1


def test_not_sent_is_queued_again_and_a_new_instance_sends_it(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    once(monkeypatch, lambda *_: Outcome(Kind.NOT_SENT, "BufferError: produce raised: queue full"))
    flow.work_until(lambda: flow.attempts() == ["NOT_SENT", "ACKED"])
    fences = flow.rows(
        "SELECT a.fence FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s ORDER BY a.id"
    )
    assert fences[0].fence < fences[1].fence


def stopped(flow: Flow) -> str | None:
    code: str | None = flow.position("publish").stopped_code
    return code


def test_a_broker_that_does_not_verify_transactions_is_refused(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    (broker,) = flow.admin.brokers()
    flow.admin.set_broker(broker, VERIFICATION, "false")
    try:
        flow.work_until(lambda: not flow.admin.verifies_transactions(), "admission")
        flow.work("publish", seconds=3)
        assert stopped(flow) == "transactions_not_verified"
        assert flow.attempts() == []
    finally:
        flow.admin.set_broker(broker, VERIFICATION, "true")
    flow.work_until(flow.admin.verifies_transactions, "admission")
    rest_is_over(flow)
    flow.work("publish")
    assert flow.attempts() == ["ACKED"]
    assert stopped(flow) is None


def test_a_bus_that_compacts_is_refused(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.set_topic(flow.bus, "cleanup.policy", "compact")
    flow.work_until(lambda: flow.admin.posture(flow.bus)["cleanup.policy"] == "compact", "admission")
    flow.work("publish", seconds=3)
    assert stopped(flow) == "bus_compacts"
    assert flow.attempts() == []


def test_a_bus_that_takes_less_than_the_contract_admits_is_refused(flow: Flow) -> None:
    """Else its attempt would be UNKNOWN, ABSENT, and sent again for ever."""
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.set_topic(flow.bus, "max.message.bytes", "5000")
    flow.work_until(lambda: flow.admin.posture(flow.bus)["max.message.bytes"] == "5000", "admission")
    flow.work("publish", seconds=3)
    assert stopped(flow) == "bus_too_small"
    assert flow.attempts() == []


def test_a_bus_that_takes_just_what_the_contract_admits_is_enough(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    most = str(largest_record(newest_contract(flow.name).contract.limits))
    flow.admin.set_topic(flow.bus, "max.message.bytes", most)
    flow.work_until(lambda: flow.admin.posture(flow.bus)["max.message.bytes"] == most, "admission")
    flow.work("publish")
    assert (flow.attempts(), stopped(flow)) == (["ACKED"], None)


def test_a_lane_that_has_nothing_to_publish_does_not_stop(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission", "publish")
    flow.step_once("publish")
    assert (flow.attempts(), stopped(flow)) == (["ACKED"], None)


def at(monkeypatch: pytest.MonkeyPatch, point: str, act: Callable[[], object]) -> None:
    """Does `act` when a publish lane first comes to that failpoint."""
    done: list[bool] = []

    def reached(name: str) -> None:
        if name == point and not done:
            done.append(True)
            act()

    monkeypatch.setattr("ingest.publish.lane.failpoint", reached)


def test_a_bus_that_goes_while_the_lane_begins_is_named(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")

    def go() -> None:
        flow.admin.delete_topic(flow.bus)
        while flow.admin.topic_id(flow.bus) is not None:
            time.sleep(0.05)

    at(monkeypatch, "publish.after_fence", go)
    flow.work("publish", seconds=3)
    assert (flow.attempts(), stopped(flow)) == ([], "bus_missing")


def test_a_bus_made_again_while_an_attempt_is_prepared_gets_nothing(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """K5: where each partition stood was read of one topic, and another one has the name by then."""
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    real = Admin.high_watermarks

    def then_made_again(admin: Admin, topic: str, partitions: Any) -> Any:
        marks = real(admin, topic, partitions)
        if flow.bus == topic:
            flow.admin.delete_topic(topic)
            flow.admin.create_topic(topic, flow.bus_partitions)
        return marks

    with monkeypatch.context() as patch:
        patch.setattr(Admin, "high_watermarks", then_made_again)
        flow.work("publish", seconds=3)
    assert (flow.attempts(), stopped(flow)) == ([], "bus_missing")


def test_what_somebody_else_took_off_the_queue_is_not_published(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    queued: list[Any] = []

    def taken() -> None:
        with write() as cur:
            cur.execute("DELETE FROM publish_queue WHERE source_id = ANY(%s) RETURNING *", (flow.sources(),))
            queued.extend(cur.fetchall())

    at(monkeypatch, "publish.after_fence", taken)
    flow.work("publish", seconds=3)
    assert (flow.attempts(), stopped(flow)) == ([], "publish_refused")
    assert sum(map(len, read_bus(flow).values())) == 0
    with write() as cur:
        for row in queued:
            cur.execute(f"INSERT INTO publish_queue VALUES ({', '.join(['%s'] * len(row))})", row)


def test_an_event_whose_payload_was_erased_is_not_published_without_it(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work("admission")
    erase = 'UPDATE event SET payload = NULL WHERE source_id = ANY(%s) AND "offset" = 1 RETURNING payload_digest'
    with cheat(flow) as connection:
        connection.execute(erase, (flow.sources(),))
        flow.work("publish", seconds=3)
        assert (flow.attempts(), stopped(flow)) == ([], "payload_gone")
        assert "offset 1" in flow.position("publish").stopped_detail
        connection.execute(erase.replace("NULL", "%s"), (thing(2), flow.sources()))


def test_a_bus_that_takes_one_record_at_a_time_gets_them_so(flow: Flow) -> None:
    """max.message.bytes holds for what is sent together, too: a batch above it would be refused for ever."""
    flow.open()
    flow.produce([thing(n, noise=secrets.token_hex(1500)) for n in range(40)])
    flow.work("admission")
    flow.admin.set_topic(flow.bus, "max.message.bytes", "15000")
    flow.work_until(lambda: flow.admin.posture(flow.bus)["max.message.bytes"] == "15000", "admission")
    flow.work("publish")
    assert flow.attempts() == ["ACKED"]


def test_a_later_contracts_topic_that_takes_less_gets_a_producer_of_its_own(flow: Flow) -> None:
    """Under one lease: the producer made for the first topic would send it more at once than it takes, for ever."""
    flow.open()
    lease = take("publish", flow.sources("inbox")[0])
    assert lease is not None
    lane = PublishLane(lease, flow.cluster, flow.admin)
    contract = newest_contract(flow.name).contract
    first = lane._fence(contract)
    assert lane._fence(contract) is first and not first.dead
    lane._checked[flow.bus] = 15_000
    second = lane._fence(contract)
    assert first.dead and (second.batch_bytes, second.dead) == (15_000, False)
    assert lane._fence(contract) is second
    lane.close()
    release(lease)


def test_a_bus_made_again_is_not_published_to(flow: Flow) -> None:
    """K5: same name, same partitions, another topic; no open window stands on it."""
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.delete_topic(flow.bus)
    flow.work_until(lambda: flow.admin.topic_id(flow.bus) is None, "admission")
    flow.admin.create_topic(flow.bus, flow.bus_partitions)
    flow.work("publish", seconds=3)
    assert stopped(flow) == "topic_changed"
    assert flow.attempts() == []


def rest_is_over(flow: Flow) -> None:
    """What the dispatcher waits for before it tries a stopped lane again."""
    with write() as cur:
        cur.execute(
            "UPDATE position SET stopped_until = clock_timestamp() WHERE lane = 'publish' AND source_id = ANY(%s)",
            (flow.sources(),),
        )
