"""Plans: asking for what needs a second person, answering, and steering what runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django.db.models import QuerySet
from drf_spectacular.utils import OpenApiExample, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint, MayAct, actor_of, body_of
from console.api.idempotency import once
from console.api.paging import PARAMETERS, limit_of, number_of, page
from console.api.schema import BODY, IDEMPOTENCY, PAGING, answers, query
from console.documents.plans import item_document, plan_documents, preview_document, whole_document
from console.people import Accounts, actor_named
from console.permissions import Act, may
from console.problems import BadRequest
from console.reads.plans import (
    ALL_MEMBERS,
    RENAMED,
    items_of,
    of_stream,
    plan_numbered,
    plans,
    signing_of,
    starts_alone,
    waits_for,
)
from console.refusals import written_down
from console.whole import LARGEST
from plans.answer import approve, decline
from plans.core.binding import Limits
from plans.core.people import Actor
from plans.core.plan import ASKING, Kind, State, asking
from plans.models import Plan
from plans.preview import preview
from plans.steer import cancel, pause, resume
from plans.submit import submit

EXAMPLES = [
    OpenApiExample(
        "Redrive one reason",
        {"kind": "redrive", "stream": "flights", "run": "2013-01", "window": 1, "reason_code": "TOO_LARGE"},
        request_only=True,
    ),
    OpenApiExample(
        "Redrive two items, one corrected",
        {
            "kind": "redrive",
            "stream": "flights",
            "run": "2013-01",
            "items": [41, 42],
            "contract": 3,
            "corrections": {"42": "eyJ0eXBlIjogImZsaWdodCJ9"},
            "first": 1,
            "stop_when": "quarantined > 0",
        },
        request_only=True,
    ),
]


def _asked(request: Request, body: Mapping[str, Any]) -> tuple[Kind, dict[str, Any], Limits]:
    """What a body asks for; who asks for it may do so, and so may their token."""
    kind = Kind(body["kind"])
    MayAct().require(request, Act(ASKING[kind]))
    limits = Limits(body.get("first"), body.get("rate"), body.get("stop_when"))
    known = ("stream", *ALL_MEMBERS)
    return kind, {RENAMED.get(name, name): body[name] for name in known if name in body}, limits


class PreviewPlan(Endpoint):
    acts = {"POST": Act.PLAN}

    @extend_schema(
        operation_id="preview_plan",
        request=shapes.AskForPlan,
        examples=EXAMPLES,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanPreviewAnswer, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request) -> Response:
        """What a plan would bind and do, on what is there now. Nothing is stored."""
        return Response(preview_document(preview(*_asked(request, body_of(request, shapes.AskForPlan)))))


class Plans(Endpoint):
    acts = {"GET": Act.LOOK, "POST": Act.PLAN}
    filters = PARAMETERS | {"waits_for", "state", "stream"}

    @extend_schema(
        operation_id="list_plans",
        parameters=[
            *PAGING,
            query("waits_for", "Plans that you can do something about.", choices=["me"]),
            query("state", "Plans in this state.", choices=[str(state) for state in State]),
            query("stream", "Plans about this stream."),
        ],
        responses=answers(shapes.paged(shapes.PlanAnswer), 404),
    )
    def get(self, request: Request) -> Response:
        """Plans, the newest first."""
        limit, after = limit_of(request), number_of(request, "after", LARGEST)
        rows = list(_chosen(request).filter(pk__lt=after)[: limit + 1])
        return Response(page(request, rows, limit, lambda row: row.pk, plan_documents(rows[:limit])))

    @extend_schema(
        operation_id="submit_plan",
        request=shapes.SubmitPlan,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422, success=201),
    )
    @once
    def post(self, request: Request) -> Response:
        """Asks for a plan: what it binds is frozen under its digest, and waits for another person."""
        body = body_of(request, shapes.SubmitPlan)
        kind, asked, limits = _asked(request, body)
        digest = bytes.fromhex(body["digest"]) if "digest" in body else None
        number = submit(kind, asked, _actor(request), body["reason"], Accounts(), limits, digest)
        answer = whole_document(plan_numbered(number), request.user)
        return Response(answer, status=201, headers={"Location": f"{request.path}{number}"})


def _actor(request: Request) -> Actor:
    return actor_named(actor_of(request))


def _chosen(request: Request) -> QuerySet[Plan]:
    asked = request.query_params
    state, stream, whom = asked.get("state"), asked.get("stream"), asked.get("waits_for")
    if state is not None and state not in list(State):
        raise BadRequest(("?state", f"one of {', '.join(State)} is expected"))
    if whom not in (None, "me"):
        raise BadRequest(("?waits_for", "me is expected"))
    found = plans() if stream is None else of_stream(stream)
    found = found if state is None else found.filter(state=state)
    return found if whom is None else waits_for(request.user, found)


class OnePlan(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_plan", responses=answers(shapes.PlanDetails, 404))
    def get(self, request: Request, plan: int) -> Response:
        """A plan: what it binds, its history, what became of its first items, and what you can do about it."""
        return Response(whole_document(plan_numbered(plan), request.user))


class PlanItems(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS

    @extend_schema(
        operation_id="list_plan_items",
        parameters=PAGING,
        responses=answers(shapes.paged(shapes.PlanItemAnswer), 404),
    )
    def get(self, request: Request, plan: int) -> Response:
        """The items of a plan in their order, each with what became of it."""
        limit, after = limit_of(request), number_of(request, "after", -1)
        rows = items_of(plan_numbered(plan), after, limit + 1)
        documents = [item_document(row) for row in rows[:limit]]
        return Response(page(request, rows, limit, lambda row: row.ordinal, documents))


def _done(request: Request, plan: int, verb: Callable[[], None]) -> Response:
    """Does it, and answers with the plan as it is then. What is refused to a person is written down."""
    with written_down(actor_of(request), f"api.plan.{request.path.rpartition('/')[2]}", f"plan:{plan}"):
        verb()
    return Response(whole_document(plan_numbered(plan), request.user))


class _MayApprove(MayAct):
    """Whoever gives second signatures; and of what is free its requester, by the right to ask for it."""

    def has_permission(self, request: Request, view: Any) -> bool:
        if request.method == "POST" and may(request.user, Act.LOOK):
            plan = plans().filter(pk=min(view.kwargs["plan"], LARGEST)).first()
            alone = asking(plan.kind) if plan is not None else None
            if plan is not None and alone and starts_alone(plan, request.user, signing_of([plan])[plan.pk]):
                self.require(request, Act(alone))
                return True
        return super().has_permission(request, view)


class Approve(Endpoint):
    acts = {"POST": Act.APPROVE}
    permission_classes = (_MayApprove,)

    @extend_schema(
        operation_id="approve_plan",
        request=shapes.ApprovePlan,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, plan: int) -> Response:
        """One person's approval, of exactly this digest; or its requester's, where the plan is free. With the last one
        that the plan binds it runs by itself."""
        body = body_of(request, shapes.ApprovePlan)
        digest, reason = bytes.fromhex(body["digest"]), body.get("reason", "")
        return _done(request, plan, lambda: approve(plan, digest, _actor(request), Accounts(), reason))


class Decline(Endpoint):
    acts = {"POST": Act.APPROVE}

    @extend_schema(
        operation_id="decline_plan",
        request=shapes.BecauseOf,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, plan: int) -> Response:
        """Says no, with a reason."""
        reason = body_of(request, shapes.BecauseOf)["reason"]
        return _done(request, plan, lambda: decline(plan, _actor(request), Accounts(), reason))


class Pause(Endpoint):
    acts = {"POST": Act.STEER}

    @extend_schema(
        operation_id="pause_plan",
        request=shapes.BecauseOf,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, plan: int) -> Response:
        """Holds a plan that runs, within one batch."""
        reason = body_of(request, shapes.BecauseOf)["reason"]
        return _done(request, plan, lambda: pause(plan, _actor(request), Accounts(), reason))


class Resume(Endpoint):
    acts = {"POST": Act.STEER}

    @extend_schema(
        operation_id="resume_plan",
        request=shapes.ResumePlan,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, plan: int) -> Response:
        """Goes on with a plan that is held, under the approval that it has."""
        reason = body_of(request, shapes.ResumePlan).get("reason", "")
        return _done(request, plan, lambda: resume(plan, _actor(request), Accounts(), reason))


class Cancel(Endpoint):
    acts = {"POST": Act.STEER}

    @extend_schema(
        operation_id="cancel_plan",
        request=shapes.BecauseOf,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.PlanDetails, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, plan: int) -> Response:
        """Ends a plan that runs or is held; what is done stays done."""
        reason = body_of(request, shapes.BecauseOf)["reason"]
        return _done(request, plan, lambda: cancel(plan, _actor(request), Accounts(), reason))
