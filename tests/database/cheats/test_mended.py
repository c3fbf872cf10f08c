"""Effects that were written again by nobody's word, and covers of windows that failed otherwise: refused, or found."""

# ruff: noqa: E501  a statement that cheats reads best on one line
from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from django.db import transaction

from audit import close
from audit.close import close_run
from ingest.db import ConstraintViolated
from plans.core.binding import Limits
from plans.core.plan import State
from plans.submit import submit
from tests.database.cheats.frame import SUPERUSER, Cheat, notice
from tests.database.cheats.test_plans import refused
from tests.database.cheats.world import values
from tests.database.test_refusals import as_role
from tests.flow.world import Flow, leave, thing
from tests.plans.crowd import Crowd, as_owner, run_to, say_yes
from tests.plans.test_cover import win_of
from tests.plans.test_mending import failed, lose, ready
from tests.plans.test_replay import asked, replayed

Values = dict[str, Any]


@pytest.fixture(autouse=True)
def brisk(live: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ingest.worker.IDLE_SECONDS", 0.3)


_made: list[Values] = []


@pytest.fixture
def mended_run(live: object) -> Values:
    """A window whose effects went missing, written again and proven. Beside it one whose replay is held after a record,
    one that passed with such a replay, and one that nobody has judged since its effects stand again."""
    if not _made:
        crowd = Crowd()
        done, held, passed, shut = Flow(), Flow(), Flow(), Flow()
        for flow in (done, held, passed, shut):
            ready(flow, [thing(n) for n in range(4)])
        assert passed.judge().verdict.title == "PASS"
        for flow in (done, held, shut):
            lose(flow, "effect")
            failed(flow)
        for flow in (done, shut):
            replayed(crowd, flow, whole=True)
            flow.work()
        done.sample()
        assert close_run(done.name, "r1", "test", 1, rerun=1).verdict.cover.lacks == ()
        leave([done.name])
        more = {f"held_{name}": value for name, value in _held(crowd, held).items()}
        more |= {f"passed_{name}": value for name, value in _held(crowd, passed).items()}
        (source,) = done.rows(
            "SELECT DISTINCT m.source_id AS id FROM mended_effect m WHERE m.win = %(w)s", w=win_of(done)
        )
        _made.append({**values(done), **more, "source": source.id, "rerun": win_of(done, 1), "shut": shut})
    return _made[0]


def _held(crowd: Crowd, flow: Flow) -> Values:
    """A replay that is held after the first record that is not missing its effect."""
    plan = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=1))
    say_yes(crowd, plan)
    run_to(crowd, plan, State.HELD)
    (row,) = flow.rows(
        "SELECT g.source_id AS source, w.run_id AS run, w.reruns AS win, t.identity FROM rerun x JOIN run_window w ON w.id = x.win"
        " JOIN window_range g ON g.win = x.win JOIN receipt t ON t.source_id = g.source_id WHERE x.plan = %(p)s",
        p=plan,
    )
    return {**row._asdict(), "plan": plan}


def app(name: str, does: str, refused: str) -> Cheat:
    return Cheat(name, does, refused)


def thief(name: str, does: str, found: str) -> Cheat:
    return Cheat(name, does, found=found, by=SUPERUSER)


SAYS = 'INSERT INTO mended_effect (source_id, "offset", run_id, win, identity, effect) VALUES (%({of}_source)s, {offset}, %({of}_run)s, %({win}_win)s, {identity}, true)'
RUNS = "UPDATE plan SET state = 'RUNNING', acted_by = 'eve', acted_why = 'x' WHERE id = %({of}_plan)s; "


def says(of: str = "held", win: str = "", offset: int = 1, identity: str = "sha256('else')", runs: bool = True) -> str:
    return (RUNS.format(of=of) if runs else "") + SAYS.format(of=of, win=win or of, offset=offset, identity=identity)


MENDED = "WHERE win = %(win)s AND identity = (SELECT min(identity) FROM mended_effect WHERE win = %(win)s)"
CHEATS = [
    app("written again while the plan is held", says(runs=False), "mended_of_its_plan"),
    app("written again in another window", says(win="passed"), "mended_of_its_plan"),
    app("written again in a window that passed", says(of="passed"), "mended_of_its_window"),
    app("written again of no event", says(), "mended_as_it_was"),
    app("written again for a record of another event", says(offset=9, identity="(SELECT min(identity) FROM effect WHERE win = %(held_win)s)"), "mended_as_it_was"),
    app("what was written again is taken back", "DELETE FROM mended_effect WHERE win = %(win)s", "InsufficientPrivilege"),
    thief("it was no plan that proves", "UPDATE plan SET kind = 'redrive' WHERE id = (SELECT plan FROM rerun WHERE win = %(rerun)s)", "mended"),
    thief("the record is of another event", "UPDATE receipt SET identity = sha256('else') WHERE source_id = %(source)s", "mended"),
    thief("the window had not failed", "UPDATE verdict SET state = 'BLOCKED' WHERE win = %(win)s", "mended"),
    thief("the effect is gone again", f"DELETE FROM effect {MENDED}", "mended"),
    thief("the effect lies elsewhere", f"UPDATE effect SET bus_offset = bus_offset + 500 {MENDED}", "mended"),
    thief("the effect is of another bus batch", f"UPDATE effect SET bus_batch_id = 0 {MENDED}", "mended"),
    thief("the verdict says another number", "UPDATE verdict SET body = jsonb_set(body, '{covers,mended}', '9') WHERE win = %(rerun)s", "mended"),
    thief("the verdict does not say it", "UPDATE verdict SET body = body #- '{covers,mended}' WHERE win = %(rerun)s", "mended"),
    thief("fewer are written down than were", f"DELETE FROM mended_effect {MENDED}", "mended"),
    thief("it failed by a row that nothing explains, too", "UPDATE verdict SET body = replace(body::text, 'are not applied', 'of truth.t have no effect')::jsonb WHERE win = %(win)s", "covers"),
]  # fmt: skip


@pytest.mark.parametrize("cheat", CHEATS, ids=[cheat.id for cheat in CHEATS])
def test_a_cheat_is_noticed(mended_run: Values, cheat: Cheat) -> None:
    notice(cheat, mended_run)


@pytest.mark.parametrize("statement", ["UPDATE mended_effect SET effect = false", "DELETE FROM mended_effect"])
def test_what_was_written_again_stays_so(live: object, statement: str) -> None:
    with as_role("owner") as cur:
        assert refused(cur, statement) == "append_only"


# ---- stored as the application stores it ----------------------------------------------------------------------------


def by_rule(judged: close.Judgement, **cover: Any) -> str:
    """What refuses a judgement that says this of what it covers."""
    assert judged.verdict.cover is not None and judged.verdict.cover.lacks == ()
    told = replace(judged, verdict=replace(judged.verdict, cover=replace(judged.verdict.cover, **cover)))
    with transaction.atomic():
        with pytest.raises(ConstraintViolated) as refusal, transaction.atomic():
            close.store(told, "eve")
        transaction.set_rollback(True)
    return refusal.value.constraint


@pytest.mark.parametrize("number", [0, 1, 3])
def test_a_verdict_that_covers_says_how_many_were_written_again(mended_run: Values, number: int) -> None:
    shut = mended_run["shut"]
    shut.sample()
    assert by_rule(close.judge(win_of(shut, 1)), mended=number) == "verdict_covers_window"


def test_a_window_that_failed_by_a_surplus_row_is_not_covered(mended_run: Values) -> None:
    """Whatever the rerun says of itself: the words of the window's own verdict are what counts."""
    shut = mended_run["shut"]
    shut.sample()
    judged = close.judge(win_of(shut, 1))
    swap = "UPDATE verdict SET body = replace(body::text, %s, %s)::jsonb WHERE win = %s"
    was, other = "events are not applied", "identities of truth.t have no effect"
    with as_owner() as connection:
        connection.execute(swap, (was, other, win_of(shut)))
    try:
        assert by_rule(judged) == "verdict_covers_window"
    finally:
        with as_owner() as connection:
            connection.execute(swap, (other, was, win_of(shut)))
    with transaction.atomic():
        assert close.store(judged, "test").verdict.cover.mended == 2  # so that it was refused for that
        transaction.set_rollback(True)
