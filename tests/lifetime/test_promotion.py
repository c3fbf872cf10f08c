"""A replica becomes the database, for real: what windows, gates and the next run say of it, from its first write on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import psycopg
import pytest
from django.db import connections

from audit.core import verdict as v
from audit.enforce import decide_gate
from stack import Stack
from stack.postgres import SUPERUSER, Postgres
from stack.process import Process
from tests.flow.world import Flow, thing
from tests.plans.test_cover import looked_at

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]
PAGES = 600
"""A checkpoint that is in no hurry writes ten a second."""
CONTROL_FILE = "SELECT timeline_id FROM pg_control_checkpoint()"


@pytest.fixture
def admin(live: Stack) -> Iterator[Callable[[str], list[tuple[object, ...]]]]:
    """Runs a statement as the machine's administrator, on a connection of its own: the server dies meanwhile."""

    def run(statement: str) -> list[tuple[object, ...]]:
        with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
            cursor = connection.execute(statement)
            return cursor.fetchall() if cursor.description else []

    yield run
    run("DROP TABLE IF EXISTS public.pages")
    run("CHECKPOINT")


@contextmanager
def promoting(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Whoever waits for PostgreSQL promotes it, should it have come up as a replica."""
    ready = Postgres.is_ready

    def is_ready(part: Postgres, process: Process) -> bool:
        try:
            with psycopg.connect(part.url(SUPERUSER, "postgres"), autocommit=True, connect_timeout=2) as connection:
                connection.execute("SELECT pg_promote() WHERE pg_is_in_recovery()")
        except psycopg.OperationalError:
            return False
        return ready(part, process)

    with monkeypatch.context() as patch:
        patch.setattr(Postgres, "is_ready", is_ready)
        yield


def promote(stack: Stack, monkeypatch: pytest.MonkeyPatch, admin: Callable[[str], list[tuple[object, ...]]]) -> None:
    """The server dies, reads its log again as a replica does, and is promoted. So is one that was streaming."""
    admin("CHECKPOINT")
    admin(f"CREATE TABLE public.pages AS SELECT repeat(md5(n::text), 200) AS p FROM generate_series(1, {PAGES}) n")
    admin("COPY (SELECT 1 WHERE false) TO PROGRAM 'touch standby.signal'")  # in its own folder, by its own account
    with promoting(monkeypatch):
        stack.kill("postgres")
        stack.wait_up("postgres", 90)
    connections["default"].close()


def test_a_promoted_replica_is_another_timeline_at_once(
    live: Stack, monkeypatch: pytest.MonkeyPatch, admin: Callable[[str], list[tuple[object, ...]]]
) -> None:
    """What a replica had not been sent is lost without a word. So a window that was open is BLOCKED, although the
    control file, which is written by checkpoints, knows of no promotion yet; one that passed before had all of it.
    """
    flow = Flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state is v.State.PASS
    assert decide_gate(flow.name, "r1", who="test").granted
    (passed,) = flow.wins()
    flow.open("r2")
    flow.produce([thing(3)])
    flow.work()
    [(was,)] = admin(CONTROL_FILE)
    promote(live, monkeypatch, admin)
    assert admin(CONTROL_FILE) == [(was,)], "a checkpoint has ended already: this shows nothing"
    flow.cut("r2")
    flow.work()
    judged = flow.judge("r2")
    assert judged.verdict.state is v.State.BLOCKED, judged.sentence
    assert f"Postgres was on timeline {was} and is on {int(str(was)) + 1}" in judged.sentence
    assert looked_at(flow) == {passed: ("extended", "")}
    assert decide_gate(flow.name, "r1", who="test").granted
    flow.open("r3")
    flow.produce([thing(4)])
    flow.work()
    flow.cut("r3")
    flow.work()
    assert flow.judge("r3").verdict.state is v.State.PASS
    assert decide_gate(flow.name, "r3", who="test").granted
    flow.check()
