"""When a gate stays open, and what it answers: pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from audit.core import checks as c
from audit.core import facts as f
from audit.core import phrases as w


@dataclass(frozen=True)
class Range:
    """[start, end) of one Kafka source of a judged window. `kept_to`: its log was cut there, and is another one now."""

    label: str
    topic: str
    partition: int
    start: int
    end: int
    kept_to: int | None = None


def objections(basis: f.Basis, broker: f.Broker, ranges: Sequence[Range], contradictions: int) -> list[str]:
    """What shuts a gate (docs/design.md#gate). A higher epoch, a moved log start or an added partition does not."""
    reasons = [cause.text for cause in c.other_cluster(basis.broker, broker)]
    for was, is_ in _pairs(basis.broker, broker):
        reasons += [cause.text for cause in c.other_topic(was, is_)]
        if is_.topic_id == was.topic_id:
            reasons += [text for r in ranges if r.topic == was.name for text in _shaken(r, is_)]
    if contradictions:
        reasons.append(f"{w.count(contradictions, 'settled publish', 'settled publishes')} contradicted by the bus")
    return reasons


def of_the_bus(basis: f.Basis) -> f.Basis:
    """What a gate is held to whose inbox nobody asks for any more."""
    return replace(basis, broker=replace(basis.broker, inbox=None))


def on_another_bus(own: f.Basis, proven: f.Basis) -> bool:
    """Whether a rerun has proven its window on a bus that took the name of the window's own since, on its cluster."""
    was, is_ = own.broker, proven.broker
    same = (was.cluster_id, was.bus.name) == (is_.cluster_id, is_.bus.name)
    return same and was.bus.topic_id != is_.bus.topic_id


def with_bus_of(own: f.Basis, proven: f.Basis) -> f.Basis:
    """What such a window's gate is held to: its own inbox, and the bus of the rerun that it stands on."""
    return replace(own, broker=replace(own.broker, bus=proven.broker.bus))


@dataclass(frozen=True)
class Context:
    """What a window was joined with: the pinned verdict, and its gate now. `fallen`: why it gives nothing any more."""

    verdict: str
    fallen: str | None
    checked_at: datetime | None
    open_until: datetime | None


def fallen(contexts: Sequence[Context]) -> list[str]:
    """Why each context that fell shuts the gates of windows joined with it; empty where all of them stand."""
    return [context.fallen for context in contexts if context.fallen is not None]


def unsure(contexts: Sequence[Context], now: datetime) -> list[str]:
    """What is known of contexts whose lease has run out, and of a rerun on whose PASS a window stands: nobody looked
    lately. That is no reason to shut what was built on them, and none to extend it."""
    return [
        f"the gate of {x.verdict} {_not_rechecked(x, now)}"
        for x in contexts
        if x.fallen is None and not holds(x.checked_at, x.open_until, now)
    ]


def _not_rechecked(context: Context, now: datetime) -> str:
    if context.open_until is None or context.checked_at is None:
        return "was never re-checked"
    if context.checked_at > now:
        return "was re-checked at a time to come"
    return f"was not re-checked since {w.moment(context.open_until)}"


def unanswered(broker: f.Broker, ranges: Sequence[Range]) -> list[str]:
    """Sources about which Kafka did not say enough: no reason to shut, and none to extend."""
    topics = {topic.name: topic for topic in (broker.bus, broker.inbox) if topic is not None}
    found = []
    for r in ranges:
        log = topics[r.topic].partitions.get(r.partition) if r.topic in topics else None
        if log is not None and (log.high_watermark is None or log.diverged is None):
            found.append(r.label)
    return found


def lost_anchors(broker: f.Broker, ranges: Sequence[Range]) -> list[str]:
    """REPLAY_ANCHOR_LOST: sources whose records can no longer be read again. The gate stays open."""
    topics = {topic.name: topic for topic in (broker.bus, broker.inbox) if topic is not None}
    lost = []
    for r in ranges:
        log = topics[r.topic].partitions.get(r.partition) if r.topic in topics else None
        first = f.first_kept(log, r.start, r.end) if log is not None else None
        if first is not None and first > r.start:
            lost.append(r.label)
    return lost


def _pairs(was: f.Broker, is_: f.Broker) -> list[tuple[f.Topic, f.Topic]]:
    pairs = [(was.bus, is_.bus)]
    if was.inbox is not None:
        pairs.append((was.inbox, is_.inbox or f.Topic(was.inbox.name, None)))
    return pairs


def _shaken(r: Range, topic: f.Topic) -> list[str]:
    if r.kept_to is not None and r.end > r.kept_to:
        return [f"{r.label} {w.cut_at(r.kept_to)}"]
    log = topic.partitions.get(r.partition)
    if log is None:
        return [f"{r.label} is gone"]
    if log.high_watermark is not None and log.high_watermark < r.end:
        return [f"{r.label} ends at {w.number(log.high_watermark)}, before the window's {w.number(r.end)}"]
    return [f"{r.label} was truncated: {log.diverged}"] if log.diverged else []


def holds(checked_at: datetime | None, open_until: datetime | None, now: datetime) -> bool:
    """The rule of a lease: from the measurement it counts from until it ends. Row security's is `lease_holds`.

    One of a time to come does not hold: the clock has stepped back since, and it would last longer by as much.
    """
    return checked_at is not None and open_until is not None and checked_at <= now < open_until


# ---- the answer -----------------------------------------------------------------------------------------------------


class Code(StrEnum):
    """Why the gate answers as it does; stable, for programs."""

    OPEN = "open"  # 200
    NOT_FOUND = "not_found"  # 404
    NOT_CLOSED = "not_closed"  # 403: the run is open or cut, or a window has no verdict
    BLOCKED = "blocked"  # 403: something can still be done
    FAILED = "failed"  # 403: only a rerun helps
    SHUT = "gate_shut"  # 403: PASS, but what it stands on has changed
    UNAVAILABLE = "gate_unavailable"  # 503: cannot evaluate, or cannot log


STATUS = {
    Code.OPEN: 200,
    Code.NOT_FOUND: 404,
    Code.NOT_CLOSED: 403,
    Code.BLOCKED: 403,
    Code.FAILED: 403,
    Code.SHUT: 403,
    Code.UNAVAILABLE: 503,
}
#: `passgate gate`: 0 PASS, 1 FAIL, 2 usage, 3 cannot evaluate, 4 not yet.
EXIT = {
    Code.OPEN: 0,
    Code.NOT_FOUND: 2,
    Code.NOT_CLOSED: 4,
    Code.BLOCKED: 4,
    Code.FAILED: 1,
    Code.SHUT: 1,
    Code.UNAVAILABLE: 3,
}
WORST = (Code.FAILED, Code.SHUT, Code.UNAVAILABLE, Code.BLOCKED, Code.NOT_CLOSED, Code.OPEN)


@dataclass(frozen=True)
class Proof:
    """A rerun of a window that failed, whose PASS opened it. `stands` until that rerun fails."""

    window: int
    rerun: int
    verdict: str
    stands: bool
    body: Mapping[str, Any] | None = None

    def said(self) -> str:
        return f"window {self.window}, proven by rerun {self.rerun} ({self.verdict})"


@dataclass(frozen=True)
class WindowGate:
    """What the database knows of one window's gate at `now`."""

    number: int
    verdict: str | None
    state: str | None
    body: Mapping[str, Any] | None
    gate_verdict: str | None
    open_until: datetime | None
    checked_at: datetime | None
    shut_why: str | None
    superseded_by: str | None = None
    ended: f.RecheckEnd | None = None
    proof: Proof | None = None
    """Of a window that failed."""


#: Windows that an answer names as not open, the worst of them.
NAMED = 20


@dataclass(frozen=True)
class Covers:
    """The windows that an answer is about, by number from `first` to `last`: `open` of them may be read now.

    `not_open`: of the others the worst, each with why; at most NAMED.
    """

    windows: int
    first: int
    last: int
    open: int
    not_open: tuple[tuple[int, Code], ...]


@dataclass(frozen=True)
class GateDecision:
    """One answer: HTTP status, code, whether asking again can help, and what it rests on."""

    status: int
    code: Code
    retry: bool
    detail: str
    verdict: str | None = None
    failed: tuple[Mapping[str, Any], ...] = ()
    waivers: tuple[Mapping[str, Any], ...] = ()  # what the verdict leans on besides checks that hold
    basis_digest: str | None = None
    checked_at: datetime | None = None
    open_until: datetime | None = None
    covers: Covers | None = None
    ended: tuple[f.RecheckEnd, ...] = ()
    """Of a yes: what of it stands on the ledger alone."""
    proofs: tuple[Proof, ...] = ()
    """Windows of the answer that failed and that a rerun has proven, at most NAMED."""

    @property
    def granted(self) -> bool:
        return self.status == 200

    @property
    def exit_code(self) -> int:
        return EXIT[self.code]


def refuse(code: Code, detail: str) -> GateDecision:
    return GateDecision(STATUS[code], code, code in _RETRY, detail)


_RETRY = frozenset({Code.NOT_CLOSED, Code.BLOCKED, Code.UNAVAILABLE})


def decide(windows: Sequence[WindowGate], closed: bool, now: datetime) -> GateDecision:
    """A run's gate is open only when the run is closed and every window's newest verdict is a live PASS.

    For one window, pass that window and `closed=True`. The worst window's answer is the answer; of open ones that of
    the lease that ends first.
    """
    if not windows:
        return refuse(Code.NOT_FOUND, "there is no such run or window")
    answers = [_window(window, now) for window in windows]
    covers = _covers([(window.number, answer.code) for window, answer in zip(windows, answers, strict=True)])
    worst = min(answers, key=lambda answer: (WORST.index(answer.code), answer.open_until or now))
    if worst.code is Code.OPEN and not closed:
        return replace(refuse(Code.NOT_CLOSED, "the run is not closed"), covers=covers)
    if worst.code is Code.OPEN:
        worst = _on_the_ledger(_proven(worst, windows), windows)
    return replace(worst, covers=covers)


def _proven(answer: GateDecision, windows: Sequence[WindowGate]) -> GateDecision:
    """Whoever reads is told which of the windows failed, and by which rerun each is proven."""
    proofs = tuple(each.proof for each in windows if each.state == "FAIL" and each.proof is not None)[:NAMED]
    said = [w.sentence_case(f"{proof.said()}.") for proof in proofs]
    return replace(answer, detail=" ".join([answer.detail, *said]).strip(), proofs=proofs)


def ends(of_windows: Iterable[f.RecheckEnd | None]) -> tuple[f.RecheckEnd, ...]:
    """Each once, the earliest plan first."""
    return tuple(sorted({each for each in of_windows if each is not None}, key=lambda each: each.plan))


def _on_the_ledger(answer: GateDecision, windows: Sequence[WindowGate]) -> GateDecision:
    """Whoever reads is told what nobody asks Kafka for any more."""
    ended = ends(each.ended for each in windows)
    said = [w.sentence_case(f"{each.said()}.") for each in ended]
    return replace(answer, detail=" ".join([answer.detail, *said]).strip(), ended=ended)


def _covers(codes: Sequence[tuple[int, Code]]) -> Covers:
    numbers = [number for number, _ in codes]
    shut = sorted((WORST.index(code), number) for number, code in codes if code is not Code.OPEN)
    named = tuple((number, WORST[rank]) for rank, number in shut[:NAMED])
    return Covers(len(codes), min(numbers), max(numbers), len(codes) - len(shut), named)


def _window(window: WindowGate, now: datetime) -> GateDecision:
    window = _by_its_proof(window)
    code, detail = _code(window, now)
    if window.superseded_by is not None:
        detail = f"{detail} It is superseded by {window.superseded_by}.".strip()
    body = window.body or {}
    return GateDecision(
        status=STATUS[code],
        code=code,
        retry=code in _RETRY,
        detail=detail,
        verdict=window.verdict,
        failed=tuple(check for check in body.get("checks", ()) if "severity" in check),
        waivers=tuple(body.get("waivers", ())),
        basis_digest=body.get("basis", {}).get("digest"),
        checked_at=window.checked_at,
        open_until=window.open_until if code is Code.OPEN else None,
    )


def _by_its_proof(window: WindowGate) -> WindowGate:
    """A window that failed stands on the PASS of the rerun that has proven it, while that stands."""
    proof = window.proof
    if window.state != "FAIL" or proof is None or not proof.stands:
        return window
    return replace(window, verdict=proof.verdict, state="PASS", body=proof.body)


def _code(window: WindowGate, now: datetime) -> tuple[Code, str]:
    if window.state is None:
        return Code.NOT_CLOSED, f"Window {window.number} is not judged yet."
    sentence = (window.body or {}).get("sentence", "")
    if window.state == "FAIL" and window.proof is not None:
        why = f": {window.shut_why}" if window.shut_why else ""
        fallen = f"Rerun {window.proof.rerun} had proven it, and that stands no more{why}."
        return Code.FAILED, f"{sentence} {fallen}".strip()
    if window.state == "FAIL":
        return Code.FAILED, sentence
    if window.state != "PASS":
        return Code.BLOCKED, sentence
    return _standing(window, now)


def _standing(window: WindowGate, now: datetime) -> tuple[Code, str]:
    """PASS: now it depends on the lease. Expired without a reason means that nobody could re-check it."""
    if window.shut_why:
        return (
            Code.SHUT,
            f"{window.verdict} is PASS, but its gate is shut: {window.shut_why}. The verdict is unchanged.",
        )
    if window.gate_verdict != window.verdict or window.open_until is None:
        return Code.NOT_CLOSED, f"{window.verdict} is PASS; its gate opens when every window of the run has passed."
    if not holds(window.checked_at, window.open_until, now):
        return (
            Code.UNAVAILABLE,
            f"{window.verdict} is PASS, but it was not re-checked since {w.moment(window.open_until)}.",
        )
    return Code.OPEN, str((window.body or {}).get("sentence", ""))
