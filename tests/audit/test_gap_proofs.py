"""A proof that somebody wrote is a claim: closing reads it again before a verdict counts it."""

from __future__ import annotations

import os
from typing import Any

import psycopg
import pytest

from audit import gaps
from audit.close import window_of
from audit.core import checks as c
from audit.core import verdict as v
from ingest.core.errors import BrokerError
from ingest.db import ConstraintViolated, write
from ingest.kafka import BusMessage, FetchResult, PartitionReader, TransactionalProducer
from tests.flow.inbox import hide
from tests.flow.world import Flow, thing

FORGED = """UPDATE gap SET state = 'PROVEN', proof = '{"reader": "second", "read_to": 9}' WHERE source_id = %s"""


@pytest.fixture
def hidden(live: object, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A lane that claims a gap where a record is; its window is cut."""
    flow = Flow()  # its invariants do not hold, by intent
    flow.open()
    flow.produce([thing(1), thing(2), thing(3)])
    with monkeypatch.context() as patched:
        hide(patched, flow, 1)
        flow.work()
        flow.cut()
        flow.work()
    return flow


def test_a_forged_proof_fails_the_window(hidden: Flow) -> None:
    """Written as the application's role, by another connection than the one that claimed: the database cannot tell."""
    with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app", autocommit=True) as other:
        other.execute(FORGED, (hidden.sources("inbox")[0],))
    verdict = hidden.judge().verdict
    accounted = verdict.check(c.CheckName.ACCOUNTED)
    assert (verdict.state, accounted and accounted.state) == (v.State.FAIL, c.State.BROKEN)
    # what was refuted once is not believed the next time
    assert gaps.prove(window_of(hidden.name, "r1")) == {hidden.sources("inbox")[0]: 1}


def test_the_connection_that_claimed_cannot_prove(hidden: Flow) -> None:
    with pytest.raises(ConstraintViolated, match="does not prove"), write() as cur:
        cur.execute(FORGED, (hidden.sources("inbox")[0],))


def test_proofs_of_this_process_are_not_read_twice(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(flow.inbox, [BusMessage(0, b"k", thing(1), [])])
    flow.produce([thing(2)])
    flow.work()
    flow.cut()
    flow.work()
    reads: list[Any] = []
    real = gaps._read
    monkeypatch.setattr(gaps, "_read", lambda *asked: reads.append(asked) or real(*asked))
    assert flow.judge().verdict.state == "PASS"
    assert len(reads) == 1
    found = flow.rows("SELECT state FROM gap WHERE source_id = %(source)s", source=flow.sources("inbox")[0])
    assert {row.state for row in found} == {"PROVEN"}
    win = window_of(flow.name, "r1")
    assert gaps.prove(win) == {}
    assert len(reads) == 1
    gaps._seen.clear()  # another process
    assert gaps.prove(win) == {}
    assert len(reads) == 2


def claimed(flow: Flow) -> list[str]:
    found = flow.rows("SELECT state FROM gap WHERE source_id = %(source)s", source=flow.sources("inbox")[0])
    return [row.state for row in found]


def test_a_topic_made_again_neither_proves_nor_refutes(hidden: Flow) -> None:
    """Offsets of another incarnation are nobody's, though records lie at the very same."""
    hidden.admin.delete_topic(hidden.inbox)
    hidden.admin.create_topic(hidden.inbox, 1)
    hidden.produce([thing(1), thing(2), thing(3)])
    assert gaps.prove(window_of(hidden.name, "r1")) == {}
    assert claimed(hidden) == ["CLAIMED"]


def test_a_second_reader_that_breaks_off_neither_proves_nor_refutes(
    hidden: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it was given before belongs to a read that nobody believes."""
    real = PartitionReader.read

    def broken(reader: PartitionReader, *most: Any) -> dict[Any, FetchResult]:
        chunks = real(reader, *most)
        for chunk in chunks.values():
            chunk.fault = BrokerError(found="it broke off")
        return chunks

    monkeypatch.setattr(PartitionReader, "read", broken)
    assert gaps.prove(window_of(hidden.name, "r1")) == {}
    assert claimed(hidden) == ["CLAIMED"]


def test_a_gap_that_the_second_reader_did_not_get_to_stays_claimed(
    hidden: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was given nothing there because its time was over, not because nothing is there."""
    monkeypatch.setattr(gaps, "SECONDS", -1.0)
    assert gaps.prove(window_of(hidden.name, "r1")) == {}
    assert claimed(hidden) == ["CLAIMED"]


def test_a_proof_that_the_second_reader_did_not_get_to_is_not_believed_the_next_time(
    hidden: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app", autocommit=True) as other:
        other.execute(FORGED, (hidden.sources("inbox")[0],))
    win = window_of(hidden.name, "r1")
    with monkeypatch.context() as patched:
        patched.setattr(gaps, "SECONDS", -1.0)
        assert gaps.prove(win) == {}
    assert gaps.prove(win) == {hidden.sources("inbox")[0]: 1}


@pytest.mark.parametrize(
    ("offset", "inside"), [(4, False), (5, True), (7, True), (8, False), (11, False), (12, True), (13, False)]
)
def test_a_record_refutes_the_gap_that_it_lies_in(offset: int, inside: bool) -> None:
    assert gaps._inside(offset, [(5, 8), (12, 13)]) is inside


@pytest.mark.parametrize(
    ("empty", "covered"),
    [([(5, 8)], True), ([(4, 9)], True), ([(6, 8)], False), ([(5, 7)], False), ([(5, 6), (6, 8)], False), ([], False)],
)
def test_a_gap_is_proven_by_a_hole_that_covers_it(empty: list[gaps.Span], covered: bool) -> None:
    """Not by one that covers a part of it."""
    assert gaps._covered((5, 8), empty) is covered
