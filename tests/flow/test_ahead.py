"""What an admission lane reads and understands ahead: nothing is lost, taken twice, or kept for another run."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Sequence
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.admit import AdmissionLane
from ingest.admit.read_ahead import STEP_RECORDS, ReadAhead
from ingest.core.batching import PollSkip, joined, next_batch, split, weight
from ingest.core.contract import parse_contract
from ingest.core.decide import arrive
from ingest.core.errors import BrokerError
from ingest.core.lane import GATHER_SECONDS, BackgroundWork, Step
from ingest.core.lease import Lease
from ingest.core.record import Parser
from ingest.kafka import BrokerUnavailable, FetchResult, GapClaim, LogTruncated, Record
from ingest.lanes.record_buffer import RecordBuffer
from ingest.streams import CompiledContract
from ingest.worker import HeldLane, Worker

TEXT = b"""
contract = 1
stream = "ahead"
[inbox.kafka]
topic = "ahead.inbox"
format = "json"
[bus]
topic = "ahead.bus"
partitions = 1
[class]
from = "/type"
[event.thing]
match = "thing"
id = ["/id"]
"""


def loaded() -> CompiledContract:
    contract = parse_contract(TEXT, "ahead.toml", lambda name: b"", frozenset())
    return CompiledContract(1, 1, 1, b"", contract, Parser(contract), {"thing": 1})


def record(offset: int) -> Record:
    return Record(offset, 0, b"k", b'{"type":"thing","id":"%d"}' % offset, None, None)


class Log:
    """A partition of so many records, each read bringing at most `turn`; then a fault, an exception, or the end."""

    def __init__(self, records: int, turn: int = 300, then: BrokerError | None = None, raises: bool = False) -> None:
        self.records = [record(offset) for offset in range(records)]
        self.turn = turn
        self.then = then
        self.raises = raises
        self.at = 0

    def read(self, most: int, wait: float, room: int) -> FetchResult | None:
        some = self.records[self.at : self.at + min(most, self.turn)]
        if not some and self.then is not None and self.raises:
            raise self.then
        end = self.at + len(some)
        fault = self.then if end == len(self.records) and not self.raises else None
        chunk = FetchResult(self.at, end, 0, some, at_end=end == len(self.records), fault=fault)
        chunk.size = sum(map(weight, some))
        self.at = end
        return chunk


def admitted(log: Log, run_of: Sequence[str], refuse: Sequence[bool] = (), most: int = 1000) -> list[tuple[str, int]]:
    """(run, offset) of every arrival in the order of admission; each is checked against one made at once."""
    contract, ahead, found = loaded(), ReadAhead(0, 0, log.read), []
    runs, refusals = iter(run_of), iter(refuse)
    while True:
        ahead.fill(5.0, most, 1_000_000)
        if not ahead.pending.records:
            return found
        run = next(runs, run_of[-1])
        batch, arrivals = ahead.take(contract, run, None, most, 1_000_000)
        for _ in range(30):
            ahead.prefetch()
        values = [r.value for r in batch.records]
        parsed = [contract.parser.parse(r.value, r.key, r.headers) for r in batch.records]
        assert arrivals == arrive("ahead", run, [r.offset for r in batch.records], values, parsed)
        if next(refusals, False):
            ahead.give_back(batch, arrivals)
            continue
        assert batch.size == sum(map(weight, batch.records))
        found += [(run, arrival.offset) for arrival in arrivals]


@given(st.integers(0, 3_000), st.integers(1, 900), st.integers(1, 1_500), st.lists(st.booleans(), max_size=4))
def test_each_record_comes_once_and_in_order_however_it_was_read(
    records: int, turn: int, most: int, refuse: list[bool]
) -> None:
    found = admitted(Log(records, turn), ["r"], refuse, max(most, records // 20 + 1))
    assert [offset for _, offset in found] == list(range(records))


def test_what_was_understood_for_one_run_is_made_again_for_the_next() -> None:
    """A cut between two batches: identities are the run's, so nothing made ahead may be carried over."""
    found = admitted(Log(2_500), ["first", "second"])
    assert [run for run, _ in found] == ["first"] * 1_000 + ["second"] * 1_500


def test_the_next_batch_is_there_when_its_turn_comes() -> None:
    """A count that guards speed: while one batch is stored the next is read and understood."""
    contract, log = loaded(), Log(10_000, 2_000)
    ahead = ReadAhead(0, 0, log.read)
    ahead.fill(0.0, 2_000, 1_000_000)
    ahead.take(contract, "r", None, 2_000, 1_000_000)
    for _ in range(1 + 2_000 // STEP_RECORDS):
        ahead.prefetch()
    parser, contract.__dict__["parser"] = contract.parser, None  # whoever parses now fails
    batch, arrivals = ahead.take(contract, "r", None, 2_000, 1_000_000)
    assert len(batch.records) == len(arrivals) == 2_000
    contract.__dict__["parser"] = parser
    for _ in range(100):
        ahead.prefetch()
    assert len(ahead.pending.records) <= 2 * 2_000  # never more than a batch ahead, and a read


class Storing:
    """A lane with a backlog that stores batches of a thousand; there is time for all that may be done meanwhile."""

    def __init__(self, records: int) -> None:
        self.contract = loaded()
        self.ahead = ReadAhead(0, 0, Log(records, 1_000).read)
        self.prefetch, self.is_prefetched = self.ahead.prefetch, self.ahead.is_prefetched
        self.done = 0

    def step(self, max_wait: float, meanwhile: BackgroundWork) -> Step:
        self.ahead.fill(0.0, 1_000, 1_000_000)
        if not self.ahead.pending.records:
            return Step(0, idle=True)
        batch, _ = self.ahead.take(self.contract, "r", None, 1_000, 1_000_000)
        did = [meanwhile() for _ in range(50)]
        assert did == sorted(did, reverse=True), "what has nothing to do any more is asked no more"
        self.done += len(batch.records)
        return Step(len(batch.records), idle=False)


def holding(*lanes: Storing) -> Worker:
    worker = Worker(Mock(), {}, Mock())
    for number, lane in enumerate(lanes):
        lease = Lease("admission", number, 1, "me", 1, 0, None)
        worker.held["admission", number] = HeldLane(lease, lane, 0.0)  # type: ignore[arg-type]
    return worker


def test_a_process_reads_one_batch_ahead_whatever_lanes_it_holds() -> None:
    """What each lane had ahead of its turn came to as many batches as there are lanes, now and then all at once."""
    lanes = [Storing(5_000) for _ in range(6)]
    worker = holding(*lanes)
    for _ in range(3):
        worker._round()
        assert sum(len(lane.ahead.pending.records) for lane in lanes) == 1_000
    assert [lane.done for lane in lanes] == [500 + 2 * 1_000] * 6  # of its first read a lane takes less


def test_a_lane_with_a_backlog_reads_ahead_though_its_neighbours_have_nothing() -> None:
    lanes = [Storing(20), Storing(5_000), Storing(20)]
    worker = holding(*lanes)
    worker._round()
    assert len(lanes[1].ahead.pending.records) == 1_000


def test_a_batch_is_gone_when_it_is_admitted_and_what_is_gathered_when_its_lane_is_closed() -> None:
    """Not some time later, when Python looks for cycles: five thousand records a lane is what a worker is made of."""
    contract, lane = loaded(), AdmissionLane.__new__(AdmissionLane)
    log = Log(2_000, 2_000)
    lane._reader, lane.ahead = None, ReadAhead(0, 0, lambda *limits: log.read(*limits) if lane else None)
    lane.ahead.fill(0.0, 2_000, 1_000_000)
    batch, arrivals = lane.ahead.take(contract, "r", None, 1_000, 1_000_000)
    lane.ahead.prefetch()
    gc.disable()
    try:
        admitted = weakref.ref(batch)
        del batch, arrivals
        assert admitted() is None
        gathered = weakref.ref(lane.ahead.pending)
        lane.close()
        assert gathered() is None
        assert lane.ahead._arrivals == []
    finally:
        gc.enable()


@pytest.mark.parametrize("raises", [False, True])
def test_a_fault_met_ahead_waits_until_what_was_read_before_it_is_admitted(raises: bool) -> None:
    """Inside the transaction of an earlier batch it is nobody's business; it must not be forgotten either."""
    fault = BrokerUnavailable(found="nothing") if raises else LogTruncated(found="another log")
    contract, log = loaded(), Log(1_500, 500, fault, raises)
    ahead, seen = ReadAhead(0, 0, log.read), 0
    with pytest.raises(type(fault)):
        while True:
            ahead.fill(0.0, 600, 1_000_000)
            batch, _ = ahead.take(contract, "r", None, 600, 1_000_000)
            seen += len(batch.records)
            for _ in range(30):
                ahead.prefetch()
    assert seen == 1_500


@given(st.lists(st.integers(1, 400), max_size=30), st.data())
def test_a_poll_that_was_cut_and_joined_weighs_what_its_records_weigh(sizes: list[int], data: st.DataObject) -> None:
    log = [Record(at, 0, b"k" * (size % 7), b"v" * size, None, None) for at, size in enumerate(sizes)]
    chunk = FetchResult(
        0,
        len(log) + 2,
        0,
        log,
        [GapClaim(len(log), len(log) + 2, 0, "read_committed", "AT_END")],
        size=sum(map(weight, log)),
    )
    ahead = ReadAhead(0, 0, lambda most, wait, room: chunk)
    ahead.fill(0.0, 1, 1)
    poll = ahead.pending
    low, high = split(poll, data.draw(st.integers(0, len(log) + 3)))
    batch, rest = next_batch(poll, None, data.draw(st.integers(1, 40)), data.draw(st.integers(1, 2_000)))
    for part in (low, high, batch, rest, joined(low, high), joined(batch, rest)):
        assert part.size == sum(map(weight, part.records))
    assert joined(low, high).records == joined(batch, rest).records == log
    with pytest.raises(PollSkip):
        joined(high, low) if low.start != high.end else joined(poll, poll)


def test_a_batch_waits_for_more_only_while_more_is_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """Among many lanes each reads for a moment only: what that brings is not worth a transaction yet."""
    now = [100.0]
    monkeypatch.setattr("ingest.lanes.record_buffer.time.monotonic", lambda: now[0])
    log = Log(1_200, 500)
    ahead = ReadAhead(0, 0, log.read)
    ahead.fill(0.0, 1_000, 1_000_000)
    assert len(ahead.pending.records) == 500 and not ahead.is_ripe(1_000, 1_000_000)
    now[0] += 2 * GATHER_SECONDS
    assert ahead.is_ripe(1_000, 1_000_000)  # it waited long enough
    now[0] -= GATHER_SECONDS * 1.5
    assert not ahead.is_ripe(1_000, 1_000_000) and ahead.is_ripe(500, 1_000_000) and ahead.is_ripe(1_000, 10)
    while log.at < 1_200:
        ahead.fill(0.0, 5_000, 1_000_000)
    assert ahead.is_ripe(5_000, 1_000_000)  # nothing more is there


def test_a_read_that_skips_waits_until_what_came_before_is_durable() -> None:
    chunks = iter([FetchResult(0, 1, 0, [record(0)]), FetchResult(5, 6, 0, [record(5)])])
    lane = RecordBuffer(0, 0, lambda most, wait, room: next(chunks))
    lane.fill(0.0, 2, 1_000_000)
    lane.fill(0.0, 2, 1_000_000)
    assert [held.offset for held in lane.next_batch(None, 2, 1_000_000).records] == [0]
    with pytest.raises(PollSkip):
        lane.fill(0.0, 2, 1_000_000)


def test_offsets_without_records_are_taken_before_the_fault_behind_them() -> None:
    """Else a lane that meets both again and again never gets past the offsets."""
    gone = GapClaim(0, 7, 0, "read_committed", "markers")
    chunks = iter([FetchResult(0, 7, 0, [], [gone], fault=BrokerUnavailable(found="nothing"))])
    lane = RecordBuffer(0, 0, lambda most, wait, room: next(chunks))
    lane.fill(0.0, 2, 1_000_000)
    assert lane.is_ripe(2, 1_000_000) and lane.next_batch(None, 2, 1_000_000).end == 7
    with pytest.raises(BrokerUnavailable):
        lane.fill(0.0, 2, 1_000_000)
