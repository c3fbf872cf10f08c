"""Two that need the same new row at once: the second waits, and then has the first one's row. On real connections."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from django.db import connection

from ingest import streams
from ingest.admit import lane as admit
from ingest.db import Cursor, NeverThere, find_or_insert, read, write
from ingest.streams import ensure_classes, ensure_stream
from ingest.windows import ensure_source
from tests.flow.test_cloudevents import STRUCTURED, structured
from tests.flow.world import CLOUDEVENTS, Flow

MakeFlow = Callable[..., Flow]
Make = Callable[[Cursor], Any]


def a_stream(stream: int) -> Make:
    name = f"s{uuid.uuid4().hex[:10]}"
    return lambda cur: ensure_stream(cur, name)


def a_source(stream: int) -> Make:
    topic = uuid.uuid4().hex
    return lambda cur: ensure_source(cur, stream, "inbox", "cluster", topic, "t", 0)


def classes(stream: int) -> Make:
    name = f"c{uuid.uuid4().hex[:10]}"
    return lambda cur: ensure_classes(cur, stream, [name, "thing", f"{name}.more"])


def someone_waits() -> bool:
    with read() as cur:
        return bool(
            cur.execute(
                "SELECT count(*) AS n FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE %(like)s",
                {"like": "%ON CONFLICT ON CONSTRAINT%"},
            ).fetchone().n
        )  # fmt: skip


@pytest.mark.parametrize("row", [a_stream, a_source, classes], ids=lambda row: row.__name__)
def test_the_second_has_the_firsts_row(make_flow: MakeFlow, row: Callable[[int], Make]) -> None:
    flow = make_flow()
    make = row(flow.rows("SELECT id FROM stream WHERE name = %(name)s")[0].id)
    made, commit = threading.Event(), threading.Event()

    def first() -> Any:
        try:
            with write() as cur:
                found = make(cur)
                made.set()
                assert commit.wait(60)
            return found
        finally:
            connection.close()

    def second() -> Any:
        try:
            with write() as cur:
                return make(cur)
        finally:
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        one = pool.submit(first)
        assert made.wait(60)
        other = pool.submit(second)
        wait_for(someone_waits, other)
        commit.set()
        assert one.result(60) == other.result(60)


def wait_for(holds: Callable[[], bool], unless: Future[Any]) -> None:
    """Until it holds, or until what was to wait ended without waiting."""
    until = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < until
        assert not unless.done(), unless.result()
        time.sleep(0.01)


def test_two_workers_meet_a_new_type_at_once(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    """One is held right behind its classes, until the other waits for it."""
    flow = make_flow(contract=CLOUDEVENTS, partitions=2)
    flow.open()
    flow.produce([structured(id="1")], headers=STRUCTURED, partition=0)
    flow.produce([structured(id="2")], headers=STRUCTURED, partition=1)
    flow.sample()
    turns, commit = iter([True]), threading.Event()
    reached = threading.Event()

    def stop(name: str) -> None:
        if name == "admit.after_classes" and next(turns, False):
            reached.set()
            assert commit.wait(60)

    monkeypatch.setattr(admit, "failpoint", stop)

    def work(source: int) -> None:
        worker = flow.worker("admission")
        worker.only = frozenset([source])
        try:
            until = time.monotonic() + 60
            while len(flow.receipts()) < 2 and time.monotonic() < until:
                worker.slice(1.0)
        finally:
            worker.close()
            connection.close()

    with ThreadPoolExecutor(2) as pool:
        both = [pool.submit(work, source) for source in flow.sources("inbox")]
        assert reached.wait(60)
        wait_for(someone_waits, both[0])
        commit.set()
        for each in both:
            each.result(120)
    rows = flow.rows(
        "SELECT e.class_id, c.name, t.class_id AS told FROM event e JOIN run r ON r.id = e.run_id"
        ' JOIN stream s ON s.id = r.stream_id JOIN receipt t ON t.source_id = e.source_id AND t."offset" = e."offset"'
        " LEFT JOIN event_class c ON c.id = e.class_id AND c.stream_id = s.id WHERE s.name = %(name)s"
    )
    assert [(row.name, row.told == row.class_id) for row in rows] == [("paid", True)] * 2


def test_a_duplicate_names_the_class_another_process_met(make_flow: MakeFlow) -> None:
    flow = make_flow(contract=CLOUDEVENTS)
    flow.open()
    flow.produce([structured()] * 2, headers=STRUCTURED)
    flow.work("admission")
    streams.compiled_contract.cache_clear()
    stored = flow.rows("SELECT c.id FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s")
    streams.compiled_contract(
        stored[0].id
    ).class_ids.clear()  # as a process has it that read the contract before the class was met
    flow.produce([structured()], headers=STRUCTURED)
    flow.work("admission")
    rows = flow.rows(
        "SELECT t.class_id FROM receipt t JOIN source c ON c.id = t.source_id JOIN stream s ON s.id = c.stream_id"
        ' WHERE s.name = %(name)s ORDER BY t."offset"'
    )
    assert len({row.class_id for row in rows}) == 1
    assert rows[0].class_id is not None


def test_a_class_that_is_not_there_is_an_error(make_flow: MakeFlow, monkeypatch: pytest.MonkeyPatch) -> None:
    flow = make_flow()
    stream = flow.rows("SELECT id FROM stream WHERE name = %(name)s")[0].id
    monkeypatch.setattr(streams, "known_classes", lambda cur, stream: {})
    with pytest.raises(NeverThere), write() as cur:
        ensure_classes(cur, stream, ["new"])
    with pytest.raises(NeverThere), read() as cur:
        nothing = "SELECT 1 WHERE false"
        find_or_insert(cur, nothing, nothing, {})
