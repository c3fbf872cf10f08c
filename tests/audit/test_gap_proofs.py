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
from ingest.db import Refused, write
from ingest.kafka import BusMessage, TransactionalProducer
from tests.flow.inbox import hide
from tests.flow.world import Flow, thing

FORGED = """UPDATE gap SET state = 'PROVEN', proof = '{"reader": "second", "read_to": 9}' WHERE source_id = %s"""


@pytest.fixture
def hidden(live: object, monkeypatch: pytest.MonkeyPatch) -> Flow:
    """A lane that claims a gap where a record is; its window is sealed."""
    flow = Flow()  # its invariants do not hold, by intent
    flow.open()
    flow.produce([thing(1), thing(2), thing(3)])
    with monkeypatch.context() as patched:
        hide(patched, flow, 1)
        flow.work()
        flow.seal()
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
    with pytest.raises(Refused, match="does not prove"), write() as cur:
        cur.execute(FORGED, (hidden.sources("inbox")[0],))


def test_proofs_of_this_process_are_not_read_twice(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(flow.inbox, [BusMessage(0, b"k", thing(1), [])])
    flow.produce([thing(2)])
    flow.work()
    flow.seal()
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
