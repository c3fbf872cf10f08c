"""A window whose every check holds, and small ways to spoil it: the pure tests start from here."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any, TypeVar

from audit.core import facts as f

T = TypeVar("T")

NOW = datetime(2026, 2, 1, 2, 20, tzinfo=UTC)
CUT_AT = NOW - timedelta(minutes=5)
POSTURE = {"cleanup.policy": "delete", "retention.ms": "604800000", "replication.factor": "1"}
RULES = f.CloseRules(discard_max=50, missing_max=Decimal("0.005"), required=("flight",), contexts=("weather",))
WINDOW = f.WindowName("flights", "2013-01", 1, f.WindowState.CUT, 4, 3, "c0ffee", cut_at=CUT_AT)
DATABASE = f.DatabaseIdentity("7301", 1)


def log(end: int) -> f.PartitionLog:
    return f.PartitionLog(log_start=0, lso=end, high_watermark=end, leader_epoch=0, diverged="")


BROKER = f.Broker(
    "cluster-a",
    bus=f.Topic("flights.bus", "bus-id", {0: log(60), 1: log(50)}, POSTURE),
    inbox=f.Topic("flights.inbox", "inbox-id", {0: log(70), 3: log(50)}, POSTURE),
)
BASIS = f.Basis(
    generation=1,
    digest="ba515",
    broker=BROKER,
    database=DATABASE,
    inbox=(f.BasisSource("inbox/0", 0), f.BasisSource("inbox/3", 3)),
    bus=(f.BasisSource("flights.bus/0", 0), f.BasisSource("flights.bus/1", 1)),
)
INBOX_0 = f.SourceLedger("inbox/0", 0, 70, 70, 70, 0, 0, 0, 0, 0, CUT_AT)
INBOX_3 = f.SourceLedger("inbox/3", 0, 50, 50, 50, 0, 0, 0, 0, 0, CUT_AT)
BUS_0 = f.BusPosition("flights.bus/0", 0, 0, 60, 60, CUT_AT)
BUS_1 = f.BusPosition("flights.bus/1", 1, 0, 50, 50, CUT_AT)
COUNTS = f.Counts(120, 100, 15, 5, 100, 15, 5, {"flight": 100}, newest_receipt_at=CUT_AT)
PUBLISHING = f.PublishFacts(events=100, placed_once=100, placed_more=0, queued=0)
APPLICATION = f.Application(events=100, applied=100, missing=0, surplus=0)
COMMITTED = (
    f.CommitFact("inbox/0", 70, 70),
    f.CommitFact("inbox/3", 50, 50),
    f.CommitFact("flights.bus/0", 60, 60),
    f.CommitFact("flights.bus/1", None, 50),
)
QUARANTINE = f.Quarantine(open=0, resolved=5, discarded=3)
JOINS = f.Joins(matched=100, missing=0, ambiguous=0)
PINNED = f.PinnedVerdict("weather", "weather/2013-01#1", "d19e57")


def seen(value: T, source: str = "ledger", at: datetime = NOW - timedelta(seconds=2)) -> f.MeasuredValue[T]:
    return f.MeasuredValue(value, at, source)


GOOD = f.WindowFacts(
    window=WINDOW,
    rules=RULES,
    basis=seen(BASIS, "basis", NOW - timedelta(days=1)),
    broker=seen(BROKER, "kafka"),
    database=seen(DATABASE, "postgres"),
    inbox=seen((INBOX_0, INBOX_3)),
    bus=seen((BUS_0, BUS_1)),
    counts=seen(COUNTS),
    totals=seen({"flight": 100}),
    publishing=seen(PUBLISHING),
    application=seen(APPLICATION),
    committed=seen(COMMITTED, "kafka"),
    quarantine=seen(QUARANTINE),
    joins=seen(JOINS),
    context=seen((PINNED,)),
)
FACTS = (
    "basis", "broker", "database", "inbox", "bus", "counts", "totals", "publishing", "application", "committed",
    "quarantine", "joins", "context",
)  # fmt: skip


def changed(fact: str, facts: f.WindowFacts = GOOD, **values: Any) -> f.WindowFacts:
    """`facts` with some fields of one measured value replaced."""
    measured = getattr(facts, fact)
    return replace(facts, **{fact: replace(measured, value=replace(measured.value, **values))})


def source(label: str, facts: f.WindowFacts = GOOD, **values: Any) -> f.WindowFacts:
    """`facts` with one inbox or bus source's fields replaced."""
    for fact in ("inbox", "bus"):
        measured = getattr(facts, fact)
        rows = tuple(replace(row, **values) if row.label == label else row for row in measured.value)
        facts = replace(facts, **{fact: replace(measured, value=rows)})
    return facts


def topic(name: str, facts: f.WindowFacts = GOOD, **values: Any) -> f.WindowFacts:
    """`facts` with the sample of `inbox` or `bus` replaced in part."""
    assert facts.broker is not None
    return changed("broker", facts, **{name: replace(getattr(facts.broker.value, name), **values)})


def partition(name: str, number: int, facts: f.WindowFacts = GOOD, **values: Any) -> f.WindowFacts:
    assert facts.broker is not None
    parts = dict(getattr(facts.broker.value, name).partitions)
    parts[number] = replace(parts.get(number, f.PartitionLog()), **values)
    return topic(name, facts, partitions=parts)


def aged(fact: str, by: timedelta, facts: f.WindowFacts = GOOD) -> f.WindowFacts:
    measured = getattr(facts, fact)
    return replace(facts, **{fact: replace(measured, measured_at=NOW - by)})


def without(*facts: str) -> f.WindowFacts:
    return replace(GOOD, **dict.fromkeys(facts))
