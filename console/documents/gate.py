"""Answers of the gate as documents."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from audit.core.facts import RecheckEnd
from audit.core.gate import Covers, Proof
from audit.enforce import GateDecision, SpanDecision
from console.documents import Document, stamp


def basis_of(decision: GateDecision) -> Document:
    """What the answer rests on, granted or not."""
    return {
        "verdict": decision.verdict,
        "failed_checks": [
            {name: check.get(name) for name in ("check", "state", "required", "observed")} for check in decision.failed
        ],
        "waivers": [dict(waiver) for waiver in decision.waivers],
        "rechecks_ended": _ended(decision.ended),
        "proven": [_proof(proof) for proof in decision.proofs],
        "basis_digest": decision.basis_digest,
        "checked_at": stamp(decision.checked_at),
        "covers": _covers(decision.covers) if decision.covers else None,
    }


def _ended(ends: Sequence[RecheckEnd]) -> list[Document]:
    return [dataclasses.asdict(each) | {"at": stamp(each.at)} for each in ends]


def _proof(proof: Proof) -> Document:
    return {"window": proof.window, "rerun": proof.rerun, "verdict": proof.verdict}


def _covers(covers: Covers) -> Document:
    """The windows that the answer is about: counted, and the worst of those that are not open by number."""
    return {
        "windows": covers.windows,
        "first": covers.first,
        "last": covers.last,
        "open": covers.open,
        "not_open": [{"window": number, "code": str(code)} for number, code in covers.not_open],
    }


def gate_document(
    decision: GateDecision, stream: str, run_name: str, window: int | None, rerun: int | None = None
) -> Document:
    """An answer as `passgate gate --json` prints it, whatever it is; a granted one as the API gives it."""
    return {
        "open": decision.granted,
        "code": str(decision.code),
        "stream": stream,
        "run": run_name,
        "window": window,
        "rerun": rerun,
        "detail": decision.detail,
        "retry": decision.retry,
        "open_until": stamp(decision.open_until),
    } | basis_of(decision)


#: Windows of a span that are named; how many there are is said.
MOST_NAMED = 100


def span_document(found: SpanDecision, stream: str) -> Document:
    """A yes about a span of time: the windows it lies in, the newest ones by name."""
    last = found.windows[-1]
    return {
        "open": True,
        "code": str(found.code),
        "stream": stream,
        "complete_until": stamp(last.complete_until),
        "windows_total": len(found.windows),
        "windows": [window.name for window in found.windows[-MOST_NAMED:]],
        "open_until": stamp(found.open_until),
        "rechecks_ended": _ended(found.ended),
    }
