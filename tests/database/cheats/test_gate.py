"""The gate, cheated by the application's role with all that it may do: each is refused by name, or opens nothing."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from audit.close import window_of
from audit.enforce import decide_gate
from stack import Stack
from tests.audit.test_close import passed
from tests.database.test_refusals import as_role, refusal
from tests.flow.world import Flow, thing


@pytest.fixture(scope="module")
def kept() -> dict[str, Flow]:
    return {}


@pytest.fixture
def flow(live: Stack, kept: dict[str, Flow]) -> Flow:
    """A stream with a run that passed, `r1`, and one that is open, `r2`: what the cheats try is rolled back."""
    if "flow" not in kept:
        kept["flow"] = made = Flow()
        passed(made)
        made.open("r2")
        made.produce([thing(1)])
    return kept["flow"]


@pytest.fixture
def app(flow: Flow) -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


def win(flow: Flow, run: str = "r1") -> int:
    return window_of(flow.name, run)


def tried(app: psycopg.Cursor[Any], flow: Flow, what: str) -> str:
    return refusal(app, f"UPDATE gate_open SET {what} WHERE win = {win(flow)}")


def test_a_reason_with_a_lease_that_goes_on(app: psycopg.Cursor[Any], flow: Flow) -> None:
    """403 over HTTP, and rows for ever."""
    assert (
        tried(app, flow, "shut_why = 'x', open_until = clock_timestamp() + interval '1 h'") == "gate_reason_ends_lease"
    )


@pytest.mark.parametrize("until", ["'infinity'", "clock_timestamp() + interval '100 years'"])
def test_a_lease_for_ever(app: psycopg.Cursor[Any], flow: Flow, until: str) -> None:
    assert tried(app, flow, f"open_until = {until}") == "gate_lease_has_a_longest"


def test_a_lease_for_ever_by_a_measurement_to_come(app: psycopg.Cursor[Any], flow: Flow) -> None:
    later = "clock_timestamp() + interval '100 years'"
    assert tried(app, flow, f"checked_at = {later}, open_until = {later}") == "gate_counts_from_measurement"


def test_a_shut_gate_opened_again(app: psycopg.Cursor[Any], flow: Flow) -> None:
    app.execute(f"UPDATE gate_open SET shut_why = 'x', open_until = checked_at WHERE win = {win(flow)}")
    open_again = "shut_why = NULL, checked_at = clock_timestamp(), open_until = clock_timestamp() + interval '9 s'"
    assert tried(app, flow, open_again) == "gate_stays_shut"


def test_a_reason_told_otherwise_first(app: psycopg.Cursor[Any], flow: Flow) -> None:
    """The one reason that may go is that of another window of the run."""
    app.execute(f"UPDATE gate_open SET shut_why = 'x', open_until = checked_at WHERE win = {win(flow)}")
    assert tried(app, flow, "shut_why = 'a newer verdict of window 2 is not PASS'") == "gate_stays_shut"


def test_a_lease_carried_to_another_window(app: psycopg.Cursor[Any], flow: Flow) -> None:
    """The app may not even say so: the column is not its to change."""
    assert tried(app, flow, f"win = {win(flow, 'r2')}") == "InsufficientPrivilege"


def test_a_lease_of_a_window_without_a_verdict(app: psycopg.Cursor[Any], flow: Flow) -> None:
    stolen = (
        "INSERT INTO gate_open (win, verdict_id, open_until)"
        f" SELECT {win(flow, 'r2')}, verdict_id, clock_timestamp() + interval '9 s'"
        f" FROM gate_open WHERE win = {win(flow)}"
    )
    assert refusal(app, stolen) == "gate_follows_pass"


def test_a_lease_put_away(app: psycopg.Cursor[Any], flow: Flow) -> None:
    assert refusal(app, f"DELETE FROM gate_open WHERE win = {win(flow)}") == "InsufficientPrivilege"


def test_a_lease_longer_than_its_context(app: psycopg.Cursor[Any], flow: Flow) -> None:
    """A window joined with one that was never open; its pin cannot be taken away again."""
    app.execute(
        "INSERT INTO window_pin (win, context, pinned_win, verdict)"
        f" VALUES ({win(flow)}, 'x', {win(flow, 'r2')}, 'x/r2#1')"
    )
    longer = "checked_at = clock_timestamp(), open_until = clock_timestamp() + interval '1 min'"
    assert tried(app, flow, longer) == "gate_follows_context"


def test_a_pin_taken_away(app: psycopg.Cursor[Any], flow: Flow) -> None:
    assert refusal(app, f"DELETE FROM window_pin WHERE win = {win(flow)}") == "InsufficientPrivilege"


def test_a_lease_beside_a_contradiction(app: psycopg.Cursor[Any], flow: Flow) -> None:
    """It shuts in its own transaction, and the reason stays."""
    app.execute(
        'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
        " SELECT b.win, ab.attempt_id, 'ABSENT_APPEARED', b.source_id, 0, 'x' FROM attempt_batch ab"
        f" JOIN batch b ON b.id = ab.batch_id WHERE b.win = {win(flow)} LIMIT 1"
    )
    app.execute(f"SELECT {win(flow)} = ANY(open_windows())")
    assert app.fetchone() == (False,)
    assert tried(app, flow, "shut_why = NULL, open_until = clock_timestamp() + interval '9 s'") == "gate_stays_shut"


def test_a_row_of_truth_after_the_gate(app: psycopg.Cursor[Any], flow: Flow) -> None:
    row = f"INSERT INTO truth.weather (win, identity) VALUES ({win(flow)}, '\\x{uuid.uuid4().hex}')"
    assert refusal(app, row) == "truth_comes_before_its_gate"


@pytest.mark.parametrize(
    "what", ["UPDATE truth.weather SET win = 1", "DELETE FROM truth.weather", "TRUNCATE truth.weather"]
)
def test_a_row_of_truth_changed(app: psycopg.Cursor[Any], flow: Flow, what: str) -> None:
    assert refusal(app, what) == "InsufficientPrivilege"


@pytest.mark.parametrize(
    "what",
    [
        "ALTER TABLE truth.weather DISABLE ROW LEVEL SECURITY",
        "CREATE POLICY mine ON truth.weather FOR SELECT TO passgate_reader USING (true)",
        "ALTER TABLE truth.weather DISABLE TRIGGER comes_before_its_gate",
        "CREATE OR REPLACE FUNCTION open_windows() RETURNS integer[] LANGUAGE sql AS 'SELECT NULL::integer[]'",
        "CREATE TABLE truth.mine (win integer)",
    ],
)
def test_the_rule_itself(app: psycopg.Cursor[Any], flow: Flow, what: str) -> None:
    assert refusal(app, what) == "InsufficientPrivilege"


@pytest.mark.parametrize("what", ["UPDATE gate_decision SET status = 403", "DELETE FROM gate_decision"])
def test_a_decision_told_otherwise(app: psycopg.Cursor[Any], flow: Flow, what: str) -> None:
    decide_gate(flow.name, "r1", who="mart")
    assert refusal(app, what) == "InsufficientPrivilege"
