"""Opens a run: its window, the sources it reads, where each lane starts, and the basis it will be judged against.

Everything is asked of Kafka before the transaction, and written in one. A lane starts at its window's start (S19).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from ingest.auditlog import record_act
from ingest.core.contract import Contract
from ingest.core.errors import BrokerError, NotFound, RunError
from ingest.db import Cursor, Refused, again, one, read, statements, write
from ingest.streams import Loaded, compiled, newest_contract
from ingest.windows import bind_window, ensure_position, ensure_source

sql = statements("audit", "open")

RUN_ID_BYTES = 200


class RunConflict(RunError):
    """The run is there, under another contract: an answer 409."""

    code: ClassVar[str] = "run_conflict"
    what: ClassVar[str] = "the run exists with another contract"


class AnotherRunOpen(RunError):
    """A stream has at most one open run."""

    code: ClassVar[str] = "another_run_open"
    what: ClassVar[str] = "the stream has an open run already"


class ContextNotPassed(RunError):
    """A projection reads only gated truth: its context needs a verdict PASS before the run opens."""

    code: ClassVar[str] = "context_not_passed"
    what: ClassVar[str] = "the context has no PASS to pin"


class TopicUnusable(RunError):
    """A topic is missing, compacts, or has not the partitions that the contract names."""

    code: ClassVar[str] = "topic_unusable"
    what: ClassVar[str] = "the topic cannot be used"


class RunIdInvalid(RunError):
    """The run id is empty, too long, or carries control characters."""

    code: ClassVar[str] = "run_id_invalid"
    what: ClassVar[str] = "the run id cannot be used"


@dataclass(frozen=True)
class Opened:
    """`result`: "created" or "same" (it was there, with this contract). `name` is `flights/2013-01`."""

    result: str
    stream: str
    run_id: str
    run_number: int
    win: int
    window: int
    contract_version: int
    contract_digest: bytes

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run_id}"


def open_run(
    stream: str, run_id: str, actor: str, contract: str | None = None, pins: Mapping[str, str] | None = None
) -> Opened:
    """Opens `stream/run_id`, or finds it open. `contract`: a version or hex digest; None: the newest.

    `pins` names a verdict (`weather/2013-01#1`) per context; without it the newest PASS of the context's stream is it.
    Raises RunConflict, AnotherRunOpen, ContextNotPassed, TopicUnusable, RunIdInvalid, NotFound, BrokerError.
    """
    _check_run_id(run_id)
    there = _existing(stream, run_id, contract)
    if there is not None:
        return there
    loaded = _contract(stream, contract)
    captured = look.capture(loaded.contract)
    broker = _usable(loaded.contract, captured)
    try:
        return again(lambda: _open(loaded, run_id, actor, captured, broker, pins or {}))
    except (Refused, AnotherRunOpen) as refused:
        return _raced(refused, stream, run_id, contract)


def _check_run_id(run_id: str) -> None:
    if not 0 < len(run_id.encode()) <= RUN_ID_BYTES or not run_id.isprintable() or run_id != run_id.strip():
        raise RunIdInvalid(expected=f"1 to {RUN_ID_BYTES} printable bytes", found=repr(run_id)[:80])


def _existing(stream: str, run_id: str, contract: str | None) -> Opened | None:
    with read() as cur:
        row = cur.execute(sql.run, {"stream": stream, "run_id": run_id}).fetchone()
    if row is None:
        return None
    opened = Opened("same", stream, run_id, row.id, row.win, row.number, row.version, bytes(row.digest))
    if contract is not None and contract not in (str(row.version), bytes(row.digest).hex()):
        raise RunConflict(
            expected=f"contract v{row.version} ({bytes(row.digest).hex()[:12]})",
            found=contract[:80],
            next_step="open a run with another id",
        )
    return opened


def _contract(stream: str, contract: str | None) -> Loaded:
    if contract is None:
        return newest_contract(stream)
    with read() as cur:
        row = cur.execute(sql.contract, {"stream": stream, "contract": contract}).fetchone()
    if row is None:
        raise NotFound(expected=f"contract {contract} of stream {stream}", found="none", next_step="load it first")
    return compiled(row.id)


def _raced(refused: Refused | AnotherRunOpen, stream: str, run_id: str, contract: str | None) -> Opened:
    """Whoever lost the race for the stream learns by what; if it was for the same run, it is there now."""
    there = _existing(stream, run_id, contract)
    if there is not None:
        return there
    if isinstance(refused, Refused) and refused.constraint == "run_one_open":
        raise _another(stream, "") from refused
    raise refused


def _another(stream: str, run_id: str) -> AnotherRunOpen:
    name = f"{stream}/{run_id}" if run_id else f"an open run of {stream}"
    return AnotherRunOpen(expected=f"no open run of {stream}", found=name, next_step=f"seal {name} first")


# ---- what Kafka must be like ----------------------------------------------------------------------------------------


def _usable(contract: Contract, captured: look.Captured) -> f.Broker:
    if captured.broker is None:
        raise BrokerError(expected="topics and offsets", found=captured.why, next_step="see whether Kafka is up")
    broker = captured.broker.value
    for topic in (broker.inbox, broker.bus):
        if topic is not None:
            _check_topic(topic)
    _check_bus(broker.bus, contract)
    return broker


def _check_topic(topic: f.Topic) -> None:
    if topic.topic_id is None:
        raise TopicUnusable(expected=f"topic {topic.name}", found="none of that name", next_step="create it")
    silent = [p for p, log in topic.partitions.items() if log.log_start is None or log.high_watermark is None]
    if silent:
        raise BrokerError(expected=f"offsets of {topic.name}", found=f"no answer for partitions {silent}")


def _check_bus(bus: f.Topic, contract: Contract) -> None:
    """A bus that compacts would lose records that a verdict counted; so DESIGN 4 refuses it."""
    policy = (bus.posture or {}).get("cleanup.policy", "")
    if "compact" in policy:
        raise TopicUnusable(
            expected=f"{bus.name} with cleanup.policy=delete",
            found=policy,
            next_step="use a topic that does not compact",
        )
    if len(bus.partitions) != contract.bus.partitions:
        raise TopicUnusable(
            expected=f"{bus.name} with {contract.bus.partitions} partitions",
            found=str(len(bus.partitions)),
            next_step="correct the contract's [bus] partitions, or the topic",
        )


# ---- the transaction ------------------------------------------------------------------------------------------------


def _open(
    loaded: Loaded,
    run_id: str,
    actor: str,
    captured: look.Captured,
    broker: f.Broker,
    pins: Mapping[str, str],
) -> Opened:
    stream = loaded.contract.stream
    with write() as cur:
        other = cur.execute(sql.open_run_of, {"stream": loaded.stream_id}).fetchone()
        if other is not None:
            raise _another(stream, other.run_id)
        values = {"stream": loaded.stream_id, "run_id": run_id, "contract": loaded.id, "actor": actor}
        run = one(cur.execute(sql.insert_run, values)).id
        win = one(cur.execute(sql.insert_window, {"run": run, "number": 1, "contract": loaded.id})).id
        cur.execute("SELECT ensure_run_partitions(%s)", (run,))
        _pin(cur, win, loaded.contract, pins)
        inbox = [bind_inbox(cur, loaded.stream_id, win, broker, p) for p in sorted(_inbox(broker).partitions)]
        bus = bind_bus(cur, loaded.stream_id, win, broker)
        database = look.database_identity(cur)
        origin = look.store_snapshot(cur, win, "ORIGIN", captured, database)
        look.append_basis(cur, win, origin, look.unprobed(broker), (tuple(inbox), bus), "the window opened")
        detail = {"contract": loaded.version, "window": 1, "digest": loaded.digest.hex()}
        record_act(cur, actor, "run.open", f"{stream}/{run_id}", detail=detail)
    return Opened("created", stream, run_id, run, win, 1, loaded.version, loaded.digest)


def _inbox(broker: f.Broker) -> f.Topic:
    return broker.inbox or f.Topic("", None)


def bind_inbox(cur: Cursor, stream: int, win: int, broker: f.Broker, partition: int) -> f.BasisSource:
    """A source's first window starts at the log's earliest offset, a later one where the earlier was cut."""
    topic = _inbox(broker)
    source = ensure_source(cur, stream, "inbox", broker.cluster_id, topic.topic_id or "", topic.name, partition)
    earliest = topic.partitions[partition].log_start or 0
    ensure_position(cur, "admission", source, stream, earliest)
    ensure_position(cur, "publish", source, stream, earliest)
    start = bind_window(cur, source, win)
    cur.execute(sql.insert_range, {"win": win, "source": source, "start": start})
    return f.BasisSource(f.inbox_label(partition), partition)


def bind_bus(cur: Cursor, stream: int, win: int, broker: f.Broker) -> tuple[f.BasisSource, ...]:
    """Bus ranges chain: this window's starts where the earlier one's ends.

    While the earlier end is not known, the range is written when it is (close.py). A bus partition never seen before
    starts at its high watermark: what lies before was published by nobody of ours.
    """
    bus = broker.bus
    sources = []
    for partition, log in sorted(bus.partitions.items()):
        source = ensure_source(cur, stream, "bus", broker.cluster_id, bus.topic_id or "", bus.name, partition)
        ensure_position(cur, "effects", source, stream, log.high_watermark or 0)
        sources.append(source)
    cur.execute(sql.lock_open_bus_ranges, {"sources": sources})
    for source in sources:
        cur.execute(sql.chain_bus_range, {"win": win, "source": source})
    return tuple(f.BasisSource(f.bus_label(bus.name, p), p) for p in sorted(bus.partitions))


# ---- pins -----------------------------------------------------------------------------------------------------------


def _pin(cur: Cursor, win: int, contract: Contract, pins: Mapping[str, str]) -> None:
    """Gated truth only: a verdict that is the newest of its window, and PASS."""
    unknown = sorted(set(pins) - {context.name for context in contract.contexts})
    if unknown:
        raise NotFound(expected="a context of the contract", found=unknown[0])
    for context in contract.contexts:
        found = _passed(cur, context.stream, pins.get(context.name))
        cur.execute(sql.insert_pin, {"win": win, "context": context.name, "pinned": found.win, "verdict": found.name})


def _passed(cur: Cursor, stream: str, name: str | None) -> Any:
    rows: Sequence[Any] = cur.execute(sql.passed, {"stream": stream, "name": name}).fetchall()
    if not rows:
        raise ContextNotPassed(
            expected=name or f"a PASS of stream {stream}",
            found="none that stands",
            next_step=f"close a run of {stream} first",
        )
    return rows[0]
