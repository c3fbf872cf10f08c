"""What a scan of the bus says about an attempt whose outcome nobody knows (docs/design.md#reconciliation). Pure.

The scan counts only if what it stands on held before and after it: the same cluster and topic, a log that still reaches
back to `lo`, an end not before it, and the epoch at `lo` undiverged. Otherwise the answer is UNDECIDABLE, with every
reason. An open transaction below `hi` is not a reason: it is waited for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Answer(StrEnum):
    PRESENT = "PRESENT"  # all of the attempt's (identity, digest) set found: ACKED at these places
    ABSENT = "ABSENT"  # none found: its batches are queued again
    PARTIAL = "PARTIAL"  # what was found is ACKED, the rest is queued again
    UNDECIDABLE = "UNDECIDABLE"  # the scan cannot answer; a plan decides


@dataclass(frozen=True, slots=True)
class Anchor:
    """Where an attempt began on one bus partition: `lo` is the high watermark before it, with its leader epoch."""

    partition: int
    lo: int
    leader_epoch: int | None


@dataclass(frozen=True, slots=True)
class Ground:
    """What one partition looked like at one moment; None: not measured. `diverged` is the epoch probe's text, or ""."""

    earliest: int | None
    hi: int | None
    lso: int | None
    diverged: str | None


@dataclass(frozen=True, slots=True)
class Moment:
    """What the whole scan stands on, before or after it."""

    cluster_id: str | None
    topic_id: str | None
    grounds: Mapping[int, Ground]


@dataclass(frozen=True, slots=True)
class ExpectedEvent:
    """One event of the attempt: its number in it, identity and payload digest, and the partition it was sent to."""

    index: int
    identity: bytes
    digest: bytes
    partition: int


@dataclass(frozen=True, slots=True)
class FoundRecord:
    """A record on the bus that carries this attempt's `pg-attempt`. `digest` is of its value, not of its header."""

    partition: int
    offset: int
    identity: bytes
    digest: bytes


@dataclass(frozen=True, slots=True)
class ScanExtent:
    """How far the scan of one partition read: offsets [lo, ended_at), `scanned` records; `fault` when it broke off."""

    partition: int
    hi: int
    ended_at: int
    scanned: int
    fault: str = ""


@dataclass(frozen=True, slots=True)
class PreparedFacts:
    """What PREPARED wrote down."""

    cluster_id: str
    topic_id: str
    anchors: Sequence[Anchor]
    expected: Sequence[ExpectedEvent]


@dataclass(frozen=True, slots=True)
class ScanAnswer:
    """`places` maps an event's number in the attempt to (partition, offset), the lowest where there are copies."""

    answer: Answer
    why: str = ""
    places: Mapping[int, tuple[int, int]] | None = None
    copies: int = 0
    strangers: int = 0


def held_back(moment: Moment) -> tuple[int, ...]:
    """Partitions with LSO < hi: an open transaction stands before `hi`. Waiting is a state, not UNDECIDABLE."""
    return tuple(
        partition
        for partition, ground in sorted(moment.grounds.items())
        if ground.hi is not None and (ground.lso is None or ground.lso < ground.hi)
    )


def unsound(attempt: PreparedFacts, moment: Moment) -> list[str]:
    """Why a scan at this moment would prove nothing; empty when it would."""
    reasons = []
    if moment.cluster_id != attempt.cluster_id:
        reasons.append(f"CLUSTER: sent to cluster {attempt.cluster_id}, found {moment.cluster_id or 'no answer'}")
    if moment.topic_id != attempt.topic_id:
        reasons.append(f"TOPIC: sent to topic id {attempt.topic_id}, found {moment.topic_id or 'no such topic'}")
    for anchor in attempt.anchors:
        reasons.extend(_shaken(anchor, moment.grounds.get(anchor.partition)))
    return reasons


def _shaken(anchor: Anchor, ground: Ground | None) -> list[str]:
    here = f"partition {anchor.partition}"
    if ground is None:
        return [f"PARTITION: {here} is gone"]
    reasons = []
    if anchor.leader_epoch is None:
        reasons.append(f"EPOCH: no leader epoch was known at {here} when the attempt began")
    if ground.earliest is None or ground.hi is None:
        reasons.append(f"UNMEASURED: the offsets of {here} were not answered")
    if ground.earliest is not None and ground.earliest > anchor.lo:
        reasons.append(f"LOG_START: {here} starts at {ground.earliest}, after the attempt began at {anchor.lo}")
    if ground.hi is not None and ground.hi < anchor.lo:
        reasons.append(f"LOG_END: {here} ends at {ground.hi}, before the attempt began at {anchor.lo}")
    if ground.diverged is None:
        reasons.append(f"UNMEASURED: the epoch probe of {here} was not answered")
    elif ground.diverged:
        reasons.append(f"EPOCH: {here}: {ground.diverged}")
    return reasons


def decide(
    attempt: PreparedFacts,
    before: Moment,
    after: Moment,
    reads: Sequence[ScanExtent],
    found: Iterable[FoundRecord],
    applied: Collection[int] = (),
) -> ScanAnswer:
    """The answer of one scan. Every reason it cannot be believed is named; only then is the set compared.

    `applied` are numbers of events that the effects lane has already read from the bus: a scan that does not find one
    of them is not believed (I7).
    """
    reasons = unsound(attempt, before) + [f"after the scan: {reason}" for reason in unsound(attempt, after)]
    reasons += _unread(attempt, reads)
    if reasons:
        return ScanAnswer(Answer.UNDECIDABLE, "; ".join(dict.fromkeys(reasons)))
    said = _compare(attempt.expected, found)
    unseen = set(applied) - (said.places or {}).keys()
    if unseen:
        why = f"APPLIED: {len(unseen)} events were not found, but have already been read from the bus and applied"
        return ScanAnswer(Answer.UNDECIDABLE, why, None, said.copies, said.strangers)
    return said


def _unread(attempt: PreparedFacts, reads: Sequence[ScanExtent]) -> list[str]:
    """Partitions not read to their `hi`: what was not read was not found absent."""
    by_partition = {read.partition: read for read in reads}
    reasons = []
    for anchor in attempt.anchors:
        read = by_partition.get(anchor.partition)
        if read is None:
            reasons.append(f"SCAN: partition {anchor.partition} was not read")
        elif read.fault or read.ended_at < read.hi:
            said = read.fault or "it ended early"
            reasons.append(f"SCAN: partition {anchor.partition} was read to {read.ended_at} of {read.hi}: {said}")
    return reasons


def _compare(expected: Sequence[ExpectedEvent], found: Iterable[FoundRecord]) -> ScanAnswer:
    """Sets of (identity, digest), whatever the partition: a place is where it is found, lowest offset first."""
    wanted = {(event.identity, event.digest): event.index for event in expected}
    places: dict[int, tuple[int, int]] = {}
    copies = strangers = 0
    for record in sorted(found, key=lambda record: (record.partition, record.offset)):
        index = wanted.get((record.identity, record.digest))
        if index is None:
            strangers += 1
        elif index in places:
            copies += 1
        else:
            places[index] = (record.partition, record.offset)
    return ScanAnswer(_answer(len(places), len(wanted)), "", places, copies, strangers)


def _answer(found: int, expected: int) -> Answer:
    if found == expected:
        return Answer.PRESENT
    return Answer.ABSENT if found == 0 else Answer.PARTIAL


class WaitReason(StrEnum):
    """What an unsettled attempt waits for."""

    NOW = "NOW"
    SILENCE = "SILENCE"  # reconcile.after has not passed since the last send
    REQUEST = "REQUEST"  # a person must ask: reconcile.automatic is off, or the last scan could not answer


#: What kept a scan from answering and may not the next time: it broke off, or something was not measured.
_PASSING = ("SCAN: ", "UNMEASURED: ")
_AFTER = "after the scan: "
_MOST_DOUBLINGS = 7


def passes(why: str) -> bool:
    """Whether every reason for which a scan could not answer may have gone: then it is worth asking again."""
    reasons = [reason.removeprefix(_AFTER) for reason in why.split("; ") if reason]
    return bool(reasons) and all(reason.startswith(_PASSING) for reason in reasons)


def again_after(after: float, scans: int) -> float:
    """How long after the newest of `scans` that could not answer the next one is due (s): twice as long each time."""
    return after * float(1 << min(max(scans, 1), _MOST_DOUBLINGS))


def patience(silent_for: float, longest: float, shortest: float = 5.0) -> float:
    """How long to rest before looking again whether an open transaction has ended (s): the longer, the longer it is."""
    return min(max(silent_for / 4, shortest), longest)


def due(undecidable: bool, requested: bool, automatic: bool, silent_for: float, after: float) -> WaitReason:
    """When an attempt is reconciled: at once where a person asked, else after `after` seconds of silence, if automatic.

    Waiting proves nothing (the fence does); it only leaves a slow network the time to answer by itself.
    """
    if requested:
        return WaitReason.NOW
    if undecidable or not automatic:
        return WaitReason.REQUEST
    return WaitReason.NOW if silent_for >= after else WaitReason.SILENCE
