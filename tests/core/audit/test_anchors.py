"""From where on a window can be read again: every state that a log can be in, and none of them guessed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from itertools import product
from typing import Any

import pytest

from audit.core import anchors as a
from audit.core import basis as b
from audit.core import facts as f
from audit.core.anchors import AnchorSource, LogStart, Look, Reach
from tests.core.audit import world as w

SAMPLED_AT = w.NOW - timedelta(minutes=3)
INBOX = AnchorSource("inbox/3", "inbox", "topic", "cluster-a", "inbox-id", "flights.inbox", 3, 10, 50, epoch=0)
BUS = AnchorSource("flights.bus/1", "bus", "topic", "cluster-a", "bus-id", "flights.bus", 1, 10, 50, epoch=0)
BOTH = pytest.mark.parametrize(("source", "topic"), [(INBOX, "inbox"), (BUS, "bus")], ids=["inbox", "bus"])


def look(broker: f.Broker = w.BROKER) -> Look:
    return Look(w.seen(broker, "kafka"))


def topic(role: str, **values: Any) -> f.Broker:
    return replace(w.BROKER, **{role: replace(getattr(w.BROKER, role), **values)})


def log(name: str, **values: Any) -> f.Broker:
    """What Kafka says, but for some values of the log that the sources here read."""
    number = 3 if name == "inbox" else 1
    logs = dict(getattr(w.BROKER, name).partitions)
    return topic(name, partitions=logs | {number: replace(logs[number], **values)})


def anchor(source: AnchorSource, broker: f.Broker = w.BROKER) -> a.Anchor:
    (found,) = a.anchors([source], look(broker))
    return found


# ---- where the log starts -------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("start", "reach", "first", "gone"),
    [
        (0, Reach.ALL, 10, 0),
        (9, Reach.ALL, 10, 0),
        (10, Reach.ALL, 10, 0),
        (11, Reach.FROM, 11, 1),
        (49, Reach.FROM, 49, 39),
        (50, Reach.NOTHING, None, 40),
        (51, Reach.NOTHING, None, 40),
    ],
)
def test_a_log_is_read_again_from_where_it_starts(
    source: AnchorSource, topic: str, start: int, reach: Reach, first: int | None, gone: int
) -> None:
    found = anchor(source, log(topic, log_start=start, high_watermark=60))
    assert (found.reach, found.first, found.gone) == (reach, first, gone)
    moved = (f"the log of {source.label} starts at {start} now",) if gone else ()
    assert (found.why, found.measured_by, found.measured_at) == (moved, "kafka", look().broker.measured_at)  # type: ignore[union-attr]


@BOTH
def test_whatever_basis_calls_lost_is_not_all(source: AnchorSource, topic: str) -> None:
    """One rule for the check and for the page, wherever the log starts."""
    for start in range(8, 54):
        broker = log(topic, log_start=start, high_watermark=60)
        is_ = broker.bus if topic == "bus" else broker.inbox
        assert is_ is not None
        part = b.Part(source.label, source.partition, source.start, source.end, source.end, 0)
        named = list(b._anchors_lost([part], is_))
        assert bool(named) == (anchor(source, broker).reach is not Reach.ALL), start


# ---- what leaves nothing --------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda t: replace(w.BROKER, cluster_id="cluster-b"), "the Kafka cluster was cluster-a and is cluster-b"),
        (lambda t: topic(t, topic_id="other"), "flights.{t} was deleted and created again"),
        (lambda t: topic(t, topic_id=None, partitions={}), "flights.{t} is gone"),
        (lambda t: topic(t, partitions={7: w.log(90)}), "{label} is gone"),
        (lambda t: log(t, high_watermark=49), "{label} ends at 49, before the window's 50"),
        (lambda t: log(t, diverged="epoch 3 ends at 40"), "{label} was truncated: epoch 3 ends at 40"),
        (lambda t: log(t, leader_epoch=-1), "the leader epoch of {label} was 0 and is -1"),
    ],
)
def test_another_log_holds_nothing_of_the_window(source: AnchorSource, topic: str, spoil: Any, why: str) -> None:
    found = anchor(source, spoil(topic))
    assert (found.reach, found.first, found.gone, found.measured_by) == (Reach.NOTHING, None, 40, "kafka")
    assert found.why == (why.format(t=topic, label=source.label),)


def test_what_follows_from_another_cluster_is_not_said_beside_it() -> None:
    broker = replace(topic("inbox", topic_id="other"), cluster_id="cluster-b")
    assert anchor(INBOX, broker).why == ("the Kafka cluster was cluster-a and is cluster-b",)
    again = replace(log("inbox", high_watermark=3), cluster_id="cluster-a")
    again = replace(again, inbox=replace(again.inbox, topic_id="other"))  # type: ignore[type-var]
    assert anchor(INBOX, again).why == ("flights.inbox was deleted and created again",)


def test_a_retired_source_and_a_door_need_no_kafka() -> None:
    away = Look(None, "no broker")
    retired = replace(INBOX, retired="flights.inbox has id x now", sampled=LogStart(10, SAMPLED_AT))
    door = replace(INBOX, label="door/1", kind="door")
    plan = replace(INBOX, label="plan/1", kind="plan")
    found = a.anchors([retired, door, plan], away)
    assert [(x.reach, x.gone, x.measured_by) for x in found] == [(Reach.NOTHING, 40, "ledger")] * 3
    assert found[0].why == ("inbox/3 is retired: flights.inbox has id x now",)
    assert "keeps no log" in found[1].why[0] and "keeps no log" in found[2].why[0]


def test_a_range_without_an_offset_lost_nothing() -> None:
    """Whatever became of its log, and whether or not anybody can say."""
    empty = replace(INBOX, end=10)
    for at in (look(), look(topic("inbox", topic_id=None)), Look(None, "no broker")):
        (found,) = a.anchors([empty], at)
        assert (found.reach, found.first, found.gone, found.why) == (Reach.EMPTY, None, 0, ())


# ---- what was not measured ------------------------------------------------------------------------------------------


@BOTH
@pytest.mark.parametrize(
    ("spoil", "why"),
    [
        (lambda t: log(t, log_start=None), "{label} was not measured"),
        (lambda t: log(t, high_watermark=None), "{label} was not measured"),
        (lambda t: log(t, diverged=None), "the leader epoch of {label} was not probed"),
        (lambda t: log(t, leader_epoch=None), "the leader epoch of {label} was not measured"),
        (lambda t: topic(t, posture=None), "the cleanup policy of flights.{t} was not measured"),
        (lambda t: topic(t, posture={"retention.ms": "1"}), "the cleanup policy of flights.{t} was not measured"),
        (
            lambda t: topic(t, posture={"cleanup.policy": "compact,delete"}),
            "flights.{t} compacts: which of its records are still there was not measured",
        ),
        (lambda t: topic(t, name="x"), "Kafka was not asked for flights.{t}: the contract names another topic"),
    ],
)
def test_one_answer_too_few_is_neither_all_nor_nothing(source: AnchorSource, topic: str, spoil: Any, why: str) -> None:
    found = anchor(source, spoil(topic))
    assert (found.reach, found.first) == (Reach.UNMEASURED, None)
    assert found.why == (why.format(t=topic, label=source.label),)


def test_what_nobody_saw_has_no_age() -> None:
    """Kafka answered, and not where the log starts; there is no sample that did."""
    found = anchor(INBOX, log("inbox", log_start=None))
    assert (found.gone, found.measured_at, found.measured_by) == (None, None, "")
    (found,) = a.anchors([INBOX], Look(None))
    assert (found.reach, found.why) == (Reach.UNMEASURED, ("Kafka was not asked",))


def test_an_epoch_that_the_basis_does_not_have_cannot_be_compared() -> None:
    found = anchor(replace(INBOX, epoch=None))
    assert (found.reach, found.why) == (Reach.UNMEASURED, ("the leader epoch of inbox/3 is not in the basis",))


def test_without_an_inbox_in_the_answer_nothing_is_known_of_it() -> None:
    assert anchor(INBOX, replace(w.BROKER, inbox=None)).reach is Reach.UNMEASURED
    assert anchor(BUS, replace(w.BROKER, inbox=None)).reach is Reach.ALL


@pytest.mark.parametrize(("sampled", "gone"), [(None, None), (0, 0), (10, 0), (11, 1), (49, 39)])
def test_kafka_away_is_unmeasured_and_what_was_gone_before_stays_gone(sampled: int | None, gone: int | None) -> None:
    """A log's start does not go back. That nothing was gone some minutes ago is not that nothing is gone."""
    last = None if sampled is None else LogStart(sampled, SAMPLED_AT)
    (found,) = a.anchors([replace(INBOX, sampled=last)], Look(None, "no broker answers"))
    assert (found.reach, found.first, found.gone) == (Reach.UNMEASURED, None, gone)
    assert found.why == ("no broker answers",)
    seen = (None, "") if last is None else (SAMPLED_AT, "sample")
    assert (found.measured_at, found.measured_by) == seen


@pytest.mark.parametrize("start", [50, 900])
def test_a_log_that_was_seen_to_start_behind_the_range_holds_nothing_of_it_for_good(start: int) -> None:
    (away,) = a.anchors([replace(INBOX, sampled=LogStart(start, SAMPLED_AT))], Look(None, "no broker answers"))
    assert (away.reach, away.gone, away.measured_by, away.measured_at) == (Reach.NOTHING, 40, "sample", SAMPLED_AT)
    silent = anchor(INBOX, log("inbox", log_start=start, high_watermark=None))
    assert (silent.reach, silent.gone, silent.measured_by) == (Reach.NOTHING, 40, "kafka")
    assert away.why == silent.why == ("the log of inbox/3 starts behind this range",)


def test_a_look_that_says_where_the_log_starts_is_newer_than_any_sample() -> None:
    sampled = replace(INBOX, sampled=LogStart(11, SAMPLED_AT))
    found = anchor(sampled, log("inbox", log_start=20, diverged=None))
    assert (found.reach, found.gone, found.measured_by) == (Reach.UNMEASURED, 10, "kafka")
    silent = anchor(sampled, log("inbox", log_start=None))
    assert (silent.gone, silent.measured_by, silent.measured_at) == (1, "sample", SAMPLED_AT)


def test_all_and_from_are_said_only_where_every_answer_is_there() -> None:
    """Each combination of what a log may say or not: one silence is enough for UNMEASURED, a break is never hidden."""
    said = {
        "log_start": (None, 0, 20, 60),
        "high_watermark": (None, 49, 60),
        "leader_epoch": (None, -1, 0, 4),
        "diverged": (None, "", "epoch 3 ends at 40"),
    }
    for values in product(*said.values()):
        start, end, epoch, diverged = values
        found = anchor(INBOX, log("inbox", **dict(zip(said, values, strict=True))))
        broken = (end is not None and end < 50) or bool(diverged) or (epoch is not None and epoch < 0)
        if broken:
            assert found.reach is Reach.NOTHING, values
        elif None in values and start != 60:
            assert found.reach is Reach.UNMEASURED, values
        else:
            assert found.reach is {0: Reach.ALL, 20: Reach.FROM, 60: Reach.NOTHING}[start or 0], values


# ---- in words -------------------------------------------------------------------------------------------------------


def test_the_answer_for_one_source_in_words() -> None:
    kept = [anchor(INBOX, log("inbox", log_start=start, high_watermark=60)) for start in (0, 20, 60)]
    assert [a.said(each) for each in kept] == ["all", "from 20", "nothing"]
    assert a.said(anchor(replace(INBOX, end=10))) == "nothing to read"
    assert a.said(anchor(INBOX, log("inbox", log_start=None))) == "unmeasured"


WHOLE = anchor(INBOX)
PART = anchor(replace(INBOX, label="inbox/4"), log("inbox", log_start=18, high_watermark=60))
NONE = anchor(replace(INBOX, label="inbox/5"), log("inbox", log_start=60, high_watermark=60))
SILENT = anchor(replace(INBOX, label="inbox/6"), log("inbox", log_start=None))
EMPTY = anchor(replace(INBOX, label="inbox/7", end=10))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([], "There is nothing to replay: no source of the inbox has an offset in this window."),
        ([EMPTY], "There is nothing to replay: no source of the inbox has an offset in this window."),
        ([WHOLE, EMPTY], "All of the window can be replayed: 1 source, every offset is there."),
        ([NONE, EMPTY], "Nothing of the window can be replayed."),
        ([PART], "Part of the window can be replayed: inbox/4 from 18."),
        (
            [WHOLE, PART, NONE],
            "Part of the window can be replayed: inbox/3 whole, inbox/4 from 18 and of inbox/5 nothing.",
        ),
        ([SILENT], "What is safe to replay of inbox/6 is unmeasured."),
        ([SILENT, WHOLE], "What is safe to replay of inbox/6 is unmeasured; inbox/3 whole."),
        (
            [PART] * 3,
            "Part of the window can be replayed: inbox/4 from 18, inbox/4 from 18 and inbox/4 from 18.",
        ),
        ([PART] * 4 + [WHOLE], None),
    ],
)
def test_the_window_in_one_sentence(found: list[a.Anchor], said: str | None) -> None:
    if said is None:
        assert a.sentence(found).endswith("1 more source in part.")
    else:
        assert a.sentence(found) == said


def test_a_bus_is_no_part_of_what_a_replay_reads() -> None:
    gone = anchor(BUS, log("bus", log_start=60, high_watermark=60))
    assert gone.reach is Reach.NOTHING
    assert a.sentence([WHOLE, gone]) == "All of the window can be replayed: 1 source, every offset is there."


# ---- what differs as a whole ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("broker", "database", "said"),
    [
        (w.BROKER, w.DATABASE, []),
        (
            replace(topic("inbox", topic_id="other"), cluster_id="cluster-b"),
            w.DATABASE,
            ["the Kafka cluster was cluster-a and is cluster-b"],
        ),
        (w.BROKER, f.DatabaseIdentity("7301", 2), ["Postgres was on timeline 1 and is on 2"]),
        (topic("bus", topic_id="other"), w.DATABASE, ["flights.bus was deleted and created again"]),
        (replace(w.BROKER, inbox=None), w.DATABASE, ["flights.inbox is gone"]),
        (topic("inbox", posture=None), w.DATABASE, ["the posture of flights.inbox was not measured"]),
        (
            topic("inbox", posture={**w.POSTURE, "retention.ms": "1"}),
            w.DATABASE,
            ["retention.ms of flights.inbox was 604800000 and is 1"],
        ),
        (
            topic("bus", posture={**w.POSTURE, "retention.ms": "-1"}),
            w.DATABASE,
            ["retention.ms of flights.bus was 604800000 and is -1, which promises more"],
        ),
        (
            topic("inbox", partitions={0: w.log(70), 3: w.log(50), 4: w.log(0), 5: w.log(0)}),
            w.DATABASE,
            ["flights.inbox/4 and flights.inbox/5 were added since"],
        ),
        (topic("inbox", partitions={0: w.log(70)}), w.DATABASE, []),  # its anchor says so
    ],
)
def test_what_differs_from_the_basis_in_words(broker: f.Broker, database: f.DatabaseIdentity, said: list[str]) -> None:
    assert b.drift(w.BASIS, broker, database) == said


def test_another_incarnations_partitions_were_not_added() -> None:
    again = topic("inbox", topic_id="other", partitions={number: w.log(0) for number in range(9)})
    assert b.drift(w.BASIS, again, w.DATABASE) == ["flights.inbox was deleted and created again"]
