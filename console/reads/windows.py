"""The windows of one run, in pages: the newest first, by what was judged of them. None is a rerun (reruns.py)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from django.db import connection
from django.db.models import OuterRef, Q, QuerySet, Subquery, Sum

from audit.models import Verdict
from ingest.models import Batch, Run, Window

PAGE_SIZE = 30

#: What `?verdict=` may say. `none`: not judged, be it open or cut.
VERDICTS: Mapping[str, Q] = {
    "PASS": Q(judged="PASS"),
    "BLOCKED": Q(judged="BLOCKED"),
    "FAIL": Q(judged="FAIL"),
    "none": Q(judged=None),
}


def of_run(run: Run, state: str | None = None, verdict: Iterable[str] = ()) -> QuerySet[Window]:
    """The windows of a run, the newest first; of a state (OPEN, CUT), and whose newest verdict is one of `verdict`."""
    newest = Verdict.objects.filter(win=OuterRef("pk")).order_by("-number").values("state")[:1]
    wanted = Q()
    for word in verdict:
        wanted |= VERDICTS[word]
    if state is not None:
        wanted &= Q(state=state)
    windows = Window.objects.filter(run=run, reruns=None).select_related("contract").annotate(judged=Subquery(newest))
    return windows.filter(wanted).order_by("-number")


def records(windows: Sequence[int]) -> dict[int, int]:
    """How many records each of these windows has read, by its key."""
    sums = Batch.objects.filter(win__in=windows).values("win").annotate(read=Sum("records"))
    return {row["win"]: int(row["read"]) for row in sums}


def some(run: Run, newest: int, numbers: Iterable[int]) -> list[Window]:
    """The newest windows of a run, so many, and those of these numbers; the newest first."""
    found = Window.objects.filter(run=run, reruns=None).order_by("-number")
    named = found.filter(number__in=list(numbers))
    each = {window.number: window for window in [*found[:newest], *named]}
    return [each[number] for number in sorted(each, reverse=True)]


_NEWEST = """
SELECT w.id FROM unnest(%s::integer[]) r(id)
 CROSS JOIN LATERAL (SELECT id FROM run_window
                      WHERE run_id = r.id AND reruns IS NULL ORDER BY number DESC LIMIT %s) w
"""


def newest_of(runs: Sequence[int], most: int) -> list[Window]:
    """The newest windows of each of these runs, at most so many of each, in the order of their numbers."""
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST, [list(runs), most])
        numbers = [number for (number,) in cursor.fetchall()]
    return list(Window.objects.filter(id__in=numbers).order_by("run_id", "number"))
