"""The console in a browser: what needs JavaScript, and that nothing else does."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

from tests.pages.conftest import PASSWORD, Stage, user
from tests.pages.test_pages import paths_of

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

    from stack import Stack

pytestmark = [pytest.mark.browser, pytest.mark.usefixtures("live")]


def sign_in(page: Page, web: str, name: str) -> None:
    page.goto(f"{web}/sign-in/?next=/me/")
    page.fill("#id_username", name)
    page.fill("#id_password", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{web}/me/")


def opened(browser: Browser, web: str, **how: object) -> BrowserContext:
    """A window of somebody who may do what operators do."""
    from console.permissions import Role

    user("bo", Role.OPERATOR)
    context = browser.new_context(**how)  # type: ignore[arg-type]
    page = context.new_page()
    sign_in(page, web, "bo")
    page.close()
    return context


@pytest.fixture
def page(browser: Browser, web: str, live: Stack) -> Iterator[Page]:
    context = opened(browser, web, viewport={"width": 1280, "height": 900})
    yield context.new_page()
    context.close()


@pytest.fixture
def without_script(browser: Browser, web: str, live: Stack) -> Iterator[Page]:
    context = opened(browser, web, java_script_enabled=False)
    yield context.new_page()
    context.close()


def beyond(page: Page, width: int) -> list[str]:
    """Entries and tabs that nobody sees who does not scroll a bar sideways."""
    outside = "(all, width) => all.filter(a => a.getBoundingClientRect().right > width).map(a => a.textContent.trim())"
    found: list[str] = page.eval_on_selector_all(".tabs a, .index a", outside, width)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1440])
def test_no_page_scrolls_sideways_or_breaks_its_policy(
    browser: Browser, web: str, live: Stack, stage: Stage, width: int
) -> None:
    context = opened(browser, web, viewport={"width": width, "height": 900})
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(str(error)))
    for path in paths_of(stage):
        page.goto(web + path)
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{path} is {wide} px wide"
        assert beyond(page, width) == [], f"{path} hides them behind its edge"
        assert wrong == [], path
    context.close()


def test_an_item_is_resolved_without_script(without_script: Page, web: str, stage: Stage) -> None:
    from ingest.models import QuarantineItem

    number = QuarantineItem.objects.filter(id__in=stage.items, state="OPEN").exclude(reason=50).latest("id").id
    page = without_script
    page.goto(f"{web}/quarantine/{number}")
    page.click("text=Resolve")
    page.check("input[value=DISCARDED]")
    page.fill("#reason", "looked at without script")
    page.click("text=Confirm: resolve 1")
    assert page.locator(".notice.is-success, .notice.is-good").count() == 1
    assert QuarantineItem.objects.get(id=number).resolved_by == "bo"


def test_polling_is_live_pauses_and_says_when_it_is_stale(page: Page, web: str, stage: Stage) -> None:
    page.goto(f"{web}/runs/")
    said = page.locator("[data-live-words]")
    page.locator("#live[data-state=live]").wait_for()
    with page.expect_response(f"{web}/runs/", timeout=15_000) as part:
        pass
    assert part.value.request.headers["hx-request"] == "true"
    page.click("text=Pause")
    assert said.inner_text().startswith("Paused")
    page.click("text=Go on")
    page.route("**/runs/", lambda route: route.abort())
    page.locator("#live[data-state=stale]").wait_for(timeout=15_000)
    assert said.inner_text().startswith("Stale since")


def test_a_region_with_a_ticked_box_is_not_replaced(page: Page, web: str, stage: Stage) -> None:
    from ingest.models import QuarantineItem

    run = QuarantineItem.objects.get(id=stage.items[0]).run_id
    page.goto(f"{web}/quarantine/groups/{run}-PAYLOAD_MISMATCH")
    page.locator("input[name=item]").first.check()
    page.evaluate("document.activeElement.blur()")
    page.wait_for_timeout(6_500)
    assert page.locator("input[name=item]:checked").count() == 1
    page.click("text=Resolve the ticked")
    assert "Resolve" in page.locator("h1").inner_text()


def number(text: str) -> int:
    """A count as pages write it, 1,119 say: other tests leave items, too."""
    return int(text.replace(",", ""))


def test_rows_do_not_move_under_the_cursor(page: Page, web: str, stage: Stage) -> None:
    from ingest.models import QuarantineItem, Resolution
    from ingest.quarantine import resolve

    first = QuarantineItem.objects.filter(id__in=stage.items, reason=50, state="OPEN").earliest("id")
    page.goto(f"{web}/quarantine/groups/{first.run_id}-PAYLOAD_MISMATCH")
    rows = page.locator("tr[data-row]")
    count = rows.count()
    open_items = page.locator("[data-count-of=quarantine]")
    before = number(open_items.inner_text())
    rows.first.hover()
    resolve([first.id], "somebody else", Resolution.ACCEPTED_FIRST, "while you look")
    page.locator(".news button").wait_for(timeout=15_000)
    assert number(open_items.inner_text()) == before - 1, "the header counts with every answer"
    assert rows.count() == count
    page.locator(".news button").click()
    page.locator(f"tr[data-row] input[value='{first.id}']").wait_for(state="detached")
    assert rows.count() == count - 1


def test_keys_move_and_open_and_find(page: Page, web: str, stage: Stage) -> None:
    page.goto(f"{web}/runs/")
    page.keyboard.press("j")
    assert page.locator("tr.is-here").count() == 1
    page.keyboard.press("Enter")
    page.wait_for_url(f"{web}/runs/*/*/")
    page.goto(f"{web}/system/lanes")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type(f"{stage.stream}/{stage.run}")
    page.keyboard.press("Enter")
    page.wait_for_url(web + stage.path)
    page.keyboard.press("g")
    page.keyboard.press("q")
    page.wait_for_url(f"{web}/quarantine/")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()


def test_the_skip_link_comes_first_and_focus_shows(page: Page, web: str, stage: Stage) -> None:
    page.goto(web + stage.path)
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    assert page.url.endswith("#main")


def test_dark_and_light_follow_the_system_and_the_choice(browser: Browser, web: str, live: Stack) -> None:
    context = opened(browser, web, color_scheme="dark")
    page = context.new_page()

    def ground() -> object:
        return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")

    page.goto(f"{web}/me/")
    assert ground() == "rgb(22, 21, 19)"
    page.click("button:has-text('Light')")
    assert ground() == "rgb(246, 244, 238)"
    context.close()


def test_a_gate_whose_lease_ran_out_unseen_is_not_shown_as_open(page: Page, web: str, live: Stack) -> None:
    """Whoever re-checks stands still, and so does this page's polling: what the page says must end with the lease."""
    from ingest.db import write
    from tests.flow.world import Flow, thing

    flow = Flow(automatic="false")
    opened_run = flow.open()
    flow.produce([thing(1)])
    flow.work()
    flow.cut()
    flow.work()
    assert flow.judge().verdict.state == "PASS"
    with write() as cur:
        cur.execute(
            "UPDATE gate_open SET open_until = clock_timestamp() + interval '6 seconds' WHERE win = %s",
            [opened_run.win],
        )
    path = f"/runs/{flow.name}/r1/"
    page.goto(web + path)
    strip = page.locator(".strip [data-lease]")
    assert "Gate OPEN" in strip.inner_text()
    page.route(f"**{path}", lambda route: route.abort())
    page.locator(".strip [data-lease] .tone-unmeasured").wait_for(state="visible", timeout=15_000)
    assert strip.inner_text() == "Gate not re-checked"
    # rendered a moment after the strip, it ends at the next look
    page.wait_for_function("!document.querySelector('main').innerText.includes('Readers can read')", timeout=5_000)
