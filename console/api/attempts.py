"""Attempts at publishing, and asking for one to be reconciled."""

from __future__ import annotations

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint, actor_of, body_of
from console.api.idempotency import once
from console.api.paging import PARAMETERS, limit_of, number_of, page
from console.api.schema import BODY, IDEMPOTENCY, PAGING, answers, query
from console.documents.attempts import attempt_documents
from console.permissions import Act
from console.problems import BadRequest
from console.reads.attempts import UNSETTLED, attempts_of
from console.reads.named import attempt_numbered, run_named
from ingest.core.errors import PublishError
from ingest.core.ids import AttemptId
from ingest.models import Attempt, AttemptState
from ingest.publish.reconcile import request as ask_to_reconcile


class AttemptSettled(PublishError):
    """There is nothing to reconcile: the attempt has its outcome."""

    code = "attempt_settled"
    what = "the attempt is settled"


class Attempts(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS | {"state", "stream", "run"}

    @extend_schema(
        operation_id="list_attempts",
        parameters=[
            *PAGING,
            query("state", "Attempts in this state.", choices=AttemptState.values),
            query("stream", "Attempts of this stream's run; needs `run`."),
            query("run", "Attempts of this run; needs `stream`."),
        ],
        responses=answers(shapes.paged(shapes.AttemptAnswer), 404),
    )
    def get(self, request: Request) -> Response:
        """Attempts at publishing, the oldest first."""
        limit, after = limit_of(request), number_of(request, "after", 0)
        found = _chosen(request).filter(pk__gt=after).order_by("pk")
        rows = list(found[: limit + 1])
        return Response(page(request, rows, limit, lambda row: row.pk, attempt_documents(rows[:limit])))


def _chosen(request: Request) -> QuerySet[Attempt]:
    asked = request.query_params
    state, stream, run = asked.get("state"), asked.get("stream"), asked.get("run")
    if state is not None and state not in AttemptState.values:
        raise BadRequest(("?state", f"one of {', '.join(AttemptState.values)} is expected"))
    if (stream is None) != (run is None):
        raise BadRequest(("?stream" if stream is None else "?run", "stream and run go together"))
    found = attempts_of(run_named(stream, run)) if stream and run else Attempt.objects.all()
    return found.filter(state=state) if state else found


class OneAttempt(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_attempt", responses=answers(shapes.AttemptAnswer, 404))
    def get(self, request: Request, attempt: int) -> Response:
        """An attempt: its state, who asked to reconcile it, and the last scan's answer."""
        return Response(attempt_documents([attempt_numbered(attempt)])[0])


class Reconcile(Endpoint):
    acts = {"POST": Act.RECONCILE}

    @extend_schema(
        operation_id="reconcile_attempt",
        request=shapes.Nothing,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.AttemptAnswer, *BODY, 404, 409, 422, success=202),
    )
    @once
    def post(self, request: Request, attempt: int) -> Response:
        """Asks the lane's owner to settle an attempt: fence first, then look. Progress stands at `Location`."""
        body_of(request, shapes.Nothing)
        found = attempt_numbered(attempt)
        if found.state not in UNSETTLED:
            raise AttemptSettled(expected="an attempt whose outcome nobody knows", found=found.state)
        ask_to_reconcile(AttemptId(found.pk), actor_of(request))
        place = request.path.removesuffix("/reconcile")
        return Response(attempt_documents([attempt_numbered(attempt)])[0], status=202, headers={"Location": place})
