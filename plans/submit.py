"""Submitting: what was previewed is frozen under its digest, and waits for a second person, or for several."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from psycopg.types.json import Jsonb

from ingest.auditlog import record_act
from ingest.db import fetch_one, retry_transaction, statements, write
from ingest.failpoints import failpoint
from plans.core.binding import NO_LIMITS, Limits, binding_digest
from plans.core.people import Actor, People
from plans.core.plan import ASKING, Kind
from plans.errors import ConsentNeeded, PlanChanged, PlanRefused, named
from plans.kinds import kind_named
from plans.kinds.base import Bindings
from plans.preview import bind
from plans.rows import allow

sql = statements("plans", "submit")

MOST_WORDS = 2_000


def submit(
    kind: Kind | str,
    asked: Mapping[str, Any],
    actor: Actor,
    reason: str,
    people: People,
    limits: Limits = NO_LIMITS,
    digest: bytes | None = None,
) -> int:
    """Stores a plan as SUBMITTED and returns its number. `digest`: of the preview that this is meant to be.

    Raises NotAllowed, KindNotThere, PlanRefused, PlanChanged, ConsentNeeded, NotFound, or an error of the kind's own.
    """
    allow(people, actor, ASKING[kind_named(str(kind)).kind])
    because = said(reason)
    bound = bind(kind, asked, limits)
    binds = bound.document(limits)
    if digest is not None and binding_digest(binds) != digest:
        raise PlanChanged(
            expected=f"digest {digest.hex()}",
            found=f"digest {binding_digest(binds).hex()}",
            next_step="preview it again: what it binds is not any more what was seen",
        )
    if bound.lacks_consent:
        raise ConsentNeeded(
            expected="out_of_order = true: the projection keeps the order of each Kafka key",
            found="no consent",
            next_step="look at the preview for what is applied already, and consent",
        )
    kind_named(str(kind)).foresee(bound)  # what nobody could do is refused before a second person looks at it
    with named():
        return retry_transaction(lambda: _submit(bound, binds, limits, actor, because))


def said(reason: str) -> str:
    """Why, for whoever has to say yes. Raises PlanRefused."""
    because = reason.strip()
    if not 0 < len(because) <= MOST_WORDS:
        raise PlanRefused(expected=f"a reason of 1 to {MOST_WORDS:,} characters", found=f"{len(because):,} characters")
    return because


def _submit(bound: Bindings, binds: Mapping[str, Any], limits: Limits, actor: Actor, reason: str) -> int:
    digest = binding_digest(binds)
    values = {
        "kind": str(bound.kind), "stream": bound.stream, "run": bound.run, "win": bound.win,
        "binds": Jsonb(dict(binds)), "digest": digest, "reason": reason, "who": actor.name, "person": actor.person,
        "expire": bound.expire, "first": limits.first, "rate": limits.rate, "stop_when": limits.stop_when,
    }  # fmt: skip
    with write() as cur:
        number = int(fetch_one(cur.execute(sql.submit, values)).id)
        failpoint("plan_submit.after_row")
        about = f"{bound.subject.stream}/{bound.subject.run}" if bound.subject.run else bound.subject.stream
        record_act(
            cur,
            actor.name,
            "plan.submit",
            about,
            reason,
            {"plan": number, "kind": str(bound.kind), "digest": digest.hex()},
        )
        failpoint("plan_submit.before_commit")
    return number
