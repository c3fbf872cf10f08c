"""Measures what Kafka and Postgres say at one moment, and keeps the basis in generations that only ever append.

A measurement that fails is None with the reason beside it, never an exception out of a verdict (S28). Times are taken
from the database's clock before the question is asked, so an answer is never said to be younger than it is.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import lru_cache
from typing import TypeVar

from psycopg.types.json import Jsonb

from audit.core import facts as f
from audit.core import snapshot as s
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError
from ingest.core.group import group_of, mark_of
from ingest.core.ids import WindowId
from ingest.db import Cursor, read, statements
from ingest.install import install_id
from ingest.kafka import (
    Admin,
    BrokerUnavailable,
    Cluster,
    CommittedOffset,
    LogEnds,
    LogTruncated,
    OffsetOutOfRange,
    Partition,
    PartitionReader,
    Start,
    TopicFacts,
)

sql = statements("audit", "capture")
K = TypeVar("K")

PROBE_SECONDS = 5.0


@dataclass(frozen=True)
class Capture:
    """One look at the broker. `why` says what went wrong where `broker` is None. `committed` is by source label, and
    `ours` are the labels whose commit carries our mark."""

    broker: f.MeasuredValue[f.Broker] | None = None
    committed: f.MeasuredValue[Mapping[str, int | None]] | None = None
    ours: frozenset[str] = frozenset()
    why: str = ""
    probed: Mapping[Partition, str | None] = field(default_factory=dict)

    def without_inbox(self) -> Capture:
        """What was said of the bus alone."""
        if self.broker is None:
            return self
        return replace(self, broker=replace(self.broker, value=replace(self.broker.value, inbox=None)))


def clock(cur: Cursor) -> datetime:
    """The database's time, the only one that facts carry."""
    row = cur.execute("SELECT clock_timestamp() AS now").fetchone()
    assert row is not None
    return row.now  # type: ignore[no-any-return]


def now() -> datetime:
    with read() as cur:
        return clock(cur)


def database_identity(cur: Cursor) -> f.DatabaseIdentity:
    """Which Postgres this is; a restored or promoted one has another timeline."""
    row = cur.execute(sql.identity).fetchone()
    assert row is not None
    return f.DatabaseIdentity(row.system_identifier, row.timeline)


@lru_cache(maxsize=4)
def _admin(pid: int, bootstrap: str, timeout: float) -> Admin:
    return Admin(Cluster.from_settings(), timeout)


def admin(timeout: float = 5.0) -> Admin:
    """This process' admin client: a client does not survive a fork."""
    return _admin(os.getpid(), Cluster.from_settings().bootstrap, timeout)


def capture(contract: Contract, probes: Iterable[Start] | None = None, timeout: float = 5.0) -> Capture:
    """Ask Kafka everything a verdict needs. `probes`: where lanes stand, to be probed with their epochs (None: not)."""
    at = now()
    try:
        client = admin(timeout)
        client.cluster_id()  # a broker that is away says so here, before a consumer waits for it
        probed = probe(probes, timeout) if probes is not None else {}
        broker = _broker(client, contract, probed)
    except BrokerError as error:
        return Capture(why=str(error))
    committed = _committed(client, contract, broker)
    return Capture(
        f.MeasuredValue(broker, at, "kafka"),
        f.MeasuredValue({label: found.offset for label, found in committed.items()}, at, "kafka")
        if committed
        else None,
        frozenset(label for label, found in committed.items() if found.ours),
        probed=probed,
    )


def _broker(asked: Admin, contract: Contract, probed: Mapping[Partition, str | None]) -> f.Broker:
    """Topic ids are read before and after the offsets: offsets of another incarnation are nobody's (K5)."""
    names = [contract.bus.topic, contract.inbox.kafka.topic]
    cluster_id, before = asked.cluster_id(), asked.topics(names)
    bus, inbox = (_topic(asked, name, before[name], probed) for name in names)
    after = asked.topics(names)
    if {n: t and t.topic_id for n, t in before.items()} != {n: t and t.topic_id for n, t in after.items()}:
        raise created_meanwhile()
    return f.Broker(cluster_id, bus=bus, inbox=inbox)


def created_meanwhile() -> BrokerError:
    return BrokerError(expected="topics that stay while they are asked", found="a topic created again meanwhile")


def _topic(asked: Admin, name: str, found: TopicFacts | None, probed: Mapping[Partition, str | None]) -> f.Topic:
    if found is None:
        return f.Topic(name, None)
    ends = asked.ends(name, found.partitions)
    logs = {
        p: f.PartitionLog(end.earliest, end.lso, end.hw, end.leader_epoch, probed.get(Partition(name, p)))
        for p, end in ends.items()
    }
    return f.Topic(name, found.topic_id, logs, _posture(asked, name))


def _posture(asked: Admin, name: str) -> Mapping[str, str] | None:
    try:
        return asked.posture(name)
    except BrokerError:
        return None


def _committed(asked: Admin, contract: Contract, broker: f.Broker) -> dict[str, CommittedOffset]:
    """By label; a source whose commit was not measured is absent, one without commit is NONE (K10)."""
    out: dict[str, CommittedOffset] = {}
    install = install_id()
    group, mark = group_of(install, contract.stream), mark_of(install)
    for lane, topic in (("admission", broker.inbox), ("effects", broker.bus)):
        if topic is None or not topic.partitions:
            continue
        for number, found in asked.committed(group, topic.name, topic.partitions, mark).items():
            if found.state != "UNMEASURED":
                label = f.inbox_label(number) if lane == "admission" else f.bus_label(topic.name, number)
                out[label] = found
    return out


# ---- of many streams ------------------------------------------------------------------------------------------------

Said = TopicFacts | BrokerError | None
"""What Kafka says of a topic: what it is, that there is none of that name (None), or why there is no answer."""


def topics(names: Iterable[str], timeout: float = 5.0) -> dict[str, Said]:
    """Many topics with one question; nothing where Kafka is away."""
    try:
        return _topics(admin(timeout), sorted(set(names)))
    except BrokerError:
        return {}


def _topics(asked: Admin, names: Sequence[str]) -> dict[str, Said]:
    """One topic's trouble is not the others': it is looked for by halves, and named."""
    if not names:
        return {}
    try:
        return dict(asked.topics(names))
    except BrokerUnavailable:
        raise
    except BrokerError as error:
        if len(names) == 1:
            return {names[0]: error}
        half = len(names) // 2
        return _topics(asked, names[:half]) | _topics(asked, names[half:])


def logs(
    contracts: Mapping[K, Contract], probes: Iterable[Start], timeout: float = 5.0, bus_only: Collection[K] = ()
) -> dict[K, Capture]:
    """Topic ids, log ends and probes of many contracts, with as many questions as one takes: what gates stand on.

    Neither posture nor commits are asked for, nor the inbox of those in `bus_only`. `probes` name no partition twice.
    """
    at = now()
    names = {contract.bus.topic for contract in contracts.values()}
    names |= {contract.inbox.kafka.topic for key, contract in contracts.items() if key not in bus_only}
    try:
        asked = admin(timeout)
        cluster_id = asked.cluster_id()
        probed = probe(probes, timeout)
        before = _topics(asked, sorted(names))
        ends = asked.ends_of({name: x.partitions for name, x in before.items() if isinstance(x, TopicFacts)})
        after = _topics(asked, sorted(names))
    except BrokerError as error:
        return dict.fromkeys(contracts, Capture(why=str(error)))
    seen = _Readings(cluster_id, before, after, ends, probed)
    return {key: seen.captured(contract, at, key in bus_only) for key, contract in contracts.items()}


@dataclass(frozen=True)
class _Readings:
    cluster_id: str
    before: Mapping[str, Said]
    after: Mapping[str, Said]
    ends: Mapping[Partition, LogEnds]
    probed: Mapping[Partition, str | None]

    def captured(self, contract: Contract, at: datetime, bus_only: bool = False) -> Capture:
        try:
            bus = self._topic(contract.bus.topic)
            inbox = None if bus_only else self._topic(contract.inbox.kafka.topic)
        except BrokerError as error:
            return Capture(why=str(error))
        return Capture(
            f.MeasuredValue(f.Broker(self.cluster_id, bus=bus, inbox=inbox), at, "kafka"), probed=self.probed
        )

    def _topic(self, name: str) -> f.Topic:
        """The topic, if its id was the same before and after its offsets were asked for: another incarnation's would be
        judged as the old one's (K5).
        """
        found, again = _credible(self.before.get(name)), _credible(self.after.get(name))
        if (found and found.topic_id) != (again and again.topic_id):
            raise created_meanwhile()
        if found is None:
            return f.Topic(name, None)
        return f.Topic(name, found.topic_id, {p: self._log(Partition(name, p)) for p in found.partitions})

    def _log(self, here: Partition) -> f.PartitionLog:
        end = self.ends[here]
        return f.PartitionLog(end.earliest, end.lso, end.hw, end.leader_epoch, self.probed.get(here))


def _credible(said: Said) -> TopicFacts | None:
    if isinstance(said, BrokerError):
        raise said
    return said


# ---- for pages ------------------------------------------------------------------------------------------------------

_RECENT_SECONDS, _PROBED_SECONDS, _AWAY_SECONDS = 2.0, 20.0, 5.0
_recent: dict[tuple[int, WindowId], tuple[float, Capture]] = {}
_probed: dict[tuple[int, WindowId], tuple[float, Mapping[Partition, str | None]]] = {}


def recent(
    win: WindowId, contract: Contract, probes: Iterable[Start], timeout: float, not_before: datetime | None = None
) -> Capture:
    """A capture that may be two seconds old, so that open pages do not multiply questions; its age is what it says.

    It is the window's: another one of the stream may stand on other topics of the same names, and its lanes elsewhere.
    `not_before`: what was sampled earlier is of no use. The epoch probe, which costs a consumer, is asked at most every
    20 s; a broker that did not answer rests for 5 s.
    """
    key = (os.getpid(), win)
    now_ = time.monotonic()
    _forget_before(now_ - max(_RECENT_SECONDS, _PROBED_SECONDS, _AWAY_SECONDS))
    at, kept = _recent.get(key, (0.0, Capture()))
    old = kept.broker is not None and not_before is not None and kept.broker.measured_at < not_before
    if at and not old and now_ - at < (_RECENT_SECONDS if kept.broker else _AWAY_SECONDS):
        return kept
    probed_at, probed = _probed.get(key, (0.0, {}))
    fresh = bool(probed_at) and now_ - probed_at < _PROBED_SECONDS
    captured = capture(contract, None if fresh else list(probes), timeout)
    if fresh:
        captured = _with_probe(captured, probed)
    elif captured.broker is not None:
        _probed[key] = (now_, captured.probed)
    _recent[key] = (now_, captured)
    return captured


def _forget_before(then: float) -> None:
    """Windows that nobody looks at any more."""
    for kept in (_recent, _probed):
        for key in [key for key, (at, _) in list(kept.items()) if at < then]:
            kept.pop(key, None)


def _with_probe(captured: Capture, probed: Mapping[Partition, str | None]) -> Capture:
    if captured.broker is None:
        return captured
    broker = captured.broker.value
    inbox = _add_probe(broker.inbox, probed) if broker.inbox else None
    value = replace(broker, bus=_add_probe(broker.bus, probed), inbox=inbox)
    return replace(captured, broker=replace(captured.broker, value=value), probed=probed)


def _add_probe(topic: f.Topic, probed: Mapping[Partition, str | None]) -> f.Topic:
    logs = {p: replace(log, diverged=probed.get(Partition(topic.name, p))) for p, log in topic.partitions.items()}
    return replace(topic, partitions=logs)


# ---- the epoch probe ------------------------------------------------------------------------------------------------


def probe(starts: Iterable[Start], timeout: float = PROBE_SECONDS) -> dict[Partition, str | None]:
    """Does each log continue where its lane stands? "" if so, Kafka's words if not, None without an answer (K6).

    One consumer asks for all partitions at once. A lane that never read a record has no epoch to ask for.
    """
    wanted = list(starts)
    answers: dict[Partition, str | None] = {Partition(x.topic, x.partition): None for x in wanted}
    answers.update({Partition(x.topic, x.partition): "" for x in wanted if x.leader_epoch is None})
    asking = [x for x in wanted if x.leader_epoch is not None]
    if asking:
        with PartitionReader(Cluster.from_settings(), fetch_wait=0.02) as reader:
            try:
                reader.assign(asking, timeout)
                answers.update(_listen(reader, {Partition(x.topic, x.partition) for x in asking}, timeout))
            except BrokerError:
                return answers
    return answers


def _listen(reader: PartitionReader, silent: set[Partition], timeout: float) -> dict[Partition, str | None]:
    answers: dict[Partition, str | None] = {}
    until = time.monotonic() + timeout
    while silent and time.monotonic() < until:
        for here, chunk in reader.read(1000, 0.1).items():
            if isinstance(chunk.fault, LogTruncated):
                answers[here] = chunk.fault.found
            elif isinstance(chunk.fault, OffsetOutOfRange):
                answers[here] = (
                    ""  # its start moved on: earliest says so. An end that went back is truncation, by its epoch
                )
            elif chunk.fault is None and (chunk.moved() or chunk.at_end):
                answers.setdefault(here, "")
            silent.discard(here)
    return answers


# ---- snapshots and bases --------------------------------------------------------------------------------------------


def store_snapshot(
    cur: Cursor,
    win: WindowId,
    kind: str,
    captured: Capture,
    database: f.DatabaseIdentity | None,
    behind: Sequence[f.RangeBehindCut] = (),
) -> int:
    """Appends a snapshot (ORIGIN, END or CHECK); returns its id. `behind` is what an END's cut leaves to the next."""
    broker = captured.broker.value if captured.broker else None
    committed = captured.committed.value if captured.committed else None
    taken_at = captured.broker.measured_at if captured.broker else clock(cur)
    body = s.snapshot_body(broker, database, committed, behind)
    row = cur.execute(sql.insert_snapshot, {"win": win, "kind": kind, "at": taken_at, "facts": Jsonb(body)}).fetchone()
    assert row is not None
    return int(row.id)


def append_basis(
    cur: Cursor,
    win: WindowId,
    snapshot: int,
    broker: f.Broker,
    database: f.DatabaseIdentity,
    sources: tuple[tuple[f.BasisSource, ...], tuple[f.BasisSource, ...]],
    why: str,
    plan: int | None = None,
) -> int:
    """Appends the next generation; the database refuses to change an earlier one. Returns its number.

    `database`: of a later generation that of the first, for what grows is never another Postgres. `plan`: who let a
    window stand on less than it began with.
    """
    body = s.basis_body(broker, database, *sources)
    values = {
        "win": win,
        "snapshot": snapshot,
        "facts": Jsonb(body),
        "digest": s.digest(body),
        "why": why,
        "plan": plan,
    }
    row = cur.execute(sql.append_basis, values).fetchone()
    assert row is not None
    return int(row.generation)


def read_basis(cur: Cursor, win: WindowId) -> f.MeasuredValue[f.Basis] | None:
    """The window's basis, all generations folded, measured when its newest one was recorded."""
    rows = cur.execute(sql.basis, {"win": win}).fetchall()
    later = frozenset(source_label(row) for row in cur.execute(sql.later_sources, {"win": win}).fetchall())
    refreshes = tuple(f.Refresh(row.generation, row.plan, row.why) for row in rows if row.plan is not None)
    basis = s.read_basis([(row.generation, row.facts) for row in rows], later, refreshes)
    return f.MeasuredValue(basis, rows[-1].recorded_at, f"basis generation {basis.generation}") if basis else None


def read_end(cur: Cursor, win: WindowId) -> f.MeasuredValue[f.Broker] | None:
    """What the broker said when the window was cut; None before, or where the shape is unknown (S15)."""
    row = cur.execute(sql.end_snapshot, {"win": win}).fetchone()
    if row is None or row.facts.get("schema") != s.SNAPSHOT or "broker" not in row.facts:
        return None
    return f.MeasuredValue(s.read_broker(row.facts["broker"]), row.taken_at, "end snapshot")


def read_behind(cur: Cursor, win: WindowId) -> tuple[f.RangeBehindCut, ...]:
    """What lay behind the window's cut when it was made; nothing where nobody wrote it down."""
    row = cur.execute(sql.end_snapshot, {"win": win}).fetchone()
    return s.read_behind(row.facts) if row is not None and row.facts.get("schema") == s.SNAPSHOT else ()


def source_label(row: object) -> str:
    """What a window calls a source: a row with role, kind, topic and partition."""
    role, kind, topic, partition = (getattr(row, name) for name in ("role", "kind", "topic", "partition"))
    if role == "bus":
        return f.bus_label(topic, partition)
    if kind == "plan":
        return f"{topic}/{partition}"
    return f.inbox_label(partition) if kind == "topic" else f"{kind}/{partition}"


def unprobed(broker: f.Broker) -> f.Broker:
    """A basis does not hold what a probe said: that is a measurement of one moment."""
    inbox = _without_probe(broker.inbox) if broker.inbox else None
    return replace(broker, bus=_without_probe(broker.bus), inbox=inbox)


def _without_probe(topic: f.Topic) -> f.Topic:
    return replace(topic, partitions={p: replace(log, diverged=None) for p, log in topic.partitions.items()})
