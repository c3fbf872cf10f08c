"""A ledger of the version before goes through the migrations with what is in it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg.rows import namedtuple_row

from stack import Stack
from stack.place import PROJECT

BEFORE = (("ingest", "0013"), ("audit", "0008"), ("console", "0003"))

D = "decode(repeat('ab', 32), 'hex')"

# Written as a restore writes it, without triggers: what these rows must be is not asked here, but what becomes of them.
LEDGER = f"""
SET session_replication_role = replica;
INSERT INTO stream (id, name) OVERRIDING SYSTEM VALUE VALUES (1, 'flights');
INSERT INTO contract (id, stream_id, version, digest, source_text, files, loaded_by) OVERRIDING SYSTEM VALUE
    VALUES (1, 1, 1, {D}, '', '{{}}', 'ada'), (2, 1, 2, {D}, '[plans]\napprovals = 3', '{{}}', 'ada'),
           (3, 1, 3, {D}, 'plans = {{approvals = 2}}', '{{}}', 'ada'), (4, 1, 4, {D}, '\xff', '{{}}', 'ada');
INSERT INTO run (id, stream_id, run_id, contract_id, state, opened_by, sealed_at) OVERRIDING SYSTEM VALUE
    VALUES (1, 1, '2013-01', 1, 'CLOSED', 'ada', '2026-01-31T00:00:00Z'),
           (2, 1, '2013-02', 1, 'SEALED', 'ada', '2026-02-28T00:00:00Z'), (3, 1, '2013-03', 1, 'OPEN', 'ada', NULL);
INSERT INTO run_window (id, run_id, number, contract_id, state, revision) OVERRIDING SYSTEM VALUE
    VALUES (1, 1, 1, 1, 'CUT', 3), (2, 2, 1, 1, 'CUT', 0), (3, 3, 1, 1, 'OPEN', 0);
INSERT INTO source (id, stream_id, role, kind, cluster_id, topic_id, topic, partition) OVERRIDING SYSTEM VALUE
    VALUES (1, 1, 'inbox', 'topic', 'c', 't', 'inbox', 0);
INSERT INTO batch (id, source_id, win, run_number, contract_id, from_offset, to_offset, records, admitted, duplicates,
                   quarantined, bytes, digest, fence, owner) OVERRIDING SYSTEM VALUE
    VALUES (1, 1, 1, 1, 1, 0, 2, 2, 1, 0, 1, 10, {D}, 1, 'me');
SELECT ensure_run_partitions(1);
INSERT INTO event (run_number, identity, win, class_id, source_id, "offset", batch_id, payload_digest, event_id)
    VALUES (1, {D}, 1, 1, 1, 0, 1, {D}, '[1]');
INSERT INTO effect (run_number, identity, win, bus_source_id, bus_offset, bus_batch_id) VALUES (1, {D}, 1, 1, 0, 1);
INSERT INTO quarantine_item (id, win, run_number, source_id, "offset", batch_id, reason, detail, payload_digest, state)
    OVERRIDING SYSTEM VALUE VALUES (1, 1, 1, 1, 1, 1, 1, 'not JSON', {D}, 'OPEN');
INSERT INTO gate_decision (who, stream, run_id, status, code) VALUES ('reader', 'flights', '2013-01', 200, 'open');
INSERT INTO verdict (run_id, number, win, revision, state, waived, basis_generation, contract_digest, body, digest,
                     decided_by)
    VALUES (1, 1, 1, 2, 'BLOCKED', false, 0, {D}, '{{}}', {D}, 'ada');
INSERT INTO auth_user (id, username, password, is_superuser, first_name, last_name, email, is_staff, is_active,
                       date_joined) OVERRIDING SYSTEM VALUE
    VALUES (1, 'ada', '', false, '', '', '', false, true, now());
INSERT INTO knox_authtoken (digest, token_key, user_id, created) VALUES ('d', 'k', 1, now()), ('e', 'l', 1, now());
INSERT INTO token_scope (token_id, name, acts, created_by)
    VALUES ('d', 'producer', '{{look,seal,send}}', 'ada'), ('e', 'reader', '{{look}}', 'ada');
"""

#: Between two versions: plans that one person, nobody, and their requester approved.
PLANS = f"""
SET session_replication_role = replica;
INSERT INTO plan (id, kind, stream_id, binds, digest, state, reason, requested_by, requested_person, expires_at, acted_by,
                  approved_by, approved_person, approved_digest, approved_at, free_records, free_by_id, decided_reason)
    OVERRIDING SYSTEM VALUE VALUES
    (1, 'adopt', 1, '{{}}', {D}, 'APPROVED', 'why', 'ada', 'user:ada', now(), 'bo', 'bo', 'user:bo', {D}, '2026-01-31T00:00:00Z',
     NULL, NULL, 'fine'),
    (2, 'adopt', 1, '{{}}', {D}, 'SUBMITTED', 'why', 'ada', 'user:ada', now(), 'ada', NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (3, 'replay', 1, '{{}}', {D}, 'DONE', 'why', 'ada', 'user:ada', now(), 'ada', 'ada', 'user:ada', {D}, now(), 1, 1, '');
"""  # noqa: E501 - rows read best on a line each


def migrate(stack: Stack, url: str, *target: str) -> None:
    environment = os.environ | stack.env() | {"PASSGATE_OWNER_URL": url, "DJANGO_SETTINGS_MODULE": "console.settings"}
    command = [sys.executable, "-m", "django", "migrate", *target, "--database", "owner", "--no-input"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, env=environment, timeout=240)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def upgraded(stack: Stack) -> Iterator[psycopg.Connection[Any]]:
    """A database that was made by the version before, filled, and brought up to this one. As a superuser."""
    name, admin_url = "upgraded", stack.env()["PASSGATE_ADMIN_URL"]
    there = urlsplit(admin_url)._replace(path=f"/{name}").geturl()
    owner = urlsplit(stack.env()["PASSGATE_OWNER_URL"])._replace(path=f"/{name}").geturl()
    with psycopg.connect(admin_url, autocommit=True) as admin:
        admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        admin.execute(f"CREATE DATABASE {name} TEMPLATE template0 OWNER passgate_owner")
        for target in BEFORE:
            migrate(stack, owner, *target)
        with psycopg.connect(there, autocommit=True) as made:
            made.execute(LEDGER)
        migrate(stack, owner, "plans", "0010")
        with psycopg.connect(there, autocommit=True) as made:
            made.execute(PLANS)
        migrate(stack, owner)
        with psycopg.connect(there, autocommit=True, row_factory=namedtuple_row) as found:
            yield found
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_a_run_that_was_sealed_is_cut(upgraded: psycopg.Connection[Any]) -> None:
    rows = upgraded.execute("SELECT state, cut_at::date::text AS day FROM run ORDER BY id").fetchall()
    assert [tuple(row) for row in rows] == [("CLOSED", "2026-01-31"), ("CUT", "2026-02-28"), ("OPEN", None)]


def test_the_app_takes_a_run_on_from_there_and_nowhere_else(upgraded: psycopg.Connection[Any]) -> None:
    upgraded.execute("SET ROLE passgate_app")
    try:
        for state, run in (("CLOSED", 2), ("CUT", 3)):
            upgraded.execute("UPDATE run SET state = %s, cut_at = coalesce(cut_at, now()) WHERE id = %s", (state, run))
        with pytest.raises(psycopg.errors.CheckViolation, match="CUT does not become OPEN"):
            upgraded.execute("UPDATE run SET state = 'OPEN' WHERE id = 3")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            upgraded.execute("UPDATE run SET opened_by = 'eve' WHERE id = 3")
    finally:
        upgraded.execute("RESET ROLE")


def test_a_token_that_might_seal_may_cut(upgraded: psycopg.Connection[Any]) -> None:
    rows = upgraded.execute("SELECT name, acts FROM token_scope ORDER BY name").fetchall()
    assert [tuple(row) for row in rows] == [("producer", ["look", "cut", "send"]), ("reader", ["look"])]


def test_rows_keep_their_run(upgraded: psycopg.Connection[Any]) -> None:
    (decision,) = upgraded.execute("SELECT stream, run FROM gate_decision").fetchall()
    assert tuple(decision) == ("flights", "2013-01")
    for table in ("batch", "event", "event_p0", "effect", "effect_p0", "quarantine_item", "verdict"):
        rows = upgraded.execute(f"SELECT r.name FROM {table} x JOIN run r ON r.id = x.run_id").fetchall()
        assert [row.name for row in rows] == ["2013-01"], table


def test_functions_of_before_speak_of_the_columns_of_now(upgraded: psycopg.Connection[Any]) -> None:
    """A function's body is text to PostgreSQL: it renames no column in it, and nothing fails before it is called."""
    words = r"\y(run_number|sealed_at|r\.run_id|SEALED)\y"
    rows = upgraded.execute("SELECT proname FROM pg_proc WHERE prosrc ~ %s ORDER BY 1", (words,)).fetchall()
    assert [row.proname for row in rows] == ["verdict_checks"], "there it is a check's name, of what will be signed"
    upgraded.execute("SET ROLE passgate_app")
    try:
        upgraded.execute("SELECT ensure_run_partitions(16), door_turn(1)")
        upgraded.execute("UPDATE quarantine_item SET seen = seen + 1")
        upgraded.execute("SELECT * FROM window_context")
        with pytest.raises(psycopg.errors.CheckViolation, match="a quarantine item keeps what arrived"):
            upgraded.execute("RESET ROLE; UPDATE quarantine_item SET run_id = 2")
    finally:
        upgraded.execute("RESET ROLE")


def test_contracts_say_how_many_approvals_they_ask_for(upgraded: psycopg.Connection[Any]) -> None:
    rows = upgraded.execute("SELECT approvals FROM contract ORDER BY id").fetchall()
    assert [row.approvals for row in rows] == [1, 3, 2, 1], "as their text does; one that cannot be read asks for one"
    with pytest.raises(psycopg.errors.CheckViolation):
        upgraded.execute("UPDATE contract SET approvals = 1")


def test_a_plan_that_was_approved_has_its_approval_as_a_row(upgraded: psycopg.Connection[Any]) -> None:
    rows = upgraded.execute("SELECT plan_id, ordinal, who, person, why, at::date::text AS day FROM plan_approval")
    assert [tuple(row) for row in rows.fetchall()] == [(1, 1, "bo", "user:bo", "fine", "2026-01-31")]
