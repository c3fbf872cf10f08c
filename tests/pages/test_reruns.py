"""Reruns on pages: beside their window, never in place of it; each with a page, and found from its items and plan."""

from __future__ import annotations

import base64
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from django.contrib.auth.models import User
from django.test import Client

from console.permissions import Role
from console.reads import lanes
from console.reads.needs import needs
from ingest.models import QuarantineItem
from plans.core.people import Actor
from tests.audit.test_fsck import cheat
from tests.flow.world import Flow, leave, thing
from tests.pages.conftest import signed_in
from tests.pages.test_pages import Page, get
from tests.pages.test_windows import numbers
from tests.plans.crowd import Crowd, numbers_are_large, plan_row
from tests.plans.test_redrive import judge_rerun, large, mended, redriven, small_flow
from tests.plans.test_waive import blocked, open_items

pytestmark = pytest.mark.usefixtures("live")


@dataclass(frozen=True)
class RerunStage:
    """A run whose window 1 was rerun twice: rerun 1 set both items aside again and is BLOCKED, rerun 2 is PASS."""

    flow: Flow
    crowd: Crowd
    items: tuple[int, ...]
    plans: tuple[int, int]

    @property
    def path(self) -> str:
        return f"/runs/{self.flow.name}/r1/"


@pytest.fixture(scope="module")
def reran(stack: object, django_db_blocker: object) -> Iterator[RerunStage]:
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:  # type: ignore[attr-defined]
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
        yield (stage := made())
        leave([stage.flow.name])


def made() -> RerunStage:
    numbers_are_large()
    flow, crowd = blocked(small_flow(Flow, automatic="false"), [thing(1), large(2), large(3)]), Crowd()
    items = tuple(open_items(flow))
    first = redriven(crowd, flow, reason="TOO_LARGE")
    flow.work()
    assert judge_rerun(flow).verdict.title == "BLOCKED"
    mended(flow)
    second = redriven(crowd, flow, reason="TOO_LARGE")
    flow.work()
    assert judge_rerun(flow, 2).verdict.title == "PASS"
    assert flow.judge().verdict.title == "PASS"
    leases_last(flow)
    return RerunStage(flow, crowd, items, (first, second))


def leases_last(flow: Flow) -> None:
    """No enforcer re-checks gates here: tests of pages may take longer than a lease."""
    with cheat(flow) as connection:
        connection.execute(
            "UPDATE gate_open g SET open_until = clock_timestamp() + interval '1 h', checked_at = clock_timestamp()"
            " FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
            " WHERE w.id = g.win AND s.name = %s",
            [flow.name],
        )


def words(page: Page) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", page.text).split())


# ---- nothing is said of a window that is its rerun's


@pytest.mark.parametrize(("state", "listed"), [("", 1), ("blocked", 0), ("failed", 0), ("passed", 1)])
def test_a_run_is_listed_by_its_windows(operator: Client, reran: RerunStage, state: str, listed: int) -> None:
    page = get(operator, f"/runs/?stream={reran.flow.name}&state={state}")
    assert page.text.count("<tr data-row") == listed
    if listed:
        assert "3 read: 1 admitted" in " ".join(page.text.split())


def test_a_blocked_rerun_keeps_no_run_on_now(operator: Client, reran: RerunStage) -> None:
    from console.reads.runs import going_on

    assert reran.flow.name not in [run.stream.name for run in going_on(1_000)]


def test_windows_are_listed_without_their_reruns(operator: Client, reran: RerunStage) -> None:
    assert numbers(get(operator, f"{reran.path}windows/").text) == [1]


@pytest.mark.parametrize("part", ["", "sources", "receipts", "basis", "gate", "windows/", "windows/1/"])
def test_the_header_says_the_window(operator: Client, reran: RerunStage, part: str) -> None:
    from console.reads.runs import scope

    seen = scope(reran.flow.name, "r1")
    assert seen is not None and seen.window is not None and seen.window.reruns_id is None and seen.older is None
    head = words(get(operator, f"{reran.path}{part}")).split("run closed")[0]
    assert "r1 / window 1 PASS Gate OPEN" in head


def test_receipts_of_a_run_are_its_inboxes(operator: Client, reran: RerunStage) -> None:
    """A rerun's are one click away: they are of the plan's source, not of the run's inbox."""
    page = get(operator, f"{reran.path}receipts")
    assert page.text.count("<tr data-row") == 3
    assert not [link for link in page.links if link.startswith("/receipts/") and "plan/" in link]


def test_a_plans_source_is_no_lane_that_waits_for_anybody(reran: RerunStage) -> None:
    """Nobody samples it: its plan reads it, and says how far it is."""
    found = lanes.lines(stream=reran.flow.name)
    assert [line for line in found if line.state == "UNMEASURED" and line.source.startswith("plan/")] == []
    assert lanes.counts(reran.flow.name).get("UNMEASURED", 0) == sum(
        line.state == "UNMEASURED" and not line.source.startswith("plan/") for line in found
    )


def test_a_run_of_one_window_is_one_window_on_now(reran: RerunStage) -> None:
    """The gate of a rerun is told as the rerun's; a run with one window is still its own page."""

    def shut(why: str | None, until: str) -> None:
        with cheat(reran.flow) as connection:
            connection.execute(
                f"UPDATE gate_open g SET shut_why = %s, open_until = {until}, checked_at = clock_timestamp()"
                " FROM run_window w JOIN run r ON r.id = w.run_id JOIN stream s ON s.id = r.stream_id"
                " WHERE w.id = g.win AND w.rerun = 2 AND s.name = %s",
                [why, reran.flow.name],
            )

    shut("for a test", "clock_timestamp()")
    (fallen,) = [each for each in needs().fallen if each.run.stream == reran.flow.name]
    assert (fallen.window, fallen.rerun, fallen.windows, fallen.state) == (1, 2, 1, "GATE SHUT")
    shut(None, "clock_timestamp() + interval '1 h'")


# ---- each stands beside its window


@pytest.mark.parametrize("part", ["", "windows/", "windows/1/"])
def test_reruns_stand_beside_their_window(operator: Client, reran: RerunStage, part: str) -> None:
    page = get(operator, f"{reran.path}{part}")
    said = words(page)
    first, second = reran.plans
    assert page.wrong == []
    for rerun, verdict, number, gate, plan in ((2, "PASS", 3, "OPEN", second), (1, "BLOCKED", 2, "SHUT", first)):
        assert f"window 1 rerun {rerun} {verdict} #{number} Gate {gate}" in said
        assert f"redrive, plan {plan} contract v{rerun}, asked for by {reran.crowd.asker.name}" in said
        assert f"{reran.path}windows/1/reruns/{rerun}/" in page.links


def test_a_rerun_has_a_page_of_its_own(operator: Client, reran: RerunStage) -> None:
    page = get(operator, f"{reran.path}windows/1/reruns/2/")
    said = words(page)
    assert page.wrong == [] and len(page.ids) == len(set(page.ids))
    assert "r1 / window 1 / rerun 2 PASS Gate OPEN" in said
    assert "Window 1 rerun 2 is PASS: all" in said
    assert "READ 2 = 2 admitted" in said
    for fact in (
        f"plan {reran.plans[1]} kind redrive asked for by {reran.crowd.asker.name}",
        f"approved by {reran.crowd.approver.name}",
        "reruns window 1 its contract v2",
        "contract of the window v1",
    ):
        assert fact in said, fact
    assert f"{reran.path}windows/1/" in page.links and f"/plans/{reran.plans[1]}" in page.links
    receipts = [link for link in page.links if re.fullmatch(r"/receipts/\d+/[01]", link)]
    assert len(receipts) == 2, "of its plan's source"
    assert f"{reran.path}receipts?window=1&rerun=2" in page.links
    for path in (f"{reran.path}windows/1/reruns/3/", f"{reran.path}windows/2/reruns/1/"):
        get(operator, path, status=404)


def test_a_rerun_that_is_blocked_is_closed_by_hand(operator: Client, reran: RerunStage) -> None:
    rerun = f"{reran.path}windows/1/reruns/1/"
    close = f"{reran.path}close?window=1&rerun=1"
    assert close in get(operator, rerun).links
    page = get(operator, close)
    assert "Close window 1 rerun 1" in words(page)
    assert f"passgate run close {reran.flow.name}/r1 --window 1 --rerun 1" in page.text
    assert rerun in page.links


def test_verdicts_say_whose_they_are(operator: Client, reran: RerunStage) -> None:
    history = words(get(operator, reran.path)).split("Verdicts are not yet sealed")[1]
    assert f"{reran.flow.name}/r1#3 PASS 1 rerun 2" in history and f"{reran.flow.name}/r1#1 BLOCKED 1 " in history
    page = get(operator, f"{reran.path}verdicts/3")
    said = words(page)
    assert f"window 1 rerun 2 rerun by plan {reran.plans[1]} kind redrive" in said
    assert "reason the contract was too strict contract of the window v1" in said
    assert f"{reran.path}windows/1/reruns/2/" in page.links


def test_receipts_of_a_rerun_are_its_plans(operator: Client, reran: RerunStage) -> None:
    page = get(operator, f"{reran.path}receipts?window=1&rerun=2")
    assert page.text.count("<tr data-row") == 2
    (receipt, *_) = [link for link in page.links if link.startswith("/receipts/")]
    one = words(get(operator, receipt))
    assert f"window 1 rerun 2 redriven by plan {reran.plans[1]}" in one
    assert f"quarantine item {reran.items[0]}" in one


# ---- items


def test_an_item_says_what_became_of_it(operator: Client, reran: RerunStage) -> None:
    page = get(operator, f"/quarantine/{reran.items[0]}")
    said = words(page)
    first, second = reran.plans
    assert page.wrong == []
    assert f"plan {first} → QUARANTINED" in said and f"plan {second} → ADMITTED" in said
    assert "resolved a plan sent it through admission again, and it is an event now" in said
    assert "Request redrive" not in said, "it is an event"
    listed = words(get(operator, f"/quarantine/?state=resolved&run={reran.flow.name}/r1"))
    assert f"redriven by plan {second} → ADMITTED" in listed and "REDRIVEN" in listed


@pytest.fixture(scope="module")
def held(stack: object, django_db_blocker: object) -> Iterator[RerunStage]:
    """A run that two large records and one that is no JSON block; the contract is mended."""
    with django_db_blocker.unblock(), pytest.MonkeyPatch.context() as patch:  # type: ignore[attr-defined]
        patch.setattr("ingest.worker.IDLE_SECONDS", 0.3)
        flow = blocked(small_flow(Flow, automatic="false"), [thing(1), large(2), large(3), b"{"])
        mended(flow)
        yield RerunStage(flow, Crowd(), tuple(open_items(flow)), (0, 0))


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("console.reads.looks.PATIENCE", 30.0)
    monkeypatch.setattr("console.reads.looks.ASKED_PATIENCE", 30.0)


def browse(actor: Actor) -> Client:
    client = Client(enforce_csrf_checks=True)
    client.force_login(User.objects.get(username=actor.name))
    return client


def group_of(held: RerunStage, reason: str) -> str:
    return f"/quarantine/groups/{QuarantineItem.objects.get(pk=held.items[0]).run_id}-{reason}"


def test_redriven_is_never_a_persons_to_say(operator: Client, held: RerunStage) -> None:
    path = f"/quarantine/{held.items[0]}/resolve"
    page = get(operator, path)
    assert [each["value"] for each in page.inputs if each.get("name") == "resolution"] == [
        "ACCEPTED_FIRST",
        "DISCARDED",
    ]
    sent = {"csrfmiddlewaretoken": page.fields["csrfmiddlewaretoken"][0], "resolution": "REDRIVEN", "reason": "x"}
    answer = operator.post(path, sent)
    assert answer.status_code == 422 and "Choose what becomes of it." in answer.content.decode()
    assert "--resolution REDRIVEN" not in answer.content.decode()


# ---- asking


def test_a_group_leads_to_asking(held: RerunStage, patient: None) -> None:
    """From the group by its button, to the preview, to the plan: three clicks and a reason."""
    client = browse(held.crowd.asker)
    asks = f"/plans/new?kind=redrive&run={held.flow.name}%2Fr1&window=1&reason_code=TOO_LARGE"
    page = get(client, group_of(held, "TOO_LARGE"))
    assert page.wrong == [] and asks in page.links
    assert asks in get(client, f"/runs/{held.flow.name}/r1/").links
    preview = get(client, asks)
    said = words(preview)
    assert preview.wrong == []
    assert "Under contract version 2: 2 would be admitted, 0 are known already, 0 would stay quarantined." in said
    assert "ADMITTED 2" in said and f"items 2: {held.items[0]}, {held.items[1]}" in said
    assert f"passgate plan submit redrive {held.flow.name}/r1 --window 1 --reason-code TOO_LARGE --digest" in said
    (action,) = re.findall(r'method="post" action="([^"]+)"', preview.text)
    fields = {name: preview.fields[name][0] for name in ("csrfmiddlewaretoken", "digest")}
    answer = client.post(html.unescape(action), fields | {"reason": "the contract was too strict"})
    assert answer.status_code == 302, words(Page(answer.content.decode()))
    plan = get(client, answer.headers["Location"])
    assert (
        f"{held.crowd.asker.name} asks to send 2 items through admission again. Under contract v2, in a rerun of"
        f" {held.flow.name}/r1 window 1." in words(plan)
    )
    assert f"/quarantine/{held.items[0]}" in plan.links and "resolved none" in words(plan)


def test_ticked_items_are_asked_for_in_their_window(held: RerunStage, patient: None) -> None:
    client = browse(held.crowd.asker)
    page = get(client, group_of(held, "TOO_LARGE"))
    assert 'formaction="/plans/new"' in page.text
    ticked = "&".join(f"item={item}" for item in held.items[:2])
    asked = get(client, f"/plans/new?{ticked}&kind=redrive")
    assert asked.fields["run"] == [f"{held.flow.name}/r1"] and asked.fields["window"] == ["1"]
    assert "digest" in asked.fields and "First" in words(asked)


def test_who_may_not_ask_for_a_redrive_reads_why_not(held: RerunStage, patient: None) -> None:
    client = browse(held.crowd.approver)
    page = get(client, f"/quarantine/{held.items[0]}")
    assert "You cannot ask for a replay: it needs operator or data engineer" in page.text
    asked = get(client, f"/plans/new?kind=redrive&items={held.items[0]}")
    assert 'type="submit">Confirm' not in asked.text


def test_a_payload_is_corrected_in_the_form_and_in_no_url(held: RerunStage, patient: None) -> None:
    client = browse(held.crowd.asker)
    broken = held.items[2]
    assert f"/plans/new?kind=redrive&items={broken}" in get(client, f"/quarantine/{broken}").links
    path = f"/plans/new?kind=redrive&items={broken}"
    page = get(client, path)
    assert page.wrong == []
    assert "1 would stay quarantined" in words(page) and "Still refused, 1: NOT_JSON" in words(page)
    assert re.search(r'<textarea[^>]* name="correction"[^>]*>\n\{</textarea>', page.text), "what arrived"
    (action,) = re.findall(r'method="post" action="([^"]+)"', page.text)
    right = '{\r\n  "type": "thing", "id": 987654321\r\n}'  # as browsers send line ends
    sent = {"csrfmiddlewaretoken": page.fields["csrfmiddlewaretoken"][0], "correction": right}
    looked = client.post(html.unescape(action), sent | {"look": "1", "reason": ""})
    assert looked.status_code == 200
    seen = Page(looked.content.decode())
    assert "1 would be admitted" in words(seen) and f"corrected 1: {broken}" in words(seen)
    assert f"--correction {broken}=FILE" in seen.text
    assert "&quot;id&quot;: 987654321" in seen.text and "987654321" not in html.unescape(action)
    refused = client.post(html.unescape(action), sent | {"digest": page.fields["digest"][0], "reason": "why"})
    assert refused.status_code == 409, "the digest of what was not corrected"
    answer = client.post(html.unescape(action), sent | {"digest": seen.fields["digest"][0], "reason": "a typo"})
    assert answer.status_code == 302, words(Page(answer.content.decode()))
    number = int(answer.headers["Location"].rpartition("/")[2])
    said = plan_row(number).binds["asked"]["corrections"]
    assert {item: base64.b64decode(raw) for item, raw in said.items()} == {
        str(broken): b'{\n  "type": "thing", "id": 987654321\n}'
    }
    shown = get(browse(held.crowd.approver), f"/plans/{number}")
    assert "Corrected payloads" in words(shown) and "&quot;id&quot;: 987654321" in shown.text
    hidden = get(signed_in("vera", Role.VIEWER), f"/plans/{number}")
    assert (
        "Corrected payloads" in words(hidden) and "987654321" not in words(hidden).split("Corrected payloads")[1][:200]
    )


# ---- its plan


def test_a_redrives_plan_shows_its_items_in_pages(
    operator: Client, reran: RerunStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("console.pages.plans.plans.SHOWN_ITEMS", 1)
    plan = f"/plans/{reran.plans[1]}"
    page = get(operator, plan)
    said = words(page)
    assert page.wrong == []
    assert "0 of 2 left · 2 ADMITTED" in said and "It goes into window 1 rerun 2" in said
    assert f"{reran.path}windows/1/reruns/2/" in page.links
    assert f"/quarantine/{reran.items[0]}" in page.links and f"/quarantine/{reran.items[1]}" not in page.links
    following = get(operator, f"{plan}?after=0")
    assert f"{plan}?after=0" in page.links
    assert f"/quarantine/{reran.items[1]}" in following.links and f"/quarantine/{reran.items[0]}" not in following.links


def test_a_plans_items_are_exported(operator: Client, reran: RerunStage, monkeypatch: pytest.MonkeyPatch) -> None:
    path = f"/plans/{reran.plans[0]}/items.ndjson"
    assert path in get(operator, f"/plans/{reran.plans[0]}").links
    answer = operator.get(path)
    found = [json.loads(line) for line in b"".join(answer.streaming_content).splitlines()]
    assert [(each["ordinal"], each["subject"], each["outcome"]) for each in found] == [
        (n, str(item), "QUARANTINED") for n, item in enumerate(reran.items)
    ]
    assert all(each["reason"].startswith("TOO_LARGE: ") for each in found)
    assert "attachment" in answer.headers["Content-Disposition"]


# ---- lineage


def test_the_lineage_is_drawn_and_stands_in_words(operator: Client, reran: RerunStage) -> None:
    page = get(operator, f"{reran.path}lineage")
    assert page.wrong == [] and len(page.ids) == len(set(page.ids))
    (picture,) = re.findall(r"<svg[^>]*role=\"img\".*?</svg>", page.text, re.S)
    drawn = words(Page(picture))
    assert drawn.startswith("r1 window 1")
    assert "window 1 · PASS #4 rerun 2 · PASS #3" in drawn and f"rerun 1 · BLOCKED #2 · plan {reran.plans[0]}" in drawn
    assert picture.count('class="branch"') == 2 and picture.count('class="node is-pass"') == 2
    assert picture.count('class="node is-blocked"') == 1
    assert 'aria-label="1 runs, 1 windows, 2 reruns' in picture
    for link in (f"{reran.path}windows/1/", f"{reran.path}windows/1/reruns/2/", f"/plans/{reran.plans[1]}"):
        assert link in page.links


def test_a_lineage_is_bounded(operator: Client) -> None:
    """However many windows and runs there are: the picture has the newest, and says what it leaves out."""
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    from tests.flow.windows import run_of

    def asked(flow: Flow) -> tuple[int, str]:
        operator.get(f"/runs/{flow.name}/r1/lineage")
        with CaptureQueriesContext(connection) as queries:
            page = get(operator, f"/runs/{flow.name}/r1/lineage")
        return len(queries), page.text

    few, many = Flow(automatic="false"), Flow(automatic="false")
    run_of(few, ["PASS", "OPEN"])
    run_of(many, ["FAIL", *["PASS"] * 298, "OPEN"])
    (asks, _), (as_many, text) = asked(few), asked(many)
    assert as_many == asks
    assert text.count("<tr data-row") == 30 and "270 before these" in text
    older = get(operator, f"/runs/{many.name}/r1/lineage?window=2").text
    assert older.count("<tr data-row") == 2 and "298 after these" in older and 'class="node is-fail"' in older
    leave([few.name, many.name])
