"""Streams and the sources they read."""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint
from console.api.paging import PARAMETERS, limit_of, number_of, page
from console.api.schema import PAGING, answers
from console.documents.streams import source_document, stream_documents
from console.permissions import Act
from console.reads.named import stream_named
from console.reads.streams import newest_contracts
from ingest.core.errors import NotFound
from ingest.models import Source


class Streams(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS

    @extend_schema(operation_id="list_streams", parameters=PAGING, responses=answers(shapes.paged(shapes.StreamAnswer)))
    def get(self, request: Request) -> Response:
        """Every stream that has a contract, by name."""
        limit = limit_of(request)
        after = request.query_params.get("after", "").replace("\0", "")
        rows = list(newest_contracts().filter(stream__name__gt=after)[: limit + 1])
        documents = stream_documents(rows[:limit])
        return Response(page(request, rows, limit, lambda row: row.stream.name, documents))


class OneStream(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_stream", responses=answers(shapes.StreamAnswer, 404))
    def get(self, request: Request, stream: str) -> Response:
        """A stream by its newest contract."""
        found = newest_contracts().filter(stream=stream_named(stream)).first()
        if found is None:
            raise NotFound(
                expected=f"a contract of stream {stream}", found="none", next_step="passgate stream load FILE"
            )
        return Response(stream_documents([found])[0])


class Sources(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = PARAMETERS

    @extend_schema(
        operation_id="list_sources", parameters=PAGING, responses=answers(shapes.paged(shapes.SourceAnswer), 404)
    )
    def get(self, request: Request, stream: str) -> Response:
        """The sources of a stream, inbox and bus, in the order they were first seen."""
        limit, after = limit_of(request), number_of(request, "after", 0)
        sources = Source.objects.filter(stream=stream_named(stream), pk__gt=after).order_by("pk")
        rows = list(sources[: limit + 1])
        return Response(page(request, rows, limit, lambda row: row.pk, [source_document(row) for row in rows[:limit]]))
