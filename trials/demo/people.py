"""A person for each role, with a password made for this demo alone."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from console.permissions import Role
from trials.demo.acts import Commands

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


def make_people(commands: Commands) -> tuple[SignIn, ...]:
    """Somebody in every role, as an administrator would make them."""
    people = tuple(SignIn(role, NAMES[role], _password()) for role in Role)
    for one in people:
        words = ("user", "create", one.name, "--role", one.role.value, "--password-stdin", "--as", "demo")
        commands.run(*words, quiet=True, stdin=one.password + "\n")
    return people


def _password() -> str:
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(4)) for _ in range(3))
