"""Streams, their contracts and sources as documents."""

from __future__ import annotations

from typing import Any

from console.documents import Document, hexed, stamp
from ingest.models import Contract as ContractRow
from ingest.models import Run, RunState, Source
from ingest.streams import compiled_contract


def contract_document(row: ContractRow) -> Document:
    return {
        "version": row.version,
        "digest": hexed(row.digest),
        "loaded_by": row.loaded_by,
        "loaded_at": stamp(row.loaded_at),
    }


def stream_document(row: ContractRow, open_run: str | None) -> Document:
    """A stream by its newest contract."""
    contract = compiled_contract(row.pk).contract
    return {
        "stream": contract.stream,
        "owner": contract.owner,
        "runbook": contract.runbook,
        "contract": contract_document(row),
        "inbox": {"topic": contract.inbox.kafka.topic, "format": str(contract.inbox.kafka.format)},
        "bus": {"topic": contract.bus.topic, "partitions": contract.bus.partitions},
        "event_classes": [event.name for event in contract.events],
        "open_run": open_run,
    }


def stream_documents(contracts: list[ContractRow]) -> list[dict[str, Any]]:
    streams = [contract.stream_id for contract in contracts]
    runs = Run.objects.filter(stream__in=streams, state=RunState.OPEN).values_list("stream_id", "name")
    opened = dict(runs)
    return [stream_document(contract, opened.get(contract.stream_id)) for contract in contracts]


def source_document(source: Source) -> Document:
    return {
        "source": source.pk,
        "name": source.name,
        "role": source.role,
        "kind": source.kind,
        "cluster_id": source.cluster_id,
        "topic_id": source.topic_id,
        "topic": source.topic,
        "partition": source.partition,
    }
