"""The `passgate` group. Commands are loaded by name when they are run, so that none pays for another's imports."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn

import click

from console.environment import refuse_unusable
from console.version import VERSION
from ingest.core.errors import PassgateError
from stack.bootstrap import BootstrapError, add_demo_data
from stack.place import UnsafeFolder

REFUSED = 3
USAGE = 2
ASK_FOR_NO_SETTING = {"-h", "--help", "--version", "version", "check"}
"""A start with settings that cannot be used is refused, whatever was asked; `check` says it among all that it finds."""


@dataclass(frozen=True)
class Entry:
    """One row of the table: the module, the click command in it, and its line in the help."""

    module: str
    command: str
    help: str


COMMANDS = {
    "up": Entry("console.cli.stack", "up", "Start the embedded stack on this machine."),
    "down": Entry("console.cli.stack", "down", "Stop it."),
    "status": Entry("console.cli.stack", "status", "Show its parts."),
    "demo": Entry("trials.demo.command", "demo", "Real flight events through the whole flow."),
    "test": Entry("console.cli.test", "test", "Run all checks and tests."),
    "check": Entry("console.cli.check", "check", "Look at the code without running it, and at the settings."),
    "stream": Entry("console.cli.stream", "stream", "Check, load and compare contracts."),
    "run": Entry("console.cli.run", "run", "Open, cut and close runs."),
    "gate": Entry("console.cli.gate", "gate", "Ask a run's gate, and run a command only on PASS."),
    "quarantine": Entry("console.cli.quarantine", "quarantine", "List, show and resolve quarantined records."),
    "plan": Entry("console.cli.plan", "plan", "Ask for, approve and run what needs a second person."),
    "lanes": Entry("console.cli.lanes", "lanes", "Every lane: how far it is, why it stands, and what ends that."),
    "reconcile": Entry("console.cli.reconcile", "reconcile", "Settle publishes of unknown outcome."),
    "fsck": Entry("console.cli.fsck", "fsck", "Check every invariant of the ledger."),
    "audit": Entry("console.cli.fsck", "audit", "Walk the audit log."),
    "drill": Entry("trials.drill.command", "drill", "Play faults to a stack of its own."),
    "bench": Entry("trials.bench.command", "bench", "Measure how fast each part is on this machine."),
    "user": Entry("console.cli.people", "user", "People and their roles."),
    "token": Entry("console.cli.token", "token", "API tokens: made, listed, revoked."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names, in the table's order."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command called `cmd_name`, or None."""
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        found = getattr(import_module(entry.module), entry.command)
        assert isinstance(found, click.Command)
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the table; importing every module for a line of help would cost seconds."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="passgate")
def passgate() -> None:
    """Passgate: until it says PASS, nothing downstream reads it.

    Any other first word is a Django command (migrate, shell, ...).
    """


def main(argv: Sequence[str] | None = None) -> None:
    """Run one command and exit with its code; an error of ours is one line, never a traceback."""
    words = list(sys.argv[1:] if argv is None else argv)
    if words == ["version"]:
        words = ["--version"]  # Django has a command of this name, which says Django's
    if words and words[0] not in ASK_FOR_NO_SETTING:
        refuse_unusable()
    if words and not words[0].startswith("-") and words[0] not in COMMANDS:
        run_django(words)
        return
    try:
        if words[:1] == ["demo"]:
            add_demo_data()
        passgate.main(words, prog_name="passgate")
    except PassgateError as error:
        refuse(f"{error} [{error.code}]")
    except (BootstrapError, UnsafeFolder) as error:
        refuse(str(error))


def refuse(text: str) -> NoReturn:
    """Say why on stderr, and exit with the code for "refused, or it cannot be said now"."""
    click.echo(f"passgate: {text}", err=True)
    sys.exit(REFUSED)


def run_django(words: list[str]) -> None:
    """Run a Django management command on the running stack; a word that is none is a usage error of ours."""
    from django.core.management import execute_from_command_line, get_commands

    set_up_django()
    if words[0] not in {"help", "version", *get_commands()}:
        near = get_close_matches(words[0], COMMANDS)
        meant = f" Did you mean {' or '.join(near)}?" if near else ""
        click.echo(f"passgate: {words[0]} is no command.{meant} See passgate --help", err=True)
        sys.exit(USAGE)
    execute_from_command_line(["manage.py", *words])


def use_running_stack() -> None:
    """Take the settings that are not set from the running embedded stack, if there is one; call before Django is set
    up.
    """
    from stack.record import running

    record = running()
    for key, value in (record["env"] if record else {}).items():
        os.environ.setdefault(key, value)
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "console.settings")


def set_up_django() -> None:
    """What a command that uses models calls first: settings from the running stack, then django.setup()."""
    import django

    use_running_stack()
    django.setup()


if __name__ == "__main__":
    main()
