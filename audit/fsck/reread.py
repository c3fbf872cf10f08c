"""Reads inbox and bus again, with another reader than the lanes', and holds them against the ledger.

A log that is no longer there (its topic created again, its start moved on) cannot be read again: what can be is
compared, and the rest is said. Each comparison has a name, by which `fsck` lists it.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import msgspec

from audit.capture import admin
from audit.core.finding import BlindSpot, Finding, Said
from audit.fsck.looking import MOST, rows
from ingest.admit import KEPT_BYTES
from ingest.admit.read_ahead import arrivals_of
from ingest.core.attempt import Mark, read_mark
from ingest.core.decide import Arrival, earlier_identities
from ingest.core.errors import BrokerError
from ingest.core.group import group_of
from ingest.core.identity import payload_digest
from ingest.core.ledger_rows import packed_headers
from ingest.core.reason import Decision, Reason
from ingest.core.record import NotUnderstood
from ingest.db import statements
from ingest.install import install_id
from ingest.kafka import Cluster, LogEnds, LoggedRecord, LogWalk, Partition, Piece, Record
from ingest.streams import CompiledContract, compiled_contract

sql = statements("audit.fsck", "reread")

#: Of the sources themselves, of the inbox, and of the bus: the comparisons' names and the invariants they hold.
OFFSETS = {"kafka_commits": "I4", "kafka_ends": "I4", "kafka_samples": "I4", "gone_again": "I14"}
INBOX = {"records_have_receipts": "I14", "records_understood": "I14", "records_kept": "I14", "gaps_again": "I14"}
BUS = {
    "places_on_the_bus": "I1", "absent_on_the_bus": "I7", "effects_on_the_bus": "I3", "events_on_the_bus": "I1",
    "bus_gaps_again": "I14",
}  # fmt: skip
COMPARISONS: Mapping[str, str] = OFFSETS | INBOX | BUS


def read_again(stream: str | None, names: Collection[str] = tuple(COMPARISONS)) -> Iterator[Said]:
    """Everything in which Kafka and the ledger do not agree, at most 20 of each source; and what is not seen."""
    for source in rows(sql.sources, {"stream": stream}):
        try:
            yield from islice(_source(source, frozenset(names)), MOST)
        except BrokerError as error:
            yield BlindSpot(_name(source), f"it could not be read again: {error}")


def _name(row: Any) -> str:
    return f"{row.topic}/{row.partition}"


def _rows(statement: str, **values: object) -> list[Any]:
    return rows(statement, values, binary=True)


def _source(row: Any, names: frozenset[str]) -> Iterator[Said]:
    """The commit is asked for before the position, and the log's end after it: each may only grow."""
    found = admin().topic_id(row.topic)
    if found != row.topic_id:
        yield BlindSpot(
            _name(row), f"its topic has the id {found}, and had {row.topic_id}" if found else "its topic is gone"
        )
        return
    if row.kept_to is not None:
        yield from _kept(row, names)
        return
    committed = admin().committed(group_of(install_id(), row.stream), row.topic, [row.partition])[row.partition]
    position = int(_rows(sql.position, lane=row.lane, source=row.id)[0].next_offset)
    sampled = _rows(sql.sampled, source=row.id)
    end = admin().ends(row.topic, [row.partition])[row.partition]
    if committed.state == "UNMEASURED":
        yield BlindSpot(_name(row), "Kafka did not say what is committed")
    yield from _offsets(row, committed.offset, position, end, sampled, names)
    yield from _gone(row, end, names)
    yield from _records(row, position, end, names)


def _kept(row: Any, names: frozenset[str]) -> Iterator[Said]:
    """What is left of a log that was cut: from there on its offsets are another source's."""
    position = int(_rows(sql.position, lane=row.lane, source=row.id)[0].next_offset)
    if row.kept_to < position:
        yield BlindSpot(f"{_name(row)} [{row.kept_to}, {position})", "its log was cut, and has other records there")
    end = admin().ends(row.topic, [row.partition])[row.partition]
    yield from _gone(row, end, names)
    yield from _records(row, min(position, row.kept_to), end, names)


def _offsets(
    row: Any, committed: int | None, position: int, end: LogEnds, sampled: list[Any], names: frozenset[str]
) -> Iterator[Finding]:
    name = _name(row)
    if "kafka_commits" in names and committed is not None and committed > position:
        text = f"Kafka's commit {committed} is ahead of the position {position}"
        yield Finding("I4", name, text, "kafka_commits")
    if "kafka_ends" in names and end.hw is not None and position > end.hw:
        text = f"the position {position} is ahead of the log's end {end.hw}"
        yield Finding("I4", name, text, "kafka_ends")
    if "kafka_samples" in names and end.hw is not None:
        for sample in sampled:
            most = max(filter(None, (sample.hw, sample.lso, sample.log_start)), default=0)
            if most > end.hw:
                text = f"the newest sample knows an offset {most}, and the log ends at {end.hw}"
                yield Finding("I4", name, text, "kafka_samples")


def _gone(row: Any, end: LogEnds, names: frozenset[str]) -> Iterator[Finding]:
    if "gone_again" in names and end.earliest is not None:
        for gone in _rows(sql.gone, source=row.id, start=end.earliest):
            text = f"a plan found [{gone.start}, {gone.end}) of it gone, and the log begins at {end.earliest}"
            yield Finding("I14", _name(row), text, "gone_again")


def _records(row: Any, position: int, end: LogEnds, names: frozenset[str]) -> Iterator[Said]:
    """Whatever of [start, position) Kafka still has, and what of it it has no more or does not say."""
    if end.earliest is None or end.lso is None:
        yield BlindSpot(_name(row), "Kafka did not say where its log begins and ends")
        return
    start, upto = max(row.start_offset, end.earliest), min(position, end.lso)
    if end.earliest > row.start_offset:
        lost = f"[{row.start_offset}, {min(end.earliest, position)})"
        yield BlindSpot(f"{_name(row)} {lost}", "the log's start has moved past it")
    if upto < position:
        yield BlindSpot(
            f"{_name(row)} [{max(upto, start)}, {position})", "the log does not reach so far, or is held open"
        )
    if start < upto:
        compare = _Inbox(row, names) if row.lane == "admission" else _Bus(row, names)
        with LogWalk(Cluster.from_settings(), Partition(row.topic, row.partition)) as walk:
            for piece in walk.pieces(start, upto):
                yield from compare.piece(piece)
        yield from compare.rest(start, upto)


class _Comparison:
    """One source against its log."""

    def __init__(self, row: Any, names: frozenset[str]) -> None:
        self._row = row
        self._names = names

    def _say(self, check: str, offset: int, text: str) -> Iterator[Finding]:
        if check in self._names:
            yield Finding(COMPARISONS[check], f"{_name(self._row)}@{offset}", text, check)

    def _of(self, statement: str, start: int, end: int) -> list[Any]:
        return _rows(statement, source=self._row.id, start=start, end=end)

    def _in_gaps(self, check: str, piece: Piece) -> Iterator[Finding]:
        """A gap is read again as it was proven: no offset of it holds what a reader of committed data is given."""
        gaps = self._of(sql.gaps, piece.start, piece.end)
        for logged in piece.records if gaps else ():
            offset = logged.record.offset
            gap = next((gap for gap in gaps if gap.from_offset <= offset < gap.to_offset), None)
            if logged.visible and gap is not None:
                yield from self._say(check, offset, f"a record lies in a gap that is {gap.state}")

    def piece(self, piece: Piece) -> Iterator[Finding]:
        raise NotImplementedError

    def rest(self, start: int, end: int) -> Iterator[Finding]:
        yield from ()


@dataclass(frozen=True)
class _KeptRecord:
    """What the ledger keeps of a record beside its value."""

    key: bytes | None
    headers: bytes | None

    def differs(self, record: Record) -> str:
        """Of what is longer than the ledger keeps, the beginning is kept (KEPT_BYTES): it is compared as far."""
        key, headers = record.key, packed_headers(record.headers)
        wrong = ["key"] if not _begins(key, self.key) else []
        whole = headers == self.headers or (headers is not None and len(headers) > KEPT_BYTES)
        return ", ".join([*wrong, *(["headers"] if not whole else [])])


def _begins(given: bytes | None, kept: bytes | None) -> bool:
    if given is None or kept is None:
        return given is kept
    return given == bytes(kept) or (len(given) > KEPT_BYTES and given.startswith(bytes(kept)))


class _Inbox(_Comparison):
    """I14: each record that can be seen has its receipt, which says what the contract's rules make of its bytes."""

    def piece(self, piece: Piece) -> Iterator[Finding]:
        given = {logged.record.offset: logged for logged in piece.records}
        receipts = {row.offset: row for row in self._of(sql.receipts, piece.start, piece.end)}
        yield from self._pairs(given, receipts)
        yield from self._meaning(given, receipts)
        yield from self._kept(piece, given, receipts)
        yield from self._in_gaps("gaps_again", piece)

    def _pairs(self, given: Mapping[int, LoggedRecord], receipts: Mapping[int, Any]) -> Iterator[Finding]:
        check = "records_have_receipts"
        for offset in sorted(given.keys() | receipts.keys()):
            logged = given.get(offset)
            if offset not in receipts and logged is not None and logged.visible:
                yield from self._say(check, offset, "a record without receipt")
            elif offset in receipts and (logged is None or not logged.visible):
                yield from self._say(check, offset, "a receipt without record")

    def _meaning(self, given: Mapping[int, LoggedRecord], receipts: Mapping[int, Any]) -> Iterator[Finding]:
        """Understood again, with the contract and the run of their batches."""
        batches: dict[tuple[int, str], list[Record]] = defaultdict(list)
        for offset, row in sorted(receipts.items()):
            if offset in given and row.contract_id is not None:
                batches[row.contract_id, row.run_name].append(given[offset].record)
        for (contract, run), records in batches.items():
            loaded = compiled_contract(contract)
            for arrival in arrivals_of(loaded, run, records):
                receipt = receipts[arrival.offset]
                if wrong := _misread(receipt, _under_name_of(receipt.earlier_run, loaded, arrival)):
                    yield from self._say("records_understood", arrival.offset, wrong)

    def _kept(self, piece: Piece, given: Mapping[int, LoggedRecord], receipts: Mapping[int, Any]) -> Iterator[Finding]:
        kept = {offset: row for offset, row in receipts.items() if row.kept}
        kept |= {row.offset: row for row in self._of(sql.items, piece.start, piece.end)}
        for offset, row in sorted(kept.items()):
            if offset in given and (wrong := _KeptRecord(row.key, row.headers).differs(given[offset].record)):
                yield from self._say("records_kept", offset, f"the ledger keeps another {wrong} than the record has")


def _under_name_of(earlier_run: str | None, loaded: CompiledContract, arrival: Arrival) -> Arrival:
    """What a receipt LOOKED_BACK carries: the record's identity in the run before."""
    if earlier_run is None or arrival.identity is None:
        return arrival
    (identity,) = earlier_identities(loaded.contract.stream, earlier_run, [arrival], ())
    return msgspec.structs.replace(arrival, identity=identity)


def _misread(receipt: Any, arrival: Arrival) -> str:
    """How the receipt is not what the record's bytes say; empty where it is."""
    if bytes(receipt.payload_digest) != arrival.payload_digest:
        return "the receipt's digest is not the record's"
    identity = bytes(receipt.identity) if receipt.identity is not None else None
    if identity != arrival.identity:
        return "the receipt's identity is not the record's"
    if receipt.decision != Decision.QUARANTINED:
        return "" if identity is not None else "the receipt takes a record that is not understood"
    parsed = arrival.parsed
    if isinstance(parsed, NotUnderstood):
        allowed = {parsed.reason}
    else:
        allowed = {Reason.PAYLOAD_MISMATCH} if identity is not None else {Reason.OTHER_RUN, Reason.LATE}
    return "" if receipt.reason in allowed else f"QUARANTINED for another reason than {min(allowed).name}"


class _Bus(_Comparison):
    """Places, effects and events against the records that are there, found by their marks."""

    def __init__(self, row: Any, names: frozenset[str]) -> None:
        super().__init__(row, names)
        self._installs = {row.id for row in _rows(sql.installs)}
        self._placed = self._applied = 0

    def piece(self, piece: Piece) -> Iterator[Finding]:
        ours = {logged.record.offset: (logged, mark) for logged, mark in self._marked(piece.records)}
        marked = {
            "offsets": list(ours),
            "installs": [mark.install for _, mark in ours.values()],
            "attempts": [mark.attempt for _, mark in ours.values()],
            "identities": [mark.identity for _, mark in ours.values()],
        }
        for row in sorted(_rows(sql.sent, bus=self._row.id, **marked), key=_by_offset) if ours else ():
            yield from self._record(row, *ours[row.offset])
        yield from self._in_gaps("bus_gaps_again", piece)

    def _marked(self, records: Iterable[LoggedRecord]) -> Iterator[tuple[LoggedRecord, Mark]]:
        for logged in records:
            mark = read_mark(logged.record.headers)
            if isinstance(mark, Mark) and mark.install in self._installs:
                yield logged, mark

    def _record(self, row: Any, logged: LoggedRecord, mark: Mark) -> Iterator[Finding]:
        """What is aborted was sent and is not there: neither a place nor an effect stands on it."""
        if not logged.visible:
            return
        if row.state == "ABSENT":
            text = f"a record of attempt {mark.attempt}, which was proven ABSENT"
            yield from self._say("absent_on_the_bus", row.offset, text)
        self._placed += row.placed
        self._applied += row.applied
        if row.placed or row.applied:
            yield from self._content(row, logged.record, mark)

    def _content(self, row: Any, record: Record, mark: Mark) -> Iterator[Finding]:
        check, value = "events_on_the_bus", payload_digest(record.value)
        if mark.digest != bytes(row.payload_digest or b"") or value != bytes(row.value_digest or b""):
            yield from self._say(check, row.offset, "the record is not the event that was placed there")
        if not _begins(record.key, row.key):
            yield from self._say(check, row.offset, "the ledger keeps another key than the record has")

    def rest(self, start: int, end: int) -> Iterator[Finding]:
        """A finding where the ledger has more places or effects in [start, end) than were met in the log."""
        for check, what, statement, met in (
            ("places_on_the_bus", "places", sql.placed, self._placed),
            ("effects_on_the_bus", "effects", sql.applied, self._applied),
        ):
            there = self._of(statement, start, end)[0].n
            if there != met:
                text = f"{there} {what} in [{start}, {end}), {met} of them met"
                yield from self._say(check, start, text)


def _by_offset(row: Any) -> int:
    return int(row.offset)
