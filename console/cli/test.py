"""`passgate test`: lint, types, import contracts and all tests, whose closing line is the last one."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

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
SLOWS_DOWN = ("PYTHONDONTWRITEBYTECODE",)
"""Tests start hundreds of processes: with this each of them would compile the project anew."""


#: Each of these runs in a session of its own beside the others, with a stack of its own: most tests wait for a broker
#: or a clock, so three sessions take little more than a third of the time on two cores. They take about as long as each
#: other; a new folder goes with those that stand in none.
BESIDE = (
    ("failpoints", "lifetime", "mutants"),
    ("audit", "contracts", "core", "flow", "judging", "model"),
)
CACHE = PROJECT / ".pytest_cache"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--passgate-help"]})
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests, in three sessions beside each other; with arguments, pytest alone with these."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK + SLOWS_DOWN}
    if pytest_arguments:
        sys.exit(subprocess.run([*_PYTEST, *pytest_arguments], cwd=PROJECT, env=environment).returncode)
    failed = [name for name, command in CHECKS.items() if not _check(name, command, environment)]
    sys.stdout.flush()
    codes = _sessions(environment | {FAILED_CHECKS: ", ".join(failed)})
    sys.exit(next((code if code > 0 else 128 - code for code in codes if code), 1 if failed else 0))


_PYTEST = (sys.executable, "-m", "pytest")


def _sessions(environment: Mapping[str, str]) -> list[int]:
    """The first says what it does as it goes; what the others said stands behind it. Returns their exit codes."""
    with ExitStack() as kept:
        others = [kept.enter_context(_beside(number, part, environment)) for number, part in enumerate(BESIDE, 2)]
        first = subprocess.run(_session(1, _rest()), cwd=PROJECT, env=environment).returncode
        codes = [first, *(said() for said in others)]
    _remember_failures()
    return codes


def _rest() -> list[str]:
    folders = {found.name for found in (PROJECT / "tests").iterdir() if any(found.glob("**/test_*.py"))}
    return sorted(folders.difference(*BESIDE))


@contextmanager
def _beside(number: int, folders: Sequence[str], environment: Mapping[str, str]) -> Iterator[Callable[[], int]]:
    """A session that runs while another one is watched. What it yields waits for its end, tells all that it said, and
    returns its exit code.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(
            _session(number, folders), cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT
        )

        def said() -> int:
            code = process.wait()
            output.seek(0)
            click.echo(output.read())
            return code

        try:
            yield said
        finally:
            process.terminate()
            process.wait()


def _session(number: int, folders: Sequence[str]) -> list[str]:
    cache = f"cache_dir={CACHE.name}/session-{number}"
    return [*_PYTEST, "--durations=25", "-o", cache, *(f"tests/{name}" for name in folders)]


def _remember_failures() -> None:
    """For --last-failed: all sessions' in one place."""
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
