"""`passgate bench`: how fast each part is on this machine, beside what people write by hand."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from console.cli.base import CANNOT, INTERRUPTED
from ingest.core.errors import PassgateError
from stack.place import PROJECT, is_clone
from stack.supervise import PASSED_ON, catch_signals
from trials.demo.telling import Teller

if TYPE_CHECKING:
    from trials.bench.notebook import BenchOptions

QUICK = 20_000
LONG = 10
NO_CLONE = "the benchmark needs a clone of the repository, and this passgate was installed"


@click.command()
@click.option(
    "--events", type=click.IntRange(min=1_000), default=1_000_000, show_default=True,
    help="Records of each measure; the long run has ten times as many.",
)  # fmt: skip
@click.option(
    "--rounds", type=click.IntRange(min=1, max=99), default=3, show_default=True,
    help="How often each is measured; all are interleaved, and the table shows medians and ranges.",
)  # fmt: skip
@click.option("--only", metavar="a,b,c", help="Some measures, by the letters of docs/benchmarks.md.")
@click.option("--quick", is_flag=True, help="20,000 records, one round: a trial, whose numbers mean nothing.")
@click.option(
    "--out", type=click.Path(dir_okay=False, writable=True, path_type=Path),
    help="Every round as one JSON document, written as it is found.",
)  # fmt: skip
@click.option("--readme", is_flag=True, help="Put the table into README.md.")
@click.option(
    "--from", "made", type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Measure nothing: make the table of a document that --out wrote.",
)  # fmt: skip
def bench(
    events: int, rounds: int, only: str | None, quick: bool, out: Path | None, readme: bool, made: Path | None
) -> None:
    """Measure every part, side by side, on an embedded stack of its own.

    A stack that runs is not touched; what is measured is removed afterwards. A whole run takes the better part of an
    hour and 40 GB of disk. Leave the machine alone meanwhile: the table's foot says how busy it was.

    Exit code 0: measured, whatever was found; 2: usage; 3: the stack did not start, or a measure did not end.
    """
    if not is_clone():
        raise click.ClickException(NO_CLONE)
    from trials.bench.notebook import BenchOptions
    from trials.bench.report import README, insert, markdown
    from trials.bench.run import letters

    try:
        wanted = letters(only)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="--only") from error
    events, rounds = (QUICK, 1) if quick else (events, rounds)
    document = (
        json.loads(made.read_text(encoding="utf-8"))
        if made
        else _measured(BenchOptions(events, rounds, wanted, LONG * events, apart=not quick), out)
    )
    text = markdown(document)
    click.echo(text)
    if readme:
        insert(PROJECT / README, text)
    if document.get("failed"):
        sys.exit(CANNOT)


def _measured(asked: BenchOptions, out: Path | None) -> dict[str, object]:
    from trials.bench.run import run

    teller = Teller(sys.stderr)
    catch_signals(teller.say)
    for name in PASSED_ON:
        if os.environ.pop(name, None):
            teller.say(f"not used: {name}")
    try:
        return run(asked, out, teller.say)
    except PassgateError as error:
        teller.say(f"the benchmark ends here: {error}")
        sys.exit(CANNOT)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
