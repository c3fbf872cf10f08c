"""The database's own refusals: each test tries to cheat, as the role that would, and is told by name (I5, I6, I9, S8)."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

ROLES = {
    "owner": ("PASSGATE_OWNER_URL", "passgate_owner"),
    "app": ("DATABASE_URL", "passgate_app"),
    "auditor": ("PASSGATE_AUDITOR_URL", "passgate_auditor"),
    "reader": ("PASSGATE_READER_URL", "passgate_reader"),
}


@contextmanager
def as_role(role: str) -> Iterator[psycopg.Cursor[Any]]:
    """A session as this role; whatever it did is rolled back."""
    url, name = ROLES[role]
    with psycopg.connect(os.environ[url], options=f"-c role={name}") as connection:
        with connection.cursor() as cur:
            yield cur
        connection.rollback()


def refusal(cur: psycopg.Cursor[Any], statement: str, values: tuple[Any, ...] = ()) -> str:
    """The constraint or the error class that refused; fails if nothing did."""
    try:
        cur.execute(statement, values)
        cur.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        return error.diag.constraint_name or type(error).__name__
    raise AssertionError(f"was allowed: {statement}")


D = "decode(repeat('ab', 32), 'hex')"

# A small ledger, made by the owner inside a transaction that is rolled back.
WORLD = f"""
INSERT INTO stream (id, name) OVERRIDING SYSTEM VALUE VALUES (-1, 'cheat');
INSERT INTO contract (id, stream_id, version, digest, source_text, files, loaded_by) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, 1, {D}, '', '{{}}', 'test');
INSERT INTO run (id, stream_id, name, contract_id, state, opened_by) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, 'a', -1, 'OPEN', 'test'), (-2, -1, 'b', -1, 'CUT', 'test');
INSERT INTO run_window (id, run_id, number, contract_id, state, revision) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, 1, -1, 'OPEN', 0), (-2, -2, 1, -1, 'CUT', 3);
INSERT INTO source (id, stream_id, role, kind, cluster_id, topic_id, topic, partition) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, 'inbox', 'topic', 'c', 't', 'inbox', 0), (-2, -1, 'bus', 'topic', 'c', 'u', 'bus', 0);
INSERT INTO window_range (win, source_id, start_offset, end_offset) VALUES (-1, -1, 0, NULL), (-2, -2, 0, 10);
INSERT INTO position (lane, source_id, stream_id, next_offset, fence, owner, cut, win) VALUES
    ('admission', -1, -1, 5, 7, 'me', 20, -1), ('effects', -2, -1, 5, 7, 'me', NULL, NULL);
INSERT INTO batch (id, source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted, duplicates,
                   quarantined, reserialised, bytes, digest, fence, owner) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, -1, -1, -1, 0, 5, 5, 4, 0, 1, 0, 10, {D}, 7, 'me');
INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, payload_digest) VALUES (-1, 0, -1, 1, 0, 0, {D});
INSERT INTO attempt (id, source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events, bytes,
                     state) OVERRIDING SYSTEM VALUE
    VALUES (-1, -1, 'tx', 7, 'me', (SELECT install_id FROM install ORDER BY id DESC LIMIT 1), 'c', 'u', 'bus', 4, 10, 'PREPARED');
INSERT INTO attempt_batch (attempt_id, batch_id, offsets, partitions, live) VALUES (-1, -1, '{{0}}', '{{0}}', true);
INSERT INTO quarantine_item (id, win, run_id, source_id, "offset", batch_id, reason, detail, payload_digest, seen, state)
    OVERRIDING SYSTEM VALUE VALUES (-1, -1, -1, -1, 4, -1, 1, 'not JSON', {D}, 1, 'OPEN');
INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, state, fence)
    VALUES (-2, 0, 5, 'read_committed', 'AT_END', 'CLAIMED', 7);
INSERT INTO place (source_id, "offset", attempt_id, bus_source_id, bus_offset) VALUES (-1, 0, -1, -2, 3);
"""


@pytest.fixture
def world(live: object) -> Iterator[psycopg.Cursor[Any]]:
    """The ledger above, seen by the owner: who passes the triggers' test passes it for every role."""
    with as_role("owner") as cur:
        cur.execute(WORLD)
        yield cur


@pytest.mark.parametrize(
    ("statement", "rule"),
    [
        # append-only, whoever asks
        ("UPDATE receipt SET decision = 2", "append_only"),
        ("DELETE FROM receipt", "append_only"),
        ("TRUNCATE receipt", "append_only"),
        ("UPDATE batch SET records = 6", "append_only"),
        ("DELETE FROM event", "append_only"),
        ("DELETE FROM effect", "append_only"),
        ("UPDATE place SET bus_offset = 4", "append_only"),
        ("DELETE FROM scan", "append_only"),
        ("UPDATE contract SET version = 2", "append_only"),
        ("UPDATE source SET topic_id = 'other'", "append_only"),
        ("DELETE FROM attempt", "append_only"),
        ("DELETE FROM quarantine_item", "append_only"),
        ("DELETE FROM audit_log", "append_only"),
        ("UPDATE verdict SET state = 'PASS'", "append_only"),
        ("DELETE FROM verdict", "append_only"),
        ("UPDATE basis SET generation = 2", "append_only"),
        ("DELETE FROM gate_open", "append_only"),
        # positions
        ("UPDATE position SET fence = 6 WHERE source_id = -1", "position_fence_rises"),
        ("UPDATE position SET owner = 'you' WHERE source_id = -1", "position_new_owner_new_fence"),
        ("UPDATE position SET next_offset = 4 WHERE source_id = -1", "position_never_back"),
        ("UPDATE position SET next_offset = 21 WHERE source_id = -1", "position_cut_not_crossed"),
        ("UPDATE position SET cut = 30 WHERE source_id = -1", "position_cut_stands"),
        ("UPDATE position SET cut = NULL WHERE source_id = -1", "position_cut_stands"),
        ("UPDATE position SET cut = 4 WHERE source_id = -2", "position_cut_not_behind"),
        ("UPDATE position SET next_offset = 6, fence = 8 WHERE source_id = -1", "position_one_step"),
        ("UPDATE position SET next_offset = 6 WHERE source_id = -1", "position_move_explained"),
        ("UPDATE position SET next_offset = 6 WHERE source_id = -2", "position_move_explained"),
        # runs and windows
        ("INSERT INTO run (stream_id, name, contract_id, state, opened_by) VALUES (-1, 'c', -1, 'OPEN', 'x')", "run_one_open"),
        ("INSERT INTO run (stream_id, name, contract_id, state, opened_by) VALUES (-1, 'b', -1, 'CUT', 'x')", "run_name_unique"),
        ("UPDATE run SET state = 'OPEN' WHERE id = -2", "run_transition"),
        ("UPDATE run SET name = 'z' WHERE id = -1", "run_fixed"),
        ("UPDATE run_window SET state = 'OPEN' WHERE id = -2", "window_transition"),
        ("UPDATE run_window SET revision = 2 WHERE id = -2", "window_revision_rises"),
        ("UPDATE window_range SET end_offset = 11 WHERE win = -2", "window_range_fixed"),
        ("UPDATE window_range SET start_offset = 1 WHERE win = -1", "window_range_fixed"),
        # S8: a batch that names run a and lies under run b's window
        (
            "INSERT INTO batch (source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted,"
            " duplicates, quarantined, reserialised, bytes, digest, fence, owner)"
            f" VALUES (-1, -2, -1, -1, 5, 6, 1, 1, 0, 0, 0, 1, {D}, 7, 'me')",
            "batch_window_run_fk",
        ),
        (
            "INSERT INTO batch (source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted,"
            " duplicates, quarantined, reserialised, bytes, digest, fence, owner)"
            f" VALUES (-1, -1, -1, -1, 5, 6, 1, 1, 1, 0, 0, 1, {D}, 7, 'me')",
            "batch_counts_balance",
        ),
        (
            "INSERT INTO batch (source_id, win, run_id, contract_id, from_offset, to_offset, records, admitted,"
            " duplicates, quarantined, reserialised, bytes, digest, fence, owner)"
            f" VALUES (-1, -1, -1, -1, 0, 6, 1, 1, 0, 0, 0, 1, {D}, 7, 'me')",
            "batch_from_unique",
        ),
        (f'INSERT INTO receipt (source_id, "offset", batch_id, decision, reason, flags, payload_digest) VALUES (-1, 0, -1, 1, 0, 0, {D})', "receipt_pkey"),
        # attempts: what was PREPARED stands, states go one way, and I6
        ("UPDATE attempt SET events = 5 WHERE id = -1", "attempt_fixed"),
        ("UPDATE attempt SET state = 'ABSENT' WHERE id = -1", "attempt_transition"),
        ("UPDATE attempt SET state = 'UNKNOWN' WHERE id = -1; UPDATE attempt SET state = 'ACKED' WHERE id = -1", "attempt_needs_fence_evidence"),
        ("UPDATE attempt SET state = 'UNKNOWN' WHERE id = -1; UPDATE attempt SET state = 'ABSENT' WHERE id = -1", "attempt_needs_fence_evidence"),
        (
            "UPDATE attempt SET state = 'UNKNOWN' WHERE id = -1;"
            "INSERT INTO scan (attempt_id, fence, fenced_at, asked_by, started_at, ended_at, answer, expected, found, partitions)"
            " VALUES (-1, 7, now(), 'x', now(), now(), 'ABSENT', 4, 0, '[]');"
            "UPDATE attempt SET state = 'ABSENT' WHERE id = -1",
            "attempt_needs_fence_evidence",
        ),
        (
            "INSERT INTO scan (attempt_id, fence, fenced_at, asked_by, started_at, ended_at, answer, expected, found, partitions)"
            " VALUES (-1, 8, now(), 'x', now() - interval '1 s', now(), 'ABSENT', 4, 0, '[]')",
            "scan_after_fence",
        ),
        (
            "INSERT INTO attempt (source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events,"
            " bytes, state) VALUES (-1, 'tx', 8, 'me', (SELECT install_id FROM install ORDER BY id DESC LIMIT 1), 'c', 'u', 'bus', 4, 10, 'PREPARED')",
            "attempt_one_unsettled",
        ),
        (
            "INSERT INTO attempt (source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events,"
            " bytes, state) VALUES (-1, 'ty', 8, 'me', (SELECT install_id FROM install ORDER BY id DESC LIMIT 1), 'c', 'u', 'bus', 4, 10, 'ACKED')",
            "attempt_starts_prepared",
        ),
        # quarantine: what arrived stands; a resolution names a person and a reason, once
        ("UPDATE quarantine_item SET value = 'x' WHERE id = -1", "quarantine_item_fixed"),
        ("UPDATE quarantine_item SET seen = 0 WHERE id = -1", "quarantine_item_fixed"),
        ("UPDATE quarantine_item SET state = 'RESOLVED' WHERE id = -1", "quarantine_resolution_names_person_and_reason"),
        (
            "UPDATE quarantine_item SET state = 'RESOLVED', resolution = 'DISCARDED', resolved_by = 'ana', resolved_reason = ' ',"
            " resolved_at = now() WHERE id = -1",
            "quarantine_resolution_names_person_and_reason",
        ),
        # gaps begin as claims of the lane that moves over them, and are proven once, by another connection
        ("INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, state, fence, proof)"
         " VALUES (-1, 4, 5, 'read_committed', 'AT_END', 'PROVEN', 7, '{\"read_to\": 5}')", "gap_starts_claimed"),
        ("INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence)"
         " VALUES (-1, 4, 5, 'read_committed', 'AT_END', 6)", "gap_claimed_by_its_lane"),
        ("INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, fence)"
         " VALUES (-1, 5, 6, 'read_committed', 'AT_END', 7)", "gap_claimed_by_its_lane"),
        ("UPDATE gap SET state = 'PROVEN', proof = '{\"read_to\": 5}' WHERE source_id = -2", "gap_claimer_does_not_prove"),
        ("UPDATE gap SET claimed_backend = 0 WHERE source_id = -2", "gap_transition"),
        ("UPDATE gap SET to_offset = 9 WHERE source_id = -2", "gap_transition"),
        # the audit log grows at its head, and its head moves with it
        (f"INSERT INTO audit_log (id, at, actor, act, subject, reason, detail, previous, digest)"
         f" SELECT last_id + 2, now(), 'x', 'x', 'x', '', '{{}}', digest, {D} FROM audit_head", "audit_row_at_head"),
        (f"INSERT INTO audit_log (id, at, actor, act, subject, reason, detail, previous, digest)"
         f" SELECT last_id + 1, now(), 'x', 'x', 'x', '', '{{}}', {D}, {D} FROM audit_head", "audit_row_at_head"),
        (f"INSERT INTO audit_log (id, at, actor, act, subject, reason, detail, previous, digest)"
         f" SELECT last_id + 1, now(), 'x', 'x', 'x', '', '{{}}', digest, {D} FROM audit_head", "audit_head_moved"),
        (f"UPDATE audit_head SET digest = {D}", "audit_head_on_row"),
        (f"UPDATE audit_head SET last_id = last_id + 1, digest = {D}", "audit_head_on_row"),
        # a log is followed by another one from where it was cut, below where its lane stands
        ("INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition, incarnation)"
         " VALUES (-1, 'inbox', 'topic', 'c', 't', 'inbox', 0, 2)", "source_follows_log"),
        ("INSERT INTO retirement (source_id, why) VALUES (-1, 'x');"
         "INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition, incarnation)"
         " VALUES (-1, 'inbox', 'topic', 'c', 't', 'inbox', 0, 2)", "source_follows_log"),
        ("INSERT INTO retirement (source_id, why, kept_to) VALUES (-1, 'x', 4);"
         "INSERT INTO source (stream_id, role, kind, cluster_id, topic_id, topic, partition, incarnation)"
         " VALUES (-1, 'inbox', 'topic', 'c', 't', 'inbox', 0, 3)", "source_follows_log"),
        ("INSERT INTO retirement (source_id, why, kept_to) VALUES (-1, 'x', 5)", "retirement_of_a_cut_log"),
        ("INSERT INTO retirement (source_id, why, kept_to) VALUES (-2, 'x', 1)", "retirement_of_a_cut_log"),
        ("INSERT INTO retirement (source_id, why, kept_to) VALUES (-1, 'x', -1)", "retirement_kept_to"),
        # the gate follows a standing PASS of that window
        ("INSERT INTO gate_open (win, verdict_id, open_until) VALUES (-2, 1, now() + interval '1 h')", "gate_follows_pass"),
    ],
)  # fmt: skip
def test_is_refused_to_the_owner_too(world: psycopg.Cursor[Any], statement: str, rule: str) -> None:
    *first, last = statement.split(";")
    for step in first:
        world.execute(step)
    assert refusal(world, last) == rule


def test_a_batch_frees_its_attempt_only_when_absent(world: psycopg.Cursor[Any]) -> None:
    second = (
        "INSERT INTO attempt (id, source_id, transactional_id, fence, owner, install_id, cluster_id, topic_id, topic, events,"
        " bytes, state) OVERRIDING SYSTEM VALUE"
        " VALUES (-9, -1, 'other', 9, 'me', (SELECT install_id FROM install ORDER BY id DESC LIMIT 1), 'c', 'u', 'bus', 4, 10, 'PREPARED')"
    )
    carry = "INSERT INTO attempt_batch (attempt_id, batch_id, offsets, partitions, live) VALUES (-9, -1, '{0}', '{0}', true)"
    world.execute(second)
    world.execute("SAVEPOINT before")
    assert refusal(world, carry) == "attempt_batch_one_live"
    world.execute("ROLLBACK TO before")
    world.execute("UPDATE attempt SET state = 'UNKNOWN', unknown_at = now() WHERE id = -1")
    world.execute(
        "INSERT INTO scan (attempt_id, fence, fenced_at, asked_by, started_at, ended_at, answer, expected, found, partitions)"
        " VALUES (-1, 8, now(), 'x', now(), now(), 'ABSENT', 4, 0, '[]')"
    )
    world.execute("UPDATE attempt SET state = 'ABSENT', settled_at = now() WHERE id = -1")
    world.execute(carry)


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("app", "UPDATE receipt SET decision = 2"),
        ("app", "DELETE FROM event"),
        ("app", "TRUNCATE effect"),
        ("app", "UPDATE attempt SET events = 0"),
        ("app", "UPDATE run SET name = 'other'"),
        ("app", "UPDATE quarantine_item SET value = NULL"),
        ("app", "UPDATE verdict SET state = 'PASS'"),
        ("app", "DELETE FROM audit_log"),
        ("app", "CREATE TABLE public.mine (x integer)"),
        ("app", "ALTER TABLE receipt DISABLE TRIGGER append_only"),
        ("app", "SET ROLE passgate_owner"),
        ("auditor", "INSERT INTO stream (name) VALUES ('x')"),
        ("auditor", "UPDATE position SET fence = 99"),
        ("reader", "SELECT * FROM receipt"),
        ("reader", "SELECT * FROM event"),
        ("reader", "SELECT verdict_id FROM gate_open"),
        ("reader", "INSERT INTO gate_open (win, verdict_id, open_until) VALUES (1, 1, now())"),
        ("reader", "SELECT ensure_run_partitions(1)"),
    ],
)
def test_has_no_right(live: object, role: str, statement: str) -> None:
    with as_role(role) as cur:
        assert refusal(cur, statement) == "InsufficientPrivilege"


def test_the_auditor_reads_the_ledger(live: object) -> None:
    with as_role("auditor") as cur:
        for table in ("receipt", "batch", "event", "attempt", "verdict", "audit_log", "gate_decision"):
            cur.execute(f"SELECT 1 FROM {table} LIMIT 1")


def test_a_leaf_is_guarded_like_its_parent(world: psycopg.Cursor[Any]) -> None:
    """Statement triggers are not inherited by partitions, and COPY names the leaf."""
    world.execute("SELECT ensure_run_partitions(1000000)")
    for leaf in ("event_p62500", "effect_p62500"):
        world.execute("SAVEPOINT before")
        assert refusal(world, f"DELETE FROM {leaf}") == "append_only"
        world.execute("ROLLBACK TO before")


def test_every_ledger_table_has_a_guard(live: object) -> None:
    """A new table that nobody guarded shows here: all but the queues are append-only or never deleted from."""
    free = {
        "publish_queue",
        "permit",
        "sample",
        "enforcement",
        "idempotency_key",
        "token_scope",
        "kept_facts",
        "refusal",
        "worker_process",
    }
    with as_role("owner") as cur:
        cur.execute(
            "SELECT c.relname FROM pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')"
            " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'append_only')"
        )
        unguarded = {name for (name,) in cur.fetchall()}
    others = {n for n in unguarded if n.startswith(("auth_", "django_", "knox_", "console_"))}
    assert unguarded - others == free
