"""What a window processed, and what of it is safe to replay, as a document."""

from __future__ import annotations

from datetime import datetime

from audit.anchors import Act, Gap, Replay, SourceAccount, SourceReplay, StandIns, WindowAccount
from audit.core.generations import steps
from console.documents import Document, stamp


def anchors_document(window: WindowAccount, replay: Replay) -> Document:
    """Both answers about one window: `processed` is the ledger's, `replay` what Kafka holds of it."""
    return {
        "stream": window.stream,
        "run": window.run_name,
        "window": window.number,
        "state": window.state,
        "reruns": window.reruns,
        "processed": processed_document(window),
        "replay": replay_document(replay),
    }


def processed_document(window: WindowAccount) -> Document:
    return {
        "at": stamp(window.at),
        "opened": _act(window.opened),
        "cut": _act(window.cut) if window.cut else None,
        "contract": {"version": window.contract_version, "digest": window.contract_digest},
        "basis": [
            {
                "generation": each.number,
                "digest": each.digest,
                "why": each.why,
                "recorded_at": stamp(each.recorded_at),
                "differences": list(differences),
            }
            for each, differences in zip(window.generations, steps(window.generations), strict=True)
        ],
        "sources": [_account(account) for account in window.accounts],
    }


def _act(act: Act) -> Document:
    return {"by": act.by, "at": stamp(act.at)}


def _account(account: SourceAccount) -> Document:
    """A bus has no receipts and no digests: what is counted by batch is null there."""
    inbox = account.role == "inbox"
    return {
        "source": account.source_id,
        "name": account.label,
        "role": account.role,
        "kind": account.kind,
        "cluster_id": account.cluster_id,
        "topic_id": account.topic_id,
        "topic": account.topic,
        "partition": account.partition,
        "start": account.start,
        "end": account.cut,
        "read_to": account.read_to,
        "records": account.records if inbox else None,
        "admitted": account.admitted if inbox else None,
        "duplicates": account.duplicates if inbox else None,
        "quarantined": account.quarantined if inbox else None,
        "batches": account.batches if inbox else None,
        "batches_root": account.root,
        "first_at": stamp(account.first_at),
        "last_at": stamp(account.last_at),
        "unread": account.unread,
        "unaccounted": account.unaccounted,
        "gaps": {
            "number": account.gaps.number,
            "offsets": account.gaps.offsets,
            "proven": account.gaps.proven,
            "claimed": account.gaps.claimed,
            "deleted": account.gaps.deleted,
            "first": [_gap(gap) for gap in account.gaps.first],
        },
    }


def _gap(gap: Gap) -> Document:
    return {
        "start": gap.start,
        "end": gap.end,
        "state": gap.state,
        "why": gap.why,
        "isolation": gap.isolation,
        "claimed_at": stamp(gap.claimed_at),
        "proven_at": stamp(gap.proven_at),
        "proof": gap.proof,
    }


def replay_document(replay: Replay) -> Document:
    return {
        "at": stamp(replay.at),
        "asked_at": stamp(replay.asked_at),
        "age": _age(replay, replay.asked_at),
        "why": replay.why or None,
        "sentence": replay.sentence,
        "differences": list(replay.differences) if replay.differences is not None else None,
        "sources": [_replayable(replay, each) for each in replay.sources],
    }


def _replayable(replay: Replay, each: SourceReplay) -> Document:
    anchor, stand_ins = each.anchor, each.stand_ins
    return {
        "name": anchor.source.label,
        "role": anchor.source.role,
        "start": anchor.source.start,
        "end": anchor.source.end,
        "reach": str(anchor.reach),
        "first": anchor.first,
        "gone": anchor.gone,
        "why": list(anchor.why),
        "measured_at": stamp(anchor.measured_at),
        "measured_by": anchor.measured_by or None,
        "age": _age(replay, anchor.measured_at),
        "stand_ins": _stand_ins(stand_ins) if stand_ins else None,
    }


def _stand_ins(stand_ins: StandIns) -> Document:
    return {"receipts": stand_ins.receipts, "gaps": stand_ins.gaps, "neither": stand_ins.neither}


def _age(replay: Replay, at: datetime | None) -> float | None:
    """Seconds between a measurement and the answer, by the database's clock."""
    return round((replay.at - at).total_seconds(), 1) if at else None
