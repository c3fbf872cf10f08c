"""`passgate test`: lint, types, import contracts and all tests, whose closing line is the last one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence

import click

from console.place import PROJECT

CHECKS = {
    "ruff": ("-m", "ruff", "check", "."),
    "types": ("-m", "mypy"),
    "imports": ("-c", "from importlinter.cli import lint_imports_command as check; check()"),
}
FAILED_CHECKS = "PASSGATE_FAILED_CHECKS"
"""Tells pytest what failed before it, so that its summary says so and its closing line stays the last one."""
OF_A_RUNNING_STACK = (
    "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE",
    "PASSGATE_OWNER_URL", "PASSGATE_SECRET_KEY", "PASSGATE_DATA", "PASSGATE_DEBUG",
)  # fmt: skip


#: These run in a session of their own beside the others, with a stack of their own: most tests wait for a broker or a
#: clock, so two sessions take little more than half of the time on two cores. A new folder goes with the others.
BESIDE = ("failpoints", "flow", "lifetime")
CACHE = PROJECT / ".pytest_cache"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--passgate-help"]})
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests, in two sessions beside each other; with arguments, pytest alone with these."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK}
    if pytest_arguments:
        sys.exit(subprocess.run([*_PYTEST, *pytest_arguments], cwd=PROJECT, env=environment).returncode)
    failed = [name for name, command in CHECKS.items() if not _check(name, command, environment)]
    sys.stdout.flush()
    codes = _two_sessions(environment | {FAILED_CHECKS: ", ".join(failed)})
    sys.exit(next((code if code > 0 else 128 - code for code in codes if code), 1 if failed else 0))


_PYTEST = (sys.executable, "-m", "pytest")


def _two_sessions(environment: Mapping[str, str]) -> list[int]:
    """The first says what it does as it goes; what the second said stands behind it. Returns their exit codes."""
    folders = sorted(found.name for found in (PROJECT / "tests").iterdir() if any(found.glob("**/test_*.py")))
    halves = [[name for name in folders if name not in BESIDE], [name for name in folders if name in BESIDE]]
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as kept:
        second = subprocess.Popen(
            _session(2, halves[1]), cwd=PROJECT, env=environment, stdout=kept, stderr=subprocess.STDOUT
        )
        try:
            first = subprocess.run(_session(1, halves[0]), cwd=PROJECT, env=environment).returncode
            codes = [first, second.wait()]
        finally:
            second.terminate()
            second.wait()
        kept.seek(0)
        click.echo(kept.read())
    _remember_failures()
    return codes


def _session(number: int, folders: Sequence[str]) -> list[str]:
    return [*_PYTEST, "-o", f"cache_dir={CACHE.name}/session-{number}", *(f"tests/{name}" for name in folders)]


def _remember_failures() -> None:
    """For --last-failed: both sessions' in one place."""
    found: dict[str, bool] = {}
    for kept in CACHE.glob("session-*/v/cache/lastfailed"):
        found |= json.loads(kept.read_text(encoding="utf-8"))
        kept.unlink()
    place = CACHE / "v" / "cache" / "lastfailed"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(found, indent=2), encoding="utf-8")


def _check(name: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Whether a check passes; its output is shown only when it does not."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True)
    good = done.returncode == 0
    click.echo(f"{name}: {'good' if good else 'FAILED'} ({time.monotonic() - began:.1f} s)")
    if not good:
        click.echo(done.stdout + done.stderr)
    return good
