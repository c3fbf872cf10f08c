"""Pictures of every page, light and dark, at 390 and 1440 px: look at them before you believe a stylesheet.

    python -m tests.pages.shots --url http://127.0.0.1:8000 --name ana --password … --into /tmp/shots [/runs/ /me/ …]

Without paths it follows the console's own links from `/`, one page per kind of path. It says which pages are wider than
their window, and what the browser's console complained about. Needs a Chromium (PASSGATE_CHROMIUM, /usr/bin/chromium).
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urlsplit

from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

CHROMIUM = os.environ.get("PASSGATE_CHROMIUM", "/usr/bin/chromium")
# Debian's Chromium as root, in a closed network: no sandbox, and nothing that looks for hosts outside.
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTHS = (1440, 390)
THEMES = ("light", "dark")
MOST_PAGES = 40


def launch(playwright: object) -> Browser:
    """The system's Chromium, headless."""
    browser: Browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))  # type: ignore[attr-defined]
    return browser


def sign_in(page: Page, url: str, name: str, password: str) -> None:
    """Sign in by the form a person would use."""
    page.goto(f"{url}/sign-in/")
    page.fill("#id_username", name)
    page.fill("#id_password", password)
    page.click("button[type=submit]")
    page.wait_for_load_state()


def kind_of(path: str) -> str:
    """Paths that differ only in names and numbers are one kind; the first of each kind is looked at."""
    parts = urlsplit(path).path.strip("/").split("/")
    known = {
        "runs", "streams", "receipts", "quarantine", "attempts", "unknown", "plans", "system", "me", "patterns", "find",
    }  # fmt: skip
    words = [part if part in known or (at > 1 and part.isalpha()) else "*" for at, part in enumerate(parts)]
    return "/".join(words)


def crawl(page: Page, url: str) -> list[str]:
    """One path per kind, found by following links from `/`."""
    waiting, seen, kinds = ["/"], {"/"}, {"": "/"}
    while waiting and len(kinds) < MOST_PAGES:
        page.goto(url + waiting.pop(0))
        for path in _links(page):
            kind = kind_of(path)
            if path not in seen and kind not in kinds:
                seen.add(path)
                kinds[kind] = path
                waiting.append(path)
    return list(kinds.values())


def _links(page: Page) -> Iterator[str]:
    for href in page.eval_on_selector_all("a[href]", "all => all.map(a => a.getAttribute('href'))"):
        if href.startswith("/") and not href.endswith("/raw"):
            yield href.split("#")[0]


def file_name(path: str) -> str:
    """A path as a file name."""
    return re.sub(r"[^A-Za-z0-9]+", "-", path).strip("-")[:60] or "now"


def shoot(context: BrowserContext, url: str, path: str, width: int, theme: str, into: Path) -> list[str]:
    """One picture; the answer is what is wrong with the page, in sentences."""
    page = context.new_page()
    wrong: list[str] = []
    page.on("console", lambda message: wrong.append(f"console: {message.text}") if message.type == "error" else None)
    page.on("pageerror", lambda error: wrong.append(f"error: {error}"))
    answer = page.goto(url + path)
    if answer is None or answer.status >= 400:
        wrong.append(f"status {answer.status if answer else 'none'}")
    wide = page.evaluate("document.documentElement.scrollWidth")
    if wide > width:
        wrong.append(f"{wide} px wide in a window of {width}")
    page.screenshot(path=into / f"{file_name(path)}-{width}-{theme}.png", full_page=True)
    page.close()
    return [f"{path} {width} {theme}: {words}" for words in wrong]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", required=True)
    parser.add_argument("--name", default="ana")
    parser.add_argument("--password", required=True)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--width", type=int, action="append", help="default: 1440 and 390")
    parser.add_argument("--theme", choices=THEMES, action="append", help="default: both")
    parser.add_argument("paths", nargs="*")
    asked = parser.parse_args(arguments)
    asked.into.mkdir(parents=True, exist_ok=True)
    wrong: list[str] = []
    with sync_playwright() as playwright:
        browser = launch(playwright)
        paths: list[str] = asked.paths
        for width in asked.width or WIDTHS:
            for theme in asked.theme or THEMES:
                context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=theme)
                first = context.new_page()
                sign_in(first, asked.url, asked.name, asked.password)
                paths = paths or crawl(first, asked.url)
                first.close()
                for path in paths:
                    wrong += shoot(context, asked.url, path, width, theme, asked.into)
                context.close()
        browser.close()
    print("\n".join([*paths, *wrong]))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
