"""`passgate test`: lint, types, import contracts and all tests, whose closing line is the last one."""

import os
import subprocess
import sys
import time

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


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": ["--passgate-help"]})
@click.argument("pytest_arguments", nargs=-1, type=click.UNPROCESSED)
def test(pytest_arguments: tuple[str, ...]) -> None:
    """Run all checks and tests; with arguments, pytest alone with these arguments."""
    environment = {key: value for key, value in os.environ.items() if key not in OF_A_RUNNING_STACK}
    checks = {} if pytest_arguments else CHECKS
    failed = [name for name, command in checks.items() if not _check(name, command, environment)]
    sys.stdout.flush()
    command = [sys.executable, "-m", "pytest", *pytest_arguments]
    code = subprocess.run(command, cwd=PROJECT, env=environment | {FAILED_CHECKS: ", ".join(failed)}).returncode
    sys.exit(code or (1 if failed else 0))


def _check(name: str, command: tuple[str, ...], environment: dict[str, str]) -> bool:
    """Whether a check passes; its output is shown only when it does not."""
    began = time.monotonic()
    done = subprocess.run([sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True)
    good = done.returncode == 0
    click.echo(f"{name}: {'good' if good else 'FAILED'} ({time.monotonic() - began:.1f} s)")
    if not good:
        click.echo(done.stdout + done.stderr)
    return good
