"""Decisions about publishes that nobody made, and verdicts that hide one, as the application's login would write them."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from plans.core.plan import State
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.cheats.test_plans import refused
from tests.database.cheats.test_verdict import Forger
from tests.database.test_refusals import as_role
from tests.flow.bus import answer_lost, half_sent
from tests.flow.world import Flow
from tests.plans.crowd import Crowd, run_to
from tests.plans.test_decide import approved, decided, undecidable

Undecided = tuple[Flow, int, int]


@pytest.fixture(autouse=True)
def brisk(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


@pytest.fixture
def app() -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


@pytest.fixture
def undecided(monkeypatch: pytest.MonkeyPatch) -> Iterator[Undecided]:
    """An attempt of which five events have their effect and five have none, and an approved plan about it."""
    crowd, flow = Crowd(), Flow(automatic="false")
    attempt = undecidable(flow, monkeypatch, half_sent, read=True)
    number = approved(crowd, flow, attempt)
    yield flow, attempt, number
    run_to(crowd, number, State.DONE)
    flow.work()


DECIDE = (
    "INSERT INTO attempt_decision (attempt_id, plan, scan_id, outcome, offsets, bus_sources, bus_offsets, absent, requested_by, approved_by, reason)"
    " SELECT {attempt}, {plan}, {scan}, {outcome}, {offsets}, {sources}, {places}, {absent}, p.requested_by, {by}, p.reason"
    ' FROM plan p, attempt a, LATERAL (SELECT array_agg(e."offset") AS o, array_agg(e.bus_source_id) AS s, array_agg(e.bus_offset) AS b FROM attempt_effects(a.id) e) x'
    " WHERE p.id = %s AND a.id = (p.binds -> 'facts' ->> 'attempt')::bigint"
)


def decision(**other: str) -> str:
    honest = {
        "attempt": "a.id", "plan": "p.id", "scan": "(p.binds -> 'facts' ->> 'scan')::bigint", "outcome": "'PARTIAL'",
        "offsets": "x.o", "sources": "x.s", "places": "x.b", "absent": "5", "by": "coalesce(p.approved_by, 'bo')",
    }  # fmt: skip
    return DECIDE.format(**honest | other)


RUN = "UPDATE plan SET state = 'RUNNING', acted_by = 'me' WHERE id = %s"
ABSENT = {"outcome": "'ABSENT'", "offsets": "'{}'", "sources": "'{}'", "places": "'{}'", "absent": "10"}


def test_a_decision_that_is_not_its_plan_s(app: psycopg.Cursor[Any], undecided: Undecided) -> None:
    _, _, number = undecided
    assert refused(app, decision(), number) == "decision_of_its_plan"  # approved, and it does not run
    app.execute(RUN, (number,))
    for other, rule in (
        ({"by": "'somebody'"}, "decision_of_its_plan"),
        ({"scan": "(p.binds -> 'facts' ->> 'scan')::bigint + 1"}, "decision_of_its_plan"),
        ({"attempt": "a.id + 1"}, "decision_of_its_plan"),
        ({"plan": "p.id + 1"}, "decision_of_its_plan"),
        ({"places": "ARRAY(SELECT n + 1 FROM unnest(x.b) n)"}, "decision_of_effects"),
        ({"offsets": "x.o[2:]", "sources": "x.s[2:]", "places": "x.b[2:]", "absent": "6"}, "decision_of_effects"),
        (ABSENT, "decision_of_effects"),
        ({"absent": "4"}, "decision_of_effects"),
        ({"outcome": "'ACKED'"}, "attempt_decision_outcome"),
        ({"outcome": "'ABSENT'"}, "attempt_decision_outcome"),
        ({"outcome": "'LOST'"}, "attempt_decision_outcome"),
    ):
        assert refused(app, decision(**other), number) == rule, other
    app.execute(decision(), (number,))
    assert refused(app, decision(), number) == "attempt_decision_pkey"
    app.connection.rollback()


def test_an_effect_that_came_meanwhile(app: psycopg.Cursor[Any], undecided: Undecided) -> None:
    flow, attempt, number = undecided
    app.execute(RUN, (number,))
    app.execute(
        "INSERT INTO effect (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id)"
        " SELECT e.run_id, e.identity, e.win, %s, 999, 1 FROM event e JOIN attempt_batch ab ON ab.batch_id = e.batch_id"
        " WHERE ab.attempt_id = %s AND NOT EXISTS (SELECT FROM effect x WHERE x.run_id = e.run_id AND x.identity = e.identity) LIMIT 1",
        (flow.sources("bus")[0], attempt),
    )
    assert refused(app, decision(), number) == "decision_of_its_plan"
    app.connection.rollback()


def test_an_attempt_ends_as_it_was_decided(app: psycopg.Cursor[Any], undecided: Undecided) -> None:
    _, attempt, number = undecided
    end = "UPDATE attempt SET state = '{}' WHERE id = %s"
    assert refused(app, end.format("PARTIAL"), attempt) == "attempt_needs_fence_evidence"
    app.execute(RUN, (number,))
    app.execute(decision(), (number,))
    for state in ("ABSENT", "ACKED"):
        assert refused(app, end.format(state), attempt) == "attempt_as_decided"
    assert refused(app, end.format("PARTIAL"), attempt) == "attempt_as_decided"  # without its places
    app.execute(
        "INSERT INTO place SELECT a.source_id, o.n, a.id, o.s, o.b FROM attempt a JOIN attempt_decision d ON d.attempt_id = a.id,"
        " unnest(d.offsets, d.bus_sources, d.bus_offsets) AS o(n, s, b) WHERE a.id = %s",
        (attempt,),
    )
    app.execute(end.format("PARTIAL"), (attempt,))
    app.connection.rollback()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE attempt_decision SET absent = 0 WHERE attempt_id = %s",
        "DELETE FROM attempt_decision WHERE attempt_id = %s",
    ],
)
def test_a_decision_stands_as_it_was_made(app: psycopg.Cursor[Any], statement: str) -> None:
    assert refused(app, statement, 1) == "InsufficientPrivilege"
    with as_role("owner") as cur:
        assert refused(cur, statement, 1) == "append_only"


@pytest.mark.parametrize(
    "change",
    [
        lambda body: body.pop("decisions"),
        lambda body: body["decisions"].append(body["decisions"][0]),
        lambda body: body["decisions"][0].update(absent=0),
        lambda body: body["decisions"][0].update(approved_by="somebody"),
        lambda body: body["decisions"][0].update(plan=1),
    ],
)
def test_a_verdict_that_hides_a_decision(
    app: psycopg.Cursor[Any], monkeypatch: pytest.MonkeyPatch, change: Callable[[dict[str, Any]], object]
) -> None:
    crowd, flow = Crowd(), Flow(automatic="false")
    decided(crowd, flow, undecidable(flow, monkeypatch, answer_lost))
    flow.cut()
    assert flow.judge().verdict.title == "BLOCKED"  # its lane has not served it yet
    with pytest.raises(AssertionError, match="was allowed"):
        Forger(app, flow).refused()
    forger = Forger(app, flow)
    change(forger.body)
    assert forger.refused() == "verdict_names_decisions"
    app.connection.rollback()
    flow.work()


STOLEN_ROWS = [
    ("decided by no plan", "UPDATE attempt_decision SET reason = 'another' WHERE attempt_id = %(attempt)s", "", "decisions"),
    ("decided otherwise", "UPDATE attempt_decision SET outcome = 'ACKED', absent = 0 WHERE attempt_id = %(attempt)s", "", "decisions"),
    ("present where nothing has its effect", "UPDATE attempt_decision SET bus_offsets[1] = 999 WHERE attempt_id = %(attempt)s", "", "decisions"),
    ("a scan that could not answer for one that was decided", "DELETE FROM attempt_decision WHERE attempt_id = %(attempt)s", "", "fence_evidence"),
    ("a decision that the verdict does not know", "UPDATE attempt_decision SET absent = 4 WHERE attempt_id = %(attempt)s", "", "passes"),
    ("a verdict that hides it", "UPDATE verdict SET body = body - 'decisions' WHERE win = %(win)s", "", "passes"),
]  # fmt: skip
STOLEN = [Cheat(*row, by=SUPERUSER) for row in STOLEN_ROWS]


@pytest.mark.parametrize("cheat", STOLEN, ids=[cheat.id for cheat in STOLEN])
def test_a_stolen_server_is_noticed(decided_run: dict[str, Any], cheat: Cheat) -> None:
    notice(cheat, decided_run)
