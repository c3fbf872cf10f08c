"""Receipts: what became of a record."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint
from console.api.paging import PARAMETERS, limit_of, number_of, page, place_of
from console.api.schema import PAGING, answers, query, whole_number
from console.documents.receipts import receipt_documents
from console.permissions import Act
from console.problems import BadRequest
from console.reads.named import receipt_at, rerun_numbered, run_named, window_numbered
from console.reads.receipts import Range, ranges, ranges_of_run
from console.whole import LARGEST
from ingest.core.reason import Decision
from ingest.models import Receipt

DECISIONS = [decision.name for decision in Decision]
DECISION = query("decision", "Receipts of this decision only.", choices=DECISIONS)


def _decision(request: Request) -> Decision | None:
    name = request.query_params.get("decision")
    if name is not None and name not in DECISIONS:
        raise BadRequest(("?decision", f"one of {', '.join(DECISIONS)} is expected"))
    return Decision[name] if name else None


def receipts_of(
    ranges: Sequence[Range], decision: Decision | None, after: tuple[int, int] | None, most: int
) -> list[Receipt]:
    """At most `most` receipts of these ranges by (source, offset): one walk along the key for each of them."""
    rows: list[Receipt] = []
    for found in ranges:
        if len(rows) >= most:
            break
        inside = Receipt.objects.filter(source_id=found.source, offset__gte=found.start)
        if found.end is not None:
            inside = inside.filter(offset__lt=found.end)
        rows.extend(_of(decision, _beyond(after, inside))[: most - len(rows)])
    return rows


def _of(decision: Decision | None, receipts: QuerySet[Receipt]) -> QuerySet[Receipt]:
    ordered = receipts.order_by("source_id", "offset")
    return ordered.filter(decision=decision) if decision else ordered


def _beyond(after: tuple[int, int] | None, receipts: QuerySet[Receipt]) -> QuerySet[Receipt]:
    """A row comparison, which PostgreSQL answers from the key alone."""
    return receipts if after is None else receipts.filter(pk__gt=after)


def _paged(request: Request, rows: list[Receipt], limit: int) -> Response:
    documents = receipt_documents(rows[:limit])
    return Response(page(request, rows, limit, lambda row: f"{row.source_id}/{row.offset}", documents))


class RunReceipts(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS | {"decision", "window", "rerun"}

    @extend_schema(
        operation_id="list_run_receipts",
        parameters=[
            *PAGING,
            DECISION,
            query("window", "Receipts of this window only.", whole_number(0, LARGEST)),
            query("rerun", "Receipts of this rerun of that window.", whole_number(0, LARGEST)),
        ],
        responses=answers(shapes.paged(shapes.ReceiptAnswer), 404),
    )
    def get(self, request: Request, stream: str, run: str) -> Response:
        """The receipts of a run by (source, offset); those of its reruns are asked for by window and rerun."""
        named = run_named(stream, run)
        number, rerun = number_of(request, "window", 0), number_of(request, "rerun", 0)
        if rerun and not number:
            raise BadRequest(("?rerun", "this goes with `window`: a rerun's number holds within its window"))
        if rerun:
            within = ranges(rerun_numbered(named, number, rerun).pk)
        else:
            within = ranges(window_numbered(named, number).pk) if number else ranges_of_run(named.pk)
        limit = limit_of(request)
        return _paged(request, receipts_of(within, _decision(request), place_of(request), limit + 1), limit)


class Receipts(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS | {"decision", "source"}

    @extend_schema(
        operation_id="list_receipts",
        parameters=[*PAGING, DECISION, query("source", "Receipts of this source only.", whole_number(0, 2**31 - 1))],
        responses=answers(shapes.paged(shapes.ReceiptAnswer)),
    )
    def get(self, request: Request) -> Response:
        """All receipts by (source, offset)."""
        source = number_of(request, "source", 0, most=2**31 - 1)
        receipts = Receipt.objects.filter(source_id=source) if source else Receipt.objects.all()
        limit = limit_of(request)
        return _paged(request, list(_of(_decision(request), _beyond(place_of(request), receipts))[: limit + 1]), limit)


class OneReceipt(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_receipt", responses=answers(shapes.ReceiptAnswer, 404))
    def get(self, request: Request, source: int, offset: int) -> Response:
        """What became of the record at one offset of a source."""
        return Response(receipt_documents([receipt_at(source, offset)])[0])
