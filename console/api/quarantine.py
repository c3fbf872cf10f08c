"""Quarantined records: listing, looking, resolving."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from console.api import shapes
from console.api.endpoint import Endpoint, actor_of, body_of
from console.api.idempotency import once
from console.api.paging import PARAMETERS, limit_of, number_of, page
from console.api.schema import BODY, IDEMPOTENCY, PAGING, answers, query
from console.documents.quarantine import document, hidden_because, payloads, redrives
from console.permissions import Act, may, roles_of
from console.problems import BadRequest
from console.reads.named import item_numbered, run_named, stream_named
from console.reads.quarantine import REASONS, sized
from ingest.models import ItemState, QuarantineItem, Resolution, Run
from ingest.quarantine import resolve
from ingest.streams import compiled_contract

FILTERS = PARAMETERS | {"stream", "run", "reason", "state"}


def whole(item: QuarantineItem, user: Any) -> dict[str, Any]:
    """The item with both payloads where two disagree, for a user who may see them, and the plans that redrove it."""
    contract = compiled_contract(item.win.contract_id).contract
    hidden = hidden_because(contract, roles_of(user), may(user, Act.SEE_PAYLOADS).reason)
    return document(item) | payloads(item, hidden) | redrives(item)


class Items(Endpoint):
    acts = {"GET": Act.LOOK}
    filters = FILTERS

    @extend_schema(
        operation_id="list_quarantine",
        parameters=[
            *PAGING,
            query("stream", "Items of this stream; needs `run`."),
            query("run", "Items of this run; needs `stream`."),
            query("reason", "Items set aside for this reason.", choices=REASONS),
            query("state", "Items in this state.", choices=ItemState.values),
        ],
        responses=answers(shapes.paged(shapes.ItemAnswer), 404),
    )
    def get(self, request: Request) -> Response:
        """Quarantined records, without their bytes."""
        limit, after = limit_of(request), number_of(request, "after", 0)
        reason, state = _one_of(request, "reason", REASONS), _one_of(request, "state", list(ItemState.values))
        rows = list(sized(_run(request), reason, state).filter(pk__gt=after)[: limit + 1])
        return Response(page(request, rows, limit, lambda row: row.pk, [document(row) for row in rows[:limit]]))


def _one_of(request: Request, name: str, known: list[str]) -> str | None:
    value = request.query_params.get(name)
    if value is not None and value not in known:
        raise BadRequest((f"?{name}", f"one of {', '.join(known)} is expected"))
    return value


def _run(request: Request) -> Run | None:
    stream, run = request.query_params.get("stream"), request.query_params.get("run")
    if stream is None and run is None:
        return None
    if stream is None or run is None:
        missing = "?stream" if stream is None else "?run"
        raise BadRequest((missing, "stream and run go together: a run's name holds within its stream"))
    stream_named(stream)
    return run_named(stream, run)


class OneItem(Endpoint):
    acts = {"GET": Act.LOOK}

    @extend_schema(operation_id="get_quarantine_item", responses=answers(shapes.ItemWhole, 404))
    def get(self, request: Request, item: int) -> Response:
        """One item, with both payloads where two disagree. Payloads need the act `payloads`."""
        return Response(whole(item_numbered(item), request.user))


def _beyond(body: Mapping[str, Any]) -> list[str]:
    return list(body.get("beyond_bound", ()))


class ResolveOne(Endpoint):
    acts = {"POST": Act.RESOLVE}

    @extend_schema(
        operation_id="resolve_quarantine_item",
        request=shapes.Resolve,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.ItemAnswer, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request, item: int) -> Response:
        """Resolves an item, once: it names you and your reason."""
        body = body_of(request, shapes.Resolve)
        resolve([item], actor_of(request), Resolution(body["resolution"]), body["reason"], _beyond(body))
        return Response(document(item_numbered(item)))


class ResolveMany(Endpoint):
    acts = {"POST": Act.RESOLVE}

    @extend_schema(
        operation_id="resolve_quarantine_items",
        request=shapes.ResolveMany,
        parameters=[IDEMPOTENCY],
        responses=answers(shapes.ResolvedAnswer, *BODY, 404, 409, 422),
    )
    @once
    def post(self, request: Request) -> Response:
        """Resolves all of these items or none, with one reason."""
        body = body_of(request, shapes.ResolveMany)
        done = resolve(body["items"], actor_of(request), Resolution(body["resolution"]), body["reason"], _beyond(body))
        return Response({"resolved": done.items})
