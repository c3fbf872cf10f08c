"""What becomes of a record read from the bus (docs/design.md#consuming). Pure.

A record is applied only if its attempt exists, contains that identity, and its digest equals the ledger's. A second
copy is DUPLICATE and changes nothing; everything else is FOREIGN or MISMATCHING and is kept raw.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from typing import Any, NamedTuple

from ingest.core.attempt import Columns, Mark
from ingest.core.identity import DIGEST_BYTES
from ingest.core.ids import AttemptId, RunId, SourceId, WindowId

#: An event by (run id, identity).
EventKey = tuple[int, bytes]

#: States in which an attempt's record on the bus contradicts what was proven (I7).
REFUTED = frozenset({"ABSENT", "NOT_SENT"})
#: States in which a record is not taken by its attempt alone.
DISPUTED = REFUTED | {"PARTIAL", "LOST"}


class Ruling(StrEnum):
    APPLIED = "APPLIED"  # the first copy of an event of ours: an effect
    DUPLICATE = "DUPLICATE"  # a further copy: changes nothing
    FOREIGN = "FOREIGN"  # no attempt of ours explains it
    MISMATCHING = "MISMATCHING"  # an event of ours by identity, with other bytes


class BusRecord(NamedTuple):
    """One record as read: its mark, or why it has none, and the digest of its value."""

    offset: int
    mark: Mark | str
    digest: bytes


@dataclass(frozen=True, slots=True)
class AttemptFacts:
    """What the ledger says of an attempt. `placed` are the inbox offsets that a PARTIAL attempt's scan found.

    `install`: as which installation this ledger published it: another one before an older copy was adopted.
    """

    state: str
    install: str
    topic_id: str
    source: SourceId
    run_id: RunId
    win: WindowId
    contract: int
    offsets: Set[int]
    placed: Set[int] = frozenset()
    decided: bool = False  # two people said what of it had landed: what is read of it since then changes nothing


class EventFacts(NamedTuple):
    """An admitted event: where it came from, its window, its digest and class."""

    source: SourceId
    offset: int
    win: WindowId
    digest: bytes
    class_id: int


class SentEvents(NamedTuple):
    """What an attempt sent to one partition by the ledger, in the order it was sent: 32 bytes an event and column."""

    identities: bytes
    digests: bytes


@dataclass(frozen=True, slots=True)
class KnownAttempts:
    """All the ledger says about the records of one read. `applied` are events that have an effect already.

    `install`: which installation the ledger is now; what it was before, its attempts say.
    """

    install: str
    topic_id: str
    attempts: Mapping[AttemptId, AttemptFacts]
    events: Mapping[EventKey, EventFacts]
    applied: Set[EventKey]


class RuledRecord(NamedTuple):
    """One record's ruling. `contradiction` names what it contradicts, where it does; `attempt` is then set."""

    offset: int
    ruling: Ruling
    why: str = ""
    key: EventKey | None = None
    attempt: AttemptId | None = None
    contradiction: str = ""


# Without the classes' own constructors, which are functions in Python called once a record.
_as_record: Callable[[Iterable[Any]], BusRecord] = partial(tuple.__new__, BusRecord)
_as_ruled: Callable[[Iterable[Any]], RuledRecord] = partial(tuple.__new__, RuledRecord)


def bus_records(offsets: Iterable[int], marks: Iterable[Mark | str], digests: Iterable[bytes]) -> list[BusRecord]:
    """Records given by columns."""
    return list(map(_as_record, zip(offsets, marks, digests, strict=True)))


def rule(records: Sequence[BusRecord], known: KnownAttempts) -> list[RuledRecord]:
    """One ruling a record, in their order; within one read the lower offset came first."""
    applied = set(known.applied)
    plain = {number: facts for number, facts in known.attempts.items() if is_undisputed(facts, known.topic_id)}
    ruled: list[RuledRecord] = []
    for record in records:
        said = _rule_plain(record, plain, known, applied) or _rule(record, known, applied)
        if said.ruling is Ruling.APPLIED and said.key is not None:
            applied.add(said.key)
        ruled.append(said)
    return ruled


def matches_sent(
    said: Columns,
    digests: bytes,
    plain: Mapping[AttemptId, AttemptFacts],
    sent: Mapping[AttemptId, SentEvents],
) -> bool:
    """Whether these records are events of ours, each once, in the order they were sent, with the ledger's bytes.

    `digests` are those of the values. What `rule` says of such records is APPLIED, as far as none has its effect yet.
    False decides nothing.
    """
    if said.digests != digests:
        return False
    at = 0
    for writer, number, count in said.senders:
        end = at + DIGEST_BYTES * count
        if number not in plain or plain[number].install != writer or number not in sent:
            return False
        if not _continues(sent[number], said.identities[at:end], digests[at:end]):
            return False
        at = end
    return len(set(each_digest(said.identities))) * DIGEST_BYTES == len(said.identities)


def _continues(sent: SentEvents, identities: bytes, digests: bytes) -> bool:
    """Whether these follow each other in what was sent."""
    first = identities[:DIGEST_BYTES]
    at = sent.identities.find(first)
    while at > 0 and at % DIGEST_BYTES:  # across two of them
        at = sent.identities.find(first, at + 1)
    if at < 0:
        return False
    end = at + len(identities)
    return sent.identities[at:end] == identities and sent.digests[at:end] == digests


def each_digest(column: bytes) -> list[bytes]:
    """A column, item by item."""
    return [column[at : at + DIGEST_BYTES] for at in range(0, len(column), DIGEST_BYTES)]


def by_partition(batches: Iterable[tuple[Sequence[int], bytes, bytes]]) -> dict[int, SentEvents]:
    """What an attempt sent, by partition; given batch by batch as (each event's partition, identities, digests)."""
    events: dict[int, list[tuple[bytes, bytes]]] = defaultdict(list)
    for partitions, identities, digests in batches:
        pairs = zip(each_digest(identities), each_digest(digests), strict=True)
        for partition, pair in zip(partitions, pairs, strict=True):
            events[partition].append(pair)
    return {partition: SentEvents(*map(b"".join, zip(*pairs, strict=True))) for partition, pairs in events.items()}


def is_undisputed(facts: AttemptFacts, topic_id: str) -> bool:
    """An attempt whose records have nothing against them but what the records themselves say."""
    return facts.topic_id == topic_id and facts.state not in DISPUTED and not facts.decided


def _rule_plain(
    record: BusRecord, plain: Mapping[AttemptId, AttemptFacts], known: KnownAttempts, applied: Set[EventKey]
) -> RuledRecord | None:
    """The short way for what nearly all records are. None: not one of those, `_rule` has the word."""
    offset, mark, digest = record
    if isinstance(mark, str):
        return None
    install, number, identity, value_digest = mark
    facts = plain.get(number)
    if facts is None or facts.install != install:
        return None
    key = (facts.run_id, identity)
    event = known.events.get(key)
    if event is None or event[3] != digest or digest != value_digest:
        return None
    if event[0] != facts.source or event[1] not in facts.offsets:
        return None
    return _as_ruled((offset, Ruling.DUPLICATE if key in applied else Ruling.APPLIED, "", key, number, ""))


def _rule(record: BusRecord, known: KnownAttempts, applied: Set[EventKey]) -> RuledRecord:
    mark = record.mark
    if isinstance(mark, str):
        return RuledRecord(record.offset, Ruling.FOREIGN, f"NO_MARK: {mark}")
    attempt = known.attempts.get(mark.attempt)
    if attempt is not None and attempt.install != mark.install:
        attempt = None
    if attempt is None and mark.install != known.install:
        return RuledRecord(record.offset, Ruling.FOREIGN, f"OTHER_INSTALL: published by installation {mark.install}")
    if attempt is None:
        return RuledRecord(record.offset, Ruling.FOREIGN, f"NO_ATTEMPT: attempt {mark.attempt} is not in the ledger")
    if attempt.topic_id != known.topic_id:
        why = f"OTHER_TOPIC: attempt {mark.attempt} was sent to topic id {attempt.topic_id}"
        return RuledRecord(record.offset, Ruling.FOREIGN, why)
    return _of_attempt(record, mark, attempt, known, applied)


def _of_attempt(
    record: BusRecord, mark: Mark, attempt: AttemptFacts, known: KnownAttempts, applied: Set[EventKey]
) -> RuledRecord:
    key = (attempt.run_id, mark.identity)
    event = known.events.get(key)
    if event is None or event.source != attempt.source or event.offset not in attempt.offsets:
        why = f"NOT_IN_ATTEMPT: attempt {mark.attempt} does not contain this identity"
        return RuledRecord(record.offset, Ruling.FOREIGN, why, attempt=mark.attempt)
    if event.digest != record.digest or event.digest != mark.digest:
        why = f"DIGEST: attempt {mark.attempt} sent other bytes under this identity"
        return RuledRecord(record.offset, Ruling.MISMATCHING, why, key, mark.attempt)
    if attempt.decided:  # what had its effect was decided to be present; the rest was decided to be absent, not proven
        return RuledRecord(record.offset, Ruling.DUPLICATE, "", key, mark.attempt)
    if attempt.state in REFUTED or (attempt.state == "PARTIAL" and event.offset not in attempt.placed):
        why = f"REFUTED: attempt {mark.attempt} was proven {attempt.state}, yet this record of it is here"
        return RuledRecord(record.offset, Ruling.FOREIGN, why, key, mark.attempt, f"{attempt.state}_APPEARED")
    lost = attempt.state == "LOST"  # it is published again, and that copy is the one that counts
    ruling = Ruling.DUPLICATE if lost or key in applied else Ruling.APPLIED
    return RuledRecord(record.offset, ruling, "", key, mark.attempt)
