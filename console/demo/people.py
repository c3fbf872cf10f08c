"""A person for each role, with a password made for this demo alone."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from console.people import Role

NAMES = {
    Role.VIEWER: "viewer",
    Role.OPERATOR: "operator",
    Role.APPROVER: "approver",
    Role.AUDITOR: "auditor",
    Role.DATA_ENGINEER: "engineer",
}
WORDS = {
    Role.VIEWER: "looks",
    Role.OPERATOR: "triages and runs",
    Role.APPROVER: "gives the second signature",
    Role.AUDITOR: "takes the evidence away",
    Role.DATA_ENGINEER: "connects streams and readers",
}
_LETTERS = "abcdefghjkmnpqrstuvwxyz23456789"
"""Without those that look alike: people type these."""


@dataclass(frozen=True)
class SignIn:
    """What a person needs to sign in to the console."""

    role: Role
    name: str
    password: str


def sign_ins() -> tuple[SignIn, ...]:
    """New passwords, one per role."""
    return tuple(SignIn(role, NAMES[role], _password()) for role in Role)


def _password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))


def make_people(wanted: Iterable[SignIn]) -> None:
    """Create them with their roles, in the database Django is set up with."""
    from console.people import make_person

    for one in wanted:
        make_person(one.name, one.password, [one.role])
