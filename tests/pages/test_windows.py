"""Of a run of many windows nothing that is the matter is hidden by what came later, and no page grows with them."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from console.reads.needs import needs
from tests.flow.windows import run_of
from tests.flow.world import Flow, leave
from tests.pages.test_pages import get, walked

pytestmark = pytest.mark.usefixtures("live")

STANDS = (
    "windows 3 and 8 FAIL, window 6 BLOCKED, the gate of window 5 shut, 6 PASS, window 10 not judged, window 11 open"
)
PARTS = ("", "sources", "receipts", "gate", "windows/", "windows/11/", "verdicts/9", "cut", "go-on")
MIXED = ["PASS", "PASS", "FAIL", "PASS", "SHUT", "BLOCKED", "PASS", "FAIL", "PASS", "CUT", "OPEN"]


@pytest.fixture(scope="module")
def mixed(stack: object, django_db_blocker: object) -> Iterator[str]:
    """A stream with one run: windows 3 and 8 failed, 6 is blocked, the gate of 5 is shut, 10 waits, 11 is open."""
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        flow = Flow(automatic="false")
        run_of(flow, MIXED)
        yield flow.name
        leave([flow.name])


def words(text: str) -> str:
    return " ".join(re.sub(r"<[^>]+>", " ", text).split())


# ---- nothing is hidden


def test_a_window_that_failed_stays_on_now_however_many_follow(operator: Client, mixed: str) -> None:
    mine = {each.state: each for each in needs().fallen if each.run.stream == mixed}
    assert {state: (each.window, each.windows) for state, each in mine.items()} == {"FAIL": (3, 2), "GATE SHUT": (5, 1)}
    now = words(get(operator, "/").text)
    assert f"{mixed}/r1#3 (window 3) is FAIL: Window 3 is FAIL: made so. So is 1 more window of the run." in now
    assert f"{mixed}/r1#5 (window 5) is PASS, and its gate is shut: for a test." in now


@pytest.mark.parametrize(("state", "listed"), [("", 1), ("open", 1), ("failed", 1), ("blocked", 1), ("passed", 0)])
def test_a_run_stands_under_the_worst_of_its_windows(operator: Client, mixed: str, state: str, listed: int) -> None:
    page = get(operator, f"/runs/?stream={mixed}&state={state}")
    assert page.text.count("<tr data-row") == listed
    if listed:
        assert f"{STANDS}: Window 3 is FAIL: made so." in words(page.text)
        assert 'class="is-bad"' in page.text


def test_a_run_on_now_is_there_for_the_worst_of_its_windows(operator: Client) -> None:
    """A run that is closed goes on while a window of it is blocked, whatever the newest says."""
    flow = Flow(automatic="false")
    run_of(flow, ["BLOCKED", "PASS"])
    page = get(operator, "/")
    assert f"{flow.name}/r1" in page.text
    assert "window 1 BLOCKED, 1 PASS: Window 1 is BLOCKED: made so." in words(page.text)


@pytest.mark.parametrize(
    "part", ["", "sources", "receipts", "gate", "windows/", "windows/11/", "verdicts/9", "cut", "go-on"]
)
def test_every_page_of_a_run_says_what_stands(operator: Client, mixed: str, part: str) -> None:
    page = get(operator, f"/runs/{mixed}/r1/{part}")
    assert page.wrong == []
    assert STANDS in words(page.text)


def test_a_window_that_is_older_than_the_history_has_its_verdict(operator: Client) -> None:
    flow = Flow(automatic="false")
    run_of(flow, ["FAIL", *["PASS"] * 30, "OPEN"])
    older = f"/runs/{flow.name}/r1/"
    assert f"{flow.name}/r1#1" in words(get(operator, f"{older}windows/1/").text).split("Verdicts of this window")[1]
    overview = words(get(operator, f"{older}?window=1").text)
    assert "Window 1 is FAIL: made so." in overview
    assert "are being measured" not in overview
    assert f"{flow.name}/r1#1" in overview.split("Verdicts are not yet sealed")[1]
    leave([flow.name])


# ---- the tab


def numbers(text: str) -> list[int]:
    return [int(n) for n in re.findall(r'<th scope="row" class="tight">\s*<a [^>]+>window ([\d,]+)</a>', text)]


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        ("", [11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ("not-pass", [11, 10, 8, 6, 3]),
        ("FAIL", [8, 3]),
        ("BLOCKED", [6]),
        ("PASS", [9, 7, 5, 4, 2, 1]),
        ("none", [11, 10]),
    ],
)
def test_windows_are_listed_and_filtered(operator: Client, mixed: str, verdict: str, expected: list[int]) -> None:
    page = get(operator, f"/runs/{mixed}/r1/windows/?verdict={verdict}")
    assert numbers(page.text) == expected


def test_windows_come_in_pages_each_of_them_once(operator: Client, monkeypatch: pytest.MonkeyPatch, mixed: str) -> None:
    monkeypatch.setattr("console.reads.windows.PAGE_SIZE", 4)
    seen = [numbers(page.text) for page in walked(operator, f"/runs/{mixed}/r1/windows/")]
    assert seen == [[11, 10, 9, 8], [7, 6, 5, 4], [3, 2, 1]]
    bad = [numbers(page.text) for page in walked(operator, f"/runs/{mixed}/r1/windows/?verdict=not-pass")]
    assert bad == [[11, 10, 8, 6], [3]]


def test_the_strip_leads_to_the_windows_beside_and_to_the_newest(operator: Client, mixed: str) -> None:
    links = get(operator, f"/runs/{mixed}/r1/windows/5/").links
    for number in (4, 6, 11):
        assert f"/runs/{mixed}/r1/windows/{number}/" in links
    assert f"/runs/{mixed}/r1/windows/8/" not in links


def test_the_gates_page_names_what_it_covers(operator: Client, mixed: str) -> None:
    said = words(get(operator, f"/runs/{mixed}/r1/gate").text)
    assert "5 of 11 windows are open to readers. Not open: 3, 5, 6, 8, 10 and 11." in said


# ---- however many there are


@pytest.fixture(scope="module")
def thousand(stack: object, django_db_blocker: object) -> Iterator[str]:
    with django_db_blocker.unblock():  # type: ignore[attr-defined]
        flow = Flow(automatic="false")
        run_of(flow, ["FAIL", *["PASS"] * 998, "OPEN"])
        yield flow.name
        leave([flow.name])


PAGES = (
    "",
    "?window=1",
    "sources",
    "receipts",
    "gate",
    "windows/",
    "windows/?verdict=not-pass",
    "windows/1/",
    "verdicts/1",
    "go-on",
)


@pytest.mark.parametrize("part", PAGES)
def test_a_thousand_windows_ask_what_eleven_ask(operator: Client, mixed: str, thousand: str, part: str) -> None:
    def asked(stream: str, path: str) -> tuple[int, int]:
        operator.get(f"/runs/{stream}/r1/{path}")
        with CaptureQueriesContext(connection) as queries:
            page = operator.get(f"/runs/{stream}/r1/{path}")
        assert page.status_code == 200
        return len(queries), len(page.content)

    few, many = (
        asked(mixed, part.replace("windows/1/", "windows/3/").replace("verdicts/1", "verdicts/3")),
        asked(thousand, part),
    )
    assert many[0] <= few[0] + 1, "the run's page: what was measured may be asked for once more"
    assert many[1] < 120_000


def test_lists_ask_the_same_however_many_windows_there_are(operator: Client, mixed: str, thousand: str) -> None:
    def asked(stream: str) -> int:
        with CaptureQueriesContext(connection) as queries:
            operator.get(f"/runs/?stream={stream}")
        return len(queries)

    assert asked(thousand) == asked(mixed)
    assert "window 1 FAIL, 998 PASS, window 1,000 open" in words(get(operator, f"/runs/?stream={thousand}").text)
