"""Plans as pages, API and commands ask for them: lists, one with its history and items, what waits for whom."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import BooleanField, Case, Count, Exists, Func, OuterRef, Q, QuerySet, When
from django.db.models import Window as WindowFunction
from django.db.models.functions import Now

from audit.core.phrases import count
from audit.models import Rerun
from console.people import person_of
from console.permissions import Answer, may
from ingest.core.errors import NotFound
from ingest.models import Run, Stream, Window
from plans.approvals import approvals_given
from plans.core.approvals import Approvals, approvals_in
from plans.core.free import FreeRecords
from plans.core.plan import APPROVING, ASKING, FINAL, MAYBE_FREE, STEERING, State, acts_in, asking
from plans.errors import ApprovedAlready, NoSuchPlan, SamePerson
from plans.free import free_records
from plans.models import Plan, PlanApproval, PlanEvent, PlanItem

MOST_ITEMS = 1_000
PAGE_SIZE = 50

WAITING = (State.SUBMITTED, State.APPROVED)
GOING = (State.RUNNING, State.HELD)
#: The tabs of the list of plans, by what stands in its URL; "" is what waits for whoever looks.
TABS: Mapping[str, str] = {"": "Waits for you", "waiting": "Waiting", "running": "Running and held", "over": "Over"}


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


def waiting_about(run: Run, most: int) -> list[Plan]:
    """Plans about a run of which something may still become, the newest first."""
    return list(not_over().filter(run=run)[:most])


#: What a plan of a kind is asked for with, besides its stream: what it needs, and what it may have.
MEMBERS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "waive": (("run", "check", "until"), ("window",)),
    "basis": (("run",), ("window",)),
    "retire": (("topic",), ("topic_id",)),
    "adopt": ((), ()),
    "decide": (("run", "attempt"), ("window",)),
    "republish": (("run",), ("window", "attempts")),
    "redrive": (("run",), ("window", "items", "reason_code", "contract", "corrections", "out_of_order")),
    "replay": (("run",), ("window", "contract", "mode", "ranges", "whole", "out_of_order")),
}
ALL_MEMBERS = (
    "run", "window", "check", "until", "topic", "topic_id", "attempt", "attempts", "items", "reason_code", "contract",
    "corrections", "mode", "ranges", "whole", "out_of_order",
)  # fmt: skip
#: Members that kinds know by another name: in a body, `reason` is why.
RENAMED: Mapping[str, str] = {"reason_code": "reason"}


_RANGE = re.compile(r"([^\s=,]{1,300})=([0-9]{1,18}):([0-9]{1,18})")


def range_in(text: str) -> dict[str, Any] | None:
    """A range to read again as people write it, inbox/0=0:500; None where it is none."""
    found = _RANGE.fullmatch(text.strip())
    return {"source": found[1], "from": int(found[2]), "to": int(found[3])} if found else None


def plan_members(kind: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The members that a plan of the kind needs, and those that say nothing to it."""
    needed, optional = MEMBERS.get(kind, (("run",), ("window",)))
    return needed, tuple(name for name in ALL_MEMBERS if name not in (*needed, *optional))


def not_over() -> QuerySet[Plan]:
    """Plans of which something may still become."""
    return plans().exclude(state__in=[str(state) for state in FINAL])


class _StartsAlone(Func):
    """Whether a plan's requester may start it alone, as the database counts."""

    function = "plan_starts_alone"
    output_field = BooleanField()


def _for(user: Any) -> Q:
    """What this user can do something about: answer what another person asked for and they have not approved yet, start
    alone what is free, go on with what is held."""
    wanted = Q(pk=None)
    if may(user, APPROVING):
        given = Exists(PlanApproval.objects.filter(plan=OuterRef("pk"), person=person_of(user)))
        wanted |= Q(state=State.SUBMITTED, expires_at__gt=Now()) & ~Q(requested_person=person_of(user)) & ~Q(given)
    kinds = [kind for kind in MAYBE_FREE if may(user, ASKING[kind])]
    if kinds:
        own = Q(state=State.SUBMITTED, expires_at__gt=Now(), requested_person=person_of(user), kind__in=kinds)
        wanted |= own & Q(_StartsAlone("pk"))
    if may(user, STEERING):
        wanted |= Q(state=State.HELD, expires_at__gt=Now())
    return wanted


#: What waits for a person, whoever that is.
FOR_SOMEBODY = Q(state__in=[State.SUBMITTED, State.HELD], expires_at__gt=Now())


def waits_for(user: Any, among: QuerySet[Plan] | None = None) -> QuerySet[Plan]:
    """Plans that this user can do something about."""
    return (plans() if among is None else among).filter(_for(user))


def _in_tab(tab: str, user: Any) -> Q:
    return {
        "": _for(user), "waiting": Q(state__in=WAITING), "running": Q(state__in=GOING), "over": Q(state__in=FINAL),
    }[tab]  # fmt: skip


def listed(tab: str, user: Any, before: int | None) -> list[Plan]:
    """Plans of a tab below the number `before`, the newest first: a page of them, and one more where there is one."""
    found = plans().filter(_in_tab(tab, user))
    return list((found if before is None else found.filter(pk__lt=before))[: PAGE_SIZE + 1])


def counts(user: Any) -> Mapping[str, int]:
    """How many plans each tab has, and under "others" how many wait for other people than this user. One query."""
    filters = {name or "mine": _in_tab(name, user) for name in TABS} | {"somebody": FOR_SOMEBODY}
    found = Plan.objects.aggregate(**{name: Count("pk", filter=each) for name, each in filters.items()})
    return {"": found["mine"], **found, "others": found["somebody"] - found["mine"]}


@dataclass(frozen=True, slots=True)
class WaitingPlan:
    """A plan that waits for a person; `mine`: whoever looks can do something about it."""

    plan: Plan
    mine: bool


@dataclass(frozen=True, slots=True)
class WaitingPlans:
    """Those that wait for whoever looks first, then the oldest; and how many there are of both."""

    listed: tuple[WaitingPlan, ...] = ()
    mine: int = 0
    in_all: int = 0


def waiting_plans(user: Any, most: int) -> WaitingPlans:
    """What waits for a person, in one query: at most so many of them, and all counted."""
    rows = list(
        plans()
        .filter(FOR_SOMEBODY)
        .annotate(
            for_user=Case(When(_for(user), then=True), default=False),
            of_user=WindowFunction(Count("pk", filter=_for(user))),
            in_all=WindowFunction(Count("pk")),
        )
        .order_by("-for_user", "pk")[:most]
    )
    if not rows:
        return WaitingPlans()
    return WaitingPlans(tuple(WaitingPlan(each, each.for_user) for each in rows), rows[0].of_user, rows[0].in_all)


@dataclass(frozen=True, slots=True)
class PlanAct:
    """Something that can be done about a plan, and whether this user can."""

    name: str
    permission: str
    answer: Answer

    @property
    def refusal(self) -> str:
        """Why this user cannot, as a sentence; "" that they can."""
        return self.answer.reason


@dataclass(frozen=True, slots=True)
class Signing:
    """What matters to approving a plan: what is left of its requester's free records, and the approvals that it has."""

    free: FreeRecords = FreeRecords()
    approvals: Approvals = Approvals()

    @property
    def says(self) -> str:
        """What is left to be said of both, in sentences; "" where one person more is enough."""
        said = f"{self.approvals.says}." if self.approvals.says else ""
        return " ".join(filter(None, [said, self.free.says]))


def signing_of(found: Iterable[Plan]) -> Mapping[int, Signing]:
    """By plan: its approvals, and where it waits for one its requester's free records. In two queries at most."""
    plans_ = list(found)
    free = free_records(plan.pk for plan in plans_ if plan.state == State.SUBMITTED)
    given = approvals_given(plan.pk for plan in plans_)
    return {
        plan.pk: Signing(
            free.get(plan.pk, FreeRecords()), Approvals(approvals_in(plan.binds), given.get(plan.pk, ()))
        )
        for plan in plans_
    }  # fmt: skip


def acts_on(plan: Plan, user: Any, signing: Signing) -> list[PlanAct]:
    """What can be done about a plan now, by whom; empty for one that is over."""
    acts = acts_in(plan.state)
    return [
        PlanAct(name, needed_for(plan, user, name, needs, signing), may_do(plan, user, name, needs, signing))
        for name, needs in acts.items()
    ]


def needed_for(plan: Plan, user: Any, name: str, permission: str, signing: Signing) -> str:
    """The permission that an act takes: what is free its requester starts by the right to ask for it."""
    alone = asking(plan.kind) if name == "approve" and starts_alone(plan, user, signing) else None
    return permission if alone is None else alone


def may_do(plan: Plan, user: Any, name: str, permission: str, signing: Signing) -> Answer:
    """Whether this user can do this about a plan, as far as people go. `signing`: of the plan."""
    answer, free = may(user, needed_for(plan, user, name, permission, signing)), signing.free
    if name != "approve":
        return answer
    if answer and has_approved(user, signing):
        return Answer(False, f"You approved this, so somebody else must, too. {signing.says}", ApprovedAlready.code)
    if free.alone or not _is_requester(plan, user) or not (answer or free.says):
        return answer
    return Answer(False, f"You asked for this, so somebody else must approve. {free.says}".strip(), SamePerson.code)


def starts_alone(plan: Plan, user: Any, signing: Signing) -> bool:
    """Whether this user asked for the plan, and needs nobody besides."""
    return signing.free.alone and _is_requester(plan, user)


def has_approved(user: Any, signing: Signing) -> bool:
    """Whether this user, or another account of that person, has approved it."""
    return bool(getattr(user, "is_authenticated", False)) and signing.approvals.by(person_of(user)) is not None


def _is_requester(plan: Plan, user: Any) -> bool:
    return bool(getattr(user, "is_authenticated", False)) and person_of(user) == plan.requested_person


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


def reruns_of(found: Iterable[Plan]) -> Mapping[int, int]:
    """By plan, the rerun of its window that it has opened. In one query."""
    rows = Rerun.objects.filter(plan__in=[plan.pk for plan in found]).values_list("plan", "win__rerun")
    return {plan: rerun for plan, rerun in rows if rerun}


def sentence(plan: Plan) -> str:
    """What a plan does, in words: "waive QUARANTINE of flights/2013-01 window 1 until 2026-02-01 12:00"."""
    if plan.kind == "redrive":
        return f"redrive {_redriven(plan)} of {about(plan)} under contract v{plan.binds['asked']['contract']}"
    if plan.kind == "republish" and any("lost" in each for each in plan.binds["facts"]["attempts"].values()):
        return f"publish again what {about(plan)} lost with its bus"
    words = SENTENCES.get(plan.kind)
    return words(about(plan), plan.binds["asked"]) if words else f"{plan.kind} {about(plan)}"


SENTENCES: Mapping[str, Callable[[str, Mapping[str, Any]], str]] = {
    "waive": lambda about, asked: f"waive {asked['check']} of {about} until {_until(asked)}",
    "basis": lambda about, _: f"refresh the basis of {about}",
    "retire": lambda about, asked: f"end the re-checks of {asked['topic']} of {about}",
    "adopt": lambda about, _: f"adopt this copy of the database as the ledger ({about} and all other streams)",
    "decide": lambda about, asked: f"decide about attempt {asked['attempt']} of {about}",
    "republish": lambda about, _: f"publish again what was proven absent of {about}",
    "replay": lambda about, asked: f"replay {count(len(asked['ranges']), 'range')} of {about} ({asked['mode']})",
}


def _redriven(plan: Plan) -> str:
    """ "5,120 items, 2 of them corrected" """
    corrected = len(plan.binds["asked"].get("corrections", {}))
    items = count(len(plan.binds["items"]), "item")
    return f"{items}, {corrected:,} of them corrected," if corrected else items


def _replayed(plan: Plan) -> str:
    """ "read 521 offsets of flights/2013-01 window 1 again, into flights/2013-01.r1, which takes its place" """
    asked = plan.binds["asked"]
    what = f"read {count(sum(each['to'] - each['from'] for each in asked['ranges']), 'offset')} of {about(plan)} again"
    fresh = plan.binds["facts"].get("fresh")
    into = f"{plan.stream.name}/{fresh}, which takes its place" if fresh else "a rerun of it, to prove it"
    return f"{what}, into {into}"


def about(plan: Plan) -> str:
    """What a plan is about: "flights/2013-01 window 1"."""
    run, window = f"/{plan.run.name}" if plan.run else "", f" window {plan.win.number}" if plan.win else ""
    return f"{plan.stream.name}{run}{window}"


def _until(asked: Mapping[str, Any]) -> str:
    return str(asked["until"])[:16].replace("T", " ")


def asks(plan: Plan) -> str:
    """What somebody asks for, in one sentence: "Ana asks to let QUARANTINE of … stand broken until … UTC."."""
    wanted: Mapping[str, Any] = plan.binds["asked"]
    if plan.kind == "redrive":
        into = f"Under contract v{wanted['contract']}, in a rerun of {about(plan)}"
        return f"{plan.requested_by} asks to send {_redriven(plan)} through admission again. {into}."
    if plan.kind == "replay":
        return f"{plan.requested_by} asks to {_replayed(plan)}."
    if plan.kind != "waive":
        return f"{plan.requested_by} asks to {sentence(plan)}."
    what = f"{wanted['check']} of {about(plan)}"
    return f"{plan.requested_by} asks to let {what} stand broken until {_until(wanted)} UTC."
