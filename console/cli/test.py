"""`passgate test`: all checks and all tests, whose closing line is the last one; --fast: those without services."""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager

import click

from console.cli.check import CHECKS, OF_A_RUNNING_STACK, run_checks
from stack.place import PROJECT

FAILED_CHECKS = "PASSGATE_FAILED_CHECKS"
"""Tells pytest what failed before it, so that its summary says so and its closing line stays the last one."""
SLOWS_DOWN = ("PYTHONDONTWRITEBYTECODE",)
"""Tests start hundreds of processes: with this each of them would compile the project anew."""


#: Each of these runs in a session of its own beside the others, with a stack of its own: most tests wait for a broker
#: or a clock, so three sessions take little more than a third of the time on two cores. They take about as long as each
#: other; a new folder goes with those that stand in none.
BESIDE = (
    ("failpoints", "lifetime", "mutants"),
    ("audit", "contracts", "core", "flow", "judging", "model"),
)
#: The same for the tests that need no services.
FAST_BESIDE = (("audit", "bench", "contracts", "core", "failpoints", "flow", "model"),)
FAST = ("-q", "-m", "unit and not slow", "--hypothesis-profile", "fast")
"""Which tests these are is said by tests/unit_mark.py; what takes some ten seconds is left to the whole command."""
CACHE = PROJECT / ".pytest_cache"


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--passgate-help"]})
@click.option("--fast", is_flag=True, help="The tests alone that need no services and take no ten seconds.")
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(fast: bool, pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests, in three sessions beside each other; with arguments, pytest alone with these."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK + SLOWS_DOWN}
    if pytest_arguments:
        lane = FAST if fast else ()
        sys.exit(subprocess.run([*_PYTEST, *lane, *pytest_arguments], cwd=PROJECT, env=environment).returncode)
    sys.exit(_fast(environment) if fast else _whole(environment))


_PYTEST = (sys.executable, "-m", "pytest")


def _whole(environment: Mapping[str, str]) -> int:
    failed = run_checks(CHECKS, environment)
    sys.stdout.flush()
    codes = _sessions(BESIDE, ("--durations=25",), {**environment, FAILED_CHECKS: ", ".join(failed)})
    return _worst(codes) or (1 if failed else 0)


def _fast(environment: Mapping[str, str]) -> int:
    began = time.monotonic()
    code = _worst(_sessions(FAST_BESIDE, FAST, environment))
    click.echo(f"fast tests: {'FAILED' if code else 'good'} ({time.monotonic() - began:.1f} s)")
    return code


def _worst(codes: Sequence[int]) -> int:
    return next((code if code > 0 else 128 - code for code in codes if code), 0)


def _sessions(beside: Sequence[Sequence[str]], options: Sequence[str], environment: Mapping[str, str]) -> list[int]:
    """One for what stands in no other; it says what it does as it goes, and what the others said stands behind it.
    Returns their exit codes.
    """
    sessions = [_session(number, folders, options) for number, folders in enumerate((_rest(beside), *beside), 1)]
    with ExitStack() as kept:
        others = [kept.enter_context(_beside(words, environment)) for words in sessions[1:]]
        first = subprocess.run(sessions[0], cwd=PROJECT, env=environment).returncode
        codes = [first, *(said() for said in others)]
    _remember_failures()
    return codes


def _rest(beside: Sequence[Sequence[str]]) -> list[str]:
    folders = {found.name for found in (PROJECT / "tests").iterdir() if any(found.glob("**/test_*.py"))}
    return sorted(folders.difference(*beside))


@contextmanager
def _beside(words: Sequence[str], environment: Mapping[str, str]) -> Iterator[Callable[[], int]]:
    """A session that runs while another one is watched. What it yields waits for its end, tells all that it said, and
    returns its exit code.
    """
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as output:
        process = subprocess.Popen(words, cwd=PROJECT, env=environment, stdout=output, stderr=subprocess.STDOUT)

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


def _session(number: int, folders: Sequence[str], options: Sequence[str]) -> list[str]:
    cache = f"cache_dir={CACHE.name}/session-{number}"
    return [*_PYTEST, *options, "-o", cache, *(f"tests/{name}" for name in folders)]


def _remember_failures() -> None:
    """For --last-failed: all sessions' in one place."""
    failures: dict[str, bool] = {}
    for kept in CACHE.glob("session-*/v/cache/lastfailed"):
        failures |= json.loads(kept.read_text(encoding="utf-8"))
        kept.unlink()
    place = CACHE / "v" / "cache" / "lastfailed"
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(json.dumps(failures, indent=2), encoding="utf-8")
