"""What a topic promises: what cannot work, and which way a change goes."""

from __future__ import annotations

import pytest

from ingest.core.contract.shape import Limits
from ingest.core.posture import (
    NEEDED,
    Change,
    change,
    changes,
    improved,
    largest_record,
    unfit_bus,
    unfit_inbox,
    unmeasured,
)

LIMITS = Limits(value_bytes=1000, key_bytes=10)
GOOD = {
    "cleanup.policy": "delete",
    "max.message.bytes": "1048588",
    "message.timestamp.type": "CreateTime",
    "min.insync.replicas": "1",
    "replication.factor": "1",
    "retention.bytes": "-1",
    "retention.ms": "604800000",
    "unclean.leader.election.enable": "false",
}


def test_a_topic_as_brokers_make_them_will_do() -> None:
    assert unfit_inbox(GOOD) is None
    assert unfit_bus(GOOD, LIMITS) is None
    assert unmeasured(GOOD) == []


@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_what_compacts_will_not(policy: str) -> None:
    posture = GOOD | {"cleanup.policy": policy}
    for unfit in (unfit_inbox(posture), unfit_bus(posture, LIMITS)):
        assert unfit is not None and unfit.found == policy


def test_a_bus_takes_the_largest_record_that_the_contract_admits_or_is_refused() -> None:
    most = largest_record(LIMITS)
    assert most == 2 * 1000 + 10 + 1024
    assert unfit_bus(GOOD | {"max.message.bytes": str(most)}, LIMITS) is None
    unfit = unfit_bus(GOOD | {"max.message.bytes": str(most - 1)}, LIMITS)
    assert unfit is not None
    assert (unfit.expected, unfit.found) == ("max.message.bytes of at least 3,034", "3,033")


def test_a_bus_that_nobody_could_write_to_is_refused() -> None:
    unfit = unfit_bus(GOOD | {"min.insync.replicas": "2"}, LIMITS)
    assert unfit is not None and unfit.expected == "min.insync.replicas of at most 1"
    assert unfit_bus(GOOD | {"min.insync.replicas": "2", "replication.factor": "3"}, LIMITS) is None


@pytest.mark.parametrize("key", NEEDED)
def test_each_key_has_to_be_answered(key: str) -> None:
    assert unmeasured({k: v for k, v in GOOD.items() if k != key}) == [key]
    assert unmeasured(None) == ["the posture"]


BETTER = [
    ("cleanup.policy", "compact", "delete"),
    ("cleanup.policy", "compact,delete", "delete"),
    ("max.message.bytes", "900", "1000"),
    ("message.timestamp.type", "CreateTime", "LogAppendTime"),
    ("min.insync.replicas", "1", "2"),
    ("replication.factor", "2", "10"),
    ("retention.bytes", "1000", "-1"),
    ("retention.ms", "9", "10"),
    ("retention.ms", "604800000", "-1"),
    ("unclean.leader.election.enable", "true", "false"),
]


@pytest.mark.parametrize(("key", "was", "is_"), BETTER)
def test_which_way_is_better_and_back_is_worse(key: str, was: str, is_: str) -> None:
    assert change(key, was, is_) is Change.BETTER
    assert change(key, is_, was) is Change.WORSE
    assert change(key, was, was) is Change.SAME


def test_what_is_not_understood_is_worse() -> None:
    assert change("segment.bytes", "1", "2") is Change.WORSE
    assert change("retention.ms", "week", "fortnight") is Change.WORSE


def test_what_was_not_measured_is_neither() -> None:
    assert change("retention.ms", None, "1") is change("retention.ms", "1", None) is Change.UNKNOWN


def test_only_what_got_better_is_taken_over() -> None:
    now = GOOD | {"retention.ms": "1", "max.message.bytes": "9000000", "brokers": "2"}
    assert changes(GOOD, now) == {"max.message.bytes": Change.BETTER, "retention.ms": Change.WORSE}
    assert improved(GOOD, now) == GOOD | {"max.message.bytes": "9000000"}
    assert improved(GOOD, GOOD | {"retention.ms": "1"}) is None


@pytest.mark.parametrize("gone", ["max.message.bytes", "min.insync.replicas", "replication.factor"])
def test_what_was_not_answered_makes_no_bus_unfit(gone: str) -> None:
    assert unfit_bus({key: value for key, value in GOOD.items() if key != gone}, LIMITS) is None


@pytest.mark.parametrize(
    ("key", "was", "is_", "way"),
    [
        ("brokers", "3", "2", Change.SAME),
        ("cleanup.policy", "compact", "compact,delete", Change.WORSE),
        ("cleanup.policy", "delete", "nothing we know", Change.WORSE),
        ("min.insync.replicas", "1", "-1", Change.WORSE),
        ("retention.ms", "long", "5", Change.WORSE),
        ("retention.ms", "5", "long", Change.WORSE),
        ("retention.ms", "5", "05", Change.WORSE),
        ("segment.ms", "5", "6", Change.WORSE),
    ],
)
def test_what_is_not_understood_promises_no_more(key: str, was: str, is_: str, way: Change) -> None:
    assert change(key, was, is_) is way
