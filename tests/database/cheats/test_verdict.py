"""Verdicts that nobody earned, each written as the application's own role would: the database refuses each by name."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

import json
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from audit.close import judge, store, window_of
from audit.core import verdict as v
from tests.database.test_refusals import as_role, refusal
from tests.flow.world import Flow, thing

Body = dict[str, Any]
COLUMNS = (
    "run_id", "number", "win", "revision", "state", "waived", "basis_generation", "contract_digest", "body", "digest",
    "decided_by", "decided_at", "measured_at", "valid_until",
)  # fmt: skip
INSERT = f"INSERT INTO verdict ({', '.join(COLUMNS)}) VALUES ({', '.join(['%s'] * len(COLUMNS))}) RETURNING id"
RAISE = (
    "UPDATE run_window SET revision = revision + 1, judged_revision = revision + 1 WHERE id = %s RETURNING revision - 1"
)


def cut_window(values: list[bytes], run_name: str = "r1", flow: Flow | None = None) -> Flow:
    """A stream whose run is read, published and applied to its cut."""
    flow = flow or Flow()
    flow.open(run_name)
    flow.produce(values)
    flow.work()
    flow.cut(run_name)
    flow.work()
    return flow


@pytest.fixture
def blocked(live: object) -> Flow:
    """Its newest verdict is BLOCKED: an item is open."""
    flow = cut_window([thing(1), b"not json"])
    assert flow.judge().verdict.state is v.State.BLOCKED
    return flow


@pytest.fixture
def passed(live: object) -> Flow:
    flow = cut_window([thing(1), thing(2)])
    assert flow.judge().verdict.state is v.State.PASS
    return flow


@pytest.fixture
def app() -> Iterator[psycopg.Cursor[Any]]:
    with as_role("app") as cur:
        yield cur


class Forger:
    """Writes the next verdict of a window as the verb does, the compare-and-set included, and what the forger wants."""

    def __init__(self, cur: psycopg.Cursor[Any], flow: Flow, run_name: str = "r1", raises: bool = True) -> None:
        self._cur = cur
        win = window_of(flow.name, run_name)
        cur.execute(f"SELECT {', '.join(COLUMNS)} FROM verdict WHERE win = %s ORDER BY number DESC LIMIT 1", (win,))
        self.row = dict(zip(COLUMNS, cur.fetchone() or (), strict=True))
        self.body: Body = deepcopy(self.row["body"])
        revision = cur.execute(RAISE, (win,)).fetchone()[0] if raises else self.row["revision"]  # type: ignore[index]
        cur.execute("SELECT clock_timestamp()")
        (self.now,) = cur.fetchone()  # type: ignore[misc]
        self._moved(revision)

    def _moved(self, revision: int) -> None:
        """What an honest next verdict would have anew: its number, revision and times."""
        number = self.row["number"] + 1
        self.body |= {"number": number, "judged_at": v.stamp(self.now)}
        self.body["window"]["revision"] = revision
        self.row |= {"number": number, "revision": revision, "decided_at": self.now}
        self.ages(timedelta(0))

    def ages(self, by: timedelta) -> None:
        at, until = self.now - by, self.now - by + timedelta(seconds=30)
        self.body["facts"] = {"measured_at": v.stamp(at), "valid_until": v.stamp(until)}
        self.row |= {"measured_at": at, "valid_until": until}
        for check in self.body["checks"]:
            check["measured_at"] = v.stamp(at)

    def says(self, state: str, **more: Any) -> Forger:
        self.row |= {"state": state, **more}
        self.body |= {"state": state, **more}
        return self

    def all_hold(self) -> Forger:
        for check in self.body["checks"]:
            check |= {"state": "HOLDS", "causes": []}
            check.pop("severity", None)
            check.pop("follows_from", None)
        return self

    def refused(self, **row: Any) -> str:
        values = self.row | {"body": json.dumps(self.body), "digest": v.digest(self.body)} | row
        self._cur.execute("SAVEPOINT before")
        try:
            return refusal(self._cur, INSERT, tuple(values[name] for name in COLUMNS))
        finally:
            self._cur.execute("ROLLBACK TO before")


def test_what_the_forger_writes_is_stored_where_it_is_true(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    """The frame of these tests itself: the same hand, with nothing forged."""
    with pytest.raises(AssertionError, match="was allowed"):
        Forger(app, blocked).refused()


def test_pass_with_the_blocked_body(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    """As it was found: gate 200, readers read, and nothing noticed."""
    assert Forger(app, blocked).refused(state="PASS") == "verdict_says_its_row"
    assert Forger(app, blocked).refused(state="PASS", waived=True) == "verdict_says_its_row"


def test_pass_over_checks_that_do_not_hold(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    assert Forger(app, blocked).says("PASS").refused() == "verdict_checks_agree"


def test_pass_waived_by_nobody(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked).says("PASS", waived=True)
    waiver = {"check": "QUARANTINE", "plan": "p1", "requested_by": "me", "approved_by": "you", "reason": "because"}
    for check in forger.body["checks"]:
        if check["check"] == "QUARANTINE":
            check |= {"state": "WAIVED", "waiver": waiver}
            del check["severity"]
    forger.body["waivers"] = [waiver]
    assert forger.refused() == "verdict_waived_by_plan"


def test_pass_without_the_check_that_does_not_hold(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked).says("PASS")
    forger.body["checks"] = [check for check in forger.body["checks"] if check["check"] != "QUARANTINE"]
    assert forger.refused() == "verdict_checks_listed"
    forger = Forger(app, blocked).says("PASS")
    forger.body["checks"] = [check for check in forger.body["checks"] if check["check"] != "QUARANTINE"]
    forger.body["not_listed"].append({"check": "QUARANTINE", "why": "not asked for"})
    assert forger.refused() == "verdict_checks_listed"


def test_a_digest_of_something_else(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    assert Forger(app, blocked).refused(digest=b"\xab" * 32) == "verdict_digest"


@pytest.mark.parametrize("by", [1, -1])
def test_a_number_that_does_not_follow(app: psycopg.Cursor[Any], blocked: Flow, by: int) -> None:
    forger = Forger(app, blocked)
    forger.body["number"] += by
    assert forger.refused(number=forger.row["number"] + by) == "verdict_number_follows"


def test_a_verdict_beside_the_compare_and_set(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    assert Forger(app, blocked, raises=False).refused() == "verdict_at_its_revision"


def test_a_verdict_of_an_open_window(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    blocked.open("r2")
    win = window_of(blocked.name, "r2")
    app.execute("SELECT run_id FROM run_window WHERE id = %s", (win,))
    (run,) = app.fetchone()  # type: ignore[misc]
    assert Forger(app, blocked).refused(win=win, run_id=run, number=1) == "verdict_of_its_window"


def test_a_verdict_of_another_run(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    other = cut_window([thing(1), b"x"])
    other.judge()
    run = Forger(app, other).row["run_id"]
    assert Forger(app, blocked).refused(run_id=run) == "verdict_of_its_window"


@pytest.mark.parametrize("part", ["stream", "run", "number", "contract"])
def test_a_body_about_another_window(app: psycopg.Cursor[Any], blocked: Flow, part: str) -> None:
    forger = Forger(app, blocked)
    forger.body["window"][part] = {"version": 9} if part == "contract" else 9 if part == "number" else "other"
    assert forger.refused() == "verdict_says_its_row"


def test_another_basis(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked)
    forger.body["basis"]["digest"] = "00" * 32
    assert forger.refused() == "verdict_says_its_row"


def test_nothing_but_a_fail_after_a_pass(app: psycopg.Cursor[Any], passed: Flow) -> None:
    assert Forger(app, passed).refused() == "verdict_stands"
    forger = Forger(app, passed).says("BLOCKED")
    forger.body["checks"][0] |= {"state": "BROKEN", "severity": "BLOCKED", "causes": [{}]}
    assert forger.refused() == "verdict_stands"


def test_nothing_after_a_fail(app: psycopg.Cursor[Any], passed: Flow) -> None:
    judged = judge(window_of(passed.name, "r1"))
    facts = judged.measurement.facts
    assert facts.publishing is not None
    lying = replace(facts.publishing, value=replace(facts.publishing.value, contradictions=1))
    failed = v.verdict(replace(facts, publishing=lying), judged.measurement.at)
    assert store(replace(judged, verdict=failed), "test").verdict.state is v.State.FAIL
    assert Forger(app, passed).says("PASS").all_hold().refused() == "verdict_stands"


def test_facts_older_than_their_bound(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked)
    forger.ages(timedelta(seconds=31))
    assert forger.refused() == "verdict_facts_fresh"


def test_facts_older_than_the_oldest_that_is_named(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked)
    holding = next(check for check in forger.body["checks"] if check["state"] == "HOLDS")
    holding["measured_at"] = v.stamp(forger.now - timedelta(minutes=5))
    assert forger.refused() == "verdict_checks_agree"


def test_pass_before_the_lanes_were_at_their_end(app: psycopg.Cursor[Any], live: object) -> None:
    flow = Flow()
    flow.open()
    flow.produce([thing(1)])
    flow.cut()
    flow.judge()
    assert Forger(app, flow).says("PASS").all_hold().refused() == "verdict_pass_earned"


TAKE = (
    "UPDATE position p SET owner = 'me', fence = fence + 1, until = clock_timestamp() + interval '1 min'"
    " FROM window_range r WHERE r.win = %(win)s AND r.source_id = p.source_id AND p.lane = 'admission'"
)


@pytest.mark.parametrize(
    "cheat",
    [
        "INSERT INTO gap (source_id, from_offset, to_offset, isolation, why, state, fence)"
        " SELECT r.source_id, start_offset, start_offset + 1, 'read_committed', 'AT_END', 'CLAIMED', p.fence"
        " FROM window_range r JOIN source s ON s.id = r.source_id AND s.role = 'inbox'"
        " JOIN position p ON p.source_id = s.id AND p.lane = 'admission' WHERE r.win = %(win)s",
        "INSERT INTO contradiction (win, attempt_id, kind, source_id, \"offset\", detail) SELECT %(win)s, a.id, 'MISSING',"
        " r.source_id, 0, 'x' FROM window_range r, attempt a JOIN source c ON c.id = a.source_id"
        " JOIN run_window w ON w.id = %(win)s JOIN run n ON n.id = w.run_id AND n.stream_id = c.stream_id"
        " WHERE r.win = %(win)s LIMIT 1",
    ],
    ids=["gap", "contradiction"],
)
def test_pass_over_what_the_ledger_says(app: psycopg.Cursor[Any], blocked: Flow, cheat: str) -> None:
    values = {"win": window_of(blocked.name, "r1")}
    app.execute(TAKE, values)
    app.execute(cheat, values)
    assert Forger(app, blocked).says("PASS").all_hold().refused() == "verdict_pass_earned"


def test_a_total_after_the_cut(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    win = window_of(blocked.name, "r1")
    with pytest.raises(psycopg.errors.CheckViolation) as refused:
        app.execute(
            "INSERT INTO control_total (win, event_class, declared, declared_by) VALUES (%s, 'thing', 7, 'me')", (win,)
        )
    assert refused.value.diag.constraint_name == "control_total_before_cut"


@pytest.fixture
def declared(live: object) -> Flow:
    """All read and applied, but for six things that the producer says it sent."""
    flow = Flow()
    flow.open()
    flow.produce([thing(1)])
    flow.cut(totals={"thing": 7})
    flow.work_until(lambda: flow.count("effect") == 1)
    flow.judge()
    return flow


def test_another_total_than_was_declared(app: psycopg.Cursor[Any], declared: Flow) -> None:
    assert Forger(app, declared).says("PASS").all_hold().refused() == "verdict_pass_earned"


def test_totals_that_were_declared_and_are_not_listed(app: psycopg.Cursor[Any], declared: Flow) -> None:
    forger = Forger(app, declared).says("PASS").all_hold()
    forger.body["checks"] = [x for x in forger.body["checks"] if x["check"] != "EXPECTED"]
    forger.body["not_listed"].append({"check": "EXPECTED", "why": "nobody declared any"})
    assert forger.refused() == "verdict_checks_listed"


def test_counts_that_the_batches_do_not_have(app: psycopg.Cursor[Any], blocked: Flow) -> None:
    forger = Forger(app, blocked).says("PASS").all_hold()
    forger.body["counts"]["records"] += 1
    assert forger.refused() == "verdict_pass_earned"
