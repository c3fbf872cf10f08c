"""`passgate reconcile`: asking the lanes' owners to settle publishes of unknown outcome."""

from __future__ import annotations

import sys
import time
from datetime import timedelta
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from console.cli.base import DONE, DURATION, NOT_YET, RUN, Command, acting, as_json, counted, emit, said
from console.documents.attempts import attempt_documents
from console.reads.attempts import UNSETTLED
from ingest.models import Attempt
from ingest.publish.reconcile import request_run

PAUSE = 0.5


@click.command(cls=Command)
@click.argument("name", type=RUN, metavar="STREAM/RUN")
@click.option("--wait", is_flag=True, help="Show the answers as they come.")
@click.option("--for", "longest", type=DURATION, default=timedelta(minutes=5), help="Wait so long. [default: 5m]")
@acting
@as_json
def reconcile(name: tuple[str, str], wait: bool, longest: timedelta, actor: str, as_json: bool) -> None:
    """Ask for every publish of a run whose outcome is unknown to be settled: fence first, then look.

    The lane's owner does it. Exit code 0: asked; with --wait: all settled; 4: some are not settled yet.
    """
    asked = request_run(*name, actor)
    if not as_json:
        said(f"Asked to reconcile {counted(len(asked), 'publish', 'publishes')} of {'/'.join(name)}.")
    answers = await_answers(asked, longest, quiet=as_json) if wait else states(asked)
    if as_json:
        emit({"items": answers})
    unsettled = [answer for answer in answers if answer["state"] in UNSETTLED]
    sys.exit(NOT_YET if wait and unsettled else DONE)


def states(attempts: list[int]) -> list[dict[str, Any]]:
    """The attempts as they stand, in their order."""
    return attempt_documents(list(Attempt.objects.filter(pk__in=attempts).order_by("pk")))


def await_answers(attempts: list[int], longest: timedelta, quiet: bool) -> list[dict[str, Any]]:
    """The attempts once each was answered, or the time is over; answers are said as they come."""
    until = time.monotonic() + longest.total_seconds()
    said_of = set[int]()
    while True:
        by_attempt = states(attempts)
        for answer in by_attempt:
            if answered(answer) and answer["attempt"] not in said_of and not quiet:
                said(line(answer))
                said_of.add(answer["attempt"])
        if all(answered(answer) for answer in by_attempt) or time.monotonic() > until:
            return by_attempt
        time.sleep(PAUSE)


def answered(attempt: dict[str, Any]) -> bool:
    """Settled, or its request was served: UNDECIDABLE is an answer, too.

    An attempt, its request and its scan are read one after the other: a scan that settles it may have been written in
    between, and then the next look has its state.
    """
    if attempt["state"] not in UNSETTLED:
        return True
    settles = attempt["scan"] is not None and attempt["scan"]["answer"] != "UNDECIDABLE"
    return attempt["reconcile_requested"] is None and not settles


def line(attempt: dict[str, Any]) -> str:
    """One answer in words."""
    scan = attempt["scan"]
    if scan is None:
        return f"attempt {attempt['attempt']}: {attempt['state']}"
    why = f": {scan['why']}" if scan["why"] else ""
    found = f"{scan['found']:,} of {scan['expected']:,} events found"
    return f"attempt {attempt['attempt']}: {scan['answer']}, {found}{why}. It is {attempt['state']}."
