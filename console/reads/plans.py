"""Plans as pages, API and commands ask for them: lists, one with its history and items, what waits for whom."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet
from django.db.models.functions import Now

from console.people import person_of
from console.permissions import may
from ingest.core.errors import NotFound
from ingest.models import Run, Stream, Window
from plans.core.plan import ACTS, APPROVING, FINAL, STEERING, State
from plans.errors import NoSuchPlan
from plans.models import Plan, PlanEvent, PlanItem

MOST_ITEMS = 1_000


def plans() -> QuerySet[Plan]:
    """All plans, with what their documents name, the newest first."""
    return Plan.objects.select_related("stream", "run", "win").order_by("-pk")


def plan_numbered(number: int) -> Plan:
    """Raises NotFound."""
    plan = plans().filter(pk=number).first() if number < 2**63 else None
    if plan is None:
        raise NoSuchPlan(expected=f"plan {number}", found="none", next_step="passgate plan list")
    return plan


def of_stream(name: str) -> QuerySet[Plan]:
    """Plans about a stream. Raises NotFound for one that is not there."""
    stream = Stream.objects.filter(name=name.replace("\0", "\ufffd")).first()
    if stream is None:
        raise NotFound(expected=f"stream {name}", found="none", next_step="passgate stream list")
    return plans().filter(stream=stream)


def of_run(run: Run) -> QuerySet[Plan]:
    return plans().filter(run=run)


def of_window(win: Window) -> QuerySet[Plan]:
    return plans().filter(win=win)


def not_over() -> QuerySet[Plan]:
    """Plans of which something may still become."""
    return plans().exclude(state__in=[str(state) for state in FINAL])


def waits_for(user: Any, among: QuerySet[Plan] | None = None) -> QuerySet[Plan]:
    """Plans that this user can do something about: answer what another person asked for, go on with what is held."""
    wanted = Q(pk=None)
    if may(user, APPROVING):
        wanted |= Q(state=State.SUBMITTED, expires_at__gt=Now()) & ~Q(requested_person=person_of(user))
    if may(user, STEERING):
        wanted |= Q(state=State.HELD, expires_at__gt=Now())
    return (plans() if among is None else among).filter(wanted)


@dataclass(frozen=True, slots=True)
class PlanAct:
    """Something that can be done about a plan. `refusal`: why this user cannot, as a sentence; "" that they can."""

    name: str
    permission: str
    refusal: str


def acts_on(plan: Plan, user: Any) -> list[PlanAct]:
    """What can be done about a plan now, by whom; empty for one that is over."""
    acts = ACTS.get(State(plan.state), {})
    return [PlanAct(name, needs, _refusal(plan, user, name, needs)) for name, needs in acts.items()]


def _refusal(plan: Plan, user: Any, name: str, permission: str) -> str:
    why = may(user, permission).reason
    if not why and name == "approve" and person_of(user) == plan.requested_person:
        return "You asked for it: somebody else approves it."
    return why


def events_of(plan: Plan) -> list[PlanEvent]:
    """A plan's history, the oldest first."""
    return list(PlanEvent.objects.filter(plan=plan).order_by("pk"))


def items_of(plan: Plan, after: int = -1, limit: int = MOST_ITEMS) -> list[PlanItem]:
    """Items behind the one of ordinal `after`, in order."""
    return list(PlanItem.objects.filter(plan=plan, ordinal__gt=after).order_by("ordinal")[:limit])


def outcomes_of(found: Iterable[Plan]) -> Mapping[int, Mapping[str, int]]:
    """By plan, its items by outcome; "" for those without one. In one query."""
    counts: dict[int, dict[str, int]] = {plan.pk: {} for plan in found}
    rows = PlanItem.objects.filter(plan__in=list(counts)).values_list("plan_id", "outcome").annotate(n=Count("*"))
    for plan, outcome, n in rows.order_by():
        counts[plan][outcome or ""] = n
    return counts


def sentence(plan: Plan) -> str:
    """What a plan does, in words: "waive QUARANTINE of flights/2013-01 window 1 until 2026-02-01 12:00"."""
    asked: Mapping[str, Any] = plan.binds["asked"]
    run, window = f"/{plan.run.name}" if plan.run else "", f" window {plan.win.number}" if plan.win else ""
    about = f"{plan.stream.name}{run}{window}"
    if plan.kind == "waive":
        return f"waive {asked['check']} of {about} until {str(asked['until'])[:16].replace('T', ' ')}"
    return f"{plan.kind} {about}"
