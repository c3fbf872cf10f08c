"""What never changes about attempts, remembered by a process, so that each read does not ask for it again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any

from ingest.core.consumption import (
    AttemptFacts,
    EventFacts,
    EventKey,
    SentEvents,
    by_partition,
)
from ingest.core.identity import DIGEST_BYTES
from ingest.core.ids import AttemptId, BatchId
from ingest.core.leaf import table_partition
from ingest.db import Cursor, statements

sql = statements("ingest.consume", "attempt_cache")

_REMEMBERED = 64
EVENTS_REMEMBERED = 40_000
SENT_REMEMBERED = 80_000
OFFSETS_REMEMBERED = 80_000
#: To how many partitions an attempt may have sent so that all that it sent is looked up together.
MOST_PARTITIONS = 16


@dataclass(frozen=True)
class CachedAttempt:
    """An attempt's facts, without its offsets; its batches, and how many partitions it sent to."""

    facts: AttemptFacts
    batches: list[BatchId]
    partitions: int


class AttemptCache:
    """What never changes about attempts, remembered by a process: their events, run and window.

    Of the newest attempts it remembers what they sent to each partition: 64 bytes an event, at most SENT_REMEMBERED;
    and where that does not do, each event, some 350 bytes, at most EVENTS_REMEMBERED, and the offsets an attempt
    carries, some 80 bytes each, at most OFFSETS_REMEMBERED; more only where one read needs more. `copies` counts down
    the reads that look for earlier effects, after one that found some.
    """

    def __init__(self) -> None:
        self.copies = 0
        self._known: dict[AttemptId, CachedAttempt] = {}
        self._offsets: dict[AttemptId, set[int]] = {}
        self._events: dict[EventKey, EventFacts] = {}
        self._loaded: dict[AttemptId, list[EventKey]] = {}
        self._sent: dict[AttemptId, Mapping[int, SentEvents]] = {}

    def recall(self, cur: Cursor, numbers: Iterable[AttemptId]) -> dict[AttemptId, AttemptFacts]:
        """Facts of these attempts, with the state they have now; those not in the ledger are left out."""
        wanted = sorted(set(numbers))
        states = {row.id: row for row in cur.execute(sql.states, {"attempts": wanted}).fetchall()}
        self._learn(cur, [number for number in states if number not in self._known])
        if len(self._known) > _REMEMBERED:
            self._known = {number: self._known[number] for number in states if number in self._known}
            self._offsets = {number: some for number, some in self._offsets.items() if number in self._known}
        return {
            n: replace(self._known[n].facts, state=row.state, decided=row.decided)
            for n, row in states.items()
            if n in self._known
        }

    def whole(self, cur: Cursor, facts: Mapping[AttemptId, AttemptFacts]) -> dict[AttemptId, AttemptFacts]:
        """The same with the offsets that each attempt carries, and those that a PARTIAL one's scan found."""
        missing = [number for number in facts if number not in self._offsets]
        if missing:
            self._offsets |= {number: set() for number in missing}
            for row in cur.execute(sql.offsets, {"attempts": missing}, binary=True).fetchall():
                self._offsets[row.attempt_id].update(row.offsets)
            self._forget_offsets(facts.keys())
        partial = [number for number, found in facts.items() if found.state == "PARTIAL"]
        placed = _placed(cur, partial) if partial else {}
        return {
            number: replace(found, offsets=self._offsets[number], placed=placed.get(number, frozenset()))
            for number, found in facts.items()
        }

    def _forget_offsets(self, needed: Set[int]) -> None:
        """Forgets attempts in the order they came, but none of `needed`, until what is left is within the bound."""
        total = sum(map(len, self._offsets.values()))
        for number in [number for number in self._offsets if number not in needed]:
            if total <= OFFSETS_REMEMBERED:
                return
            total -= len(self._offsets.pop(number))

    def sent(
        self, cur: Cursor, facts: Mapping[AttemptId, AttemptFacts], partition: int
    ) -> Mapping[AttemptId, SentEvents] | None:
        """What these attempts sent to the partition.

        None where one sent to so many that its share of each is small: each of its records is looked up by itself.
        """
        if any(self._known[number].partitions > MOST_PARTITIONS for number in facts):
            return None
        by_leaf: dict[str, list[AttemptId]] = defaultdict(list)
        for number in facts:
            if number not in self._sent:
                by_leaf[table_partition("event", facts[number].run_id)].append(number)
        for leaf, numbers in by_leaf.items():
            self._load_sent(cur, leaf, numbers)
        if by_leaf:
            self._forget_sent(facts.keys())
        return {number: self._sent[number][partition] for number in facts if partition in self._sent[number]}

    def _load_sent(self, cur: Cursor, leaf: str, numbers: Sequence[AttemptId]) -> None:
        """All that these attempts sent, whose runs lie in this leaf: the other partitions' lanes need it, too."""
        batches: dict[AttemptId, list[tuple[Sequence[int], bytes, bytes]]] = {number: [] for number in numbers}
        for row in cur.execute(sql.sent.format(leaf=leaf), {"attempts": list(numbers)}, binary=True).fetchall():
            batches[row.attempt_id].append((row.partitions, row.identities, row.digests))
        self._sent |= {number: by_partition(some) for number, some in batches.items()}

    def _forget_sent(self, needed: Set[int]) -> None:
        """Forgets attempts in the order they came, but none of `needed`, until what is left is within the bound."""
        held = {number: sum(len(sent.digests) for sent in dealt.values()) for number, dealt in self._sent.items()}
        total = sum(held.values())
        for number in [number for number in self._sent if number not in needed]:
            if total <= SENT_REMEMBERED * DIGEST_BYTES:
                return
            total -= held[number]
            del self._sent[number]

    def events(
        self, cur: Cursor, facts: Mapping[AttemptId, AttemptFacts], carried: Mapping[AttemptId, int]
    ) -> Mapping[EventKey, EventFacts]:
        """Events of the attempts that this read carries much of (`carried` records of each), and what is still known.

        Where it carries little of an attempt, as one of many partitions does, its records are looked up one by one.
        """
        much = [n for n, count in carried.items() if n in facts and 8 * count >= len(facts[n].offsets)]
        missing = [number for number in much if number not in self._loaded]
        self._forget(much, sum(len(facts[number].offsets) for number in missing))
        by_leaf: dict[str, list[AttemptId]] = defaultdict(list)
        for number in missing:
            by_leaf[table_partition("event", facts[number].run_id)].append(number)
        for leaf, numbers in by_leaf.items():
            self._load(cur, leaf, numbers)
        return self._events

    def _load(self, cur: Cursor, leaf: str, numbers: Sequence[AttemptId]) -> None:
        """All events of these attempts, whose runs lie in this leaf. A cursor of plain tuples."""
        keys: dict[AttemptId, list[EventKey]] = {number: [] for number in numbers}
        keys_of = {batch: keys[number] for number in numbers for batch in self._known[number].batches}
        statement = sql.events_of_batches.format(leaf=leaf)
        for row in cur.execute(statement, {"batches": list(keys_of)}, binary=True).fetchall():
            key = row[:2]
            self._events[key] = event_facts(row[3:])
            keys_of[row[2]].append(key)
        self._loaded |= keys

    def _forget(self, needed: Sequence[int], coming: int) -> None:
        """Makes room. What two attempts share goes with either of them, and is then looked up again."""
        for number in [number for number in self._loaded if number not in needed]:
            if len(self._events) + coming <= EVENTS_REMEMBERED:
                return
            for key in self._loaded.pop(number):
                self._events.pop(key, None)

    def _learn(self, cur: Cursor, missing: Sequence[int]) -> None:
        if not missing:
            return
        rows = cur.execute(sql.attempts, {"attempts": list(missing)}, binary=True).fetchall()
        for number, install, topic_id, source, run, win, contract, batch, partitions in rows:
            if number not in self._known:
                facts = AttemptFacts("", install, topic_id, source, run, win, contract, frozenset())
                self._known[number] = CachedAttempt(facts, [], partitions)
            self._known[number].batches.append(batch)


# Without the class's own constructor, which is a function in Python called once an event.
event_facts: Callable[[Iterable[Any]], EventFacts] = partial(tuple.__new__, EventFacts)


def _placed(cur: Cursor, partial: Sequence[AttemptId]) -> dict[AttemptId, set[int]]:
    found: dict[AttemptId, set[int]] = defaultdict(set)
    for row in cur.execute(sql.placed, {"attempts": list(partial)}).fetchall():
        found[row.attempt_id].add(row.offset)
    return found


@cache
def cache_of(pid: int) -> AttemptCache:
    """One for all the lanes of a process: an attempt's events lie in several partitions. Not a parent's, after fork."""
    return AttemptCache()
