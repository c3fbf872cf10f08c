"""A basis is folded from its generations, and not read where its shape is unknown; what was not measured is absent."""

from __future__ import annotations

from dataclasses import replace

import pytest

from audit.core import facts as f
from audit.core import snapshot as s
from tests.core.audit import world as w


def body(broker: f.Broker = w.BROKER) -> dict[str, object]:
    return s.basis_body(broker, w.DATABASE, w.BASIS.inbox, w.BASIS.bus)


def folded(*brokers: f.Broker) -> f.Basis:
    read = s.read_basis([(number, body(broker)) for number, broker in enumerate(brokers, 1)], frozenset())
    assert read is not None
    return read


def test_a_basis_comes_back_as_it_was_written() -> None:
    read = folded(w.BROKER)
    assert (read.broker, read.database, read.inbox, read.bus) == (w.BROKER, w.DATABASE, w.BASIS.inbox, w.BASIS.bus)


def test_a_basis_that_is_not_there_or_has_another_shape_is_not_read() -> None:
    assert s.read_basis([], frozenset()) is None
    assert s.read_basis([(1, body()), (2, {**body(), "schema": "passgate.basis/2"})], frozenset()) is None


def test_a_refresh_without_an_inbox_leaves_the_inbox_that_was_there() -> None:
    assert folded(w.BROKER, replace(w.BROKER, inbox=None)).broker.inbox == w.BROKER.inbox


def test_a_refresh_may_bring_an_inbox_and_newer_logs_but_no_other_topic() -> None:
    assert folded(replace(w.BROKER, inbox=None), w.BROKER).broker.inbox == w.BROKER.inbox
    other = replace(w.BROKER.bus, topic_id="another", partitions={0: w.log(99)})
    bus = folded(w.BROKER, replace(w.BROKER, bus=other)).broker.bus
    assert (bus.topic_id, bus.partitions) == ("bus-id", {0: w.log(99)})


def test_what_was_not_measured_of_a_log_is_absent_and_stays_so() -> None:
    bus = replace(w.BROKER.bus, partitions={0: f.PartitionLog(log_start=0)}, posture=None, topic_id=None)
    written = s.broker_body(replace(w.BROKER, bus=bus))
    assert written["bus"] == {"name": "flights.bus", "partitions": {"0": {"log_start": 0}}}
    assert s.read_broker(written).bus == bus


@pytest.mark.parametrize(("lso", "end", "held"), [(5, 6, True), (6, 6, False), (None, 6, False), (5, None, False)])
def test_a_log_is_held_where_its_last_stable_offset_lies_before_its_end(
    lso: int | None, end: int | None, held: bool
) -> None:
    assert f.is_held(f.PartitionLog(lso=lso, high_watermark=end)) is held
