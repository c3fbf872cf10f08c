"""Transactions that lie, between the real publish lane and a real broker: every attempt stays whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from audit.fsck import fsck
from ingest.core.partition import partition_for
from ingest.kafka import producer as kafka
from ingest.lanes.lease import release, take
from ingest.publish import AttemptUnknown, PublishLane
from tests.flow.world import Flow
from tests.kafka.proxy import END_TXN, PRODUCE
from tests.liars.lane import (
    FIRST,
    HALF,
    SECOND,
    Act,
    Reused,
    Steps,
    attempts,
    flushed,
    produce,
    torn,
    two_halves,
    visible,
)
from tests.liars.proxy import Late, LyingProxy, aborts, api_of, commits

EVENTS = HALF + 99
FENCED = {47, 90}
"""INVALID_PRODUCER_EPOCH, PRODUCER_FENCED."""


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    made = Steps(monkeypatch)
    yield made
    assert made.left == 0, "a fault was never played"


@pytest.fixture
def flow(proxy: LyingProxy) -> Flow:
    made = Flow(delivery_timeout="3s")
    made.open()
    return made


@pytest.fixture
def last_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """An instance that is dropped aborts first: the very thing that may come late."""
    real, first = kafka._drop, [True]

    def abort_then_drop(client: Any) -> None:
        if first:
            first.pop()
            client.abort_transaction(20)
        real(client)

    monkeypatch.setattr(kafka, "_drop", abort_then_drop)


@pytest.fixture
def reused(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """THE MUTATION, in the publish lane."""
    monkeypatch.setattr("ingest.publish.lane.TransactionalProducer", Reused.made)
    yield
    Reused.ended()


def admitted(flow: Flow, start: int = 0, second: bytes = SECOND) -> None:
    produce(flow, two_halves(start, second))
    flow.work("admission")


def whole(flow: Flow, events: int) -> None:
    """What must hold after every lie: each attempt whole, each event applied once, PASS, nothing found by fsck."""
    flow.work_until(lambda: flow.count("effect") == events)
    assert list(torn(flow)) == []
    assert sum(visible(flow).values()) == flow.count("event") == flow.count("effect") == events
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert str(stored.verdict.state) == "PASS", stored.sentence
    flow.check()


def gives_up(client: Any) -> None:
    """An attempt that ends before its commit, with everything on the broker and nothing wrong there."""
    flushed(client)
    raise RuntimeError("given up before the commit")


MARKERS = 0.5
"""A commit is answered before its markers stand in the logs: what is sent in between still belongs to it. (s)"""


def arrives(late: Late) -> Act:
    """The late frame lands between the halves of an attempt: the first one is on the broker, the second is not sent."""

    def act(client: Any) -> None:
        flushed(client)
        assert late.caught.is_set()
        late.deliver()
        time.sleep(MARKERS)

    return act


def test_the_keys_go_to_both_partitions() -> None:
    assert [partition_for(key, b"", 2) for key in (FIRST, SECOND)] == [0, 1]


def held_abort(flow: Flow, steps: Steps, proxy: LyingProxy) -> Late:
    """One attempt given up and aborted; its abort is caught, asked for again and done. It lands in the next attempt."""
    admitted(flow)
    late = proxy.late(aborts)
    steps.at("bus.before_commit", gives_up)
    steps.at("bus.while_producing", arrives(late))
    flow.work_until(lambda: [a.state for a in attempts(flow)] == ["ABSENT", "ACKED"])
    assert late.answered.is_set()
    return late


def test_an_abort_that_comes_in_the_next_attempt_does_nothing(
    flow: Flow, steps: Steps, proxy: LyingProxy, last_words: None
) -> None:
    late = held_abort(flow, steps, proxy)
    assert late.error in FENCED
    whole(flow, EVENTS)


def test_the_mutant_that_uses_an_instance_again_after_an_abort_is_seen_to_tear_an_attempt(
    flow: Flow, steps: Steps, proxy: LyingProxy, reused: None
) -> None:
    """The same lie without the rule: the commit returns, all reports are good, and half of it is gone."""
    late = held_abort(flow, steps, proxy)
    assert late.error == 0
    assert list(torn(flow)) == [f"ACKED: {EVENTS - HALF} of {EVENTS} events are on the bus"]
    flow.work()
    assert flow.count("effect") == EVENTS - HALF
    assert fsck(stream=flow.name) != []
    flow.cut()
    flow.work()
    assert str(flow.judge().verdict.state) != "PASS"  # the rule keeps it whole; the verdict does not trust the rule


@pytest.mark.parametrize(("second", "states"), [(SECOND, ["ACKED", "ACKED"]), (FIRST, ["ACKED", "PARTIAL", "ACKED"])])
def test_a_commit_that_comes_again_in_the_next_attempt_of_its_own_instance_loses_nothing(
    flow: Flow, steps: Steps, proxy: LyingProxy, second: bytes, states: list[str]
) -> None:
    """An instance only ever commits, so what lands late commits early: at worst half of it, which the scan finds."""
    lease = take("publish", flow.sources("inbox")[0])
    assert lease is not None
    lane = PublishLane(lease, flow.cluster, flow.admin)
    late = proxy.late(commits)
    admitted(flow)
    assert lane.step(0.2).records == EVENTS
    admitted(flow, start=10_000, second=second)
    steps.at("bus.while_producing", arrives(late))
    with suppress(AttemptUnknown):
        lane.step(0.2)
    lane.close()
    release(lease)
    assert late.error == 0
    flow.work_until(lambda: flow.attempts() == states)
    whole(flow, 2 * EVENTS)


def test_a_commit_that_comes_after_the_fence_does_nothing(flow: Flow, steps: Steps, proxy: LyingProxy) -> None:
    """Held until the attempt's time was over; it lands while the next instance sends the same events again."""
    admitted(flow)
    late = proxy.late(commits, reset=False)
    steps.at("bus.while_producing", lambda client: None)
    steps.at("bus.while_producing", arrives(late))
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"])
    assert late.error in FENCED
    whole(flow, EVENTS)


def test_a_produce_request_that_comes_after_the_fence_is_not_on_the_bus(
    flow: Flow, steps: Steps, proxy: LyingProxy
) -> None:
    """It lands after the scan has said ABSENT, and while the same events are sent again."""
    admitted(flow)
    late = proxy.late(lambda frame: api_of(frame) == PRODUCE, reset=False)
    steps.at("bus.while_producing", lambda client: None)
    steps.at("bus.while_producing", arrives(late))
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"])
    whole(flow, EVENTS)


@pytest.mark.parametrize("step", ["bus.while_producing", "bus.after_produce", "bus.before_commit"])
def test_connections_reset_in_mid_transaction(flow: Flow, steps: Steps, proxy: LyingProxy, step: str) -> None:
    admitted(flow)

    def reset(client: Any) -> None:
        assert proxy.reset_all()

    steps.at(step, reset)
    flow.work_until(lambda: flow.attempts()[-1:] == ["ACKED"])
    whole(flow, EVENTS)


def test_a_commit_whose_answer_alone_is_held_is_found_present(flow: Flow, steps: Steps, proxy: LyingProxy) -> None:
    admitted(flow)
    steps.at("bus.before_commit", lambda client: proxy.hold_responses(END_TXN))
    flow.work_until(lambda: flow.attempts() == ["ACKED"])
    (attempt,) = attempts(flow)
    answers = flow.rows("SELECT answer FROM scan WHERE attempt_id = %(id)s", id=attempt.id)
    assert [row.answer for row in answers] == ["PRESENT"]
    whole(flow, EVENTS)
