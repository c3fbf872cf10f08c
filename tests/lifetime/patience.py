"""A test's own calls while parts are away: tried again, as a person would."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, TypeVar

from django.db import InterfaceError, OperationalError, connection

from audit.fsck import fsck
from ingest.core.errors import BrokerError
from ingest.db import DatabaseGone
from tests.flow.world import Flow, thing

T = TypeVar("T")


def patiently(call: Callable[[], T], seconds: float = 90) -> T:
    """`call`, again and again while PostgreSQL or Kafka does not answer."""
    until = time.monotonic() + seconds
    while True:
        try:
            return call()
        except (DatabaseGone, BrokerError, OperationalError, InterfaceError):
            connection.close()
            if time.monotonic() > until:
                raise
            time.sleep(0.3)


class Stretch:
    """A run that receives events while something is done to the parts, and what must be true afterwards."""

    def __init__(self, **settings: Any) -> None:
        self.flow = patiently(lambda: Flow(**{"partitions": 2} | settings))
        patiently(self.flow.open)
        self.events = 0

    def produce(self, events: int = 200) -> None:
        """Each event on both partitions, so that each is admitted once and is a duplicate once."""
        values = [thing(n) for n in range(self.events, self.events + events)]
        for partition in (0, 1):
            self.flow.produce(values, partition=partition)
        self.events += events

    def applied(self) -> int:
        return patiently(lambda: self.flow.count("effect"))

    def wait_applied(self, at_least: int, seconds: float = 90) -> None:
        until = time.monotonic() + seconds
        while self.applied() < at_least:
            assert time.monotonic() < until, (self.applied(), at_least, self.lanes())
            time.sleep(0.2)

    def lanes(self) -> list[tuple[Any, ...]]:
        statement = (
            "SELECT p.lane, p.next_offset, p.owner, p.stopped_code, p.stopped_detail FROM position p"
            " JOIN stream s ON s.id = p.stream_id WHERE s.name = %(name)s"
        )
        return [tuple(row) for row in patiently(lambda: self.flow.rows(statement))]

    def ends_whole(self, seconds: float = 120) -> None:
        """Cut; judged PASS by the workers themselves; nothing lost, nothing doubled, fsck clean."""
        patiently(self.flow.cut)
        until = time.monotonic() + seconds
        while self.verdict() != "PASS":
            assert time.monotonic() < until, (self.verdict(), self.lanes(), patiently(self.flow.attempts))
            time.sleep(0.3)
        decisions = self.flow.decisions()
        assert (decisions.count("ADMITTED"), decisions.count("DUPLICATE")) == (self.events, self.events)
        assert self.applied() == self.events
        assert [str(x) for x in fsck(stream=self.flow.name)] == []

    def verdict(self) -> str:
        statement = (
            "SELECT v.state FROM verdict v JOIN run r ON r.id = v.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE s.name = %(name)s ORDER BY v.number DESC LIMIT 1"
        )
        rows = patiently(lambda: self.flow.rows(statement))
        return str(rows[0].state) if rows else "none"
