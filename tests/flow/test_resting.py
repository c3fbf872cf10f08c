"""A publish lane that waits for somebody rests: no lease, no fence, no producer until what it waits for is there."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from ingest.core.stops import RECONCILE, REPUBLISH, SILENCE, TRANSACTION
from ingest.kafka import FetchResult, Partition, PartitionReader
from ingest.publish.reconcile import request_run
from ingest.worker import work
from tests.flow.bus import answer_lost, never_sent, open_transaction, scans
from tests.flow.test_reconcile import unknown
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def fences(flow: Flow, seconds: float, slice_: float = 1.0) -> int:
    """How much the fence rises while workers look for work, as beat lets them; each lets go after `slice_`."""
    before = flow.position("publish").fence
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        flow.work("publish", seconds=slice_)
    return int(flow.position("publish").fence) - int(before)


def has_work(flow: Flow) -> bool:
    source = flow.sources("inbox")[0]
    return any((row.lane, row.source_id) == ("publish", source) for row in work())


def test_a_lane_that_waits_for_a_person_takes_no_lease(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make_flow(automatic="false")
    unknown(flow, monkeypatch, answer_lost)
    flow.work_until(lambda: flow.position("publish").stopped_code == RECONCILE, "publish")
    flow.produce([thing("later")])
    flow.work("admission")
    assert fences(flow, 8.0) == 0
    position = flow.position("publish")
    assert (position.owner, position.stopped_code) == (None, RECONCILE)
    assert position.stopped_detail.startswith("waits for a person: reconcile")
    request_run(flow.name, "r1", "ana")
    assert has_work(flow)  # at once, and not after a rest
    flow.work_until(lambda: flow.attempts() == ["ACKED", "ACKED"], "publish")
    assert flow.position("publish").stopped_code is None


def test_a_lane_that_waits_for_silence_rests_and_a_request_wakes_it(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(after="1h")
    unknown(flow, monkeypatch, answer_lost)
    flow.work_until(lambda: flow.position("publish").stopped_code == SILENCE, "publish")
    assert fences(flow, 8.0) == 0
    request_run(flow.name, "r1", "ana")
    assert has_work(flow)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


def test_a_lane_behind_what_is_withheld_rests(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make_flow(after='1s"\nrepublish = "plan')
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    flow.produce([thing("later")])
    flow.work("admission")
    flow.work_until(lambda: flow.position("publish").stopped_code == REPUBLISH, "publish")
    assert fences(flow, 8.0) == 0
    assert not has_work(flow)


def test_a_long_transaction_on_the_bus_costs_few_fences(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_transaction(flow):
        unknown(flow, monkeypatch, answer_lost)
        until = time.monotonic() + 60
        while flow.position("publish").stopped_code != TRANSACTION:
            assert time.monotonic() < until
            flow.work("publish", seconds=12.0)  # a lane that is let go of sooner begins to wait again
        assert fences(flow, 12.0, slice_=12.0) <= 2
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


def broken_scan(monkeypatch: pytest.MonkeyPatch, why: str) -> None:
    """The next scan reads nothing and says why; later ones are as they are."""
    from ingest.publish.reconcile import _Scan

    real, used = _Scan.go_on, list[bool]()

    def go_on(scan: _Scan, seconds: float) -> bool:
        if used:
            return real(scan, seconds)
        used.append(True)
        scan._faults = dict.fromkeys(scan._faults, why)
        return True

    monkeypatch.setattr(_Scan, "go_on", go_on)


def test_a_scan_that_broke_off_is_made_again_by_itself(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    broken_scan(monkeypatch, "the broker went away")
    unknown(flow, monkeypatch, answer_lost)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish", seconds=60)
    assert [scan.answer for scan in scans(flow)] == ["UNDECIDABLE", "PRESENT"]


def test_an_undecidable_attempt_is_looked_for_again_when_somebody_asks(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(automatic="false")
    broken_scan(monkeypatch, "the broker went away")
    unknown(flow, monkeypatch, never_sent)
    request_run(flow.name, "r1", "ana")
    flow.work_until(lambda: flow.attempts() == ["UNDECIDABLE"], "publish")
    flow.work_until(lambda: flow.position("publish").stopped_code == RECONCILE, "publish")
    assert fences(flow, 5.0) == 0
    request_run(flow.name, "r1", "ben")
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")
    assert [(scan.answer, scan.asked_by) for scan in scans(flow)] == [("UNDECIDABLE", "ana"), ("ABSENT", "ben")]
    assert scans(flow)[0].fence < scans(flow)[1].fence


def test_a_scan_longer_than_a_step_goes_on_where_it_stood(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A large bus outlasts neither lease nor task: a step reads for a moment, and the next one goes on."""
    from ingest.publish.reconcile import _Scan

    class Slow(PartitionReader):
        def read(self, max_records: int, max_wait: float, max_bytes: int = 0) -> dict[Partition, FetchResult]:
            return super().read(2, max_wait)

    monkeypatch.setattr("ingest.publish.reconcile.PartitionReader", Slow)
    monkeypatch.setattr("ingest.publish.reconcile.STEP_SECONDS", 0.0)
    steps: list[int] = []
    real = _Scan.go_on

    def go_on(scan: _Scan, seconds: float) -> bool:
        steps.append(sum(scan._at.values()))
        return real(scan, seconds)

    monkeypatch.setattr(_Scan, "go_on", go_on)
    unknown(flow, monkeypatch, answer_lost)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")
    assert len(steps) > 2
    assert steps == sorted(steps)  # never from the start again
    assert len(scans(flow)) == 1
