"""Kafka as far as correctness depends on it: logs with transactions, epochs that fence, late requests.

Two things are as bad here as the worst that was seen on a real broker: a request may be held in a socket and land when
nobody expects it any more, and EndTxn names no transaction, only an epoch, so a late one acts on whatever is open then.
docs/kafka-facts.md says how that was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest.core.batching import Hole, OffsetRange
from ingest.core.outcome import CommitStep, Fault, Report, SendReport, Step, after_commit_fault

Answer = int | Fault | None
Headers = list[tuple[str, bytes | None]]

FENCED = Fault("_FENCED", "a newer instance has this transactional.id", fatal=True)
NOT_ONGOING = Fault("INVALID_TXN_STATE", "the partition is in no open transaction", requires_abort=True)
NO_ANSWER = Fault("_MSG_TIMED_OUT", "no answer in time")
NO_ANSWER_TO_COMMIT = Fault("_TIMED_OUT", "no answer in time", retriable=True)


class Record(NamedTuple):
    offset: int
    leader_epoch: int | None
    key: bytes | None
    value: bytes | None
    headers: Headers | None


class Message(NamedTuple):
    """What a producer sends."""

    key: bytes | None
    value: bytes | None
    headers: Headers


class Entry(NamedTuple):
    """What one offset holds: a record, or a transaction's marker (None)."""

    record: Record | None
    txn: int | None


class Log:
    """One partition of one incarnation of a topic."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.topic_id = f"{name} #1"
        self.epoch = 0
        self.entries: list[Entry] = []
        self.open: dict[int, int] = {}  # transaction -> its first offset here
        self.aborted: set[int] = set()

    @property
    def hw(self) -> int:
        return len(self.entries)

    @property
    def lso(self) -> int:
        return min(self.open.values(), default=len(self.entries))

    def append(self, message: Message, txn: int | None = None) -> int:
        offset = len(self.entries)
        self.entries.append(Entry(Record(offset, self.epoch, *message), txn))
        if txn is not None:
            self.open.setdefault(txn, offset)
        return offset

    def end(self, txn: int, commit: bool) -> None:
        """Writes the marker, which takes an offset (K1)."""
        if txn in self.open:
            del self.open[txn]
            self.entries.append(Entry(None, txn))
            if not commit:
                self.aborted.add(txn)

    def visible(self, offset: int) -> Record | None:
        """What read_committed is given at `offset`, which lies below the LSO."""
        entry = self.entries[offset]
        return entry.record if entry.txn not in self.aborted else None

    def read(self, at: int, most: int = 1000, until: int | None = None) -> OffsetRange:
        """As PartitionReader does: a hole is claimed where a record follows it, or where the end says so (K12)."""
        end = self.lso if until is None else min(until, self.lso)
        start, epoch = at, self.epoch
        records: list[Record] = []
        holes: list[Hole] = []
        for offset in range(at, end):
            if len(records) == most:
                break
            record = self.visible(offset)
            if record is not None:
                if offset > at:
                    holes.append(Hole(at, offset, epoch, "read_committed", "BETWEEN_RECORDS"))
                records.append(record)
                at = offset + 1
        else:
            if at < end:
                holes.append(Hole(at, end, epoch, "read_committed", "AT_END"))
                at = end
        return OffsetRange(start, max(at, start), epoch, records, holes)


@dataclass
class Transaction:
    """`ending`: None while it is open, then what EndTxn said; markers follow later (HW 16, LSO 11)."""

    number: int
    logs: list[Log] = field(default_factory=list)
    ending: bool | None = None


@dataclass
class Coordinator:
    """What the broker knows of one transactional.id."""

    epoch: int = 0
    txn: Transaction | None = None
    last_end: bool | None = None

    def mark(self) -> None:
        """Writes the markers of a transaction that EndTxn has decided."""
        if self.txn is not None and self.txn.ending is not None:
            for log in self.txn.logs:
                log.end(self.txn.number, self.txn.ending)
            self.last_end, self.txn = self.txn.ending, None


class Late(NamedTuple):
    """A request that waits in a socket."""

    what: str
    land: Callable[[], object]


class Broker:
    def __init__(self) -> None:
        self.coordinators: dict[str, Coordinator] = {}
        self.committed: dict[str, int] = {}  # log -> our group's commit
        self.late: list[Late] = []
        self.holds: str | None = None  # what becomes of the next request: "produce", "commit", "... answer"
        self.slow_markers = False
        self._transactions = 0

    def _coordinator(self, transactional_id: str) -> Coordinator:
        return self.coordinators.setdefault(transactional_id, Coordinator())

    # ---- requests; a Fault is the answer to a refused one

    def init(self, transactional_id: str) -> int:
        """The new epoch. Whatever a predecessor left is ended, with its markers, before this answers."""
        mine = self._coordinator(transactional_id)
        mine.epoch += 1
        if mine.txn is not None and mine.txn.ending is None:
            mine.txn.ending = False
        mine.mark()
        mine.last_end = None
        return mine.epoch

    def add_partition(self, transactional_id: str, epoch: int, log: Log) -> Fault | None:
        mine = self._coordinator(transactional_id)
        if epoch < mine.epoch:
            return FENCED
        mine.mark()  # CONCURRENT_TRANSACTIONS is asked again until the markers are there
        if mine.txn is None:
            self._transactions += 1
            mine.txn = Transaction(self._transactions)
        if log not in mine.txn.logs:
            mine.txn.logs.append(log)
        return None

    def produce(self, transactional_id: str, epoch: int, log: Log, messages: Sequence[Message]) -> int | Fault:
        """The offset of the first. The broker verifies that the partition is in an open transaction of this epoch."""
        mine = self._coordinator(transactional_id)
        if epoch < mine.epoch:
            return FENCED
        if mine.txn is None or mine.txn.ending is not None or log not in mine.txn.logs:
            return NOT_ONGOING
        return [log.append(message, mine.txn.number) for message in messages][0]

    def end_txn(self, transactional_id: str, epoch: int, commit: bool) -> Fault | None:
        """EndTxn v1: it names an epoch and no transaction."""
        mine = self._coordinator(transactional_id)
        if epoch < mine.epoch:
            return FENCED
        if mine.txn is None or mine.txn.ending is not None:
            said = mine.txn.ending if mine.txn is not None else mine.last_end
            return None if said is commit else NOT_ONGOING
        mine.txn.ending = commit
        if not self.slow_markers:
            mine.mark()
        return None

    def time_out(self, transactional_id: str) -> None:
        """The broker's own transaction timeout: it aborts, and raises the epoch."""
        mine = self._coordinator(transactional_id)
        if mine.txn is not None and mine.txn.ending is None:
            self.init(transactional_id)

    def write_markers(self) -> None:
        for coordinator in self.coordinators.values():
            coordinator.mark()

    # ---- the network

    def through(self, api: str, what: str, request: Callable[[], Answer]) -> tuple[bool, Answer]:
        """(answered, answer). An armed hold keeps either the request or its answer."""
        holds, self.holds = self.holds, None if self.holds in (api, f"{api} answer") else self.holds
        if holds == api:
            self.late.append(Late(what, request))
            return False, None
        answer = request()
        return holds != f"{api} answer", answer


class Producer:
    """The client's side of one transactional instance. `flawed` lets it abort and go on, as it never may."""

    def __init__(self, broker: Broker, transactional_id: str, flawed: bool = False) -> None:
        self.dead = False
        self.epoch = broker.init(transactional_id)
        self._broker = broker
        self._id = transactional_id
        self._flawed = flawed

    def send(self, parts: Sequence[tuple[Log, int, Sequence[tuple[int, Message]]]]) -> Iterator[str | SendReport]:
        """One transaction: yields after every request, and what was seen of it (a Sending) last.

        `parts` are (log, partition, [(number, message)]); each goes out as one produce request.
        """
        events = sum(len(messages) for _, _, messages in parts)
        reports: list[Report] = []
        for log, partition, messages in parts:
            fault, first = self._produce(log, [message for _, message in messages])
            reports += [
                Report(number, partition, None if fault else first + index, fault)
                for index, (number, _) in enumerate(messages)
            ]
            yield f"sends {len(messages)} to {log.name}: {fault.name if fault else f'at {first}'}"
        raised: tuple[Step, Fault] | None = None
        committed = False
        if not any(report.fault for report in reports):
            fault = yield from self._commit()
            committed, raised = fault is None, None if fault is None else (Step.COMMIT, fault)
        if not committed:
            yield from self._give_up()
        yield SendReport(events, events, reports, 0, raised, committed)

    def _produce(self, log: Log, messages: Sequence[Message]) -> tuple[Fault | None, int]:
        broker, ours, epoch = self._broker, self._id, self.epoch
        fault = broker.add_partition(ours, epoch, log)
        if fault is not None:
            return fault, -1
        answered, answer = broker.through(
            "produce", f"{len(messages)} records of {ours} (epoch {epoch}) for {log.name}",
            lambda: broker.produce(ours, epoch, log, messages),
        )  # fmt: skip
        if not answered:
            return NO_ANSWER, -1
        return (answer, -1) if isinstance(answer, Fault) else (None, answer or 0)

    def _end(self, commit: bool) -> Fault | None:
        broker, ours, epoch = self._broker, self._id, self.epoch
        answered, answer = broker.through(
            "commit", f"EndTxn({'commit' if commit else 'abort'}) of {ours} (epoch {epoch})",
            lambda: broker.end_txn(ours, epoch, commit),
        )  # fmt: skip
        assert not isinstance(answer, int)
        return answer if answered else NO_ANSWER_TO_COMMIT

    def _commit(self) -> Generator[str | SendReport, None, Fault | None]:
        """The same call on the same producer while the attempt's time lasts, which is once more here."""
        for seconds_left in (1.0, 0.0):
            fault = self._end(True)
            yield f"commits the transaction: {fault.name if fault else 'done'}"
            if fault is None or after_commit_fault(fault, seconds_left) is CommitStep.GIVE_UP:
                return fault
        return fault

    def _give_up(self) -> Iterator[str | SendReport]:
        if not self._flawed:
            self.dead = True
            return
        while (fault := self._end(False)) == NO_ANSWER_TO_COMMIT:
            yield "aborts the transaction: no answer, and again"
        yield f"aborts the transaction: {fault.name if fault else 'done'}"
