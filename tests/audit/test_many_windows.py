"""A window costs what a window costs, however many came before it in its run: counted, not timed.

By hand with as many as one likes: MANY_WINDOWS=1000.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from audit.close import close_run
from audit.core import verdict as v
from audit.enforce import decide_gate, enforce_due
from audit.go_on import go_on
from console.reads.runs import scope
from ingest.db import write
from ingest.kafka import Admin, PartitionReader
from tests.flow.world import Flow, thing

MANY = int(os.environ.get("MANY_WINDOWS", "24"))
FEW = 4
QUESTIONS = ("cluster_id", "topics", "ends", "ends_of", "offsets", "posture", "committed")


@contextmanager
def counted(monkeypatch: pytest.MonkeyPatch) -> Iterator[Counter[str]]:
    """Statements, and questions to Kafka."""
    calls: Counter[str] = Counter()

    def count(owner: type, name: str, kind: str) -> None:
        real = getattr(owner, name)

        def call(*args: Any, **values: Any) -> Any:
            calls[kind] += 1
            return real(*args, **values)

        patch.setattr(owner, name, call)

    with monkeypatch.context() as patch:
        count(psycopg.Cursor, "execute", "statements")
        count(PartitionReader, "assign", "questions")
        for name in QUESTIONS:
            count(Admin, name, "questions")
        yield calls


def one_window(flow: Flow, number: int, monkeypatch: pytest.MonkeyPatch) -> dict[str, Counter[str]]:
    """Window `number` is filled, cut, judged, re-checked, asked for and looked at: what each of these took."""
    flow.produce([thing(number)])
    flow.work()
    flow.sample()
    asked: dict[str, Counter[str]] = {}
    with counted(monkeypatch) as asked["going on"]:
        assert go_on(flow.name, "r1", "test").cut.window == number
    flow.work()
    flow.sample()
    with counted(monkeypatch) as asked["closing"]:
        stored = close_run(flow.name, "r1", "test", window=number)
    assert stored.verdict.state is v.State.PASS, stored.sentence
    enforce_due()  # what other streams of this database have due is not counted here
    with write() as cur:  # as if the re-check time had passed
        cur.execute(
            "UPDATE gate_open SET checked_at = clock_timestamp() - interval '30 s' WHERE shut_why IS NULL AND win IN"
            " (SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %s)",
            (flow.name,),
        )
    with counted(monkeypatch) as asked["re-checking all"]:
        looked = enforce_due()
    assert {check.outcome for check in looked} == {"extended"}, looked
    assert len(looked) == number
    with counted(monkeypatch) as asked["the gate"]:
        assert decide_gate(flow.name, "r1", number).granted
    with counted(monkeypatch) as asked["a page"]:
        assert scope(flow.name, "r1", number) is not None
    return asked


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * MANY)
def test_the_last_of_many_windows_takes_what_an_early_one_took(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    for number in range(1, FEW):
        one_window(flow, number, monkeypatch)
    early = one_window(flow, FEW, monkeypatch)
    for number in range(FEW + 1, MANY):
        one_window(flow, number, monkeypatch)
    began = time.monotonic()
    late = one_window(flow, MANY, monkeypatch)
    print(f"window {FEW}: {early}\nwindow {MANY}: {late}, in {time.monotonic() - began:.1f} s")  # shown by -s
    assert late == early
