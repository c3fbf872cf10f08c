"""S21: long idle times and connection churn.

Thirty idle minutes are what they do to connections: servers and everything between close what nobody uses. Here both
servers close after 2 s of silence (`idle_session_timeout`, `connections.max.idle.ms`), several times over; that nothing
else happens in half an hour of idling (leaks, timers) is not shown by it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator

import psycopg
import pytest

from stack import Stack
from stack import kafka as kafka_part
from tests.lifetime.patience import Stretch

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


@pytest.fixture
def impatient(serving: Stack) -> Iterator[Stack]:
    """PostgreSQL and Kafka close connections that were silent for 2 s; afterwards they are as they were."""
    properties = kafka_part.PROPERTIES
    kafka_part.PROPERTIES = properties + "connections.max.idle.ms=2000\n"
    serving.restart("kafka")
    configure(serving, "ALTER SYSTEM SET idle_session_timeout = '2s'")
    yield serving
    configure(serving, "ALTER SYSTEM RESET idle_session_timeout")
    kafka_part.PROPERTIES = properties
    serving.restart("kafka")


def configure(stack: Stack, statement: str) -> None:
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as connection:
        connection.execute(statement)
        connection.execute("SELECT pg_reload_conf()")


def test_after_idle_times_the_flow_goes_on_at_once(impatient: Stack) -> None:
    run = Stretch()
    for _ in range(3):
        run.produce(50)
        run.wait_applied(run.events, seconds=40)
        time.sleep(5)
    assert [code for _, _, _, code, _ in run.lanes() if code] == []
    run.ends_whole()


def test_connections_that_are_ended_all_the_time_cost_nothing_but_time(serving: Stack) -> None:
    """Every session of the application is ended five times a second, wherever it is, while events come in."""
    run = Stretch()
    ended: list[int] = []
    over = threading.Event()
    churn = threading.Thread(target=end_sessions, args=(serving.env()["PASSGATE_ADMIN_URL"], over, ended))
    churn.start()
    try:
        until = time.monotonic() + 90
        while sum(ended) < 12:
            assert time.monotonic() < until, f"only {sum(ended)} sessions were there to be ended"
            run.produce(50)
            time.sleep(0.5)
    finally:
        over.set()
        churn.join()
    run.produce(100)
    run.ends_whole()


def end_sessions(url: str, over: threading.Event, ended: list[int]) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        while not over.wait(0.2):
            row = connection.execute(
                "SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) FROM pg_stat_activity"
                " WHERE usename = 'passgate_login_app'"
            ).fetchone()
            ended.append(row[0] if row else 0)
