"""Two streams on the real PostgreSQL, ready to be judged, in a world whose time and whose Kafka belong to the schedule.

`weather` has a PASS and an open gate; `flights` is joined with it, cut and read to its end, and not judged yet. Both
were made by the real flow. From there on every schedule runs in one transaction that is rolled back: the verbs, the
SQL, the triggers and the constraints are the real ones, only what they ask of time and of Kafka is answered here.

Time: a schema before pg_catalog has functions of the names of the server's own clocks. Row security, CHECKs and column
defaults were bound to the real ones when they were made; nothing here depends on those.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, TypeVar

import psycopg
import pytest
from django.db import connection, transaction

from audit import capture as look
from audit.close import read_bus_end, window_of
from audit.core import facts as f
from audit.measure import lanes
from ingest import failpoints
from ingest.core.contract import Contract
from ingest.db import Cursor, cursor, read, write
from ingest.kafka import Start
from ingest.streams import compiled_contract, newest_contract
from ingest.windows import raise_revisions
from stack import Stack
from tests.flow.test_projections import flight, joined, report
from tests.flow.world import MADE, Flow, leave

K = TypeVar("K")
CLOCKS = ("clock_timestamp", "statement_timestamp", "transaction_timestamp", "now")
WEATHER, FLIGHTS = "weather", "flights"
STREAMS = (WEATHER, FLIGHTS)


@contextmanager
def clocks(stack: Stack) -> Iterator[None]:
    """A schema whose clocks say what the session's `model.now` says, and to everybody else the time that it is.

    Functions with a search_path of their own get it too, until the schedules are over.
    """
    with psycopg.connect(stack.env()["PASSGATE_ADMIN_URL"], autocommit=True) as owner:
        owner.execute("CREATE SCHEMA IF NOT EXISTS model_clock")
        owner.execute("GRANT USAGE ON SCHEMA model_clock TO PUBLIC")
        for name in CLOCKS:
            owner.execute(
                f"CREATE OR REPLACE FUNCTION model_clock.{name}() RETURNS timestamptz LANGUAGE sql VOLATILE AS"
                " $$ SELECT coalesce(nullif(current_setting('model.now', true), '')::timestamptz,"
                f" pg_catalog.{name}()) $$"
            )
        found = owner.execute(
            "SELECT p.oid::regprocedure::text, substr(c, 13) FROM pg_proc p, unnest(p.proconfig) c"
            " WHERE p.pronamespace = 'public'::regnamespace AND c LIKE 'search_path=%'"
        ).fetchall()
        for function, _ in found:
            owner.execute(f"ALTER FUNCTION {function} SET search_path = model_clock, public, pg_catalog, pg_temp")
        try:
            yield
        finally:
            for function, path in found:
                owner.execute(f"ALTER FUNCTION {function} SET search_path = {path}")


@dataclass(frozen=True)
class Ground:
    """The two streams as the real flow left them, what Kafka said of them, and when."""

    weather: Flow
    flights: Flow
    broker: Mapping[str, f.Broker]
    committed: Mapping[str, look.Capture]
    at: datetime

    def flow(self, stream: str) -> Flow:
        return self.weather if stream == WEATHER else self.flights

    def win(self, stream: str) -> int:
        return window_of(self.flow(stream).name, "r1")


def make_ground(stack: Stack, weather: Flow) -> Ground:
    """No gate but theirs is open: each look would go through all that other tests left."""
    leave([name for name in MADE if name != weather.name])
    flights = joined(weather)
    flights.open()
    flights.produce([flight(1, 1), flight(2, 3), flight(3, 4)])
    flights.work_until(lambda: flights.count("effect") == 3)
    flights.cut()
    flights.work()
    win = window_of(flights.name, "r1")
    flights.work_until(lambda: read_bus_end(win, newest_contract(flights.name).contract))
    flights.sample()
    found = {s: _captured(flow) for s, flow in ((WEATHER, weather), (FLIGHTS, flights))}
    broker = {s: captured.broker.value for s, captured in found.items() if captured.broker}
    return Ground(weather, flights, broker, found, look.now())


def make_weather(stack: Stack) -> Flow:
    from tests.flow.test_projections import WEATHER as CONTRACT

    flow = Flow(contract=CONTRACT)
    flow.open()
    flow.produce([report(1), report(3), report(4)])
    flow.work()
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 3)
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return flow


def _captured(flow: Flow) -> look.Capture:
    captured = look.capture(newest_contract(flow.name).contract, lanes(window_of(flow.name, "r1")), timeout=30.0)
    assert captured.broker is not None, captured.why
    return captured


@dataclass
class Judging:
    """One schedule's world: seconds since the ground was made, what Kafka says now, and what is true of it."""

    ground: Ground
    seconds: float = 0.0
    broker: dict[str, f.Broker] = field(default_factory=dict)
    silent: set[str] = field(default_factory=set)
    broken_at: dict[str, float] = field(default_factory=dict)  # since when a stream's topics are not what they were
    contradicted: set[str] = field(default_factory=set)
    passed_at: dict[str, list[float]] = field(default_factory=dict)
    meanwhile: tuple[str, Callable[[], None]] | None = None  # what happens when the verb gets to that point
    story: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.broker = dict(self.ground.broker)
        self.tell()

    # ---- time

    @property
    def now(self) -> datetime:
        return self.ground.at + timedelta(seconds=self.seconds)

    def tell(self) -> None:
        with cursor() as cur:
            cur.execute("SELECT set_config('model.now', %s, false)", [self.now.isoformat()])

    def wait(self, seconds: float) -> None:
        self.seconds += seconds
        self.tell()
        self.story.append(f"{seconds:g} s pass")

    # ---- what happens to Kafka

    def recreate(self, stream: str, role: str) -> None:
        topic = self._topic(stream, role)
        logs = {p: f.PartitionLog(0, 0, 0, 0, "") for p in topic.partitions}
        self._break(stream, replace(topic, topic_id=f"{topic.topic_id} anew", partitions=logs), role, "created anew")

    def truncate(self, stream: str, role: str) -> None:
        topic = self._topic(stream, role)
        first = min(topic.partitions)
        logs = {**topic.partitions, first: replace(topic.partitions[first], diverged="truncated at 1")}
        self._break(stream, replace(topic, partitions=logs), role, "truncated")

    def add_partition(self, stream: str, role: str) -> None:
        """Harmless to what was judged."""
        topic = self._topic(stream, role)
        logs = {**topic.partitions, max(topic.partitions) + 1: f.PartitionLog(0, 0, 0, 0, "")}
        self._say(stream, replace(topic, partitions=logs), role, "has one more partition")

    def expire(self, stream: str, role: str) -> None:
        """Harmless to what was judged: all of it has been read."""
        topic = self._topic(stream, role)
        logs = {p: replace(log, log_start=log.high_watermark) for p, log in topic.partitions.items()}
        self._say(stream, replace(topic, partitions=logs), role, "has expired")

    def hush(self, stream: str) -> None:
        self.silent ^= {stream}
        self.story.append(f"Kafka {'says nothing' if stream in self.silent else 'answers again'} about {stream}")

    def _topic(self, stream: str, role: str) -> f.Topic:
        found = getattr(self.broker[stream], role)
        assert isinstance(found, f.Topic)
        return found

    def _break(self, stream: str, topic: f.Topic, role: str, words: str) -> None:
        self.broken_at.setdefault(stream, self.seconds)
        self._say(stream, topic, role, f"is {words}")

    def _say(self, stream: str, topic: f.Topic, role: str, words: str) -> None:
        self.broker[stream] = replace(self.broker[stream], **{role: topic})
        self.story.append(f"the {role} of {stream} {words}")

    # ---- what the effects lane finds

    def contradict(self, stream: str) -> None:
        """As ingest.consume.lane writes it: the row and the window's revision, in one transaction."""
        win = self.ground.win(stream)
        with write() as cur:
            cur.execute(
                'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
                " SELECT %(win)s, a.id, 'PLACE_NOT_FOUND', s.id, (SELECT count(*) FROM contradiction), 'schedule'"
                "   FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id JOIN batch b ON b.id = ab.batch_id"
                "   JOIN source i ON i.id = b.source_id JOIN source s ON s.stream_id = i.stream_id AND s.role = 'bus'"
                "  WHERE b.win = %(win)s LIMIT 1",
                {"win": win},
            )
            assert cur.rowcount == 1
            raise_revisions(cur, [win])
        self.contradicted.add(stream)
        self.story.append(f"a publish of {stream} is contradicted")

    # ---- what Kafka is asked

    def capture(self, contract: Contract, probes: Iterable[Start] | None = None, timeout: float = 5.0) -> look.Capture:
        stream = WEATHER if contract.stream == self.ground.weather.name else FLIGHTS
        at, broker, silent = look.now(), self.broker[stream], stream in self.silent
        self.reached("kafka.asked")
        if silent:
            return look.Capture(why="the schedule says so")
        known = self.ground.committed[stream]
        committed = replace(known.committed, measured_at=at) if known.committed else None
        return look.Capture(f.MeasuredValue(broker, at, "kafka"), committed, known.ours, probed={})

    def logs(
        self,
        contracts: Mapping[K, Contract],
        probes: Iterable[Start],
        timeout: float = 5.0,
        bus_only: Collection[K] = (),
    ) -> dict[K, look.Capture]:
        return {stream: self.capture(contract) for stream, contract in contracts.items()}

    # ---- what happens between two steps of a verb

    def reached(self, point: str) -> None:
        """A verb is stopped at `point`; nobody else can write while it holds a transaction, but time goes on."""
        if self.meanwhile is None or self.meanwhile[0] != point:
            return
        happens, self.meanwhile = self.meanwhile[1], None
        self.story.append(f"  meanwhile, at {point}:")
        happens()

    @property
    def in_transaction(self) -> bool:
        return len(connection.savepoint_ids) > 0

    # ---- what the ledger says

    def gate(self, stream: str) -> Any:
        with read() as cur:
            return cur.execute(
                "SELECT open_until, shut_why, win = ANY(open_windows()) AS open FROM gate_open WHERE win = %s",
                [self.ground.win(stream)],
            ).fetchone()

    def verdicts(self, stream: str) -> list[str]:
        with read() as cur:
            rows = cur.execute(
                "SELECT state FROM verdict WHERE win = %s ORDER BY number", [self.ground.win(stream)]
            ).fetchall()
        return [row.state for row in rows]


@contextmanager
def schedule(ground: Ground) -> Iterator[Judging]:
    """A world that is rolled back. The verbs' snapshot is this transaction: nobody else writes into it."""
    with pytest.MonkeyPatch.context() as patch, transaction.atomic():
        with cursor() as cur:
            cur.execute("SET LOCAL search_path = model_clock, public, pg_catalog")
            cur.execute("SELECT set_config('model.now', %s, false)", [ground.at.isoformat()])
        world, ours = Judging(ground), {ground.weather.name, ground.flights.name}
        patch.setattr(look, "capture", world.capture)
        patch.setattr(look, "logs", world.logs)
        # what other tests left in the ledger is nobody's to judge here
        patch.setattr("audit.close._auto", lambda contract: compiled_contract(contract).contract.stream in ours)
        patch.setattr("audit.measure.read_snapshot", write)
        patch.setattr("audit.close.write", _committing)
        patch.setattr("audit.gaps.prove", lambda win: {})
        patch.setattr(failpoints, "_armed", {"": (0, 0)})
        patch.setattr(failpoints, "_hit", world.reached)
        yield world
        transaction.set_rollback(True)


@contextmanager
def _committing() -> Iterator[Cursor]:
    """A verb's transaction ends as at COMMIT: what the database looks at only then is looked at."""
    with write() as cur:
        yield cur
        cur.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cur.execute("SET CONSTRAINTS ALL DEFERRED")


__all__ = [
    "FLIGHTS", "STREAMS", "WEATHER", "Ground", "Judging", "clocks", "make_ground", "make_weather", "schedule",
]  # fmt: skip
