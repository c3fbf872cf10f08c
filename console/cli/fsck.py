"""`passgate fsck`: every invariant of the ledger, looked at again."""

from __future__ import annotations

import sys

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from audit.fsck import NOT_IN_FORCE
from audit.fsck import fsck as find
from console.api.named import stream_named
from console.cli.base import DONE, NO, Command, as_json, counted, emit, said


@click.command(cls=Command)
@click.argument("stream", required=False)
@click.option("--ledger-only", is_flag=True, help="Do not read inbox and bus again, which takes its time.")
@as_json
def fsck(stream: str | None, ledger_only: bool, as_json: bool) -> None:
    """Check every invariant of the ledger, of one stream or of all. Repairs nothing.

    Exit code 0: nothing found; 1: something is; 3: it could not be checked.
    """
    if stream is not None:
        stream_named(stream)
    findings = find(stream, bus=not ledger_only)
    if as_json:
        rows = [{"invariant": f.invariant, "subject": f.subject, "found": f.found} for f in findings]
        emit({"stream": stream, "bus": not ledger_only, "findings": rows, "not_checked": NOT_IN_FORCE})
    else:
        for finding in findings:
            said(str(finding))
        for invariant, why in NOT_IN_FORCE.items():
            said(f"{invariant} is not checked: {why}")
        if ledger_only:
            click.echo("Inbox and bus were not read again.")
        click.echo(f"{counted(len(findings), 'finding') if findings else 'Nothing found'}.")
    sys.exit(NO if findings else DONE)
