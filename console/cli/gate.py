"""`passgate gate`: may this run be read? And running a command only if it may."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NoReturn

import click

from console.cli.ready import BEFORE

# isort: split
from django.db import connections

from audit.enforce import Code, GateDecision, decide_gate
from console.cli.base import DURATION, RUN, Command, acting, as_json, emit
from console.documents.gate import gate_document
from console.phrases import numbers_listed
from console.safe_text import plainly

PAUSES = (1.0, 2.0, 3.0)
LONGEST_PAUSE = 5.0
MAY_OPEN = frozenset({Code.NOT_CLOSED, Code.BLOCKED, Code.UNAVAILABLE})
WORDS = {
    Code.OPEN: "the gate is OPEN",
    Code.NOT_FOUND: "no gate",
    Code.UNAVAILABLE: "cannot say, so the gate counts as SHUT",
}
NOT_EXECUTABLE, NO_SUCH_COMMAND = 126, 127  # as shells answer


@click.command(cls=Command)
@click.argument("name", type=RUN, metavar="STREAM/RUN")
@click.argument("command", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND ...]")
@click.option("--window", type=click.IntRange(1, 2**31 - 1), help="One window instead of the whole run.")
@click.option("--rerun", type=click.IntRange(1, 2**31 - 1), help="What a rerun of that window brought.")
@click.option("--wait", type=DURATION, default=timedelta(0), help="Ask again for so long, while it may still open.")
@acting
@as_json
def gate(
    name: tuple[str, str],
    command: tuple[str, ...],
    window: int | None,
    rerun: int | None,
    wait: timedelta,
    actor: str,
    as_json: bool,
) -> None:
    """Ask a run's gate. With a command, run it only on PASS; its exit code is then ours.

    \b
    Exit code 0  PASS, and the gate is open
              1  FAIL; or shut, because what the verdict stands on has changed
              2  usage, or there is no such run or window
              3  it cannot be evaluated now
              4  not yet
    """
    if rerun and not window:
        raise click.UsageError("--rerun goes with --window")
    decision = ask(name, window, actor, wait, rerun)
    if as_json:
        emit(gate_document(decision, *name, window, rerun), err=bool(command))  # stdout is the command's
    else:
        click.echo(sentence(name, window, decision, rerun), err=bool(command) or not decision.granted)
    if decision.granted and command:
        become(command)
    sys.exit(decision.exit_code)


def ask(name: tuple[str, str], window: int | None, who: str, wait: timedelta, rerun: int | None = None) -> GateDecision:
    """The gate's answer, asked again until it is final or the time is over. Each question is logged."""
    until = time.monotonic() + wait.total_seconds()
    decision = decide_gate(*name, window, who, rerun)
    line = ""
    for pause in _pauses():
        left = until - time.monotonic()
        if decision.code not in MAY_OPEN or left <= 0:
            break
        if decision.detail != line:
            line = decision.detail
            click.echo(f"waiting: {plainly(line)}", err=True)
        time.sleep(min(pause, left))
        decision = decide_gate(*name, window, who, rerun)
    return decision


def _pauses() -> Iterator[float]:
    yield from PAUSES
    while True:
        yield LONGEST_PAUSE


def sentence(name: tuple[str, str], window: int | None, decision: GateDecision, rerun: int | None = None) -> str:
    """The answer in words."""
    subject = "/".join(name) + (f" window {window}" if window else "") + (f" rerun {rerun}" if rerun else "")
    word = WORDS.get(decision.code, "the gate is SHUT")
    detail = decision.detail[:1].upper() + decision.detail[1:]
    return plainly(f"{subject}: {word} [{decision.code}]. {detail}{_covered(decision)}")


def _covered(decision: GateDecision) -> str:
    """Of a run of several windows: how many of them are open, and which of the others are the worst."""
    covers = decision.covers
    if covers is None or covers.windows == 1:
        return ""
    are = f"{covers.open:,} of {covers.windows:,} windows are open to readers"
    shut = numbers_listed(covers.windows - covers.open, [number for number, _ in covers.not_open], 5)
    return f"{'' if decision.detail.endswith('.') else '.'} {are}{f'; not open: {shut}' if shut else ''}."


def become(command: Sequence[str]) -> NoReturn:
    """Turns this process into the command, in the caller's own environment: no password of ours goes along."""
    connections.close_all()
    sys.stdout.flush()
    try:
        os.execvpe(command[0], list(command), BEFORE)
    except FileNotFoundError:
        click.echo(f"passgate: {plainly(command[0])}: no such command", err=True)
        sys.exit(NO_SUCH_COMMAND)
    except OSError as error:
        click.echo(f"passgate: {plainly(command[0])}: {error.strerror}", err=True)
        sys.exit(NOT_EXECUTABLE)
