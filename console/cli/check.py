"""`passgate check`: what can be said of the code without running it, each check with its seconds."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass

import click

from stack.place import PROJECT, is_clone

OF_A_RUNNING_STACK = (
    "DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "CELERY_BROKER_URL", "DJANGO_SETTINGS_MODULE",
    "PASSGATE_OWNER_URL", "PASSGATE_SECRET_KEY", "PASSGATE_DATA", "PASSGATE_DEBUG",
)  # fmt: skip
CHECKS = {
    "types": ("-m", "mypy"),
    "ruff": ("-m", "ruff", "check", "."),
    "format": ("-m", "ruff", "format", "--check", "."),
    "imports": ("-c", "from importlinter.cli import lint_imports_command as check; check()"),
    "templates": ("-m", "console.cli.templates"),
    "system": ("-m", "django", "check", "--settings", "console.settings"),
}
"""By name: the words for Python. The slowest comes first, since they run beside each other."""
AT_ONCE = 2


@dataclass(frozen=True)
class CheckResult:
    """What came of one check; `output` is all that it said."""

    name: str
    good: bool
    seconds: float
    output: str

    def line(self) -> str:
        return f"{self.name + ':':<11}{'good' if self.good else 'FAILED'} ({self.seconds:.1f} s)"


@click.command(context_settings={"ignore_unknown_options": True})
@click.argument("words", metavar="[CHECK ...]", nargs=-1, type=click.UNPROCESSED)
def check(words: tuple[str, ...]) -> None:
    """Run ruff, its formatter, mypy, the import contracts, the templates and Django's checks.

    Names choose some of them: types, ruff, format, imports, templates, system. Anything else, such as --deploy, is for
    Django's `check` alone, with the settings that stand here; so is all of it where there is no clone.
    """
    if not is_clone() or not set(words) <= set(CHECKS):
        _djangos(words)
    else:
        sys.exit(1 if run_checks(words or CHECKS, os.environ) else 0)


def _djangos(words: Iterable[str]) -> None:
    from console.cli.main import run_django

    run_django(["check", *words])


def run_checks(names: Iterable[str], environment: Mapping[str, str]) -> list[str]:
    """Run some, two at once, and say of each how it went; of one that failed all that it said. Returns which failed."""
    failed = []
    with ThreadPoolExecutor(AT_ONCE) as pool:
        for ended in as_completed([pool.submit(_run, name, environment) for name in names]):
            done = ended.result()
            click.echo(done.line())
            if not done.good:
                failed.append(done.name)
                click.echo(done.output)
    return failed


def _run(name: str, environment: Mapping[str, str]) -> CheckResult:
    began = time.monotonic()
    kept = {key: value for key, value in environment.items() if key not in OF_A_RUNNING_STACK}
    done = subprocess.run([sys.executable, *CHECKS[name]], cwd=PROJECT, env=kept, capture_output=True, text=True)
    return CheckResult(name, done.returncode == 0, time.monotonic() - began, done.stdout + done.stderr)
