"""A window costs what a window costs, however many came before it in its run: counted, not timed.

By hand with as many as one likes: MANY_WINDOWS=1000 takes some minutes, for those between hold no record.
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
from tests.audit.test_go_on import ROLLING
from tests.flow.world import CONTRACT, MADE, Flow, leave, thing

MANY = int(os.environ.get("MANY_WINDOWS", "24"))
FEW = 4
TRIES = 3
"""Of several windows in a row the least counts: a question that a busy broker did not answer is asked again."""
Asked = dict[str, Counter[str]]
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


def least(one: Asked, other: Asked) -> Asked:
    return {name: one.get(name, counts) & counts for name, counts in other.items()}


def one_window(flow: Flow, number: int, monkeypatch: pytest.MonkeyPatch) -> Asked:
    """Window `number` is filled, cut, judged, re-checked, asked for and looked at: what each of these took."""
    flow.produce([thing(number)])
    flow.work()
    flow.sample()
    asked: Asked = {}
    with counted(monkeypatch) as asked["going on"]:
        assert go_on(flow.name, "r1", "test").cut.window == number
    flow.work()
    flow.sample()
    with counted(monkeypatch) as asked["closing"]:
        stored = close_run(flow.name, "r1", "test", window=number)
    assert stored.verdict.state is v.State.PASS, stored.sentence
    enforce_due()  # what other streams of this database have due is not counted here
    due_now(flow)
    with counted(monkeypatch) as asked["re-checking all"]:
        looked = enforce_due()
    assert {check.outcome for check in looked} == {"extended"}, looked
    assert len(looked) == number
    with counted(monkeypatch) as asked["the gate"]:
        assert decide_gate(flow.name, "r1", number).granted
    with counted(monkeypatch) as asked["a page"]:
        assert scope(flow.name, "r1", number) is not None
    return asked


def due_now(flow: Flow) -> None:
    """As if the re-check time of all its gates had passed."""
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET checked_at = clock_timestamp() - interval '30 s' WHERE shut_why IS NULL AND win IN"
            " (SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %s)",
            (flow.name,),
        )


def an_empty_window(flow: Flow, number: int) -> None:
    """Window `number` holds no record, and passes: no lane has to work for it."""
    assert go_on(flow.name, "r1", "test").cut.window == number
    flow.sample()
    stored = close_run(flow.name, "r1", "test", window=number)
    assert stored.verdict.state is v.State.PASS, stored.sentence


def re_checked(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> tuple[float, Counter[str]]:
    """How long it takes to look at all gates of the run again, and what is asked for that."""
    due_now(flow)
    began = time.monotonic()
    with counted(monkeypatch) as asked:
        looked = enforce_due()
    took = time.monotonic() - began
    assert len(looked) == MANY and {check.outcome for check in looked} == {"extended"}, looked
    return took, asked


@pytest.mark.slow
@pytest.mark.timeout(120 + 10 * MANY)
def test_the_last_of_many_windows_takes_what_an_early_one_took(make_flow: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(MADE)  # gates of other tests' streams fall due whenever they do
    flow = make_flow(contract=CONTRACT + ROLLING, close='empty = "pass"')
    flow.open()
    early: Asked = {}
    late: Asked = {}
    for number in range(1, MANY + 1):
        if number not in range(FEW, FEW + TRIES) and 1 < number <= MANY - TRIES:
            an_empty_window(flow, number)
            continue
        began = time.monotonic()
        asked = one_window(flow, number, monkeypatch)
        if number in range(FEW, FEW + TRIES):
            early = least(early, asked)
        elif number > MANY - TRIES:
            late = least(late, asked)
            print(f"window {number}: {asked}, in {time.monotonic() - began:.1f} s")  # shown by -s
    took, asked_for_all = re_checked(flow, monkeypatch)
    print(f"early: {early}\nlate: {late}\n{MANY} gates re-checked in {took:.2f} s: {asked_for_all}")
    assert late == early
