"""Adopting an older copy of the database, on the real parts: the newest one is lost, and nobody is stuck."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from audit.core import verdict as v
from audit.enforce import decide_gate
from audit.fsck import examine
from ingest.adopt import NotBehind
from ingest.db import ConstraintViolated, write
from ingest.install import install_id
from plans.core.plan import State
from plans.errors import PlanRefused
from plans.preview import preview
from plans.submit import submit
from stack import Stack
from tests.flow.test_behind import at, commit, program, put_back, rest, slice_once, stops, tell
from tests.flow.world import Flow, leave, thing
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes
from tests.plans.test_cover import missed
from tests.plans.test_replay import judge_rerun, replayed

MakeFlow = Callable[..., Flow]


def adopted(crowd: Crowd, flow: Flow) -> int:
    """Asked for, approved and run."""
    number = submit("adopt", {"stream": flow.name}, crowd.asker, "the disk of the newest is gone", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def foreign(flow: Flow) -> list[str]:
    rows = flow.rows("SELECT why FROM foreign_record WHERE source_id = ANY(%(s)s) ORDER BY id", s=flow.sources())
    return [row.why for row in rows]


def test_where_the_newest_is_lost_an_older_copy_goes_on(
    make_flow: MakeFlow, crowd: Crowd, live: Stack, tmp_path: Path
) -> None:
    """Of what the lost ledger did nothing is taken for this one's, by processes that worked for it, too."""
    flow = make_flow()
    flow.open()
    flow.produce([thing(1), thing(2)])
    flow.work_until(lambda: flow.count("effect") == 2)
    tell(flow)
    dump = tmp_path / "copy"
    program("pg_dump", "--format=custom", f"--file={dump}", at(live, "passgate"))
    lost = str(install_id())
    flow.produce([thing(3), thing(4)])
    flow.work_until(lambda: flow.count("effect") == 4)
    published = max(
        row.id for row in flow.rows("SELECT id FROM attempt WHERE source_id = ANY(%(s)s)", s=flow.sources())
    )
    tell(flow)
    with put_back(live, dump):
        flow.sample()
        slice_once(flow)
        assert ("admission", "ledger_behind") in stops(flow)
        assert "passgate plan submit adopt" in flow.position("admission").stopped_detail
        seen = preview("adopt", {"stream": flow.name})
        assert f"{flow.inbox}/0: 4 there, 2 here" in seen.binds["facts"]["ahead"]
        assert any(
            line.startswith("Gone with the lost ledger: events that came over HTTP") for line in seen.prediction.lines
        )
        number = adopted(crowd, flow)
        assert items(number) == [("ledger", "DONE")]
        assert str(install_id()) != lost
        flow.work_until(lambda: flow.count("effect") == 4)
        assert len(flow.receipts()) == 4 and not stops(flow)
        again = max(
            row.id for row in flow.rows("SELECT id FROM attempt WHERE source_id = ANY(%(s)s)", s=flow.sources())
        )
        assert again - published > 2**39  # numbers of lost attempts are not given again: processes may remember them
        assert foreign(flow) == [f"OTHER_INSTALL: published by installation {lost}"] * 2
        flow.cut()
        flow.work()
        judged = flow.judge()
        assert (str(judged.verdict.state), "FOREIGN" in judged.sentence) == ("BLOCKED", True), judged.sentence
        flow.open("r2")
        flow.produce([thing(5)])
        flow.work()
        flow.cut("r2")
        flow.work()
        assert flow.judge("r2").verdict.state is v.State.PASS
        assert decide_gate(flow.name, "r2", who="test").granted
        assert examine(flow.name).findings == ()
        with pytest.raises(NotBehind):
            preview("adopt", {"stream": flow.name})


def test_a_window_from_before_is_opened_by_a_rerun(
    crowd: Crowd, live: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the ledger had published as the installation that it was lies at its places as before."""
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(4)])
    tell(flow)
    dump = tmp_path / "copy"
    program("pg_dump", "--format=custom", f"--file={dump}", at(live, "passgate"))
    flow.open("r2")
    flow.produce([thing(9)])
    flow.work_until(lambda: flow.count("effect") == 4)
    tell(flow)
    with put_back(live, dump):
        flow.sample()
        slice_once(flow)
        assert {why for _, why in stops(flow)} == {"ledger_behind"}
        adopted(crowd, flow)
        replayed(crowd, flow, whole=True)
        flow.work()
        stored = judge_rerun(flow)
        assert stored.verdict.title == "PASS", stored.sentence
        assert stored.verdict.cover is not None and stored.verdict.cover.lacks == ()
        assert decide_gate(flow.name, "r1", 1).granted
    leave([flow.name])  # of its first window a record has no receipt


def test_a_ledger_that_is_not_behind_is_not_adopted(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    flow.work_until(lambda: flow.count("effect") == 1)
    with pytest.raises(NotBehind):
        preview("adopt", {"stream": flow.name})


def test_the_newest_that_is_put_back_in_time_makes_the_plan_void(flow: Flow, crowd: Crowd) -> None:
    before = install_id()
    flow.open()
    flow.produce([thing(1)])
    flow.sample()
    commit(flow, flow.inbox, 5)
    number = submit("adopt", {"stream": flow.name}, crowd.asker, "it is lost", crowd.people)
    say_yes(crowd, number)
    commit(flow, flow.inbox, 0)  # the newest copy is back
    run_to(crowd, number, State.VOID)
    assert "is the newest that Kafka knows of" in plan_row(number).void_why
    assert install_id() == before
    rest(flow)


def test_what_is_about_a_run_is_refused(flow: Flow) -> None:
    with pytest.raises(PlanRefused):
        preview("adopt", {"stream": flow.name, "run": "r1"})


def test_nobody_is_another_installation_without_the_plan(flow: Flow, crowd: Crowd) -> None:
    """Not with none, not with one of another kind, not with one that only waits."""
    flow.open()
    flow.sample()
    commit(flow, flow.inbox, 5)
    waits = submit("adopt", {"stream": flow.name}, crowd.asker, "it is lost", crowd.people)
    add = "INSERT INTO install (id, install_id, plan) VALUES (2, gen_random_uuid(), %s)"
    for plan, rule in ((None, "install_of_its_plan"), (waits, "install_of_its_plan"), (0, "install_of_its_plan")):
        with pytest.raises(ConstraintViolated, match=rule), write() as cur:
            cur.execute(add, (plan,))
    commit(flow, flow.inbox, 0)
