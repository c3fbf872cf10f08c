"""Each process has its own login only: read from the environment of the real ones, their children included."""

from __future__ import annotations

import os
import subprocess
import sys
from urllib.parse import urlsplit

import psutil
import pytest

from stack import Stack
from stack.place import PROJECT
from stack.services import OF_ONE

LOGINS = ("PASSGATE_OWNER_URL", "PASSGATE_AUDITOR_URL", "PASSGATE_READER_URL", "PASSGATE_ADMIN_URL")


def secrets_of(stack: Stack) -> dict[str, str]:
    """By name, what only one process may have: passwords as they stand in URLs, and the key of sessions."""
    told = stack.env()
    found = {name: str(urlsplit(told[name]).password) for name in LOGINS}
    return found | {"PASSGATE_SECRET_KEY": told["PASSGATE_SECRET_KEY"]}


def environments(stack: Stack, part: str) -> list[dict[str, str]]:
    """Of the part and all that live below it. psutil reads /proc, or asks macOS."""
    found = [psutil.Process(pid).environ() for pid in stack.pids(part)]
    assert found
    return found


@pytest.fixture
def every_part(stack: Stack, web: str, services: Stack) -> Stack:
    for part in ("lanes", "control"):
        stack.wait_up(part)
    return stack


def test_no_process_carries_the_login_of_another(every_part: Stack) -> None:
    secrets = secrets_of(every_part)
    assert len(set(secrets.values())) == len(secrets)
    for part in ("web", "lanes", "control", "beat", "postgres", "kafka", "valkey"):
        for environment in environments(every_part, part):
            values = "\n".join(environment.values())
            found = {name for name, secret in secrets.items() if secret in values}
            assert found == ({"PASSGATE_SECRET_KEY"} if part == "web" else set()), part
            assert not (OF_ONE - {"PASSGATE_SECRET_KEY"}) & set(environment), part


def test_workers_have_children_and_these_were_looked_at(every_part: Stack) -> None:
    assert len(every_part.pids("lanes")) >= 3
    assert len(every_part.pids("control")) >= 3
    assert len(every_part.pids("web")) >= 3


def test_the_guard_knows_no_password(every_part: Stack) -> None:
    assert every_part._guard is not None
    assert set(psutil.Process(every_part._guard.pid).environ()) <= {"PATH", "LC_CTYPE"}


@pytest.mark.parametrize("words", [("migrate", "--database", "owner", "--check"), ("user", "list"), ("check",)])
def test_commands_find_the_logins_they_need(stack: Stack, words: tuple[str, ...]) -> None:
    """From the record of the stack, which only its owner reads."""
    kept = {name: value for name, value in os.environ.items() if name not in OF_ONE and name != "DATABASE_URL"}
    done = subprocess.run(
        [sys.executable, "-m", "console.cli.main", *words],
        env=kept | {"PASSGATE_DATA": str(stack.data), "PYTHONPATH": str(PROJECT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
