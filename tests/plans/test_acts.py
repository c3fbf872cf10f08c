"""What a window offers, on the real stack: each plan is taken as it is offered, and what is not offered is refused."""

from __future__ import annotations

import html
import json
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from audit.capture import now
from audit.close import checks_now, close_run, window_of
from audit.go_on import go_on
from console import links
from console.permissions import Role
from console.reads.offers import offer_fields, offer_words
from console.reads.plans import RENAMED
from ingest.admit.http import DoorRecord, receive
from ingest.core.errors import PassgateError
from ingest.core.ledger_rows import packed_headers
from ingest.core.reason import Reason
from ingest.core.record import UNREADABLE_NAME
from ingest.models import Resolution
from ingest.publish.decide import NotUndecidable
from ingest.publish.republish import NotWithheld
from ingest.quarantine import resolve
from plans.core.binding import Limits
from plans.core.offers import Offer
from plans.core.plan import State
from plans.offers import offers_of, redrives_of, republishes_of
from plans.preview import preview
from plans.submit import submit
from tests.api.caller import caller
from tests.cli.typed import typed
from tests.flow.bus import never_sent
from tests.flow.test_reconcile import unknown
from tests.flow.world import CONTRACT, Flow, thing
from tests.pages.conftest import signed_in
from tests.patience import stretched
from tests.plans.crowd import Crowd, as_owner, run_to, say_yes, statements_counted
from tests.plans.test_basis_plan import KEY, cut_run, posture_is
from tests.plans.test_decide import attempt_of, undecidable
from tests.plans.test_replay import context_falls, fail_window, failed, forged, joined_and_passed, unforged, weather
from tests.plans.test_waive import HOUR, blocked, open_items

__all__ = ["forged", "weather"]
MakeFlow = Callable[..., Flow]
MonkeyPatch = pytest.MonkeyPatch


def offered(flow: Flow) -> tuple[Offer, ...]:
    """By the checks of now, as a page, the API and `passgate run show` have them."""
    flow.sample()
    win = window_of(flow.name, "r1", 1)
    return offers_of(win, checks_now(win).checks)


def named(found: Sequence[Offer]) -> list[str]:
    return [f"{offer.kind} {offer.about}".strip() for offer in found]


def asked(flow: Flow, offer: Offer) -> dict[str, Any]:
    """As the kind is asked, with what a person has to say: a waiver's end."""
    said = {name: until() for name in offer.lacks}
    members = {RENAMED.get(name, name): value for name, value in offer.asked.items()}
    return {"stream": flow.name, "run": "r1", **members, **said}


def until() -> str:
    return (now() + HOUR).isoformat()


def done(crowd: Crowd, flow: Flow, offer: Offer) -> int:
    """Submitted as it was offered, approved and run."""
    number = submit(offer.kind, asked(flow, offer), crowd.asker, "it was offered", crowd.people)
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    return number


def refused(flow: Flow, kind: str, **more: Any) -> str:
    """Why a plan is not taken that was not offered."""
    with pytest.raises(PassgateError) as fault:
        preview(kind, {"stream": flow.name, "run": "r1", "window": 1, **more})
    return str(fault.value)


def replays(flow: Flow) -> tuple[str, str]:
    """Why neither replay is taken."""
    return refused(flow, "replay", whole=True, mode="fresh"), refused(flow, "replay", whole=True, mode="prove")


# ---- windows that failed ---------------------------------------------------------------------------------------------


def test_a_surplus_row_is_answered_by_a_run_in_the_windows_place(flow: Flow, crowd: Crowd) -> None:
    failed(flow, [thing(n) for n in range(4)])
    found = offered(flow)
    assert named(found) == ["replay fresh", "replay prove"]
    done(crowd, flow, found[1])  # first, for no rerun is opened of a window whose place is taken
    (fresh, _) = offered(flow)
    done(crowd, flow, fresh)
    assert offered(flow) == (), "its place is taken"
    assert all("r1.r1 does" in why for why in replays(flow))
    unforged()


def test_a_missing_effect_is_answered_by_proving_first(flow: Flow, crowd: Crowd) -> None:
    flow.open()
    flow.produce([thing(n) for n in range(4)])
    flow.work()
    with as_owner() as connection:
        connection.execute(
            "DELETE FROM effect e USING run r, stream s WHERE r.id = e.run_id AND s.id = r.stream_id AND s.name = %s"
            " AND e.bus_offset = 0",
            (flow.name,),
        )
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    found = offered(flow)
    assert named(found) == ["replay prove", "replay fresh"]
    assert "is FAIL" in refused(flow, "waive", check="QUARANTINE", until=until())
    done(crowd, flow, found[0])
    assert offered(flow) == (), "it is applied again"


def test_events_that_came_by_http_are_not_read_again(make_flow: MakeFlow, crowd: Crowd) -> None:
    flow = make_flow(contract=CONTRACT + "[inbox.http]\nenabled = true\n")
    flow.open()
    flow.produce([thing(1)])
    receive(flow.name, [DoorRecord(0, None, None, thing(2), None)])
    flow.work()
    fail_window(flow)
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    (prove,) = offered(flow)
    assert named([prove]) == ["replay prove"]
    assert "came in by HTTP" in refused(flow, "replay", whole=True, mode="fresh")
    done(crowd, flow, prove)
    unforged()


def test_an_inbox_that_was_created_again_is_not_read_again(flow: Flow, crowd: Crowd) -> None:
    failed(flow, [thing(n) for n in range(4)])
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.sample()
    assert offered(flow) == ()
    assert all("nothing of it" in why for why in replays(flow))
    unforged()


def test_what_retention_took_is_stood_in_for_in_what_is_offered(flow: Flow, crowd: Crowd) -> None:
    failed(flow, [thing(n) for n in range(6)])
    flow.admin.delete_records(flow.inbox, {0: 4})
    (prove,) = offered(flow)
    assert prove.asked["whole"] is True and "receipts stand in for what is gone" in prove.why
    assert "its log begins at 4" in refused(flow, "replay", whole=True, mode="fresh")
    done(crowd, flow, prove)
    unforged()


def test_what_nobody_received_is_left_out_of_what_is_offered(forged: Flow, crowd: Crowd) -> None:
    """Retention took it before it was read: what is still there is offered."""
    flow = forged
    flow.open()
    flow.produce([thing(n) for n in range(8)])
    flow.admin.delete_records(flow.inbox, {0: 3})
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.title == "FAIL"
    flow.admin.delete_records(flow.inbox, {0: 6})
    (prove,) = offered(flow)
    assert prove.asked["ranges"] == [{"source": "inbox/0", "from": 6, "to": 8}]
    assert all("its log begins at 6" in why for why in replays(flow))
    done(crowd, flow, prove)


def test_nothing_is_read_again_while_a_rerun_is_filled(flow: Flow, crowd: Crowd) -> None:
    failed(flow, [thing(n) for n in range(6)])
    prove = offered(flow)[1]
    number = submit("replay", asked(flow, prove), crowd.asker, "why", crowd.people, Limits(first=2))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    assert offered(flow) == ()
    assert "rerun 1 of it is not over" in refused(flow, "replay", whole=True, mode="fresh")
    unforged()


def test_a_fallen_context_is_answered_by_a_fresh_run(weather: Flow, crowd: Crowd) -> None:
    flow = joined_and_passed(weather)
    assert offered(flow) == (), "it can be read"
    assert "its gate is open" in refused(flow, "replay", whole=True, mode="fresh")
    context_falls(weather)
    found = offered(flow)
    assert named(found)[0] == "replay fresh", found
    done(crowd, flow, found[0])


# ---- windows that wait for people ------------------------------------------------------------------------------------


def test_an_open_item_is_redriven_or_waived(flow: Flow, crowd: Crowd) -> None:
    blocked(flow, [thing(1), b"not json", thing(1, other=True)])
    found = offered(flow)
    kinds = named(found)
    assert kinds[0] == "waive QUARANTINE" and len(kinds) == 2 and kinds[1].startswith("redrive 1 "), kinds
    assert "another payload of an event that stands" in refused(flow, "redrive", reason="PAYLOAD_MISMATCH")
    done(crowd, flow, found[1])
    flow.work()
    done(crowd, flow, offered(flow)[0])
    assert flow.judge().verdict.title == "PASS (waived)"


def test_what_is_not_broken_is_not_waived(flow: Flow) -> None:
    blocked(flow, [thing(1), thing(1, other=True)])
    assert named(offered(flow)) == ["waive QUARANTINE"], "a mismatch wants a correction"
    resolve(open_items(flow), "ana", Resolution.ACCEPTED_FIRST, "seen", [f"{flow.name}/r1"])
    assert offered(flow) == ()
    assert "QUARANTINE holds" in refused(flow, "waive", check="QUARANTINE", until=until())
    assert "found APPLIED" in refused(flow, "waive", check="APPLIED", until=until())


def test_a_contract_that_asks_for_more_approvals_is_offered_the_same(make_flow: MakeFlow) -> None:
    flow = make_flow(contract=CONTRACT + "[plans]\napprovals = 2\n")
    blocked(flow, [thing(1), b"not json"])
    assert named(offered(flow)) == ["waive QUARANTINE", "redrive 1 NOT_JSON"]
    assert len(buttons_of_items(flow, open_items(flow))) == 4


def test_an_undecidable_attempt_is_decided(make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    flow = make_flow(automatic="false")
    attempt = undecidable(flow, monkeypatch, never_sent)
    (decide,) = offered(flow)
    assert named([decide]) == [f"decide attempt {attempt}"]
    with pytest.raises(NotWithheld):
        preview("republish", {"stream": flow.name, "run": "r1"})
    done(crowd, flow, decide)
    assert offered(flow) == (), "it is decided"
    flow.work_until(lambda: flow.attempts()[0] == "ABSENT", "publish")
    with pytest.raises(NotUndecidable):
        preview("decide", asked(flow, decide))


def test_what_was_proven_absent_is_published_again(make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch) -> None:
    flow = make_flow(after='1s"\nrepublish = "plan')
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    (republish,) = offered(flow)
    assert named([republish]) == ["republish"]
    done(crowd, flow, republish)
    assert offered(flow) == ()
    with pytest.raises(NotWithheld):
        preview("republish", asked(flow, republish))


def test_a_posture_that_is_worse_is_taken_into_the_basis(flow: Flow, crowd: Crowd) -> None:
    cut_run(flow)
    assert offered(flow) == ()
    assert "nothing that a refresh may add" in refused(flow, "basis")
    posture_is(flow, flow.bus, KEY, "86400000")
    end = time.monotonic() + stretched(5)
    while not offered(flow) and time.monotonic() < end:
        time.sleep(0.2)  # what Kafka said may be two seconds old
    (basis,) = offered(flow)
    assert named([basis]) == ["basis"]
    done(crowd, flow, basis)
    assert offered(flow) == ()


# ---- faces -----------------------------------------------------------------------------------------------------------


def test_the_three_faces_offer_the_same(flow: Flow, crowd: Crowd) -> None:
    """The menu of a page, a document and a command line."""
    failed(flow, [thing(1), b"not json"])
    found = offered(flow)
    wanted = named(found)
    assert len(wanted) == 3 and wanted[1:] == ["replay fresh", "replay prove"], wanted
    told = caller("data engineer").get(f"streams/{flow.name}/runs/r1/checks").json()["offers"]
    bodies = [{"kind": str(each.kind), "stream": flow.name, "run": "r1", **each.asked} for each in found]
    assert [each["body"] for each in told] == bodies
    for body in bodies:
        assert caller("data engineer").post("plans/preview", body).status_code == 200
    document = json.loads(typed(f"run show {flow.name}/r1 --json").out)
    assert document["offers"] == told
    shown = typed(f"run show {flow.name}/r1").out
    commands = [line.strip() for line in shown.splitlines() if line.strip().startswith("passgate plan submit")]
    assert [line.split()[3] for line in commands] == [str(each.kind) for each in found]
    for line in commands:
        again = line.removeprefix("passgate ").replace("submit", "preview").split(" --because")[0]
        assert typed(again).code == 0, again
    page = html.unescape(signed_in("dora", Role.DATA_ENGINEER).get(f"/runs/{flow.name}/r1/").content.decode())
    for offer in found:
        url = links.with_query("/plans/new", **offer_fields(offer, f"{flow.name}/r1"))
        assert url in page and f"Request {offer_words(offer)}" in page
    unforged()


def next_on(flow: Flow) -> str:
    """The next act, as the page of the run says it."""
    page = html.unescape(signed_in("dora", Role.DATA_ENGINEER).get(f"/runs/{flow.name}/r1/").content.decode())
    said = re.search(r"<b>Next:</b> ([^<]*)", page)
    return said[1].strip() if said else ""


def test_beside_a_fail_stands_what_is_offered_now(flow: Flow, crowd: Crowd) -> None:
    """The sealed sentence leaves it open: what the inbox still has changes."""
    failed(flow, [thing(n) for n in range(4)])
    assert (
        "Open a new run, or ask for a replay where one is offered; #1 stays." in typed(f"run show {flow.name}/r1").out
    )
    assert next_on(flow) == "request replay: fresh or request replay: prove. They are offered now."
    assert "No plan is offered" not in typed(f"run show {flow.name}/r1").out
    flow.admin.delete_topic(flow.inbox)
    flow.admin.create_topic(flow.inbox, 1)
    flow.sample()
    assert offered(flow) == ()
    end = time.monotonic() + stretched(10)
    while "No plan" not in next_on(flow) and time.monotonic() < end:
        time.sleep(0.3)  # what Kafka said may be some seconds old
    assert next_on(flow) == "open a new run. No plan is offered for this window now."
    assert "No plan is offered for it now." in typed(f"run show {flow.name}/r1").out
    unforged()


def links_on(path: str, kind: str, role: Role = Role.DATA_ENGINEER) -> list[str]:
    """Where a page asks for a plan of the kind."""
    page = signed_in(f"{role}-dora".replace(" ", "-"), role).get(path).content.decode()
    found = [html.unescape(url) for url in re.findall(r'href="(/plans/new[^"]*)"', page)]
    return [url for url in found if f"kind={kind}" in url]


def previewed(url: str) -> bool:
    """Whether what the link asks for has a preview, and so a digest to be asked for."""
    return 'name="digest"' in signed_in("dora", Role.DATA_ENGINEER).get(url).content.decode()


def test_the_pages_of_publishes_ask_about_the_window_that_waits(make_flow: MakeFlow, monkeypatch: MonkeyPatch) -> None:
    """The newest window of the run has nothing that is withheld."""
    flow = make_flow(after='1s"\nrepublish = "plan')
    unknown(flow, monkeypatch, never_sent)
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    go_on(flow.name, "r1", "ana", 1)
    (of_run,) = links_on(f"/unknown/?run={flow.name}/r1", "republish")
    (of_attempt,) = links_on(links.attempt_url(attempt_of(flow)), "republish")
    assert previewed(of_run) and previewed(of_attempt)


def test_the_page_of_an_attempt_asks_for_what_is_taken(
    make_flow: MakeFlow, crowd: Crowd, monkeypatch: MonkeyPatch
) -> None:
    """A decision until it is decided, and nothing where the contract's plans cannot be given."""
    flow = make_flow(automatic="false")
    attempt = undecidable(flow, monkeypatch, never_sent)
    path = links.attempt_url(attempt)
    (url,) = links_on(path, "decide", Role.OPERATOR)
    assert f"attempt={attempt}" in url
    flow.sample()
    (decide,) = offers_of(window_of(flow.name, "r1", 1), checks_now(window_of(flow.name, "r1", 1)).checks)
    done(crowd, flow, decide)
    assert links_on(path, "decide", Role.OPERATOR) == []


def buttons_of_items(flow: Flow, items: Sequence[int]) -> list[str]:
    """Where the pages of an item, of resolving it, of its group and of several ask for a redrive by number."""
    group = links.group_url(items_of(flow)[0].run_id, Reason(items_of(flow)[0].reason).name)
    several = "&".join(f"item={item}" for item in items)
    paths = (links.item_url(items[0]), f"/quarantine/{items[0]}/resolve", f"/quarantine/resolve?{several}")
    page = signed_in("dora", Role.DATA_ENGINEER).get(group).content.decode()
    ticked = [group] if "Request redrive of the ticked" in page else []
    return [url for path in paths for url in links_on(path, "redrive")] + ticked


def test_items_are_redriven_by_number_where_it_is_taken(flow: Flow, crowd: Crowd) -> None:
    failed(flow, [thing(1), b"not json", b"nor this"])
    items = open_items(flow)
    found = buttons_of_items(flow, items)
    assert len(found) == 4 and all(previewed(url) for url in found[:3])
    (fresh,) = [offer for offer in offered(flow) if offer.about == "fresh"]
    done(crowd, flow, fresh)
    assert "r1.r1 does" in refused(flow, "redrive", items=items), "its place is taken"
    assert buttons_of_items(flow, items) == []
    unforged()


def test_a_mismatch_is_offered_alone_to_be_corrected(flow: Flow) -> None:
    blocked(flow, [thing(1), thing(1, other=True), thing(2), thing(2, other=True)])
    items = open_items(flow)
    one, of_resolving, ticked = buttons_of_items(flow, items)
    assert one == of_resolving == f"/plans/new?kind=redrive&items={items[0]}" and "groups" in ticked, "no several"
    assert "another payload of an event that stands" in refused(flow, "redrive", items=items)


def test_a_page_that_shows_one_kind_asks_for_no_other(flow: Flow, monkeypatch: MonkeyPatch) -> None:
    blocked(flow, [thing(1), b"not json"])
    win = window_of(flow.name, "r1", 1)
    counts = {}
    for name, asks in (
        ("all", lambda: offers_of(win, ())),
        ("redrives", lambda: redrives_of(win)),
        ("republishes", lambda: republishes_of(win)),
    ):
        asks()  # contracts are parsed once
        with statements_counted(monkeypatch) as seen:
            asks()
        counts[name] = len(seen)
    assert counts["republishes"] < counts["redrives"] < counts["all"], counts
    assert (counts["republishes"], counts["redrives"]) == (2, 6), counts


def test_the_page_of_a_rerun_asks_for_nothing_of_its_window(flow: Flow, crowd: Crowd) -> None:
    """A waiver of the one is none of the other's."""
    blocked(flow, [thing(1), b"not json"])
    number = submit(
        "replay", {"stream": flow.name, "run": "r1", "window": 1, "whole": True}, crowd.asker, "why", crowd.people
    )
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)
    flow.work()
    flow.sample()
    assert close_run(flow.name, "r1", "test", 1, rerun=1).verdict.title == "BLOCKED"
    assert links_on(f"/runs/{flow.name}/r1/", "redrive")
    assert links_on(links.rerun_url(flow.name, "r1", 1, 1), "redrive") == []


def test_a_group_of_which_an_item_was_cut_is_not_redriven_as_a_whole(forged: Flow) -> None:
    flow = forged
    blocked(flow, [thing(1), b"not json", b"{"])
    (reason,) = {q.reason for q in items_of(flow)}
    path = links.group_url(items_of(flow)[0].run_id, Reason(reason).name)
    (url,) = links_on(path, "redrive")
    assert previewed(url)
    with as_owner() as connection:
        connection.execute(
            "UPDATE quarantine_item SET headers = %s WHERE id = %s",
            (packed_headers([(UNREADABLE_NAME, None)]), items_of(flow)[0].id),
        )
    assert links_on(path, "redrive") == [] and not previewed(url)
    assert named(offered(flow)) == ["waive QUARANTINE"]


def items_of(flow: Flow) -> list[Any]:
    return flow.rows(
        "SELECT q.id, q.reason, q.run_id FROM quarantine_item q JOIN run r ON r.id = q.run_id"
        " JOIN stream s ON s.id = r.stream_id WHERE s.name = %(name)s ORDER BY q.id"
    )
