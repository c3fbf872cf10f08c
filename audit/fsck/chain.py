"""The audit log: its rows follow one another, its head is its last row, and what it says was done is what is there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from audit.core.finding import Finding, Said
from audit.fsck.looking import MOST, PAGE, Check, Scope, in_sql, rows
from ingest.auditlog import chained, digest_of, stamp
from ingest.db import statements

sql = statements("audit.fsck", "chain")

FIRST = bytes(32)
"""The digest that the first row of the audit log names as the one before it: 32 zero bytes."""


@dataclass(frozen=True)
class Head:
    """A row of the log by its number, and the digest that stands on it and on all before it."""

    id: int
    digest: bytes

    def __str__(self) -> str:
        return f"{self.id}:{self.digest.hex()}"


@dataclass(frozen=True)
class Walk:
    """The whole log, walked: how many rows, where it ended, and at most MOST findings."""

    rows: int
    head: Head
    findings: tuple[Finding, ...]


def walk(held: Head | None = None) -> Walk:
    """Digests every row again. `held` is a head that somebody kept elsewhere: the log must still stand on it.

    A log that was written anew from some row on, all digests with it, shows nothing by itself: `held` is what tells.
    """
    head = rows(sql.head, {})[0]
    walker = _Walker(held)
    while page := rows(sql.rows, {"after": walker.head.id, "upto": head.newest, "page": PAGE}):
        walker.over(page)
    walker.end(head)
    return Walk(walker.rows, walker.head, tuple(walker.found[:MOST]))


class _Walker:
    """Where a walk stands, and what it met."""

    def __init__(self, held: Head | None) -> None:
        self.head = Head(0, FIRST)
        self.rows = 0
        self.found: list[Finding] = []
        self._held = held

    def over(self, page: list[Any]) -> None:
        for row in page:
            self._step(row)

    def _step(self, row: Any) -> None:
        if row.id != self.head.id + 1:
            self._say(row.id, f"the row before it is {self.head.id}")
        if bytes(row.previous) != self.head.digest:
            self._say(row.id, "it does not stand on the row before it")
        if _digest(row) != bytes(row.digest):
            self._say(row.id, "what it says does not have the digest stored with it")
        self.head = Head(row.id, bytes(row.digest))
        self.rows += 1
        if self._held and self._held.id == row.id and self._held.digest != self.head.digest:
            self._say(row.id, f"it is {self.head.digest.hex()}, and was {self._held.digest.hex()}")

    def end(self, head: Any) -> None:
        if self.head.id < head.id:
            self._say(head.id, f"the head names it, and the last row is {self.head.id}")
        elif self.head.id == head.id and bytes(head.digest) != self.head.digest:
            self._say(head.id, "the head has another digest than the last row")
        elif self.head.id > head.id:
            self._say(self.head.id, f"the last row, and the head names {head.id}")
        if self._held and self._held.id > self.head.id:
            self._say(self._held.id, f"it was there once, and the last row is {self.head.id}")

    def _say(self, number: int, text: str) -> None:
        self.found.append(Finding("AUDIT", f"audit log row {number}", text))


def _digest(row: Any) -> bytes:
    said = chained(row.id, stamp(row.at), row.actor, row.act, row.subject, row.reason, row.refused, row.detail)
    return digest_of(said, bytes(row.previous))


def _chain(scope: Scope) -> Iterator[Said]:
    """The log is of all streams: whoever asks about one of them is not told of it."""
    if scope.stream is None:
        yield from walk().findings


CHECKS = (
    Check("audit_chain", "AUDIT", _chain),
    in_sql("acts", "AUDIT", sql.acts),
)
