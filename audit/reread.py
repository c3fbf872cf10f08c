"""Reads inbox and bus again with a consumer of its own and holds them against the ledger, as an auditor would.

A log that is no longer there (its topic created again, its start moved) cannot be read again; what can be is compared.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from audit.capture import admin
from ingest.core.attempt import Mark, digest_of, read_mark
from ingest.core.cloudevents import digest_as_said
from ingest.core.errors import BrokerError
from ingest.core.group import group_of
from ingest.db import read, statements
from ingest.install import install_id
from ingest.kafka import Chunk, Cluster, LogEnds, Partition, PartitionReader, Start

sql = statements("audit", "reread")

SILENCE = 20.0
MOST = 20


@dataclass(frozen=True)
class Difference:
    invariant: str
    subject: str
    found: str


def differences(stream: str | None) -> list[Difference]:
    """Everything in which Kafka and the ledger do not agree, at most 20 of each source."""
    with read() as cur:
        rows = cur.execute(sql.sources, {"stream": stream}).fetchall()
    found: list[Difference] = []
    for row in rows:
        try:
            found += _source(row)
        except BrokerError as error:
            found.append(Difference("I14", _name(row), f"could not be read again: {error}"))
    return found


def _name(row: Any) -> str:
    return f"{row.topic}/{row.partition}"


def _source(row: Any) -> list[Difference]:
    """The commit is asked for before the position, and the LSO after it: each may only grow."""
    if admin().topic_id(row.topic) != row.topic_id:
        return []
    group = group_of(install_id(), row.stream)
    committed = admin().committed(group, row.topic, [row.partition])[row.partition].offset
    position = _position(row)
    end = admin().ends(row.topic, [row.partition])[row.partition]
    found = _i4(row, committed, position, end)
    start = max(row.start_offset, end.earliest or 0)
    if start < position and position <= (end.lso or 0):
        compare = _Inbox(row) if row.lane == "admission" else _Bus(row)
        for chunk in _chunks(row, start, position):
            found += compare.chunk(chunk)
        found += compare.rest(start, position)
    return found[:MOST]


def _position(row: Any) -> int:
    with read() as cur:
        found: Any = cur.execute(sql.position, {"lane": row.lane, "source": row.id}).fetchone()
    return int(found.next_offset)


def _i4(row: Any, committed: int | None, position: int, end: LogEnds) -> list[Difference]:
    found = []
    if committed is not None and committed > position:
        found.append(Difference("I4", _name(row), f"Kafka's commit {committed} is ahead of the position {position}"))
    if end.lso is not None and end.hw is not None and position > end.hw:
        found.append(Difference("I4", _name(row), f"the position {position} is ahead of the log's end {end.hw}"))
    return found


def _chunks(row: Any, start: int, end: int) -> Iterator[Chunk]:
    """Pieces that tile [start, end); a log that says nothing for 20 s is an error."""
    here, at = Partition(row.topic, row.partition), start
    heard = time.monotonic()
    with PartitionReader(Cluster.from_settings(), fetch_wait=0.02) as reader:
        reader.assign([Start(row.topic, row.partition, start)])
        while at < end:
            chunk = reader.read(2000, 0.2).get(here)
            if chunk is not None and chunk.moved():
                at, heard = chunk.next_offset, time.monotonic()
                yield _until(chunk, end)
            if chunk is not None and chunk.fault is not None:
                raise chunk.fault
            if time.monotonic() - heard > SILENCE:
                raise BrokerError(expected=f"records of {_name(row)} up to {end}", found=f"nothing after {at}")


def _until(chunk: Chunk, end: int) -> Chunk:
    chunk.records = [record for record in chunk.records if record.offset < end]
    chunk.next_offset = min(chunk.next_offset, end)
    return chunk


class _Inbox:
    """I14: what an independent reader is given has a receipt with the same digest, and nothing else has."""

    def __init__(self, row: Any) -> None:
        self._row = row

    def chunk(self, chunk: Chunk) -> list[Difference]:
        values = {"source": self._row.id, "start": chunk.start, "end": chunk.next_offset}
        with read() as cur:
            rows = cur.execute(sql.receipts, values, binary=True).fetchall()
        kept = {row.offset: bytes(row.payload_digest) for row in rows}
        given = {r.offset: digest_as_said(r.value, r.headers, kept.get(r.offset)) for r in chunk.records}
        return [*self._compare(given, kept)]

    def _compare(self, given: Mapping[int, bytes], kept: Mapping[int, bytes]) -> Iterator[Difference]:
        for offset in sorted(given.keys() | kept.keys()):
            if offset not in kept:
                yield self._say(offset, "a record without receipt")
            elif offset not in given:
                yield self._say(offset, "a receipt without record")
            elif given[offset] != kept[offset]:
                yield self._say(offset, "the receipt's digest is not the record's")

    def _say(self, offset: int, text: str) -> Difference:
        return Difference("I14", f"{_name(self._row)}@{offset}", text)

    def rest(self, start: int, end: int) -> list[Difference]:
        return []


class _Bus:
    """I1: every place is a record with that identity and digest. I7: no record is of an attempt proven ABSENT."""

    def __init__(self, row: Any) -> None:
        self._row = row
        self._met = 0
        self._install = str(install_id())

    def chunk(self, chunk: Chunk) -> list[Difference]:
        marks = {record.offset: read_mark(record.headers) for record in chunk.records}
        ours = {o: m for o, m in marks.items() if isinstance(m, Mark) and m.install == self._install}
        digests = {record.offset: digest_of(record.value, record.headers) for record in chunk.records}
        attempts = sorted({mark.attempt for mark in ours.values()})
        values = {"bus": self._row.id, "start": chunk.start, "end": chunk.next_offset, "attempts": attempts}
        with read() as cur:
            places = {row.bus_offset: row for row in cur.execute(sql.places, values, binary=True).fetchall()}
            absent = {row.id for row in cur.execute(sql.absent, {"attempts": attempts}).fetchall()}
        self._met += len(places)
        return [*self._compare(ours, digests, places), *self._absent(ours, absent)]

    def _compare(
        self, ours: Mapping[int, Mark], digests: Mapping[int, bytes], places: Mapping[int, Any]
    ) -> Iterator[Difference]:
        for offset, place in sorted(places.items()):
            mark = ours.get(offset)
            if mark is None:
                yield self._say("I1", offset, "a place without a record of ours")
            elif (mark.identity, digests[offset]) != (bytes(place.identity), bytes(place.payload_digest)):
                yield self._say("I1", offset, "the record is not the event that was placed there")

    def _absent(self, ours: Mapping[int, Mark], absent: set[int]) -> Iterator[Difference]:
        for offset, mark in sorted(ours.items()):
            if mark.attempt in absent:
                yield self._say("I7", offset, f"a record of attempt {mark.attempt}, which was proven ABSENT")

    def _say(self, invariant: str, offset: int, text: str) -> Difference:
        return Difference(invariant, f"{_name(self._row)}@{offset}", text)

    def rest(self, start: int, end: int) -> list[Difference]:
        """Places whose record was not met at all: their attempts did not appear near them."""
        with read() as cur:
            row = cur.execute(sql.placed, {"bus": self._row.id, "start": start, "end": end}).fetchone()
        placed = int(row.n) if row else 0
        if placed == self._met:
            return []
        return [Difference("I1", _name(self._row), f"{placed} places in [{start}, {end}), {self._met} of them met")]
