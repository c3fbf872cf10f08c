"""`passgate drill`: faults played to a stack of its own, to see whether what is promised holds when all else fails."""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import tempfile
from pathlib import Path
from textwrap import shorten
from typing import TYPE_CHECKING

import click

from console.cli.main import set_up_django
from ingest.core.errors import PassgateError
from stack import Stack
from stack.stack import STORES
from stack.supervise import PASSED_ON, catch_signals
from trials.demo.telling import Teller

if TYPE_CHECKING:
    from trials.drill.report import Result

PARTS = (*STORES, "lanes", "control", "watch", "beat")
RESTARTS = 20
LINE = 160
"""What a part said last, when it was killed, is long and tells nothing here."""
OPENING = "Passgate drill: a stack of its own, and what must not happen to it."


@click.group()
def drill() -> None:
    """Play faults, and see whether anything is lost, doubled or falsely green."""


@drill.command()
@click.option("--quick", is_flag=True, help="Half of them, in a minute and a half.")
@click.option(
    "--json", "as_json", is_flag=True, help="For programs: one JSON document on stdout; what happens, on stderr."
)
def faults(quick: bool, as_json: bool) -> None:
    """Kill, freeze and deceive an embedded stack, one fault after another.

    It has services and a data folder of its own, removed afterwards; a stack that runs is not touched. After each
    fault: what was done, what was seen, what the verdict said; a table at the end.

    Exit code 0: nothing was lost, doubled, committed early or falsely green; 1: something was, or a fault could not be
    played; 3: the stack did not start.
    """
    teller = Teller(sys.stderr if as_json else sys.stdout)
    catch_signals(teller.say)
    try:
        code = play(teller, quick, as_json)
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def play(teller: Teller, quick: bool, as_json: bool) -> int:
    """The drill from start to exit code."""
    teller.line(OPENING)
    for name in PASSED_ON:
        if os.environ.pop(name, None):
            teller.say(f"not used: {name}")
    os.environ["PASSGATE_ENVIRONMENT"] = "drill"
    folder = Path(tempfile.mkdtemp(prefix="passgate-drill-"))
    stack = Stack(folder / "data", PARTS, progress=lambda text: teller.say(shorten(text, LINE)), restart_limit=RESTARTS)
    try:
        teller.chapter("Services")
        stack.start()
        return _told(stack, teller, quick, as_json)
    except PassgateError as error:
        teller.say(f"the drill ends here: {error} [{error.code}]")
        return 3
    finally:
        teller.say("stopping, and removing what was")
        stack.remove()
        shutil.rmtree(folder, ignore_errors=True)


def _told(stack: Stack, teller: Teller, quick: bool, as_json: bool) -> int:
    os.environ.update(stack.env())
    set_up_django()
    logging.getLogger().setLevel(
        logging.CRITICAL
    )  # what goes wrong here is meant to; the services have logs of their own
    from trials.drill import report
    from trials.drill.judgement import exit_code
    from trials.drill.runner import play_all

    results: list[Result] = play_all(stack, teller, quick)
    code = exit_code({seen.name: found for seen, found in results})
    teller.chapter("All faults")
    teller.line(report.table(results))
    teller.line()
    good = "Nothing was lost, doubled, committed early or falsely green."
    teller.line(good if code == 0 else "SOMETHING IS WRONG: see the last column, and WRONG above.")
    if as_json:
        click.echo(json.dumps(report.document(results, code), indent=1))
    return code
