"""The airports' chapters: what their contracts take, and that each point of theirs can fail."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ingest.core.contract import Contract, parse_contract
from ingest.core.reason import Reason
from ingest.core.record import NotUnderstood, Parser, Understood
from trials.demo import airports as a
from trials.demo.acts import Answer
from trials.demo.data import data_files, read_airports
from trials.demo.faults import encode
from trials.demo.reader import GateAnswer
from trials.demo.telling import Teller
from trials.demo.told import Expectations
from trials.demo.versions import first_version, newest

SUBMITTED = f"Plan 7 is SUBMITTED: ana asks\nfor something.\ndigest: {'ab' * 32}\n"
LOST = "Window 1 is FAIL: airports.bus was deleted and created again."
BLOCKED = "Window 2 is BLOCKED: 2 quarantine items are open (0 allowed)."


@cache
def events() -> a.Halves:
    return a.halves(read_airports(data_files()))


def contract(path: str) -> Contract:
    folder = Path(path).parent
    return parse_contract(Path(path).read_bytes(), path, lambda file: (folder / file).read_bytes())


def test_all_airports_come_in_one_of_two_windows() -> None:
    assert (len(events().first), len(events().second)) == (521, 937)
    assert len({event["faa"] for event in (*events().first, *events().second)}) == 1_458


def test_the_first_schema_refuses_what_lies_below_the_sea_and_the_next_one_takes_it(tmp_path: Path) -> None:
    first = Parser(contract(first_version(tmp_path, "airports.toml", "airport.schema.json", a.ABOVE_THE_SEA)))
    then = Parser(contract(newest("airports.toml")))
    assert {event["faa"] for event in events().below_the_sea} == {"IPL", "NJK"}
    for event in (*events().first, *events().second):
        found = first.parse(encode(event), event["faa"].encode(), None)
        if event in events().below_the_sea:
            assert isinstance(found, NotUnderstood)
            assert found.reason is Reason.SCHEMA
        else:
            assert isinstance(found, Understood)
        assert isinstance(then.parse(encode(event), event["faa"].encode(), None), Understood)


def test_a_plan_is_named_by_what_the_command_says() -> None:
    assert a.plan_named(SUBMITTED) == (7, "ab" * 32)


# ---- each point can fail --------------------------------------------------------------------------------------------


class World:
    """What the chapters look at, as it should be; a test changes one thing."""

    def __init__(self) -> None:
        self.verdicts = {
            ("2013", 1, 0): ("FAIL", LOST), ("2013", 2, 0): ("BLOCKED", BLOCKED), ("2013", 2, 1): ("PASS", "…"),
            ("2013.r1", 1, 0): ("PASS", "…"),
        }  # fmt: skip
        self.gates = {
            ("2013", 1, 0): (403, f"superseded by airports/2013.r1; {LOST}"), ("2013", 2, 0): (200, ""),
            ("2013", 2, 1): (200, ""), ("2013.r1", 0, 0): (200, ""),
        }  # fmt: skip
        self.plan = ("DONE", "operator", "approver")
        self.applied, self.fresh, self.redriven = 521, 521, "2/2"

    def rows(self, name: str, **keys: Any) -> list[Any]:
        if name == "plans":
            return [SimpleNamespace(id=7, state=self.plan[0], requested_by=self.plan[1], approved_by=self.plan[2])]
        if name == "runs":
            return [SimpleNamespace(stream="airports", run_name="2013.r1", admitted=self.fresh)]
        state, sentence = self.verdicts[keys["run_name"], keys["window"], keys["rerun"]]
        return [SimpleNamespace(state=state, sentence=sentence)] if state else []

    def row(self, name: str, **keys: Any) -> Any:
        return SimpleNamespace(events=self.applied, of_all=self.redriven)

    def ask(self, stream: str, run_name: str, window: int = 0, rerun: int = 0) -> GateAnswer:
        status, detail = self.gates[run_name, window, rerun]
        return GateAnswer(status, "failed" if status == 403 else "open", "", detail)

    def run(self, *words: str, **options: Any) -> Answer:
        return Answer(0, SUBMITTED)


@pytest.fixture
def told_of(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[World, str], Expectations]:
    monkeypatch.setattr(a, "PATIENCE", 0.0)
    monkeypatch.setattr(a, "wait_until", lambda holds, seconds: holds())
    for name in ("_send", "_lose_the_bus"):
        monkeypatch.setattr(a.Airports, name, lambda *given: None)

    def tell(world: World, chapter: str) -> Expectations:
        anything = cast(Any, world)
        told = Expectations()
        play = a.Airports(
            anything, Teller(io.StringIO()), told, anything, cast(Any, None), anything, tmp_path, events()
        )
        getattr(play, chapter)()
        return told

    return tell


def passed(world: World) -> None:
    world.verdicts["2013", 2, 0] = ("PASS", "…")


@pytest.mark.parametrize("chapter", ["lost", "replaced", "mended", "judged"])
def test_all_as_told(told_of: Callable[[World, str], Expectations], chapter: str) -> None:
    world = World()
    if chapter == "judged":
        passed(world)
    told = told_of(world, chapter)
    assert told.points
    assert told.differences == []


OTHERWISE: dict[str, tuple[str, Callable[[World], object]]] = {
    "not all applied": ("lost", lambda w: setattr(w, "applied", 520)),
    "a lost bus that passes": ("lost", lambda w: w.verdicts.update({("2013", 1, 0): ("PASS", LOST)})),
    "failed for another reason": ("lost", lambda w: w.verdicts.update({("2013", 1, 0): ("FAIL", "no")})),
    "never judged": ("lost", lambda w: w.verdicts.update({("2013", 2, 0): ("", "")})),
    "a failed window that is read": ("lost", lambda w: w.gates.update({("2013", 1, 0): (200, "")})),
    "nothing set aside": ("lost", lambda w: w.verdicts.update({("2013", 2, 0): ("PASS", "…")})),
    "a plan that is void": ("replaced", lambda w: setattr(w, "plan", ("VOID", "operator", "approver"))),
    "one person": ("replaced", lambda w: setattr(w, "plan", ("DONE", "operator", "operator"))),
    "a fresh run that is blocked": ("judged", lambda w: w.verdicts.update({("2013.r1", 1, 0): ("BLOCKED", "")})),
    "a fresh run that is shut": ("judged", lambda w: w.gates.update({("2013.r1", 0, 0): (403, "")})),
    "a fresh run that lacks one": ("judged", lambda w: setattr(w, "fresh", 520)),
    "a first verdict that turned": ("judged", lambda w: w.verdicts.update({("2013", 1, 0): ("PASS", LOST)})),
    "no word of what took its place": ("judged", lambda w: w.gates.update({("2013", 1, 0): (403, LOST)})),
    "a redrive that is held": ("mended", lambda w: setattr(w, "plan", ("HELD", "operator", "approver"))),
    "a rerun that is blocked": ("judged", lambda w: w.verdicts.update({("2013", 2, 1): ("BLOCKED", "")})),
    "a window that stays blocked": ("judged", lambda w: w.verdicts.update({("2013", 2, 0): ("BLOCKED", BLOCKED)})),
    "an item that was discarded": ("judged", lambda w: setattr(w, "redriven", "1/2")),
    "a window that stays shut": ("judged", lambda w: w.gates.update({("2013", 2, 0): (403, "")})),
    "a rerun that stays shut": ("judged", lambda w: w.gates.update({("2013", 2, 1): (403, "")})),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_each_point_can_fail(told_of: Callable[[World, str], Expectations], what: str) -> None:
    chapter, change = OTHERWISE[what]
    world = World()
    if chapter == "judged":
        passed(world)
    change(world)
    assert told_of(world, chapter).exit_code == 1
