"""Plans as documents, the same from the API and from `--json`. Nobody's identity stands in one, only account names."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from console.documents import Document, hexed, stamp
from console.documents.quarantine import hidden_because
from console.permissions import Act, may, roles_of
from console.reads.plans import (
    PlanAct,
    Signing,
    acts_on,
    events_of,
    items_of,
    outcomes_of,
    reruns_of,
    sentence,
    signing_of,
)
from ingest.streams import compiled_contract
from plans.core.approvals import Approvals
from plans.core.free import FreeRecords
from plans.core.offers import Offer
from plans.core.plan import Outcome
from plans.models import Plan, PlanEvent, PlanItem
from plans.preview import PlanPreview


def plan_documents(found: Sequence[Plan]) -> list[Document]:
    """Plans as lists show them."""
    return _plan_documents(found, signing_of(found))


def _plan_documents(found: Sequence[Plan], signing: Mapping[int, Signing]) -> list[Document]:
    counts, reruns = outcomes_of(found), reruns_of(found)
    return [
        _plan_document(plan, counts[plan.pk], reruns.get(plan.pk), signing[plan.pk].approvals) for plan in found
    ]  # fmt: skip


def _in_order(counts: Mapping[str, int]) -> list[str]:
    """Outcomes that this version knows, in their order, and then what a later one wrote."""
    known = [str(outcome) for outcome in Outcome if outcome in counts]
    return [*known, *sorted(counts.keys() - {*known, ""})]


def _plan_document(plan: Plan, counts: Mapping[str, int], rerun: int | None, approvals: Approvals) -> Document:
    return {
        "plan": plan.pk,
        "kind": plan.kind,
        "state": plan.state,
        "does": sentence(plan),
        "stream": plan.stream.name,
        "run": plan.run.name if plan.run else None,
        "window": plan.win.number if plan.win else None,
        "digest": hexed(plan.digest),
        "reason": plan.reason,
        "requested_by": plan.requested_by,
        "requested_at": stamp(plan.requested_at),
        "expires_at": stamp(plan.expires_at),
        "approved_by": plan.approved_by,
        "approved_at": stamp(plan.approved_at),
        "approvals": _approvals_document(approvals),
        "free_records": plan.free_records,
        "decided_reason": plan.decided_reason,
        "held_why": plan.held_why,
        "void_why": plan.void_why,
        "started_at": stamp(plan.started_at),
        "ended_at": stamp(plan.ended_at),
        "items": sum(counts.values()),
        "outcomes": {outcome: counts[outcome] for outcome in _in_order(counts) if counts[outcome]},
        "rerun": rerun,
    }


def whole_document(plan: Plan, user: Any) -> Document:
    """One plan with what it binds, its history, its first items, and what can be done about it."""
    signing = signing_of([plan])
    return _plan_documents([plan], signing)[0] | {
        "free": _free_document(signing[plan.pk].free),
        "binds": _shown(plan, user),
        "events": [_event_document(event) for event in events_of(plan)],
        "first_items": [item_document(item) for item in items_of(plan, limit=100)],
        "acts": [_act_document(act) for act in acts_on(plan, user, signing[plan.pk])],
    }


def _approvals_document(approvals: Approvals) -> Document:
    """How many it binds, and those that it has; one that its requester started alone has none."""
    given = [{"who": each.actor.name, "why": each.why, "at": stamp(each.at)} for each in approvals.given]
    return {"needed": approvals.needed, "given": given}


def _free_document(free: FreeRecords) -> Document | None:
    """What is left of the requester's free records today; None where the contract gives none, or nothing waits."""
    if not free.most:
        return None
    return {
        "most": free.most, "left": free.left, "records": free.records, "alone": free.alone, "says": free.says,
    }  # fmt: skip


def _shown(plan: Plan, user: Any) -> Document:
    """What a plan binds. Corrections are payloads: of those that `user` may not see whole there is the digest. Nobody
    named: a person at the machine, who may."""
    said: Mapping[str, str] = plan.binds["asked"].get("corrections", {})
    if not said or user is None or not corrections_hidden(plan, user):
        return dict(plan.binds)
    digests = {item: f"sha256:{sha256(b64decode(raw)).hexdigest()}" for item, raw in said.items()}
    return {**plan.binds, "asked": {**plan.binds["asked"], "corrections": digests}}


def corrections_hidden(plan: Plan, user: Any) -> str:
    """Why this user does not see a plan's corrected payloads; "" when they do."""
    assert plan.win is not None
    contract = compiled_contract(plan.win.contract_id).contract
    hidden = hidden_because(contract, roles_of(user), may(user, Act.SEE_PAYLOADS).reason)
    if not hidden and contract.payload.mask:
        return "The contract masks fields of payloads, so corrections are given by digest."
    return hidden


def _act_document(act: PlanAct) -> Document:
    return {"act": act.name, "permission": act.permission, "refusal": act.refusal or None}


def _event_document(event: PlanEvent) -> Document:
    return {
        "from": event.from_state, "to": event.to_state, "who": event.who, "why": event.why, "at": stamp(event.at),
    }  # fmt: skip


def item_document(item: PlanItem) -> Document:
    return {
        "ordinal": item.ordinal, "subject": item.subject, "outcome": item.outcome, "reason": item.reason,
        "at": stamp(item.at),
    }  # fmt: skip


def preview_document(found: PlanPreview) -> Document:
    """What would be submitted, under which digest, and what it would do."""
    return {
        "kind": str(found.bound.kind),
        "digest": found.digest.hex(),
        "binds": dict(found.binds),
        "items": len(found.bound.items),
        "outcomes": {str(outcome): n for outcome, n in found.prediction.outcomes.items()},
        "verdict": found.prediction.verdict,
        "approvals": found.bound.approvals,
        "says": list(found.says),
    }


def offer_document(offer: Offer, stream: str, run: str) -> Document:
    """The same as a body that asks for it."""
    return {
        "kind": str(offer.kind),
        "why": offer.why,
        "permission": offer.permission,
        "lacks": list(offer.lacks),
        "body": {"kind": str(offer.kind), "stream": stream, "run": run, **offer.asked},
    }
