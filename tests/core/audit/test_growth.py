"""What of Kafka's answers is growth of a basis, and what of them belongs to another incarnation: values only."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit import capture
from audit.core import facts as f
from audit.partitions import _grown, _Growth
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError
from ingest.kafka import LogEnds, Partition, TopicFacts
from tests.core.audit import world as w

BIGGER = replace(w.BROKER.bus, partitions={**w.BROKER.bus.partitions, 2: w.log(7)})
BETTER = replace(w.BROKER.bus, posture={**w.POSTURE, "retention.ms": "-1"})


def growth(**now: Any) -> _Growth:
    return _Growth.of(w.BASIS, replace(w.BROKER, **now))


def test_a_partition_more_and_a_longer_promise_are_growth() -> None:
    assert growth(bus=BIGGER) == _Growth(bus=frozenset({2}))
    assert growth(bus=BETTER) == _Growth(better=frozenset({"flights.bus"}))
    assert growth(bus=BIGGER) and growth(bus=BETTER) and not growth()


@pytest.mark.parametrize("topic", [BIGGER, BETTER])
@pytest.mark.parametrize("other", [{"topic_id": "another"}, {"topic_id": None}])
def test_what_another_incarnation_has_is_no_growth(topic: f.Topic, other: dict[str, Any]) -> None:
    assert not growth(bus=replace(topic, **other))


@pytest.mark.parametrize("topic", [BIGGER, BETTER])
def test_what_another_cluster_has_is_no_growth(topic: f.Topic) -> None:
    assert not growth(bus=topic, cluster_id="another")


@pytest.mark.parametrize("unknown", ["log_start", "lso", "high_watermark", "leader_epoch"])
def test_a_partition_about_which_kafka_says_too_little_is_no_growth_yet(unknown: str) -> None:
    logs = {**w.BROKER.bus.partitions, 2: replace(w.log(7), **{unknown: None})}
    assert not growth(bus=replace(w.BROKER.bus, partitions=logs))


def test_a_topic_that_one_of_the_two_does_not_name_is_no_growth() -> None:
    assert not growth(inbox=None)
    assert not _Growth.of(replace(w.BASIS, broker=replace(w.BROKER, inbox=None)), w.BROKER)


@pytest.mark.parametrize(("was", "is_"), [(None, w.POSTURE), (w.POSTURE, None), (None, None)])
def test_a_posture_that_one_of_the_two_does_not_know_promises_no_more(was: Any, is_: Any) -> None:
    basis = replace(w.BASIS, broker=replace(w.BROKER, bus=replace(w.BROKER.bus, posture=was)))
    assert not _Growth.of(basis, replace(w.BROKER, bus=replace(w.BROKER.bus, posture=is_)))


def test_what_grew_is_taken_in_and_what_was_known_stays() -> None:
    """A start or an epoch of now is no basis for what came before."""
    later = replace(BETTER, partitions={0: w.log(99), 1: w.log(99), 2: w.log(7)})
    grown = _grown(w.BROKER.bus, later, frozenset({2}))
    assert grown.partitions == {**w.BROKER.bus.partitions, 2: w.log(7)}
    assert grown.posture == BETTER.posture


def test_nothing_of_another_incarnation_is_taken_in() -> None:
    other = replace(BIGGER, topic_id="another", posture=BETTER.posture)
    assert _grown(w.BROKER.bus, other, frozenset({2})) == w.BROKER.bus


@pytest.mark.parametrize(("was", "is_"), [(w.POSTURE, w.POSTURE), (w.POSTURE, None), (None, w.POSTURE)])
def test_a_posture_that_promises_no_more_stays_as_it_was(was: Any, is_: Any) -> None:
    before = replace(w.BROKER.bus, posture=was)
    assert _grown(before, replace(BIGGER, posture=is_), frozenset({2})).posture == was


# ---- one question for many streams -----------------------------------------------------------------------------------

BUS, INBOX = (TopicFacts(name, f"{name}-id", (0,), 1, {0: 1}, {0: 1}) for name in ("bus", "inbox"))
ENDS = {Partition(name, 0): LogEnds(0, 5, 6, 1) for name in ("bus", "inbox")}


class Named:
    """A contract as far as it names topics."""

    def __init__(self) -> None:
        self.bus = type("Bus", (), {"topic": "bus"})
        self.inbox = type("Inbox", (), {"kafka": type("Kafka", (), {"topic": "inbox"})})


def captured(before: dict[str, capture.Said], after: dict[str, capture.Said]) -> capture.Capture:
    contract: Contract = Named()  # type: ignore[assignment]
    return capture._Readings("cluster", before, after, ENDS, {}).captured(contract, w.NOW)


def test_topics_that_stay_are_captured() -> None:
    both: dict[str, capture.Said] = {"bus": BUS, "inbox": INBOX}
    broker = captured(both, both).broker
    assert broker is not None
    assert (broker.value.bus.topic_id, broker.value.bus.partitions[0].lso) == ("bus-id", 5)


def test_a_topic_that_is_not_there_is_one_without_an_id() -> None:
    only: dict[str, capture.Said] = {"bus": BUS, "inbox": None}
    broker = captured(only, only).broker
    assert broker is not None and broker.value.inbox is not None
    assert (broker.value.inbox.topic_id, broker.value.inbox.partitions) == (None, {})


@pytest.mark.parametrize("later", [replace(BUS, topic_id="another"), None])
def test_offsets_of_a_topic_made_anew_meanwhile_are_nobodys(later: TopicFacts | None) -> None:
    made = captured({"bus": BUS, "inbox": INBOX}, {"bus": later, "inbox": INBOX})
    assert made.broker is None and "created again meanwhile" in made.why
    back = captured({"bus": later, "inbox": INBOX}, {"bus": BUS, "inbox": INBOX})
    assert back.broker is None


@pytest.mark.parametrize("first", [True, False])
def test_a_topic_about_which_there_is_no_answer_is_no_capture(first: bool) -> None:
    good: dict[str, capture.Said] = {"bus": BUS, "inbox": INBOX}
    bad: dict[str, capture.Said] = {"bus": BUS, "inbox": BrokerError(found="no leader")}
    made = captured(bad, good) if first else captured(good, bad)
    assert made.broker is None and "no leader" in made.why
