"""Attempts that are LOST by nobody's word, and covers that stand on a bus that is gone: refused by name, or found."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from django.db import transaction

from audit import close
from audit.core import facts as f
from ingest.db import ConstraintViolated
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.cheats.test_plans import refused
from tests.database.test_refusals import as_role
from tests.flow.world import Flow
from tests.plans.crowd import Crowd
from tests.plans.test_cover import win_of
from tests.plans.test_lost import failed, goes_on, lost, proven, published_again
from tests.plans.test_replay import replayed

Approved = tuple[Flow, int, int]


@pytest.fixture(autouse=True)
def brisk(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


@pytest.fixture
def app() -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


_made: list[tuple[Flow, int, int, Crowd]] = []


@pytest.fixture
def approved(live: object) -> Approved:
    """A window that failed since its bus was created again, its attempt, and an approved plan that says it is lost."""
    if not _made:
        crowd, flow = Crowd(), Flow()
        failed(flow)
        goes_on(flow)
        number = lost(crowd, flow)
        (row,) = flow.rows(
            "SELECT DISTINCT ab.attempt_id AS id FROM attempt_batch ab JOIN batch b ON b.id = ab.batch_id WHERE b.win = %(w)s",
            w=win_of(flow),
        )
        _made.append((flow, row.id, number, crowd))
    flow, attempt, number, _ = _made[0]
    return flow, attempt, number


LOSE = (
    "INSERT INTO attempt_loss (attempt_id, plan, cluster_id, topic, topic_id, found_topic_id, seen_at, measured_at, requested_by, approved_by, reason)"
    " SELECT {attempt}, p.id, a.cluster_id, {topic}, {topic_id}, {found}, {seen}, {measured}, p.requested_by, {by}, p.reason"
    " FROM plan p, attempt a WHERE p.id = %s AND a.id = %s"
)


def loss(**other: str) -> str:
    honest = {
        "attempt": "a.id", "topic": "a.topic", "topic_id": "a.topic_id", "found": "bus_after(a.id)",
        "seen": "transaction_timestamp() - interval '1 s'", "measured": "clock_timestamp()", "by": "p.approved_by",
    }  # fmt: skip
    return LOSE.format(**honest | other)


RUN = "UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s"
END = "UPDATE attempt SET state = 'LOST' WHERE id = %s"


def test_a_loss_that_is_not_its_plan_s(app: psycopg.Cursor[Any], approved: Approved) -> None:
    flow, attempt, number = approved
    assert refused(app, END, attempt) == "attempt_lost_by_plan"
    assert refused(app, loss(), number, attempt) == "loss_of_its_plan"  # approved, and it does not run
    app.execute(RUN, (number,))
    of_r2 = f"(SELECT max(x.id) FROM attempt x WHERE x.topic_id = '{topic_now(flow)}')"
    for other, rule in (
        ({"by": "'somebody'"}, "loss_of_its_plan"),
        ({"attempt": of_r2}, "loss_of_its_plan"),  # another window's, on a bus that is there
        ({"topic_id": "'another'"}, "loss_of_a_bus_that_is_gone"),
        ({"topic": "'another'"}, "loss_of_a_bus_that_is_gone"),
        ({"found": "'another'"}, "loss_of_a_bus_that_is_gone"),
        ({"found": "a.topic_id"}, "loss_of_a_bus_that_is_gone"),
        ({"seen": "clock_timestamp() - interval '11 min'"}, "loss_measured_now"),
        ({"measured": "transaction_timestamp() - interval '1 ms'"}, "loss_measured_now"),
        ({"measured": "clock_timestamp() + interval '1 min'"}, "loss_measured_now"),
        ({"seen": "clock_timestamp()", "measured": "transaction_timestamp()"}, "loss_measured_now"),
    ):
        assert refused(app, loss(**other), number, attempt) == rule, other
    app.execute(loss(), (number, attempt))
    assert refused(app, loss(), number, attempt) == "attempt_loss_pkey"
    app.execute(END, (attempt,))
    assert refused(app, "UPDATE attempt SET state = 'ACKED' WHERE id = %s", attempt) == "attempt_transition"
    app.connection.rollback()


def topic_now(flow: Flow) -> str:
    return str(flow.admin.topic_id(flow.bus))


def test_what_is_lost_is_queued_by_its_plan_alone(app: psycopg.Cursor[Any], approved: Approved) -> None:
    _, attempt, number = approved
    queue = (
        "INSERT INTO publish_queue (batch_id, source_id, from_offset, events, bytes)"
        " SELECT b.id, b.source_id, b.from_offset, b.admitted, b.bytes FROM batch b JOIN attempt_batch ab ON ab.batch_id = b.id"
        " WHERE ab.attempt_id = %s"
    )
    app.execute(RUN, (number,))
    app.execute(loss(), (number, attempt))
    app.execute(END, (attempt,))
    app.execute("UPDATE plan SET state = 'HELD', acted_by = 'me', acted_why = 'x' WHERE id = %s", (number,))
    assert refused(app, queue, attempt) == "republish_of_its_plan"
    app.connection.rollback()


def test_a_bus_that_is_there_loses_nothing(approved: Approved) -> None:
    """Where the ledger knows of no other topic of that name, or has not seen that the one is gone."""
    flow, attempt, _ = approved
    for spoils in (
        f"DELETE FROM retirement WHERE source_id IN (SELECT bus_source_id FROM attempt_partition WHERE attempt_id = {attempt})",
        f"INSERT INTO retirement (source_id, why) SELECT id, 'x' FROM source WHERE topic_id = '{topic_now(flow)}'",
        f"UPDATE source SET cluster_id = 'x' WHERE topic_id = '{topic_now(flow)}'",
        f"UPDATE attempt SET state = 'ABSENT' WHERE id = {attempt}",
    ):
        with _unguarded() as thief:
            assert thief.execute("SELECT bus_after(%s)", (attempt,)).fetchone() == (topic_now(flow),)
            thief.execute(spoils)
            assert thief.execute("SELECT bus_after(%s)", (attempt,)).fetchone() == (None,), spoils


@contextmanager
def _unguarded() -> Iterator[psycopg.Connection[Any]]:
    """Whoever may do everything; rolled back."""
    from tests.conftest import STACK

    with psycopg.connect(STACK.env()["PASSGATE_ADMIN_URL"]) as connection:
        connection.execute("SET session_replication_role = replica")
        yield connection
        connection.rollback()


@pytest.mark.parametrize(
    "statement",
    ["UPDATE attempt_loss SET reason = 'x' WHERE attempt_id = %s", "DELETE FROM attempt_loss WHERE attempt_id = %s"],
)
def test_a_loss_stands_as_it_was_said(app: psycopg.Cursor[Any], statement: str) -> None:
    assert refused(app, statement, 1) == "InsufficientPrivilege"
    with as_role("owner") as cur:
        assert refused(cur, statement, 1) == "append_only"


# ---- what is proven then --------------------------------------------------------------------------------------------


_proven: list[dict[str, Any]] = []


@pytest.fixture
def proven_run(live: object) -> dict[str, Any]:
    """A window whose bus was created again, published again and proven; beside it one that is bound to the lost bus,
    with a rerun that nobody has judged."""
    if not _proven:
        crowd, flow, shut = Crowd(), Flow(), Flow()
        for each in (flow, shut):
            failed(each)
            goes_on(each)
        published_again(crowd, flow)
        assert proven(crowd, flow).verdict.cover.lacks == ()
        replayed(crowd, shut, whole=True)
        shut.work()
        (row,) = flow.rows("SELECT l.attempt_id AS lost FROM attempt_loss l JOIN attempt_batch ab USING (attempt_id) JOIN batch b ON b.id = ab.batch_id WHERE b.win = %(w)s", w=win_of(flow))  # fmt: skip
        _proven.append({"name": flow.name, "win": win_of(flow), "lost": row.lost, "shut": shut, "flow": flow})
    return _proven[0]


STOLEN = [
    Cheat("lost by no plan", "UPDATE attempt_loss SET reason = 'another' WHERE attempt_id = %(lost)s", found="losses", by=SUPERUSER),
    Cheat("lost with another bus", "UPDATE attempt_loss SET topic_id = 'another' WHERE attempt_id = %(lost)s", found="losses", by=SUPERUSER),
    Cheat("a loss of what is not lost", "UPDATE attempt SET state = 'ACKED' WHERE id = %(lost)s", found="losses", by=SUPERUSER),
    Cheat("a loss that is gone", "DELETE FROM attempt_loss WHERE attempt_id = %(lost)s", found="losses", by=SUPERUSER),
    Cheat("lost by one person", "UPDATE plan SET approved_person = requested_person, free_records = 1, free_by_id = (SELECT max(id) FROM contract) WHERE id = (SELECT plan FROM attempt_loss WHERE attempt_id = %(lost)s)", found="losses", by=SUPERUSER),
    Cheat("what was lost counts again", "UPDATE attempt SET state = 'ACKED' WHERE id = %(lost)s", found="places_once", by=SUPERUSER),
    Cheat("a cover that is bound to the bus that is gone", "UPDATE attempt SET state = 'ACKED' WHERE id = %(lost)s", found="covers", by=SUPERUSER),
    Cheat("a window that failed by its inbox, too", "UPDATE verdict SET body = replace(body::text, 'bus was deleted and created', 'inbox was deleted and created')::jsonb WHERE win = %(win)s", found="covers", by=SUPERUSER),
]  # fmt: skip


@pytest.mark.parametrize("cheat", STOLEN, ids=[cheat.id for cheat in STOLEN])
def test_a_stolen_server_is_noticed(proven_run: dict[str, Any], cheat: Cheat) -> None:
    notice(cheat, proven_run)


def test_a_cover_on_a_bus_that_is_gone_is_not_stored(proven_run: dict[str, Any]) -> None:
    flow = proven_run["shut"]
    flow.sample()
    judged = close.judge(win_of(flow, 1))
    assert judged.seen is not None and judged.verdict.title == "PASS"
    said = f.Cover(1, judged.seen.facts.revision, (), events=4, referred=4, effects=4, places=4, batches=1)
    with transaction.atomic():
        with pytest.raises(ConstraintViolated) as refusal, transaction.atomic():
            close.store(replace(judged, verdict=replace(judged.verdict, cover=said)), "eve")
        transaction.set_rollback(True)
    assert refusal.value.constraint == "verdict_covers_window"
    assert "went to a bus that is gone" in str(refusal.value)
