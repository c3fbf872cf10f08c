"""An older copy of the database put back: Kafka was told more than the ledger has. And what a lost connection costs."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from django.db import connection

from ingest.core.group import group_of, mark_of
from ingest.install import install_id
from ingest.kafka import Partition, PartitionReader
from tests.flow.world import Flow, thing


def tell(flow: Flow, topic: str, offset: int) -> None:
    """What a lane of a newer ledger told Kafka."""
    install, until = install_id(), time.monotonic() + 20.0
    group, mark = group_of(install, flow.name), mark_of(install)
    while flow.admin.committed(group, topic, [0])[0].offset != offset:
        assert time.monotonic() < until
        with PartitionReader(flow.cluster, group=group, mark=mark) as reader:
            reader.commit({Partition(topic, 0): (offset, None)})


def stops(flow: Flow) -> set[tuple[str, str]]:
    return {(row.lane, row.stopped_code) for row in positions(flow) if row.stopped_code}


def positions(flow: Flow) -> list[Any]:
    return flow.rows("SELECT * FROM position WHERE source_id = ANY(%(sources)s)", sources=flow.sources())


def rest(flow: Flow) -> None:
    """Its time has gone by."""
    flow.rows("UPDATE position SET stopped_until = NULL WHERE source_id = ANY(%(s)s) RETURNING 1", s=flow.sources())


def slice_once(flow: Flow) -> None:
    worker = flow.worker()
    try:
        worker.slice(4.0)
    finally:
        worker.close()


def test_a_ledger_that_is_behind_moves_nothing(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.sample()
    tell(flow, flow.inbox, 5)
    connection.close()
    slice_once(flow)
    assert ("admission", "ledger_behind") in stops(flow)
    assert not flow.receipts() and not flow.attempts()
    detail = flow.position("admission").stopped_detail
    assert "5 there, 0 here" in detail and "newest copy" in detail
    tell(flow, flow.inbox, 0)  # the newest copy is back
    rest(flow)
    flow.work_until(lambda: flow.attempts() == ["ACKED"])
    assert len(flow.receipts()) == 2
    assert not stops(flow)


def test_publishing_waits_for_the_newest_ledger_too(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    flow.work_until(lambda: len(flow.receipts()) == 1, "admission")
    tell(flow, flow.bus, 7)
    connection.close()
    slice_once(flow)
    assert ("publish", "ledger_behind") in stops(flow) and not flow.attempts()
    tell(flow, flow.bus, 0)
    rest(flow)
    flow.work_until(lambda: flow.attempts() == ["ACKED"])


def test_a_lost_connection_does_not_keep_the_leases_for_their_time(make_flow: Callable[..., Flow]) -> None:
    flow = make_flow()
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    worker = flow.worker("admission")
    worker.slice(1.5)
    if flow.position("admission").owner is None:  # an idle lane was let go of: hold it again
        worker._take([("admission", flow.sources("inbox")[0])])
    assert flow.position("admission").owner is not None
    worker._forget()  # as a step does that finds its database gone
    assert flow.position("admission").owner is not None
    worker.give_back()
    assert flow.position("admission").owner is None
    begun = time.monotonic()
    flow.produce([thing(2)])
    flow.sample()
    other = flow.worker("admission")
    try:
        while len(flow.receipts()) < 2:
            assert time.monotonic() - begun < 15.0
            other.slice(2.0)
    finally:
        other.close()
