"""No one is stuck: each code that a lane can stop with is brought about, its act is done, and the lane goes on.

docs/stuck.md names these tests, and tests/docs/test_stuck.py holds the page against the code. Where only a broker that
lies, or a fault of ours, brings a code about, the lane meets it once, as that would: the act takes the reason away.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from ingest.core.batching import PollSkip
from ingest.core.binding import CutPending
from ingest.core.errors import (
    BrokerError,
    ContractErrors,
    LedgerError,
    NotFound,
    PassgateError,
    PublishError,
    RecordError,
    RunError,
    SettingsError,
)
from ingest.core.stops import STOPS
from ingest.db import DatabaseFull, write
from tests.flow.bus import open_transaction
from tests.flow.groups import commit, grow
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


@pytest.fixture(autouse=True)
def short_rests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.worker.REST_RETRY", 0.5)
    monkeypatch.setattr("ingest.worker.REST_OTHER", 0.5)
    monkeypatch.setattr("ingest.worker.REST_SHARE", 0.0)


def once_in(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, error: BaseException) -> None:
    """The next call raises; later ones are as they are."""
    real, raised = getattr(owner, method), list[bool]()

    def called(self: Any, *args: Any, **more: Any) -> Any:
        if raised:
            return real(self, *args, **more)
        raised.append(True)
        raise error

    monkeypatch.setattr(owner, method, called)


def stop_codes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """(lane, code) of everything that is written down as a stop from now on."""
    from ingest import worker as lane_worker

    real, seen = lane_worker.stop, list[tuple[str, str]]()

    def stop(lease: Any, code: str, detail: str, seconds: float) -> None:
        real(lease, code, detail, seconds)
        seen.append((lease.lane, code))

    monkeypatch.setattr(lane_worker, "stop", stop)
    return seen


def _errors() -> Iterator[tuple[str, PassgateError | Exception]]:
    from ingest.admit import TooManyDisputed
    from ingest.core.errors import ContractError
    from ingest.core.stored import WordNotKnown
    from ingest.db import NeverThere
    from ingest.kafka import (
        BrokerUnavailable,
        EpochWentBack,
        LogTruncated,
        OffsetOutOfRange,
        OffsetWentBack,
        PartitionFault,
        TopicIncredible,
    )

    fault = ContractError(file="a.toml", line=1, key="stream", found="nothing", write="a name")
    made = (
        BrokerUnavailable(), BrokerError(), PartitionFault(), LogTruncated(), OffsetOutOfRange(), OffsetWentBack(),
        EpochWentBack(), TopicIncredible(), PollSkip(), LedgerError(), DatabaseFull(), TooManyDisputed(),
        ContractErrors([fault]), RecordError(), RunError(), CutPending(), NotFound(), NeverThere(),
        WordNotKnown(),
    )  # fmt: skip
    yield from ((error.code, error) for error in made)
    yield "unexpected", ValueError("nobody named this")


@pytest.mark.parametrize(("code", "error"), list(_errors()), ids=lambda given: given if isinstance(given, str) else "")
def test_a_lane_whose_reason_is_gone_goes_on_by_itself(
    flow: Flow, monkeypatch: pytest.MonkeyPatch, code: str, error: Exception
) -> None:
    from ingest.admit import AdmissionLane

    flow.open()
    flow.produce([thing(1)])
    seen = stop_codes(monkeypatch)
    once_in(monkeypatch, AdmissionLane, "step", error)
    flow.work("admission", seconds=3)
    assert ("admission", code) in seen
    assert STOPS[code].act
    flow.work_until(lambda: flow.decisions() == ["ADMITTED"], "admission")
    assert flow.position("admission").stopped_code is None


@pytest.mark.parametrize("code", ["publish_refused", "payload_gone", "publish_not_sent", "publish_unknown"])
def test_a_publish_lane_goes_on(flow: Flow, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from ingest.core.outcome import Kind, Outcome
    from ingest.publish.lane import PayloadGone, PublishLane
    from tests.flow.bus import answer_lost, once

    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    seen = stop_codes(monkeypatch)
    if code == "publish_not_sent":
        once(monkeypatch, lambda *_: Outcome(Kind.NOT_SENT, "_QUEUE_FULL: produce raised"))
    elif code == "publish_unknown":
        once(monkeypatch, answer_lost)
    else:
        once_in(monkeypatch, PublishLane, "_letters", PayloadGone() if code == "payload_gone" else PublishError())
    flow.work_until(lambda: "ACKED" in flow.attempts(), "publish")
    assert ("publish", code) in seen
    assert flow.position("publish").stopped_code is None


def until_stopped(flow: Flow, lane: str, code: str, index: int = 0) -> None:
    flow.work_until(lambda: flow.position(lane, index).stopped_code == code, lane)


def bus_set_to(flow: Flow, key: str, value: str) -> None:
    flow.admin.set_topic(flow.bus, key, value)
    until = time.monotonic() + 20
    while flow.admin.posture(flow.bus)[key] != value:
        assert time.monotonic() < until
        time.sleep(0.1)


@pytest.mark.parametrize(
    ("code", "key", "wrong", "right"),
    [
        ("bus_compacts", "cleanup.policy", "compact", "delete"),
        ("bus_too_small", "max.message.bytes", "5000", "1048588"),
    ],
)
def test_a_bus_that_is_set_right(flow: Flow, code: str, key: str, wrong: str, right: str) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    bus_set_to(flow, key, wrong)
    until_stopped(flow, "publish", code)
    bus_set_to(flow, key, right)
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


def test_brokers_that_verify_again(flow: Flow) -> None:
    from tests.flow.test_publish import VERIFICATION

    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    (broker,) = flow.admin.brokers()
    flow.admin.set_broker(broker, VERIFICATION, "false")
    try:
        flow.work_until(lambda: not flow.admin.verifies_transactions(), "admission")
        until_stopped(flow, "publish", "transactions_not_verified")
    finally:
        flow.admin.set_broker(broker, VERIFICATION, "true")
    flow.work_until(lambda: flow.attempts() == ["ACKED"], "publish")


@pytest.mark.parametrize("code", ["topic_changed", "topic_gone"])
def test_a_new_run_starts_on_the_inbox_that_is_there(flow: Flow, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from ingest.admit import AdmissionLane
    from ingest.kafka import TopicGone

    flow.open()
    flow.produce([thing(1)])
    flow.work()
    seen = stop_codes(monkeypatch)
    if code == "topic_gone":  # said by a broker that was asked between both; what it leads to is the same
        once_in(monkeypatch, AdmissionLane, "step", TopicGone())
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.produce([thing(2)])
    flow.step_once("admission")
    assert ("admission", code) in seen
    flow.cut()
    flow.open("r2")
    flow.work_until(lambda: flow.decisions("r2") == ["ADMITTED"], "admission")


@pytest.mark.parametrize("code", ["bus_missing", "topic_changed", "bus_too_narrow"])
def test_a_new_run_starts_on_the_bus_that_is_there(make_flow: MakeFlow, code: str) -> None:
    """An inbox partition of its own: what the old run could not publish stays its own."""
    flow = make_flow(bus_partitions=2)
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    flow.admin.delete_topic(flow.bus)
    flow.work_until(lambda: flow.admin.topic_id(flow.bus) is None, "admission")
    if code != "bus_missing":
        flow.admin.create_topic(flow.bus, 1 if code == "bus_too_narrow" else 2)
    until_stopped(flow, "publish", code)
    if code == "bus_missing":
        flow.admin.create_topic(flow.bus, 2)
    elif code == "bus_too_narrow":
        grow(flow, flow.bus, 2)
    flow.cut()
    flow.open("r2")
    flow.produce([thing(2)])
    flow.work_until(lambda: flow.decisions("r2") == ["ADMITTED"], "admission")
    flow.work_until(lambda: "ACKED" in flow.attempts(), "publish")


PROJECTED = "ingest.projections.weather:Weather"


def projected(make_flow: MakeFlow) -> Flow:
    from tests.flow.test_projections import WEATHER, report

    flow = make_flow(contract=WEATHER)
    flow.open()
    flow.produce([report(1)])
    flow.work("admission", "publish")
    return flow


def effects_stopped(flow: Flow, code: str) -> bool:
    return any(flow.position("effects", index).stopped_code == code for index in range(flow.bus_partitions))


@pytest.mark.parametrize("code", ["projection_failed", "context_not_pinned"])
def test_a_projection_that_is_right_again(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch, code: str) -> None:
    from ingest.projections.base import NotPinned
    from ingest.projections.weather import Weather

    flow = projected(make_flow)
    error = ZeroDivisionError("no such hour") if code == "projection_failed" else NotPinned()
    seen = stop_codes(monkeypatch)
    once_in(monkeypatch, Weather, "apply", error)
    flow.work_until(lambda: flow.count("effect") == 1, "effects")
    assert ("effects", code) in seen
    assert not effects_stopped(flow, code)


def test_settings_that_are_right_again(make_flow: MakeFlow, settings: Any) -> None:
    from ingest.projections.base import load_projection

    flow = projected(make_flow)
    allowed = settings.PASSGATE_PROJECTIONS
    load_projection.cache_clear()
    settings.PASSGATE_PROJECTIONS = ()
    flow.work_until(lambda: effects_stopped(flow, SettingsError.code), "effects")
    settings.PASSGATE_PROJECTIONS = allowed
    flow.work_until(lambda: flow.count("effect") == 1, "effects")


# ---- causes of BLOCKED whose act no other test does -----------------------------------------------------------------


def test_a_stopped_lanes_reason_stands_in_the_verdict_and_its_act_ends_it(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    bus_set_to(flow, "cleanup.policy", "compact")
    until_stopped(flow, "publish", "bus_compacts")
    flow.cut()
    stored = flow.judge()
    assert "the publish lane of inbox/0 stopped: bus_compacts: the bus topic compacts" in stored.sentence
    assert stored.sentence.endswith("Next: set cleanup.policy=delete on the bus.")
    bus_set_to(flow, "cleanup.policy", "delete")
    flow.work()
    flow.work()
    assert flow.judge().verdict.state == "PASS"


def test_a_run_behind_an_earlier_runs_unknown_publish_says_so(
    make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch
) -> None:
    from ingest.core.stops import RECONCILE
    from ingest.publish.reconcile import request_run
    from tests.flow.bus import answer_lost, once

    flow = make_flow(automatic="false")
    flow.open()
    flow.produce([thing(1)])
    flow.work("admission")
    once(monkeypatch, answer_lost)
    until_stopped(flow, "publish", RECONCILE)
    flow.cut()
    flow.open("r2")
    flow.produce([thing(2)])
    flow.work("admission")
    flow.cut("r2")
    said = flow.judge("r2").sentence
    assert "the publish lane of inbox/0 waits for a person: reconcile" in said
    assert said.endswith("Next: reconcile the publish.")
    request_run(flow.name, "r1", "ana")
    flow.work()
    flow.work()
    assert flow.judge("r2").verdict.state == "PASS"


def test_a_window_that_is_cut_is_judged(flow: Flow) -> None:
    from audit.close import diagnosis_now, window_of

    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.sample()
    said = diagnosis_now(window_of(flow.name, "r1")).sentence
    assert said.endswith("Next: cut the window.")
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"


def test_totals_that_are_required_are_declared(make_flow: MakeFlow) -> None:
    from audit.close import diagnosis_now, window_of
    from audit.cut import declare_totals

    flow = make_flow(close='totals = "required"')
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.sample()
    assert "no totals are declared" in diagnosis_now(window_of(flow.name, "r1")).sentence
    declare_totals(flow.name, "r1", {"thing": 1}, "ana")
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"


def test_an_open_transaction_that_ends(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    with open_transaction(flow):
        flow.cut()
        flow.work()
        flow.sample()
        said = flow.judge().sentence
        assert "by an open transaction" in said and "Next: end the open transaction that holds" in said
    flow.work()
    flow.work()
    assert flow.judge().verdict.state == "PASS"


def test_a_commit_that_somebody_else_moved_is_set_back(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    commit(flow, flow.inbox, 0, 5)
    said = flow.judge().sentence
    assert "Next: set Kafka's commit of inbox/0 back" in said
    commit(flow, flow.inbox, 0, 1)
    assert flow.judge().verdict.state == "PASS"


@pytest.mark.parametrize("key", ["retention.ms"])
def test_a_posture_that_is_set_back(flow: Flow, key: str) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    before = flow.admin.posture(flow.bus)[key]
    bus_set_to(flow, key, "86400000")
    said = flow.judge().sentence
    assert said.endswith(f"Next: set {key} of {flow.bus} back, or ask for a basis plan.")
    bus_set_to(flow, key, before)
    assert flow.judge().verdict.state == "PASS"


def test_after_a_window_that_cannot_pass_a_new_run_does(flow: Flow) -> None:
    """What is broken in a window stays so; the stream is not stuck with it."""
    flow.open()
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().sentence.endswith("Next: open a new run.")
    flow.open("r2")
    flow.produce([thing(1)])
    flow.work()
    flow.cut("r2")
    flow.work()
    flow.work()
    assert flow.judge("r2").verdict.state == "PASS"


def test_a_lane_that_nobody_moves_goes_on_with_a_worker(make_flow: MakeFlow) -> None:
    flow = make_flow(close='stalled_after = "1s"')
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    flow.cut()
    with write() as cur:
        cur.execute(
            "UPDATE position SET progressed_at = clock_timestamp() - interval '1 h' WHERE source_id = ANY(%s)",
            (flow.sources(),),
        )
    time.sleep(1.5)
    assert "Next: look at the lane of inbox/0" in flow.judge().sentence
    flow.work()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
