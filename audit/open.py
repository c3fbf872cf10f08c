"""Opens a run: its window, the sources it reads, where each lane starts, and the basis it will be judged against.

Everything is asked of Kafka before the transaction, and written in one. A lane starts at its window's start (S19). What
was not measured is no basis: opening waits a little for posture, offsets and leader epochs, and then refuses.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from audit import capture as look
from audit.core import facts as f
from audit.incarnations import CutLog, commit_back, cut_logs, retire_cut_logs
from ingest.auditlog import record_act
from ingest.core.contract import Context, Contract, PinTime, identity_digest
from ingest.core.errors import BrokerError, NotFound, RunError
from ingest.core.ids import RunId, SourceId, StreamId, WindowId
from ingest.core.posture import TopicFault, unfit_bus, unfit_inbox, unmeasured
from ingest.core.visible import is_printable
from ingest.db import ConstraintViolated, Cursor, fetch_one, read, retry_transaction, statements, write
from ingest.failpoints import failpoint
from ingest.projections.base import check_projection
from ingest.retire import retire_others
from ingest.streams import CompiledContract, compiled_contract, newest_contract
from ingest.windows import begins_at, bind_window, ensure_position, ensure_source, is_known

sql = statements("audit", "open")

RUN_NAME_BYTES = 200
#: How long opening waits for an answer that an election delays (K4), and how often it asks.
MEASURE_SECONDS, MEASURE_PAUSE = 5.0, 0.25


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


class PinnedAtCut(RunError):
    """Which window of a context is of the cut's time is known once there is a cut; nobody chooses it."""

    code: ClassVar[str] = "pinned_at_cut"
    what: ClassVar[str] = "the contract pins contexts once a window is cut"


class OtherIdentities(RunError):
    """A run looks back only where an event has the same identity in both, but for the run's name."""

    code: ClassVar[str] = "other_identities"
    what: ClassVar[str] = "the contract identifies events otherwise than the run before"


class EarlierRunAtWork(RunError):
    """What the run before still admits would be admitted here, too: its lanes come to their cuts first."""

    code: ClassVar[str] = "earlier_run_at_work"
    what: ClassVar[str] = "the run that is looked back on is not read to its cuts"
    retry: ClassVar[bool] = True


class TopicUnusable(RunError):
    """A topic is missing, compacts, or has not the partitions that the contract names."""

    code: ClassVar[str] = "topic_unusable"
    what: ClassVar[str] = "the topic cannot be used"


class RunNameInvalid(RunError):
    """The run name is empty, too long, or carries control characters."""

    code: ClassVar[str] = "run_name_invalid"
    what: ClassVar[str] = "the run name cannot be used"


@dataclass(frozen=True)
class OpenedRun:
    """`result`: "created" or "same" (it was there, with this contract). `name` is `flights/2013-01`."""

    result: str
    stream: str
    run_name: str
    run_id: RunId
    win: WindowId
    window: int
    contract_version: int
    contract_digest: bytes

    @property
    def name(self) -> str:
        return f"{self.stream}/{self.run_name}"


def open_run(
    stream: str, run_name: str, actor: str, contract: str | None = None, pins: Mapping[str, str] | None = None
) -> OpenedRun:
    """Opens `stream/run_name`, or finds it open. `contract`: a version or hex digest; None: the newest.

    `pins` names a verdict (`weather/2013-01#1`) per context; without it the newest PASS of the context's stream is it.
    Where the contract pins at the cut none is, and none may be named: PinnedAtCut.
    Raises RunConflict, AnotherRunOpen, ContextNotPassed, TopicUnusable, RunNameInvalid, NotFound, SettingsError (a
    projection that cannot be imported, or whose tables are not there), BrokerError.
    """
    check_run_name(run_name)
    there = _existing(stream, run_name, contract)
    if there is not None:
        return there
    loaded = _contract(stream, contract)
    projection = loaded.contract.projection
    if projection is not None:
        check_projection(projection.class_path, projection.tables)
    captured, broker = _measured(loaded.contract)
    cut = cut_logs(loaded.stream_id, broker)
    commit_back(loaded.contract, cut)
    failpoint("open.after_commits")
    try:
        return retry_transaction(lambda: _open(loaded, run_name, actor, captured, broker, pins or {}, cut))
    except (ConstraintViolated, AnotherRunOpen) as refused:
        return _raced(refused, stream, run_name, contract)


def check_run_name(run_name: str) -> None:
    """Raises RunNameInvalid."""
    # is_printable first: what does not print may not even have bytes
    if (
        not is_printable(run_name)
        or run_name != run_name.strip(" ")
        or not 0 < len(run_name.encode()) <= RUN_NAME_BYTES
    ):
        raise RunNameInvalid(expected=f"1 to {RUN_NAME_BYTES} printable bytes", found=repr(run_name)[:80])


def _existing(stream: str, run_name: str, contract: str | None) -> OpenedRun | None:
    with read() as cur:
        row = cur.execute(sql.run, {"stream": stream, "run_name": run_name}).fetchone()
    if row is None:
        return None
    opened = OpenedRun("same", stream, run_name, row.id, row.win, row.number, row.version, bytes(row.digest))
    if contract is not None and contract not in (str(row.version), bytes(row.digest).hex()):
        raise RunConflict(
            expected=f"contract v{row.version} ({bytes(row.digest).hex()[:12]})",
            found=contract[:80],
            next_step="open a run with another id",
        )
    return opened


def _contract(stream: str, contract: str | None) -> CompiledContract:
    if contract is None:
        return newest_contract(stream)
    with read() as cur:
        row = cur.execute(sql.contract, {"stream": stream, "contract": contract}).fetchone()
    if row is None:
        raise NotFound(expected=f"contract {contract} of stream {stream}", found="none", next_step="load it first")
    return compiled_contract(row.id)


def _raced(refused: ConstraintViolated | AnotherRunOpen, stream: str, run_name: str, contract: str | None) -> OpenedRun:
    """Whoever lost the race for the stream learns by what; if it was for the same run, it is there now."""
    there = _existing(stream, run_name, contract)
    if there is not None:
        return there
    if isinstance(refused, ConstraintViolated) and refused.constraint == "run_one_open":
        raise _another(stream, "") from refused
    raise refused


def _another(stream: str, run_name: str) -> AnotherRunOpen:
    name = f"{stream}/{run_name}" if run_name else f"an open run of {stream}"
    return AnotherRunOpen(expected=f"no open run of {stream}", found=name, next_step=f"cut {name} first")


# ---- what Kafka must be like ----------------------------------------------------------------------------------------


def _measured(contract: Contract) -> tuple[look.Capture, f.Broker]:
    """What Kafka says, whole. Raises TopicUnusable, and BrokerError where something is not measured in time."""
    until = time.monotonic() + MEASURE_SECONDS
    while True:
        captured = look.capture(contract)
        if captured.broker is None:
            raise BrokerError(expected="topics and offsets", found=captured.why, next_step="see whether Kafka is up")
        broker = captured.broker.value
        _check_there(broker)
        silent = _silent(broker)
        if not silent:
            _check_fit(broker, contract)
            return captured, broker
        if time.monotonic() > until:
            found = f"no answer: {', '.join(silent[:5])}"
            raise BrokerError(expected="posture, offsets and leader epochs", found=found, next_step="try again")
        time.sleep(MEASURE_PAUSE)


def _check_there(broker: f.Broker) -> None:
    for topic in (broker.inbox, broker.bus):
        if topic is not None and topic.topic_id is None:
            raise TopicUnusable(expected=f"topic {topic.name}", found="none of that name", next_step="create it")


def _silent(broker: f.Broker) -> list[str]:
    """What a basis needs and was not measured: a posture or an epoch that nobody knows cannot be seen to change."""
    found = []
    for topic in filter(None, (broker.inbox, broker.bus)):
        found += [f"{key} of {topic.name}" for key in unmeasured(topic.posture)]
        found += [f"{topic.name}/{p}" for p, log in sorted(topic.partitions.items()) if not is_measured(log)]
    return found


def is_measured(log: f.PartitionLog) -> bool:
    """Whether a basis may take this partition in."""
    return None not in (log.log_start, log.lso, log.high_watermark, log.leader_epoch)


def _check_fit(broker: f.Broker, contract: Contract) -> None:
    """Refuses what cannot work, before anything waits for it: a log that compacts forgets in silence."""
    for topic, unfit in _unfit(broker, contract):
        raise TopicUnusable(
            expected=f"{topic.name} with {unfit.expected}", found=unfit.found, next_step=unfit.next_step
        )
    if len(broker.bus.partitions) != contract.bus.partitions:
        raise TopicUnusable(
            expected=f"{broker.bus.name} with {contract.bus.partitions} partitions",
            found=str(len(broker.bus.partitions)),
            next_step="correct the contract's [bus] partitions, or the topic",
        )


def _unfit(broker: f.Broker, contract: Contract) -> Iterator[tuple[f.Topic, TopicFault]]:
    inbox = unfit_inbox(broker.inbox.posture or {}) if broker.inbox is not None else None
    if broker.inbox is not None and inbox is not None:
        yield broker.inbox, inbox
    if (bus := unfit_bus(broker.bus.posture or {}, contract.limits)) is not None:
        yield broker.bus, bus


def unfit_topics(broker: f.Broker, contract: Contract) -> str:
    """Why nothing that waits for these topics could work, in words; empty if it could."""
    return "; ".join(f"{topic.name} has {fault.found}" for topic, fault in _unfit(broker, contract))


# ---- the transaction ------------------------------------------------------------------------------------------------


def _open(
    loaded: CompiledContract,
    run_name: str,
    actor: str,
    captured: look.Capture,
    broker: f.Broker,
    pins: Mapping[str, str],
    cut: Sequence[CutLog],
) -> OpenedRun:
    stream = loaded.contract.stream
    with write() as cur:
        other = cur.execute(sql.open_run_of, {"stream": loaded.stream_id}).fetchone()
        if other is not None:
            raise _another(stream, other.name)
        if loaded.contract.run.looks_back:
            _check_before(cur, loaded)
        run = insert_run(cur, loaded, run_name, actor)
        win = insert_window(cur, run, 1, loaded)
        ensure_partitions(cur, run)
        _pin(cur, win, loaded.contract, pins)
        retire_former(cur, loaded.stream_id, broker)
        retire_cut_logs(cur, cut)
        inbox = _bind_inboxes(cur, loaded.stream_id, win, broker)
        bus = bind_bus(cur, loaded.stream_id, win, broker)
        database = look.database_identity(cur)
        origin = look.store_snapshot(cur, win, "ORIGIN", captured, database)
        look.append_basis(cur, win, origin, look.unprobed(broker), database, (tuple(inbox), bus), "the window opened")
        detail = {"contract": loaded.version, "window": 1, "digest": loaded.digest.hex()}
        record_act(cur, actor, "run.open", f"{stream}/{run_name}", detail=detail)
    return OpenedRun("created", stream, run_name, run, win, 1, loaded.version, loaded.digest)


def insert_run(cur: Cursor, loaded: CompiledContract, run_name: str, actor: str) -> RunId:
    """A step of opening and of going on, as those below."""
    values = {"stream": loaded.stream_id, "run_name": run_name, "contract": loaded.id, "actor": actor}
    return RunId(fetch_one(cur.execute(sql.insert_run, values)).id)


def insert_window(cur: Cursor, run: RunId, number: int, loaded: CompiledContract) -> WindowId:
    values = {"run": run, "number": number, "contract": loaded.id}
    return WindowId(fetch_one(cur.execute(sql.insert_window, values)).id)


def ensure_partitions(cur: Cursor, run: RunId) -> None:
    """The table partitions that the run's events and effects go to."""
    cur.execute("SELECT ensure_run_partitions(%s)", (run,))


def insert_range(cur: Cursor, win: WindowId, source: SourceId, start: int) -> None:
    cur.execute(sql.insert_range, {"win": win, "source": source, "start": start})


def _check_before(cur: Cursor, loaded: CompiledContract) -> None:
    """A run that looks back begins when the one before admits nothing more, and names events as that one did."""
    cur.execute(sql.lock_run_before, {"stream": loaded.stream_id})
    before: Any = cur.execute(sql.run_before, {"stream": loaded.stream_id}).fetchone()
    if before is None:
        return
    name = f"{loaded.contract.stream}/{before.name}"
    if identity_digest(compiled_contract(before.contract_id).contract) != identity_digest(loaded.contract):
        raise OtherIdentities(
            expected=f"events identified as in {name}",
            found="another class, run or id rule",
            next_step="leave out run.looks_back for this run",
        )
    if before.behind:
        raise EarlierRunAtWork(
            expected=f"all lanes of {name} at their cuts",
            found=f"{before.behind} before theirs",
            next_step="try again in a moment",
        )


def check_no_plan_at_work(cur: Cursor, run: RunId, name: str) -> None:
    """Raises EarlierRunAtWork: what a plan admits into a run that another looks back on already is found by nobody."""
    found = cur.execute(sql.plan_at_work, {"run": run}).fetchone()
    if found is not None:
        raise EarlierRunAtWork(
            expected=f"nothing that still admits into {name}", found=f"plan {found.plan}", next_step="let it end first"
        )


def inbox_of(broker: f.Broker) -> f.Topic:
    return broker.inbox or f.Topic("", None)


def retire_former(cur: Cursor, stream: StreamId, broker: f.Broker) -> None:
    """What the stream knew under these names before, and is not there any more, is waited for by nobody."""
    for role, topic in (("inbox", broker.inbox), ("bus", broker.bus)):
        if topic is not None:
            retire_others(cur, stream, role, topic.name, broker.cluster_id, topic.topic_id or "")


def _bind_inboxes(cur: Cursor, stream: StreamId, win: WindowId, broker: f.Broker) -> list[f.BasisSource]:
    topic = inbox_of(broker)
    first = not is_known(cur, stream, "inbox", broker.cluster_id, topic.topic_id or "")
    return [bind_inbox(cur, stream, win, broker, p, first=first) for p in sorted(topic.partitions)]


def bind_inbox(
    cur: Cursor, stream: StreamId, win: WindowId, broker: f.Broker, partition: int, *, first: bool = False
) -> f.BasisSource:
    """`first`: the very first window of this incarnation of the topic, which may start at the log's earliest offset.

    A partition added later starts at 0, whatever its log start: what was deleted before a lane looked is missed, not
    forgotten. A known source starts where the earlier window was cut, and a log that was cut where it is another one.
    """
    topic = inbox_of(broker)
    source = ensure_source(cur, stream, "inbox", broker.cluster_id, topic.topic_id or "", topic.name, partition)
    earliest = (topic.partitions[partition].log_start or 0) if first else begins_at(cur, source) or 0
    ensure_position(cur, "admission", source, stream, earliest)
    ensure_position(cur, "publish", source, stream, earliest)
    start = bind_window(cur, source, win)
    insert_range(cur, win, source, start)
    return f.BasisSource(f.inbox_label(partition), partition)


def bind_bus(
    cur: Cursor, stream: StreamId, win: WindowId, broker: f.Broker, only: Collection[int] | None = None
) -> tuple[f.BasisSource, ...]:
    """Binds the bus's partitions, or `only` these. Bus ranges chain: this window's starts where the earlier one's ends.

    While the earlier end is not known, the range is written when it is (close.py). A bus that was never seen before
    starts at its high watermarks: what lies before was published by nobody of ours. A partition added to it later
    starts at 0: whatever lies there came while the stream was at work.
    """
    bus = broker.bus
    sources = []
    first = not is_known(cur, stream, "bus", broker.cluster_id, bus.topic_id or "")
    wanted = sorted(bus.partitions if only is None else only)
    for partition in wanted:
        source = ensure_source(cur, stream, "bus", broker.cluster_id, bus.topic_id or "", bus.name, partition)
        ensure_position(cur, "effects", source, stream, (bus.partitions[partition].high_watermark or 0) if first else 0)
        sources.append(source)
    lock_bus_ranges(cur, sources)
    chain_bus_ranges(cur, win, sources)
    return tuple(f.BasisSource(f.bus_label(bus.name, p), p) for p in wanted)


def lock_bus_ranges(cur: Cursor, sources: Sequence[SourceId]) -> None:
    """Before `chain_bus_ranges`: whoever writes an earlier window's end there is waited for."""
    cur.execute(sql.lock_open_bus_ranges, {"sources": list(sources)})


def chain_bus_ranges(cur: Cursor, win: WindowId, sources: Sequence[SourceId]) -> None:
    cur.execute(sql.chain_bus_ranges, {"win": win, "sources": list(sources)})


# ---- pins -----------------------------------------------------------------------------------------------------------


def _pin(cur: Cursor, win: WindowId, contract: Contract, pins: Mapping[str, str]) -> None:
    """Gated truth only: a verdict that is the newest of its window, and PASS."""
    unknown = sorted(set(pins) - {context.name for context in contract.contexts})
    if unknown:
        raise NotFound(expected="a context of the contract", found=unknown[0])
    if contract.pin is PinTime.CUT:
        if pins:
            raise PinnedAtCut(
                expected="no verdict to join with", found=", ".join(sorted(pins.values())), next_step="open it without"
            )
        return
    write_pins(cur, win, [_passed(cur, context, pins.get(context.name)) for context in contract.contexts])


def _passed(cur: Cursor, context: Context, name: str | None) -> ContextPin:
    row = newest_pass(cur, context.stream, name)
    if row is None:
        raise ContextNotPassed(
            expected=name or f"a PASS of stream {context.stream}",
            found="none that stands",
            next_step=f"close a run of {context.stream} first",
        )
    return context.name, row.win, row.name


ContextPin = tuple[str, WindowId, str]
"""A context's name, the window it is pinned to, and the name of that window's verdict."""


def newest_pass(cur: Cursor, stream: str, name: str | None = None) -> Any | None:
    """The newest verdict (win, name) that is the newest of its window and PASS; of this name, if one is given."""
    return cur.execute(sql.passed, {"stream": stream, "name": name}).fetchone()


def write_pins(cur: Cursor, win: WindowId, pins: Sequence[ContextPin]) -> None:
    contexts, pinned, verdicts = ([pin[part] for pin in pins] for part in range(3))
    cur.execute(sql.insert_pins, {"win": win, "contexts": contexts, "pinned": pinned, "verdicts": verdicts})
