"""The invariants, checked in the ledger at any moment and, with `bus=True`, against independent readings of Kafka.

Nothing here repairs anything: a finding is a fact for a person. Rows are compared where they are; what has to leave the
database (batch roots, readings of Kafka) goes through in bounded pieces.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from audit import reread
from audit.core import verdict as v
from ingest.core.cloudevents import digest_as_said
from ingest.core.ledger_rows import unpacked_headers
from ingest.core.merkle import merkle_root, receipt_leaf
from ingest.db import Cursor, read, statements
from ingest.models import Source
from ingest.streams import compiled

sql = statements("audit", "fsck")

#: What `passgate fsck` says it does not check.
NOT_IN_FORCE = {
    "I9": "verdicts are not sealed yet: batch roots and verdict digests are recomputed, signatures are not there",
    "I11": "there are no plans yet",
}
MOST = 20
ITEMS = 50
"""Quarantine items looked at together: with both payloads and headers of each, some MB."""


@dataclass(frozen=True)
class Finding:
    """One broken invariant: what it is about, and what was found there."""

    invariant: str
    subject: str
    found: str

    def __str__(self) -> str:
        return f"{self.invariant} {self.subject}: {self.found}"


@dataclass(frozen=True)
class Scope:
    """One stream, or all of them (None)."""

    stream: str | None

    @property
    def values(self) -> dict[str, Any]:
        return {"stream": self.stream}


def fsck(stream: str | None = None, bus: bool = True) -> list[Finding]:
    """Every finding of every invariant in force; empty when the ledger is what it says it is.

    `bus`: read inbox and bus again with a fresh consumer (I1, I4, I7, I14), which takes as long as they are long.
    """
    scope = Scope(stream)
    findings = [finding for check in _IN_SQL for finding in check(scope)]
    findings += _roots(scope)
    if bus:
        findings += [Finding(x.invariant, x.subject, x.found) for x in reread.differences(stream)]
    return findings


def _rows(statement: str, scope: Scope) -> list[Any]:
    with read() as cur:
        return cur.execute(statement, scope.values | {"most": MOST}).fetchall()


def _check(invariant: str, statement: str) -> Callable[[Scope], list[Finding]]:
    """A statement that returns (subject, found) for whatever breaks the invariant, at most 20 of a kind."""

    def check(scope: Scope) -> list[Finding]:
        return [Finding(invariant, row.subject, row.found) for row in _rows(statement, scope)]

    return check


def _bounds_of_passes(scope: Scope) -> list[Finding]:
    """I8: what stands behind a PASS still stands, by the contract of its window."""
    found = []
    for row in _rows(sql.i8_passes, scope):
        allowed = compiled(row.contract_id).contract.close.quarantine_open_max
        coverage = [x["state"] for x in row.body.get("checks", ()) if x["check"] == "COVERAGE"]
        wrong = [
            f"{row.unsettled} unsettled attempts" if row.unsettled else "",
            f"{row.open_items} open items, {allowed} allowed" if row.open_items > allowed else "",
            f"{row.behind} lanes before their end" if row.behind else "",
            f"COVERAGE is {coverage}" if coverage not in (["HOLDS"], ["WAIVED"]) else "",
        ]
        found += [Finding("I8", row.verdict, text) for text in wrong if text]
    return found


def _verdicts(scope: Scope) -> list[Finding]:
    """I9, the part in force: a stored verdict is the one whose digest was written beside it."""
    found = []
    with read() as cur:
        for row in cur.stream(sql.i9_verdicts, scope.values):
            if v.digest(row.body) != bytes(row.digest):
                found.append(Finding("I9", row.verdict, "the body does not have the digest stored with it"))
    return found


def _roots(scope: Scope) -> list[Finding]:
    """I9, the part in force: every batch's digest is the root over its receipts."""
    keys = {source.pk: source.key for source in _sources(scope)}
    found = []
    for batch, receipts in _batches(scope):
        leaves = [
            receipt_leaf(keys[batch.source_id], x.offset, x.decision, x.reason, x.identity, x.payload_digest)
            for x in receipts
        ]
        if merkle_root(leaves) != bytes(batch.digest):
            found.append(Finding("I9", f"batch {batch.id}", "its digest is not the root over its receipts"))
    return found


def _sources(scope: Scope) -> Sequence[Source]:
    every = Source.objects.all() if scope.stream is None else Source.objects.filter(stream__name=scope.stream)
    return list(every)


def _batches(scope: Scope) -> Iterator[tuple[Any, list[Any]]]:
    """Batches with their receipts, one at a time: a batch is bounded, their number is not."""
    with read() as cur:
        batches = cur.execute(sql.i9_batches, scope.values).fetchall()
    for batch in batches:
        with read() as cur:
            yield batch, _receipts(cur, batch)


def _receipts(cur: Cursor, batch: Any) -> list[Any]:
    values = {"source": batch.source_id, "start": batch.from_offset, "end": batch.to_offset, "batch": batch.id}
    return cur.execute(sql.i9_receipts, values, binary=True).fetchall()


def _with_attributes(scope: Scope) -> list[Finding]:
    """I12 of CloudEvents in binary mode: their digests are of the attributes, too, which are inside packed headers."""
    found: list[Finding] = []
    after = 0
    while len(found) < MOST:
        with read() as cur:
            keys = scope.values | {"after": after, "page": ITEMS}
            rows = cur.execute(sql.i12_with_attributes, keys).fetchall()
        if not rows:
            break
        after = rows[-1].id
        for row in rows:
            if not _has_digest(row.value, row.headers, row.payload_digest):
                found.append(Finding("I12", f"item {row.id}", "its raw bytes do not have its digest"))
            if not _has_digest(row.first_value, row.first_headers, row.first_digest):
                found.append(Finding("I12", f"item {row.id}", "its first payload does not have its digest"))
    return found[:MOST]


def _has_digest(value: bytes | None, headers: bytes | None, digest: bytes | None) -> bool:
    if value is None or digest is None:
        return True
    return digest_as_said(value, unpacked_headers(headers), digest) == digest


_IN_SQL: tuple[Callable[[Scope], list[Finding]], ...] = (
    _check("I1", sql.i1_places_of_acked),
    _check("I2", sql.i2_effects_unique),
    _check("I3", sql.i3_effects_are_events),
    _check("I3", sql.i3_consumed_are_effects),
    _check("I4", sql.i4_samples),
    _check("I5", sql.i5_positions_explained),
    _check("I5", sql.i5_batches_beyond),
    _check("I6", sql.i6_fence_evidence),
    _check("I7", sql.i7_absent),
    _bounds_of_passes,
    _verdicts,
    _check("I10", sql.i10_open_gates),
    _check("I10", sql.i10_granted),
    _check("I12", sql.i12_first_payloads),
    _check("I12", sql.i12_kept_payloads),
    _with_attributes,
    _check("I13", sql.i13_owners),
    _check("I13", sql.i13_fences),
    _check("REFS", sql.refs),
    _check("SUMS", sql.sums),
)
