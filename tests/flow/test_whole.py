"""The whole flow on real parts: inbox to effects, cut, judged, through the gate; then by real Celery workers."""

from __future__ import annotations

import signal
import time
import uuid
from collections.abc import Callable

import pytest

from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest.core.group import group_of, mark_of
from ingest.install import install_id
from ingest.kafka import Partition, PartitionReader
from ingest.models import Resolution
from ingest.quarantine import ResolutionRefused, resolve
from stack import Stack
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def test_events_in_verdict_out(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(500)] + [thing(7)])
    flow.work()
    assert decide_gate(flow.name, "r1", who="test").status == 403
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert str(stored.verdict.state) == "PASS", stored.sentence
    assert stored.name == f"{flow.name}/r1#1"
    assert decide_gate(flow.name, "r1", who="test").status == 200


def test_s6_a_run_of_duplicates_only_is_not_a_pass(flow: Flow) -> None:
    """Nothing new was admitted on a reused run: NOT_EMPTY names the cause."""
    flow.open()
    flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert str(stored.verdict.state) == "BLOCKED"
    assert "0 admitted" in stored.sentence


def test_an_open_quarantine_item_blocks_and_its_resolution_lets_the_same_run_pass(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"{", thing(1, other=True)])
    flow.work()
    flow.cut()
    flow.work()
    first = flow.judge()
    assert str(first.verdict.state) == "BLOCKED"
    assert "2 quarantine items are open" in first.sentence
    items = flow.rows(
        "SELECT q.id FROM quarantine_item q JOIN source c ON c.id = q.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )
    with pytest.raises(ResolutionRefused):  # only the mismatch has a first payload that could stand
        resolve([row.id for row in items], "ana", Resolution.ACCEPTED_FIRST, "the first one stands")
    resolve([row.id for row in items], "ana", Resolution.DISCARDED, "sent by a broken client")
    second = flow.judge()
    assert (str(second.verdict.state), second.number) == ("PASS", 2), second.sentence


def by_workers(stack: Stack, flow: Flow, seconds: float = 90) -> None:
    """Waits until the workers have judged the cut run as PASS, by themselves."""
    until = time.monotonic() + seconds
    statement = (
        "SELECT v.state, v.body->>'sentence' AS sentence FROM verdict v JOIN run r ON r.id = v.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY v.number DESC LIMIT 1"
    )
    where = "SELECT p.* FROM position p JOIN stream s ON s.id = p.stream_id WHERE s.name = %(name)s"
    while not (rows := flow.rows(statement)) or rows[0].state != "PASS":
        assert time.monotonic() < until, (rows, flow.rows(where))
        time.sleep(0.5)


@pytest.mark.slow
def test_workers_do_it_by_themselves_even_when_killed(services: Stack, make_flow: MakeFlow) -> None:
    """A lane worker killed with SIGKILL in mid-batch loses and doubles nothing: fsck reads both topics again."""
    flow = make_flow(partitions=2, after="1s")
    flow.open()
    for start in range(0, 6000, 1000):
        for partition in (0, 1):
            flow.produce([thing(n) for n in range(start, start + 1000)], partition=partition)
        if start == 2000:
            services.kill("lanes", signal.SIGKILL)
            services.wait_up("lanes")
    flow.cut()
    by_workers(services, flow)
    decisions = flow.decisions()
    assert (decisions.count("ADMITTED"), decisions.count("DUPLICATE")) == (6000, 6000)
    assert flow.count("effect") == 6000


@pytest.mark.parametrize(
    ("whose", "state"), [("ours", "FAIL"), ("another tool", "BLOCKED"), ("another installation", "BLOCKED")]
)
def test_a_commit_ahead_of_the_position_fails_only_if_it_is_ours(live: object, whose: str, state: str) -> None:
    """Our own commit before the data was durable breaks the invariant; somebody else's can be set back."""
    flow = Flow()  # not by the fixture: fsck is to find something
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    flow.cut()
    flow.work()
    install = install_id()
    mark = {"ours": mark_of(install), "another installation": mark_of(uuid.uuid4())}.get(whose, "a mark")
    with PartitionReader(flow.cluster, group=group_of(install, flow.name), mark=mark) as reader:
        assert reader.commit({Partition(flow.inbox, 0): (7, None)}) is None
    stored = flow.judge()
    assert str(stored.verdict.state) == state, stored.sentence
    assert "5 ahead of the durable position" in stored.sentence
    assert "I4" in {finding.invariant for finding in fsck(stream=flow.name)}
