"""`passgate run`: opening, cutting, closing and looking at runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from audit import gate
from audit.anchors import Replay, SourceAccount, SourceReplay, WindowAccount, processed, replay
from audit.close import AnotherCloser, StoredVerdict, WindowFailed, checks_now, close_run
from audit.core import anchors as a
from audit.core import verdict as v
from audit.core.diagnosis import diagnose, left_behind
from audit.core.phrases import sentence_case
from audit.cut import cut_run, declare_totals
from audit.go_on import GoneOn
from audit.go_on import go_on as go_on_with
from audit.models import Verdict
from audit.notices import notices_of
from audit.open import open_run
from console.cli.base import (
    DONE,
    DURATION,
    NO,
    NOT_YET,
    RUN,
    Command,
    Group,
    acting,
    as_json,
    emit,
    moment,
    refuse,
    said,
    table,
)
from console.documents import stamp
from console.documents.anchors import anchors_document
from console.documents.plans import offer_document
from console.documents.runs import (
    cut_members,
    gone_on_members,
    one_run_document,
    run_document,
    run_documents,
    totals_document,
    verdict_document,
    verdict_line,
    window_documents,
)
from console.phrases import age_words, notice_words, standing_words, window_words
from console.reads.named import newest_window, rerun_numbered, run_written, window_numbered
from console.reads.offers import offer_command
from console.reads.reruns import RerunLine, lines_of
from console.reads.runs import history, runs_of
from console.reads.streams import newest_contracts
from console.reads.windows import VERDICTS, of_run
from ingest.core.ids import RunId, WindowId
from ingest.models import Run, RunState, Window
from plans.core.offers import Offer
from plans.offers import offers_of

EXIT = {"PASS": DONE, "FAIL": NO, "BLOCKED": NOT_YET}
MOST_LISTED = 1_000
TRIES = 5

NAME = click.argument("name", type=RUN, metavar="STREAM/RUN")
RERUN = click.option("--rerun", type=click.IntRange(1, 2**31 - 1), help="A rerun of that window.")
WINDOW = click.option("--window", type=click.IntRange(1, 2**31 - 1), help="The window's number. [default: the newest]")


@click.group(cls=Group)
def run() -> None:
    """Open, cut and close runs."""


@run.command("open", cls=Command)
@NAME
@click.option("--contract", metavar="N|DIGEST", help="A version or a whole digest. [default: the newest]")
@click.option("--pin", "pins", multiple=True, metavar="CONTEXT=VERDICT", help="Join with this verdict's window.")
@acting
@as_json
def open_(name: tuple[str, str], contract: str | None, pins: tuple[str, ...], actor: str, as_json: bool) -> None:
    """Open a run, or find it there with the same contract: both exit with 0. A stream has at most one open run."""
    opened = open_run(*name, actor, contract, pairs(pins, "--pin"))
    found = run_document(run_written(opened.name))
    if as_json:
        emit(found | {"result": opened.result})
        return
    state = "is open" if found["state"] == RunState.OPEN else f"was there already and is {found['state']}"
    digest = opened.contract_digest.hex()[:12]
    said(f"{opened.name} {state}: window {opened.window}, contract v{opened.contract_version} ({digest}).")


def pairs(texts: Sequence[str], option: str) -> dict[str, str]:
    """NAME=VALUE options."""
    references = dict[str, str]()
    for text in texts:
        name, equals, value = text.partition("=")
        if not (name and equals and value) or name in references:
            raise click.BadParameter(f"NAME=VALUE, each name once, is expected; found {text!r}", param_hint=option)
        references[name] = value
    return references


def totals_of(texts: Sequence[str], option: str) -> dict[str, int]:
    """CLASS=N as counts per event class."""
    named = pairs(texts, option)
    for name, number in named.items():
        if not (number.isascii() and number.isdigit() and len(number) < 20):
            raise click.BadParameter(f"CLASS=N is expected; found {f'{name}={number}'!r}", param_hint=option)
    return {name: int(number) for name, number in named.items()}


@run.command(cls=Command)
@NAME
@click.option("--totals", "totals", multiple=True, metavar="CLASS=N", help="What the producer sent of a class.")
@click.option(
    "--wait", type=DURATION, default=timedelta(0), help="Let open transactions on the inbox end for so long, then cut."
)
@click.option("--go-on", is_flag=True, help="Open the run's next window at the cuts: the run stays open.")
@click.option("--next-run", metavar="RUN", help="Go on with the first window of this run, and end the one that is cut.")
@WINDOW
@acting
@as_json
def cut(
    name: tuple[str, str],
    totals: tuple[str, ...],
    wait: timedelta,
    go_on: bool,
    next_run: str | None,
    window: int | None,
    actor: str,
    as_json: bool,
) -> None:
    """Cut a run: what lies beyond its cut belongs to the next window. A second time changes nothing.

    With --go-on the next window opens in the same moment, and lanes do not wait. Name the window with --window, so that
    typing it twice cuts one.
    """
    if go_on or next_run is not None:
        if wait:
            raise click.BadParameter("nothing is waited for with --go-on: the cuts are positions", param_hint="--wait")
        _say_gone_on(name, go_on_with(*name, actor, window, next_run, totals_of(totals, "--totals") or None), as_json)
        return
    if window is not None:
        raise click.BadParameter("goes with --go-on: without it a run's newest window is cut", param_hint="--window")
    done = cut_run(*name, actor, totals_of(totals, "--totals") or None, wait)
    if as_json:
        emit(run_document(run_written("/".join(name))) | {"result": done.result} | cut_members(done))
        return
    word = "is cut" if done.result == "cut" else "was cut already"
    cuts = ", ".join(f"{source} at {offset:,}" for source, offset in sorted(done.cuts.items()))
    said(f"{'/'.join(name)} {word}: window {done.window}, {cuts or 'no source'}.")
    if done.behind:
        said(f"{left_behind(done.behind)}.")


def _say_gone_on(name: tuple[str, str], done: GoneOn, as_json: bool) -> None:
    if as_json:
        emit(run_document(run_written("/".join(name))) | {"result": done.cut.result} | gone_on_members(done))
        return
    word = "is cut" if done.cut.result == "cut" else "was cut already"
    cuts = ", ".join(f"{source} at {offset:,}" for source, offset in sorted(done.cut.cuts.items()))
    said(f"{'/'.join(name)} window {done.cut.window} {word}: {cuts or 'no source'}.")
    said(f"{name[0]}/{done.next_run} window {done.next_window} is what follows.")
    for note in done.notes:
        said(f"Note: {note}.")


def _seal(name: tuple[str, str], **options: Any) -> None:
    """The command's name of before. Use `passgate run cut`."""
    new = f"passgate run cut {'/'.join(name)}"
    said(f"passgate: `run seal` is deprecated and goes with the next version. Type: {new}", err=True)
    assert cut.callback
    cut.callback(name=name, **options)


run.add_command(Command("seal", params=cut.params, callback=_seal, help=_seal.__doc__, hidden=True))


@run.command(cls=Command)
@NAME
@click.argument("counts", nargs=-1, metavar="[CLASS=N]...")
@acting
@as_json
def totals(name: tuple[str, str], counts: tuple[str, ...], actor: str, as_json: bool) -> None:
    """Declare what the producer sent, per event class; without counts, show what was declared."""
    found = run_written("/".join(name))
    if counts:
        declare_totals(*name, totals_of(counts, "CLASS=N"), actor)
    document = totals_document(found)
    if as_json:
        emit(document)
    elif not document["totals"]:
        said(f"Nothing is declared for {'/'.join(name)}. Declare: passgate run totals {'/'.join(name)} CLASS=N")
    else:
        heads = ("window", "class", "declared", "by", "at")
        rows = [
            (str(t["window"]), t["event_class"], t["declared"], t["declared_by"], moment(t["declared_at"]))
            for t in document["totals"]
        ]
        table(heads, rows, right=[0, 2])


@run.command(cls=Command)
@NAME
@WINDOW
@RERUN
@click.option("--wait", type=DURATION, default=timedelta(0), help="Let lanes work for so long before judging.")
@acting
@as_json
def close(
    name: tuple[str, str], window: int | None, rerun: int | None, wait: timedelta, actor: str, as_json: bool
) -> None:
    """Judge a cut window, or a rerun, now and store the verdict. Exit code 0: PASS; 1: FAIL; 4: BLOCKED; 3: not
    judged."""
    _goes_with_window(window, rerun)
    try:
        stored = judged(name, actor, window, wait, rerun)
    except WindowFailed as failed:
        refuse(failed, as_json, NO)
    if as_json:
        verdict = Verdict.objects.select_related("win").get(pk=stored.id)
        emit(verdict_document(verdict, *name))
    else:
        said(f"{stored.name} {stored.verdict.title}")
        said(stored.sentence)
    sys.exit(EXIT[str(stored.verdict.state)])


def _goes_with_window(window: int | None, rerun: int | None) -> None:
    if rerun and not window:
        raise click.BadParameter("goes with --window: a rerun's number holds within its window", param_hint="--rerun")


def judged(
    name: tuple[str, str], actor: str, window: int | None, wait: timedelta, rerun: int | None = None
) -> StoredVerdict:
    """The verdict of now. Where the window moved on meanwhile (it is judged by itself, too), it is judged once more."""
    for _ in range(TRIES - 1):
        with suppress(AnotherCloser):
            return close_run(*name, actor, window, wait, rerun)
    return close_run(*name, actor, window, wait, rerun)


@run.command("list", cls=Command)
@click.argument("stream", required=False)
@click.option("--state", type=click.Choice(RunState.values), help="Runs in this state only.")
@click.option(
    "--limit", type=click.IntRange(1, MOST_LISTED), default=50, show_default=True, help="At most so many a stream."
)
@as_json
def list_runs(stream: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    streams = [stream] if stream else [row.stream.name for row in newest_contracts()]
    rows = [row for name in streams for row in runs_of(name, state)[:limit]]
    documents = run_documents(rows)
    if as_json:
        emit({"items": documents})
    elif not documents:
        said(f"No runs{f' of {stream}' if stream else ''} yet. Open one: passgate run open {stream or 'STREAM'}/RUN")
    else:
        heads = ("run", "state", "verdict", "contract", "opened", "by")
        standing = gate.standing([RunId(row.pk) for row in rows])
        table(heads, [_run_row(d, standing.get(RunId(row.pk))) for d, row in zip(documents, rows, strict=True)])


def _run_row(found: Mapping[str, Any], standing: gate.RunStanding | None) -> tuple[object, ...]:
    """Of several windows how each stands: the newest verdict says nothing of those before."""
    verdict = next((w["verdict"] for w in reversed(found["windows"]) if w["verdict"]), None)
    of_one = f"#{verdict['number']} {verdict['state']}" if verdict else "not judged"
    return (
        f"{found['stream']}/{found['run']}",
        found["state"],
        standing_words(standing) if standing and standing.windows > 1 else of_one,
        f"v{found['contract']['version']}",
        moment(found["opened_at"]),
        found["opened_by"],
    )


@run.command("windows", cls=Command)
@NAME
@click.option(
    "--verdict", type=click.Choice(list(VERDICTS)), help="Windows of this newest verdict only; none: not judged."
)
@click.option("--before", type=click.IntRange(1, 2**31 - 1), help="Windows before this one.")
@click.option("--limit", type=click.IntRange(1, MOST_LISTED), default=50, show_default=True, help="At most so many.")
@as_json
def list_windows(name: tuple[str, str], verdict: str | None, before: int | None, limit: int, as_json: bool) -> None:
    """List the windows of a run, the newest first."""
    written = run_written("/".join(name))
    found = of_run(written, verdict=[verdict] if verdict else ())
    rows = list((found.filter(number__lt=before) if before else found)[: limit + 1])
    documents = window_documents(written, rows[:limit])
    if as_json:
        emit({"items": documents, "next": rows[limit - 1].number if len(rows) > limit else None})
        return
    standing = gate.standing([RunId(written.pk)]).get(RunId(written.pk))
    said(f"{'/'.join(name)}: {standing_words(standing) if standing else 'no window yet'}.")
    if documents:
        heads = ("window", "state", "verdict", "records", "gate", "opened", "cut")
        gates = gate.standing_of([WindowId(row.pk) for row in rows[:limit]])
        lines = [_window_row(d, gates[WindowId(row.pk)]) for d, row in zip(documents, rows[:limit], strict=True)]
        table(heads, lines, right=[0, 3])
    if len(rows) > limit:
        said(f"There are more: --before {rows[limit - 1].number}")


def _window_row(found: Mapping[str, Any], standing: gate.Standing) -> tuple[object, ...]:
    verdict = found["verdict"]
    return (
        str(found["number"]),
        found["state"],
        f"#{verdict['number']} {verdict['state']}" if verdict else "not judged",
        f"{found['records']:,}",
        "open" if standing.decision.granted else "shut",
        moment(found["opened_at"]),
        moment(found["cut_at"]) if found["cut_at"] else "not yet",
    )


@run.command(cls=Command)
@NAME
@WINDOW
@RERUN
@as_json
def show(name: tuple[str, str], window: int | None, rerun: int | None, as_json: bool) -> None:
    """Show a run: what would be judged now, and what was judged. Stores nothing."""
    _goes_with_window(window, rerun)
    written = run_written("/".join(name))
    shown = _shown(written, window, rerun)
    now = checks_now(WindowId(shown.pk))
    diagnosis, offers = diagnose(now), offers_of(WindowId(shown.pk), now.checks)
    if as_json:
        documents = [offer_document(offer, *name) for offer in offers]
        emit(one_run_document(written) | {"checks_now": v.body(now, None, diagnosis.sentence), "offers": documents})
        return
    where, version = f"{'/'.join(name)} {window_words(shown.number, shown.rerun)}", shown.contract.version
    said(" · ".join((where, f"run {written.state}", f"contract v{version}")))
    said(diagnosis.sentence)
    _say_offers(offers, name)
    if now.state is v.State.FAIL and not offers:
        said("No plan is offered for it now.")
    for notice in notices_of(RunId(written.pk)):
        said(notice_words(notice))
    standing = gate.standing([RunId(written.pk)])[RunId(written.pk)]
    if standing.windows > 1:
        said(f"The run: {standing_words(standing)}. All windows: passgate run windows {'/'.join(name)}")
    click.echo()
    _say_checks(now)
    _say_verdicts(history(written, shown if window else None)[:10], name)
    _say_reruns(lines_of([shown.pk]).get(shown.pk, []), name)


def _say_offers(offers: Sequence[Offer], name: tuple[str, str]) -> None:
    """Plans that would be taken now, each with what it is for and how it is asked for."""
    for offer in offers:
        said(f"Can be asked for, {offer.kind}: {offer.why}")
        said(offer_command(offer, "/".join(name)), indent=2)


def _shown(written: Run, window: int | None, rerun: int | None) -> Window:
    if window and rerun:
        return rerun_numbered(written, window, rerun)
    return window_numbered(written, window) if window else newest_window(written)


def _say_reruns(found: Sequence[RerunLine], name: tuple[str, str]) -> None:
    """The reruns of a window, the newest first: whose they are and how they stand."""
    if not found:
        return
    click.echo()
    click.echo(f"Reruns of window {found[0].row.number}")
    heads = ("rerun", "plan", "state", "verdict", "gate", "contract", "asked for by", "approved by")
    table(heads, map(_rerun_row, found), right=[0, 1])
    left = found[0].row.in_all - len(found)
    if left:
        said(f"And {left:,} before these.")


def _rerun_row(line: RerunLine) -> tuple[object, ...]:
    row, verdict = line.row, line.verdict
    granted = line.gate is not None and line.gate.decision.granted
    return (
        str(row.rerun),
        str(row.plan),
        row.state,
        f"#{verdict.number} {verdict.title}" if verdict else "not judged",
        "open" if granted else "shut",
        f"v{row.contract}",
        row.requested_by,
        row.approved_by,
    )


def _say_checks(now: v.Verdict) -> None:
    click.echo("Checks now, not a verdict")
    rows = [
        (c.name, c.state, f"follows from {c.follows_from}" if c.follows_from else c.observed, c.required, c.source)
        for c in sorted(now.checks, key=lambda check: check.severity is None)
    ]
    table(("check", "state", "observed", "required", "source"), rows)
    for absent in now.not_listed:
        said(f"{absent.name} is not listed: {absent.why}")


def _say_verdicts(verdicts: Sequence[Verdict], name: tuple[str, str]) -> None:
    click.echo()
    if not verdicts:
        said(f"Not judged yet. Cut it, and it is: passgate run cut {'/'.join(name)}")
    for verdict in verdicts:
        line = verdict_line(verdict, *name)
        of = f" ({window_words(line['window'], line['rerun'])})" if line["rerun"] else ""
        said(f"{line['verdict']}{of} {line['state']}, {moment(line['decided_at'])} by {line['decided_by']}")
        said(line["sentence"], indent=2)


@run.command(cls=Command)
@NAME
@WINDOW
@as_json
def anchors(name: tuple[str, str], window: int | None, as_json: bool) -> None:
    """Show what a window processed, by the ledger alone, and what of it is safe to replay now."""
    written = run_written("/".join(name))
    shown = window_numbered(written, window) if window else newest_window(written)
    found = processed(WindowId(shown.pk))
    kept = replay(found)
    if as_json:
        emit(anchors_document(found, kept))
        return
    _say_processed(found)
    click.echo()
    _say_replay(kept)


def _say_processed(found: WindowAccount) -> None:
    digest = found.contract_digest[:12]
    parts = (f"{found.stream}/{found.run_name} window {found.number}", f"{found.state}")
    basis = f"basis generation {found.generations[-1].number}" if found.generations else "no basis"
    said(" · ".join((*parts, f"contract v{found.contract_version} ({digest})", basis)))
    opened = f"Opened {moment(stamp(found.opened.at))} by {found.opened.by or 'nobody that is written down'}."
    cut = f" Cut {moment(stamp(found.cut.at))} by {found.cut.by or 'nobody that is written down'}." if found.cut else ""
    said(f"{opened}{cut}")
    click.echo()
    click.echo("What was processed")
    heads = ("source", "start", "end", "records", "admitted", "duplicate", "quarantined", "gaps", "root of its batches")
    table(heads, map(_account_row, found.accounts), right=range(1, 8))


def _account_row(account: SourceAccount) -> tuple[object, ...]:
    counts: tuple[object, ...] = (account.records, account.admitted, account.duplicates, account.quarantined)
    if account.role == "bus":
        counts = (None,) * 4
    end = "open" if account.cut is None else account.cut
    root = account.root[:16] if account.root else None
    return account.label, account.start, end, *counts, account.gaps.offsets, root


def _say_replay(kept: Replay) -> None:
    asked = f"Kafka was asked {_age(kept, kept.asked_at)}" if kept.asked_at else sentence_case(kept.why)
    click.echo("What is safe to replay now")
    said(f"{kept.sentence} {asked}.")
    heads = ("source", "replay", "gone", "receipts", "gaps", "neither", "seen", "why")
    table(heads, [_anchor_row(kept, each) for each in kept.sources], right=range(2, 6))
    for difference in kept.differences or ():
        said(f"Since the basis: {difference}.")


def _anchor_row(kept: Replay, each: SourceReplay) -> tuple[object, ...]:
    anchor, found = each.anchor, each.stand_ins
    stand = (found.receipts, found.gaps, found.neither) if found else (None, None, None)
    gone = "unknown" if anchor.gone is None else anchor.gone
    seen = f"{anchor.measured_by} {_age(kept, anchor.measured_at)}" if anchor.measured_at else anchor.measured_by
    return anchor.source.label, a.said(anchor), gone, *stand, seen.strip(), "; ".join(anchor.why)


def _age(kept: Replay, at: datetime) -> str:
    return age_words((kept.at - at).total_seconds())
