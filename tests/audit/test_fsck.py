"""fsck finds what it says it finds: each invariant is broken by somebody who may do everything, and named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from audit.fsck import NOT_IN_FORCE, fsck
from stack import Stack
from tests.audit.test_close import passed
from tests.flow.world import Flow, thing


@contextmanager
def cheat(flow: Flow) -> Iterator[psycopg.Connection[Any]]:
    """A superuser without triggers; what it did is undone when the finding has been seen."""
    from tests.conftest import STACK

    with psycopg.connect(STACK.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection


@pytest.fixture
def nobody_elses_windows() -> None:
    """In the place of the folder's own: the run that the tests here share keeps its gate."""


@pytest.fixture(scope="module")
def closed() -> dict[str, Any]:
    return {}


@pytest.fixture
def whole(live: Stack, closed: dict[str, Any]) -> Flow:
    """One passed run with a mismatch in it, made once and spoilt and mended by each test. Its gate stays open."""
    if "flow" not in closed:
        flow = Flow(quarantine_open_max=5)
        flow.open()
        flow.produce([thing(1), thing(2), thing(1), thing(2, other=True), b"not json", thing(3)])
        flow.work()
        flow.cut()
        flow.work()
        flow.judge()
        closed["flow"] = flow
    return closed["flow"]  # type: ignore[no-any-return]


RUN = "(SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = '{name}')"
WIN = "(SELECT w.id FROM run_window w WHERE w.run_id = " + RUN + ")"
INBOX = "(SELECT c.id FROM source c JOIN stream s ON s.id = c.stream_id WHERE s.name = '{name}' AND c.role = 'inbox')"

IN_WINDOW, IN_RUN, OF_INBOX = f"WHERE win = {WIN}", f"WHERE run_id = {RUN}", f"WHERE source_id = {INBOX}"
OF_ADMISSION = f"{OF_INBOX} AND lane = 'admission'"
ANOTHER_OWNER = (
    "INSERT INTO batch (source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted, duplicates,"
    " quarantined, bytes, digest, fence, owner)"
    " SELECT source_id, win, run_id, contract_id, 900, 901, 0, 0, 0, 0, 0,"
    f" digest, fence, 'another' FROM batch {IN_WINDOW}"
)
WAIVED = "jsonb_set(body, '{{{{waived}}}}', '{}')"
ONE_LESS = "substring(value FROM 1 FOR length(value) - 1)"
RIGHT_DIGEST = (
    "UPDATE receipt t SET payload_digest = e.payload_digest FROM event e"
    f' WHERE e.source_id = t.source_id AND e."offset" = t."offset" AND t."offset" = 5 AND t.source_id = {INBOX}'
)


def moved(table: str, column: str, by: int, where: str) -> tuple[str, str]:
    """What moves a number, and what moves it back."""
    there = f'UPDATE {table} SET "{column}" = "{column}" + {by} {where}'
    return there, f'UPDATE {table} SET "{column}" = "{column}" - {by} {where}'


def became(table: str, column: str, wrong: str, right: str, where: str) -> tuple[str, str]:
    return f"UPDATE {table} SET {column} = {wrong} {where}", f"UPDATE {table} SET {column} = {right} {where}"


#: invariant, what breaks it, what mends it
CHEATS: list[tuple[str, str, str]] = [
    ("I1", *became("attempt", "state", "'UNKNOWN'", "'ACKED'", OF_INBOX)),
    ("I1", *moved("place", "bus_offset", 1, OF_INBOX)),
    ("I3", *became("effect", "win", "-win", "-win", IN_RUN)),
    ("I4", *moved("position", "next_offset", -1, OF_ADMISSION)),
    ("I5", *moved("position", "next_offset", 7, OF_ADMISSION)),
    ("I6", *became("attempt", "unknown_at", "prepared_at", "NULL", OF_INBOX)),
    ("I8", *moved("window_range", "end_offset", 5, IN_WINDOW)),
    ("I9", *moved("receipt", "reason", 1, OF_INBOX)),
    ("I9", *became("verdict", "body", WAIVED.format("true"), WAIVED.format("false"), IN_WINDOW)),
    ("I10", *became("verdict", "state", "'BLOCKED'", "'PASS'", IN_WINDOW)),
    ("I12", *moved("event", "offset", 100, IN_RUN)),
    ("I12", *became("quarantine_item", "value", "value || 'x'::bytea", ONE_LESS, IN_WINDOW)),
    ("I13", ANOTHER_OWNER, "DELETE FROM batch WHERE owner = 'another'"),
    ("I14", f"UPDATE receipt SET payload_digest = sha256(payload_digest) {OF_INBOX} AND \"offset\" = 5", RIGHT_DIGEST),
]  # fmt: skip


@pytest.mark.parametrize(("invariant", "spoil", "mend"), CHEATS, ids=[f"{n}-{x[0]}" for n, x in enumerate(CHEATS)])
def test_a_broken_invariant_is_named(whole: Flow, invariant: str, spoil: str, mend: str) -> None:
    with cheat(whole) as connection:
        connection.execute(spoil.format(name=whole.name))
        try:
            found = fsck(stream=whole.name)
        finally:
            connection.execute(mend.format(name=whole.name))
    assert invariant in {finding.invariant for finding in found}, [str(finding) for finding in found]
    assert all(finding.subject and finding.found for finding in found)
    assert fsck(stream=whole.name) == []


def test_a_passed_run_has_no_finding(flow: Flow) -> None:
    passed(flow)
    assert fsck(stream=flow.name) == []


def test_a_recreated_topic_is_drift_and_not_a_finding(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    assert fsck(stream=flow.name) == []


def test_what_is_not_in_force_is_said() -> None:
    assert set(NOT_IN_FORCE) == {"I9"}
