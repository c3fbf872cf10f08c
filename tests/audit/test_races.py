"""Two people, one run: threads with connections of their own, held at the point where they would collide."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from audit import close, cut
from audit import open as audit_open
from audit.close import AnotherCloser, close_run
from audit.cut import WindowCut, cut_run
from audit.open import AnotherRunOpen, open_run
from ingest.db import ConstraintViolated
from tests.flow.world import Flow, thing


def both(*acts: Callable[[], Any]) -> list[Any]:
    """What each act returned or raised, done at the same time."""

    def done(act: Callable[[], Any]) -> Any:
        try:
            return act()
        except Exception as error:  # noqa: BLE001 - the test looks at what it was
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return [future.result(60) for future in [pool.submit(done, act) for act in acts]]


def test_s12_two_close_one_run_at_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    close.judge(close.window_of(flow.name, "r1"))  # the bus's end is known from here on
    barrier, store = threading.Barrier(2), close.store

    def held(judged: close.Judgement, actor: str) -> close.StoredVerdict:
        barrier.wait(30)
        return store(judged, actor)

    monkeypatch.setattr(close, "store", held)
    said = both(lambda: close_run(flow.name, "r1", "ana"), lambda: close_run(flow.name, "r1", "ben"))
    won = [answer for answer in said if isinstance(answer, close.StoredVerdict)]
    lost = [answer for answer in said if isinstance(answer, AnotherCloser)]
    assert (len(won), len(lost)) == (1, 1)
    assert lost[0].verdict == won[0].number == 1
    kept = flow.rows("SELECT v.number, v.decided_by FROM verdict v JOIN run r ON r.id = v.run_id"
                     " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY 1")  # fmt: skip
    assert [row.number for row in kept] == [1]


def test_two_read_one_bus_end_at_once_and_it_is_written_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the other has judged by then is still worth storing: nothing has changed."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    win = close.window_of(flow.name, "r1")
    others: list[Any] = []

    def at(name: str) -> None:
        if name == "bus_end.after_reading" and not others:
            others.append(None)
            others.extend(both(lambda: close.judge(win)))

    monkeypatch.setattr(close, "failpoint", at)
    mine = close.judge(win)
    (other,) = others[1:]
    assert mine.revision == other.revision
    assert close.store(other, "ben").number == 1


def test_two_cut_one_run_at_once(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(5)])
    barrier = threading.Barrier(2)
    monkeypatch.setattr(cut, "notice_partitions", lambda *_: barrier.wait(30))
    said = both(lambda: cut_run(flow.name, "r1", "ana"), lambda: cut_run(flow.name, "r1", "ben"))
    assert all(isinstance(answer, WindowCut) for answer in said), said
    assert sorted(answer.result for answer in said) == ["cut", "same"]
    assert said[0].cuts == said[1].cuts == {"inbox/0": 5}


def test_two_open_runs_of_one_stream_at_once(flow: Flow) -> None:
    said = both(lambda: open_run(flow.name, "r1", "ana"), lambda: open_run(flow.name, "r2", "ben"))
    assert sum(isinstance(answer, AnotherRunOpen) for answer in said) == 1, said
    same = both(*[lambda: open_run(flow.name, opened(said), "ana")] * 2)
    assert [answer.result for answer in same] == ["same", "same"]


def test_of_two_runs_the_constraint_lets_one_be_open_though_nobody_looked(
    flow: Flow, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What looks first does it for the words; who loses all his races is told the same."""
    flow.open("r1")
    monkeypatch.setitem(audit_open.sql._texts, "open_run_of", "SELECT '' AS run_name WHERE %(stream)s IS NULL")
    with pytest.raises(AnotherRunOpen, match=f"found an open run of {flow.name}"):
        flow.open("r2")


def test_what_else_the_database_refuses_of_a_run_is_said_as_it_is(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuses(*_: object, **__: object) -> None:
        raise ConstraintViolated("audit_row_at_head", "for a test")

    monkeypatch.setattr(audit_open, "record_act", refuses)
    with pytest.raises(ConstraintViolated, match="audit_row_at_head"):
        flow.open("r1")


def opened(said: list[Any]) -> str:
    return str(next(answer.run_name for answer in said if not isinstance(answer, Exception)))


def test_the_same_run_opened_twice_at_once_is_one_run(flow: Flow) -> None:
    said = both(lambda: open_run(flow.name, "r1", "ana"), lambda: open_run(flow.name, "r1", "ben"))
    assert sorted(answer.result for answer in said) == ["created", "same"], said
    assert said[0].win == said[1].win
