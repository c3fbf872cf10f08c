"""Each way in refuses settings that cannot be used, in one message without a traceback, and tells nothing secret."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.place import PROJECT

pytestmark = pytest.mark.slow
KEPT = {name: text for name, text in os.environ.items() if not name.startswith(("PASSGATE_", "DJANGO_"))}
MYSQL = "mysql://somebody:geheim@db.example.com/passgate"
WRONG = {"PASSGATE_LANE_SLOTS": "abc", "DATABASE_URL": MYSQL, "PASSGATE_HTTPS": "maybe"}
SAID = (
    "DATABASE_URL: found an address that begins with mysql://; write postgresql://USER:PASSWORD@HOST:PORT/DATABASE",
    "PASSGATE_LANE_SLOTS: found 'abc'; write a whole number from 1 to 1000",
    "PASSGATE_HTTPS: found 'maybe'; write on or off",
)
READY = ("-X", "passgate-ready", "manage.py")
GUNICORN = ("-m", "gunicorn", "--bind", "127.0.0.1:0", "--no-control-socket")
CELERY = ("-m", "celery", "-A", "console.celery")

#: Every way in, by name.
STARTS: dict[str, tuple[str, ...]] = {
    "a command without Django": (*READY, "status"),
    "a command with Django": (*READY, "run", "list"),
    "the embedded stack": (*READY, "up"),
    "a command of Django's that looks": (*READY, "migrate", "--plan"),
    "a command of Django's that does not look": (*READY, "shell", "-c", "print('began')"),
    "django-admin": ("-m", "django", "shell", "-c", "print('began')"),
    "web": (*GUNICORN, "-c", "python:console.gunicorn"),
    "web, started by hand": (*GUNICORN, "console.wsgi"),
    "worker": (*CELERY, "worker", "-Q", "lanes", "--concurrency", "1"),
    "beat": (*CELERY, "beat", "--pidfile="),
}


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What starts all the same leaves nothing in this clone's folder."""
    monkeypatch.setitem(KEPT, "PASSGATE_DATA", str(tmp_path / "data"))


def start(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = KEPT | {"PYTHONPATH": str(PROJECT), "DJANGO_SETTINGS_MODULE": "console.settings"} | settings
    return subprocess.run(
        [sys.executable, *words], env=environment, cwd=PROJECT, capture_output=True, text=True, timeout=60
    )


@pytest.mark.parametrize("way", STARTS)
def test_every_way_in_refuses_settings_that_cannot_be_used(way: str) -> None:
    done = start(*STARTS[way], **WRONG)
    assert done.returncode == 3, done.stderr
    assert "passgate: the settings are not usable [settings_invalid]" in done.stderr
    for line in SAID:
        assert done.stderr.count(line) == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "geheim" not in done.stderr + done.stdout
    assert "began" not in done.stdout


def test_django_lists_them_by_id_with_all_else_that_it_finds() -> None:
    done = start("-m", "django", "check", **WRONG, PASSGATE_KAFKA_SET_PASSWORD="geheim", PASSGATE_LANE_SLOT="geheim")
    assert done.returncode == 1
    for words in ("(passgate.E002) PASSGATE_LANE_SLOTS", "(passgate.E003) PASSGATE_KAFKA_SET_PASSWORD"):
        assert words in done.stderr
    assert "(passgate.W001) PASSGATE_LANE_SLOT" in done.stderr
    assert "Did you mean PASSGATE_LANE_SLOTS?" in done.stderr
    assert "geheim" not in done.stderr


@pytest.mark.parametrize("words", [(*READY, "status"), ("-c", "import console.wsgi"), ("-c", "import console.celery")])
def test_an_unknown_name_is_a_warning_once_and_no_more(words: tuple[str, ...]) -> None:
    done = start(*words, PASSGATE_DEBUG="1", PASSGATE_LANE_SLOT="geheim")
    assert done.stderr.count("PASSGATE_LANE_SLOT is no setting of Passgate: did you mean PASSGATE_LANE_SLOTS?") == 1
    assert "geheim" not in done.stderr
    without = start(*words, PASSGATE_DEBUG="1")
    assert (without.returncode, without.stderr) == (done.returncode, "")


def test_help_is_given_whatever_the_settings_are() -> None:
    assert start(*READY, "--help", **WRONG).returncode == 0
