"""What a deployment must not forget: checked by Django, and refused where it would let somebody in."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from stack.place import PROJECT

pytestmark = pytest.mark.slow
KEPT = {name: value for name, value in os.environ.items() if not name.startswith(("PASSGATE_", "DJANGO_"))}
GOOD = {"PASSGATE_SECRET_KEY": "k0" * 16 + "abcdefghijklmnopqrstuvwxyz", "PASSGATE_HTTPS": "on"}
ASK = """
from django.conf import settings as s
from django.test import Client
import django
django.setup()
answer = Client().get("/sign-in/", secure={secure}, headers={{"host": "127.0.0.1"}})
cookie = answer.cookies.get(s.CSRF_COOKIE_NAME)
print(answer.status_code, answer.headers.get("Location"), answer.headers.get("Strict-Transport-Security"))
print(s.SESSION_COOKIE_NAME, s.CSRF_COOKIE_NAME, cookie and (cookie["secure"], cookie["path"], cookie["domain"]))
"""


def run(*words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = KEPT | {"PYTHONPATH": str(PROJECT), "DJANGO_SETTINGS_MODULE": "console.settings"} | settings
    return subprocess.run([sys.executable, *words], env=environment, cwd=PROJECT, capture_output=True, text=True)


def test_check_deploy_has_nothing_to_say() -> None:
    done = run("-m", "django", "check", "--deploy", "--fail-level", "WARNING", **GOOD)
    assert done.returncode == 0, done.stderr
    assert "no issues" in done.stdout + done.stderr


def test_check_deploy_names_the_public_key() -> None:
    for settings in ({}, {"PASSGATE_SECRET_KEY": ""}):
        done = run("-m", "django", "check", "--deploy", **settings)
        assert done.returncode != 0
        assert "passgate.E001" in done.stderr


@pytest.mark.parametrize("key", [None, ""])
def test_the_web_process_does_not_start_with_the_public_key(key: str | None) -> None:
    settings = {} if key is None else {"PASSGATE_SECRET_KEY": key}
    done = run("-c", "import console.wsgi", **settings)
    assert done.returncode != 0
    assert "PASSGATE_SECRET_KEY is not set" in done.stderr
    assert "Traceback" not in done.stderr
    assert run("-c", "import console.wsgi", PASSGATE_DEBUG="1").returncode == 0
    assert run("-c", "import console.wsgi", **GOOD).returncode == 0


def test_what_needs_no_key_runs_without_one() -> None:
    assert run("-c", "import django, console.celery; django.setup()").returncode == 0


def test_https_is_all_or_nothing() -> None:
    secure = run("-c", ASK.format(secure=True), **GOOD)
    first, second = secure.stdout.splitlines()
    assert first == "200 None max-age=31536000; includeSubDomains", secure.stderr
    assert second == "__Host-sessionid __Host-csrftoken (True, '/', '')"
    plain = run("-c", ASK.format(secure=False), **GOOD)
    assert plain.stdout.splitlines()[0] == "301 https://127.0.0.1/sign-in/ None", plain.stderr
    without = run("-c", ASK.format(secure=False), PASSGATE_SECRET_KEY=GOOD["PASSGATE_SECRET_KEY"])
    assert without.stdout.splitlines()[0] == "200 None None", without.stderr
