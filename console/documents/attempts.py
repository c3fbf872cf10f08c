"""Attempts as documents, with the windows they hold back and the last scan's answer."""

from __future__ import annotations

from collections.abc import Sequence

from console.documents import Document, stamp
from ingest.models import Attempt, AttemptBatch, ReconcileRequest, Scan


def attempt_documents(attempts: Sequence[Attempt]) -> list[Document]:
    """Attempts with the windows they hold back, whether somebody asked to reconcile, and the last scan's answer."""
    waiting = {
        request.attempt_id: request
        for request in ReconcileRequest.objects.filter(attempt__in=attempts, served_at__isnull=True)
    }
    scans: dict[int, Scan] = {
        scan.attempt_id: scan for scan in Scan.objects.filter(attempt__in=attempts).order_by("pk")
    }
    windows = _windows_of(attempts)
    return [_attempt_document(a, waiting.get(a.pk), scans.get(a.pk), windows.get(a.pk, [])) for a in attempts]


def _windows_of(attempts: Sequence[Attempt]) -> dict[int, list[str]]:
    of, run = "attempt_id", "batch__win__run__"
    names = (of, f"{run}stream__name", f"{run}name", "batch__win__number", "batch__win__rerun")
    pairs = AttemptBatch.objects.filter(attempt__in=attempts).values_list(*names).distinct()
    found: dict[int, list[str]] = {}
    for attempt, stream, run_name, number, rerun in sorted(pairs, key=lambda each: (*each[:4], each[4] or 0)):
        again = f" rerun {rerun}" if rerun else ""
        found.setdefault(attempt, []).append(f"{stream}/{run_name}/{number}{again}")
    return found


def _attempt_document(
    attempt: Attempt, waiting: ReconcileRequest | None, scan: Scan | None, windows: list[str]
) -> Document:
    return {
        "attempt": attempt.pk,
        "state": attempt.state,
        "why": attempt.why,
        "source": attempt.source_id,
        "topic": attempt.topic,
        "transactional_id": attempt.transactional_id,
        "fence": attempt.fence,
        "events": attempt.events,
        "bytes": attempt.bytes,
        "windows": windows,
        "prepared_at": stamp(attempt.prepared_at),
        "unknown_at": stamp(attempt.unknown_at),
        "settled_at": stamp(attempt.settled_at),
        "over_at": stamp(attempt.over_at),
        "reconcile_requested": {"by": waiting.requested_by, "at": stamp(waiting.requested_at)} if waiting else None,
        "scan": _scan_document(scan) if scan else None,
    }


def _scan_document(scan: Scan) -> Document:
    return {
        "answer": scan.answer,
        "why": scan.why,
        "expected": scan.expected,
        "found": scan.found,
        "fence": scan.fence,
        "asked_by": scan.asked_by,
        "ended_at": stamp(scan.ended_at),
    }
