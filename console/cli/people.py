"""`passgate user`: people and their roles."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Sequence
from typing import Any

import click

import console.cli.ready  # noqa: F401 - sets Django up before the modules below need it

# isort: split
from django.contrib.auth.models import Group as Groups
from django.contrib.auth.models import User
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from console.cli.base import Command, Group, acting, as_json, emit, moment, said, table
from console.documents import stamp
from console.permissions import Role, make_groups, roles_named
from ingest.auditlog import record_act
from ingest.core.errors import NotFound, PassgateError
from ingest.db import retry_transaction, write

ROLES = [role.value for role in Role]
GENERATED_BYTES = 18


class UserRefused(PassgateError):
    """The name is taken or cannot be one, or the password is too weak."""

    code = "user_refused"
    what = "the user cannot be made"


def user_named(name: str) -> User:
    """Raises NotFound."""
    found = User.objects.filter(username=name.replace("\0", "\ufffd")).first()
    if found is None:
        raise NotFound(expected=f"user {name}", found="none", next_step="passgate user list, passgate user create")
    return found


@click.group(cls=Group)
def user() -> None:
    """People and their roles."""


@user.command(cls=Command)
@click.argument("name")
@click.option("--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="One or several.")
@click.option("--password-stdin", is_flag=True, help="Read the password from the first line of stdin.")
@click.option("--generate", is_flag=True, help="Make a password and show it once.")
@click.option("--no-password", is_flag=True, help="For programs: nobody can sign in, tokens work.")
@acting
@as_json
def create(
    name: str,
    roles: tuple[str, ...],
    password_stdin: bool,
    generate: bool,
    no_password: bool,
    actor: str,
    as_json: bool,
) -> None:
    """Make a user with one or more roles. Without an option about passwords, it asks for one."""
    if password_stdin + generate + no_password > 1:
        raise click.UsageError("one of --password-stdin, --generate and --no-password is enough")
    made = secrets.token_urlsafe(GENERATED_BYTES) if generate else None
    password = made or (None if no_password else _asked(password_stdin))
    make_user(name, roles, password, actor)
    if as_json:
        emit({"name": name, "roles": sorted(roles), "password": made})
        return
    said(f"User {name} made: {', '.join(sorted(set(roles)))}.")
    if made:
        click.echo(f"Password, shown once: {made}")


def _asked(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    return str(click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True))


def make_user(name: str, roles: Sequence[str], password: str | None, actor: str) -> User:
    """A user of these roles; `password` None: cannot sign in. Raises UserRefused."""
    made = User(username=name)
    made.set_password(password)
    try:
        made.full_clean(exclude=["password"])
        if password is not None:
            validate_password(password, made)
    except ValidationError as error:
        raise UserRefused(found=" ".join(error.messages), next_step="choose another one") from None
    retry_transaction(lambda: _store_user(made, roles, actor))
    return made


def _store_user(made: User, roles: Sequence[str], actor: str) -> None:
    with write() as cur:
        make_groups()
        made.save(force_insert=True)  # a second time, too, when the first was rolled back
        made.groups.set(Groups.objects.filter(name__in=roles))
        record_act(cur, actor, "user.create", f"user:{made.username}", detail={"roles": sorted(set(roles))})


@user.command("list", cls=Command)
@as_json
def list_users(as_json: bool) -> None:
    """Everybody, with their roles."""
    people = User.objects.prefetch_related("groups").order_by("username")
    documents = [_document(person) for person in people]
    if as_json:
        emit({"items": documents})
        return
    rows = [(d["name"], ", ".join(d["roles"]), d["active"], moment(d["last_sign_in"])) for d in documents]
    table(("name", "roles", "active", "last sign-in"), rows)


def _document(person: User) -> dict[str, Any]:
    return {
        "name": person.username,
        "roles": sorted(role.value for role in roles_named(group.name for group in person.groups.all())),
        "active": person.is_active,
        "last_sign_in": stamp(person.last_login),
    }
