"""Kafka's disk is an older copy of itself: what was written since is gone, and its offsets are given again."""

from __future__ import annotations

import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from confluent_kafka import KafkaError
from django.conf import settings

from audit.close import close_run, window_of
from audit.enforce import decide_gate, enforce_due
from audit.go_on import go_on
from ingest.admit.lane import AdmissionLane
from ingest.core.errors import BrokerError
from ingest.core.ids import SourceId
from ingest.core.stops import stop_of
from ingest.db import write
from ingest.lanes.lease import take
from stack import Stack
from tests.audit.test_drift import created_anew
from tests.audit.test_fsck import cheat
from tests.drift.table import EVENTS
from tests.flow.world import Flow, thing
from tests.patience import stretched

if TYPE_CHECKING:
    from ingest.worker import Worker
    from tests.drift.scene import Scene

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
FIRST, AGAIN, OTHERS = 3, 4, 6


class Elsewhere:
    """A stream on a broker of its own, whose disk is copied and put back."""

    def __init__(self, scene: Scene, broker: Stack, keep: Path) -> None:
        self.broker, self.copy = broker, keep / "copy"
        self.disk = broker.data / "kafka" / "logs"
        scene.patch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", broker.env()["KAFKA_BOOTSTRAP_SERVERS"])
        self.scene, self.flow = scene, scene.flow
        scene.clients_anew()
        for topic in (self.flow.inbox, self.flow.bus):
            self.flow.admin.create_topic(topic, scene.ends_partitions(topic))

    def keep(self) -> None:
        self.broker.stop_part("kafka")
        shutil.copytree(self.disk, self.copy)
        self.start()

    def put_back(self) -> None:
        self.broker.stop_part("kafka")
        shutil.rmtree(self.disk)
        shutil.copytree(self.copy, self.disk)
        self.start()

    def lose(self, topic: str) -> None:
        self.broker.stop_part("kafka")
        shutil.rmtree(self.disk / f"{topic}-0")
        self.start()

    def is_open(self, window: int) -> bool:
        """After a re-check of now."""
        win = window_of(self.flow.name, "r1", window)
        with write() as cur:
            cur.execute("UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = %s", (win,))
        enforce_due()
        return bool(decide_gate(self.flow.name, "r1", who="test", window=window).code == "open")

    def start(self) -> None:
        """Until each partition has its leader again, and transactions theirs."""
        self.broker.start_part("kafka")
        self.scene.clients_anew()
        until = time.monotonic() + stretched(30)
        while not self.answers():
            assert time.monotonic() < until
            time.sleep(0.1)

    def answers(self) -> bool:
        try:
            return all(self.flow.admin.high_watermarks(topic, [0]) for topic in (self.flow.inbox, self.flow.bus))
        except BrokerError:
            return False

    def goes_on_beyond_the_copy(self) -> Flow:
        """A run with FIRST records in the copy, and more behind it that are to be read."""
        self.flow.open()
        self.flow.produce([thing(f"r1-{n}") for n in range(FIRST)])
        self.flow.work()
        self.keep()
        self.flow.produce([thing("r1-0") for _ in range(AGAIN)])
        return self.flow

    def end(self) -> tuple[int, int]:
        """(high watermark, leader epoch) of the inbox."""
        return self.flow.admin.high_watermarks(self.flow.inbox, [0])[0]


@pytest.fixture
def elsewhere(scene: Scene, other_broker: Stack, tmp_path: Path) -> Elsewhere:
    return Elsewhere(scene, other_broker, tmp_path)


def test_a_lane_reads_again_what_it_received_last_before_it_goes_on(elsewhere: Elsewhere) -> None:
    """Nothing that Kafka says of the log is another: its id, its epoch, and its end, which is where it was and further.

    What was received beyond the copy was known already, so that the bus lost nothing, which would tell, too.
    """
    flow = elsewhere.goes_on_beyond_the_copy()
    flow.work()
    assert flow.decisions("r1") == ["ADMITTED"] * FIRST + ["DUPLICATE"] * AGAIN
    was = elsewhere.end()
    elsewhere.put_back()
    assert elsewhere.end() == (FIRST, was[1]), "the epoch tells: this shows nothing"
    flow.produce([thing(f"other-{n}") for n in range(OTHERS)])
    flow.work(seconds=5)
    lane = flow.position("admission")
    assert (lane.stopped_code, lane.next_offset) == ("log_put_back", FIRST + AGAIN), lane
    assert len(flow.decisions("r1")) == FIRST + AGAIN
    flow.cut()
    stored = flow.judge()
    assert stored.verdict.state == "BLOCKED"
    assert f"Next: {stop_of('log_put_back').act}" in stored.sentence
    elsewhere.scene.goes_on()
    stored = flow.judge()
    assert f"was cut at {FIRST}, and is another log from there on" in stored.sentence
    assert stored.verdict.state == "FAIL"
    flow.work()
    assert flow.decisions("r2") == ["ADMITTED"] * (
        OTHERS + EVENTS
    )  # from where it is another log on, and nothing before
    flow.cut("r2")
    flow.work()
    stored = flow.judge("r2")
    assert stored.verdict.state == "PASS", stored.sentence


def test_what_lies_below_a_cut_is_read_as_before(elsewhere: Elsewhere) -> None:
    """The window that ends below a cut stays open; each cut begins another log, and the lowest counts."""
    flow, scene = elsewhere.flow, elsewhere.scene
    flow.open()
    flow.produce([thing(f"r1-{n}") for n in range(FIRST)])
    flow.work()
    go_on(flow.name, "r1", "test")
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1).verdict.state == "PASS"
    elsewhere.keep()
    flow.produce([thing("r1-0") for _ in range(AGAIN)])
    flow.work()
    elsewhere.put_back()
    flow.produce([thing(f"other-{n}") for n in range(OTHERS)])
    flow.work_until(lambda: flow.position("admission").stopped_code == "log_put_back", "admission")
    assert go_on(flow.name, "r1", "test").next_window == 3
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    before = close_run(flow.name, "r1", "test", 2)
    assert (before.verdict.state, f"was cut at {FIRST}" in before.sentence) == ("FAIL", True), before.sentence
    assert Counter(flow.decisions("r1")) == {"ADMITTED": FIRST + OTHERS, "DUPLICATE": AGAIN}
    scene.until(lambda: elsewhere.is_open(1))
    elsewhere.lose(flow.inbox)
    scene.goes_on()
    flow.work()
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.state == "PASS"
    kept = "SELECT log_kept_to(s.id) AS at FROM source s WHERE s.id = ANY(%(sources)s) ORDER BY s.id"
    assert [row.at for row in flow.rows(kept, sources=flow.sources("inbox"))] == [0, 0, None]
    scene.until(lambda: not elsewhere.is_open(1))
    assert "inbox/0 was cut at 0" in decide_gate(flow.name, "r1", who="test", window=1).detail


def test_what_stands_on_a_later_epoch_is_blocked_or_shut(elsewhere: Elsewhere) -> None:
    """Clients that saw the later epoch are refused by name; what asks with a new one is told where the log is now."""
    flow, scene = elsewhere.flow, elsewhere.scene
    flow.open("r0")
    flow.produce([thing(f"r0-{n}") for n in range(FIRST)])
    flow.work()
    flow.cut("r0")
    flow.work()
    assert flow.judge("r0").verdict.state == "PASS"
    elsewhere.keep()
    for _ in range(2):
        elsewhere.broker.stop_part("kafka")
        elsewhere.start()
    flow.open()
    flow.produce([thing(f"r1-{n}") for n in range(FIRST)])
    flow.work()
    flow.cut()
    flow.work()
    _, was = elsewhere.end()
    elsewhere.put_back()
    end, is_ = elsewhere.end()
    assert end == FIRST and is_ < was
    said = f"the leader epoch of {flow.bus}/0 was {was} and is {is_}"
    scene.until(lambda: said in flow.judge().sentence)
    stored = flow.judge()
    assert (str(stored.verdict.state), f"create {flow.bus} anew" in stored.sentence) == ("BLOCKED", True), (
        stored.sentence
    )
    scene.until(lambda: scene.opens_again("r0") or scene.gate("r0").code == "gate_shut")
    assert "was truncated" in scene.gate("r0").detail
    for topic, partitions in ((flow.inbox, flow.partitions), (flow.bus, flow.bus_partitions)):
        created_anew(flow, topic, partitions)
    assert flow.judge().verdict.state == "FAIL"
    scene.goes_on()
    flow.work()
    flow.cut("r2")
    flow.work()
    stored = flow.judge("r2")
    assert stored.verdict.state == "PASS", stored.sentence


def test_a_worker_that_lived_through_it_reads_nothing_more(elsewhere: Elsewhere) -> None:
    """Its clients connect again by themselves. What they meet first tells: an end before its position, or a record."""
    flow = elsewhere.goes_on_beyond_the_copy()
    flow.sample()
    worker = flow.worker("admission")
    try:
        worker.slice(5)
        assert flow.position("admission").next_offset == FIRST + AGAIN
        elsewhere.put_back()
        flow.produce([thing(f"other-{n}") for n in range(OTHERS)])
        until = time.monotonic() + stretched(40)
        while not (lane := flow.position("admission")).stopped_code:
            assert time.monotonic() < until, lane
            flow.sample()
            worker.slice(1)
    finally:
        worker.close()
    lane = flow.position("admission")
    assert (lane.stopped_code in ("log_put_back", "log_truncated"), lane.next_offset) == (True, FIRST + AGAIN), lane


@pytest.mark.parametrize("restart", [0.0, 1_000.0])
def test_a_lane_compares_again_where_a_broker_was_away(
    flow: Flow, restart: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the consumer connects late, others have written as much as was lost, and only the records tell.

    Not for a while after: a lane that compares for each failure of a broker that stays away would do nothing else.
    """
    monkeypatch.setattr("ingest.admit.lane.RESTART_SECONDS", restart)
    flow.open()
    flow.produce([thing(n) for n in range(FIRST)])
    with held_lane(flow) as worker:
        rounds(worker, lambda: flow.position("admission").next_offset == FIRST)
        (held,) = worker.held.values()
        reader = cast(AdmissionLane, held.lane)._reader
        assert reader is not None
        flow.produce([thing(n) for n in range(FIRST, 2 * FIRST)])
        reader.faults.note(KafkaError(KafkaError._TRANSPORT))
        rounds(worker, lambda: flow.position("admission").next_offset == 2 * FIRST)
        assert cast(AdmissionLane, held.lane)._reader is reader, "one that is made anew meets what is away anew"
        receipts_say_something_else(flow)
        flow.produce([thing(9)])
        reader.faults.note(KafkaError(KafkaError._TRANSPORT))
        rounds(worker, lambda: (p := flow.position("admission")).stopped_code or p.next_offset > 2 * FIRST)
    lane = flow.position("admission")
    wanted = (None, 2 * FIRST + 1) if restart else ("log_put_back", 2 * FIRST)
    assert (lane.stopped_code, lane.next_offset) == wanted, lane
    receipts_say_something_else(flow)  # what they said at first


def receipts_say_something_else(flow: Flow) -> None:
    with cheat(flow) as connection:
        connection.execute(
            "UPDATE receipt SET payload_digest = set_byte(payload_digest, 0, get_byte(payload_digest, 0) # 1)"
            ' WHERE source_id = %s AND "offset" < %s',
            [*flow.sources("inbox"), 2 * FIRST],
        )


@contextmanager
def held_lane(flow: Flow) -> Iterator[Worker]:
    """A worker that keeps the lane of the inbox, whatever there is to do."""
    (source,) = map(SourceId, flow.sources("inbox"))
    worker, lease = flow.worker("admission"), take("admission", source)
    assert lease is not None
    worker._open(("admission", source), lease)
    try:
        yield worker
    finally:
        worker.close()


def rounds(worker: Worker, hold: Callable[[], object]) -> None:
    until = time.monotonic() + stretched(20)
    while worker.held and not hold():
        assert time.monotonic() < until
        worker._round()
