"""The effects lane on the real bus: applied once, duplicates, foreign records, contradictions, fences."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from django.db import connection

from audit.core.verdict import body
from ingest.consume import EffectsLane, attempt_cache, transaction
from ingest.consume import lane as consume
from ingest.core.consumption import BusRecord, rule
from ingest.core.errors import LeaseError
from ingest.core.group import group_of
from ingest.install import install_id
from ingest.kafka import BusMessage, Record
from ingest.lanes.lease import take
from ingest.models import Source
from tests.flow.bus import bus_counts, contradictions, half_sent, kept, lease_runs_out, never_sent, once, read_bus
from tests.flow.world import Flow, thing
from tests.patience import until

MakeFlow = Callable[..., Flow]


def published(flow: Flow, events: int = 6) -> list[tuple[int, Record]]:
    """A run whose events lie on the bus: (partition, record) each."""
    flow.open()
    flow.produce([thing(n) for n in range(events)], key=None)
    flow.work("admission", "publish")
    return [(partition, record) for partition, records in read_bus(flow).items() for record in records]


def again(flow: Flow, records: list[tuple[int, Record]], value: bytes | None = None) -> None:
    """The same records once more, by a producer that is not ours."""
    messages = [BusMessage(p, r.key, value or r.value, list(r.headers or [])) for p, r in records]
    assert all(report.fault is None for report in flow.producer.send(flow.bus, messages))


def test_each_event_has_one_effect_and_the_lane_reaches_the_end(flow: Flow) -> None:
    published(flow)
    flow.work("effects")
    assert flow.count("effect") == 6
    assert bus_counts(flow) == {"records": 6, "applied": 6, "duplicates": 0, "foreign_records": 0, "mismatching": 0}
    for index in range(flow.bus_partitions):
        position = flow.position("effects", index)
        end = flow.admin.ends(flow.bus, [index])[index]
        assert position.next_offset == end.lso == end.hw
        committed = flow.admin.committed(group_of(install_id(), flow.name), flow.bus, [index])[index]
        assert committed.offset in (position.next_offset, None)


def test_copies_on_the_bus_are_duplicates_and_change_nothing(flow: Flow) -> None:
    records = published(flow)
    again(flow, records)
    again(flow, [(1 - partition, record) for partition, record in records])
    flow.work("effects")
    assert flow.count("effect") == 6
    counts = bus_counts(flow)
    assert (counts["applied"], counts["duplicates"]) == (6, 12)


def test_what_no_attempt_explains_is_kept_raw(flow: Flow) -> None:
    (first, *_) = published(flow)
    partition, record = first
    headers = dict(record.headers or [])
    strange = {**headers, "pg-attempt": b"00000000-0000-0000-0000-000000000000/1"}
    unknown = {**headers, "pg-attempt": (headers["pg-attempt"] or b"").split(b"/")[0] + b"/999999999"}
    not_in = {**headers, "pg-identity": b"ab" * 32}
    for said in ({}, strange, unknown, not_in):
        again(flow, [(partition, record._replace(headers=list(said.items())))], b"\x00raw")
    flow.work("effects")
    assert [row.why.split(":")[0] for row in kept(flow)] == ["NO_MARK", "OTHER_INSTALL", "NO_ATTEMPT", "NOT_IN_ATTEMPT"]
    assert {bytes(row.value) for row in kept(flow)} == {b"\x00raw"}
    assert bus_counts(flow)["foreign_records"] == 4
    assert flow.count("effect") == 6


def test_other_bytes_under_a_known_identity_are_mismatching(flow: Flow) -> None:
    records = published(flow)
    again(flow, records[:1], b'{"type": "thing", "id": 0, "more": 1}')
    flow.work("effects")
    assert bus_counts(flow)["mismatching"] == 1
    assert kept(flow)[0].why.startswith("DIGEST")
    assert flow.count("effect") == 6


def test_a_window_with_a_foreign_record_does_not_pass(flow: Flow) -> None:
    (first, *_) = published(flow)
    again(flow, [(first[0], first[1]._replace(headers=[]))])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state != "PASS"


def test_copies_that_somebody_wrote_stand_in_the_verdict(flow: Flow) -> None:
    """They change nothing and shut nothing, but nothing of ours writes twice: a person is told how many, and where."""
    records = published(flow)
    again(flow, records[:2])
    again(flow, records[:1])
    flow.work()
    flow.cut()
    flow.work()
    said = body(flow.judge().verdict, None, "")
    assert (said["state"], said["published"]["copies"]) == ("PASS", 3)
    (observed,) = [check["observed"] for check in said["checks"] if check["check"] == "PUBLISHED"]
    first = re.search(r"3 further copies by somebody else, the first at partition (\d+), offset (\d+)", observed)
    assert first is not None, observed
    every = {(p, r.offset) for p, found in read_bus(flow).items() for r in found}
    assert (int(first[1]), int(first[2])) in every - {(p, r.offset) for p, r in records}


def test_s23_a_record_of_an_attempt_proven_absent_is_a_contradiction(
    live: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = Flow()  # its invariants do not hold afterwards, by intent
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    once(monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"])
    flow.work_until(lambda: flow.count("effect") == 1)
    ((partition, record),) = [(p, r) for p, records in read_bus(flow).items() for r in records]
    absent = flow.rows(
        "SELECT min(a.id) AS id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )[0].id
    again(flow, [(partition, _of_attempt(record, absent))])
    flow.work("effects")
    (found,) = contradictions(flow)
    assert (found.kind, found.attempt_id) == ("ABSENT_APPEARED", absent)
    assert flow.count("effect") == 1


def test_a_copy_in_a_partition_that_its_attempt_sent_nothing_to_is_a_copy(flow: Flow) -> None:
    ((partition, record),) = published(flow, 1)
    again(flow, [(1 - partition, record)])
    flow.work("effects")
    counts = bus_counts(flow)
    assert (counts["applied"], counts["duplicates"], counts["foreign_records"]) == (1, 1, 0)
    assert {flow.position("effects", index).stopped_code for index in (0, 1)} == {None}


def test_an_attempt_to_more_partitions_than_are_remembered_together_is_applied(make_flow: MakeFlow) -> None:
    flow = make_flow(bus_partitions=attempt_cache.MOST_PARTITIONS + 2)
    assert len({partition for partition, _ in published(flow, 120)}) > attempt_cache.MOST_PARTITIONS
    flow.work("effects")
    assert flow.count("effect") == 120


def test_what_was_found_of_a_partial_attempt_is_applied_and_its_other_half_contradicts(
    live: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Read when all is settled. Another source's events lie at the same offsets of their inbox."""
    flow = Flow(partitions=2)  # its invariants do not hold afterwards, by intent
    flow.open()
    flow.produce([thing(f"other-{n}") for n in range(8)], key=None)
    flow.work("admission", "publish")
    flow.produce([thing(n) for n in range(8)], partition=1, key=None)
    flow.work("admission")
    once(monkeypatch, half_sent)
    flow.work_until(lambda: flow.attempts() == ["ACKED", "PARTIAL", "ACKED"], "publish")
    flow.work("effects")
    assert (flow.count("effect"), contradictions(flow)) == (16, [])
    partial, later = flow.rows(
        "SELECT a.id FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s ORDER BY a.id OFFSET 1"
    )
    sent_later = [
        (partition, record) for partition, records in read_bus(flow).items() for record in records
        if (dict(record.headers or [])["pg-attempt"] or b"").endswith(b"/%d" % later.id)
    ]  # fmt: skip
    assert len(sent_later) == 4
    again(flow, [(partition, _of_attempt(record, partial.id)) for partition, record in sent_later[:1]])
    flow.work("effects")
    assert [(found.kind, found.attempt_id) for found in contradictions(flow)] == [("PARTIAL_APPEARED", partial.id)]


def _of_attempt(record: Record, attempt: int) -> Record:
    headers = dict(record.headers or [])
    headers["pg-attempt"] = (headers["pg-attempt"] or b"").split(b"/")[0] + b"/%d" % attempt
    return record._replace(headers=list(headers.items()))


def test_a_fenced_lane_changes_nothing(flow: Flow) -> None:
    published(flow)
    source = flow.sources("bus")[0]
    lease = take("effects", source)
    assert lease is not None
    lane = EffectsLane(lease, flow.cluster, flow.admin)
    lease_runs_out(flow, "effects")
    assert take("effects", source) is not None  # somebody else's, under a new fence
    with pytest.raises(LeaseError):
        until = time.monotonic() + 10
        while time.monotonic() < until:
            lane.step(0.5)
    lane.close()
    assert flow.position("effects").next_offset == 0
    assert flow.count("effect") == 0
    lease_runs_out(flow, "effects")


def test_a_read_that_skips_is_refused(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    from ingest.consume.attempt_cache import AttemptCache
    from ingest.core.batching import OffsetRange, PollSkip

    published(flow)
    source = Source.objects.get(id=flow.sources("bus")[0])
    lease = take("effects", source.id)
    assert lease is not None
    for poll in (OffsetRange(1, 2, 0, (), ()), OffsetRange(0, 1, 0, (), ())):
        with pytest.raises(PollSkip):
            consume.consume(source, lease, "x", poll, AttemptCache())
    lease_runs_out(flow, "effects")


def test_effects_read_on_in_the_steps_of_other_lanes(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to one batch, without waiting, and nothing of it is decided before its turn; then no read is left to do."""
    monkeypatch.setattr(consume, "BATCH_RECORDS", 20)
    published(flow, 100)
    source = next(s for s in flow.sources("bus") if len(read_bus(flow)[Source.objects.get(id=s).partition]) > 40)
    lease = take("effects", source)
    assert lease is not None
    lane = EffectsLane(lease, flow.cluster, flow.admin)
    assert not lane.prefetch()  # a consumer is made in its own step
    until(lambda: lane.step(0.5).records == 20)
    until(lambda: lane.prefetch() or lane.is_prefetched())
    until(lambda: not lane.prefetch() and lane.is_prefetched())
    assert (len(lane.gathering.pending.records), lane.lease.next_offset, flow.count("effect")) == (20, 20, 20)
    with monkeypatch.context() as nothing_to_read:
        nothing_to_read.setattr(lane, "_read", None)
        nothing_to_read.setattr(lane.gathering, "_read", None)
        assert lane.step(0.5).records == 20
    assert (lane.lease.next_offset, flow.count("effect")) == (40, 40)
    lane.close()
    lease_runs_out(flow, "effects")


def test_while_effects_are_stored_something_else_is_done(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transaction, "_PART_BYTES", 100)
    published(flow, 50)
    source = flow.sources("bus")[0]
    lease = take("effects", source)
    assert lease is not None
    lane = EffectsLane(lease, flow.cluster, flow.admin)
    inside: list[bool] = []

    def meanwhile() -> bool:
        inside.append(connection.in_atomic_block)
        return False

    until(lambda: lane.step(0.5, meanwhile).records > 0)
    assert len(inside) > 5 and all(inside)
    assert flow.count("effect") > 0
    lane.close()
    lease_runs_out(flow, "effects")


def test_many_small_attempts_are_all_remembered(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """More attempts in one read than a process remembers: none of them becomes foreign for that."""
    monkeypatch.setattr("ingest.consume.attempt_cache._REMEMBERED", 3)
    flow.open()
    worker = flow.worker("admission", "publish")
    for number in range(12):
        flow.produce([thing(number)])
        flow.sample()
        worker.slice(5)
    worker.close()
    assert len(flow.attempts()) >= 8
    flow.work_until(lambda: flow.count("effect") == 12)
    assert bus_counts(flow)["foreign_records"] == 0


@pytest.mark.parametrize("strange", [False, True])
def test_what_was_read_as_it_was_sent_is_not_looked_at_one_by_one(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, strange: bool
) -> None:
    """One record among them that is not ours, and each has to be looked at; what is applied is the same."""
    looked: list[BusRecord] = []
    monkeypatch.setattr(transaction, "rule", lambda records, known: looked.extend(records) or rule(records, known))
    memory = attempt_cache.AttemptCache()
    monkeypatch.setattr(consume, "cache_of", lambda pid: memory)
    records = published(flow)
    if strange:
        again(flow, [(p, records[0][1]._replace(headers=[])) for p in range(flow.bus_partitions)])
    flow.work("effects")
    assert flow.count("effect") == 6
    assert bool(looked) == strange


@pytest.mark.parametrize("one_by_one", [False, True])
def test_little_is_remembered_of_what_was_sent(flow: Flow, monkeypatch: pytest.MonkeyPatch, one_by_one: bool) -> None:
    monkeypatch.setattr("ingest.consume.attempt_cache.SENT_REMEMBERED", 4)
    monkeypatch.setattr("ingest.consume.attempt_cache.OFFSETS_REMEMBERED", 4)
    memory = attempt_cache.AttemptCache()
    memory.copies = 1_000 * one_by_one
    monkeypatch.setattr(consume, "cache_of", lambda pid: memory)
    flow.open()
    worker = flow.worker("admission", "publish", "effects")
    for number in range(6):
        flow.produce([thing(10 * number + n) for n in range(3)], key=None)
        flow.sample()
        worker.slice(5)
    worker.close()
    flow.work_until(lambda: flow.count("effect") == 18)
    remembered = memory._offsets if one_by_one else memory._sent
    assert 0 < len(remembered) < len(flow.attempts())


@pytest.mark.parametrize("one_by_one", [False, True])
def test_a_process_that_may_remember_nothing_applies_all_the_same(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, one_by_one: bool
) -> None:
    for bound in ("SENT_REMEMBERED", "OFFSETS_REMEMBERED", "EVENTS_REMEMBERED", "_REMEMBERED"):
        monkeypatch.setattr(attempt_cache, bound, 0)
    memory = attempt_cache.AttemptCache()
    memory.copies = 1_000 * one_by_one
    monkeypatch.setattr(consume, "cache_of", lambda pid: memory)
    for run in ("r1", "r2"):
        flow.open(run)
        flow.produce([thing(n) for n in range(4)], key=None)
        flow.work("admission", "publish")
        flow.cut(run)
    flow.work("effects")
    assert flow.count("effect") == 8
