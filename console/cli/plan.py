"""`passgate plan`: asking for what needs a second person, answering, running and steering."""

from __future__ import annotations

import sys
from base64 import b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from django.contrib.auth import get_user_model

from audit.capture import now
from audit.core.check import WAIVABLE
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
    counted,
    emit,
    moment,
    said,
    table,
)
from console.documents.plans import plan_documents, preview_document, whole_document
from console.people import Accounts, actor_named
from console.reads.plans import (
    ALL_MEMBERS,
    MEMBERS,
    RENAMED,
    of_stream,
    plan_members,
    plan_numbered,
    plans,
    range_in,
    waits_for,
)
from console.reads.quarantine import REASONS
from console.refusals import written_down
from ingest.core.stored import known
from plans.answer import approve as approve_plan
from plans.answer import decline as decline_plan
from plans.core.approvals import of_how_many
from plans.core.binding import Limits
from plans.core.plan import State
from plans.errors import AnotherDigest
from plans.kinds.redrive import MOST_CORRECTED
from plans.preview import preview as preview_plan
from plans.run import run_plan
from plans.steer import cancel as cancel_plan
from plans.steer import pause as pause_plan
from plans.steer import resume as resume_plan
from plans.submit import submit as submit_plan

F = TypeVar("F", bound=Callable[..., Any])

PLAN = click.argument("plan", type=click.IntRange(1, 2**63 - 1))
BECAUSE = click.option("--because", required=True, metavar="TEXT", help="Why, for whoever audits this.")
BECAUSE_IF = click.option("--because", default="", metavar="TEXT", help="Why, for whoever audits this.")
EXIT = {State.DONE: DONE, State.VOID: NO, State.EXPIRED: NO, State.DECLINED: NO, State.CANCELLED: NO}
SHORTEST_DIGEST = 12


class Until(click.ParamType[datetime]):
    """A time with its zone, or a duration from now on, by the database's clock."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        if isinstance(value, datetime):
            return value
        try:
            found = datetime.fromisoformat(str(value))
        except ValueError:
            return now() + DURATION.convert(value, param, ctx)
        if found.tzinfo is None:
            self.fail(f"a time with its zone is expected, as in 2026-02-01T12:00:00Z; found {value!r}", param, ctx)
        return found


class Subject(click.ParamType[tuple[str, str]]):
    """What a plan is about: STREAM/RUN, or STREAM alone, with "" for its run."""

    name = "STREAM[/RUN]"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        if isinstance(value, str) and value and "/" not in value:
            return value, ""
        return RUN.convert(value, param, ctx)


def asking(command: F) -> F:
    """What a plan is asked for with."""
    for option in (
        click.option("--stop-when", metavar="RULE", help='Hold it once this is so, as in "quarantined > 0".'),
        click.option("--rate", type=click.IntRange(1, 2**31 - 1), help="Items a second."),
        click.option("--first", type=click.IntRange(1, 2**31 - 1), help="Hold it after so many items."),
        click.option("--topic-id", metavar="ID", help="retire: which of several topics of that name."),
        click.option("--topic", metavar="TOPIC", help="retire: the inbox topic that was moved."),
        click.option(
            "--attempt",
            "numbers",
            type=click.IntRange(1, 2**63 - 1),
            multiple=True,
            help="decide: about which; republish: of which. Repeatable. [default: all of the window that wait]",
        ),
        click.option(
            "--correction",
            "corrections",
            multiple=True,
            metavar="ITEM=FILE",
            help="redrive: other bytes for an item; what arrived stays as it is.",
        ),
        click.option("--contract", type=click.IntRange(1, 2**31 - 1), help="redrive, replay: the version."),
        click.option("--mode", type=click.Choice(["prove", "fresh"]), help="replay: into what. [default: prove]"),
        click.option("--whole", is_flag=True, default=None, help="replay: all of the window."),
        click.option(
            "--out-of-order",
            is_flag=True,
            default=None,
            help="redrive, replay: consent to events that come late for a key whose order the projection keeps.",
        ),
        click.option(
            "--range",
            "ranges",
            multiple=True,
            callback=lambda ctx, param, value: _ranges(value),
            metavar="SOURCE=FROM:TO",
            help="replay: these offsets, as in inbox/0=0:500. Repeatable.",
        ),
        click.option(
            "--items",
            callback=lambda ctx, param, value: _items(value),
            metavar="N,N,…",
            help="redrive: these quarantine items.",
        ),
        click.option(
            "--reason-code",
            type=click.Choice(REASONS),
            metavar="REASON",
            help="redrive: all open items of the window that were set aside for this, as in TOO_LARGE.",
        ),
        click.option("--until", type=Until(), help="waive: until when, as in 7d or 2026-02-01T12:00:00Z."),
        click.option("--check", type=click.Choice(sorted(map(str, WAIVABLE))), help="waive: which check."),
        click.option("--window", type=click.IntRange(1, 2**31 - 1), help="The window. [default: the run's newest]"),
        click.argument("name", type=Subject(), metavar="STREAM[/RUN]"),
        click.argument("kind", type=click.Choice(list(MEMBERS))),
    ):
        command = option(command)
    return command


def _items(text: str | None) -> list[int] | None:
    """1,2,3"""
    parts = [part.strip() for part in text.split(",")] if text else []
    if any(not (part.isascii() and part.isdigit() and len(part) < 19) for part in parts):
        raise click.BadParameter(f"numbers of items are expected, as in 41,42; found {text!r}")
    return [int(part) for part in parts] or None


def _ranges(texts: tuple[str, ...]) -> list[dict[str, Any]] | None:
    found = [range_in(text) for text in texts]
    for text, each in zip(texts, found, strict=True):
        if each is None:
            raise click.BadParameter(f"SOURCE=FROM:TO is expected, as in inbox/0=0:500; found {text!r}")
    return [each for each in found if each is not None] or None


def _corrections(texts: tuple[str, ...]) -> dict[str, str]:
    """ITEM=FILE as base64 by item."""
    corrections: dict[str, str] = {}
    for text in texts:
        item, _, file = text.partition("=")
        if not (item.isascii() and item.isdigit() and file) or item in corrections:
            raise click.UsageError(f"--correction ITEM=FILE, each item once, is expected; found {text!r}")
        try:
            with click.open_file(file, "rb") as stream:
                corrections[item] = b64encode(stream.read(MOST_CORRECTED + 1)).decode()
        except OSError as error:
            raise click.UsageError(f"--correction {text}: {error.strerror}") from None
    return corrections


def _asked(kind: str, name: tuple[str, str], more: Mapping[str, Any]) -> tuple[str, dict[str, Any], Limits]:
    said = {"run": name[1] or None} | {option: more[option] for option in ALL_MEMBERS if option in more}
    said |= _attempts(kind, more["numbers"]) | {"corrections": _corrections(more["corrections"]) or None}
    wanted = {"stream": name[0]} | {option: value for option, value in said.items() if value is not None}
    needed, other = plan_members(kind)
    missing = [_typed(member) for member in needed if member not in wanted]
    surplus = [_typed(member) for member in other if member in wanted]
    if missing:
        raise click.UsageError(f"a plan of the kind {kind} needs {' and '.join(missing)}")
    if surplus:
        raise click.UsageError(f"a plan of the kind {kind} takes no {' and no '.join(surplus)}")
    if kind == "redrive" and ("items" in wanted) == ("reason_code" in wanted):
        raise click.UsageError("a redrive needs --reason-code, or --items")
    if kind == "replay" and ("ranges" in wanted) == ("whole" in wanted):
        raise click.UsageError("a replay needs --range, or --whole")
    wanted = {RENAMED.get(member, member): value for member, value in wanted.items()}
    return kind, wanted, Limits(more["first"], more["rate"], more["stop_when"])


def _attempts(kind: str, numbers: Sequence[int]) -> dict[str, Any]:
    """One kind is about one attempt, another about several: on the command line both are `--attempt`."""
    if kind == "republish":
        return {"attempts": list(numbers) or None}
    if len(numbers) > 1:
        raise click.UsageError(f"a plan of the kind {kind} takes one --attempt at most")
    return {"attempt": numbers[0] if numbers else None}


def _typed(member: str) -> str:
    if member in ("run", "items"):
        return {"run": "STREAM/RUN", "items": "--items"}[member]
    return f"--{member.removesuffix('s').replace('_', '-')}"


@click.group(cls=Group)
def plan() -> None:
    """Plans: what needs a second person."""


@plan.command(cls=Command)
@asking
@as_json
def preview(kind: str, name: tuple[str, str], as_json: bool, **more: Any) -> None:
    """Show what a plan would bind and do, and its digest; nothing is stored."""
    document = preview_document(preview_plan(*_asked(kind, name, more)))
    if as_json:
        emit(document)
        return
    for line in document["says"]:
        said(line)
    said(f"digest: {document['digest']}")


@plan.command(cls=Command)
@asking
@BECAUSE
@click.option("--digest", metavar="HEX", help="Of the preview: refused if it is another now.")
@acting
@as_json
def submit(
    kind: str, name: tuple[str, str], because: str, digest: str | None, actor: str, as_json: bool, **more: Any
) -> None:
    """Ask for a plan. What it binds is frozen; another person approves it, then it runs by itself.

    --as names an account: a plan is asked for, approved and steered by people who have one.
    """
    asked = _asked(kind, name, more)
    with written_down(actor, "plan.submit", "/".join(filter(None, name))):
        number = submit_plan(
            asked[0], asked[1], actor_named(actor), because, Accounts(), asked[2], _hex(digest) if digest else None
        )
    _say(number, actor, as_json)


def _hex(digest: str) -> bytes:
    try:
        return bytes.fromhex(digest)
    except ValueError:
        raise click.UsageError(f"a digest in hexadecimal digits is expected; found {digest[:80]!r}") from None


@plan.command(cls=Command)
@PLAN
@click.option("--digest", required=True, metavar="HEX", help="Its first 12 digits at least, as `plan show` says it.")
@BECAUSE_IF
@acting
@as_json
def approve(plan: int, digest: str, because: str, actor: str, as_json: bool) -> None:
    """Approve a plan, by exactly this digest. It runs once as many people have as its contract asked for.

    --as is another person than who asked for it, and than who approved it before; or who asked, as far as the
    contract's free records reach.
    """
    whole = _whole_digest(plan, digest)
    _act(plan, "approve", actor, as_json, lambda: approve_plan(plan, whole, actor_named(actor), Accounts(), because))


def _whole_digest(number: int, digest: str) -> bytes:
    plan_digest = bytes(plan_numbered(number).digest)
    if len(digest) < SHORTEST_DIGEST:
        raise click.UsageError(f"at least {SHORTEST_DIGEST} digits of the digest are expected")
    if not plan_digest.hex().startswith(digest.lower()):
        raise AnotherDigest(expected=plan_digest.hex(), found=digest[:80], next_step=f"passgate plan show {number}")
    return plan_digest


@plan.command(cls=Command)
@PLAN
@BECAUSE
@acting
@as_json
def decline(plan: int, because: str, actor: str, as_json: bool) -> None:
    """Say no, with a reason."""
    _act(plan, "decline", actor, as_json, lambda: decline_plan(plan, actor_named(actor), Accounts(), because))


@plan.command(cls=Command)
@PLAN
@as_json
def run(plan: int, as_json: bool) -> None:
    """Run an approved plan here and now, as workers do by themselves.

    Exit code 0: it is done; 1: it is over without that, as where what it binds has changed; 4: it is held, or not at
    its end yet.
    """
    plan_numbered(plan)
    run_plan(plan, Accounts(), lambda: True)
    _say(plan, None, as_json)
    ended = known(State, plan_numbered(plan).state)
    sys.exit(EXIT.get(ended, NOT_YET) if ended else NOT_YET)


@plan.command(cls=Command)
@PLAN
@BECAUSE
@acting
@as_json
def pause(plan: int, because: str, actor: str, as_json: bool) -> None:
    """Hold a plan that runs, within one batch."""
    _act(plan, "pause", actor, as_json, lambda: pause_plan(plan, actor_named(actor), Accounts(), because))


@plan.command(cls=Command)
@PLAN
@BECAUSE_IF
@acting
@as_json
def resume(plan: int, because: str, actor: str, as_json: bool) -> None:
    """Go on with a plan that is held, under the approval that it has."""
    _act(plan, "resume", actor, as_json, lambda: resume_plan(plan, actor_named(actor), Accounts(), because))


@plan.command(cls=Command)
@PLAN
@BECAUSE
@acting
@as_json
def cancel(plan: int, because: str, actor: str, as_json: bool) -> None:
    """End a plan that runs or is held. What is done stays done."""
    _act(plan, "cancel", actor, as_json, lambda: cancel_plan(plan, actor_named(actor), Accounts(), because))


def _act(number: int, act: str, actor: str, as_json: bool, verb: Callable[[], None]) -> None:
    with written_down(actor, f"plan.{act}", f"plan:{number}"):
        verb()
    _say(number, actor, as_json)


def _say(number: int, actor: str | None, as_json: bool) -> None:
    document = whole_document(plan_numbered(number), _user(actor))
    if as_json:
        emit(document)
        return
    said(_line(document))
    _say_approvals(document)
    _say_free(document)
    said(f"digest: {document['digest']}")


def _say_approvals(document: Mapping[str, Any]) -> None:
    found = document["approvals"]
    if words := of_how_many(found["needed"], len(found["given"])):
        said(words)


def _approvers(document: Mapping[str, Any]) -> str:
    """Everybody who has approved it."""
    names = [each["who"] for each in document["approvals"]["given"]]
    return ", ".join(names) or document["approved_by"] or ""


def _say_free(document: Mapping[str, Any]) -> None:
    """What of its requester's free records matters to a plan: those that are left, or those that it took."""
    if document["free"]:
        said(document["free"]["says"])
        if document["free"]["alone"]:
            said(f"{document['requested_by']} may start it alone: passgate plan approve {document['plan']}")
    if document["free_records"] is not None:
        said(f"free: {counted(document['free_records'], 'record')}, started by its requester alone")


def _line(document: Mapping[str, Any]) -> str:
    why = document["held_why"] or document["void_why"] or ""
    return f"Plan {document['plan']} is {document['state']}: {document['does']}." + (f" {why}." if why else "")


def _told(value: Any) -> str:
    """A fact as people read it."""
    if isinstance(value, dict):
        return ", ".join(f"{name} {each}" for name, each in value.items())
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)


def _user(name: str | None) -> Any:
    return get_user_model().objects.filter(username=(name or "").replace("\0", "\ufffd")).first()


@plan.command("list", cls=Command)
@click.option("--stream", metavar="STREAM", help="Plans about this stream.")
@click.option("--state", type=click.Choice([str(state) for state in State]), help="Plans in this state only.")
@click.option("--waits-for", "whom", metavar="NAME", help="Plans that this account can do something about.")
@click.option("--limit", type=click.IntRange(1, 10_000), default=100, show_default=True, help="At most so many.")
@as_json
def list_plans(stream: str | None, state: str | None, whom: str | None, limit: int, as_json: bool) -> None:
    """List plans, the newest first."""
    chosen = of_stream(stream) if stream else plans()
    chosen = chosen.filter(state=state) if state else chosen
    chosen = waits_for(_user(whom), chosen) if whom else chosen
    documents = plan_documents(list(chosen[:limit]))
    if as_json:
        emit({"items": documents})
        return
    if not documents:
        said("No plans.")
        return
    rows = [
        (str(d["plan"]), d["state"], d["does"], d["requested_by"], _approvers(d), moment(d["requested_at"]))
        for d in documents
    ]
    table(("plan", "state", "does", "asked for by", "approved by", "asked for at"), rows, right=[0])


@plan.command(cls=Command)
@PLAN
@as_json
def show(plan: int, as_json: bool) -> None:
    """Show one plan: what it binds, its history, and what became of its items."""
    document = whole_document(plan_numbered(plan), None)
    if as_json:
        emit(document)
        return
    said(_line(document))
    said(f"asked for by {document['requested_by']}, {moment(document['requested_at'])}: {document['reason']}")
    for each in document["approvals"]["given"]:
        said(f"approved by {each['who']}, {moment(each['at'])}" + (f": {each['why']}" if each["why"] else ""))
    if document["free_records"] is not None:
        said(f"approved by {document['approved_by']}, {moment(document['approved_at'])}")
    _say_approvals(document)
    _say_free(document)
    said(f"expires: {moment(document['expires_at'])}")
    outcomes = ", ".join(f"{n:,} {outcome}" for outcome, n in document["outcomes"].items()) or "none yet"
    said(f"{counted(document['items'], 'item')}: {outcomes}")
    if document["rerun"]:
        run = f"{document['stream']}/{document['run']}"
        said(f"rerun: passgate run show {run} --window {document['window']} --rerun {document['rerun']}")
    for name, value in document["binds"]["facts"].items():
        said(f"{name}: {_told(value)}", indent=2)
    for event in document["events"]:
        said(f"{moment(event['at'])} {event['to']} by {event['who']}" + (f": {event['why']}" if event["why"] else ""))
    said(f"digest: {document['digest']}")
