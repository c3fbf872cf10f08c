"""Quarantine items and rows for readers, each tampered with as the application's own role: refused, or found."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from audit.close import judge, window_of
from audit.core import checks as c
from audit.core import verdict as v
from ingest.db import write
from ingest.models import Resolution
from ingest.quarantine import resolve
from tests.database.test_refusals import as_role, refusal
from tests.flow.test_projections import WEATHER, report
from tests.flow.world import Flow, thing

ITEMS = (
    "SELECT q.id, q.state, q.seen, q.resolved_by FROM quarantine_item q JOIN source c ON c.id = q.source_id"
    " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s ORDER BY q.id"
)
RESOLVED = (
    "UPDATE quarantine_item SET state = 'RESOLVED', resolution = 'DISCARDED', resolved_by = 'ana',"
    " resolved_reason = 'x', resolved_at = now(){more} WHERE id = %s"
)


@pytest.fixture
def app() -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


@pytest.fixture
def mismatched(live: object) -> Flow:
    """One mismatch, seen once."""
    flow = Flow()
    flow.open()
    flow.produce([thing(1), thing(1, other=True)])
    flow.work()
    return flow


def item(flow: Flow) -> Any:
    (row,) = flow.rows(ITEMS)
    return row


def test_an_item_that_is_born_resolved(app: psycopg.Cursor[Any], mismatched: Flow) -> None:
    born = (
        'INSERT INTO quarantine_item (win, run_id, source_id, "offset", batch_id, reason, detail, payload_digest, seen,'
        ' state, resolution, resolved_by, resolved_reason, resolved_at) SELECT win, run_id, source_id, "offset" + 1000,'
        " batch_id, 1, 'not JSON', payload_digest, 1, 'RESOLVED', 'DISCARDED', 'ana', 'x', now()"
        " FROM quarantine_item WHERE id = %s"
    )
    assert refusal(app, born, (item(mismatched).id,)) == "quarantine_begins_open"


def test_an_item_resolved_together_with_more_of_it(app: psycopg.Cursor[Any], mismatched: Flow) -> None:
    statement = RESOLVED.format(more=", seen = seen + 500")
    assert refusal(app, statement, (item(mismatched).id,)) == "quarantine_resolves_what_was_seen"


def test_a_resolution_taken_back(app: psycopg.Cursor[Any], mismatched: Flow) -> None:
    resolve([item(mismatched).id], "ana", Resolution.ACCEPTED_FIRST, "the first stands")
    reopened = (
        "UPDATE quarantine_item SET state = 'OPEN', resolution = NULL, resolved_by = NULL, resolved_reason = NULL,"
        " resolved_at = NULL WHERE id = %s"
    )
    assert refusal(app, reopened, (item(mismatched).id,)) == "quarantine_resolved_once"
    other = "UPDATE quarantine_item SET resolved_by = 'ben' WHERE id = %s"
    app.connection.rollback()
    app.execute("SET ROLE passgate_app")
    assert refusal(app, other, (item(mismatched).id,)) == "quarantine_resolved_once"


def test_more_of_a_resolved_mismatch_opens_it_again(mismatched: Flow) -> None:
    """Whoever signed saw one of it: five hundred more are not signed for."""
    flow = mismatched
    resolve([item(flow).id], "ana", Resolution.ACCEPTED_FIRST, "the first stands")
    assert (item(flow).state, item(flow).resolved_by) == ("RESOLVED", "ana")
    flow.produce([thing(1, other=True)] * 500)
    flow.work()
    assert (item(flow).state, item(flow).seen, item(flow).resolved_by) == ("OPEN", 501, None)
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.sentence == "Window 1 is BLOCKED: 1 quarantine item is open. Next: resolve the item."
    resolve([item(flow).id], "ana", Resolution.ACCEPTED_FIRST, "all 501 of them")
    assert flow.judge().verdict.state is v.State.PASS
    acts = flow.rows(
        "SELECT actor FROM audit_log WHERE act = 'quarantine.resolve' AND subject = %(run)s", run=f"{flow.name}/r1"
    )
    assert [row.actor for row in acts] == ["ana", "ana"]
    flow.check()


# ---- what readers read ----------------------------------------------------------------------------------------------

ROW = "INSERT INTO truth.weather (win, identity, origin) VALUES (%s, decode(repeat('ab', 32), 'hex'), 'EWR')"


@pytest.fixture
def weather(live: object) -> Flow:
    """Read and applied to its end; not judged."""
    flow = Flow(contract=WEATHER)
    flow.open()
    flow.produce([report(1), report(2)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 2)
    return flow


def test_a_row_in_a_truth_table_that_no_effect_made_is_fail(weather: Flow) -> None:
    win = window_of(weather.name, "r1")
    with write() as cur:
        cur.execute(ROW, (win,))
    stored = weather.judge()
    assert stored.verdict.state is v.State.FAIL
    assert "1 identity of truth.weather has no effect" in stored.sentence


def test_an_effect_without_its_row_is_fail(weather: Flow, live: Any) -> None:
    """The rows are append-only for the application; whoever owns the table can take one away."""
    win = window_of(weather.name, "r1")
    with psycopg.connect(live.env()["PASSGATE_ADMIN_URL"]) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute(
            "DELETE FROM truth.weather WHERE ctid = (SELECT min(ctid) FROM truth.weather WHERE win = %s)", (win,)
        )
    applied = judge(win).verdict.check(c.CheckName.APPLIED)
    assert applied is not None
    assert (applied.severity, applied.cause) == ("FAIL", "1 effect is not in truth.weather")


def test_truth_tables_are_measured_and_said(weather: Flow) -> None:
    applied = weather.judge().verdict.check(c.CheckName.APPLIED)
    assert applied is not None
    assert (applied.state, applied.observed) == ("HOLDS", "2 of 2 events applied, 2 of 2 in truth.weather")
