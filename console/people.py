"""The person behind an account. Four eyes are two persons, whatever accounts, roles or tokens each of them has.

Accounts with the same identity are one person: with the same e-mail address, whatever its case; an account without one
is a person of its own. A token acts as the account it belongs to.
"""

from __future__ import annotations

from typing import Any

from django.contrib.auth import get_user_model

from console.permissions import may
from plans.core.people import Actor

NO_ACCOUNT = "there is no account called {}: a plan is asked for, approved and steered by people with one"


def person_of(user: Any) -> str:
    """The same text for all accounts of one person. The two forms never meet: no e-mail address begins like a name."""
    email = str(user.email or "").strip().lower()
    return f"mailto:{email}" if email else f"user:{user.get_username()}"


def actor_named(name: str) -> Actor:
    """Whoever acts under this account. One that is not there is nobody, and may do nothing."""
    return Actor(name, Accounts().person(name) or f"user:{name}")


class Accounts:
    """What plans ask about accounts, at the time they ask."""

    def person(self, name: str) -> str | None:
        user = _account(name)
        return None if user is None else person_of(user)

    def refusal(self, name: str, act: str) -> str:
        user = _account(name)
        return NO_ACCOUNT.format(name) if user is None else may(user, act).reason


def _account(name: str) -> Any | None:
    """The account itself, and nothing remembered of it: what it may do is asked for now."""
    return get_user_model().objects.filter(username=name.replace("\0", "\ufffd")).first()
