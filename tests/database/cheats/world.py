"""The worlds themselves, and the values by which statements name what is in them."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest

from audit.close import close_run, window_of
from audit.enforce import decide_gate
from ingest.kafka import BusMessage, TransactionalProducer
from plans.core.binding import NO_LIMITS, Limits
from plans.core.plan import State
from plans.submit import submit
from tests.flow.bus import half_sent
from tests.flow.inbox import hide
from tests.flow.test_behind import tell
from tests.flow.test_projections import WEATHER, report
from tests.flow.world import Flow, leave, thing
from tests.plans.crowd import Crowd, run_to, say_yes
from tests.plans.test_basis_plan import blocked, refreshed
from tests.plans.test_decide import decided, passes, undecidable
from tests.plans.test_retire_plan import retired
from tests.plans.test_waive import asked


def passed_run() -> dict[str, Any]:
    flow = Flow(quarantine_open_max=5)
    flow.open()
    flow.produce([thing(1), thing(2), thing(1), thing(2, other=True), b"not json"], headers=[("from", b"a test")])
    sender = TransactionalProducer(flow.cluster, f"{flow.name}.sender", delivery_timeout=10)
    sender.init()
    sender.send(
        flow.inbox, [BusMessage(0, b"k", thing(3), [])]
    )  # its marker is a gap, before or behind the next record
    sender.destroy()
    flow.produce([thing(4)])
    flow.work()
    flow.cut(totals={"thing": 4})
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    assert decide_gate(flow.name, "r1", who="a reader").status == 200
    flow.open("r2")
    tell(flow)
    return values(flow)


def projected_run() -> dict[str, Any]:
    flow = Flow(contract=WEATHER)
    flow.open()
    flow.produce([report(1), report(2)])
    flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.state == "PASS", stored.sentence
    return values(flow)


def values(flow: Flow) -> dict[str, Any]:
    """The numbers of the first run, its window, its stream, its contract, its inbox and the bus source with a place."""
    (row,) = flow.rows(
        "SELECT s.id AS stream, r.id AS run, w.id AS win, w.contract_id AS contract,"
        " (SELECT c.id FROM source c WHERE c.stream_id = s.id AND c.role = 'inbox' AND c.kind = 'topic') AS inbox,"
        " (SELECT min(p.bus_source_id) FROM place p JOIN source c ON c.id = p.source_id"
        "   WHERE c.stream_id = s.id) AS bus,"
        " (SELECT min(g.from_offset) FROM gap g JOIN source c ON c.id = g.source_id AND c.role = 'inbox'"
        "   WHERE c.stream_id = s.id) AS gap"
        " FROM stream s JOIN run r ON r.stream_id = s.id AND r.name = 'r1'"
        " JOIN run_window w ON w.run_id = r.id AND w.reruns IS NULL"
        " WHERE s.name = %(name)s"
    )
    return {"name": flow.name, **row._asdict()}


def rerun() -> dict[str, Any]:
    """One window with a PASS, a redrive into it, a replay of it, and a plan that is held in the middle of a redrive."""
    crowd, flow = Crowd(), Flow(quarantine_open_max=9)
    flow.open()
    flow.produce([thing(1), b"{", b"["])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    items = [row.id for row in flow.rows("SELECT q.id FROM quarantine_item q JOIN run r ON r.id = q.run_id"
             " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY q.id")]  # fmt: skip
    about = {"stream": flow.name, "run": "r1", "window": 1}
    right = {str(item): b64encode(thing(item + 10)).decode() for item in items}
    plans = []
    for kind, asked_, limits in (
        ("redrive", {"items": items, "corrections": right}, NO_LIMITS),
        ("replay", {"whole": True}, NO_LIMITS),
        ("redrive", {"items": items}, Limits(first=1)),
    ):
        plans.append(submit(kind, about | asked_, crowd.asker, "why", crowd.people, limits))
        say_yes(crowd, plans[-1])
        run_to(crowd, plans[-1], State.DONE if limits is NO_LIMITS else State.HELD)
    flow.work()
    (row,) = flow.rows(
        "SELECT x.win AS rerun, g.source_id AS source FROM rerun x JOIN window_range g ON g.win = x.win"
        " WHERE x.plan = %(p)s",
        p=plans[0],
    )
    names = dict(zip(("redrive", "replay", "held"), plans, strict=True))
    return {**values(flow), **names, "rerun": row.rerun, "source": row.source, "item": items[0]}


def covered(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """A window that failed, and two reruns of it: the first read a part of it, the second all, and opened it. Beside it
    one that failed, with two such reruns that nobody has judged."""
    open_, shut = _failed_and_read_again(monkeypatch), _failed_and_read_again(monkeypatch)
    flow = open_["flow"]
    for rerun in (1, 2):
        flow.sample()
        stored = close_run(flow.name, "r1", "test", 1, rerun=rerun)
        assert stored.verdict.title == "PASS", stored.sentence
        open_[("part", "whole")[rerun - 1]] = stored.id
    assert decide_gate(flow.name, "r1", 1).granted
    failed = {"not_judged": shut["flow"], "shut": shut["win"], "shut_name": shut["name"]}
    return {**open_, **failed, "shut_part": shut["rerun_1"], "shut_whole": shut["rerun_2"]}


def _failed_and_read_again(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    crowd, flow = Crowd(), Flow()
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    with monkeypatch.context() as patched:
        hide(patched, flow, 1)
        flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    about = {"stream": flow.name, "run": "r1", "window": 1}
    reruns = {}
    for number, what in enumerate(({"ranges": [{"source": "inbox/0", "from": 2, "to": 4}]}, {"whole": True}), 1):
        plan = submit("replay", about | what, crowd.asker, "why", crowd.people)
        say_yes(crowd, plan)
        run_to(crowd, plan, State.DONE)
        flow.work()
        reruns[f"rerun_{number}"] = flow.rows("SELECT win FROM rerun WHERE plan = %(p)s", p=plan)[0].win
    return {**values(flow), **reruns, "flow": flow}


def half_gone(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Of eight records one was missed, and four are gone. All was read again, and opened the window; then a part of
    what is there, by a plan that is held after one record."""
    crowd, flow = Crowd(), Flow()
    flow.open()
    flow.produce([thing(n) for n in range(8)])
    with monkeypatch.context() as patched:
        hide(patched, flow, 6)
        flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    flow.admin.delete_records(flow.inbox, {0: 4})
    about = {"stream": flow.name, "run": "r1", "window": 1}
    part = {"ranges": [{"source": "inbox/0", "from": 4, "to": 8}]}
    made = []
    for what, limits, state in (
        ({"whole": True}, NO_LIMITS, State.DONE),
        (part, Limits(first=1), State.HELD),
    ):
        plan = submit("replay", about | what, crowd.asker, "why", crowd.people, limits)
        say_yes(crowd, plan)
        run_to(crowd, plan, state)
        flow.work()
        (row,) = flow.rows(
            "SELECT x.win, g.source_id FROM rerun x JOIN window_range g ON g.win = x.win WHERE x.plan = %(p)s", p=plan
        )
        made.append((plan, row))
        if state is State.DONE:
            flow.sample()
            stored = close_run(flow.name, "r1", "test", 1, rerun=1)
            assert stored.verdict.cover is not None and stored.verdict.cover.lacks == (), stored.sentence
    leave([flow.name])  # its gate is not what is cheated about
    (_, whole), (held, other) = made
    names = {"rerun": whole.win, "source": whole.source_id, "held": held, "held_source": other.source_id}
    return {**values(flow), **names}


def waived() -> dict[str, Any]:
    """An item is open, and another person than who asked lets it stand."""
    crowd, flow = Crowd(), Flow()
    flow.open()
    flow.produce([thing(1), b"not json"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    number = submit("waive", asked(flow, "QUARANTINE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    assert flow.judge().verdict.title == "PASS (waived)"
    return {"name": flow.name, "plan": number, "win": window_of(flow.name, "r1")}


def refreshed_and_ended() -> dict[str, Any]:
    """The bus promises less, which two people accept; then the inbox's re-checks are ended."""
    crowd, flow = Crowd(), Flow()
    blocked(flow)
    refresh = refreshed(crowd, flow)
    assert flow.judge().verdict.state == "PASS"
    return {"name": flow.name, "win": window_of(flow.name, "r1"), "refresh": refresh, "retire": retired(crowd, flow)}


def with_decision(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Five events of a publish were decided to be present, and five to be absent."""
    crowd, flow = Crowd(), Flow(automatic="false")
    attempt = undecidable(flow, monkeypatch, half_sent, read=True)
    number = decided(crowd, flow, attempt)
    assert passes(flow).verdict.title == "PASS"
    return {"name": flow.name, "attempt": attempt, "plan": number, "win": window_of(flow.name, "r1")}
