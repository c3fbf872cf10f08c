"""The gate over HTTP: 200 only while it is open, so a client that looks at the status alone never reads on doubt."""

from __future__ import annotations

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiResponse, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from audit.enforce import Code, GateDecision, decide_gate, decide_span
from console.api import shapes
from console.api.endpoint import Endpoint, actor_of, time_of
from console.api.problems import problem
from console.api.schema import answers, query
from console.documents.gate import basis_of, gate_document, span_document
from console.links import find_run
from console.permissions import Act
from console.problems import MEDIA_TYPE, BadRequest
from console.reads.named import plain

TITLES = {
    Code.NOT_FOUND: "there is no such run or window",
    Code.NOT_CLOSED: "the gate is shut: not judged yet",
    Code.BLOCKED: "the gate is shut: BLOCKED",
    Code.FAILED: "the gate is shut: FAIL",
    Code.SHUT: "the gate is shut: what its verdict stands on has changed",
    Code.UNAVAILABLE: "the gate cannot evaluate",
}
ANSWERS = answers(shapes.GateAnswer, 404) | {
    (403, MEDIA_TYPE): OpenApiResponse(shapes.GateProblem, description="Shut, or not permitted: `code` tells which."),
}


def answer(request: Request, stream: str, segment: str, window: int | None, rerun: int | None = None) -> Response:
    """Asks, and lets the log be written before anything is answered."""
    stream, segment = plain(stream), plain(segment)
    run = find_run(stream, segment) if segment.startswith("~") else None
    run_name = run.name if run else segment
    decision = decide_gate(stream, run_name, window, actor_of(request), rerun)
    if decision.granted:
        return Response(gate_document(decision, stream, run_name, window, rerun))
    return _refused(request, decision)


def _refused(request: Request, decision: GateDecision) -> Response:
    extra: dict[str, Any] = {} if decision.code in (Code.NOT_FOUND, Code.UNAVAILABLE) else basis_of(decision)
    refused = problem(
        decision.status,
        str(decision.code),
        TITLES[decision.code],
        detail=decision.detail,
        retry=decision.retry,
        request=request,
        extra=extra,
    )
    # Readers ask again and again, and each answer is a row of gate_decision: Django need not write a line as well
    refused._has_been_logged = decision.code is not Code.UNAVAILABLE  # type: ignore[attr-defined]
    return refused


class RunGate(Endpoint):
    acts = {"GET": Act.ASK_GATE}

    @extend_schema(operation_id="ask_gate", responses=ANSWERS)
    def get(self, request: Request, stream: str, run: str) -> Response:
        """May I read this run? 200 only when it is closed and every window's newest verdict is a live PASS."""
        return answer(request, stream, run, None)


class SpanGate(Endpoint):
    acts = {"GET": Act.ASK_GATE}
    filters = frozenset({"from", "complete_until"})

    @extend_schema(
        operation_id="ask_span_gate",
        parameters=[
            query("from", "From this time on, as RFC 3339.", OpenApiTypes.DATETIME, required=True),
            query("complete_until", "Appended before this time, as RFC 3339.", OpenApiTypes.DATETIME, required=True),
        ],
        responses=answers(shapes.SpanAnswer, 400, 404)
        | {
            (403, MEDIA_TYPE): OpenApiResponse(
                shapes.Problem, description="Not all of it may be read; or not permitted"
            )
        },
    )
    def get(self, request: Request, stream: str) -> Response:
        """May I read everything that was appended in a span of time?

        200 only where consecutive windows of the stream hold all of it, over runs, and the gate of each is open. The
        time is of the clock that stamps appends: where the inbox stamps the producer's, nothing is known complete.
        """
        since, until = time_of(request, "from"), time_of(request, "complete_until")
        if since >= until:
            raise BadRequest(("?complete_until", "a time after `from` is expected"))
        decision = decide_span(plain(stream), since, until, actor_of(request))
        if decision.status == 200:
            return Response(span_document(decision, stream))
        refused = problem(
            decision.status,
            str(decision.code),
            TITLES[decision.code],
            detail=decision.detail,
            retry=decision.retry,
            request=request,
        )
        refused._has_been_logged = decision.code is not Code.UNAVAILABLE  # type: ignore[attr-defined]
        return refused


class WindowGate(Endpoint):
    acts = {"GET": Act.ASK_GATE}

    @extend_schema(operation_id="ask_window_gate", responses=ANSWERS)
    def get(self, request: Request, stream: str, run: str, window: int) -> Response:
        """May I read this window?"""
        return answer(request, stream, run, min(window, 2**31 - 1))


class RerunGate(Endpoint):
    acts = {"GET": Act.ASK_GATE}

    @extend_schema(operation_id="ask_rerun_gate", responses=ANSWERS)
    def get(self, request: Request, stream: str, run: str, window: int, rerun: int) -> Response:
        """May I read what this rerun of the window brought? Its events are read with its own PASS."""
        return answer(request, stream, run, min(window, 2**31 - 1), min(rerun, 2**31 - 1))
