"""No PASS, no read: what opens the gate, what it answers, what shuts it, and what is written down about it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest
from django.conf import settings

from audit import capture, enforce, gate
from audit.close import close_run, window_of
from audit.core.gate import Code
from audit.enforce import decide_gate, enforce_due
from audit.fsck import fsck
from ingest.db import ConstraintViolated, write
from tests.audit.test_close import passed
from tests.audit.test_fsck import cheat
from tests.audit.test_races import both
from tests.flow.world import Flow, thing

MakeFlow = Callable[..., Flow]


def gate_row(flow: Flow) -> Any:
    rows = flow.rows("SELECT g.* FROM gate_open g JOIN run_window w ON w.id = g.win JOIN run r ON r.id = w.run_id"
                     " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s")  # fmt: skip
    return rows[0] if rows else None


def due_now(flow: Flow) -> None:
    """As if the contract's recheck time had passed."""
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET checked_at = clock_timestamp() - interval '1 h' WHERE win = %s", (gate_row(flow).win,)
        )


def enforced(flow: Flow) -> enforce.GateCheck:
    due_now(flow)
    win = gate_row(flow).win
    return next(found for found in enforce_due() if found.win == win)


@pytest.fixture
def refusing(live: object) -> Iterator[Callable[[Flow], None]]:
    """The database refuses to extend a stream's gates, whatever for."""
    from tests.conftest import STACK

    def refuse(flow: Flow) -> None:
        owner.execute(
            "CREATE FUNCTION for_a_test() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " PERFORM refuse('gate_follows_pass', 'for a test'); RETURN NEW; END $$"
        )
        owner.execute(
            "CREATE TRIGGER for_a_test BEFORE UPDATE ON gate_open FOR EACH ROW"
            f" WHEN (NEW.win = {gate_row(flow).win} AND NEW.checked_at > OLD.checked_at)"
            " EXECUTE FUNCTION for_a_test()"
        )

    with psycopg.connect(STACK.env()["PASSGATE_ADMIN_URL"], autocommit=True) as owner:
        yield refuse
        owner.execute("DROP FUNCTION IF EXISTS for_a_test CASCADE")


def test_one_stream_s_refusal_ends_no_other_s_lease(
    make_flow: MakeFlow, refusing: Callable[[Flow], None], caplog: pytest.LogCaptureFixture
) -> None:
    flows = [make_flow() for _ in range(3)]
    for flow in flows:
        passed(flow)
    refusing(flows[1])
    before = [gate_row(flow).checked_at for flow in flows]
    for flow in flows:
        due_now(flow)
    found = {check.win: check.outcome for check in enforce_due()}
    assert [found[gate_row(flow).win] for flow in flows] == ["extended", "unmeasured", "extended"]
    assert [gate_row(flow).checked_at > at for flow, at in zip(flows, before, strict=True)] == [True, False, True]
    assert f"gates of {flows[1].name} not extended" in caplog.text and flows[0].name not in caplog.text


def decisions(flow: Flow) -> list[tuple[int, str]]:
    rows = flow.rows("SELECT status, code FROM gate_decision WHERE stream = %(name)s ORDER BY id")
    return [(row.status, row.code) for row in rows]


def test_from_unknown_to_open(flow: Flow) -> None:
    assert decide_gate(flow.name, "r1", who="mart").code is Code.NOT_FOUND
    flow.open()
    flow.produce([thing(1)])
    assert (decide_gate(flow.name, "r1", who="mart").status, gate_row(flow)) == (403, None)
    flow.work()
    flow.cut()
    flow.work()
    not_yet = decide_gate(flow.name, "r1", who="mart")
    assert (not_yet.code, not_yet.retry, not_yet.exit_code) == (Code.NOT_CLOSED, True, 4)
    flow.judge()
    granted = decide_gate(flow.name, "r1", who="mart")
    assert (granted.status, granted.verdict, granted.exit_code) == (200, f"{flow.name}/r1#1", 0)
    assert granted.basis_digest and granted.open_until and granted.checked_at
    assert decide_gate(flow.name, "r1", window=1, who="mart").granted
    assert decide_gate(flow.name, "r1", window=2, who="mart").status == 404
    assert decisions(flow) == [
        (404, "not_found"), (403, "not_closed"), (403, "not_closed"), (200, "open"), (200, "open"), (404, "not_found"),
    ]  # fmt: skip


def test_a_blocked_run_is_refused_with_its_failed_checks(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"x"])
    flow.work()
    flow.cut()
    flow.work()
    flow.judge()
    refused = decide_gate(flow.name, "r1", who="mart")
    assert (refused.status, refused.code) == (403, Code.BLOCKED)
    assert [check["check"] for check in refused.failed] == ["QUARANTINE"]
    assert "1 quarantine item is open" in refused.detail


def test_a_runs_gate_is_open_while_the_next_run_is(flow: Flow) -> None:
    """Each run is asked about by itself, and so is what is written down of it."""
    stored = passed(flow, "r1")
    flow.open("r2")
    assert decide_gate(flow.name, "r1", who="mart").verdict == stored.name
    assert decide_gate(flow.name, "r2", who="mart").code is Code.NOT_CLOSED
    assert decisions(flow) == [(200, "open"), (403, "not_closed")]


def test_the_database_writes_no_lease_without_a_pass(flow: Flow) -> None:
    flow.open()
    flow.produce([thing(1), b"x"])
    flow.work()
    flow.cut()
    flow.work()
    blocked = flow.judge()
    with pytest.raises(ConstraintViolated) as refused, write() as cur:
        cur.execute(
            "INSERT INTO gate_open (win, verdict_id, open_until) VALUES (%s, %s, clock_timestamp() + interval '1 h')",
            (flow.rows("SELECT win FROM verdict WHERE id = %(id)s", id=blocked.id)[0].win, blocked.id),
        )
    assert refused.value.constraint == "gate_follows_pass"


def test_the_lease_is_extended_by_a_re_check(flow: Flow) -> None:
    passed(flow)
    before = gate_row(flow).open_until
    assert enforced(flow).outcome == "extended"
    assert gate_row(flow).open_until > before
    assert [found for found in enforce_due() if found.win == gate_row(flow).win] == []


def test_what_a_re_check_would_find_is_said_of_the_gates_that_were_asked_about(flow: Flow) -> None:
    passed(flow)
    win = gate_row(flow).win
    assert enforce.seen_now([win])[win].outcome == "extended"
    assert enforce.seen_now([]) == {}


@contextmanager
def broker_away() -> Iterator[None]:
    """Nothing listens where this process looks for Kafka."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(settings, "KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9")
        patch.setattr(capture, "admin", lambda timeout=0.5: capture._admin(0, "127.0.0.1:9", 0.5))
        yield


def test_without_re_checks_it_shuts_by_expiry_and_answers_503(flow: Flow) -> None:
    """Nobody could look: that is no reason to say yes, and none to say that anything is wrong."""
    passed(flow)
    with write() as cur:
        cur.execute("UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (gate_row(flow).win,))
    unsure = decide_gate(flow.name, "r1", who="mart")
    assert (unsure.status, unsure.retry, unsure.exit_code) == (503, True, 3)
    assert enforced(flow).outcome == "extended"
    assert decide_gate(flow.name, "r1", who="mart").granted


def test_a_yes_is_not_written_once_its_gate_has_shut(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread was stopped between its look and its answer, and the gate's lease ran out meanwhile."""
    passed(flow)

    def shut(name: str) -> None:
        with write() as cur:
            cur.execute("UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (gate_row(flow).win,))

    monkeypatch.setattr(enforce, "failpoint", shut)
    late = decide_gate(flow.name, "r1", who="mart")
    assert (late.status, late.code) == (503, Code.UNAVAILABLE)
    rows = flow.rows("SELECT status FROM gate_decision WHERE stream = %(name)s AND who = 'mart'")
    assert [row.status for row in rows] == [503]


def test_a_yes_is_not_given_past_the_lease_that_it_was_said_of(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread was stopped after it had written its answer down, for longer than the lease."""
    passed(flow)
    log = enforce._log
    slept: list[float] = []

    def log_and_sleep(*given: Any) -> bool:
        logged = log(*given)
        if not slept:
            slept.append(0.6)
            time.sleep(0.6)
        return logged

    monkeypatch.setattr(enforce, "_log", log_and_sleep)
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() + interval '0.5 s' WHERE win = %s",
            (gate_row(flow).win,),
        )
    late = decide_gate(flow.name, "r1", who="mart")
    assert slept and (late.status, late.code) == (503, Code.UNAVAILABLE)
    rows = flow.rows("SELECT status FROM gate_decision WHERE stream = %(name)s AND who = 'mart' ORDER BY id")
    assert [row.status for row in rows] == [200, 503]


def test_a_broker_that_does_not_answer_extends_nothing(flow: Flow) -> None:
    passed(flow)
    before = gate_row(flow)
    with broker_away():
        assert enforced(flow).outcome == "unmeasured"
    after = gate_row(flow)
    assert (after.open_until, after.shut_why) == (before.open_until, None)


@pytest.mark.parametrize("topic", ["inbox", "bus"])
def test_a_recreated_topic_shuts_the_gate_and_the_verdict_stays(flow: Flow, topic: str) -> None:
    stored = passed(flow)
    name = getattr(flow, topic)
    flow.admin.delete_topic(name)
    flow.admin.create_topic(name, 1 if topic == "inbox" else 2)
    shut = enforced(flow)
    assert (shut.outcome, shut.why) == ("shut", f"{name} was deleted and created again")
    refused = decide_gate(flow.name, "r1", who="mart")
    assert (refused.status, refused.code, refused.verdict) == (403, Code.SHUT, stored.name)
    assert f"{name} was deleted and created again" in refused.detail
    log = flow.rows("SELECT reason FROM audit_log WHERE act = 'gate.shut' AND subject = %(name)s || '/r1'")
    assert [row.reason for row in log] == [f"{name} was deleted and created again"]


def test_a_moved_log_start_does_not_shut_it_and_says_so(flow: Flow) -> None:
    passed(flow)
    flow.admin.delete_records(flow.inbox, {0: 3})
    found = enforced(flow)
    assert (found.outcome, found.why) == ("extended", "REPLAY_ANCHOR_LOST inbox/0")


def test_a_contradiction_shuts_it_and_fails_the_window(flow: Flow) -> None:
    """S23: in the transaction that records it, before anybody looks again."""
    passed(flow)
    contradict(flow)
    refused = decide_gate(flow.name, "r1", who="mart")
    assert (refused.status, refused.code) == (403, Code.SHUT)
    assert "1 settled publish contradicted by the bus" in refused.detail
    assert [found for found in enforce_due() if found.win == gate_row(flow).win] == []
    stored = close_run(flow.name, "r1", "test")
    assert stored.sentence.startswith("Window 1 is FAIL: 1 settled publish is contradicted by the bus.")
    assert decide_gate(flow.name, "r1", who="mart").exit_code == 1
    assert "I7" in {finding.invariant for finding in fsck(stream=flow.name)}
    with cheat(flow) as connection:  # what other tests look at holds no contradiction
        connection.execute("DELETE FROM contradiction WHERE win = %s", (gate_row(flow).win,))


def contradict(flow: Flow) -> None:
    with write() as cur:
        cur.execute(
            'INSERT INTO contradiction (win, attempt_id, kind, source_id, "offset", detail)'
            " SELECT b.win, ab.attempt_id, 'ABSENT_APPEARED', %s, 0, 'by a test' FROM attempt_batch ab"
            " JOIN batch b ON b.id = ab.batch_id WHERE b.win = %s LIMIT 1",
            (flow.sources("bus")[0], gate_row(flow).win),
        )
        cur.execute("UPDATE run_window SET revision = revision + 1 WHERE id = %s", (gate_row(flow).win,))


def test_what_cannot_be_logged_is_not_granted(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)

    def cannot(*_: object) -> None:
        raise psycopg.OperationalError("disk full")

    monkeypatch.setattr(enforce, "_log", cannot)
    assert decide_gate(flow.name, "r1", who="mart").status == 503


def test_shutting_ends_readers_that_began_before(flow: Flow) -> None:
    passed(flow)
    with psycopg.connect(reader_url()) as reader:
        reader.execute("SELECT 1")  # its transaction stays open
        flow.admin.delete_topic(flow.bus)
        flow.admin.create_topic(flow.bus, 2)
        assert enforced(flow).outcome == "shut"
        with pytest.raises(psycopg.OperationalError):
            reader.execute("SELECT 1")


def reader_url() -> str:
    from tests.conftest import STACK

    return STACK.env()["PASSGATE_READER_URL"]


def test_a_run_opens_all_or_nothing_if_its_contract_says_so(make_flow: MakeFlow) -> None:
    flow = make_flow(close='[gate]\nunit = "run"')
    passed(flow)
    assert decide_gate(flow.name, "r1", who="mart").granted


def acts_of(flow: Flow) -> list[str]:
    log = flow.rows("SELECT reason FROM audit_log WHERE act = 'gate.shut' AND subject = %(name)s || '/r1' ORDER BY id")
    return [row.reason for row in log]


def runs_out(flow: Flow) -> None:
    with write() as cur:
        cur.execute("UPDATE gate_open SET open_until = clock_timestamp() WHERE win = %s", (gate_row(flow).win,))


def test_a_lease_that_ran_out_and_ended_nobody_is_no_act(flow: Flow) -> None:
    """It is extended again as soon as Kafka answers: nothing was shut."""
    passed(flow)
    runs_out(flow)
    assert gate.end_readers() == 0
    assert gate_row(flow).readers_ended_at is not None
    assert acts_of(flow) == []
    assert enforced(flow).outcome == "extended"


def test_a_gate_that_was_shut_is_an_act_with_its_reason_though_nobody_read(flow: Flow) -> None:
    passed(flow)
    contradict(flow)
    assert gate.end_readers() == 0
    assert acts_of(flow) == ["1 settled publish contradicted by the bus"]
    with cheat(flow) as connection:  # what other tests look at holds no contradiction
        connection.execute("DELETE FROM contradiction WHERE win = %s", (gate_row(flow).win,))


def test_of_two_that_end_readers_at_once_one_says_so(flow: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    passed(flow)
    contradict(flow)
    others: list[Any] = []

    def at(name: str) -> None:
        if name == "readers.after_ending" and not others:
            others.append(None)
            others.extend(both(gate.end_readers))

    monkeypatch.setattr(gate, "failpoint", at)
    assert [gate.end_readers(), *others] == [0, None, 0]
    assert acts_of(flow) == ["1 settled publish contradicted by the bus"]
    with cheat(flow) as connection:
        connection.execute("DELETE FROM contradiction WHERE win = %s", (gate_row(flow).win,))


@pytest.mark.parametrize(("unit", "first"), [("window", Code.OPEN), ("run", Code.NOT_CLOSED)])
def test_the_first_window_of_a_run_is_read_before_its_second_has_passed_unless_the_contract_says_run(
    make_flow: MakeFlow, unit: str, first: Code
) -> None:
    """Its run is read when all of them have, whatever the contract says. No verb makes a second window yet."""
    flow = make_flow(close=f'[gate]\nunit = "{unit}"')
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    with write() as cur:
        cur.execute(
            "INSERT INTO run_window (run_id, number, contract_id, state, revision)"
            " SELECT run_id, 2, contract_id, 'OPEN', 0 FROM run_window WHERE id = %s", (window_of(flow.name, "r1"),)
        )  # fmt: skip
    assert str(close_run(flow.name, "r1", "test", window=1).verdict.state) == "PASS"
    assert decide_gate(flow.name, "r1", window=1, who="mart").code is first
    assert decide_gate(flow.name, "r1", who="mart").code is Code.NOT_CLOSED


def test_s28_the_broker_dies_while_a_window_closes(flow: Flow) -> None:
    """BLOCKED with UNMEASURED checks, never an exception and never a PASS; it closes once the broker is back."""
    flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    with broker_away():
        stored = close_run(flow.name, "r1", "test")
    assert "Kafka was not measured" in stored.sentence
    unmeasured = {str(check.name) for check in stored.verdict.checks if check.state == "UNMEASURED"}
    assert unmeasured >= {"COVERAGE", "CAUGHT_UP", "COMMITTED", "BASIS"}
    assert flow.judge().verdict.state == "PASS"
