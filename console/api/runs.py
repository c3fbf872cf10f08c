"""Opening, cutting, closing and looking at runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.urls import reverse
from drf_spectacular.utils import extend_schema, extend_schema_view
from rest_framework.request import Request
from rest_framework.response import Response

from audit.anchors import processed, replay
from audit.close import checks_now, close_run
from audit.core import verdict as v
from audit.core.diagnosis import diagnose
from audit.cut import cut_run, declare_totals
from audit.go_on import go_on
from audit.models import Verdict
from audit.open import open_run
from console.api import shapes
from console.api.endpoint import DEPRECATED, Endpoint, actor_of, body_of
from console.api.idempotency import once
from console.api.paging import PARAMETERS, limit_of, number_of, page
from console.api.schema import BODY, IDEMPOTENCY, PAGING, answers, query, whole_number
from console.documents.anchors import anchors_document
from console.documents.plans import offer_document
from console.documents.runs import (
    cut_members,
    gone_on_members,
    one_run_document,
    run_document,
    run_documents,
    totals_document,
    verdict_document,
    verdict_line,
    window_documents,
)
from console.links import run_segment
from console.permissions import Act, permitted
from console.problems import BadRequest
from console.reads.named import newest_window, rerun_numbered, run_named, window_numbered
from console.reads.runs import runs_of
from console.reads.windows import VERDICTS, of_run
from console.whole import LARGEST
from ingest.core.errors import NotFound
from ingest.core.ids import WindowId
from ingest.models import Run, RunState, Window, WindowState
from plans.offers import offers_of


class Runs(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS | {"state"}

    @extend_schema(
        operation_id="list_runs",
        parameters=[*PAGING, query("state", "Runs in this state only.", choices=RunState.values)],
        responses=answers(shapes.paged(shapes.RunAnswer), 404),
    )
    def get(self, request: Request, stream: str) -> Response:
        """The runs of a stream, the newest first."""
        state = request.query_params.get("state")
        old = state == "SEALED"
        state = RunState.CUT if old else state
        if state is not None and state not in RunState.values:
            raise BadRequest(("?state", f"one of {', '.join(RunState.values)} is expected"))
        limit, before = limit_of(request), number_of(request, "after", 2**31 - 1)
        rows = list(runs_of(stream, state).filter(pk__lt=before)[: limit + 1])
        found = page(request, rows, limit, lambda run: run.pk, run_documents(rows[:limit]))
        return Response(found, headers={"Deprecation": DEPRECATED} if old else None)


class OneRun(Endpoint):
    acts = {"GET": Act.LOOK, "PUT": Act.OPEN_RUN}

    @extend_schema(operation_id="get_run", responses=answers(shapes.OneRunAnswer, 404))
    def get(self, request: Request, stream: str, run: str) -> Response:
        """A run with its newest windows, their newest verdicts and gates, and how all of its windows stand.

        `notices`: what its windows go on without now, and what ends each.
        """
        return Response(one_run_document(run_named(stream, run)))

    @extend_schema(
        operation_id="open_run",
        request=shapes.OpenRun,
        responses=answers(shapes.OneRunAnswer, *BODY, 404, 409) | {201: shapes.OneRunAnswer},
    )
    def put(self, request: Request, stream: str, run: str) -> Response:
        """Opens a run: 201 when it is new, 200 when it is there already, 409 when it is there with another contract."""
        body = body_of(request, shapes.OpenRun)
        run = _run_name(stream, run, body.get("run"))
        named = body.get("contract", {}).values()
        contract = next((str(value) for value in named), None)
        opened = open_run(stream, run, actor_of(request), contract, body.get("pins"))
        status = 201 if opened.result == "created" else 200
        return Response(
            one_run_document(run_named(stream, run_segment(run))),
            status=status,
            headers={"Location": _place(stream, run)},
        )


def _run_name(stream: str, segment: str, said: str | None) -> str:
    """The id that a path and a body name together; the path alone says it where it can."""
    if said is None:
        return run_named(stream, segment).name if segment.startswith("~") else segment
    if segment not in (said, run_segment(said)):
        raise BadRequest(("/run", f"another run than the path names: this one stands there as {run_segment(said)}"))
    return said


def _place(stream: str, run_name: str) -> str:
    return reverse("api:run", kwargs={"stream": stream, "run": run_segment(run_name)})


class Windows(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS | {"state", "verdict"}

    @extend_schema(
        operation_id="list_windows",
        parameters=[
            *PAGING,
            query("state", "Windows in this state only.", choices=WindowState.values),
            query("verdict", "Windows of this newest verdict only; none: not judged.", choices=list(VERDICTS)),
        ],
        responses=answers(shapes.paged(shapes.WindowLine), 404),
    )
    def get(self, request: Request, stream: str, run: str) -> Response:
        """The windows of a run, the newest first."""
        found = run_named(stream, run)
        state, verdict = _one_of(request, "state", WindowState.values), _one_of(request, "verdict", list(VERDICTS))
        limit, before = limit_of(request), number_of(request, "after", 2**31 - 1)
        windows = of_run(found, state, [verdict] if verdict else ()).filter(number__lt=min(before, 2**31 - 1))
        rows = list(windows[: limit + 1])
        documents = window_documents(found, rows[:limit])
        return Response(page(request, rows, limit, lambda row: row.number, documents))


def _one_of(request: Request, name: str, choices: Sequence[str]) -> str | None:
    chosen = request.query_params.get(name)
    if chosen is not None and chosen not in choices:
        raise BadRequest((f"?{name}", f"one of {', '.join(choices)} is expected"))
    return chosen


class Verdicts(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS

    @extend_schema(
        operation_id="list_verdicts", parameters=PAGING, responses=answers(shapes.paged(shapes.VerdictLine), 404)
    )
    def get(self, request: Request, stream: str, run: str) -> Response:
        """The verdicts of a run, the newest first."""
        found = run_named(stream, run)
        limit, before = limit_of(request), number_of(request, "after", 2**31 - 1)
        verdicts = Verdict.objects.filter(run=found, number__lt=before).select_related("win").order_by("-number")
        rows = list(verdicts[: limit + 1])
        documents = [verdict_line(row, found.stream.name, found.name) for row in rows[:limit]]
        return Response(page(request, rows, limit, lambda row: row.number, documents))


class OneVerdict(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_verdict", responses=answers(shapes.VerdictAnswer, 404))
    def get(self, request: Request, stream: str, run: str, number: int) -> Response:
        """A verdict, whole."""
        found = run_named(stream, run)
        verdicts = Verdict.objects.select_related("win").filter(run=found, number=min(number, 2**31 - 1))
        verdict = verdicts.first()
        if verdict is None:
            raise NotFound(expected=f"verdict {stream}/{run}#{number}", found="none")
        return Response(verdict_document(verdict, found.stream.name, found.name))


class Cut(Endpoint):
    acts = {"POST": Act.CUT}

    @extend_schema(
        operation_id="cut_run",
        request=shapes.CutRun,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.CutAnswer, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, stream: str, run: str) -> Response:
        """Cuts the run's window: every source gets its cut. A second time changes nothing.

        `behind` says what lay behind a cut already, hidden by an open transaction: it goes to the next window. With
        `go_on` the next window opens in the same moment, at the positions of the lanes, and the run stays open; with
        `next_run` the run ends with this window, and the next one is the first of that run.
        """
        body, cut_of = body_of(request, shapes.CutRun), run_named(stream, run)
        if body.get("go_on") or body.get("next_run"):
            return _gone_on(cut_of, actor_of(request), body)
        if body.get("window") is not None:
            raise BadRequest(("/window", "this goes with go_on: without it a run's newest window is cut"))
        done = cut_run(stream, cut_of.name, actor_of(request), body.get("totals"))
        return Response(run_document(cut_of) | cut_members(done))


def _gone_on(run: Run, actor: str, body: Mapping[str, Any]) -> Response:
    gone = go_on(run.stream.name, run.name, actor, body.get("window"), body.get("next_run"), body.get("totals"))
    return Response(run_document(run) | gone_on_members(gone))


@extend_schema_view(post=extend_schema(operation_id="seal_run", deprecated=True))
class Seal(Cut):
    """The path of before."""

    successor = "cut"


class Close(Endpoint):
    acts = {"POST": Act.CLOSE}

    @extend_schema(
        operation_id="close_run",
        request=shapes.CloseRun,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.VerdictAnswer, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, stream: str, run: str) -> Response:
        """Judges a cut window now, the newest or the one named, or a rerun of it, and stores the verdict, whatever it
        says."""
        body, found = body_of(request, shapes.CloseRun), run_named(stream, run)
        stored = close_run(stream, found.name, actor_of(request), body.get("window"), rerun=body.get("rerun"))
        verdict = Verdict.objects.select_related("win").get(pk=stored.id)
        return Response(verdict_document(verdict, stream, found.name))


WINDOW = query("window", "The window's number; absent: the newest.", whole_number(0, LARGEST))


def window_asked(request: Request, stream: str, run: str) -> Window:
    """The run's window that `?window=` names, else its newest."""
    found = run_named(stream, run)
    number = number_of(request, "window", 0)
    return window_numbered(found, number) if number else newest_window(found)


RERUN = query("rerun", "A rerun of that window; needs `window`.", whole_number(0, LARGEST))


class Checks(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = frozenset({"window", "rerun"})

    @extend_schema(
        operation_id="get_checks",
        parameters=[WINDOW, RERUN],
        responses=answers(shapes.ChecksAnswer, 404),
    )
    def get(self, request: Request, stream: str, run: str) -> Response:
        """Checks now, not a verdict: nothing is stored, and no gate looks at it."""
        rerun = number_of(request, "rerun", 0)
        if rerun:
            window = rerun_numbered(run_named(stream, run), number_of(request, "window", 0), rerun)
        else:
            window = window_asked(request, stream, run)
        now = checks_now(WindowId(window.pk))
        sentence = diagnose(now, None, set(permitted(request.user))).sentence
        found = offers_of(WindowId(window.pk), now.checks)
        offers = [offer_document(offer, stream, window.run.name) for offer in found]
        body = v.body(now, None, sentence)
        return Response({"window": window.number, "sentence": sentence, "body": body, "offers": offers})


class Anchors(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = frozenset({"window"})

    @extend_schema(operation_id="get_anchors", parameters=[WINDOW], responses=answers(shapes.AnchorsAnswer, 404))
    def get(self, request: Request, stream: str, run: str) -> Response:
        """What a window processed, by the ledger alone, and what of it is safe to replay now.

        A Kafka that does not answer is no error here: what it would have said is UNMEASURED, with the reason.
        """
        window = processed(WindowId(window_asked(request, stream, run).pk))
        return Response(anchors_document(window, replay(window)))


class Totals(Endpoint):
    acts = {"GET": Act.LOOK, "PUT": Act.DECLARE_TOTALS}

    @extend_schema(operation_id="get_totals", responses=answers(shapes.TotalsAnswer, 404))
    def get(self, request: Request, stream: str, run: str) -> Response:
        """The control totals declared for a run."""
        return Response(totals_document(run_named(stream, run)))

    @extend_schema(
        operation_id="declare_totals", request=shapes.Totals, responses=answers(shapes.TotalsAnswer, *BODY, 404, 409)
    )
    def put(self, request: Request, stream: str, run: str) -> Response:
        """Declares what was sent, per event class, in the run's newest window. The newest declaration counts."""
        body, found = body_of(request, shapes.Totals), run_named(stream, run)
        declare_totals(stream, found.name, body["totals"], actor_of(request))
        return Response(totals_document(found))
