"""One test that takes too long is one failure, not one for every test after it."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import pytest
from django.db import DatabaseError, connection

from stack import Stack
from tests.cut_off import let_go_of_a_cut_off_query


class _OverTime(Exception):
    """What a time limit raises, by a signal, wherever the test is."""


@pytest.fixture
def soon(live: Stack) -> Iterator[None]:
    def over(number: int, frame: object) -> None:
        raise _OverTime

    before = signal.signal(signal.SIGUSR1, over)
    yield
    signal.signal(signal.SIGUSR1, before)


def test_a_query_cut_off_leaves_no_dead_connection(soon: None) -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGUSR1)).start()
    with pytest.raises(_OverTime), connection.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    with pytest.raises(DatabaseError), connection.cursor() as cursor:
        cursor.execute("SELECT 1")
    let_go_of_a_cut_off_query()
    with connection.cursor() as cursor:
        assert cursor.execute("SELECT 1").fetchone() == (1,)
