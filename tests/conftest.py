"""One embedded stack for the whole session, started by the first test that asks for it and isolated from any that runs.

Its ports and passwords are fixed before Django reads its settings, so a session of pure tests never starts it.
"""

import fcntl
import gc
import os
import shutil
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import hypothesis
import pytest
from django.conf import settings

from stack import STORES, Stack, kafka
from stack.account import remove_private_folder
from tests import lanes, unit_mark
from tests.examples import FAST, OF_FAST

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from pytest_django import DjangoDbBlocker

PREFIX = "passgate-test-"
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
NO_BROWSER = "wants Chromium: apt-get install chromium, or name one in PASSGATE_CHROMIUM"

if settings.configured:
    raise pytest.UsageError(
        "Django's settings are loaded already, with the services of this shell: unset DJANGO_SETTINGS_MODULE"
    )


def _say(text: str) -> None:
    if os.environ.get("PASSGATE_TEST_PROGRESS"):
        os.write(2, f"[stack] {text}\n".encode())


def _sweep_killed_sessions() -> None:
    """Remove what sessions left that were killed: their lock is free, and they are older than a start takes."""
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        lock = folder / "data" / ".lock"
        try:
            if folder.stat().st_uid == os.geteuid() and time.time() - lock.stat().st_mtime > 60:
                with lock.open() as held:
                    fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    remove_private_folder(folder / "data")
                    shutil.rmtree(folder, ignore_errors=True)
        except OSError:
            continue  # It runs, or is being removed.


def pytest_configure(config: pytest.Config) -> None:
    """Let SIGTERM end a session as Ctrl-C does, with its stack stopped."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    config.pluginmanager.register(unit_mark, "unit_mark")


# No deadline for an example: on a busy machine one that is late says nothing about the code.
hypothesis.settings.register_profile("passgate", deadline=None)
hypothesis.settings.register_profile(FAST, deadline=None, max_examples=OF_FAST)
hypothesis.settings.load_profile("passgate")

# Brokers of tests live for minutes: what Java's second compiler makes of them it never earns back.
kafka.MEMORY = (*kafka.MEMORY, "-XX:TieredStopAtLevel=1")

_sweep_killed_sessions()
STACK = Stack(Path(tempfile.mkdtemp(prefix=PREFIX)) / "data", progress=_say)
STACK.reserve()
os.environ.update(STACK.env(), DJANGO_SETTINGS_MODULE="console.settings")
settings.DATABASES  # noqa: B018 - loads the settings here, so that pytest-django sets Django up with them


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the stack, whatever ended the session, and leave nothing of it."""
    STACK.remove()
    shutil.rmtree(STACK.data.parent, ignore_errors=True)


def _why(report: pytest.TestReport) -> str:
    """What a skipped test says it wants; one that says nothing like that is to be mended."""
    words = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else str(report.longrepr)
    words = words.removeprefix("Skipped: ")
    return words if words.startswith("wants ") else f"no word of what it wants: {report.nodeid}: {words}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say what was not run here, and why."""
    skipped = Counter(_why(report) for report in terminalreporter.getreports("skipped"))
    if skipped:
        terminalreporter.section("not run here")
        for why, count in skipped.most_common():
            terminalreporter.line(f"{count} {'tests' if count > 1 else 'test'}: {why}", yellow=True)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Refuse tests that would flush the database: the ledger refuses TRUNCATE, and other tests' rows are in it.

    Tests of real workers come first, on a database that others have not yet filled with streams that only wait or fail.
    """
    items.sort(key=lambda item: not lanes.uses_workers(item))
    for item in items:
        marker = item.get_closest_marker("django_db")
        if marker and (marker.kwargs.get("transaction") or marker.kwargs.get("reset_sequences")):
            raise pytest.UsageError(f"{item.nodeid}: use the fixture `live` in place of django_db(transaction=True)")


@pytest.fixture(autouse=True, scope="module")
def _let_go_of_clients(request: pytest.FixtureRequest) -> Iterator[None]:
    """Kafka clients of finished tests sit in reference cycles, with threads and files, until these are collected.
    Collecting takes a third of a second, which a session of unit tests does without.
    """
    yield
    if any(unit_mark.needs_services(item) for item in request.session.items):
        gc.collect()


@pytest.fixture(scope="session")
def stack() -> Stack:
    """PostgreSQL, Kafka and Valkey, migrated. Parts web, lanes, control, watch and beat are there to be started:
    `start_part`.
    """
    STACK.start(only=STORES)
    STACK.migrate()
    return STACK


@pytest.fixture(scope="session")
def own_services() -> None:
    """For who starts parts of a stack itself, in this process or in a child: it is no unit test then."""


@pytest.fixture(scope="session")
def django_db_setup(stack: Stack) -> None:
    """The stack's database as it is: no test database is made, nothing is ever flushed."""


@pytest.fixture
def live(stack: Stack, django_db_blocker: "DjangoDbBlocker") -> Iterator[Stack]:
    """The stack with its database open to the test, for real transactions. What a test writes stays: use names of its
    own.
    """
    from tests.cut_off import let_go_of_a_cut_off_query

    with django_db_blocker.unblock():
        yield stack
        let_go_of_a_cut_off_query()


@pytest.fixture
def services(stack: Stack) -> Iterator[Stack]:
    """The stack with lane and control workers and beat running, stopped afterwards: they take leases other tests
    want.
    """
    names = ("lanes", "control", "watch", "beat")
    for name in names:
        stack.start_part(name)
    yield stack
    for name in reversed(names):
        stack.stop_part(name)


@pytest.fixture(scope="session")
def web(stack: Stack) -> str:
    """The URL of the web part, started once."""
    stack.start_part("web")
    assert stack.url
    return stack.url


@pytest.fixture(scope="session")
def browser() -> Iterator["Browser"]:
    """Chromium. Without one, tests are skipped with one clear line; in CI they fail."""
    from playwright.sync_api import sync_playwright

    found = os.environ.get("PASSGATE_CHROMIUM") or next(filter(None, map(shutil.which, BROWSERS)), None)
    if not found:
        if os.environ.get("CI"):
            pytest.fail(NO_BROWSER)
        pytest.skip(NO_BROWSER)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield chromium
        chromium.close()
