"""What waits for somebody: unknown publishes, open items, lanes, gates and plans. Seven small queries, every page."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection
from django.db.models import OuterRef, Subquery

from audit.core.diagnosis import told
from console.permissions import Act, may
from console.reads import lanes
from console.reads.attempts import LOST
from console.reads.named import RunName, run_names
from console.reads.plans import WaitingPlans, waiting_plans
from ingest.models import Attempt, AttemptBatch, AttemptState

LOOKED_AT = 500  # attempts and runs at most: the header counts, it does not list
LISTED = 50  # lanes that stand; beyond these the number is said, and the lanes' page has them

#: Days for which a run that nobody may read is told here; its page and the list of runs say it for ever.
FALLEN_DAYS = 7
LISTED_FALLEN = 20
LISTED_PLANS = 20


@dataclass(frozen=True, slots=True)
class UnknownOf:
    """The attempts of one run whose outcome nobody knows."""

    run: RunName | None
    attempts: int
    events: int
    undecidable: int
    since: datetime
    first: int


@dataclass(frozen=True, slots=True)
class QuarantineOf:
    """The open items of one run."""

    run: RunName | None
    items: int
    since: datetime


@dataclass(frozen=True, slots=True)
class StoppedLane:
    """A lane that stopped itself and says why, or that stands still with a backlog."""

    state: str
    lane: str
    source: str
    stream: str
    code: str
    detail: str
    since: datetime | None
    act: str = ""


@dataclass(frozen=True, slots=True)
class FallenRun:
    """A run with a window that FAILed, or whose gate shut although its newest verdict is PASS: with a reason, or
    because nobody could look again before its lease ran out (`state` GATE UNMEASURED).

    `window` is the first such one of `windows`; `alone`: the run has no other window, whatever became of it. Of reruns
    (`rerun`: which one of its window) there is a line of their own: the run is what its windows are.
    """

    run: RunName
    window: int
    windows: int
    alone: bool
    verdict: int
    state: str
    why: str
    since: datetime
    rerun: int | None = None


@dataclass(frozen=True, slots=True)
class Needs:
    """Everything that waits, grouped as a person would take it on."""

    unknown: tuple[UnknownOf, ...]
    quarantine: tuple[QuarantineOf, ...]
    stopped: tuple[StoppedLane, ...]  # the first of them, trouble first
    stopped_in_all: int = 0
    fallen: tuple[FallenRun, ...] = ()  # the newest of them
    fallen_in_all: int = 0
    plans: WaitingPlans = WaitingPlans()

    @property
    def attempts_unknown(self) -> int:
        return sum(group.attempts for group in self.unknown)

    @property
    def items_open(self) -> int:
        return sum(group.items for group in self.quarantine)

    def mine(self, user: Any) -> int:
        """How many of these groups, and plans, this user may do something about: whom `needs` was asked for."""
        counted = (
            (Act.RECONCILE, len(self.unknown)),
            (Act.RESOLVE, len(self.quarantine)),
            (Act.OPERATE, max(self.stopped_in_all, len(self.stopped)) + self.fallen_in_all),
        )
        return sum(count for act, count in counted if may(user, act)) + self.plans.mine


def needs(user: Any = None) -> Needs:
    """What waits now. Of plans, those that wait for this user are told from others."""
    lost = _lost()
    names = run_names([row["run"] for row in lost if row["run"]])
    stopped = _stopped()
    plans = waiting_plans(user, LISTED_PLANS)
    return Needs(_unknown(lost, names), _waiting(), stopped, _stopped_in_all(len(stopped)), *_fallen(), plans)


def _stopped_in_all(listed: int) -> int:
    """Counted only where the list does not hold them all."""
    if listed < LISTED:
        return listed
    found = lanes.counts()
    return sum(found.get(state, 0) for state in lanes.TROUBLE)


def _lost() -> list[dict[str, Any]]:
    carried = AttemptBatch.objects.filter(attempt=OuterRef("pk")).values("batch__run_id")[:1]
    rows = (
        Attempt.objects.filter(state__in=LOST, over_at=None)
        .annotate(run=Subquery(carried))
        .order_by("prepared_at")
        .values("id", "run", "events", "state", "prepared_at", "unknown_at")
    )
    return [dict(row) for row in rows[:LOOKED_AT]]


def _unknown(rows: Sequence[dict[str, Any]], names: dict[int, RunName]) -> tuple[UnknownOf, ...]:
    groups: dict[int | None, list[dict[str, Any]]] = {}
    for row in rows:
        groups.setdefault(row["run"], []).append(row)
    return tuple(
        UnknownOf(
            run=names.get(run) if run else None,
            attempts=len(members),
            events=sum(row["events"] for row in members),
            undecidable=sum(row["state"] == AttemptState.UNDECIDABLE for row in members),
            since=min(row["unknown_at"] or row["prepared_at"] for row in members),
            first=members[0]["id"],
        )
        for run, members in groups.items()
    )


#: Open items are counted for every page. A count that took longer than this is kept for SHARE times as long.
LONG, SHARE = 0.25, 20
_kept: dict[int, tuple[float, tuple[QuarantineOf, ...]]] = {}


def _waiting() -> tuple[QuarantineOf, ...]:
    until, kept = _kept.get(os.getpid(), (0.0, ()))
    if time.monotonic() < until:
        return kept
    began = time.monotonic()
    found = _counted()
    took = time.monotonic() - began
    if took > LONG:
        _kept[os.getpid()] = time.monotonic() + took * SHARE, found
    return found


_OPEN = """
SELECT r.id, s.name, r.name AS run_name, sum(g.items)::bigint AS items, min(f.arrived_at) AS since
  FROM (SELECT win, count(*) AS items, min(id) AS first FROM quarantine_item WHERE state = 'OPEN' GROUP BY win) g
  JOIN quarantine_item f ON f.id = g.first JOIN run r ON r.id = f.run_id JOIN stream s ON s.id = r.stream_id
 GROUP BY r.id, s.name, r.name ORDER BY since LIMIT %s
"""


def _counted() -> tuple[QuarantineOf, ...]:
    """By window, which the index of open items leads with: no item's row is read but each window's first."""
    with connection.cursor() as cursor:
        cursor.execute(_OPEN, [LOOKED_AT])
        rows = cursor.fetchall()
    return tuple(QuarantineOf(RunName(run, stream, name), items, since) for run, stream, name, items, since in rows)


def _stopped() -> tuple[StoppedLane, ...]:
    """Of all lanes; those that wait for a person are there as what they wait for."""
    found = lanes.lines(states=lanes.TROUBLE, size=LISTED)
    return tuple(
        StoppedLane(
            state=each.state,
            lane=each.lane,
            source=each.source,
            stream=each.stream,
            code=each.code,
            detail=each.detail,
            since=each.stopped_at or each.stands_since,
            act=each.act,
        )
        for each in found
    )


# FAILs by their own index; gates are as many as there are windows that passed, and their rows are short. Bodies are
# read of those alone that are listed. However many windows follow one that fell, it stays; one that is superseded, or
# that a rerun has proven, waits for nobody.
_FALLEN = """
WITH failed AS (
    SELECT v.id, v.win, 'FAIL' AS state, '' AS why, v.decided_at AS since
      FROM verdict v
     WHERE v.state = 'FAIL' AND v.decided_at > clock_timestamp() - make_interval(days => %(days)s)
       AND gate_verdict(v.win) IS NULL
       AND superseded_by(v.win) IS NULL),
shut AS (
    SELECT g.verdict_id, g.win, CASE WHEN g.shut_why IS NULL THEN 'GATE UNMEASURED' ELSE 'GATE SHUT' END, g.shut_why,
           g.open_until
      FROM gate_open g
     WHERE NOT lease_holds(g.checked_at, g.open_until)
       AND g.open_until > clock_timestamp() - make_interval(days => %(days)s)
       AND (gate_verdict(g.win) IS NOT NULL
            OR NOT EXISTS (SELECT FROM verdict f WHERE f.win = g.win AND f.state = 'FAIL'))
       AND superseded_by(g.win) IS NULL),
grouped AS (
    SELECT DISTINCT ON (w.run_id, x.state, w.reruns IS NULL) x.*, w.run_id, w.number, w.rerun,
           count(*) OVER of_run AS windows, max(x.since) OVER of_run AS newest
      FROM (SELECT * FROM failed UNION ALL SELECT * FROM shut) x JOIN run_window w ON w.id = x.win
    WINDOW of_run AS (PARTITION BY w.run_id, x.state, w.reruns IS NULL)
     ORDER BY w.run_id, x.state, w.reruns IS NULL, w.number, w.rerun),
newest AS (SELECT g.*, count(*) OVER () AS in_all FROM grouped g ORDER BY g.newest DESC LIMIT %(most)s)
SELECT n.in_all, r.id, s.name, r.name AS run_name, n.number, n.windows,
       NOT EXISTS (SELECT FROM run_window o WHERE o.run_id = r.id AND o.reruns IS NULL AND o.number <> n.number),
       v.number, n.state,
       CASE n.state WHEN 'FAIL' THEN v.body END, coalesce(n.why, ''), n.since, n.rerun
  FROM newest n JOIN verdict v ON v.id = n.id JOIN run r ON r.id = n.run_id JOIN stream s ON s.id = r.stream_id
 ORDER BY n.newest DESC
"""


def _fallen() -> tuple[tuple[FallenRun, ...], int]:
    """The newest, and how many there are: one for a run and a state of it, however many of its windows fell so; and one
    for its reruns."""
    with connection.cursor() as cursor:
        cursor.execute(_FALLEN, {"days": FALLEN_DAYS, "most": LISTED_FALLEN})
        rows = cursor.fetchall()
    return tuple(_fallen_run(*row) for _, *row in rows), rows[0][0] if rows else 0


def _fallen_run(
    run: int,
    stream: str,
    name: str,
    window: int,
    windows: int,
    alone: bool,
    verdict: int,
    state: str,
    body: str | None,
    why: str,
    since: datetime,
    rerun: int | None,
) -> FallenRun:
    why = told(json.loads(body)).why if body else why
    return FallenRun(RunName(run, stream, name), window, windows, alone, verdict, state, why, since, rerun)
