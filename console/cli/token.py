"""`passgate token`: API tokens. One is shown once, when it is made."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from console.cli.base import DURATION, Command, Group, acting, as_json, counted, emit, moment, said, table
from console.cli.people import user_named
from console.documents import stamp
from console.permissions import Act
from console.tokens import issue, listed, revoke

ACTS = [act.value for act in Act]


@click.group(cls=Group)
def token() -> None:
    """API tokens."""


@token.command(cls=Command)
@click.argument("name_of_user", metavar="USER")
@click.option("--name", required=True, help="What it is for.")
@click.option("--expires", type=DURATION, default=timedelta(days=30), help="For how long. [default: 30d]")
@click.option(
    "--act", "acts", multiple=True, type=click.Choice(ACTS), help="Only this act; may be given several times."
)
@acting
@as_json
def create(name_of_user: str, name: str, expires: timedelta, acts: tuple[str, ...], actor: str, as_json: bool) -> None:
    """Make a token of a user and show it once. It may do what the user may, or less with --act."""
    made = issue(user_named(name_of_user), name, expires, acts, actor)
    if as_json:
        emit(
            {"name": made.name, "user": made.user, "acts": list(made.acts), "expires_at": stamp(made.expires_at)}
            | {"token": made.secret}
        )
        return
    click.echo(made.secret)  # alone on stdout, for TOKEN=$(passgate token create …)
    scope = f"only: {', '.join(made.acts)}" if made.acts else "whatever the user's roles allow"
    until = moment(stamp(made.expires_at))
    said(f"Token {made.name} of {made.user} until {until} UTC; {scope}. It is not shown again.", err=True)
    said("Use it as a header: Authorization: Token …", err=True)


@token.command("list", cls=Command)
@click.argument("name_of_user", metavar="[USER]", required=False)
@as_json
def list_tokens(name_of_user: str | None, as_json: bool) -> None:
    """Tokens by their first characters; the rest is stored nowhere."""
    documents = [_document(row) for row in listed(user_named(name_of_user) if name_of_user else None)]
    if as_json:
        emit({"items": documents})
    elif not documents:
        click.echo("No tokens. Make one: passgate token create USER --name NAME")
    else:
        table(("key", "user", "name", "acts", "expires"), map(_row, documents))


def _row(found: dict[str, Any]) -> tuple[object, ...]:
    return found["key"], found["user"], found["name"], ", ".join(found["acts"]) or "all", moment(found["expires_at"])


def _document(row: Any) -> dict[str, Any]:
    scope = getattr(row, "scope", None)
    return {
        "key": row.token_key,
        "user": row.user.get_username(),
        "name": scope.name if scope else None,
        "acts": scope.acts if scope else [],
        "expires_at": stamp(row.expiry),
        "created_at": stamp(row.created),
    }


@token.command("revoke", cls=Command)
@click.argument("key")
@acting
@as_json
def revoke_token(key: str, actor: str, as_json: bool) -> None:
    """End a token, by the key that `passgate token list` shows. It stops working at once."""
    ended = revoke(key, actor)
    if as_json:
        emit({"ended": ended})
    else:
        said(f"{counted(ended, 'token')} ended.")
