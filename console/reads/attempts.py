"""Attempts at publishing as pages show them: who waits for an answer, and what is known of one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from django.db.models import OuterRef, Q, QuerySet, Subquery

from console.reads.named import RunName, run_names
from ingest.core.ids import AttemptId, RunId, StreamId
from ingest.db import read
from ingest.models import (
    Attempt,
    AttemptBatch,
    AttemptDecision,
    AttemptLoss,
    AttemptPartition,
    AttemptState,
    Batch,
    Contradiction,
    ReconcileRequest,
    Run,
    Scan,
    Window,
)
from ingest.publish import republish

PAGE_SIZE = 50
LOST = (AttemptState.UNKNOWN, AttemptState.UNDECIDABLE)
UNSETTLED = (AttemptState.PREPARED, AttemptState.UNKNOWN, AttemptState.UNDECIDABLE)
MOST = 500

# Tabs of /unknown/: the word in the URL, on the tab, and which states.
STATES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "": ("Unknown", tuple(LOST)),
    "flight": ("In flight", (AttemptState.PREPARED,)),
    "settled": (
        "Settled",
        (AttemptState.ACKED, AttemptState.ABSENT, AttemptState.PARTIAL, AttemptState.NOT_SENT, AttemptState.LOST),
    ),
    "all": ("All", tuple(AttemptState.values)),
}


@dataclass(frozen=True, slots=True)
class AttemptListing:
    """An attempt with the window it belongs to, or the rerun of it, and whether a person's request waits."""

    attempt: Attempt
    run: RunName | None
    window: int | None
    asked: ReconcileRequest | None
    rerun: int | None = None
    win: int | None = None


def _with_window(found: QuerySet[Attempt]) -> QuerySet[Any]:
    carried = AttemptBatch.objects.filter(attempt=OuterRef("pk"))
    return found.select_related("source").annotate(
        win=Subquery(carried.values("batch__win")[:1]), run=Subquery(carried.values("batch__run_id")[:1])
    )


def listed(state: str, run: int | None, after: int | None) -> list[AttemptListing]:
    """A page of attempts: the unknown oldest first, others newest first; one more if there is more."""
    attempts: QuerySet[Any] = _with_window(Attempt.objects.filter(state__in=STATES[state][1]))
    if run is not None:
        attempts = attempts.filter(run=run)
    oldest_first = state == ""
    if after is not None:
        attempts = attempts.filter(id__gt=after) if oldest_first else attempts.filter(id__lt=after)
    return _named(attempts.order_by("id" if oldest_first else "-id")[: PAGE_SIZE + 1])


def lost_of_run(run: int) -> list[AttemptListing]:
    """Every attempt of a run whose outcome nobody knows and somebody may still learn."""
    return _named(
        _with_window(Attempt.objects.filter(state__in=LOST, over_at=None)).filter(run=run).order_by("id")[:MOST]
    )


def unknown_of_run(run: int) -> int:
    """How many attempts of a run have no known outcome yet."""
    return _with_window(Attempt.objects.filter(state__in=LOST, over_at=None)).filter(run=run).count()


def one(number: int) -> AttemptListing | None:
    """One attempt."""
    return next(iter(_named(_with_window(Attempt.objects.filter(id=number))[:1])), None)


def _named(found: Iterable[Any]) -> list[AttemptListing]:
    attempts = list(found)
    names = run_names([each.run for each in attempts if each.run])
    wins = {each.win for each in attempts if each.win}
    found_wins = Window.objects.filter(id__in=wins).values_list("id", "number", "rerun") if wins else ()
    numbers = {win: (number, rerun) for win, number, rerun in found_wins}
    waiting = ReconcileRequest.objects.filter(attempt__in=attempts, served_at__isnull=True) if attempts else ()
    asked = {each.attempt_id: each for each in waiting}
    return [_listing(each, names, numbers.get(each.win, (None, None)), asked.get(each.id)) for each in attempts]


def _listing(
    attempt: Any, names: Mapping[int, RunName], of: tuple[int | None, int | None], asked: ReconcileRequest | None
) -> AttemptListing:
    return AttemptListing(attempt, names.get(attempt.run), of[0], asked, of[1], attempt.win)


def counts(run: int | None = None) -> dict[str, int]:
    """How many attempts stand under the tabs that have few."""
    found: QuerySet[Any] = Attempt.objects.filter(state__in=(*LOST, AttemptState.PREPARED))
    if run is not None:
        found = _with_window(found).filter(run=run)
    states = list(found.values_list("state", flat=True)[: MOST * 2])
    return {"": sum(each in LOST for each in states), "flight": sum(each == AttemptState.PREPARED for each in states)}


def attempts_of(run: Run) -> QuerySet[Attempt]:
    """The attempts that carry batches of a run."""
    windows = list(run.window_set.values_list("pk", flat=True))
    carried = AttemptBatch.objects.filter(batch__win__in=windows).values("attempt_id")
    return Attempt.objects.filter(pk__in=carried)


@dataclass(frozen=True, slots=True)
class AttemptSurroundings:
    """What is known about one attempt besides its own row."""

    partitions: tuple[AttemptPartition, ...]
    batches: tuple[Batch, ...]
    scans: tuple[Scan, ...]
    requests: tuple[ReconcileRequest, ...]
    contradictions: tuple[Contradiction, ...]
    decision: AttemptDecision | None
    loss: AttemptLoss | None


def around(attempt: Attempt) -> AttemptSurroundings:
    """Six queries, and one more of what is LOST; each bounded."""
    carried = Batch.objects.filter(Q(attemptbatch__attempt=attempt)).order_by("from_offset")
    return AttemptSurroundings(
        partitions=tuple(
            AttemptPartition.objects.filter(attempt=attempt).select_related("bus_source").order_by("partition")[:MOST]
        ),
        batches=tuple(carried[:MOST]),
        scans=tuple(Scan.objects.filter(attempt=attempt).order_by("started_at")[:50]),
        requests=tuple(ReconcileRequest.objects.filter(attempt=attempt).order_by("requested_at")[:50]),
        contradictions=tuple(Contradiction.objects.filter(attempt=attempt).order_by("seen_at")[:50]),
        decision=AttemptDecision.objects.filter(attempt=attempt).first(),
        loss=AttemptLoss.objects.filter(attempt=attempt).first() if attempt.state == AttemptState.LOST else None,
    )


def withheld(number: int) -> int:
    """How many events of an attempt wait for a plan that publishes them again."""
    with read() as cur:
        return sum(each.withheld for each in republish.facts_of(cur, [AttemptId(number)]))


def withheld_windows(run: Run, most: int) -> list[Window]:
    """Windows of a run, and reruns, that have such events: the first ones."""
    with read() as cur:
        found = republish.withheld_of(cur, StreamId(run.stream_id), RunId(run.pk), None)
        keys = {each.win for each in republish.facts_of(cur, found)}
    return list(Window.objects.filter(pk__in=keys).order_by("pk")[:most])
