"""Every page on real data, as people without JavaScript get it."""

from __future__ import annotations

import html
import re
import shlex
import threading
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs

import click
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import Resolver404, get_resolver, resolve

from console.cli.main import passgate
from console.permissions import Role
from console.reads import measuring
from console.reads import quarantine as held
from ingest.core.ids import WindowId
from ingest.core.reason import Reason
from ingest.models import AuditLog, ItemState, QuarantineItem, Receipt, ReconcileRequest
from stack import Stack
from tests.pages.conftest import Stage, signed_in

pytestmark = pytest.mark.usefixtures("live")

VOID = {"meta", "link", "input", "br", "hr", "img", "area", "base", "col", "embed", "source", "track", "wbr"}


class Page(HTMLParser):
    """A page as a strict reader sees it: tags that do not close, inline script and style, handlers, form fields."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.text = text
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.links: list[str] = []
        self.fields: dict[str, list[str]] = {}
        self.ids: list[str] = []
        self.labels: set[str] = set()
        self.inputs: list[dict[str, str]] = []
        self.feed(text)
        self.wrong += [f"{tag} never closes" for tag in self.open]

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        self.wrong += [f"{tag} {name}" for name in given if name == "style" or name.startswith(("on", "hx-on"))]
        if tag == "script" and not given.get("src", "").startswith("/static/"):
            self.wrong.append("a script that is not ours")
        if tag == "style":
            self.wrong.append("inline style")
        if "javascript:" in given.get("href", ""):
            self.wrong.append("a link that runs")
        if "id" in given:
            self.ids.append(given["id"])
        if tag == "a" and given.get("href", "").startswith("/"):
            self.links.append(given["href"])
        if tag == "label":
            self.labels.add(given.get("for", ""))
        if tag in ("input", "textarea"):
            self.inputs.append({"tag": tag, **given})
            self.fields.setdefault(given.get("name", ""), []).append(given.get("value", ""))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.open and self.open[-1] == tag:
            self.open.pop()
        elif tag in self.open:
            self.wrong.append(f"{self.open[-1]} does not close before {tag}")
            while self.open.pop() != tag:
                pass

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()


def get(client: Client, path: str, status: int = 200, **headers: str) -> Page:
    answer = client.get(path, headers=headers)
    assert answer.status_code == status, (path, answer.status_code)
    return Page(answer.content.decode())


def paths_of(stage: Stage) -> list[str]:
    """Every kind of page, on this stage."""
    run = stage.path
    return [
        "/", "/runs/", f"/runs/?stream={stage.stream}&state=open", "/streams/", f"/streams/{stage.stream}/",
        run, f"{run}sources", f"{run}receipts", f"{run}receipts?q=decision:quarantined", f"{run}gate",
        f"{run}basis", f"{run}basis?window=1", f"{run}lineage", f"{run}lineage?window=1",
        f"{run}windows/", f"{run}windows/?verdict=not-pass", f"{run}windows/1/",
        f"{run}cut", f"{run}go-on", f"{run}close", f"/receipts/{stage.source}/0",
        "/quarantine/", "/quarantine/?by=item",
        "/quarantine/?state=resolved", f"/quarantine/?run={stage.stream}/{stage.run}",
        f"/quarantine/{stage.items[0]}", f"/quarantine/{stage.items[-2]}", f"/quarantine/{stage.items[0]}/resolve",
        f"/unknown/?run={stage.stream}/{stage.run}", "/unknown/?state=settled", "/unknown/?state=all",
        f"/attempts/{stage.attempt}", f"/attempts/{stage.attempt}/reconcile",
        f"/unknown/reconcile?run={stage.stream}/{stage.run}", "/find", "/find?q=nothing+of+the+kind", "/find?q=0",
        "/plans/", "/plans/?state=waiting", "/plans/?state=running", "/plans/?state=over", f"/plans/{stage.plan}",
        f"/plans/new?kind=redrive&items={stage.items[0]}", f"/plans/new?kind=redrive&items={stage.items[-1]}",
        f"/plans/new?kind=redrive&run={stage.stream}/{stage.run}&reason_code=NOT_JSON",
        "/plans/new", f"/plans/new?run={stage.stream}/{stage.run}&window=1&check=QUARANTINE&until=7d",
        *(f"/plans/{stage.plan}/{act}" for act in ("approve", "decline", "pause", "resume", "cancel")),
        "/system/lanes", "/me/", "/patterns/",
    ]  # fmt: skip


# ---- every page


def test_every_page_is_sound_html_and_runs_nothing_inline(operator: Client, stage: Stage) -> None:
    for path in paths_of(stage):
        page = get(operator, path)
        assert page.wrong == [], path
        assert len(page.ids) == len(set(page.ids)), (path, sorted(page.ids))
        assert 'id="main"' in page.text
        unlabelled = [
            field
            for field in page.inputs
            if field.get("type") not in ("hidden", "radio", "checkbox") and field.get("id") not in page.labels
        ]
        assert unlabelled == [], path


def test_nothing_that_was_sent_becomes_markup(operator: Client, stage: Stage) -> None:
    sent = ("<script>alert", "<i>another", "<img src=x", "\u202e", "\u200b", "\ufeff", "\x1b", "\x00")
    for path in [*paths_of(stage), *(f"/quarantine/{item}" for item in stage.items)]:
        text = get(operator, path).text
        assert [each for each in sent if each in text] == [], path


def test_every_page_has_a_strict_policy_and_is_not_stored(operator: Client, stage: Stage) -> None:
    for path in paths_of(stage):
        answer = operator.get(path)
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert answer.headers["Cache-Control"] == "no-store", path


def test_every_link_of_every_page_leads_somewhere(operator: Client, stage: Stage) -> None:
    """Of what other tests left, one of each kind: lists link all their runs, hundreds by the end of the whole suite."""
    links = {link.split("#")[0] for path in paths_of(stage) for link in get(operator, path).links}
    pages = {link for link in links if link and not link.startswith(("/static/", "/api/"))}
    ours = {link for link in pages if stage.stream in link}
    others = {_kind(link): link for link in sorted(pages - ours)}
    assert len(ours) > 20
    asked = sorted(ours | set(others.values()))
    broken = {link: status for link in asked if (status := operator.get(link).status_code) not in (200, 302)}
    assert broken == {}


def _kind(link: str) -> tuple[str, ...]:
    """The view and the names of its parameters; a link that leads nowhere is its own kind."""
    path, _, query = link.partition("?")
    try:
        return resolve(path or "/").view_name, *sorted(parse_qs(query, keep_blank_values=True))
    except Resolver404:
        return (link,)


def test_every_route_is_tried(stage: Stage) -> None:
    """A page that nobody puts into `paths_of` would be a page that nobody tries."""
    acts = {
        "sign-in", "sign-out", "theme", "item-raw", "resolve-many", "verdict", "group", "rerun", "plan-items",
    }  # fmt: skip
    named = {each.name for each in get_resolver().url_patterns if getattr(each, "name", None)}
    tried = {get_resolver().resolve(path.split("?")[0]).url_name for path in paths_of(stage)}
    assert named - tried - acts == set()


# ---- the live part


LIVE = ("/", "/runs/", "/quarantine/", "/unknown/", "/plans/", "/system/lanes", "/streams/")


def test_htmx_gets_the_live_part_and_nothing_else(operator: Client, stage: Stage) -> None:
    for path in (
        *LIVE,
        stage.path,
        f"{stage.path}sources",
        f"{stage.path}receipts",
        f"{stage.path}basis",
        f"{stage.path}gate",
    ):
        part = _live_part(operator, path)
        assert part.startswith('<div id="page" data-live'), path
        assert part.endswith("</div>"), path
        assert "<header" not in part
        assert f'hx-get="{path}"' in part
        for _ in range(5):  # what other tests left may lapse between two requests
            whole = operator.get(path).content.decode()
            within, part = whole[whole.index('<div id="page"') :], _live_part(operator, path)
            if _timeless(within).startswith(_timeless(part)[:200]):
                break
        else:
            pytest.fail(f"{path}: the part is not the page's: {_timeless(part)[:200]} / {_timeless(within)[:200]}")


def _live_part(operator: Client, path: str) -> str:
    return operator.get(path, headers={"HX-Request": "true", "HX-Target": "page"}).content.decode().strip()


def _timeless(text: str) -> str:
    return re.sub(r"<time.*?</time>|[\d:.]+ (?:s|UTC)|data-rows=\"[^\"]*\"", "T", text)


# ---- who may


def test_nobody_sees_a_page_without_signing_in(stage: Stage, live: Stack) -> None:
    for path in paths_of(stage):
        answer = Client().get(path)
        assert answer.status_code == 302, path
        assert answer.headers["Location"].startswith("/sign-in/?next=")


def test_a_person_without_a_role_reads_why_not(nobody: Client, stage: Stage) -> None:
    for path in paths_of(stage):
        if path == "/me/":
            continue
        assert "you have no role" in get(nobody, path, status=403).text, path


def test_a_viewer_sees_acts_disabled_with_the_reason(viewer: Client, stage: Stage) -> None:
    item = still_open(stage)[0]
    for path, act in (
        (f"/quarantine/{item}", "resolve quarantine items"),
        (f"/quarantine/{item}/resolve", "resolve quarantine items"),
        (f"/attempts/{stage.attempt}/reconcile", "reconcile unknown publishes"),
        (f"{stage.path}cut", "cut a run"),
        (f"{stage.path}go-on", "cut a run"),
    ):
        text = get(viewer, path).text
        assert f"You cannot {act}: it needs" in text, path
        assert 'type="submit"' not in text, path


def test_a_viewer_sees_digests_only(viewer: Client, operator: Client, stage: Stage) -> None:
    item = QuarantineItem.objects.get(id=stage.items[0])
    secret = b"another"
    assert item.value is not None and secret in bytes(item.value)
    hidden = get(viewer, f"/quarantine/{item.id}").text
    assert "You see digests only: payloads need operator or approver" in hidden
    assert "another" not in hidden
    assert viewer.get(f"/quarantine/{item.id}/raw").status_code == 403
    assert "another" in get(operator, f"/quarantine/{item.id}").text


def test_permissions_that_cannot_be_looked_up_refuse_everything(
    operator: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    from django.db import DatabaseError

    from console import permissions

    def broken(_: Any) -> Any:
        raise DatabaseError("gone")

    monkeypatch.setattr(permissions, "roles_of", broken)
    answer = operator.get(f"/quarantine/{stage.items[0]}")
    assert answer.status_code == 503
    assert "everything is refused" in answer.content.decode()


def test_a_form_from_elsewhere_is_refused(operator: Client, stage: Stage) -> None:
    item = still_open(stage)[0]
    answer = operator.post(f"/quarantine/{item}/resolve", {"resolution": "DISCARDED", "reason": "no token"})
    assert answer.status_code == 403
    assert QuarantineItem.objects.get(id=item).state == ItemState.OPEN


# ---- acting


def post(client: Client, path: str, status: int = 302, **values: object) -> Any:
    """Load the page, then send its own form back with these values, as a browser does."""
    fields = get(client, path).fields
    sent: dict[str, object] = {"csrfmiddlewaretoken": fields["csrfmiddlewaretoken"][0]}
    sent |= {name: fields[name] for name in ("attempt", "item", "group", "upto", "digest") if name in fields}
    answer = client.post(path, sent | values)
    assert answer.status_code == status, answer.content.decode()[:2_000]
    return answer


def still_open(stage: Stage) -> list[int]:
    """Items that no test has resolved yet."""
    found = QuarantineItem.objects.filter(id__in=stage.items, state=ItemState.OPEN).exclude(
        reason=Reason.PAYLOAD_MISMATCH
    )
    return list(found.order_by("id").values_list("id", flat=True))


def test_resolving_needs_a_reason_and_leads_to_the_next_item(operator: Client, stage: Stage) -> None:
    item, following = still_open(stage)[:2]
    path = f"/quarantine/{item}/resolve"
    refused = post(operator, path, status=422, resolution="DISCARDED", reason="  ")
    assert "Say why" in refused.content.decode()
    post(operator, path, status=422, resolution="REDRIVE", reason="not yet")
    post(operator, path, status=422, reason="nothing chosen")
    answer = post(operator, path, resolution="DISCARDED", reason="seen with the <b>team</b>", next="1")
    assert re.fullmatch(r"/quarantine/\d+", answer.headers["Location"])
    done = QuarantineItem.objects.get(id=item)
    assert (done.state, done.resolved_by, done.resolved_reason) == ("RESOLVED", "olga", "seen with the <b>team</b>")
    assert "&lt;b&gt;team" in get(operator, f"/quarantine/{item}").text
    again = post(operator, path, status=422, resolution="DISCARDED", reason="twice")
    assert "Nothing of this is open any more" in again.content.decode()
    assert QuarantineItem.objects.get(id=following).state == ItemState.OPEN


def test_a_group_is_resolved_as_it_was_frozen(operator: Client, stage: Stage) -> None:
    run = QuarantineItem.objects.get(id=stage.items[0]).run_id
    key = f"{run}-PAYLOAD_MISMATCH"
    mismatches = QuarantineItem.objects.filter(run_id=run, reason=Reason.PAYLOAD_MISMATCH, state=ItemState.OPEN)
    alike = list(mismatches.values_list("id", flat=True))
    assert len(alike) > 2
    assert f"Resolve all {len(alike)}" in get(operator, f"/quarantine/groups/{key}").text
    frozen = sorted(alike)[1]
    path = f"/quarantine/resolve?group={key}&upto={frozen}"
    page = get(operator, path)
    assert f"{len(alike) - 2} more of this kind arrived since" in page.text
    post(operator, path, resolution="ACCEPTED_FIRST", reason="the first ones are right")
    assert mismatches.count() == len(alike) - 2


def test_what_a_viewer_tries_is_refused_and_written_down(viewer: Client, stage: Stage) -> None:
    item = still_open(stage)[0]
    path = f"/quarantine/{item}/resolve"
    before = AuditLog.objects.filter(actor="vera", refused=True).count()
    post(viewer, path, status=403, resolution="DISCARDED", reason="let me")
    assert AuditLog.objects.filter(actor="vera", refused=True).count() == before + 1
    assert QuarantineItem.objects.get(id=item).state == ItemState.OPEN


def test_reconcile_asks_once_and_names_who(operator: Client, stage: Stage) -> None:
    path = f"/unknown/reconcile?run={stage.stream}/{stage.run}"
    page = get(operator, path)
    assert page.fields["attempt"] == [str(stage.attempt)]
    post(operator, path)
    post(operator, path)
    asked = ReconcileRequest.objects.filter(attempt=stage.attempt)
    assert [each.requested_by for each in asked] == ["olga"]
    assert "olga asked to reconcile" in get(operator, f"/attempts/{stage.attempt}").text


def test_the_theme_is_remembered_without_script(operator: Client, live: Stack) -> None:
    post(operator, "/me/", status=405)
    fields = get(operator, "/me/").fields
    operator.post("/me/theme", {"csrfmiddlewaretoken": fields["csrfmiddlewaretoken"][0], "theme": "dark"})
    assert '<html lang="en" data-theme="dark">' in get(operator, "/").text
    operator.post("/me/theme", {"csrfmiddlewaretoken": fields["csrfmiddlewaretoken"][0], "theme": '"><script>'})
    assert '<html lang="en">' in get(operator, "/").text


# ---- from an open window to a verdict


def test_a_window_is_cut_and_judged_by_pages_alone(operator: Client, live: Stack) -> None:
    from tests.flow.world import Flow, thing

    flow = Flow()
    flow.open("r1")
    flow.produce([*(thing(number) for number in range(20)), b"{"], run="r1")
    flow.work()
    path = f"/runs/{flow.name}/r1/"
    assert "the window is not cut" in get(operator, path).text
    assert "The window is open: cut it first" in get(operator, f"{path}close").text
    post(operator, f"{path}cut")
    assert "is cut already" in get(operator, f"{path}cut").text
    flow.work()
    post(operator, f"{path}close")
    assert "Window 1 is BLOCKED: 1 quarantine item is open" in get(operator, path).text
    item = QuarantineItem.objects.get(win__run__stream__name=flow.name)
    post(operator, f"/quarantine/{item.id}/resolve", resolution="DISCARDED", reason="a brace is no event")
    flow.work()
    before = get(operator, path).text
    assert "checks hold now. That is not a verdict: the latest one, #1, is BLOCKED." in before
    assert "is PASS" not in before, "no page says PASS before a verdict does"
    post(operator, f"{path}close")
    after = get(operator, path).text
    assert "Window 1 is PASS: all" in after
    assert "Verdict #2, decided" in after
    assert "QUARANTINE broken → holds" in after
    assert "Checks now, not a verdict" not in after
    assert "Checks now, not a verdict" in get(operator, f"{path}?now").text
    assert 'hx-trigger="every 5s"' in after, "a verdict ends, its gate does not"
    verdict = get(operator, f"{path}verdicts/2").text
    assert "Verdicts are not yet sealed." in verdict
    assert 'class="stamp"' not in verdict, "the stamp appears only on sealed verdicts"
    assert "Gate OPEN" in get(operator, f"{path}gate").text
    assert get(operator, f"{path}verdicts/2?compare=1").wrong == []
    assert operator.get(f"{path}verdicts/3").status_code == 404


def test_a_first_look_at_a_large_window_does_not_hold_the_page(
    operator: Client, stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    let_go = threading.Event()
    real = measuring.now.checks_now

    def slowly(window: int) -> Any:
        let_go.wait(240)
        return real(window)

    window = QuarantineItem.objects.get(id=stage.items[0]).win_id
    # the tests before this one may have left a measurement of this window: then no new one would begin
    if begun_before := measuring._asker.under_way(WindowId(window)):
        begun_before.answer.exception(timeout=240)
    measuring.forget(WindowId(window))
    monkeypatch.setattr(measuring.now, "checks_now", slowly)
    begun = time.monotonic()
    page = get(operator, stage.path)
    assert time.monotonic() - begun < 10
    assert "are being measured: every receipt is counted" in page.text
    assert 'hx-trigger="every 1s"' in page.text
    # one of the places to measure in may still be taken: it is under way all the same
    question = measuring._asker.under_way(WindowId(window))
    assert question is not None and not question.answer.done()
    let_go.set()
    # however long measuring takes on this machine today: a page shows it once it is there
    question.answer.result(timeout=240)
    monkeypatch.setattr(measuring.now, "checks_now", lambda _: pytest.fail("what was measured is shown"))
    monkeypatch.setattr(measuring, "USABLE", 600.0)
    monkeypatch.setattr(measuring, "FRESH", 600.0)
    shown = get(operator, stage.path).text
    assert "are being measured" not in shown
    assert "Checks now, not a verdict" in shown


# ---- receipts


def walked(client: Client, path: str) -> Iterator[Page]:
    """Every page of a list, by its own next links."""
    for _ in range(50):
        page = get(client, path)
        yield page
        following = re.search(r'href="([^"]+)" rel="next"', page.text)
        if not following:
            return
        path = following[1].replace("&amp;", "&")
    raise AssertionError("the list does not end")


def test_pages_of_receipts_hold_each_receipt_once(operator: Client, stage: Stage) -> None:
    seen = [
        link
        for page in walked(operator, f"{stage.path}receipts")
        for link in page.links
        if link.startswith("/receipts/")
    ]
    stored = Receipt.objects.filter(source_id=stage.source).order_by("offset").values_list("offset", flat=True)
    assert seen == [f"/receipts/{stage.source}/{offset}" for offset in stored]


@pytest.mark.parametrize(("word", "number"), [("admitted", 1), ("duplicate", 2), ("quarantined", 3)])
def test_receipts_are_filtered_by_decision(operator: Client, stage: Stage, word: str, number: int) -> None:
    pages = walked(operator, f"{stage.path}receipts?q=decision:{word}+source:{stage.stream}.inbox/0")
    seen = [link for page in pages for link in page.links if link.startswith("/receipts/")]
    assert len(seen) == Receipt.objects.filter(source_id=stage.source, decision=number).count() > 0


def test_an_event_is_found_by_its_id(operator: Client, stage: Stage) -> None:
    page = get(operator, f"{stage.path}receipts?q=id:3")
    found = [link for link in page.links if link.startswith("/receipts/")]
    assert f"/receipts/{stage.source}/3" in found
    assert len(found) == 2, "the admission, and the mismatch that was set aside"
    assert "Searched by digest" in page.text
    assert "No receipt fits" in get(operator, f"{stage.path}receipts?q=id:nothing").text


def test_find_opens_what_it_names(operator: Client, stage: Stage) -> None:
    def leads(q: str) -> str:
        return str(operator.get("/find", {"q": q}).headers.get("Location", ""))

    assert leads(f"{stage.stream}/{stage.run}") == stage.path
    assert leads(f"{stage.stream}.inbox/0@5") == f"/receipts/{stage.source}/5"
    found = leads("late-3")  # one hit is opened; where other runs have the id too, all are listed
    assert f"/receipts/{stage.source}/" in (found or operator.get("/find", {"q": "late-3"}).content.decode())
    identity = bytes(Receipt.objects.get(source_id=stage.source, offset=20).identity or b"").hex()
    assert leads(identity) == f"/receipts/{stage.source}/20"


ODD = ("a" * 5_000, "%' OR 1=1 --", "1@99999999999999999999999", "[1,", "id:[[[", "~", "/", "#", "@", "\u202e")


@pytest.mark.parametrize("q", ODD)
def test_no_search_breaks_a_page(operator: Client, stage: Stage, q: str) -> None:
    assert operator.get("/find", {"q": q}).status_code in (200, 302)
    assert operator.get(f"{stage.path}receipts", {"q": q}).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/receipts/1/999999999999999999",
        "/receipts/999999999/1",
        "/receipts/1/9999999999999999999",
        "/quarantine/0",
        "/attempts/0",
        "/runs/nothing/at-all/",
        "/streams/nothing/",
        "/quarantine/groups/1-NOTHING",
        "/quarantine/groups/999999999-NOT_JSON",
        "/unknown/?run=a/b",
        "/unknown/reconcile",
        "/quarantine/?run=x/y",
        "/quarantine/resolve",
        "/quarantine/resolve?item=0",
        "/runs/a/%00/",
        "/quarantine/groups/1-",
    ],
)
def test_what_is_not_there_is_not_found(operator: Client, live: Stack, path: str) -> None:
    assert operator.get(path).status_code == 404


@pytest.mark.parametrize("path", ["/streams/%00/", "/find?q=%00", "/runs/?stream=%00"])
def test_a_nul_character_is_no_name(operator: Client, live: Stack, path: str) -> None:
    assert operator.get(path).status_code == 400


def test_raw_bytes_are_a_file_that_no_browser_interprets(operator: Client, stage: Stage) -> None:
    for number in stage.items:
        item = QuarantineItem.objects.get(id=number)
        answer = operator.get(f"/quarantine/{number}/raw")
        if item.value is None:
            assert answer.status_code == 404
            continue
        assert answer.content == bytes(item.value)
        assert answer.headers["Content-Type"] == "application/octet-stream"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Disposition"].startswith("attachment")


# ---- how much they ask of the database


@pytest.mark.parametrize("state", ItemState.values)
def test_a_page_of_a_run_s_items_is_the_first_of_them_in_order(
    stage: Stage, state: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each window is asked for its first ones; together they are what the whole run's list begins with."""
    item = QuarantineItem.objects.get(id=stage.items[0])
    monkeypatch.setattr(held, "PAGE_SIZE", 2)
    for reason in (None, Reason(item.reason)):
        everything = list(held.items(state, item.run_id, reason).order_by("id").values_list("id", flat=True))
        for at in range(len(everything) + 1):
            after = everything[at - 1] if at else None
            page = held.page_of(state, item.run_id, reason, after)
            assert [each.id for each in page] == everything[at : at + 3]


MOST_QUERIES = {
    "/": 15, "/runs/": 15, "/streams/": 12, "/quarantine/": 12, "/quarantine/?by=item": 12, "/unknown/?state=all": 14,
    "/system/lanes": 15, "/find": 8, "/me/": 8, "/patterns/": 8,
    "{run}": 20, "{run}sources": 18, "{run}receipts": 17, "{run}gate": 17, "{run}windows/": 17, "{run}windows/1/": 18,
    "{run}basis": 20,
    "/receipts/{source}/0": 20, "/quarantine/{item}": 20, "/attempts/{attempt}": 18,
    "/plans/": 12, "/plans/?state=waiting": 12, "/plans/{plan}": 14, "/plans/{plan}/approve": 12,
}  # fmt: skip


@pytest.mark.parametrize("kind", MOST_QUERIES)
def test_a_page_asks_few_questions_however_many_rows_it_has(operator: Client, stage: Stage, kind: str) -> None:
    names = {"run": stage.path, "source": stage.source, "item": stage.items[0], "attempt": stage.attempt}
    names["plan"] = stage.plan
    path = kind.format(**names)
    operator.get(path)
    with CaptureQueriesContext(
        connection,
    ) as asked:
        assert operator.get(path).status_code == 200
    assert len(asked) <= MOST_QUERIES[kind], "\n".join(each["sql"][:160] for each in asked)


def test_settings_name_no_host_outside(live: Stack) -> None:
    """Pages take nothing from anywhere else: every directive is 'self' or 'none'."""
    for sources in settings.CONTENT_SECURITY_POLICY["DIRECTIVES"].values():
        assert set(sources) <= {"'self'", "'none'"}


def test_an_approver_may_resolve_too(stage: Stage, live: Stack) -> None:
    approver = signed_in("petra", Role.APPROVER)
    assert 'type="submit"' in get(approver, f"/quarantine/{still_open(stage)[0]}/resolve").text


def commands_of(page: Page) -> list[str]:
    """What stands under "Command line" on an acting page."""
    found = re.findall(r"<h3>Command line</h3>\s*<pre>(.*?)</pre>", page.text, re.DOTALL)
    return [html.unescape(text) for text in found]


def test_the_same_act_as_a_command_line_is_one_that_exists(operator: Client, stage: Stage) -> None:
    run = QuarantineItem.objects.get(id=stage.items[0]).run_id
    pages = (
        f"/quarantine/{stage.items[0]}/resolve",
        f"/quarantine/resolve?item={stage.items[0]}&item={stage.items[1]}",
        f"/quarantine/resolve?group={run}-NOT_JSON&upto={stage.items[-1]}",
        f"/unknown/reconcile?run={stage.stream}/{stage.run}",
        f"{stage.path}cut",
        f"{stage.path}go-on",
        f"{stage.path}close",
    )
    for path in pages:
        commands = commands_of(get(operator, path))
        assert len(commands) == 1, path
        words = shlex.split(commands[0])
        command: click.Command = passgate
        assert words.pop(0) == "passgate"
        while isinstance(command, click.Group):
            name = words.pop(0)
            found = command.get_command(click.Context(command), name)
            assert found is not None, commands[0]
            command = found
        command.make_context(name, words)  # raises for an option or a value that does not exist


def test_the_same_act_as_an_api_call_is_one_that_exists(operator: Client, stage: Stage) -> None:
    acts = ("cut", "go-on", "close")
    for path in (
        f"/quarantine/{stage.items[0]}/resolve",
        f"/attempts/{stage.attempt}/reconcile",
        *(stage.path + act for act in acts),
    ):
        call = re.search(r"<h3>API</h3>\s*<pre>POST ([^\s<]+)", get(operator, path).text)
        assert call, path
        assert resolve(call[1]).url_name != "unknown", call[1]
