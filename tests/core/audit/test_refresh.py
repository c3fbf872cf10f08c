"""What a refresh may add to a basis, and what none ever does: values only."""

# ruff: noqa: E501  a row of a table reads best on one line
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from audit.core import basis as check
from audit.core import checks as c
from audit.core import facts as f
from audit.core import refresh as r
from audit.core import snapshot as s
from audit.core import verdict as v
from ingest.core.contract.shape import Limits
from tests.core.audit import world as w

LESS = replace(w.BROKER.bus, posture={**w.POSTURE, "retention.ms": "1000"})
MORE = replace(w.BROKER.bus, posture={**w.POSTURE, "retention.ms": "-1"})
PARTS = {
    "flights.bus": [check.Part("flights.bus/0", 0, 0, 60, 60, 0), check.Part("flights.bus/1", 1, 0, 50, 50, 0)],
    "flights.inbox": [check.Part("inbox/0", 0, 0, 70, 70, 0), check.Part("inbox/3", 3, 0, 50, 50, 0)],
}
LIMITS = Limits()


def now(**changed: Any) -> f.Broker:
    return replace(w.BROKER, **changed)


def epochs(topic: f.Topic, **by_partition: int | None) -> f.Topic:
    logs = {
        n: replace(log, leader_epoch=by_partition.get(f"p{n}", log.leader_epoch)) for n, log in topic.partitions.items()
    }
    return replace(topic, partitions=logs)


def objections(broker: f.Broker, database: f.DatabaseIdentity = w.DATABASE) -> list[str]:
    return r.objections(w.BASIS, broker, database, PARTS, LIMITS)


# ---- what is added --------------------------------------------------------------------------------------------------


def test_what_promises_less_is_added_as_it_was_and_as_it_is() -> None:
    more = r.additions(w.BASIS, now(bus=LESS))
    assert more.document() == {
        "posture": {"flights.bus": {"retention.ms": {"before": "604800000", "after": "1000"}}}, "epochs": {},
    }  # fmt: skip
    assert more.needed and list(more.lines()) == ["retention.ms of flights.bus: 604800000 → 1000."]


def test_what_is_the_same_or_more_needs_no_refresh() -> None:
    assert not r.additions(w.BASIS, w.BROKER).needed
    assert not r.additions(w.BASIS, now(bus=MORE)).needed
    assert not r.additions(w.BASIS, now(bus=epochs(w.BROKER.bus, p0=4))).needed


def test_with_what_is_needed_comes_what_promises_more_and_epochs_that_rose() -> None:
    inbox = replace(w.BROKER.inbox, posture={**w.POSTURE, "retention.ms": "-1"})  # type: ignore[type-var]
    more = r.additions(w.BASIS, now(bus=epochs(LESS, p1=4), inbox=inbox))
    assert more.document()["epochs"] == {"flights.bus": {"1": {"before": 0, "after": 4}}}
    assert set(more.posture) == {"flights.bus", "flights.inbox"}
    assert "leader epoch of flights.bus/1: 0 → 4." in list(more.lines())


def test_what_the_basis_never_knew_is_added_without_a_before() -> None:
    unknown = replace(w.BROKER.bus, posture=None)
    basis = replace(w.BASIS, broker=now(bus=epochs(unknown, p0=None)))
    more = r.additions(basis, w.BROKER)
    assert more.needed
    assert more.document()["posture"]["flights.bus"]["retention.ms"] == {"after": "604800000"}
    assert more.document()["epochs"] == {"flights.bus": {"0": {"after": 0}}}
    assert "retention.ms of flights.bus: not in the basis → 604800000." in list(more.lines())
    only_epoch = replace(w.BASIS, broker=now(bus=epochs(w.BROKER.bus, p0=None)))
    assert r.additions(only_epoch, w.BROKER).needed


def test_partitions_are_taken_in_by_themselves() -> None:
    wider = replace(LESS, partitions={**LESS.partitions, 2: w.log(7)})
    more = r.additions(w.BASIS, now(bus=wider))
    assert set(r.grown(w.BASIS, more).bus.partitions) == {0, 1}


@pytest.mark.parametrize("other", ["another", None])
def test_of_another_topic_nothing_is_added(other: str | None) -> None:
    assert not r.additions(w.BASIS, now(bus=replace(LESS, topic_id=other))).needed
    assert not r.additions(w.BASIS, now(inbox=None)).needed


def test_an_election_that_comes_later_changes_nothing_and_an_epoch_that_goes_back_does() -> None:
    bound = r.bound(w.BASIS, r.additions(w.BASIS, now(bus=epochs(LESS, p0=4))))
    for later in (epochs(LESS, p0=4), epochs(LESS, p0=9), epochs(LESS, p0=9, p1=3)):
        assert r.bound(w.BASIS, r.additions(w.BASIS, now(bus=later)).no_later_than(bound)) == bound
    for earlier in (epochs(LESS, p0=3), LESS):
        assert r.bound(w.BASIS, r.additions(w.BASIS, now(bus=earlier)).no_later_than(bound)) != bound


def test_the_next_generation_is_this_one_with_the_additions_and_nothing_else() -> None:
    moved = replace(epochs(LESS, p0=4), partitions={**epochs(LESS, p0=4).partitions, 1: w.log(99)})
    more = r.additions(w.BASIS, now(bus=moved))
    body = r.next_body(w.BASIS, more)
    was = s.basis_body(w.BROKER, w.DATABASE, w.BASIS.inbox, w.BASIS.bus)
    assert body["broker"]["bus"]["posture"] == LESS.posture
    assert body["broker"]["bus"]["partitions"]["0"]["leader_epoch"] == 4
    assert body["broker"]["bus"]["partitions"]["1"]["high_watermark"] == 50, "an end of now is no basis"
    for each in (body, was):
        each["broker"]["bus"].pop("posture")
        for logs in (each["broker"]["bus"]["partitions"], each["broker"]["inbox"]["partitions"]):
            for log in logs.values():
                log.pop("diverged", None)
                log.pop("leader_epoch")
    assert body == was
    assert r.bound(w.BASIS, more)["next"] == s.digest(r.next_body(w.BASIS, more)).hex()


# ---- what is never refreshed ----------------------------------------------------------------------------------------


def test_nothing_speaks_against_what_promises_less() -> None:
    assert objections(w.BROKER) == objections(now(bus=LESS)) == objections(now(bus=epochs(LESS, p0=9))) == []


@pytest.mark.parametrize(
    ("broker", "said"),
    [
        (now(cluster_id="another"), ["the Kafka cluster was cluster-a and is another"]),
        (now(bus=replace(LESS, topic_id="another")), ["flights.bus was deleted and created again"]),
        (now(bus=f.Topic("flights.bus", None)), ["flights.bus is gone"]),
        (now(inbox=None), ["flights.inbox is gone"]),
        (now(bus=replace(LESS, partitions={0: w.log(59), 1: w.log(50)})), ["flights.bus/0 ends at 59, before the window's 60"]),
        (now(bus=replace(LESS, partitions={0: replace(w.log(60), diverged="cut at 3"), 1: w.log(50)})), ["flights.bus/0 was truncated: cut at 3"]),
        (now(bus=replace(LESS, partitions={1: w.log(50)})), ["flights.bus/0 is gone"]),
        (now(bus=epochs(LESS, p0=-1)), ["the leader epoch of flights.bus/0 was 0 and is -1"]),
        (now(bus=replace(LESS, posture=None)), ["the posture of flights.bus was not measured"]),
        (now(bus=replace(LESS, posture={"retention.ms": "1"})), ["cleanup.policy of flights.bus was not measured", "replication.factor of flights.bus was not measured"]),
    ],
)  # fmt: skip
def test_what_is_never_refreshed(broker: f.Broker, said: list[str]) -> None:
    assert objections(broker) == said


@pytest.mark.parametrize("unknown", ["high_watermark", "diverged", "leader_epoch"])
def test_what_kafka_did_not_say_is_not_taken_for_the_same(unknown: str) -> None:
    logs = {**LESS.partitions, 0: replace(w.log(60), **{unknown: None})}
    assert objections(now(bus=replace(LESS, partitions=logs))) == ["flights.bus/0 was not measured"]


@pytest.mark.parametrize("role", ["bus", "inbox"])
@pytest.mark.parametrize("policy", ["compact", "compact,delete"])
def test_what_compacts_is_refused(role: str, policy: str) -> None:
    topic = replace(getattr(w.BROKER, role), posture={**w.POSTURE, "cleanup.policy": policy})
    (said,) = objections(now(**{role: topic}))
    assert "expected cleanup.policy=delete" in said


def test_what_a_bus_must_take_and_an_inbox_need_not() -> None:
    small = {**w.POSTURE, "max.message.bytes": "100"}
    (said,) = objections(now(bus=replace(w.BROKER.bus, posture=small)))
    assert "expected max.message.bytes of at least" in said
    assert objections(now(inbox=replace(w.BROKER.inbox, posture=small))) == []  # type: ignore[type-var]
    unwritable = {**w.POSTURE, "min.insync.replicas": "2"}
    assert "min.insync.replicas of at most 1" in objections(now(bus=replace(w.BROKER.bus, posture=unwritable)))[0]


def test_another_postgres_and_another_timeline_are_told_apart() -> None:
    assert objections(now(bus=LESS), f.DatabaseIdentity("another", 1)) == [
        "the database is not the one the window opened in"
    ]
    assert objections(now(bus=LESS), f.DatabaseIdentity("7301", 2)) == [
        "Postgres was on timeline 1 and is on 2", r.OTHER_TIMELINE,
    ]  # fmt: skip


# ---- what a verdict says of it --------------------------------------------------------------------------------------

WHY = "plan 7 (asked for by Ana, approved by Bo: a day will do)"


def test_a_verdict_names_the_generation_and_who_let_it_be() -> None:
    basis = replace(w.BASIS, generation=2, refreshes=(f.Refresh(2, 7, WHY),))
    found = v.verdict(replace(w.GOOD, basis=w.seen(basis)), w.NOW)
    judged = found.check(c.CheckName.BASIS)
    assert judged is not None and judged.state is c.State.HOLDS
    assert judged.required.endswith("generation 2") and judged.observed == f"the same; generation 2 is {WHY}"
    assert v.body(found, 1, "")["basis"]["refreshes"] == [{"generation": 2, "plan": 7, "why": WHY}]
    assert "refreshes" not in v.body(v.verdict(w.GOOD, w.NOW), 1, "")["basis"]


def test_a_topic_that_compacts_breaks_every_basis() -> None:
    compacts = replace(w.BROKER.bus, posture={**w.POSTURE, "cleanup.policy": "compact"})
    basis = replace(w.BASIS, broker=now(bus=compacts))
    found = check.basis(replace(w.GOOD, basis=w.seen(basis), broker=w.seen(now(bus=compacts), "kafka")), w.NOW)
    assert (found.state, found.cause) == (c.State.BROKEN, "flights.bus compacts")
    assert not check.offers_refresh(found.causes[0].act.text)


@pytest.mark.parametrize(
    ("posture", "offered"),
    [
        ({"retention.ms": "1000"}, [True]),
        ({"cleanup.policy": "compact"}, [False]),
        ({"cleanup.policy": "compact", "retention.ms": "1000"}, [False, False]),
    ],
)
def test_a_refresh_is_offered_for_what_one_takes_in(posture: dict[str, str], offered: list[bool]) -> None:
    bus = replace(w.BROKER.bus, posture={**w.POSTURE, **posture})
    found = check.basis(replace(w.GOOD, broker=w.seen(now(bus=bus), "kafka")), w.NOW)
    assert [check.offers_refresh(cause.act.text) for cause in found.causes] == offered


# ---- re-checks that were ended --------------------------------------------------------------------------------------

ENDED = f.RecheckEnd(9, "flights.inbox", "Ana", "Bo", w.NOW)


@pytest.mark.parametrize("inbox", [None, f.Topic("flights.inbox", "another"), w.BROKER.inbox])
def test_an_inbox_whose_re_checks_were_ended_fails_nothing_and_lets_nothing_pass(inbox: f.Topic | None) -> None:
    facts = replace(w.GOOD, broker=w.seen(now(inbox=inbox), "kafka"), ended=ENDED)
    found = check.basis(facts, w.NOW)
    said = "re-checks of flights.inbox were ended by plan 9 on 2026-02-01: it stands on the ledger"
    assert (found.state, found.cause) == (c.State.UNMEASURED, said)
    assert v.verdict(facts, w.NOW).state is v.State.BLOCKED


def test_the_bus_fails_it_as_before() -> None:
    bus = replace(w.BROKER.bus, topic_id="another")
    found = v.verdict(replace(w.GOOD, broker=w.seen(now(bus=bus), "kafka"), ended=ENDED), w.NOW)
    assert found.state is v.State.FAIL
