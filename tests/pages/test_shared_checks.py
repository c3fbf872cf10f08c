"""What one process counted, all show: two web processes never say two things of one window, the older one last."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from audit import now
from audit.close import window_of
from ingest.models import Resolution
from ingest.quarantine import resolve
from tests.flow.world import Flow, thing

IN_ANOTHER_PROCESS = """
import django; django.setup()
from audit import now
found = now.kept_checks({win})
print(found[0].facts.quarantine.value.open, found[1])
"""


@pytest.fixture
def blocked(live: object) -> Flow:
    flow = Flow(automatic="false")
    flow.open()
    flow.produce([thing(1), b"{", b"["])
    flow.work()
    flow.cut()
    flow.work()
    return flow


def elsewhere(win: int) -> str:
    """What another process, just begun, would show: items open, and whether that is known to be so still."""
    code = IN_ANOTHER_PROCESS.format(win=win)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout.strip()


def test_another_process_shows_what_this_one_counted(blocked: Flow) -> None:
    win = window_of(blocked.name, "r1")
    now.checks_now(win)
    assert elsewhere(win) == "2 True"
    item = blocked.rows("SELECT id FROM quarantine_item WHERE win = %(win)s ORDER BY id", win=win)[0].id
    resolve([item], "ana", Resolution.DISCARDED, "noise")
    assert elsewhere(win) == "2 False", "known to have changed since"
    now.checks_now(win)
    assert elsewhere(win) == "1 True"


def test_older_facts_never_replace_younger_ones(blocked: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that took long to count is done after one that began later."""
    win, real = window_of(blocked.name, "r1"), now._keep
    held: list[Callable[[], None]] = []

    def late(*values: Any) -> None:
        held.append(lambda: real(*values))

    monkeypatch.setattr(now, "_keep", late)
    now.checks_now(win)
    monkeypatch.setattr(now, "_keep", real)
    item = blocked.rows("SELECT id FROM quarantine_item WHERE win = %(win)s ORDER BY id", win=win)[0].id
    resolve([item], "ana", Resolution.DISCARDED, "noise")
    now.checks_now(win)
    held[0]()
    found = now.kept_checks(win)
    assert found is not None and found[0].facts.quarantine is not None
    assert found[0].facts.quarantine.value.open == 1


def test_facts_of_another_form_are_counted_again(blocked: Flow, monkeypatch: pytest.MonkeyPatch) -> None:
    win = window_of(blocked.name, "r1")
    now.checks_now(win)
    monkeypatch.setattr(now, "_shape", lambda: "another version's")
    assert now.kept_checks(win) is None
