"""`passgate fsck`: every invariant of the ledger, looked at again. `passgate audit verify`: the audit log, walked."""

from __future__ import annotations

import re
import sys

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from audit.fsck import NOT_IN_FORCE, Report, examine
from audit.fsck.chain import Head, walk
from audit.fsck.invariants import INVARIANTS, PAGE
from console.cli.base import CANNOT, DONE, NO, Command, Group, as_json, counted, emit, said
from console.reads.named import stream_named


@click.command(cls=Command)
@click.argument("stream", required=False)
@click.option("--ledger-only", is_flag=True, help="Do not read inbox and bus again, which takes its time.")
@as_json
def fsck(stream: str | None, ledger_only: bool, as_json: bool) -> None:
    """Check every invariant of the ledger, of one stream or of all. Repairs nothing.

    Exit code 0: nothing found, and all was looked at; 1: something is found; 3: something could not be looked at.
    """
    if stream is not None:
        stream_named(stream)
    report = examine(stream, bus=not ledger_only)
    if as_json:
        emit(_document(stream, not ledger_only, report))
    else:
        _say(report, ledger_only, stream)
    sys.exit(_code(report))


def _code(report: Report) -> int:
    if report.findings:
        return NO
    return CANNOT if report.unseen else DONE


def _document(stream: str | None, bus: bool, report: Report) -> dict[str, object]:
    findings = [
        {"invariant": f.invariant, "check": f.check, "subject": f.subject, "found": f.found} for f in report.findings
    ]
    unseen = [{"check": u.check, "subject": u.subject, "why": u.why} for u in report.unseen]
    return {
        "stream": stream, "bus": bus, "findings": findings, "invariants": _broken(report), "not_looked_at": unseen,
        "not_checked": NOT_IN_FORCE,
    }  # fmt: skip


def _broken(report: Report) -> dict[str, str]:
    """What the codes of the findings mean."""
    found = {finding.invariant for finding in report.findings}
    return {code: sentence for code, sentence in INVARIANTS.items() if code in found}


def _say(report: Report, ledger_only: bool, stream: str | None) -> None:
    for finding in report.findings:
        said(str(finding))
    for code, sentence in _broken(report).items():
        click.echo(f"{code} is that {sentence}: {PAGE}")
    for unseen in report.unseen:
        said(str(unseen))
    for invariant, why in NOT_IN_FORCE.items():
        said(f"{invariant} is not checked: {why}")
    if ledger_only:
        click.echo("Inbox and bus were not read again.")
    if stream is not None:
        click.echo("The chain of the audit log, which is of all streams, was not walked: passgate audit verify")
    found = f"{counted(len(report.findings), 'finding')}" if report.findings else "Nothing found"
    click.echo(f"{found}; {counted(len(report.unseen), 'thing')} not looked at." if report.unseen else f"{found}.")


@click.group(cls=Group)
def audit() -> None:
    """The audit log."""


class _NotedHead(click.ParamType[Head]):
    """NUMBER:DIGEST, as `passgate audit verify` says it."""

    name = "NUMBER:DIGEST"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> Head:
        if isinstance(value, Head):
            return value
        found = re.fullmatch(r"([0-9]{1,18}):([0-9a-f]{64})", str(value))
        if found is None:
            self.fail(f"NUMBER:DIGEST is expected; found {value!r}", param, ctx)
        return Head(int(found[1]), bytes.fromhex(found[2]))


@audit.command()
@click.option("--head", "held", type=_NotedHead(), help="A head that was noted before: the log must still stand on it.")
@as_json
def verify(held: Head | None, as_json: bool) -> None:
    """Walk the audit log from its first row to its head, digesting each row again.

    Note the head that it prints somewhere else: a log that was written anew as a whole shows against that alone.
    Exit code 0: it holds; 1: it does not.
    """
    walked = walk(held)
    if as_json:
        findings = [{"subject": f.subject, "found": f.found} for f in walked.findings]
        emit({"rows": walked.rows, "head": str(walked.head), "findings": findings})
    else:
        for finding in walked.findings:
            said(f"{finding.subject}: {finding.found}")
        click.echo(f"{counted(walked.rows, 'row')}, head {walked.head}")
        click.echo(
            f"{counted(len(walked.findings), 'finding')}."
            if walked.findings
            else "Every row stands on the one before it."
        )
    sys.exit(NO if walked.findings else DONE)
