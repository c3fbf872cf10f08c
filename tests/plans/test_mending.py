"""Effects that went missing before their window was judged: applied again while it is proven, once; then it is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from django.db import connections

from audit.core.gate import Code
from audit.enforce import decide_gate
from audit.fsck import fsck
from ingest.core.ids import WindowId
from ingest.db import read
from ingest.models import ContextState
from ingest.projections.base import AppliedEvent, Joined, Pin
from ingest.projections.flights import FlightsWithWeather
from ingest.projections.weather import Weather
from plans.core.binding import NO_LIMITS, Limits
from plans.core.plan import State
from plans.preview import preview
from plans.run import run_plan
from plans.steer import resume
from plans.submit import submit
from stack import Stack
from tests.audit.test_contexts import contradicted
from tests.flow import test_projections as p
from tests.flow.world import Flow, leave, seen_by_readers, thing
from tests.plans.crowd import Crowd, as_owner, plan_row, run_to, say_yes
from tests.plans.test_cover import lacks, looked_at, win_of
from tests.plans.test_decide import Killed
from tests.plans.test_replay import asked, judge_rerun, replayed

weather = p.weather
MakeFlow = Callable[..., Flow]


@pytest.fixture
def spoilt(live: object) -> Iterator[MakeFlow]:
    """Streams whose ledger a test spoils for good: nobody looks at their invariants afterwards."""
    made: list[Flow] = []

    def make(**settings: Any) -> Flow:
        made.append(Flow(**settings))
        return made[-1]

    yield make
    leave([flow.name for flow in made])


def ready(flow: Flow, values: list[bytes], window: bool = True) -> Flow:
    """All is read, published and applied; nobody has judged it."""
    flow.open()
    flow.produce(values)
    flow.work()
    if window:
        flow.cut()
        flow.work()
    return flow


def lose(flow: Flow, *tables: str, some: int = 2) -> list[bytes]:
    """A superuser deletes what there is of some events: their effects, or their rows in a table, or both."""
    win = win_of(flow)
    gone = flow.rows("SELECT identity FROM event WHERE win = %(win)s ORDER BY identity LIMIT %(n)s", win=win, n=some)
    identities = [bytes(row.identity) for row in gone]
    with as_owner() as connection:
        for table in tables:
            deleted = connection.execute(
                f"DELETE FROM {table} WHERE win = %s AND identity = ANY(%s)", (win, identities)
            )
            assert deleted.rowcount == some
    return identities


def failed(flow: Flow) -> Any:
    stored = flow.judge()
    assert stored.verdict.title == "FAIL", stored.sentence
    return stored


def effects(flow: Flow) -> list[Any]:
    """All that an effect says, of the window's events."""
    return flow.rows("SELECT * FROM effect WHERE win = %(win)s ORDER BY identity", win=win_of(flow))


def foreseen(flow: Flow) -> tuple[str, ...]:
    return preview("replay", asked(flow, whole=True)).prediction.lines


def mended(flow: Flow) -> list[tuple[bytes, bool]]:
    rows = flow.rows("SELECT identity, effect FROM mended_effect WHERE win = %(win)s ORDER BY 1", win=win_of(flow))
    return [(bytes(row.identity), row.effect) for row in rows]


def reasons(number: int) -> list[str | None]:
    with read() as cur:
        rows = cur.execute("SELECT reason FROM plan_item WHERE plan_id = %s ORDER BY ordinal", (number,)).fetchall()
    return [row.reason for row in rows]


# ---- they stand again -----------------------------------------------------------------------------------------------

OPENS = "Its PASS would open window 1, too, if nothing is missing then."


def test_effects_that_went_missing_stand_again_and_the_window_is_read(flow: Flow, crowd: Crowd) -> None:
    ready(flow, [thing(n) for n in range(6)])
    before = effects(flow)
    gone = lose(flow, "effect")
    assert "2 events are not applied" in failed(flow).sentence
    assert foreseen(flow)[-2:] == ("2 effects of window 1 are missing; they are applied again.", OPENS)
    number = replayed(crowd, flow, whole=True)
    assert effects(flow) == before, "the very same, at the places where they were read"
    assert mended(flow) == [(identity, True) for identity in gone]
    assert reasons(number) == ["2 effects of window 1 were missing, and were applied again"]
    flow.work()
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED, "not before it is proven"
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and stored.verdict.cover.lacks == (), stored.verdict.cover
    assert stored.verdict.cover.mended == 2
    for window in (1, None):
        answer = decide_gate(flow.name, "r1", window)
        assert answer.granted and f"Window 1, proven by rerun 1 ({stored.name})." in answer.detail, answer
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"extended"}
    replayed(crowd, flow, whole=True)
    assert effects(flow) == before and len(mended(flow)) == 2, "what stands is not applied again"
    assert fsck(stream=flow.name) == []


@pytest.mark.parametrize("lost", [("effect", "truth.weather"), ("truth.weather",)], ids=["both", "rows"])
def test_readers_read_what_was_applied_again(
    make_flow: MakeFlow, crowd: Crowd, live: Stack, lost: tuple[str, ...]
) -> None:
    flow = ready(make_flow(contract=p.WEATHER), [p.report(n) for n in range(4)])
    rows, before = p.rows(flow, "weather"), effects(flow)
    gone = lose(flow, *lost)
    failed(flow)
    both = "effect" in lost
    said = "2 effects of window 1 are missing; they are applied again."
    alone = "Rows of 2 effects of window 1 are missing; they are written again."
    assert (said if both else alone) in foreseen(flow) and OPENS in foreseen(flow)
    replayed(crowd, flow, whole=True)
    assert mended(flow) == [(identity, both) for identity in gone]
    flow.work()
    assert judge_rerun(flow).verdict.cover.lacks == ()
    assert effects(flow) == before
    assert sorted(p.rows(flow, "weather"), key=str) == sorted(rows, key=str)
    assert seen_by_readers(live.env()["PASSGATE_READER_URL"], "weather", [win_of(flow)]) == 4
    assert fsck(stream=flow.name) == []


def test_a_join_is_made_again_with_the_windows_own_pin(weather: Flow, crowd: Crowd) -> None:
    """Hour 9 is reported in a later run of the context: the pin is W's, and its answer what it was."""
    flow = ready(p.joined(weather), [p.flight(1, 1), p.flight(2, 2), p.flight(3, 9), p.flight(4, 3)])
    weather.open("r2")
    weather.produce([p.report(9)])
    weather.work()
    weather.cut("r2")
    weather.work()
    assert weather.judge("r2").verdict.title == "PASS"
    rows, before = p.rows(flow, "flights_weather"), effects(flow)
    lose(flow, "effect", "truth.flights_weather", some=4)
    failed(flow)
    assert OPENS in foreseen(flow)
    replayed(crowd, flow, whole=True)
    flow.work()
    assert judge_rerun(flow).verdict.cover.lacks == ()
    assert effects(flow) == before
    assert sorted(p.rows(flow, "flights_weather"), key=str) == sorted(rows, key=str)


def test_an_event_that_two_records_name_is_applied_again_once(flow: Flow, crowd: Crowd) -> None:
    ready(flow, [thing(1), thing(2), thing(1), thing(1)])
    lose(flow, "effect")
    failed(flow)
    assert "2 effects of window 1 are missing; they are applied again." in foreseen(flow)
    replayed(crowd, flow, whole=True)
    assert len(mended(flow)) == 2 == flow.count("effect")


def test_a_part_that_is_read_again_brings_back_its_part(spoilt: MakeFlow, crowd: Crowd) -> None:
    flow = ready(spoilt(), [thing(n) for n in range(4)])
    lose(flow, "effect", some=4)
    failed(flow)
    replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 0, "to": 3}])
    assert flow.count("effect") == 3
    assert "not all of inbox/0" in lacks(judge_rerun(flow))


POINTS = ("mend.after_lock", "mend.after_projection", "mend.after_effects", "mend.after_rows", "plan_step.after_doing")


@pytest.mark.parametrize("point", POINTS)
def test_a_step_that_dies_leaves_nothing_and_the_next_one_does_it(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    ready(flow, [thing(n) for n in range(4)])
    before = effects(flow)
    lose(flow, "effect")
    failed(flow)
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)

    def dies(name: str) -> None:
        if name == point:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in ("ingest.consume.mending", "plans.run"):
            patched.setattr(f"{module}.failpoint", dies)
        with pytest.raises(Killed):
            run_plan(number, crowd.people, lambda: True)
    assert flow.count("effect") == 2 and mended(flow) == []
    run_to(crowd, number, State.DONE)
    assert effects(flow) == before and len(mended(flow)) == 2


# ---- they do not ----------------------------------------------------------------------------------------------------


def shut_for_good(flow: Flow, crowd: Crowd, *said: str) -> None:
    """The preview says why, nothing is applied again, and the rerun does not open the window."""
    there = effects(flow)
    lines = foreseen(flow)
    assert all(any(each in line for line in lines) for each in said), lines
    assert any("It would not open window 1" in line for line in lines), lines
    replayed(crowd, flow, whole=True)
    assert effects(flow) == there and mended(flow) == []
    cover = judge_rerun(flow).verdict.cover
    assert cover is None or cover.lacks
    assert not decide_gate(flow.name, "r1", 1).granted


def test_rows_that_stand_without_their_effect_are_nobodys(spoilt: MakeFlow, crowd: Crowd) -> None:
    flow = ready(spoilt(contract=p.WEATHER), [p.report(n) for n in range(3)])
    lose(flow, "effect", some=1)
    assert "has no effect" in str(failed(flow).verdict.checks)
    shut_for_good(
        flow, crowd,
        "1 event of window 1 cannot be applied again: rows of it stand in truth.weather without an effect.",
    )  # fmt: skip


def test_a_surplus_row_keeps_the_window_shut_whatever_else_is_missing(spoilt: MakeFlow, crowd: Crowd) -> None:
    flow = ready(spoilt(contract=p.WEATHER), [p.report(n) for n in range(3)])
    lose(flow, "effect", "truth.weather", some=1)
    with as_owner() as connection:
        connection.execute("INSERT INTO truth.weather (win, identity) VALUES (%s, sha256('nobody'))", (win_of(flow),))
    failed(flow)
    replayed(crowd, flow, whole=True)
    assert flow.count("effect") == 3
    assert "window 1 failed by APPLIED, which no reading again mends" in lacks(judge_rerun(flow))


def test_a_context_that_fell_gives_no_answer_any_more(weather: Flow, spoilt: MakeFlow, crowd: Crowd) -> None:
    flow = ready(p.joined(weather), [p.flight(1, 1), p.flight(2, 3)])
    lose(flow, "effect", "truth.flights_weather", some=1)
    failed(flow)
    contradicted(weather)
    shut_for_good(flow, crowd, "1 effect of window 1 is missing, and is not applied again:")


def test_a_projection_that_does_not_say_so_is_not_run_again(
    spoilt: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may keep a state of its own, in which the event is counted already."""
    monkeypatch.setattr(Weather, "repeatable", False)
    flow = ready(spoilt(contract=p.WEATHER), [p.report(n) for n in range(3)])
    lose(flow, "effect", "truth.weather", some=1)
    failed(flow)
    shut_for_good(flow, crowd, "its projection does not say that it can be")


def test_a_copy_that_was_read_first_is_not_taken_for_the_place(spoilt: MakeFlow, crowd: Crowd) -> None:
    """Nobody knows which record an effect was of where its bus batch read copies, too."""
    flow = ready(spoilt(), [thing(n) for n in range(3)])
    with as_owner() as connection:
        connection.execute(
            "INSERT INTO bus_copies (bus_batch_id, win, copies, first_offset)"
            " SELECT DISTINCT bus_batch_id, win, 1, 0 FROM effect WHERE win = %s",
            (win_of(flow),),
        )
    lose(flow, "effect", some=1)
    failed(flow)
    shut_for_good(flow, crowd, "a copy of an event of the window was read beside it")


@pytest.mark.parametrize(
    ("spoils", "said"),
    [
        ("UPDATE event SET payload = payload || ' ' WHERE win = %(win)s", "its payload has another digest"),
        ("UPDATE event SET payload = NULL WHERE win = %(win)s", "its payload is not kept"),
        ("DELETE FROM place WHERE source_id = %(inbox)s", "it has no place on the bus"),
        (
            "INSERT INTO foreign_record (source_id, \"offset\", why) SELECT bus_source_id, bus_offset, 'x' FROM place"
            " WHERE source_id = %(inbox)s",
            "the record at its place was set aside",
        ),
    ],
)
def test_what_the_ledger_does_not_hold_is_not_applied(spoilt: MakeFlow, crowd: Crowd, spoils: str, said: str) -> None:
    flow = ready(spoilt(), [thing(n) for n in range(2)])
    lose(flow, "effect", some=2)
    failed(flow)
    with as_owner() as connection:
        connection.execute(spoils, {"win": win_of(flow), "inbox": flow.sources("inbox")[0]})
    assert any(said in line for line in foreseen(flow)), foreseen(flow)
    replayed(crowd, flow, whole=True)
    assert flow.count("effect") == 0 and mended(flow) == []


def test_a_window_that_has_passed_is_left_alone(spoilt: MakeFlow, crowd: Crowd) -> None:
    flow = ready(spoilt(), [thing(n) for n in range(3)])
    assert flow.judge().verdict.title == "PASS"
    lose(flow, "effect", some=1)
    said = "1 effect of window 1 is missing, and is not applied again: its gate has been open."
    assert said in foreseen(flow)
    replayed(crowd, flow, whole=True)
    assert flow.count("effect") == 2 and mended(flow) == []


def test_a_window_that_nobody_has_judged_is_left_alone(flow: Flow, crowd: Crowd) -> None:
    ready(flow, [thing(n) for n in range(3)])
    lose(flow, "effect", some=1)
    assert "1 effect of window 1 is missing, and is not applied again: it has not failed." in foreseen(flow)
    replayed(crowd, flow, whole=True)
    assert flow.count("effect") == 2
    failed(flow)
    replayed(crowd, flow, whole=True)
    assert flow.count("effect") == 3


def test_what_the_effects_lane_has_not_read_is_not_missing(flow: Flow, crowd: Crowd) -> None:
    """The window failed by something else; what lies ahead of the lane is the lane's to apply."""
    flow.open()
    flow.produce([thing(n) for n in range(3)])
    flow.work("admission", "publish")
    flow.cut()
    with as_owner() as connection:
        connection.execute(
            "INSERT INTO effect (run_id, identity, win, bus_source_id, bus_offset, bus_batch_id)"
            " SELECT run_id, sha256('nobody'), id, 1, 99, 1 FROM run_window WHERE id = %s",
            (win_of(flow),),
        )
    failed(flow)
    assert not any("missing" in line and "effect" in line for line in foreseen(flow))
    replayed(crowd, flow, whole=True)
    assert mended(flow) == []
    with as_owner() as connection:
        connection.execute("DELETE FROM effect WHERE identity = sha256('nobody')")
    flow.work()
    assert flow.count("effect") == 3


def test_another_answer_than_the_effect_has_holds_the_plan(
    weather: Flow, spoilt: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The code of the projection is another one by now: its rows are not those that were read."""
    flow = ready(p.joined(weather), [p.flight(1, 1), p.flight(2, 3)])
    lose(flow, "truth.flights_weather", some=1)
    failed(flow)
    real = FlightsWithWeather.apply

    def otherwise(
        self: FlightsWithWeather, cur: Any, win: WindowId, events: list[AppliedEvent], pins: Mapping[str, Pin]
    ) -> list[Joined]:
        real(self, cur, win, events, pins)
        return [Joined(ContextState.MISSING, "it says otherwise now") for _ in events]

    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    with monkeypatch.context() as patched:
        patched.setattr(FlightsWithWeather, "apply", otherwise)
        run_to(crowd, number, State.HELD)
        assert "answers otherwise than the effect" in plan_row(number).held_why
        assert len(p.rows(flow, "flights_weather")) == 1 and mended(flow) == []
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    assert len(p.rows(flow, "flights_weather")) == 2


def test_two_plans_that_find_the_same_missing_write_it_once(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two records name one event, and each plan reads one of them: the second waits for the first, and looks again."""
    ready(flow, [thing(1), thing(2), thing(1)])
    before = effects(flow)
    lose(flow, "effect")
    failed(flow)
    numbers = []
    for start, end in ((0, 1), (1, 3)):
        part = asked(flow, ranges=[{"source": "inbox/0", "from": start, "to": end}])
        numbers.append(
            submit("replay", part, crowd.asker, "why", crowd.people, Limits(first=1) if start else NO_LIMITS)
        )
        say_yes(crowd, numbers[-1])
    run_to(crowd, numbers[1], State.HELD)  # its rerun is open, and the record of the other event is read
    assert len(mended(flow)) == 1
    resume(numbers[1], crowd.asker, crowd.people)

    def runs() -> None:
        try:
            run_plan(numbers[1], crowd.people, lambda: True)
        finally:
            connections.close_all()

    rival = threading.Thread(target=runs)
    met: list[str] = []

    def meets(name: str) -> None:
        met.append(name)
        if name == "mend.after_rows" and not rival.ident:
            rival.start()
            rival.join(1.0)
            assert rival.is_alive(), "it waits for the window's row"

    with monkeypatch.context() as patched:
        patched.setattr("ingest.consume.mending.failpoint", meets)
        run_to(crowd, numbers[0], State.DONE)
        rival.join(30)
    assert plan_row(numbers[1]).state == State.DONE
    assert met.count("mend.after_rows") == 1 and met.count("mend.after_lock") == 2
    assert effects(flow) == before and len(mended(flow)) == 2
