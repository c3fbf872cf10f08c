"""A proof that somebody wrote is a claim: closing reads it again before a verdict counts it."""

from __future__ import annotations

import os
import time
from dataclasses import replace
from typing import Any

import psycopg
import pytest

from audit import gaps
from audit.close import window_of
from audit.core import checks as c
from audit.core import verdict as v
from ingest.core.errors import BrokerError
from ingest.db import ConstraintViolated, write
from ingest.kafka import BusMessage, FetchResult, GapClaim, Partition, PartitionReader, TransactionalProducer
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


def chunks(monkeypatch: pytest.MonkeyPatch, *given: dict[Any, FetchResult]) -> None:
    """What the second reader is given, read by read; then nothing any more."""
    left = list(given)
    empty: list[int] = []

    def read(self: PartitionReader, most: int, wait: float) -> dict[Any, FetchResult]:
        if left:
            return left.pop(0)
        empty.append(1)
        assert len(empty) < 100, "it reads for ever"
        time.sleep(0.01)
        return {}

    monkeypatch.setattr(PartitionReader, "assign", lambda *_: None)
    monkeypatch.setattr(PartitionReader, "read", read)


INBOX = Partition("t.inbox", 0)
HOLE = GapClaim(1, 2, 0, "read_committed", "MARKER")


def test_a_second_reader_reads_on_until_it_is_past_the_gap(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """A read that brings nothing is no end, and one that comes to the log's end brings what lies before it."""
    chunks(
        monkeypatch,
        {},
        {INBOX: FetchResult(1, 1, 0)},
        {INBOX: FetchResult(1, 2, 0, gaps=[HOLE], at_end=True)},
        {INBOX: FetchResult(2, 3, 0, gaps=[replace(HOLE, from_offset=2, to_offset=3)], at_end=True)},
    )
    assert gaps._read(*INBOX, [(1, 3)]) == ([(1, 2), (2, 3)], 0, 3)


def test_a_second_reader_ends_where_the_log_does(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies beyond may come yet, and proves nothing."""
    chunks(monkeypatch, {INBOX: FetchResult(1, 2, 0, gaps=[HOLE])}, {INBOX: FetchResult(2, 2, 0, at_end=True)})
    monkeypatch.setattr(gaps, "SECONDS", 600.0)
    assert gaps._read(*INBOX, [(1, 3)]) == ([(1, 2)], 0, 2)


def test_a_second_reader_that_is_given_nothing_ends(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    chunks(monkeypatch)
    monkeypatch.setattr(gaps, "SECONDS", 0.2)
    assert gaps._read(*INBOX, [(1, 3)]) == ([], 0, 1)


def test_no_further_source_is_begun_when_the_time_is_over(hidden: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What stays CLAIMED is looked at the next time."""
    win = window_of(hidden.name, "r1")
    with monkeypatch.context() as patch:
        patch.setattr(gaps, "SECONDS_IN_ALL", -1.0)
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
