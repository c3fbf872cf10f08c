"""What a window processed, and what of it is safe to replay now: reads, and changes nothing.

The first is the ledger's alone and needs no Kafka, however late it is asked. The second is what Kafka holds of it now.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from audit import capture as look
from audit import measure
from audit.core import anchors as core
from audit.core import facts as f
from audit.core.anchors import Anchor, AnchorSource, LogStart, Look, Reach, StandIns
from audit.core.basis import drift
from audit.core.generations import Generation
from audit.core.snapshot import read_basis
from ingest.core.errors import NotFound, PassgateError
from ingest.core.ids import SourceId, WindowId
from ingest.core.merkle import merkle_root
from ingest.db import Cursor, read, read_snapshot, statements
from ingest.streams import compiled_contract

__all__ = [
    "Anchor", "WindowAccount", "Reach", "Replay", "SourceReplay", "StandIns", "processed", "replay", "unasked",
]  # fmt: skip

sql = statements("audit", "anchors")

#: Gaps of one source that are listed, the first ones; all are counted.
MOST_GAPS = 20
DIGEST = 32
#: What a page, a command and an answer wait for Kafka.
TIMEOUT = 1.5


@dataclass(frozen=True)
class Act:
    """Who did it and when. No `by`: nobody wrote it down."""

    by: str | None
    at: datetime


@dataclass(frozen=True)
class Gap:
    """Offsets [start, end) at which a reader was given nothing; `proof` is what the second reader wrote down."""

    start: int
    end: int
    state: str
    why: str
    isolation: str
    claimed_at: datetime
    proven_at: datetime | None
    proof: Mapping[str, Any] | None


@dataclass(frozen=True)
class Gaps:
    """Gaps of one source in the window: how many, their offsets by what is known of them, and the first of them.

    `deleted` were gone before anybody read them: no reader can prove what was there.
    """

    number: int = 0
    offsets: int = 0
    proven: int = 0
    claimed: int = 0
    deleted: int = 0
    first: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class SourceAccount:
    """What the window did with one source, by its own batches: [start, cut), and what became of the records.

    `cut` is None while the window is open, and `bus_end` of a bus until it is read; `read_to` is how far the lane came
    in the range. `root`: the Merkle tree head (RFC 9162) over the digests of the window's batches of this source, in
    the order of offsets, hexadecimal; None for a bus, whose batches have no digest. A batch's digest is the tree head
    over its receipts; it is taken from the batch's row here, and not recomputed.
    """

    source_id: SourceId
    label: str
    role: str
    kind: str
    cluster_id: str
    topic_id: str
    topic: str
    partition: int
    start: int
    cut: int | None
    read_to: int
    records: int
    admitted: int
    duplicates: int
    quarantined: int
    batches: int
    root: str | None
    first_at: datetime | None
    last_at: datetime | None
    gaps: Gaps
    retired: str = ""
    sampled: LogStart | None = None

    @property
    def unread(self) -> int | None:
        """Offsets of the range that its lane has not come to; None while the range has no end."""
        return None if self.cut is None else self.cut - self.read_to

    @property
    def unaccounted(self) -> int | None:
        """Of the offsets read, those with neither record nor gap; None for a bus, whose records have no receipts."""
        return self.read_to - self.start - self.records - self.gaps.offsets if self.role == "inbox" else None


@dataclass(frozen=True)
class WindowAccount:
    """What a window processed, as of `at` by the database's clock."""

    win: WindowId
    stream: str
    run_name: str
    number: int
    state: str
    reruns: int | None
    opened: Act
    cut: Act | None
    contract_id: int
    contract_version: int
    contract_digest: str
    generations: tuple[Generation, ...]
    accounts: tuple[SourceAccount, ...]
    at: datetime
    sampled_after: datetime | None

    @property
    def inbox(self) -> tuple[SourceAccount, ...]:
        return tuple(account for account in self.accounts if account.role == "inbox")


@dataclass(frozen=True)
class SourceReplay:
    """The anchor of one source, and what could stand in for what is gone of it; None where nothing is known to be gone,
    or where it is a bus, whose records have no receipts."""

    anchor: Anchor
    stand_ins: StandIns | None


@dataclass(frozen=True)
class Replay:
    """What is safe to replay, at `at`. `asked_at`: when Kafka was asked; None, and `why`, where it did not answer.

    `differences` between the basis and what is there now, in words; None where one of the two was not measured.
    """

    sources: tuple[SourceReplay, ...]
    at: datetime
    asked_at: datetime | None
    differences: tuple[str, ...] | None
    why: str = ""

    @property
    def sentence(self) -> str:
        return core.sentence([each.anchor for each in self.sources])


# ---- what was processed ---------------------------------------------------------------------------------------------


def processed(win: WindowId) -> WindowAccount:
    """From the ledger alone, in one snapshot of it. Raises NotFound."""
    with read_snapshot() as cur:
        row: Any = cur.execute(sql.window, {"win": win}).fetchone()
        if row is None:
            raise NotFound(expected=f"window {win}", found="none")
        opened, cut = _acts(cur, row)
        return WindowAccount(
            win=win,
            stream=row.stream,
            run_name=row.run_name,
            number=row.number,
            state=row.state,
            reruns=row.reruns,
            opened=opened,
            cut=cut,
            contract_id=row.contract_id,
            contract_version=row.version,
            contract_digest=bytes(row.digest).hex(),
            generations=_generations(cur, win),
            accounts=_accounts(cur, win),
            at=row.now,
            sampled_after=row.sampled_after,
        )


def _acts(cur: Cursor, row: Any) -> tuple[Act, Act | None]:
    """Whoever cut a window and went on opened the next one by it; the first was opened with its run."""
    keys = {"subject": f"{row.stream}/{row.run_name}", "number": row.number}
    done = {(each.act == "run.open", each.window): each.actor for each in cur.execute(sql.acts, keys).fetchall()}
    opener = row.opened_by if row.number == 1 else done.get((False, row.number - 1))
    cut = Act(done.get((False, row.number)), row.cut_at) if row.cut_at is not None else None
    return Act(opener, row.opened_at), cut


def _generations(cur: Cursor, win: WindowId) -> tuple[Generation, ...]:
    rows = cur.execute(sql.generations, {"win": win}).fetchall()
    return tuple(
        Generation(row.generation, bytes(row.digest).hex(), row.why, row.recorded_at, row.facts) for row in rows
    )


def _accounts(cur: Cursor, win: WindowId) -> tuple[SourceAccount, ...]:
    listed: dict[int, list[Gap]] = defaultdict(list)
    for row in cur.execute(sql.gaps, {"win": win, "most": MOST_GAPS}).fetchall():
        listed[row.source_id].append(_gap(row))
    sums = {row.source_id: row for row in cur.execute(sql.gap_sums, {"win": win}).fetchall()}
    rows = cur.execute(sql.sources, {"win": win}).fetchall()
    return tuple(_account(row, sums.get(row.source_id), tuple(listed[row.source_id])) for row in rows)


def _gap(row: Any) -> Gap:
    return Gap(
        row.from_offset, row.to_offset, row.state, row.why, row.isolation, row.claimed_at, row.proven_at, row.proof
    )


def _account(row: Any, sums: Any | None, first: tuple[Gap, ...]) -> SourceAccount:
    gaps = Gaps(sums.n, sums.offsets, sums.proven, sums.claimed, sums.deleted, first) if sums else Gaps()
    return SourceAccount(
        source_id=row.source_id,
        label=look.source_label(row),
        role=row.role,
        kind=row.kind,
        cluster_id=row.cluster_id,
        topic_id=row.topic_id,
        topic=row.topic,
        partition=row.partition,
        start=row.start_offset,
        cut=row.end_offset,
        read_to=_read_to(row),
        records=row.records,
        admitted=row.admitted,
        duplicates=row.duplicates,
        quarantined=row.quarantined,
        batches=row.batches,
        root=_root(bytes(row.digests)) if row.role == "inbox" else None,
        first_at=row.first_at,
        last_at=row.last_at,
        gaps=gaps,
        retired=row.retired or "",
        sampled=LogStart(row.log_start, row.sampled_at) if row.log_start is not None else None,
    )


def _read_to(row: Any) -> int:
    """How far the lane came in [start, end); a source without a position was never read."""
    at = row.start_offset if row.next_offset is None else max(row.next_offset, row.start_offset)
    return int(at if row.end_offset is None else min(at, row.end_offset))


def _root(digests: bytes) -> str:
    return merkle_root(digests[at : at + DIGEST] for at in range(0, len(digests), DIGEST)).hex()


# ---- what is safe to replay -----------------------------------------------------------------------------------------


def replay(window: WindowAccount, timeout: float = TIMEOUT) -> Replay:
    """What Kafka holds now of what the window processed. A Kafka that does not answer makes it UNMEASURED, with the
    reason, and raises nothing."""
    return _held_against(window, _captured(window, timeout))


def unasked(window: WindowAccount, why: str) -> Replay:
    """The same while Kafka's answer is not there yet: UNMEASURED, and what was known to be gone before."""
    return _held_against(window, look.Capture(why=why))


def _held_against(window: WindowAccount, captured: look.Capture) -> Replay:
    basis = read_basis([(each.number, each.body) for each in window.generations], frozenset())
    found = core.anchors(_sources(window, basis), Look(captured.broker, captured.why))
    pairs = list(zip(window.accounts, found, strict=True))
    with read() as cur:
        stand_ins = _stand_ins(cur, pairs)
        database = look.database_identity(cur)
        at = look.clock(cur)
    sources = tuple(SourceReplay(anchor, stand_ins.get(account.source_id)) for account, anchor in pairs)
    if captured.broker is None:
        return Replay(sources, at, None, None, captured.why)
    differences = tuple(drift(basis, captured.broker.value, database)) if basis is not None else None
    return Replay(sources, at, captured.broker.measured_at, differences)


def _captured(window: WindowAccount, timeout: float) -> look.Capture:
    """As pages ask Kafka: an answer may be two seconds old, but none is older than what it is held against."""
    try:
        contract = compiled_contract(window.contract_id).contract
    except PassgateError as error:
        return look.Capture(why=f"the contract cannot be read, so Kafka was not asked: {error}")
    return look.recent(window.win, contract, measure.lanes(window.win), timeout, window.sampled_after)


def _sources(window: WindowAccount, basis: f.Basis | None) -> Iterable[AnchorSource]:
    for account in window.accounts:
        yield AnchorSource(
            account.label,
            account.role,
            account.kind,
            account.cluster_id,
            account.topic_id,
            account.topic,
            account.partition,
            account.start,
            account.read_to if account.cut is None else account.cut,
            _epoch(account, basis),
            account.retired,
            account.sampled,
        )


def _epoch(account: SourceAccount, basis: f.Basis | None) -> int | None:
    """The leader epoch that the basis has of this very log."""
    topic = (basis.broker.bus if account.role == "bus" else basis.broker.inbox) if basis else None
    if topic is None or topic.topic_id != account.topic_id or account.partition not in topic.partitions:
        return None
    return topic.partitions[account.partition].leader_epoch


def _stand_ins(cur: Cursor, pairs: Sequence[tuple[SourceAccount, Anchor]]) -> dict[SourceId, StandIns]:
    """One statement for all inbox sources of which something is gone; the bus has no receipts."""
    gone = [(account, anchor) for account, anchor in pairs if account.role == "inbox" and anchor.gone]
    if not gone:
        return {}
    values = {
        "sources": [account.source_id for account, _ in gone],
        "starts": [account.start for account, _ in gone],
        "ends": [anchor.gone_to for _, anchor in gone],
    }
    offsets = {account.source_id: anchor.gone or 0 for account, anchor in gone}
    rows = cur.execute(sql.stand_ins, values).fetchall()
    return {row.source: StandIns(row.receipts, row.gaps, offsets[row.source] - row.receipts - row.gaps) for row in rows}
