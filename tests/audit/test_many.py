"""Hundreds of streams: what closing and enforcing ask of Kafka and of the database does not grow with them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Any

import psycopg
import pytest
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from audit import capture, close, enforce
from audit.close import close_due, window_of
from audit.partitions import grown
from ingest.core.errors import BrokerError
from ingest.db import read, write
from ingest.kafka import Admin, BrokerUnavailable, PartitionReader, TopicIncredible
from tests.audit.test_close import grow, mine, passed
from tests.audit.test_gate import due_now, gate_row
from tests.flow.world import Flow, thing

MANY = 200
_QUESTIONS = ("cluster_id", "brokers", "topics", "offsets", "ends", "ends_of", "posture", "committed")

#: Copies of a stream with its open run, as far as closing and enforcing look at it; rolled back by the test.
_COPY = """
WITH old AS (SELECT w.id AS win, w.contract_id, r.id AS run_id, r.stream_id
               FROM run_window w JOIN run r ON r.id = w.run_id WHERE w.id = %(win)s),
made AS (INSERT INTO stream (name) SELECT concat('many-', %(win)s::integer, '-', n)
           FROM generate_series(1, %(many)s::integer) n RETURNING id),
run_ AS (INSERT INTO run (stream_id, name, contract_id, state, opened_by)
         SELECT made.id, 'r', old.contract_id, r.state, 'test'
           FROM made, old JOIN run r ON r.id = old.run_id RETURNING id, stream_id),
win AS (INSERT INTO run_window (run_id, number, contract_id, state, revision, judged_revision)
        SELECT run_.id, 1, old.contract_id, w.state, w.revision, w.judged_revision
          FROM run_, old JOIN run_window w ON w.id = old.win RETURNING id, run_id),
basis_ AS (INSERT INTO basis (win, generation, snapshot_id, facts, digest, why)
           SELECT win.id, b.generation, b.snapshot_id, b.facts, b.digest, b.why
             FROM win, old JOIN basis b ON b.win = old.win RETURNING win),
verdict_ AS (INSERT INTO verdict (run_id, number, win, revision, state, waived, basis_generation, contract_digest, body,
                                  digest, decided_by)
             SELECT win.run_id, v.number, win.id, v.revision, v.state, v.waived, v.basis_generation, v.contract_digest,
                    v.body, v.digest, v.decided_by
               FROM win, old JOIN verdict v ON v.win = old.win RETURNING win)
SELECT win.id FROM win WHERE (SELECT count(*) FROM basis_) + (SELECT count(*) FROM verdict_) > 0
"""


@contextmanager
def _verdicts_as_they_come() -> Iterator[None]:
    """Copies are of no window's own facts, and the database would refuse them for that."""
    with psycopg.connect(os.environ["PASSGATE_ADMIN_URL"], autocommit=True) as admin:
        admin.execute("ALTER TABLE verdict DISABLE TRIGGER USER")
        try:
            yield
        finally:
            admin.execute("ALTER TABLE verdict ENABLE TRIGGER USER")


@contextmanager
def many(flow: Flow, run_name: str = "r1") -> Iterator[list[int]]:
    """MANY more streams like this one, until the block ends."""
    win = window_of(flow.name, run_name)
    with _verdicts_as_they_come(), transaction.atomic():
        with write() as cur:
            made = [row.id for row in cur.execute(_COPY, {"win": win, "many": MANY}).fetchall()]
        assert len(made) == MANY
        yield made
        transaction.set_rollback(True)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every question that Kafka is asked, by its name."""
    said: list[str] = []

    def counted(name: str, of: Any) -> Any:
        def ask(*args: Any, **more: Any) -> Any:
            said.append(name)
            return of(*args, **more)

        return ask

    for name in _QUESTIONS:
        monkeypatch.setattr(Admin, name, counted(name, getattr(Admin, name)))
    monkeypatch.setattr(PartitionReader, "assign", counted("probe", PartitionReader.assign))
    return said


def only(monkeypatch: pytest.MonkeyPatch, windows: list[int]) -> None:
    """What other tests left in the ledger is not looked at."""
    monkeypatch.setattr(close, "sql", _Only(close.sql, windows))


class _Only:
    def __init__(self, sql: Any, windows: list[int]) -> None:
        self._sql, self._windows = sql, windows

    def __getattr__(self, name: str) -> str:
        text = str(getattr(self._sql, name))
        wins = ",".join(map(str, self._windows))
        return text.replace("WHERE newest", f"WHERE w.id IN ({wins}) AND newest") if name == "unsettled" else text


def test_many_idle_windows_are_one_question(flow: Flow, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    with many(flow) as windows:
        only(monkeypatch, windows)
        asked.clear()
        with CaptureQueriesContext(connection) as queries:
            assert close_due() == []
    assert asked == ["topics"]
    assert len(queries) <= 3, [query["sql"] for query in queries]


def test_what_has_moved_is_judged_before_anything_else(
    flow: Flow, asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    idle = window_of(flow.name, "r1")
    with many(flow) as windows:
        with write() as cur:
            cur.execute("UPDATE run_window SET state = 'CUT', cut_at = clock_timestamp() WHERE id = %s", (windows[-1],))
        only(monkeypatch, [idle, *windows])
        asked.clear()
        assert next(iter(close._due(lambda: 0.0))) == windows[-1]
    assert asked == []


def test_each_kind_has_its_turn_however_long_the_others_take(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cut windows whose lanes work are looked at again and again: open ones must not wait for all of them."""
    flow.open()
    looked: list[int] = []
    monkeypatch.setattr(close, "grown", lambda windows: windows)
    monkeypatch.setattr(close, "notice_partitions", lambda win, _: looked.append(win))
    with many(flow) as windows:
        moving, open_ = windows[:100], windows[100:]
        with write() as cur:
            cur.execute("UPDATE run_window SET state = 'CUT', revision = 1 WHERE id = ANY(%s)", (moving,))
        only(monkeypatch, windows)
        time = count(step=2)
        due = [list(close._due(lambda: float(next(time)))) for _ in range(120)]
    assert {win for some in due for win in some} == set(moving)
    assert set(looked) == set(open_)


def test_a_grown_topic_among_many_is_taken_in(flow: Flow, asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    only(monkeypatch, [window_of(flow.name, "r1")])
    asked.clear()
    close_due()
    assert asked == ["topics"]
    grow(flow, 2)
    close_due()
    generations = flow.rows(
        "SELECT max(generation) AS n FROM basis WHERE win = %(win)s", win=window_of(flow.name, "r1")
    )
    assert generations[0].n == 2
    asked.clear()
    close_due()
    assert asked == ["topics"]


def test_a_topic_made_again_has_not_grown(flow: Flow) -> None:
    """It is the verdict's to name: no offsets of another incarnation come into the basis."""
    flow.open()
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 3)
    assert grown([window_of(flow.name, "r1")]) == []


def test_one_topic_without_a_credible_answer_does_not_hide_the_others(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    topics = Admin.topics

    def incredible(self: Admin, names: Any) -> Any:
        names = list(names)
        if "t.mad" in names:
            raise TopicIncredible(found="nonsense")
        return topics(self, names)

    monkeypatch.setattr(Admin, "topics", incredible)
    said = capture.topics([flow.inbox, flow.bus, "t.mad", "t.none"])
    assert isinstance(said.pop("t.mad"), BrokerError)
    assert said.pop("t.none") is None
    assert {name for name, found in said.items() if found} == {flow.inbox, flow.bus}


def test_a_broker_that_is_away_is_asked_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    calls: list[Any] = []

    def away(self: Admin, names: Any) -> Any:
        calls.append(names)
        raise BrokerUnavailable(found="_TIMED_OUT")

    with monkeypatch.context() as patch:
        patch.setattr(Admin, "topics", away)
        assert grown([window_of(flow.name, "r1")]) == []
    assert len(calls) == 1


# ---- the enforcer ---------------------------------------------------------------------------------------------------

_GATES = """
INSERT INTO gate_open (win, verdict_id, open_until, checked_at)
SELECT v.win, v.id, clock_timestamp() + interval '1 min', clock_timestamp() - interval '1 h'
  FROM verdict v WHERE v.win = ANY(%(wins)s)
"""


def rows_of(flow: Flow, windows: list[int]) -> dict[enforce.Contracted, list[Any]]:
    with read() as cur:
        return enforce._by_contract([row for row in cur.execute(enforce.sql.gates).fetchall() if row.win in windows])


def test_many_gates_are_looked_at_together(flow: Flow, asked: list[str]) -> None:
    passed(flow)
    due_now(flow)
    asked.clear()
    with many(flow) as windows:
        with write() as cur:
            cur.execute(_GATES, {"wins": windows})
        due = rows_of(flow, [*windows, gate_row(flow).win])
        assert len(due) == MANY + 1
        with CaptureQueriesContext(connection) as queries:
            found = enforce._enforce(due)
        after = rows_of(flow, windows)
    assert {answer.outcome for answer in found} == {"extended"}
    assert len(found) == MANY + 1
    assert all(row.age.total_seconds() < 60 for gates in after.values() for row in gates)
    assert len(asked) <= 10, asked  # two rounds
    assert len(queries) <= 20, [query["sql"] for query in queries]


def test_one_contradicted_gate_among_many_is_shut_and_the_others_stay_open(flow: Flow) -> None:
    passed(flow)
    with many(flow) as windows:
        bad = windows[7]
        with write() as cur:
            cur.execute(_GATES, {"wins": windows})
            cur.execute(
                'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
                " SELECT %s, max(id), 'ABSENT_APPEARED', %s, 0, 'by a test' FROM attempt",
                (bad, flow.sources("bus")[0]),
            )
        found = {answer.win: answer.outcome for answer in enforce._enforce(rows_of(flow, windows))}
        (why,) = flow.rows("SELECT shut_why FROM gate_open WHERE win = %(win)s", win=bad)
    assert why.shut_why == "1 settled publish contradicted by the bus"
    assert bad not in found, "it was shut with the contradiction"
    assert set(found.values()) == {"extended"}
    assert len(found) == MANY - 1


def test_mine_is_judged_in_the_first_pass(flow: Flow) -> None:
    """A run cut and done, among whatever else is open: one pass judges it."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert [str(found.verdict.state) for found in mine(flow, close_due())] == ["PASS"]
