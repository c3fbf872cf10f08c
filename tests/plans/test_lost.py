"""A bus that was created again: what was published is lost with it, published again, proven, and read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from audit.close import checks_now, window_of
from audit.core.gate import Code
from audit.enforce import decide_gate
from console.permissions import Role
from ingest.core.attempt import BusAnswer
from ingest.kafka import PlainProducer
from ingest.projections.weather import Weather
from ingest.publish.loss import BusStillThere
from ingest.publish.republish import NotWithheld
from plans.core.plan import State
from plans.errors import NotAllowed, PlanRefused
from plans.offers import offers_of
from plans.preview import preview
from plans.run import run_plan
from plans.submit import submit
from stack import Stack
from tests.flow import test_projections as p
from tests.flow.bus import half_sent, read_bus
from tests.flow.test_reconcile import unknown
from tests.flow.world import CONTRACT, Flow, seen_by_readers, thing
from tests.pages.conftest import signed_in
from tests.plans.crowd import Crowd, items, plan_row, run_to, say_yes
from tests.plans.test_cover import lacks, looked_at, missed, win_of
from tests.plans.test_decide import Killed
from tests.plans.test_free import alone, free_records
from tests.plans.test_replay import asked as asked_replay
from tests.plans.test_replay import judge_rerun, replayed

MakeFlow = Callable[..., Flow]


def created_again(flow: Flow) -> None:
    flow.admin.delete_topic(flow.bus)
    flow.admin.create_topic(flow.bus, flow.bus_partitions)
    flow.producer = PlainProducer(flow.cluster)


def failed(flow: Flow, *lanes: str, values: list[bytes] | None = None) -> None:
    """A window that was published, and read if the effects lane had its turn; then its bus was created again."""
    flow.open()
    flow.produce(values or [thing(n) for n in range(4)])
    flow.work(*lanes)
    flow.cut()
    created_again(flow)
    stored = flow.judge()
    assert stored.verdict.title == "FAIL" and "was deleted and created again" in stored.sentence, stored.sentence


def goes_on(flow: Flow, run: str = "r2") -> None:
    """The next run, on the bus that is there."""
    flow.open(run)
    flow.produce([thing(f"{run}-{n}") for n in range(3)])
    flow.work()


def asked(flow: Flow, **more: Any) -> dict[str, Any]:
    return {"stream": flow.name, "run": "r1", "window": 1, **more}


def lost(crowd: Crowd, flow: Flow) -> int:
    """Asked for and approved."""
    number = submit("republish", asked(flow), crowd.asker, "the bus was deleted", crowd.people)
    say_yes(crowd, number)
    return number


def published_again(crowd: Crowd, flow: Flow) -> int:
    number = lost(crowd, flow)
    run_to(crowd, number, State.DONE)
    flow.work()
    return number


def proven(crowd: Crowd, flow: Flow, rerun: int = 1) -> Any:
    replayed(crowd, flow, whole=True)
    flow.work()
    return judge_rerun(flow, rerun)


def effects(flow: Flow) -> dict[bytes, int]:
    """How many effects each event of the first window has."""
    rows = flow.rows(
        "SELECT e.identity, count(x.identity) AS n FROM event e LEFT JOIN effect x ON x.run_id = e.run_id"
        " AND x.identity = e.identity AND x.win = e.win WHERE e.win = %(win)s GROUP BY 1",
        win=win_of(flow),
    )
    return {bytes(row.identity): row.n for row in rows}


def of_first(flow: Flow) -> list[str]:
    """The states of the first window's attempts."""
    rows = flow.rows(
        "SELECT DISTINCT a.id, a.state FROM attempt a JOIN attempt_batch ab ON ab.attempt_id = a.id"
        " JOIN batch b ON b.id = ab.batch_id WHERE b.win = %(win)s ORDER BY a.id",
        win=win_of(flow),
    )
    return [row.state for row in rows]


# ---- end to end -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("lanes", [(), ("admission", "publish")], ids=["applied", "unread"])
def test_what_was_lost_with_the_bus_is_published_again_and_its_window_is_read(
    flow: Flow, crowd: Crowd, lanes: tuple[str, ...]
) -> None:
    failed(flow, *lanes)
    goes_on(flow)
    applied = set(effects(flow).values())
    assert applied == ({0} if lanes else {1})
    seen = preview("republish", asked(flow))
    assert seen.prediction.lines[0] == (
        f"1 publish (4 events) went to a {flow.bus} that was deleted and created again: it would be LOST."
    )
    number = published_again(crowd, flow)
    assert [outcome for _, outcome in items(number)] == ["DONE"]
    assert of_first(flow) == ["LOST", "ACKED"]
    assert effects(flow).keys() and set(effects(flow).values()) == {1}, "applied once, whichever copy came first"
    assert sum(map(len, read_bus(flow).values())) == 4 + 3
    said = "Its PASS would open window 1, too, if nothing is missing then."
    assert said in preview("replay", asked_replay(flow, whole=True)).prediction.lines
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED, "not before it is proven"
    stored = proven(crowd, flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.verdict.cover is not None and stored.verdict.cover.lacks == (), stored.verdict.cover.lacks
    for window in (1, None):
        answer = decide_gate(flow.name, "r1", window)
        assert answer.granted and answer.verdict == stored.name, answer
        assert f"Window 1, proven by rerun 1 ({stored.name})." in answer.detail
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"extended"}
    states = flow.rows("SELECT state FROM verdict WHERE win = %(win)s", win=win_of(flow))
    assert [row.state for row in states] == ["FAIL"], "#1 stays"
    flow.cut("r2")
    flow.work()
    assert flow.judge("r2").verdict.title == "PASS", "what came on its bus beside its own is no stranger's"
    assert decide_gate(flow.name, "r2").granted


def test_readers_read_what_was_published_again(make_flow: MakeFlow, crowd: Crowd, live: Stack) -> None:
    """It was applied before, on the bus that is gone: each row is there once."""
    flow = make_flow(contract=p.WEATHER)
    failed(flow, values=[p.report(n) for n in range(3)])
    flow.open("r2")
    assert seen_by_readers(live.env()["PASSGATE_READER_URL"], "weather", [win_of(flow)]) == 0
    published_again(crowd, flow)
    stored = proven(crowd, flow)
    assert stored.verdict.cover.lacks == (), stored.sentence
    assert seen_by_readers(live.env()["PASSGATE_READER_URL"], "weather", [win_of(flow)]) == 3


def test_a_bus_that_is_created_again_once_more_shuts_both_and_is_mended_again(flow: Flow, crowd: Crowd) -> None:
    failed(flow)
    goes_on(flow)
    published_again(crowd, flow)
    assert proven(crowd, flow).verdict.cover.lacks == ()
    flow.cut("r2")
    created_again(flow)
    assert {outcome for outcome, _ in looked_at(flow).values()} == {"shut"}
    assert decide_gate(flow.name, "r1", 1).code is Code.SHUT
    goes_on(flow, "r3")
    assert "went to a" in lacks(proven(crowd, flow, 2)), "it is proven on the bus of now, or not at all"
    published_again(crowd, flow)
    assert of_first(flow) == ["LOST", "LOST", "ACKED"]
    assert proven(crowd, flow, 3).verdict.cover.lacks == ()
    assert decide_gate(flow.name, "r1", 1).granted
    assert set(effects(flow).values()) == {1}


def test_what_nobody_knew_landed_is_lost_with_its_bus_too(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its attempts has no outcome, and a half of it had landed; nobody can look for it any more."""
    flow = make_flow(automatic="false")
    unknown(flow, monkeypatch, half_sent)
    flow.cut()
    created_again(flow)
    goes_on(flow)
    flow.sample()
    stored = flow.judge()
    assert stored.verdict.title == "FAIL" and "that is gone" in stored.sentence, stored.sentence
    published_again(crowd, flow)
    flow.work_until(lambda: of_first(flow) == ["LOST", "ACKED"])  # its lane rests after the other
    flow.work()
    assert proven(crowd, flow).verdict.cover.lacks == ()
    assert decide_gate(flow.name, "r1", 1).granted


# ---- what is said and offered ---------------------------------------------------------------------------------------


def test_a_window_whose_bus_was_created_again_offers_what_mends_it(flow: Flow, crowd: Crowd) -> None:
    def offered() -> list[str]:
        flow.sample()
        win = window_of(flow.name, "r1", 1)
        return [f"{offer.kind} {offer.about}".strip() for offer in offers_of(win, checks_now(win).checks)]

    failed(flow)
    assert "republish" not in offered(), "nobody knows of another bus yet"
    goes_on(flow)
    assert offered() == ["republish", "replay prove", "replay fresh"]
    said = "It would not open window 1"
    lines = preview("replay", asked_replay(flow, whole=True)).prediction.lines
    assert any(said in line and "ask for a republish plan first" in line for line in lines), lines
    published_again(crowd, flow)
    assert offered() == ["replay prove", "replay fresh"]
    assert proven(crowd, flow).verdict.cover.lacks == ()
    assert offered() == []


def test_the_page_of_what_is_lost_says_by_whom(flow: Flow, crowd: Crowd) -> None:
    failed(flow)
    goes_on(flow)
    number = published_again(crowd, flow)
    (subject, _) = items(number)[0]
    page = signed_in("vera", Role.VIEWER).get(f"/attempts/{subject}").content.decode()
    assert f"by plan {number}, asked for by {crowd.asker.name}, approved by {crowd.approver.name}" in page


# ---- void and refused -----------------------------------------------------------------------------------------------


def test_nothing_is_lost_while_no_run_was_opened_on_the_new_bus(flow: Flow, crowd: Crowd) -> None:
    failed(flow)
    with pytest.raises(NotWithheld, match="none"):
        preview("republish", asked(flow))


def test_nothing_is_lost_of_a_window_that_failed_otherwise(
    live: Stack, monkeypatch: pytest.MonkeyPatch, make_flow: MakeFlow
) -> None:
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(4)])
    flow.open("r2")
    with pytest.raises(NotWithheld, match="none"):
        preview("republish", asked(flow))


def test_nothing_is_lost_of_a_window_that_has_not_failed(flow: Flow, crowd: Crowd) -> None:
    """It has passed, and its gate is shut: a fresh run takes its place."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    created_again(flow)
    goes_on(flow)
    with pytest.raises(NotWithheld, match="none"):
        preview("republish", asked(flow))


def test_one_person_is_not_enough_whatever_is_free(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = make_flow(contract=CONTRACT + "[plans]\nfree_records = 100\n")
    failed(flow)
    goes_on(flow)
    number = submit("republish", asked(flow), crowd.asker, "alone", crowd.people)
    assert free_records(number).records is None
    with pytest.raises(NotAllowed):
        alone(crowd, number)


def test_a_part_of_it_is_not_lost_alone(flow: Flow, crowd: Crowd) -> None:
    failed(flow)
    goes_on(flow)
    with pytest.raises(NotWithheld, match="is none of them"):
        preview("republish", asked(flow, attempts=[2**40]))


def test_what_comes_late_for_its_key_is_refused_where_a_projection_minds(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Weather, "order", "key")
    flow = make_flow(contract=p.WEATHER)
    failed(flow, "admission", "publish", values=[p.report(n) for n in range(3)])
    flow.open("r2")
    flow.work()
    with pytest.raises(PlanRefused, match="would come behind later ones"):
        preview("republish", asked(flow))


@pytest.mark.parametrize("when", ["bind", "before", "within"])
def test_nothing_is_lost_while_kafka_says_otherwise(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """A broker that is behind names the topic that is gone, whenever it is asked."""
    failed(flow)
    (sent_to,) = {row.topic_id for row in flow.rows("SELECT topic_id FROM attempt WHERE source_id = ANY(%(s)s)",
                                                    s=flow.sources())}  # fmt: skip
    goes_on(flow)
    from plans.kinds import republish

    real, asks = republish.ask, []

    def ask(topic: str) -> BusAnswer:
        found = real(topic)
        asks.append(found)
        at = {"bind": 1, "before": 1, "within": 2}[when]
        return BusAnswer(found.cluster_id, sent_to, found.at) if len(asks) == at else found

    if when == "bind":
        monkeypatch.setattr(republish, "ask", ask)
        with pytest.raises(BusStillThere, match="is there"):
            preview("republish", asked(flow))
        return
    number = lost(crowd, flow)
    monkeypatch.setattr(republish, "ask", ask)
    run_to(crowd, number, State.HELD)
    assert "is there" in plan_row(number).held_why
    assert set(of_first(flow)) == {"ACKED"}


def test_another_bus_than_was_approved_makes_it_void(flow: Flow, crowd: Crowd) -> None:
    failed(flow)
    goes_on(flow)
    number = lost(crowd, flow)
    flow.cut("r2")
    created_again(flow)
    goes_on(flow, "r3")
    run_to(crowd, number, State.VOID)
    assert "bus topic_id" in plan_row(number).void_why


@pytest.mark.parametrize("point", ["loss.after_rows", "loss.after_states", "loss.after_queue", "plan_step.after_doing"])
def test_a_step_that_dies_leaves_nothing_and_the_next_one_does_it(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch, point: str
) -> None:
    failed(flow)
    goes_on(flow)
    number = lost(crowd, flow)

    def dies(name: str) -> None:
        if name == point:
            raise Killed(name)

    with monkeypatch.context() as patched:
        for module in ("ingest.publish.loss", "plans.run"):
            patched.setattr(f"{module}.failpoint", dies)
        with pytest.raises(Killed):
            run_plan(number, crowd.people, lambda: True)
    assert set(of_first(flow)) == {"ACKED"}
    run_to(crowd, number, State.DONE)
    flow.work()
    assert of_first(flow) == ["LOST", "ACKED"]
