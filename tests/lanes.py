"""Three lanes of tests, and sessions that share them. A plugin of pytest, which `passgate test` loads.

    --lane unit            needs no services, and takes no ten seconds
    --lane integration     needs services
    --lane trials          kills, freezes, mutants, the model, soak, drill: whatever is slow or stands in TRIALS

Which lane a test is in follows from its fixtures (tests/unit_mark.py), its folder and the mark `slow`: each is in one.

With --share FOLDER some sessions divide what all of them have collected: each takes a file's tests, then the next file
that no other one has taken. So all are busy to the end, whatever takes how long. The folder then tells what was
collected, and of each test in which lane it was and how long it took.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit_mark import UNIT

UNIT_LANE, INTEGRATION, TRIALS_LANE = LANES = ("unit", "integration", "trials")
TRIALS = frozenset({"bench", "drill", "failpoints", "judging", "liars", "lifetime", "model", "mutants"})
"""Folders whose tests kill and freeze what they look at, or measure it for minutes."""
WITH_WORKERS = frozenset({"services", "serving", "impatient"})
"""Fixtures of real workers: who uses them comes first."""
COLLECTED, RAN = "collected", "ran"


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("passgate")
    group.addoption("--lane", action="append", choices=LANES, default=[], help="the tests of this lane; more than once")
    group.addoption("--share", metavar="FOLDER", help="divide the tests with the other sessions that name this folder")


def lane_of(item: pytest.Item) -> str:
    """By its fixtures, its folder, and whether it is slow."""
    slow = item.get_closest_marker("slow") is not None
    if item.get_closest_marker(UNIT) and not slow:
        return UNIT_LANE
    return TRIALS_LANE if slow or folder_of(item) in TRIALS else INTEGRATION


def folder_of(item: pytest.Item) -> str:
    """Its folder below tests/; empty where it stands in none."""
    parts = item.nodeid.split("::")[0].split("/")
    return parts[1] if len(parts) > 2 and parts[0] == "tests" else ""


def uses_workers(item: pytest.Item) -> bool:
    return bool(WITH_WORKERS.intersection(getattr(item, "fixturenames", ())))


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    wanted = config.getoption("--lane")
    if wanted:
        others = [item for item in items if lane_of(item) not in wanted]
        items[:] = [item for item in items if lane_of(item) in wanted]
        config.hook.pytest_deselected(items=others)


# ---- sharing --------------------------------------------------------------------------------------------------------


def pytest_configure(config: pytest.Config) -> None:
    if config.getoption("--share"):
        config.pluginmanager.register(Share(Path(config.getoption("--share"))), "share")


class Between(pytest.Item):
    """What comes after a file, when nobody knows yet: of the file nothing is kept, of the session everything."""

    def runtest(self) -> None:
        """It is never run."""


class Share:
    """One session's part in what several divide among them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lanes: dict[str, str] = {}
        self._seconds: dict[str, float] = {}
        self._ran = (folder / f"{RAN}.{os.getpid()}").open("a", encoding="utf-8", buffering=1)

    def pytest_runtestloop(self, session: pytest.Session) -> bool | None:
        """In place of pytest's own, which ends a session where its tests cannot be collected."""
        if session.testsfailed or session.config.option.collectonly:
            return None
        self._lanes = {item.nodeid: lane_of(item) for item in session.items}
        told = "\n".join(sorted(self._lanes))
        (self._folder / f"{COLLECTED}.{os.getpid()}").write_text(told, encoding="utf-8")
        for group in self._taken(session.items):
            between = Between.from_parent(session, name="between")
            for item, following in zip(group, [*group[1:], between], strict=True):
                item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
                if session.shouldfail:
                    raise session.Failed(session.shouldfail)
                if session.shouldstop:
                    raise session.Interrupted(session.shouldstop)
        return True

    def _taken(self, items: Iterable[pytest.Item]) -> Iterator[list[pytest.Item]]:
        for name, group in in_order(items):
            with_name = self._folder / f"taken.{hashlib.sha256(name.encode()).hexdigest()[:24]}"
            try:
                with_name.touch(exist_ok=False)
            except FileExistsError:
                continue
            yield group

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] = self._seconds.get(report.nodeid, 0.0) + report.duration

    def pytest_runtest_logfinish(self, nodeid: str) -> None:
        seconds = self._seconds.pop(nodeid, 0.0)
        told = {"test": nodeid, "lane": self._lanes[nodeid], "seconds": round(seconds, 3), "ended": time.time()}
        self._ran.write(json.dumps(told) + "\n")

    def pytest_unconfigure(self) -> None:
        self._ran.close()


def in_order(items: Iterable[pytest.Item]) -> list[tuple[str, list[pytest.Item]]]:
    """Files, and of a file with some tests of real workers these apart: they come first, on a database that others have
    not yet filled with streams that only wait or fail. Then what is slow, which would else be waited for at the end,
    then the files with the most tests.
    """
    groups: dict[tuple[str, bool], list[pytest.Item]] = {}
    for item in items:
        groups.setdefault((item.nodeid.split("::")[0], uses_workers(item)), []).append(item)

    def rank(entry: tuple[tuple[str, bool], list[pytest.Item]]) -> tuple[Any, ...]:
        (file, with_workers), group = entry
        slow = any(item.get_closest_marker("slow") for item in group)
        return (not with_workers, not slow, -len(group), file)

    return [(f"{file} {with_workers}", group) for (file, with_workers), group in sorted(groups.items(), key=rank)]
