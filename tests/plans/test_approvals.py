"""Contracts that ask for more than one approval, on the real stack: who counts, what each one is of, and what runs."""

from __future__ import annotations

import html
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from audit.enforce import decide_gate
from audit.fsck import fsck
from console.links import rerun_url
from console.people import actor_named
from console.reads.plans import waits_for
from console.tokens import issue
from ingest.core.errors import PassgateError
from ingest.db import read, write
from plans.answer import approve, decline
from plans.core.people import Actor
from plans.core.plan import Kind, State
from plans.errors import AnotherDigest, ApprovedAlready, NotAllowed, PlanChanged, SamePerson, WrongState
from plans.kinds.base import PlanKind
from plans.preview import preview
from plans.run import run_plan
from plans.since import changed_since
from plans.steer import resume
from plans.submit import submit
from tests.api.caller import Caller, caller
from tests.cli.typed import typed
from tests.flow.world import CONTRACT, Flow, thing
from tests.plans.crowd import Crowd, counted, counting, history, let_expire, plan_row, run_to, statements_counted
from tests.plans.test_free import asked as free_asked
from tests.plans.test_free import free_records, text_of
from tests.plans.test_replay import judge_rerun
from tests.plans.test_waive import asked, blocked, open_items

MakeFlow = Callable[..., Flow]


def contract(approvals: int, more: str = "") -> str:
    return f"{CONTRACT}[plans]\napprovals = {approvals}\n{more}"


@pytest.fixture
def kind(live: object, monkeypatch: pytest.MonkeyPatch) -> PlanKind:
    return counting(monkeypatch)


@pytest.fixture
def flow(make_flow: MakeFlow, kind: PlanKind) -> Flow:
    """A stream whose contract asks for two."""
    return make_flow(contract=contract(2))


@pytest.fixture
def bo(crowd: Crowd) -> Actor:
    return crowd.approver


@pytest.fixture
def cy(crowd: Crowd) -> Actor:
    return crowd.somebody("approver")


def submitted(crowd: Crowd, flow: Flow, *items: str, **limits: Any) -> int:
    return counted(crowd, items or ("a1", "a2"), stream=flow.name, **limits)


def yes(crowd: Crowd, number: int, *who: Actor, reason: str = "") -> None:
    for each in who:
        approve(number, bytes(plan_row(number).digest), each, crowd.people, reason)


def given(number: int) -> list[tuple[str, str]]:
    """Who has approved it, by account and person, in order."""
    with read() as cur:
        rows = cur.execute(
            "SELECT who, person, digest, at FROM plan_approval WHERE plan_id = %s ORDER BY ordinal", (number,)
        ).fetchall()
    assert all(bytes(row.digest) == bytes(plan_row(number).digest) and row.at for row in rows)
    return [(row.who, row.person) for row in rows]


def told(number: int) -> list[tuple[str, int | None, int | None]]:
    """Approvals as the audit log has them: who, which one, of how many."""
    with read() as cur:
        rows = cur.execute(
            "SELECT actor, detail FROM audit_log WHERE act = 'plan.approve' AND detail ->> 'plan' = %s ORDER BY id",
            (str(number),),
        ).fetchall()
    return [(row.actor, row.detail.get("approval"), row.detail.get("approvals")) for row in rows]


def test_the_last_one_approves_it(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = submitted(crowd, flow)
    assert plan_row(number).binds["approvals"] == 2
    yes(crowd, number, bo, reason="looks right")
    row = plan_row(number)
    assert (row.state, row.approved_by, row.approved_at) == ("SUBMITTED", None, None)
    assert not run_plan(number, crowd.people, lambda: True)
    yes(crowd, number, cy)
    row = plan_row(number)
    assert (row.state, row.approved_by, row.approved_person) == ("APPROVED", f"{bo.name}, {cy.name}", cy.person)
    assert given(number) == [(bo.name, bo.person), (cy.name, cy.person)]
    assert told(number) == [(bo.name, 1, 2), (cy.name, 2, 2)]
    run_to(crowd, number, State.DONE)
    assert history(number) == [
        (None, "SUBMITTED"), ("SUBMITTED", "APPROVED"), ("APPROVED", "RUNNING"), ("RUNNING", "DONE"),
    ]  # fmt: skip
    assert fsck(stream=flow.name) == []


def test_one_is_a_row_too(crowd: Crowd, kind: PlanKind, bo: Actor) -> None:
    number = counted(crowd, ["a1"])
    assert "approvals" not in plan_row(number).binds
    yes(crowd, number, bo)
    assert given(number) == [(bo.name, bo.person)]
    with pytest.raises(WrongState):
        yes(crowd, number, crowd.somebody("approver"))


def test_five_are_five(crowd: Crowd, make_flow: MakeFlow, kind: PlanKind) -> None:
    number = submitted(crowd, make_flow(contract=contract(5)))
    for n in range(5):
        assert plan_row(number).state == "SUBMITTED", n
        yes(crowd, number, crowd.somebody("approver"))
    run_to(crowd, number, State.DONE)


# ---- who counts ------------------------------------------------------------------------------------------------------


def test_nobody_approves_twice_under_any_account(crowd: Crowd, flow: Flow) -> None:
    """A token acts as its owner, so as the same account."""
    one = crowd.somebody("approver", email="Bo@example.org")
    other = crowd.somebody("approver", email="bo@EXAMPLE.org")
    number = submitted(crowd, flow)
    yes(crowd, number, one)
    for again in (one, other):
        with pytest.raises(ApprovedAlready, match=f"{one.name} has approved it"):
            yes(crowd, number, again)
    assert (plan_row(number).state, len(given(number))) == ("SUBMITTED", 1)


def test_accounts_that_became_one_person_between_two_approvals(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = submitted(crowd, flow)
    yes(crowd, number, bo)
    becomes(cy, bo)
    with pytest.raises(ApprovedAlready):
        yes(crowd, number, actor_named(cy.name))


def becomes(one: Actor, other: Actor) -> None:
    """From now on it is an account of the same person."""
    users = get_user_model().objects
    users.filter(username=one.name).update(email=users.get(username=other.name).email.upper())


def test_whoever_asked_is_none_of_them(crowd: Crowd, flow: Flow, bo: Actor) -> None:
    both = crowd.somebody("operator", "approver")
    number = submit(Kind.ERASE, {"stream": flow.name, "items": ["a1"]}, both, "why", crowd.people)
    yes(crowd, number, bo)
    with pytest.raises(SamePerson):
        yes(crowd, number, both)
    becomes(crowd.asker, both)
    with pytest.raises(NotAllowed):
        yes(crowd, number, actor_named(crowd.asker.name))


def test_each_is_of_the_digest(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = submitted(crowd, flow)
    yes(crowd, number, bo)
    with pytest.raises(AnotherDigest):
        approve(number, b"\xab" * 32, cy, crowd.people)
    assert len(given(number)) == 1


def test_any_of_them_declines(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    """Whoever has approved it, too: until it is approved they may think again."""
    for who in (bo, cy):
        number = submitted(crowd, flow)
        yes(crowd, number, bo)
        decline(number, who, crowd.people, "not like this")
        assert plan_row(number).state == "DECLINED"
        with pytest.raises(WrongState):
            yes(crowd, number, cy)


def test_a_plan_expires_with_the_approvals_that_it_has(crowd: Crowd, flow: Flow, bo: Actor) -> None:
    from plans.expire import expire_due

    number = submitted(crowd, flow)
    yes(crowd, number, bo)
    let_expire(number)
    assert number in expire_due() and plan_row(number).state == "EXPIRED"
    assert fsck(stream=flow.name) == []


# ---- looked at again before it runs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["bo", "cy"])
def test_each_must_be_able_to_give_it_still(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor, who: str) -> None:
    number, held = submitted(crowd, flow), held_plan(crowd, flow, bo, cy)
    yes(crowd, number, bo, cy)
    lost = {"bo": bo, "cy": cy}[who]
    get_user_model().objects.get(username=lost.name).groups.clear()
    run_to(crowd, number, State.VOID)
    assert plan_row(number).void_why == f"{lost.name} may approve no more"
    with pytest.raises(NotAllowed, match=f"{lost.name} may approve no more"):
        resume(held, crowd.asker, crowd.people)


def held_plan(crowd: Crowd, flow: Flow, *who: Actor) -> int:
    from plans.core.binding import Limits

    asked_ = {"stream": flow.name, "items": ["a1", "a2"]}
    number = submit(Kind.ERASE, asked_, crowd.asker, "why", crowd.people, Limits(first=1))
    yes(crowd, number, *who)
    run_to(crowd, number, State.HELD)
    return number


def test_accounts_that_became_one_person_before_it_ran(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    approvers, asker = submitted(crowd, flow), submitted(crowd, flow)
    for number in (approvers, asker):
        yes(crowd, number, bo, cy)
    becomes(bo, cy)
    run_to(crowd, approvers, State.VOID)
    assert "who approved it, are one person" in plan_row(approvers).void_why
    becomes(bo, crowd.asker)
    run_to(crowd, asker, State.VOID)
    assert f"{crowd.asker.name}, who asked for it, and {bo.name}" in plan_row(asker).void_why


# ---- which contract --------------------------------------------------------------------------------------------------


def load(flow: Flow, approvals: int, more: str = "") -> None:
    flow.contract = contract(approvals, more)
    flow.load()


def test_a_contract_that_asks_for_more_since_changes_the_plan(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    waiting, ready = submitted(crowd, flow), submitted(crowd, flow)
    yes(crowd, waiting, bo)
    yes(crowd, ready, bo, cy)
    load(flow, 3)
    assert changed_since(waiting) == ["plans.approvals: 2 → 3"]
    with pytest.raises(PlanChanged, match="2 → 3"):
        yes(crowd, waiting, cy)
    run_to(crowd, ready, State.VOID)
    assert plan_row(ready).void_why == "plans.approvals: 2 → 3"


def test_a_contract_that_asks_for_fewer_since_leaves_what_was_bound(crowd: Crowd, flow: Flow, bo: Actor) -> None:
    number = submitted(crowd, flow)
    load(flow, 1)
    assert changed_since(number) == []
    yes(crowd, number, bo)
    assert plan_row(number).state == "SUBMITTED"
    assert "approvals" not in plan_row(submitted(crowd, flow)).binds


def test_what_runs_goes_on_under_the_approvals_that_it_has(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = held_plan(crowd, flow, bo, cy)
    load(flow, 5)
    resume(number, crowd.asker, crowd.people)
    run_to(crowd, number, State.DONE)


def test_the_window_s_contract_asks_where_the_newest_asks_for_fewer(make_flow: MakeFlow) -> None:
    flow = blocked(make_flow(contract=contract(3)), [thing(1), b"x"])
    load(flow, 2)
    assert preview("waive", asked(flow, "QUARANTINE")).binds["approvals"] == 3
    load(flow, 4)
    assert preview("waive", asked(flow, "QUARANTINE")).binds["approvals"] == 4


def test_an_adoption_is_approved_as_the_strictest_stream_asks(crowd: Crowd, make_flow: MakeFlow) -> None:
    """The ledger is that of all streams, whichever is named."""
    from plans.approvals import approvals_needed

    make_flow(contract=contract(4))
    one = make_flow()
    stream = one.rows("SELECT id FROM stream WHERE name = %(name)s")[0].id
    assert (approvals_needed(Kind.WAIVE, stream, None), approvals_needed(Kind.ADOPT, stream, None)) == (1, 4)


def test_nothing_is_free_where_more_than_one_approves(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(make_flow(contract=contract(2, "free_records = 5\n")), [thing(1), b"a"])
    both = crowd.somebody("operator", "approver")
    number = free_asked(crowd, flow, 1, both)
    found = free_records(number)
    assert (found.most, found.alone, found.says) == (0, False, "")
    with pytest.raises(SamePerson):
        yes(crowd, number, both)
    load(flow, 1, "free_records = 5\n")
    assert not free_records(number).alone, "it binds two"


# ---- two at once -----------------------------------------------------------------------------------------------------


def at_once(crowd: Crowd, number: int, *who: Actor) -> list[str]:
    """What became of each approval, in a thread of its own."""
    together = Barrier(len(who))

    def one(actor: Actor) -> str:
        try:
            together.wait(10)
            yes(crowd, number, actor)
        except PassgateError as refused:
            return refused.code
        finally:
            connection.close()
        return "given"

    with ThreadPoolExecutor(len(who)) as pool:
        return list(pool.map(one, who))


def test_of_two_at_once_both_count(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    for _ in range(5):
        number = submitted(crowd, flow)
        assert at_once(crowd, number, bo, cy) == ["given", "given"]
        assert plan_row(number).state == "APPROVED"
        assert sorted(given(number)) == sorted([(bo.name, bo.person), (cy.name, cy.person)])


def test_of_one_person_twice_at_once_one_counts(crowd: Crowd, flow: Flow) -> None:
    two = [crowd.somebody("approver", email="twice@example.org") for _ in range(2)]
    for who in ([two[0]] * 2, two):
        number = submitted(crowd, flow)
        assert sorted(at_once(crowd, number, *who)) == ["approved_already", "given"]
        assert (plan_row(number).state, len(given(number))) == ("SUBMITTED", 1)


def test_of_three_at_once_two_count(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = submitted(crowd, flow)
    assert sorted(at_once(crowd, number, bo, cy, crowd.somebody("approver"))) == ["given", "given", "plan_state"]
    assert (plan_row(number).state, len(given(number))) == ("APPROVED", 2)


def test_a_second_one_waits_for_the_first_to_be_written(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    """Written by hand, without the verb's look: the row alone makes the other wait, and is counted then."""
    number = submitted(crowd, flow)
    with ThreadPoolExecutor(1) as pool:
        with write() as cur:
            cur.execute(
                "INSERT INTO plan_approval (plan_id, who, person, digest) SELECT id, %s, %s, digest FROM plan"
                " WHERE id = %s",
                (bo.name, bo.person, number),
            )
            waiting = pool.submit(at_once, crowd, number, cy)
            with pytest.raises(TimeoutError):
                waiting.result(1.5)
        assert waiting.result(10) == ["given"]
    assert plan_row(number).state == "APPROVED"


# ---- whom it waits for -----------------------------------------------------------------------------------------------


def test_it_waits_for_those_who_have_not_approved_it(crowd: Crowd, flow: Flow, bo: Actor, cy: Actor) -> None:
    number = submitted(crowd, flow)

    def waits(who: Actor) -> bool:
        return waits_for(get_user_model().objects.get(username=who.name)).filter(pk=number).exists()

    other = crowd.somebody("approver", email=get_user_model().objects.get(username=bo.name).email.upper())
    assert [waits(who) for who in (bo, other, cy)] == [True, True, True]
    yes(crowd, number, bo)
    assert [waits(who) for who in (bo, other, cy)] == [False, False, True]


# ---- end to end ------------------------------------------------------------------------------------------------------


def test_a_waiver_of_three_people(make_flow: MakeFlow, crowd: Crowd, bo: Actor, cy: Actor) -> None:
    flow = blocked(make_flow(contract=contract(2)), [thing(1), b"not json"])
    wanted = asked(flow, "QUARANTINE")
    seen = preview("waive", wanted)
    assert seen.says[-1] == "2 approvals are needed, 0 given."
    number = submit("waive", wanted, crowd.asker, "it may", crowd.people, digest=seen.digest)
    yes(crowd, number, bo, cy)
    run_to(crowd, number, State.DONE)
    assert flow.judge().verdict.title == "PASS (waived)"
    assert fsck(stream=flow.name) == []


# ---- faces -----------------------------------------------------------------------------------------------------------

NONE, ONE, TWO = (f"2 approvals are needed, {n} given" for n in range(3))


@pytest.fixture
def waiting(make_flow: MakeFlow) -> Flow:
    """An item is open, and the contract asks for two."""
    return blocked(make_flow(contract=contract(2)), [thing(1), b"not json"])


def test_everybody_who_approved_it_stands_on_the_verdict(waiting: Flow, crowd: Crowd, bo: Actor, cy: Actor) -> None:
    number = submit("waive", asked(waiting, "QUARANTINE"), crowd.asker, "a broken client", crowd.people)
    yes(crowd, number, cy, bo)
    run_to(crowd, number, State.DONE)
    stored = waiting.judge()
    names = f"{cy.name}, {bo.name}"
    said = f"by plan {number} (asked for by {crowd.asker.name}, approved by {names}: a broken client)"
    assert stored.verdict.title == "PASS (waived)" and said in stored.sentence
    (waiver,) = decide_gate(waiting.name, "r1").waivers
    assert waiver["approved_by"] == names
    assert fsck(stream=waiting.name) == []


def test_a_rerun_names_them_all(waiting: Flow, crowd: Crowd, bo: Actor, cy: Actor) -> None:
    wanted = {"stream": waiting.name, "run": "r1", "items": open_items(waiting)}
    number = submit("redrive", wanted, crowd.asker, "they parse", crowd.people)
    yes(crowd, number, bo, cy)
    run_to(crowd, number, State.DONE)
    again = judge_rerun(waiting).verdict.window.rerun
    assert again is not None and again.approved_by == f"{bo.name}, {cy.name}"
    page = text_of(browser(bo), rerun_url(waiting.name, "r1", 1, 1))
    assert f"{bo.name}, {cy.name}" in page and f"{bo.name}%2C" not in page
    assert fsck(stream=waiting.name) == []


def test_over_http(waiting: Flow) -> None:
    ana, bo, cy = caller("operator"), caller("approver"), caller("approver")
    body = {"kind": "redrive", "stream": waiting.name, "run": "r1", "items": open_items(waiting)}
    seen = ana.post("plans/preview", body).json()
    assert (seen["approvals"], seen["binds"]["approvals"], seen["says"][-1]) == (2, 2, f"{NONE}.")
    made = ana.post("plans/", body | {"reason": "they parse", "digest": seen["digest"]}).json()
    path, yes_ = f"plans/{made['plan']}", {"digest": made["digest"], "reason": "fine"}
    assert made["approvals"] == {"needed": 2, "given": []}
    first = bo.post(f"{path}/approve", yes_).json()
    assert (first["state"], first["approved_by"]) == ("SUBMITTED", None)
    assert [(each["who"], each["why"]) for each in first["approvals"]["given"]] == [(bo.name, "fine")]
    act = {each["act"]: each for each in first["acts"]}
    assert act["approve"]["refusal"] == f"You approved this, so somebody else must, too. {ONE}."
    assert act["decline"]["refusal"] is None
    again = bo.post(f"{path}/approve", yes_)
    assert (again.status_code, again.json()["code"]) == (403, "approved_already")
    token = Caller(bo.user, issue(bo.user, "another", timedelta(hours=1), ["approve"], "test").secret)
    assert token.post(f"{path}/approve", yes_).json()["code"] == "approved_already"
    lists = [who.pages(f"plans/?waits_for=me&stream={waiting.name}") for who in (bo, cy)]
    assert [[each["plan"] for each in found] for found in lists] == [[], [made["plan"]]]
    done = cy.post(f"{path}/approve", yes_).json()
    assert (done["state"], done["approved_by"]) == ("APPROVED", f"{bo.name}, {cy.name}")
    assert [each["who"] for each in done["approvals"]["given"]] == [bo.name, cy.name]


def test_on_the_command_line(waiting: Flow, crowd: Crowd, bo: Actor, cy: Actor) -> None:
    about = f"redrive {waiting.name}/r1 --items {open_items(waiting)[0]}"
    assert NONE in typed(f"plan preview {about}").out
    made = typed(f"plan submit {about} --because why --as {crowd.asker.name}")
    assert NONE in made.out
    number = int(made.out.split()[1])
    digest = bytes(plan_row(number).digest).hex()
    one = typed(f"plan approve {number} --digest {digest} --because fine --as {bo.name}")
    assert one.code == 0 and f"Plan {number} is SUBMITTED" in one.out and ONE in one.out
    again = typed(f"plan approve {number} --digest {digest} --as {bo.name}")
    assert again.code == 3 and f"{bo.name} has approved it" in again.err
    lists = [typed(f"plan list --waits-for {who.name} --stream {waiting.name}").out for who in (bo, cy)]
    assert lists[0] == "No plans.\n" and f"redrive 1 item of {waiting.name}/r1" in lists[1]
    assert bo.name in lists[1], "the list names who has approved it"
    assert TWO in typed(f"plan approve {number} --digest {digest} --as {cy.name}").out
    shown = typed(f"plan show {number}").out
    assert f"approved by {bo.name}, " in shown and ": fine\n" in shown and f"approved by {cy.name}, " in shown
    assert f"{bo.name}, {cy.name}" in typed(f"plan list --stream {waiting.name}").out


def test_on_pages_two_clicks_for_each(
    waiting: Flow, crowd: Crowd, bo: Actor, cy: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.reads.needs.LISTED_PLANS", 10_000)  # others' plans wait longer, and are listed first
    wanted = {"stream": waiting.name, "run": "r1", "items": open_items(waiting)}
    preview_page = f"/plans/new?kind=redrive&run={waiting.name}%2Fr1&items={open_items(waiting)[0]}"
    assert f"{NONE}." in text_of(browser(crowd.asker), preview_page)
    number = submit("redrive", wanted, crowd.asker, "they parse", crowd.people)
    one, other, path = browser(bo), browser(cy), f"/plans/{number}"
    assert f'href="{path}/approve"' in text_of(one, "/") and f'href="{path}"' in text_of(one, "/plans/")
    signed = text_of(one, f"{path}/approve")
    assert "It runs once others have, too." in signed and f"{NONE}." in signed
    digest = {"digest": bytes(plan_row(number).digest).hex(), "reason": "fine"}
    said = one.post(f"{path}/approve", digest, follow=True).content.decode()
    assert f"Plan {number} has your approval, and waits for others: {ONE}." in html.unescape(said)
    shown = text_of(one, path)
    assert "1 of 2" in shown and f"approval 1 of 2 by {bo.name}" in shown and f"{ONE}." in shown
    assert f'href="{path}/approve"' not in text_of(one, "/") and f'href="{path}"' not in text_of(one, "/plans/")
    assert f"You approved this, so somebody else must, too. {ONE}." in text_of(one, f"{path}/approve")
    assert one.post(f"{path}/approve", digest).status_code == 403
    assert "Then it runs by itself, within seconds." in text_of(other, f"{path}/approve")
    said = other.post(f"{path}/approve", digest, follow=True).content.decode()
    assert f"Plan {number} is approved. It runs by itself." in html.unescape(said)
    shown = text_of(other, path)
    assert f"{bo.name}, {cy.name}" in shown and "2 of 2" in shown and f"APPROVED by {cy.name}" in shown


def browser(actor: Actor) -> Client:
    client = Client()
    client.force_login(get_user_model().objects.get(username=actor.name))
    return client


def test_a_list_asks_once_for_all_approvals(
    crowd: Crowd, flow: Flow, bo: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many plans it lists."""
    client = browser(bo)
    for _ in range(3):
        yes(crowd, submitted(crowd, flow), crowd.approver)
        with statements_counted(monkeypatch) as seen:
            client.get("/plans/?state=waiting")
        assert sum("FROM plan_approval WHERE plan_id = ANY" in each for each in seen) == 1
