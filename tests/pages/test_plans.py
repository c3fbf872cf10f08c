"""Plans on pages: who sees what waits, what is signed, and that no page does what its person may not."""

from __future__ import annotations

import html
import re
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.permissions import Role
from ingest.models import AuditLog
from plans.core.binding import Limits
from plans.core.people import Actor
from plans.core.plan import State
from plans.kinds.waive import WaivePlan
from plans.run import run_plan
from tests.flow.world import Flow
from tests.pages.conftest import Stage, signed_in
from tests.pages.scene import ask_to_waive, blocked
from tests.pages.test_pages import Page, get, post
from tests.plans.crowd import Crowd, counted, counting, history, let_expire, plan_row, run_to, say_yes

pytestmark = pytest.mark.usefixtures("live")


@pytest.fixture
def crowd(live: object) -> Crowd:
    return Crowd()


@pytest.fixture(scope="module")
def flow(stack: object, django_db_blocker: object) -> Flow:
    """A run that an open item blocks, for all tests of this module."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:  # type: ignore[attr-defined]
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
        return blocked(Flow(automatic="false"))


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine under load is waited for."""
    monkeypatch.setattr("console.reads.looks.PATIENCE", 30.0)
    monkeypatch.setattr("console.reads.looks.ASKED_PATIENCE", 30.0)


def browse(actor: Actor) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username=actor.name))
    return client


def words(page: Page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


def listed(client: Client, state: str) -> list[int]:
    found = re.findall(r'<th scope="row"><a href="/plans/(\d+)"', get(client, f"/plans/?state={state}").text)
    return [int(each) for each in found]


# ---- the list


def test_a_plan_waits_for_whoever_may_answer_and_did_not_ask(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    assert number in listed(browse(crowd.approver), "")
    assert number not in listed(browse(crowd.asker), "")
    assert number in listed(browse(crowd.asker), "waiting")
    assert number not in listed(browse(crowd.asker), "over")
    nothing = words(get(signed_in("vera", Role.VIEWER), "/plans/"))  # what other tests left may wait for the asker
    assert re.search(r"Nothing waits for you\. \d+ plans? waits? for other people\.", nothing)


def test_lists_go_by_pages(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch)
    made = [counted(crowd, ["a"]) for _ in range(3)]
    monkeypatch.setattr("console.reads.plans.PAGE_SIZE", 2)
    client = browse(crowd.approver)
    assert listed(client, "waiting") == [made[2], made[1]]
    page = get(client, f"/plans/?state=waiting&before={made[1]}")
    assert f'<a href="/plans/{made[0]}"' in page.text and f'<a href="/plans/{made[1]}"' not in page.text
    assert f"/plans/?state=waiting&before={made[1]}" in get(client, "/plans/?state=waiting").links


# ---- asking


def new(flow: Flow, **more: str) -> str:
    asked = {"kind": "waive", "run": f"{flow.name}/r1", "window": "1", "check": "QUARANTINE"} | more
    return f"/plans/new?{urlencode(asked)}"


def test_what_is_asked_for_is_what_was_previewed(flow: Flow, crowd: Crowd) -> None:
    client = browse(crowd.asker)
    empty = get(client, new(flow))
    assert "Say until, and preview it." in words(empty) and "digest" not in empty.fields
    page = get(client, new(flow, until="7d"))
    assert "next verdict would be PASS (waived)" in words(page)
    (action,) = re.findall(r'method="post" action="([^"]+)"', page.text)
    action = html.unescape(action)
    fields = {name: values[0] for name, values in page.fields.items() if name in ("csrfmiddlewaretoken", "digest")}
    assert client.post(action, fields | {"reason": " "}).status_code == 422
    assert client.post(action, fields | {"reason": "why", "digest": ""}).status_code == 422
    assert client.post(action, fields | {"reason": "why", "digest": "0" * 64}).status_code == 409
    answer = client.post(action, fields | {"reason": "a broken <b>client</b>"})
    assert answer.status_code == 302, words(Page(answer.content.decode()))
    row = plan_row(int(answer.headers["Location"].rpartition("/")[2]))
    assert (row.state, row.requested_by, bytes(row.digest).hex()) == (
        State.SUBMITTED,
        crowd.asker.name,
        fields["digest"],
    )
    assert row.binds["asked"]["check"] == "QUARANTINE" and row.expires_at > row.requested_at


def test_what_cannot_be_asked_for_says_why(flow: Flow, crowd: Crowd) -> None:
    client = browse(crowd.asker)
    for more, why in (
        ({"until": "yesterday"}, "Until is a time such as"),
        ({"until": "2020-01-01"}, "a time to come"),
        ({"until": "7d", "window": "²"}, "Window is a number"),
        ({"until": "7d", "window": "7"}, "window"),
        ({"until": "7d", "check": "SEALED"}, "NOT_EMPTY"),
        ({"until": "7d", "check": "EXPECTED"}, "it is not asked for"),
        ({"until": "7d", "run": "no/such"}, "no such"),
        ({"until": "7d", "kind": "erase"}, "cannot be asked for yet"),
        ({"until": "7d", "stop_when": "<b>"}, "a rule such as"),
    ):
        page = get(client, new(flow, **more))
        assert why in words(page), more
        assert "digest" not in page.fields and 'type="submit">Confirm' not in page.text
    assert "There is no preview to ask for." in get(client, new(flow, until="yesterday")).text


def test_who_may_not_ask_reads_why_not(flow: Flow, crowd: Crowd) -> None:
    client = browse(crowd.approver)
    path = new(flow, until="2h")
    assert "You cannot ask for a waiver: it needs operator, you have approver." in get(client, path).text
    post(client, path, status=403, reason="let me")


def test_a_broken_check_leads_to_asking(flow: Flow, crowd: Crowd) -> None:
    leads = f"/plans/new?kind=waive&run={flow.name}%2Fr1&window=1&check=QUARANTINE"
    for path in (f"/runs/{flow.name}/r1/", f"/runs/{flow.name}/r1/windows/1/"):
        assert leads in get(browse(crowd.asker), path).links, path
        page = get(browse(crowd.approver), path)
        assert leads not in page.links and "You cannot ask for a waiver: it needs operator" in page.text


def test_a_check_that_nobody_may_waive_leads_nowhere(operator: Client, stage: Stage) -> None:
    """The window is open: there is nothing to waive before it is cut."""
    for path in (stage.path, f"{stage.path}windows/1/"):
        assert "Request waiver" not in get(operator, path).text


def test_a_basis_that_is_broken_by_less_leads_to_asking(flow: Flow, crowd: Crowd) -> None:
    from tests.plans.test_basis_plan import blocked, refreshed

    fresh = Flow()
    blocked(fresh)
    leads = f"/plans/new?kind=basis&run={fresh.name}%2Fr1&window=1"
    client = browse(crowd.asker)
    for path in (f"/runs/{fresh.name}/r1/", f"/runs/{fresh.name}/r1/windows/1/"):
        assert leads in get(client, path).links, path
        page = get(browse(crowd.approver), path)
        assert leads not in page.links and "You cannot ask for a basis refresh: it needs operator" in page.text
    page = get(client, leads)
    assert "retention.ms of " in words(page) and "next verdict would be PASS" in words(page)
    assert 'name="check"' not in page.text and 'name="until"' not in page.text and 'name="topic"' not in page.text
    assert f"passgate plan submit basis {fresh.name}/r1 --window 1" in words(page)
    number = refreshed(crowd, fresh)
    fresh.judge()
    page = words(get(client, f"/runs/{fresh.name}/r1/basis"))
    assert f"plan {number} (asked for by {crowd.asker.name}, approved by {crowd.approver.name}" in page
    assert leads not in get(client, f"/runs/{fresh.name}/r1/").links
    assert leads not in get(client, f"/runs/{flow.name}/r1/").links, "nothing of its basis is broken"


def test_an_end_of_re_checks_is_asked_for_by_stream_and_topic(crowd: Crowd) -> None:
    from tests.audit.test_close import passed
    from tests.plans.test_retire_plan import retired

    fresh, client = Flow(), browse(crowd.asker)
    passed(fresh)
    page = get(client, f"/plans/new?kind=retire&run={fresh.name}")
    assert "Say topic, and preview it." in words(page) and 'name="topic"' in page.text
    page = get(client, f"/plans/new?kind=retire&run={fresh.name}&topic={fresh.inbox}")
    assert "1 gate would stand on the ledger, and say so" in words(page) and "digest" in page.fields
    assert f"passgate plan submit retire {fresh.name} --topic {fresh.inbox}" in words(page)
    assert "found a run" in words(get(client, f"/plans/new?kind=retire&run={fresh.name}/r1&topic={fresh.inbox}"))
    number = retired(crowd, fresh)
    assert f"end the re-checks of {fresh.inbox} of {fresh.name}" in words(get(client, f"/plans/{number}"))
    for path in (f"/runs/{fresh.name}/r1/gate", f"/runs/{fresh.name}/r1/"):
        assert f"Re-checks of {fresh.inbox} were ended by plan {number}" in words(get(client, path)), path


def test_what_became_of_a_publish_is_asked_for_on_its_page(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    """Decided by two people, then published again by two people; the verdict names who decided."""
    from tests.flow.bus import never_sent
    from tests.plans.test_decide import undecidable

    flow = Flow(automatic="false", after='1s"\nrepublish = "plan')
    attempt = undecidable(flow, monkeypatch, never_sent)
    run, client = f"run={flow.name}%2Fr1", browse(crowd.asker)
    page = get(client, f"/attempts/{attempt}")
    decide = f"/plans/new?kind=decide&{run}&attempt={attempt}"
    assert decide in page.links and "Or two people decide." in words(page)
    ask_and_run(client, crowd, decide, "10 events are decided to be absent")
    page = get(client, f"/attempts/{attempt}")
    assert "Two people have decided" in words(page) and decide not in page.links
    flow.work_until(lambda: flow.attempts() == ["ABSENT"], "publish")
    page = get(client, f"/attempts/{attempt}")
    assert f"approved by {crowd.approver.name}: 0 present, 10 absent." in words(page)
    assert "10 of its events wait for a plan that publishes them again." in words(page)
    again = f"/plans/new?kind=republish&{run}&attempts={attempt}"
    assert again in page.links
    of_window = f"/plans/new?kind=republish&{run}&window=1"
    assert of_window in get(client, f"/unknown/?{run}").links
    ask_and_run(client, crowd, again, "10 events of 1 publish that was proven absent would be queued again")
    assert again not in get(client, f"/attempts/{attempt}").links
    assert of_window not in get(client, f"/unknown/?{run}").links
    flow.cut()
    flow.work_until(lambda: flow.count("effect") == 10)
    flow.work()
    assert flow.judge().verdict.title == "PASS"
    said = words(get(client, f"/runs/{flow.name}/r1/verdicts/1"))
    assert "0 present and 10 absent as decided by plan" in said
    assert f"asked for by {crowd.asker.name}, approved by {crowd.approver.name}: so it is" in said
    flow.check()


def ask_and_run(client: Client, crowd: Crowd, path: str, foreseen: str) -> None:
    """Asked for on the page that leads there, approved by another person, and run."""
    page = get(client, path)
    assert foreseen in words(page)
    (action,) = re.findall(r'method="post" action="([^"]+)"', page.text)
    fields = {name: values[0] for name, values in page.fields.items() if name in ("csrfmiddlewaretoken", "digest")}
    answer = client.post(html.unescape(action), fields | {"reason": "so it is"})
    assert answer.status_code == 302, words(Page(answer.content.decode()))
    number = int(answer.headers["Location"].rpartition("/")[2])
    say_yes(crowd, number)
    run_to(crowd, number, State.DONE)


def test_attempts_that_are_no_numbers(flow: Flow, crowd: Crowd) -> None:
    page = get(browse(crowd.asker), new(flow, kind="republish", attempts="1, x"))
    assert "Attempts are numbers, as in 12, 13." in words(page)
    page = get(browse(crowd.asker), new(flow, kind="decide"))
    assert "Say attempt, and preview it." in words(page)


# ---- where it waits


def test_a_plan_waits_on_now_and_is_counted_for_its_approver(
    flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.reads.needs.LISTED_PLANS", 10_000)  # plans of other tests wait, too
    number = ask_to_waive(flow, crowd)
    approver, asker = browse(crowd.approver), browse(crowd.asker)
    now = get(approver, "/")
    needed, _, others = now.text.partition("Waits for other people")
    assert f"/plans/{number}/approve" in needed and f'href="/plans/{number}"' in needed
    _, _, others = get(asker, "/").text.partition("Waits for other people")
    assert f'href="/plans/{number}"' in others and f"/plans/{number}/approve" not in others
    assert f"{crowd.asker.name} asks to let QUARANTINE" in words(get(asker, f"/runs/{flow.name}/r1/"))
    before = counted_for(approver)
    post(approver, f"/plans/{number}/approve")  # the second click from Now
    assert counted_for(approver) == before - 1
    assert plan_row(number).state == State.APPROVED


def counted_for(client: Client) -> int:
    (found,) = re.findall(r'data-count-of="needs">([\d,]+)<', get(client, "/plans/").text)
    return int(found.replace(",", ""))


def test_many_that_wait_take_no_more_questions_and_are_all_counted(
    crowd: Crowd, monkeypatch: pytest.MonkeyPatch
) -> None:
    counting(monkeypatch)
    approver = browse(crowd.approver)

    def asked() -> int:
        get(approver, "/")
        with CaptureQueriesContext(connection) as queries:
            get(approver, "/")
        return len(queries)

    counted(crowd, ["a"])
    few, waiting = asked(), counted_for(approver)
    for _ in range(25):
        counted(crowd, ["a"])
    assert asked() <= few
    assert counted_for(approver) == waiting + 25
    assert re.search(r"\d+ more plans wait\.", words(get(approver, "/")))


# ---- one plan


def test_a_plan_says_what_it_asks_and_binds(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd, "a <b>broken</b> client")
    page = get(browse(crowd.approver), f"/plans/{number}")
    said = words(page)
    until = plan_row(number).binds["asked"]["until"][:16].replace("T", " ")
    asks = f"{crowd.asker.name} asks to let QUARANTINE of {flow.name}/r1 window 1 stand broken until {until} UTC."
    assert asks in said
    assert bytes(plan_row(number).digest).hex() in said
    assert re.search(r"Changed since asked: nothing \(checked .* ago ?\)", said)
    assert "next verdict would be PASS (waived)" in said
    assert "a &lt;b&gt;broken" in page.text
    assert f"SUBMITTED by {crowd.asker.name}" in said


def test_who_asked_sees_approving_refused_with_the_reason(flow: Flow, crowd: Crowd) -> None:
    both = crowd.somebody("operator", "approver")
    crowd.asker = both
    number = ask_to_waive(flow, crowd)
    client = browse(both)
    assert number not in listed(client, "") and f"/plans/{number}/approve" not in get(client, "/").links
    assert "You asked for this, so somebody else must approve." in get(client, f"/plans/{number}").text
    page = get(client, f"/plans/{number}/approve")
    assert 'type="submit"' not in page.text
    post(client, f"/plans/{number}/approve", status=403)
    assert plan_row(number).state == State.SUBMITTED
    rows = AuditLog.objects.filter(actor=both.name, refused=True).values_list("act", "detail__code")
    assert ("console.approve", "same_person") in list(rows)


def test_approving_is_over_the_digest_that_was_shown(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    client, path = browse(crowd.approver), f"/plans/{number}/approve"
    for digest in ("", "zz", "0" * 64):
        answer = post(client, path, status=422 if digest != "0" * 64 else 409, digest=digest)
        assert plan_row(number).state == State.SUBMITTED, answer
    assert post(client, path).headers["Location"] == f"/plans/{number}"
    assert (plan_row(number).state, plan_row(number).approved_by) == (State.APPROVED, crowd.approver.name)
    assert "it runs by itself, within seconds" in words(get(client, f"/plans/{number}"))
    assert "is APPROVED: there is nothing to approve" in get(client, path).text


def test_declining_wants_a_reason(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    client, path = browse(crowd.approver), f"/plans/{number}/decline"
    assert "Say why" in post(client, path, status=422, reason=" ").content.decode()
    post(client, path, reason="not <i>now</i>")
    assert plan_row(number).state == State.DECLINED
    assert "not &lt;i&gt;now" in get(client, f"/plans/{number}").text


def test_what_changed_since_is_named(flow: Flow, crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    number = ask_to_waive(flow, crowd)
    monkeypatch.setattr(WaivePlan, "changed", lambda *_: ["items: 1 gone, <b>2</b> new"])
    page = get(browse(crowd.approver), f"/plans/{number}")
    assert "items: 1 gone, &lt;b&gt;2&lt;/b&gt; new" in page.text
    assert "Changed since asked: nothing" not in words(page)


def test_a_plan_is_paused_resumed_and_cancelled(crowd: Crowd, monkeypatch: pytest.MonkeyPatch) -> None:
    counting(monkeypatch)
    number = counted(crowd, ["a", "d", "q", "a", "a", "a", "a"], Limits(first=2))
    say_yes(crowd, number)
    run_to(crowd, number, State.HELD)
    client = browse(crowd.asker)
    held = words(get(client, f"/plans/{number}"))
    assert "held: the first 2 are done" in held and "5 of 7 left · 1 ADMITTED · 1 DUPLICATE" in held
    assert number in listed(client, "") and number in listed(client, "running")
    post(client, f"/plans/{number}/resume")
    assert plan_row(number).state == State.RUNNING
    post(client, f"/plans/{number}/pause", reason="wait")
    post(client, f"/plans/{number}/pause", status=409, reason="again")
    post(client, f"/plans/{number}/cancel", status=422)
    post(client, f"/plans/{number}/cancel", reason="enough")
    assert [to for _, to in history(number)][-3:] == ["RUNNING", "HELD", "CANCELLED"]
    over = words(get(client, f"/plans/{number}"))
    assert "cancelled. What was done stays done." in over and "enough" in over
    assert number in listed(client, "over")


def test_a_viewer_reads_why_not(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    client = browse(crowd.somebody("viewer"))
    assert get(client, f"/plans/{number}").text.count("You cannot approve or decline a plan: it needs approver") == 2
    for act in ("approve", "decline", "pause", "resume", "cancel"):
        assert 'type="submit"' not in get(client, f"/plans/{number}/{act}").text
        post(client, f"/plans/{number}/{act}", status=403, reason="let me")
    assert plan_row(number).state == State.SUBMITTED


def test_a_plan_that_is_not_there(crowd: Crowd) -> None:
    client = browse(crowd.approver)
    for path in (
        "/plans/999999999999999999999",
        f"/plans/{2**63 - 1}",
        f"/plans/{2**63}",
        "/plans/0/approve",
        "/plans/²",
    ):
        assert client.get(path).status_code == 404, path


def test_one_that_expired_waits_for_nobody(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    let_expire(number)
    client = browse(crowd.approver)
    assert number not in listed(client, "")
    assert "expired" in post(client, f"/plans/{number}/approve", status=409).content.decode()


def test_a_plan_that_is_done_counts_its_outcomes(flow: Flow, crowd: Crowd) -> None:
    number = ask_to_waive(flow, crowd)
    say_yes(crowd, number)
    run_plan(number, crowd.people, lambda: True)
    said = words(get(browse(crowd.asker), f"/plans/{number}"))
    assert "0 of 1 left · 1 DONE" in said and "Changed since asked" not in said
    assert 'data-ended="Over"' in get(browse(crowd.asker), f"/plans/{number}").text
