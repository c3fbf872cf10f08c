"""`passgate quarantine`: listing, looking at and resolving records that were set aside."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from console.cli.base import RUN, Command, Group, acting, as_json, counted, emit, moment, said, table
from console.documents.quarantine import document, payloads, redrives
from console.reads.named import item_numbered, run_written
from console.reads.quarantine import REASONS, sized
from ingest.models import ItemState, Resolution
from ingest.quarantine import MOST_ITEMS, OF_PEOPLE, discards_of, refuse_beyond, resolve

REASON = click.option(
    "--reason", type=click.Choice(REASONS), metavar="REASON", help="Set aside for this reason, as in NOT_JSON."
)
STATES = ("OPEN", "RESOLVED", "ALL")


@click.group(cls=Group)
def quarantine() -> None:
    """List, show and resolve quarantined records."""


@quarantine.command("list", cls=Command)
@click.argument("name", type=RUN, metavar="STREAM/RUN")
@REASON
@click.option("--state", type=click.Choice(STATES), default="OPEN", show_default=True, help="Items in this state only.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@click.option("--after", type=click.IntRange(0), default=0, help="Items after this number: the next page.")
@as_json
def list_items(name: tuple[str, str], reason: str | None, state: str, limit: int, after: int, as_json: bool) -> None:
    """List a run's items."""
    run = run_written("/".join(name))
    rows = list(sized(run, reason, None if state == "ALL" else state).filter(pk__gt=after)[: limit + 1])
    documents = [document(row) for row in rows[:limit]]
    following = documents[-1]["item"] if len(rows) > limit else None
    if as_json:
        emit({"items": documents, "next": following})
        return
    if not documents:
        which = " ".join(["No", *([state.lower()] if state != "ALL" else []), "items"])
        said(f"{which}{f' of reason {reason}' if reason else ''} in {'/'.join(name)}.")
        return
    table(("item", "reason", "source", "offset", "seen", "state", "detail"), map(_row, documents), right=[0, 3, 4])
    if following:
        click.echo(f"There are more: --after {following}")


def _row(found: Mapping[str, Any]) -> tuple[object, ...]:
    keys = ("reason", "source_name", "offset", "seen", "state", "detail")
    return str(found["item"]), *(found[key] for key in keys)


@quarantine.command(cls=Command)
@click.argument("item", type=click.IntRange(1, 2**63 - 1))
@as_json
def show(item: int, as_json: bool) -> None:
    """Show one item, with both payloads where two disagree; fields that the contract masks stay masked."""
    found = item_numbered(item)
    whole = document(found) | payloads(found) | redrives(found)
    if as_json:
        emit(whole)
        return
    where, place = f"{whole['stream']}/{whole['run']}", f"{whole['source_name']} offset {whole['offset']:,}"
    said(f"Item {item} of {where} window {whole['window']}: {whole['reason']}, {whole['state']}")
    said(whole["detail"])
    said(f"arrived: {place}, {moment(whole['arrived_at'])}, seen {counted(whole['seen'], 'time')}")
    if whole["event_id"]:
        said(f"id: {json.dumps(whole['event_id'], ensure_ascii=False)}")
    if whole["first"]:
        said(f"first: source {whole['first']['source']} offset {whole['first']['offset']:,}; its payload stands")
    _say_payload("payload", whole["payload"])
    if whole["first_payload"]:
        _say_payload("first payload", whole["first_payload"])
    if whole["resolution"]:
        done = whole["resolution"]
        said(f"{done['resolution']} by {done['by']}, {moment(done['at'])}: {done['reason']}")
    for time in whole["redrives"]:
        why = f", {time['reason']}" if time["reason"] else ""
        corrected = f", corrected by {time['corrected_by']}" if time["corrected_by"] else ""
        said(f"redriven by plan {time['plan']}, {moment(time['at'])}: {time['outcome']}{why}{corrected}")


def _say_payload(which: str, payload: Mapping[str, Any]) -> None:
    text = payload["text"] if payload["text"] is not None else f"base64 {payload['value']}"
    said(f"{which}: {'no payload' if payload['value'] is None else text}")
    if payload["hidden"]:
        said(payload["hidden"], indent=2)


@quarantine.command("resolve", cls=Command)
@click.argument("targets", nargs=-1, required=True, metavar="STREAM/RUN | ITEM...")
@click.option(
    "--reason-code", "--resolution", "resolution", required=True, type=click.Choice([str(each) for each in OF_PEOPLE]),
    help="DISCARDED: set aside for good. ACCEPTED_FIRST: the first payload stands.",
)  # fmt: skip
@click.option("--because", required=True, metavar="TEXT", help="Why, for whoever audits this.")
@click.option("--all", "every", is_flag=True, help="All open items of the run.")
@click.option(
    "--beyond-bound", "beyond", multiple=True, metavar="STREAM/RUN",
    help="Discard in this run more than its contract allows: it can then never pass.",
)  # fmt: skip
@REASON
@acting
@as_json
def resolve_items(
    targets: tuple[str, ...],
    resolution: str,
    because: str,
    every: bool,
    beyond: tuple[str, ...],
    reason: str | None,
    actor: str,
    as_json: bool,
) -> None:
    """Resolve items by number, or a run's open ones with --all or --reason: all of them, or none.

    An item is resolved once, and names who did it and why. More than 10,000 are resolved in acts of 10,000. Discards
    beyond the contract's discard_max are refused, with their arithmetic, unless --beyond-bound names the run.
    """
    chosen = _chosen(targets, every, reason)
    if Resolution(resolution) is Resolution.DISCARDED:
        refuse_beyond(discards_of(chosen), beyond)
    for first in range(0, len(chosen), MOST_ITEMS):
        resolve(chosen[first : first + MOST_ITEMS], actor, Resolution(resolution), because, beyond)
    if as_json:
        emit({"resolved": len(chosen), "items": chosen})
    else:
        said(f"{counted(len(chosen), 'item')} resolved as {resolution} by {actor}.")


def _chosen(targets: Sequence[str], every: bool, reason: str | None) -> list[int]:
    """The numbers of the items meant. Whole runs need saying so: a forgotten word must not resolve everything."""
    if all(target.isascii() and target.isdigit() and len(target) < 19 for target in targets):
        if every or reason:
            raise click.UsageError("--all and --reason go with STREAM/RUN")
        return sorted({int(target) for target in targets})
    if len(targets) != 1:
        raise click.UsageError("either one STREAM/RUN or numbers of items are expected")
    if not (every or reason):
        raise click.UsageError("with STREAM/RUN, say which items: --all, or --reason REASON")
    run = run_written("/".join(RUN.convert(targets[0], None, None)))
    return list(sized(run, reason, ItemState.OPEN).values_list("pk", flat=True))
