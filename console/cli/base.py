"""What every command has: exit codes that mean one thing, errors in one form, an actor, and text safe for a terminal.

| code | means |
|---|---|
| 0 | done; PASS; nothing found |
| 1 | the answer is no: FAIL, an invalid contract, a difference, a finding |
| 2 | the command line is wrong |
| 3 | refused, or it cannot be said now; what was refused stands on stderr |
| 4 | not yet: BLOCKED, or still waiting |
| 130 | interrupted |
"""

from __future__ import annotations

import getpass
import json
import logging
import os
import re
import socket
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NoReturn, TypeVar

import click
from django.db import InterfaceError, OperationalError

from console.safe_text import plainly
from ingest.core.errors import ContractErrors, PassgateError
from ingest.core.visible import is_printable
from ingest.db import DatabaseGone

DONE, NO, USAGE, CANNOT, NOT_YET, INTERRUPTED = 0, 1, 2, 3, 4, 130
CAN_SUCCEED_LATER = "the same command can succeed later"
CELL = 120

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose named errors come out as one message and an exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            with _quiet_logs():
                return super().invoke(ctx)
        except PassgateError as error:
            refuse(error, bool(ctx.params.get("as_json")))
        except (OperationalError, InterfaceError) as error:
            refuse(DatabaseGone(found=str(error)), bool(ctx.params.get("as_json")))
        except (KeyboardInterrupt, click.Abort):
            click.echo("interrupted", err=True)
            sys.exit(INTERRUPTED)


class Group(click.Group):
    """A group of such commands."""

    command_class = Command


@contextmanager
def _quiet_logs() -> Iterator[None]:
    """What a worker's log would tell is noise beside a command's one message, unless somebody set a level."""
    root = logging.getLogger()
    before = root.level
    if "PASSGATE_LOG_LEVEL" not in os.environ:
        root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(before)


def refuse(error: PassgateError, as_json: bool, code: int | None = None) -> NoReturn:
    """Says the error on stderr and ends with `code`: by default 1 for an invalid contract, 3 for anything else."""
    if isinstance(error, DatabaseGone):
        error = DatabaseGone(found=first_line(error.found), next_step=_database_next())
    click.echo(json.dumps(problem(error)) if as_json else message(error), err=True)
    sys.exit(code or (NO if isinstance(error, ContractErrors) else CANNOT))


def _database_next() -> str:
    if "DATABASE_URL" in os.environ:
        return "see whether the database that DATABASE_URL names is up; `passgate status` shows the embedded stack"
    return "no stack runs here: start one with `passgate up`, or name a database in DATABASE_URL"


def problem(error: PassgateError) -> dict[str, Any]:
    """An error as programs read it."""
    answer: dict[str, Any] = {"code": error.code, "title": error.what, "retry": error.retry}
    parts = {"expected": error.expected, "found": error.found, "next": error.next_step}
    if isinstance(error, ContractErrors):
        parts = {}
        answer["errors"] = [
            {"file": e.file, "line": e.line, "key": e.key, "found": e.found, "write": e.write} for e in error.errors
        ]
    return answer | {name: text for name, text in parts.items() if text}


def message(error: PassgateError) -> str:
    """An error as people read it: what, with its code; then expected, found and what to do next."""
    if isinstance(error, ContractErrors):
        return "\n".join([*(plainly(str(fault)) for fault in error.errors), f"passgate: {error.what} [{error.code}]"])
    lines = [f"passgate: {error.what} [{error.code}]"]
    for name, text in (("expected", error.expected), ("found", error.found), ("next", error.next_step)):
        if text:
            lines.append(f"  {name + ':':<10}{plainly(text)}")
    if error.retry:
        lines.append(f"  {CAN_SUCCEED_LATER}")
    return "\n".join(lines)


def first_line(text: str) -> str:
    return text.strip().splitlines()[0] if text.strip() else ""


# ---- options and arguments ------------------------------------------------------------------------------------------


def as_json(command: F) -> F:
    """--json: the same document that the API answers with."""
    return click.option("--json", "as_json", is_flag=True, help="For programs: one JSON document on stdout.")(command)


def acting(command: F) -> F:
    """--as: who does it. The audit log names them."""
    words = "Who does this. [default: cli:user@host]"
    return click.option("--as", "actor", metavar="NAME", callback=_actor, help=words)(command)


def _actor(ctx: click.Context, param: click.Parameter, value: str | None) -> str:
    if value is None:
        return f"cli:{_user()}@{socket.gethostname()}"
    if not value.strip() or not is_printable(value) or len(value) > 200:
        raise click.BadParameter("a name of 1 to 200 printable characters is expected")
    return value.strip()


def _user() -> str:
    """The operating system's name for whoever runs this; a user without an entry has a number only."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


class RunName(click.ParamType[tuple[str, str]]):
    """STREAM/RUN, split at the first slash: a run's name may hold more of them, a stream's name none."""

    name = "STREAM/RUN"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        stream, slash, run = str(value).partition("/")
        if not (stream and slash and run):
            self.fail(f"STREAM/RUN is expected, as in flights/2013-01; found {value!r}", param, ctx)
        return stream, run


class Duration(click.ParamType[timedelta]):
    """A number and a unit: 500ms, 90s, 30m, 2h, 30d."""

    name = "DURATION"
    _form = re.compile(r"([0-9]{1,9})(ms|s|m|h|d)")
    _units = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        if isinstance(value, timedelta):
            return value
        found = self._form.fullmatch(str(value))
        if not found:
            self.fail(f"a duration such as 90s, 30m or 30d is expected; found {value!r}", param, ctx)
        return timedelta(milliseconds=int(found[1]) * self._units[found[2]])


RUN = RunName()
DURATION = Duration()


# ---- output ---------------------------------------------------------------------------------------------------------


def emit(document: Any, err: bool = False) -> None:
    """One JSON document; what does not print is escaped, so a terminal is safe too."""
    click.echo(json.dumps(document, indent=1), err=err)


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], right: Sequence[int] = ()) -> None:
    """Columns as wide as they need to be; `right` are the numbers of columns that hold numbers."""
    cells = [tuple(heads), *(tuple(cell(value) for value in row) for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(heads))]
    for row in cells:
        pairs = enumerate(zip(row, widths, strict=True))
        words = [text.rjust(width) if n in right else text.ljust(width) for n, (text, width) in pairs]
        click.echo("  ".join(words).rstrip())


def cell(value: object) -> str:
    """Text from anywhere, made safe and short; counts with separators, nothing as "-". Numbers that are names, and are
    typed back, are given as text."""
    if value is None or value == "":
        return "-"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else plainly(str(value), CELL)


def said(text: str, indent: int = 0, err: bool = False) -> None:
    """A sentence that may hold text from outside."""
    click.echo(" " * indent + plainly(text), err=err)


def counted(number: int, one: str, many: str = "") -> str:
    """ "1 item", "1,204 items" """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def moment(text: str | None) -> str:
    """A document's time for people: 2026-01-31 02:14:07 (UTC)."""
    return text[:19].replace("T", " ") if text else ""
