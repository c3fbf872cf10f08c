"""One stream: two inbox partitions, a door, two bus partitions, and everything that lanes and people do to them.

Every lane and every person is a generator that yields between two effects, so that anything may happen there: a crash
drops the generator, a pause leaves it, somebody else goes first. Each yield says what was done, for the story.
"""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass, field
from functools import cache
from uuid import UUID

from audit.core.facts import CloseRules
from ingest.core.batching import Hole, OffsetRange
from ingest.core.contract.shape import Bus, Contract, EventClass, Inbox, KafkaInbox, RunRule
from ingest.core.pointer import Header, Pointer, parse_pointer
from ingest.core.record import Parsed, Parser
from tests.model.broker import Broker, Log, Record
from tests.model.ledger import Ledger, Origin, Position

Doing = Generator[str, None, None]
IDLE, WAITS = "finds nothing to do", "waits for a row lock"

STREAM, INSTALL = "things", UUID(int=1)
BUS = (11, 12)
DOOR = 5
RUNS = ("r1", "r2", "r3")
MOST_WINDOWS, MOST_PLANS = 5, 3
PLAN_WINDOWS = 100  # windows and runs of plans are numbered from here on


def plan_source(plan: int, origin: int) -> int:
    return PLAN_WINDOWS * plan + origin


def is_plans(source: int) -> bool:
    return source >= PLAN_WINDOWS


CONTRACT = Contract(
    1, STREAM, Inbox(KafkaInbox("things.inbox")), Bus("things.bus", len(BUS)),
    run=RunRule((Header("pg-run"), Pointer("/run", ("run",)))),
    class_from=parse_pointer("/type"),
    events=(EventClass(1, "thing", "thing", (parse_pointer("/id"),), None),),
)  # fmt: skip
_parser = Parser(CONTRACT)


def thing(number: int, payload: str = "a") -> bytes:
    """Payload "A" is "a" written differently: the same event."""
    if payload == "A":
        return json.dumps({"v": "a", "id": number, "type": "thing"}, indent=1).encode()
    return json.dumps({"type": "thing", "id": number, "v": payload}).encode()


RULES = {passes: CloseRules(required=("thing",), empty_passes=passes) for passes in (False, True)}


@cache
def _parse(value: bytes | None, run: bytes | None) -> Parsed:
    return _parser.parse(value, b"k", [("pg-run", run)] if run else None)


def parse(record: Record) -> Parsed:
    """The real parser's answer; the few values that there are, are parsed once."""
    return _parse(record.value, record.headers[0][1] if record.headers else None)


@dataclass
class World:
    """All that a schedule is about."""

    flaws: frozenset[str] = frozenset()
    broker: Broker = field(default_factory=Broker)
    logs: dict[int, Log] = field(default_factory=dict)
    answered: list[tuple[int, int]] = field(default_factory=list)  # (source, offset) of every 2xx of the door
    door_log: list[Record] = field(default_factory=list)
    committed_by_us: dict[int, int] = field(default_factory=dict)
    silent: set[int] = field(default_factory=set)  # logs about which Kafka says nothing
    silent_since: dict[int, float] = field(default_factory=dict)
    passed_unheard: list[str] = field(default_factory=list)
    skips: set[int] = field(default_factory=set)  # sources whose next read hides a record
    hidden: set[tuple[int, int]] = field(default_factory=set)
    whole_runs: bool = False  # the contract's gate.unit: windows of a run open together
    empty_passes: bool = False  # the contract's close.empty: a window that no record came in passes
    untold: list[str] = field(default_factory=list)  # answers that were not true

    def __post_init__(self) -> None:
        self.ledger = Ledger(self.flaws)
        self.logs = {1: Log("inbox/0"), 2: Log("inbox/1"), 11: Log("bus/0"), 12: Log("bus/1")}

    @property
    def rules(self) -> CloseRules:
        return RULES[self.empty_passes]

    def hush(self, log: int) -> bool:
        """Kafka says nothing about a log, or answers again; whether it is silent now."""
        self.silent ^= {log}
        if log in self.silent:
            self.silent_since[log] = self.ledger.now
        else:
            del self.silent_since[log]
        return log in self.silent

    @property
    def inbox(self) -> tuple[int, ...]:
        """The sources that lanes and doors admit from; a plan's are its own."""
        return tuple(s for lane, s in self.ledger.positions if lane == "admission" and not is_plans(s))

    def origin(self, source: int) -> Origin:
        """What a plan's source reads again."""
        return self.ledger.plans[source // PLAN_WINDOWS].origins[source]

    def name(self, source: int) -> str:
        if is_plans(source):
            return f"plan {source // PLAN_WINDOWS}/{source % PLAN_WINDOWS}"
        return self.logs[source].name if source in self.logs else "door/0"

    def key(self, source: int) -> bytes:
        return f"c/{self.name(source)}".encode()

    def ensure(self, lane: str, source: int, start: int) -> None:
        self.ledger.positions.setdefault((lane, source), Position(lane, source, start))

    def read(self, source: int, at: int, most: int) -> OffsetRange:
        """What an inbox's reader is given, which may be a lie."""
        poll = self.logs[source].read(at, most)
        if source not in self.skips or not poll.records:
            return poll
        self.skips.discard(source)
        hidden = poll.records[0].offset
        self.hidden.add((source, hidden))
        hole = Hole(hidden, hidden + 1, poll.leader_epoch, "read_committed", "BETWEEN_RECORDS")
        return OffsetRange(poll.start, poll.end, poll.leader_epoch, poll.records[1:], [*poll.holes, hole])

    def read_origin(self, source: int, origin: Origin, at: int, most: int) -> OffsetRange:
        """What a plan's reader is given of its origin; the same reader may lie."""
        read = self.logs[origin.source].read(at, most, until=origin.end)
        if origin.source not in self.skips or not read.records:
            return read
        self.skips.discard(origin.source)
        hidden = read.records[0].offset
        self.hidden.add((source, hidden - origin.start))
        hole = Hole(hidden, hidden + 1, read.leader_epoch, "read_committed", "BETWEEN_RECORDS")
        return OffsetRange(read.start, read.end, read.leader_epoch, read.records[1:], [*read.holes, hole])

    def hidden_in(self, win: int) -> bool:
        """Whether a gap of the window's ranges was a lie that became part of the ledger."""
        gaps, ranges = self.ledger.gaps, self.ledger.ranges
        return any(
            (source, offset) in gaps
            and (spread := ranges.get((win, source))) is not None
            and spread.start <= offset
            and (spread.end is None or offset < spread.end)
            for source, offset in self.hidden
        )

    def partition(self, bus: int) -> int:
        return bus - BUS[0]
