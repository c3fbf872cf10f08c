"""Snapshots and bases as JSON, and back. What has another shape than this version knows is not read (S15)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import rfc8785

from audit.core import facts as f

SNAPSHOT = "passgate.snapshot/1"
BASIS = "passgate.basis/1"


def snapshot_body(
    broker: f.Broker | None,
    database: f.DatabaseIdentity | None,
    committed: Mapping[str, int | None] | None,
    behind: Sequence[f.RangeBehindCut] = (),
) -> dict[str, Any]:
    """The stored form of one look: only what was measured has a key."""
    out: dict[str, Any] = {"schema": SNAPSHOT}
    if broker is not None:
        out["broker"] = broker_body(broker)
    if database is not None:
        out["database"] = database_body(database)
    if committed is not None:
        out["committed"] = {label: "none" if offset is None else offset for label, offset in committed.items()}
    if behind:
        out["behind"] = [behind_body(each) for each in behind]
    return out


def stamp(at: datetime) -> str:
    """Microseconds and UTC, always: 2026-01-31T02:14:07.000012Z."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def behind_body(behind: f.RangeBehindCut) -> dict[str, Any]:
    """Records of one source that lay behind its cut when the cut was made; no `since` where it is not known."""
    out: dict[str, Any] = {"source": behind.label, "from": behind.start, "to": behind.end}
    return out | ({"since": stamp(behind.since)} if behind.since else {})


def read_behind(body: Mapping[str, Any]) -> tuple[f.RangeBehindCut, ...]:
    return tuple(
        f.RangeBehindCut(x["source"], x["from"], x["to"], datetime.fromisoformat(x["since"]) if "since" in x else None)
        for x in body.get("behind", ())
    )


def broker_body(broker: f.Broker) -> dict[str, Any]:
    out = {"cluster_id": broker.cluster_id, "bus": topic_body(broker.bus)}
    return out if broker.inbox is None else out | {"inbox": topic_body(broker.inbox)}


def topic_body(topic: f.Topic) -> dict[str, Any]:
    out: dict[str, Any] = {"name": topic.name}
    if topic.topic_id is not None:
        out["topic_id"] = topic.topic_id
    if topic.posture is not None:
        out["posture"] = dict(topic.posture)
    out["partitions"] = {str(number): _log_body(log) for number, log in sorted(topic.partitions.items())}
    return out


def _log_body(log: f.PartitionLog) -> dict[str, Any]:
    values = {
        "log_start": log.log_start,
        "lso": log.lso,
        "high_watermark": log.high_watermark,
        "leader_epoch": log.leader_epoch,
        "diverged": log.diverged,
    }
    return {key: value for key, value in values.items() if value is not None}


def database_body(database: f.DatabaseIdentity) -> dict[str, Any]:
    return {"system_identifier": database.system_identifier, "timeline": database.timeline}


def read_broker(body: Mapping[str, Any]) -> f.Broker:
    inbox = read_topic(body["inbox"]) if "inbox" in body else None
    return f.Broker(body["cluster_id"], bus=read_topic(body["bus"]), inbox=inbox)


def read_topic(body: Mapping[str, Any]) -> f.Topic:
    partitions = {int(number): f.PartitionLog(**log) for number, log in body["partitions"].items()}
    return f.Topic(body["name"], body.get("topic_id"), partitions, body.get("posture"))


def read_database(body: Mapping[str, Any]) -> f.DatabaseIdentity:
    return f.DatabaseIdentity(body["system_identifier"], body["timeline"])


def basis_body(
    broker: f.Broker, database: f.DatabaseIdentity, inbox: Sequence[f.BasisSource], bus: Sequence[f.BasisSource]
) -> dict[str, Any]:
    """One generation of a basis. `digest` of it is what verdicts and the gate name."""
    return {
        "schema": BASIS,
        "broker": broker_body(broker),
        "database": database_body(database),
        "inbox": [_source_body(source) for source in inbox],
        "bus": [_source_body(source) for source in bus],
    }


def _source_body(source: f.BasisSource) -> dict[str, Any]:
    return {"label": source.label} | ({} if source.partition is None else {"partition": source.partition})


def digest(body: Mapping[str, Any]) -> bytes:
    """SHA-256 over the canonical form (RFC 8785): 32 bytes."""
    return hashlib.sha256(rfc8785.dumps(dict(body))).digest()


def read_basis(
    generations: Sequence[tuple[int, Mapping[str, Any]]], later: frozenset[str], refreshes: tuple[f.Refresh, ...] = ()
) -> f.Basis | None:
    """Generations in order, folded: sources and posture are the newest's, cluster, topics and database the first's.

    None when there is none, or one of a shape this version does not know.
    """
    if not generations or any(body.get("schema") != BASIS for _, body in generations):
        return None
    (_, first), (number, newest) = generations[0], generations[-1]
    return f.Basis(
        generation=number,
        digest=digest(newest).hex(),
        broker=_folded(read_broker(first["broker"]), read_broker(newest["broker"])),
        database=read_database(first["database"]),
        inbox=_sources(newest["inbox"]),
        bus=_sources(newest["bus"]),
        later=later,
        refreshes=refreshes,
    )


def _sources(bodies: Sequence[Mapping[str, Any]]) -> tuple[f.BasisSource, ...]:
    return tuple(f.BasisSource(body["label"], body.get("partition")) for body in bodies)


def _folded(first: f.Broker, newest: f.Broker) -> f.Broker:
    """A refresh never changes what offsets belong to: cluster id and topic ids stay those of the first generation."""
    inbox = _same_topic(first.inbox, newest.inbox) if first.inbox else newest.inbox
    return f.Broker(first.cluster_id, bus=_same_topic(first.bus, newest.bus), inbox=inbox)


def _same_topic(first: f.Topic, newest: f.Topic | None) -> f.Topic:
    if newest is None:
        return first
    return f.Topic(first.name, first.topic_id, newest.partitions, newest.posture)
