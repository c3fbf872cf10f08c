"""Retention took a part of the inbox: receipts stand in for it, and what was never received is named."""

from __future__ import annotations

import os
import re
import time
from typing import Any

import psycopg
import pytest
from psycopg.types.json import Jsonb

from audit import cover as covers
from audit.close import close_run
from audit.core.gate import Code
from audit.enforce import decide_gate
from audit.fsck import examine
from console.permissions import Role
from ingest.admit import replay as admission
from ingest.core.batching import OffsetRange
from ingest.db import fetch_one, read
from ingest.kafka import BusMessage, OffsetOutOfRange, TransactionalProducer
from ingest.models import Resolution
from ingest.quarantine import resolve
from plans.core.binding import Limits
from plans.core.plan import Outcome, State
from plans.errors import PlanRefused
from plans.kinds import replay
from plans.preview import preview
from plans.steer import cancel, resume
from plans.submit import submit
from stack import Stack
from tests.api.caller import caller
from tests.audit.test_drift import posture_is
from tests.cli.typed import typed
from tests.flow.world import CLOUDEVENTS, Flow, leave, thing
from tests.pages.conftest import signed_in
from tests.plans.crowd import Crowd, as_owner, items, plan_row, run_to, say_yes, statements_counted
from tests.plans.test_cover import lacks, missed, win_of
from tests.plans.test_replay import MakeFlow, asked, failed, judge_rerun, passed, replayed
from tests.plans.test_waive import open_items

LOOKS = {
    "covers", "open_gates", "granted", "passes", "roots", "gone", "gone_again", "gaps_proven", "positions_explained",
    "verdicts", "receipts_have_rows",
}  # fmt: skip


def take(flow: Flow, upto: int) -> None:
    """Retention moves the log's start there."""
    flow.admin.delete_records(flow.inbox, {0: upto})
    flow.sample()


def gone(flow: Flow) -> list[tuple[int, int, str]]:
    rows = flow.rows(
        "SELECT g.from_offset, g.to_offset, g.state FROM gap g JOIN source c ON c.id = g.source_id"
        " JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s AND g.why = 'GONE' ORDER BY g.source_id, 1"
    )
    return [tuple(row) for row in rows]


def observed(stored: Any) -> str:
    return str(next(x["observed"] for x in body_of(stored)["checks"] if x["check"] == "ACCOUNTED"))


def body_of(stored: Any) -> dict[str, Any]:
    with read() as cur:
        return dict(fetch_one(cur.execute("SELECT body FROM verdict WHERE id = %s", (stored.id,))).body)


def another_process(number: int) -> None:
    """Whoever goes on with the plan has nothing that was fetched before."""
    replay._forget(number)


# ---- it opens -------------------------------------------------------------------------------------------------------


def test_receipts_stand_in_for_half_of_a_window_that_failed(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """One record was missed, and is there; of the rest half is gone. Two people have it read again: it opens."""
    monkeypatch.setattr("tests.plans.test_cover.hide", lambda patched, flow, _: _hide(patched, flow, 2_500))
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(3_000)])
    take(flow, 1_800)
    seen = preview("replay", asked(flow, whole=True)).prediction
    assert seen.outcomes == {Outcome.ADMITTED: 1, Outcome.DUPLICATE: 1_199}
    (line,) = [line for line in seen.lines if "gone from the inbox" in line]
    assert re.fullmatch(
        r"1,800 of 3,000 offsets of inbox/0 are gone from the inbox, seen since \d{4}-\d\d-\d\d \d\d:\d\d UTC;"
        r" receipts stand in for 1,800\.",
        line,
    ), line
    assert "Its PASS would open window 1, too, if nothing is missing then." in seen.lines
    number = replayed(crowd, flow, whole=True)
    assert items(number) == [("inbox/0 [0, 3000)", "DONE")]
    assert gone(flow) == [(0, 1_800, "CLAIMED")]
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert stored.verdict.cover is not None and stored.verdict.cover.lacks == ()
    assert observed(stored) == "1,200 receipts, 1,800 of the first reading stand in, 0 unaccounted"
    told = body_of(stored)["gone"]
    assert {name: told[name] for name in ("offsets", "receipts", "empty", "unkept")} == {
        "offsets": 1_800, "receipts": 1_800, "empty": 0, "unkept": 0,
    }  # fmt: skip
    assert told["batches"] >= 1
    assert gone(flow) == [(0, 1_800, "PROVEN")]
    for window in (1, None):
        answer = decide_gate(flow.name, "r1", window)
        assert answer.granted and f"Window 1, proven by rerun 1 ({stored.name})." in answer.detail
    found = examine(flow.name, names=LOOKS)
    assert [str(x) for x in found.findings] == []
    _faces(flow, stored)
    leave([flow.name])


def _hide(patched: pytest.MonkeyPatch, flow: Flow, offset: int) -> None:
    from tests.flow.inbox import hide

    hide(patched, flow, offset)


def _faces(flow: Flow, stored: Any) -> None:
    """A page, an API answer and a command line each say both numbers."""
    page = re.sub(
        r"<[^>]+>", " ",
        signed_in("vera", Role.VIEWER).get(f"/runs/{flow.name}/r1/verdicts/{stored.number}").content.decode(),
    )  # fmt: skip
    words = " ".join(page.split())
    assert "offsets gone from the inbox 1,800" in words and "records read again 1,200" in words, words
    assert "receipts that stand in 1,800" in words
    told = caller("viewer").get(f"streams/{flow.name}/runs/r1/verdicts/{stored.number}").json()
    assert told["body"]["gone"]["receipts"] == 1_800
    said = typed(f"run show {flow.name}/r1 --window 1 --rerun 1")
    assert "1,800 of the first reading stand in" in said.out, said.out


def test_a_window_with_a_pass_is_proven_with_what_stands_in(flow: Flow, crowd: Crowd) -> None:
    """Nothing changes, and fsck finds nothing: gaps of a transaction's marker held no record."""
    flow.open()
    inbox = TransactionalProducer(flow.cluster, f"inbox-{flow.name}")
    inbox.init()
    for first in (0, 5):
        assert (
            str(inbox.send(flow.inbox, [BusMessage(0, b"k", thing(first + n), None) for n in range(5)]).kind) == "ACKED"
        )
    flow.produce([thing(99), thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    take(flow, 8)
    replayed(crowd, flow, whole=True)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert observed(stored) == "5 receipts, 7 of the first reading stand in (1 held no record), 0 unaccounted"


def test_the_start_may_move_while_it_is_read(flow: Flow, crowd: Crowd) -> None:
    """What was read stays read, and what is gone before it was is passed over."""
    passed(flow, [thing(n) for n in range(20)])
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=5))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    take(flow, 12)
    another_process(number)
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)
    assert gone(flow) == [(5, 12, "CLAIMED")]
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert observed(stored) == "13 receipts, 7 of the first reading stand in, 0 unaccounted"


def test_cloud_events_in_binary_mode_are_digested_with_their_attributes(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = make_flow(contract=CLOUDEVENTS)
    flow.open()
    for n in range(6):
        attributes = {"specversion": "1.0", "type": "thing", "source": "/here", "id": str(n)}
        headers: list[tuple[str, Any]] = [(f"ce_{name}", value.encode()) for name, value in attributes.items()]
        flow.produce([b"{}"], headers=headers)
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    assert judge_rerun(flow).verdict.title == "PASS"


def test_it_takes_no_statement_a_record(make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    asked_: list[int] = []
    for records in (40, 400):
        flow = passed(make_flow(), [thing(n) for n in range(records)])
        take(flow, records // 2)
        number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
        say_yes(crowd, number)
        with statements_counted(monkeypatch) as seen:
            run_to(crowd, number, State.DONE)
            assert judge_rerun(flow).verdict.title == "PASS"
        asked_.append(len(seen))
    assert abs(asked_[0] - asked_[1]) < 20, asked_


def test_a_hole_of_a_log_that_compacts_is_not_proven(flow: Flow, crowd: Crowd) -> None:
    """It may have held what was never received. Once it compacts no more, it is proven."""
    flow.open()
    inbox = TransactionalProducer(flow.cluster, f"inbox-{flow.name}")
    inbox.init()
    assert str(inbox.send(flow.inbox, [BusMessage(0, b"k", thing(n), None) for n in range(5)]).kind) == "ACKED"
    flow.produce([thing(9)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    replayed(crowd, flow, whole=True)
    posture_is(flow, flow.inbox, "cleanup.policy", "compact")
    stored = judge_rerun(flow)
    assert stored.verdict.title == "BLOCKED" and "in a gap not proven yet" in stored.sentence, stored.sentence
    posture_is(flow, flow.inbox, "cleanup.policy", "delete")
    assert judge_rerun(flow).verdict.title == "PASS"


# ---- what retention takes between the reading and the judging -------------------------------------------------------


UNPROVABLE = r"1 offset of [^,:]+ is in a gap that nobody can prove any more: it is gone from the inbox"


def in_transactions(flow: Flow, sizes: tuple[int, ...] = (5, 5)) -> None:
    """Events in transactions, each of which ends with a marker: a gap. Then two more, behind the last marker."""
    flow.open()
    inbox = TransactionalProducer(flow.cluster, f"inbox-{flow.name}")
    inbox.init()
    for at, size in enumerate(sizes):
        events = [BusMessage(0, b"k", thing(100 * at + n), None) for n in range(size)]
        assert str(inbox.send(flow.inbox, events).kind) == "ACKED"
    flow.produce([thing(998), thing(999)])
    flow.work()
    flow.cut()
    flow.work()


def test_gaps_of_a_rerun_that_retention_took_are_proven_by_the_first_readings(flow: Flow, crowd: Crowd) -> None:
    """It was read in time, and judged too late: a second reader found nothing there while the log had it. What the log
    still has is read."""
    in_transactions(flow)
    assert flow.judge().verdict.title == "PASS"
    replayed(crowd, flow, whole=True)
    take(flow, 8)  # the first marker is at 5, the second at 11
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert observed(stored) == "12 receipts, 0 unaccounted"
    assert [str(x) for x in examine(flow.name).findings] == []


def test_a_gap_that_nobody_proved_in_time_says_so_and_another_replay_leads_out(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """Nobody proved the first reading's gap either, so nothing says what was there."""
    flow = Flow()
    in_transactions(flow)
    replayed(crowd, flow, whole=True)
    take(flow, 8)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "BLOCKED" and re.search(UNPROVABLE, stored.sentence), stored.sentence
    assert stored.sentence.endswith("Next: ask for a replay plan of what is still there."), stored.sentence
    time.sleep(2.1)  # an answer of Kafka's may be two seconds old
    with pytest.raises(PlanRefused, match="1 is gone and was never received: offset 5"):
        preview("replay", asked(flow, whole=True))
    replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 6, "to": 14}])
    again = judge_rerun(flow, 2)
    assert again.verdict.title == "PASS", again.sentence
    assert "2 of the first reading stand in" in observed(again)
    first = flow.judge()
    assert re.search(UNPROVABLE, first.sentence), first.sentence
    assert first.sentence.endswith("Next: open a new run."), first.sentence
    leave([flow.name])


def test_of_a_window_in_whose_gaps_records_were_found_no_proof_is_taken_over(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """What proved them was once wrong, and nobody can look again."""
    flow = Flow()
    with monkeypatch.context() as patched:
        _hide(patched, flow, 1)
        in_transactions(flow)
    assert "second reader found records" in flow.judge().sentence
    replayed(crowd, flow, whole=True)
    flow.work()
    take(flow, 8)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "BLOCKED" and re.search(UNPROVABLE, stored.sentence), stored.sentence
    leave([flow.name])


# ---- it opens nothing -----------------------------------------------------------------------------------------------


def test_what_was_never_received_is_named_and_never_covered(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """Retention took five records before anybody read them: no reading again brings them, and no receipt stands in."""
    flow = Flow()
    flow.open()
    flow.produce([thing(n) for n in range(10)])
    flow.work()
    flow.produce([thing(n) for n in range(10, 20)])
    take(flow, 15)
    flow.work()
    flow.cut()
    flow.work()
    assert "deleted before anybody read them" in flow.judge().sentence
    take(flow, 18)
    with pytest.raises(PlanRefused, match="5 are gone and were never received: offsets 10-14") as refused:
        preview("replay", asked(flow, whole=True))
    assert "receipts stand in for 13" in str(refused.value)
    replayed(crowd, flow, ranges=[{"source": "inbox/0", "from": 15, "to": 20}])
    assert gone(flow) == [(0, 3, "CLAIMED")]
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert "not all of inbox/0 is read again" in lacks(stored)
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED
    leave([flow.name])


def test_a_plan_that_meets_what_was_never_received_is_held_and_says_which(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """It was all there when it was asked for. What was read by then is proven for itself."""
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(12)])  # offset 1 was missed
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people, Limits(first=1))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    take(flow, 9)
    another_process(number)
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.HELD)
    assert "1 is gone and was never received: offset 1" in plan_row(number).held_why
    assert gone(flow) == []
    cancel(number, crowd.asker, crowd.people, "it is gone")
    flow.work()
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS" and "not all of inbox/0" in lacks(stored)
    assert decide_gate(flow.name, "r1", 1).code is Code.FAILED
    leave([flow.name])


def test_where_all_of_it_is_gone_nothing_is_read_again(flow: Flow) -> None:
    passed(flow, [thing(n) for n in range(6)])
    take(flow, 6)
    with pytest.raises(PlanRefused, match="records to read again.*6 of 6 offsets"):
        preview("replay", asked(flow, whole=True))


def test_a_fresh_run_passes_over_nothing(live: Stack, crowd: Crowd) -> None:
    """Its events would be missed by nobody: asked for, and while it runs."""
    flow = failed(Flow(), [thing(n) for n in range(6)])
    number = submit("replay", asked(flow, whole=True, mode="fresh"), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    take(flow, 3)
    time.sleep(2.1)  # an answer of Kafka's may be two seconds old
    with pytest.raises(PlanRefused, match="its log begins at 3"):
        preview("replay", asked(flow, whole=True, mode="fresh"))
    run_to(crowd, number, State.HELD)
    assert "not in the log" in plan_row(number).held_why
    cancel(number, crowd.asker, crowd.people, "it is gone")
    leave([flow.name])


def test_an_item_of_what_is_gone_waits_for_its_person(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(1), b"{", thing(2), thing(1, other=True), thing(3)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "BLOCKED"
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    stored = judge_rerun(flow)
    assert {str(check.name) for check in stored.verdict.failed()} == {"QUARANTINE"}, stored.sentence
    assert "2 quarantine items are open" in stored.sentence
    for item in open_items(flow):
        resolve([item], "ana", Resolution.DISCARDED, "seen", [f"{flow.name}/r1"])
    assert judge_rerun(flow).verdict.title == "PASS"


SOURCE = 'WHERE source_id = {source} AND "offset" = 2'
WITHOUT_EFFECT = f"DELETE FROM effect WHERE identity = (SELECT identity FROM event {SOURCE})"
SPOILT = [
    ("UPDATE batch SET digest = sha256('else') WHERE source_id = {source}", "has another digest"),
    (f"UPDATE receipt SET reason = 1 {SOURCE}", "has another digest"),
    (f"UPDATE event SET payload = 'else' {SOURCE}", "1 receipt that stands in for plan"),
    (f"UPDATE event SET payload_digest = sha256('else') {SOURCE}", "not what is kept"),
    (f"UPDATE event SET win = 0 {SOURCE}", "not what is kept"),
    (f"DELETE FROM receipt {SOURCE}", "were never received|was never received"),
    (f"UPDATE event SET payload = NULL {SOURCE}; {WITHOUT_EFFECT}", "not what is kept"),
]  # fmt: skip


@pytest.mark.parametrize(("does", "said"), SPOILT)
def test_a_receipt_that_is_not_borne_out_stands_in_for_nothing(live: Stack, crowd: Crowd, does: str, said: str) -> None:
    flow = passed(Flow(), [thing(n) for n in range(8)])
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    with as_owner() as connection:
        for statement in does.format(source=flow.sources("inbox")[0]).split(";"):
            connection.execute(statement)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "FAIL"
    cause = next(check.cause for check in stored.verdict.failed() if check.name == "ACCOUNTED")
    assert re.search(said, cause), cause
    leave([flow.name])


def test_an_erased_payload_is_stood_in_for_by_receipt_and_effect(live: Stack, crowd: Crowd) -> None:
    flow = passed(Flow(), [thing(n) for n in range(8)])
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    with as_owner() as connection:
        connection.execute(f"UPDATE event SET payload = NULL {SOURCE}".format(source=flow.sources("inbox")[0]))
    stored = judge_rerun(flow)
    assert stored.verdict.title == "PASS", stored.sentence
    assert body_of(stored)["gone"]["unkept"] == 1
    leave([flow.name])


def test_what_is_there_is_not_gone_whoever_says_so(live: Stack, crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second look finds the log's start before it, and the records: the rerun fails."""
    flow = passed(Flow(), [thing(n) for n in range(8)])

    def lie(log: admission.OriginLog, at: int, admin: Any) -> OffsetRange:
        hole = admission.Hole(at, 4, None, "read_committed", "GONE")
        return OffsetRange(at, 4, None, (), (hole,))

    real = admission.OriginReader.batch

    def batch(reader: admission.OriginReader, records: int) -> OffsetRange:
        if reader.at < 4:
            raise OffsetOutOfRange(expected="", found="")
        return real(reader, records)

    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    with monkeypatch.context() as patched:
        patched.setattr(admission, "gone_from", lie)
        patched.setattr(admission.OriginReader, "batch", batch)
        run_to(crowd, number, State.DONE)
    assert gone(flow) == [(0, 4, "CLAIMED")]
    stored = judge_rerun(flow)
    assert stored.verdict.title == "FAIL" and "second reader found records" in stored.sentence
    assert gone(flow) == [(0, 4, "CLAIMED")]
    assert {x.check for x in examine(flow.name, names={"gone_again", "gone"}).findings} == {"gone_again"}
    leave([flow.name])


@pytest.mark.parametrize(
    "proof",
    [
        {"read_to": 9},
        {"read_to": 9, "log_start_before": 4, "log_start_after": 3, "receipts": 4, "empty": 0},
        {"read_to": 9, "log_start_before": 4, "receipts": 4, "empty": 0},
        {"read_to": 9, "log_start_before": 4, "log_start_after": 4, "receipts": 3, "empty": 1},
    ],
)
def test_a_proof_by_hand_says_where_the_log_began(flow: Flow, crowd: Crowd, proof: dict[str, int]) -> None:
    """Twice, behind all of it, and what stands in as the ledger counts it."""
    passed(flow, [thing(n) for n in range(8)])
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    proves = "UPDATE gap SET state = 'PROVEN', proof = %s WHERE why = 'GONE' AND source_id = ANY(%s)"
    with psycopg.connect(os.environ["DATABASE_URL"], options="-c role=passgate_app", autocommit=True) as other:
        with pytest.raises(psycopg.Error) as refused:
            other.execute(proves, (Jsonb(proof), flow.sources("inbox")))
    assert refused.value.diag.constraint_name == "gone_proof_names_log_start"
    assert judge_rerun(flow).verdict.title == "PASS"


def test_an_inbox_that_is_another_by_now_proves_nothing(flow: Flow, crowd: Crowd) -> None:
    """Whether it was gone cannot be looked at any more: the rerun waits, and is not proven."""
    passed(flow, [thing(n) for n in range(8)])
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    stored = judge_rerun(flow)
    assert stored.verdict.title == "BLOCKED"
    assert gone(flow) == [(0, 4, "CLAIMED")]


SPOILED = {
    "SEALED": (
        "UPDATE verdict SET body = jsonb_set(body, '{checks,0}',"
        """ '{"check": "SEALED", "severity": "FAIL", "causes": []}') WHERE win = %s"""
    ),
    "database": "UPDATE basis SET facts = jsonb_set(facts, '{database,system_identifier}', '\"1\"') WHERE win = %s",
}


@pytest.mark.parametrize("spoils", SPOILED)
def test_nothing_of_a_window_stands_in_whose_ledger_is_in_doubt(live: Stack, crowd: Crowd, spoils: str) -> None:
    """It failed by SEALED, or in another database: asked for, while it runs, and when it is judged."""
    flow = failed(Flow(), [thing(n) for n in range(8)])
    take(flow, 4)
    number = submit("replay", asked(flow, whole=True), crowd.asker, "why", crowd.people)
    say_yes(crowd, number)
    table, column = SPOILED[spoils].split()[1], SPOILED[spoils].split()[3]
    ((was,),) = flow.rows(f"SELECT {column} FROM {table} WHERE win = %(w)s", w=win_of(flow))
    with as_owner() as connection:
        connection.execute(SPOILED[spoils], (win_of(flow),))
    try:
        with pytest.raises(PlanRefused, match="receipts that stand in"):
            preview("replay", asked(flow, whole=True))
        run_to(crowd, number, State.HELD)
        assert "receipts that stand in" in plan_row(number).held_why
    finally:  # no page of another test meets a check that is none
        with as_owner() as connection:
            connection.execute(f"UPDATE {table} SET {column} = %s WHERE win = %s", (Jsonb(was), win_of(flow)))
    leave([flow.name])


def test_the_sets_are_those_of_the_records_and_of_what_stands_in(
    live: Stack, monkeypatch: pytest.MonkeyPatch, crowd: Crowd
) -> None:
    """Without the receipts that stand in half of the window's events would be in no record that was read again."""
    monkeypatch.setattr("tests.plans.test_cover.hide", lambda patched, flow, _: _hide(patched, flow, 6))
    flow = missed(Flow(), monkeypatch, [thing(n) for n in range(8)])
    take(flow, 4)
    replayed(crowd, flow, whole=True)
    flow.work()
    (run,) = flow.rows("SELECT r.id FROM run r JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")
    sets = covers._sets(win_of(flow), win_of(flow, 1), run.id)
    assert (sets.events, sets.referred, sets.by_class) == (7, 7, {"thing": 8})
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1, rerun=1).verdict.cover.lacks == ()
    leave([flow.name])
