"""What was digested is digested again, from what lies under it: contracts, events, batches, bases, verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from audit.core import snapshot as s
from audit.core import verdict as v
from audit.core.finding import BlindSpot, Finding, Said
from audit.fsck.looking import Check, Scope, paged, rows
from ingest.admit.read_ahead import arrivals_of
from ingest.core.cloudevents import digest_as_said
from ingest.core.contract import contract_digest, parse_contract
from ingest.core.decide import Arrival
from ingest.core.errors import PassgateError
from ingest.core.ledger_rows import event_id, unpacked_headers
from ingest.core.merkle import merkle_root, receipt_leaf, source_key
from ingest.core.record import Understood
from ingest.db import statements
from ingest.kafka import Record
from ingest.streams import OTHER_CLASSES, compiled_contract

sql = statements("audit.fsck", "fsck")


def _contracts(scope: Scope) -> Iterator[Said]:
    """Parses each stored contract again and compares its digest with the stored one."""
    for row in paged(sql.again_contracts, scope.values):
        if why := _contract_fault(row):
            yield Finding("I9", row.subject, why)


def _contract_fault(row: Any) -> str:
    files = {name: text.encode() for name, text in row.files.items()}
    try:
        contract = parse_contract(bytes(row.source_text), f"{row.stream}.toml", files.__getitem__)
    except (PassgateError, KeyError) as error:
        return f"its text is no contract: {error}"
    if contract_digest(contract) != bytes(row.digest):
        return "its text does not have the digest stored with it"
    return "" if contract.stream == row.stream else f"its text is of stream {contract.stream}"


def _events(scope: Scope) -> Iterator[Said]:
    """Every event is read again from its own bytes by the rules of its contract: class, id, identity and digest."""
    for batch in paged(sql.again_batches, scope.values):
        loaded = compiled_contract(batch.contract_id)
        keys = {"run": batch.run_id, "batch": batch.id}
        kept = rows(sql.again_events, keys, binary=True)
        arrivals = arrivals_of(loaded, batch.run_name, [record_of(row) for row in kept])
        for row, arrival in zip(kept, arrivals, strict=True):
            if wrong := _differs(row, arrival, loaded.class_ids):
                yield Finding("I9", f"event {batch.source_id}@{row.offset}", f"its bytes say otherwise: {wrong}")


def record_of(row: Any) -> Record:
    """Builds a record from a stored event's bytes, for the parser to read it as admission did."""
    return Record(row.offset, None, row.key, row.payload, unpacked_headers(row.headers), None)


def _differs(row: Any, arrival: Arrival, known: Mapping[str, int]) -> str:
    """What the record's bytes say, where the event's columns say something else."""
    parsed = arrival.parsed
    if not isinstance(parsed, Understood):
        return f"it is not understood ({parsed.reason.name})"
    named = {parsed.class_name} if parsed.class_name in known else {parsed.class_name, OTHER_CLASSES}
    pairs = {
        "payload digest": (bytes(row.payload_digest), arrival.payload_digest),
        "identity": (bytes(row.identity), arrival.identity),
        "id": (row.event_id, event_id(parsed.parts)),
    }
    wrong = [name for name, (stored, said) in pairs.items() if stored != said]
    return ", ".join([*wrong, *(["class"] if row.class_name not in named else [])])


def _roots(scope: Scope) -> Iterator[Said]:
    """Every batch's digest is the root over its receipts."""
    for batch in paged(sql.again_batches, scope.values):
        key = source_key(batch)
        values = {
            "source": batch.source_id, "start": batch.from_offset, "end": batch.to_offset, "batch": batch.id,
        }  # fmt: skip
        leaves = [
            receipt_leaf(key, x.offset, x.decision, x.reason, x.identity, x.payload_digest)
            for x in rows(sql.again_receipts, values, binary=True)
        ]
        if merkle_root(leaves) != bytes(batch.digest):
            yield Finding("I9", f"batch {batch.id}", "its digest is not the root over its receipts")


def _bases(scope: Scope) -> Iterator[Said]:
    for row in paged(sql.again_bases, scope.values):
        if row.facts.get("schema") != s.BASIS:
            yield BlindSpot(row.subject, f"a basis of shape {row.facts.get('schema')}")
        elif s.digest(row.facts) != bytes(row.digest):
            yield Finding("I9", row.subject, "its facts do not have the digest stored with them")


def _verdicts(scope: Scope) -> Iterator[Said]:
    """A stored verdict is the one whose digest was written beside it, about the basis that it names."""
    for row in paged(sql.again_verdicts, scope.values):
        if v.digest(row.body) != bytes(row.digest):
            yield Finding("I9", row.subject, "the body does not have the digest stored with it")
        if row.basis != row.said:
            yield Finding("I9", row.subject, f"judged against basis {row.said}, its generation is {row.basis}")


def _plans(scope: Scope) -> Iterator[Said]:
    """What a plan binds has the digest that was approved, and its items are those that it binds."""
    for row in paged(sql.again_plans, scope.values):
        if v.digest(row.binds) != bytes(row.digest):
            yield Finding("I11", row.subject, "what it binds does not have the digest stored with it")
        if row.binds.get("items") != row.items:
            yield Finding("I11", row.subject, "its items are not those that it binds")


def _with_attributes(scope: Scope) -> Iterator[Said]:
    """CloudEvents in binary mode: their digests are of the attributes, too, which are inside packed headers."""
    for row in paged(sql.i12_with_attributes, scope.values):
        if not _has_digest(row.value, row.headers, row.payload_digest):
            yield Finding("I12", f"item {row.id}", "its raw bytes do not have its digest")
        if not _has_digest(row.first_value, row.first_headers, row.first_digest):
            yield Finding("I12", f"item {row.id}", "its first payload does not have its digest")


def _has_digest(value: bytes | None, headers: bytes | None, digest: bytes | None) -> bool:
    if value is None or digest is None:
        return True
    return digest_as_said(value, unpacked_headers(headers), digest) == digest


CHECKS = (
    Check("kept_attributes", "I12", _with_attributes),
    Check("contracts", "I9", _contracts),
    Check("events", "I9", _events),
    Check("roots", "I9", _roots),
    Check("bases", "I9", _bases),
    Check("verdicts", "I9", _verdicts),
    Check("plans", "I11", _plans),
)
