"""Redrives on the real stack: what was quarantined becomes events, in a rerun that is judged and read by itself."""

from __future__ import annotations

import base64
import json
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from audit import go_on as going_on
from audit.close import close_run
from audit.core.gate import Code
from audit.enforce import decide_gate, enforce_due
from audit.fsck import fsck
from audit.go_on import go_on, go_on_due
from audit.open import EarlierRunAtWork, newest_pass
from audit.rerun import LookedBackOn
from ingest.db import read
from ingest.models import Resolution
from ingest.quarantine import resolve
from plans.core.binding import NO_LIMITS, Limits
from plans.core.plan import Outcome, State
from plans.errors import PlanRefused
from plans.preview import preview
from plans.run import run_plan
from plans.steer import cancel, resume
from plans.submit import submit
from tests.audit.test_fsck import cheat
from tests.flow.world import CONTRACT, Flow, thing
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes
from tests.plans.test_waive import blocked, open_items

MakeFlow = Callable[..., Flow]
SMALL = CONTRACT.replace("value_bytes = 4096", "value_bytes = {value_bytes}")
PAD = "x" * 600


def large(number: int, **more: Any) -> bytes:
    """An event that a contract with small values sets aside."""
    return thing(number, pad=PAD, **more)


def small_flow(make_flow: MakeFlow, **settings: Any) -> Flow:
    """A stream whose contract is too strict about values' size."""
    return make_flow(contract=SMALL.replace("{value_bytes}", "512"), **settings)


def mended(flow: Flow) -> None:
    """The contract that takes them."""
    flow.contract = SMALL.replace("{value_bytes}", "4096")
    flow.load()


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", **more}


def redriven(crowd: Crowd, flow: Flow, limits: Limits = NO_LIMITS, **more: Any) -> int:
    """Asked for, approved and run to its end."""
    number = submit("redrive", asked(flow, **more), crowd.asker, "the contract was too strict", crowd.people, limits)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def judge_rerun(flow: Flow, rerun: int = 1, window: int | None = 1) -> Any:
    flow.sample()
    return close_run(flow.name, "r1", "test", window, rerun=rerun)


def test_what_a_strict_contract_set_aside_is_redriven_under_the_mended_one(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), large(2), large(3)])
    mended(flow)
    seen = preview("redrive", asked(flow, reason="TOO_LARGE"))
    assert seen.prediction.outcomes == {Outcome.ADMITTED: 2}
    number = redriven(crowd, flow, reason="TOO_LARGE")
    assert [outcome for _, outcome in items(number)] == ["ADMITTED", "ADMITTED"]
    flow.work()
    assert flow.count("event") == flow.count("effect") == 3
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.name == f"{flow.name}/r1#2"
    assert decide_gate(flow.name, "r1", 1, rerun=1).granted
    own = flow.judge()
    assert own.verdict.title == "PASS", own.sentence
    assert decide_gate(flow.name, "r1").granted and decide_gate(flow.name, "r1", 1).granted
    assert {check.outcome for check in enforce_due() if check.win in flow.wins()} <= {"extended"}
    assert fsck(stream=flow.name) == []


def outcomes(number: int) -> list[str | None]:
    return [outcome for _, outcome in items(number)]


def reruns(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT w.number, w.rerun, w.state, x.plan FROM rerun x JOIN run_window w ON w.id = x.win"
        " JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY w.id"
    )


def states(flow: Flow) -> list[tuple[str, str | None]]:
    rows = flow.rows(
        "SELECT q.state, q.resolution FROM quarantine_item q JOIN run r ON r.id = q.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY q.id"
    )
    return [(row.state, row.resolution) for row in rows]


# ---- how items end --------------------------------------------------------------------------------------------------


def test_what_is_known_already_is_a_duplicate_and_resolved(make_flow: MakeFlow, crowd: Crowd) -> None:
    """Two records of one event were set aside: the second is what the first became. Nothing is admitted twice."""
    flow = blocked(small_flow(make_flow), [thing(1), large(2), large(2)])
    mended(flow)
    seen = preview("redrive", asked(flow, reason="TOO_LARGE"))
    assert seen.prediction.outcomes == {Outcome.ADMITTED: 1, Outcome.DUPLICATE: 1}
    number = redriven(crowd, flow, reason="TOO_LARGE")
    assert outcomes(number) == ["ADMITTED", "DUPLICATE"]
    flow.work()
    assert flow.count("event") == flow.count("effect") == 2
    assert states(flow) == [("RESOLVED", "REDRIVEN")] * 2
    assert judge_rerun(flow).verdict.title == "PASS"


def test_what_is_set_aside_again_is_the_item_that_it_was(make_flow: MakeFlow, crowd: Crowd) -> None:
    """No second item, nothing green: the rerun waits for the same person as its window does."""
    flow = blocked(small_flow(make_flow, close="discard_max = 1"), [thing(1), large(2), large(3)])
    number = redriven(crowd, flow, reason="TOO_LARGE")  # under the contract that set it aside
    assert outcomes(number) == ["QUARANTINED", "QUARANTINED"]
    assert states(flow) == [("OPEN", None)] * 2
    stored = judge_rerun(flow)
    assert stored.verdict.title == "BLOCKED"
    assert {str(check.name) for check in stored.verdict.failed()} == {"QUARANTINE", "NOT_EMPTY"}
    assert flow.judge().verdict.title == "BLOCKED"
    assert decide_gate(flow.name, "r1", 1, rerun=1).code is Code.BLOCKED
    mended(flow)
    again = redriven(crowd, flow, items=open_items(flow)[:1])
    resolve(open_items(flow), "ana", Resolution.DISCARDED, "not worth it")
    flow.work()
    assert [row.rerun for row in reruns(flow)] == [1, 2]
    assert outcomes(again) == ["ADMITTED"]
    assert judge_rerun(flow, 2).verdict.title == "PASS"
    first = judge_rerun(flow, 1)  # what it set aside is resolved, and nothing of it is an event
    assert {str(check.name) for check in first.verdict.failed()} == {"QUARANTINE", "NOT_EMPTY"} or {
        str(check.name) for check in first.verdict.failed()
    } == {"NOT_EMPTY"}
    assert flow.judge().verdict.title == "PASS"


def test_a_resolution_of_a_person_stays(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow, close="discard_max = 9"), [thing(1), large(2)])
    chosen = open_items(flow)
    resolve(chosen, "ana", Resolution.DISCARDED, "no use")
    mended(flow)
    number = redriven(crowd, flow, items=chosen)
    assert outcomes(number) == ["ADMITTED"]
    assert states(flow) == [("RESOLVED", "DISCARDED")]
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"


def test_records_that_name_another_run_find_their_way(make_flow: MakeFlow, crowd: Crowd) -> None:
    """LATE in r2's window, an event of r1: the rerun is r1's, and r2's item is resolved."""
    flow = make_flow()
    flow.open("r1")
    flow.produce([thing(1)], run="r1")
    flow.work()
    flow.cut("r1")
    flow.work()
    assert flow.judge("r1").verdict.title == "PASS"
    flow.open("r2")
    flow.produce([thing(2)], run="r2")
    flow.produce([thing(3)], run="r1")
    flow.work()
    (late,) = open_items(flow)
    with pytest.raises(PlanRefused, match="names r1"):
        preview("redrive", {"stream": flow.name, "run": "r2", "items": [late]})
    number = redriven(crowd, flow, items=[late])
    assert outcomes(number) == ["ADMITTED"]
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"
    # r1 is as open as it was, and what was late is read with a PASS of its own
    assert decide_gate(flow.name, "r1").granted and decide_gate(flow.name, "r1", 1, rerun=1).granted
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.title == "PASS"


def test_a_corrected_record_is_an_event_and_the_item_keeps_what_came(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(make_flow(), [thing(1), thing(1, other=True), b"{"])
    mismatch, broken = open_items(flow)
    with pytest.raises(PlanRefused, match="another payload"):
        preview("redrive", asked(flow, items=[mismatch]))
    right = {str(mismatch): thing(7, other=True), str(broken): thing(8)}
    said = {item: base64.b64encode(raw).decode() for item, raw in right.items()}
    number = redriven(crowd, flow, items=[mismatch, broken], corrections=said)
    assert outcomes(number) == ["ADMITTED", "ADMITTED"]
    (row,) = flow.rows("SELECT value FROM quarantine_item WHERE id = %(id)s", id=mismatch)
    assert json.loads(bytes(row.value)) == {"type": "thing", "id": 1, "other": True}
    rows = flow.rows("SELECT corrected_by FROM redrive WHERE plan = %(plan)s", plan=number)
    assert [row.corrected_by for row in rows] == [crowd.asker.name] * 2
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"
    assert flow.judge().verdict.title == "PASS"


def test_a_correction_under_an_identity_that_stands_stays_set_aside(make_flow: MakeFlow, crowd: Crowd) -> None:
    """A correction never makes another payload of an event that was admitted."""
    flow = blocked(make_flow(), [thing(1), b"{"])
    said = {str(open_items(flow)[0]): base64.b64encode(thing(1, other=True)).decode()}
    number = redriven(crowd, flow, items=open_items(flow), corrections=said)
    assert outcomes(number) == ["QUARANTINED"]
    assert flow.count("event") == 1 and states(flow) == [("OPEN", None)]


# ---- what is refused, and what changes ------------------------------------------------------------------------------


def test_a_contract_that_names_events_otherwise_is_refused(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), large(2)])
    flow.contract = SMALL.replace("{value_bytes}", "4096").replace('id = ["/id"]', 'id = ["/id", "/pad"]')
    flow.load()
    with pytest.raises(PlanRefused, match="another class, run or id rule"):
        preview("redrive", asked(flow, reason="TOO_LARGE"))
    preview("redrive", asked(flow, reason="TOO_LARGE", contract=1))


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({}, "both or neither"),
        ({"items": [1], "reason": "TOO_LARGE"}, "both or neither"),
        ({"reason": "NO_SUCH"}, "NO_SUCH"),
        ({"items": [2**40]}, "none of that number"),
        ({"reason": "NOT_JSON"}, "found 0"),
        ({"reason": "TOO_LARGE", "contract": 99}, "99"),
        ({"reason": "TOO_LARGE", "corrections": {"1": "!"}}, "base64"),
    ],
)
def test_what_cannot_be_asked_for(make_flow: MakeFlow, more: dict[str, Any], said: str) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), large(2)])
    with pytest.raises(PlanRefused, match=said):
        preview("redrive", asked(flow, **more))


def test_an_item_resolved_since_voids_the_plan_and_says_by_whom(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow, close="discard_max = 9"), [thing(1), large(2), large(3)])
    mended(flow)
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    resolve(open_items(flow)[:1], "ana", Resolution.DISCARDED, "no use")
    run_to(crowd, number, State.VOID)
    assert "items OPEN: 2 → 1" in plan_row(number).void_why and "by ana" in plan_row(number).void_why
    assert outcomes(number) == ["NOT_RUN"] * 2
    assert reruns(flow) == [] and flow.count("event") == 1


# ---- mercy ----------------------------------------------------------------------------------------------------------


def test_the_first_few_then_the_rest(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), *(large(n) for n in range(2, 7))])
    mended(flow)
    limits = Limits(first=2, stop_when="quarantined > 0")
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people, limits)
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    assert outcomes(number) == ["ADMITTED"] * 2 + [None] * 3
    assert [row.state for row in reruns(flow)] == ["OPEN"]
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    assert outcomes(number) == ["ADMITTED"] * 5
    assert [row.state for row in reruns(flow)] == ["CUT"]
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"


def test_a_cancelled_redrive_is_cut_where_it_stands_and_judged_on_what_ran(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), *(large(n) for n in range(2, 6))])
    mended(flow)
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people, Limits(first=1))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    cancel(number, crowd.asker, crowd.people, "enough")
    assert outcomes(number) == ["ADMITTED", *["NOT_RUN"] * 3]
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"
    assert len(open_items(flow)) == 3 and flow.judge().verdict.title == "BLOCKED"
    rest = redriven(crowd, flow, reason="TOO_LARGE")
    assert outcomes(rest) == ["ADMITTED"] * 3
    flow.work()
    assert judge_rerun(flow, 2).verdict.title == "PASS"
    assert flow.judge().verdict.title == "PASS"


def test_an_item_tried_three_times_leaves_selections_and_not_the_list(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), large(2)])
    for _ in range(3):
        redriven(crowd, flow, reason="TOO_LARGE")
    with pytest.raises(PlanRefused, match="found 0"):
        preview("redrive", asked(flow, reason="TOO_LARGE"))
    mended(flow)
    assert outcomes(redriven(crowd, flow, items=open_items(flow))) == ["ADMITTED"]


def test_a_plan_without_its_place_in_time_goes_on_when_kafka_answers(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Kafka away: held with its words, and nothing of it has happened."""
    from audit.capture import Capture

    flow = blocked(small_flow(make_flow), [thing(1), large(2)])
    mended(flow)
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    with monkeypatch.context() as away:
        away.setattr("plans.kinds.redrive.look.capture", lambda contract: Capture(why="nobody answered"))
        run_plan(number, crowd.people, lambda: True)
    assert plan_row(number).state == "HELD" and "nobody answered" in plan_row(number).held_why
    assert reruns(flow) == [] and outcomes(number) == [None]
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    flow.work()
    assert judge_rerun(flow).verdict.title == "PASS"


# ---- beside the chain of windows ------------------------------------------------------------------------------------


def test_windows_go_on_beside_a_rerun(make_flow: MakeFlow, crowd: Crowd) -> None:
    """A rerun is nobody's newest window and nobody's next: cutting, closing and the run's gate are the windows'."""
    flow = small_flow(make_flow)
    flow.open()
    flow.produce([thing(1), large(2)])
    flow.work()
    go_on(flow.name, "r1", "ana")
    mended(flow)
    number = submit(
        "redrive", asked(flow, reason="TOO_LARGE", window=1), crowd.asker, "why", crowd.people, Limits(first=1)
    )
    say_yes(crowd, number)
    run_plan(number, crowd.people, lambda: True)
    flow.produce([thing(5)])
    flow.work()
    go_on(flow.name, "r1", "ana")
    flow.cut()
    flow.work()
    for window in (1, 2, 3):
        flow.sample()
        assert close_run(flow.name, "r1", "test", window).verdict.title == ("PASS" if window < 3 else "BLOCKED")
    assert judge_rerun(flow).verdict.title == "PASS"
    (run,) = flow.rows("SELECT r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")
    assert run.state == "CLOSED"
    assert [(row.number, row.rerun) for row in reruns(flow)] == [(1, 1)]
    ends = flow.rows(
        "SELECT count(*) AS n FROM window_range g JOIN source c ON c.id = g.source_id AND c.role = 'bus'"
        " JOIN run_window w ON w.id = g.win AND w.reruns IS NOT NULL JOIN run r ON r.id = w.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s"
    )
    assert ends[0].n == 0


def test_prediction_is_outcome(make_flow: MakeFlow, crowd: Crowd) -> None:
    """On an unchanged ledger and basis, a hundred selections with a seed each end as they were foreseen."""
    flow = small_flow(make_flow)
    flow.open()
    chance = random.Random(14)  # noqa: S311
    values: list[bytes] = []
    for number in range(500):
        kind = chance.choice("lllwbsd")
        values.append({
            "l": large(chance.randrange(300)),
            "w": large(chance.randrange(300), more=chance.randrange(2)),
            "b": b"{" + PAD.encode(),
            "s": json.dumps({"type": "none", "id": number, "pad": PAD}).encode(),
            "d": json.dumps({"type": "thing", "pad": PAD}).encode(),
        }[kind])  # fmt: skip
    flow.produce([thing(number) for number in range(40)])
    flow.produce(values)
    flow.work()
    flow.cut()
    flow.work()
    mended(flow)
    ids = open_items(flow)
    assert len(ids) == 500
    differ = []
    for seed in range(100):
        chosen = sorted(random.Random(seed).sample(ids, 5))  # noqa: S311
        seen = preview("redrive", asked(flow, items=chosen)).prediction.outcomes
        number = submit("redrive", asked(flow, items=chosen), crowd.asker, "why", crowd.people)
        say_yes(crowd, number)
        run_plan(number, crowd.people, lambda: True)
        found = Counter(outcomes(number))
        if found != {str(outcome): n for outcome, n in seen.items()}:
            differ.append((seed, seen, found))
    assert not differ
    rows = flow.rows(
        "SELECT DISTINCT d.decision FROM redrive d JOIN source c ON c.id = d.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    kinds = {row.decision for row in rows}
    assert kinds == {1, 2, 3}, "each way to end was foreseen"


def test_what_a_later_run_looks_back_on_admits_nothing_more(make_flow: MakeFlow, crowd: Crowd) -> None:
    """The later run would not know of what came in now, and had admitted the same event itself."""
    flow = blocked(small_flow(make_flow), [thing(1), large(2)])
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people, Limits(first=1))
    flow.contract = SMALL.replace("{value_bytes}", "4096").replace("[run]", "[run]\nlooks_back = 1")
    flow.load()
    flow.open("r2")
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    assert f"{flow.name}/r2 does" in plan_row(number).held_why and outcomes(number) == [None]
    with pytest.raises(LookedBackOn):
        preview("redrive", asked(flow, reason="TOO_LARGE"))


def test_a_run_does_not_look_back_on_one_that_a_plan_still_fills(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(small_flow(make_flow), [thing(1), large(2), large(3)])
    flow.contract = SMALL.replace("{value_bytes}", "4096").replace("[run]", "[run]\nlooks_back = 1")
    flow.load()
    number = submit("redrive", asked(flow, reason="TOO_LARGE"), crowd.asker, "why", crowd.people, Limits(first=1))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    with pytest.raises(EarlierRunAtWork):
        flow.open("r2")
    cancel(number, crowd.asker, crowd.people, "enough")
    flow.open("r2")


def test_windows_follow_one_another_while_a_plan_keeps_a_run_from_ending(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next run would look back on it, and a plan may be held for a day: its hours are cut all the same."""
    text = CONTRACT.replace("[run]", '[run]\nname = "%Y-%m-%dT%H.%M"\nlooks_back = 1')
    flow = make_flow(contract=text.replace("[limits]", '[window]\nevery = "1h"\n[limits]'))
    go_on_due()
    (name,) = [row.name for row in runs(flow)]
    flow.produce([thing(1), b"{", b"["], run=name)
    flow.work()
    chosen = open_items(flow)
    right = {str(item): base64.b64encode(thing(item + 10)).decode() for item in chosen}
    wanted = {"stream": flow.name, "run": name, "items": chosen, "corrections": right}
    number = submit("redrive", wanted, crowd.asker, "why", crowd.people, Limits(first=1))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    monkeypatch.setattr(going_on, "is_run_over", lambda pattern, opened, now: True)
    monkeypatch.setattr(going_on, "is_window_over", lambda opened, now, every: True)
    assert [(x.cut.result, x.next_window) for x in go_on_due() if x.next_run == name] == [("cut", 2)]
    assert [row.state for row in runs(flow)] == ["OPEN"]
    cancel(number, crowd.asker, crowd.people, "enough")
    go_on_due()
    assert [row.state for row in runs(flow)] == ["CUT", "OPEN"]


def runs(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT r.name, r.state FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY r.id"
    )


def test_a_rerun_is_no_context_by_itself(make_flow: MakeFlow, crowd: Crowd) -> None:
    """What joins with the stream joins with its windows, not with the two events that a rerun brought."""
    flow = small_flow(make_flow, quarantine_open_max=9)
    flow.open()
    flow.produce([thing(1), large(2)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    mended(flow)
    redriven(crowd, flow, reason="TOO_LARGE")
    flow.work()
    assert judge_rerun(flow).name == f"{flow.name}/r1#2"
    with read() as cur:
        found = newest_pass(cur, flow.name)
        assert newest_pass(cur, flow.name, f"{flow.name}/r1#2") is None
    assert found is not None and found.name == f"{flow.name}/r1#1"


# ---- what is said of them afterwards --------------------------------------------------------------------------------


def test_a_yes_of_a_rerun_is_held_against_its_own_verdict(make_flow: MakeFlow, crowd: Crowd) -> None:
    """However long the window stays BLOCKED beside it; and of a rerun that is BLOCKED nobody was let in."""
    flow = blocked(small_flow(make_flow), [thing(1), large(2), large(3)])
    redriven(crowd, flow, reason="TOO_LARGE")  # under the contract that set them aside: rerun 1 is BLOCKED
    flow.work()
    assert judge_rerun(flow).sentence.startswith("Window 1 rerun 1 is BLOCKED: ")
    mended(flow)
    redriven(crowd, flow, items=open_items(flow)[:1])
    flow.work()
    assert judge_rerun(flow, 2).sentence.startswith("Window 1 rerun 2 is PASS: ")
    assert decide_gate(flow.name, "r1", 1, rerun=2).granted

    def later(**columns: object) -> None:
        """As if it had been asked ten seconds later, and of this."""
        with cheat(flow) as connection:
            connection.execute(
                "UPDATE gate_decision SET at = at + interval '10 seconds', rerun = %(rerun)s WHERE stream = %(stream)s",
                columns | {"stream": flow.name},
            )

    def found() -> list[str]:
        return [each.found for each in fsck(stream=flow.name) if each.check == "granted_after"]

    later(rerun=2)
    assert found() == []
    later(rerun=1)
    assert found() == ["granted  while window 1 rerun 1 stood on #2 BLOCKED"]
    later(rerun=None)
    assert found() == ["granted  while window 1 stood on #1 BLOCKED"]
    with cheat(flow) as connection:  # that was no finding of this stream
        connection.execute("DELETE FROM gate_decision WHERE stream = %(stream)s", {"stream": flow.name})


# ---- later events of the same key -----------------------------------------------------------------------------------


def later(flow: Flow, kind: str, **more: Any) -> list[str]:
    """What the preview says of later events that are applied already."""
    return [line for line in preview(kind, asked(flow, **more)).prediction.lines if "Kafka key" in line]


def test_a_preview_says_how_many_later_events_of_the_same_keys_are_applied(make_flow: MakeFlow) -> None:
    flow = small_flow(make_flow)
    flow.open()
    flow.produce([thing(1), large(2), thing(3), large(4)], key=b"a")
    flow.produce([large(5), thing(6)], key=b"b")
    flow.produce([large(7)], key=None)
    flow.produce([thing(8), b"not json"], key=b"a")
    flow.work("admission")
    mended(flow)
    assert later(flow, "redrive", reason="TOO_LARGE") == [], "nothing is applied yet"
    flow.work()
    assert later(flow, "redrive", reason="TOO_LARGE") == ["3 later events of the same Kafka keys are applied already."]
    second, fourth, fifth, seventh, last = open_items(flow)
    for items_, n in (([second], 2), ([fourth], 1), ([second, fourth], 2), ([fifth], 1), ([seventh], 0), ([last], 0)):
        found = later(flow, "redrive", items=items_)
        wanted = f"{n} later event{'s' * (n > 1)} of the same Kafka keys {'is' if n == 1 else 'are'} applied already."
        assert found == ([wanted] if n else []), items_
    flow.cut()
    flow.work()
    whole = later(flow, "replay", window=1, whole=True, contract=2)
    assert whole == ["3 later events of the same Kafka keys are applied already."]
    first = later(flow, "replay", window=1, ranges=[{"source": "inbox/0", "from": 0, "to": 1}], contract=2)
    assert first == [], "a duplicate is applied no second time"
