"""Free records on the real stack: what one person starts alone, how it is counted, and what always wants another."""

from __future__ import annotations

import html
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client

from audit.fsck import fsck
from ingest.db import ConstraintViolated, Cursor, fetch_one, read, write
from plans.answer import approve
from plans.core.binding import Limits
from plans.core.free import FreeRecords
from plans.core.people import Actor
from plans.core.plan import State
from plans.errors import NotAllowed, SamePerson
from plans.free import free_records as free_of_all
from plans.steer import resume
from plans.submit import submit
from tests.api.caller import caller
from tests.cli.typed import typed
from tests.flow.bus import never_sent
from tests.flow.test_reconcile import unknown
from tests.flow.world import CONTRACT, Flow, thing
from tests.plans.crowd import Crowd, acts, as_owner, plan_row, run_to, statements_counted
from tests.plans.test_replay import fail_window, passed, unforged
from tests.plans.test_waive import HOUR, blocked, open_items
from tests.plans.test_waive import asked as waive_asked

MakeFlow = Callable[..., Flow]


def free_contract(most: int, contract: str = CONTRACT) -> str:
    return f"{contract}[plans]\nfree_records = {most}\n"


@pytest.fixture
def flow(make_flow: MakeFlow) -> Flow:
    """Four records were set aside, and five a day are free."""
    return blocked(make_flow(contract=free_contract(5)), [thing(1), b"a", b"b", b"c", b"d"])


def asked(crowd: Crowd, flow: Flow, items: int, actor: Actor | None = None, **more: Any) -> int:
    """A redrive of the first so many items, SUBMITTED."""
    wanted = {"stream": flow.name, "run": "r1", "items": open_items(flow)[:items], **more}
    return submit("redrive", wanted, actor or crowd.asker, "they parse now", crowd.people)


def alone(crowd: Crowd, number: int, actor: Actor | None = None) -> None:
    approve(number, bytes(plan_row(number).digest), actor or crowd.asker, crowd.people)


def free_records(number: int) -> FreeRecords:
    return free_of_all([number])[number]


def left(crowd: Crowd, flow: Flow) -> int:
    return free_records(asked(crowd, flow, 1)).left


def test_what_is_free_is_started_by_who_asked_for_it(flow: Flow, crowd: Crowd) -> None:
    number = asked(crowd, flow, 3)
    assert free_records(number).says == "free: 5 of 5 records left today, for this plan's 3."
    alone(crowd, number)
    row = plan_row(number)
    assert (row.state, row.approved_by, row.free_records) == ("APPROVED", crowd.asker.name, 3)
    assert left(crowd, flow) == 2
    run_to(crowd, number, State.DONE)
    who = [actor for act, actor in acts(number) if act in ("plan.submit", "plan.approve")]
    assert who == [crowd.asker.name] * 2
    assert left(crowd, flow) == 2, "whatever became of it"
    assert fsck(stream=flow.name) == []


def test_more_than_is_left_wants_a_second_person(flow: Flow, crowd: Crowd) -> None:
    alone(crowd, asked(crowd, flow, 3))
    number = asked(crowd, flow, 3)
    with pytest.raises(NotAllowed):
        alone(crowd, number)  # who asks is no approver
    both = crowd.somebody("operator", "approver")
    number = asked(crowd, flow, 4, both)
    alone(crowd, asked(crowd, flow, 2, both), both)
    with pytest.raises(SamePerson, match="free: 3 of 5 records left today; this plan is of 4"):
        alone(crowd, number, both)
    alone(crowd, number, crowd.approver)
    assert plan_row(number).free_records is None, "a second person gave it"
    assert free_records(asked(crowd, flow, 1, both)).left == 3


def test_a_contract_says_nothing_and_nothing_is_free(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = blocked(make_flow(), [thing(1), b"a"])
    both = crowd.somebody("operator", "approver")
    number = asked(crowd, flow, 1, both)
    assert free_records(number).says == ""
    with pytest.raises(SamePerson):
        alone(crowd, number, both)
    with pytest.raises(NotAllowed):
        alone(crowd, asked(crowd, flow, 1))


def test_a_plan_of_no_records_is_not_free_of_none(make_flow: MakeFlow, crowd: Crowd) -> None:
    """Verbs ask for none such; whoever writes one by the application's rights does not start it alone either."""
    number = asked(crowd, blocked(make_flow(), [thing(1), b"a"]), 1)
    was = plan_row(number).binds
    binds_items(number, [])
    try:
        with read() as cur:
            row = fetch_one(
                cur.execute(
                    "SELECT plan_records(kind, binds) AS n, plan_starts_alone(id) AS alone FROM plan WHERE id = %s",
                    [number],
                )
            )
            assert (row.n, row.alone) == (0, False)
        assert not free_records(number).alone
    finally:
        binds_items(number, was["items"])


def binds_items(number: int, items: list[int]) -> None:
    with as_owner() as connection:
        connection.execute(
            "UPDATE plan SET binds = jsonb_set(binds, '{items}', %s::jsonb) WHERE id = %s", [json.dumps(items), number]
        )


def test_the_newest_contract_says_how_many(flow: Flow, crowd: Crowd) -> None:
    """Whichever version a plan is asked for under: an older one that gave more gives nothing."""
    number = asked(crowd, flow, 3, contract=1)
    flow.contract = free_contract(2)
    flow.load()
    assert not free_records(number).alone
    with pytest.raises(NotAllowed):
        alone(crowd, number)
    alone(crowd, asked(crowd, flow, 2))


def test_two_accounts_of_one_person_share_what_is_left(flow: Flow, crowd: Crowd) -> None:
    one = crowd.somebody("operator", email="Same@example.org")
    other = crowd.somebody("data engineer", email="same@EXAMPLE.org")
    alone(crowd, asked(crowd, flow, 3, one), one)
    second = asked(crowd, flow, 3, other)
    for actor in (one, other):
        with pytest.raises(NotAllowed):
            alone(crowd, second, actor)
    third = asked(crowd, flow, 2, one)
    alone(crowd, third, other)  # they are one person
    run_to(crowd, third, State.DONE)
    assert free_records(second).left == 0
    assert left(crowd, flow) == 5, "another person's are untouched"


def test_an_account_that_became_another_person_s_has_none_of_it(flow: Flow, crowd: Crowd) -> None:
    both = crowd.somebody("operator", "approver")
    number = asked(crowd, flow, 1, both)
    get_user_model().objects.filter(username=both.name).update(email="new@example.org")
    with pytest.raises(SamePerson):
        alone(crowd, number, Actor(both.name, "mailto:new@example.org"))


def test_another_stream_s_are_counted_apart(flow: Flow, make_flow: MakeFlow, crowd: Crowd) -> None:
    other = blocked(make_flow(contract=free_contract(5)), [thing(1), b"a"])
    alone(crowd, asked(crowd, flow, 4))
    assert (left(crowd, flow), left(crowd, other)) == (1, 5)


# ---- what never is ---------------------------------------------------------------------------------------------------


def never(crowd: Crowd, flow: Flow, kind: str, both: Actor, **asked: Any) -> None:
    number = submit(kind, {"stream": flow.name, "run": "r1", **asked}, both, "why", crowd.people)
    assert free_records(number).says == "Not free: a plan like this one always wants a second person."
    with pytest.raises(SamePerson, match="always wants a second person"):
        alone(crowd, number, both)


def test_a_waiver_and_a_correction_are_never_free(flow: Flow, crowd: Crowd) -> None:
    both = crowd.somebody("operator", "approver")
    never(crowd, flow, "waive", both, check="QUARANTINE", until=waive_asked(flow, "QUARANTINE", HOUR)["until"])
    (item, *_) = open_items(flow)
    corrected = {str(item): "eyJ0eXBlIjogInRoaW5nIiwgImlkIjogOX0="}
    never(crowd, flow, "redrive", both, items=[item], corrections=corrected)


def test_proving_is_free_and_a_fresh_run_never_is(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = passed(make_flow(contract=free_contract(10)), [thing(n) for n in range(6)])
    part = {"ranges": [{"source": "inbox/0", "from": 1, "to": 5}]}
    number = submit("replay", {"stream": flow.name, "run": "r1", **part}, crowd.asker, "is it whole", crowd.people)
    assert free_records(number).records == 4, "offsets: no more records than these are read"
    alone(crowd, number)
    run_to(crowd, number, State.DONE)
    fail_window(flow)
    assert flow.judge().verdict.title == "FAIL"
    never(crowd, flow, "replay", crowd.somebody("operator", "approver"), whole=True, mode="fresh")
    unforged()


def test_publishing_again_is_free_by_what_the_ledger_counts(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    flow = make_flow(after='1s"\nrepublish = "plan', contract=free_contract(10))
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    number = submit("republish", {"stream": flow.name, "run": "r1"}, crowd.asker, "why", crowd.people)
    assert free_records(number).records == sum(row.events for row in attempts(flow))
    alone(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work_until(lambda: flow.attempts() == ["ABSENT", "ACKED"], "publish")


def attempts(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT a.events FROM attempt a JOIN source c ON c.id = a.source_id JOIN stream s ON s.id = c.stream_id"
        " WHERE s.name = %(name)s"
    )


# ---- before it runs, and while it does -------------------------------------------------------------------------------


def loses_its_roles(actor: Actor) -> None:
    get_user_model().objects.get(username=actor.name).groups.clear()


def test_who_may_ask_no_more_has_started_nothing(flow: Flow, crowd: Crowd) -> None:
    number = asked(crowd, flow, 4)
    alone(crowd, number)
    loses_its_roles(crowd.asker)
    run_to(crowd, number, State.VOID)
    assert plan_row(number).void_why == f"{crowd.asker.name} may ask for it no more"
    assert free_records(number).left == 5, "nothing of it ran"
    assert fsck(stream=flow.name) == []


def test_nor_goes_on_with_what_is_held(flow: Flow, crowd: Crowd) -> None:
    wanted = {"stream": flow.name, "run": "r1", "items": open_items(flow)}
    number = submit("redrive", wanted, crowd.asker, "why", crowd.people, Limits(first=1))
    alone(crowd, number)
    run_to(crowd, number, State.HELD)
    with pytest.raises(NotAllowed):
        loses_its_roles(crowd.asker)
        resume(number, crowd.approver, crowd.people)
    assert free_records(number).left == 1, "it counts whole"


def test_a_day_ends_at_midnight_utc(flow: Flow, crowd: Crowd) -> None:
    number = asked(crowd, flow, 4)
    alone(crowd, number)
    with as_owner() as owner:
        owner.execute(
            "UPDATE plan SET approved_at = '2026-03-28T23:59:59.999999Z', requested_at = '2026-03-28T12:00:00Z'"
            " WHERE id = %s",
            (number,),
        )
    assert left(crowd, flow) == 5
    seconds = ("27T23:59:59.999999", "28T00:00:00", "28T23:59:59", "29T00:00:00")
    for zone in ("UTC", "Pacific/Kiritimati", "Europe/Berlin"):
        with read() as cur:
            cur.execute("SELECT set_config('TimeZone', %s, true)", (zone,))
            used = [used_at(cur, number, f"2026-03-{second}Z") for second in seconds]
        assert used == [0, 4, 4, 0], zone


def used_at(cur: Cursor, number: int, at: str) -> int:
    row = cur.execute(
        "SELECT free_records_used(p.stream_id, p.requested_person, %s::timestamptz) AS used"
        " FROM plan p WHERE p.id = %s",
        (at, number),
    ).fetchone()
    assert row is not None
    return int(row.used)


# ---- two at once -----------------------------------------------------------------------------------------------------


def at_once(crowd: Crowd, numbers: list[int]) -> list[str]:
    """What became of each, approved by its requester in a thread of its own."""
    together = Barrier(len(numbers))

    def one(number: int) -> str:
        try:
            together.wait(10)
            alone(crowd, number)
        except (SamePerson, NotAllowed) as refused:
            return refused.code
        finally:
            connection.close()
        return "APPROVED"

    with ThreadPoolExecutor(len(numbers)) as pool:
        return list(pool.map(one, numbers))


def test_of_many_at_once_no_more_pass_than_are_free(flow: Flow, crowd: Crowd) -> None:
    found = at_once(crowd, [asked(crowd, flow, 2) for _ in range(6)])
    assert found.count("APPROVED") == 2, found
    assert left(crowd, flow) == 1
    assert fsck(stream=flow.name) == []


def test_a_second_one_waits_for_the_first_to_be_counted(flow: Flow, crowd: Crowd) -> None:
    """It has looked already, and saw nothing: the first is not committed yet."""
    first, second = asked(crowd, flow, 3), asked(crowd, flow, 3)
    with ThreadPoolExecutor(1) as pool:
        with write() as cur:
            cur.execute(
                "UPDATE plan SET state = 'APPROVED', acted_by = requested_by, approved_by = requested_by,"
                " approved_person = requested_person, approved_digest = digest WHERE id = %s",
                (first,),
            )
            waiting = pool.submit(at_once, crowd, [second])
            with pytest.raises(TimeoutError):
                waiting.result(1.5)
        (became,) = waiting.result(10)
    assert became == SamePerson.code
    assert [plan_row(number).state for number in (first, second)] == ["APPROVED", "SUBMITTED"]


def test_an_older_snapshot_counts_nothing(flow: Flow, crowd: Crowd) -> None:
    number = asked(crowd, flow, 1)
    with pytest.raises(ConstraintViolated, match="READ COMMITTED"), write() as cur:
        cur.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        cur.execute(
            "UPDATE plan SET state = 'APPROVED', acted_by = requested_by, approved_by = requested_by,"
            " approved_person = requested_person, approved_digest = digest WHERE id = %s",
            (number,),
        )


# ---- faces -----------------------------------------------------------------------------------------------------------

LEFT = "free: 5 of 5 records left today, for this plan's 3."


def test_an_account_starts_alone_over_http(flow: Flow) -> None:
    ana, eve = caller("operator"), caller("operator")
    made = ana.post("plans/", redrive_body(flow, 3)).json()
    assert made["free"] == {"most": 5, "left": 5, "records": 3, "alone": True, "says": LEFT}
    path, body = f"plans/{made['plan']}", {"digest": made["digest"]}
    act = {each["act"]: each for each in made["acts"]}["approve"]
    assert (act["permission"], act["refusal"]) == ("replay", None)
    assert made["plan"] in [each["plan"] for each in ana.get("plans/?waits_for=me").json()["items"]]
    assert made["plan"] not in [each["plan"] for each in eve.get("plans/?waits_for=me").json()["items"]]
    assert eve.post(f"{path}/approve", body).status_code == 403
    assert ana.post(f"{path}/decline", {"reason": "no"}).status_code == 403, "that is a second person's"
    done = ana.post(f"{path}/approve", body)
    assert (done.status_code, done.json()["approved_by"], done.json()["free_records"]) == (200, ana.name, 3)
    more = ana.post("plans/", redrive_body(flow, 4)).json()
    act = {each["act"]: each for each in more["acts"]}["approve"]
    assert act["refusal"].endswith("free: 2 of 5 records left today; this plan is of 4.")
    assert ana.post(f"plans/{more['plan']}/approve", {"digest": more["digest"]}).status_code == 403
    assert more["plan"] not in [each["plan"] for each in ana.get("plans/?waits_for=me").json()["items"]]


def redrive_body(flow: Flow, items: int) -> dict[str, Any]:
    return {
        "kind": "redrive", "stream": flow.name, "run": "r1", "items": open_items(flow)[:items], "reason": "they parse",
    }  # fmt: skip


def test_pages_say_what_is_left_and_let_it_be_started(flow: Flow, crowd: Crowd) -> None:
    number = asked(crowd, flow, 3)
    client = Client()
    client.force_login(get_user_model().objects.get(username=crowd.asker.name))
    assert f'href="/plans/{number}"' in text_of(client, "/plans/")
    assert f"{crowd.asker.name} may start it alone, or another person approves exactly this" in text_of(
        client, f"/plans/{number}"
    )
    page = text_of(client, f"/plans/{number}/approve")
    assert LEFT in page
    said = client.post(f"/plans/{number}/approve", {"digest": bytes(plan_row(number).digest).hex()})
    assert said.status_code == 302, text_of(client, f"/plans/{number}/approve")
    assert "3 records, started by its requester alone" in text_of(client, f"/plans/{number}")
    more = asked(crowd, flow, 4)
    assert "free: 2 of 5 records left today; this plan is of 4." in text_of(client, f"/plans/{more}")
    assert f'href="/plans/{more}"' not in text_of(client, "/plans/")


def text_of(client: Client, path: str) -> str:
    return html.unescape(client.get(path).content.decode())


def test_a_list_of_plans_asks_once_for_all_of_them(flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client()
    client.force_login(get_user_model().objects.get(username=crowd.asker.name))

    def asked_for() -> int:
        with statements_counted(monkeypatch) as seen:
            client.get("/plans/?state=waiting")
        return sum("plan_free(" in each for each in seen)

    for _ in range(3):
        asked(crowd, flow, 1)
        assert asked_for() == 1


def test_a_command_line_says_the_same(flow: Flow, crowd: Crowd) -> None:
    items = ",".join(map(str, open_items(flow)[:3]))
    me = f"--as {crowd.asker.name}"
    made = typed(f"plan submit redrive {flow.name}/r1 --items {items} --because why {me}")
    assert LEFT in made.out and f"{crowd.asker.name} may start it alone" in made.out
    number = int(made.out.split()[1])
    digest = bytes(plan_row(number).digest).hex()
    assert (
        "free: 3 records, started by its requester alone" in typed(f"plan approve {number} --digest {digest} {me}").out
    )
    assert "free: 3 records, started by its requester alone" in typed(f"plan show {number}").out


@pytest.mark.parametrize(("written", "most"), [("", 0), ("[plans]\nfree_records = 7\n", 7)])
def test_the_database_knows_what_a_contract_gives(make_flow: MakeFlow, written: str, most: int) -> None:
    flow = make_flow(contract=CONTRACT + written)
    rows = flow.rows(
        "SELECT c.free_records FROM contract c JOIN stream s ON s.id = c.stream_id WHERE s.name = %(name)s"
    )
    assert [row.free_records for row in rows] == [most]
