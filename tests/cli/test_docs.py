"""docs/commands.md knows every command, and every command says what it does."""

from __future__ import annotations

from collections.abc import Iterator

import click

from console.cli.main import COMMANDS, passgate
from stack.place import PROJECT


def commands(live: object) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(passgate)
    for name in COMMANDS:
        found = passgate.get_command(context, name)
        assert found is not None
        if isinstance(found, click.Group):
            yield from ((f"{name} {inner}", command) for inner, command in found.commands.items())
        else:
            yield name, found


def test_every_command_is_documented(live: object) -> None:
    text = (PROJECT / "docs" / "commands.md").read_text()
    missing = [name for name, _ in commands(live) if f"passgate {name}" not in text]
    assert missing == []


def test_every_command_and_option_says_what_it_is(live: object) -> None:
    for name, command in commands(live):
        assert command.help and command.help.strip().endswith((".", "yet")), name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, (name, parameter.name)


def test_the_codes_of_the_module_and_of_the_page_agree() -> None:
    from console.cli import base

    text = (PROJECT / "docs" / "commands.md").read_text()
    for code in (base.DONE, base.NO, base.USAGE, base.CANNOT, base.NOT_YET, base.INTERRUPTED):
        assert f"\n| {code} | " in text
        assert f"\n| {code} | " in (base.__doc__ or "")
