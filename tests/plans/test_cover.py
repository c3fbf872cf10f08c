"""A rerun that proves all of a window that failed opens it: on the real stack, from the failure to whoever reads."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from audit import close, gate
from audit.close import checks_now, close_run, window_of
from audit.core.gate import Code
from audit.enforce import decide_gate, decide_span, enforce_due, seen_now
from audit.fsck import examine, fsck
from audit.go_on import go_on
from audit.open import ContextNotPassed
from console.permissions import Role
from console.reads.needs import needs
from ingest.core.ids import WindowId
from ingest.db import write
from ingest.windows import raise_revisions
from plans.core.binding import NO_LIMITS, Limits
from plans.core.plan import State
from plans.errors import PlanRefused
from plans.preview import preview
from plans.steer import cancel
from plans.submit import submit
from stack import Stack
from tests.api.caller import caller
from tests.audit.test_complete import SKEW, complete, stamps
from tests.cli.typed import typed
from tests.flow import test_projections as p
from tests.flow.inbox import hide
from tests.flow.world import Flow, leave, leave_all_but, seen_by_readers, thing
from tests.pages.conftest import signed_in
from tests.plans.crowd import Crowd, as_owner, run_to, say_yes
from tests.plans.test_acts import next_on
from tests.plans.test_replay import asked, fresh, judge_rerun, replayed


@pytest.fixture
def left_out(live: Stack, monkeypatch: pytest.MonkeyPatch) -> Iterator[Flow]:
    """A window that failed: its lane claimed a gap where a record is, and another reader found that."""
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(4)])
    yield flow
    leave([flow.name])  # a record without a receipt in its window stays one


def missed(flow: Flow, monkeypatch: pytest.MonkeyPatch, values: list[bytes]) -> Flow:
    flow.open()
    return fails_by_a_gap(flow, monkeypatch, values)


def fails_by_a_gap(flow: Flow, monkeypatch: pytest.MonkeyPatch, values: list[bytes]) -> Flow:
    """Its lane claims a gap where the second record is."""
    flow.produce(values)
    with monkeypatch.context() as patched:
        hide(patched, flow, 1)
        flow.work()
    flow.cut()
    flow.work()
    stored = flow.judge()
    assert stored.verdict.title == "FAIL" and "second reader found records" in stored.sentence, stored.sentence
    return flow


def win_of(flow: Flow, rerun: int | None = None) -> WindowId:
    (row,) = flow.rows(
        "SELECT w.id FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
        " WHERE s.name = %(name)s AND r.name = 'r1' AND w.rerun IS NOT DISTINCT FROM %(rerun)s",
        rerun=rerun,
    )
    return WindowId(row.id)


def proven(flow: Flow, crowd: Crowd) -> Any:
    """Read again by two people's plan, judged, and open."""
    replayed(crowd, flow, whole=True)
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.verdict.cover is not None and stored.verdict.cover.lacks == ()
    assert decide_gate(flow.name, "r1", 1).granted
    return stored


def looked_at(flow: Flow, *beside: Flow) -> dict[int, tuple[str, str]]:
    """What a re-check finds of the stream's gates, as if it were time for one. `beside`: what it needs besides."""
    leave_all_but(flow, *beside)
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET checked_at = clock_timestamp() - interval '30 s' WHERE win = ANY(%s)",
            (list(flow.wins()),),
        )
    return {check.win: (check.outcome, check.why) for check in enforce_due() if check.win in flow.wins()}


def lacks(stored: Any) -> str:
    cover = stored.verdict.cover
    assert cover is not None and cover.lacks
    return "; ".join(cover.lacks)


# ---- it opens -------------------------------------------------------------------------------------------------------


def test_a_rerun_of_all_of_it_opens_a_window_that_failed(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    seen = preview("replay", asked(flow, whole=True)).prediction.lines
    assert "Its PASS would open window 1, too, if nothing is missing then." in seen
    replayed(crowd, flow, whole=True)
    flow.work()
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED, "not before the rerun is judged"
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    for window in (1, None):
        answer = decide_gate(flow.name, "r1", window)
        assert answer.granted, answer
        assert answer.verdict == stored.name
        assert f"Window 1, proven by rerun 1 ({stored.name})." in answer.detail
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted
    rows = flow.rows(
        "SELECT v.state, v.covers FROM verdict v WHERE v.win = ANY(%(w)s) ORDER BY v.number", w=list(flow.wins())
    )
    assert [(row.state, row.covers) for row in rows] == [("FAIL", None), ("PASS", win_of(flow))]
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"extended"}
    looks = {"covers", "open_gates", "granted", "granted_after", "passes", "roots", "verdicts"}
    found = examine(flow.name, names=looks)
    assert [str(x) for x in found.findings] == []


def test_each_face_says_by_which_rerun_it_is_proven(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    assert flow.name in [each.run.stream for each in needs().fallen]
    stored = proven(flow, crowd)
    assert flow.name not in [each.run.stream for each in needs().fallen]
    (run,) = flow.rows("SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")
    standing = gate.standing([run.id])[run.id]
    assert (standing.failed.count, standing.passed, standing.open, standing.granted) == (0, 1, 1, True)
    proof = {"window": 1, "rerun": 1, "verdict": stored.name}
    for path in (f"gate/{flow.name}/r1", f"gate/{flow.name}/r1/windows/1"):
        answer = caller("viewer").get(path)
        assert answer.status_code == 200 and answer.json()["proven"] == [proof]
    for line in (f"gate {flow.name}/r1", f"gate {flow.name}/r1 --window 1"):
        said = typed(line)
        assert said.code == 0 and f"Window 1, proven by rerun 1 ({stored.name})." in said.out
    assert next_on(flow) == "nothing. Rerun 1 has proven this window, and readers can read it."
    viewer = signed_in("vera", Role.VIEWER)
    for part in ("gate", "windows/1/"):
        page = re.sub(r"<[^>]+>", " ", viewer.get(f"/runs/{flow.name}/r1/{part}").content.decode())
        assert f"Window 1, proven by rerun 1 ({stored.name})" in " ".join(page.split()), part


def test_a_span_of_time_is_read_over_a_window_that_is_proven(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    flow = Flow(close=SKEW)
    stamps(flow, message_timestamp_type="LogAppendTime")
    flow.open()
    begin = datetime.now(UTC) + timedelta(seconds=0.2)
    time.sleep(0.3)
    for number in (1, 2, 3):
        flow.produce([thing(number), thing(number + 10)])
        with monkeypatch.context() as patched:
            hide(patched, flow, 2)
            flow.work()
        go_on(flow.name, "r1", "test")
        flow.work()
        flow.sample()
        stored = close_run(flow.name, "r1", "test", number)
        assert stored.verdict.title == ("FAIL" if number == 2 else "PASS")
    end = complete(flow, 3)[0]
    assert end is not None and decide_span(flow.name, begin, end).status == 403
    replayed(crowd, flow, whole=True, window=2)
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 2, rerun=1).verdict.cover.lacks == ()
    found = decide_span(flow.name, begin, end)
    assert found.status == 200, found
    first, second, third = [window.name for window in found.windows][:3]
    assert second == f"{flow.name}/r1 window 2, proven by rerun 1"
    leave([flow.name])


def test_readers_of_a_proven_window_read_its_rows_and_those_of_its_rerun(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    flow = missed(Flow(contract=p.WEATHER), monkeypatch, [p.report(n) for n in range(3)])
    reader = live.env()["PASSGATE_READER_URL"]
    assert seen_by_readers(reader, "weather", flow.wins()) == 0
    proven(flow, crowd)
    assert seen_by_readers(reader, "weather", flow.wins()) == 3
    leave([flow.name])


# ---- it is a context ------------------------------------------------------------------------------------------------


@pytest.fixture
def built(live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd) -> Iterator[tuple[Flow, Flow]]:
    """Weather's window, which a rerun opened, and flights that are joined with it, open."""
    weather = missed(Flow(contract=p.WEATHER), monkeypatch, [p.report(n) for n in (1, 2, 3)])
    proven(weather, crowd)
    flights = p.joined(weather)
    flights.open()
    flights.produce([p.flight(n, n) for n in (1, 2, 3)])
    flights.work()
    flights.cut()
    flights.work_until(lambda: flights.count("effect") == 3)
    stored = flights.judge()
    assert stored.verdict.title == "PASS", stored.sentence
    yield weather, flights
    leave([weather.name, flights.name])


def test_what_it_brought_is_joined_with_too(built: tuple[Flow, Flow]) -> None:
    """The second report had been missed: it came into the rerun, and is no row of the window itself."""
    weather, flights = built
    (pin,) = flights.rows(
        "SELECT q.pinned_win, q.verdict FROM window_pin q JOIN run_window w ON w.id = q.win"
        " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert (pin.pinned_win, pin.verdict) == (win_of(weather), f"{weather.name}/r1#2")
    found = {row.flight: (row.weather_state, row.weather_verdict) for row in p.rows(flights, "flights_weather")}
    assert found == dict.fromkeys(("1", "2", "3"), ("MATCHED", f"{weather.name}/r1#2"))
    assert fsck(stream=flights.name) == []


def test_one_look_extends_the_rerun_then_its_window_then_what_was_joined(built: tuple[Flow, Flow]) -> None:
    weather, flights = built
    wins = [*weather.wins(), *flights.wins()]
    for _ in range(2):
        with write() as cur:  # the leases of all three are over, and each waits for the one under it
            cur.execute(
                "UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h', open_until = clock_timestamp()"
                " WHERE win = ANY(%s)",
                (wins,),
            )
        assert {check.win: check.outcome for check in enforce_due() if check.win in wins} == dict.fromkeys(
            wins, "extended"
        )
    assert decide_gate(flights.name, "r1").granted


def test_another_rerun_that_covers_it_takes_nothing_from_what_was_joined(
    built: tuple[Flow, Flow], crowd: Crowd
) -> None:
    weather, flights = built
    replayed(crowd, weather, whole=True)
    weather.work()
    again = judge_rerun(weather, 2)
    assert again.verdict.title == "PASS" and again.verdict.cover.lacks == ()
    assert decide_gate(weather.name, "r1", 1).granted and decide_gate(flights.name, "r1").granted
    assert {looked_at(flow, *built)[win][0] for flow in built for win in flow.wins()} == {"extended"}
    assert fsck(stream=flights.name) == []


def test_what_was_joined_falls_with_the_rerun(built: tuple[Flow, Flow]) -> None:
    weather, flights = built
    contradicted(weather, win_of(weather, 1))
    found = decide_gate(flights.name, "r1")
    why = f"the gate of {weather.name}/r1#2 is shut: 1 settled publish contradicted by the bus"
    assert found.code is Code.SHUT and found.detail.count("r1#2 is shut") == 1 and why in found.detail, found
    assert why in context_now(flights)
    assert judge_rerun(weather).verdict.title == "FAIL"
    assert f"{weather.name}/r1#1 is FAIL" in context_now(flights)


def context_now(flow: Flow) -> str:
    (check,) = (x for x in checks_now(window_of(flow.name, "r1")).checks if x.name == "CONTEXT")
    assert check.state == "BROKEN"
    return check.causes[0].text


def test_it_is_none_before_it_is_open(monkeypatch: pytest.MonkeyPatch, live: Stack) -> None:
    weather = missed(Flow(contract=p.WEATHER), monkeypatch, [p.report(n) for n in (1, 2)])
    with pytest.raises(ContextNotPassed):
        p.joined(weather).open()
    leave([weather.name])


# ---- it opens nothing -----------------------------------------------------------------------------------------------


def test_a_part_of_it_covers_nothing(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    part = {"ranges": [{"source": "inbox/0", "from": 0, "to": 3}]}
    said = "not all of inbox/0 is read again, which is [0, 4)"
    assert f"It would not open window 1: {said}." in preview("replay", asked(flow, **part)).prediction.lines
    replayed(crowd, flow, **part)
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and lacks(stored) == said
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED
    assert decide_gate(flow.name, "r1").code is Code.FAILED
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted


def test_a_plan_that_was_cancelled_covers_nothing_and_shuts_nothing(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    cancelled(flow, crowd)
    assert "not all of inbox/0" in lacks(judge_rerun(flow))
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED
    replayed(crowd, flow, whole=True)
    flow.work()
    assert judge_rerun(flow, 2).verdict.cover.lacks == ()
    assert decide_gate(flow.name, "r1", 1).granted
    cancelled(flow, crowd)
    judge_rerun(flow, 3)
    answer = decide_gate(flow.name, "r1", 1)
    assert answer.granted and "proven by rerun 2" in answer.detail


def test_a_rerun_that_nobody_rechecked_lately_is_named_as_that(left_out: Flow, crowd: Crowd) -> None:
    """It is no context, and nobody has shut it: what a person can do is see to the re-checks."""
    flow = left_out
    stored = proven(flow, crowd)
    with write() as cur:
        cur.execute("UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (win_of(flow, 1),))
    (lapsed,) = flow.rows("SELECT open_until FROM gate_open WHERE win = %(w)s", w=win_of(flow, 1))
    found = seen_now([win_of(flow)])[win_of(flow)]
    said = f"the gate of {stored.name} was not re-checked since {lapsed.open_until:%Y-%m-%d %H:%M}"
    assert (found.outcome, found.why) == ("unmeasured", said)
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"extended"}, "and a re-check ends it"


def cancelled(flow: Flow, crowd: Crowd) -> None:
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=3))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    cancel(number, crowd.asker, crowd.people, "enough")
    flow.work()


THIRD = """ WHERE source_id = %s AND "offset" = 3"""


@pytest.mark.parametrize(
    ("spoils", "said"),
    [
        ("UPDATE place SET bus_offset = bus_offset + 1000" + THIRD, "were met on the bus"),
        ("UPDATE batch SET digest = sha256('else') WHERE source_id = %s", "of it has another digest"),
        ("UPDATE event SET identity = sha256('else')" + THIRD, "1 event is not applied"),
    ],
)
def test_what_the_ledger_says_otherwise_is_not_covered(left_out: Flow, crowd: Crowd, spoils: str, said: str) -> None:
    flow = left_out
    replayed(crowd, flow, whole=True)
    flow.work()
    with as_owner() as connection:
        connection.execute(spoils, (flow.sources("inbox")[0],))
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and said in lacks(stored)
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED


def test_a_window_that_has_not_failed_is_covered_by_nothing(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1), b"{"])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "BLOCKED"
    seen = preview("replay", asked(flow, whole=True)).prediction.lines
    assert any("It would not open window 1: window 1 has not failed: it is BLOCKED" in line for line in seen)


def test_what_changes_between_measuring_and_storing_is_not_overlooked(left_out: Flow, crowd: Crowd) -> None:
    """The window's own revision counts, beside that of the rerun."""
    flow = left_out
    replayed(crowd, flow, whole=True)
    flow.work()
    flow.sample()
    judged = close.judge(win_of(flow, 1))
    with write() as cur:
        raise_revisions(cur, [win_of(flow)])
    with pytest.raises(close.AnotherCloser):
        close.store(judged, "test")
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED
    judge_rerun(flow)
    assert decide_gate(flow.name, "r1", 1).granted


# ---- it is shut -----------------------------------------------------------------------------------------------------


def test_an_inbox_that_says_otherwise_later_shuts_it(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    proven(flow, crowd)
    with as_owner() as connection:
        connection.execute(
            "UPDATE receipt SET payload_digest = sha256('else') WHERE source_id = %s AND \"offset\" = 2",
            (flow.sources("inbox")[0],),
        )
    replayed(crowd, flow, whole=True)
    flow.work()
    assert judge_rerun(flow, 2).verdict.title == "FAIL"
    for window in (1, None):
        answer = decide_gate(flow.name, "r1", window)
        assert answer.code is Code.SHUT and "rerun 2 of it failed" in answer.detail, answer
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted, "what the rerun brought is its own"


def contradicted(flow: Flow, win: int) -> None:
    with write() as cur:
        cur.execute(
            'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
            " SELECT %s, a.id, 'ACKED_NOT_FOUND', a.source_id, 0, 'for a test' FROM attempt a"
            " WHERE a.source_id = ANY(%s) LIMIT 1",
            (win, flow.sources()),
        )


@pytest.mark.parametrize("rerun", [None, 1])
def test_a_contradiction_shuts_it_at_once(left_out: Flow, crowd: Crowd, rerun: int | None) -> None:
    """Of the window, or of the rerun that it stands on: in that very transaction."""
    flow = left_out
    proven(flow, crowd)
    contradicted(flow, win_of(flow, rerun))
    answer = decide_gate(flow.name, "r1", 1)
    assert answer.code is Code.SHUT and "contradicted by the bus" in answer.detail, answer
    replayed(crowd, flow, whole=True)
    flow.work()
    assert "contradicted by the bus" in lacks(judge_rerun(flow, 2))
    assert not decide_gate(flow.name, "r1", 1).granted


def test_a_rerun_that_fails_after_its_pass_takes_its_window_along(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    proven(flow, crowd)
    contradicted(flow, win_of(flow, 1))
    assert judge_rerun(flow).verdict.title == "FAIL"
    answer = decide_gate(flow.name, "r1", 1)
    assert answer.code is Code.FAILED and "Rerun 1 had proven it, and that stands no more" in answer.detail


def test_a_bus_created_again_shuts_both(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    proven(flow, crowd)
    flow.admin.delete_topic(flow.bus)
    flow.admin.create_topic(flow.bus, flow.bus_partitions)
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"shut"}
    assert decide_gate(flow.name, "r1", 1).code is Code.SHUT
    lines = preview("replay", asked(flow, whole=True)).prediction.lines
    assert any("It would not open window 1" in line and f"went to a {flow.bus} that is gone" in line for line in lines)


# ---- in no moment are both open -------------------------------------------------------------------------------------


def test_no_fresh_run_takes_the_place_of_a_window_that_a_rerun_keeps_open(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    proven(flow, crowd)
    with pytest.raises(PlanRefused, match="its gate is open"):
        preview("replay", asked(flow, whole=True, mode="fresh"))


def test_a_rerun_covers_nothing_once_a_fresh_run_takes_the_place(left_out: Flow, crowd: Crowd) -> None:
    flow = left_out
    replayed(crowd, flow, whole=True)
    flow.work()
    replayed(crowd, flow, NO_LIMITS, whole=True, mode="fresh")
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and f"{flow.name}/r1.r1 takes the place of window 1" in lacks(stored)
    flow.work()
    assert fresh(flow).verdict.title == "PASS"
    assert f"superseded by {flow.name}/r1.r1" in decide_gate(flow.name, "r1", 1).detail
